/**
 * A compaction as a piece of work that may be done anywhere: it says by plain
 * data which tables are read and how the new ones are made, so that it can be
 * sent to a thread. Whoever runs it writes tables and syncs them; only the owner
 * of the store makes them known, and removes files.
 *
 * @module
 */

import type { Cursor } from "../iterator/cursor.ts";
import { LevelCursor } from "../iterator/level_cursor.ts";
import type { Compression } from "../table/codec.ts";
import type { TableInfo } from "../table/format.ts";
import { Table, type TableSet } from "../table/table.ts";
import { type EntryFilter, mergeRuns } from "./merge.ts";

/** Which tables become which. */
export interface CompactionJob {
  /** The store's directory. */
  readonly dir: string;
  /** The store's id. */
  readonly storeId: Uint8Array;
  /** Tables of the upper level, from the newest. */
  readonly upper: readonly TableInfo[];
  /** Tables of the level below, which gets the new ones, by key. */
  readonly lower: readonly TableInfo[];
  /** The levels below that, from the upper one. */
  readonly deeper: readonly (readonly TableInfo[])[];
  /** The sequence numbers that snapshots stand on, ascending. */
  readonly snapshots: readonly number[];
  /** The first number for a new table, and how many may be used. */
  readonly firstNumber: number;
  /** How many numbers may be used. */
  readonly numbers: number;
  /** The size from which another table is started, in bytes. */
  readonly tableBytes: number;
  /** The size from which a block is full, in bytes. */
  readonly blockBytes: number;
  /** How data blocks are stored. */
  readonly compression: Compression;
}

/** How a job is run. */
export interface JobOptions {
  /** Called after each slice of work; throws to stop it. */
  readonly pause: () => Promise<void>;
  /** Asked about each value that no snapshot sees. */
  readonly filter?: EntryFilter | undefined;
}

/** Runs a job on the files of `set`; resolves with the tables, all synced. */
export async function runJob(
  set: TableSet,
  job: CompactionJob,
  { pause, filter }: JobOptions,
): Promise<TableInfo[]> {
  const tableOf = (info: TableInfo) => new Table(set, info);
  const runs: Cursor[] = job.upper.map((info) =>
    new LevelCursor([tableOf(info)], false)
  );
  if (job.lower.length > 0) {
    runs.push(new LevelCursor(job.lower.map(tableOf), false));
  }
  let used = 0;
  const tables = await mergeRuns(runs, {
    target: {
      files: set.files,
      dir: job.dir,
      storeId: job.storeId,
      blockBytes: job.blockBytes,
      compression: job.compression,
    },
    takeNumber() {
      if (used === job.numbers) throw new RangeError("too many tables");
      return job.firstNumber + used++;
    },
    tableBytes: job.tableBytes,
    snapshots: job.snapshots,
    deeper: job.deeper,
    pause,
    filter,
  });
  await set.files.syncDirectory(job.dir);
  return tables;
}
