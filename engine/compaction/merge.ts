/**
 * Merges sorted runs into new tables: what a flush and a compaction share.
 *
 * Guarantees: what any snapshot, or a reader of the newest state, could read
 * from the runs it can read from the tables. Dropped are: an entry with a newer
 * one of its key that every snapshot sees which sees it; and a deletion that
 * every snapshot sees, where nothing of its key lies deeper.
 *
 * @module
 */

import { compareRanges, equalRanges } from "../compare.ts";
import type { Cursor } from "../iterator/cursor.ts";
import { MergingCursor } from "../iterator/merging_cursor.ts";
import { SLICE_BYTES } from "../options.ts";
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
  /** Called after each slice of work; throws to stop it. */
  readonly pause: () => Promise<void>;
  /** Asked about each value that no snapshot sees; absent: all are kept. */
  readonly filter?: EntryFilter | undefined;
}

/**
 * Writes the merged runs to tables, on the device when it resolves. After an
 * error no file is left open; tables begun stay behind as orphans.
 */
export async function mergeRuns(
  runs: readonly Cursor[],
  options: MergeOptions,
): Promise<TableInfo[]> {
  const merge = new MergingCursor(runs);
  const depth = new Depth(options.deeper);
  const { snapshots, filter } = options;
  const tables: TableInfo[] = [];
  let writer: TableWriter | undefined;
  let key = new Uint8Array(64);
  let keyLength = -1;
  let stripe = -1;
  let work = 0;
  try {
    merge.seekTo(undefined);
    for (let top = merge.top; top !== undefined; top = merge.top) {
      const newKey = !equalRanges(
        top.keyBuffer,
        top.keyAt,
        top.keyLength,
        key,
        keyLength,
      );
      const newerStripe = newKey ? -1 : stripe;
      stripe = stripeOf(snapshots, top.seq);
      if (newKey) {
        keyLength = top.keyLength;
        if (key.length < keyLength) key = new Uint8Array(keyLength * 2);
        for (let i = 0; i < keyLength; i++) {
          key[i] = top.keyBuffer[top.keyAt + i]!;
        }
      }
      work += ENTRY_WORK + top.keyLength + top.valueLength;
      if (stripe !== newerStripe) {
        // Seen by all and the last of its key: its age does not matter.
        const last = stripe === 0 && !depth.holds(top);
        const deleted = top.deleted ||
          (filter !== undefined && stripe === snapshots.length &&
            !keeps(filter, top));
        if (!last || !deleted) {
          if (newKey && writer && isFull(writer, options, depth, top)) {
            tables.push(await writer.finish());
            writer = undefined;
          }
          if (writer === undefined) depth.startTable(top);
          const first = newKey || writer === undefined;
          writer ??= new TableWriter(options.target, options.takeNumber());
          writer.add(top, first, last ? 0 : top.seq, deleted);
        }
      }
      merge.advance();
      if (work >= SLICE_BYTES) {
        work = 0;
        await options.pause();
      }
    }
    if (writer !== undefined) tables.push(await writer.finish());
    return tables;
  } finally {
    writer?.close();
  }
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
 * A table ends at its size, or earlier, from a quarter of it on, where it would
 * overlap too much of the next level: merging it down would cost too much.
 */
function isFull(
  writer: TableWriter,
  { tableBytes }: MergeOptions,
  depth: Depth,
  next: Cursor,
): boolean {
  const { bytes } = writer;
  return bytes >= tableBytes ||
    (bytes >= tableBytes / 4 &&
      depth.overlapAt(next) > GRANDPARENT_TABLES * tableBytes);
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
  readonly #levels: Ranges | undefined;
  readonly #at: number[];
  /** The level right below the new tables. */
  readonly #next: readonly TableInfo[];
  #nextAt = 0;
  #passedBytes = 0;

  constructor(levels: Ranges | undefined) {
    this.#levels = levels?.filter((tables) => tables.length > 0);
    this.#at = (this.#levels ?? []).map(() => 0);
    this.#next = levels?.[0] ?? [];
  }

  /** Whether there may be entries of the key. */
  holds(cursor: Cursor): boolean {
    const levels = this.#levels;
    if (levels === undefined) return true;
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
