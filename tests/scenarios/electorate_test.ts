/**
 * Who votes, who leaves, who is removed: the cluster's agreements as its users meet
 * them.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ClosedError,
  type DB,
  DeadlineExceededError,
  JoinAbortedError,
  LeaseholderUnavailableError,
  LeftUnheardError,
  NodeNotFoundError,
  NotMemberError,
  QuorumUnavailableError,
} from "../../mod.ts";
import { collect, scenario, type SimCluster, text } from "../sim/cluster.ts";

/** Waits until all agree on who votes, and that it is settled. */
async function voters(
  cluster: SimCluster,
  dbs: readonly DB[],
  wanted: readonly number[],
  maxMs = 30_000,
): Promise<void> {
  await cluster.until(
    `${wanted} vote`,
    () =>
      dbs.every((db) => {
        const { voters, settled } = db.metrics().agreement;
        return settled && voters.join() === wanted.join();
      }),
    maxMs,
  );
}

/** Waits until nothing of removed nodes is being counted any more. */
async function sealed(cluster: SimCluster, dbs: readonly DB[]): Promise<void> {
  await cluster.until(
    "the removed nodes are sealed",
    () =>
      dbs.every((db) => {
        const { removed, sealing } = db.metrics().agreement;
        return removed > 0 && sealing.length === 0;
      }),
  );
}

scenario(
  "one node votes, of two one, of three three, of five five",
  async (cluster) => {
    const dbs = [await cluster.open("a")];
    await voters(cluster, dbs, [1]);
    dbs.push(await cluster.open("b"));
    await cluster.world.sleep(5000);
    await voters(cluster, dbs, [1]);
    dbs.push(await cluster.open("c"));
    await voters(cluster, dbs, [1, 2, 3]);
    dbs.push(await cluster.open("d"));
    await cluster.world.sleep(5000);
    await voters(cluster, dbs, [1, 2, 3]);
    dbs.push(await cluster.open("e"));
    await voters(cluster, dbs, [1, 2, 3, 4, 5]);
    dbs.push(await cluster.open("f"));
    await cluster.world.sleep(5000);
    await voters(cluster, dbs, [1, 2, 3, 4, 5]);
  },
);

scenario(
  "where three vote, nodes join while any of them is down, the founder too; with two down the joiner is told who is missing",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    await voters(cluster, dbs, [1, 2, 3]);
    cluster.kill("a");
    const d = await cluster.open("d", { peers: ["b:1"] });
    assertEquals(d.cluster.host.key, 4);
    cluster.kill("b");
    const abort = new AbortController();
    cluster.world.schedule(15_000, () => abort.abort());
    const { signal } = abort;
    const error = await assertRejects(
      () => cluster.open("e", { peers: ["c:1"], signal }),
      JoinAbortedError,
    );
    assert(
      String((error.cause as Error).message).includes("missing 1, 2"),
      String(error.cause),
    );
    await cluster.reopen("a");
    const e = await cluster.open("e", { peers: ["c:1"] });
    assertEquals(e.cluster.host.key, 5);
  },
);

scenario(
  "with two voters that are silent a joiner is told who is missing as well, however short it waits",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    await voters(cluster, dbs, [1, 2, 3]);
    // Before anybody knows it, and long after.
    for (
      const [waitsMs, patienceMs] of [[0, 1000], [60_000, undefined]] as const
    ) {
      cluster.cut(["a", "b"], ["c", "d"]);
      await cluster.world.sleep(waitsMs);
      const abort = new AbortController();
      cluster.world.schedule(7500, () => abort.abort());
      const { signal } = abort;
      const propagation = patienceMs && { pledgeTimeoutMs: patienceMs };
      const error = await assertRejects(
        () =>
          cluster.open("d", {
            peers: ["c:1"],
            signal,
            ...propagation && { propagation },
          }),
        JoinAbortedError,
      );
      assert(
        String((error.cause as Error).message).includes("missing 1, 2"),
        String(error.cause),
      );
      cluster.world.heal();
    }
    const d = await cluster.open("d", { peers: ["c:1"] });
    assertEquals(d.cluster.host.key, 4);
  },
);

scenario(
  "a voter that is dead for a minute is replaced, and votes no more when it is back",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c", "d"]);
    await voters(cluster, dbs, [1, 2, 3]);
    cluster.kill("c");
    const [a, b, , d] = dbs as [DB, DB, DB, DB];
    await cluster.world.sleep(50_000);
    await voters(cluster, [a, b, d], [1, 2, 3]);
    await voters(cluster, [a, b, d], [1, 2, 4]);
    cluster.kill("b");
    const e = await cluster.open("e", { peers: ["d:1"] });
    assertEquals(e.cluster.host.key, 5);
    const c = await cluster.reopen("c");
    await voters(cluster, [a, c, d, e], [1, 2, 4]);
  },
);

scenario(
  "a voter whose disk was put back is told so, falls silent, and votes again on a new seat",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    await voters(cluster, dbs, [1, 2, 3]);
    const image = cluster.world.disk("c").image();
    for (let i = 0; i < 2; i++) {
      cluster.kill("c");
      await cluster.reopen("c");
      await cluster.world.sleep(5000);
    }
    const { epoch } = dbs[0]!.metrics().agreement;
    cluster.kill("c");
    cluster.world.disk("c").restore(image);
    const c = await cluster.reopen("c");
    const all = [dbs[0]!, dbs[1]!, c];
    // Retired, and promoted anew.
    await cluster.until(
      "the config has changed twice",
      () => all.every((db) => db.metrics().agreement.epoch >= epoch + 2),
    );
    await voters(cluster, all, [1, 2, 3]);
    cluster.kill("a");
    const d = await cluster.open("d", { peers: ["b:1"] });
    assertEquals(d.cluster.host.key, 4);
  },
);

scenario(
  "a voter whose disk was put back by one start is told so too: what it accepted in that start, and forgot, it votes on no more",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    await voters(cluster, dbs, [1, 2, 3]);
    cluster.kill("c");
    const image = cluster.world.disk("c").image();
    // It starts once more, which a hears; then b and c give d its key, and it dies.
    await cluster.reopen("c");
    await cluster.until(
      "a has heard of that start",
      () => dbs[0]!.cluster.node(3).heartbeat.generation === 2,
    );
    cluster.cut(["a"], ["b", "c", "d"]);
    const d = await cluster.open("d", { peers: ["b:1"] });
    assertEquals(d.cluster.host.key, 4);
    cluster.kill("c");
    cluster.world.disk("c").restore(image);
    cluster.world.heal("a");
    cluster.cut(["b", "d"], ["a", "c", "e"]);
    const c = await cluster.reopen("c");
    const abort = new AbortController();
    const { signal } = abort;
    cluster.world.schedule(20_000, () => abort.abort());
    await assertRejects(
      () => cluster.open("e", { peers: ["a:1"], signal }),
      JoinAbortedError,
    );
    cluster.world.heal();
    const e = await cluster.open("e", { peers: ["a:1"] });
    assertEquals(e.cluster.host.key, 5);
    await voters(cluster, [dbs[0]!, dbs[1]!, c, d, e], [1, 2, 3, 4, 5]);
  },
  { seeds: 8 },
);

scenario(
  "a removed node is nobody's peer any more: its keys are claimed anew, it writes no more, and joins anew under a new key",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c", "d"]);
    const [a, b, , d] = dbs as [DB, DB, DB, DB];
    await d.set("k", "of d");
    await cluster.until("all have it", async () => {
      for (const db of dbs) if (!await db.has("k")) return false;
      return true;
    });
    await assertRejects(() => a.cluster.remove(9), NodeNotFoundError);
    await assertRejects(() => a.cluster.remove(1), RangeError);
    cluster.kill("d");
    // While one member cannot say what it has of d, nobody takes d's keys.
    cluster.kill("c");
    await a.cluster.remove(4);
    await a.cluster.remove(4); // idempotent
    await cluster.until("b knows", () => !b.cluster.nodes().has(4));
    await cluster.world.sleep(30_000);
    await assertRejects(
      () => b.set("k", "of b", { timeoutMs: 1000 }),
      LeaseholderUnavailableError,
    );
    const back = await cluster.reopen("c");
    await sealed(cluster, [a, b, back]);
    const { version } = await b.set("k", "of b");
    assertEquals(version?.life, 2);
    await cluster.until("all have that", async () => {
      for (const db of [a, back]) {
        if (text(await db.get("k")) !== "of b") return false;
      }
      return true;
    });

    const old = await cluster.reopen("d");
    const events = collect(old.events());
    await cluster.until(
      "it is told",
      () => events.some((event) => event.type === "removed"),
    );
    await assertRejects(() => old.set("k2", "late"), NotMemberError);
    assertEquals(text(await old.get("k")), "of d");
    await old.close();
    // It knows that also where nobody can tell it.
    cluster.cut(["d"], ["a", "b", "c"]);
    const cutOff = await cluster.reopen("d");
    await assertRejects(() => cutOff.set("k2", "later"), NotMemberError);
    await cutOff.close();
    cluster.world.heal();
    assert(!a.cluster.nodes().has(4));

    const anew = await cluster.open("d2", { peers: ["a:1"] });
    assertEquals(anew.cluster.host.key, 5);
    assertEquals(text(await anew.get("k")), "of b");
  },
);

scenario(
  "a node that leaves has all that it wrote held elsewhere, and its keys are written by others",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    const [a, b, c] = dbs as [DB, DB, DB];
    await voters(cluster, dbs, [1, 2, 3]);
    // Nothing that c writes is pushed: leaving sees to it.
    cluster.cut(["c"], ["a", "b"]);
    for (let i = 0; i < 20; i++) await c.set(`k${i}`, `v${i}`);
    await assertRejects(
      () => c.cluster.leave({ timeoutMs: 2000 }),
      Error,
    );
    await c.set("still", "writes");
    cluster.world.heal("c");
    await c.cluster.leave();
    await assertRejects(() => c.set("k0", "late"), NotMemberError);
    assertEquals(text(await c.get("k0")), "v0");
    await c.close();
    // It knows that also at its next start.
    const back = await cluster.reopen("c");
    const events = collect(back.events());
    await cluster.until(
      "it says so",
      () => events.some(({ type }) => type === "removed"),
    );
    await assertRejects(() => back.set("k0", "later"), NotMemberError);
    await back.cluster.leave();
    await back.close();
    await sealed(cluster, [a, b]);
    await voters(cluster, [a, b], [1]);
    assertEquals([...a.cluster.nodes().keys()].sort(), [1, 2]);
    for (const db of [a, b]) {
      await db.caughtUp();
      assertEquals(await db.count({}), 21);
    }
    const { version } = await b.set("k0", "of b");
    assertEquals(version?.life, 2);
    await b.set("k1", "of b", { lease: 1 });
    assertEquals((await b.getEntry("k1"))?.leaseholder, 1);
  },
);

scenario(
  "a node that leaves waits for no node that has fallen silent, nor longer than it was told",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c", "d", "e"]);
    await voters(cluster, dbs, [1, 2, 3, 4, 5]);
    const [, , , d, e] = dbs as [DB, DB, DB, DB, DB];
    cluster.cut(["e"], ["a"]);
    await e.set("k", "of e");
    const tookMs = await cluster.timed(() => e.cluster.leave());
    // One exchange of gossip, at most, is waited for.
    assert(tookMs < 2500, `it took ${tookMs} ms`);
    await e.close();

    cluster.cut(["d"], ["a", "b", "c"]);
    await d.set("k2", "of d");
    const endedMs = await cluster.timed(() =>
      assertRejects(
        () => d.cluster.leave({ timeoutMs: 2000 }),
        DeadlineExceededError,
      )
    );
    assert(endedMs < 2100, `it took ${endedMs} ms`);
    await d.set("k2", "still of d");
  },
);

scenario(
  "the only voter hands its vote on before it leaves, and the last member cannot leave",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b"]) as [DB, DB];
    await a.set("k", "of a");
    await a.cluster.leave();
    await a.close();
    await voters(cluster, [b], [2]);
    await sealed(cluster, [b]);
    assertEquals(text(await b.get("k")), "of a");
    await b.set("k", "of b");
    const c = await cluster.open("c", { peers: ["b:1"] });
    assertEquals(c.cluster.host.key, 3);
    await c.close();
    cluster.kill("c");
    await b.cluster.remove(3);
    await assertRejects(() => b.cluster.leave(), RangeError);
  },
);

scenario(
  "a voter that leaves beside a dead one is replaced first, and stays where there is nobody to replace it",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c", "d"]);
    const [a, , c, d] = dbs as [DB, DB, DB, DB];
    await voters(cluster, dbs, [1, 2, 3]);
    cluster.kill("b");
    await cluster.until(
      "b is dead",
      () => [a, c, d].every((db) => db.cluster.node(2).state === "dead"),
    );
    await c.cluster.leave();
    await c.close();
    await voters(cluster, [a, d], [1, 2, 4]);
    const e = await cluster.open("e", { peers: ["d:1"] });
    assertEquals(e.cluster.host.key, 5);

    await e.cluster.leave();
    await e.close();
    const error = await assertRejects(
      () => d.cluster.leave(),
      QuorumUnavailableError,
    );
    assertEquals(error.missing, [2]);
    await d.set("still", "writes");
  },
);

scenario(
  "where one can vote in its stead a voter that leaves takes no vote with it: the next that dies is not one too many",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c", "d"]);
    const [, , c] = dbs as [DB, DB, DB, DB];
    await voters(cluster, dbs, [1, 2, 3]);
    await c.cluster.leave();
    cluster.kill("b");
    const e = await cluster.open("e", { peers: ["d:1"] });
    assertEquals(e.cluster.host.key, 5);
    assertEquals(e.metrics().agreement.voters, [1, 2, 4]);
  },
);

scenario(
  "a node in memory leaves when it is closed",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b"]) as [DB, DB];
    const m = await cluster.open("m", {}, ":memory:");
    await m.set("k", "of m");
    await m.close();
    await sealed(cluster, [a, b]);
    assertEquals([...b.cluster.nodes().keys()].sort(), [1, 2]);
    assertEquals(text(await b.get("k")), "of m");
    await b.set("k", "of b");
  },
);

scenario(
  "where the voters are lost an operator begins anew on one node, and only there",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b"]) as [DB, DB];
    await a.set("k", "of a");
    await b.caughtUp();
    await assertRejects(() => b.cluster.recover({ force: true }), RangeError);
    await assertRejects(
      () => b.cluster.recover({} as { force: true }),
      TypeError,
    );
    cluster.kill("a");
    await assertRejects(
      () => b.cluster.remove(1, { timeoutMs: 2000 }),
      QuorumUnavailableError,
    );
    const before = b.metrics().agreement;
    await b.cluster.recover({ force: true });
    const { era, epoch, voters, settled } = b.metrics().agreement;
    assertEquals([era, voters, settled], [before.era + 1, [2], true]);
    assert(epoch >= before.epoch + 2 ** 16);
    // Whoever joined unheard had a key below.
    const c = await cluster.open("c", { peers: ["b:1"] });
    assert(c.cluster.host.key > 2 + 256, `${c.cluster.host.key}`);
    await b.cluster.remove(1);
    await sealed(cluster, [b, c]);
    await c.set("k", "of c");
    assertEquals(text(await c.get("k")), "of c");
  },
);

scenario(
  "closing ends a removal and a recovery that are under way: no era is begun because of it",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b"]) as [DB, DB];
    await a.caughtUp();
    cluster.cut(["a"], ["b"]);
    const options = { timeoutMs: 120_000 };
    const calls = [
      assertRejects(() => b.cluster.remove(1, options), ClosedError),
      assertRejects(
        () => b.cluster.recover({ force: true, ...options }),
        ClosedError,
      ),
    ];
    await cluster.world.sleep(1000);
    const tookMs = await cluster.timed(async () => {
      const closed = b.close();
      await Promise.all(calls);
      await closed;
    });
    assert(tookMs < 1000, `it took ${tookMs} ms`);
    cluster.world.heal();
    const again = await cluster.reopen("b");
    await again.caughtUp();
    assertEquals(again.metrics().agreement.era, 0);
    await voters(cluster, [a, again], [1]);
  },
);

scenario(
  "voters that were not lost, but cut off, take over the era that was begun without them",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c", "d"]);
    const [a, b, c, d] = dbs as [DB, DB, DB, DB];
    await voters(cluster, dbs, [1, 2, 3]);
    cluster.cut(["a", "b", "e"], ["c", "d"]);
    // What is decided there meanwhile is void.
    const e = await cluster.open("e", { peers: ["a:1"] });
    const events = collect(e.events());
    await c.cluster.recover({ force: true });
    await voters(cluster, [c, d], [3]);
    cluster.world.heal();
    await voters(cluster, [a, b, c, d], [1, 2, 3]);
    assertEquals(a.metrics().agreement.era, 1);
    await cluster.until(
      "who joined there is no member any more, and knows it",
      () =>
        [a, b, c, d].every((db) => !db.cluster.nodes().has(5)) &&
        events.some(({ type }) => type === "removed"),
    );
    await assertRejects(() => e.set("k", "v"), NotMemberError);
    await sealed(cluster, [a, b, c, d]);
    const f = await cluster.open("f", { peers: ["d:1"] });
    assert(f.cluster.host.key > 4 + 256, `${f.cluster.host.key}`);
  },
);

scenario(
  "a removed node begins no era, whether it has heard of its removal or hears of it by trying",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c", "d"]);
    const [a, , , d] = dbs as [DB, DB, DB, DB];
    await voters(cluster, dbs, [1, 2, 3]);
    cluster.cut(["d"], ["a", "b", "c"]);
    await a.cluster.remove(4);
    cluster.world.heal();
    for (let i = 0; i < 2; i++) {
      await assertRejects(
        () => d.cluster.recover({ force: true }),
        NotMemberError,
      );
    }
    const { era, removed } = a.metrics().agreement;
    assertEquals([era, removed], [0, 1]);
  },
);

scenario(
  "when a voter has left those who vote know it, so that they can go on without it",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b"]) as [DB, DB];
    await a.set("k", "of a");
    await a.cluster.leave();
    // Nobody tells it afterwards.
    cluster.kill("a");
    assertEquals(b.metrics().agreement.voters, [2]);
    const c = await cluster.open("c", { peers: ["b:1"] });
    assertEquals(c.cluster.host.key, 3);
  },
);

scenario(
  "who has left is told so only once one that votes knows it: before, that one could do nothing alone",
  async (cluster) => {
    for (const closes of [false, true]) {
      const name = closes ? "d" : "b";
      const [a, b] = closes
        ? [cluster.node("b"), await cluster.open("d", { peers: ["b:1"] })]
        : await cluster.openAll(["a", "b"]) as [DB, DB];
      const { key } = b.cluster.host;
      await a.set(`k${key}`, "v");
      await cluster.until("it is there", () => b.has(`k${key}`));
      void (async () => {
        for await (const { type } of a.events()) {
          if (type !== "removed") continue;
          // It knows what was agreed, and nobody else does.
          cluster.cut([closes ? "b" : "a"], [name]);
          if (closes) void a.close();
        }
      })();
      const error = await assertRejects(
        () => a.cluster.leave({ timeoutMs: 5000 }),
        LeftUnheardError,
      );
      assertEquals(error.missing, [key]);
      await assertRejects(
        () => b.cluster.remove(99, { timeoutMs: 1000 }),
        QuorumUnavailableError,
      );
      cluster.world.heal();
      // Kept running, or opened again, it tells them.
      if (closes) await cluster.reopen("b");
      await cluster.node(closes ? "b" : "a").cluster.leave();
      await voters(cluster, [b], [key]);
      await cluster.node(closes ? "b" : "a").close();
      await sealed(cluster, [b]);
      await b.set(`k${key}`, "anew");
    }
  },
);

scenario(
  "a node that is removed while others have not all that it wrote has not left",
  async (cluster) => {
    const [a, , c] = await cluster.openAll(["a", "b", "c"]) as [DB, DB, DB];
    cluster.cut(["c"], ["a", "b"]);
    await c.set("only", "here");
    const leaving = assertRejects(
      () => c.cluster.leave({ timeoutMs: 60_000 }),
      NotMemberError,
    );
    await a.cluster.remove(3);
    cluster.world.heal();
    await leaving;
    assertEquals(text(await c.get("only")), "here");
    await assertRejects(() => c.cluster.leave(), NotMemberError);
    await c.close();
    const back = await cluster.reopen("c");
    await assertRejects(() => back.cluster.leave(), NotMemberError);
  },
);

scenario(
  "a node that was removed before its first copy is told so when it starts again",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b"]) as [DB, DB];
    const [a] = dbs;
    const opening = cluster.open("c").catch(() => {});
    // Before the copy is whole, but not before it knows its key.
    while (dbs.every((db) => db.metrics().sessionsOpen === 0)) {
      await cluster.world.sleep(0.5);
    }
    cluster.world.kill("c");
    void opening;
    await a.cluster.remove(3);
    await assertRejects(
      () => cluster.open("c", { peers: ["a:1"], bootstrap: false }),
      NotMemberError,
    );
  },
);

scenario(
  "a joiner that dies before its first word is a node that all see, until it is removed",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    const [a] = dbs as [DB];
    const opening = cluster.open("d", {}, "/data");
    await cluster.until(
      "it is a member",
      () => a.metrics().agreement.members === 4,
    );
    cluster.kill("d");
    void opening.catch(() => {});
    for (const db of dbs) {
      await cluster.until(
        "it is dead",
        () => db.cluster.nodes().get(4)?.state === "dead",
        20_000,
      );
      const { heartbeat, ...node } = db.cluster.node(4);
      assertEquals(node, { key: 4, address: "d:1", state: "dead" });
      // Before its first copy, though it may have said that it is there.
      assertEquals(heartbeat.generation, 0);
    }
    // Nobody can say what it has: the keys of others wait for it.
    await dbs[2]!.set("key", "value");
    await dbs[2]!.cluster.leave();
    await assertRejects(
      () => a.set("key", "again", { timeoutMs: 5000 }),
      LeaseholderUnavailableError,
    );
    await a.cluster.remove(4);
    await sealed(cluster, dbs.slice(0, 2));
    await a.set("key", "again");
    assertEquals(dbs[1]!.cluster.nodes().has(4), false);
  },
);

scenario(
  "a member that is dead for too long is told of once a start, holds up nothing but the marks of deletions, and is for people to remove",
  async (cluster) => {
    const { world } = cluster;
    const dbs = await cluster.openAll(["a", "b", "c"]);
    const [first, b, c] = dbs as [DB, DB, DB];
    let a = first;
    await c.set("of c", "1");
    await a.set("k", "1");
    await cluster.until("all have it", () => c.has("k"));
    const told = (events: { type: string }[]) =>
      events.filter(({ type }) => type === "overdue");
    const away = (db: DB, key: number) =>
      db.metrics().lag.find(({ node }) => node === key)!;
    const events = collect(a.events());
    cluster.kill("c");
    await a.delete("k");
    await world.sleep(55_000);
    assertEquals([told(events), away(a, 3).overdue], [[], false]);
    assert(away(a, 3).awayMs! > 30_000);
    await cluster.until("it is overdue", () => told(events).length > 0);
    await world.sleep(120_000);
    const [{ node, awayMs }] = told(events) as unknown as [
      { node: number; awayMs: number },
    ];
    assertEquals([told(events).length, node, away(a, 3).overdue], [1, 3, true]);
    assert(awayMs >= 60_000 && awayMs < 63_000, `${awayMs}`);
    assertEquals([away(a, 2).awayMs, away(a, 2).overdue], [undefined, false]);
    // Nobody was removed for it: it stays a member, and what was deleted a mark.
    assertEquals(a.cluster.node(3).state, "dead");
    assertEquals(a.metrics().agreement.removed, 0);
    assertEquals(a.metrics().tombstonesCollected, 0);

    // It goes on over a restart, and a moment is given to be heard of.
    cluster.kill("a");
    a = await cluster.reopen("a");
    const again = collect(a.events());
    assert(away(a, 3).awayMs! > 150_000);
    await world.sleep(30_000);
    assertEquals(told(again), []);
    await cluster.until(
      "it is told again",
      () => told(again).length > 0,
      60_000,
    );

    // Back after any time it takes what it missed, and writes on.
    const back = await cluster.reopen("c");
    await cluster.until("it is heard of", () => !away(a, 3).overdue);
    assertEquals(away(a, 3).awayMs, undefined);
    await cluster.until("it has it", async () => !await back.has("k"));
    await back.set("of c", "2");
    await cluster.until(
      "the marks are gone",
      () => [a, b, back].every((db) => db.metrics().tombstonesCollected > 0),
      60_000,
    );
    await cluster.until(
      "the others have what it wrote",
      async () => text(await a.get("of c")) === "2",
    );

    // Gone again, and removed: by a person only.
    cluster.kill("c");
    const { tombstonesCollected } = a.metrics();
    await a.set("k", "2");
    await a.delete("k");
    await cluster.until("it is overdue", () => away(a, 3).overdue, 120_000);
    assertEquals(a.metrics().tombstonesCollected, tombstonesCollected);
    await a.cluster.remove(3);
    await cluster.until(
      "the mark is gone",
      () => a.metrics().tombstonesCollected > tombstonesCollected,
      60_000,
    );
    assertEquals(a.metrics().lag.map(({ node }) => node), [2]);
    const removed = await cluster.reopen("c");
    const ended = collect(removed.events());
    await cluster.until(
      "it is told",
      () => ended.some(({ type }) => type === "removed"),
    );
    await assertRejects(() => removed.set("of c", "3"), NotMemberError);
    const anew = await cluster.open("d", { peers: ["a:1"] });
    assertEquals(text(await anew.get("of c")), "2");
    await anew.set("of c", "4");
    await cluster.until(
      "it is written by others",
      async () => text(await a.get("of c")) === "4",
    );
  },
  { seeds: 2, defaults: { propagation: { maxOfflineMs: 60_000 } } },
);
