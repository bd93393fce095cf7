/**
 * Ranges of keys.
 *
 * @module
 */

import { compareBytes } from "../runtime/mod.ts";

/** Keys from `start`, inclusive, to `end`, exclusive; absent: from or to any. */
export interface KeyRange {
  /** The first key, inclusive. */
  start?: Uint8Array | undefined;
  /** The end of the keys, exclusive. At or before `start`: nothing. */
  end?: Uint8Array | undefined;
}

/** Keys from `start`, inclusive, to `end`, exclusive. */
export interface BoundedRange {
  /** The first key, inclusive. */
  readonly start: Uint8Array;
  /** The end of the keys, exclusive. At or before `start`: nothing. */
  readonly end: Uint8Array;
}

/** The first and the last key of something, both inclusive. */
export interface KeyBounds {
  /** The first key. */
  readonly minKey: Uint8Array;
  /** The last key. */
  readonly maxKey: Uint8Array;
}

/** Whether a range may hold any of the keys within the bounds. */
export function overlaps(bounds: KeyBounds, { start, end }: KeyRange): boolean {
  return (start === undefined || compareBytes(bounds.maxKey, start) >= 0) &&
    (end === undefined || compareBytes(bounds.minKey, end) < 0);
}

/** Whether two stretches of keys share any. */
export function intersects(a: KeyBounds, b: KeyBounds): boolean {
  return compareBytes(a.minKey, b.maxKey) <= 0 &&
    compareBytes(b.minKey, a.maxKey) <= 0;
}
