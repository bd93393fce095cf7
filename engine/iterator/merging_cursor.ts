/**
 * Merges sorted runs into one: cursors in the order of their entries, the first
 * entry on top.
 *
 * Runs are few, and the one that moves seldom moves far: its new place is looked
 * for from the top on. What is compared are numbers, the six bytes behind a
 * prefix that the keys of the moment share; whole keys only where these are the
 * same. Any prefix is right, since keys that do not have it are below or above
 * all numbers; it is chosen anew once too many keys tell nothing apart.
 *
 * Guarantees: all entries of all runs in the order of `cursor.ts`, or in exactly
 * the opposite order. The direction is chosen by the seek.
 *
 * @module
 */

import { compareRanges } from "../compare.ts";
import type { Cursor } from "./cursor.ts";

/** The number of a key before all that have the prefix. */
const BELOW = -1;
/** The number of a key behind all that have the prefix. */
const ABOVE = 2 ** 48;
/** Bytes of a key in its number. */
const NUMBER_BYTES = 6;
/** Bytes of what keys share that are left for the number: neighbours differ. */
const SPARED_BYTES = 2;
/** Equal numbers from which on another prefix is chosen. */
const TIES_MAX = 16;

/** A position in several runs at once. */
export class MergingCursor {
  readonly #cursors: readonly Cursor[];
  /** Those that stand on an entry, in order. */
  readonly #order: Cursor[] = [];
  /** Their keys' numbers, negated going back; not kept for one cursor alone. */
  readonly #numbers: Float64Array;
  #reverse = false;
  readonly #prefix: number[] = [];
  #prefixLength = 0;
  #ties = 0;

  constructor(cursors: readonly Cursor[]) {
    this.#cursors = cursors;
    this.#numbers = new Float64Array(cursors.length);
  }

  /** The cursor that stands on the entry of the moment, if there is one. */
  get top(): Cursor | undefined {
    return this.#order[0];
  }

  /**
   * Whether the top is certainly the only entry of its key, going back. Going
   * forward, there may have been others.
   */
  get isAlone(): boolean {
    const order = this.#order;
    return order[0]!.startsKey && (order.length === 1 || !this.#isShared());
  }

  /** Goes forward from the first entry of a key at or after `key`. */
  seekTo(key: Uint8Array | undefined): void {
    this.#reverse = false;
    for (const cursor of this.#cursors) cursor.seekTo(key);
    this.#build();
  }

  /** Goes backward from the last entry of a key before `key`. */
  seekBefore(key: Uint8Array | undefined): void {
    this.#reverse = true;
    for (const cursor of this.#cursors) cursor.seekBefore(key);
    this.#build();
  }

  /** Goes to the next entry in the direction chosen. There is a top. */
  advance(): void {
    const top = this.#order[0]!;
    if (this.#reverse) top.prev();
    else top.next();
    this.#settle(0);
  }

  /** Goes forward to the first entry of the next key. There is a top. */
  advanceKey(): void {
    const order = this.#order;
    while (order.length > 1 && this.#isShared()) {
      order[1]!.nextKey();
      this.#settle(1);
    }
    order[0]!.nextKey();
    this.#settle(0);
  }

  #build(): void {
    const order = this.#order;
    order.length = 0;
    for (const cursor of this.#cursors) if (cursor.valid) order.push(cursor);
    order.sort((a, b) => this.#compare(a, b, 0));
    if (order.length > 1) this.#choosePrefix();
  }

  /** Puts a cursor that has moved where it belongs, behind where it was. */
  #settle(at: number): void {
    const order = this.#order;
    const moved = order[at]!;
    if (!moved.valid) {
      order.splice(at, 1);
      this.#numbers.copyWithin(at, at + 1);
      return;
    }
    if (order.length === 1) return;
    const numbers = this.#numbers;
    if (moved.keptLength < this.#prefixLength) this.#takeNumber(moved, at);
    else if (this.#hasPrefix(at)) {
      this.#takeNumberBehindPrefix(moved, at);
    }
    const number = numbers[at]!;
    for (; at + 1 < order.length; at++) {
      const other = numbers[at + 1]!;
      if (number < other) break;
      if (number === other) {
        this.#ties++;
        const skip = this.#hasPrefix(at + 1) ? this.#prefixLength : 0;
        if (this.#compare(moved, order[at + 1]!, skip) < 0) break;
      }
      order[at] = order[at + 1]!;
      numbers[at] = other;
    }
    order[at] = moved;
    numbers[at] = number;
    if (this.#ties > TIES_MAX) this.#choosePrefix();
  }

  /** Whether the first two stand on the same key. There are two. */
  #isShared(): boolean {
    const numbers = this.#numbers;
    if (numbers[0] !== numbers[1]) return false;
    const [a, b] = this.#order as [Cursor, Cursor];
    return a.keyLength === b.keyLength &&
      compareRanges(
          a.keyBuffer,
          a.keyAt,
          a.keyLength,
          b.keyBuffer,
          b.keyAt,
          b.keyLength,
        ) === 0;
  }

  /** The order of entries whose keys agree in `skip` bytes. */
  #compare(a: Cursor, b: Cursor, skip: number): number {
    const order = compareRanges(
      a.keyBuffer,
      a.keyAt + skip,
      a.keyLength - skip,
      b.keyBuffer,
      b.keyAt + skip,
      b.keyLength - skip,
    ) || b.seq - a.seq;
    return this.#reverse ? -order : order;
  }

  /** Whether the key with the number at `place` has the prefix. */
  #hasPrefix(place: number): boolean {
    const number = this.#numbers[place]!;
    return this.#reverse
      ? number !== -BELOW && number !== -ABOVE
      : number !== BELOW && number !== ABOVE;
  }

  /**
   * Takes down the number of a key. It is not given back, nor handed on: 48 bits as
   * an argument or a result are an object each time.
   */
  #takeNumber(cursor: Cursor, place: number): void {
    const { keyBuffer, keyAt, keyLength } = cursor;
    const prefix = this.#prefix;
    const prefixLength = this.#prefixLength;
    const sign = this.#reverse ? -1 : 1;
    for (let i = 0; i < prefixLength; i++) {
      const difference = i < keyLength
        ? keyBuffer[keyAt + i]! - prefix[i]!
        : BELOW;
      if (difference !== 0) {
        this.#numbers[place] = sign * (difference < 0 ? BELOW : ABOVE);
        return;
      }
    }
    this.#takeNumberBehindPrefix(cursor, place);
  }

  #takeNumberBehindPrefix(
    { keyBuffer, keyAt, keyLength }: Cursor,
    place: number,
  ): void {
    const at = keyAt + this.#prefixLength;
    const length = keyLength - this.#prefixLength;
    let number: number;
    if (length >= NUMBER_BYTES) {
      number = (keyBuffer[at]! << 16 | keyBuffer[at + 1]! << 8 |
            keyBuffer[at + 2]!) * 2 ** 24 +
        (keyBuffer[at + 3]! << 16 | keyBuffer[at + 4]! << 8 |
          keyBuffer[at + 5]!);
    } else {
      number = 0;
      for (let i = 0; i < NUMBER_BYTES; i++) {
        number = number * 256 + (i < length ? keyBuffer[at + i]! : 0);
      }
    }
    this.#numbers[place] = this.#reverse ? -number : number;
  }

  /** Takes the prefix from the first two keys. There are two. */
  #choosePrefix(): void {
    this.#ties = 0;
    const [a, b] = this.#order as [Cursor, Cursor];
    const length = Math.min(a.keyLength, b.keyLength);
    let shared = 0;
    while (
      shared < length &&
      a.keyBuffer[a.keyAt + shared] === b.keyBuffer[b.keyAt + shared]
    ) shared++;
    const prefixLength = Math.max(0, shared - SPARED_BYTES);
    for (let i = 0; i < prefixLength; i++) {
      this.#prefix[i] = a.keyBuffer[a.keyAt + i]!;
    }
    this.#prefixLength = prefixLength;
    for (let i = 0; i < this.#order.length; i++) {
      this.#takeNumber(this.#order[i]!, i);
    }
  }
}
