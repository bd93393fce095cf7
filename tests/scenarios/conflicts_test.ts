/**
 * Conflicts that nobody looks after: what would lose waits, and nothing is dropped.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { DB } from "../../mod.ts";
import { assertReads, collect, scenario, text } from "../sim/cluster.ts";

/** What lost, of the conflicts on record. */
async function lostAt(db: DB): Promise<string[]> {
  const lost: string[] = [];
  for await (const { number, key, lost: { value } } of db.conflicts()) {
    lost.push(`${number}: ${text(key)} ${text(value)}`);
  }
  return lost;
}

scenario(
  "where as many conflicts stand as may, writes that would lose wait while all else goes on, also over a restart, and come once conflicts are forgotten",
  async (cluster) => {
    const names = ["a", "b", "c"];
    const [first, b, c] = await cluster.openAll(names) as [DB, DB, DB];
    let a = first;
    const { world } = cluster;
    cluster.cut(["a"], ["b", "c"]);
    const keys = [1, 2, 3, 4, 5].map((i) => `k${i}`);
    for (const key of keys) await a.set(key, "a");
    await world.sleep(100);
    for (const key of keys) await b.set(key, "b");
    await b.set("after", "b");
    await cluster.converged("b", "c");
    const events = collect(a.events());
    world.heal();
    await cluster.until("a is full", () => a.metrics().conflictsFull);
    await cluster.until(
      "the others have heard of all that won",
      () => [b, c].every((db) => db.metrics().conflictsOnRecord === 5),
    );

    // Of the winner's node the bound holds; where its writes have replaced others,
    // each report has taken the place of one.
    assertEquals(await lostAt(a), ["1: k1 b", "2: k2 b"]);
    assertEquals(a.metrics().conflictsOnRecord, 2);
    for (const db of [a, b, c]) {
      for (const key of keys) await assertReads(db, key, "a");
    }
    // What was written after what waits waits with it; all else goes on.
    await a.set("own", "1");
    await c.set("of c", "1");
    await cluster.until("c hears a", () => c.has("own"));
    await cluster.until("a hears c", () => a.has("of c"));
    const { pulls } = a.metrics();
    for (let i = 0; i < 100; i++) {
      await b.set("busy", `${i}`);
      await world.sleep(50);
    }
    // Two or three comparisons in these 5 s, of some requests each, and not one for
    // each push.
    assert(a.metrics().pulls - pulls < 12, `${a.metrics().pulls - pulls}`);
    assertEquals(await a.has("after"), false);
    assertEquals(await a.caughtUp(), { peers: [], missing: [2, 3] });
    const told = () =>
      events.flatMap((e) => e.type === "conflictsFull" ? [e.standing] : []);
    assertEquals(told(), [2]);

    cluster.kill("a");
    a = await cluster.reopen("a");
    assertEquals(await lostAt(a), ["1: k1 b", "2: k2 b"]);
    await cluster.until("it waits again", () => a.metrics().conflictsFull);
    await assertRejects(() => a.forgetConflicts(3), RangeError);
    await assertRejects(() => a.forgetConflicts(0.5), RangeError);
    assertEquals(await a.has("after"), false);

    await a.forgetConflicts(1);
    await cluster.until("the next one", async () => {
      return (await lostAt(a)).join() === "2: k2 b,3: k3 b";
    });
    await a.forgetConflicts(3);
    await cluster.until("all of it", () => a.has("after"));
    assertEquals(await lostAt(a), ["4: k4 b", "5: k5 b"]);
    await cluster.converged(...names);
    await assertReads(a, "busy", "99");
    assertEquals((await a.caughtUp()).missing, []);
    assertEquals(a.metrics().conflictsFull, false);
  },
  { defaults: { propagation: { conflictsMax: 2 } } },
);

scenario(
  "two nodes whose logs of conflicts are both full wait for each other quietly, and for nobody else",
  async (cluster) => {
    const names = ["a", "b", "c"];
    const [a, b, c] = await cluster.openAll(names) as [DB, DB, DB];
    const { world } = cluster;
    cluster.cut(["a"], ["b"]);
    cluster.cut(["c"], ["a", "b"]);
    // Each claims the other's next keys too late, so that what it wins comes after
    // what loses.
    for (let round = 0; round < 4; round++) {
      const [first, second] = round % 2 === 0 ? [a, b] : [b, a];
      await first.set(`k${round}`, "first");
      await world.sleep(100);
      await second.set(`k${round}`, "second");
    }
    world.heal();
    const full = () => [a, b].every((db) => db.metrics().conflictsFull);
    await cluster.until("both are full", full);
    await c.set("of c", "1");
    for (const db of [a, b]) {
      await cluster.until("what c wrote is here", () => db.has("of c"));
    }
    await world.sleep(5000);
    const pulls = () => [a, b].map((db) => db.metrics().pulls);
    const before = pulls();
    await world.sleep(20_000);
    // Each peer once an interval at most, with one request more for the rest.
    for (const [i, count] of pulls().entries()) {
      assert(count - before[i]! < 40, `${count - before[i]!} pulls`);
    }
    const forget = async (db: DB) => {
      let last = 0;
      for await (const { number } of db.conflicts()) last = number;
      await db.forgetConflicts(last);
    };
    await cluster.until("all is well", async () => {
      for (const db of [a, b, c]) await forget(db);
      return [a, b, c].every((db) => !db.metrics().conflictsFull);
    });
    for (const db of [a, b, c]) await forget(db);
    await cluster.converged(...names);
    for (let round = 0; round < 4; round++) {
      for (const db of [a, b, c]) await assertReads(db, `k${round}`, "first");
    }
  },
  { defaults: { propagation: { conflictsMax: 1 } } },
);

scenario(
  "a node that joins is open although records wait until conflicts are forgotten there",
  async (cluster) => {
    const a = await cluster.open("a", {
      propagation: { copyBytesPerSecond: 2000 },
    });
    const b = await cluster.open("b", { peers: [cluster.address("a")] });
    for (let i = 0; i < 40; i++) await a.set(`filler ${i}`, "v".repeat(500));
    await cluster.converged("a", "b");
    cluster.cut(["a", "d"], ["b"]);
    const keys = ["k1", "k2", "k3"];
    for (const key of keys) await a.set(key, "a");
    await cluster.world.sleep(100);
    for (const key of keys) await b.set(key, "b");
    const { sessionBytesGiven } = a.metrics();
    const joining = cluster.open("d", {
      peers: [cluster.address("a")],
      propagation: { conflictsMax: 1 },
    });
    await cluster.until(
      "the copy is on its way",
      () => a.metrics().sessionBytesGiven > sessionBytesGiven,
    );
    // What its donor takes from now on comes to it as records, behind the copy.
    cluster.world.heal();
    await cluster.until(
      "the donor has all of it",
      () => a.metrics().conflictsOnRecord === keys.length,
    );
    const d = await joining;
    await cluster.until("it waits", () => d.metrics().conflictsFull);
    for (const key of keys) await assertReads(d, key, "a");
    for (let last = 1; last <= keys.length; last++) {
      await cluster.until(
        `conflict ${last} is there`,
        () => d.metrics().conflictsOnRecord === 1,
      );
      await d.forgetConflicts(last);
    }
    await cluster.converged("a", "b", "d");
  },
);
