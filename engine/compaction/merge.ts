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

import { compareRanges } from "../compare.ts";
import type { Cursor } from "../iterator/cursor.ts";
import { MergingCursor } from "../iterator/merging_cursor.ts";
import { SLICE_BYTES } from "../options.ts";
import type { TableInfo } from "../table/format.ts";
import { type TableTarget, TableWriter } from "../table/table_writer.ts";
import type { Levels } from "../version.ts";

/** What an entry costs besides its bytes, in bytes that cost as much. */
const ENTRY_WORK = 64;

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
  readonly deeper: Levels | undefined;
  /** Called after each slice of work; throws to stop it. */
  readonly pause: () => Promise<void>;
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
  const { snapshots } = options;
  const tables: TableInfo[] = [];
  let writer: TableWriter | undefined;
  let key = new Uint8Array(64);
  let keyLength = -1;
  let stripe = -1;
  let work = 0;
  try {
    merge.seekTo(undefined);
    for (let top = merge.top; top !== undefined; top = merge.top) {
      const newKey = compareRanges(
        top.keyBuffer,
        top.keyAt,
        top.keyLength,
        key,
        0,
        Math.max(keyLength, 0),
      ) !== 0;
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
        if (!last || !top.deleted) {
          if (newKey && writer && writer.bytes >= options.tableBytes) {
            tables.push(await writer.finish());
            writer = undefined;
          }
          const first = newKey || writer === undefined;
          writer ??= new TableWriter(options.target, options.takeNumber());
          writer.add(top, first, last ? 0 : top.seq);
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

/** Whether keys, asked for in order, may have entries in deeper levels. */
class Depth {
  readonly #levels: Levels | undefined;
  readonly #at: number[];

  constructor(levels: Levels | undefined) {
    this.#levels = levels?.filter((tables) => tables.length > 0);
    this.#at = (this.#levels ?? []).map(() => 0);
  }

  holds(cursor: Cursor): boolean {
    if (this.#levels === undefined) return true;
    const { keyBuffer, keyAt, keyLength } = cursor;
    for (let level = 0; level < this.#levels.length; level++) {
      const tables = this.#levels[level]!;
      for (let at = this.#at[level]!; at < tables.length; at++) {
        const { minKey, maxKey } = tables[at]!.info;
        this.#at[level] = at;
        if (
          compareRanges(maxKey, 0, maxKey.length, keyBuffer, keyAt, keyLength) <
            0
        ) continue;
        if (
          compareRanges(
            minKey,
            0,
            minKey.length,
            keyBuffer,
            keyAt,
            keyLength,
          ) <=
            0
        ) return true;
        break;
      }
    }
    return false;
  }
}
