import { assert, assertEquals, assertRejects } from "@std/assert";
import { open } from "../mod.ts";
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
