/**
 * What a store has done and how it stands, in numbers.
 *
 * Guarantees: counting costs no allocation a write or read. Counts start at the
 * open.
 *
 * @module
 */

import type { Clock } from "../runtime/mod.ts";
import type { LogMeter } from "./log/writer.ts";
import type { LsmEvent, StallReason } from "./options.ts";
import type { Store } from "./store.ts";

/** How a level stands. */
export interface LevelMetrics {
  /** Its tables. */
  tables: number;
  /** Their bytes. */
  bytes: number;
  /** Their entries. */
  entries: number;
  /** Those of them that delete. */
  tombstones: number;
}

/** How many syncs took how long. */
export interface SyncBucket {
  /** The longest that these took, in milliseconds. */
  upToMs: number;
  /** Their number. */
  count: number;
}

/** How a store stands, and what it has done since it was opened. */
export interface LsmMetrics {
  /** The levels, from level 0 on. */
  levels: LevelMetrics[];
  /** Bytes of all tables. */
  tableBytes: number;
  /** Memtables, and their memory in bytes. */
  memtables: { count: number; bytes: number };
  /** Blocks in memory: their bytes, and how often one asked for was there. */
  cache: { bytes: number; hits: number; misses: number };
  /** Sequence numbers on which snapshots stand that were not closed. */
  snapshots: number;
  /** Memtables that became tables, and the bytes of those. */
  flushes: { count: number; bytes: number };
  /** Merges, of them mere moves, and the bytes they read and wrote. */
  compactions: {
    count: number;
    moves: number;
    bytesIn: number;
    bytesOut: number;
  };
  /** Tables of abandoned ranges that were let go of, unread, and their bytes. */
  abandoned: { tables: number; bytes: number };
  /**
   * Bytes of batches (8 bytes an operation more than keys and values), of the
   * write-ahead logs and of tables written.
   */
  written: { batchBytes: number; walBytes: number; tableBytes: number };
  /** Bytes written to files for each byte of a batch; 0 if there was none. */
  writeAmplification: number;
  /**
   * Bytes of tables for each byte in the deepest level that has any, where
   * every key stands once; 0 if there are no tables. What is above 1 is what
   * compactions may free, at most.
   */
  spaceAmplification: number;
  /** How often and how long writes waited, and why they wait now. */
  stalls: { count: number; totalMs: number; current: StallReason | undefined };
  /**
   * Syncs of write-ahead logs, of which two may be in flight at a time. Without a
   * clock all times are 0, and all syncs in the first bucket.
   */
  syncs: {
    count: number;
    totalMs: number;
    maxMs: number;
    histogram: SyncBucket[];
  };
}

/** The shortest and the number of the sync buckets; each is twice the one before. */
const SHORTEST_SYNC_MS = 0.125;
const SYNC_BUCKETS = 17;

/** Counts. */
export class Meter implements LogMeter {
  readonly #clock: Clock | undefined;
  readonly #flushes = { count: 0, bytes: 0 };
  readonly #compactions = { count: 0, moves: 0, bytesIn: 0, bytesOut: 0 };
  readonly #abandoned = { tables: 0, bytes: 0 };
  readonly #syncs: number[] = new Array(SYNC_BUCKETS).fill(0);
  #syncMs = 0;
  #syncMaxMs = 0;
  #batchBytes = 0;
  #walBytes = 0;
  #ingestedBytes = 0;
  #stalls = 0;
  #stallMs = 0;
  #stallBegan = 0;
  #stalled: StallReason | undefined;

  /** Takes times from `clock`, if there is one. */
  constructor(clock: Clock | undefined) {
    this.#clock = clock;
  }

  appended(payloadBytes: number, frameBytes: number): void {
    this.#batchBytes += payloadBytes;
    this.#walBytes += frameBytes;
  }

  async sync(run: () => Promise<void>): Promise<void> {
    const began = this.now();
    await run();
    const ms = this.now() - began;
    this.#syncMs += ms;
    this.#syncMaxMs = Math.max(this.#syncMaxMs, ms);
    let bucket = 0;
    while (bucket < SYNC_BUCKETS - 1 && ms > upTo(bucket)) bucket++;
    this.#syncs[bucket]!++;
  }

  /** Counts what an event tells. */
  observe(event: LsmEvent): void {
    switch (event.type) {
      case "flush":
        this.#flushes.count++;
        this.#flushes.bytes += event.bytes;
        break;
      case "compaction":
        this.#compactions.count++;
        if (event.moved) this.#compactions.moves++;
        this.#compactions.bytesIn += event.bytes;
        this.#compactions.bytesOut += event.bytesOut;
        break;
      case "abandoned":
        this.#abandoned.tables += event.tables;
        this.#abandoned.bytes += event.bytes;
        break;
      case "ingest":
        this.#ingestedBytes += event.bytes;
        break;
      case "stallBegin":
        this.#stalls++;
        this.#stallBegan = this.now();
        this.#stalled = event.reason;
        break;
      case "stallEnd":
        this.#stallMs += this.now() - this.#stallBegan;
        this.#stalled = undefined;
        break;
    }
  }

  /** All of it, with how `store` stands now. */
  metricsOf(store: Store): LsmMetrics {
    const { active, sealed, levels } = store.current;
    const metrics = levels.map((tables) => {
      const level = { tables: 0, bytes: 0, entries: 0, tombstones: 0 };
      for (const { info } of tables) {
        level.tables++;
        level.bytes += info.size;
        level.entries += info.rows;
        level.tombstones += info.tombstones;
      }
      return level;
    });
    const tableBytes = metrics.reduce((sum, { bytes }) => sum + bytes, 0);
    const deepest = metrics.findLast(({ bytes }) => bytes > 0)?.bytes ?? 0;
    const written = {
      batchBytes: this.#batchBytes,
      walBytes: this.#walBytes,
      tableBytes: this.#flushes.bytes + this.#compactions.bytesOut +
        this.#ingestedBytes,
    };
    const { bytes, lookups, misses } = store.blocks;
    return {
      levels: metrics,
      tableBytes,
      memtables: {
        count: 1 + sealed.length,
        bytes: sealed.reduce((sum, { bytes }) => sum + bytes, active.bytes),
      },
      cache: { bytes, hits: lookups - misses, misses },
      snapshots: store.snapshotSeqs().length,
      flushes: { ...this.#flushes },
      compactions: { ...this.#compactions },
      abandoned: { ...this.#abandoned },
      written,
      writeAmplification: ratio(
        written.walBytes + written.tableBytes,
        written.batchBytes,
      ),
      spaceAmplification: ratio(tableBytes, deepest),
      stalls: {
        count: this.#stalls,
        totalMs: this.#stallMs,
        current: this.#stalled,
      },
      syncs: {
        count: this.#syncs.reduce((sum, count) => sum + count, 0),
        totalMs: this.#syncMs,
        maxMs: this.#syncMaxMs,
        histogram: this.#syncs.map((count, bucket) => ({
          upToMs: upTo(bucket),
          count,
        })),
      },
    };
  }

  /** The time of the clock, in milliseconds; 0 without one. */
  now(): number {
    return this.#clock?.monotonic() ?? 0;
  }
}

function upTo(bucket: number): number {
  return bucket === SYNC_BUCKETS - 1
    ? Infinity
    : SHORTEST_SYNC_MS * 2 ** bucket;
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
