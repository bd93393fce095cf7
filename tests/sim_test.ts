import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { assertReads, SimCluster } from "./sim/cluster.ts";
import { runWorkload } from "./sim/workload.ts";

/** Join, write, cut, heal, kill and restart, all through the public `open`. */
async function story(seed: number, trace?: (line: string) => void) {
  const cluster = new SimCluster({ seed, ...trace && { trace } });
  const { world } = cluster;
  await world.run(async () => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const c = await cluster.open("c");
    await a.set("shared", "from a");
    await cluster.converged("a", "b", "c");

    cluster.cut(["c"], ["a", "b"]);
    await c.set("cut", "off");
    await b.set("together", "b");
    await assertReads(c, "shared", "from a");
    world.heal();
    await cluster.converged("a", "b", "c");
    await assertReads(a, "cut", "off");

    await b.set("acked", "before the kill");
    cluster.kill("b");
    await a.set("meanwhile", "a");
    const again = await cluster.reopen("b");
    await assertReads(again, "acked", "before the kill");
    await cluster.converged("a", "b", "c");
    await assertReads(again, "meanwhile", "a");
    assertEquals(again.cluster.host.heartbeat.generation, 2);
    await cluster.close();
  });
  return { hash: world.traceHash(), events: world.events };
}

Deno.test("a cluster joins, writes, is cut, heals, and loses nothing by a kill: every seed twice with one trace", async () => {
  const hashes = new Set<string>();
  for (let seed = 1; seed <= 5; seed++) {
    const first = await story(seed);
    const second = await story(seed);
    assertEquals(first, second);
    assert(first.events > 100);
    hashes.add(first.hash);
  }
  assertNotEquals(hashes.size, 1);
});

Deno.test("random lives under cuts, lost connections, kills and clock errors break no promise: 40 seeds", async () => {
  const seen: Record<string, number> = {};
  for (let seed = 1; seed <= 40; seed++) {
    const report = await runWorkload({ seed, nodes: 3, steps: 150 });
    assertEquals(report.violations, [], `deno task simulate --seed ${seed}`);
    seen.acked = (seen.acked ?? 0) + report.acked;
    seen.conflicts = (seen.conflicts ?? 0) + report.conflicts;
    for (const counts of [report.faults, report.paths]) {
      for (const [name, count] of Object.entries(counts)) {
        seen[name] = (seen[name] ?? 0) + count;
      }
    }
  }
  // A path that never happened was not tested.
  for (
    const path of [
      "acked",
      "conflicts",
      "cut",
      "kill",
      "pull",
      "record",
      "reset",
      "session",
      "skew",
    ]
  ) assert((seen[path] ?? 0) > 0, `${path} never happened`);
});

Deno.test("a random life replays: one seed, one trace", async () => {
  const first = await runWorkload({ seed: 7, nodes: 3, steps: 80 });
  assertEquals(await runWorkload({ seed: 7, nodes: 3, steps: 80 }), first);
});
