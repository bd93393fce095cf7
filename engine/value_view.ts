/**
 * A value as it lies in memory, without a copy.
 *
 * Guarantees: its bytes stay as they are until it is disposed, whatever is
 * written, flushed, compacted or evicted meanwhile, and after the close of the
 * store. Only an undisposed view keeps the memory of a block from being used
 * for another one; one that is lost leaves it to the garbage collector.
 *
 * @module
 */

import { ClosedError } from "../runtime/mod.ts";
import type { BlockCache, CacheEntry } from "./cache/block_cache.ts";
import type { Leaks } from "./leaks.ts";

/** Where the bytes of a value are held. */
export interface Pinned {
  /** The cache whose memory it is. */
  readonly blocks: BlockCache;
  /** What holds the bytes. */
  readonly entry: CacheEntry;
}

/**
 * A value as it lies in memory. Made by `Lsm.getView`.
 *
 * Dispose it, best with `using`: its memory then serves other values, and bytes
 * taken from it before show those. The larger the value, the more it pays.
 */
export class ValueView implements Disposable {
  #bytes: Uint8Array | undefined;
  #pinned: Pinned | undefined;
  readonly #leaks: Leaks | undefined;

  /** Shows `bytes`, and pins what holds them; use `Lsm.getView`. */
  constructor(
    bytes: Uint8Array,
    pinned: Pinned | undefined,
    leaks: Leaks | undefined,
  ) {
    this.#bytes = bytes;
    this.#pinned = pinned;
    if (pinned !== undefined) pinned.entry.pins++;
    this.#leaks = leaks;
    leaks?.opened(this, "view");
  }

  /**
   * The value. Only to be read: other readers have the same bytes, and what is
   * changed here is changed for them. They may lie in a `SharedArrayBuffer`.
   *
   * @throws {ClosedError} If the view is disposed.
   */
  get bytes(): Uint8Array {
    if (this.#bytes === undefined) throw new ClosedError("read", "the view");
    return this.#bytes;
  }

  /** Gives the memory back. Idempotent. */
  [Symbol.dispose](): void {
    const pinned = this.#pinned;
    this.#bytes = undefined;
    this.#pinned = undefined;
    pinned?.blocks.unpin(pinned.entry);
    this.#leaks?.closed(this);
  }
}
