/**
 * Watches: what is seen, in which order, and what a slow watcher is told: the
 * original's scenarios of observers.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Change } from "../../mod.ts";
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
    for (let i = 0; i < 200; i++) await a.set("key", `${i}`);
    await cluster.until("the fast one is told", () => fast.length === 200);
    const seen: number[] = [];
    let missed = 0;
    while (missed === 0) {
      const [change] = (await slow.read()).value!;
      if (change?.type === "lagged") missed = change.missed;
      else if (change?.type === "set") seen.push(Number(text(change.value)));
    }
    assert(seen.length > 0 && seen.length < 50, `${seen.length}`);
    assertEquals(seen, Array.from({ length: seen.length }, (_, i) => i));
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
