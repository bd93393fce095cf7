import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { assertReads, SimCluster } from "./sim/cluster.ts";
import { Coverage } from "./sim/coverage.ts";
import {
  DETECTION_ROWS,
  idleRow,
  measureRow,
  spreadRow,
} from "./sim/detection.ts";
import { measureHeal, measureTombstones } from "./sim/healing.ts";
import { measureRumours, RUMOUR_ROWS } from "./sim/rumours.ts";
import { isFault, type Step, writeScript } from "./sim/script.ts";
import { isAlike, parseScript, scriptText, shrink } from "./sim/shrink.ts";
import { runScript, runWorkload } from "./sim/workload.ts";
import { isFlat, measureSoak, type Soak } from "./sim/soak.ts";

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
  let happened = 0;
  while (seed < 2 || performance.now() - started < BUDGET_MS) {
    const report = await runWorkload({ seed: ++seed });
    assertEquals(report.violations, [], `deno task simulate --seed ${seed}`);
    const { faults } = report.coverage;
    assert(Object.keys(faults).length >= 6);
    const count = Object.values(faults).reduce((a, b) => a + b);
    assert(count >= 14, `${count} faults happened in the life of seed ${seed}`);
    happened += count;
    assert(report.calls > 2900, `${report.calls} calls of seed ${seed}`);
    assert(report.acked > 1000);
    assert(report.judged);
    coverage.add(report.coverage);
  }
  assert(happened >= 20 * seed, `${happened} faults in ${seed} lives`);
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

Deno.test("a fault counts when it has happened, and what cannot be yet is done later", async () => {
  const script = writeScript({ seed: 9, nodes: 2, steps: 0, faults: 0 });
  const node = 1;
  const { violations, coverage, calls } = await runScript({
    ...script,
    quietAt: 6000,
    steps: [
      { at: 500, forMs: 1500, fault: "kill", node, unsynced: "torn" },
      // Its node is down: it is put off, and its caller turns to another.
      { at: 600, forMs: 100, fault: "stall", node },
      { at: 600, node, call: "read", key: "k" },
      // Nobody writes there, or ever flushes: these never happen.
      { at: 650, forMs: 100, fault: "diskFull", node },
      { at: 660, forMs: 100, fault: "slowSync", node, byMs: 10 },
      { at: 700, forMs: 100, fault: "killAtSlice", node, unsynced: "torn" },
      // There is no connection before it is up again.
      { at: 800, forMs: 0, fault: "reset", nodes: [0, 1] },
    ],
  });
  assertEquals(violations, []);
  assertEquals(coverage.faults, { kill: 1, stall: 1, reset: 1 });
  assertEquals(calls, 1);
});

Deno.test("of a script that lost a join the others are of the nodes that they were", async () => {
  const script = writeScript({ seed: 9, nodes: 2, steps: 0, faults: 0 });
  const steps = [
    { at: 500, forMs: 0, fault: "join", node: 2, peers: [0] },
    { at: 600, forMs: 0, fault: "join", node: 3, peers: [0] },
    { at: 1800, forMs: 50, fault: "stall", node: 2 },
    { at: 1800, forMs: 50, fault: "stall", node: 3 },
  ] as const satisfies Step[];
  const stalled = async (left: readonly Step[]) => {
    const lines: string[] = [];
    const trace = (line: string) => lines.push(line);
    const report = await runScript({ ...script, steps: left }, { trace });
    assertEquals(report.violations, []);
    return lines.flatMap((line) => / (\w+) stall /.exec(line)?.[1] ?? [])
      .sort();
  };
  assertEquals(await stalled(steps), ["c", "d"]);
  assertEquals(await stalled(steps.slice(1)), ["d"]);
});

Deno.test("a script names each node that joins, in their order, and calls none before", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { steps } = writeScript({ seed, nodes: 3, steps: 300, faults: 20 });
    let nodes = 3;
    for (const step of steps) {
      if (isFault(step) && step.fault === "join") {
        assertEquals(step.node, nodes++);
      } else if ("node" in step) {
        assert(step.node < nodes, JSON.stringify(step));
      }
    }
  }
});

Deno.test("of a disk a bit of which flips an engine gives all that was synced, or says where it is damaged", async () => {
  const script = writeScript({ seed: 9, nodes: 1, steps: 0, faults: 0 });
  const writes = [...Array(100).keys()].map((i) => ({
    at: 10 * i,
    node: 0,
    call: "write" as const,
    ops: [[`k${i}`, i + 1, 100]] as const,
  }));
  let found = 0;
  // The log comes first among its files, and has all.
  for (let pick = 0; pick < 20_000; pick += 999) {
    const flip = {
      at: 1500,
      forMs: 20,
      fault: "bitFlip",
      node: 0,
      pick,
    } as const;
    const { violations, coverage } = await runScript({
      ...script,
      world: {
        durability: "synced",
        memtableBytes: 1024 * 1024,
        propagation: {},
      },
      steps: [...writes, flip],
    });
    assertEquals(violations, []);
    assertEquals(coverage.faults, { bitFlip: 1 });
    found += coverage.paths.corruption ?? 0;
  }
  assertEquals(found, 21);
});

Deno.test("a node under which a bit of a table flips says so, and nobody reads what is wrong", async () => {
  let noticed = 0;
  for (let seed = 1; seed <= 4; seed++) {
    const script = writeScript({
      seed,
      nodes: 3,
      steps: 600,
      faults: 16,
      kinds: ["bitRot", "bitRot", "kill"],
    });
    const { violations, coverage } = await runScript({
      ...script,
      world: { ...script.world, memtableBytes: 16 * 1024 },
    });
    assertEquals(violations, []);
    noticed += coverage.paths.rot ?? 0;
  }
  assert(noticed >= 5, `${noticed} flipped bits were noticed`);
});

Deno.test("a violation is shrunk to one that says the same, not to any error", () => {
  const failed = {
    id: "E1",
    at: 5,
    text: "b failed: Error: 17 is odd",
  } as const;
  const alike = { ...failed, at: 9, text: "cx2 failed: Error: 3 is odd" };
  const other = { ...failed, text: "b could not be opened: Error: 17 is odd" };
  assert(isAlike(alike, failed) && !isAlike(other, failed));
  const lost = { id: "I2", at: 1, text: "one" } as const;
  assert(isAlike({ ...lost, text: "another" }, lost));
  assert(!isAlike({ ...lost, id: "I3" }, lost));
});

Deno.test("when faults stop clocks are right, also those that have drifted", async () => {
  const lines: string[] = [];
  const script = writeScript({ seed: 9, nodes: 2, steps: 0, faults: 0 });
  const at = 500;
  await runScript({
    ...script,
    steps: [
      { at, forMs: 800, fault: "clockDrift", node: 0, drift: 0.1 },
      // It ends as the faults stop: who is first at one moment is drawn.
      { at, forMs: 1500, fault: "clockJump", node: 1, byMs: 50_000 },
    ],
  }, { trace: (line) => lines.push(line) });
  const last = (node: string) =>
    lines.findLast((line) => new RegExp(` (skew|drift) ${node} `).test(line));
  for (const node of ["a", "b"]) {
    assert(last(node)?.endsWith(` skew ${node} 0`), last(node));
  }
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
  const violation = violations[0]!;
  const small = await shrink(script, violation);
  const kinds = small.steps.map((step) => isFault(step) ? step.fault : "call");
  assert(small.steps.length <= 6, scriptText(small));
  assert(kinds.includes("lyingSync") && kinds.includes("kill"));
  const again = await runScript(parseScript(scriptText(small)));
  assert(again.violations.some((each) => isAlike(each, violation)));
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

Deno.test("the rows of rumours are met by five nodes, with messages lost too, and a row that is not met says so", async () => {
  const of = (row: string) =>
    RUMOUR_ROWS.find((kind) => kind.row === row && kind.nodes === 5)!;
  const bytes = await measureRumours(of("sir.bytes"), 1, 200);
  assertEquals([bytes.n, bytes.ops, bytes.missed, bytes.met], [
    5,
    200,
    0,
    true,
  ]);
  assertEquals(bytes.copies, 0.8);
  assert(bytes.maxDelays >= 2 && bytes.maxDelays <= 3, `${bytes.maxDelays}`);
  const residue = await measureRumours(of("sir.residue"), 1, 200);
  assert(residue.lost > 0 && residue.met);
  const { promise, ...kind } = of("sir.bytes");
  const strict = { ...kind, promise: { ...promise, delays: 1 } };
  assertEquals((await measureRumours(strict, 1, 20)).met, false);
  // Where most is lost rumours miss something, and comparing brings it.
  const loss = { ...of("sir.residue"), loss: 0.9 };
  const most = await measureRumours(loss, 1, 50);
  assert(most.missed > 0 && !most.met);
  assertEquals(most.missedAfter, 0);
});

Deno.test("nodes that connect on demand meet what is promised of a thousand, and a row that is not met says so", async () => {
  // As few as are enough for that, for the sake of whoever waits.
  const few = { connectionsMax: 8 };
  const idle = await measureRow(
    {
      ...idleRow(20, {
        bytesPerNodeS: 2000,
        apart: { row: "idle.1", share: 0.2 },
      }),
      ...few,
    },
    1,
    1,
    [{ row: "idle.1", n: 1, bytesPerNodeS: 2000, falseDeaths: 0, met: true }],
  );
  const { bytesPerNodeS } = idle;
  assert(bytesPerNodeS! > 100 && bytesPerNodeS! < 1600, `${bytesPerNodeS}`);
  assert(idle.apart! > 0.2 && !idle.met, `${idle.apart}`);
  const kind = { ...spreadRow(20), ...few };
  const spread = await measureRow({ ...kind, promise: { rounds: 0 } }, 1, 1);
  assertEquals([spread.n, spread.met], [5, false]);
  assert(spread.rounds! > 0 && spread.rounds! < kind.promise.rounds!);
});

Deno.test("halves that were apart are equal at once, and deletes leave nothing after a minute; what is so little costs more than is promised", async () => {
  const heal = await measureHeal(4, 1, 1000);
  assert(heal.healMs > 0 && heal.healMs < 1000, `${heal.healMs}`);
  // First answers of several peers have the same records.
  assert(heal.bytesShare > 1.3 && heal.bytesShare < 3, `${heal.bytesShare}`);
  assertEquals(heal.met, false);
  const gone = await measureTombstones(3, 1, 100);
  assertEquals([gone.left, gone.met], [0, true]);
  const soon = await measureTombstones(3, 1, 100, 1);
  assert(soon.left >= 100 && !soon.met, `${soon.left}`);
});

Deno.test("what nodes hold is flat if it does not grow with the time", () => {
  assertEquals(isFlat([8, 8, 10, 11], 7), true);
  assertEquals(isFlat([8, 8, 10, 16], 7), false);
  assertEquals(isFlat([100, 500, 100, 550], 7), true);
  assertEquals(isFlat([100, 500, 540, 560], 7), false);
});

Deno.test("a soak is judged as lives are, and counts what nodes hold", async () => {
  const soak: Soak = {
    row: "soak.few",
    nodes: 3,
    without: ["leave", "remove"],
  };
  const row = await measureSoak(soak, 1, 0.1);
  assertEquals([row.n, row.hours, row.lost, row.violations], [3, 0.1, 0, 0]);
  assert(row.acked > 5 && row.faults > 0);
  assertEquals(row.held.length, 4);
  assert(row.held.every((held) => held > 0));
});
