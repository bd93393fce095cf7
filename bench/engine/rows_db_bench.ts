/**
 * LevelDB's db_bench: its default mix and the neighbours of it that every store
 * here can do. Where it writes entries one at a time, so does this, for a tenth
 * of the entries. `compact` and `crc32c` are left out: nobody compacts by hand
 * here, and a checksum is no store's work.
 */

import {
  assertSame,
  inOrder,
  KEY_BYTES,
  sampleOf,
  shuffled,
  uniform,
  Values,
} from "./data.ts";
import { collectGarbage, Laps } from "./meter.ts";
import {
  ALL,
  assertHolds,
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
  timeWrites,
  writeBatches,
} from "./row.ts";
import type { Subject } from "./subject.ts";

/** Bytes of the values of fill100K. */
const BIG = 100_000;

type Body = (subject: Subject, context: RowContext) => Promise<Measured>;

function row(
  name: string,
  shape: Pick<Row, "subjects" | "dataset" | "changes">,
  body: Body,
): Row {
  return {
    name: `db_bench.${name}`,
    ...shape,
    async run(context): Promise<Measured> {
      const synced = name === "fillsync";
      const subject = await context.open({ synced });
      return await closed(subject, await body(subject, context));
    },
  };
}

/** Deno KV, at a thousand commits a second or fewer, would take all the time. */
const EMPTY = { subjects: SERIOUS, dataset: "none", changes: true } as const;
const EDITED = { subjects: SERIOUS, dataset: "data", changes: true } as const;
const FULL = { subjects: ON_DISK, dataset: "data", changes: false } as const;

function tenth({ entries }: RowContext): number {
  return Math.ceil(entries / 10);
}

function puts(orderOf: (context: RowContext) => Uint32Array): Body {
  return (subject, context) => {
    const order = orderOf(context);
    const keys = keysFor(subject, order);
    return timeWrites(
      subject,
      order.length,
      (laps) => putEach(subject, keys, order, laps),
    );
  };
}

function removes(orderOf: (context: RowContext) => Uint32Array): Body {
  return async (subject, context) => {
    const order = orderOf(context);
    const keys = keysFor(subject, order);
    const measured = await timeWrites(subject, order.length, async (laps) => {
      for (const key of keys) {
        const at = performance.now();
        await subject.remove(key);
        laps.add(performance.now() - at);
      }
    }, KEY_BYTES);
    let left = 0;
    await subject.scan({}, () => left++);
    assertSame("the entries left", left, context.entries - order.length);
    return measured;
  };
}

function gets(
  orderOf: (context: RowContext) => Uint32Array,
  offset: 0 | 1 = 0,
): Body {
  return (subject, context) =>
    readRandom(subject, {
      order: orderOf(context),
      offset,
      awaited: subject.getSync === undefined,
      warm: false,
    });
}

/** Scans of one entry, each from another start. */
function seeks(orderOf: (context: RowContext) => Uint32Array): Body {
  return async (subject, context) => {
    const order = orderOf(context);
    const keys = keysFor(subject, order);
    const laps = new Laps();
    let found = 0;
    const visit = (key: Uint8Array, value: Uint8Array) => {
      found += key.length + Math.min(0, sampleOf(value));
    };
    collectGarbage();
    const start = performance.now();
    for (const key of keys) {
      const at = performance.now();
      await subject.scan({ start: key, limit: 1 }, visit);
      laps.add(performance.now() - at);
    }
    const ms = performance.now() - start;
    assertSame("the bytes of keys found", found, keys.length * KEY_BYTES);
    return { n: keys.length, opsPerSec: keys.length / ms * 1000, laps };
  };
}

const readWhileWriting: Body = async (subject, context) => {
  const n = tenth(context);
  const order = uniform(n, context.entries, 240 + context.round);
  const keys = keysFor(subject, order);
  const writes = shuffled(context.entries, 241).subarray(0, n);
  const written = keysFor(subject, writes);
  let reading = true;
  let writer = 0;
  const measured = await timeWrites(subject, n, async (laps) => {
    const values = new Values(1);
    const writing = (async () => {
      for (; reading; writer++) {
        const i = writer % n;
        await subject.put(written[i], values.stamp(0, writes[i]!, 1));
      }
    })();
    for (const key of keys) {
      const at = performance.now();
      const value = await subject.get(key);
      laps.add(performance.now() - at);
      if (value === undefined) throw new Error("Cannot go on: a key is gone");
    }
    reading = false;
    await writing;
  });
  delete measured.writeAmp;
  measured.extra = { writesPerRead: writer / n };
  await assertHolds(subject, context.entries);
  return measured;
};

/** db_bench's rows. */
export const DB_BENCH: readonly Row[] = [
  row("fillseq", EMPTY, puts((c) => inOrder(tenth(c)))),
  row(
    "fillsync",
    EMPTY,
    async (subject, { entries }) => {
      const order = shuffled(Math.ceil(entries / 1000), 200);
      const keys = keysFor(subject, order);
      const values = new Values(1);
      return await timeWrites(subject, order.length, async (laps) => {
        for (let i = 0; i < keys.length; i++) {
          const value = values.stamp(0, order[i]!, 1);
          const at = performance.now();
          await subject.putSynced!(keys[i], value);
          laps.add(performance.now() - at);
        }
      });
    },
  ),
  row("fillrandom", EMPTY, puts((c) => uniform(tenth(c), c.entries, 201))),
  row(
    "fillbatch",
    EMPTY,
    async (subject, { entries }) => {
      const order = inOrder(entries);
      const keys = keysFor(subject, order);
      const measured = await timeWrites(
        subject,
        entries,
        (laps) => writeBatches(subject, keys, order, 1, laps),
      );
      await assertHolds(subject, entries);
      return measured;
    },
  ),
  row(
    "fill100K",
    EMPTY,
    async (subject, { entries }) => {
      const order = shuffled(Math.ceil(entries / 1000), 202);
      const keys = keysFor(subject, order);
      const measured = await timeWrites(
        subject,
        order.length,
        (laps) => putEach(subject, keys, order, laps, new Values(1, BIG)),
        KEY_BYTES + BIG,
      );
      let bytes = 0;
      await subject.scan({}, (_, value) => bytes += value.length);
      assertSame("the bytes of values", bytes, order.length * BIG);
      return measured;
    },
  ),
  row("overwrite", EDITED, puts((c) => uniform(tenth(c), c.entries, 203))),
  row(
    "readrandom",
    { ...FULL, subjects: ALL },
    gets((c) => uniform(tenth(c), c.entries, 210 + c.round)),
  ),
  row(
    "readmissing",
    { ...FULL, subjects: ALL },
    gets((c) => uniform(tenth(c), c.entries, 220 + c.round), 1),
  ),
  row(
    "readhot",
    { ...FULL, subjects: ALL },
    gets((c) => uniform(tenth(c), Math.ceil(c.entries / 100), 230 + c.round)),
  ),
  row("readseq", FULL, (subject, c) => scanAll(subject, c.entries, false)),
  row("readreverse", FULL, (subject, c) => scanAll(subject, c.entries, true)),
  row(
    "seekrandom",
    FULL,
    seeks((c) => uniform(Math.ceil(c.entries / 50), c.entries, 204)),
  ),
  row(
    "seekordered",
    FULL,
    seeks((c) => uniform(Math.ceil(c.entries / 50), c.entries, 205).sort()),
  ),
  row("readwhilewriting", EDITED, readWhileWriting),
  row("deleteseq", EDITED, removes((c) => inOrder(tenth(c)))),
  row(
    "deleterandom",
    EDITED,
    removes((c) => shuffled(c.entries, 206).subarray(0, tenth(c))),
  ),
  {
    name: "db_bench.open",
    subjects: ON_DISK,
    dataset: "data",
    changes: true,
    async run(context): Promise<Measured> {
      const n = Math.max(1, Math.ceil(context.entries / 10_000));
      const laps = new Laps();
      let ms = 0;
      for (let i = 0; i < n; i++) {
        const at = performance.now();
        const subject = await context.open();
        laps.add(performance.now() - at);
        ms += performance.now() - at;
        if (i === n - 1) await assertHolds(subject, context.entries);
        await subject.close();
      }
      return { n, opsPerSec: n / ms * 1000, laps };
    },
  },
];
