import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClosedError,
  CorruptionError,
  LimitError,
  StorageError,
  toBytes,
  toText,
} from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { FileNode } from "../../runtime/file_tree.ts";
import { buildTable, type Lsm, type LsmEvent, openLsm } from "../mod.ts";
import { FaultyFiles } from "../testing/faulty_files.ts";
import { sampled } from "../testing/effort.ts";
import { batchOf, contentOf, stateAfter, TINY } from "../testing/history.ts";
import { StepFiles } from "../testing/step_files.ts";

const DIR = "store";

async function build(
  files: StepFiles,
  path: string,
  entries: Record<string, string | undefined>,
): Promise<void> {
  using table = buildTable(path, { files, blockBytes: 120 });
  for (const [key, value] of Object.entries(entries)) {
    if (value === undefined) table.delete(toBytes(key));
    else table.set(toBytes(key), toBytes(value));
  }
  await table.finish();
}

function textOf(store: Lsm, key: string): string | undefined {
  const value = store.get(toBytes(key));
  return value && toText(value);
}

Deno.test("ingested tables are newer than all before, older than all after, and outlive a restart", async () => {
  const files = new StepFiles();
  const events: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    ...TINY,
    files,
    onEvent: (event) => events.push(event),
  });
  for (let i = 1; i <= 30; i++) await store.write(batchOf(i));
  using before = store.snapshot();
  await build(files, "a", { count: "A", key3: undefined, key4: "new" });
  await build(files, "b", { x: "1", y: "2", z: undefined });
  const pending = store.write([{ key: toBytes("key5"), value: toBytes("5") }]);
  const ingesting = store.ingest(["b", "a"]);
  await Promise.all([pending, ingesting]);
  await store.write([{ key: toBytes("x"), value: toBytes("after") }]);
  const expect = (store: Lsm) =>
    assertEquals(
      ["count", "key3", "key4", "key5", "x", "y"].map((key) =>
        textOf(store, key)
      ),
      ["A", undefined, "new", "5", "after", "2"],
    );
  expect(store);
  assertEquals(await contentOf(before), stateAfter(30));
  assert(events.some((event) => event.type === "ingest" && event.tables === 2));
  assertEquals((await store.check()).damages, []);
  // The files stay their owner's.
  assert(files.exists("a") && files.exists("b"));
  const killed = new StepFiles(files.disk.crash("lost", new Prng(1)));
  const synced = await openLsm(DIR, { ...TINY, files: killed });
  assertEquals(textOf(synced, "key4"), "new");
  await synced.close();
  await store.compact();
  expect(store);
  await store.close();
  const reopened = await openLsm(DIR, { ...TINY, files });
  expect(reopened);
  await reopened.close();
});

Deno.test("an ingested table goes as deep as nothing above shares its keys", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files });
  await build(files, "low", { b: "1", d: "1" });
  await store.ingest(["low"]);
  assertEquals(store.stats().tables, [0, 0, 0, 0, 0, 0, 1]);
  await build(files, "over", { c: "2" });
  await store.ingest(["over"]);
  assertEquals(store.stats().tables, [0, 0, 0, 0, 0, 1, 1]);
  await build(files, "beside", { e: "2" });
  await store.ingest(["beside"]);
  assertEquals(store.stats().tables, [0, 0, 0, 0, 0, 1, 2]);
  await store.write([{ key: toBytes("c"), value: toBytes("3") }]);
  await build(files, "top", { c: "4" });
  await store.ingest(["top"]);
  assertEquals(store.stats().tables, [2, 0, 0, 0, 0, 1, 2]);
  assertEquals(["b", "c", "d", "e"].map((key) => textOf(store, key)), [
    "1",
    "4",
    "1",
    "2",
  ]);
  await store.close();
});

Deno.test("what is not a sound table of its own is not ingested, and nothing of the others", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files });
  await store.write(batchOf(1));
  await store.flush();
  await build(files, "good", { a: "1" });
  await build(files, "other", { "0": "1", b: "1" });
  await assertRejects(
    () => store.ingest(["good", "other"]),
    RangeError,
    'Cannot ingest "good": its keys overlap those of "other"',
  );
  await assertRejects(() => store.ingest(["good", "none"]), CorruptionError);
  // One of a store's own has entries of its own numbers.
  await assertRejects(
    () => store.ingest(["good", `${DIR}/000001.sst`]),
    CorruptionError,
  );
  const node = files.disk.tree.find("good");
  assert(node instanceof FileNode);
  for (let at = 0; at < node.size; at++) {
    node.view()[at]! ^= 4;
    await assertRejects(() => store.ingest(["good"]), CorruptionError, "good");
    node.view()[at]! ^= 4;
  }
  assertEquals(textOf(store, "a"), undefined);
  await store.ingest([]);
  await store.ingest(["good"]);
  assertEquals(textOf(store, "a"), "1");
  await store.close();
});

Deno.test("a table is built of ascending keys within their limits", async () => {
  const files = new StepFiles();
  using empty = buildTable("empty", { files });
  await assertRejects(() => empty.finish(), RangeError, "it has no entries");
  assertThrows(() => buildTable("empty", { files }), StorageError);
  using table = buildTable("t", { files });
  const key = new Uint8Array([5]);
  const value = new Uint8Array([7]);
  table.set(key, value);
  // The caller may use its bytes again.
  value[0] = 8;
  assertThrows(() => table.set(key, value), RangeError, "not behind");
  assertThrows(() => table.delete(new Uint8Array([4, 9])), RangeError);
  assertThrows(() => table.set(new Uint8Array(0), value), LimitError);
  assertThrows(() => table.set(new Uint8Array(65_536), value), LimitError);
  key[0] = 6;
  table.delete(key);
  assertEquals((await table.finish()).entries, 2);
  // Its memory is another table's by now.
  key[0] = 7;
  assertThrows(() => table.set(key, value), ClosedError);
  await assertRejects(() => table.finish(), ClosedError);
  const store = await openLsm(DIR, { files });
  await store.ingest(["t"]);
  assertEquals(store.get(new Uint8Array([5])), new Uint8Array([7]));
  await store.close();
});

Deno.test("a table of which a part could not be written is closed, and never finished", async () => {
  let appends = 0;
  const files = new FaultyFiles(
    new StepFiles(),
    ({ action }) => action === "append to" && ++appends === 2,
  );
  using table = buildTable("t", { files });
  const value = new Uint8Array(100_000);
  let added = 0;
  assertThrows(
    () => {
      for (; added < 100; added++) {
        table.set(new Uint8Array([added + 1]), value);
      }
    },
    StorageError,
  );
  assertEquals(files.handles, 0);
  assertThrows(() => table.set(new Uint8Array([200]), value), ClosedError);
  await assertRejects(() => table.finish(), ClosedError);
});

Deno.test("an ingest beside writes and compactions loses nothing", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files });
  for (let i = 0; i < 8; i++) {
    await build(files, `t${i}`, { [`key${i}a`]: `${i}`, [`key${i}b`]: "-" });
  }
  const writing = (async () => {
    for (let i = 1; i <= 120; i++) await store.write(batchOf(i));
  })();
  const compacting = (async () => {
    for (let i = 0; i < 4; i++) await store.compact();
  })();
  for (let i = 0; i < 8; i++) await store.ingest([`t${i}`]);
  await Promise.all([writing, compacting]);
  await store.idle();
  for (let i = 0; i < 8; i++) assertEquals(textOf(store, `key${i}a`), `${i}`);
  assertEquals(textOf(store, "count"), "120");
  assertEquals((await store.check()).damages, []);
  await store.close();
});

Deno.test("a crash at any step of an ingest leaves all of it or nothing", async () => {
  const live = async (files: StepFiles, done: () => void) => {
    await build(files, "a", { count: "A", key3: undefined });
    await build(files, "b", { x: "1" });
    // Their names are their owner's to sync.
    await files.syncDirectory(".");
    const store = await openLsm(DIR, { ...TINY, files });
    for (let i = 1; i <= 8; i++) await store.write(batchOf(i), { sync: true });
    await store.ingest(["a", "b"]);
    done();
    await store.close();
  };
  const counting = new StepFiles();
  await live(counting, () => {});
  for (let at = 40; at < counting.steps; at += sampled(2)) {
    let done = false;
    const files = new StepFiles(
      undefined,
      (step) => step === at ? "crash" : undefined,
    );
    const life = live(files, () => done = true);
    await Promise.race([life.catch(() => {}), files.end.promise]);
    for (const seed of [1, 2]) {
      const after = new StepFiles(files.disk.crash("torn", new Prng(seed)));
      const store = await openLsm(DIR, { ...TINY, files: after });
      const all = textOf(store, "x") === "1";
      assert(all || !done, `step ${at}`);
      assertEquals(textOf(store, "count") === "A", all, `step ${at}`);
      const written = Number(all ? 8 : textOf(store, "count") ?? 0);
      if (!all) assertEquals(await contentOf(store), stateAfter(written));
      await store.write([{ key: toBytes("x"), value: toBytes("2") }]);
      await store.close();
    }
  }
});
