import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  type FileSystem,
  LockedError,
  PoisonedError,
  StorageError,
  toBytes,
  toText,
} from "../runtime/mod.ts";
import { MemoryFiles } from "../runtime/memory_files.ts";
import { type BatchOp, type Lsm, type LsmEvent, openLsm } from "./mod.ts";
import { contentOf, TINY } from "./testing/history.ts";
import { StepFiles } from "./testing/step_files.ts";

const DIR = "store";

function set(key: string, value: string | Uint8Array): BatchOp {
  return { key: toBytes(key), value: toBytes(value) };
}

function textOf(store: Lsm, key: string): string | undefined {
  const value = store.get(toBytes(key));
  return value && toText(value);
}

Deno.test("concurrent synced writers share syncs, two of which are in flight at a time", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files });
  const before = files.syncs;
  const writes: Promise<void>[] = [];
  for (let i = 0; i < 200; i++) {
    writes.push(store.write([set(`${i}`, "v")], { sync: true }));
    // Some arrive together, some while a sync is in flight.
    if (i % 20 === 0) await Promise.resolve();
  }
  await Promise.all(writes);
  const syncs = files.syncs - before;
  assert(syncs <= 12, `${syncs} syncs for 200 writers`);
  assertEquals(files.syncsInFlightMax, 2);
  await store.close();
});

Deno.test("a write without sync does not sync", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files });
  const before = files.syncs;
  await store.write([set("a", "1")]);
  assertEquals(files.syncs, before);
  await store.write([set("b", "1")], { sync: true });
  assertEquals(files.syncs, before + 1);
  await store.close();
});

Deno.test("a batch is not seen before it is as durable as was asked", async () => {
  const gate = Promise.withResolvers<void>();
  let armed = false;
  const files = new class extends StepFiles {
    override async sync(path: string, begin: () => () => void): Promise<void> {
      if (armed) await gate.promise;
      await super.sync(path, begin);
    }
  }();
  const store = await openLsm(DIR, { files });
  armed = true;
  const writing = store.write([set("a", "1")], { sync: true });
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  assertEquals(textOf(store, "a"), undefined);
  gate.resolve();
  await writing;
  assertEquals(textOf(store, "a"), "1");
  await store.close();
  armed = false;

  const failing = new StepFiles(
    undefined,
    (_, action, path) =>
      action === "begin sync" && path.endsWith("1.wal") && armed
        ? "fail"
        : undefined,
  );
  const doomed = await openLsm(DIR, { files: failing });
  armed = true;
  await assertRejects(
    () => doomed.write([set("a", "1")], { sync: true }),
    StorageError,
  );
  assertEquals(textOf(doomed, "a"), undefined);
  await doomed.close();
});

Deno.test("a directory that is open is locked until it is closed", async () => {
  const files = new MemoryFiles();
  const store = await openLsm(DIR, { files });
  const error = await assertRejects(() => openLsm(DIR, { files }), LockedError);
  assertEquals(error.path, DIR);
  await store.close();
  await (await openLsm(DIR, { files })).close();
});

Deno.test("an open that fails leaves the directory unlocked", async () => {
  let failing = true;
  const files = new StepFiles(
    undefined,
    (_, action) => failing && action === "rename" ? "fail" : undefined,
  );
  await assertRejects(() => openLsm(DIR, { files }), StorageError);
  failing = false;
  await (await openLsm(DIR, { files })).close();
});

Deno.test("a path that is a file is a StorageError", async () => {
  const files = new MemoryFiles();
  files.open(DIR, { mode: "create" }).close();
  await assertRejects(() => openLsm(DIR, { files }), StorageError);
});

Deno.test("after a failed sync nothing is written until the store is opened anew", async () => {
  let failing = false;
  const files = new StepFiles(
    undefined,
    (_, action) => failing && action === "begin sync" ? "fail" : undefined,
  );
  const events: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    files,
    onEvent: (event) => events.push(event),
  });
  await store.write([set("a", "1")], { sync: true });
  failing = true;
  const first = await assertRejects(
    () => store.write([set("a", "2")], { sync: true }),
    StorageError,
  );
  failing = false;
  const later = await assertRejects(
    () => store.write([set("b", "1")]),
    PoisonedError,
  );
  assertStrictEquals(later.cause, first);
  await assertRejects(() => store.flush(), PoisonedError);
  assertEquals(events.at(-1), { type: "poisoned", error: first });
  assertEquals(textOf(store, "a"), "1");
  await store.close();
  const reopened = await openLsm(DIR, { files });
  await reopened.write([set("b", "2")], { sync: true });
  assertEquals(textOf(reopened, "b"), "2");
  await reopened.close();
});

Deno.test("a failed flush poisons the store and is reported", async () => {
  let failing = false;
  const files = new StepFiles(
    undefined,
    (_, action, path) =>
      failing && action === "append" && path.endsWith(".sst")
        ? "fail"
        : undefined,
  );
  const events: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    files,
    onEvent: (event) => events.push(event),
  });
  await store.write([set("a", "1")]);
  failing = true;
  await assertRejects(() => store.flush(), PoisonedError);
  assertEquals(events.at(-1)?.type, "poisoned");
  await assertRejects(() => store.write([set("a", "2")]), PoisonedError);
  await store.close();
  failing = false;
  const reopened = await openLsm(DIR, { files });
  assertEquals(textOf(reopened, "a"), "1");
  await reopened.close();
});

Deno.test("a value of 64 MiB is written, recovered, flushed and read", async () => {
  const files = new MemoryFiles();
  const value = new Uint8Array(64 * 1024 * 1024);
  for (let i = 0; i < value.length; i += 4096) value[i] = i >>> 12;
  let store = await openLsm(DIR, { files });
  await store.write([set("a", "1"), set("large", value), set("z", "1")]);
  await store.close();
  store = await openLsm(DIR, { files });
  await store.flush();
  const read = store.get(toBytes("large"))!;
  assertEquals(read.length, value.length);
  for (let i = 0; i < value.length; i += 4096) {
    if (read[i] !== value[i]) throw new Error(`byte ${i} differs`);
  }
  assertEquals([textOf(store, "a"), textOf(store, "z")], ["1", "1"]);
  await store.close();
});

Deno.test("a batch larger than the memtable goes in whole", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files });
  const batch = Array.from(
    { length: 500 },
    (_, i) => set(`${1000 + i}`, "x".repeat(i)),
  );
  await store.write(batch, { sync: true });
  await store.write([set("after", "1")]);
  await store.idle();
  assertEquals((await contentOf(store)).split(" ").length, 501);
  await store.close();
});

Deno.test("a snapshot stays as it was across flushes and compactions", async () => {
  const store = await openLsm(DIR, { ...TINY, files: new MemoryFiles() });
  for (let i = 0; i < 30; i++) await store.write([set(`k${i}`, "old")]);
  const snapshot = store.snapshot();
  // Another one of the same moment keeps nothing from it when it goes.
  store.snapshot().close();
  const iterator = store.iterate();
  const before = await contentOf(snapshot);
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 30; i++) {
      const value = i % 3 === 0 ? undefined : toBytes(`new ${round}`);
      await store.write([{ key: toBytes(`k${i}`), value }]);
    }
    await store.flush();
    await store.idle();
  }
  assertEquals(await contentOf(snapshot), before);
  const found: string[] = [];
  while (iterator.next()) {
    found.push(`${toText(iterator.key)}=${toText(iterator.value)}`);
  }
  assertEquals(found.join(" "), before);
  snapshot.close();
  assertThrows(() => snapshot.get(toBytes("k1")), Error, "snapshot is closed");
  await store.close();
});

Deno.test("overwritten and deleted data is given back, and tables stay few", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files });
  let most = 0;
  for (let round = 0; round < 200; round++) {
    for (let i = 0; i < 20; i++) {
      await store.write([set(`k${i}`, `${round}`.repeat(5))]);
    }
    most = Math.max(most, store.stats().tables[0]!);
  }
  assert(most <= 14, `${most} tables in level 0`);
  const batch = Array.from(
    { length: 20 },
    (_, i) => ({ key: toBytes(`k${i}`), value: undefined }),
  );
  await store.write(batch);
  for (let i = 0; i < 4; i++) {
    await store.write([set("other", `${i}`)]);
    await store.flush();
  }
  await store.idle();
  const { tables, tableBytes } = store.stats();
  assert(tables.reduce((a, b) => a + b) <= 12, `tables: ${tables}`);
  assert(tableBytes < 20_000, `${tableBytes} bytes for one key`);
  const onDisk = files.list(DIR).filter((name) => name.endsWith(".sst"));
  assertEquals(onDisk.length, tables.reduce((a, b) => a + b));
  await store.close();
});

Deno.test("files that nobody needs any more are removed one at a time, and after one that could not be", async () => {
  let under = 0;
  let most = 0;
  let removals = 0;
  const files = new class extends MemoryFiles {
    async removeAside(path: string): Promise<void> {
      removals++;
      most = Math.max(most, ++under);
      await new Promise((resolve) => void setTimeout(resolve, 0));
      under--;
      if (removals === 2) throw new StorageError("remove", path, "so says it");
      this.remove(path);
    }
  }();
  const store = await openLsm(DIR, { ...TINY, files });
  for (let round = 0; round < 50; round++) {
    for (let i = 0; i < 20; i++) {
      await store.write([set(`k${i}`, `${round}`.repeat(5))]);
    }
  }
  await store.idle();
  const tables = store.stats().tables.reduce((a, b) => a + b);
  await store.close();
  assertEquals([under, most], [0, 1]);
  const onDisk = files.list(DIR).filter((name) => /\.(sst|wal)$/.test(name));
  // The tables, the log that is gone on with, and what could not be removed.
  assertEquals(onDisk.length, tables + 2, `${onDisk}`);
  assert(removals > 50, `${removals} removals`);
});

Deno.test("an iterator keeps its files until it is closed or at its end", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files });
  const tables = () => files.list(DIR).filter((name) => name.endsWith(".sst"));
  await store.write([set("a", "1"), set("b", "1")]);
  await store.flush();
  const held = tables();
  const iterator = store.iterate();
  for (let i = 0; i < 6; i++) {
    await store.write([set("a", `${i}`), set("b", `${i}`)]);
    await store.flush();
  }
  await store.idle();
  assert(held.every((name) => tables().includes(name)));
  assert(iterator.next());
  assertEquals(toText(iterator.value), "1");
  iterator.close();
  assert(!held.some((name) => tables().includes(name)));
  await store.close();
});

Deno.test("writers wait while memtables are full, and go on when one is flushed", async () => {
  const gate = Promise.withResolvers<void>();
  class GatedFiles extends StepFiles {
    override async sync(path: string, begin: () => () => void): Promise<void> {
      if (path.endsWith(".sst")) await gate.promise;
      await super.sync(path, begin);
    }
  }
  const stalled = Promise.withResolvers<void>();
  const events: string[] = [];
  const store = await openLsm(DIR, {
    ...TINY,
    files: new GatedFiles(),
    onEvent(event) {
      events.push(event.type);
      if (event.type === "stallBegin") stalled.resolve();
    },
  });
  let written = 0;
  const writing = (async () => {
    for (; written < 100; written++) {
      await store.write([set(`${written}`, "x".repeat(100))]);
    }
  })();
  await stalled.promise;
  const before = written;
  assert(before < 100);
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  assertEquals(written, before);
  assert(store.stats().memtableBytes < 10_000);
  gate.resolve();
  await writing;
  assert(events.includes("stallEnd"));
  await store.close();
});

Deno.test("opening again and again leaves few files, and strange ones alone", async () => {
  const files = new StepFiles();
  for (let i = 0; i < 20; i++) {
    const store = await openLsm(DIR, { files });
    if (i === 0) files.open(`${DIR}/notes.txt`, { mode: "create" }).close();
    await store.write([set(`${i}`, "1")]);
    await store.close();
  }
  const names = files.list(DIR);
  assert(names.length < 14, String(names));
  assert(names.includes("notes.txt"));
  const store = await openLsm(DIR, { files });
  assertEquals((await contentOf(store)).split(" ").length, 20);
  await store.close();
});

Deno.test("a MANIFEST that has grown large is written anew", async () => {
  const files = new StepFiles();
  const key = "k".repeat(60_000);
  let store = await openLsm(DIR, { ...TINY, files });
  for (let i = 0; i < 12; i++) {
    await store.write([set(key, `${i}`)]);
    await store.flush();
    await store.idle();
  }
  await store.close();
  const manifests = files.list(DIR).filter((name) =>
    name.startsWith("MANIFEST")
  );
  assertEquals(manifests.length, 1);
  assert(manifests[0] !== "MANIFEST-000001");
  store = await openLsm(DIR, { ...TINY, files });
  assertEquals(textOf(store, key), "11");
  await store.close();
});

function sizeOf(files: FileSystem, path: string): number {
  using file = files.open(path, { mode: "read" });
  return file.size();
}

Deno.test("writers wait while level 0 is full, and go on when it is compacted", async () => {
  const gate = Promise.withResolvers<void>();
  const compacting = Promise.withResolvers<void>();
  const files = new class extends StepFiles {
    override async sync(path: string, begin: () => () => void): Promise<void> {
      // A flush here makes a table of one value, a compaction larger ones.
      if (path.endsWith(".sst") && sizeOf(this, path) > 1_000_000) {
        compacting.resolve();
        await gate.promise;
      }
      await super.sync(path, begin);
    }
  }();
  const store = await openLsm(DIR, { files, memtableBytes: 100_000 });
  let written = 0;
  const writing = (async () => {
    for (; written < 40; written++) {
      await store.write([set(`${written}`, new Uint8Array(300_000))]);
    }
  })();
  await compacting.promise;
  for (let turn = 0; turn < 5000; turn++) await Promise.resolve();
  const before = written;
  assert(before < 20, `${before} were written`);
  assert(store.stats().tables[0]! <= 14);
  for (let turn = 0; turn < 1000; turn++) await Promise.resolve();
  assertEquals(written, before);
  gate.resolve();
  await writing;
  await store.close();
});

Deno.test("an iterator that outlives its store touches no file any more", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files });
  await store.write([set("a", "1")]);
  await store.flush();
  const iterator = store.iterate();
  for (let i = 0; i < 4; i++) {
    await store.write([set("a", `${i}`)]);
    await store.flush();
  }
  await store.idle();
  await store.close();
  const next = await openLsm(DIR, { ...TINY, files });
  const before = files.list(DIR);
  iterator.close();
  assertEquals(files.list(DIR), before);
  await next.close();
});
