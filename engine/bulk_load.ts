/**
 * A bulk load: many rows go straight into tables, past the log, the memtables and
 * the compactions.
 *
 * Order: memtables are flushed, and a sequence number is taken, by an edit, that
 * all rows of the load get. Rows that come in rising order of their keys go into
 * tables as they come; others into a memtable of the load's own, which becomes a
 * table each time it is full, a run, and at the end the runs are merged into
 * tables. Then: tables, sync; sync directory; one edit that names all of them,
 * each in the deepest level where that is right. A crash before the edit leaves
 * files that nothing names, and so does giving up.
 *
 * Guarantees: all rows are there, on the device, or none. What was in their place
 * before is hidden by them: whatever the log held is in tables when the load
 * begins, with smaller numbers, and if it stands above, it is merged down first.
 *
 * Assumes: between the first and the last of the appended rows, and of the
 * inserted ones, nobody else reads or writes from the beginning of the load to its
 * end. A snapshot made meanwhile sees the rows once they are there.
 *
 * Memory: of appended rows a block, of inserted ones a memtable; at the end a read
 * ahead for each run.
 *
 * @module
 */

import {
  ClosedError,
  compareBytes,
  EMPTY_BYTES,
  LimitError,
} from "../runtime/mod.ts";
import type { Background } from "./background.ts";
import { BlockCache } from "./cache/block_cache.ts";
import { FileCache } from "./cache/file_cache.ts";
import type { Committer } from "./commit.ts";
import { mergeRuns } from "./compaction/merge.ts";
import type { Cursor, Entry } from "./iterator/cursor.ts";
import { LevelCursor } from "./iterator/level_cursor.ts";
import type { KVBulkLoad, Row } from "./kv.ts";
import { Memtable } from "./memtable/memtable.ts";
import { SpareMemory } from "./memtable/spare_memory.ts";
import { joinPath, tableName } from "./names.ts";
import { levelFor } from "./placement.ts";
import type { Store } from "./store.ts";
import type { Compression } from "./table/codec.ts";
import type { TableInfo } from "./table/format.ts";
import { Table, type TableSet } from "./table/table.ts";
import { TableWriter } from "./table/table_writer.ts";
import { ENGINE_KEY_BYTES_MAX } from "./wal/batch.ts";

/** What a row costs besides its bytes, in bytes that cost as much. */
const ROW_WORK = 64;

/** Tables that the device may still be writing while the next one is made. */
const SYNCING_MAX = 2;

/** Runs that are read at once, at most; where there are more, they are merged. */
const RUNS_MAX = 64;

/** Rows on their way into tables. Made by `Lsm.load`. */
export class BulkLoad implements KVBulkLoad {
  readonly #store: Store;
  readonly #background: Background;
  /** Of all its rows. */
  #seq = 0;
  /** For the runs: they are read once, so nothing of them is kept. */
  readonly #set: TableSet;
  /** Tables of appended rows that are finished, as far as the device is. */
  readonly #tables: Promise<TableInfo>[] = [];
  /** Runs of inserted rows, each of tables one after the other. */
  #runs: (readonly TableInfo[])[] = [];
  /** Files that are nobody's if this is given up. */
  readonly #numbers = new Set<number>();
  readonly #spare: SpareMemory;
  #writer: TableWriter | undefined;
  /** The last key that was appended. */
  #last: Uint8Array = EMPTY_BYTES;
  #memtable: Memtable | undefined;
  #work = 0;
  /** What is under way: one call at a time. */
  #running: Promise<void> | undefined;
  #state: "open" | "failed" | "finished" | "closed" = "open";

  /** Makes a load, to be begun; use `Lsm.load`. */
  constructor(store: Store, background: Background) {
    this.#store = store;
    this.#background = background;
    const { files, dir, storeId, settings } = store;
    this.#spare = new SpareMemory(false, settings.memtableBytes);
    this.#set = {
      files,
      dir,
      storeId,
      handles: new FileCache(files, RUNS_MAX),
      blocks: new BlockCache(0),
      discard() {},
    };
  }

  /** Takes a sequence number that is above all that is there. */
  begin(committer: Committer): Promise<void> {
    const store = this.#store;
    return this.#run("load", () =>
      committer.runAlone(async () => {
        await committer.sealNow();
        await store.flushed();
        this.#seq = store.visibleSeq + 1;
        await store.install({ lastSeq: this.#seq });
        store.visibleSeq = this.#seq;
      }));
  }

  /** Whether it has come to its end. */
  get isDone(): boolean {
    return this.#state === "finished" || this.#state === "closed";
  }

  append(rows: readonly Row[]): Promise<void> {
    return this.#run("append", async () => {
      for (let at = 0; at < rows.length;) {
        at = this.#appendSome(rows, at);
        await this.#rest();
      }
    });
  }

  insert(rows: readonly Row[]): Promise<void> {
    return this.#run("insert", async () => {
      for (let at = 0; at < rows.length;) {
        at = this.#insertSome(rows, at);
        if (this.#isFull()) await this.#finishRun();
        await this.#rest();
      }
    });
  }

  finish(): Promise<void> {
    return this.#run("finish", () => this.#finish());
  }

  async close(): Promise<void> {
    if (this.isDone) return;
    this.#state = "closed";
    await this.#running?.catch(() => {});
    await this.#end();
  }

  /** One call after the other; after one that failed there is only `close`. */
  async #run(action: string, work: () => Promise<void>): Promise<void> {
    if (this.#running !== undefined) {
      throw new TypeError(`Cannot ${action}: a call of the load is under way`);
    }
    if (this.#state !== "open") throw new ClosedError(action, "the load");
    this.#running = work();
    try {
      await this.#running;
    } catch (error) {
      // A table may lack rows now.
      if (this.#state === "open") this.#state = "failed";
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  /** Appends a slice of rows from `at` on; gives the place behind it. */
  #appendSome(rows: readonly Row[], at: number): number {
    const { sliceBytes, tableBytes } = this.#store.settings;
    let last = this.#last;
    while (at < rows.length && this.#work < sliceBytes) {
      const row = rows[at++]!;
      checkKey(row.key);
      if (compareBytes(last, row.key) >= 0) {
        throw new RangeError("Cannot append: a key is not behind the last one");
      }
      last = row.key;
      const writer = this.#writer ??= this.#startTable();
      writer.add(entryOf(row), true, this.#seq);
      if (writer.bytes >= tableBytes) this.#finishTable();
      this.#work += row.key.length + row.value.length + ROW_WORK;
    }
    // The caller may use its bytes again.
    this.#last = last.slice();
    return at;
  }

  #startTable(): TableWriter {
    const { compression } = this.#store.settings;
    return new TableWriter(this.#target(compression), this.#takeNumber());
  }

  #finishTable(): void {
    const done = this.#writer!.finish();
    this.#writer = undefined;
    // Awaited later, by whoever comes next.
    done.catch(() => {});
    this.#tables.push(done);
  }

  /** As {@linkcode BulkLoad.#appendSome}; ends where the memtable is full. */
  #insertSome(rows: readonly Row[], at: number): number {
    const { sliceBytes } = this.#store.settings;
    const memtable = this.#memtable ??= new Memtable(this.#spare);
    while (at < rows.length && this.#work < sliceBytes && !this.#isFull()) {
      const { key, value } = rows[at++]!;
      checkKey(key);
      memtable.add(this.#seq, key, value);
      this.#work += key.length + value.length + ROW_WORK;
    }
    return at;
  }

  #isFull(): boolean {
    const { count, bytes } = this.#memtable!;
    return count > 0 && bytes >= this.#store.settings.memtableBytes;
  }

  /** What was inserted last becomes a run. */
  async #finishRun(): Promise<void> {
    const memtable = this.#memtable!;
    this.#memtable = undefined;
    this.#runs.push(await this.#merge([memtable.cursor()], "none"));
    memtable.acquire();
    memtable.release();
    if (this.#runs.length === RUNS_MAX) {
      this.#runs = [await this.#mergeInserted("none")];
    }
  }

  /** All that was inserted, in order. */
  async #mergeInserted(compression: Compression): Promise<TableInfo[]> {
    const runs = this.#runs;
    const cursors: Cursor[] = runs.map((run) =>
      new LevelCursor(run.map((info) => new Table(this.#set, info)), false)
    );
    if (this.#memtable !== undefined) cursors.push(this.#memtable.cursor());
    if (cursors.length === 0) return [];
    const merged = await this.#merge(cursors, compression);
    this.#runs = [];
    this.#memtable = undefined;
    for (const { number } of runs.flat()) this.#discard(number);
    return merged;
  }

  #merge(
    runs: readonly Cursor[],
    compression: Compression,
  ): Promise<TableInfo[]> {
    const { tableBytes, sliceBytes } = this.#store.settings;
    return mergeRuns(runs, {
      target: this.#target(compression),
      takeNumber: () => this.#takeNumber(),
      tableBytes,
      snapshots: [],
      // The rows keep their number: what they hide may be anywhere.
      deeper: undefined,
      sliceBytes,
      pause: () => this.#pause(),
    });
  }

  async #finish(): Promise<void> {
    const store = this.#store;
    if (this.#writer !== undefined) this.#finishTable();
    // All is in the deepest level if there is room, where tables are compressed.
    const inserted = await this.#mergeInserted(store.settings.compression);
    const tables = [...await Promise.all(this.#tables), ...inserted];
    if (tables.length > 0) {
      await store.files.syncDirectory(store.dir);
      await this.#background.exclusively(() => this.#install(tables));
    }
    this.#state = "finished";
    await this.#end();
  }

  /** Makes the tables known, while nothing moves between levels. */
  async #install(tables: readonly TableInfo[]): Promise<void> {
    const store = this.#store;
    this.#assertOpen();
    let placed = this.#place(tables);
    if (placed.some(({ level }) => level === 0)) {
      // Below what is old and goes down now there may be room.
      for (const { level, info } of placed) {
        if (level > 0) continue;
        const end = Uint8Array.of(...info.maxKey, 0);
        await this.#background.compactRange({ start: info.minKey, end });
      }
      this.#assertOpen();
      placed = this.#place(tables);
    }
    // Whatever happens now, an edit on the device may name them.
    this.#numbers.clear();
    await store.install({ added: placed });
    store.emit({
      type: "ingest",
      tables: tables.length,
      bytes: tables.reduce((sum, { size }) => sum + size, 0),
    });
  }

  /** Where each table can stand, beside those of the store and before it. */
  #place(
    tables: readonly TableInfo[],
  ): { level: number; info: TableInfo }[] {
    const levels = this.#store.current.levels.map((tables) => [...tables]);
    return tables.map((info) => {
      const level = levelFor(levels, info);
      levels[level]!.push(new Table(this.#set, info));
      return { level, info };
    });
  }

  #target(compression: Compression) {
    const { files, dir, storeId, settings } = this.#store;
    return {
      files,
      dir,
      storeId,
      blockBytes: settings.blockBytes,
      compression,
    };
  }

  #takeNumber(): number {
    const number = this.#store.takeNumber();
    this.#numbers.add(number);
    return number;
  }

  /** Lets others run after a slice of work, and the device get near. */
  async #rest(): Promise<void> {
    if (this.#work < this.#store.settings.sliceBytes) return;
    this.#work = 0;
    await this.#pause();
    await this.#tables.at(-1 - SYNCING_MAX);
  }

  async #pause(): Promise<void> {
    await this.#store.settings.yieldNow();
    this.#assertOpen();
  }

  #assertOpen(): void {
    if (this.#state === "closed") throw new ClosedError("load", "the load");
  }

  /** Closes files, and removes those that nobody will know. */
  async #end(): Promise<void> {
    this.#writer?.close();
    this.#writer = undefined;
    await Promise.allSettled(this.#tables);
    for (const number of this.#numbers) this.#discard(number);
    this.#set.handles.closeAll();
    this.#memtable = undefined;
  }

  #discard(number: number): void {
    this.#set.handles.close(number);
    this.#numbers.delete(number);
    this.#store.discard(joinPath(this.#store.dir, tableName(number)));
  }
}

function entryOf({ key, value }: Row): Entry {
  return {
    keyBuffer: key,
    keyAt: 0,
    keyLength: key.length,
    seq: 0,
    deleted: false,
    valueBuffer: value,
    valueAt: 0,
    valueLength: value.length,
  };
}

function checkKey(key: Uint8Array): void {
  if (key.length > 0 && key.length <= ENGINE_KEY_BYTES_MAX) return;
  throw new LimitError("load", "a key", key.length, 1, ENGINE_KEY_BYTES_MAX);
}
