import { assertEquals } from "@std/assert";
import { Child } from "./child.ts";
import { TempDir } from "./paths.ts";

for (const ending of ["closes", "forgets"]) {
  for (const [parallelism, threads] of [[2, 1], [4, 2]] as const) {
    Deno.test(`a program that ${ending} a store whose flushes and compactions ran in ${threads} threads ends by itself`, async () => {
      await using temp = new TempDir();
      const dir = temp.at("store");
      await using child = new Child("compaction", {
        args: [dir, ending, `${parallelism}`],
        permissions: ["--allow-read", `--allow-write=${dir}`],
      });
      await child.line(
        `{"right":2000,"threads":${threads},"failed":0,"merges":true}`,
      );
      const { code } = await child.ended();
      assertEquals([code, await child.stderr], [0, ""]);
    });
  }
}

Deno.test("where the source may not be read, compactions run without a thread, and nobody is asked", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await using child = new Child("compaction", {
    args: [dir, "forgets", "4"],
    permissions: [`--allow-read=${dir}`, `--allow-write=${dir}`],
  });
  await child.line('{"right":2000,"threads":0,"failed":0,"merges":true}');
  const { code } = await child.ended();
  assertEquals([code, await child.stderr], [0, ""]);
});
