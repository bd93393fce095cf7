/**
 * Memory that small byte strings share, as those of Node's `Buffer` do: memory of
 * its own costs bytes more than what is in them. What that comes to in a write is in
 * bench/HISTORY.md.
 *
 * Guarantees: bytes that are handed out are nobody else's, and 0. One that is kept
 * holds a whole slab: what is kept for long, or for each of many, gets memory of its
 * own.
 *
 * Whoever gives away the memory of some bytes takes along what lies beside them: what
 * users get is cut from other slabs than what is yet to be written or sent.
 *
 * @module
 */

import type { Bytes } from "./bytes.ts";

/** The size of a slab, in bytes. */
const SLAB_BYTES = 8 * 1024;

/** Bytes from this size on get memory of their own. */
export const SLAB_SHARE_BYTES: number = SLAB_BYTES / 8;

/** One slab after the other. */
export class Slabs {
  /** The one of the moment, in words. */
  words: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  /** The one of the moment. */
  bytes: Bytes = new Uint8Array(this.words.buffer);
  /** The memory of the one of the moment. */
  buffer: ArrayBuffer = this.words.buffer;
  #used = 0;

  /**
   * Takes room for some bytes in a slab, which is that of the moment then.
   *
   * @param phase How far behind the start of a word, in bytes.
   * @returns Where it begins.
   */
  takeRoom(length: number, phase: number): number {
    let start = (this.#used + 3 & ~3) + phase;
    // Of one that was given away the length is 0.
    if (start + length > this.bytes.length) {
      this.words = new Uint32Array(SLAB_BYTES / 4);
      this.buffer = this.words.buffer;
      this.bytes = new Uint8Array(this.buffer);
      start = phase;
    }
    this.#used = start + length;
    return start;
  }
}

/** Of what never comes to a user, and is soon done with. */
const slabs = new Slabs();

/** Bytes, all 0, that no user gets; those of other slabs are kept for as long. */
export function makeBytes(length: number, from: Slabs = slabs): Bytes {
  if (length >= SLAB_SHARE_BYTES) return new Uint8Array(length);
  const start = from.takeRoom(length, 0);
  return new Uint8Array(from.buffer, start, length);
}

/** A copy of bytes, as {@linkcode makeBytes} makes them. */
export function copyOf(bytes: Uint8Array, from?: Slabs): Bytes {
  const copy = makeBytes(bytes.length, from);
  copy.set(bytes);
  return copy;
}
