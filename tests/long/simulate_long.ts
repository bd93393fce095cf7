/**
 * Long campaigns of the virtual world: `deno task test:long`. `ASPEN_SEED` is
 * their first seed, 1 by default. The same with other numbers, and a script of
 * what fails: `deno task simulate`.
 */

import { assertEquals } from "@std/assert";
import { runCampaign } from "../sim/campaign.ts";

const CALLS_PER_MINUTE = 3000;

/** Processes that share a campaign. */
const JOBS = navigator.hardwareConcurrency;

/** Runs lives, and wants no violation, and everything to happen. */
async function campaign(
  seeds: number,
  { nodes, minutes }: { nodes: number; minutes: number },
): Promise<void> {
  const campaign = await runCampaign({
    seed: Number(Deno.env.get("ASPEN_SEED") ?? 1),
    seeds,
    nodes,
    steps: minutes * CALLS_PER_MINUTE,
    jobs: JOBS,
  });
  const failed = campaign.failed.map(({ seed, violations }) => ({
    replay:
      `deno task simulate --seed ${seed} --nodes ${nodes} --minutes ${minutes}`,
    violations,
  }));
  assertEquals(failed, []);
  assertEquals(campaign.complaints({ isDrawn: true }), []);
  assertEquals(campaign.seeds, seeds);
}

for (const nodes of [2, 3, 7]) {
  Deno.test(`200 lives of ${nodes} nodes break no promise`, async () => {
    await campaign(200, { nodes, minutes: 1 });
  });
}

Deno.test("1000 lives of five nodes break no promise", async () => {
  await campaign(1000, { nodes: 5, minutes: 1 });
});

Deno.test("100 lives of five nodes for 30 simulated minutes break no promise", async () => {
  await campaign(100, { nodes: 5, minutes: 30 });
});
