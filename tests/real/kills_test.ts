import { assert } from "@std/assert";
import { runKills } from "./kills.ts";

Deno.test("a store whose process is killed while it writes, flushes and compacts has all that was acked, and a prefix", async () => {
  const report = await runKills(1, 3);
  const told = JSON.stringify(report);
  assert(report.acked > 100 && report.flushes > 0, told);
});
