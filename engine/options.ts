/**
 * What a store can be told, and what it tells.
 *
 * @module
 */

import type {
  Clock,
  FileSystem,
  Random,
  Runtime,
  Workers,
} from "../runtime/mod.ts";
import type { EntryFilter } from "./compaction/merge.ts";
import type { Compression } from "./table/codec.ts";

/** Options for `openLsm`. */
export interface LsmOptions {
  /** The files to keep the store in. */
  files: FileSystem;
  /**
   * Where the id of a new store comes from. The id is in every file, so that a
   * file of another store is noticed. Without it, the id is all zeros.
   */
  random?: Random | undefined;
  /**
   * Memory that a memtable may take before it is written to a table, in bytes.
   * Up to three are in memory at once.
   *
   * @default {8_388_608}
   */
  memtableBytes?: number;
  /**
   * The size from which a compaction starts another table, in bytes.
   *
   * @default {4_194_304}
   */
  tableBytes?: number;
  /**
   * The size from which a block of a table is full, in bytes.
   *
   * @default {8192}
   */
  blockBytes?: number;
  /**
   * How compactions store what goes to where nothing lies deeper, which is most
   * of a store: as it is, or compressed by zstd, in blocks four times as large.
   * Such blocks are uncompressed in the cache; one that is not there takes some
   * tens of microseconds more. What would not be an eighth smaller is stored as it
   * is. May be changed at every open; releases before compression refuse a store
   * with compressed tables ({@linkcode FormatVersionError}).
   *
   * @default {"none"}
   */
  compression?: Compression;
  /**
   * The size of level 1, in bytes; each deeper level has ten times as much.
   *
   * @default {33_554_432}
   */
  levelBytes?: number;
  /**
   * Memory for blocks of tables, and for where keys are in them, in bytes.
   *
   * @default {33_554_432}
   */
  cacheBytes?: number;
  /**
   * Tables that are open at a time.
   *
   * @default {256}
   */
  openFilesMax?: number;
  /**
   * Work of a flush or compaction after which others have a turn, in bytes: about
   * as many of keys and values are read.
   *
   * @default {262_144}
   */
  sliceBytes?: number;
  /**
   * Lets others run: awaited by writers, and by flushes and compactions after
   * each slice.
   * Without it they let only promises through, not timers and sockets.
   */
  yieldNow?: (() => Promise<void>) | undefined;
  /**
   * Whether to serve reads only: nothing in the directory is changed and no lock
   * is taken, so another process may have the store open. What is read is the
   * state at the open; all write-ahead logs are kept in memory.
   *
   * @default {false}
   */
  readOnly?: boolean;
  /**
   * What to call this process to others who find the store locked, such as
   * "process 4711".
   */
  owner?: string | undefined;
  /**
   * Tells how long syncs and stalls take, for {@linkcode Lsm.metrics}, and writers
   * when others are due. Without it they are counted only, and writers go by
   * bytes.
   */
  clock?: Clock | undefined;
  /**
   * Whether a `leak` event says where the object was made. Taking the stack
   * costs each snapshot, iterator and view some microseconds.
   *
   * @default {false}
   */
  traceLeaks?: boolean;
  /**
   * Where flushes and compactions run, if `files` are files that another thread can
   * open by the same paths: each in a thread of their own, or, where fewer than
   * three can run at a time, in one. Without it they run in this thread, in slices.
   */
  workers?: Workers | undefined;
  /**
   * Flushes and compactions of fewer bytes start no thread, in bytes: while theirs is
   * not up, they run in this one.
   *
   * @default {4_194_304}
   */
  workerBytes?: number;
  /**
   * Asked by compactions about each value that no snapshot sees, whether to keep
   * it: what it refuses is deleted. It must always say the same of the same
   * entry, and not use the store. Tables that are only moved to a deeper level, or
   * to which nothing comes down, are not asked about. With it, compactions run in
   * this thread.
   */
  compactionFilter?: EntryFilter | undefined;
  /** Told of what happens inside. */
  onEvent?: ((event: LsmEvent) => void) | undefined;
}

/**
 * What a store takes of the world it is opened in: `open` of `mod.ts` and the
 * simulator take it from here, so that lives run the engine that users have.
 */
export function optionsIn(runtime: Runtime): LsmOptions {
  const { files, random, clock, workers, timers, processId } = runtime;
  return {
    files,
    random,
    clock,
    workers,
    owner: processId === undefined ? undefined : `process ${processId}`,
    // It keeps the process alive: writes that are awaited may wait for this.
    yieldNow: () =>
      new Promise((resolve) => {
        timers.set(resolve, 0, { persistent: true });
      }),
  };
}

/** What happened inside a store. */
export type LsmEvent =
  /** The store is open. */
  | {
    type: "opened";
    /** Batches found in the write-ahead logs. */
    batches: number;
    /** Bytes of torn writes that were cut off. */
    tornBytes: number;
  }
  /** A memtable became a table. */
  | { type: "flush"; tables: number; bytes: number }
  /** Tables were merged, or moved, into a deeper level. */
  | {
    type: "compaction";
    fromLevel: number;
    toLevel: number;
    inputs: number;
    outputs: number;
    moved: boolean;
    /** Bytes read. */
    bytes: number;
    /** Bytes written. */
    bytesOut: number;
  }
  /** Tables of abandoned ranges were let go of, unread. */
  | { type: "abandoned"; tables: number; bytes: number }
  /** A checkpoint is complete. */
  | { type: "checkpoint"; dir: string; tables: number; bytes: number }
  /** Tables were taken in. */
  | { type: "ingest"; tables: number; bytes: number }
  /** Writes wait until there is room. */
  | { type: "stallBegin"; reason: StallReason }
  /** Writes go on. */
  | { type: "stallEnd"; reason: StallReason }
  /**
   * An iterator or snapshot was lost without being closed: what it held stays
   * until the store is closed; or a view: its memory is not used again.
   * `createdAt` is a stack, with `traceLeaks`.
   */
  | {
    type: "leak";
    what: "iterator" | "snapshot" | "view";
    createdAt: string | undefined;
  }
  /** A thread failed; what it did is done in this thread from now on. */
  | { type: "workerFailed"; error: unknown }
  /** A write, sync or background job failed; no more writes are taken. */
  | { type: "poisoned"; error: unknown }
  /** The store is closed. */
  | { type: "closed" };

/** Why writes wait: too many full memtables, or tables in level 0. */
export type StallReason = "memtables" | "level0";

/** Options with their defaults. */
export type LsmSettings =
  & Required<
    Omit<
      LsmOptions,
      | "random"
      | "onEvent"
      | "files"
      | "yieldNow"
      | "owner"
      | "clock"
      | "workers"
      | "compactionFilter"
    >
  >
  & {
    yieldNow: () => Promise<void>;
    workers: Workers | undefined;
    compactionFilter: EntryFilter | undefined;
  };

/** Fills in the defaults. */
export function settingsOf(options: LsmOptions): LsmSettings {
  const MiB = 1024 * 1024;
  return {
    memtableBytes: options.memtableBytes ?? 8 * MiB,
    tableBytes: options.tableBytes ?? 4 * MiB,
    blockBytes: options.blockBytes ?? 8 * 1024,
    compression: options.compression ?? "none",
    levelBytes: options.levelBytes ?? 32 * MiB,
    sliceBytes: options.sliceBytes ?? SLICE_BYTES,
    cacheBytes: options.cacheBytes ?? 32 * MiB,
    readOnly: options.readOnly ?? false,
    // A file that was closed may be gone when it is wanted again: who reads only
    // cannot keep the writer from removing it.
    openFilesMax: options.readOnly ? Infinity : options.openFilesMax ?? 256,
    traceLeaks: options.traceLeaks ?? false,
    workerBytes: options.workerBytes ?? 4 * MiB,
    workers: options.workers,
    compactionFilter: options.compactionFilter,
    yieldNow: options.yieldNow ?? (() => Promise.resolve()),
  };
}

/** Full memtables that may wait to be written. */
export const SEALED_MAX = 2;

/** Tables in level 0 from which they are compacted. */
export const LEVEL0_TRIGGER = 4;

/**
 * Tables in level 0 from which writes wait. Memtables that are sealed by then
 * still get there, so there are at most SEALED_MAX more.
 */
export const LEVEL0_STOP = 12;

/** Tables in level 0 from which writes are slowed down. */
export const LEVEL0_SLOW = 8;

/** How much larger a level is than the one above it. */
export const LEVEL_RATIO = 10;

/** A group of batches takes no further batch from this size on, in bytes. */
export const GROUP_BYTES = 1024 * 1024;

/** Batches in a group, at most: what u16 can say. */
export const GROUP_BATCHES_MAX = 65_535;

/** Groups that the device is to sync at a time, at most. */
export const SYNCS_MAX = 2;

/**
 * Batches from which on a group is written, if the device has nothing to do, before
 * the turn of its writers is over. Fewer, whose group is soon made, share a sync.
 */
export const EARLY_BATCHES = 48;

/** Work between two pauses, in bytes: about 2 ms. */
export const SLICE_BYTES = 256 * 1024;

/** Work of writers before timers and sockets have a turn, in bytes, at most. */
export const COMMIT_SLICE_WORK = 64 * 1024;

/** Less of it is never too long: the clock is not asked, in bytes. */
export const COMMIT_SLICE_WORK_MIN = 8 * 1024;

/** Time of writers before timers and sockets have a turn, in milliseconds. */
export const COMMIT_SLICE_MS = 1;

/** Batches that may wait for their turn, at most. */
export const WAITING_BATCHES_MAX = 1_000_000;

/** Bytes of batches that may wait for their turn, at most; one always may. */
export const WAITING_BYTES_MAX: number = 256 * 1024 * 1024;

/** A MANIFEST is written anew from this size on, in bytes. */
export const MANIFEST_BYTES = 1024 * 1024;

/** WALs found at an open from which their content is flushed. */
export const RECOVERED_WALS_MAX = 4;
