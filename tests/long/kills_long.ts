// deno-lint-ignore-file no-console -- a campaign says how far it got
/** Real kills of a real process, fifty on one directory. */

import { assert } from "@std/assert";
import { runKills } from "../real/kills.ts";

Deno.test("fifty kills of a process under load lose nothing that was acked", async () => {
  const seed = 50;
  const report = await runKills(seed, 50);
  const told = JSON.stringify({ seed, ...report });
  console.log(told);
  assert(report.acked > 10_000, told);
  assert(report.flushes > 50 && report.compactions > 10, told);
  assert(report.inJob > 0 && report.inOpen > 0, told);
});
