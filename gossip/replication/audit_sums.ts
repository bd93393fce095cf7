/**
 * Sums over the living entries of a copy of the data, by which two nodes find out
 * that they hold the same without telling it, or else about where they do not.
 *
 * Guarantees:
 * - Whole sums are those of the entries that the vector of the same moment covers:
 *   they move on in the step in which it does (`Draft.publish`), by what a key had
 *   and has, whatever the number of keys.
 * - Nodes with equal vectors have equal sums, unless something is wrong. Tombstones
 *   do not count: they go at each node in its own time, whatever its vector says.
 * - They are of the rows: counted from these after each start, in slices
 *   ({@linkcode AuditSums.counted}), while writes go on. What is behind the last slice
 *   is not in them yet, and changes without them. Nothing of them is kept on disk,
 *   so that no crash, and no older disk, leaves wrong ones.
 *
 * What is summed of an entry: its key, its version and its holder. The bytes of a
 * value are guarded by the checksums of the engine.
 *
 * ```
 * words  := the key, in words of 4 bytes, little-endian, the last one filled with 0
 *           length of the key | bucket: the hash so far, its lower 12 bits
 *           life | term | sub | claim.node × 2^16 + holder
 *           claim.hlc | hlc | origin | seq                 each low word, high word
 * hash   := two words: those that {@linkcode mixA} and {@linkcode mixB} come to
 * bucket := of its entries: how many, and the two sums of their hashes, modulo 2^32
 * ```
 *
 * @module
 */

import { compareBytes } from "../../runtime/mod.ts";
import type { Entry } from "./entry.ts";

/** Parts of the keys, by their hash, of which each has its own sums. */
export const BUCKETS = 4096;

/** Words of a bucket: how many entries, and the two sums. */
const WORDS = 3;

/** How many entries, and what their hashes come to: of a bucket, or of all. */
export interface Sum {
  readonly count: number;
  readonly a: number;
  readonly b: number;
}

/** The hash of an entry, and where it counts. */
export interface EntryHash {
  readonly bucket: number;
  readonly a: number;
  readonly b: number;
}

/** What hashing a key has come to, and then an entry: one at a time. */
let hashA = 0;
let hashB = 0;

/** The sums of one copy. */
export class AuditSums {
  /** Made when the first entry counts: most nodes of large tests have none. */
  #words: Uint32Array | undefined;
  /** The last key that was counted; `undefined` before the first one. */
  #last: Uint8Array | undefined;
  #isWhole = false;

  /** Whether all entries are in them. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Behind which key the next slice begins. */
  get last(): Uint8Array | undefined {
    return this.#last;
  }

  /** Begins anew: the rows are to be counted from the first on. */
  restart(): void {
    this.#words?.fill(0);
    this.#last = undefined;
    this.#isWhole = false;
  }

  /**
   * Counts the next rows.
   *
   * @param entries All living ones behind {@linkcode AuditSums.last}, or the first
   * of them, in order.
   * @param isLast Whether there are no more.
   */
  counted(entries: readonly Entry[], isLast: boolean): void {
    for (const entry of entries) {
      const bucket = hashKey(entry.key);
      this.#count(bucket, entry, 1);
    }
    this.#last = entries.at(-1)?.key.slice() ?? this.#last;
    this.#isWhole = isLast;
  }

  /** The entry of a key is another one now. */
  replace(before: Entry | undefined, now: Entry | undefined): void {
    const was = before?.value === undefined ? undefined : before;
    const is = now?.value === undefined ? undefined : now;
    const key = (is ?? was)?.key;
    if (key === undefined || !this.#isBehind(key)) return;
    const bucket = hashKey(key);
    const [a, b] = [hashA, hashB];
    if (was !== undefined) this.#count(bucket, was, -1);
    hashA = a;
    hashB = b;
    if (is !== undefined) this.#count(bucket, is, 1);
  }

  /** The sums of one bucket. */
  bucket(number: number): Sum {
    const words = this.#words;
    const at = number * WORDS;
    if (words === undefined) return { count: 0, a: 0, b: 0 };
    return { count: words[at]!, a: words[at + 1]!, b: words[at + 2]! };
  }

  /** The sums of all. */
  total(): Sum {
    const { length } = this.#words ?? [];
    let [count, a, b] = [0, 0, 0];
    for (let at = 0; at < length; at += WORDS) {
      count += this.#words![at]!;
      a = (a + this.#words![at + 1]!) | 0;
      b = (b + this.#words![at + 2]!) | 0;
    }
    return { count, a: a >>> 0, b: b >>> 0 };
  }

  /** Whether the entries of a key count already. */
  #isBehind(key: Uint8Array): boolean {
    return this.#isWhole ||
      this.#last !== undefined && compareBytes(key, this.#last) <= 0;
  }

  /** Adds an entry, the key of which was hashed last, or takes it out. */
  #count(bucket: number, entry: Entry, sign: 1 | -1): void {
    hashVersion(entry);
    const words = this.#words ??= new Uint32Array(BUCKETS * WORDS);
    const at = bucket * WORDS;
    words[at]! += sign;
    words[at + 1]! += sign * hashA;
    words[at + 2]! += sign * hashB;
  }
}

/** Whether two sums are the same. */
export function isSameSum(one: Sum, other: Sum): boolean {
  return one.count === other.count && one.a === other.a && one.b === other.b;
}

/** The hash of an entry. */
export function hashEntry(entry: Entry): EntryHash {
  const bucket = hashKey(entry.key);
  hashVersion(entry);
  return { bucket, a: hashA, b: hashB };
}

/** Begins a hash with a key; gives the bucket. */
function hashKey(key: Uint8Array): number {
  const { length } = key;
  let a = 0x3c6ef372;
  let b = 0x510e527f;
  for (let at = 0; at < length; at += 4) {
    const k = scramble(
      key[at]! | key[at + 1]! << 8 | key[at + 2]! << 16 | key[at + 3]! << 24,
    );
    a = mixA(a, k);
    b = mixB(b, k);
  }
  const k = scramble(length);
  hashA = mixA(a, k);
  hashB = mixB(b, k);
  return finish(hashA ^ hashB) & (BUCKETS - 1);
}

/** Goes on with what was written last under that key, and ends the hash. */
function hashVersion(entry: Entry): void {
  word(entry.life);
  word(entry.term);
  word(entry.sub);
  word(entry.claimNode * 65_536 + entry.holder);
  words(entry.claimHlc);
  words(entry.hlc);
  words(entry.origin);
  words(entry.seq);
  const a = finish(hashA ^ Math.imul(hashB, 0x9e3779b1));
  hashB = finish(hashB ^ Math.imul(hashA, 0x85ebca77));
  hashA = a;
}

function words(value: number): void {
  word(value);
  word(value / 2 ** 32);
}

function word(value: number): void {
  const k = scramble(value | 0);
  hashA = mixA(hashA, k);
  hashB = mixB(hashB, k);
}

function scramble(word: number): number {
  const k = Math.imul(word, 0xcc9e2d51);
  return k << 15 | k >>> 17;
}

/** One hash takes a word (murmur3's round). */
function mixA(hash: number, k: number): number {
  hash ^= Math.imul(k, 0x1b873593);
  return (Math.imul(hash << 13 | hash >>> 19, 5) + 0xe6546b64) | 0;
}

/** The other one takes it otherwise, so that they do not meet together. */
function mixB(hash: number, k: number): number {
  hash ^= Math.imul(k, 0x85ebca6b);
  return (Math.imul(hash << 17 | hash >>> 15, 9) + 0x561ccd1b) | 0;
}

function finish(hash: number): number {
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}
