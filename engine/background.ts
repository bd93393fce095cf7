/**
 * What goes on behind the writes: flushes turn sealed memtables into tables of
 * level 0, compactions keep the number of tables bounded.
 *
 * Guarantees: flushes go on beside one compaction at a time, so that a long one
 * never keeps writers waiting for memory. The table of the next memtable is made
 * while the device writes that of the one before, and made known after it. Each
 * is done in slices with a pause between. Order: tables on the device, their
 * names, the edit in the MANIFEST, the new version, and only then old files go; a
 * crash at any point leaves nothing worse than files that the next open removes.
 * Tables of abandoned ranges go by an edit alone. An error poisons the store.
 *
 * @module
 */

import type { Workers, WorkerThread } from "../runtime/mod.ts";
import {
  type Compaction,
  compactionOf,
  pickCompaction,
  sparing,
  totalBytes,
} from "./compaction/picker.ts";
import { Runner, StoppedError } from "./compaction/runner.ts";
import { intersects, type KeyRange, overlaps } from "./range.ts";
import type { Memtable } from "./memtable/memtable.ts";
import { joinPath, walName } from "./names.ts";
import type { Store } from "./store.ts";
import type { Compression } from "./table/codec.ts";
import type { TableInfo } from "./table/format.ts";
import type { Table } from "./table/table.ts";

/** Flushes and compacts. */
export class Background {
  readonly #store: Store;
  readonly #onFlushed: (memtable: Memtable) => void;
  readonly #flusher: Runner;
  readonly #compactor: Runner;
  /** Memtables that are being flushed. */
  readonly #flushing: Set<Memtable> = new Set();
  /** Resolves when all flushes that have begun are done, or have failed. */
  #flushed: Promise<void> = Promise.resolve();
  #compacting: Promise<void> | undefined;
  #stopping = false;
  #held = 0;
  #exclusive: Promise<void> = Promise.resolve();

  /** Calls `onFlushed` when a memtable's table is durable and visible. */
  constructor(store: Store, onFlushed: (memtable: Memtable) => void) {
    this.#store = store;
    this.#onFlushed = onFlushed;
    const { compactionFilter } = store.settings;
    const workers = store.settings.workers && sharing(store.settings.workers);
    let told = false;
    const onFailed = (error: unknown) => {
      // Both lose a thread that they share; the second hears that it was closed.
      if (!told || workers === store.settings.workers) {
        store.emit({ type: "workerFailed", error });
      }
      told = true;
    };
    this.#flusher = new Runner(store, workers, () => {}, onFailed);
    this.#compactor = new Runner(
      store,
      // A function cannot be sent to a thread.
      compactionFilter === undefined ? workers : undefined,
      () => store.countSlice(),
      onFailed,
    );
  }

  /** Starts what there is to do and is not being done. */
  kick(): void {
    if (this.#store.poisoned) return;
    for (const memtable of this.#store.current.sealed.toReversed()) {
      if (!this.#flushing.has(memtable)) this.#startFlush(memtable);
    }
    if (
      this.#compacting === undefined && !this.#stopping && this.#held === 0 &&
      this.#nextStep() !== undefined
    ) {
      this.#compacting = this.#guard(() => this.#compactAll()).then(() => {
        this.#compacting = undefined;
        this.#after();
      });
    }
  }

  /**
   * Runs a job while nothing else compacts, so that it may move tables between
   * levels. One such job at a time; flushes go on.
   */
  exclusively(job: () => Promise<void>): Promise<void> {
    this.#held++;
    const done = this.#exclusive.then(async () => {
      await this.#compacting;
      await job();
    }).finally(() => {
      this.#held--;
      this.#after();
    });
    this.#exclusive = done.catch(() => {});
    return done;
  }

  /**
   * Merges a range of keys down to the deepest level that has any of it. Call
   * it {@linkcode Background.exclusively}.
   */
  async compactRange(range: KeyRange): Promise<void> {
    const store = this.#store;
    const deepest = store.current.levels.findLastIndex((tables) =>
      tables.some((table) => overlaps(table.info, range))
    );
    for (let level = 0; level < Math.max(deepest, 1); level++) {
      // One table after the other, so that no merge is larger than it must be.
      // None of the merges takes in another table of this level.
      const listed = store.current.levels[level]!.filter((table) =>
        overlaps(table.info, range)
      );
      for (const table of level === 0 ? listed.slice(0, 1) : listed) {
        if (this.#stopping || store.poisoned) return;
        const compaction = compactionOf(store.current.levels, level, table);
        try {
          // With all that lies beside: its room is to be freed as well.
          await this.#compact(compaction);
        } catch (error) {
          if (error instanceof StoppedError) return;
          store.poison(error);
          throw error;
        }
      }
    }
  }

  /** Resolves when there is nothing to do. */
  async idle(): Promise<void> {
    while (this.#flushing.size > 0 || this.#compacting !== undefined) {
      await this.#flushed;
      await this.#compacting;
    }
  }

  /** Ends the compaction at its next pause, and all flushes. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#compactor.stop();
    await this.#exclusive;
    await this.idle();
    this.#flusher.close();
    this.#compactor.close();
  }

  #after(): void {
    this.#store.progress.notify();
    this.kick();
  }

  async #guard(job: () => Promise<void>): Promise<void> {
    try {
      await job();
    } catch (error) {
      if (!(error instanceof StoppedError)) this.#store.poison(error);
    }
  }

  #startFlush(memtable: Memtable): void {
    const before = this.#flushed;
    const tables = this.#makeTable(memtable);
    this.#flushing.add(memtable);
    this.#flushed = this.#guard(async () => {
      const made = await tables;
      // What the MANIFEST says of logs that are not needed holds for all before.
      await before;
      await this.#installTables(memtable, made);
    }).then(async () => {
      await before;
      this.#flushing.delete(memtable);
      this.#after();
    });
  }

  #makeTable(memtable: Memtable): Promise<TableInfo[]> {
    const store = this.#store;
    const { dir, storeId, settings } = store;
    return this.#flusher.run({
      kind: "flush",
      dir,
      storeId,
      memtable: memtable.memory,
      abandoned: store.abandoned.ranges,
      bytes: memtable.bytes,
      snapshots: store.snapshotSeqs(),
      firstNumber: store.takeNumber(2),
      numbers: 1,
      blockBytes: settings.blockBytes,
      sliceBytes: settings.sliceBytes,
    });
  }

  async #installTables(
    memtable: Memtable,
    tables: readonly TableInfo[],
  ): Promise<void> {
    const store = this.#store;
    const before = store.manifest.state.firstWal;
    const firstWal = memtable.lastWal + 1;
    await store.install({
      lastSeq: memtable.lastSeq,
      firstWal,
      added: tables.map((info) => ({ level: 0, info })),
    }, memtable);
    store.abandoned.settle(memtable.lastSeq);
    this.#onFlushed(memtable);
    for (let id = before; id < firstWal; id++) {
      store.discard(joinPath(store.dir, walName(id)));
    }
    const bytes = sizeOf(tables);
    store.written.flushed += bytes;
    store.emit({ type: "flush", tables: tables.length, bytes });
  }

  /** What there is to do for the levels, if anything. */
  #nextStep(): (() => Promise<void>) | undefined {
    const { current: { levels }, abandoned, settings } = this.#store;
    const gone = levels.flatMap((tables, level) =>
      tables.filter(({ info }) => abandoned.holds(info))
        .map(({ info }) => ({ level, info }))
    );
    if (gone.length > 0) return () => this.#letGo(gone);
    const { levelBytes, tableBytes, yieldNow } = settings;
    const compaction = pickCompaction(levels, levelBytes);
    return compaction && (async () => {
      // Nobody else moves tables while it looks.
      await this.#compact(await sparing(compaction, tableBytes, yieldNow));
    });
  }

  async #compactAll(): Promise<void> {
    for (;;) {
      const step = this.#nextStep();
      if (
        step === undefined || this.#stopping || this.#held > 0 ||
        this.#store.poisoned
      ) return;
      await step();
      this.#store.countSlice();
    }
  }

  /** Lets go of the tables in which nobody reads any more. */
  async #letGo(
    gone: readonly { level: number; info: TableInfo }[],
  ): Promise<void> {
    const store = this.#store;
    await store.install({
      dropped: gone.map(({ level, info }) => ({ level, number: info.number })),
    });
    const bytes = sizeOf(gone.map(({ info }) => info));
    store.emit({ type: "abandoned", tables: gone.length, bytes });
  }

  async #compact(compaction: Compaction): Promise<void> {
    const store = this.#store;
    const { level, upper, lower } = compaction;
    const compression = this.#compressionOf(compaction);
    // What is only moved stays as it is stored.
    const move = compaction.move &&
      (compression === "none" || upper.every((table) => table.compressed));
    const version = store.current.acquire();
    try {
      const tables = move
        ? upper.map((table) => table.info)
        : await this.#merge(compaction, compression);
      await store.install({
        dropped: [
          ...upper.map(({ info }) => ({ level, number: info.number })),
          ...lower.map(({ info }) => ({
            level: level + 1,
            number: info.number,
          })),
        ],
        added: tables.map((info) => ({ level: level + 1, info })),
      });
      if (!move) store.written.compacted += sizeOf(tables);
      store.emit({
        type: "compaction",
        fromLevel: level,
        toLevel: level + 1,
        inputs: upper.length + lower.length,
        outputs: tables.length,
        moved: move,
        bytes: move ? 0 : totalBytes(upper) + totalBytes(lower),
        bytesOut: move ? 0 : sizeOf(tables),
      });
    } finally {
      version.release();
    }
  }

  /** How the outcome of a compaction is stored: compressed at the bottom only. */
  #compressionOf({ level, upper, lower }: Compaction): Compression {
    const { current, settings } = this.#store;
    const inputs = [...upper, ...lower];
    const deeper = current.levels.slice(level + 2).some((tables) =>
      tables.some(({ info }) =>
        inputs.some((input) => intersects(input.info, info))
      )
    );
    return deeper ? "none" : settings.compression;
  }

  #merge(
    { level, upper, lower, beside }: Compaction,
    compression: Compression,
  ): Promise<TableInfo[]> {
    const store = this.#store;
    const { tableBytes, blockBytes, sliceBytes } = store.settings;
    const bytes = uncompressedBytes(upper) + uncompressedBytes(lower);
    // More than can be needed: no table but the last, and those before one that
    // stays, is below a quarter of `tableBytes`.
    const numbers = 8 * Math.ceil(bytes / tableBytes) + 8 + beside.length;
    return this.#compactor.run({
      kind: "compaction",
      dir: store.dir,
      storeId: store.storeId,
      upper: upper.map(({ info }) => info),
      lower: lower.map(({ info }) => info),
      beside: beside.map(({ info }) => info),
      abandoned: store.abandoned.ranges,
      snapshots: store.snapshotSeqs(),
      deeper: store.current.levels.slice(level + 2).map((tables) =>
        tables.map(({ info }) => info)
      ),
      firstNumber: store.takeNumber(2 * numbers),
      numbers,
      tableBytes,
      blockBytes,
      sliceBytes,
      compression,
    });
  }
}

function sizeOf(tables: readonly TableInfo[]): number {
  return tables.reduce((sum, table) => sum + table.size, 0);
}

/** Threads that are busy at a time, the program's own included, at least. */
const BUSY_THREADS = 3;

/**
 * On a machine that cannot run them all at a time, one thread in place of two: a
 * program whose thread waits for a core is slower than one that waits for a table.
 */
function sharing(workers: Workers): Workers {
  const { parallelism } = workers;
  if (parallelism >= BUSY_THREADS) return workers;
  let thread: WorkerThread | undefined;
  return { parallelism, start: (module) => thread ??= workers.start(module) };
}

/** What a row takes in a table besides its key and value, in bytes, at most. */
const ROW_BYTES_MAX = 32;

/** Bytes of tables, and of compressed ones what they would take otherwise. */
function uncompressedBytes(tables: readonly Table[]): number {
  let bytes = 0;
  for (const table of tables) {
    bytes += table.info.size;
    if (!table.compressed) continue;
    const { rows, keyBytes, valueBytes } = table.properties();
    bytes += keyBytes + valueBytes + rows * ROW_BYTES_MAX;
  }
  return bytes;
}
