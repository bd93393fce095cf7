/**
 * The rows that a node keeps in its engine, one namespace a kind, told apart by
 * the first byte of the key. Users' keys have namespaces of their own, so that
 * any bytes may be a key and no user row can meet an internal one.
 *
 * ```
 * 01 name                         meta       host, ticket, format, members, counters,
 *                                            leaving, synced, floor, leap, log, away
 * 02 …                            acceptor   registers of this node as acceptor (register/)
 * 03 node u16                     incarnation  generation and nonce last accepted of a member
 * 04 origin seq                   fold       ->  what a fold lists (replication/fold.ts)
 * 10 origin seq key          *    dot index  ->  nothing; which entries a record wrote
 * 11 origin                  *    vector     ->  what is covered of the origin
 * 12 position u48 origin seq *    log        ->  a whole record, in the order applied here
 * 13 number u48                   conflicts  ->  a report
 * 14 origin seq origin seq   *    open intents  txn dot, intent dot -> the intent
 * 15 position u48 origin seq *    log marks  ->  what its ops met here (replication/log.ts)
 * 16 node u16 instant u48 key *   expiries   ->  nothing; when entries of a leaseholder end
 * 17 key                     *    expiring   ->  instant u48; of those living entries that end
 * 20 key                     *    living entries  ->  entry (replication/entry.ts)
 * 21 key                     *    tombstones  ->  entry
 * ```
 * Living and dead entries stand apart so that listing keys, and counting them,
 * reads no values. A key is in at most one of the two. For the same reason it is
 * told apart which living entries end by themselves, and when, in milliseconds since
 * 1970: in the order of time for who has to end them (lease/expiry.ts), in the order
 * of keys for who lists them (living_keys.ts).
 *
 * What has a star is there twice, in two banks, of which the counters name the one
 * that counts: bank 0 as above, bank 8 eight higher (18, 19, ..., 28, 29). A whole
 * copy is written into the other bank and begins to count in one small batch.
 *
 * @module
 */

import { type Bytes, makeBytes, prefixEnd } from "../runtime/mod.ts";
import {
  type Dot,
  type Origin,
  ORIGIN_BYTES,
  putOrigin,
  putSeq,
  SEQ_BYTES,
  takeOrigin,
  takeSeq,
} from "./replication/dot.ts";

/** The version of the whole keyspace and of every row in it. */
export const KEYSPACE_VERSION = 1;

/** The namespaces: first bytes of rows. Append only. */
export const Space = {
  META: 0x01,
  ACCEPTOR: 0x02,
  INCARNATION: 0x03,
  FOLD: 0x04,
  DOT_INDEX: 0x10,
  VECTOR: 0x11,
  LOG: 0x12,
  CONFLICT: 0x13,
  OPEN_INTENT: 0x14,
  LOG_MARK: 0x15,
  EXPIRY: 0x16,
  EXPIRING: 0x17,
  LIVE: 0x20,
  DEAD: 0x21,
} as const;

/** One of the two places where a copy of the data stands: added to a namespace. */
export type Bank = 0 | 8;

/** The bank that does not count while this one does. */
export function otherBank(bank: Bank): Bank {
  return bank === 0 ? 8 : 0;
}

/** The namespaces of which each bank has its own. */
export const BANKED: readonly number[] = [
  Space.DOT_INDEX,
  Space.VECTOR,
  Space.LOG,
  Space.OPEN_INTENT,
  Space.LOG_MARK,
  Space.EXPIRY,
  Space.EXPIRING,
  Space.LIVE,
  Space.DEAD,
];

const DOT_BYTES = ORIGIN_BYTES + SEQ_BYTES;

/** What becomes of one row; dies young (`runtime/young.ts`). */
export class RowOp {
  readonly key: Uint8Array;
  /** `undefined` deletes it. */
  readonly value: Uint8Array | undefined;

  constructor(key: Uint8Array, value: Uint8Array | undefined) {
    this.key = key;
    this.value = value;
  }
}

/** The prefix of a namespace. */
export function spacePrefix(space: number): Bytes {
  return Uint8Array.of(space);
}

/** A row named by bytes within a namespace. */
export function rowKey(space: number, name: Uint8Array): Bytes {
  const key = makeBytes(1 + name.length);
  key[0] = space;
  key.set(name, 1);
  return key;
}

/** A row named by a text within a namespace. */
export function metaKey(name: string): Bytes {
  return rowKey(Space.META, new TextEncoder().encode(name));
}

/** A row named by a number. */
export function numberKey(space: number, number: number): Bytes {
  const key = makeBytes(1 + SEQ_BYTES);
  key[0] = space;
  putSeq(key, 1, number);
  return key;
}

/** The number of a {@linkcode numberKey}. */
export function numberOfKey(key: Uint8Array): number {
  return takeSeq(key, 1);
}

/** The row that accepts an incarnation of a member. */
export function incarnationKey(node: number): Bytes {
  return Uint8Array.of(Space.INCARNATION, node >>> 8, node & 0xff);
}

/** The row of what a fold lists. */
export function foldKey({ origin, seq }: Dot): Bytes {
  const row = makeBytes(1 + DOT_BYTES);
  row[0] = Space.FOLD;
  putSeq(row, putOrigin(row, 1, origin), seq);
  return row;
}

/** The dot that a {@linkcode foldKey} names. */
export function foldOfKey(row: Uint8Array): Dot {
  return { origin: takeOrigin(row, 1), seq: takeSeq(row, 1 + ORIGIN_BYTES) };
}

/** The index row by which a record's entry is found. */
export function indexKey(
  bank: Bank,
  origin: Origin,
  seq: number,
  key: Uint8Array,
): Bytes {
  const row = makeBytes(1 + DOT_BYTES + key.length);
  row[0] = Space.DOT_INDEX + bank;
  putSeq(row, putOrigin(row, 1, origin), seq);
  row.set(key, 1 + DOT_BYTES);
  return row;
}

/** The user's key and the seq that an index row speaks of. */
export function indexOfKey(row: Uint8Array): { seq: number; key: Uint8Array } {
  return {
    seq: takeSeq(row, 1 + ORIGIN_BYTES),
    key: row.subarray(1 + DOT_BYTES),
  };
}

/** The index rows of one origin, from a seq on, as a range. */
export function indexRange(
  bank: Bank,
  origin: Origin,
  fromSeq: number,
): { start: Bytes; end: Bytes | undefined } {
  const start = indexKey(bank, origin, fromSeq, new Uint8Array(0));
  const prefix = start.subarray(0, 1 + ORIGIN_BYTES);
  return { start, end: prefixEnd(prefix) };
}

/** The row of an origin's part of the vector. */
export function vectorKey(bank: Bank, origin: Origin): Bytes {
  const row = makeBytes(1 + ORIGIN_BYTES);
  row[0] = Space.VECTOR + bank;
  putOrigin(row, 1, origin);
  return row;
}

/** The origin of a {@linkcode vectorKey}. */
export function originOfVectorKey(row: Uint8Array): Origin {
  return takeOrigin(row, 1);
}

/** The row of a record in the log, or of what is marked of it. */
export function logKey(
  bank: Bank,
  position: number,
  dot: Dot,
  space: number = Space.LOG,
): Bytes {
  const row = makeBytes(1 + SEQ_BYTES + DOT_BYTES);
  row[0] = space + bank;
  putSeq(row, putOrigin(row, putSeq(row, 1, position), dot.origin), dot.seq);
  return row;
}

/** Where the rows of the log begin that stand at a position or behind it. */
export function logStart(bank: Bank, position: number): Bytes {
  return numberKey(Space.LOG + bank, position);
}

/** What a {@linkcode logKey} says. */
export function logOfKey(
  row: Uint8Array,
): { position: number; dot: Dot } {
  return {
    position: takeSeq(row, 1),
    dot: {
      origin: takeOrigin(row, 1 + SEQ_BYTES),
      seq: takeSeq(row, 1 + SEQ_BYTES + ORIGIN_BYTES),
    },
  };
}

/** The row by which a leaseholder finds an entry that ends. */
export function expiryKey(
  bank: Bank,
  node: number,
  instantMs: number,
  key: Uint8Array,
): Bytes {
  const row = makeBytes(3 + SEQ_BYTES + key.length);
  row[0] = Space.EXPIRY + bank;
  row[1] = node >>> 8;
  row[2] = node;
  row.set(key, putSeq(row, 3, instantMs));
  return row;
}

/** What an {@linkcode expiryKey} says. */
export function expiryOfKey(
  row: Uint8Array,
): { instantMs: number; key: Uint8Array } {
  return { instantMs: takeSeq(row, 3), key: row.subarray(3 + SEQ_BYTES) };
}

/** The row of an intent that waits for its transaction. */
export function openIntentKey(bank: Bank, txn: Dot, intent: Dot): Bytes {
  const row = makeBytes(1 + 2 * DOT_BYTES);
  row[0] = Space.OPEN_INTENT + bank;
  const at = putSeq(row, putOrigin(row, 1, txn.origin), txn.seq);
  putSeq(row, putOrigin(row, at, intent.origin), intent.seq);
  return row;
}

/** The prefix of all intents of a transaction. */
export function openIntentPrefix(bank: Bank, txn: Dot): Bytes {
  return openIntentKey(bank, txn, { origin: 0, seq: 0 }).slice(
    0,
    1 + DOT_BYTES,
  );
}

/** The dots that an {@linkcode openIntentKey} names. */
export function openIntentOfKey(row: Uint8Array): { txn: Dot; intent: Dot } {
  const second = 1 + DOT_BYTES;
  return {
    txn: {
      origin: takeOrigin(row, 1),
      seq: takeSeq(row, 1 + ORIGIN_BYTES),
    },
    intent: {
      origin: takeOrigin(row, second),
      seq: takeSeq(row, second + ORIGIN_BYTES),
    },
  };
}

/**
 * A key as a text of one character a byte, to be the key of a `Map`. Keys are short
 * enough for a call to take each byte as an argument.
 */
export function keyText(key: Uint8Array): string {
  return String.fromCharCode.apply(null, key as unknown as number[]);
}
