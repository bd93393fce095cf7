/**
 * What a row is: one kind of work, done by each of its stores in a process of
 * its own, and the tools that rows are made of.
 */

import type { StoreSettings, SubjectName } from "../peers/settings.ts";
import {
  assertSame,
  assertValue,
  ENTRY_BYTES,
  expectedSum,
  indexOf,
  inOrder,
  keysOf,
  sampleOf,
  uniform,
  Values,
} from "./data.ts";
import {
  bytesDirtied,
  collectGarbage,
  Laps,
  LoopMonitor,
  rssMb,
  turn,
} from "./meter.ts";
import type { Subject } from "./subject.ts";

/**
 * What lies in the store's directory when the row begins:
 *
 * - `none`: nothing;
 * - `data`: `entries` entries, put there in random order;
 * - `large`: eight times the cache budget;
 * - `gig`: 1 GB at the full size;
 * - `killed`: the same, after overwrites that were cut short by `SIGKILL`.
 */
export type DatasetName = "none" | "data" | "large" | "gig" | "killed";

/** Sizes that follow from `--entries`. */
export interface Scale {
  /** Entries of `data`. */
  readonly entries: number;
  /** Entries that fit the cache with room to spare. */
  readonly cachedEntries: number;
  /** Entries of `large`. */
  readonly largeEntries: number;
  /** Entries of `gig` and `killed`. */
  readonly gigEntries: number;
  /** How long rows that go by time last, in ms. */
  readonly lastMs: number;
  /** What the stores are told. */
  readonly settings: StoreSettings;
}

/** The sizes of a run of so many entries: all grow with it. */
export function scaleOf(entries: number): Scale {
  const MiB = 1024 * 1024;
  const share = entries / 1_000_000;
  const cacheBytes = Math.max(MiB, Math.round(64 * MiB * share));
  return {
    entries,
    // 60 % of the budget, so that filters and indexes fit beside the data.
    cachedEntries: Math.min(
      entries,
      Math.floor(cacheBytes * 0.6 / ENTRY_BYTES),
    ),
    largeEntries: Math.ceil(8 * cacheBytes / ENTRY_BYTES),
    gigEntries: Math.ceil(1e9 * share / ENTRY_BYTES),
    lastMs: Math.min(60_000, Math.max(2_000, 60_000 * share)),
    settings: {
      cacheBytes,
      writeBufferBytes: Math.max(MiB, Math.round(8 * MiB * Math.min(1, share))),
      synced: false,
      defaults: false,
    },
  };
}

/** Entries in a data set. */
export function entriesOf(dataset: DatasetName, scale: Scale): number {
  switch (dataset) {
    case "none":
      return 0;
    case "data":
      return scale.entries;
    case "large":
      return scale.largeEntries;
    case "gig":
    case "killed":
      return scale.gigEntries;
  }
}

/** What a row runs with. */
export interface RowContext extends Scale {
  /** From 0. */
  readonly round: number;
  /** The directory of the store. */
  readonly dir: string;
  /** Opens the row's store. */
  open(settings?: Partial<StoreSettings>): Promise<Subject>;
}

/** What a row found out. */
export interface Measured {
  /** Operations: entries, not calls. */
  n: number;
  /** Operations a second; the inverse of the time for opens. */
  opsPerSec: number;
  /** Where percentiles come from. */
  laps?: Laps;
  /** How late the event loop was. */
  stalls?: Laps;
  /** In place of the memory at the end. */
  rssMb?: number;
  /** Bytes written by bytes of entries. */
  writeAmp?: number;
  /** What only this row has. */
  extra?: Record<string, number>;
}

/** Who does a row's work: a store, or a bare loop without one. */
export type Worker = SubjectName | "bare";

/** One kind of work. */
export interface Row {
  /** Its name. */
  readonly name: string;
  /** Who takes part. */
  readonly subjects: readonly Worker[];
  /** What the store holds at the start. */
  readonly dataset: DatasetName;
  /** Whether the row writes to that, and so needs a copy. */
  readonly changes: boolean;
  /** Does it. */
  run(context: RowContext): Promise<Measured>;
}

/** All stores. */
export const ALL: readonly SubjectName[] = [
  "aspen",
  "classic-level",
  "lmdb",
  "node:sqlite",
  "deno-kv",
  "map",
];
/** Those with a disk. */
export const ON_DISK: readonly SubjectName[] = ALL.slice(0, 5);
/** Those that can read without a promise. */
export const SYNC: readonly SubjectName[] = [
  "aspen",
  "classic-level",
  "lmdb",
  "node:sqlite",
  "map",
];
/** Those with a disk, a choice of durability, and the speed for much data. */
export const SERIOUS: readonly SubjectName[] = SYNC.slice(0, 4);

/** Entries in a batch. */
export const BATCH = 1000;
/** Answers that are kept while others are read, to see that they stay. */
const KEPT = 1000;
/** Reads that are timed one by one, at most. */
const LAP_READS = 100_000;

/** The subject's own keys of entries. */
export function keysFor(
  subject: Subject,
  order: Uint32Array,
  offset: 0 | 1 = 0,
): unknown[] {
  return keysOf(order, offset).map((bytes) => subject.key(bytes));
}

/** What of a store is read by a row of gets. */
export interface Gets {
  readonly order: Uint32Array;
  /** 1 for keys that are not there. */
  readonly offset?: 0 | 1;
  /** Whether each get is awaited. */
  readonly awaited?: boolean;
  /** Whether to read everything once first, so that it is cached. */
  readonly warm?: boolean;
}

/** Gets entries: first all of them by one clock, then some by one each. */
export async function readRandom(
  subject: Subject,
  { order, offset = 0, awaited = false, warm = true }: Gets,
): Promise<Measured> {
  const keys = keysFor(subject, order, offset);
  const want = offset === 1 ? -order.length : expectedSum(order);
  const pass = awaited ? getAll : getAllSync;
  const kept: (Uint8Array | undefined)[] = [];
  for (let i = 0; i < Math.min(keys.length, KEPT); i++) {
    kept.push(awaited ? await subject.get(keys[i]) : subject.getSync!(keys[i]));
  }
  for (const [i, value] of kept.entries()) {
    if (offset === 0) assertValue(value, order[i]!);
    else assertSame("bytes of a missing value", value?.length ?? -1, -1);
  }
  if (warm) await pass(subject, keys);
  collectGarbage();
  const start = performance.now();
  const sum = await pass(subject, keys);
  const ms = performance.now() - start;
  assertSame("the sum of what was read", sum, want);
  const laps = new Laps();
  for (let i = 0; i < Math.min(keys.length, LAP_READS); i++) {
    const at = performance.now();
    const found = awaited
      ? await subject.get(keys[i])
      : subject.getSync!(keys[i]);
    laps.add(performance.now() - at);
    if ((found === undefined) !== (offset === 1)) {
      throw new Error(`Cannot go on: wrong answer for entry ${order[i]}`);
    }
  }
  return { n: keys.length, opsPerSec: keys.length / ms * 1000, laps };
}

function getAllSync(subject: Subject, keys: readonly unknown[]): number {
  let sum = 0;
  for (const key of keys) sum += sampleOf(subject.getSync!(key));
  return sum;
}

async function getAll(
  subject: Subject,
  keys: readonly unknown[],
): Promise<number> {
  let sum = 0;
  for (const key of keys) sum += sampleOf(await subject.get(key));
  return sum;
}

/** Scans all `n` entries: once checking each, once by the clock. */
export async function scanAll(
  subject: Subject,
  n: number,
  reverse: boolean,
): Promise<Measured> {
  await assertHolds(subject, n, reverse);
  const laps = new Laps();
  let count = 0;
  let sum = 0;
  collectGarbage();
  const start = performance.now();
  let last = start;
  await subject.scan({ reverse }, (key, value) => {
    sum += key[15]! - 48 + sampleOf(value);
    if (++count % BATCH === 0) {
      const now = performance.now();
      laps.add(now - last);
      last = now;
    }
  });
  const ms = performance.now() - start;
  assertSame("the entries scanned", count, n);
  let digits = 0;
  for (let i = 0; i < n; i++) digits += i * 2 % 10;
  assertSame(
    "the sum of what was scanned",
    sum,
    expectedSum(inOrder(n)) + digits,
  );
  return { n, opsPerSec: n / ms * 1000, laps };
}

/** Throws unless a store holds entries 0 … `n` - 1 and nothing else. */
export async function assertHolds(
  subject: Subject,
  n: number,
  reverse = false,
): Promise<void> {
  let count = 0;
  const kept: [Uint8Array, Uint8Array][] = [];
  const check = (key: Uint8Array, value: Uint8Array, at: number) => {
    const index = reverse ? n - 1 - at : at;
    if (key.length !== 16 || indexOf(key) !== index) {
      throw new Error(`Cannot go on: key ${key} instead of entry ${index}`);
    }
    assertValue(value, index);
  };
  await subject.scan({ reverse }, (key, value) => {
    check(key, value, count++);
    if (kept.length < KEPT) kept.push([key, value]);
  });
  assertSame("the entries found", count, n);
  for (const [at, [key, value]] of kept.entries()) check(key, value, at);
}

/** Runs a row's writes until the store is idle. */
export async function timeWrites(
  subject: Subject,
  n: number,
  run: (laps: Laps) => Promise<void>,
  entryBytes: number = ENTRY_BYTES,
): Promise<Measured> {
  const laps = new Laps();
  collectGarbage();
  const before = bytesDirtied();
  using loop = new LoopMonitor();
  const start = performance.now();
  await run(laps);
  const end = await subject.idle();
  loop.stop();
  const after = bytesDirtied();
  return {
    n,
    opsPerSec: n / (end - start) * 1000,
    laps,
    stalls: loop.delays,
    ...before === undefined || after === undefined
      ? {}
      : { writeAmp: (after - before) / (n * entryBytes) },
  };
}

/** Writes entries in batches, letting the event loop turn after each. */
export async function writeBatches(
  subject: Subject,
  keys: readonly unknown[],
  order: Uint32Array,
  version: number,
  laps?: Laps,
  size = BATCH,
): Promise<void> {
  const values = new Values(size);
  for (let from = 0; from < order.length; from += size) {
    const to = Math.min(from + size, order.length);
    for (let i = from; i < to; i++) {
      values.stamp(i - from, order[i]!, version);
    }
    const at = performance.now();
    await subject.writeBatch(keys, values.slots, from, to);
    laps?.add(performance.now() - at);
    await turn();
  }
}

/** Puts entries one after the other, each awaited. */
export async function putEach(
  subject: Subject,
  keys: readonly unknown[],
  order: Uint32Array,
  laps: Laps,
  values: Values = new Values(1),
): Promise<void> {
  for (let i = 0; i < keys.length; i++) {
    const value = values.stamp(0, order[i]!, 1);
    const at = performance.now();
    await subject.put(keys[i], value);
    laps.add(performance.now() - at);
    if (i % 256 === 255) await turn();
  }
}

/** Throws unless entries of an order are there as they were written. */
export async function assertSome(
  subject: Subject,
  order: Uint32Array,
): Promise<void> {
  const some = uniform(Math.min(1000, order.length), order.length, 99)
    .map((i) => order[i]!);
  const keys = keysFor(subject, some);
  for (let i = 0; i < some.length; i++) {
    assertValue(await subject.get(keys[i]), some[i]!);
  }
}

/** Closes a row's store, after looking at the memory that it takes open. */
export async function closed(
  subject: Subject,
  measured: Measured,
): Promise<Measured> {
  measured.rssMb ??= rssMb();
  await subject.close();
  return measured;
}
