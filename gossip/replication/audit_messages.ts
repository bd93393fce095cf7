/**
 * The messages of the audit, in the order in which they are asked.
 *
 * ```
 * AUDIT_ROOT    := vector | sum of all
 * sum           := varint count | u32 | u32                    audit_sums.ts
 * its reply     := verdict
 * AUDIT_BUCKETS := vector | 4096 × (u32 | u32)                 without the counts
 * its reply     := verdict | varint n, varint delta*           buckets that differ, if 3
 * AUDIT_LIST    := varint n, varint delta* | varint length, key
 * its reply     := u8 last (0 | 1) | varint length, key | varint n, listed*
 * listed        := varint length, key | u32 | u32              the hash of its entry
 * AUDIT_ENTRIES := vector | varint n, item*
 * its reply     := verdict | varint n, item*                   if 3, of the same keys
 * item          := varint length, key | u8 kind | …
 *   0 none       := nothing more
 *   1 entry      := varint length, row (entry.ts)
 *   2 unindexed  := the same; the index of dots does not have it
 * verdict       := u8  0 no sums, or no copy | 1 another vector | 2 the same | 3 not
 * delta         := of rising numbers, how many lie between it and the one before it
 * ```
 * AUDIT_LIST asks for the living entries of some buckets behind a key (of no bytes:
 * for the first ones). The reply tells of all of them up to a key, or, if it is the
 * last, to the end.
 *
 * @module
 */

import {
  type Bytes,
  KEY_BYTES_MAX,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import { BUCKETS, type Sum } from "./audit_sums.ts";
import { decodeEntry, encodeEntry, type Entry } from "./entry.ts";
import { Vector } from "./vector.ts";

/** What comes of a comparison. */
export const Verdict = {
  /** Whoever was asked has no copy that counts, or has not summed it up yet. */
  NOT_READY: 0,
  /** It covers something else, so that nothing can be said. */
  OTHER_VECTOR: 1,
  SAME: 2,
  DIFFERENT: 3,
} as const;

/** What comes of a comparison. */
export type Verdict = typeof Verdict[keyof typeof Verdict];

/** Keys that AUDIT_ENTRIES may have. */
export const ITEMS_MAX = 1024;

/** What a node covers, and the sums of what it has of it. */
export interface RootMessage {
  readonly vector: Vector;
  readonly sum: Sum;
}

/** Encodes AUDIT_ROOT. */
export function encodeRoot({ vector, sum }: RootMessage): Bytes {
  const writer = new Writer(64);
  vector.write(writer);
  return writer.varint(sum.count).u32(sum.a).u32(sum.b).finish();
}

/** Decodes AUDIT_ROOT. */
export function decodeRoot(bytes: Uint8Array): RootMessage {
  const reader = new Reader(bytes, "an audit");
  const vector = Vector.read(reader);
  const count = reader.varint();
  return { vector, sum: { count, a: reader.u32(), b: reader.u32() } };
}

/** Encodes a reply that is a verdict and nothing more. */
export function encodeVerdict(verdict: Verdict): Bytes {
  return Uint8Array.of(verdict);
}

/** Decodes a reply that is a verdict. */
export function decodeVerdict(bytes: Uint8Array): Verdict {
  return readVerdict(new Reader(bytes, "a verdict"));
}

function readVerdict(reader: Reader): Verdict {
  const verdict = reader.u8();
  if (verdict > Verdict.DIFFERENT) reader.fail(`its verdict is ${verdict}`);
  return verdict as Verdict;
}

/** What a node covers, and the sums of every bucket. */
export interface BucketsMessage {
  readonly vector: Vector;
  readonly sums: readonly Omit<Sum, "count">[];
}

/** Encodes AUDIT_BUCKETS. */
export function encodeBuckets(
  vector: Vector,
  sumOf: (bucket: number) => Omit<Sum, "count">,
): Bytes {
  const writer = new Writer(64 + BUCKETS * 8);
  vector.write(writer);
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const { a, b } = sumOf(bucket);
    writer.u32(a).u32(b);
  }
  return writer.finish();
}

/** Decodes AUDIT_BUCKETS. */
export function decodeBuckets(bytes: Uint8Array): BucketsMessage {
  const reader = new Reader(bytes, "the buckets of an audit");
  const vector = Vector.read(reader);
  const sums = Array.from(
    { length: BUCKETS },
    () => ({ a: reader.u32(), b: reader.u32() }),
  );
  return { vector, sums };
}

/** Encodes the reply with the buckets that differ. */
export function encodeDifferent(buckets: readonly number[]): Bytes {
  const writer = new Writer(64).u8(Verdict.DIFFERENT);
  writeNumbers(writer, buckets);
  return writer.finish();
}

/** Decodes the reply to AUDIT_BUCKETS: no buckets unless some differ. */
export function decodeBucketsReply(
  bytes: Uint8Array,
): { verdict: Verdict; buckets: readonly number[] } {
  const reader = new Reader(bytes, "the reply to an audit");
  const verdict = readVerdict(reader);
  const buckets = verdict === Verdict.DIFFERENT ? readNumbers(reader) : [];
  return { verdict, buckets };
}

/** A question for what is in some buckets. */
export interface ListMessage {
  readonly buckets: readonly number[];
  /** Behind which key; of no bytes: from the first one on. */
  readonly after: Uint8Array;
}

/** Encodes AUDIT_LIST. */
export function encodeList({ buckets, after }: ListMessage): Bytes {
  const writer = new Writer(64 + buckets.length);
  writeNumbers(writer, buckets);
  return writer.bytes(after).finish();
}

/** Decodes AUDIT_LIST. */
export function decodeList(bytes: Uint8Array): ListMessage {
  const reader = new Reader(bytes, "a question for a list");
  const buckets = readNumbers(reader);
  return { buckets, after: reader.bytes(KEY_BYTES_MAX) };
}

/** A living entry, as it is listed. */
export interface Listed {
  readonly key: Uint8Array;
  readonly a: number;
  readonly b: number;
}

/** A part of what is in some buckets. */
export interface ListReply {
  /** Whether it goes to the end. */
  readonly isLast: boolean;
  /** To which key it goes else, inclusive; of no bytes at the end. */
  readonly upTo: Uint8Array;
  /** In the order of the keys. */
  readonly listed: readonly Listed[];
}

/** Encodes the reply to AUDIT_LIST. */
export function encodeListReply({ isLast, upTo, listed }: ListReply): Bytes {
  const writer = new Writer(1024).u8(isLast ? 1 : 0).bytes(upTo);
  writer.varint(listed.length);
  for (const { key, a, b } of listed) writer.bytes(key).u32(a).u32(b);
  return writer.finish();
}

/** Decodes the reply to AUDIT_LIST; keys are views into it. */
export function decodeListReply(bytes: Uint8Array): ListReply {
  const reader = new Reader(bytes, "a list of an audit");
  const isLast = reader.u8() === 1;
  const upTo = reader.bytes(KEY_BYTES_MAX);
  const listed: Listed[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    listed.push({ key: readKey(reader), a: reader.u32(), b: reader.u32() });
  }
  return { isLast, upTo, listed };
}

/** What a node has of a key. */
export interface AuditItem {
  readonly key: Uint8Array;
  /** Tombstones included; `undefined` if there is nothing. */
  readonly entry: Entry | undefined;
  /** Whether the index of dots has it too: else it is no longer meant to be there. */
  readonly isIndexed: boolean;
}

/** What a node covers, and what it has of some keys. */
export interface EntriesMessage {
  readonly vector: Vector;
  readonly items: readonly AuditItem[];
}

const NONE = 0;
const ENTRY = 1;
const UNINDEXED = 2;

/** Encodes AUDIT_ENTRIES. */
export function encodeEntries({ vector, items }: EntriesMessage): Bytes {
  const writer = new Writer(1024);
  vector.write(writer);
  writeItems(writer, items);
  return writer.finish();
}

/** Decodes AUDIT_ENTRIES; keys and values are views into it. */
export function decodeEntries(bytes: Uint8Array): EntriesMessage {
  const reader = new Reader(bytes, "entries of an audit");
  return { vector: Vector.read(reader), items: readItems(reader) };
}

/** Encodes the reply with what a node has of the keys. */
export function encodeItems(items: readonly AuditItem[]): Bytes {
  const writer = new Writer(1024).u8(Verdict.DIFFERENT);
  writeItems(writer, items);
  return writer.finish();
}

/** Decodes the reply to AUDIT_ENTRIES: no items unless it was of the same vector. */
export function decodeEntriesReply(
  bytes: Uint8Array,
): { verdict: Verdict; items: readonly AuditItem[] } {
  const reader = new Reader(bytes, "the reply to entries of an audit");
  const verdict = readVerdict(reader);
  const items = verdict === Verdict.DIFFERENT ? readItems(reader) : [];
  return { verdict, items };
}

function writeItems(writer: Writer, items: readonly AuditItem[]): void {
  writer.varint(items.length);
  for (const { key, entry, isIndexed } of items) {
    writer.bytes(key);
    if (entry === undefined) writer.u8(NONE);
    else writer.u8(isIndexed ? ENTRY : UNINDEXED).bytes(encodeEntry(entry));
  }
}

function readItems(reader: Reader): AuditItem[] {
  const items: AuditItem[] = [];
  for (let n = reader.count(ITEMS_MAX); n > 0; n--) {
    const key = readKey(reader);
    const kind = reader.u8();
    if (kind > UNINDEXED) reader.fail(`a kind of entry is ${kind}`);
    const entry = kind === NONE ? undefined : decodeEntry(key, reader.bytes());
    items.push({ key, entry, isIndexed: kind === ENTRY });
  }
  return items;
}

function readKey(reader: Reader): Uint8Array {
  const key = reader.bytes(KEY_BYTES_MAX);
  if (key.length === 0) reader.fail("a key is empty");
  return key;
}

function writeNumbers(writer: Writer, numbers: readonly number[]): void {
  writer.varint(numbers.length);
  let next = 0;
  for (const number of numbers) {
    writer.varint(number - next);
    next = number + 1;
  }
}

/** Reads the numbers of buckets, rising. */
function readNumbers(reader: Reader): number[] {
  const numbers: number[] = [];
  let next = 0;
  for (let n = reader.count(BUCKETS); n > 0; n--) {
    next += reader.count(BUCKETS - 1 - next);
    numbers.push(next++);
  }
  return numbers;
}
