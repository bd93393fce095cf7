/**
 * Says which tables of a level may hold a key.
 *
 * The first and last keys of all tables lie abbreviated in two columns, behind
 * what they all share, so that a question touches one column and compares
 * whole keys only where abbreviations are equal.
 *
 * Guarantees: names every table whose keys reach from at or before the key to at
 * or behind it, in the order of the level.
 *
 * @module
 */

import { abbreviate, compareRanges } from "../compare.ts";
import type { Table } from "../table/table.ts";

/** Where keys are in a level. */
export class LevelMap {
  /** The level's tables, at least one. */
  readonly tables: readonly Table[];
  readonly #sorted: boolean;
  readonly #prefix: Uint8Array;
  readonly #min: Uint32Array;
  readonly #max: Uint32Array;

  /** Maps a level; `sorted` tells that its tables do not overlap. */
  constructor(tables: readonly Table[], sorted: boolean) {
    this.tables = tables;
    this.#sorted = sorted;
    let prefix = tables[0]!.info.minKey;
    for (const { info } of tables) {
      prefix = sharedPrefix(prefix, info.minKey);
      prefix = sharedPrefix(prefix, info.maxKey);
    }
    const { length } = prefix;
    this.#prefix = prefix;
    this.#min = Uint32Array.from(
      tables,
      ({ info }) => abbreviate(info.minKey, length),
    );
    this.#max = Uint32Array.from(
      tables,
      ({ info }) => abbreviate(info.maxKey, length),
    );
  }

  /** The first table that may hold a key; -1 if there is none. */
  first(key: Uint8Array): number {
    const prefix = this.#prefix;
    if (key.length < prefix.length) return -1;
    for (let i = 0; i < prefix.length; i++) {
      if (key[i] !== prefix[i]) return -1;
    }
    return this.#sorted ? this.#only(key) : this.next(-1, key);
  }

  /** The next table behind `at` that may hold a key; -1 if there is none. */
  next(at: number, key: Uint8Array): number {
    // At most one of tables that do not overlap.
    if (this.#sorted) return -1;
    const abbreviation = abbreviate(key, this.#prefix.length);
    for (at++; at < this.#max.length; at++) {
      if (this.#mayHold(at, key, abbreviation)) return at;
    }
    return -1;
  }

  #only(key: Uint8Array): number {
    const abbreviation = abbreviate(key, this.#prefix.length);
    const max = this.#max;
    let low = 0;
    let high = max.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#isBehind(key, abbreviation, middle)) low = middle + 1;
      else high = middle;
    }
    return low < max.length && this.#mayHold(low, key, abbreviation) ? low : -1;
  }

  /** Whether a key is behind a table's last. */
  #isBehind(key: Uint8Array, abbreviation: number, at: number): boolean {
    const max = this.#max[at]!;
    return max < abbreviation ||
      (max === abbreviation && compare(this.tables[at]!.info.maxKey, key) < 0);
  }

  #mayHold(at: number, key: Uint8Array, abbreviation: number): boolean {
    const min = this.#min[at]!;
    return (min < abbreviation ||
      (min === abbreviation &&
        compare(this.tables[at]!.info.minKey, key) <= 0)) &&
      !this.#isBehind(key, abbreviation, at);
  }
}

function sharedPrefix(a: Uint8Array, b: Uint8Array): Uint8Array {
  let shared = 0;
  while (shared < a.length && a[shared] === b[shared]) shared++;
  return a.subarray(0, shared);
}

function compare(a: Uint8Array, b: Uint8Array): number {
  return compareRanges(a, 0, a.length, b, 0, b.length);
}
