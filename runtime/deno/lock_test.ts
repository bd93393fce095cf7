import { assert } from "@std/assert";
import { DenoFiles } from "./files.ts";

Deno.test("a lock is free once its file is closed, though processes are started all the while", async () => {
  const dir = Deno.makeTempDirSync();
  const files = new DenoFiles();
  const path = `${dir}/LOCK`;
  let starting = true;
  const starters = Array.from({ length: 4 }, async () => {
    while (starting) {
      await new Deno.Command(Deno.execPath(), {
        args: ["--version"],
        stdout: "null",
        stderr: "null",
      }).output();
    }
  });
  try {
    for (let i = 0; i < 2000; i++) {
      using file = files.open(path, { mode: "append" });
      assert(file.tryLock(), `round ${i}`);
      // Lets the starters go on.
      if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
  } finally {
    starting = false;
    await Promise.all(starters);
    Deno.removeSync(dir, { recursive: true });
  }
});
