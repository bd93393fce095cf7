/**
 * Sessions: what was written on one node is read on another, by the token of the
 * write.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ClosedError,
  type DB,
  DeadlineExceededError,
  joinTokens,
  type Token,
} from "../../mod.ts";
import { scenario, text } from "../sim/cluster.ts";

const SLOW = { propagation: { antiEntropyIntervalMs: 20_000 } };

scenario(
  "session: a read with the token of a write sees it on every node, whatever was lost on the way, by every way of reading",
  async (cluster) => {
    const [a, b, c] = await cluster.openAll(["a", "b", "c"]);
    await a!.set("key", "0");
    await cluster.converged("a", "b", "c");
    for (let i = 1; i <= 5; i++) {
      // The push hangs on the cut link; the read asks for what it brought.
      cluster.cut(["a"], ["b", "c"]);
      const { token } = await a!.set("key", `${i}`);
      assertEquals(text(await b!.get("key")), `${i - 1}`);
      cluster.world.heal();
      const atLeast = { atLeast: token };
      assertEquals(text(await b!.get("key", atLeast)), `${i}`);
      assertEquals(text((await c!.getEntry("key", atLeast))?.value), `${i}`);
    }
    cluster.cut(["a"], ["b"]);
    const { token } = await a!.delete("key");
    const more = await a!.set("more", "1");
    cluster.world.heal();
    assertEquals(await b!.has("key", { atLeast: token }), false);
    const keys: string[] = [];
    const both = { atLeast: joinTokens(token, more.token) };
    for await (const key of c!.keys(both)) keys.push(text(key));
    assertEquals(keys, ["more"]);
    assertEquals(await c!.count(both), 1);
    for await (const { value } of b!.list({ ...both, limit: 1 })) {
      assertEquals(text(value), "1");
    }
  },
  { defaults: SLOW },
);

scenario(
  "session: a write that changes nothing has a token too, which stands for what it found",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b"]);
    cluster.cut(["a"], ["b"]);
    await a!.set("key", "1");
    await a!.delete("key");
    const { token, version } = await a!.delete("key");
    assertEquals(version, undefined);
    await assertRejects(
      () => b!.get("key", { atLeast: token, timeoutMs: 500 }),
      DeadlineExceededError,
    );
    cluster.world.heal();
    assertEquals(await b!.get("key", { atLeast: token }), undefined);
    // Of what never was there is nothing to wait for.
    const never = await a!.delete("never");
    assertEquals(await b!.get("never", { atLeast: never.token }), undefined);
  },
  { defaults: SLOW },
);

scenario(
  "session: a token outlives the node that gave it and every start; what is gone for ever ends by the deadline",
  async (cluster) => {
    const [a, b, c] = await cluster.openAll(["a", "b", "c"]);
    cluster.cut(["a"], ["c"]);
    cluster.cut(["b"], ["c"]);
    const { token } = await a!.set("key", "value");
    await b!.get("key", { atLeast: token });
    await c!.close();
    cluster.kill("a");
    cluster.world.heal();
    const again = await cluster.reopen("c");
    // Its author is down: another node has it.
    assertEquals(text(await again.get("key", { atLeast: token })), "value");
    await again.close();
    const third = await cluster.reopen("c");
    assertEquals(text(await third.get("key", { atLeast: token })), "value");
    const a2 = await cluster.reopen("a");
    assertEquals(text(await a2.get("key", { atLeast: token })), "value");
    const tookMs = await cluster.timed(() =>
      assertRejects(
        () => third.get("key", { atLeast: "AQKOgICAIASAgICAIKwC" }),
        DeadlineExceededError,
      )
    );
    assert(tookMs >= 10_000 && tookMs < 10_100, `${tookMs} ms`);
  },
  { defaults: SLOW },
);

scenario(
  "session: reads that hand on the token of a node never go back, whichever node they ask next",
  async (cluster, seed) => {
    const dbs = await cluster.openAll(["a", "b", "c"]);
    const [a] = dbs;
    await a!.set("key", "0");
    let writing = true;
    const writer = (async () => {
      for (let i = 1; i <= 100; i++) {
        await a!.set("key", `${i}`);
        if (i % 10 === 0) cluster.cut(["a"], [i % 20 === 0 ? "b" : "c"]);
        await cluster.world.sleep(7);
        if (i % 10 === 5) cluster.world.heal();
      }
      cluster.world.heal();
      writing = false;
    })();
    let session: Token | undefined;
    let last = -1;
    for (let i = seed; writing; i++) {
      const db = dbs[(i * 7 + (i >> 2)) % 3]!;
      const options = session === undefined ? {} : { atLeast: session };
      const value = Number(text(await db.get("key", options)) ?? -1);
      assert(value >= last, `${value} after ${last}`);
      last = value;
      session = await db.token();
      await cluster.world.sleep(1);
    }
    await writer;
  },
);

scenario(
  "session: what is no token is refused at once, and a close ends a wait",
  async (cluster) => {
    const [, b] = await cluster.openAll(["a", "b"]);
    for (const atLeast of ["?", 7 as never, "AQ"]) {
      await assertRejects(() => b!.get("key", { atLeast }), TypeError);
      await assertRejects(() => b!.getEntry("key", { atLeast }), TypeError);
      await assertRejects(() => b!.count({ atLeast }), TypeError);
    }
    const never = { atLeast: "AQKOgICAIASAgICAIKwC", timeoutMs: 60_000 };
    await assertRejects(
      () => b!.get("key", { ...never, timeoutMs: 0 }),
      RangeError,
    );
    const waiting = assertRejects(() => b!.get("key", never), ClosedError);
    const listing = assertRejects(async () => {
      for await (const _ of b!.list(never));
    }, ClosedError);
    await cluster.world.sleep(100);
    await b!.close();
    await waiting;
    await listing;
    await assertRejects(() => b!.token(), ClosedError);
  },
  { seeds: 1 },
);

scenario(
  "the token of a write that changed nothing goes on from what the node had then",
  async (cluster) => {
    const [a, b] = await cluster.openAll(["a", "b"]) as [DB, DB];
    await a.set("key", "1");
    await cluster.converged("a", "b");
    const { token } = await a.delete("no such key");
    await a.set("key", "2");
    await cluster.converged("a", "b");
    for (const db of [a, b]) {
      const reader = db.watch({ since: token }).getReader();
      const { value } = await reader.read();
      assertEquals(value!.map(({ type }) => type), ["set"]);
      await reader.cancel();
      assertEquals(text(await db.get("key", { atLeast: token })), "2");
    }
  },
);
