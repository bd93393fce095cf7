import { assert, assertEquals, assertRejects } from "@std/assert";
import { LimitError, StorageError, toBytes } from "../runtime/mod.ts";
import { MemoryFiles } from "../runtime/memory_files.ts";
import { openLsm } from "./mod.ts";
import { StepFiles } from "./testing/step_files.ts";

const DIR = "store";

Deno.test("what waits to be written is bounded: more is refused, and the rest goes on", async () => {
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
  const first = store.write([{ key: toBytes("a"), value: toBytes("1") }], {
    sync: true,
  });
  // One value, so that no memory is taken by those that wait.
  const value = new Uint8Array(32 * 1024 * 1024);
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  const waiting = Array.from(
    { length: 7 },
    (_, i) => store.write([{ key: toBytes(`${i}`), value }]),
  );
  const refused = store.write([{ key: toBytes("b"), value }]);
  const error = await assertRejects(() => refused, LimitError);
  assert(error.message.includes("waiting writes"), error.message);
  armed = false;
  gate.reject(new StorageError("sync", "the log", "the test says so"));
  const ends = await Promise.allSettled([first, ...waiting]);
  assertEquals(ends.map(({ status }) => status), Array(8).fill("rejected"));
  await store.close();
});

Deno.test("writers that never pause let others have their turn", async () => {
  let turns = 0;
  const store = await openLsm(DIR, {
    files: new MemoryFiles(),
    yieldNow() {
      turns++;
      return Promise.resolve();
    },
  });
  const value = new Uint8Array(1000);
  for (let i = 0; i < 2000; i++) {
    await store.write([{ key: toBytes(`${i}`), value }]);
  }
  // 2 MB, 64 KiB a turn.
  assert(turns >= 28, `${turns} turns`);
  await store.close();
});

Deno.test("a batch that changes while it waits is refused, and harms no other", async () => {
  const files = new MemoryFiles();
  let store = await openLsm(DIR, { files });
  const ops = [{ key: toBytes("a"), value: toBytes("1") }];
  const changed = store.write(ops);
  ops[0]!.value = toBytes("another length");
  await assertRejects(() => changed, TypeError, "changed");
  await store.write([{ key: toBytes("b"), value: toBytes("2") }]);
  await store.close();
  store = await openLsm(DIR, { files });
  assertEquals(store.get(toBytes("a")), undefined);
  assertEquals(store.get(toBytes("b")), toBytes("2"));
  await store.close();
});

Deno.test("keys in any order and of any prefix are found again", async () => {
  const store = await openLsm(DIR, { files: new MemoryFiles() });
  // Longer and longer common prefixes, then none at all.
  const keys = ["common-prefix-1", "common-prefix-22", "common", "com", "x"]
    .flatMap((key) => [key, `${key}\0`, `${key}zzz`]).map(toBytes);
  for (const [i, key] of keys.entries()) {
    await store.write([{ key, value: toBytes(`${i}`) }]);
    for (const [j, other] of keys.entries()) {
      const expected = j <= i ? toBytes(`${j}`) : undefined;
      assertEquals(store.get(other), expected, `${i} ${j}`);
    }
  }
  await store.close();
});

Deno.test("write amplification counts logs, flushes and compactions", async () => {
  const store = await openLsm(DIR, {
    files: new MemoryFiles(),
    memtableBytes: 10_000,
    tableBytes: 10_000,
  });
  assertEquals(store.stats().writeAmplification, 0);
  const value = new Uint8Array(100);
  for (let i = 0; i < 2000; i++) {
    await store.write([{ key: toBytes(`key ${i * 7 % 500}`), value }]);
  }
  await store.flush();
  await store.idle();
  const { written, writeAmplification } = store.stats();
  assert(written.user >= 2000 * 105 && written.user < 2000 * 108);
  assert(written.wal > written.user && written.flushed > 0);
  assert(written.compacted > 0);
  assert(writeAmplification > 2 && writeAmplification < 12);
  await store.close();
});

Deno.test("writers let others have their turn by bytes, and by time once a slice takes long", async () => {
  const value = new Uint8Array(1000);
  const turnsIn = async (batches: number, msPerLook: number) => {
    let turns = 0;
    let ms = 0;
    const store = await openLsm(DIR, {
      files: new MemoryFiles(),
      clock: { now: () => 0, monotonic: () => ms += msPerLook },
      yieldNow() {
        turns++;
        return Promise.resolve();
      },
    });
    for (let i = 0; i < batches; i++) {
      await store.write([{ key: toBytes(`${i}`), value }]);
    }
    const seen = turns;
    await store.close();
    return seen;
  };
  assertEquals(await turnsIn(40, 0), 0);
  assertEquals(await turnsIn(5, 1000), 0);
  const [quick, slow] = [await turnsIn(400, 0), await turnsIn(400, 1000)];
  assert(quick >= 5 && quick <= 10, `${quick}`);
  assert(slow >= 40 && slow <= 80, `${slow}`);
});
