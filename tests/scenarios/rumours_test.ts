/**
 * Writes that spread by SIR gossip: the original's scenarios of gossip, and the
 * faults that it did not survive, with no direct push at all.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { DB, OpenOptions } from "../../mod.ts";
import { assertReads, scenario, type SimCluster } from "../sim/cluster.ts";

const NAMES = Array.from({ length: 12 }, (_, i) => `n${i + 1}`);

/** Nothing but rumours brings anything anywhere for ten minutes. */
const ALONE = { directPeersMax: 0, antiEntropyIntervalMs: 1_200_000 };
const DEFAULTS = { propagation: ALONE } satisfies OpenOptions;

async function haveAll(dbs: readonly DB[], key: string): Promise<boolean> {
  for (const db of dbs) if (!await db.has(key)) return false;
  return true;
}

function sum(dbs: readonly DB[], of: (db: DB) => number): number {
  return dbs.reduce((sum, db) => sum + of(db), 0);
}

/** Opens nodes that all know each other, and lets their joins come to rest. */
async function openAll(cluster: SimCluster): Promise<DB[]> {
  const dbs = await cluster.openAll(NAMES);
  await cluster.world.sleep(5000);
  return dbs;
}

scenario(
  "K12: beyond directPeersMax a write comes to each node once, its spread ends everywhere, and then nothing of it moves any more",
  async (cluster) => {
    const dbs = await openAll(cluster);
    const before = dbs.map((db) => db.metrics());
    assertEquals(await dbs[5]!.sirState("key"), "susceptible");
    await dbs[0]!.set("key", "value");
    assertEquals(await dbs[0]!.sirState("key"), "infected");
    await cluster.until("all have it", () => haveAll(dbs, "key"), 100);
    await cluster.until(
      "its spread has ended",
      () => dbs.every((db) => db.metrics().spread!.infected === 0),
      1000,
    );
    for (const db of dbs) assertEquals(await db.sirState("key"), "recovered");
    const after = dbs.map((db) => db.metrics());
    const of = (name: "copies" | "useful" | "redundant" | "recovered") =>
      after.reduce(
        (total, { spread }, i) =>
          total + spread![name] - before[i]!.spread![name],
        0,
      );
    assertEquals(
      [of("copies"), of("useful"), of("redundant"), of("recovered")],
      [NAMES.length - 1, NAMES.length - 1, 0, NAMES.length],
    );
    await cluster.world.sleep(20_000);
    assertEquals(
      dbs.map((db) => db.metrics().spread),
      after.map((m) => m.spread),
    );
  },
  { defaults: DEFAULTS },
);

scenario(
  "beyond directPeersMax many writes of all nodes at once come to all, in order, without anti-entropy",
  async (cluster) => {
    const dbs = await openAll(cluster);
    const pulls = () => sum(dbs, (db) => db.metrics().pulls);
    const before = pulls();
    await Promise.all(dbs.map(async (db, n) => {
      for (let i = 0; i < 40; i++) await db.set(`key ${n} ${i % 8}`, `${i}`);
    }));
    await cluster.converged(...NAMES);
    assertEquals(pulls(), before);
    const copies = sum(dbs, (db) => db.metrics().spread!.copies);
    assert(copies / (40 * 12 * 12) <= 1.1, `${copies / (40 * 12 * 12)} copies`);
  },
  { defaults: DEFAULTS },
);

scenario(
  "a record too large to be pushed is announced from node to node, and pulled",
  async (cluster) => {
    const dbs = await openAll(cluster);
    await dbs[3]!.set("large", new Uint8Array(400 * 1024));
    await cluster.until("all have it", () => haveAll(dbs, "large"), 2000);
    assert(dbs.every((db) => db.metrics().spread!.copies < 12));
  },
  { defaults: DEFAULTS },
);

scenario(
  "a node that is killed amid a spread, and one that is cut off, keep the others from nothing; back, they pull it",
  async (cluster) => {
    const dbs = await openAll(cluster);
    const rest = dbs.slice(0, -2);
    cluster.world.cut("n11", "n1");
    for (const name of NAMES) if (name !== "n11") cluster.cut(["n11"], [name]);
    for (let i = 0; i < 20; i++) {
      await dbs[i % 5]!.set(`key ${i}`, "value");
      if (i === 10) cluster.kill("n12");
    }
    await cluster.until(
      "the rest has all",
      async () => {
        for (let i = 0; i < 20; i++) {
          if (!await haveAll(rest, `key ${i}`)) return false;
        }
        return true;
      },
      10_000,
    );
    cluster.world.heal();
    const again = await cluster.reopen("n12");
    await cluster.until(
      "all have all",
      async () => await again.count() === 20 && await dbs[10]!.count() === 20,
      300_000,
    );
    await cluster.converged(...NAMES);
  },
  { defaults: DEFAULTS, maxMs: 1_800_000 },
);

scenario(
  "where connections are made on demand rumours make them",
  async (cluster) => {
    const dbs = await cluster.openMany(NAMES);
    await cluster.world.sleep(30_000);
    assert(dbs.every((db) => db.metrics().peersConnected < 11));
    for (const i of [2, 7]) {
      await dbs[i]!.set(`key ${i}`, "value");
      await cluster.until("all have it", () => haveAll(dbs, `key ${i}`), 500);
    }
  },
  { defaults: { propagation: { ...ALONE, connectionsMax: 4 } } },
);

scenario(
  "a cluster that grows beyond directPeersMax pushes first, then spreads rumours, and misses nothing meanwhile",
  async (cluster) => {
    const dbs: DB[] = [];
    for (const [i, name] of NAMES.slice(0, 8).entries()) {
      dbs.push(await cluster.open(name));
      await dbs[0]!.set(`key ${i}`, "value");
      await cluster.until("all have it", () => haveAll(dbs, `key ${i}`), 5000);
    }
    await cluster.world.sleep(5000);
    const before = dbs[0]!.metrics().spread!.copies;
    await dbs[0]!.set("last", "value");
    await cluster.until("all have it", () => haveAll(dbs, "last"), 500);
    const { copies } = dbs[0]!.metrics().spread!;
    assert(copies - before <= 3, "it sends to a few, who pass it on");
    await assertReads(dbs[7]!, "last", "value");
  },
  { defaults: { propagation: { directPeersMax: 4 } } },
);
