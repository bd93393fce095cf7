/**
 * The messages by which nodes learn of nodes: what an exchange of cluster gossip
 * (exchange.ts) is made of, and what travels with probes.
 *
 * Guarantees: no message is longer than its limit; records that do not fit are
 * left out and go with a later exchange, in which they are still the newer ones.
 *
 * ```text
 * hash         := 8 bytes
 * standings    := varint count | count x (u16 key | standing)
 * ack          := records | varint count | count x u16 key wanted
 * CLUSTER_NEWS := news
 * PING         := standing of the receiver as the sender has it | news
 *   reply      := news
 * PING_REQ     := u16 key of the node to ping
 *   reply      := u8 0 it did not answer, 1 it did
 * standing     := varint generation | varint version | u8 state | 8 bytes nonce
 * records      := varint count | count x record (node_record.ts)
 * news         := varint count | count x (record | varint count | count x u16 key
 *                 of a node that accuses it)
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
import {
  COUNTER_MAX,
  type NodeRecord,
  NONCE_BYTES,
  rankOf,
  readNodeRecord,
  readState,
  type Standing,
  writeNodeRecord,
} from "./node_record.ts";
import { ACCUSERS_MAX } from "./suspicion.ts";

/** The hash of all that is known of nodes, in bytes. */
export const HASH_BYTES = 8;

/** Largest standing, in bytes. */
const STANDING_BYTES_MAX = 8 + 8 + 1 + NONCE_BYTES;

/** Largest list of standings, in bytes. */
export const STANDINGS_BYTES_MAX = 3 +
  NODE_KEY_MAX * (2 + STANDING_BYTES_MAX);

/** Records of one message, in bytes, after which the rest waits for a later one. */
export const RECORDS_BYTES_MAX = FRAME_BYTES_MAX / 2;

/** Largest CLUSTER_ACK, or reply to it, that is read, in bytes. */
export const ACK_BYTES_MAX = 2 * FRAME_BYTES_MAX;

/** Records of one piece of news, at most. */
export const NEWS_MAX = 8;

/** Largest message with news that is read, in bytes. */
export const NEWS_BYTES_MAX = 64 * 1024;

/** A node's record, and which nodes accuse it of not answering. */
export interface NewsItem {
  /** The record. */
  readonly record: NodeRecord;
  /** The node keys of accusers. */
  readonly accusers: readonly number[];
}

/**
 * Reads the hash of a CLUSTER_SYNC.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeSync(payload: Uint8Array): Uint8Array {
  return new Reader(payload, "a cluster sync").raw(HASH_BYTES);
}

/** Encodes the reply to a CLUSTER_SYNC whose hash was another one. */
export function encodeStandings(
  records: Iterable<NodeRecord>,
  count: number,
): Bytes {
  const writer = new Writer(16 + count * 20).varint(count);
  for (const record of records) {
    writeStanding(writer.u16(record.key), record);
  }
  return writer.finish();
}

/**
 * Decodes the reply to a CLUSTER_SYNC that is not empty.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeStandings(payload: Uint8Array): Map<number, Standing> {
  const reader = readUpTo(payload, STANDINGS_BYTES_MAX, "a list of standings");
  const standings = new Map<number, Standing>();
  for (let left = reader.count(NODE_KEY_MAX); left > 0; left--) {
    const key = readKey(reader);
    standings.set(key, readStanding(reader));
  }
  return standings;
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

/**
 * Decodes a CLUSTER_ACK.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeAck(
  payload: Uint8Array,
): { newer: NodeRecord[]; wanted: number[] } {
  const reader = readUpTo(payload, ACK_BYTES_MAX, "a cluster ack");
  const newer = readRecords(reader);
  const wanted: number[] = [];
  const count = reader.count(Math.min(NODE_KEY_MAX, reader.remaining >> 1));
  for (let left = count; left > 0; left--) wanted.push(readKey(reader));
  return { newer, wanted };
}

/** Encodes records, as many as fit. */
export function encodeRecords(records: readonly NodeRecord[]): Bytes {
  const writer = new Writer();
  writeRecords(writer, records);
  return writer.finish();
}

/**
 * Decodes what {@linkcode encodeRecords} gave.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeRecords(payload: Uint8Array): NodeRecord[] {
  return readRecords(readUpTo(payload, ACK_BYTES_MAX, "nodes' records"));
}

/** Encodes a CLUSTER_NEWS, or the reply to a PING. */
export function encodeNews(items: readonly NewsItem[]): Bytes {
  const writer = new Writer(16);
  writeNews(writer, items);
  return writer.finish();
}

/**
 * Decodes what {@linkcode encodeNews} gave.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeNews(payload: Uint8Array): NewsItem[] {
  return readNews(readUpTo(payload, NEWS_BYTES_MAX, "cluster news"));
}

/** Encodes a PING. */
export function encodePing(
  receiver: Standing,
  items: readonly NewsItem[],
): Bytes {
  const writer = new Writer(32);
  writeStanding(writer, receiver);
  writeNews(writer, items);
  return writer.finish();
}

/**
 * Decodes a PING.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodePing(
  payload: Uint8Array,
): { receiver: Standing; items: NewsItem[] } {
  const reader = readUpTo(payload, NEWS_BYTES_MAX, "a ping");
  const receiver = readStanding(reader);
  return { receiver, items: readNews(reader) };
}

/** Encodes a PING_REQ. */
export function encodePingRequest(node: number): Bytes {
  return new Writer(2).u16(node).finish();
}

/**
 * Decodes a PING_REQ.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodePingRequest(payload: Uint8Array): number {
  return readKey(new Reader(payload, "a request to ping"));
}

function readUpTo(payload: Uint8Array, max: number, what: string): Reader {
  if (payload.length > max) throw new DecodeError(what, "it is too long");
  return new Reader(payload, what);
}

function writeStanding(writer: Writer, standing: Standing): void {
  writer.varint(standing.generation).varint(standing.version)
    .u8(rankOf(standing.state)).raw(standing.nonce);
}

function readStanding(reader: Reader): Standing {
  const generation = reader.count(COUNTER_MAX);
  const version = reader.count(COUNTER_MAX);
  const state = readState(reader);
  return { generation, version, state, nonce: reader.raw(NONCE_BYTES).slice() };
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

function writeNews(writer: Writer, items: readonly NewsItem[]): void {
  writer.varint(items.length);
  for (const { record, accusers } of items) {
    writeNodeRecord(writer, record);
    writer.varint(accusers.length);
    for (const key of accusers) writer.u16(key);
  }
}

function readNews(reader: Reader): NewsItem[] {
  const items: NewsItem[] = [];
  for (let left = reader.count(NEWS_MAX); left > 0; left--) {
    const record = readNodeRecord(reader);
    const accusers: number[] = [];
    for (let more = reader.count(ACCUSERS_MAX); more > 0; more--) {
      accusers.push(readKey(reader));
    }
    items.push({ record, accusers });
  }
  return items;
}

function readKey(reader: Reader): number {
  const key = reader.u16();
  if (key === 0) reader.fail("a node key is 0");
  return key;
}
