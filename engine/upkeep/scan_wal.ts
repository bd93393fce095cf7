/**
 * Reads of a write-ahead log whatever can be read.
 *
 * Guarantees: what is handed out was written to this log, frame by frame, in
 * order; frames that are damaged are named and passed over. A torn tail is no
 * damage.
 *
 * @module
 */

import { CorruptionError, equalBytes, Reader } from "../../runtime/mod.ts";
import { decodeAt, openExisting } from "../decode.ts";
import { decodeHeader, FrameKind, type LogIdentity } from "../log/frame.ts";
import { LogReader } from "../log/reader.ts";
import { joinPath, walName } from "../names.ts";
import { decodeBatches } from "../wal/batch.ts";
import type { WalPlace } from "../wal/wal.ts";

/** What is told of a log. */
export interface WalSink {
  /** An operation; key and value are views to be copied. */
  apply(seq: number, key: Uint8Array, value: Uint8Array | undefined): void;
  /** Something is broken. */
  damaged(error: CorruptionError): void;
}

/** What was found in a log. */
export interface ScannedWal {
  /** The sequence number behind the last op; that given, if there is none. */
  nextSeq: number | undefined;
  /** The end of the last frame, in bytes. */
  end: number;
  /** What is behind it, in bytes: a torn write, if nothing is broken. */
  tornBytes: number;
  /** What its HEADER, if that can be read, says of the log before. */
  previous: LogIdentity | undefined;
  /** Batches read. */
  batches: number;
}

/**
 * Hands out what a log holds.
 *
 * @param nextSeq The sequence number that its first op must have, if known.
 */
export function scanWal(
  place: WalPlace,
  id: number,
  nextSeq: number | undefined,
  sink: WalSink,
): ScannedWal {
  const path = joinPath(place.dir, walName(id));
  using file = openExisting(place.files, path);
  const reader = new LogReader(file, path, id);
  let batches = 0;
  let previous: LogIdentity | undefined;
  for (;;) {
    let passed = false;
    try {
      const frame = reader.next();
      passed = true;
      if (frame === undefined) {
        if (reader.end === 0) {
          sink.damaged(new CorruptionError(path, 0, "the log has no header"));
        }
        break;
      }
      const { kind, offset, payload } = frame;
      if (kind === FrameKind.header) {
        const header = decodeAt(
          path,
          offset,
          () => decodeHeader(payload, path),
        );
        if (!equalBytes(header.storeId, place.storeId)) {
          sink.damaged(foreign(path));
          break;
        }
        previous = header.previous;
      } else if (kind === FrameKind.data) {
        const firstSeq = decodeAt(path, offset, () => firstSeqOf(payload));
        if (nextSeq !== undefined && firstSeq < nextSeq) {
          throw new CorruptionError(path, offset, "a batch is there twice");
        }
        // Whole or not at all: what does not decode must not be half applied.
        decodeAt(
          path,
          offset,
          () => decodeBatches(payload, frame.batches, firstSeq, () => {}),
        );
        if (nextSeq !== undefined && firstSeq > nextSeq) {
          sink.damaged(
            new CorruptionError(path, offset, "batches before it are missing"),
          );
        }
        nextSeq = decodeBatches(
          payload,
          frame.batches,
          firstSeq,
          (seq, key, value) => sink.apply(seq, key, value),
        );
        batches += frame.batches;
      }
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      sink.damaged(error);
      // A whole frame with a bad content was passed; one that is bad was not.
      if (!passed && !reader.resume()) break;
    }
  }
  const { end, tornBytes } = reader;
  return { nextSeq, batches, end, tornBytes, previous };
}

function foreign(path: string): CorruptionError {
  return new CorruptionError(path, 0, "the log belongs to another store");
}

function firstSeqOf(payload: Uint8Array): number {
  return new Reader(payload, "a batch of the write-ahead log").u48();
}
