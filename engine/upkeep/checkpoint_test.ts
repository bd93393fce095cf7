import { assert, assertEquals, assertRejects } from "@std/assert";
import { StorageError, toBytes } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { type LsmEvent, openLsm } from "../mod.ts";
import { sampled } from "../testing/effort.ts";
import { batchOf, prefixOf, TINY } from "../testing/history.ts";
import { StepFiles } from "../testing/step_files.ts";
import { destroyLsm } from "./destroy.ts";

const DIR = "store";
const COPY = "backups/one";

Deno.test("a checkpoint opens as a store with all that was acked before, while writes go on", async () => {
  const files = new StepFiles();
  const events: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    ...TINY,
    files,
    onEvent: (event) => events.push(event),
  });
  for (let i = 1; i <= 20; i++) await store.write(batchOf(i));
  const making = store.checkpoint(COPY);
  for (let i = 21; i <= 60; i++) await store.write(batchOf(i));
  await making;
  await store.idle();
  assertEquals(await prefixOf(store), 60);
  const found = events.find((event) => event.type === "checkpoint");
  assert(found !== undefined && found.tables > 0 && found.bytes > 0);

  const copy = await openLsm(COPY, { ...TINY, files });
  const count = await prefixOf(copy);
  assert(count >= 20 && count <= 60, String(count));
  // Each goes its own way.
  for (let i = count + 1; i <= count + 20; i++) await copy.write(batchOf(i));
  await copy.flush();
  await copy.idle();
  assertEquals(await prefixOf(copy), count + 20);
  assertEquals(await prefixOf(store), 60);
  await copy.close();
  await store.close();
});

Deno.test("a checkpoint of an empty store is an empty store, and takes no place of another", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files });
  await store.checkpoint(COPY);
  await assertRejects(
    () => store.checkpoint(COPY),
    StorageError,
    `Cannot make a checkpoint in "${COPY}": a store is in it`,
  );
  await assertRejects(() => store.checkpoint(DIR), StorageError);
  const copy = await openLsm(COPY, { files });
  assertEquals(await prefixOf(copy), 0);
  await copy.close();
  await store.close();
});

/** Writes, makes a checkpoint and says when it is complete. */
async function live(files: StepFiles, complete: () => void): Promise<void> {
  const store = await openLsm(DIR, { ...TINY, files });
  for (let i = 1; i <= 12; i++) await store.write(batchOf(i), { sync: true });
  await store.idle();
  await store.checkpoint(COPY);
  complete();
  await store.close();
}

Deno.test("a crash at any step of a checkpoint leaves it whole or none, and the store as it was", async () => {
  const counting = new StepFiles(undefined, (_, __, path) => {
    if (path.includes("backups")) first = Math.min(first, counting.steps - 1);
    return undefined;
  });
  let first = Infinity;
  await live(counting, () => {});
  assert(counting.steps - first > 15, `${counting.steps - first} steps`);
  for (let at = first; at < counting.steps; at++) {
    for (let seed = 0; seed < 9; seed += sampled(3)) {
      let complete = false;
      const files = new StepFiles(
        undefined,
        (step) => step === at ? "crash" : undefined,
      );
      const life = live(files, () => complete = true);
      await Promise.race([life.catch(() => {}), files.end.promise]);
      const disk = files.disk.crash("torn", new Prng(seed));
      const after = new StepFiles(disk);
      const store = await openLsm(DIR, { ...TINY, files: after });
      assertEquals(await prefixOf(store), 12);
      const whole = after.exists(`${COPY}/CURRENT`);
      assert(whole || !complete, `step ${at}: the checkpoint is gone`);
      if (whole) {
        const copy = await openLsm(COPY, { ...TINY, files: after });
        assertEquals(await prefixOf(copy), 12, `step ${at}`);
        await copy.close();
      } else {
        await destroyLsm(COPY, { files: after });
        await store.checkpoint(COPY);
      }
      await store.close();
    }
  }
});

Deno.test("a checkpoint that fails leaves nothing, and the store goes on", async () => {
  for (let at = 0; at < 12; at++) {
    let links = 0;
    let steps = 0;
    const files = new StepFiles(undefined, (_, action, path) => {
      if (!path.startsWith("backups")) return undefined;
      if (action === "link") links++;
      return steps++ === at ? "fail" : undefined;
    });
    const store = await openLsm(DIR, { ...TINY, files });
    for (let i = 1; i <= 12; i++) await store.write(batchOf(i));
    const failed = await store.checkpoint(COPY).then(
      () => false,
      (error) => error instanceof StorageError,
    );
    if (failed) {
      assert(
        !files.exists(COPY) || files.list(COPY).length === 0,
        `${at}: ${files.exists(COPY) && files.list(COPY)}`,
      );
      await store.checkpoint(COPY);
    }
    await store.write([{ key: toBytes("more"), value: toBytes("1") }]);
    const copy = await openLsm(COPY, { ...TINY, files });
    assertEquals(await prefixOf(copy), 12);
    await copy.close();
    await store.close();
    assert(links > 0 || at === 0);
  }
});
