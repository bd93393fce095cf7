/**
 * Random numbers that a seed decides.
 *
 * Guarantees: the same seed and label give the same numbers for ever: sfc32
 * (Chris Doty-Humphrey's 128-bit generator), its state filled by splitmix32.
 * A fork depends on the seed and its label only, not on what was drawn before,
 * so that one more draw here never shifts the numbers there.
 *
 * @module
 */

import type { Random } from "../runtime.ts";

/** A generator of seeded random numbers. */
export class Prng implements Random {
  readonly #seed: number;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** A generator for an integer seed; `label` tells apart those of one seed. */
  constructor(seed: number, label = "") {
    let state = Math.imul(seed >>> 0, 0x9e3779b1) ^ Math.floor(seed / 2 ** 32);
    // A second hash of the label, so that two labels of one seed meet once in
    // 2^64 worlds and not once in 2^32.
    let other = Math.floor(seed / 2 ** 32) ^ 0x2545f491;
    for (let i = 0; i < label.length; i++) {
      const unit = label.charCodeAt(i);
      state = Math.imul(state ^ unit, 0x01000193);
      other = Math.imul(other ^ unit, 0x5bd1e995);
      other ^= other >>> 15;
    }
    const next = () => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = state ^ (state >>> 16);
      mixed = Math.imul(mixed, 0x21f0aaad);
      mixed ^= mixed >>> 15;
      mixed = Math.imul(mixed, 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.#seed = seed;
    this.#a = next();
    this.#b = next();
    this.#c = next() ^ other;
    for (let i = 0; i < 12; i++) this.u32();
  }

  /** Another generator of the same seed. */
  fork(label: string): Prng {
    return new Prng(this.#seed, label);
  }

  /** A random integer from 0 to 2^32 - 1. */
  u32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A random number from 0, inclusive, to 1, exclusive. */
  float(): number {
    return this.u32() / 2 ** 32;
  }

  /** Fills `bytes` with random bytes and returns it. */
  fill(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    for (let at = 0; at < bytes.length; at += 4) {
      let word = this.u32();
      const end = Math.min(at + 4, bytes.length);
      for (let i = at; i < end; i++, word >>>= 8) bytes[i] = word;
    }
    return bytes;
  }

  /** An integer from 0, inclusive, to `end`, exclusive. */
  below(end: number): number {
    return Math.floor(this.float() * end);
  }

  /** A number between two bounds. */
  between(range: readonly [number, number]): number {
    return range[0] + this.float() * (range[1] - range[0]);
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.float() < probability;
  }
}
