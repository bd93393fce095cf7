import { assert, assertEquals } from "@std/assert";
import { toBytes, toText } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { type Lsm, type LsmEvent, openLsm } from "../mod.ts";
import { batchOf, contentOf, stateAfter, TINY } from "../testing/history.ts";
import { StepFiles } from "../testing/step_files.ts";

const DIR = "store";

function keyOf(i: number): Uint8Array {
  return toBytes(`k${String(i).padStart(5, "0")}`);
}

async function fill(store: Lsm, count: number): Promise<void> {
  const value = new Uint8Array(100);
  const ops = Array.from(
    { length: count },
    (_, i) => ({ key: keyOf(i), value }),
  );
  await store.write(ops);
}

function keysOf(store: Lsm): string[] {
  const keys: string[] = [];
  const iterator = store.iterate({ keysOnly: true });
  while (iterator.next()) keys.push(toText(iterator.key));
  return keys;
}

Deno.test("a range is deleted in bounded batches, its start included, its end not", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files });
  await fill(store, 4000);
  using before = store.snapshot();
  const range = { start: keyOf(500), end: keyOf(3500) };
  assertEquals(await store.deleteRange(range, { sync: true }), 3000);
  const keys = keysOf(store);
  assertEquals([keys.length, keys[499], keys[500]], [1000, "k00499", "k03500"]);
  assert(before.get(keyOf(700)) !== undefined);
  assertEquals(await store.deleteRange(range), 0);
  const after = new StepFiles(files.disk.crash("lost", new Prng(1)));
  const reopened = await openLsm(DIR, { files: after });
  assertEquals(keysOf(reopened).length, 1000);
  assertEquals(await reopened.deleteRange({}), 1000);
  assertEquals(keysOf(reopened), []);
  await reopened.close();
  await store.close();
});

Deno.test("the size of a range is about its share of the tables", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files, tableBytes: 20_000 });
  assertEquals(store.approximateSize(), 0);
  await fill(store, 4000);
  await store.compact();
  const all = store.approximateSize();
  assertEquals(all, store.stats().tableBytes);
  const quarter = store.approximateSize({
    start: keyOf(1000),
    end: keyOf(2000),
  });
  assert(quarter > all * 0.2 && quarter < all * 0.3, `${quarter} of ${all}`);
  assertEquals(store.approximateSize({ start: toBytes("z") }), 0);
  assertEquals(
    store.approximateSize({ start: keyOf(9), end: keyOf(9) }) < all / 50,
    true,
  );
  await store.close();
});

Deno.test("a compaction on demand frees the room of what was deleted", async () => {
  const files = new StepFiles();
  const events: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    files,
    tableBytes: 20_000,
    onEvent: (event) => events.push(event),
  });
  await fill(store, 2000);
  await store.compact();
  const full = store.stats().tableBytes;
  assertEquals(store.stats().tables[0], 0);
  await store.deleteRange({ start: keyOf(100), end: keyOf(1900) });
  await store.compact({ start: keyOf(100), end: keyOf(1900) });
  const { tableBytes } = store.stats();
  assert(tableBytes < full / 5, `${tableBytes} of ${full}`);
  assertEquals(keysOf(store).length, 200);
  assertEquals((await store.check()).damages, []);
  assert(events.some(({ type }) => type === "compaction"));
  await store.close();
});

Deno.test("compactions on demand, beside writes and each other, change nothing that is read", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files });
  const writing = (async () => {
    for (let i = 1; i <= 150; i++) await store.write(batchOf(i));
  })();
  for (let i = 0; i < 6; i++) {
    await Promise.all([
      store.compact({ start: toBytes("key2"), end: toBytes("key7") }),
      store.compact(),
    ]);
  }
  await writing;
  await store.compact();
  assertEquals(await contentOf(store), stateAfter(150));
  const tables = store.stats().tables;
  assertEquals(
    tables.slice(0, -1).filter((count) => count > 0).length <= 1,
    true,
  );
  const compacting = store.compact().catch(() => {});
  await store.close();
  await compacting;
  const reopened = await openLsm(DIR, { ...TINY, files });
  assertEquals(await contentOf(reopened), stateAfter(150));
  await reopened.close();
});
