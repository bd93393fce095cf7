import { assertEquals, assertRejects } from "@std/assert";
import { LockedError } from "../../runtime/mod.ts";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { openLsm } from "../mod.ts";
import { batchOf, prefixOf, TINY } from "../testing/history.ts";
import { StepFiles } from "../testing/step_files.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { destroyLsm } from "./destroy.ts";

const DIR = "store";

async function fill(files: StepFiles | MemoryFiles): Promise<void> {
  const store = await openLsm(DIR, { ...TINY, files });
  for (let i = 1; i <= 12; i++) await store.write(batchOf(i), { sync: true });
  await store.close();
}

Deno.test("a store that is destroyed is gone, and nothing else with it", async () => {
  const files = new MemoryFiles();
  await fill(files);
  for (const name of ["notes.txt", "1.sst", "000001.wal.bak", "MANIFEST"]) {
    files.open(`${DIR}/${name}`, { mode: "create" }).close();
  }
  files.makeDirectory(`${DIR}/lost/1`);
  await destroyLsm(DIR, { files });
  assertEquals(files.list(DIR), [
    "000001.wal.bak",
    "1.sst",
    "MANIFEST",
    "lost/",
    "notes.txt",
  ]);
  await destroyLsm(DIR, { files });
  await destroyLsm("none", { files });
  assertEquals(files.exists("none"), false);
});

Deno.test("a store that is open is not destroyed, and who has it open is named", async () => {
  const files = new MemoryFiles();
  const store = await openLsm(DIR, { files, owner: "process 17" });
  await store.write(batchOf(1));
  const error = await assertRejects(
    () => destroyLsm(DIR, { files }),
    LockedError,
    `Cannot open "${DIR}": process 17 has it open`,
  );
  assertEquals([error.owner, error.path], ["process 17", DIR]);
  await assertRejects(() => openLsm(DIR, { files }), LockedError, "process 17");
  assertEquals(await prefixOf(store), 1);
  await store.close();
  // The next holder says who it is, or takes the name away.
  const next = await openLsm(DIR, { files });
  const other = await assertRejects(() => openLsm(DIR, { files }), LockedError);
  assertEquals(other.owner, undefined);
  await next.close();
});

Deno.test("what stands in LOCK is told only if it is plain text", async () => {
  const files = new MemoryFiles();
  const store = await openLsm(DIR, { files, owner: "a\x1b[31m" });
  const error = await assertRejects(() => openLsm(DIR, { files }), LockedError);
  assertEquals(error.owner, undefined);
  await store.close();
});

Deno.test("a crash at any step of a removal leaves the whole store or none", async () => {
  for (let at = 0;; at++) {
    const files = new StepFiles();
    await fill(files);
    const breaking = new StepFiles(
      files.disk,
      (step) => step === at ? "crash" : undefined,
    );
    const removing = destroyLsm(DIR, { files: breaking });
    await Promise.race([removing.catch(() => {}), breaking.end.promise]);
    if (!breaking.crashed) break;
    for (const seed of [1, 2, 3]) {
      const after = new StepFiles(files.disk.crash("torn", new Prng(seed)));
      if (after.exists(`${DIR}/CURRENT`)) {
        const store = await openLsm(DIR, { ...TINY, files: after });
        assertEquals(await prefixOf(store), 12, `step ${at}`);
        await store.close();
      }
      await destroyLsm(DIR, { files: after });
      assertEquals(after.list(DIR), []);
    }
  }
});
