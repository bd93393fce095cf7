/**
 * Hashes of sets of numbered things, kept up in O(1) a change: the sum, modulo 2^32
 * and in two ways, of a mix of what each thing is.
 *
 * @module
 */

import { type Bytes, Writer } from "../../runtime/mod.ts";

/** The hash of a set that changes. */
export class SetHash {
  #low = 0;
  #high = 0;

  /** Adds a thing of the set, or takes it out. */
  count(parts: readonly number[], sign: 1 | -1): void {
    let low = 0x9e3779b9;
    let high = 0x7f4a7c15;
    for (const part of parts) low = mix(low, part);
    for (let i = parts.length - 1; i >= 0; i--) high = mix(high, parts[i]!);
    this.#low = (this.#low + sign * low) >>> 0;
    this.#high = (this.#high + sign * high) >>> 0;
  }

  /** Its 8 bytes. */
  bytes(): Bytes {
    return new Writer(8).u32(this.#low).u32(this.#high).finish();
  }
}

/** Mixes an integer of up to 53 bits into a hash of 32 bits (murmur3's rounds). */
function mix(hash: number, value: number): number {
  return mix32(mix32(hash, value >>> 0), Math.floor(value / 2 ** 32));
}

function mix32(hash: number, value: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  hash ^= k;
  hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
