/**
 * The rows that an entry has in an engine, and what they are when another one takes
 * its place.
 *
 * Guarantees: an entry stands in one namespace, by whether it lives; the index of
 * dots, and where it ends by itself the two rows that tell when, stand and go with
 * it.
 *
 * @module
 */

import {
  type Awaitable,
  type Bytes,
  EMPTY_BYTES,
  isPromise,
} from "../../runtime/mod.ts";
import type { BatchOp, IterateOptions, KVReader } from "../../engine/kv.ts";
import {
  type Bank,
  expiryKey,
  indexKey,
  indexOfKey,
  rowKey,
  RowOp,
  Space,
} from "../keyspace.ts";
import { putSeq, SEQ_BYTES } from "./dot.ts";
import { decodeEntry, encodeEntry, endOf, type Entry } from "./entry.ts";

/** The entry of a key in a bank; tombstones included. At once if `kv` reads so. */
export function readEntry(
  kv: KVReader,
  bank: Bank,
  key: Uint8Array,
): Awaitable<Entry | undefined> {
  const live = kv.get(rowKey(Space.LIVE + bank, key));
  if (isPromise(live)) return readLater(kv, bank, key, live);
  if (live !== undefined) return decodeEntry(key, live);
  const dead = kv.get(rowKey(Space.DEAD + bank, key));
  if (isPromise(dead)) return dead.then((row) => row && decodeEntry(key, row));
  return dead && decodeEntry(key, dead);
}

async function readLater(
  kv: KVReader,
  bank: Bank,
  key: Uint8Array,
  live: Promise<Bytes | undefined>,
): Promise<Entry | undefined> {
  const row = await live ?? await kv.get(rowKey(Space.DEAD + bank, key));
  return row && decodeEntry(key, row);
}

/** The keys that rows of the index speak of. */
export async function indexedKeys(
  kv: KVReader,
  range: IterateOptions,
): Promise<Uint8Array[]> {
  const rows = kv.iterate({ ...range, keysOnly: true });
  const keys: Uint8Array[] = [];
  try {
    for (;;) {
      const more = rows.next();
      if (!(isPromise(more) ? await more : more)) return keys;
      keys.push(indexOfKey(rows.key).key);
    }
  } finally {
    await rows.close();
  }
}

/** The rows of an entry: where nothing is compared they are all that is written. */
export function rowsOf(bank: Bank, entry: Entry): BatchOp[] {
  const ops: BatchOp[] = [];
  putStanding(ops, bank, entry);
  putExpiry(ops, bank, entry, undefined);
  return ops;
}

/**
 * Adds to a batch what puts an entry in the place of what stood there before, if
 * anything did.
 */
export function replace(
  ops: BatchOp[],
  bank: Bank,
  now: Entry,
  before: Entry | undefined,
): void {
  if (before?.expiresAt || now.expiresAt) putExpiry(ops, bank, now, before);
  if (before !== undefined) {
    const { key, origin, seq } = before;
    ops.push(new RowOp(indexKey(bank, origin, seq, key), undefined));
    if (spaceOf(before) !== spaceOf(now)) {
      ops.push(new RowOp(entryKey(bank, before), undefined));
    }
  }
  putStanding(ops, bank, now);
}

/** The rows by which an entry is found, without those that tell when it ends. */
function putStanding(ops: BatchOp[], bank: Bank, entry: Entry): void {
  const { key, origin, seq } = entry;
  ops.push(
    new RowOp(indexKey(bank, origin, seq, key), EMPTY_BYTES),
    new RowOp(entryKey(bank, entry), encodeEntry(entry)),
  );
}

/** The rows that tell when an entry ends, and no longer when that before it does. */
function putExpiry(
  ops: BatchOp[],
  bank: Bank,
  now: Entry,
  before: Entry | undefined,
): void {
  const { key } = now;
  const ended = before && endOf(before);
  const ends = endOf(now);
  if (ended !== undefined && ended === ends && before?.holder === now.holder) {
    return;
  }
  const expiring = rowKey(Space.EXPIRING + bank, key);
  if (ended !== undefined) {
    const row = expiryKey(bank, before!.holder, ended, key);
    ops.push({ key: row, value: undefined });
    if (ends === undefined) ops.push({ key: expiring, value: undefined });
  }
  if (ends !== undefined) {
    const value = new Uint8Array(SEQ_BYTES);
    putSeq(value, 0, ends);
    ops.push({ key: expiring, value });
    const row = expiryKey(bank, now.holder, ends, key);
    ops.push({ key: row, value: EMPTY_BYTES });
  }
}

function entryKey(bank: Bank, entry: Entry): Bytes {
  return rowKey(spaceOf(entry) + bank, entry.key);
}

function spaceOf(entry: Entry): number {
  return entry.value === undefined ? Space.DEAD : Space.LIVE;
}
