/**
 * Bits of a disk that flip, and what an engine may make of it (`FORMAT.md`): right
 * data or a typed error, with one exception that nobody can tell from a write that
 * was torn.
 *
 * @module
 */

import { LogReader } from "../../engine/log/reader.ts";
import { joinPath, parseName, walName } from "../../engine/names.ts";
import type { FileSystem } from "../../runtime/mod.ts";
import type { VirtualDisk } from "../../runtime/virtual/mod.ts";

/** A bit of a file. */
export interface Bit {
  readonly path: string;
  /** Of its byte. */
  readonly offset: number;
  readonly mask: number;
}

/**
 * One of the bits of a disk, or of some of its files; `undefined` if they have none.
 *
 * @param pick Which one, counted over all and around.
 */
export function pickBit(
  disk: VirtualDisk,
  pick: number,
  isMeant: (path: string) => boolean = () => true,
): Bit | undefined {
  const files = [...disk.image().files].filter(([path]) => isMeant(path))
    .sort(([a], [b]) => a < b ? -1 : 1);
  const total = files.reduce((sum, [, { length }]) => sum + length, 0);
  if (total === 0) return undefined;
  let offset = pick % total;
  for (const [path, { length }] of files) {
    if (offset < length) return { path, offset, mask: 1 << pick % 8 };
    offset -= length;
  }
  return undefined;
}

/** Whether a file is a table of a store. */
export function isTable(path: string): boolean {
  return parseName(nameOf(path))?.kind === "table";
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * Whether damage there may pass for a torn write: in the newest log, where no frame
 * behind it says that it had been synced.
 */
export function mayBeTorn(files: FileSystem, dir: string, bit: Bit): boolean {
  const newest = Math.max(
    ...files.list(dir).map((name) => {
      const file = parseName(name);
      return file?.kind === "wal" ? file.number : 0;
    }),
  );
  const path = joinPath(dir, walName(newest));
  if (nameOf(path) !== nameOf(bit.path)) return false;
  using file = files.open(path, { mode: "read" });
  const reader = new LogReader(file, path, newest);
  let syncedTo = 0;
  for (let frame = reader.next(); frame; frame = reader.next()) {
    syncedTo = Math.max(syncedTo, frame.syncedTo);
  }
  return bit.offset >= syncedTo;
}
