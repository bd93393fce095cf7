import { assert, assertEquals } from "@std/assert";
import { toBytes, toText } from "../../runtime/mod.ts";
import type { FileSystem, Workers } from "../../runtime/mod.ts";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { type Lsm, type LsmEvent, type LsmOptions, openLsm } from "../mod.ts";
import { LEVEL0_SLOW, LEVEL0_STOP } from "../options.ts";
import { batchOf, prefixOf, TINY } from "../testing/history.ts";
import { inlineWorkers } from "../testing/inline_workers.ts";
import { turns, yieldToTimers } from "../testing/turns.ts";
import { NOTE_BYTES, serve, type WorkerRequest } from "./worker.ts";

const DIR = "store";

async function openTiny(
  files: FileSystem,
  options: Partial<LsmOptions>,
): Promise<{ store: Lsm; events: LsmEvent[] }> {
  const events: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    ...TINY,
    files,
    workerBytes: 0,
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { store, events };
}

async function fill(store: Lsm, until = 80): Promise<void> {
  for (let i = 1; i <= until; i++) await store.write(batchOf(i));
  await store.flush();
  await store.idle();
}

function compactions(events: LsmEvent[]): number {
  return events.filter((event) => event.type === "compaction" && !event.moved)
    .length;
}

function flushesOf(events: LsmEvent[]): number {
  return events.filter((event) => event.type === "flush").length;
}

Deno.test("flushes and compactions run in a thread each, and give what they give in this one", async () => {
  const files = new MemoryFiles();
  const workers = inlineWorkers(files);
  const { store, events } = await openTiny(files, { workers });
  await fill(store);
  assertEquals(await prefixOf(store), 80);
  assertEquals(workers.calls.compaction, compactions(events));
  assertEquals(workers.calls.flush, flushesOf(events));
  assert(workers.calls.compaction > 5 && workers.calls.flush > 5);
  await store.close();
  assertEquals(workers.closed, 2);

  const others = new MemoryFiles();
  const { store: plain } = await openTiny(others, {});
  await fill(plain);
  assertEquals(plain.stats().tableBytes > 0, true);
  assertEquals(await prefixOf(plain), 80);
  await plain.close();
});

Deno.test("where not all threads can run at a time, flushes and compactions share one, and flushes go first", async () => {
  const files = new MemoryFiles();
  const slices: string[] = [];
  const yieldNow = () =>
    new Promise<void>((resolve) => void setTimeout(resolve, 0));
  const workers = inlineWorkers(files, {
    parallelism: 2,
    yieldNow,
    onCall: (kind) => void slices.push(`${kind} asked`),
    onSlice: (kind) => slices.push(kind),
    onAnswer: (kind) => void slices.push(`${kind} done`),
  });
  const { store, events } = await openTiny(files, {
    workers,
    memtableBytes: 1_500_000,
    tableBytes: 200_000,
    levelBytes: 2_000_000,
    yieldNow,
  });
  for (let i = 0; i < 400; i++) {
    const value = new Uint8Array(60_000).fill(i);
    await store.write([{ key: toBytes(`${i % 40}`), value }]);
  }
  await store.flush();
  await store.idle();
  for (let i = 0; i < 40; i++) {
    assertEquals(store.get(toBytes(`${i}`))?.[0], (360 + i) % 256);
  }
  await store.close();
  assertEquals([workers.started, workers.closed], [1, 2]);
  assert(compactions(events) > 1);
  // One that is at work ends its slice, and rests while the flush has slices to do;
  // the device may still be writing the flush's table when it goes on.
  let flushing = 0;
  let compacting = 0;
  let met = 0;
  for (const what of slices) {
    if (what === "compaction asked") compacting = 0;
    else if (what === "flush asked" && flushing++ === 0) compacting = 0;
    else if (what === "flush done") flushing--;
    else if (what === "compaction" && flushing > 0) compacting++;
    else if (what === "flush") {
      met += compacting;
      assert(compacting <= 1, slices.join(", "));
    }
  }
  assert(met > 0, slices.join(", "));
});

/** A store with two values of one key in two flushes, whose threads have not answered. */
async function twoFlushes() {
  const files = new MemoryFiles();
  const gates = [0, 1].map(() => Promise.withResolvers<void>());
  let flushes = 0;
  const workers = inlineWorkers(files, {
    onAnswer: (kind) =>
      kind === "flush" ? gates[flushes++]?.promise : undefined,
  });
  const opened = await openTiny(files, { workers, memtableBytes: 100_000 });
  const { store } = opened;
  const done: Promise<void>[] = [];
  for (const value of ["old", "new"]) {
    await store.write([{ key: KEY, value: toBytes(value) }]);
    done.push(store.flush());
  }
  for (let turn = 0; turn < 100 && flushes < 2; turn++) await undefined;
  assertEquals(flushes, 2);
  return { ...opened, files, gates, done };
}

const KEY = toBytes("key");

Deno.test("tables of two memtables are made one after the other, and known in the order of the memtables", async () => {
  const { store, events, gates, done } = await twoFlushes();
  gates[1]!.resolve();
  await turns();
  assertEquals(flushesOf(events), 0);
  gates[0]!.resolve();
  await Promise.all(done);
  assertEquals(flushesOf(events), 2);
  assertEquals(toText(store.get(KEY)!), "new");
  await store.close();
});

Deno.test("a table that is made again stays older than that of a later memtable", async () => {
  for (const failing of [[0], [1], [0, 1], [1, 0]]) {
    const { store, events, files, gates, done } = await twoFlushes();
    for (const at of [1, 0]) if (!failing.includes(at)) gates[at]!.resolve();
    await turns();
    for (const at of failing) gates[at]!.reject(new Error("it died"));
    await Promise.all(done);
    assertEquals(flushesOf(events), 2);
    assertEquals(toText(store.get(KEY)!), "new", failing.join());
    await store.close();
    const { store: again } = await openTiny(files, {});
    assertEquals(toText(again.get(KEY)!), "new", failing.join());
    await again.close();
  }
});

Deno.test("a snapshot stays as it was while a thread compacts", async () => {
  const files = new MemoryFiles();
  const { store } = await openTiny(files, { workers: inlineWorkers(files) });
  await fill(store, 10);
  const snapshot = store.snapshot();
  for (let i = 11; i <= 80; i++) await store.write(batchOf(i));
  await store.flush();
  await store.idle();
  assertEquals(toText(snapshot.get(toBytes("count"))!), "10");
  snapshot.close();
  await store.close();
});

Deno.test("small jobs start no thread", async () => {
  const files = new MemoryFiles();
  const workers = inlineWorkers(files);
  const { store } = await openTiny(files, { workers, workerBytes: 1_000_000 });
  await fill(store);
  assertEquals(workers.calls, { flush: 0, compaction: 0 });
  await store.close();
});

Deno.test("small jobs go to a thread that is up, and start none that has ended", async () => {
  const files = new MemoryFiles();
  const workers = inlineWorkers(files, { parallelism: 2 });
  const { store } = await openTiny(files, { workers, workerBytes: 1_000_000 });
  const flushOf = async (bytes: number) => {
    const before = workers.calls.flush;
    const value = new Uint8Array(bytes);
    await store.write([{ key: toBytes("key"), value }]);
    await store.flush();
    return workers.calls.flush - before;
  };
  assertEquals(await flushOf(1), 0);
  assertEquals(await flushOf(1_000_000), 1);
  assertEquals(await flushOf(1), 1);
  workers.endAll();
  assertEquals(await flushOf(1), 0);
  assertEquals(await flushOf(1_000_000), 1);
  assertEquals(await flushOf(1), 1);
  await store.close();
});

for (const [parallelism, told] of [[4, 2], [2, 1]] as const) {
  Deno.test(`the job of a thread that dies is done again, and it is told, where ${parallelism} run at a time`, async () => {
    const files = new MemoryFiles();
    const workers = inlineWorkers(files, {
      parallelism,
      onCall: () => Promise.reject(new Error("the thread has ended")),
    });
    const { store, events } = await openTiny(files, { workers });
    await fill(store);
    assertEquals(workers.calls, { flush: 1, compaction: 1 });
    assertEquals([workers.started, workers.closed], [told, 2]);
    assertEquals(
      events.filter(({ type }) => type === "workerFailed").length,
      told,
    );
    assert(compactions(events) > 5);
    assertEquals(await prefixOf(store), 80);
    await store.close();
  });
}

Deno.test("a thread that cannot be started is done without", async () => {
  const files = new MemoryFiles();
  const { store, events } = await openTiny(files, {
    workers: { parallelism: 4, start: () => undefined },
  });
  await fill(store);
  assert(compactions(events) > 5);
  await store.close();
});

Deno.test("a store that closes ends the thread's job, and keeps its data", async () => {
  const files = new MemoryFiles();
  const called = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const workers = inlineWorkers(files, {
    onCall(kind) {
      if (kind === "flush") return undefined;
      called.resolve();
      return gate.promise;
    },
  });
  // A slice is 256 KiB, so this takes some.
  const { store, events } = await openTiny(files, {
    workers,
    memtableBytes: 400_000,
    tableBytes: 100_000,
    levelBytes: 1_000_000,
  });
  for (let i = 0; i < 60; i++) {
    const value = new Uint8Array(60_000).fill(i);
    await store.write([{ key: toBytes(`${i % 20}`), value }]);
  }
  await called.promise;
  const closing = store.close();
  gate.resolve();
  await closing;
  assertEquals(compactions(events), 0);
  assertEquals(events.filter(({ type }) => type === "workerFailed"), []);
  const again = await openTiny(files, {});
  for (let i = 0; i < 20; i++) {
    assertEquals(again.store.get(toBytes(`${i}`))?.[0], 40 + i);
  }
  await again.store.close();
});

const MIB = 1024 * 1024;

/** A store that keeps writing level 0, and compacts a slice at a time, as told. */
async function slicedStore(options: Partial<LsmOptions> = {}) {
  const files = new MemoryFiles();
  const waiting: (() => void)[] = [];
  /** Slices of compactions, and of how many of them and of flushes it was told. */
  const counts = { slices: 0, compaction: 0, flush: 0 };
  const flags: Record<string, Int32Array> = {};
  let started = 0;
  const workers: Workers = {
    parallelism: 4,
    start: () => {
      // The first thread flushes: there is nothing to compact without that.
      const compacts = started++ > 0;
      const answer = serve({
        files,
        yieldNow: () => {
          if (!compacts) return Promise.resolve();
          counts.slices++;
          return new Promise((resolve) => void waiting.push(resolve));
        },
      });
      return {
        isUp: true,
        call: (request, onNote) => {
          const { job, awaited } = request as WorkerRequest;
          flags[job.kind] = awaited;
          return answer(request, () => {
            counts[job.kind]++;
            onNote();
          });
        },
        close: () => {},
      };
    },
  };
  const { store, events } = await openTiny(files, {
    workers,
    memtableBytes: 100_000,
    tableBytes: 100_000,
    levelBytes: 1_000_000,
    sliceBytes: 4096,
    ...options,
  });
  let version = 0;
  return {
    store,
    events,
    counts,
    /** Whether slices of the last job of a kind are waited for. */
    awaited: () => ({
      flush: flags.flush?.[0],
      compaction: flags.compaction?.[0],
    }),
    /** Writes 60 rows of 1000 bytes. */
    write: () =>
      store.write(Array.from({ length: 60 }, (_, i) => ({
        key: toBytes(`${i}/${version % 3}`),
        value: new Uint8Array(1000).fill(version++),
      }))),
    /** Lets the compaction do a slice, once it has done the last. */
    async goOn() {
      while (waiting.length === 0) await yieldToTimers();
      waiting.shift()!();
      await yieldToTimers();
    },
    /** Lets it do all there is. */
    async finish() {
      let isIdle = false;
      const idle = store.idle().then(() => void (isIdle = true));
      while (!isIdle) {
        waiting.shift()?.();
        await yieldToTimers();
      }
      await idle;
    },
  };
}

Deno.test("writers that wait for slices of a thread are told of each", async () => {
  const { store, counts, awaited, write, goOn, finish } = await slicedStore();
  let writing: Promise<void> | undefined;
  let isDone = true;
  for (let i = 0; i < 100 && isDone; i++) {
    isDone = false;
    writing = write().then(() => void (isDone = true));
    for (let turn = 0; turn < 20 && !isDone; turn++) await yieldToTimers();
  }
  const tables = store.stats().tables[0]!;
  assert(tables >= LEVEL0_SLOW && tables < LEVEL0_STOP, `${tables}`);
  // Nobody waits for slices of flushes.
  assertEquals(awaited(), { flush: 0, compaction: 1 });
  const debt = tables - LEVEL0_SLOW + 1;
  for (let i = 0; i < debt; i++) {
    assert(!isDone, `${i} of ${debt}`);
    await goOn();
  }
  await writing;
  assert(counts.slices <= debt + 2, `${counts.slices}`);
  assertEquals(awaited(), { flush: 0, compaction: 0 });
  await finish();
  await store.close();
});

Deno.test("if nobody waits for slices of a thread, it tells of one of many", async () => {
  const { store, events, counts, write, finish } = await slicedStore();
  for (let i = 0; i < 60; i++) {
    await write();
    if (i % 12 === 11) await finish();
  }
  const jobs = compactions(events);
  assert(counts.slices > 30 * jobs, `${counts.slices} of ${jobs}`);
  // None is so large that there were more than one.
  assertEquals(counts.compaction, jobs);
  await store.close();
});

for (const sliceMiB of [1, 2, 4, 8]) {
  Deno.test(`a thread tells of each 4 MiB of its work, in slices of ${sliceMiB} MiB`, async () => {
    const sliceBytes = sliceMiB * MIB;
    const { store, counts } = await slicedStore({
      sliceBytes,
      memtableBytes: 100 * MIB,
    });
    for (let i = 0; i < 24; i++) {
      await store.write([{ key: toBytes(`${i}`), value: new Uint8Array(MIB) }]);
    }
    await store.flush();
    assertEquals(counts.flush, 24 * MIB / Math.max(NOTE_BYTES, sliceBytes));
    await store.idle();
    await store.close();
  });
}

Deno.test("a compaction filter drops what it refuses, once no snapshot sees it, and runs in this thread", async () => {
  const files = new MemoryFiles();
  const workers = inlineWorkers(files);
  const { store } = await openTiny(files, {
    workers,
    compactionFilter: (key) => toText(key) !== "unwanted",
  });
  const write = async (key: string) => {
    // With keys around it, so that tables overlap and are not just moved.
    await store.write(["a", key, "z"].map((each) => ({
      key: toBytes(each),
      value: toBytes("value"),
    })));
    await store.flush();
    await store.idle();
  };
  await write("unwanted");
  await write("wanted");
  for (let i = 0; i < 8; i++) await write(`b${i}`);
  assertEquals(store.get(toBytes("unwanted")), undefined);
  assertEquals(toText(store.get(toBytes("wanted"))!), "value");
  assertEquals(workers.calls.compaction, 0);
  assert(workers.calls.flush > 5);

  await write("unwanted");
  const snapshot = store.snapshot();
  for (let i = 0; i < 8; i++) await write(`b${i}`);
  assertEquals(toText(snapshot.get(toBytes("unwanted"))!), "value");
  snapshot.close();
  for (let i = 0; i < 8; i++) await write(`b${i}`);
  assertEquals(store.get(toBytes("unwanted")), undefined);
  await store.close();
});
