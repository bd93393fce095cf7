import { assert } from "@std/assert";
import { type KillsReport, runKills } from "./kills.ts";

Deno.test("a store whose process is killed while it writes, flushes and compacts has all that was acked, and a prefix", async () => {
  const seen = ({ acked, flushes }: KillsReport) => acked > 100 && flushes > 0;
  const report = await runKills(1, 3, seen);
  assert(seen(report), JSON.stringify(report));
});
