/**
 * A write-ahead log of a store: `000001.wal`, `000002.wal`, …
 *
 * ```text
 * wal := HEADER | (DATA | NOOP)* | SEAL? | 0*
 * ```
 *
 * Guarantees: a WAL is written only after its predecessor is complete, and its
 * HEADER says how that one looked. Before a sync of it resolves its predecessors
 * are on the device and the MANIFEST names it; so what was lost of what was
 * synced is always noticed. A WAL that no MANIFEST names yet counts if it follows
 * exactly on the one before; else a loss of power took what it builds on, and it
 * holds nothing that anyone was told to be safe. At a clean close SEAL is
 * written, and the MANIFEST says how the WAL then looks.
 *
 * @module
 */

import {
  CorruptionError,
  equalBytes,
  type FileSystem,
} from "../../runtime/mod.ts";
import { decodeAt, openExisting } from "../decode.ts";
import { joinPath, walName } from "../names.ts";
import {
  decodeHeader,
  encodeHeader,
  FrameKind,
  type LogIdentity,
} from "../log/frame.ts";
import { LogReader } from "../log/reader.ts";
import { type LogMeter, LogWriter } from "../log/writer.ts";
import { decodeBatches } from "./batch.ts";

/** Where a store's WALs are. */
export interface WalPlace {
  /** The file system. */
  readonly files: FileSystem;
  /** The store's directory. */
  readonly dir: string;
  /** The store's id. */
  readonly storeId: Uint8Array;
  /** Counts what is written. */
  readonly meter?: LogMeter;
  /** Room that a WAL gets at a time, in bytes. */
  readonly roomBytes?: number;
}

/**
 * Makes a WAL that follows `previous`. It is not on the device yet, and neither
 * is its name.
 *
 * @throws {StorageError} If it could not be made.
 */
export function createWal(place: WalPlace, previous: LogIdentity): LogWriter {
  const id = previous.id + 1;
  const path = joinPath(place.dir, walName(id));
  const file = place.files.open(path, { mode: "create" });
  try {
    const wal = new LogWriter(
      file,
      id,
      undefined,
      place.meter,
      place.roomBytes,
    );
    wal.append(
      FrameKind.header,
      encodeHeader({ storeId: place.storeId, previous }),
    );
    return wal;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** What replaying a WAL found. */
export interface ReplayedWal extends LogIdentity {
  /** What its HEADER says of the WAL before it. */
  previous: LogIdentity;
  /** The sequence number behind its last op. */
  nextSeq: number;
  /** Batches read. */
  batches: number;
  /** Bytes of torn tail behind its last frame. */
  tornBytes: number;
}

/**
 * Hands out all ops of a WAL in order.
 *
 * @param nextSeq The sequence number that its first op must have.
 * @throws {CorruptionError} If it is missing, damaged or another store's.
 * @throws {FormatVersionError} If a newer version wrote it.
 */
export function replayWal(
  place: WalPlace,
  id: number,
  nextSeq: number,
  apply: (
    seq: number,
    key: Uint8Array,
    value: Uint8Array | undefined,
  ) => void,
): ReplayedWal {
  const path = joinPath(place.dir, walName(id));
  using file = openExisting(place.files, path);
  const reader = new LogReader(file, path, id);
  const first = reader.next();
  // The HEADER was synced before the MANIFEST named this WAL.
  if (first?.kind !== FrameKind.header) {
    throw new CorruptionError(path, 0, "the log has no header");
  }
  const header = decodeAt(path, 0, () => decodeHeader(first.payload, path));
  if (!equalBytes(header.storeId, place.storeId)) {
    throw new CorruptionError(path, 0, "the log belongs to another store");
  }
  let batches = 0;
  for (let frame = reader.next(); frame; frame = reader.next()) {
    const { kind, payload, offset } = frame;
    if (kind === FrameKind.seal || kind === FrameKind.noop) continue;
    if (kind !== FrameKind.data) {
      throw new CorruptionError(path, offset, "a frame has the wrong kind");
    }
    const count = frame.batches;
    nextSeq = decodeAt(
      path,
      offset,
      () => decodeBatches(payload, count, nextSeq, apply),
    );
    batches += count;
  }
  return {
    id,
    length: reader.end,
    chain: reader.chain,
    previous: header.previous,
    nextSeq,
    batches,
    tornBytes: reader.tornBytes,
  };
}

/**
 * How a WAL looks.
 *
 * @throws {CorruptionError} If it is damaged or missing.
 */
export function identityOf(place: WalPlace, id: number): LogIdentity {
  const path = joinPath(place.dir, walName(id));
  using file = openExisting(place.files, path);
  const reader = new LogReader(file, path, id);
  while (reader.next() !== undefined);
  return { id, length: reader.end, chain: reader.chain };
}

/**
 * Whether a WAL that no MANIFEST names is there and follows on `previous`.
 *
 * @param previous How the WAL before it was found; `undefined` if its batches
 * are in tables and it is gone.
 */
export function followsOn(
  place: WalPlace,
  id: number,
  previous: LogIdentity | undefined,
): boolean {
  const path = joinPath(place.dir, walName(id));
  if (!place.files.exists(path)) return false;
  using file = openExisting(place.files, path);
  const frame = new LogReader(file, path, id).next();
  // A HEADER that is torn was never synced, and nothing else is in the file.
  if (frame?.kind !== FrameKind.header) return false;
  const { payload } = frame;
  const written = decodeAt(path, 0, () => decodeHeader(payload, path)).previous;
  return previous === undefined
    ? written.id === id - 1
    : isSame(previous, written);
}

/**
 * A WAL that no MANIFEST names, and that follows on none, must be one that a
 * loss of power has cut off from what it builds on.
 *
 * @throws {CorruptionError} If it was synced, and so was named.
 */
export function checkCutOff(place: WalPlace, id: number): void {
  const path = joinPath(place.dir, walName(id));
  using file = openExisting(place.files, path);
  const reader = new LogReader(file, path, id);
  for (let frame = reader.next(); frame; frame = reader.next()) {
    if (frame.syncedTo > 0) {
      throw new CorruptionError(path, 0, "no MANIFEST names this log");
    }
  }
}

/**
 * A WAL must be as the next one's HEADER, or the clean close, says.
 *
 * @throws {CorruptionError} If it is not.
 */
export function checkChain(
  place: WalPlace,
  found: LogIdentity,
  written: LogIdentity,
): void {
  if (isSame(found, written)) return;
  throw new CorruptionError(
    joinPath(place.dir, walName(found.id)),
    Math.min(found.length, written.length),
    `${written.length} bytes were written, and not these`,
  );
}

function isSame(a: LogIdentity, b: LogIdentity): boolean {
  return a.id === b.id && a.length === b.length && a.chain === b.chain;
}
