/**
 * The engine's face: a log-structured merge tree as a {@linkcode KV}.
 *
 * A write goes down: here, `commit.ts` (groups), `wal/` (the log), `memtable/`;
 * later `background.ts` (flush, compaction), `table/`. A read goes through
 * `version.ts`: memtables, then tables from the newest to the oldest.
 *
 * @module
 */

import {
  type Bytes,
  ClosedError,
  LimitError,
  NotSupportedError,
} from "../runtime/mod.ts";
import { Background } from "./background.ts";
import { BulkLoad } from "./bulk_load.ts";
import { Committer } from "./commit.ts";
import { RangeIterator } from "./iterator/range_iterator.ts";
import type {
  BatchOp,
  IterateOptions,
  KV,
  KVBulkLoad,
  KVSnapshot,
  WriteOptions,
} from "./kv.ts";
import type { LogWriter } from "./log/writer.ts";
import type { LsmMetrics } from "./metrics.ts";
import type { LsmOptions } from "./options.ts";
import type { BoundedRange, KeyRange } from "./range.ts";
import { openReadOnly } from "./read_only.ts";
import { openStore } from "./recovery.ts";
import type { Store, WrittenBytes } from "./store.ts";
import {
  checkOpenStore,
  type CheckOptions,
  type CheckReport,
} from "./upkeep/check.ts";
import { makeCheckpoint } from "./upkeep/checkpoint.ts";
import { ingestTables } from "./upkeep/ingest.ts";
import { approximateSize, deleteRange } from "./upkeep/ranges.ts";
import type { ValueView } from "./value_view.ts";

/**
 * Opens the store in a directory, or, unless for reading only, makes one there.
 *
 * @throws {LockedError} If another handle, in this process or another, has it
 * open.
 * @throws {StorageError} If the directory or a file cannot be used.
 * @throws {FileNotFoundError} If it is to be read only and holds no store.
 * @throws {CorruptionError} If files are damaged or missing.
 * @throws {FormatVersionError} If a newer version wrote them.
 */
export async function openLsm(dir: string, options: LsmOptions): Promise<Lsm> {
  if (options.readOnly) return new Lsm(openReadOnly(dir, options), undefined);
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
  /** Absent if the store is open for reading only. */
  readonly #committer: Committer | undefined;
  #load: BulkLoad | undefined;
  #closing: Promise<void> | undefined;

  /** Serves a store that was opened; use {@linkcode openLsm}. */
  constructor(store: Store, wal: LogWriter | undefined) {
    this.#store = store;
    this.#background = new Background(
      store,
      ({ lastWal }) => this.#committer?.forgetWals(lastWal),
    );
    if (wal === undefined) return;
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
    const store = this.#store;
    return store.current.get(key, store.visibleSeq, store.places);
  }

  /**
   * The value of a key as it lies in memory, not copied, only to be read;
   * `undefined` if it has none. Dispose it: until then its memory is not used
   * again. It stays as it is whatever is written meanwhile, and after `close`.
   *
   * @throws {ClosedError} After `close`.
   * @throws {CorruptionError} If the bytes in a table are damaged.
   */
  getView(key: Uint8Array): ValueView | undefined {
    this.#assertOpen("read");
    const { current, visibleSeq, leaks } = this.#store;
    return current.getView(key, visibleSeq, leaks);
  }

  /**
   * The values of keys, as {@linkcode Lsm.get} gives them, in the order of the
   * keys, all of one moment.
   *
   * @throws {ClosedError} After `close`.
   * @throws {CorruptionError} If the bytes in a table are damaged.
   */
  getMany(keys: readonly Uint8Array[]): (Bytes | undefined)[] {
    this.#assertOpen("read");
    return getMany(this.#store, keys, this.#store.visibleSeq);
  }

  /**
   * How many keys there are in a range. Reads their keys, not their values.
   *
   * @throws {ClosedError} After `close`.
   * @throws {CorruptionError} If the bytes in a table are damaged.
   */
  count(options: IterateOptions = {}): number {
    return countOf(this.iterate({ ...options, keysOnly: true }));
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
   * @throws {NotSupportedError} If the store is open for reading only.
   */
  write(
    batch: readonly BatchOp[],
    options?: WriteOptions,
  ): Promise<void> {
    try {
      const writer = this.#writer("write");
      return writer.write(batch, options?.sync ?? false);
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
    await this.#writer("flush").sealMemtable();
    await this.#store.flushed();
  }

  /**
   * Deletes the keys of a range that are there now, in batches of bounded size.
   * Not atomic: a reader, or a crash, may see some of them deleted.
   *
   * @returns How many there were.
   * @throws As {@linkcode Lsm.write}.
   */
  async deleteRange(
    range: KeyRange,
    options: WriteOptions = {},
  ): Promise<number> {
    this.#writer("delete a range");
    return await deleteRange(this, range, options);
  }

  /**
   * Gives a range of keys up: nobody sets a key in it any more while the store is
   * open, and what is read there may be there still or not. Once all that was written
   * before this call is on the device, tables that are wholly in the range are let
   * go of unread, and merges drop what else there is. That much is not durable:
   * who opens the store anew gives the range up anew.
   *
   * It is a hint: of ranges apart from each other it takes 64.
   *
   * @param range Both ends must be given. `end` at or before `start`: nothing.
   * @throws {ClosedError} After `close`.
   * @throws {NotSupportedError} If the store is open for reading only.
   */
  abandon(range: BoundedRange): void {
    this.#writer("abandon a range");
    this.#store.abandoned.add(range, this.#store.visibleSeq);
  }

  /**
   * About how many bytes of tables hold a range of keys, older versions and
   * deletions included; what is in memtables is not counted. Reads no data.
   *
   * @throws {ClosedError} After `close`.
   * @throws {CorruptionError} If a table's index is damaged.
   */
  approximateSize(range: KeyRange = {}): number {
    this.#assertOpen("measure");
    return approximateSize(this.#store.current, range);
  }

  /**
   * Merges a range of keys as deep as it goes, which frees the room of what was
   * overwritten or deleted and is not seen by a snapshot.
   *
   * @throws {ClosedError} After `close`.
   * @throws {PoisonedError} If a write or background job failed.
   */
  async compact(range: KeyRange = {}): Promise<void> {
    await this.flush();
    await this.#background.exclusively(() =>
      this.#background.compactRange(range)
    );
    this.#store.assertHealthy();
  }

  /**
   * Makes a copy of the store in another directory that opens as a store of its
   * own: the state of some moment during the call, with every batch whose write
   * resolved before it. Writes go on meanwhile. Costs no room on the same
   * device: tables are never changed, and the copy names the same ones.
   *
   * @param dir Must be absent, or hold no file of a store. Until it is
   * complete it opens as no store; if the process ends on the way,
   * `destroyLsm` removes what there is.
   * @throws {ClosedError} After `close`.
   * @throws {StorageError} If the directory is in use, or cannot be written.
   * @throws {PoisonedError} If a write or background job failed.
   */
  async checkpoint(dir: string): Promise<void> {
    await this.flush();
    await makeCheckpoint(this.#store, dir);
  }

  /**
   * Takes in tables written by `buildTable`, all or none of them, also at a
   * crash: newer than all batches handed in before, in the deepest level where
   * that is right. A batch handed in meanwhile is before or after them. They are
   * checked whole and copied, and stay as they are; while they are copied writes
   * wait, reads do not.
   *
   * @param paths The tables; no two have keys in the same stretch.
   * @throws {ClosedError} After `close`.
   * @throws {CorruptionError} If one is damaged, or no such table.
   * @throws {RangeError} If two of them overlap.
   * @throws {StorageError} If a file cannot be read or written.
   * @throws {PoisonedError} If a write or background job failed.
   */
  async ingest(paths: readonly string[]): Promise<void> {
    await ingestTables(this.#store, paths, {
      committer: this.#writer("ingest"),
      background: this.#background,
    });
  }

  /**
   * Begins to write many rows straight into tables, all or none of them, also at a
   * crash: past the log, the memtables and the compactions. They are newer than all
   * batches handed in before. From here to the end of the load nobody else may read
   * or write between the first and the last key of the rows appended, nor between
   * those of the rows inserted; what is elsewhere is read and written as ever.
   *
   * ```ts ignore
   * const load = await store.load();
   * try {
   *   for (const rows of chunksInOrder) await load.append(rows);
   *   await load.finish();
   * } finally {
   *   await load.close(); // unless it is finished, nothing is left of it
   * }
   * ```
   *
   * @throws {ClosedError} After `close`.
   * @throws {LimitError} If another load is under way.
   * @throws {StorageError} If the MANIFEST cannot be written.
   * @throws {PoisonedError} If a write or background job failed.
   * @throws {NotSupportedError} If the store is open for reading only.
   */
  async load(): Promise<KVBulkLoad> {
    const committer = this.#writer("load");
    if (this.#load !== undefined && !this.#load.isDone) {
      throw new LimitError("load", "the number of loads", 2, 0, 1);
    }
    const load = this.#load = new BulkLoad(this.#store, this.#background);
    try {
      await load.begin(committer);
      return load;
    } catch (error) {
      await load.close();
      throw error;
    }
  }

  /**
   * Reads everything and compares it with what it must be: every block, entry,
   * log and the MANIFEST. Goes on behind what is broken, and names all of it.
   *
   * @throws {ClosedError} After `close`, also if that comes in between.
   * @throws {StorageError} If a file cannot be read.
   */
  async check(options: CheckOptions = {}): Promise<CheckReport> {
    this.#assertOpen("check");
    return await checkOpenStore(this.#store, options);
  }

  /** Waits until no flush or compaction is left to do. */
  async idle(): Promise<void> {
    await this.#committer?.drain();
    await this.#background.idle();
    await this.#store.discarded();
  }

  /**
   * Resolves with the reason once a write, a sync or a background job has failed:
   * it takes no more writes.
   */
  get failed(): Promise<unknown> {
    return this.#store.failed;
  }

  /** How the store stands, and what it has done since it was opened. */
  metrics(): LsmMetrics {
    return this.#store.meter.metricsOf(this.#store);
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
    const committer = this.#committer;
    await committer?.drain();
    const loaded = this.#load?.close();
    await this.#background.stop();
    await loaded;
    try {
      if (committer !== undefined && !this.#store.poisoned) {
        await committer.seal();
        await this.#store.manifest.seal();
      }
    } finally {
      committer?.close();
      await this.#store.discarded();
      this.#store.release();
      this.#store.emit({ type: "closed" });
    }
  }

  #writer(action: string): Committer {
    this.#assertOpen(action);
    if (this.#committer !== undefined) return this.#committer;
    throw new NotSupportedError(
      action,
      "the store is open for reading only",
    );
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
    store.leaks?.opened(this, "snapshot");
  }

  /** The value that a key had, a copy. */
  get(key: Uint8Array): Bytes | undefined {
    this.#assertOpen("read");
    const store = this.#store;
    return store.current.get(key, this.#seq, store.places);
  }

  /**
   * The value that a key had, as {@linkcode Lsm.getView} gives it. May outlive
   * the snapshot.
   */
  getView(key: Uint8Array): ValueView | undefined {
    this.#assertOpen("read");
    const { current, leaks } = this.#store;
    return current.getView(key, this.#seq, leaks);
  }

  /** The values that keys had, in the order of the keys. */
  getMany(keys: readonly Uint8Array[]): (Bytes | undefined)[] {
    this.#assertOpen("read");
    return getMany(this.#store, keys, this.#seq);
  }

  /** How many keys there were in a range. */
  count(options: IterateOptions = {}): number {
    return countOf(this.iterate({ ...options, keysOnly: true }));
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
    if (this.#closed) return;
    this.#closed = true;
    this.#store.forgetSeq(this.#seq);
    this.#store.leaks?.closed(this);
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

function getMany(
  store: Store,
  keys: readonly Uint8Array[],
  seq: number,
): (Bytes | undefined)[] {
  return keys.map((key) => store.current.get(key, seq, store.places));
}

function countOf(keys: RangeIterator): number {
  using closing = keys;
  let count = 0;
  while (closing.next()) count++;
  return count;
}
