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

import { type Bytes, EMPTY_BYTES, isPromise } from "../../runtime/mod.ts";
import type { BatchOp, KVReader } from "../../engine/kv.ts";
import { type Bank, expiryKey, indexKey, rowKey, Space } from "../keyspace.ts";
import { putSeq, SEQ_BYTES } from "./dot.ts";
import { decodeEntry, encodeEntry, endOf, type Entry } from "./entry.ts";

/** The entry of a key in a bank; tombstones included. */
export async function readEntry(
  kv: KVReader,
  bank: Bank,
  key: Uint8Array,
): Promise<Entry | undefined> {
  for (const space of [Space.LIVE, Space.DEAD]) {
    const found = kv.get(rowKey(space + bank, key));
    const row = isPromise(found) ? await found : found;
    if (row !== undefined) return decodeEntry(key, row);
  }
  return undefined;
}

/** The rows of an entry: where nothing is compared they are all that is written. */
export function rowsOf(bank: Bank, entry: Entry): BatchOp[] {
  return [...standingRows(bank, entry), ...expiryOps(bank, entry, undefined)];
}

/** What puts an entry in the place of what stood there before, if anything did. */
export function replacingRows(
  bank: Bank,
  now: Entry,
  before: Entry | undefined,
): BatchOp[] {
  const ops: BatchOp[] = [];
  if (before?.expiresAt || now.expiresAt) {
    ops.push(...expiryOps(bank, now, before));
  }
  if (before !== undefined) {
    const { key, origin, seq } = before;
    ops.push({ key: indexKey(bank, origin, seq, key), value: undefined });
    if (spaceOf(before) !== spaceOf(now)) {
      ops.push({ key: entryKey(bank, before), value: undefined });
    }
  }
  ops.push(...standingRows(bank, now));
  return ops;
}

/** The rows by which an entry is found, without those that tell when it ends. */
function standingRows(bank: Bank, entry: Entry): BatchOp[] {
  const { key, origin, seq } = entry;
  return [
    { key: indexKey(bank, origin, seq, key), value: EMPTY_BYTES },
    { key: entryKey(bank, entry), value: encodeEntry(entry) },
  ];
}

/** The rows that tell when an entry ends, and no longer when that before it does. */
function expiryOps(
  bank: Bank,
  now: Entry,
  before: Entry | undefined,
): BatchOp[] {
  const ops: BatchOp[] = [];
  const { key } = now;
  const ended = before && endOf(before);
  const ends = endOf(now);
  if (ended !== undefined && ended === ends && before?.holder === now.holder) {
    return ops;
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
  return ops;
}

function entryKey(bank: Bank, entry: Entry): Bytes {
  return rowKey(spaceOf(entry) + bank, entry.key);
}

function spaceOf(entry: Entry): number {
  return entry.value === undefined ? Space.DEAD : Space.LIVE;
}
