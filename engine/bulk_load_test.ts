import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ClosedError,
  LimitError,
  NotSupportedError,
  PoisonedError,
  StorageError,
  toBytes,
  toText,
} from "../runtime/mod.ts";
import { MemoryFiles } from "../runtime/memory_files.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { type Lsm, type LsmEvent, openLsm, type Row } from "./mod.ts";
import { sampled } from "./testing/effort.ts";
import { batchOf, contentOf, stateAfter, TINY } from "./testing/history.ts";
import { StepFiles } from "./testing/step_files.ts";

const DIR = "store";

/** So many rows in rising order of their keys, behind those of the history. */
function rowsOf(count: number, value: string, prefix = "row"): Row[] {
  return Array.from({ length: count }, (_, i) => ({
    key: toBytes(prefix + String(i).padStart(4, "0")),
    value: toBytes(`${value}${i}`),
  }));
}

/** As those, in an order that is not theirs. */
function mixed(rows: readonly Row[]): Row[] {
  const prng = new Prng(rows.length);
  const order = rows.map((row) => ({ row, at: prng.below(1e6) }));
  return order.sort((a, b) => a.at - b.at).map(({ row }) => row);
}

async function load(
  store: Lsm,
  { append = [], insert = [] }: { append?: Row[]; insert?: Row[] },
): Promise<void> {
  const load = await store.load();
  await load.append(append.slice(0, 40));
  for (let at = 0; at < insert.length; at += 25) {
    await load.insert(insert.slice(at, at + 25));
  }
  await load.append(append.slice(40));
  await load.finish();
  await load.close();
}

/** The values between two keys, in order. */
function textOf(store: Lsm, prefix: string): string {
  const texts: string[] = [];
  using rows = store.iterate({ prefix: toBytes(prefix) });
  while (rows.next()) {
    const value = toText(rows.value);
    assertEquals(toText(store.get(rows.key)!), value);
    texts.push(value);
  }
  return texts.join(" ");
}

function expected(count: number, value: string): string {
  return rowsOf(count, value).map((row) => toText(row.value)).join(" ");
}

Deno.test("a load is there whole when it is finished, and before that not at all", async () => {
  const files = new StepFiles();
  const events: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    ...TINY,
    files,
    onEvent: (event) => events.push(event),
  });
  for (let i = 1; i <= 12; i++) await store.write(batchOf(i));
  using before = store.snapshot();
  const load = await store.load();
  await load.append(rowsOf(120, "a"));
  await load.insert(mixed(rowsOf(900, "b", "other")));
  await store.write(batchOf(13));
  assertEquals(await contentOf(store), stateAfter(13));
  await load.finish();
  assertEquals(textOf(store, "row"), expected(120, "a"));
  assertEquals(textOf(store, "other"), expected(900, "b"));
  assertEquals(await contentOf(before), stateAfter(12));
  assert(events.some(({ type }) => type === "ingest"));
  // Nothing of what it was made of is left.
  const { tables } = store.stats();
  const named = files.list(DIR).filter((name) => name.endsWith(".sst"));
  assertEquals(named.length, tables.reduce((sum, count) => sum + count, 0));
  assertEquals((await store.check()).damages, []);
  await store.write([{ key: toBytes("row0005"), value: toBytes("new") }]);
  await store.flush();
  const killed = new StepFiles(files.disk.crash("lost", new Prng(1)));
  const synced = await openLsm(DIR, { ...TINY, files: killed });
  assertEquals(textOf(synced, "other"), expected(900, "b"));
  assertEquals(toText(synced.get(toBytes("row0005"))!), "new");
  await synced.close();
  await store.close();
});

Deno.test("a load goes to the deepest level, past tables that only reach over it", async () => {
  const store = await openLsm(DIR, { files: new StepFiles() });
  const around = [
    { key: toBytes("a"), value: toBytes("1") },
    { key: toBytes("z"), value: toBytes("1") },
  ];
  await store.write(around);
  await load(store, { append: rowsOf(100, "a"), insert: rowsOf(9, "b", "p") });
  assertEquals(store.stats().tables, [1, 0, 0, 0, 0, 0, 2]);
  // Beside another that reaches over it there is no room.
  await store.compact();
  assertEquals(store.stats().tables, [0, 0, 0, 0, 0, 0, 1]);
  const [, between] = [0, "row0007a"];
  await load(store, {
    append: [{ key: toBytes(between), value: toBytes("") }],
  });
  assertEquals(store.stats().tables, [0, 0, 0, 0, 0, 1, 1]);
  await store.close();
});

for (const flushed of [false, true]) {
  Deno.test(`what was deleted before, ${flushed ? "in tables" : "in memory"}, does not hide what is loaded`, async () => {
    const files = new StepFiles();
    const store = await openLsm(DIR, { ...TINY, files });
    for (let round = 0; round < 3; round++) {
      await load(store, {
        append: rowsOf(90, `a${round}.`),
        insert: mixed(rowsOf(70, `b${round}.`, "other")),
      });
      assertEquals(textOf(store, "row"), expected(90, `a${round}.`));
      assertEquals(textOf(store, "other"), expected(70, `b${round}.`));
      if (round === 2) break;
      await store.deleteRange({});
      if (flushed) await store.flush();
      assertEquals(store.count(), 0);
    }
    assertEquals((await store.check()).damages, []);
    await store.close();
    const reopened = await openLsm(DIR, { ...TINY, files });
    assertEquals(textOf(reopened, "row"), expected(90, "a2."));
    // Old rows are given back: nothing but what was loaded last is left.
    await reopened.compact();
    assertEquals(textOf(reopened, "row"), expected(90, "a2."));
    assertEquals(reopened.count(), 160);
    await reopened.close();
  });
}

Deno.test("what a load is given up for leaves no file and no row", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files });
  for (let i = 1; i <= 5; i++) await store.write(batchOf(i));
  const given = await store.load();
  await given.append(rowsOf(80, "a"));
  await given.insert(mixed(rowsOf(200, "b", "other")));
  await assertRejects(() => store.load(), LimitError, "the number of loads");
  await given.close();
  await given.close();
  await assertRejects(async () => await given.finish(), ClosedError);
  await store.idle();
  assertEquals(await contentOf(store), stateAfter(5));
  const named = files.list(DIR).filter((name) => name.endsWith(".sst"));
  const { tables } = store.stats();
  assertEquals(named.length, tables.reduce((sum, count) => sum + count, 0));
  await load(store, {});
  await load(store, { append: rowsOf(2, "c") });
  assertEquals(textOf(store, "row"), expected(2, "c"));
  await store.close();
  await assertRejects(() => store.load(), ClosedError);
  const readOnly = await openLsm(DIR, { files, readOnly: true });
  await assertRejects(() => readOnly.load(), NotSupportedError);
  await readOnly.close();
});

Deno.test("a load takes rising keys within their limits, and nothing more after an error", async () => {
  const store = await openLsm(DIR, { ...TINY, files: new StepFiles() });
  const refuse = async (
    rows: Row[],
    kind: ErrorConstructor | typeof LimitError,
  ) => {
    const load = await store.load();
    await load.append(rowsOf(3, "a"));
    await assertRejects(
      async () => await load.append(rows),
      kind as typeof Error,
    );
    await assertRejects(
      async () => await load.append(rowsOf(1, "b", "z")),
      ClosedError,
    );
    await assertRejects(async () => await load.finish(), ClosedError);
    await load.close();
  };
  const value = new Uint8Array(0);
  await refuse(rowsOf(3, "a"), RangeError);
  await refuse([{ key: toBytes("row0002"), value }], RangeError);
  await refuse([{ key: new Uint8Array(0), value }], LimitError);
  await refuse([{ key: new Uint8Array(65_536).fill(255), value }], LimitError);
  const busy = await store.load();
  const first = busy.append(rowsOf(50, "a"));
  await assertRejects(
    async () => await busy.insert([]),
    TypeError,
    "under way",
  );
  await first;
  await busy.finish();
  assertEquals(store.count(), 50);
  await store.close();
});

Deno.test("a store that is closed while it loads leaves none of the rows", async () => {
  const files = new MemoryFiles();
  for (const at of ["append", "insert", "finish"] as const) {
    const store = await openLsm(DIR, { ...TINY, files, sliceBytes: 200 });
    const load = await store.load();
    if (at === "finish") await load.insert(mixed(rowsOf(300, "b")));
    const running = at === "finish"
      ? load.finish()
      : load[at](mixed(rowsOf(300, "b")).sort(byKey));
    const ended = assertRejects(async () => await running, ClosedError);
    await Promise.resolve();
    await store.close();
    await ended;
    const reopened = await openLsm(DIR, { ...TINY, files });
    assertEquals(reopened.count(), 0, at);
    await reopened.close();
  }
});

function byKey(a: Row, b: Row): number {
  return toText(a.key) < toText(b.key) ? -1 : 1;
}

Deno.test("loads beside writes, flushes and compactions lose nothing", async () => {
  const store = await openLsm(DIR, { ...TINY, files: new StepFiles() });
  const writing = (async () => {
    for (let i = 1; i <= 150; i++) await store.write(batchOf(i));
  })();
  const compacting = (async () => {
    for (let i = 0; i < 5; i++) await store.compact();
  })();
  for (let round = 0; round < 4; round++) {
    await load(store, {
      append: rowsOf(60, `${round}.`),
      insert: mixed(rowsOf(60, `${round}.`, "other")),
    });
  }
  await Promise.all([writing, compacting]);
  await store.idle();
  assertEquals(textOf(store, "row"), expected(60, "3."));
  assertEquals(textOf(store, "other"), expected(60, "3."));
  await store.deleteRange({ start: toBytes("other") });
  assertEquals(await contentOf(store), stateAfter(150));
  assertEquals((await store.check()).damages, []);
  await store.close();
});

/** Writes, loads over an older load that was deleted, and writes on. */
async function live(
  files: StepFiles,
  told: { first: boolean; last: boolean },
): Promise<void> {
  const store = await openLsm(DIR, { ...TINY, files });
  for (let i = 1; i <= 6; i++) await store.write(batchOf(i), { sync: true });
  await load(store, { append: rowsOf(30, "a") });
  told.first = true;
  await store.deleteRange({ start: toBytes("row") }, { sync: true });
  await load(store, {
    append: rowsOf(50, "b"),
    insert: mixed(rowsOf(60, "b", "other")),
  });
  told.last = true;
  await store.close();
}

Deno.test("a crash at any step of a load leaves all of it or nothing", async () => {
  const counting = new StepFiles();
  await live(counting, { first: false, last: false });
  for (let at = 50; at < counting.steps; at += sampled(3)) {
    const told = { first: false, last: false };
    const files = new StepFiles(
      undefined,
      (step) => step === at ? "crash" : undefined,
    );
    await Promise.race([live(files, told).catch(() => {}), files.end.promise]);
    for (const unsynced of ["torn", "lost"] as const) {
      const disk = files.disk.crash(unsynced, new Prng(at));
      const after = new StepFiles(disk);
      const store = await openLsm(DIR, { ...TINY, files: after });
      const rows = textOf(store, "row");
      const whole = rows === expected(50, "b");
      assertEquals(
        textOf(store, "other"),
        whole ? expected(60, "b") : "",
        `step ${at}`,
      );
      assert(whole || !told.last, `step ${at}: what was finished is gone`);
      const few = rowsOf(30, "a").some(({ value }) =>
        rows.split(" ").includes(toText(value))
      );
      if (!whole) {
        assert(few || rows === "", `step ${at}: ${rows}`);
        assert(told.first || !few || rows === expected(30, "a"), `step ${at}`);
      }
      await store.deleteRange({ start: toBytes("other") });
      const count = Number(toText(store.get(toBytes("count")) ?? toBytes("0")));
      assert(count === 6 || !told.first);
      assertEquals(await contentOf(store), stateAfter(count), `step ${at}`);
      assertEquals((await store.check()).damages, []);
      await store.close();
    }
  }
});

Deno.test("when any step of a load fails, nothing that was acked is lost", async () => {
  const counting = new StepFiles();
  await live(counting, { first: false, last: false });
  for (let at = 50; at < counting.steps; at += sampled(3)) {
    const told = { first: false, last: false };
    const files = new StepFiles(
      undefined,
      (step) => step === at ? "fail" : undefined,
    );
    await live(files, told).catch((error) => {
      assert(
        error instanceof StorageError || error instanceof PoisonedError,
        String(error),
      );
    });
    const disk = files.disk.crash("kept", new Prng(at));
    const store = await openLsm(DIR, { ...TINY, files: new StepFiles(disk) });
    if (told.last) assertEquals(textOf(store, "row"), expected(50, "b"));
    const count = Number(toText(store.get(toBytes("count")) ?? toBytes("0")));
    assert(count === 6 || !told.first);
    assertEquals((await store.check()).damages, []);
    await store.close();
  }
});
