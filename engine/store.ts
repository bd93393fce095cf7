/**
 * What is open of a store: its current version, its files and whether it still
 * works. The write path (`commit.ts`), the background (`background.ts`) and the
 * readers (`lsm.ts`) meet here and nowhere else.
 *
 * Guarantees: `current` changes by one assignment, and only after the edit that
 * it stands for is on the device. Once poisoned, nothing is written any more.
 *
 * @module
 */

import {
  compareBytes,
  type FileSystem,
  PoisonedError,
  type RuntimeFile,
} from "../runtime/mod.ts";
import { AbandonedRanges } from "./abandoned.ts";
import { BlockCache } from "./cache/block_cache.ts";
import { PlaceCache } from "./cache/place_cache.ts";
import { FileCache } from "./cache/file_cache.ts";
import { Leaks } from "./leaks.ts";
import type { VersionEdit } from "./manifest/edit.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { Memtable } from "./memtable/memtable.ts";
import { SpareMemory } from "./memtable/spare_memory.ts";
import {
  type LsmEvent,
  type LsmOptions,
  type LsmSettings,
  settingsOf,
} from "./options.ts";
import { Meter } from "./metrics.ts";
import { Signal } from "./signal.ts";
import { Table, type TableSet } from "./table/table.ts";
import { LEVELS, type Levels, Version } from "./version.ts";

/** Slots of a memtable's index that are looked at without a pause. */
const FORGET_SLOTS = 8192;

/** The share of the cache's memory that places take is one in this many. */
const PLACES_SHARE = 16;

/**
 * More memory for places is farther from the processor than what they save, and
 * keys that are nowhere are asked for in vain: half a million places.
 */
const PLACES_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Room that a WAL gets at a time at most, in bytes: the sync that covers it writes
 * all of it.
 */
const ROOM_BYTES_MAX = 128 * 1024;

/** The share of a memtable's memory that such room takes is one in this many. */
const ROOM_SHARE = 8;

/** What has been written since the store was opened, in bytes. */
export interface WrittenBytes {
  /** Keys and values handed in. */
  user: number;
  /** Write-ahead logs. */
  wal: number;
  /** Tables by flushes. */
  flushed: number;
  /** Tables by compactions. */
  compacted: number;
}

/** The shared state of an open store. */
export class Store implements TableSet {
  /** The file system. */
  readonly files: FileSystem;
  /** The store's directory. */
  readonly dir: string;
  /** Options with defaults. */
  readonly settings: LsmSettings;
  /** The log of version edits. */
  readonly manifest: Manifest;
  /** Open files of tables. */
  readonly handles: FileCache;
  /** Blocks in memory. */
  readonly blocks: BlockCache;
  /** Where keys were found in the tables of the current version. */
  readonly places: PlaceCache<Table>;
  /** Ranges of keys that nobody reads or sets any more. */
  readonly abandoned: AbandonedRanges = new AbandonedRanges();
  /** Notified when a flush or compaction is done, or the store is poisoned. */
  readonly progress: Signal = new Signal();
  /** Counts what happens. */
  readonly meter: Meter;
  /** Watches over iterators and snapshots, if anyone listens. */
  readonly leaks: Leaks | undefined;
  /** The sequence number up to which readers see. */
  visibleSeq = 0;
  /** What has been written so far. */
  readonly written: WrittenBytes = {
    user: 0,
    wal: 0,
    flushed: 0,
    compacted: 0,
  };
  /** Slices of compaction that were told of: all, while they are awaited. */
  compactedSlices = 0;
  /** Shared with threads: not 0 while writers wait for slices of compaction. */
  readonly slicesAwaited: Int32Array<SharedArrayBuffer> = new Int32Array(
    new SharedArrayBuffer(4),
  );
  /** Whether the user has closed the store. */
  closed = false;
  readonly #lock: RuntimeFile | undefined;
  readonly #onEvent: ((event: LsmEvent) => void) | undefined;
  readonly #snapshots: Map<number, number> = new Map();
  readonly #memory: SpareMemory;
  #current: Version;
  #nextNumber: number;
  /** Resolves when all that was discarded is removed. */
  #removed: Promise<void> = Promise.resolve();
  #failure: { error: unknown } | undefined;
  readonly #failed = Promise.withResolvers<unknown>();
  #installs: Promise<void> = Promise.resolve();

  /** Makes the state of a store whose MANIFEST has been read. */
  constructor(
    dir: string,
    options: LsmOptions,
    manifest: Manifest,
    lock: RuntimeFile | undefined,
  ) {
    this.files = options.files;
    this.dir = dir;
    this.settings = settingsOf(options);
    this.manifest = manifest;
    this.handles = new FileCache(this.files, this.settings.openFilesMax);
    const { cacheBytes } = this.settings;
    this.places = new PlaceCache(
      Math.min(cacheBytes / PLACES_SHARE, PLACES_BYTES_MAX),
    );
    this.blocks = new BlockCache(cacheBytes - this.places.bytes);
    this.#memory = new SpareMemory(
      this.settings.workers !== undefined,
      this.settings.memtableBytes,
    );
    this.meter = new Meter(options.clock);
    this.#lock = lock;
    this.#onEvent = options.onEvent;
    this.leaks = options.onEvent && new Leaks((event) => {
      // A closed store holds nothing any more.
      if (!this.closed) this.emit(event);
    }, this.settings.traceLeaks);
    this.#nextNumber = manifest.state.nextNumber;
    const levels = Array.from({ length: LEVELS }, (_, level) =>
      sortLevel(
        level,
        manifest.state.tables(level).map((info) => new Table(this, info)),
      ));
    this.#current = new Version(this.makeMemtable(), [], levels);
  }

  /** The store's id. */
  get storeId(): Uint8Array {
    return this.manifest.storeId;
  }

  /** Room that a WAL, which fills one memtable, gets at a time, in bytes. */
  get roomBytes(): number {
    const { memtableBytes } = this.settings;
    return Math.min(ROOM_BYTES_MAX, Math.floor(memtableBytes / ROOM_SHARE));
  }

  /** The current version. */
  get current(): Version {
    return this.#current;
  }

  /** Whether a write, sync or background job has failed. */
  get poisoned(): boolean {
    return this.#failure !== undefined;
  }

  /**
   * Makes an empty memtable, in memory that flushed ones have left; a thread that
   * flushes can read it.
   */
  makeMemtable(): Memtable {
    return new Memtable(this.#memory);
  }

  /** Takes the numbers of `count` new tables, and gives the first. */
  takeNumber(count = 1): number {
    const first = this.#nextNumber;
    this.#nextNumber += count;
    return first;
  }

  /** Tells the user what happened. A listener that throws is its own problem. */
  emit(event: LsmEvent): void {
    this.meter.observe(event);
    try {
      this.#onEvent?.(event);
    } catch (error) {
      // Rejected, unhandled: seen by the program, not by what happens to run.
      Promise.reject(error);
    }
  }

  /** Counts a slice of compaction, for which writers may wait. */
  countSlice(): void {
    this.compactedSlices++;
    this.progress.notify();
  }

  /** Resolves with what has poisoned it. */
  get failed(): Promise<unknown> {
    return this.#failed.promise;
  }

  /** Takes no more writes: what is on the device is not known any more. */
  poison(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#failed.resolve(error);
    this.emit({ type: "poisoned", error });
    this.progress.notify();
  }

  /** Throws if the store is poisoned. */
  assertHealthy(): void {
    if (this.#failure !== undefined) {
      throw new PoisonedError({ cause: this.#failure.error });
    }
  }

  /** Keeps what is visible at `seq` until {@linkcode Store.forgetSeq}. */
  rememberSeq(seq: number): void {
    this.#snapshots.set(seq, (this.#snapshots.get(seq) ?? 0) + 1);
  }

  /** Lets go of what {@linkcode Store.rememberSeq} kept. */
  forgetSeq(seq: number): void {
    const count = this.#snapshots.get(seq)! - 1;
    if (count === 0) this.#snapshots.delete(seq);
    else this.#snapshots.set(seq, count);
  }

  /** The sequence numbers that snapshots stand on, ascending. */
  snapshotSeqs(): number[] {
    return [...this.#snapshots.keys()].sort((a, b) => a - b);
  }

  /** Replaces the memtables; the tables stay. */
  setMemtables(active: Memtable, sealed: readonly Memtable[]): void {
    this.#swap(new Version(active, sealed, this.#current.levels));
  }

  /**
   * Makes an edit durable, then visible. Edits go one after the other.
   *
   * @param flushed The memtable that the added tables replace.
   * @throws {StorageError} If the MANIFEST could not be written.
   */
  install(edit: VersionEdit, flushed?: Memtable): Promise<void> {
    const done = this.#installs.then(() => this.#install(edit, flushed));
    this.#installs = done.catch(() => {});
    return done;
  }

  /**
   * Waits until all memtables that are sealed by now are tables.
   *
   * @throws {PoisonedError} If a write or background job failed.
   */
  async flushed(): Promise<void> {
    // Not those that writers seal meanwhile, or it might never end.
    const [newest] = this.#current.sealed;
    while (
      newest !== undefined && this.#current.sealed.includes(newest) &&
      !this.poisoned
    ) await this.progress.wait();
    this.assertHealthy();
  }

  /**
   * What is on the device: the tables, held until the version is released, and
   * the sum of all edits, which names exactly these.
   */
  pin(): Promise<{ edit: VersionEdit; version: Version }> {
    // Behind the edit that is being installed: until then the two differ.
    return this.#installs.then(() => ({
      edit: this.manifest.state.snapshot(),
      version: this.#current.acquire(),
    }));
  }

  /**
   * Removes a file that nobody needs. What could not be removed, the next open
   * removes; whoever closes an iterator can do nothing about it.
   */
  discard(path: string): void {
    // After the close, the directory may be someone else's.
    if (this.closed) return;
    if (this.files.removeAside === undefined) {
      try {
        this.files.remove(path);
      } catch {
        // As said above.
      }
      return;
    }
    // One at a time: a removal takes a processor for a while, and many at once
    // would take all of them from the program.
    this.#removed = this.#removed
      .then(() => this.files.removeAside!(path))
      .catch(() => {});
  }

  /** Resolves when all that was discarded so far is removed. */
  discarded(): Promise<void> {
    return this.#removed;
  }

  /** Closes all files and gives the directory free. */
  release(): void {
    this.handles.closeAll();
    this.manifest.close();
    this.#lock?.close();
  }

  async #install(edit: VersionEdit, flushed?: Memtable): Promise<void> {
    const isForgotten = flushed !== undefined && await this.#forget(flushed);
    this.assertHealthy();
    try {
      await this.manifest.append({ ...edit, nextNumber: this.#nextNumber });
    } catch (error) {
      // Here, and not where it is caught: the next edit is waiting already, and
      // must not stand behind one that may not be on the device.
      this.poison(error);
      throw error;
    }
    const { active, sealed, levels } = this.#current;
    const moved = new Map<number, Table>();
    for (const { level, number } of edit.dropped ?? []) {
      moved.set(number, levels[level]!.find((t) => t.info.number === number)!);
    }
    const dropped = new Map(moved);
    const next = levels.map((tables) =>
      tables.filter((table) => !moved.has(table.info.number))
    );
    for (const { level, info } of edit.added ?? []) {
      next[level]!.push(moved.get(info.number) ?? new Table(this, info));
      dropped.delete(info.number);
    }
    this.#swap(
      new Version(
        active,
        sealed.filter((memtable) => memtable !== flushed),
        next.map((tables, level) => sortLevel(level, tables)),
      ),
    );
    for (const table of dropped.values()) {
      this.places.drop(table);
      table.drop();
    }
    // What was in tables that go with the same edit is no newer than it was.
    const isNew = edit.added !== undefined && moved.size === 0;
    if (isNew && !isForgotten) this.places.clear();
  }

  /**
   * Forgets where the keys of a sealed memtable were found in tables, a slice at a
   * time: nobody finds them there again before they are in one of their own. `false`
   * if it does not know its keys.
   */
  async #forget(memtable: Memtable): Promise<boolean> {
    const { places, settings } = this;
    const { hashSlots } = memtable;
    for (let at = 0; at < hashSlots && !places.isEmpty; at += FORGET_SLOTS) {
      if (at > 0) await settings.yieldNow();
      const end = Math.min(at + FORGET_SLOTS, hashSlots);
      memtable.eachHash(at, end, (hash) => places.forget(hash));
    }
    return hashSlots > 0;
  }

  #swap(next: Version): void {
    const before = this.#current;
    this.#current = next;
    before.release();
  }
}

/** Level 0 from the newest, the others by key. */
function sortLevel(level: number, tables: Table[]): Levels[number] {
  return tables.sort(
    level === 0
      ? (a, b) => b.info.number - a.info.number
      : (a, b) => compareBytes(a.info.minKey, b.info.minKey),
  );
}
