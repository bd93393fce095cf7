/**
 * Who is there and who answers: crashes, silence, stalls, and parts that find
 * each other again.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { DB } from "../../mod.ts";
import { collect, scenario, type SimCluster } from "../sim/cluster.ts";

const TEN = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/** What some nodes say of one. */
function statesOf(dbs: readonly DB[], key: number): Set<string> {
  return new Set(dbs.map((db) => db.cluster.node(key).state));
}

/** Waits until some nodes all say one thing of one; returns how long it took. */
async function agreed(
  cluster: SimCluster,
  dbs: readonly DB[],
  key: number,
  state: string,
): Promise<number> {
  return await cluster.timed(() =>
    cluster.until(`node ${key} is ${state}`, () => {
      const states = statesOf(dbs, key);
      return states.size === 1 && states.has(state);
    })
  );
}

scenario(
  "a process that is gone is dead everywhere within six seconds, and healthy as soon as it is back",
  async (cluster) => {
    const dbs = await cluster.openAll(TEN);
    await cluster.world.sleep(5000);
    const rest = dbs.slice(0, -1);
    cluster.kill("j");
    const deadMs = await agreed(cluster, rest, 10, "dead");
    assert(deadMs <= 6000, `it took ${deadMs} ms`);
    const back = await cluster.reopen("j");
    const healthyMs = await agreed(cluster, [...rest, back], 10, "healthy");
    assert(healthyMs <= 2000, `it took ${healthyMs} ms`);
    for (const db of rest) assertEquals(db.cluster.nodes().size, 10);
  },
);

scenario(
  "a host that falls silent is dead within twelve seconds, so are the others to it, and all are healthy ten seconds after the cut",
  async (cluster) => {
    const dbs = await cluster.openAll(TEN);
    await cluster.world.sleep(5000);
    const rest = dbs.slice(0, -1);
    const j = dbs.at(-1)!;
    cluster.cut(["j"], TEN.slice(0, -1));
    const deadMs = await agreed(cluster, rest, 10, "dead");
    assert(deadMs <= 12_000, `it took ${deadMs} ms`);
    await cluster.until(
      "the one that is cut off sees nobody",
      () =>
        rest.every(({ cluster: { host } }) =>
          j.cluster.node(host.key).state === "dead"
        ),
      180_000,
    );
    cluster.world.heal();
    const healedMs = await cluster.timed(() =>
      cluster.until(
        "all are healthy to all",
        () =>
          dbs.every(({ cluster: { host } }) => {
            const states = statesOf(dbs, host.key);
            return states.size === 1 && states.has("healthy");
          }),
      )
    );
    assert(healedMs <= 10_000, `it took ${healedMs} ms`);
  },
);

scenario(
  "a node that stands still for four seconds again and again is never dead, and buries nobody",
  async (cluster) => {
    const dbs = await cluster.openAll(TEN);
    const dead: string[] = [];
    for (const db of dbs) {
      void (async () => {
        for await (const changes of db.cluster.watch()) {
          for (const change of changes) {
            if (change.node.state !== "dead") continue;
            dead.push(`${db.cluster.host.key} says so of ${change.node.key}`);
          }
        }
      })();
    }
    for (let i = 0; i < 25; i++) {
      cluster.world.stall("j", 4000);
      await cluster.world.sleep(20_000);
    }
    assertEquals(dead, []);
    const detections = dbs.map((db) => db.metrics().detection);
    assert(detections.at(-1)!.lagged >= 20, "it never stood still");
    assert(
      detections.reduce((sum, { suspected }) => sum + suspected, 0) > 0,
      "nobody noticed",
    );
    for (const { cluster: { host } } of dbs) {
      assertEquals(statesOf(dbs, host.key), new Set(["healthy"]));
    }
  },
  { seeds: 2 },
);

/** Waits until some nodes all have a node healthy at its own address. */
async function found(
  cluster: SimCluster,
  dbs: readonly DB[],
  key: number,
  address: string,
): Promise<void> {
  await cluster.until(
    `node ${key} is healthy at "${address}"`,
    () =>
      dbs.every((db) => {
        const node = db.cluster.node(key);
        return node.state === "healthy" && node.address === address;
      }),
  );
}

scenario(
  "what a copy of a node's directory said of it does not stand: the node is where it was, at its next start too",
  async (cluster) => {
    const names = ["a", "b", "c"];
    const dbs = await cluster.openAll(names);
    const { key } = dbs[1]!.cluster.host;
    cluster.world.disk("x").restore(cluster.world.disk("b").image());
    await cluster.reopen("x");
    await cluster.until(
      "the copy is believed",
      () =>
        [dbs[0]!, dbs[2]!].every((db) =>
          db.cluster.node(key).address === "x:1"
        ),
    );
    cluster.kill("x");
    await found(cluster, dbs, key, "b:1");
    const { generation } = dbs[0]!.cluster.node(key).heartbeat;
    await dbs[1]!.close();
    const again = await cluster.reopen("b", { address: "b:2" });
    const events = collect(again.events());
    const all = [dbs[0]!, again, dbs[2]!];
    await found(cluster, all, key, "b:2");
    // Its own words of before are no copy's.
    await cluster.world.sleep(5000);
    assert(!events.flat().some(({ type }) => type === "cloned"));
    for (const db of all) {
      assert(db.cluster.node(key).heartbeat.generation > generation);
    }
  },
);

scenario(
  "what a copy said of a node to one other does not stand at the third, who met no copy: the node speaks above it, and keeps what it has",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    const [a, b, c] = dbs as [DB, DB, DB];
    const { key } = b.cluster.host;
    const events = collect(b.events());
    // Only c meets the copy, and cannot refuse the node for it.
    cluster.cut(["c"], ["b"]);
    cluster.cut(["a"], ["x"]);
    cluster.world.disk("x").restore(cluster.world.disk("b").image());
    await cluster.reopen("x");
    await cluster.until(
      "the third has heard of the copy",
      () => a.cluster.node(key).address === "x:1",
    );
    cluster.kill("x");
    await found(cluster, [a, b], key, "b:1");
    cluster.world.heal();
    await found(cluster, dbs, key, "b:1");
    await b.close();
    const again = await cluster.reopen("b", { address: "b:2" });
    const later = collect(again.events());
    await found(cluster, [a, again, c], key, "b:2");
    for (const { type } of [...events, ...later].flat()) {
      assert(type !== "outdated", "its disk was taken for an old one");
    }
  },
);

scenario(
  "a node whose disk was put back to before its last starts is healthy to all at its new address",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    const { key } = dbs[1]!.cluster.host;
    const image = cluster.world.disk("b").image();
    for (let i = 0; i < 3; i++) {
      cluster.kill("b");
      const again = await cluster.reopen("b");
      const { generation } = again.cluster.host.heartbeat;
      await cluster.until(
        "the start is known",
        () => dbs[0]!.cluster.node(key).heartbeat.generation === generation,
      );
    }
    cluster.kill("b");
    cluster.world.disk("b").restore(image);
    const back = await cluster.reopen("b", { address: "b:9" });
    await found(cluster, [dbs[0]!, back, dbs[2]!], key, "b:9");
  },
);

scenario(
  "a disk put back to before the last start leaves two starts of one standing: the later one is found all the same",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    const { key } = dbs[1]!.cluster.host;
    await dbs[1]!.close();
    const image = cluster.world.disk("b").image();
    const second = await cluster.reopen("b", { address: "b:2" });
    await found(cluster, [dbs[0]!, second, dbs[2]!], key, "b:2");
    const { heartbeat } = second.cluster.host;
    // It is no news any more,
    await cluster.world.sleep(30_000);
    // and nobody notices that it is down, or it would be doubted and so be told.
    cluster.cut(["b"], ["a", "c"]);
    cluster.kill("b");
    cluster.world.disk("b").restore(image);
    const third = await cluster.reopen("b", { address: "b:3" });
    cluster.world.heal();
    assertEquals(
      third.cluster.host.heartbeat.generation,
      heartbeat.generation,
    );
    await found(cluster, [dbs[0]!, third, dbs[2]!], key, "b:3");
  },
);

scenario(
  "a copy that runs on beside its node makes no storm: few connections, writes and starts a second",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    const events = collect(dbs[0]!.events());
    cluster.world.disk("x").restore(cluster.world.disk("b").image());
    await cluster.reopen("x");
    await cluster.world.sleep(60_000);
    const count = (kind: string) =>
      events.flat().filter(({ type }) => type === kind).length;
    assert(count("connected") < 300, `${count("connected")} connections`);
    const { generation } = dbs[0]!.cluster.node(2).heartbeat;
    assert(generation < 30, `${generation} generations`);
    cluster.kill("x");
    await found(cluster, dbs, 2, "b:1");
  },
);

scenario(
  "nodes that have all moved find each other by an address of `peers` that is somebody's",
  async (cluster) => {
    const names = ["a", "b", "c"];
    const dbs = await cluster.openAll(names);
    await dbs[0]!.set("key", "before");
    await cluster.converged(...names);
    for (const db of dbs) await db.close();
    const peers = ["nobody:1", "b:2"];
    const moved: DB[] = [];
    for (const name of names) {
      moved.push(
        await cluster.open(name, {
          bootstrap: false,
          address: `${name}:2`,
          peers,
        }),
      );
    }
    for (const [i, name] of names.entries()) {
      await found(cluster, moved, i + 1, `${name}:2`);
    }
    await moved[2]!.set("key", "after");
    await cluster.converged(...names);
  },
);
