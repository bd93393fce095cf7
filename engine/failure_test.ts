import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import {
  PoisonedError,
  StorageError,
  toBytes,
  toText,
} from "../runtime/mod.ts";
import { FileNode } from "../runtime/file_tree.ts";
import { MemoryFiles } from "../runtime/memory_files.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { Memtable } from "./memtable/memtable.ts";
import { openLsm } from "./mod.ts";
import { openStore } from "./recovery.ts";
import { times } from "./testing/effort.ts";
import { FaultyFiles } from "./testing/faulty_files.ts";
import { batchOf, prefixOf, TINY } from "./testing/history.ts";
import { runLives } from "./testing/lives.ts";
import { type Fate, StepFiles } from "./testing/step_files.ts";

const DIR = "data/store";

Deno.test("random lives of a store, ended in every way, keep every promise", async () => {
  const ends = new Set<string>();
  for (let seed = 1; seed <= 16; seed++) {
    const report = await runLives(seed, 5).catch((cause) => {
      throw new Error(`seed ${seed}: ${cause.message}`, { cause });
    });
    assert(report.acked > 0, `seed ${seed}`);
    for (const end of Object.keys(report.ends)) ends.add(end);
  }
  assertEquals([...ends].sort(), [
    "close",
    "fault",
    "kept",
    "lost",
    "process",
    "torn",
  ]);
});

Deno.test("nothing is appended behind an edit that failed, though one waits already", async () => {
  for (const action of ["append", "begin sync", "end sync"]) {
    let armed = false;
    let appends = 0;
    const files = new StepFiles(undefined, (_, asked, path): Fate => {
      if (!armed || !path.includes("MANIFEST")) return undefined;
      if (asked === "append") appends++;
      if (asked !== action) return undefined;
      armed = appends > 0;
      return "fail";
    });
    const { store, wal } = await openStore(DIR, { files });
    armed = true;
    const first = store.install({ nextNumber: 7 });
    const second = store.install({ nextNumber: 8 });
    await assertRejects(() => first, StorageError);
    await assertRejects(() => second, PoisonedError);
    assertEquals(appends, 1, action);
    wal.close();
    store.release();
  }
});

Deno.test("a store whose making was killed opens after a loss of power in the next open", async () => {
  // From where CURRENT is renamed to where the first WAL is named.
  for (let killAt = times(14, 0); killAt < 24; killAt++) {
    for (let crashAt = 0; crashAt < 16; crashAt++) {
      for (let seed = 0; seed < times(2, 20); seed++) {
        await makeTwiceAndOpen(killAt, crashAt, seed);
      }
    }
  }
});

async function makeTwiceAndOpen(
  killAt: number,
  crashAt: number,
  seed: number,
): Promise<void> {
  const dies = (at: number) => (step: number): Fate =>
    step === at ? "crash" : undefined;
  const first = new StepFiles(undefined, dies(killAt));
  const making = openLsm(DIR, { files: first });
  await Promise.race([making.catch(() => {}), first.end.promise]);
  // The machine goes on: what was not synced is still not.
  const lock = first.disk.tree.find(`${DIR}/LOCK`);
  if (lock instanceof FileNode) lock.lockedBy = undefined;
  const second = new StepFiles(first.disk, dies(crashAt));
  const opening = openLsm(DIR, { files: second });
  await Promise.race([opening.catch(() => {}), second.end.promise]);
  const disk = second.disk.crash(
    "torn",
    new Prng(seed, `${killAt} ${crashAt}`),
  );
  const store = await openLsm(DIR, { files: new StepFiles(disk) });
  assertEquals(await prefixOf(store), 0);
  await store.close();
}

Deno.test("directories that a killed process has made are durable before the store is", async () => {
  const first = new StepFiles(
    undefined,
    (_, action) => action === "begin sync" ? "crash" : undefined,
  );
  openLsm("a/b/store", { files: first }).catch(() => {});
  await first.end.promise;
  assert(first.exists("a/b/store"));
  const asked: string[] = [];
  const second = new StepFiles(first.disk, (_, action, path) => {
    asked.push(`${action} ${path}`);
    return undefined;
  });
  const store = await openLsm("a/b/store", { files: second });
  const made = asked.indexOf("rename a/b/store/CURRENT.new");
  for (const parent of ["a/b", "a"]) {
    const synced = asked.indexOf(`end sync ${parent}`);
    assert(synced >= 0 && synced < made, `${parent}: ${asked.join(", ")}`);
  }
  await store.close();
});

Deno.test("an open that fails at any step leaves no file open, and the next one works", async () => {
  const inner = new MemoryFiles();
  const written = await openLsm(DIR, { ...TINY, files: inner });
  for (let i = 1; i <= 9; i++) await written.write(batchOf(i));
  await written.flush();
  await written.write(batchOf(10));
  await written.close();
  let failed = 0;
  for (let at = 0; at < 80; at++) {
    let asked = 0;
    const files = new FaultyFiles(inner, () => asked++ === at);
    try {
      const store = await openLsm(DIR, { ...TINY, files });
      const faultBehindUs = asked <= at;
      await store.close().catch((error) => {
        assert(error instanceof StorageError, String(error));
      });
      if (faultBehindUs && asked <= at) break;
    } catch (error) {
      assert(error instanceof StorageError, String(error));
      failed++;
    }
    assertEquals(files.handles, 0, `step ${at}`);
    const store = await openLsm(DIR, { ...TINY, files: inner });
    assertEquals(await prefixOf(store), 10, `step ${at}`);
    await store.close();
  }
  assert(failed > 10, `only ${failed} opens failed`);
});

/** A device that takes its time for tables, so that there is always one to come. */
class SlowTables extends StepFiles {
  override async sync(path: string, begin: () => () => void): Promise<void> {
    const turns = path.endsWith(".sst") ? 100 : 0;
    for (let turn = 0; turn < turns; turn++) await undefined;
    await super.sync(path, begin);
  }
}

Deno.test("a flush ends though writers go on", async () => {
  const store = await openLsm(DIR, { ...TINY, files: new SlowTables() });
  await store.write(batchOf(1));
  let flushed = false;
  const flushing = store.flush().then(() => flushed = true);
  let writes = 1;
  while (!flushed && writes < 5000) await store.write(batchOf(++writes));
  assert(flushed, `not after ${writes} writes`);
  await flushing;
  await store.close();
});

Deno.test("empty batches leave nothing behind", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files });
  // Synced, so that the log has room by now, and one batch in it that is not.
  await store.write(batchOf(1), { sync: true });
  await store.write(batchOf(2));
  const sizeOf = () =>
    [...files.disk.image().files.values()]
      .reduce((sum, bytes) => sum + bytes.length, 0);
  const before = sizeOf();
  for (let i = 0; i < 50; i++) await store.write([], { sync: i % 2 === 0 });
  assertEquals(sizeOf(), before);
  // A synced empty batch still makes durable what came before it.
  const disk = files.disk.crash("lost", new Prng(1));
  const reopened = await openLsm(DIR, { files: new StepFiles(disk) });
  assertEquals(await prefixOf(reopened), 2);
  await reopened.close();
});

Deno.test("an iterator's bounds are its own, also those that came in Node Buffers", async () => {
  const store = await openLsm(DIR, { files: new MemoryFiles() });
  for (const key of ["a", "b", "c", "d"]) {
    await store.write([{ key: toBytes(key), value: toBytes(key) }]);
  }
  const start = Buffer.from("b");
  const end = Buffer.from("d");
  const prefix = Buffer.from("c");
  const range = store.iterate({ start, end });
  const prefixed = store.iterate({ prefix });
  start.fill("a");
  end.fill("z");
  prefix.fill("a");
  const found: string[] = [];
  for (const iterator of [range, prefixed]) {
    while (iterator.next()) found.push(toText(iterator.key));
  }
  assertEquals(found, ["b", "c", "c"]);
  await store.close();
});

Deno.test("a table that cannot be removed harms nobody, and goes at the next open", async () => {
  const inner = new MemoryFiles();
  let refuses = false;
  const files = new FaultyFiles(
    inner,
    ({ action, path }) => refuses && action === "remove" && /sst$/.test(path),
  );
  const store = await openLsm(DIR, { ...TINY, files });
  for (let i = 1; i <= 8; i++) await store.write(batchOf(i));
  await store.flush();
  const iterator = store.iterate();
  iterator.next();
  refuses = true;
  for (let i = 9; i <= 60; i++) await store.write(batchOf(i));
  await store.idle();
  iterator.close();
  assertEquals(await prefixOf(store), 60);
  await store.write(batchOf(61));
  const live = store.stats().tables.reduce((sum, count) => sum + count);
  const tables = () =>
    inner.list(DIR).filter((name) => name.endsWith(".sst")).length;
  assert(tables() > live);
  await store.close();
  const reopened = await openLsm(DIR, { ...TINY, files: inner });
  await reopened.idle();
  assertEquals(
    tables(),
    reopened.stats().tables.reduce((sum, count) => sum + count),
  );
  await reopened.close();
});

Deno.test("a batch that is in the log and does not get into the memtable ends all writing", async () => {
  const files = new MemoryFiles();
  const store = await openLsm(DIR, { files });
  const write = (key: string) =>
    store.write([{ key: toBytes(key), value: toBytes(key) }], { sync: true });
  await write("a");
  const { addStored } = Memtable.prototype;
  Memtable.prototype.addStored = () => {
    throw new RangeError("Array buffer allocation failed");
  };
  try {
    await assertRejects(() => write("b"), RangeError);
  } finally {
    Memtable.prototype.addStored = addStored;
  }
  // It would have the sequence number of the one before.
  await assertRejects(() => write("c"), PoisonedError);
  await store.close();
  await using again = await openLsm(DIR, { files });
  assertEquals(again.get(toBytes("a")), toBytes("a"));
  assertEquals(again.get(toBytes("c")), undefined);
});
