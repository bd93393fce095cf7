/**
 * The messages of replication.
 *
 * ```
 * RECORDS (one-way) := varint heads, (varint origin, varint seq)*
 *                      varint n, (varint length, record)*
 * PULL              := varint configEpoch | u8 whole (0 | 1) | vector
 * its reply         := u8 kind | …
 *   0 records       := u8 more (0 | 1) | vector of the donor
 *                      varint n, (varint length, record)*
 *   1 session       := offer (session.ts)
 *   2 busy          := vector of the donor
 * SESSION_CHUNK     := varint id
 * its reply         := chunk (session.ts)
 * ```
 * The heads of RECORDS name the newest record of each origin that the sender has
 * just committed, so that a receiver sees a gap even where a record was too
 * large to be pushed.
 *
 * @module
 */

import { type Bytes, Reader, Writer } from "../../runtime/mod.ts";
import { type Dot, readDot, writeDot } from "./dot.ts";
import { decodeRecord, type LogRecord, RECORD_BYTES_MAX } from "./record.ts";
import { Vector } from "./vector.ts";

/** Heads that a push may have; a sender names one for each origin it pushes. */
const HEADS_MAX = 65_536;

/** A push of records. */
export interface RecordsMessage {
  readonly heads: readonly Dot[];
  readonly records: readonly LogRecord[];
}

/** Encodes RECORDS. */
export function encodeRecords(
  heads: readonly Dot[],
  records: readonly Uint8Array[],
): Bytes {
  const writer = new Writer(1024).varint(heads.length);
  for (const dot of heads) writeDot(writer, dot);
  writeAll(writer, records);
  return writer.finish();
}

/** Decodes RECORDS; the records are views into the message. */
export function decodeRecords(bytes: Uint8Array): RecordsMessage {
  const reader = new Reader(bytes, "a push of records");
  const heads: Dot[] = [];
  for (let n = reader.count(HEADS_MAX); n > 0; n--) {
    heads.push(readDot(reader));
  }
  return { heads, records: readAll(reader) };
}

/** A request for what a vector does not cover. */
export interface PullMessage {
  /** The epoch of the config that the requester knows. */
  readonly configEpoch: number;
  /** Whether the requester has nothing yet, and needs a session. */
  readonly whole: boolean;
  /** What the requester has. */
  readonly vector: Vector;
}

/** Encodes PULL. */
export function encodePull(
  { configEpoch, whole, vector }: PullMessage,
): Bytes {
  const writer = new Writer(64).varint(configEpoch).u8(whole ? 1 : 0);
  vector.write(writer);
  return writer.finish();
}

/** Decodes PULL. */
export function decodePull(bytes: Uint8Array): PullMessage {
  const reader = new Reader(bytes, "a pull");
  return {
    configEpoch: reader.varint(),
    whole: reader.u8() === 1,
    vector: Vector.read(reader),
  };
}

/** What a donor answers to a pull. */
export type PullReply =
  | {
    readonly kind: "records";
    readonly more: boolean;
    readonly vector: Vector;
    readonly records: readonly LogRecord[];
  }
  | { readonly kind: "session"; readonly offer: Uint8Array }
  | { readonly kind: "busy"; readonly vector: Vector };

const RECORDS = 0;
const SESSION = 1;
const BUSY = 2;

/** Encodes the reply with records. */
export function encodeRecordsReply(
  vector: Vector,
  records: readonly Uint8Array[],
  more: boolean,
): Bytes {
  const writer = new Writer(1024).u8(RECORDS).u8(more ? 1 : 0);
  vector.write(writer);
  writeAll(writer, records);
  return writer.finish();
}

/** Encodes the reply that offers a session. */
export function encodeSessionReply(offer: Uint8Array): Bytes {
  return new Writer(offer.length + 1).u8(SESSION).raw(offer).finish();
}

/** Encodes the reply of a donor that has no session to spare. */
export function encodeBusyReply(vector: Vector): Bytes {
  const writer = new Writer(64).u8(BUSY);
  vector.write(writer);
  return writer.finish();
}

/** Decodes the reply to a pull. */
export function decodePullReply(bytes: Uint8Array): PullReply {
  const reader = new Reader(bytes, "the reply to a pull");
  const kind = reader.u8();
  switch (kind) {
    case RECORDS: {
      const more = reader.u8() === 1;
      const vector = Vector.read(reader);
      return { kind: "records", more, vector, records: readAll(reader) };
    }
    case SESSION:
      return { kind: "session", offer: reader.rest() };
    case BUSY:
      return { kind: "busy", vector: Vector.read(reader) };
    default:
      return reader.fail(`its kind is ${kind}`);
  }
}

/** Encodes SESSION_CHUNK. */
export function encodeChunkRequest(id: number): Bytes {
  return new Writer(8).varint(id).finish();
}

/** Decodes SESSION_CHUNK. */
export function decodeChunkRequest(bytes: Uint8Array): number {
  return new Reader(bytes, "a request for a chunk").varint();
}

function writeAll(writer: Writer, records: readonly Uint8Array[]): void {
  writer.varint(records.length);
  for (const record of records) writer.bytes(record);
}

function readAll(reader: Reader): LogRecord[] {
  const records: LogRecord[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    records.push(decodeRecord(reader.bytes(RECORD_BYTES_MAX)));
  }
  return records;
}
