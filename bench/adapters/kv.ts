/**
 * The stores of the bench as engines of ours: each implements `KV` whole, which
 * is what "works on any store that implements `KV`" means. They serve the
 * conformance suite, not the measurements.
 */

import type {
  BatchOp,
  IterateOptions,
  KV,
  KVIterator,
  KVReader,
} from "../../engine/kv.ts";
import {
  type Bytes,
  ClosedError,
  compareBytes,
  LimitError,
  prefixEnd,
} from "../../runtime/mod.ts";
import type { StoreSettings } from "../peers/settings.ts";

/** Opens a store in a directory that exists. */
export type OpenKv = (dir: string, settings: StoreSettings) => Promise<KV>;

/** Keys from `start` on, before `end`; empty if `end` is not behind `start`. */
export interface Bounds {
  readonly start: Uint8Array | undefined;
  readonly end: Uint8Array | undefined;
  readonly empty: boolean;
}

/** The bounds that options mean, with the prefix worked in. */
export function boundsOf(options: IterateOptions): Bounds {
  const { prefix } = options;
  let { start, end } = options;
  if (prefix !== undefined && prefix.length > 0) {
    if (start === undefined || compareBytes(start, prefix) < 0) start = prefix;
    const behind = prefixEnd(prefix);
    if (
      behind !== undefined &&
      (end === undefined || compareBytes(end, behind) > 0)
    ) end = behind;
  }
  // No key is empty, and not every store takes an empty bound.
  if (start?.length === 0) start = undefined;
  const empty = end !== undefined &&
    (end.length === 0 || start !== undefined && compareBytes(start, end) >= 0);
  return { start, end, empty };
}

/** Bytes of our own: neither a `Buffer` nor part of a larger one. */
export function owned(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

/** Throws unless every key may be written. */
export function assertKeys(batch: readonly BatchOp[], bytesMax: number): void {
  for (const { key } of batch) {
    if (key.length === 0 || key.length > bytesMax) {
      throw new LimitError("write", "a key", key.length, 1, bytesMax);
    }
  }
}

/** What the parts of an open store share. */
export class Life {
  #closed = false;

  /** Whether it is over. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Ends it; `false` if it was over. */
  end(): boolean {
    const first = !this.#closed;
    this.#closed = true;
    return first;
  }

  /** Throws if it is over. */
  assertOpen(action: string): void {
    if (this.#closed) throw new ClosedError(action, "the store");
  }
}

/** An entry of a store. */
export type Entry = readonly [key: Uint8Array, value: Uint8Array];

/** The state in which an iterator of any store is. */
abstract class Position {
  protected readonly life: Life;
  protected done = false;
  #entry: Entry | undefined;

  constructor(life: Life) {
    this.life = life;
  }

  get key(): Bytes {
    return owned(this.#standing()[0]);
  }

  get value(): Bytes {
    return owned(this.#standing()[1]);
  }

  /** Goes to an entry, or behind the last. */
  protected moveTo(entry: Entry | undefined): boolean {
    this.#entry = entry;
    return entry !== undefined;
  }

  #standing(): Entry {
    if (this.#entry !== undefined) return this.#entry;
    throw new TypeError("Cannot read the iterator: it stands on no key");
  }
}

/** An iterator over what a synchronous store gives. */
export class SyncIterator extends Position implements KVIterator {
  readonly #entries: Iterator<Entry>;
  readonly #release: () => void;

  /** @param release Called once, at the end or when it is closed. */
  constructor(life: Life, entries: Iterator<Entry>, release: () => void) {
    super(life);
    this.#entries = entries;
    this.#release = release;
  }

  next(): boolean {
    if (this.done) return this.moveTo(undefined);
    this.life.assertOpen("iterate");
    const { done, value } = this.#entries.next();
    if (done) this.#end();
    return this.moveTo(done ? undefined : value);
  }

  close(): void {
    this.moveTo(undefined);
    if (this.done) return;
    if (!this.life.closed) this.#entries.return?.();
    this.#end();
  }

  #end(): void {
    this.done = true;
    if (!this.life.closed) this.#release();
  }
}

/** An iterator over what a store gives by promises. */
export class AwaitedIterator extends Position implements KVIterator {
  readonly #step: () => Promise<Entry | undefined>;
  readonly #release: () => Promise<void>;

  /** @param release Called once, at the end or when it is closed. */
  constructor(
    life: Life,
    step: () => Promise<Entry | undefined>,
    release: () => Promise<void>,
  ) {
    super(life);
    this.#step = step;
    this.#release = release;
  }

  async next(): Promise<boolean> {
    if (this.done) return this.moveTo(undefined);
    this.life.assertOpen("iterate");
    const entry = await this.#step();
    if (entry === undefined) await this.close();
    return this.moveTo(entry);
  }

  async close(): Promise<void> {
    this.moveTo(undefined);
    if (this.done) return;
    this.done = true;
    if (!this.life.closed) await this.#release();
  }
}

/** An iterator over nothing. */
export function emptyIterator(life: Life): SyncIterator {
  return new SyncIterator(life, [][Symbol.iterator](), () => {});
}

/** A snapshot of a store, for as long as the store is open. */
export function snapshotOf<Closing>(
  life: Life,
  reader: KVReader,
  release: () => Closing,
): KVReader & { close(): Closing | undefined } {
  const own = new Life();
  return {
    get(key) {
      own.assertOpen("read");
      return reader.get(key);
    },
    iterate(options) {
      own.assertOpen("iterate");
      return reader.iterate(options);
    },
    close() {
      return own.end() && !life.closed ? release() : undefined;
    },
  };
}
