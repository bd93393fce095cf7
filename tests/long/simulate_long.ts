/** Long campaigns of the virtual world: `deno task test:long`. */

import { assertEquals } from "@std/assert";
import { runWorkload } from "../sim/workload.ts";

for (const nodes of [2, 3, 5]) {
  Deno.test(`500 random lives of ${nodes} nodes break no promise`, async () => {
    for (let seed = 1; seed <= 500; seed++) {
      const report = await runWorkload({ seed, nodes, steps: 250 });
      const replay =
        `deno task simulate --seed ${seed} --nodes ${nodes} --steps 250 --trace`;
      assertEquals(report.violations, [], replay);
    }
  });
}
