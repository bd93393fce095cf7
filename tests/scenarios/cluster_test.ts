/**
 * Joining, restarting and finding each other: the original's scenarios of nodes.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import {
  ClusterMismatchError,
  ClusterRequiredError,
  type DB,
  LeaseholderUnavailableError,
  NodeNotFoundError,
  open,
  type OpenOptions,
} from "../../mod.ts";
import { World } from "../../runtime/virtual/mod.ts";
import { assertReads, collect, scenario } from "../sim/cluster.ts";

scenario(
  "O1: two nodes join, and a transaction with ten sets of one key leased to node 2 commits from node 1",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await using tx = a.transaction();
    for (let i = 0; i < 10; i++) tx.set("key", `value ${i}`, { lease: 2 });
    await tx.commit();
    for (const db of [a, b]) {
      await assertReads(db, "key", "value 9");
      assertEquals((await db.getEntry("key"))?.leaseholder, 2);
    }
  },
  { defaults: { propagation: "fast" } },
);

scenario(
  "M1: the node that founds a cluster has key 1, is its only node, and healthy",
  async (cluster) => {
    const a = await cluster.open("a");
    assertEquals(a.cluster.host.key, 1);
    assertEquals([...a.cluster.nodes().keys()], [1]);
    assertEquals(a.cluster.node(1).state, "healthy");
  },
);

scenario(
  "M2: with bootstrap, peers are ignored: nobody is asked, the key is 1",
  async (cluster) => {
    const a = await cluster.open("a", { peers: ["nobody:1", "b:1"] });
    assertEquals(a.cluster.host.key, 1);
    assertEquals(a.cluster.nodes().size, 1);
    const other = await cluster.open("b", {
      bootstrap: true,
      peers: [cluster.address("a")],
    });
    assertEquals(other.cluster.host.key, 1);
    assert(other.cluster.key !== a.cluster.key);
  },
);

scenario(
  "M3: a node that pledges before the first node is up joins within 5 s",
  async (cluster) => {
    const joining = cluster.open("b", {
      bootstrap: false,
      peers: [cluster.address("a")],
    });
    await cluster.world.sleep(2500);
    const a = await cluster.open("a", { bootstrap: true, peers: [] });
    const tookMs = await cluster.timed(() => joining);
    assert(tookMs < 5000, `${tookMs} ms`);
    const b = await joining;
    assertEquals([a.cluster.host.key, b.cluster.host.key], [1, 2]);
    assertEquals(a.cluster.key, b.cluster.key);
  },
);

scenario(
  "M4: ten nodes opened at once get unique keys, and close cleanly",
  async (cluster) => {
    const names = [..."abcdefghij"];
    const peers = names.map((name) => cluster.address(name));
    const dbs = await Promise.all(
      names.map((name, i) => cluster.open(name, { peers, bootstrap: i === 3 })),
    );
    assertEquals(new Set(dbs.map((db) => db.cluster.host.key)).size, 10);
    assertEquals(new Set(dbs.map((db) => db.cluster.key)).size, 1);
    assertEquals(dbs[3]!.cluster.host.key, 1);
    await Promise.all(dbs.map((db) => db.close()));
  },
  { defaults: { propagation: "fast" } },
);

scenario(
  "M5: of three nodes one is closed and reopened without peers: same key, next generation, seen as healthy",
  async (cluster) => {
    const [a, b, c] = [
      await cluster.open("a"),
      await cluster.open("b"),
      await cluster.open("c"),
    ];
    assertEquals(b.cluster.host.heartbeat.generation, 1);
    await b.close();
    const again = await cluster.reopen("b");
    assertEquals(again.cluster.host.key, 2);
    assertEquals(again.cluster.host.heartbeat.generation, 2);
    await cluster.until(
      "the others see the new generation",
      () =>
        [a, c].every((db) => {
          const { heartbeat, state } = db.cluster.node(2);
          return heartbeat.generation === 2 && state === "healthy";
        }),
    );
  },
);

scenario(
  "C1, C2: each of two nodes knows the other, and resolves its address",
  async (cluster) => {
    const dbs = [await cluster.open("a"), await cluster.open("b")];
    await cluster.until("both see both", () => sees(dbs, 2));
    for (const db of dbs) {
      assertEquals(db.cluster.node(1).address, "a:1");
      assertEquals(db.cluster.node(2).key, 2);
      assertEquals(db.cluster.resolve(1), "a:1");
      assertEquals(db.cluster.resolve(2), "b:1");
      await assertRejects(
        // deno-lint-ignore require-await -- turns the throw into a rejection
        async () => db.cluster.resolve(3),
        NodeNotFoundError,
      );
    }
  },
);

scenario(
  "C3: the second node gets key 2, and both see two nodes, one of which a watcher is told of",
  async (cluster) => {
    const a = await cluster.open("a");
    const changes = collect(a.cluster.watch());
    const b = await cluster.open("b");
    assertEquals(b.cluster.host.key, 2);
    await cluster.until("both see two nodes", () => sees([a, b], 2));
    await cluster.until(
      "the watcher is told",
      () =>
        changes.flat().some((change) =>
          JSON.stringify(change).includes('"key":2')
        ),
    );
  },
  { defaults: { propagation: { clusterGossipIntervalMs: 100 } } },
);

scenario(
  "C4: a node reopened from its storage alone keeps its key and knows both nodes",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await cluster.until("both see two nodes", () => sees([a, b], 2));
    const { key } = b.cluster;
    await b.close();
    cluster.kill("a");
    const again = await cluster.reopen("b");
    assertEquals(again.cluster.key, key);
    assertEquals(again.cluster.host.key, 2);
    assertEquals(again.cluster.nodes().size, 2);
    assertEquals(again.cluster.resolve(1), "a:1");
    // So does the founder, which was told of the other one later.
    cluster.kill("b");
    const founder = await cluster.reopen("a");
    assertEquals(founder.cluster.host.key, 1);
    assertEquals(founder.cluster.nodes().size, 2);
    assertEquals(founder.cluster.resolve(2), "b:1");
  },
);

Deno.test("C7: without a way to a cluster, or with an option of a wrong form, nothing is opened", async () => {
  const world = new World({ seed: 1 });
  const runtime = world.runtime("a");
  const opening = (options: OpenOptions) =>
    world.run(() => open("/data", { address: "a:1", runtime, ...options }));
  await assertRejects(() => opening({}), ClusterRequiredError);
  await assertRejects(() => opening({ peers: [] }), ClusterRequiredError);
  const wrong = (options: unknown) =>
    assertRejects(
      () => opening({ bootstrap: true, ...options as OpenOptions }),
      TypeError,
    );
  await wrong({ address: "a" });
  await wrong({ address: "0.0.0.0:1" });
  await wrong({ peers: "b:1" });
  await wrong({ bootstrap: false, peers: ["b"] });
  await wrong({ durability: "later" });
  await wrong({ propagation: { gossip: 1 } });
  for (
    const propagation of [
      { pushDelayMs: 0 },
      { directPeersMax: -1 },
      { directPeersMax: 1.5 },
      { sirFanout: 1 },
      { sirRedundancy: 0 },
    ]
  ) {
    await assertRejects(
      () => opening({ bootstrap: true, propagation }),
      RangeError,
      "Cannot open: propagation.",
    );
  }
  // Nothing was left behind that stands in the way.
  const db = await opening({ bootstrap: true });
  await world.run(db.close());
});

for (
  const { count, intervalMs, peerCount, limitMs } of [
    { count: 4, intervalMs: 10, peerCount: 1, limitMs: 1000 },
    { count: 10, intervalMs: 50, peerCount: 3, limitMs: 3000 },
  ]
) {
  scenario(
    `C8: ${count} nodes that join one after another get keys in order, and agree within ${limitMs} ms`,
    async (cluster) => {
      const dbs: DB[] = [];
      const names = [..."abcdefghij"].slice(0, count);
      for (const name of names) {
        const known = names.slice(0, dbs.length).slice(-peerCount);
        dbs.push(
          await cluster.open(
            name,
            known.length > 0
              ? { peers: known.map((each) => cluster.address(each)) }
              : {},
          ),
        );
      }
      assertEquals(
        dbs.map((db) => db.cluster.host.key),
        names.map((_, i) => i + 1),
      );
      const tookMs = await cluster.timed(() =>
        cluster.until("all agree", () => sees(dbs, count))
      );
      assert(tookMs < limitMs, `${tookMs} ms`);
      for (const db of dbs) {
        const nodes = [...db.cluster.nodes().values()];
        assertEquals(
          nodes.map(({ address }) => address).sort(),
          names.map((name) => cluster.address(name)),
        );
      }
    },
    {
      defaults: {
        propagation: {
          clusterGossipIntervalMs: intervalMs,
          pledgeRetryIntervalMs: 10,
        },
      },
    },
  );
}

scenario(
  "X10: a node that comes back at another address is found there, by who was up and by who was not",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const c = await cluster.open("c");
    await b.set("mine", "b");
    await cluster.converged("a", "b", "c");
    await c.close();
    await b.close();
    const moved = await cluster.reopen("b", { address: "b:2" });
    assertEquals(moved.cluster.host.address, "b:2");
    await cluster.until("a knows", () => a.cluster.resolve(2) === "b:2");
    const back = await cluster.reopen("c");
    await cluster.until("c knows", () => back.cluster.resolve(2) === "b:2");
    // Both reach it: what it leads is written through them.
    for (const [db, value] of [[a, "by a"], [back, "by c"]] as const) {
      await db.set("mine", value);
      await assertReads(moved, "mine", value);
    }
    // And after a restart of its own, a dials the new address.
    await a.close();
    const again = await cluster.reopen("a");
    assertEquals(again.cluster.resolve(2), "b:2");
    await again.set("mine", "by a again");
    await assertReads(moved, "mine", "by a again");
  },
);

scenario(
  "X11: two clusters that are wired to each other refuse each other, and no data crosses",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const c = await cluster.open("c", { bootstrap: true, peers: [] });
    const d = await cluster.open("d", { peers: [cluster.address("c")] });
    await a.set("one", "first");
    await c.set("two", "second");
    await cluster.converged("a", "b");
    await cluster.converged("c", "d");
    // The address of b now belongs to a node of the other cluster, which has the
    // node key that a expects there, and then that of d to b: for as long as the
    // longest pause between two dials, all dial strangers.
    await b.close();
    await d.close();
    const strangerD = await cluster.reopen("d", { address: "b:1" });
    await cluster.world.sleep(35_000);
    assertEquals([await a.count(), await strangerD.count()], [1, 1]);
    assertEquals(a.metrics().peersConnected, 0);
    await strangerD.close();
    const strangerB = await cluster.reopen("b", { address: "d:1" });
    await cluster.world.sleep(35_000);
    assertEquals([await c.count(), await strangerB.count()], [1, 1]);
    assertEquals(c.metrics().peersConnected, 0);
    const again = await cluster.reopen("d", { address: "b:1" });
    await a.set("one more", "first");
    await c.set("two more", "second");
    await cluster.until(
      "each is with its own again",
      async () =>
        await strangerB.has("one more") && await again.has("two more"),
    );
    await cluster.world.sleep(30_000);
    for (const db of [a, strangerB]) {
      assertEquals(db.cluster.key, a.cluster.key);
      assertEquals([await db.count(), await db.has("two")], [2, false]);
      assertEquals(db.cluster.nodes().size, 2);
    }
    for (const db of [c, again]) {
      assertEquals(db.cluster.key, c.cluster.key);
      assertEquals([await db.count(), await db.has("one")], [2, false]);
      assertEquals(db.cluster.nodes().size, 2);
    }
    // What a leads is not written by node 1 of the other cluster.
    await a.set("one", "changed");
    await assertReads(c, "one", undefined);
  },
);

scenario(
  "X11: where the address of a peer has passed to another cluster, and nobody says where the peer is now, no data crosses either",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await b.set("one", "first");
    await cluster.converged("a", "b");
    const said = collect(a.events());
    cluster.kill("b");
    const c = await cluster.open("c", {
      address: "b:1",
      bootstrap: true,
      peers: [],
    });
    const heard = collect(c.events());
    await cluster.world.sleep(10_000);
    // Both sides are told which cluster is whose.
    for (const [events, db] of [[said, a], [heard, c]] as const) {
      const refusal = events.find(({ type }) => type === "refused");
      assert(refusal?.type === "refused");
      assertInstanceOf(refusal.error, ClusterMismatchError);
      assertEquals(refusal.error.expected, db.cluster.key);
    }
    assertEquals(await c.count(), 0);
    assertEquals(c.cluster.nodes().size, 1);
    await assertRejects(
      () => a.set("one", "changed", { timeoutMs: 1000 }),
      LeaseholderUnavailableError,
    );
    assertEquals(await c.count(), 0);
  },
);

scenario(
  "X12: while the only voter is killed and restarted, those who join get unique keys",
  async (cluster, seed) => {
    await cluster.open("a");
    const random = cluster.world.random("kill");
    const peers = [cluster.address("a")];
    const joining = ["b", "c", "d"].map((name) =>
      cluster.open(name, { peers })
    );
    for (let i = 0; i < 3; i++) {
      await cluster.world.sleep(random.float() * 20);
      cluster.kill("a");
      await cluster.reopen("a");
    }
    const dbs = [...await Promise.all(joining), await cluster.open("e")];
    const keys = [1, ...dbs.map((db) => db.cluster.host.key)];
    assertEquals(new Set(keys).size, 5, `seed ${seed}: ${keys}`);
    await cluster.until("all see all", () => sees(dbs, 5));
  },
  { seeds: 10, defaults: { propagation: "fast" } },
);

scenario(
  "X12: a node that is killed while it joins gets the same node key when it tries again",
  async (cluster) => {
    const a = await cluster.open("a");
    const peers = [cluster.address("a")];
    const random = cluster.world.random("kill");
    for (let i = 0; i < 3; i++) {
      void cluster.open("b", { peers });
      await cluster.world.sleep(random.float() * 30);
      cluster.kill("b");
    }
    const b = await cluster.open("b", { peers });
    assertEquals(b.cluster.host.key, 2);
    assertEquals((await cluster.open("c")).cluster.host.key, 3);
    await a.set("key", "value");
    await cluster.converged("a", "b", "c");
  },
  { seeds: 10 },
);

scenario(
  "a node that is killed at any moment of its joining joins at the next start",
  async (cluster, seed) => {
    await cluster.open("a");
    const peers = [cluster.address("a")];
    void cluster.open("b", { peers });
    // Joining takes some 40 ms; the key alone is known for a tenth of one.
    await cluster.world.sleep(20 + seed / 10);
    cluster.kill("b");
    const tookMs = await cluster.timed(() => cluster.open("b", { peers }));
    assert(tookMs < 10_000, `it took ${tookMs} ms`);
  },
  { seeds: 200 },
);

scenario(
  "a node that was killed while it joined finds a cluster that has moved since by its peers",
  async (cluster, seed) => {
    await cluster.open("a");
    void cluster.open("b");
    // From before it has its key to after it has its first copy.
    await cluster.world.sleep(20 + seed / 2);
    cluster.kill("b");
    await cluster.node("a").close();
    await cluster.reopen("a", { address: "a:2" });
    const tookMs = await cluster.timed(async () => {
      const b = await cluster.open("b", { peers: ["a:2"] });
      assertEquals(b.cluster.host.key, 2);
    });
    assert(tookMs < 10_000, `it took ${tookMs} ms`);
    await cluster.node("a").set("key", "value");
    await cluster.converged("a", "b");
  },
  { seeds: 40 },
);

scenario(
  "P6: open gives up when its signal aborts, wherever it is then, and the directory can be opened again",
  async (cluster, seed) => {
    const a = await cluster.open("a");
    await a.set("key", new Uint8Array(1024 * 1024));
    const abort = new AbortController();
    const reason = new Error("enough");
    const opening = cluster.open("b", { signal: abort.signal });
    let opened = false;
    const settled = opening.then(
      () => void (opened = true),
      (error) => {
        // Before it asked anybody it is the reason itself.
        assertEquals(error.reason ?? error, reason);
      },
    );
    // From the first dial to the first copy: the peer falls silent, and later the
    // caller has enough.
    await cluster.world.sleep(seed * 2);
    cluster.cut(["a"], ["b"]);
    await cluster.world.sleep(200);
    abort.abort(reason);
    const tookMs = await cluster.timed(() => settled);
    // The farewells to a silent peer take half a second.
    assert(tookMs < 1000, `after the abort it took ${tookMs} ms`);
    cluster.world.heal();
    if (opened) return;
    const b = await cluster.open("b");
    assertEquals(b.cluster.host.key, 2);
    assertEquals((await b.get("key"))?.length, 1024 * 1024);
  },
  { seeds: 20 },
);

function sees(dbs: readonly DB[], count: number): boolean {
  return dbs.every((db) => {
    const nodes = [...db.cluster.nodes().values()];
    return nodes.length === count &&
      nodes.every(({ state }) => state === "healthy");
  });
}
