import { assert, assertEquals } from "@std/assert";
import { compareBytes, toBytes, toText } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { type LsmEvent, openLsm } from "../mod.ts";
import { StepFiles } from "../testing/step_files.ts";

const DIR = "store";

function rowKey(i: number): Uint8Array {
  return toBytes(`log${String(i).padStart(6, "0")}`);
}

Deno.test("a table in whose stretch nothing comes down stays as it is, and no other one spans it", async () => {
  const files = new StepFiles();
  const moved: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    files,
    memtableBytes: 64 * 1024,
    tableBytes: 16 * 1024,
    levelBytes: 10_000_000,
    onEvent: (event) => {
      if (event.type === "compaction") moved.push(event);
    },
  });
  const random = new Prng(1, "beside");
  const model = new Map<string, string>();
  // Rows in the order of their keys between others that come in none.
  for (let i = 0; i < 20_000; i++) {
    const value = `${i}`.padStart(40, "-");
    const other = `${random.below(2) === 0 ? "a" : "z"}${random.below(500)}`;
    await store.write([
      { key: rowKey(i), value: toBytes(value) },
      { key: toBytes(other), value: toBytes(value) },
    ]);
    model.set(toText(rowKey(i)), value);
    model.set(other, value);
  }
  await store.flush();
  await store.idle();
  const { compactions } = store.metrics();
  const { user } = store.stats().written;
  assert(compactions.count >= 5, `${compactions.count} compactions`);
  // Each row in order is merged once; all of them each time would be ten times that.
  assert(
    compactions.bytesOut < 2.5 * user,
    `${compactions.bytesOut} of ${user} bytes`,
  );
  const rows = store.iterate();
  const sorted = [...model].map(([key, value]) => ({
    key: toBytes(key),
    value,
  }))
    .sort((a, b) => compareBytes(a.key, b.key));
  for (const { key, value } of sorted) {
    assert(rows.next());
    assertEquals([toText(rows.key), toText(rows.value)], [toText(key), value]);
  }
  assertEquals(rows.next(), false);
  assertEquals((await store.check()).damages, []);
  await store.close();
  const reopened = await openLsm(DIR, { files });
  assertEquals(reopened.count(), model.size);
  await reopened.close();
});

Deno.test("a table stays only if none of those that come down has a key in its stretch", async () => {
  for (let at = 0; at < 4; at++) {
    const files = new StepFiles();
    const store = await openLsm(DIR, { files, tableBytes: 4096 });
    const sets = (...keys: string[]) =>
      store.write(
        keys.map((key) => ({
          key: toBytes(key),
          value: toBytes(`${key} new`),
        })),
      );
    const rows = Array.from({ length: 1000 }, (_, i) => rowKey(i));
    // Twice: what lies in one table alone would go down as it is.
    for (let times = 0; times < 2; times++) {
      await store.write(
        rows.map((key) => ({ key, value: toBytes(`${toText(key)} old`) })),
      );
      await store.flush();
    }
    await store.compact();
    assert(store.stats().tables[1]! > 3);
    const before = store.metrics().compactions.bytesOut;
    for (let table = 0; table < 4; table++) {
      await sets("a", "z", ...table === at ? ["log000100"] : []);
      await store.flush();
    }
    await store.idle();
    assertEquals(store.stats().tables[0], 0);
    for (const [i, key] of rows.entries()) {
      const value = toText(store.get(key)!);
      assertEquals(value, `${toText(key)} ${i === 100 ? "new" : "old"}`);
    }
    assertEquals(store.count(), 1002);
    assertEquals((await store.check()).damages, []);
    // The others were not written anew.
    const { bytesOut } = store.metrics().compactions;
    assert(bytesOut < before + 8000, `${bytesOut} bytes, ${before} before`);
    await store.close();
  }
});

Deno.test("a compaction on demand takes in what lies beside, and frees its room", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files, tableBytes: 4096 });
  const write = (length: number) =>
    store.write(
      Array.from({ length: 1000 }, (_, i) => ({
        key: rowKey(i),
        value: new Uint8Array(length),
      })),
    );
  await write(100);
  await store.flush();
  const snapshot = store.snapshot();
  await write(1);
  await store.compact();
  assert(store.stats().tableBytes > 100_000);
  snapshot.close();
  const ends = ["a", "z"].map((key) => ({
    key: toBytes(key),
    value: toBytes("1"),
  }));
  await store.write(ends);
  await store.compact();
  const { tableBytes } = store.stats();
  assert(tableBytes < 40_000, `${tableBytes} bytes`);
  assertEquals(store.count(), 1002);
  await store.close();
});
