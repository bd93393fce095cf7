/**
 * A small engine in memory whose every answer is a promise that settles in a
 * later microtask: whoever works on it leans on no synchronous read.
 *
 * Guarantees: the contract of {@linkcode KV}, except that nothing is kept.
 * Assumes little data: each write copies the whole list.
 *
 * @module
 */

import {
  type Bytes,
  ClosedError,
  compareBytes,
  LimitError,
  prefixEnd,
} from "../../runtime/mod.ts";
import type {
  BatchOp,
  IterateOptions,
  KV,
  KVIterator,
  KVReader,
  KVSnapshot,
} from "../kv.ts";
import { ENGINE_KEY_BYTES_MAX } from "../wal/batch.ts";

interface Entry {
  readonly key: Bytes;
  readonly value: Bytes;
}

/** Opens an empty engine whose every call is awaited. */
export function openAwaitedKv(): Promise<KV> {
  return Promise.resolve(new AwaitedKv());
}

/** What the readers of one engine share. */
interface Life {
  readonly closed: boolean;
}

/** A sorted list that never changes. */
class AwaitedReader implements KVReader {
  readonly #entries: () => readonly Entry[];
  readonly #life: Life;

  constructor(entries: () => readonly Entry[], life: Life) {
    this.#entries = entries;
    this.#life = life;
  }

  async get(key: Uint8Array): Promise<Bytes | undefined> {
    assertOpen(this.#life, "read");
    const entries = this.#entries();
    await later();
    const entry = entries[lowerBound(entries, key)];
    return entry !== undefined && compareBytes(entry.key, key) === 0
      ? entry.value.slice()
      : undefined;
  }

  iterate(options: IterateOptions = {}): KVIterator {
    assertOpen(this.#life, "iterate");
    const entries = this.#entries();
    const { prefix, start, end } = options;
    let first = start === undefined ? 0 : lowerBound(entries, start);
    let last = end === undefined ? entries.length : lowerBound(entries, end);
    if (prefix !== undefined) {
      first = Math.max(first, lowerBound(entries, prefix));
      const behind = prefixEnd(prefix);
      if (behind !== undefined) {
        last = Math.min(last, lowerBound(entries, behind));
      }
    }
    const range = entries.slice(first, Math.max(first, last));
    if (options.reverse) range.reverse();
    return new AwaitedIterator(range, this.#life);
  }
}

class AwaitedIterator implements KVIterator {
  readonly #entries: readonly Entry[];
  readonly #life: Life;
  #at = -1;
  #closed = false;

  constructor(entries: readonly Entry[], life: Life) {
    this.#entries = entries;
    this.#life = life;
  }

  async next(): Promise<boolean> {
    await later();
    if (this.#closed || this.#at >= this.#entries.length) return false;
    assertOpen(this.#life, "iterate");
    return ++this.#at < this.#entries.length;
  }

  get key(): Bytes {
    return this.#entry().key.slice();
  }

  get value(): Bytes {
    return this.#entry().value.slice();
  }

  async close(): Promise<void> {
    await later();
    this.#closed = true;
  }

  #entry(): Entry {
    const entry = this.#closed ? undefined : this.#entries[this.#at];
    if (entry === undefined) {
      throw new TypeError("Cannot read the iterator: it stands on no key");
    }
    return entry;
  }
}

/** Over when it was closed, or the store was. */
class SnapshotLife implements Life {
  readonly #store: Life;
  #closed = false;

  constructor(store: Life) {
    this.#store = store;
  }

  get closed(): boolean {
    return this.#closed || this.#store.closed;
  }

  end(): void {
    this.#closed = true;
  }
}

class AwaitedSnapshot extends AwaitedReader implements KVSnapshot {
  readonly #life: SnapshotLife;

  constructor(entries: readonly Entry[], life: SnapshotLife) {
    super(() => entries, life);
    this.#life = life;
  }

  async close(): Promise<void> {
    await later();
    this.#life.end();
  }
}

class AwaitedKv extends AwaitedReader implements KV {
  readonly synchronous = false;
  readonly #state: { closed: boolean; entries: readonly Entry[] };
  #writes: Promise<void> = Promise.resolve();

  constructor() {
    const state = { closed: false, entries: [] as readonly Entry[] };
    super(() => state.entries, state);
    this.#state = state;
  }

  async write(batch: readonly BatchOp[]): Promise<void> {
    assertOpen(this.#state, "write");
    for (const { key } of batch) {
      if (key.length === 0 || key.length > ENGINE_KEY_BYTES_MAX) {
        throw new LimitError(
          "write",
          "a key",
          key.length,
          1,
          ENGINE_KEY_BYTES_MAX,
        );
      }
    }
    await (this.#writes = this.#writes.then(later).then(() =>
      this.#apply(batch)
    ));
  }

  async snapshot(): Promise<KVSnapshot> {
    assertOpen(this.#state, "take a snapshot");
    const { entries } = this.#state;
    await later();
    return new AwaitedSnapshot(entries, new SnapshotLife(this.#state));
  }

  async close(): Promise<void> {
    this.#state.closed = true;
    await this.#writes;
    await later();
  }

  #apply(batch: readonly BatchOp[]): void {
    const entries = [...this.#state.entries];
    for (const { key, value } of batch) {
      const at = lowerBound(entries, key);
      const found = entries[at] !== undefined &&
        compareBytes(entries[at].key, key) === 0;
      const entry = value === undefined
        ? []
        : [{ key: key.slice() as Bytes, value: value.slice() as Bytes }];
      entries.splice(at, found ? 1 : 0, ...entry);
    }
    this.#state.entries = entries;
  }
}

function lowerBound(entries: readonly Entry[], key: Uint8Array): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(entries[middle]!.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function assertOpen(life: Life, action: string): void {
  if (life.closed) throw new ClosedError(action, "the store");
}

/** A few turns later, so that an answer never comes in the turn of the call. */
async function later(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await undefined;
}
