/**
 * Ranges of keys that nobody reads or sets any more: what is in them need not be
 * kept, merged or deleted key by key.
 *
 * Guarantees: a range counts only once all that was written before it was given up
 * is on the device, so that whoever wrote down that it no longer needs the range
 * finds that after a crash, too, wherever rows are missing. What counts stays so
 * until the store is closed; nothing of it is on the device.
 *
 * Giving up is a hint: beyond the limits a range is not taken, and its rows stay.
 *
 * @module
 */

import { compareBytes } from "../runtime/mod.ts";
import type { BoundedRange, KeyBounds } from "./range.ts";

/** Ranges that count, at most. */
const RANGES_MAX = 64;

/** Ranges that wait for the device, at most. */
const WAITING_MAX = 64;

/** The abandoned ranges of a store. */
export class AbandonedRanges {
  /** Those that count, by key; none touches another. */
  #ranges: readonly BoundedRange[] = [];
  /** Those that wait, and up to which number all must be on the device. */
  readonly #waiting: { range: BoundedRange; seq: number }[] = [];

  /** Those that count, by key, apart from each other. Never changes: others come. */
  get ranges(): readonly BoundedRange[] {
    return this.#ranges;
  }

  /** Takes a range, to count once all up to a sequence number is on the device. */
  add({ start, end }: BoundedRange, seq: number): void {
    if (compareBytes(start, end) >= 0) return;
    const waiting = this.#waiting;
    // Not "slice", which on a Node Buffer shares the caller's memory.
    const range = { start: new Uint8Array(start), end: new Uint8Array(end) };
    if (waiting.length === WAITING_MAX) {
      // One that grows takes the place of what it was, and counts later.
      if (!includes(range, waiting.at(-1)!.range)) return;
      waiting.pop();
    }
    waiting.push({ range, seq });
  }

  /** All up to a sequence number is on the device. */
  settle(seq: number): void {
    const waiting = this.#waiting;
    const count = waiting.findIndex((each) => each.seq > seq);
    const due = waiting.splice(0, count < 0 ? waiting.length : count);
    for (const { range } of due) this.#include(range);
  }

  /** Whether all keys within the bounds are abandoned. */
  holds({ minKey, maxKey }: KeyBounds): boolean {
    return this.#ranges.some(({ start, end }) =>
      compareBytes(start, minKey) <= 0 && compareBytes(maxKey, end) < 0
    );
  }

  /** Joins a range to those that it touches. */
  #include(range: BoundedRange): void {
    let { start, end } = range;
    const before: BoundedRange[] = [];
    const behind: BoundedRange[] = [];
    for (const each of this.#ranges) {
      if (compareBytes(each.end, start) < 0) before.push(each);
      else if (compareBytes(end, each.start) < 0) behind.push(each);
      else {
        if (compareBytes(each.start, start) < 0) start = each.start;
        if (compareBytes(each.end, end) > 0) end = each.end;
      }
    }
    const ranges = [...before, { start, end }, ...behind];
    if (ranges.length <= RANGES_MAX) this.#ranges = ranges;
  }
}

/** Whether a range holds all keys of another one. */
function includes(range: BoundedRange, other: BoundedRange): boolean {
  return compareBytes(range.start, other.start) <= 0 &&
    compareBytes(range.end, other.end) >= 0;
}
