import { assert, assertEquals, assertRejects } from "@std/assert";
import { decodeHex } from "@std/encoding";
import { type DB, LockedError, NotCaughtUpError, open } from "../../mod.ts";
import { RejectedError, Writer } from "../../runtime/mod.ts";
import { testNode } from "../../transport/testing/node.ts";
import {
  assertReads,
  collect,
  scenario,
  type SimCluster,
  text,
} from "../sim/cluster.ts";

/**
 * Cuts b off until it has noticed. What it pushes onto a link that was just cut is
 * under way, and arrives once that has healed, whatever became of b.
 */
async function apart(cluster: SimCluster, b: DB): Promise<void> {
  cluster.cut(["a"], ["b"]);
  await cluster.until("b is apart", () => b.metrics().peersConnected === 0);
}

scenario(
  "a copy of a node's directory that runs beside it is reported as cloned",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "value");
    await cluster.converged("a", "b");
    const events = [...[a, b].map((db) => collect(db.events()))];
    cluster.world.disk("x").restore(cluster.world.disk("b").image());
    const x = await cluster.reopen("x");
    assertEquals(x.cluster.host.key, b.cluster.host.key);
    events.push(collect(x.events()));
    await cluster.until(
      "somebody reports the clone",
      () => events.flat().some(({ type }) => type === "cloned"),
    );
    cluster.kill("x");
    await a.set("key", "after the clone");
    await cluster.converged("a", "b");
    await assertReads(b, "key", "after the clone");
  },
);

scenario(
  "a directory that is open is locked, for whoever opens it at another address",
  async (cluster) => {
    const a = await cluster.open("a");
    const { world } = cluster;
    await assertRejects(
      () => open("/data", { address: "a:2", runtime: world.runtime("a") }),
      LockedError,
    );
    await a.set("key", "value");
    await assertReads(a, "key", "value");
  },
);

scenario(
  "a disk put back to an old image merges: what others have comes back, what only it had is gone",
  async (cluster) => {
    const { world } = cluster;
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await b.set("old", "1");
    await cluster.converged("a", "b");
    const image = world.disk("b").image();
    await b.set("shared", "2");
    await cluster.converged("a", "b");
    await apart(cluster, b);
    await b.set("only here", "3");
    cluster.kill("b");
    world.disk("b").restore(image);
    world.heal();
    const again = await cluster.reopen("b");
    await cluster.converged("a", "b");
    await assertReads(again, "shared", "2");
    await assertReads(again, "only here", undefined);
    await again.set("shared", "4");
    await cluster.converged("a", "b");
    await assertReads(a, "shared", "4");
    assert(again.cluster.host.key === 2);
  },
);

scenario(
  "a disk put back to an image of an earlier start takes a whole copy, reports what is lost with it, and writes on",
  async (cluster) => {
    const { world } = cluster;
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await b.set("old", "1");
    await cluster.converged("a", "b");
    const first = world.disk("b").image();
    await apart(cluster, b);
    await b.set("unheard", "2");
    const second = world.disk("b").image();
    cluster.kill("b");
    world.disk("b").restore(first);
    world.heal();
    const between = await cluster.reopen("b");
    await between.set("heard", "3");
    await cluster.converged("a", "b");
    cluster.kill("b");
    world.disk("b").restore(second);

    const again = await cluster.reopen("b");
    const events = collect(again.events());
    const changes = collect(again.watch());
    const { generation } = again.cluster.host.heartbeat;
    // What is void is read, not written.
    await assertReads(again, "unheard", "2");
    await cluster.until(
      "it is reset",
      () => events.some(({ type }) => type === "reset"),
    );
    assert(events.some(({ type }) => type === "outdated"));
    const lost = [];
    for await (const conflict of again.conflicts()) lost.push(conflict);
    assertEquals(lost.length, 1);
    assertEquals(text(lost[0]!.key), "unheard");
    assertEquals(text(lost[0]!.lost.value), "2");
    assertEquals(lost[0]!.kept, undefined);
    assert(events.some(({ type }) => type === "conflict"));
    assert(changes.flat().some(({ type }) => type === "reset"));
    await assertReads(again, "unheard", undefined);
    await assertReads(again, "heard", "3");
    assert(again.cluster.host.heartbeat.generation > generation);

    await again.set("old", "4");
    await again.set("unheard", "5");
    await cluster.converged("a", "b");
    await assertReads(a, "old", "4");
    await assertReads(a, "unheard", "5");
    // And none of it comes back with a start.
    cluster.kill("b");
    const last = await cluster.reopen("b");
    const after = collect(last.events());
    await cluster.converged("a", "b");
    await world.sleep(30_000);
    assert(!after.some(({ type }) => type === "outdated"));
    await assertReads(last, "unheard", "5");
  },
);

for (const way of ["dialled by who knows where it is", "asking a seed"]) {
  scenario(
    `a disk put back that knows others only where they no longer are is told so when ${way}`,
    async (cluster) => {
      const { world } = cluster;
      const a = await cluster.open("a");
      const b = await cluster.open("b");
      await b.set("key", "1");
      await cluster.converged("a", "b");
      const image = world.disk("b").image();
      await b.close();
      const between = await cluster.reopen("b");
      await between.set("key", "2");
      await cluster.converged("a", "b");
      cluster.kill("b");
      world.disk("b").restore(image);
      await a.close();
      const moved = await cluster.reopen("a", { address: "a:2" });

      const again = way === "asking a seed"
        ? await cluster.reopen("b", { address: "b:2", peers: ["a:2"] })
        : await cluster.reopen("b");
      const events = collect(again.events());
      assertEquals(again.cluster.node(1).address, "a:1");
      await cluster.until(
        "it is reset",
        () => events.some(({ type }) => type === "reset"),
      );
      assert(events.some(({ type }) => type === "outdated"));
      await cluster.converged("a", "b");
      await assertReads(again, "key", "2");
      await again.set("key", "3");
      await cluster.converged("a", "b");
      await assertReads(moved, "key", "3");
    },
  );
}

scenario(
  "a seed that was removed is not let in, and whoever asks it does not take itself for removed",
  async (cluster) => {
    const { world } = cluster;
    const [a, b, c] = await cluster.openAll(["a", "b", "c"]) as [DB, DB, DB];
    const { key } = b.cluster.host;
    await c.close();
    cluster.cut(["a"], ["b"]);
    await cluster.until(
      "it is dead",
      () => a.cluster.node(key).state === "dead",
    );
    await a.cluster.remove(key);
    const again = await cluster.reopen("c", { peers: ["b:1"] });
    const events = collect(again.events());
    await cluster.until(
      "it has heard of the removal",
      () => again.cluster.nodes().size === 2,
    );
    await world.sleep(60_000);
    assert(!events.some(({ type }) => type === "removed"));
    await again.set("key", "value");
    await cluster.converged("a", "c");
  },
);

scenario(
  "who is no member cannot tell a node that its disk is old, or that it was removed",
  async (cluster) => {
    const { world } = cluster;
    const a = await cluster.open("a");
    const events = collect(a.events());
    const clusterId = decodeHex(a.cluster.key.replaceAll("-", ""));
    for (
      const identity of [
        { clusterId: new Uint8Array(16) },
        { clusterId, role: "client" as const },
      ]
    ) {
      for (const code of ["Outdated", "Removed"]) {
        const { endpoint } = testNode(world.runtime(`${code} ${clusterId}`), {
          node: 0,
          identity,
          handler: {
            admit({ generation, nonce }) {
              const data = new Writer().varint(generation).raw(nonce).finish();
              throw new RejectedError(code, "go away", { data });
            },
          },
        });
        await assertRejects(() => endpoint.dial("a:1"), RejectedError);
        await endpoint.close();
      }
    }
    await world.sleep(1000);
    await a.set("key", "value");
    await assertReads(a, "key", "value");
    assertEquals(events, []);
  },
);

scenario(
  "a node that is reset reports what its writer has lost, and nobody has said to have",
  async (cluster) => {
    const { world } = cluster;
    const written = { durability: "written" } as const;
    const a = await cluster.open("a", written);
    const b = await cluster.open("b");
    await cluster.open("c");
    await a.set("old", "1");
    await cluster.converged("a", "b", "c");
    const first = world.disk("b").image();
    cluster.kill("c");
    // Acked before it is on a's device, which is slow, and heard by nobody else.
    world.disk("a").faults.slowMs = 60_000;
    await a.set("theirs", "2");
    await cluster.until("b has it", async () => await b.has("theirs"));
    const second = world.disk("b").image();
    world.kill("a", { unsynced: "lost" });
    world.disk("a").faults.slowMs = 0;
    cluster.kill("b");
    world.disk("b").restore(first);
    await cluster.reopen("c");
    const back = await cluster.reopen("a", written);
    const between = await cluster.reopen("b");
    await between.set("heard", "3");
    await cluster.converged("a", "b", "c");
    await assertReads(back, "theirs", undefined);
    cluster.kill("b");
    world.disk("b").restore(second);

    const again = await cluster.reopen("b");
    const events = collect(again.events());
    await cluster.until(
      "it is reset",
      () => events.some(({ type }) => type === "reset"),
    );
    const lost = [];
    for await (const conflict of again.conflicts()) lost.push(conflict);
    assertEquals(lost.map(({ key }) => text(key)), ["theirs"]);
    assertEquals(text(lost[0]!.lost.value), "2");
    // What others had written and have is not among them.
    await assertReads(again, "old", "1");
    await cluster.converged("a", "b", "c");
  },
);

scenario(
  "a disk put back to an image without what everybody relied on is found out, and what was deleted stays so",
  async (cluster) => {
    const { world } = cluster;
    const [a, b, c] = await cluster.openAll(["a", "b", "c"]) as [DB, DB, DB];
    await c.set("k", "old");
    await cluster.converged("a", "b", "c");
    const image = world.disk("c").image();
    await c.delete("k");
    await cluster.until(
      "the tombstone is gone",
      () => [a, b, c].every((db) => db.metrics().tombstonesCollected === 1),
    );
    // Of the same start: its next one is above all that others have heard of.
    cluster.kill("c");
    world.disk("c").restore(image);
    const again = await cluster.reopen("c");
    const events = collect(again.events());
    let refused: unknown;
    void (async () => {
      for await (const { type } of again.events()) {
        // What it lacks it takes before it may write again.
        if (type === "outdated") {
          refused = await again.set("k", "!").catch((e) => e);
        }
      }
    })();
    await assertReads(again, "k", "old");
    await cluster.until(
      "it is reset",
      () => events.some(({ type }) => type === "reset"),
    );
    assert(refused instanceof NotCaughtUpError, `${refused}`);
    await assertReads(again, "k", undefined);
    await cluster.converged("a", "b", "c");
    for (const db of [a, b]) await assertReads(db, "k", undefined);
    // And who writes the key next is above all that was.
    await again.set("k", "new");
    await cluster.converged("a", "b", "c");
    for (const db of [a, b, again]) await assertReads(db, "k", "new");
  },
  // In few of these it is found before the node is open, or just as it is.
  { seeds: 20 },
);

scenario(
  "tombstones go once every member has them, and wait for one that is away",
  async (cluster) => {
    const [a, b, c] = await cluster.openAll(["a", "b", "c"]) as [DB, DB, DB];
    for (let i = 0; i < 30; i++) await a.set(`k${i}`, "v");
    await cluster.converged("a", "b", "c");
    cluster.kill("c");
    for (let i = 0; i < 30; i++) await a.delete(`k${i}`);
    await cluster.world.sleep(120_000);
    for (const db of [a, b]) {
      assertEquals(db.metrics().tombstonesCollected, 0);
    }
    const back = await cluster.reopen("c");
    const took = await cluster.timed(() =>
      cluster.until(
        "all are gone",
        () =>
          [a, b, back].every((db) => db.metrics().tombstonesCollected === 30),
        60_000,
      )
    );
    assert(took <= 60_000);
    for (const db of [a, b, back]) assertEquals(await db.count(), 0);
    await cluster.converged("a", "b", "c");
    void c;
  },
);

scenario(
  "however often nodes start, vectors name one origin a member; tokens from before, who joins and old disks are read right",
  async (cluster) => {
    const { world } = cluster;
    const [a, b, c] = await cluster.openAll(["a", "b", "c"]) as [DB, DB, DB];
    const { token } = await b.set("first", "1");
    await c.set("other", "1");
    await cluster.converged("a", "b", "c");
    // Until all know that all have that.
    await world.sleep(60_000);
    const image = world.disk("b").image();
    const nodes = new Map([["a", a], ["b", b], ["c", c]]);
    const open = () => [...nodes.values()];
    const namesFew = () =>
      cluster.until(
        "vectors name one origin a member",
        () => open().every((db) => db.metrics().origins <= nodes.size),
        60_000,
      );
    for (let start = 0; start < 5; start++) {
      for (const name of ["b", "c"]) {
        cluster.kill(name);
        nodes.set(name, await cluster.reopen(name));
        await nodes.get(name)!.set(`${name}${start}`, "v");
      }
      await cluster.converged("a", "b", "c");
    }
    await namesFew();
    for (const db of open()) assert(db.metrics().foldedOrigins >= 8);

    nodes.set("d", await cluster.open("d"));
    await cluster.converged("a", "b", "c", "d");
    await namesFew();
    for (const db of open()) {
      const value = await db.get("first", { atLeast: token });
      assertEquals(text(value), "1");
    }
    const stream = nodes.get("a")!.watch({ since: token });
    const seen = collect(stream);
    await cluster.until(
      "all since the token is told",
      () => seen.flat().filter(({ type }) => type === "set").length >= 10,
    );

    // Before any fold: it reads of others less than they say, and judges none, also
    // not one that it has not met.
    cluster.kill("c");
    nodes.set("c", await cluster.reopen("c"));
    await cluster.converged("a", "b", "c", "d");
    cluster.kill("b");
    world.disk("b").restore(image);
    const others = ["a", "c", "d"].map((name) =>
      collect(nodes.get(name)!.events())
    );
    const again = await cluster.reopen("b");
    const events = collect(again.events());
    await cluster.until(
      "it is reset",
      () => events.some(({ type }) => type === "reset"),
      60_000,
    );
    nodes.set("b", again);
    await again.set("last", "1");
    await cluster.converged("a", "b", "c", "d");
    await namesFew();
    assert(!others.flat().some(({ type }) => type === "outdated"));
    await assertReads(again, "b4", "v");
  },
);

scenario(
  "where nobody is left who could give it a whole copy, an operator makes an old disk count again",
  async (cluster) => {
    const { world } = cluster;
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await b.set("old", "1");
    await cluster.converged("a", "b");
    const image = world.disk("b").image();
    for (const generation of [2, 3]) {
      cluster.kill("b");
      await cluster.reopen("b");
      await cluster.until(
        "the other has met it",
        () => a.cluster.node(2).heartbeat.generation === generation,
      );
    }
    cluster.kill("b");
    world.disk("b").restore(image);
    const again = await cluster.reopen("b");
    const lost = Promise.withResolvers<void>();
    void (async () => {
      for await (const { type } of again.events()) {
        if (type !== "outdated") continue;
        // With its disk, before anything of the copy has come.
        cluster.kill("a");
        lost.resolve();
      }
    })();
    await lost.promise;
    await assertRejects(() => again.set("old", "2"), NotCaughtUpError);
    await again.cluster.recover({ force: true, timeoutMs: 60_000 });
    await again.set("old", "2");
    await assertReads(again, "old", "2");
    await again.cluster.remove(1);
    await again.set("new", "3");
    // Also after a start.
    cluster.kill("b");
    const last = await cluster.reopen("b");
    await last.set("old", "4");
    await assertReads(last, "new", "3");
  },
);
