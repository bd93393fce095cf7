/**
 * The whole database over an engine whose every call is awaited: nothing of it
 * leans on reads that answer at once.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type Change,
  CheckFailedError,
  type KV,
  NotSupportedError,
  type OpenOptions,
} from "../../mod.ts";
import { openAwaitedKv } from "../../engine/testing/awaited_kv.ts";
import { assertReads, collect, scenario, text } from "../sim/cluster.ts";

const engine = async (): Promise<OpenOptions & { engine: KV }> => ({
  engine: await openAwaitedKv(),
});

scenario(
  "awaited engine: the original's program runs: a set on one node, the get on the other, both addresses",
  async (cluster) => {
    const db1 = await cluster.open("a", await engine());
    const db2 = await cluster.open("b", await engine());
    await db1.set("key", "value");
    await db2.caughtUp();
    await assertReads(db2, "key", "value");
    assertEquals(db1.cluster.resolve(1), "a:1");
    assertEquals(db1.cluster.resolve(2), "b:1");
  },
);

scenario(
  "awaited engine: synchronous reads are not supported, and say so",
  async (cluster) => {
    const a = await cluster.open("a", await engine());
    await a.set("key", "value");
    const error = assertThrows(() => a.getSync("key"), NotSupportedError);
    assert(error.message.includes("getSync"), error.message);
    assertThrows(() => [...a.listSync()], NotSupportedError);
    await assertReads(a, "key", "value");
  },
);

scenario(
  "awaited engine: forwarding, transactions, checks, lists, watches and conflicts are as ever",
  async (cluster) => {
    const a = await cluster.open("a", await engine());
    const b = await cluster.open("b", await engine());
    const seen = collect(b.watch());
    await a.set("led by a", "1");
    await cluster.converged("a", "b");
    await b.set("led by a", "2");
    await assertReads(a, "led by a", "2");
    await using tx = b.transaction();
    tx.set("led by a", "3").set("led by b", "1").delete("never");
    const inside: string[] = [];
    for await (const { key, value } of tx.list({ reverse: true })) {
      inside.push(`${text(key)}=${text(value)}`);
    }
    assertEquals(inside, ["led by b=1", "led by a=3"]);
    await tx.commit();
    await assertReads(b, "led by a", "3");
    await assertRejects(
      () =>
        b.commit({
          checks: [{ key: "led by b", version: null }],
          ops: [{ type: "delete", key: "led by b" }],
        }),
      CheckFailedError,
    );
    for (let i = 0; i < 20; i++) await a.set(`many ${i}`, "x");
    await a.delete("many 3");
    await cluster.converged("a", "b");
    assertEquals(await b.count({ prefix: "many " }), 19);
    const keys: string[] = [];
    for await (const key of b.keys({ start: "many 1", end: "many 12" })) {
      keys.push(text(key));
    }
    assertEquals(keys, ["many 1", "many 10", "many 11"]);
    cluster.cut(["a"], ["b"]);
    await a.set("contested", "a");
    await b.set("contested", "b");
    cluster.world.heal();
    await cluster.converged("a", "b");
    assertEquals([a.metrics().conflicts, b.metrics().conflicts], [1, 1]);
    let reports = 0;
    for await (const { kept, lost } of a.conflicts()) {
      reports++;
      assertEquals([text(kept?.value), text(lost.value)].sort(), ["a", "b"]);
    }
    assertEquals(reports, 1);
    assert(seen.flat().length >= 24);
  },
);

scenario(
  "awaited engine: a read waits for a token, and a watch tells what is there, goes on, and goes on again where it was",
  async (cluster) => {
    const a = await cluster.open("a", await engine());
    const { engine: kv } = await engine();
    const b = await cluster.open("b", { engine: kv });
    const { token } = await a.set("key", "1");
    assertEquals(text(await b.get("key", { atLeast: token })), "1");
    const told: string[] = [];
    let since: string | undefined;
    const take = async (
      reader: ReadableStreamDefaultReader<Change[]>,
      until: string,
    ) => {
      while (told.at(-1) !== until) {
        for (const change of (await reader.read()).value!) {
          assert(change.type === "set");
          told.push(text(change.value)!);
          since = change.token;
        }
      }
    };
    const reader = b.watch({ initial: true }).getReader();
    await take(reader, "1");
    await a.set("key", "2");
    await take(reader, "2");
    await reader.cancel();
    await b.set("own", "3");
    await a.set("key", "4");
    await cluster.converged("a", "b");
    await b.close();
    const again = await cluster.reopen("b", { engine: kv });
    await take(again.watch({ since }).getReader(), "4");
    assertEquals(told, ["1", "2", "3", "4"]);
  },
);

scenario(
  "awaited engine: values that end are hidden from every read, and deleted",
  async (cluster) => {
    const a = await cluster.open("a", await engine());
    const seen = collect(a.watch());
    for (const key of ["a", "b", "c", "d"]) {
      await a.set(key, "v", key < "c" ? { expireIn: 50 } : {});
    }
    assertEquals(await a.count(), 4);
    await cluster.world.sleep(55);
    assertEquals([await a.count(), await a.has("a")], [2, false]);
    const keys: string[] = [];
    for await (const key of a.keys({ reverse: true })) keys.push(text(key));
    assertEquals(keys, ["d", "c"]);
    await cluster.until("they are deleted", () => seen.length === 5);
    assertEquals(seen[4]!.map(({ type }) => type), ["delete", "delete"]);
  },
);

scenario(
  "awaited engine: it is not closed with the database, and is reopened as the node it was",
  async (cluster) => {
    const { engine: kv } = await engine();
    const a = await cluster.open("a", { engine: kv });
    const b = await cluster.open("b", await engine());
    await a.set("key", "value");
    await a.close();
    await b.set("meanwhile", "b");
    const again = await cluster.reopen("a", { engine: kv });
    assertEquals(again.cluster.host.key, 1);
    assertEquals(again.cluster.host.heartbeat.generation, 2);
    await assertReads(again, "key", "value");
    await cluster.converged("a", "b");
    await assertReads(again, "meanwhile", "b");
  },
);

scenario(
  "awaited engine: a joiner takes a session of much data",
  async (cluster) => {
    const a = await cluster.open("a", await engine());
    await a.commit({
      ops: Array.from({ length: 500 }, (_, i) => ({
        type: "set",
        key: `key ${i}`,
        value: new Uint8Array(1000).fill(i),
      })),
    });
    await a.delete("key 1");
    const b = await cluster.open("b", await engine());
    assertEquals(await b.count(), 499);
    assertEquals(await b.get("key 400"), new Uint8Array(1000).fill(400));
  },
  { seeds: 1 },
);
