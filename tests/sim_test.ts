import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { assertReads, SimCluster } from "./sim/cluster.ts";
import { Coverage } from "./sim/coverage.ts";
import {
  DETECTION_ROWS,
  idleRow,
  measureRow,
  spreadRow,
} from "./sim/detection.ts";
import { isFault, writeScript } from "./sim/script.ts";
import { parseScript, scriptText, shrink } from "./sim/shrink.ts";
import { runScript, runWorkload } from "./sim/workload.ts";

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

/** How long the random lives may take, in real milliseconds. */
const BUDGET_MS = 40_000;

Deno.test("random lives of five nodes, with 3000 calls and 20 faults each, break no promise: as many as fit 40 s", async () => {
  const coverage = new Coverage();
  const started = performance.now();
  let seed = 0;
  while (seed < 2 || performance.now() - started < BUDGET_MS) {
    const report = await runWorkload({ seed: ++seed });
    assertEquals(report.violations, [], `deno task simulate --seed ${seed}`);
    const { faults } = report.coverage;
    assert(Object.keys(faults).length >= 6);
    assert(Object.values(faults).reduce((a, b) => a + b) >= 12);
    assert(report.acked > 1000);
    assert(report.judged);
    coverage.add(report.coverage);
  }
  // A path that never happened was not tested.
  assertEquals(
    coverage.missing(["kill", "partition", "stall", "diskFull", "corrupt"], [
      "conflict",
      "core",
      "deltaSession",
      "flush",
      "forwarded",
      "lagged",
      "poisoned",
      "pull",
      "record",
      "snapshot",
    ]),
    [],
  );
});

Deno.test("a life replays from its script as text: one seed, one trace", async () => {
  const script = writeScript({ seed: 7, nodes: 4, steps: 600 });
  const first = await runScript(script);
  const second = await runScript(parseScript(scriptText(script)));
  assertEquals(second.hash, first.hash);
  assertEquals(second, first);
  const other = await runWorkload({ seed: 8, nodes: 4, steps: 600 });
  assertNotEquals(other.hash, first.hash);
});

Deno.test("a device that lies about its syncs is found out, and shrunk to a few steps that replay", async () => {
  const script = writeScript({
    seed: 4,
    nodes: 3,
    steps: 300,
    faults: 12,
    kinds: ["lyingSync", "kill", "partition"],
  });
  const { violations } = await runScript(script);
  assert(violations.length > 0, "nothing was found");
  const { id } = violations[0]!;
  const small = await shrink(script, id);
  const kinds = small.steps.map((step) => isFault(step) ? step.fault : "call");
  assert(small.steps.length <= 6, scriptText(small));
  assert(kinds.includes("lyingSync") && kinds.includes("kill"));
  const again = await runScript(parseScript(scriptText(small)));
  assert(again.violations.some((violation) => violation.id === id));
  // It is the device: with an honest one the same life breaks nothing.
  const honest = script.steps.filter((step) =>
    !isFault(step) || step.fault !== "lyingSync"
  );
  const clean = await runScript({ ...script, steps: honest });
  assertEquals(clean.violations, []);
});

Deno.test("a row of detection is met by the detector, and not by nodes that call the living dead", async () => {
  const [crash] = DETECTION_ROWS.get("detection")!;
  const row = await measureRow(crash!, 1, 1);
  assertEquals([row.row, row.n, row.met], ["detect.crash", 5, true]);
  assert(row.p50! > 0 && row.max! >= row.p50!);
  const late = await measureRow({ ...crash!, promise: { p50: 10 } }, 1, 1);
  assertEquals(late.met, false);
  // A cut that is not said to be one.
  const wrong = await measureRow(
    {
      ...crash!,
      async measure(watched) {
        watched.cluster.cut([watched.victim], watched.names.slice(0, -1));
        await watched.timeUntil("dead");
        return [];
      },
    },
    1,
    1,
  );
  assert(wrong.falseDeaths > 0 && !wrong.met);
});

Deno.test("nodes that connect on demand meet what is promised of a thousand, and a row that is not met says so", async () => {
  const idle = await measureRow(
    idleRow(66, {
      bytesPerNodeS: 2000,
      apart: { row: "idle.1", share: 0.2 },
    }),
    1,
    1,
    [{ row: "idle.1", n: 1, bytesPerNodeS: 2000, falseDeaths: 0, met: true }],
  );
  const { bytesPerNodeS } = idle;
  assert(bytesPerNodeS! > 100 && bytesPerNodeS! < 1600, `${bytesPerNodeS}`);
  assert(idle.apart! > 0.2 && !idle.met, `${idle.apart}`);
  const kind = spreadRow(66);
  const spread = await measureRow({ ...kind, promise: { rounds: 1 } }, 1, 1);
  assertEquals([spread.n, spread.met], [5, false]);
  assert(spread.rounds! > 1 && spread.rounds! < kind.promise.rounds!);
});
