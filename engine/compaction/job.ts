/**
 * A flush or a compaction as a piece of work that may be done anywhere: it says
 * by plain data what is read and how the new tables are made, so that it can be
 * sent to a thread. Whoever runs it writes tables and syncs them; only the owner
 * of the store makes them known, and removes files.
 *
 * @module
 */

import type { Cursor } from "../iterator/cursor.ts";
import { LevelCursor } from "../iterator/level_cursor.ts";
import type { BoundedRange } from "../range.ts";
import type { Compression } from "../table/codec.ts";
import { cursorOf, type MemtableMemory } from "../memtable/memtable.ts";
import type { TableInfo } from "../table/format.ts";
import { Table, type TableSet } from "../table/table.ts";
import { type EntryFilter, mergeRuns } from "./merge.ts";

/** What all jobs say. */
interface JobBase {
  /** The store's directory. */
  readonly dir: string;
  /** The store's id. */
  readonly storeId: Uint8Array;
  /** The sequence numbers that snapshots stand on, ascending. */
  readonly snapshots: readonly number[];
  /** Ranges of which nothing is written, by key, apart from each other. */
  readonly abandoned: readonly BoundedRange[];
  /** The first number for a new table. */
  readonly firstNumber: number;
  /** How many may be used. As many behind them are kept for doing it again. */
  readonly numbers: number;
  /** The size from which a block is full, in bytes. */
  readonly blockBytes: number;
  /** Work of a slice, in bytes. */
  readonly sliceBytes: number;
}

/** A full memtable becomes a table. */
export interface FlushJob extends JobBase {
  /** Which kind of job it is. */
  readonly kind: "flush";
  /** The memtable. */
  readonly memtable: MemtableMemory;
  /** About as many bytes as it holds. */
  readonly bytes: number;
}

/** Tables become others. */
export interface CompactionJob extends JobBase {
  /** Which kind of job it is. */
  readonly kind: "compaction";
  /** Tables of the upper level, from the newest. */
  readonly upper: readonly TableInfo[];
  /** Tables of the level below, which gets the new ones, by key. */
  readonly lower: readonly TableInfo[];
  /** Tables of that level, by key, that stay: no new one has keys on both sides. */
  readonly beside: readonly TableInfo[];
  /** The levels below that, from the upper one. */
  readonly deeper: readonly (readonly TableInfo[])[];
  /** The size from which another table is started, in bytes. */
  readonly tableBytes: number;
  /** How data blocks are stored. */
  readonly compression: Compression;
}

/** Tables to be written. */
export type Job = FlushJob | CompactionJob;

/** How a job is run. */
export interface JobOptions {
  /** Called after each slice of work; throws to stop it. */
  readonly pause: () => Promise<void>;
  /** Asked about each value that no snapshot sees. */
  readonly filter?: EntryFilter | undefined;
}

/**
 * Runs jobs of a kind in the order in which they are handed in: tables are made
 * for one job at a time, while the device may still be writing those of the job
 * before. Writers may wait for a flush: while one makes its table, compactions of
 * the same queue, which has one thread, rest.
 */
export class JobQueue {
  /** Resolve when the last job of the kind has made its tables. */
  readonly #made: Record<Job["kind"], Promise<void>> = {
    flush: Promise.resolve(),
    compaction: Promise.resolve(),
  };

  /** Runs a job on the files of `set`; resolves with the tables, all synced. */
  async run(
    set: TableSet,
    job: Job,
    options: JobOptions,
  ): Promise<TableInfo[]> {
    const { kind } = job;
    const before = this.#made[kind];
    const made = Promise.withResolvers<void>();
    this.#made[kind] = made.promise;
    await before;
    const pause = kind === "flush" ? options.pause : async () => {
      await options.pause();
      await this.#made.flush;
    };
    try {
      return await runJob(set, job, { ...options, pause }, made.resolve);
    } finally {
      made.resolve();
    }
  }
}

/** About how many bytes a job reads. */
export function bytesOf(job: Job): number {
  if (job.kind === "flush") return job.bytes;
  let bytes = 0;
  for (const { size } of job.upper) bytes += size;
  for (const { size } of job.lower) bytes += size;
  return bytes;
}

async function runJob(
  set: TableSet,
  job: Job,
  { pause, filter }: JobOptions,
  onWritten: () => void,
): Promise<TableInfo[]> {
  let used = 0;
  const tables = await mergeRuns(runsOf(set, job), {
    target: {
      files: set.files,
      dir: job.dir,
      storeId: job.storeId,
      blockBytes: job.blockBytes,
      compression: job.kind === "flush" ? "none" : job.compression,
    },
    takeNumber() {
      if (used === job.numbers) throw new RangeError("too many tables");
      return job.firstNumber + used++;
    },
    snapshots: job.snapshots,
    abandoned: job.abandoned,
    sliceBytes: job.sliceBytes,
    pause,
    onWritten,
    ...job.kind === "flush"
      // One memtable is one table, however large: tables of level 0 are read
      // one by one. What it deletes may be anywhere below.
      ? { tableBytes: Infinity, deeper: undefined }
      : {
        tableBytes: job.tableBytes,
        deeper: job.deeper,
        beside: job.beside,
        filter,
      },
  });
  await set.files.syncDirectory(job.dir);
  return tables;
}

function runsOf(set: TableSet, job: Job): Cursor[] {
  if (job.kind === "flush") return [cursorOf(job.memtable)];
  const tableOf = (info: TableInfo) => new Table(set, info);
  const runs: Cursor[] = job.upper.map((info) =>
    new LevelCursor([tableOf(info)], false)
  );
  if (job.lower.length > 0) {
    runs.push(new LevelCursor(job.lower.map(tableOf), false));
  }
  return runs;
}
