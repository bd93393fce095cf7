/**
 * The rows that have targets.
 */

import {
  assertSame,
  assertValue,
  ENTRY_BYTES,
  inOrder,
  KEY_BYTES,
  shuffled,
  uniform,
  Values,
  writeKey,
} from "./data.ts";
import { Laps, LoopMonitor, rssMb, turn } from "./meter.ts";
import {
  ALL,
  assertHolds,
  assertSome,
  BATCH,
  closed,
  keysFor,
  type Measured,
  ON_DISK,
  putEach,
  readRandom,
  type Row,
  type RowContext,
  scanAll,
  SERIOUS,
  SYNC,
  timeWrites,
  writeBatches,
} from "./row.ts";
import type { Subject } from "./subject.ts";
import type { SubjectName } from "../peers/settings.ts";

const SYNCED: readonly SubjectName[] = SERIOUS;

/** Rows of gets and scans over data that is there. */
const reads: readonly Row[] = [
  read("read.random.sync", SYNC, (c) => ({
    order: uniform(c.entries, c.cachedEntries, 10 + c.round),
  })),
  read("read.random.await", ALL, (c) => ({
    order: uniform(Math.ceil(c.entries / 5), c.cachedEntries, 20 + c.round),
    awaited: true,
  })),
  {
    ...read("read.random.large", SERIOUS, (c) => ({
      order: uniform(Math.ceil(c.entries / 2), c.largeEntries, 30 + c.round),
    })),
    dataset: "large",
  },
  read("read.missing.sync", SYNC, (c) => ({
    order: uniform(c.entries, c.cachedEntries - 1, 40 + c.round),
    offset: 1,
  })),
  scan("scan.forward", false),
  scan("scan.reverse", true),
];

function read(
  name: string,
  subjects: readonly SubjectName[],
  gets: (context: RowContext) => Parameters<typeof readRandom>[1],
): Row {
  return {
    name,
    subjects,
    dataset: "data",
    changes: false,
    async run(context): Promise<Measured> {
      const subject = await context.open();
      const measured = await readRandom(subject, gets(context));
      return await closed(subject, measured);
    },
  };
}

function scan(name: string, reverse: boolean): Row {
  return {
    name,
    subjects: ON_DISK,
    dataset: "data",
    changes: false,
    async run(context): Promise<Measured> {
      const subject = await context.open();
      const measured = await scanAll(subject, context.entries, reverse);
      return await closed(subject, measured);
    },
  };
}

/** Rows of writes that are with the operating system once they resolve. */
const writes: readonly Row[] = [
  batches("write.seq.batch", "none", (c) => inOrder(c.entries)),
  batches("write.random.batch", "none", (c) => shuffled(c.entries, 50)),
  batches(
    "write.overwrite.batch",
    "data",
    (c) => uniform(c.entries, c.entries, 60 + c.round),
  ),
  {
    name: "write.put.await",
    subjects: ALL,
    dataset: "none",
    changes: true,
    async run(context): Promise<Measured> {
      const order = shuffled(Math.ceil(context.entries / 10), 70);
      const subject = await context.open();
      const keys = keysFor(subject, order);
      const measured = await timeWrites(
        subject,
        order.length,
        (laps) => putEach(subject, keys, order, laps),
      );
      await assertSome(subject, order);
      return await closed(subject, measured);
    },
  },
];

function batches(
  name: string,
  dataset: "none" | "data",
  orderOf: (context: RowContext) => Uint32Array,
): Row {
  return {
    name,
    subjects: ALL,
    dataset,
    changes: true,
    async run(context): Promise<Measured> {
      const order = orderOf(context);
      const subject = await context.open();
      const keys = keysFor(subject, order);
      const measured = await timeWrites(
        subject,
        order.length,
        (laps) => writeBatches(subject, keys, order, 1, laps),
      );
      await assertSome(subject, order);
      // A map has no scan; all others hold each entry once.
      if (subject.getSync === undefined || !isMap(subject)) {
        await assertHolds(subject, context.entries);
      }
      return await closed(subject, measured);
    },
  };
}

function isMap(subject: Subject): boolean {
  return typeof subject.key(new Uint8Array(KEY_BYTES)) === "string";
}

/** Rows of writes that survive a power failure, and the floor under them. */
const syncs: readonly Row[] = [
  synced("write.sync.64", 64, (c) => c.entries),
  synced("write.sync.1", 1, (c) => Math.ceil(c.entries / 200)),
  {
    name: "write.sync.bare",
    subjects: ["bare"],
    dataset: "none",
    changes: true,
    async run(context): Promise<Measured> {
      const n = Math.ceil(context.entries / 200);
      // What a group of 64 puts weighs.
      const group = new Uint8Array(64 * ENTRY_BYTES).fill(1);
      using file = await Deno.open(`${context.dir}/log`, {
        append: true,
        create: true,
      });
      const laps = new Laps();
      const start = performance.now();
      for (let i = 0; i < n; i++) {
        const at = performance.now();
        file.writeSync(group);
        await file.syncData();
        laps.add(performance.now() - at);
      }
      const opsPerSec = n / (performance.now() - start) * 1000;
      return { n, opsPerSec, laps };
    },
  },
];

function synced(
  name: string,
  writers: number,
  count: (context: RowContext) => number,
): Row {
  return {
    name,
    subjects: SYNCED,
    dataset: "none",
    changes: true,
    async run(context): Promise<Measured> {
      const order = shuffled(count(context), 80);
      const subject = await context.open({ synced: true });
      const keys = keysFor(subject, order);
      const values = new Values(writers);
      const syncsBefore = subject.logSyncs?.();
      let syncs = 0;
      let ms = 0;
      const measured = await timeWrites(
        subject,
        order.length,
        async (laps) => {
          const start = performance.now();
          let next = 0;
          const write = async (slot: number) => {
            while (next < order.length) {
              const i = next++;
              const value = values.stamp(slot, order[i]!, 1);
              const at = performance.now();
              await subject.putSynced!(keys[i], value);
              laps.add(performance.now() - at);
            }
          };
          await Promise.all(
            Array.from({ length: writers }, (_, i) => write(i)),
          );
          ms = performance.now() - start;
          syncs = (subject.logSyncs?.() ?? 0) - (syncsBefore ?? 0);
        },
      );
      if (syncsBefore !== undefined) {
        measured.extra = { groupsPerSec: syncs / ms * 1000 };
      }
      await assertSome(subject, order);
      return await closed(subject, measured);
    },
  };
}

/** Rows about what a store does to the program around it. */
const life: readonly Row[] = [
  {
    name: "stall.overwrite",
    subjects: SERIOUS,
    dataset: "data",
    changes: true,
    async run(context): Promise<Measured> {
      const order = uniform(context.entries * 2, context.entries, 90);
      const subject = await context.open();
      const keys = keysFor(subject, order);
      const measured = await timeWrites(
        subject,
        order.length,
        (laps) => writeBatches(subject, keys, order, 1, laps, 100),
      );
      // Of this row, percentiles are those of the event loop's delays.
      const calls = measured.laps!;
      measured.laps = measured.stalls!;
      measured.extra = { callP999Us: calls.percentile(0.999)! };
      await assertSome(subject, order);
      return await closed(subject, measured);
    },
  },
  opening("open.clean", "gig"),
  opening("open.killed", "killed"),
  {
    name: "mem.large",
    subjects: SERIOUS,
    dataset: "gig",
    changes: false,
    async run(context): Promise<Measured> {
      await turn();
      const idle = rssMb();
      const subject = await context.open({ defaults: true });
      const key = new Uint8Array(KEY_BYTES);
      const order = uniform(65_536, context.gigEntries, 100 + context.round);
      const samples: number[] = [];
      using loop = new LoopMonitor();
      const start = performance.now();
      let n = 0;
      for (let now = start; now - start < context.lastMs;) {
        for (let i = 0; i < 500; i++, n++) {
          // 65,536 starts, and each round through them one entry further.
          const index = (order[n & 0xffff]! + (n >>> 16)) % context.gigEntries;
          writeKey(key, 0, index * 2);
          assertValue(subject.getSync!(key), index);
        }
        await turn();
        now = performance.now();
        if (now - start > samples.length * 100) samples.push(rssMb());
      }
      loop.stop();
      const ms = performance.now() - start;
      samples.sort((a, b) => a - b);
      return await closed(subject, {
        n,
        opsPerSec: n / ms * 1000,
        stalls: loop.delays,
        rssMb: samples[samples.length >> 1]! - idle,
        extra: { idleRssMb: idle },
      });
    },
  },
  {
    name: "amp.overwrite",
    subjects: SERIOUS,
    dataset: "none",
    changes: true,
    async run(context): Promise<Measured> {
      const { entries } = context;
      const subject = await context.open();
      const all = keysFor(subject, inOrder(entries));
      const passes = Array.from({ length: 10 }, (_, pass) => {
        const order = shuffled(entries, 110 + pass);
        return { order, keys: Array.from(order, (index) => all[index]) };
      });
      const measured = await timeWrites(
        subject,
        entries * passes.length,
        async (laps) => {
          for (const [version, { keys, order }] of passes.entries()) {
            await writeBatches(subject, keys, order, version, laps);
          }
        },
      );
      await assertHolds(subject, entries);
      return await closed(subject, measured);
    },
  },
];

function opening(name: string, dataset: "gig" | "killed"): Row {
  return {
    name,
    subjects: SERIOUS,
    dataset,
    changes: true,
    async run(context): Promise<Measured> {
      const order = uniform(1000, context.gigEntries, 120);
      const laps = new Laps();
      using loop = new LoopMonitor();
      const start = performance.now();
      const subject = await context.open();
      const [key] = keysFor(subject, order.subarray(0, 1));
      const value = await subject.get(key);
      const ms = performance.now() - start;
      loop.stop();
      laps.add(ms);
      assertValue(value, order[0]!);
      await assertSome(subject, order);
      if (dataset === "killed") {
        const kept = await subject.get(
          keysFor(subject, killedOrder(context.gigEntries)).at(-1),
        );
        assertSame("the version last written before the kill", kept![4]!, 1);
      }
      return await closed(subject, {
        n: 1,
        opsPerSec: 1000 / ms,
        laps,
        stalls: loop.delays,
      });
    },
  };
}

/** The entries that are overwritten before the kill: 23 MB of each GB. */
export function killedOrder(gigEntries: number): Uint32Array {
  return uniform(Math.ceil(gigEntries / 43 / BATCH) * BATCH, gigEntries, 130);
}

/** The rows that have targets, those on the same data beside each other. */
export const ROWS: readonly Row[] = [...reads, ...writes, ...syncs, ...life];
