/**
 * The engine's face: a log-structured merge tree as a {@linkcode KV}.
 *
 * A write goes down: here, `commit.ts` (groups), `wal/` (the log), `memtable/`;
 * later `background.ts` (flush, compaction), `table/`. A read goes through
 * `version.ts`: memtables, then tables from the newest to the oldest.
 *
 * @module
 */

import { type Bytes, ClosedError } from "../runtime/mod.ts";
import { Background } from "./background.ts";
import { Committer } from "./commit.ts";
import { RangeIterator } from "./iterator/range_iterator.ts";
import type {
  BatchOp,
  IterateOptions,
  KV,
  KVSnapshot,
  WriteOptions,
} from "./kv.ts";
import type { LogWriter } from "./log/writer.ts";
import type { LsmOptions } from "./options.ts";
import { openStore } from "./recovery.ts";
import type { Store, WrittenBytes } from "./store.ts";

/**
 * Opens the store in a directory, or makes one there.
 *
 * @throws {LockedError} If another handle, in this process or another, has it
 * open.
 * @throws {StorageError} If the directory or a file cannot be used.
 * @throws {CorruptionError} If files are damaged or missing.
 * @throws {FormatVersionError} If a newer version wrote them.
 */
export async function openLsm(dir: string, options: LsmOptions): Promise<Lsm> {
  const { store, wal } = await openStore(dir, options);
  return new Lsm(store, wal);
}

/** How much a store holds. */
export interface LsmStats {
  /** Tables in each level. */
  tables: number[];
  /** Bytes of all tables. */
  tableBytes: number;
  /** Memory of all memtables, in bytes. */
  memtableBytes: number;
  /** Memory of cached blocks, in bytes. */
  cacheBytes: number;
  /** What has been written since the store was opened, in bytes. */
  written: WrittenBytes;
  /**
   * Bytes written to logs and tables, by bytes of keys and values handed in; 0
   * as long as nothing was.
   */
  writeAmplification: number;
}

/** A store on files. Made by {@linkcode openLsm}. */
export class Lsm implements KV, AsyncDisposable {
  /** Reads never wait. */
  readonly synchronous = true;
  readonly #store: Store;
  readonly #background: Background;
  readonly #committer: Committer;
  #closing: Promise<void> | undefined;

  /** Serves a store that was opened; use {@linkcode openLsm}. */
  constructor(store: Store, wal: LogWriter) {
    this.#store = store;
    this.#background = new Background(store);
    this.#committer = new Committer(store, wal, () => this.#background.kick());
    this.#background.kick();
  }

  /**
   * The value of a key, a copy; `undefined` if it has none.
   *
   * @throws {ClosedError} After `close`.
   * @throws {CorruptionError} If the bytes in a table are damaged.
   */
  get(key: Uint8Array): Bytes | undefined {
    this.#assertOpen("read");
    return this.#store.current.get(key, this.#store.visibleSeq);
  }

  /**
   * Iterates over the keys as they are now. Close it, or go to its end: until
   * then the files of this moment stay.
   *
   * @throws {ClosedError} After `close`.
   */
  iterate(options: IterateOptions = {}): RangeIterator {
    this.#assertOpen("iterate");
    const store = this.#store;
    return new RangeIterator(
      store.current.acquire(),
      store.visibleSeq,
      store,
      options,
    );
  }

  /**
   * The state of this moment. Close it: until then what it sees is kept.
   *
   * @throws {ClosedError} After `close`.
   */
  snapshot(): LsmSnapshot {
    this.#assertOpen("take a snapshot");
    return new LsmSnapshot(this.#store);
  }

  /**
   * Applies a batch, atomically, after all batches handed in before it. Waits
   * while flushes or compactions are behind.
   *
   * @throws {ClosedError} After `close`.
   * @throws {LimitError} If a key is empty or longer than 65,535 bytes, the batch
   * larger than 1 GiB, or too much waits: 1,000,000 batches, or 256 MiB.
   * @throws {StorageError} If this write failed; whether it happened is known
   * only after the store was opened anew.
   * @throws {PoisonedError} If an earlier write failed.
   */
  write(
    batch: readonly BatchOp[],
    options?: WriteOptions,
  ): Promise<void> {
    try {
      this.#assertOpen("write");
      return this.#committer.write(batch, options?.sync ?? false);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Writes what is in memory to tables and waits for it.
   *
   * @throws {ClosedError} After `close`.
   * @throws {PoisonedError} If a write or background job failed.
   */
  async flush(): Promise<void> {
    this.#assertOpen("flush");
    await this.#committer.sealMemtable();
    const store = this.#store;
    // Not those that writers seal meanwhile, or it might never end.
    const [newest] = store.current.sealed;
    while (
      newest !== undefined && store.current.sealed.includes(newest) &&
      !store.poisoned
    ) await store.progress.wait();
    store.assertHealthy();
  }

  /** Waits until no flush or compaction is left to do. */
  async idle(): Promise<void> {
    await this.#committer.drain();
    await this.#background.idle();
  }

  /** How much the store holds. */
  stats(): LsmStats {
    const { active, sealed, levels } = this.#store.current;
    const { written } = this.#store;
    return {
      tables: levels.map((tables) => tables.length),
      tableBytes: levels.flat().reduce((sum, { info }) => sum + info.size, 0),
      memtableBytes: sealed.reduce(
        (sum, { bytes }) => sum + bytes,
        active.bytes,
      ),
      cacheBytes: this.#store.blocks.bytes,
      written: { ...written },
      writeAmplification: written.user === 0
        ? 0
        : (written.wal + written.flushed + written.compacted) / written.user,
    };
  }

  /**
   * Settles what was handed in, ends the background work, marks the logs as
   * complete and gives the directory free. Idempotent. Reads and writes fail
   * from the call on.
   *
   * @throws {StorageError} If the logs could not be marked; the store is closed
   * all the same.
   */
  close(): Promise<void> {
    this.#store.closed = true;
    return this.#closing ??= this.#close();
  }

  /** Closes the store. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#committer.drain();
    await this.#background.stop();
    try {
      if (!this.#store.poisoned) {
        await this.#committer.seal();
        await this.#store.manifest.seal();
      }
    } finally {
      this.#committer.close();
      this.#store.release();
    }
  }

  #assertOpen(action: string): void {
    if (this.#store.closed) throw new ClosedError(action, "the store");
  }
}

/** The state of a moment. Made by {@linkcode Lsm.snapshot}. */
export class LsmSnapshot implements KVSnapshot, Disposable {
  readonly #store: Store;
  readonly #seq: number;
  #closed = false;

  /** Remembers what is visible now; use {@linkcode Lsm.snapshot}. */
  constructor(store: Store) {
    this.#store = store;
    this.#seq = store.visibleSeq;
    store.rememberSeq(this.#seq);
  }

  /** The value that a key had, a copy. */
  get(key: Uint8Array): Bytes | undefined {
    this.#assertOpen("read");
    return this.#store.current.get(key, this.#seq);
  }

  /** Iterates over the keys that there were. May outlive the snapshot. */
  iterate(options: IterateOptions = {}): RangeIterator {
    this.#assertOpen("iterate");
    const store = this.#store;
    return new RangeIterator(
      store.current.acquire(),
      this.#seq,
      store,
      options,
    );
  }

  /** Lets the store forget that state. Idempotent. */
  close(): void {
    if (!this.#closed) this.#store.forgetSeq(this.#seq);
    this.#closed = true;
  }

  /** Closes the snapshot. */
  [Symbol.dispose](): void {
    this.close();
  }

  #assertOpen(action: string): void {
    if (this.#closed) throw new ClosedError(action, "the snapshot");
    if (this.#store.closed) throw new ClosedError(action, "the store");
  }
}
