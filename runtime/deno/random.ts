/**
 * Randomness from the operating system's generator.
 *
 * Guarantees: every draw is cryptographically random and no byte is given out
 * twice. Small draws come out of a block that is filled now and then, since a
 * call into the system costs more than the bytes.
 *
 * @module
 */

import type { Random } from "../runtime.ts";

/** Bytes drawn from the system at once. */
const BLOCK_BYTES = 4096;

/** Most bytes that the platform fills in one call. */
const PLATFORM_BYTES_MAX = 65_536;

/** Draws from the operating system. */
export class DenoRandom implements Random {
  readonly #block = new Uint8Array(BLOCK_BYTES);
  readonly #view = new DataView(this.#block.buffer);
  #used = BLOCK_BYTES;

  /** Fills `bytes` with random bytes and returns it. */
  fill(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    if (bytes.length <= 64) {
      const at = this.#take(bytes.length);
      bytes.set(this.#block.subarray(at, at + bytes.length));
      this.#block.fill(0, at, at + bytes.length);
      return bytes;
    }
    for (let at = 0; at < bytes.length; at += PLATFORM_BYTES_MAX) {
      crypto.getRandomValues(bytes.subarray(at, at + PLATFORM_BYTES_MAX));
    }
    return bytes;
  }

  /** A random integer from 0 to 2^32 - 1. */
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A random number from 0, inclusive, to 1, exclusive. */
  float(): number {
    // 53 random bits: all that a number from 0 to 1 holds.
    const high = this.u32() >>> 5;
    const low = this.u32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  #take(length: number): number {
    if (this.#used + length > BLOCK_BYTES) {
      crypto.getRandomValues(this.#block);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += length;
    return at;
  }
}
