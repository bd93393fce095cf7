/**
 * The options that a store must not let its users notice: whatever they are,
 * what is read is the same.
 *
 * @module
 */

import type { FileSystem } from "../../runtime/mod.ts";
import type { LsmOptions } from "../options.ts";
import { TINY } from "./history.ts";
import { inlineWorkers } from "./inline_workers.ts";
import { yieldToTimers } from "./turns.ts";

/** Options by the files of the store and by how often it was opened before. */
export type OptionSet = (
  files: FileSystem,
  opened: number,
) => Omit<LsmOptions, "files">;

/** Small enough that a list of operations sees every kind of job. */
const SMALL: Omit<LsmOptions, "files"> = {
  memtableBytes: 4096,
  tableBytes: 1500,
  blockBytes: 200,
  levelBytes: 5000,
  cacheBytes: 16_384,
  openFilesMax: 4,
};

const SETS: Record<string, OptionSet> = {
  "the defaults": () => ({}),
  "small": () => SMALL,
  "tiny": () => TINY,
  "memtables of 1 KiB": () => ({ memtableBytes: 1024 }),
  "a memtable for each batch": () => ({ ...SMALL, memtableBytes: 1 }),
  "large tables of many small memtables": () => ({
    memtableBytes: 1500,
    tableBytes: 100_000,
    levelBytes: 1,
  }),
  "a row a block": () => ({ ...SMALL, blockBytes: 1 }),
  "a row a block, a block a table": () => ({
    ...SMALL,
    blockBytes: 1,
    tableBytes: 1,
  }),
  "a row a block, all in one table": () => ({
    ...SMALL,
    blockBytes: 1,
    tableBytes: 1_000_000,
  }),
  "blocks of 64 KiB": () => ({ ...SMALL, blockBytes: 65_536 }),
  "tables of one block": () => ({ ...SMALL, tableBytes: 1 }),
  "compressed at the bottom": () => ({ ...SMALL, compression: "zstd" }),
  "compressed at the bottom, by a thread": (files) => ({
    ...SMALL,
    compression: "zstd",
    workerBytes: 0,
    workers: inlineWorkers(files),
  }),
  "no cache": () => ({ ...SMALL, cacheBytes: 0 }),
  // An entry may take an eighth, and memory comes by the KiB.
  "a cache of one block": () => ({ ...SMALL, cacheBytes: 8 * 1024 }),
  "a cache of 1 byte": () => ({ ...SMALL, cacheBytes: 1 }),
  "one open file": () => ({ ...SMALL, openFilesMax: 1 }),
  "one open file, no cache, a row a block": () => ({
    ...SMALL,
    openFilesMax: 1,
    cacheBytes: 0,
    blockBytes: 1,
  }),
  "levels of 1 byte": () => ({ ...SMALL, levelBytes: 1 }),
  "levels that are never full": () => ({ ...SMALL, levelBytes: 1e9 }),
  "compactions by a thread": (files) => ({
    ...SMALL,
    workers: inlineWorkers(files),
    workerBytes: 0,
  }),
  "large compactions by a thread": (files) => ({
    ...SMALL,
    workers: inlineWorkers(files),
    workerBytes: 3000,
  }),
  "a thread that dies at its first job": (files) => ({
    ...SMALL,
    workers: inlineWorkers(files, {
      onCall: () => Promise.reject(new Error("it died")),
    }),
    workerBytes: 0,
  }),
  "pauses for timers": () => ({ ...SMALL, yieldNow: yieldToTimers }),
  "pauses for timers, a thread, memtables of 1 KiB": (files) => ({
    ...SMALL,
    memtableBytes: 1024,
    yieldNow: yieldToTimers,
    workers: inlineWorkers(files, { onCall: yieldToTimers, parallelism: 2 }),
    workerBytes: 0,
  }),
  "a compaction filter that keeps all": () => ({
    ...SMALL,
    compactionFilter: () => true,
  }),
  "leaks traced": () => ({ ...SMALL, traceLeaks: true, onEvent: () => {} }),
  "other options at each open": (files, opened) => {
    const others = [SETS["the defaults"]!, SETS["tiny"]!, SETS["small"]!];
    return others[opened % others.length]!(files, opened);
  },
};

/** All sets, by name, in an order that stays. */
export const OPTION_SETS: ReadonlyMap<string, OptionSet> = new Map(
  Object.entries(SETS),
);
