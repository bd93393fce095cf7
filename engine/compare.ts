/**
 * Comparing keys that lie inside larger buffers, so that no view has to be
 * made for a comparison.
 *
 * Guarantees: the order is that of `compareBytes` of `runtime/bytes.ts`.
 *
 * @module
 */

import type { Bytes } from "../runtime/mod.ts";

/** Compares `aLength` bytes of `a` from `aAt` on with bytes of `b`. */
export function compareRanges(
  a: Uint8Array,
  aAt: number,
  aLength: number,
  b: Uint8Array,
  bAt: number,
  bLength: number,
): number {
  const length = aLength < bLength ? aLength : bLength;
  for (let i = 0; i < length; i++) {
    const difference = a[aAt + i]! - b[bAt + i]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/**
 * The four bytes of a key from `at` on as a big-endian number, zeros behind
 * its end: if two abbreviations differ, the keys differ the same way.
 */
export function abbreviate(key: Uint8Array, at: number): number {
  const length = key.length;
  return ((at < length ? key[at]! << 24 : 0) |
    (at + 1 < length ? key[at + 1]! << 16 : 0) |
    (at + 2 < length ? key[at + 2]! << 8 : 0) |
    (at + 3 < length ? key[at + 3]! : 0)) >>> 0;
}

/** A copy of bytes inside a buffer, which its receiver may keep. */
export function copyRange(
  buffer: Uint8Array,
  at: number,
  length: number,
): Bytes {
  const copy = new Uint8Array(length);
  copy.set(buffer.subarray(at, at + length));
  return copy;
}
