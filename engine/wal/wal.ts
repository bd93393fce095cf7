/**
 * The write-ahead logs of a store: `000001.wal`, `000002.wal`, …
 *
 * ```text
 * wal := HEADER | (DATA | NOOP)* | SEAL?
 * ```
 *
 * Guarantees: a WAL exists only after its predecessor was synced whole, and its
 * HEADER says how that one looked; so a lost or shortened WAL in the middle is
 * always noticed. The MANIFEST names the last WAL before anything but the
 * HEADER is in it; so a lost last WAL is noticed too. At a clean close SEAL is
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
}

/**
 * Makes a WAL that follows `previous`, which is synced, and makes its name
 * durable.
 */
export async function createWal(
  place: WalPlace,
  previous: LogIdentity,
): Promise<LogWriter> {
  const id = previous.id + 1;
  const path = joinPath(place.dir, walName(id));
  const file = place.files.open(path, { mode: "create" });
  try {
    const wal = new LogWriter(file, id, undefined, place.meter);
    wal.append(
      FrameKind.header,
      encodeHeader({ storeId: place.storeId, previous }),
    );
    await wal.sync();
    await place.files.syncDirectory(place.dir);
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

/** Whether a WAL that no MANIFEST names holds data all the same. */
export function holdsData(place: WalPlace, id: number): boolean {
  const path = joinPath(place.dir, walName(id));
  using file = openExisting(place.files, path);
  const reader = new LogReader(file, path, id);
  for (let frame = reader.next(); frame; frame = reader.next()) {
    if (frame.kind === FrameKind.data) return true;
  }
  return false;
}
