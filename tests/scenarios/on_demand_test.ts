/**
 * Clusters of more nodes than connections may stand: who is there, who answers
 * and what is written spread as before, over connections that come and go.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type DB, type OpenOptions, PROPAGATION_DEFAULT } from "../../mod.ts";
import {
  assertReads,
  scenario,
  type SimCluster,
  text,
} from "../sim/cluster.ts";

const MAX = 5;
const NODES = 18;
const NAMES = Array.from({ length: NODES }, (_, i) => `n${i + 1}`);
const OPTIONS = {
  seeds: 2,
  defaults: { propagation: { connectionsMax: MAX } } satisfies OpenOptions,
};

/** Waits until some nodes all say one thing of some nodes. */
async function agreed(
  cluster: SimCluster,
  dbs: readonly DB[],
  of: readonly DB[],
  state: string,
  maxMs?: number,
): Promise<void> {
  const keys = of.map((db) => db.cluster.host.key);
  await cluster.until(
    `nodes ${keys} are ${state}`,
    () =>
      dbs.every((db) =>
        keys.every((key) =>
          // Who has just come may not be known everywhere.
          key === db.cluster.host.key ||
          db.cluster.nodes().get(key)?.state === state
        )
      ),
    maxMs,
  );
}

scenario(
  "above connectionsMax nodes at rest keep few connections, and none that closes is a loss",
  async (cluster) => {
    const dbs = await cluster.openMany(NAMES);
    await cluster.world.sleep(30_000);
    const losses: string[] = [];
    for (const db of dbs) {
      void (async () => {
        for await (const { type } of db.events()) losses.push(type);
      })();
    }
    const before = dbs.map((db) => db.metrics().detection);
    for (let i = 0; i < 30; i++) {
      await cluster.world.sleep(2000);
      for (const db of dbs) {
        const { peersConnected } = db.metrics();
        assert(peersConnected <= 2 * MAX, `${peersConnected} connections`);
      }
    }
    assertEquals(losses.filter((type) => type !== "engine"), []);
    for (const [i, db] of dbs.entries()) {
      const { probes, missed, suspected } = db.metrics().detection;
      assert(probes >= before[i]!.probes + 50);
      assertEquals([missed, suspected], [
        before[i]!.missed,
        before[i]!.suspected,
      ]);
    }
  },
  OPTIONS,
);

scenario(
  "above connectionsMax what is written reaches everybody, and every node can write what another leads",
  async (cluster, seed) => {
    const dbs = await cluster.openMany(NAMES);
    await cluster.world.sleep(10_000);
    await dbs[seed]!.set("key", "first");
    await cluster.until(
      "all have it",
      async () => {
        for (const db of dbs) {
          if (text(await db.get("key")) !== "first") return false;
        }
        return true;
      },
    );
    await dbs[NODES - 1]!.set("key", "second");
    await assertReads(dbs[seed]!, "key", "second");
    const { missing } = await dbs[3]!.caughtUp();
    assertEquals(missing, []);
    await assertReads(dbs[3]!, "key", "second");
  },
  OPTIONS,
);

scenario(
  "above connectionsMax a process that is gone is dead everywhere, and healthy when it is back",
  async (cluster) => {
    const victim = NAMES.at(-1)!;
    const dbs = await cluster.openMany(
      NAMES,
      (name) => name === victim ? "/data" : ":memory:",
    );
    await cluster.world.sleep(10_000);
    const rest = dbs.slice(0, -1);
    cluster.kill(victim);
    await agreed(cluster, rest, dbs.slice(-1), "dead", 20_000);
    await cluster.world.sleep(60_000);
    const back = await cluster.reopen(victim);
    await agreed(cluster, [...rest, back], [back], "healthy", 10_000);
    await agreed(cluster, [back], rest, "healthy", 10_000);
  },
  OPTIONS,
);

scenario(
  "above connectionsMax parts that were apart for ten minutes find each other within ten seconds, and one node alone all others",
  async (cluster, seed) => {
    // Fewer: they dial those that are gone for half an hour.
    const names = NAMES.slice(0, 2 * MAX + 2);
    const dbs = await cluster.openMany(names, () => "/data");
    // From their disks, so that none has `peers` to ask.
    for (const [i, name] of names.entries()) {
      cluster.kill(name);
      dbs[i] = await cluster.reopen(name);
    }
    await agreed(cluster, dbs, dbs, "healthy");
    const first = seed % 2 === 0 ? 1 : names.length / 2;
    cluster.cut(names.slice(0, first), names.slice(first));
    await agreed(
      cluster,
      dbs.slice(first),
      dbs.slice(0, first),
      "dead",
      600_000,
    );
    await agreed(
      cluster,
      dbs.slice(0, first),
      dbs.slice(first),
      "dead",
      600_000,
    );
    await cluster.world.sleep(600_000);
    cluster.world.heal();
    await agreed(cluster, dbs, dbs, "healthy", 10_000);
  },
  { ...OPTIONS, maxMs: 3_600_000 },
);

scenario(
  "a cluster that grows beyond connectionsMax and one of fewer nodes differ in nothing but their connections",
  async (cluster) => {
    const few = await cluster.openAll(NAMES.slice(0, MAX));
    assertEquals(PROPAGATION_DEFAULT.connectionsMax, 64);
    for (const db of few) assertEquals(db.metrics().peersConnected, MAX - 1);
    await few[0]!.set("key", "value");
    for (const name of NAMES.slice(MAX, MAX + 4)) await cluster.open(name);
    await cluster.until(
      "connections go",
      () => few.every((db) => db.metrics().peersConnected < MAX + 3),
    );
    for (const db of cluster.nodes.values()) {
      await db.caughtUp();
      await assertReads(db, "key", "value");
    }
  },
  OPTIONS,
);
