/**
 * Merges sorted runs into new tables: what a flush and a compaction share.
 *
 * Guarantees: what any snapshot, or a reader of the newest state, could read
 * from the runs it can read from the tables. Dropped are: an entry with a newer
 * one of its key that every snapshot sees which sees it; and a deletion that
 * every snapshot sees, where nothing of its key lies deeper. Of abandoned ranges
 * nothing need be readable, and nothing is written.
 *
 * @module
 */

import { compareRanges, equalRanges } from "../compare.ts";
import type { Cursor } from "../iterator/cursor.ts";
import { MergingCursor } from "../iterator/merging_cursor.ts";
import type { BoundedRange } from "../range.ts";
import type { TableInfo } from "../table/format.ts";
import { type TableTarget, TableWriter } from "../table/table_writer.ts";

/** What an entry costs besides its bytes, in bytes that cost as much. */
const ENTRY_WORK = 64;

/** Whether an entry is kept; key and value are views for the call only. */
export type EntryFilter = (key: Uint8Array, value: Uint8Array) => boolean;

/** The tables of levels, each by key. */
type Ranges = readonly (readonly TableInfo[])[];

/** Tables of the level below that a new table overlaps, about, at most. */
const GRANDPARENT_TABLES = 10;

/** Tables that the device may still be writing while the next one is made. */
const SYNCING_MAX = 2;

/** How runs are merged. */
export interface MergeOptions {
  /** Where tables are written. */
  readonly target: TableTarget;
  /** Takes the number of a new table. */
  readonly takeNumber: () => number;
  /** The size from which another table is started, in bytes. */
  readonly tableBytes: number;
  /** The sequence numbers that snapshots stand on, ascending. */
  readonly snapshots: readonly number[];
  /** The levels below the tables; `undefined` if older entries may be anywhere. */
  readonly deeper: Ranges | undefined;
  /** Ranges of which nothing is written, by key, apart from each other. */
  readonly abandoned?: readonly BoundedRange[];
  /**
   * Tables, by key, that stand beside the new ones: none of these has keys to both
   * sides of one. No run has keys in their stretches.
   */
  readonly beside?: readonly TableInfo[];
  /** Work of a slice, in bytes. */
  readonly sliceBytes: number;
  /** Called after each slice of work; throws to stop it. */
  readonly pause: () => Promise<void>;
  /** Called when all is written and only the device is waited for. */
  readonly onWritten?: (() => void) | undefined;
  /** Asked about each value that no snapshot sees; absent: all are kept. */
  readonly filter?: EntryFilter | undefined;
}

/**
 * Writes the merged runs to tables, on the device when it resolves: the next one
 * is made while the device writes those before it. After an error no file is left
 * open and nothing is written any more; tables begun stay behind as orphans.
 */
export async function mergeRuns(
  runs: readonly Cursor[],
  options: MergeOptions,
): Promise<TableInfo[]> {
  const merge = new Merge(runs, options);
  const { tables } = merge;
  try {
    while (merge.runSlice()) {
      await options.pause();
      await tables.at(-1 - SYNCING_MAX);
    }
    merge.finishTable();
    options.onWritten?.();
    return await Promise.all(tables);
  } finally {
    merge.close();
    await Promise.allSettled(tables);
  }
}

/**
 * A merge on its way, a slice of work at a time. Not one asynchronous function:
 * the platform begins those anew, in their slowest form, at each `await`.
 */
class Merge {
  /** The tables that are finished, as far as the device is. */
  readonly tables: Promise<TableInfo>[] = [];
  readonly #merging: MergingCursor;
  /** Absent where older entries may be anywhere. */
  readonly #depth: Depth | undefined;
  /**
   * The options, one by one: a flush and a compaction have objects of different
   * shapes, and the platform would compile all that reads them anew for the second.
   */
  readonly #target: TableTarget;
  readonly #takeNumber: () => number;
  readonly #tableBytes: number;
  readonly #sliceBytes: number;
  readonly #snapshots: readonly number[];
  readonly #filter: EntryFilter | undefined;
  readonly #abandoned: readonly BoundedRange[];
  /** Absent for a flush: an empty list made here is of another shape than one sent. */
  readonly #beside: readonly TableInfo[] | undefined;
  /** The first abandoned range, and the first table beside, that the keys have not passed. */
  #abandonedAt = 0;
  #besideAt = 0;
  #writer: TableWriter | undefined;
  /** The key of the entry before, and which snapshots saw that first. */
  #key = new Uint8Array(64);
  #keyLength = -1;
  #stripe = -1;

  constructor(runs: readonly Cursor[], options: MergeOptions) {
    this.#merging = new MergingCursor(runs);
    this.#depth = options.deeper && new Depth(options.deeper);
    this.#target = options.target;
    this.#takeNumber = options.takeNumber;
    this.#tableBytes = options.tableBytes;
    this.#sliceBytes = options.sliceBytes;
    this.#snapshots = options.snapshots;
    this.#filter = options.filter;
    this.#abandoned = options.abandoned ?? [];
    this.#beside = options.beside;
    this.#merging.seekTo(undefined);
  }

  /** Does a slice of work; returns whether there is more. */
  runSlice(): boolean {
    const merging = this.#merging;
    const sliceBytes = this.#sliceBytes;
    let work = 0;
    for (let top = merging.top; top !== undefined; top = merging.top) {
      this.#take(top);
      work += ENTRY_WORK + top.keyLength + top.valueLength;
      merging.advance();
      if (work >= sliceBytes) return true;
    }
    return false;
  }

  /** Finishes the table of the moment, if there is one. */
  finishTable(): void {
    if (this.#writer === undefined) return;
    this.tables.push(finish(this.#writer));
    this.#writer = undefined;
  }

  /** Closes the file of a table that was not finished. */
  close(): void {
    this.#writer?.close();
  }

  /** Writes an entry, unless nobody can read it any more. */
  #take(entry: Cursor): void {
    const snapshots = this.#snapshots;
    const filter = this.#filter;
    const newKey = !equalRanges(
      entry.keyBuffer,
      entry.keyAt,
      entry.keyLength,
      this.#key,
      this.#keyLength,
    );
    const newerStripe = newKey ? -1 : this.#stripe;
    const stripe = stripeOf(snapshots, entry.seq);
    this.#stripe = stripe;
    if (newKey) this.#keepKey(entry);
    if (stripe === newerStripe || this.#isAbandoned(entry)) return;
    // Seen by all and the last of its key: its age does not matter.
    const last = stripe === 0 && this.#depth !== undefined &&
      !this.#depth.holds(entry);
    const deleted = entry.deleted ||
      (filter !== undefined && stripe === snapshots.length &&
        !keeps(filter, entry));
    if (last && deleted) return;
    if (newKey && (this.#passesTable(entry) || this.#isFull(entry))) {
      this.finishTable();
    }
    const first = newKey || this.#writer === undefined;
    const writer = this.#writer ??= this.#startTable(entry);
    writer.add(entry, first, last ? 0 : entry.seq, deleted);
  }

  #keepKey({ keyBuffer, keyAt, keyLength }: Cursor): void {
    if (this.#key.length < keyLength) this.#key = new Uint8Array(keyLength * 2);
    const key = this.#key;
    for (let i = 0; i < keyLength; i++) key[i] = keyBuffer[keyAt + i]!;
    this.#keyLength = keyLength;
  }

  /** Whether nobody asks for the key of an entry any more. */
  #isAbandoned(entry: Cursor): boolean {
    const abandoned = this.#abandoned;
    for (; this.#abandonedAt < abandoned.length; this.#abandonedAt++) {
      const { start, end } = abandoned[this.#abandonedAt]!;
      if (orderOf(end, entry) > 0) return orderOf(start, entry) <= 0;
    }
    return false;
  }

  /** Whether a table that is to stay lies between the key before and this one. */
  #passesTable(entry: Cursor): boolean {
    const beside = this.#beside;
    if (beside === undefined) return false;
    const from = this.#besideAt;
    this.#besideAt = skipTo(beside, from, entry);
    return this.#besideAt > from;
  }

  #startTable(first: Cursor): TableWriter {
    this.#depth?.startTable(first);
    const takeNumber = this.#takeNumber;
    return new TableWriter(this.#target, takeNumber());
  }

  /**
   * A table ends at its size, or earlier, from a quarter of it on, where it would
   * overlap too much of the next level: merging it down would cost too much.
   */
  #isFull(next: Cursor): boolean {
    if (this.#writer === undefined) return false;
    const { bytes } = this.#writer;
    const tableBytes = this.#tableBytes;
    return bytes >= tableBytes ||
      (bytes >= tableBytes / 4 && this.#depth !== undefined &&
        this.#depth.overlapAt(next) > GRANDPARENT_TABLES * tableBytes);
  }
}

/** Finishes a table; whoever awaits it later learns what happened. */
function finish(writer: TableWriter): Promise<TableInfo> {
  const done = writer.finish();
  done.catch(() => {});
  return done;
}

function keeps(filter: EntryFilter, cursor: Cursor): boolean {
  const { keyBuffer, keyAt, keyLength } = cursor;
  const { valueBuffer, valueAt, valueLength } = cursor;
  return filter(
    keyBuffer.subarray(keyAt, keyAt + keyLength),
    valueBuffer.subarray(valueAt, valueAt + valueLength),
  );
}

/**
 * Which snapshot is the first to see an entry; past the end: none. Entries of a
 * key in one stripe are seen by the same snapshots, so all but the newest of
 * them by none.
 */
function stripeOf(snapshots: readonly number[], seq: number): number {
  let stripe = snapshots.length;
  while (stripe > 0 && snapshots[stripe - 1]! >= seq) stripe--;
  return stripe;
}

/** Where keys, asked for in order, stand in deeper levels. */
class Depth {
  readonly #levels: Ranges;
  readonly #at: number[];
  /** The level right below the new tables. */
  readonly #next: readonly TableInfo[];
  #nextAt = 0;
  #passedBytes = 0;

  constructor(levels: Ranges) {
    this.#levels = levels.filter((tables) => tables.length > 0);
    this.#at = this.#levels.map(() => 0);
    this.#next = levels[0] ?? [];
  }

  /** Whether there may be entries of the key. */
  holds(cursor: Cursor): boolean {
    const levels = this.#levels;
    for (let level = 0; level < levels.length; level++) {
      const tables = levels[level]!;
      const at = skipTo(tables, this.#at[level]!, cursor);
      this.#at[level] = at;
      if (at < tables.length && orderOf(tables[at]!.minKey, cursor) <= 0) {
        return true;
      }
    }
    return false;
  }

  /** A new table starts with the key. */
  startTable(cursor: Cursor): void {
    this.#nextAt = skipTo(this.#next, this.#nextAt, cursor);
    this.#passedBytes = 0;
  }

  /** Bytes of the next level's tables that it has passed by, up to the key. */
  overlapAt(cursor: Cursor): number {
    const from = this.#nextAt;
    this.#nextAt = skipTo(this.#next, from, cursor);
    for (let at = from; at < this.#nextAt; at++) {
      this.#passedBytes += this.#next[at]!.size;
    }
    return this.#passedBytes;
  }
}

/** The first table from `at` on whose last key is not before the cursor's. */
function skipTo(
  tables: readonly TableInfo[],
  at: number,
  cursor: Cursor,
): number {
  while (at < tables.length && orderOf(tables[at]!.maxKey, cursor) < 0) at++;
  return at;
}

function orderOf(key: Uint8Array, cursor: Cursor): number {
  return compareRanges(
    key,
    0,
    key.length,
    cursor.keyBuffer,
    cursor.keyAt,
    cursor.keyLength,
  );
}
