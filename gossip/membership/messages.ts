/**
 * The messages of one exchange of cluster gossip.
 *
 * Guarantees: no message is longer than its limit; records that do not fit are
 * left out and go with a later exchange, in which they are still the newer ones.
 *
 * ```text
 * CLUSTER_SYNC := 8 bytes hash | varint count | count x digest
 * digest       := u16 key | varint generation | varint version
 * CLUSTER_ACK  := nothing, if the hashes are equal
 *               | records | varint count | count x u16 key wanted
 * CLUSTER_ACK2 := records
 * records      := varint count | count x record (node_record.ts)
 * ```
 *
 * Bytes after these are fields of newer releases and are ignored.
 *
 * @module
 */

import {
  DecodeError,
  FRAME_BYTES_MAX,
  NODE_KEY_MAX,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import type { Bytes } from "../../runtime/mod.ts";
import { readNodeRecord, writeNodeRecord } from "./node_record.ts";
import type { Heartbeat, NodeRecord } from "./node_record.ts";

/** Largest CLUSTER_SYNC, in bytes: 65,535 digests of at most 18 bytes. */
export const SYNC_BYTES_MAX = 8 + 3 + NODE_KEY_MAX * 18;

/** Records of one message, in bytes, after which the rest waits for a later one. */
export const RECORDS_BYTES_MAX = FRAME_BYTES_MAX / 2;

/** Largest CLUSTER_ACK or CLUSTER_ACK2 that is read, in bytes. */
export const ACK_BYTES_MAX = 2 * FRAME_BYTES_MAX;

const HASH_BYTES = 8;

/** How new the record of a node is. */
export interface Digest extends Heartbeat {
  /** The node key. */
  readonly key: number;
}

/** Encodes a CLUSTER_SYNC: the state's hash, and how new each of `count` is. */
export function encodeSync(
  hash: Uint8Array,
  digests: Iterable<Digest>,
  count: number,
): Bytes {
  const writer = new Writer(16 + count * 12).raw(hash).varint(count);
  for (const { key, generation, version } of digests) {
    writer.u16(key).varint(generation).varint(version);
  }
  return writer.finish();
}

/** Encodes a CLUSTER_ACK with the newer records, as many as fit. */
export function encodeAck(
  newer: readonly NodeRecord[],
  wanted: readonly number[],
): Bytes {
  const writer = new Writer();
  writeRecords(writer, newer);
  writer.varint(wanted.length);
  for (const key of wanted) writer.u16(key);
  return writer.finish();
}

/** Encodes a CLUSTER_ACK2 with the records, as many as fit. */
export function encodeAck2(records: readonly NodeRecord[]): Bytes {
  const writer = new Writer();
  writeRecords(writer, records);
  return writer.finish();
}

/**
 * Decodes a CLUSTER_SYNC.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeSync(
  payload: Uint8Array,
): { hash: Uint8Array; digests: Map<number, Heartbeat> } {
  if (payload.length > SYNC_BYTES_MAX) {
    throw new DecodeError("a cluster sync", "it is too long");
  }
  const reader = new Reader(payload, "a cluster sync");
  const hash = reader.raw(HASH_BYTES);
  const digests = new Map<number, Heartbeat>();
  for (let left = reader.count(NODE_KEY_MAX); left > 0; left--) {
    const key = readKey(reader);
    const generation = reader.varint();
    digests.set(key, { generation, version: reader.varint() });
  }
  return { hash, digests };
}

/**
 * Decodes a CLUSTER_ACK that is not empty.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeAck(
  payload: Uint8Array,
): { newer: NodeRecord[]; wanted: number[] } {
  const reader = readAck(payload, "a cluster ack");
  const newer = readRecords(reader);
  const wanted: number[] = [];
  const count = reader.count(Math.min(NODE_KEY_MAX, reader.remaining >> 1));
  for (let left = count; left > 0; left--) wanted.push(readKey(reader));
  return { newer, wanted };
}

/**
 * Decodes a CLUSTER_ACK2.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeAck2(payload: Uint8Array): NodeRecord[] {
  return readRecords(readAck(payload, "a cluster ack2"));
}

function readAck(payload: Uint8Array, what: string): Reader {
  if (payload.length > ACK_BYTES_MAX) {
    throw new DecodeError(what, "it is too long");
  }
  return new Reader(payload, what);
}

/** Writes as many of the records as a message may carry. */
function writeRecords(writer: Writer, records: readonly NodeRecord[]): void {
  const body = new Writer();
  let count = 0;
  for (const record of records) {
    if (body.length >= RECORDS_BYTES_MAX) break;
    writeNodeRecord(body, record);
    count++;
  }
  writer.varint(count).raw(body.view());
}

/**
 * Reads records that were written one after the other, with their count before.
 *
 * @throws {DecodeError} If they do not follow their format.
 */
export function readRecords(reader: Reader): NodeRecord[] {
  const records: NodeRecord[] = [];
  for (let left = reader.count(NODE_KEY_MAX); left > 0; left--) {
    records.push(readNodeRecord(reader));
  }
  return records;
}

function readKey(reader: Reader): number {
  const key = reader.u16();
  if (key === 0) reader.fail("a node key is 0");
  return key;
}
