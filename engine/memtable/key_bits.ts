/**
 * Says of a key that it is certainly not in a memtable, so that a read of what
 * lies in tables, as most do, costs one line of memory here instead of a search
 * among all keys.
 *
 * Two bits of one word a key, by its hash. The memory is fixed and small enough
 * to stay near the processor: with 50,000 keys it errs on one absent key in
 * seventy, with 500,000 it says little and costs little.
 *
 * @module
 */

const WORDS = 32 * 1024;

/** A memtable with fewer keys is searched as fast as asked about. */
export const FEW_KEYS = 32;

/** Bits of keys. */
export class KeyBits {
  readonly #words = new Uint32Array(WORDS);

  /** Forgets all keys. */
  clear(): void {
    this.#words.fill(0);
  }

  /** Adds a key by its `hashKey`. */
  add(hash: number): void {
    this.#words[hash >>> 17]! |= bitsOf(hash);
  }

  /** Whether a key with that hash may have been added. */
  mayHold(hash: number): boolean {
    const bits = bitsOf(hash);
    return (this.#words[hash >>> 17]! & bits) === bits;
  }
}

/** Bits by the part of the hash that does not say which word. */
function bitsOf(hash: number): number {
  return 1 << (hash & 31) | 1 << (hash >>> 5 & 31);
}
