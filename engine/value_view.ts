/**
 * A value as it lies in memory, without a copy.
 *
 * Guarantees: its bytes stay as they are until it is disposed, whatever is
 * written, flushed, compacted or evicted meanwhile, and after the close of the
 * store. Only an undisposed view keeps the memory that it shows from being used
 * again; one that is lost leaves it to the garbage collector.
 *
 * @module
 */

import { ClosedError } from "../runtime/mod.ts";
import type { Leaks } from "./leaks.ts";

/** What has the bytes of a value in its memory. */
export interface Holder {
  /** Leaves that memory as it is until {@linkcode Holder.release}. */
  acquire(): void;
  /** May use it again, as far as this one is concerned. */
  release(): void;
}

/**
 * A value as it lies in memory. Made by `Lsm.getView`.
 *
 * Dispose it, best with `using`: its memory then serves other values, and bytes
 * taken from it before show those. The larger the value, the more it pays.
 */
export class ValueView implements Disposable {
  #bytes: Uint8Array | undefined;
  #holder: Holder | undefined;
  readonly #leaks: Leaks | undefined;

  /** Shows `bytes`, which `holder` has; use `Lsm.getView`. */
  constructor(bytes: Uint8Array, holder: Holder, leaks: Leaks | undefined) {
    this.#bytes = bytes;
    this.#holder = holder;
    holder.acquire();
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
    const holder = this.#holder;
    this.#bytes = undefined;
    this.#holder = undefined;
    holder?.release();
    this.#leaks?.closed(this);
  }
}
