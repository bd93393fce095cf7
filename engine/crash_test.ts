import { assert, assertEquals } from "@std/assert";
import {
  PoisonedError,
  StorageError,
  toBytes,
  toText,
} from "../runtime/mod.ts";
import { FileNode } from "../runtime/file_tree.ts";
import type { Unsynced } from "../runtime/virtual/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { type Lsm, openLsm } from "./mod.ts";
import { sampled, times } from "./testing/effort.ts";
import { batchOf, prefixOf, TINY } from "./testing/history.ts";
import { type Fate, StepFiles } from "./testing/step_files.ts";

const DIR = "data/store";

/** What the history has been told. */
interface Told {
  /** Batches of which a write with `sync` has resolved. */
  synced: number;
  /** Batches of which any write has resolved. */
  written: number;
}

/** Opens, writes, flushes, compacts, closes and goes on; in `told` what it hears. */
async function live(files: StepFiles, told: Told): Promise<void> {
  let next = 1;
  for (let life = 0; life < 3; life++) {
    const store = await openLsm(DIR, { ...TINY, files });
    const until = next + 12;
    while (next < until) {
      // Some alone, some as a group, some behind one that is being synced.
      const writes: Promise<void>[] = [];
      for (let n = 0; n <= next % 3 && next < until; n++, next++) {
        writes.push(write(store, next, next % 4 === 0 || life === 1, told));
        if (life === 1) {
          for (let turn = 0; turn < 2; turn++) await undefined;
        }
      }
      await Promise.all(writes);
    }
    if (life === 1) await store.flush();
    if (life !== 2) await store.close();
  }
}

async function write(
  store: Lsm,
  i: number,
  sync: boolean,
  told: Told,
): Promise<void> {
  await store.write(batchOf(i), { sync });
  told.written = Math.max(told.written, i);
  if (sync) told.synced = Math.max(told.synced, i);
}

async function countSteps(): Promise<number> {
  const files = new StepFiles();
  await live(files, { synced: 0, written: 0 });
  return files.steps;
}

for (const unsynced of ["lost", "kept", "torn"] as const) {
  Deno.test(`after a crash at any step, unsynced data ${unsynced}, a prefix with all that was acked is there`, async () => {
    const steps = await countSteps();
    assert(steps > 150, `the history is too short: ${steps} steps`);
    const first = unsynced === "lost" ? 0 : 1;
    for (let at = first; at < steps; at += sampled(2)) {
      await crashAt(at, unsynced);
    }
  });
}

async function crashAt(at: number, unsynced: Unsynced): Promise<void> {
  const random = new Prng(at, unsynced);
  const told: Told = { synced: 0, written: 0 };
  const files = new StepFiles(
    undefined,
    (step) => step === at ? "crash" : undefined,
  );
  await Promise.race([live(files, told).catch(() => {}), files.end.promise]);
  let disk = files.disk.crash(unsynced, random);
  const least = unsynced === "kept" ? told.written : told.synced;

  // Crash again while it recovers, then let it.
  const again = random.below(20);
  const second = new StepFiles(
    disk,
    (step) => step === again ? "crash" : undefined,
  );
  const opening = openLsm(DIR, { ...TINY, files: second })
    .then((store) => store.close());
  await Promise.race([opening.catch(() => {}), second.end.promise]);
  if (second.crashed) disk = disk.crash(unsynced, random);

  const last = new StepFiles(disk);
  const store = await openLsm(DIR, { ...TINY, files: last });
  const count = await prefixOf(store);
  assert(count >= least, `crash ${at}: ${count} of ${least} acked batches`);

  // And it works on, and keeps what it has.
  await store.write(batchOf(count + 1), { sync: true });
  await store.idle();
  const reopened = await openLsm(DIR, {
    ...TINY,
    files: new StepFiles(last.disk.crash("lost", random)),
  });
  assertEquals(await prefixOf(reopened), count + 1);
  await reopened.close();
}

Deno.test("what a killed process wrote stays when the power fails after the next open", async () => {
  const steps = await countSteps();
  for (let at = 0; at < steps; at += sampled(3)) {
    const told: Told = { synced: 0, written: 0 };
    const files = new StepFiles(
      undefined,
      (step) => step === at ? "crash" : undefined,
    );
    await Promise.race([live(files, told).catch(() => {}), files.end.promise]);
    // The machine goes on: what was not synced is still not.
    releaseLock(files);
    const store = await openLsm(DIR, {
      ...TINY,
      files: new StepFiles(files.disk),
    });
    const count = await prefixOf(store);
    assert(count >= told.written, `${count} of ${told.written}`);
    await store.write(batchOf(count + 1), { sync: true });
    const disk = files.disk.crash("lost", new Prng(at));
    const last = await openLsm(DIR, { ...TINY, files: new StepFiles(disk) });
    assertEquals(await prefixOf(last), count + 1, `killed at ${at}`);
    await last.close();
  }
});

Deno.test("a MANIFEST that is gone on with is synced before it says so", async () => {
  const files = new StepFiles();
  await openLsm(DIR, { files });
  releaseLock(files);
  const actions: string[] = [];
  const reopened = new StepFiles(files.disk, (_, action, path) => {
    if (path.includes("MANIFEST")) actions.push(action);
    return undefined;
  });
  const store = await openLsm(DIR, { files: reopened });
  assertEquals(actions.slice(0, 3), ["begin sync", "end sync", "append"]);
  await store.close();
});

function releaseLock(files: StepFiles): void {
  const lock = files.disk.tree.find(`${DIR}/LOCK`);
  if (lock instanceof FileNode) lock.lockedBy = undefined;
}

Deno.test("a crash at any moment of making a store leaves one that opens", async () => {
  for (let at = 0; at < 40; at++) {
    for (let seed = 0; seed < times(3, 16); seed++) {
      const files = new StepFiles(
        undefined,
        (step) => step === at ? "crash" : undefined,
      );
      const making = openLsm(DIR, { files }).then((store) => store.close());
      await Promise.race([making.catch(() => {}), files.end.promise]);
      const disk = files.disk.crash("torn", new Prng(seed));
      const store = await openLsm(DIR, { files: new StepFiles(disk) });
      assertEquals(await prefixOf(store), 0);
      await store.close();
    }
  }
});

Deno.test("a crash at any moment of writing a MANIFEST anew loses nothing", async () => {
  const key = toBytes("k".repeat(60_000));
  const rotate = async (files: StepFiles, flushed: (i: number) => void) => {
    const store = await openLsm(DIR, { ...TINY, files });
    for (let i = 0; i < 9; i++) {
      await store.write([{ key, value: toBytes(`${i}`) }]);
      await store.flush();
      flushed(i);
      await store.idle();
    }
    await store.close();
  };
  const points: number[] = [];
  let rotating = false;
  const counting = new StepFiles(undefined, (step, _, path) => {
    rotating ||= path.endsWith("MANIFEST-000002");
    if (rotating && points.length < 16) points.push(step);
    return undefined;
  });
  await rotate(counting, () => {});
  assertEquals(points.length, 16);
  for (const at of points) {
    for (let seed = 0; seed < times(2, 16); seed++) {
      let last = -1;
      const files = new StepFiles(
        undefined,
        (step) => step === at ? "crash" : undefined,
      );
      const life = rotate(files, (i) => last = i);
      await Promise.race([life.catch(() => {}), files.end.promise]);
      const disk = files.disk.crash("torn", new Prng(seed));
      const store = await openLsm(DIR, { ...TINY, files: new StepFiles(disk) });
      const found = store.get(key);
      assert(found !== undefined && Number(toText(found)) >= last);
      await store.close();
    }
  }
});

for (const forGood of [false, true]) {
  Deno.test(`when any step fails${forGood ? " for good" : ""}, writers are told, and nothing acked is lost`, async () => {
    const steps = await countSteps();
    for (let at = 0; at < steps; at += sampled(forGood ? 3 : 2)) {
      await failAt(at, forGood);
    }
  });
}

async function failAt(at: number, forGood: boolean): Promise<void> {
  const told: Told = { synced: 0, written: 0 };
  const fate = (step: number): Fate =>
    step === at || (forGood && step > at) ? "fail" : undefined;
  const files = new StepFiles(undefined, fate);
  let failed: unknown;
  try {
    await live(files, told);
  } catch (error) {
    failed = error;
  }
  assert(
    failed === undefined || failed instanceof StorageError ||
      failed instanceof PoisonedError,
    String(failed),
  );
  // The failed process ends without a close.
  const disk = files.disk.crash("kept", new Prng(at));
  const store = await openLsm(DIR, { ...TINY, files: new StepFiles(disk) });
  const count = await prefixOf(store);
  assert(
    count >= told.written,
    `step ${at}: ${count} of ${told.written} batches`,
  );
  await store.close();
}
