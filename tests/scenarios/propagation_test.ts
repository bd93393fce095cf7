/**
 * How writes reach the other nodes, and what a node recovers that was not there:
 * the original's scenarios of gossip and recovery.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { assertReads, scenario } from "../sim/cluster.ts";

scenario(
  "K12: a write is pushed once to each peer, and then nothing of it moves any more",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const c = await cluster.open("c");
    await cluster.until(
      "all are connected",
      () => [a, b, c].every((db) => db.metrics().peersConnected === 2),
    );
    await cluster.world.sleep(5000);
    const figures = () =>
      [a, b, c].map((db) => {
        const { pushes, recordsApplied, sessionsTaken } = db.metrics();
        return { pushes, recordsApplied, sessionsTaken };
      });
    const before = figures();
    await a.set("key", "value");
    await cluster.until(
      "all have it",
      async () => await b.has("key") && await c.has("key"),
      100,
    );
    const after = figures();
    // Ten rounds of everything that is done at intervals.
    await cluster.world.sleep(20_000);
    assertEquals(figures(), after);
    assertEquals(after.map(({ pushes }, i) => pushes - before[i]!.pushes), [
      2,
      0,
      0,
    ]);
    assertEquals(
      after.map((now, i) => now.recordsApplied - before[i]!.recordsApplied),
      [1, 1, 1],
    );
    assertEquals(
      after.map((now) => now.sessionsTaken),
      before.map((now) => now.sessionsTaken),
    );
  },
);

scenario("K12: writes made together are pushed together", async (cluster) => {
  const a = await cluster.open("a");
  const b = await cluster.open("b");
  await cluster.until(
    "both are connected",
    () => a.metrics().peersConnected === 1,
  );
  await cluster.world.sleep(5000);
  const before = a.metrics().pushes;
  await Promise.all(
    Array.from({ length: 100 }, (_, i) => a.set(`key ${i}`, "value")),
  );
  await cluster.until("b has them", async () => await b.count() === 100, 500);
  assert(a.metrics().pushes - before <= 5, `${a.metrics().pushes - before}`);
});

scenario(
  "K20: a new node has, once it is open, what was written before it joined",
  async (cluster) => {
    const a = await cluster.open("a");
    for (const key of ["one", "two", "three"]) await a.set(key, `${key} value`);
    const b = await cluster.open("b");
    for (const key of ["one", "two", "three"]) {
      await assertReads(b, key, `${key} value`);
      assertEquals((await b.getEntry(key))?.leaseholder, 1);
    }
    assertEquals(await b.count(), 3);
  },
);

scenario(
  "K21: a key that was recovered, and is deleted at its leaseholder, disappears",
  async (cluster) => {
    const a = await cluster.open("a");
    await a.set("key", "value");
    const b = await cluster.open("b");
    await assertReads(b, "key", "value");
    await a.delete("key");
    await cluster.until("it is gone on b", async () => !await b.has("key"));
    assertEquals(await b.count(), 0);
  },
);

scenario(
  "K22: a node that was down when keys were deleted loses them when it is back, and for good",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "value");
    await b.set("own", "value");
    await cluster.converged("a", "b");
    await b.close();
    await a.delete("key");
    await assertReads(a, "own", "value");
    const again = await cluster.reopen("b");
    // It had the value on its disk, so this is what is recovered, not the absence.
    await cluster.until("it is gone on b", async () => !await again.has("key"));
    assertEquals(await again.count(), 1);
    // It does not come back by the one who has an old copy.
    await cluster.world.sleep(20_000);
    assertEquals([await a.has("key"), await again.has("key")], [false, false]);
    // A node that joins now is not told of it either, and cannot bring it back.
    const c = await cluster.open("c");
    assertEquals(await c.has("key"), false);
    // Once its tombstone is gone its lease is, too.
    await cluster.until(
      "no node has its tombstone",
      () => [a, again].every((db) => db.metrics().tombstonesCollected === 1),
    );
    await cluster.world.sleep(15_000);
    await c.set("key", "again");
    assertEquals((await c.getEntry("key"))?.leaseholder, 3);
    await cluster.converged("a", "b", "c");
    await assertReads(c, "key", "again");
  },
);

scenario(
  "K23: a node that was down when a key was overwritten has the new value when it is back",
  async (cluster) => {
    const a = await cluster.open("a");
    await cluster.open("b");
    await a.set("key", "old");
    await cluster.converged("a", "b");
    cluster.kill("b");
    await a.set("key", "newer");
    await a.set("key", "newest");
    const again = await cluster.reopen("b");
    await cluster.until(
      "it is new on b",
      async () => (await again.getEntry("key"))?.value.length === 6,
    );
    await assertReads(again, "key", "newest");
    assertEquals(again.metrics().conflicts, 0);
  },
);

scenario(
  "caughtUp: says who answered and who did not, and has what those had who answered",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await cluster.open("c");
    await cluster.until("all know all", () => b.cluster.nodes().size === 3);
    cluster.cut(["b"], ["a"]);
    await a.set("key", "value");
    cluster.world.heal();
    assertEquals(await b.caughtUp(), { peers: [1, 3], missing: [] });
    await assertReads(b, "key", "value");
    cluster.kill("c");
    assertEquals(await b.caughtUp(), { peers: [1], missing: [3] });
  },
);

scenario(
  "a node that connects pulls what it misses at once, and does not wait for the interval",
  async (cluster) => {
    const a = await cluster.open("a");
    await cluster.open("b");
    await cluster.converged("a", "b");
    await cluster.node("b").close();
    await a.set("key", "value");
    const b = await cluster.reopen("b");
    await cluster.until("b has it", () => b.has("key"), 2000);
  },
  { defaults: { propagation: { antiEntropyIntervalMs: 600_000 } } },
);

scenario(
  "metrics tell who is behind, and by how many records",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const { key } = b.cluster.host;
    const lag = () => a.metrics().lag;
    await cluster.until(
      "b has reported",
      () => lag()[0]?.records === 0,
      30_000,
    );
    cluster.cut(["a"], ["b"]);
    for (let i = 0; i < 10; i++) {
      await a.set(`key ${i}`, "value");
    }
    const records = () => lag().map(({ node, records }) => [node, records]);
    assertEquals(records(), [[key, 10]]);
    // What b has written meanwhile is no lead of a.
    await b.set("theirs", "value");
    cluster.world.heal();
    await cluster.until(
      "b has caught up",
      () => lag()[0]?.records === 0,
      60_000,
    );
    assertEquals(records(), [[key, 0]]);
  },
);

scenario(
  "a peer over a slow link and one that stands still cost the others nothing, hold a bounded memory, and are told to be behind",
  async (cluster) => {
    const names = ["a", "b", "slow", "still"];
    const [a, b, slow, still] = await cluster.openAll(names);
    await cluster.until(
      "all have reported",
      () => a!.metrics().lag.every(({ records }) => records === 0),
      30_000,
    );
    const behind = [slow, still].map((db) => db!.cluster.host.key);
    // Four kibibytes a second, of some hundred times as much; and nothing at all.
    cluster.world.condition("a", "slow", { bytesPerMs: 4 });
    cluster.world.condition("b", "slow", { bytesPerMs: 4 });
    cluster.world.stall("still", 10_000);
    const value = new Uint8Array(128 * 1024);
    let queuedBytesMax = 0;
    for (let i = 0; i < 160; i++) {
      const tookMs = await cluster.timed(async () => {
        const { token } = await a!.set(`key ${i}`, value);
        await b!.has(`key ${i}`, { atLeast: token });
      });
      assert(tookMs < 25, `write ${i} was readable at b after ${tookMs} ms`);
      const { queuedBytes } = a!.metrics().transport!;
      queuedBytesMax = Math.max(queuedBytesMax, queuedBytes);
      await cluster.world.sleep(50);
    }
    // Of 20 MiB to each of the two: 16 MiB wait on a lane at most.
    const mib = queuedBytesMax / 2 ** 20;
    assert(mib > 24 && mib < 32, `${mib} MiB waited`);
    for (const { node, records } of a!.metrics().lag) {
      if (behind.includes(node)) assertEquals(records, 160);
    }
    cluster.world.condition("a", "slow");
    cluster.world.condition("b", "slow");
    const atLeast = await a!.token();
    for (const db of [slow, still]) {
      assertEquals(await db!.count({ atLeast, timeoutMs: 60_000 }), 160);
    }
    assertEquals(a!.metrics().transport!.queuedBytes, 0);
  },
  { seeds: 1 },
);
