/**
 * The replication model with real replicas, many schedules. `ASPEN_SCHEDULES`
 * says how many (default 100,000), `ASPEN_SEED` the first seed; both need
 * `--allow-env`.
 */

import { assert } from "@std/assert";
import { runSchedules } from "../../gossip/replication/simulation_test.ts";

const schedules = numberFrom("ASPEN_SCHEDULES", 100_000);
const firstSeed = numberFrom("ASPEN_SEED", 1_000_000);

function numberFrom(name: string, otherwise: number): number {
  const { state } = Deno.permissions.querySync({
    name: "env",
    variable: name,
  });
  const text = state === "granted" ? Deno.env.get(name) : undefined;
  return text === undefined ? otherwise : Number(text);
}

Deno.test(`replication keeps its promises through ${schedules} schedules`, async () => {
  const { acked } = await runSchedules(schedules, firstSeed);
  assert(acked >= schedules);
});
