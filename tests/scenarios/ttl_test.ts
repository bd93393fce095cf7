/**
 * Values that end by themselves: hidden everywhere at the instant, deleted by the
 * leaseholder soon after.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Change, CheckFailedError, type DB } from "../../mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import {
  assertReads,
  collect,
  scenario,
  type SimCluster,
  text,
} from "../sim/cluster.ts";

/** Every way to read a key. */
async function reads(db: DB, key: string): Promise<unknown[]> {
  const keys: string[] = [];
  for await (const each of db.keys({ prefix: key })) keys.push(text(each));
  const listed: string[] = [];
  for await (const { value } of db.list({ prefix: key })) {
    listed.push(text(value));
  }
  return [
    text(await db.get(key)),
    text(db.getSync(key)),
    text((await db.getEntry(key))?.value),
    await db.has(key),
    keys,
    listed,
    [...db.listSync({ prefix: key, limit: 1 })].map(({ value }) => text(value)),
    await db.count({ prefix: key }),
  ];
}

const GONE = [undefined, undefined, undefined, false, [], [], [], 0];
const THERE = ["v", "v", "v", true, ["key"], ["v"], ["v"], 1];

function deletes(changes: Change[][]): string[] {
  return changes.flat().flatMap((change) =>
    change.type === "delete" ? [text(change.key)] : []
  );
}

/** Waits until nothing that ends is left in the engine of any node. */
async function untilDeleted(cluster: SimCluster, seen: Change[][], count = 1) {
  await cluster.until(
    "the deletion is told",
    () => deletes(seen).length === count,
    10_000,
  );
}

scenario(
  "ttl: a value is there until its instant, then hidden by every read on every node, and the watchers of all are told that it is deleted",
  async (cluster) => {
    const dbs = await cluster.openAll(["a", "b"]);
    const [a, b] = dbs;
    const seen = dbs.map((db) => collect(db.watch()));
    await a!.set("key", "v", { expireIn: 5000 });
    const start = cluster.world.now;
    // One that has it from its first copy.
    const c = await cluster.open("c");
    dbs.push(c);
    seen.push(collect(c.watch({ initial: true })));
    await cluster.converged("a", "b", "c");
    const entry = await b!.getEntry("key");
    assert(entry?.expiresAt !== undefined);
    // It counts from the commit, a little before that was known here.
    while (cluster.world.now < start + 4900) await cluster.world.sleep(10);
    for (const db of dbs) assertEquals(await reads(db, "key"), THERE);
    await cluster.world.sleep(start + 5001 - cluster.world.now);
    for (const db of dbs) assertEquals(await reads(db, "key"), GONE);
    for (const each of seen) await untilDeleted(cluster, each);
    await cluster.world.sleep(5000);
    for (const each of seen) {
      assertEquals(each.flat().map(({ type }) => type), ["set", "delete"]);
    }
    assertEquals(seen.length, 3);
    // It is a key as before, and led by the same node.
    await b!.set("key", "v");
    await cluster.converged("a", "b", "c");
    assertEquals((await b!.getEntry("key"))?.leaseholder, 1);
    await cluster.world.sleep(20_000);
    assertEquals(await reads(b!, "key"), THERE);
    assertEquals((await b!.getEntry("key"))?.expiresAt, undefined);
  },
);

scenario(
  "ttl: a set without expireIn makes a value stay, one with it ends it later; through any node, in commits and transactions",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b"]);
    const seen = collect(a!.watch());
    await a!.set("stays", "1", { expireIn: 1000 });
    await a!.set("later", "1", { expireIn: 1000 });
    await cluster.converged("a", "b");
    await b!.set("stays", "2");
    await b!.set("later", "2", { expireIn: 4000 });
    await b!.commit({
      ops: [
        { type: "set", key: "batch", value: "1", expireIn: 1000 },
        { type: "set", key: "batch too", value: "1" },
      ],
    });
    await using tx = b!.transaction();
    tx.set("tx", "1", { expireIn: 1000 }).set("tx too", "1");
    await tx.commit();
    await cluster.world.sleep(2000);
    for (const db of [a!, b!]) {
      const keys: string[] = [];
      for await (const key of db.keys()) keys.push(text(key));
      assertEquals(keys, ["batch too", "later", "stays", "tx too"]);
      assertEquals(await db.count({ reverse: true }), 4);
      const last: string[] = [];
      for await (const key of db.keys({ reverse: true, limit: 2, end: "u" })) {
        last.push(text(key));
      }
      assertEquals(last, ["tx too", "stays"]);
    }
    await assertReads(a!, "later", "2");
    await cluster.world.sleep(2500);
    await assertReads(a!, "later", undefined);
    await assertReads(b!, "stays", "2");
    await untilDeleted(cluster, seen, 3);
    assertEquals(deletes(seen).sort(), ["batch", "later", "tx"]);
  },
);

scenario(
  "ttl: a check takes a value that has ended for absent, and a delete of it is written",
  async (cluster) => {
    const a = await cluster.open("a");
    const { version = null } = await a.set("lock", "one", { expireIn: 50 });
    const take = { type: "set", key: "lock", value: "two" } as const;
    const free = [{ key: "lock", version: null }];
    await assertRejects(
      () => a.commit({ checks: free, ops: [take] }),
      CheckFailedError,
    );
    await cluster.world.sleep(55);
    assert((await a.delete("lock")).version !== undefined);
    await assertRejects(
      () => a.commit({ checks: [{ key: "lock", version }], ops: [take] }),
      CheckFailedError,
    );
    await a.commit({ checks: free, ops: [take] });
    await cluster.world.sleep(5000);
    await assertReads(a, "lock", "two");
  },
);

scenario(
  "ttl: a leaseholder that was killed deletes what ended meanwhile when it is back, and others hide it all the time",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b", "c"]);
    for (let i = 0; i < 20; i++) {
      await a!.set(`due ${i}`, "1", { expireIn: 900 });
    }
    await a!.set("later", "1", { expireIn: 30_000 });
    await b!.set("of b", "1", { expireIn: 900 });
    await cluster.converged("a", "b", "c");
    const seen = collect(b!.watch());
    cluster.kill("a");
    await cluster.world.sleep(5000);
    assertEquals(await b!.count(), 1);
    assertEquals(deletes(seen), ["of b"]);
    const again = await cluster.reopen("a");
    assertEquals(await again.count(), 1);
    await untilDeleted(cluster, seen, 21);
    assertEquals(await again.count(), 1);
    await cluster.world.sleep(30_000);
    assertEquals([await again.count(), await b!.count()], [0, 0]);
    await untilDeleted(cluster, seen, 22);
  },
);

scenario(
  "ttl: a watch that goes on, and a state that is told first, know of ends: nothing that has ended is told as there",
  async (cluster) => {
    const a = await cluster.open("a");
    const since = await a.token();
    await a.set("ends", "1", { expireIn: 20 });
    await a.set("stays", "1");
    await cluster.world.sleep(25);
    const initial = a.watch({ initial: true }).getReader();
    const [first] = (await initial.read()).value!;
    assert(first?.type === "set");
    assertEquals(text(first.key), "stays");
    await a.close();
    const again = await cluster.reopen("a");
    const told = collect(again.watch({ since }));
    await untilDeleted(cluster, told);
    assertEquals(
      told.flat().map((change) =>
        change.type === "lagged" || change.type === "reset" ||
        `${change.type} ${text(change.key)}`
      ),
      ["set ends", "set stays", "delete ends"],
    );
  },
);

scenario(
  "ttl: what is no time to live is refused, and writes nothing",
  async (cluster) => {
    const a = await cluster.open("a");
    const bad = [0, -1, NaN, Infinity, 1e15, "5" as never, null as never];
    for (const expireIn of bad) {
      await assertRejects(
        () => a.set("key", "v", { expireIn }),
        RangeError,
        'Cannot set: "expireIn" must be positive',
      );
      const op = { type: "set", key: "key", value: "v", expireIn } as const;
      await assertRejects(() => a.commit({ ops: [op] }), RangeError);
    }
    assertEquals(a.metrics().recordsApplied, 0);
  },
  { seeds: 1 },
);

scenario(
  "ttl: whatever is set, deleted, ended and restarted, all reads of all keys agree with a plain map",
  async (cluster, seed) => {
    let db = await cluster.open("a");
    const random = new Prng(seed, "ttl");
    // Of the start that runs.
    const now = () => cluster.world.runtime("a").clock.now();
    const model = new Map<string, { value: string; ends: number }>();
    let ended = 0;
    for (let step = 0; step < 600; step++) {
      const dice = random.u32() % 20;
      const key = `key ${random.u32() % 12}`.padEnd(6);
      if (dice < 9) {
        const expireIn = random.u32() % 2 ? 1 + random.u32() % 300 : undefined;
        const value = `${step}`;
        await db.set(key, value, expireIn === undefined ? {} : { expireIn });
        const { expiresAt } = await db.getEntry(key) ?? {};
        // It may have ended already: a set takes its time.
        const ends = expireIn === undefined
          ? Infinity
          : expiresAt ?? now() + expireIn;
        assert(ends === Infinity || ends <= now() + expireIn! + 1);
        if (expireIn !== undefined && expiresAt === undefined) {
          model.delete(key);
        } else model.set(key, { value, ends });
      } else if (dice < 11) {
        await db.delete(key);
        model.delete(key);
      } else if (dice < 19) await cluster.world.sleep(random.u32() % 150);
      else {
        if (random.u32() % 2) await db.close();
        else cluster.kill("a");
        db = await cluster.reopen("a");
      }
      for (const [key, { ends }] of model) {
        if (ends <= now()) ended++, model.delete(key);
      }
      // At once: nothing ends in between.
      const there = [...model].sort(([a], [b]) => a < b ? -1 : 1);
      const listed = [...db.listSync()].map(({ key, value }) =>
        `${text(key)}=${text(value)}`
      );
      assertEquals(listed, there.map(([key, { value }]) => `${key}=${value}`));
      assertEquals(text(db.getSync(key)), model.get(key)?.value);
      assertEquals(await db.count(), there.length);
      const keys: string[] = [];
      for await (const each of db.keys({ reverse: true, start: "key 3" })) {
        keys.push(text(each));
      }
      const wanted = there.map(([key]) => key).filter((key) => key >= "key 3");
      assertEquals(keys, wanted.reverse());
    }
    assert(ended > 20, `${ended}`);
  },
);
