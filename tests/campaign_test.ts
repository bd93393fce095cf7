import { assert, assertEquals } from "@std/assert";
import { Campaign, lifeOf, type LifeReport } from "./sim/campaign.ts";
import type { Script, Step } from "./sim/script.ts";
import { runScript } from "./sim/workload.ts";

/** A life of which nothing is to be said, but for this. */
function life(seed: number, about: Partial<LifeReport> = {}): LifeReport {
  return {
    seed,
    hash: String(seed),
    events: 1000,
    simulatedMs: 60_000,
    tookMs: 1000,
    calls: 2950,
    callsDrawn: 3000,
    acked: 2000,
    lost: 0,
    judged: true,
    conflicts: 0,
    faults: {},
    paths: {},
    violations: [],
    ...about,
  };
}

function campaignOf(lives: readonly LifeReport[]): Campaign {
  const campaign = new Campaign();
  for (const each of lives) campaign.add(each);
  return campaign;
}

Deno.test("a campaign with a life that was not judged to its end has failed, whatever was found", () => {
  const well = campaignOf([life(1), life(2), life(3)]);
  assertEquals(well.complaints({ isDrawn: true }), []);
  assertEquals([well.summary.seeds, well.summary.judged], [3, 3]);
  const short = campaignOf([life(1), life(2, { judged: false }), life(3)]);
  assertEquals(short.complaints({ isDrawn: true }), ["not judged: 1 lives"]);
  assertEquals(short.complaints({ isDrawn: false }), ["not judged: 1 lives"]);
});

Deno.test("a campaign of fifty lives names what never happened in it, unless it was told what may", () => {
  const lives = [...Array(50).keys()].map((seed) => life(seed));
  const [complaint] = campaignOf(lives).complaints({ isDrawn: true });
  assert(complaint?.startsWith("never happened: cut, "), complaint);
  assertEquals(campaignOf(lives).complaints({ isDrawn: false }), []);
  assertEquals(campaignOf(lives.slice(1)).complaints({ isDrawn: true }), []);
});

Deno.test("a campaign in which too little happened, or too slowly, says so", () => {
  const happened = (about: Partial<LifeReport>) => {
    const lives = [...Array(50).keys()].map((seed) =>
      life(seed, { faults: { kill: 20 }, ...about })
    );
    return (speedupMin: number) =>
      campaignOf(lives).complaints({ isDrawn: true, speedupMin })
        .filter((text) => !text.startsWith("never happened"));
  };
  assertEquals(happened({})(60), []);
  assertEquals(happened({})(61), ["too slow: 60 × real time"]);
  assertEquals(happened({ calls: 2840 })(0), [
    "too few calls: 142000 of 150000",
  ]);
  assertEquals(happened({ faults: { kill: 19 } })(0), [
    "too few faults: 950 for 150000 calls",
  ]);
});

Deno.test("every acked write that is lost is counted, and every life whose nodes differ once", async () => {
  const steps: Step[] = [{ at: 0, forMs: 3000, fault: "lyingSync", node: 0 }];
  for (let i = 0; i < 40; i++) {
    const ops = [[`k${i}`, i + 1, 10]] as const;
    steps.push({ at: 100 + 10 * i, node: 0, call: "write", ops });
  }
  const kill = { fault: "kill", node: 0, unsynced: "lost" } as const;
  const script: Script = {
    seed: 1,
    nodes: 1,
    world: {
      durability: "synced",
      memtableBytes: 1024 * 1024,
      propagation: {},
    },
    steps: [...steps, { at: 1000, forMs: 100, ...kill }],
    quietAt: 2000,
    core: [0],
  };
  const report = await runScript(script);
  // One more is the proof that the node can write at the end.
  assertEquals([report.acked, report.lost, report.judged], [41, 40, true]);
  const differ = { id: "I1", at: 0, text: "they differ" } as const;
  const { summary } = campaignOf([
    lifeOf(report, 1000),
    life(2, { violations: [differ, differ] }),
  ]);
  assertEquals([summary.lost, summary.divergent], [40, 1]);
});
