/**
 * What the default engine tells by the database: its numbers and its events.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { denoRuntime } from "../../runtime/deno/mod.ts";
import { MemoryFiles } from "../../runtime/mod.ts";
import { openAwaitedKv } from "../../engine/testing/awaited_kv.ts";
import { FaultyFiles } from "../../engine/testing/faulty_files.ts";
import { type DB, type LsmEvent, open, PoisonedError } from "../../mod.ts";
import { collect, scenario } from "../sim/cluster.ts";

/** Reads the engine's events until one is of that type. */
async function until(
  events: ReadableStreamDefaultReader,
  type: LsmEvent["type"],
): Promise<LsmEvent> {
  for (;;) {
    const { value } = await events.read();
    if (value?.type === "engine" && value.event.type === type) {
      return value.event;
    }
  }
}

Deno.test("metrics and events of a database tell what its engine does", async () => {
  await using db = await open(":memory:");
  const events = db.events().getReader();
  const value = new Uint8Array(1024 * 1024);
  // More than a memtable takes.
  for (let i = 0; i < 9; i++) await db.set(`key${i}`, value);
  const flush = await until(events, "flush");
  assert(flush.type === "flush" && flush.bytes > 8 * value.length);
  const { engine } = db.metrics();
  assert(engine !== undefined);
  assert(engine.flushes!.count > 0);
  assert(engine.tableBytes! >= flush.bytes);
  assertEquals(
    engine.levels!.reduce((sum, { bytes }) => sum + bytes, 0),
    engine.tableBytes,
  );
  assert(engine.writeAmplification! > 1 && engine.spaceAmplification! >= 1);
  assert(engine.syncs!.count > 0 && engine.stalls!.current === undefined);
  const lookups = ({ hits, misses }: { hits: number; misses: number }) =>
    hits + misses;
  await db.get("key0");
  assert(lookups(db.metrics().engine!.cache!) > lookups(engine.cache!));
  await events.cancel();
  await db.close();
  assert(db.metrics().engine!.tableBytes! >= flush.bytes);
});

Deno.test("an engine that takes no more writes says so in the database's events", async () => {
  let failing = false;
  const files = new FaultyFiles(
    new MemoryFiles(),
    ({ action }) => failing && action === "append to",
  );
  const { clock, timers, random, network } = denoRuntime();
  const runtime = { clock, timers, random, network, files };
  await using db = await open("store", { runtime });
  const events = db.events().getReader();
  failing = true;
  await assertRejects(() => db.set("key", "value"));
  const poisoned = await until(events, "poisoned");
  assert(poisoned.type === "poisoned" && poisoned.error instanceof Error);
  await events.cancel();
});

Deno.test("an engine that counts nothing has no metrics", async () => {
  const engine = await openAwaitedKv();
  await using db = await open(":memory:", { engine });
  await db.set("key", "value");
  assertEquals(db.metrics().engine, undefined);
});

scenario(
  "an engine that fails while the cluster writes to it is told of as one that fails while the user does",
  async (cluster) => {
    const [, b] = await cluster.openAll(["a", "b"]) as [DB, DB];
    const events = collect(b.events());
    cluster.world.disk("b").faults.failingSyncs = 1;
    // Nobody sets anything: who is a member is written at b.
    await cluster.open("c");
    await cluster.until(
      "b says so",
      () => events.some((event) => event.type === "failed"),
    );
    await assertRejects(() => b.set("k", "v"), PoisonedError);
    assertEquals(events.filter(({ type }) => type === "failed").length, 1);
  },
);
