/**
 * Bytes inside larger buffers: compared, copied and written without a view
 * being made for it.
 *
 * Guarantees: the order is that of `compareBytes` of `runtime/bytes.ts`.
 *
 * @module
 */

import { type Bytes, SLAB_SHARE_BYTES, Slabs } from "../runtime/mod.ts";

/** Below this a loop copies faster than a call of the platform, in bytes. */
const LOOP_BYTES = 64;

/** Up to this {@linkcode copyViewed} takes less time than the platform, in bytes. */
export const VIEWED_BYTES_MAX = 192;

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
 * Whether `aLength` bytes of `a` from `aAt` on are the first `bLength` of `b`.
 * Looks at the last ones first, in which neighbours in an order differ.
 */
export function equalRanges(
  a: Uint8Array,
  aAt: number,
  aLength: number,
  b: Uint8Array,
  bLength: number,
): boolean {
  if (aLength !== bLength) return false;
  for (let i = aLength - 1; i >= 0; i--) {
    if (a[aAt + i] !== b[i]) return false;
  }
  return true;
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

/** The abbreviation of `length` bytes from `at` on. */
export function abbreviateRange(
  buffer: Uint8Array,
  at: number,
  length: number,
): number {
  if (length >= 4) {
    return (buffer[at]! << 24 | buffer[at + 1]! << 16 | buffer[at + 2]! << 8 |
      buffer[at + 3]!) >>> 0;
  }
  return ((length > 0 ? buffer[at]! << 24 : 0) |
    (length > 1 ? buffer[at + 1]! << 16 : 0) |
    (length > 2 ? buffer[at + 2]! << 8 : 0)) >>> 0;
}

/** Copies bytes between buffers; short ones without making a view. */
export function copyBytes(
  target: Uint8Array,
  targetAt: number,
  source: Uint8Array,
  at: number,
  length: number,
): void {
  if (length < LOOP_BYTES) {
    for (let i = 0; i < length; i++) target[targetAt + i] = source[at + i]!;
  } else {
    target.set(source.subarray(at, at + length), targetAt);
  }
}

/**
 * Copies bytes between views of buffers, eight at a time. Unlike the platform's copy
 * it takes no view of what is copied, which would be left for the garbage collector.
 */
export function copyViewed(
  target: DataView,
  targetAt: number,
  source: DataView,
  at: number,
  length: number,
): void {
  const last = length - 8;
  if (last < 0) {
    for (let i = 0; i < length; i++) {
      target.setUint8(targetAt + i, source.getUint8(at + i));
    }
    return;
  }
  for (let i = 0; i < last; i += 8) {
    target.setBigUint64(targetAt + i, source.getBigUint64(at + i, true), true);
  }
  // The last eight, of which some may have been copied before.
  const tail = source.getBigUint64(at + last, true);
  target.setBigUint64(targetAt + last, tail, true);
}

/**
 * A copy of bytes inside a buffer, with memory of its own: for what is kept
 * for long.
 */
export function copyRange(
  buffer: Uint8Array,
  at: number,
  length: number,
): Bytes {
  const copy = new Uint8Array(length);
  copy.set(buffer.subarray(at, at + length));
  return copy;
}

/** Of what users get. */
const slabs = new Slabs();

/**
 * A copy of bytes inside a buffer, for the user, who may keep and change it.
 *
 * Small copies share slabs (runtime/slab.ts): one that is kept holds 8 KiB.
 */
export function giveRange(
  buffer: Uint8Array,
  at: number,
  length: number,
): Bytes {
  if (length >= SLAB_SHARE_BYTES) return copyRange(buffer, at, length);
  const start = slabs.takeRoom(length, 0);
  const target = slabs.bytes;
  for (let i = 0; i < length; i++) target[start + i] = buffer[at + i]!;
  return new Uint8Array(slabs.buffer, start, length);
}

/**
 * What {@linkcode giveRange} gives, copied a word at a time: bytes from `at` on
 * of a buffer that begins with `words` and reaches to the end of a word. The copy
 * stands as far behind the start of a word as they do, so neighbours of up to
 * three bytes are copied along.
 */
export function giveWords(
  words: Uint32Array<ArrayBuffer>,
  at: number,
  length: number,
): Bytes {
  if (length >= SLAB_SHARE_BYTES) {
    const start = words.byteOffset + at;
    return new Uint8Array(new Uint8Array(words.buffer, start, length));
  }
  const start = slabs.takeRoom(length, at & 3);
  const target = slabs.words;
  const end = at + length + 3 >>> 2;
  let to = start >>> 2;
  for (let from = at >>> 2; from < end; from++) target[to++] = words[from]!;
  return new Uint8Array(slabs.buffer, start, length);
}
