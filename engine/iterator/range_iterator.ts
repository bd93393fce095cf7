/**
 * The iterator that users get: the visible keys of a range, in order.
 *
 * Guarantees: sees the state of the moment it was made. Until it is at its end
 * or closed it holds its version, and thereby the files of that moment. A step
 * allocates nothing but, going back, the value; `key` and `value` give copies.
 * Small copies share memory: one that is kept holds 8 KiB, or as much as a block
 * has. `keyView` and `valueView` give the bytes as they lie in memory, until the
 * next step. After a step has failed, all further ones do.
 *
 * @module
 */

import {
  type Bytes,
  ClosedError,
  compareBytes,
  EMPTY_BYTES,
  prefixEnd,
} from "../../runtime/mod.ts";
import { compareRanges, giveRange } from "../compare.ts";
import type { IterateOptions, KVIterator } from "../kv.ts";
import type { Leaks } from "../leaks.ts";
import type { Version } from "../version.ts";
import type { Cursor } from "./cursor.ts";
import { MergingCursor } from "./merging_cursor.ts";

/** What tells whether the store is closed, and is told of iterators. */
interface Life {
  readonly closed: boolean;
  readonly leaks: Leaks | undefined;
}

/** Reads the visible keys of a range in order. */
export class RangeIterator implements KVIterator, Disposable {
  readonly #life: Life;
  readonly #seq: number;
  readonly #reverse: boolean;
  readonly #keysOnly: boolean;
  readonly #start: Uint8Array | undefined;
  readonly #end: Uint8Array | undefined;
  #version: Version | undefined;
  #merge: MergingCursor | undefined;
  #sought = false;
  #target: Uint8Array | undefined;
  #failure: unknown;
  #standing = false;
  #keyScratch = EMPTY_BYTES;
  #keyLength = -1;
  /** What stands on the entry of the position; absent: scratch and value do. */
  #top: Cursor | undefined;
  /** Whether the value was not taken yet. */
  #untaken = false;
  #value: Bytes = EMPTY_BYTES;

  /** Takes over one hold of `version`. */
  constructor(
    version: Version,
    seq: number,
    life: Life,
    options: IterateOptions,
  ) {
    this.#version = version;
    this.#seq = seq;
    this.#life = life;
    this.#reverse = options.reverse ?? false;
    this.#keysOnly = options.keysOnly ?? false;
    const { prefix } = options;
    const start = later(options.start, prefix);
    const end = earlier(options.end, prefix && prefixEnd(prefix));
    // Not "slice", which on a Node Buffer shares the caller's memory.
    this.#start = start && new Uint8Array(start);
    this.#end = end && new Uint8Array(end);
    life.leaks?.opened(this, "iterator");
    if (
      this.#start !== undefined && this.#end !== undefined &&
      compareBytes(this.#start, this.#end) >= 0
    ) this.close();
  }

  next(): boolean {
    this.#standing = false;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#version === undefined) return false;
    if (this.#life.closed) throw new ClosedError("iterate", "the store");
    try {
      const merge = this.#sought ? this.#merge! : this.#seek(this.#version);
      this.#standing = this.#reverse
        ? this.#stepBackward(merge)
        : this.#stepForward(merge);
    } catch (error) {
      // Cursors stand anywhere now: going on could pass over what is damaged.
      this.#failure = error;
      this.close();
      throw error;
    }
    // It stands nowhere any more: what its views showed may be another's now.
    if (!this.#standing) this.close();
    return this.#standing;
  }

  get key(): Bytes {
    this.#assertStanding();
    const top = this.#top;
    return top === undefined
      ? giveRange(this.#keyScratch, 0, this.#keyLength)
      : top.takeKey();
  }

  get value(): Bytes {
    this.#assertStanding();
    if (this.#untaken) {
      // Taken once, so that who changes it finds the change.
      this.#value = this.#top!.takeValue();
      this.#untaken = false;
    }
    return this.#value;
  }

  /** The key, not copied: only to be read, until the next step or the close. */
  get keyView(): Uint8Array {
    this.#assertStanding();
    const top = this.#top;
    if (top === undefined) return this.#keyScratch.subarray(0, this.#keyLength);
    const { keyBuffer, keyAt, keyLength } = top;
    return keyBuffer.subarray(keyAt, keyAt + keyLength);
  }

  /** The value, likewise; where `value` was asked for before, that one. */
  get valueView(): Uint8Array {
    this.#assertStanding();
    const top = this.#top;
    if (top === undefined || !this.#untaken) return this.#value;
    const { valueBuffer, valueAt, valueLength } = top;
    return valueBuffer.subarray(valueAt, valueAt + valueLength);
  }

  /**
   * Lets the next `next` go to the first key at or behind `key`, in the
   * direction of the iterator and within its range. Nothing happens at the end
   * and after `close`.
   */
  seek(key: Uint8Array): void {
    this.#standing = false;
    this.#target = new Uint8Array(key);
    this.#sought = false;
  }

  close(): void {
    this.#standing = false;
    if (this.#version === undefined) return;
    this.#version.release();
    this.#version = undefined;
    this.#merge = undefined;
    this.#top = undefined;
    this.#untaken = false;
    this.#life.leaks?.closed(this);
  }

  /** Closes the iterator. */
  [Symbol.dispose](): void {
    this.close();
  }

  #seek(version: Version): MergingCursor {
    const merge = this.#merge ??= new MergingCursor(version.cursors());
    const target = this.#target;
    if (this.#reverse) {
      merge.seekBefore(earlier(target && successor(target), this.#end));
    } else merge.seekTo(later(target, this.#start));
    this.#top = undefined;
    this.#sought = true;
    return merge;
  }

  /** The newest visible entry of a key comes first; the others are passed. */
  #stepForward(merge: MergingCursor): boolean {
    if (this.#top !== undefined) {
      this.#top = undefined;
      merge.advanceKey();
    }
    for (let top = merge.top; top !== undefined; top = merge.top) {
      if (this.#isBeyondEnd(top)) return false;
      if (top.seq > this.#seq) merge.advance();
      else if (top.deleted) merge.advanceKey();
      else return this.#standOn(top);
    }
    return false;
  }

  /**
   * The newest visible entry of a key comes last, so it is remembered, unless
   * there is but one.
   */
  #stepBackward(merge: MergingCursor): boolean {
    if (this.#top !== undefined) {
      this.#top = undefined;
      merge.advance();
    }
    this.#keyLength = -1;
    // The value of the key before, which nobody wanted, has gone with the cursor.
    this.#untaken = false;
    let live = false;
    for (let top = merge.top; top !== undefined; top = merge.top) {
      if (this.#isBeforeStart(top)) break;
      const visible = top.seq <= this.#seq;
      if (this.#keyLength < 0 || !this.#isScratchKey(top)) {
        if (live) return true;
        if (visible && !top.deleted && merge.isAlone) return this.#standOn(top);
        this.#takeKey(top);
      }
      if (visible) {
        live = !top.deleted;
        // Before the cursor goes on, and the value with it.
        if (live && !this.#keysOnly) this.#value = top.takeValue();
      }
      merge.advance();
    }
    return live;
  }

  #standOn(top: Cursor): true {
    this.#top = top;
    this.#untaken = true;
    return true;
  }

  #isBeyondEnd(top: Cursor): boolean {
    const end = this.#end;
    return end !== undefined &&
      compareRanges(
          top.keyBuffer,
          top.keyAt,
          top.keyLength,
          end,
          0,
          end.length,
        ) >= 0;
  }

  #isBeforeStart(top: Cursor): boolean {
    const start = this.#start;
    return start !== undefined &&
      compareRanges(
          top.keyBuffer,
          top.keyAt,
          top.keyLength,
          start,
          0,
          start.length,
        ) < 0;
  }

  #isScratchKey(top: Cursor): boolean {
    return top.keyLength === this.#keyLength &&
      compareRanges(
          top.keyBuffer,
          top.keyAt,
          top.keyLength,
          this.#keyScratch,
          0,
          this.#keyLength,
        ) === 0;
  }

  #takeKey(top: Cursor): void {
    const { keyBuffer, keyAt, keyLength } = top;
    if (keyLength > this.#keyScratch.length) {
      this.#keyScratch = new Uint8Array(keyLength * 2);
    }
    for (let i = 0; i < keyLength; i++) {
      this.#keyScratch[i] = keyBuffer[keyAt + i]!;
    }
    this.#keyLength = keyLength;
  }

  #assertStanding(): void {
    if (!this.#standing) {
      throw new TypeError("Cannot read the iterator: it stands on no key");
    }
  }
}

/** The first key behind `key`. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

function later(
  a: Uint8Array | undefined,
  b: Uint8Array | undefined,
): Uint8Array | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareBytes(a, b) >= 0 ? a : b;
}

function earlier(
  a: Uint8Array | undefined,
  b: Uint8Array | undefined,
): Uint8Array | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareBytes(a, b) <= 0 ? a : b;
}
