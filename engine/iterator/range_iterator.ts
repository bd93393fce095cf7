/**
 * The iterator that users get: the visible keys of a range, in order.
 *
 * Guarantees: sees the state of the moment it was made. Until it is at its end
 * or closed it holds its version, and thereby the files of that moment. A step
 * allocates nothing; `key` and `value` give copies. After a step has failed,
 * all further ones do.
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
import type { Version } from "../version.ts";
import type { Cursor } from "./cursor.ts";
import { MergingCursor } from "./merging_cursor.ts";

/** What tells whether the store is closed. */
interface Life {
  readonly closed: boolean;
}

/** Reads the visible keys of a range in order. */
export class RangeIterator implements KVIterator {
  readonly #life: Life;
  readonly #seq: number;
  readonly #reverse: boolean;
  readonly #start: Uint8Array | undefined;
  readonly #end: Uint8Array | undefined;
  #version: Version | undefined;
  #merge: MergingCursor | undefined;
  #failure: unknown;
  #standing = false;
  #keyScratch = new Uint8Array(64);
  #keyLength = -1;
  #valueBuffer: Uint8Array = EMPTY_BYTES;
  #valueAt = 0;
  #valueLength = 0;

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
    const { prefix } = options;
    const start = later(options.start, prefix);
    const end = earlier(options.end, prefix && prefixEnd(prefix));
    // Not "slice", which on a Node Buffer shares the caller's memory.
    this.#start = start && new Uint8Array(start);
    this.#end = end && new Uint8Array(end);
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
      const merge = this.#merge ?? this.#seek(this.#version);
      this.#standing = this.#reverse
        ? this.#stepBackward(merge)
        : this.#stepForward(merge);
    } catch (error) {
      // Cursors stand anywhere now: going on could pass over what is damaged.
      this.#failure = error;
      this.close();
      throw error;
    }
    // Only the files go; key and value of the last step stay where they are.
    if (!this.#standing) this.close();
    return this.#standing;
  }

  get key(): Bytes {
    this.#assertStanding();
    return giveRange(this.#keyScratch, 0, this.#keyLength);
  }

  get value(): Bytes {
    this.#assertStanding();
    return giveRange(this.#valueBuffer, this.#valueAt, this.#valueLength);
  }

  close(): void {
    this.#standing = false;
    this.#version?.release();
    this.#version = undefined;
    this.#merge = undefined;
  }

  #seek(version: Version): MergingCursor {
    const merge = new MergingCursor(version.cursors());
    if (this.#reverse) merge.seekBefore(this.#end);
    else merge.seekTo(this.#start);
    this.#merge = merge;
    return merge;
  }

  /** The newest visible entry of a key comes first; the others are passed. */
  #stepForward(merge: MergingCursor): boolean {
    for (let top = merge.top; top !== undefined; top = merge.top) {
      if (this.#isBeyondEnd(top)) return false;
      if (top.seq <= this.#seq && !this.#isScratchKey(top)) {
        this.#takeKey(top);
        if (!top.deleted) {
          this.#takeValue(top);
          return true;
        }
      }
      merge.advance();
    }
    return false;
  }

  /** The newest visible entry of a key comes last, so it is remembered. */
  #stepBackward(merge: MergingCursor): boolean {
    this.#keyLength = -1;
    let live = false;
    for (let top = merge.top; top !== undefined; top = merge.top) {
      if (this.#isBeforeStart(top)) break;
      if (top.seq <= this.#seq) {
        if (!this.#isScratchKey(top)) {
          if (live) return true;
          this.#takeKey(top);
        }
        live = !top.deleted;
        this.#takeValue(top);
      }
      merge.advance();
    }
    return live;
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

  #takeValue(top: Cursor): void {
    this.#valueBuffer = top.valueBuffer;
    this.#valueAt = top.valueAt;
    this.#valueLength = top.valueLength;
  }

  #assertStanding(): void {
    if (!this.#standing) {
      throw new TypeError("Cannot read the iterator: it stands on no key");
    }
  }
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
