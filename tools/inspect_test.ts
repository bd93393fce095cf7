import { assert, assertEquals, assertRejects } from "@std/assert";
import { openLsm } from "../engine/mod.ts";
import { open } from "../mod.ts";
import { DenoFiles } from "../runtime/deno/mod.ts";
import { inspect } from "./inspect.ts";

async function run(
  dir: string,
  options: { json?: boolean; check?: boolean } = {},
): Promise<{ code: number; lines: string[]; progress: string[] }> {
  const lines: string[] = [];
  const progress: string[] = [];
  const code = await inspect(dir, {
    json: options.json ?? false,
    check: options.check ?? false,
    print: (line) => lines.push(line),
    progress: (line) => progress.push(line),
  });
  return { code, lines, progress };
}

Deno.test("inspect tells people and programs what a store holds, in use or closed", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    const db = await open(dir);
    await db.set("planet", "Earth");
    const inUse = await run(dir, { check: true });
    assertEquals(inUse.code, 0);
    assert(inUse.lines.at(-1) === "nothing is broken");
    assert(inUse.lines.some((line) => line.includes("not closed cleanly")));
    assert(inUse.progress.length > 0);
    await db.close();
    const closed = await run(dir);
    assert(closed.lines[0]!.startsWith("store "));
    assert(closed.lines.some((line) => line.includes("000001.wal")));
    assert(closed.lines.at(-1)!.includes("closed cleanly"));
    const { lines } = await run(dir, { json: true, check: true });
    const told = JSON.parse(lines.join(""));
    assertEquals([told.dir, told.closedCleanly], [dir, true]);
    assertEquals([told.wals.length > 0, told.check.damages], [true, []]);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("inspect names what is broken, and then ends with 1", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    const db = await open(dir);
    await db.set("planet", "Earth");
    await db.close();
    const path = `${dir}/000001.wal`;
    const bytes = Deno.readFileSync(path);
    bytes[100]! ^= 1;
    Deno.writeFileSync(path, bytes);
    const broken = await run(dir, { check: true });
    assertEquals(broken.code, 1);
    assert(
      broken.lines.some((line) => line.includes(`BROKEN ${path} at byte`)),
    );
    Deno.removeSync(`${dir}/CURRENT`);
    await assertRejects(() => run(dir), Error, "the file is missing");
    const lost = await run(dir, { check: true });
    assertEquals(lost.code, 1);
    assert(lost.lines.some((line) => line.includes(`${dir}/CURRENT`)));
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("inspect shows what tables take beside what they hold", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    const store = await openLsm(dir, {
      files: new DenoFiles(),
      compression: "zstd",
    });
    const value = new Uint8Array(10_000);
    for (let i = 0; i < 100; i++) {
      await store.write([{ key: new Uint8Array([i]), value }]);
    }
    await store.compact();
    await store.close();
    const { lines } = await run(dir);
    const level = lines.find((line) => line.trimStart().startsWith("1 "));
    assert(/^ +1 +1 +\d+(\.\d)? K?i?B +976\.7 KiB +100 +0$/.test(level ?? ""));
    assert(lines.some((line) => line.includes("for 976.7 KiB of data")));
    const table = `${dir}/${lines.join(" ").match(/\d{6}\.sst/)![0]}`;
    Deno.truncateSync(table, 100);
    const broken = await run(dir);
    assert(broken.lines.some((line) => line.includes("for ? of data")));
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
