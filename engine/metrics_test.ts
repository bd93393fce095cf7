import { assert, assertEquals } from "@std/assert";
import type { Clock } from "../runtime/mod.ts";
import { toBytes } from "../runtime/mod.ts";
import { openLsm } from "./mod.ts";
import { batchOf, TINY } from "./testing/history.ts";
import { StepFiles } from "./testing/step_files.ts";

const DIR = "store";

Deno.test("metrics tell what was written, how it stands and how long syncs took", async () => {
  let now = 0;
  const clock: Clock = { now: () => 0, monotonic: () => now };
  let slow = 0;
  const files = new class extends StepFiles {
    override async sync(path: string, begin: () => () => void): Promise<void> {
      await super.sync(path, begin);
      now += slow;
    }
  }();
  const cacheBytes = 2 ** 20;
  const store = await openLsm(DIR, { ...TINY, cacheBytes, files, clock });
  const empty = store.metrics();
  assertEquals([empty.tableBytes, empty.writeAmplification], [0, 0]);
  assertEquals([empty.spaceAmplification, empty.snapshots], [0, 0]);
  const synced = empty.syncs.count;
  slow = 3;
  await store.write(batchOf(1), { sync: true });
  slow = 0;
  const { syncs } = store.metrics();
  assertEquals([syncs.count - synced, syncs.maxMs], [1, 3]);
  assertEquals(syncs.histogram.find(({ upToMs }) => upToMs === 4)?.count, 1);
  assertEquals(
    syncs.histogram.reduce((sum, { count }) => sum + count, 0),
    syncs.count,
  );

  for (let i = 2; i <= 80; i++) await store.write(batchOf(i));
  await store.flush();
  await store.idle();
  using _snapshot = store.snapshot();
  for (let i = 0; i < 11; i++) store.get(toBytes(`key${i}`));
  for (let i = 0; i < 11; i++) store.get(toBytes(`key${i}`));
  const metrics = store.metrics();
  const stats = store.stats();
  assertEquals(metrics.levels.map(({ tables }) => tables), stats.tables);
  assertEquals(metrics.tableBytes, stats.tableBytes);
  assertEquals(metrics.memtables.bytes, stats.memtableBytes);
  assertEquals(metrics.snapshots, 1);
  assert(metrics.flushes.count > 3 && metrics.compactions.count > 0);
  const { written } = metrics;
  assertEquals(
    written.tableBytes,
    metrics.flushes.bytes + metrics.compactions.bytesOut,
  );
  assert(written.walBytes > written.batchBytes && written.batchBytes > 0);
  assert(metrics.writeAmplification > 1);
  assert(metrics.spaceAmplification >= 1);
  assert(metrics.cache.hits > 0 && metrics.cache.misses > 0);
  await store.close();
});

Deno.test("metrics tell that writes wait, why, and for how long", async () => {
  let now = 0;
  const clock: Clock = { now: () => 0, monotonic: () => now };
  const gate = Promise.withResolvers<void>();
  const stalled = Promise.withResolvers<void>();
  // Tables take long to reach the device.
  const files = new class extends StepFiles {
    override async sync(path: string, begin: () => () => void): Promise<void> {
      if (path.endsWith(".sst")) await gate.promise;
      await super.sync(path, begin);
    }
  }();
  const store = await openLsm(DIR, {
    ...TINY,
    files,
    clock,
    onEvent: (event) => event.type === "stallBegin" && stalled.resolve(),
  });
  const value = new Uint8Array(2 ** 20);
  const writes = [1, 2, 3, 4].map((i) =>
    store.write([{ key: new Uint8Array([i]), value }])
  );
  for (const write of writes.slice(0, 3)) await write.catch(() => {});
  const more = store.write([{ key: new Uint8Array([5]), value }]);
  await stalled.promise;
  assertEquals(store.metrics().stalls.current, "memtables");
  now = 40;
  gate.resolve();
  await Promise.all([...writes, more]);
  const { stalls } = store.metrics();
  assertEquals([stalls.current, stalls.totalMs >= 40], [undefined, true]);
  await store.close();
});
