/** Long campaigns of the virtual world: `deno task test:long`. */

import { assertEquals } from "@std/assert";
import { Coverage } from "../sim/coverage.ts";
import { FAULT_KINDS } from "../sim/script.ts";
import { runWorkload } from "../sim/workload.ts";

/** Runs seeds from 1 on, and wants no violation, and everything to happen. */
async function campaign(
  seeds: number,
  { nodes, steps }: { nodes: number; steps: number },
): Promise<void> {
  const coverage = new Coverage();
  for (let seed = 1; seed <= seeds; seed++) {
    const report = await runWorkload({ seed, nodes, steps });
    const replay =
      `deno task simulate --seed ${seed} --nodes ${nodes} --steps ${steps}`;
    assertEquals(report.violations, [], replay);
    coverage.add(report.coverage);
  }
  assertEquals(coverage.missing(FAULT_KINDS), []);
}

for (const nodes of [2, 3, 5]) {
  Deno.test(`200 lives of ${nodes} nodes break no promise`, async () => {
    await campaign(200, { nodes, steps: 3000 });
  });
}

Deno.test("100 lives of five nodes for 30 simulated minutes break no promise", async () => {
  await campaign(100, { nodes: 5, steps: 90_000 });
});
