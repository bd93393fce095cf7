/**
 * Coming back: with peers down, all at once, after a crash in the middle of
 * writing, and in the middle of closing.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  AspenError,
  type BatchOp,
  ClosedError,
  type DB,
  type KV,
  LeaseholderUnavailableError,
  PoisonedError,
} from "../../mod.ts";
import { openAwaitedKv } from "../../engine/testing/awaited_kv.ts";
import { assertReads, collect, dump, scenario, text } from "../sim/cluster.ts";

/** Opening from one's own disk takes no longer, in virtual milliseconds. */
const OPEN_MS_MAX = 500;

scenario(
  "X1: a node is reopened at once while its peers are down, reads all it had and writes what it leads",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await cluster.open("c");
    await a.set("by a", "1");
    await b.set("by b", "1");
    await cluster.converged("a", "b", "c");
    await b.close();
    cluster.kill("c");
    cluster.kill("a");
    let again!: DB;
    const tookMs = await cluster.timed(async () => {
      again = await cluster.reopen("b");
    });
    assert(tookMs < OPEN_MS_MAX, `${tookMs} ms`);
    await assertReads(again, "by a", "1");
    assert(await cluster.timed(() => again.set("by b", "2")) < 50);
    assert(await cluster.timed(() => again.set("new", "2")) < 50);
    // One that does not answer, instead of being down, changes nothing.
    await again.close();
    await cluster.reopen("c");
    cluster.cut(["b"], ["c"]);
    const blindMs = await cluster.timed(() => cluster.reopen("b"));
    assert(blindMs < 5000, `${blindMs} ms`);
    await assertReads(cluster.node("b"), "by b", "2");
    cluster.world.heal();
    await cluster.converged("b", "c");
    await cluster.reopen("a");
    await cluster.converged("a", "b", "c");
    await assertReads(cluster.node("a"), "new", "2");
  },
);

for (const unsynced of ["lost", "torn", "kept"] as const) {
  scenario(
    `X4: what was acked right before a kill is there at the reopen, and reaches all: unsynced data ${unsynced}`,
    async (cluster) => {
      const a = await cluster.open("a");
      const b = await cluster.open("b");
      await cluster.converged("a", "b");
      // Nobody else has it when its node dies, and it is not under way either.
      cluster.cut(["a"], ["b"]);
      await cluster.until("a is apart", () => a.metrics().peersConnected === 0);
      const one = await a.set("one", "1");
      const both = await a.commit({
        ops: [
          { type: "set", key: "two", value: "2" },
          { type: "set", key: "three", value: "3" },
        ],
      });
      cluster.world.kill("a", { unsynced });
      const again = await cluster.reopen("a");
      const { version } = (await again.getEntry("one"))!;
      assertEquals(version, one.version);
      await assertReads(again, "two", "2");
      assertEquals((await again.getEntry("three"))!.version, both.versions[1]);
      cluster.world.heal();
      await cluster.converged("a", "b");
      await assertReads(b, "one", "1");
      await assertReads(b, "three", "3");
    },
  );
}

for (const together of [false, true]) {
  const how = together ? "all at once" : "one after another";
  scenario(
    `X2: a whole cluster that lost its power comes back ${how}, with all that was acked`,
    async (cluster, seed) => {
      const names = ["a", "b", "c", "d"];
      for (const name of names) await cluster.open(name);
      const acked = new Map<string, string>();
      const writing = names.flatMap((name) =>
        Array.from({ length: 20 }, async (_, i) => {
          const db = cluster.node(name);
          for (let round = 0; round < 5; round++) {
            const key = `${name} ${i}`;
            await db.set(key, `${round}`);
            acked.set(key, `${round}`);
          }
        })
      );
      void Promise.allSettled(writing);
      await cluster.world.sleep(3 + seed);
      for (const name of names) cluster.kill(name);
      assert(acked.size > 0);
      const promised = new Map(acked);
      if (together) {
        await Promise.all(names.map((name) => cluster.reopen(name)));
      } else {
        for (const name of names.toReversed()) {
          const tookMs = await cluster.timed(() => cluster.reopen(name));
          assert(tookMs < OPEN_MS_MAX, `${name}: ${tookMs} ms`);
          // It serves what it has before the next one is there.
          const db = cluster.node(name);
          await db.set(`alone ${name}`, "x");
          for (const [key, value] of promised) {
            if (!key.startsWith(name)) continue;
            const found = text(await db.get(key));
            assert(
              Number(found) >= Number(value),
              `${key}: ${found}, ${value}`,
            );
          }
        }
      }
      await cluster.converged(...names);
      const rows = new Map(
        (await dump(cluster.node("a"))).map(({ key, value }) => [key, value]),
      );
      for (const [key, value] of promised) {
        // A later write of that key may have been durable without an ack.
        assert(
          Number(rows.get(key)) >= Number(value),
          `${key}: ${rows.get(key)}`,
        );
      }
      for (const name of names) {
        assertEquals(cluster.node(name).cluster.nodes().size, 4);
        assertEquals(cluster.node(name).metrics().conflicts, 0);
      }
    },
    { seeds: 6 },
  );
}

scenario(
  "X6: the one write of a quiet leaseholder, missed, is not hidden by the many of a busy one",
  async (cluster) => {
    const quiet = await cluster.open("a");
    const busy = await cluster.open("b");
    const c = await cluster.open("c");
    await cluster.until(
      "all are connected",
      () => [quiet, busy, c].every((db) => db.metrics().peersConnected === 2),
    );
    await busy.set("busy 0", "x");
    await cluster.converged("a", "b", "c");
    cluster.cut(["a"], ["b", "c"]);
    await quiet.set("quiet", "x");
    for (let i = 1; i <= 200; i++) await busy.set(`busy ${i}`, "x");
    await cluster.until("c has what is busy", () => c.has("busy 200"));
    assertEquals(await c.has("quiet"), false);
    // What hung on the cut links is lost, and the busy one goes on.
    cluster.world.reset("a", "b");
    cluster.world.reset("a", "c");
    cluster.world.heal();
    for (let i = 201; i <= 250; i++) await busy.set(`busy ${i}`, "x");
    await cluster.converged("a", "b", "c");
    await assertReads(c, "quiet", "x");
    await assertReads(busy, "quiet", "x");
    assertEquals(await quiet.count(), 252);
  },
);

scenario("X6: the same for a node that was down meanwhile", async (cluster) => {
  const quiet = await cluster.open("a");
  const busy = await cluster.open("b");
  const c = await cluster.open("c");
  await c.set("own", "x");
  await cluster.converged("a", "b", "c");
  await c.close();
  await quiet.set("quiet", "x");
  for (let i = 1; i <= 200; i++) await busy.set(`busy ${i}`, "x");
  cluster.kill("a");
  // Only the busy one is there, and may not have what is quiet.
  await cluster.reopen("c");
  await cluster.until(
    "c has what is busy",
    () => cluster.node("c").has("busy 200"),
  );
  await cluster.reopen("a");
  await cluster.converged("a", "b", "c");
  await assertReads(cluster.node("c"), "quiet", "x");
});

scenario(
  "X7: a hot key that all nodes write while links break is the same everywhere in the end, and is the last that was acked",
  async (cluster) => {
    const names = ["a", "b", "c"];
    for (const name of names) await cluster.open(name);
    await cluster.node("a").set("hot", "0");
    await cluster.converged(...names);
    const random = cluster.world.random("breaks");
    let acked = 0;
    let writing = names.length;
    const write = async (name: string) => {
      const db = cluster.node(name);
      for (let i = 0; i < 60; i++) {
        try {
          await db.set("hot", `${name} ${i}`, { timeoutMs: 200 });
          acked++;
        } catch (error) {
          assert(error instanceof AspenError, `${error}`);
        }
        await cluster.world.sleep(random.float() * 5);
      }
      writing--;
    };
    const writers = names.map(write);
    while (writing > 0) {
      const [one, other] = random.float() < 0.5 ? ["a", "b"] : ["a", "c"];
      cluster.world.reset(one!, other!);
      cluster.world.cut("b", "c");
      await cluster.world.sleep(random.float() * 20);
      cluster.world.heal();
      await cluster.world.sleep(random.float() * 40);
    }
    await Promise.all(writers);
    assert(acked > 60, `${acked}`);
    await cluster.converged(...names);
    const { version } = (await cluster.node("a").getEntry("hot"))!;
    const last = await cluster.node("a").set("hot", "last");
    assert(last.version!.hlc > version.hlc);
    await cluster.converged(...names);
    for (const name of names) {
      await assertReads(cluster.node(name), "hot", "last");
      assertEquals(cluster.node(name).metrics().conflicts, 0);
    }
  },
  { seeds: 5, defaults: { propagation: "fast" } },
);

scenario(
  "X13: a node that was alone with 20 MiB is joined by one that then has all of it",
  async (cluster) => {
    const a = await cluster.open("a");
    const valueOf = (i: number) => new Uint8Array(10 * 1024).fill(i);
    for (let i = 0; i < 2048; i += 64) {
      await a.commit({
        ops: Array.from({ length: 64 }, (_, j) => ({
          type: "set",
          key: `key ${i + j}`,
          value: valueOf(i + j),
        })),
      });
    }
    await a.set("large", new Uint8Array(3 * 1024 * 1024).fill(9));
    await a.delete("key 7");
    const b = await cluster.open("b");
    assertEquals(await b.count(), 2048);
    for (let i = 0; i < 2048; i += 101) {
      assertEquals(await b.get(`key ${i}`), valueOf(i));
    }
    assertEquals((await b.get("large"))?.length, 3 * 1024 * 1024);
    assertEquals(await b.has("key 7"), false);
    await a.set("after", "x");
    await cluster.until("b has it", () => b.has("after"), 1000);
  },
  { seeds: 1 },
);

scenario(
  "X18: a node that loses its power in the middle of writing comes back with all that was acked, batches whole",
  async (cluster, seed) => {
    let acked = -1;
    for (let life = 0; life < 4; life++) {
      const a = await (life === 0 ? cluster.open("a") : cluster.reopen("a"));
      const found = Number(text(await a.get("left")) ?? -1);
      assertEquals(Number(text(await a.get("right")) ?? -1), found);
      assert(found >= acked, `life ${life}: ${found} of ${acked}`);
      const lives = acked;
      void (async () => {
        for (let i = Math.max(found, acked) + 1;; i++) {
          await a.commit({
            ops: [
              { type: "set", key: "left", value: `${i}` },
              { type: "set", key: "filler", value: new Uint8Array(i * 37) },
              { type: "set", key: "right", value: `${i}` },
            ],
          });
          acked = i;
        }
      })();
      await cluster.world.sleep(
        20 + cluster.world.random(`${life}`).float() * 20,
      );
      assert(acked > lives, `seed ${seed}: nothing was acked`);
      cluster.kill("a");
    }
    await cluster.reopen("a");
  },
  { seeds: 10 },
);

scenario(
  "X18: a WAL whose tail was torn by the crash is cut there, and what was acked before it is kept",
  async (cluster) => {
    const a = await cluster.open("a");
    for (let i = 0; i < 10; i++) await a.set(`key ${i}`, "value");
    cluster.world.kill("a", { unsynced: "kept" });
    const disk = cluster.world.disk("a");
    const wals = disk.paths().filter((path) => /wal/i.test(path));
    assert(wals.length > 0, `${disk.paths()}`);
    const wal = wals.at(-1)!;
    // Half a frame of what was being written when the power went.
    const content = disk.read(wal);
    disk.write(wal, Uint8Array.from([...content, 0x40, 0, 0, 0, 1, 2, 3]));
    const again = await cluster.reopen("a");
    assertEquals(await again.count(), 10);
    await again.set("key 10", "value");
    cluster.kill("a");
    assertEquals(await (await cluster.reopen("a")).count(), 11);
  },
);

scenario(
  "X20: close settles every write that was begun, and those it acked are there afterwards",
  async (cluster, seed) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await b.set("remote", "0");
    await cluster.converged("a", "b");
    if (seed % 3 === 0) cluster.cut(["a"], ["b"]);
    if (seed % 3 === 1) cluster.kill("b");
    const outcomes = new Map<string, string>();
    const record = (name: string, promise: Promise<unknown>) =>
      promise.then(
        () => outcomes.set(name, "acked"),
        (error) => {
          assert(error instanceof AspenError, `${name}: ${error}`);
          outcomes.set(name, error.name);
        },
      );
    const begun = [
      record("remote", a.set("remote", "1")),
      record("caughtUp", a.caughtUp()),
    ];
    for (let i = 0; i < 50; i++) {
      begun.push(record(`key ${i}`, a.set(`key ${i}`, "value")));
      // Some are on their way to the disk then, some wait, some just begin.
      if (i % 10 === 9) await cluster.world.sleep((seed % 4) / 5);
    }
    const ops = [{ type: "delete", key: "key 0" }] as const;
    begun.push(record("batch", a.commit({ ops })));
    const tookMs = await cluster.timed(() => a.close());
    assert(tookMs < 1000, `${tookMs} ms`);
    await Promise.all(begun);
    assertEquals(outcomes.size, begun.length);
    // What was begun before the close is done, not refused, where no peer is
    // needed.
    for (let i = 0; i < 50; i++) {
      assertEquals(outcomes.get(`key ${i}`), "acked");
    }
    await a.close();
    await assertRejects(() => a.set("key", "late"), ClosedError);
    await assertRejects(() => a.get("key"), ClosedError);
    await assertRejects(() => a.caughtUp(), ClosedError);
    assertThrows(() => a.transaction(), ClosedError);
    const again = await cluster.reopen("a");
    assertEquals(await again.has("key 49"), true);
    assertEquals(outcomes.get("batch"), "acked");
    assertEquals(await again.has("key 0"), false);
    cluster.world.heal();
  },
  { seeds: 12 },
);

/**
 * An engine that fails from a moment on, as a full disk does: every write, or
 * those that `fails` picks, which then may take their time.
 */
async function failingKv(
  fails: (batch: readonly BatchOp[]) => boolean | Promise<boolean> = () => true,
): Promise<{ kv: KV; fail: () => void }> {
  const inner = await openAwaitedKv();
  let failing = false;
  const kv: KV = {
    synchronous: inner.synchronous,
    get: (key) => inner.get(key),
    iterate: (options) => inner.iterate(options),
    snapshot: () => inner.snapshot(),
    write: async (batch, options) => {
      if (failing && await fails(batch)) throw new Error("the disk is full");
      await inner.write(batch, options);
    },
    close: () => inner.close(),
  };
  return { kv, fail: () => failing = true };
}

scenario(
  "X17: an engine that fails to write is reported, acks nothing any more, and nothing of it is seen anywhere",
  async (cluster) => {
    const { kv, fail } = await failingKv();
    const a = await cluster.open("a", { engine: kv });
    const b = await cluster.open("b");
    await a.set("key", "before");
    await cluster.converged("a", "b");
    const events = collect(a.events());
    const seen = collect(a.watch());
    fail();
    const failed = await assertRejects(() => a.set("key", "after"), Error);
    assertEquals(failed.message, "the disk is full");
    await assertRejects(() => a.set("other", "after"), PoisonedError);
    // A gateway is told too, and in time.
    await assertRejects(
      () => b.set("key", "through b", { timeoutMs: 1000 }),
      LeaseholderUnavailableError,
    );
    await b.set("own", "b");
    await cluster.world.sleep(5000);
    assertEquals(events.filter(({ type }) => type === "failed").length, 1);
    assertEquals(seen, []);
    await assertReads(a, "key", "before");
    await assertReads(b, "key", "before");
    assertEquals([await a.has("own"), await b.has("other")], [false, false]);
    await a.close();
  },
);

scenario(
  "a write that another node leads ends by its deadline, also where this node's own disk stands still",
  async (cluster) => {
    const { timers } = cluster.world.runtime("a");
    const { kv, fail } = await failingKv(async () => {
      await new Promise<void>((resolve) => void timers.set(resolve, 60_000));
      return false;
    });
    const a = await cluster.open("a", { engine: kv });
    const b = await cluster.open("b");
    await b.set("key", "before");
    await cluster.converged("a", "b");
    fail();
    const tookMs = await cluster.timed(() =>
      a.set("key", "after", { timeoutMs: 1000 })
    );
    assert(tookMs <= 1001, `${tookMs} ms`);
    await assertReads(b, "key", "after");
  },
);

scenario(
  "close: a node whose engine fails meanwhile closes all the same, and gives its address free",
  async (cluster) => {
    const { timers } = cluster.world.runtime("a");
    let saving = false;
    const { kv, fail } = await failingKv(async ([op]) => {
      if (!text(op!.key).endsWith("members")) return false;
      saving = true;
      await new Promise<void>((resolve) => void timers.set(resolve, 100));
      return true;
    });
    const a = await cluster.open("a", { engine: kv });
    fail();
    await cluster.open("b");
    await cluster.until("a saves what it heard of b", () => saving);
    await a.close();
    const again = await cluster.open("a");
    await again.set("key", "value");
  },
);

scenario(
  "close: caughtUp says that it was closed, not that the peers are missing",
  async (cluster) => {
    await cluster.open("a");
    const b = await cluster.open("b");
    await cluster.converged("a", "b");
    cluster.cut(["a"], ["b"]);
    const rejected = assertRejects(() => b.caughtUp(), ClosedError);
    await cluster.world.sleep(100);
    await b.close();
    await rejected;
  },
);

scenario(
  "close: what was acked just before is pushed, and reaches a peer that then is alone",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await cluster.until(
      "both are connected",
      () => a.metrics().peersConnected + b.metrics().peersConnected === 2,
    );
    await cluster.world.sleep(3000);
    // What comes right after a push waits, here for longer than the test.
    await a.set("first", "value");
    await a.set("key", "value");
    await cluster.until("b has the first", () => b.has("first"), 1000);
    assertEquals(await b.has("key"), false);
    await a.close();
    await cluster.until("b has it", () => b.has("key"), 1000);
  },
  {
    defaults: {
      propagation: { pushDelayMs: 1_200_000, antiEntropyIntervalMs: 1_200_000 },
    },
  },
);

scenario(
  "a node that joins goes on with another donor when the one that gives dies, and gets no entry twice",
  async (cluster) => {
    const propagation = { copyBytesPerSecond: 40_000 };
    const a = await cluster.open("a", { propagation });
    const b = await cluster.open("b", { propagation });
    const ops = Array.from({ length: 400 }, (_, i) => ({
      type: "set" as const,
      key: `k${1000 + i}`,
      value: `v${i}`.padEnd(200),
    }));
    await a.commit({ ops });
    await cluster.converged("a", "b");
    const joining = cluster.open("c", { propagation });
    const given = (db: DB) => db.metrics().sessionBytesGiven;
    await cluster.until(
      "half of a copy has gone",
      () => given(a) + given(b) > 50_000,
    );
    const [gone, left] = given(a) > given(b) ? ["a", "b"] : ["b", "a"];
    cluster.kill(gone!);
    const c = await joining;
    const { copiesTaken, copiesResumed, sessionEntries } = c.metrics();
    assertEquals([copiesTaken, copiesResumed], [1, 1]);
    assert(sessionEntries < 500, `${sessionEntries} entries came`);
    await cluster.converged(left!, "c");
    await assertReads(c, "k1399", "v399".padEnd(200));
  },
);
