/**
 * The data that every store gets, and the checks that it gave the same back.
 *
 * Keys are 16 decimal digits, as db_bench has them: entry `i` has the number
 * `2 * i`, so that the odd numbers are keys that are missing between others.
 * Values have 100 bytes and compress to about half:
 *
 * ```
 * value := u32 index | u32 version | 44 random bytes | the same 44 again | u32 index ^ MARK
 * ```
 *
 * (little-endian). A read is checked inside the clock by the sum of one byte of
 * each end, which costs the same for every store, and outside it byte by byte.
 * Orders come from seeds: every store and round meets the same ones.
 */

/** Bytes of a key. */
export const KEY_BYTES = 16;
/** Bytes of a value. */
export const VALUE_BYTES = 100;
/** Bytes of an entry. */
export const ENTRY_BYTES = KEY_BYTES + VALUE_BYTES;

const MARK = 0x5bd1e995;
const HALF = 44;
const TAIL = VALUE_BYTES - 4;

/** A small generator of random numbers (xorshift32), the same everywhere. */
export class Prng {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 0x9e3779b1 ^ 0x85ebca6b) | 1;
    for (let i = 0; i < 8; i++) this.next();
  }

  /** 32 random bits. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.next() / 0x1_0000_0000;
  }

  /** An integer in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }
}

/** 0, 1, … `n` - 1. */
export function inOrder(n: number): Uint32Array {
  return Uint32Array.from({ length: n }, (_, i) => i);
}

/** Each of 0 … `n` - 1 once, in no order. */
export function shuffled(n: number, seed: number): Uint32Array {
  const prng = new Prng(seed);
  const order = inOrder(n);
  for (let i = n - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    const other = order[j]!;
    order[j] = order[i]!;
    order[i] = other;
  }
  return order;
}

/** `count` picks of 0 … `n` - 1, each as likely as any other. */
export function uniform(count: number, n: number, seed: number): Uint32Array {
  const prng = new Prng(seed);
  return Uint32Array.from({ length: count }, () => prng.below(n));
}

/** Exponent of YCSB's skew. */
const THETA = 0.99;

/**
 * Ranks in [0, n), rank 0 the likeliest, by Zipf's law with YCSB's exponent
 * (Gray et al., "Quickly generating billion-record synthetic databases").
 */
export class Zipf {
  readonly #n: number;
  readonly #prng: Prng;
  readonly #zetaN: number;
  readonly #alpha = 1 / (1 - THETA);
  readonly #eta: number;

  constructor(n: number, prng: Prng) {
    this.#n = n;
    this.#prng = prng;
    let zeta = 0;
    for (let i = 1; i <= n; i++) zeta += 1 / i ** THETA;
    this.#zetaN = zeta;
    this.#eta = (1 - (2 / n) ** (1 - THETA)) /
      (1 - (1 + 0.5 ** THETA) / zeta);
  }

  /** The next rank. */
  next(): number {
    const u = this.#prng.fraction();
    const uz = u * this.#zetaN;
    if (uz < 1) return 0;
    if (uz < 1 + 0.5 ** THETA) return 1;
    return Math.min(
      this.#n - 1,
      Math.floor(this.#n * (this.#eta * u - this.#eta + 1) ** this.#alpha),
    );
  }
}

/** Spreads ranks over [0, n), so that popular entries are not neighbours. */
export function scramble(rank: number, n: number): number {
  let x = Math.imul(rank ^ (rank >>> 16), 0x45d9f3b);
  x = Math.imul(x ^ (x >>> 16), 0x45d9f3b);
  return ((x ^ (x >>> 16)) >>> 0) % n;
}

/** Writes the digits of a number as a key. */
export function writeKey(target: Uint8Array, at: number, digits: number): void {
  for (let i = at + KEY_BYTES - 1; i >= at; i--) {
    target[i] = 48 + digits % 10;
    digits = Math.floor(digits / 10);
  }
}

/**
 * The keys of entries, each a view of one buffer.
 *
 * @param offset 0 for keys that are there, 1 for keys between them.
 */
export function keysOf(order: Uint32Array, offset: 0 | 1 = 0): Uint8Array[] {
  const all = new Uint8Array(order.length * KEY_BYTES);
  return Array.from(order, (index, i) => {
    writeKey(all, i * KEY_BYTES, index * 2 + offset);
    return all.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES);
  });
}

/** The index of the entry that a key is of. */
export function indexOf(key: Uint8Array): number {
  let digits = 0;
  for (const digit of key) digits = digits * 10 + digit - 48;
  return digits / 2;
}

/** Values that are filled in anew for each batch. */
export class Values {
  /** As many values as a batch has at most. */
  readonly slots: readonly Uint8Array[];

  constructor(count: number, bytes = VALUE_BYTES) {
    const prng = new Prng(7);
    this.slots = Array.from({ length: count }, () => {
      const value = new Uint8Array(bytes);
      const half = (bytes - 12) >> 1;
      for (let i = 0; i < half; i++) {
        value[8 + i] = value[8 + half + i] = prng.next();
      }
      return value;
    });
  }

  /** Makes slot `slot` the value of entry `index`. */
  stamp(slot: number, index: number, version: number): Uint8Array {
    const value = this.slots[slot]!;
    write32(value, 0, index);
    write32(value, 4, version);
    write32(value, value.length - 4, index ^ MARK);
    return value;
  }
}

function write32(target: Uint8Array, at: number, value: number): void {
  target[at] = value;
  target[at + 1] = value >>> 8;
  target[at + 2] = value >>> 16;
  target[at + 3] = value >>> 24;
}

function read32(source: Uint8Array, at: number): number {
  return (source[at]! | source[at + 1]! << 8 | source[at + 2]! << 16 |
    source[at + 3]! << 24) >>> 0;
}

/** What reading a value adds to the sum; -1 if there is none. */
export function sampleOf(value: Uint8Array | undefined): number {
  return value === undefined ? -1 : value[0]! + value[TAIL]!;
}

/** What {@linkcode sampleOf} must add up to. */
export function expectedSum(order: Uint32Array): number {
  let sum = 0;
  for (const index of order) sum += (index & 255) + ((index ^ MARK) & 255);
  return sum;
}

/** Throws unless a value is, byte by byte, one of entry `index`. */
export function assertValue(
  value: Uint8Array | undefined,
  index: number,
): void {
  if (
    value?.length !== VALUE_BYTES || read32(value, 0) !== index ||
    read32(value, TAIL) !== (index ^ MARK) >>> 0
  ) throw new Error(`Cannot go on: wrong value of entry ${index}: ${value}`);
  for (let i = 8; i < 8 + HALF; i++) {
    if (value[i] !== value[i + HALF]) {
      throw new Error(`Cannot go on: damaged value of entry ${index}`);
    }
  }
}

/** Throws unless `actual` is what was to be. */
export function assertSame(what: string, actual: number, want: number): void {
  if (actual !== want) {
    throw new Error(`Cannot go on: ${what} is ${actual} instead of ${want}`);
  }
}
