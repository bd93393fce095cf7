/**
 * The keys of a range that have a value now, without reading their values.
 *
 * Guarantees: the keys are those of the moment at which it was made; one whose value
 * ends by itself is left out from that instant on, also amid the iteration. It costs
 * as much as a plain iteration over keys, and what the keys that end cost: they are
 * listed apart, in the same order, each with its instant.
 *
 * @module
 */

import {
  type Awaitable,
  compareBytes,
  EMPTY_BYTES,
  isPromise,
} from "../runtime/mod.ts";
import type { KVIterator } from "../engine/kv.ts";
import { takeSeq } from "./replication/dot.ts";

/** What living keys are made of. */
export interface LivingKeysOptions {
  /** Whether both iterators answer at once. */
  readonly synchronous: boolean;
  /** Whether both go from the last key to the first. */
  readonly reverse: boolean;
  /** The time, in milliseconds since 1970. */
  readonly now: () => number;
  /** Rows of living entries; their values are not asked for. */
  readonly keys: KVIterator;
  /** The rows of `Space.EXPIRING` of the same range. */
  readonly expiring: KVIterator;
}

/** The keys of a range that have a value now. */
export class LivingKeys {
  readonly #options: LivingKeysOptions;
  /** The key at the position, as long as some that end may be further on. */
  #at: Uint8Array = EMPTY_BYTES;
  /** The next key that ends; `undefined` before the first. */
  #ends: Uint8Array | undefined;
  #hasEnds = true;

  constructor(options: LivingKeysOptions) {
    this.#options = options;
  }

  /** The key at the position. Only after `next` gave `true`. */
  get key(): Uint8Array {
    return this.#options.keys.key.subarray(1);
  }

  /** Goes to the next key; `false` if there is none. */
  next(): Awaitable<boolean> {
    return this.#options.synchronous ? this.#nextAtOnce() : this.#next();
  }

  /** Lets go of both iterators. */
  async close(): Promise<void> {
    const { keys, expiring } = this.#options;
    for (const closed of [keys.close(), expiring.close()]) {
      if (isPromise(closed)) await closed;
    }
  }

  #nextAtOnce(): boolean {
    const { keys, expiring } = this.#options;
    while (keys.next() as boolean) {
      if (!this.#hasEnds) return true;
      this.#at = this.key;
      while (this.#isBehind()) this.#advanced(expiring.next() as boolean);
      if (!this.#hasEnded()) return true;
    }
    return false;
  }

  async #next(): Promise<boolean> {
    const { keys, expiring } = this.#options;
    while (await keys.next()) {
      if (!this.#hasEnds) return true;
      this.#at = this.key;
      while (this.#isBehind()) this.#advanced(await expiring.next());
      if (!this.#hasEnded()) return true;
    }
    return false;
  }

  /** Whether a key that ends, further on, may be the one at the position. */
  #isBehind(): boolean {
    return this.#hasEnds && (this.#ends === undefined || this.#order() < 0);
  }

  #advanced(more: boolean): void {
    this.#hasEnds = more;
    if (more) this.#ends = this.#options.expiring.key.subarray(1);
  }

  /** Whether the value at the position has ended. */
  #hasEnded(): boolean {
    if (!this.#hasEnds || this.#order() !== 0) return false;
    const { expiring, now } = this.#options;
    return takeSeq(expiring.value, 0) <= now();
  }

  /** How the next key that ends stands to the position, in the order of iteration. */
  #order(): number {
    const order = compareBytes(this.#ends!, this.#at);
    return this.#options.reverse ? -order : order;
  }
}
