/**
 * Transactions and conditional commits: the original's scenarios of them, and
 * what is promised of commits over several nodes.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  CheckFailedError,
  ClosedError,
  LeaseholderUnavailableError,
  NotSupportedError,
  PartialCommitError,
} from "../../mod.ts";
import { assertReads, collect, scenario, text } from "../sim/cluster.ts";

scenario(
  "x/kv tx: what is committed is there, what is rolled back or abandoned is not",
  async (cluster) => {
    const a = await cluster.open("a");
    await a.set("key", "before");
    const rolledBack = a.transaction();
    rolledBack.set("key", "never").set("other", "never");
    rolledBack.rollback();
    {
      await using abandoned = a.transaction();
      abandoned.delete("key");
    }
    await assertReads(a, "key", "before");
    assertEquals(await a.count(), 1);
    const committed = a.transaction();
    committed.set("key", "after").set("other", "new");
    const { versions } = await committed.commit();
    assertEquals(versions.length, 2);
    await assertReads(a, "key", "after");
    await assertReads(a, "other", "new");
    for (const ended of [rolledBack, committed]) {
      await assertRejects(() => ended.commit(), ClosedError);
      await assertRejects(() => ended.get("key"), ClosedError);
      await assertRejects(() => ended.list().next(), ClosedError);
      assertThrows(() => ended.set("key", "x"), ClosedError);
      assertThrows(() => ended.delete("key"), ClosedError);
    }
    await assertReads(a, "key", "after");
  },
);

scenario(
  "x/kv tx: what is not committed is seen inside only",
  async (cluster) => {
    const a = await cluster.open("a");
    await a.set("key", "before");
    await a.set("gone", "x");
    const value = new Uint8Array([1]);
    await using tx = a.transaction();
    tx.set("key", "inside").delete("gone").set("bytes", value);
    value[0] = 2;
    assertEquals(text(await tx.get("key")), "inside");
    assertEquals(await tx.get("gone"), undefined);
    assertEquals(await tx.get("bytes"), Uint8Array.of(1));
    (await tx.get("bytes"))![0] = 3;
    await assertReads(a, "key", "before");
    await assertReads(a, "gone", "x");
    // What others commit meanwhile is read: there is no isolation to be had.
    await a.set("outside", "new");
    assertEquals(text(await tx.get("outside")), "new");
    await tx.commit();
    assertEquals(await a.get("bytes"), Uint8Array.of(1));
    assertEquals(await a.has("gone"), false);
  },
);

scenario(
  "x/kv tx reader: the writes of a transaction reach a watcher in their order, in one batch, of each key the last",
  async (cluster) => {
    const a = await cluster.open("a");
    await a.set("3", "x");
    const seen = collect(a.watch());
    await using tx = a.transaction();
    tx.set("1", "a").set("2", "b").delete("3").set("1", "c");
    await tx.commit();
    await cluster.until("it is told", () => seen.length > 0);
    assertEquals(
      seen.map((batch) =>
        batch.map((change) =>
          change.type === "lagged" || change.type === "reset"
            ? change
            : `${change.type} ${text(change.key)}`
        )
      ),
      [["set 1", "set 2", "delete 3"]],
    );
    assertEquals(a.metrics().recordsApplied, 2);
    await assertReads(a, "1", "c");
  },
);

scenario(
  "x/kv tx: set after delete sets, delete after set deletes, also of a key that never was",
  async (cluster) => {
    const a = await cluster.open("a");
    await a.set("there", "x");
    await using tx = a.transaction();
    tx.delete("there").set("there", "again");
    tx.set("new", "x").delete("new");
    await tx.commit();
    await assertReads(a, "there", "again");
    await assertReads(a, "new", undefined);
    await using empty = a.transaction();
    assertEquals((await empty.commit()).versions, []);
  },
);

scenario(
  "x/kv tx: a batch is whole on every node at every moment",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.commit({ ops: pair("0") });
    await cluster.converged("a", "b");
    let torn = 0;
    let looked = 0;
    let done = false;
    const look = async () => {
      while (!done) {
        looked++;
        for (const db of [a, b]) {
          const [left, right] = [...db.listSync()];
          if (text(left?.value) !== text(right?.value)) torn++;
        }
        await cluster.world.sleep(0.3);
      }
    };
    const looking = look();
    for (let i = 1; i <= 30; i++) {
      await (i % 2 === 0 ? a : b).commit({ ops: pair(`${i}`) });
    }
    await cluster.converged("a", "b");
    done = true;
    await looking;
    assertEquals(torn, 0);
    assert(looked > 100);
    await assertReads(b, "right", "30");
  },
);

scenario(
  "checks: a commit happens if every checked key has its version, or does not exist where null is asked for",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const first = await a.set("key", "1");
    await cluster.converged("a", "b");
    // At the leaseholder and at a gateway alike.
    let version = first.version!;
    for (const db of [a, b]) {
      const result = await db.commit({
        checks: [{ key: "key", version }],
        ops: [{ type: "set", key: "key", value: "2" }],
      });
      const stale = await assertRejects(
        () =>
          db.commit({
            checks: [{ key: "key", version }],
            ops: [
              { type: "set", key: "key", value: "3" },
              { type: "set", key: "beside", value: "3", lease: 1 },
            ],
          }),
        CheckFailedError,
      );
      assertEquals(text(stale.key), "key");
      await assertRejects(
        () =>
          db.commit({
            checks: [{ key: "key", version: null }],
            ops: [{ type: "delete", key: "key" }],
          }),
        CheckFailedError,
      );
      version = result.versions[0]!;
      await assertReads(db, "key", "2");
      assertEquals(await db.has("beside"), false);
    }
    // Null: not there, never or no more.
    const create = {
      checks: [{ key: "key", version: null }],
      ops: [{ type: "set", key: "key", value: "anew" }],
    } as const;
    await a.delete("key");
    await cluster.converged("a", "b");
    await b.commit(create);
    await assertRejects(() => b.commit(create), CheckFailedError);
    await assertReads(a, "key", "anew");
    await a.commit({
      checks: [{ key: "never", version: null }],
      ops: [{ type: "set", key: "other", value: "x" }],
    });
    await assertReads(a, "other", "x");
  },
);

scenario(
  "checks: of many at once that check the same version one happens",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("count", "0");
    await cluster.converged("a", "b");
    const { version } = (await a.getEntry("count"))!;
    const attempts = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        [a, b][i % 2]!.commit({
          checks: [{ key: "count", version }],
          ops: [{ type: "set", key: "count", value: `${i}` }],
        })),
    );
    const won = attempts.filter(({ status }) => status === "fulfilled");
    assertEquals(won.length, 1);
    for (const attempt of attempts) {
      if (attempt.status === "rejected") {
        assert(attempt.reason instanceof CheckFailedError);
      }
    }
  },
);

scenario(
  "checks over the keys of several leaseholders are not supported, and write nothing",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("one", "1");
    await b.set("two", "2");
    await cluster.converged("a", "b");
    const { version } = (await a.getEntry("two"))!;
    await assertRejects(
      () =>
        a.commit({
          checks: [{ key: "two", version }],
          ops: [{ type: "set", key: "one", value: "changed" }],
        }),
      NotSupportedError,
    );
    await assertReads(a, "one", "1");
  },
);

scenario(
  "a transaction over several leaseholders commits at each, and is read at the gateway",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const c = await cluster.open("c");
    await a.set("a", "1");
    await b.set("b", "1");
    await c.set("c", "1");
    await cluster.converged("a", "b", "c");
    await using tx = a.transaction();
    tx.set("a", "2").set("b", "2").delete("c").set("new", "2");
    const { versions } = await tx.commit();
    assertEquals(versions.filter((version) => version !== undefined).length, 4);
    for (
      const [key, value] of [["a", "2"], ["b", "2"], ["new", "2"]] as const
    ) {
      await assertReads(a, key, value);
    }
    await assertReads(a, "c", undefined);
    await assertReads(b, "b", "2");
    await assertReads(c, "c", undefined);
  },
);

scenario(
  "X9: a transaction over several leaseholders of which one is down says what was committed and what was not",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const c = await cluster.open("c");
    await a.set("a", "1");
    await b.set("b", "1");
    await c.set("c", "1");
    await cluster.converged("a", "b", "c");
    await cluster.killNoticed("b");
    await using tx = a.transaction();
    tx.set("a", "2").set("b", "2").set("c", "2").set("new", "2");
    let error!: PartialCommitError;
    const tookMs = await cluster.timed(async () => {
      error = await assertRejects(
        () => tx.commit({ timeoutMs: 1000 }),
        PartialCommitError,
      );
    });
    assert(tookMs < 1100, `${tookMs} ms`);
    const parts = (list: PartialCommitError["committed"]) =>
      list.map((
        { leaseholder, keys },
      ) => [leaseholder, keys.map((k) => text(k))])
        .sort();
    assertEquals(parts(error.committed), [[1, ["a", "new"]], [3, ["c"]]]);
    assertEquals(parts(error.failed), [[2, ["b"]]]);
    assert(error.failed[0]!.error instanceof LeaseholderUnavailableError);
    await cluster.converged("a", "c");
    for (const key of ["a", "c", "new"]) await assertReads(c, key, "2");
    await assertReads(a, "b", "1");
    // Nothing at all: the error of the one that failed.
    await assertRejects(
      () => c.set("b", "2", { timeoutMs: 1000 }),
      LeaseholderUnavailableError,
    );
  },
);

scenario(
  "commit: of several ops to one key the last one counts, and one node decides it, whatever leases were asked for",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.commit({
      ops: [
        { type: "set", key: "moved", value: "1", lease: 1 },
        { type: "set", key: "moved", value: "2", lease: 2 },
        { type: "set", key: "gone", value: "1", lease: 2 },
        { type: "delete", key: "gone" },
        { type: "set", key: "kept", value: "1", lease: 2 },
        { type: "set", key: "kept", value: "2" },
      ],
    });
    await cluster.converged("a", "b");
    for (const db of [a, b]) {
      for (const key of ["moved", "kept"]) {
        await assertReads(db, key, "2");
        assertEquals((await db.getEntry(key))?.leaseholder, 2);
      }
      assertEquals(await db.has("gone"), false);
      assertEquals(db.metrics().conflicts, 0);
    }
  },
);

scenario(
  "checks: a version that is none is refused as such, and a range that is none too",
  async (cluster) => {
    const a = await cluster.open("a");
    await a.set("key", "value");
    for (const version of [undefined, 5, "x", {}, { life: 1 }]) {
      const checks = [{ key: "key", version: version as unknown as null }];
      await assertRejects(() => a.commit({ checks, ops: [] }), TypeError);
    }
    for (const option of ["prefix", "start", "end"]) {
      const range = { [option]: 5 } as unknown as { prefix: string };
      await assertRejects(() => a.count(range), TypeError);
      assertThrows(() => [...a.listSync(range)], TypeError);
    }
  },
);

function pair(value: string) {
  return [
    { type: "set", key: "left", value },
    { type: "set", key: "right", value },
  ] as const;
}
