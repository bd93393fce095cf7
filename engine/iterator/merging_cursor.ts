/**
 * Merges sorted runs into one: a heap of cursors, the first entry on top.
 *
 * Guarantees: all entries of all runs in the order of `cursor.ts`, or in exactly
 * the opposite order. The direction is chosen by the seek.
 *
 * @module
 */

import { compareRanges } from "../compare.ts";
import type { Cursor } from "./cursor.ts";

/** A position in several runs at once. */
export class MergingCursor {
  readonly #cursors: readonly Cursor[];
  readonly #heap: Cursor[] = [];
  #reverse = false;

  constructor(cursors: readonly Cursor[]) {
    this.#cursors = cursors;
  }

  /** The cursor that stands on the entry of the moment, if there is one. */
  get top(): Cursor | undefined {
    return this.#heap[0];
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
    const top = this.#heap[0]!;
    if (this.#reverse) top.prev();
    else top.next();
    if (top.valid) {
      this.#sink(0);
      return;
    }
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#sink(0);
    }
  }

  #build(): void {
    const heap = this.#heap;
    heap.length = 0;
    for (const cursor of this.#cursors) if (cursor.valid) heap.push(cursor);
    for (let at = (heap.length >>> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  #sink(at: number): void {
    const heap = this.#heap;
    const size = heap.length;
    const cursor = heap[at]!;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#before(heap[child + 1]!, heap[child]!)) {
        child++;
      }
      if (!this.#before(heap[child]!, cursor)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = cursor;
  }

  #before(a: Cursor, b: Cursor): boolean {
    const order = compareRanges(
      a.keyBuffer,
      a.keyAt,
      a.keyLength,
      b.keyBuffer,
      b.keyAt,
      b.keyLength,
    ) || b.seq - a.seq;
    return this.#reverse ? order > 0 : order < 0;
  }
}
