/**
 * Watches: what is seen, in which order, and what a slow watcher is told: the
 * original's scenarios of observers.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Change,
  type DB,
  DeadlineExceededError,
  type Token,
  TokenTooOldError,
} from "../../mod.ts";
import { collect, scenario, text } from "../sim/cluster.ts";

scenario(
  "K13: a watcher gets one change with the key, the value and the version",
  async (cluster) => {
    const a = await cluster.open("a");
    const seen: Change[][] = [];
    using _watch = a.onChange((changes) => void seen.push(changes));
    const { version } = await a.set("key", "value");
    await cluster.until("it is told", () => seen.length > 0, 100);
    await cluster.world.sleep(5000);
    assertEquals(seen.length, 1);
    const [change, ...more] = seen[0]!;
    assertEquals(more, []);
    assert(change?.type === "set");
    assertEquals([text(change.key), text(change.value)], ["key", "value"]);
    assertEquals([change.version, change.leaseholder], [version, 1]);
  },
);

scenario(
  "K14: with a watcher that never comes back, 700 writes finish within 5 s, as fast as without",
  async (cluster) => {
    const a = await cluster.open("a");
    let calls = 0;
    using _watch = a.onChange(() => {
      calls++;
      return new Promise(() => {});
    });
    const stream = a.watch();
    const tookMs = await cluster.timed(async () => {
      for (let i = 0; i < 700; i++) await a.set(`key ${i}`, "value");
    });
    assert(tookMs < 5000, `${tookMs} ms`);
    assertEquals(calls, 1);
    await stream.cancel();
  },
  { seeds: 1 },
);

scenario(
  "K15: a watcher that ignores its host is silent on what the host leads",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const seen = collect(a.watch({ ignoreHost: true }));
    await a.set("own", "value");
    await a.delete("own");
    await cluster.until(
      "b knows of the key",
      async () => b.metrics().recordsApplied > 0 && !await b.has("own"),
    );
    // Also where a peer was the gateway of the write.
    await b.set("own", "by b");
    await cluster.world.sleep(5000);
    assertEquals(seen, []);
  },
);

scenario(
  "K16: a watcher that ignores its host sees a peer's write once",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const seen = collect(a.watch({ ignoreHost: true }));
    await b.set("key", "value");
    await cluster.until("it is told", () => seen.length > 0, 1000);
    await cluster.world.sleep(5000);
    assertEquals(texts(seen), [["set key=value"]]);
  },
);

scenario(
  "K17: of its own and peers' writes, a watcher that ignores its host sees the peers' only",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const seen = collect(a.watch({ ignoreHost: true }));
    await a.set("own", "1");
    await b.set("remote", "1");
    await a.set("own", "2");
    await b.delete("remote");
    await cluster.until("all is told", () => seen.length === 2);
    await cluster.world.sleep(5000);
    assertEquals(texts(seen), [["set remote=1"], ["delete remote"]]);
  },
);

scenario(
  "K18: a write that reaches a node by several ways is told there once",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await cluster.open("c");
    await a.set("key", "0");
    await cluster.converged("a", "b", "c");
    const seen = collect(b.watch());
    for (let i = 1; i <= 5; i++) {
      // What a pushes hangs on the cut link, and arrives after b has pulled it
      // from c.
      cluster.cut(["a"], ["b"]);
      await a.set("key", `${i}`);
      await cluster.until(
        "b has it from c",
        async () => text(await b.get("key")) === `${i}`,
      );
      cluster.world.heal();
      await cluster.world.sleep(500);
    }
    await cluster.world.sleep(5000);
    assertEquals(texts(seen), [1, 2, 3, 4, 5].map((i) => [`set key=${i}`]));
  },
  { defaults: { propagation: { antiEntropyIntervalMs: 200 } } },
);

scenario(
  "K19: a watcher without options sees every change in order, the versions rising",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "0");
    await cluster.converged("a", "b");
    const [atA, atB] = [collect(a.watch()), collect(b.watch())];
    await a.set("key", "1");
    await b.set("key", "2");
    await b.delete("key");
    await b.set("other", "3");
    await a.commit({
      ops: [
        { type: "set", key: "x", value: "4" },
        { type: "set", key: "y", value: "5" },
      ],
    });
    const all = ["set key=1", "set key=2", "delete key", "set other=3"];
    const batch = ["set x=4", "set y=5"];
    await cluster.until(
      "both are told",
      () => [atA, atB].every((seen) => seen.flat().length === 6),
    );
    await cluster.world.sleep(5000);
    for (const seen of [atA, atB]) {
      const told = texts(seen);
      // A batch comes whole; of keys that different nodes lead any may be first.
      assert(told.some((each) => `${each}` === `${batch}`), `${told}`);
      assertEquals(
        told.flat().filter((each) => each.includes("key")),
        all.slice(0, 3),
      );
      assertEquals(told.flat().sort(), [...all, ...batch].sort());
    }
  },
);

scenario("x/observe: a prefix, or keys, are watched alone", async (cluster) => {
  const a = await cluster.open("a");
  const prefix = collect(a.watch({ prefix: "user/" }));
  const keys = collect(a.watch({ keys: ["user/1", Uint8Array.of(0)] }));
  await a.set("user/1", "a");
  await a.set("users", "b");
  await a.set("user/2", "c");
  await a.set(Uint8Array.of(0), "d");
  await cluster.until("all is told", () => prefix.length + keys.length === 4);
  assertEquals(texts(prefix).flat(), ["set user/1=a", "set user/2=c"]);
  assertEquals(texts(keys).flat(), ["set user/1=a", "set \0=d"]);
});

scenario(
  "x/observe: several handlers are called; one that throws is reported and called again; a disposed one is not",
  async (cluster) => {
    const a = await cluster.open("a");
    const events = collect(a.events());
    const calls = { first: 0, second: 0, throwing: 0 };
    const first = a.onChange(() => void calls.first++);
    using _second = a.onChange(async () => {
      calls.second++;
      await cluster.world.sleep(1);
    });
    using _throwing = a.onChange(() => {
      calls.throwing++;
      throw new Error("the handler's own");
    });
    await a.set("key", "1");
    await cluster.until("all are called", () => calls.second === 1);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    await a.set("key", "2");
    await cluster.until("all are called", () => calls.throwing === 2);
    await cluster.until("the slow one too", () => calls.second === 2);
    assertEquals(calls, { first: 1, second: 2, throwing: 2 });
    const failed = events.filter(({ type }) => type === "handlerFailed");
    assertEquals(failed.length, 2);
    assertEquals(a.metrics().watchers, 2);
  },
);

scenario(
  "x/observe: handlers are called one batch at a time, in order, however slow",
  async (cluster) => {
    const a = await cluster.open("a");
    const told: string[] = [];
    let running = 0;
    using _watch = a.onChange(async (changes) => {
      assertEquals(++running, 1);
      await cluster.world.sleep(10);
      told.push(...texts([changes]).flat());
      running--;
    });
    for (let i = 0; i < 20; i++) await a.set("key", `${i}`);
    await cluster.until("all is told", () => told.length === 20);
    assertEquals(told, Array.from({ length: 20 }, (_, i) => `set key=${i}`));
  },
);

scenario(
  "X19, x/observe: a watcher that does not keep up is told how much it missed, in its place; others miss nothing",
  async (cluster) => {
    const a = await cluster.open("a");
    const slow = a.watch({ queueBytesMax: 4096 }).getReader();
    const fast = collect(a.watch());
    for (let i = 0; i < 200; i++) await a.set(`key ${i}`, "value");
    await cluster.until("the fast one is told", () => fast.length === 200);
    const seen: string[] = [];
    let missed = 0;
    while (missed === 0) {
      for (const change of (await slow.read()).value!) {
        if (change.type === "lagged") missed = change.missed;
        else if (change.type !== "reset") seen.push(text(change.key));
      }
    }
    assert(seen.length > 0 && seen.length < 50, `${seen.length}`);
    assertEquals(
      seen,
      Array.from({ length: seen.length }, (_, i) => `key ${i}`),
    );
    assertEquals(seen.length + missed, 200);
    // Afterwards it sees what comes.
    await a.set("key", "on");
    const [next] = (await slow.read()).value!;
    assert(next?.type === "set");
    assertEquals(text(next.value), "on");
    await slow.cancel();
    assertEquals(texts(fast).flat().length, 201);
  },
);

scenario(
  "watch: a watcher that does not keep up is told the newest version of each key, marked, before anything is dropped",
  async (cluster) => {
    const a = await cluster.open("a");
    const slow = a.watch({ queueBytesMax: 4096 }).getReader();
    for (let i = 0; i < 200; i++) await a.set(`key ${i % 5}`, `${i}`);
    const changes = (await slow.read()).value!;
    assertEquals(
      changes.map((change) =>
        change.type === "set" && change.coalesced && text(change.value)
      ),
      ["195", "196", "197", "198", "199"],
    );
    await a.set("key 0", "on");
    const [next] = (await slow.read()).value!;
    assert(next?.type === "set" && !next.coalesced);
    await slow.cancel();
  },
);

scenario(
  "watch: with the token of the last batch a watch goes on where it was, after a kill, on another node, and back",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b", "c"]);
    const told: string[] = [];
    let since: Token | undefined = await a!.token();
    const follow = async (db: DB, until: string) => {
      for await (const batch of db.watch({ prefix: "key", since })) {
        told.push(...texts([batch]).flat());
        since = batch.at(-1)!.token;
        if (told.at(-1) === `set key=${until}`) return;
      }
    };
    await a!.set("key", "1");
    await a!.set("other", "1");
    await follow(a!, "1");
    await a!.set("key", "2");
    await a!.delete("key");
    cluster.kill("a");
    const again = await cluster.reopen("a");
    await again.set("key", "3");
    await follow(again, "3");
    // What it writes does not reach b: b is told of nothing until it has it.
    cluster.cut(["a"], ["b", "c"]);
    await again.set("key", "4");
    const followed = follow(again, "4");
    await followed;
    const onB = follow(b!, "6");
    await cluster.world.sleep(1000);
    cluster.world.heal();
    await again.set("key", "5");
    await b!.set("key", "6");
    await onB;
    await again.set("key", "7");
    await follow(again, "7");
    assertEquals(told, [
      "set key=1",
      "set key=2",
      "delete key",
      ...[3, 4, 5, 6, 7].map((i) => `set key=${i}`),
    ]);
  },
);

scenario(
  "watch: while others write, readers that stop, and go on anywhere with their tokens, see every change of a key once and in order",
  async (cluster, seed) => {
    const [a, b, c] = await cluster.openAll(["a", "b", "c"]);
    const start = await a!.token();
    let ended = false;
    const writes = (async () => {
      for (let i = 1; i <= 60; i++) {
        await Promise.all([a!, b!].map((db, n) => db.set(`key ${n}`, `${i}`)));
        if (i === 20) cluster.cut(["a"], ["c"]);
        if (i === 40) cluster.world.heal();
        await cluster.world.sleep(i % 7);
      }
      ended = true;
    })();
    const seen = new Map<string, number[]>();
    let since: Token | undefined = start;
    let last = 0;
    for (let turn = seed; last < 120; turn++) {
      const db = [a!, b!, c!][(turn * 5 + (turn >> 1)) % 3]!;
      const reader: ReadableStreamDefaultReader<Change[]> = db
        .watch({ since }).getReader();
      for (let n = turn % 9; n >= 0 && last < 120; n--) {
        const batch = (await reader.read()).value!;
        for (const change of batch) {
          assert(change.type === "set" && !change.coalesced);
          const key = text(change.key);
          seen.set(key, [...seen.get(key) ?? [], Number(text(change.value))]);
          last++;
        }
        since = batch.at(-1)!.token;
      }
      await reader.cancel();
    }
    await writes;
    assert(ended);
    const all = Array.from({ length: 60 }, (_, i) => i + 1);
    assertEquals(seen, new Map([["key 0", all], ["key 1", all]]));
  },
);

scenario(
  "watch: a token older than the log is refused as such, and so is one that this node never gets; an initial state begins anew",
  async (cluster) => {
    const a = await cluster.open("a", { propagation: { logBytesMax: 10_000 } });
    const events = collect(a.events());
    const { token } = await a.set("key", "0");
    for (let i = 1; i <= 200; i++) {
      await a.set("key", `${i} ${"x".repeat(100)}`);
    }
    const old = a.watch({ since: token }).getReader();
    await assertRejects(() => old.read(), TokenTooOldError);
    const never = { since: "AQKOgICAIASAgICAIKwC", timeoutMs: 500 };
    const tookMs = await cluster.timed(() =>
      assertRejects(
        () => a.watch(never).getReader().read(),
        DeadlineExceededError,
      )
    );
    assert(tookMs >= 500 && tookMs < 600, `${tookMs} ms`);
    using _watch = a.onChange(() => {}, { since: token });
    await cluster.until(
      "it is told",
      () =>
        events.some((event) =>
          event.type === "watchFailed" &&
          event.error instanceof TokenTooOldError
        ),
    );
    const reader = a.watch({ initial: true }).getReader();
    const [state] = (await reader.read()).value!;
    assert(state?.type === "set" && state.coalesced);
    assert(text(state.value)?.startsWith("200 "));
    await a.set("key", "on");
    assertEquals(texts([(await reader.read()).value!]), [["set key=on"]]);
    await reader.cancel();
    assertEquals(a.metrics().watchers, 0);
  },
);

scenario(
  "x/observe: close ends every stream after what waits",
  async (cluster) => {
    const a = await cluster.open("a");
    const reader = a.watch().getReader();
    const events = a.events().getReader();
    const members = a.cluster.watch().getReader();
    await a.set("key", "value");
    await a.close();
    assertEquals(texts([(await reader.read()).value!]), [["set key=value"]]);
    assertEquals((await reader.read()).done, true);
    while (!(await events.read()).done);
    while (!(await members.read()).done);
  },
);

scenario(
  "x/observe: a node that catches up is told the newest version of each key once, marked as coalesced where some were left out",
  async (cluster) => {
    const a = await cluster.open("a");
    await cluster.open("b");
    await a.set("key", "0");
    await cluster.converged("a", "b");
    await cluster.node("b").close();
    for (let i = 1; i <= 50; i++) await a.set("key", `${i}`);
    const b = await cluster.reopen("b");
    const seen = collect(b.watch());
    await cluster.until(
      "b has it",
      async () => text(await b.get("key")) === "50",
    );
    await cluster.world.sleep(5000);
    const told = seen.flat().map((change) =>
      change.type === "set" ? Number(text(change.value)) : NaN
    );
    assertEquals(told.at(-1), 50);
    assertEquals(told, [...new Set(told)].sort((x, y) => x - y));
    const whole = told.length === 50;
    for (const change of seen.flat()) {
      assert(change.type === "set" && (whole || change.coalesced));
    }
  },
);

/** Batches of changes as texts. */
function texts(batches: readonly Change[][]): string[][] {
  return batches.map((batch) =>
    batch.map((change) => {
      if (change.type === "lagged") return `lagged by ${change.missed}`;
      if (change.type === "reset") return "reset";
      const key = text(change.key);
      return change.type === "set"
        ? `set ${key}=${text(change.value)}`
        : `delete ${key}`;
    })
  );
}
