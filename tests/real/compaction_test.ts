import { assertEquals } from "@std/assert";
import { Child } from "./child.ts";
import { TempDir } from "./paths.ts";

/** One for flushes and one for compactions, where they can run at a time. */
const THREADS = navigator.hardwareConcurrency > 2 ? 2 : 1;

for (const ending of ["closes", "forgets"]) {
  Deno.test(`a program that ${ending} a store whose flushes and compactions ran in threads ends by itself`, async () => {
    await using temp = new TempDir();
    const dir = temp.at("store");
    await using child = new Child("compaction", {
      args: [dir, ending],
      permissions: ["--allow-read", `--allow-write=${dir}`],
    });
    await child.line(
      `{"right":2000,"threads":${THREADS},"failed":0,"merges":true}`,
    );
    const { code } = await child.ended();
    assertEquals([code, await child.stderr], [0, ""]);
  });
}

Deno.test("where the source may not be read, compactions run without a thread, and nobody is asked", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await using child = new Child("compaction", {
    args: [dir, "forgets"],
    permissions: [`--allow-read=${dir}`, `--allow-write=${dir}`],
  });
  await child.line('{"right":2000,"threads":0,"failed":0,"merges":true}');
  const { code } = await child.ended();
  assertEquals([code, await child.stderr], [0, ""]);
});
