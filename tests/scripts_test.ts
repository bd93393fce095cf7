/**
 * What random lives have found, in scripts that are written for it: a seed draws
 * another life whenever the drawing changes, a script stays as it is.
 *
 * Most are about the judges: lives in which nothing is wrong, and in which the
 * simulator once said that something is. What was wrong with the product has a test
 * in the room where it was mended, unless it takes a life to meet it. {@linkcode FOUND} names the mutant
 * that puts each of them back, and by which its test is seen to fail.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { MUTANTS } from "./mutants_table.ts";
import type { Script, Step } from "./sim/script.ts";
import { runScript } from "./sim/workload.ts";

/** What lives have found: the seed that first did, and the mutant that puts it back. */
const FOUND: Readonly<Record<number, string>> = {
  201_210: "joiner-that-asks-where-nobody-is",
  300_831: "lease-of-a-node-not-heard-of-yet-is-of-no-member",
  400_276: "judge-holds-a-failed-engine-to-what-it-had-not-synced",
  501_061: "judge-allows-less-to-wait-than-stands-still",
  850_148: "leaving-waits-for-who-is-silent",
  // Shrunk; as a whole it found what 1000983 did.
  1_000_761: "engine-that-fails-elsewhere-is-not-told-of",
  1_000_983: "judge-waits-for-who-was-removed-unheard",
  1_001_303: "judge-waits-for-who-was-removed-unheard",
  1_001_055: "seat-lost-at-a-start",
  1_002_936: "forgotten-is-told-of-as-closed",
  1_002_996: "takes-its-vote-along",
  1_004_195: "judge-forgets-what-a-disk-had-that-cannot-be-opened",
  2_000_155: "removal-not-told-at-the-next-start",
  4_101_005: "damaged-leaseholder-is-told-of-as-it-says-it",
  8_100_022: "joiner-waits-for-who-cannot-forget-yet",
};

Deno.test("what a life has found has a mutant that puts it back", () => {
  for (const [seed, name] of Object.entries(FOUND)) {
    assert(MUTANTS.some((mutant) => mutant.name === name), `${seed}: ${name}`);
  }
});

/** A life of nodes that know no other faults than these. */
function script(
  steps: readonly Step[],
  others: Partial<Omit<Script, "steps">> = {},
): Script {
  return {
    seed: 1,
    nodes: 2,
    quietAt: 6000,
    core: [0, 1],
    world: {
      durability: "synced",
      memtableBytes: 16 * 1024,
      propagation: {},
    },
    ...others,
    steps: [...steps].sort((a, b) => a.at - b.at),
  };
}

/** Writes of as many keys at a node, one each `everyMs`. */
function* writes(
  { from, count, everyMs = 20, node = 0, bytes = 20 }: {
    from: number;
    count: number;
    everyMs?: number;
    node?: number;
    bytes?: number;
  },
): Generator<Step> {
  for (let i = 0; i < count; i++) {
    const at = from + i * everyMs;
    const op = [`${node}-${i}`, from + i, bytes] as const;
    yield { at, node, call: "write", ops: [op] };
  }
}

async function assertClean(script: Script): Promise<void> {
  const { violations } = await runScript(script);
  assertEquals(violations, []);
}

Deno.test("a node killed within its first copy has entries that count for nothing (seed 200099)", async () => {
  for (const ms of [48, 52, 56, 60, 66, 72]) {
    await assertClean(script([
      ...writes({ from: 0, count: 200, everyMs: 10, bytes: 3000 }),
      { at: 3000, forMs: 0, fault: "join", node: 2, peers: [0, 1] },
      {
        at: 3000 + ms,
        forMs: 1000,
        fault: "kill",
        node: 2,
        unsynced: "kept",
      },
    ]));
  }
});

Deno.test("a node that joins is told anew where the others are, if they have moved (seed 201210)", async () => {
  await assertClean(script([
    { at: 1000, forMs: 0, fault: "join", node: 2, peers: [1] },
    { at: 1001, forMs: 3000, fault: "cut", nodes: [1, 2] },
    { at: 1500, forMs: 1000, fault: "move", node: 1 },
  ]));
});

Deno.test("what a failed engine had acked and not synced may go with its node (seed 400276)", async () => {
  // Nobody else has it; how much of it is torn away is drawn.
  for (const seed of [1, 2, 3, 4]) {
    await assertClean(script([
      ...writes({ from: 1000, count: 100, everyMs: 10 }),
      { at: 1500, forMs: 1000, fault: "diskFull", node: 0 },
    ], {
      seed,
      nodes: 1,
      core: [0],
      world: {
        durability: "written",
        memtableBytes: 8192 * 1024,
        propagation: {},
      },
    }));
  }
});

Deno.test("much may wait at a node that stood still and then waits for its disk (seed 501061)", async () => {
  await assertClean(script([
    { at: 2500, forMs: 2000, fault: "slowSync", node: 0, byMs: 3000 },
    ...writes({ from: 2500, count: 3001, everyMs: 0.5, node: 1 }),
  ]));
});

Deno.test("a node that was removed and has not heard of it is not waited for (seeds 1000761, 1000983, 1001303)", async () => {
  for (const ms of [80, 110, 140]) {
    await assertClean(script([
      ...writes({ from: 1000, count: 200 }),
      { at: 2000, forMs: 0, fault: "leave", node: 3 },
      {
        at: 2000 + ms,
        forMs: 1500,
        fault: "kill",
        node: 3,
        unsynced: "kept",
      },
    ], { nodes: 4 }));
  }
});

Deno.test("a node that closes because it has left is not asked what it covers (seeds 1003528, 1003980)", async () => {
  for (const ms of [90, 120, 150]) {
    await assertClean(script([
      ...writes({ from: 1000, count: 200 }),
      { at: 5000, forMs: 0, fault: "leave", node: 3 },
      // Its last sync, that of its closing, is long under way.
      {
        at: 5000 + ms,
        forMs: 900,
        fault: "slowSync",
        node: 3,
        byMs: 2500,
      },
    ], { nodes: 4 }));
  }
});

Deno.test("what only a disk had that was put back is gone with it, though it could not be opened for a while (seed 1004195)", async () => {
  const world = {
    durability: "synced",
    memtableBytes: 16 * 1024,
    propagation: {
      pushDelayMs: 1000,
      votersMax: 1,
      antiEntropyIntervalMs: 5000,
      clusterGossipIntervalMs: 5000,
    },
  } as const;
  await assertClean(script(
    [
      ...writes({ from: 1000, count: 5, node: 1 }),
      { at: 3000, forMs: 3000, fault: "putBack", node: 1, aloneMs: 0 },
      // The first is told of at once, so the next one waits, and nobody looks at it.
      { at: 3350, node: 1, call: "write", ops: [["first", 1, 9]] },
      { at: 3400, node: 1, call: "write", ops: [["only", 2, 9]] },
      { at: 3401, forMs: 3500, fault: "syncFails", node: 1, times: 1e6 },
      { at: 3401.5, node: 1, call: "write", ops: [["never", 3, 9]] },
    ],
    { world, quietAt: 9000 },
  ));
});
