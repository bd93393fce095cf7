/**
 * Finds the id of a store whose CURRENT or MANIFEST is lost.
 *
 * @module
 */

import {
  CorruptionError,
  crc32,
  DecodeError,
  type FileSystem,
  type RuntimeFile,
  StorageError,
  toHex,
} from "../../runtime/mod.ts";
import { decodeHeader, FrameKind, STORE_ID_BYTES } from "../log/frame.ts";
import { LogReader } from "../log/reader.ts";
import { CURRENT_NAME, joinPath, parseName } from "../names.ts";
import { FOOTER_BYTES } from "../table/format.ts";

/** Bytes of the id that a table knows. */
const KNOWN_TO_TABLES = 8;
/** Where a footer says them, and its checksum. */
const ID_AT = 44;
const CRC_AT = 52;

/** The ids that begin alike. */
interface Vote {
  id: Uint8Array;
  count: number;
}

/**
 * The id that most files name. If only tables name it, the part that they do not
 * know is 0. `undefined` if no file does.
 */
export function guessStoreId(
  files: FileSystem,
  dir: string,
  names: readonly string[],
): Uint8Array | undefined {
  const votes = new Map<string, Vote>();
  let best: Vote | undefined;
  for (const name of names) {
    const found = idIn(files, joinPath(dir, name), name);
    if (found === undefined) continue;
    const start = toHex(found.subarray(0, KNOWN_TO_TABLES));
    const vote = votes.get(start) ?? { id: new Uint8Array(), count: 0 };
    votes.set(start, vote);
    if (found.length > vote.id.length) vote.id = found;
    vote.count++;
    if (best === undefined || vote.count > best.count) best = vote;
  }
  if (best === undefined) return undefined;
  const id = new Uint8Array(STORE_ID_BYTES);
  id.set(best.id);
  return id;
}

function idIn(
  files: FileSystem,
  path: string,
  name: string,
): Uint8Array | undefined {
  const { kind, number = 0 } = parseName(name) ?? {};
  if (kind === undefined && name !== CURRENT_NAME) return undefined;
  try {
    using file = files.open(path, { mode: "read" });
    if (kind === "table") return idOfTable(file);
    if (kind === undefined) return idOfCurrent(file, path);
    const frame = new LogReader(file, path, number).next();
    if (frame?.kind !== FrameKind.header) return undefined;
    return decodeHeader(frame.payload, path).storeId;
  } catch (error) {
    if (
      error instanceof CorruptionError || error instanceof DecodeError ||
      error instanceof StorageError
    ) return undefined;
    throw error;
  }
}

function idOfCurrent(file: RuntimeFile, path: string): Uint8Array | undefined {
  const bytes = new Uint8Array(12);
  file.readAt(bytes, 0);
  const logId = new DataView(bytes.buffer).getUint32(8, true);
  const frame = new LogReader(file, path, logId).next();
  if (frame?.kind !== FrameKind.current) return undefined;
  return frame.payload.slice(4, 4 + STORE_ID_BYTES);
}

function idOfTable(file: RuntimeFile): Uint8Array | undefined {
  const size = file.size();
  const bytes = new Uint8Array(FOOTER_BYTES);
  if (size < FOOTER_BYTES) return undefined;
  file.readAt(bytes, size - FOOTER_BYTES);
  const crc = new DataView(bytes.buffer).getUint32(CRC_AT, true);
  if (crc !== crc32(bytes.subarray(0, CRC_AT))) return undefined;
  return bytes.slice(ID_AT, ID_AT + KNOWN_TO_TABLES);
}
