/**
 * Sets, gets and deletes, on one node and through another: the original's
 * scenarios of keys and values.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  LeaseNotTransferableError,
  LimitError,
  open,
  type SetOptions,
} from "../../mod.ts";
import { openAwaitedKv } from "../../engine/testing/awaited_kv.ts";
import { assertReads, dump, scenario, text } from "../sim/cluster.ts";

scenario(
  "K1: a database opens, is empty, and closes, also twice",
  async (cluster) => {
    const a = await cluster.open("a");
    assertEquals(await dump(a), []);
    await a.close();
    await a.close();
  },
);

scenario(
  "K2: what is set is read back, by every way of reading",
  async (cluster) => {
    const a = await cluster.open("a");
    const { version } = await a.set("key", "value");
    await assertReads(a, "key", "value");
    assertEquals(text(a.getSync("key")), "value");
    assertEquals(await a.has("key"), true);
    assertEquals(await a.has("other"), false);
    assertEquals(await a.get("other"), undefined);
    const entry = await a.getEntry("key");
    assertEquals(text(entry?.value), "value");
    assertEquals([entry?.leaseholder, entry?.version], [1, version]);
  },
);

scenario(
  "K3: what is set on one node is seen on the other",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "value");
    await cluster.until("b has it", () => b.has("key"), 1000);
    await assertReads(b, "key", "value");
    assertEquals(await dump(b), await dump(a));
  },
);

scenario(
  "K4: an update through another node goes to the leaseholder, which reads it at once, as does the gateway",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "by a");
    await cluster.converged("a", "b");
    await b.set("key", "by b");
    await assertReads(a, "key", "by b");
    await assertReads(b, "key", "by b");
    assertEquals((await a.getEntry("key"))?.leaseholder, 1);
  },
);

scenario(
  "K5: a lease that a key does not have is refused, and names who leads it",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "value");
    await cluster.converged("a", "b");
    for (const db of [a, b]) {
      const error = await assertRejects(
        () => db.set("key", "other", { lease: 2 }),
        LeaseNotTransferableError,
      );
      assertEquals([error.leaseholder, error.requested], [1, 2]);
      await assertReads(db, "key", "value");
      // Naming the leaseholder that it has is no change.
      await db.set("key", "value", { lease: 1 });
    }
  },
);

scenario(
  "K6: a first set with another node's lease is read at both, and led by that node",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "value", { lease: 2 });
    for (const db of [a, b]) {
      await assertReads(db, "key", "value");
      assertEquals((await db.getEntry("key"))?.leaseholder, 2);
    }
  },
);

scenario("K7: a lease that is no node key is refused", async (cluster) => {
  const a = await cluster.open("a");
  for (const lease of ["2", 0, -1, 1.5, 65_536, NaN, null, {}]) {
    const options = { lease } as unknown as SetOptions;
    await assertRejects(() => a.set("key", "value", options), TypeError);
  }
  assertEquals(await a.has("key"), false);
});

scenario(
  "K8: the two sets of a transaction are both readable once it is committed",
  async (cluster) => {
    const a = await cluster.open("a");
    await using tx = a.transaction();
    tx.set("one", "1").set("two", "2");
    await tx.commit();
    await assertReads(a, "one", "1");
    await assertReads(a, "two", "2");
  },
);

scenario(
  "K9: a deleted key has no value, and deleting what is not there writes nothing",
  async (cluster) => {
    const a = await cluster.open("a");
    await a.set("key", "value");
    const deleted = await a.delete("key");
    assert(deleted.version !== undefined);
    assertEquals(await a.get("key"), undefined);
    assertEquals(a.getSync("key"), undefined);
    assertEquals(await a.getEntry("key"), undefined);
    assertEquals(await a.has("key"), false);
    assertEquals(await a.count(), 0);
    for (const key of ["key", "never"]) {
      assertEquals((await a.delete(key)).version, undefined);
    }
    assertEquals(a.metrics().recordsApplied, 2);
  },
);

scenario(
  "K10: a row written straight into the engine is no key of the database, and does not disturb it",
  async (cluster) => {
    const kv = await openAwaitedKv();
    const a = await cluster.open("a", { engine: kv });
    const bytes = new TextEncoder().encode("key");
    await kv.write([{ key: bytes, value: bytes }], { sync: true });
    assertEquals(await a.get("key"), undefined);
    assertEquals(await a.count(), 0);
    await a.delete("key");
    await a.set("key", "value");
    await a.delete("key");
    assertEquals(await a.has("key"), false);
    assertEquals(await kv.get(bytes), bytes);
    await a.close();
    await kv.close();
  },
);

scenario(
  "K11: a key that another node leads is deleted there, and gone at the gateway at once",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "value");
    await cluster.converged("a", "b");
    await b.delete("key");
    assertEquals(await a.has("key"), false);
    assertEquals(await b.has("key"), false);
    // The lease outlives the value.
    await b.set("key", "again");
    assertEquals((await b.getEntry("key"))?.leaseholder, 1);
  },
);

scenario(
  "K24: fifty sets at once all succeed, and reach the other node",
  async (cluster) => {
    const a = await cluster.open("a");
    await cluster.open("b");
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, i) => a.set(`key ${i}`, `value ${i}`)),
    );
    assertEquals(
      new Set(results.map((r) => JSON.stringify(r.version))).size,
      50,
    );
    await cluster.converged("a", "b");
    assertEquals(await cluster.node("b").count(), 50);
  },
);

scenario(
  "K24: fifty sets of one key at once, from both nodes, all succeed, and the last one acked at the leaseholder stays",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "first");
    await cluster.converged("a", "b");
    const results = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const value = `value ${i}`;
        return { value, ...await [a, b][i % 2]!.set("key", value) };
      }),
    );
    await cluster.converged("a", "b");
    const entry = await a.getEntry("key");
    const last = results.find(({ version }) =>
      JSON.stringify(version) === JSON.stringify(entry?.version)
    );
    assertEquals(last?.value, text(entry?.value));
    assertEquals(a.metrics().conflicts + b.metrics().conflicts, 0);
  },
);

scenario(
  "X16: keys that were internal to the original, and bytes that are internal here, are ordinary keys",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    const keys: (string | Uint8Array)[] = [
      "ver",
      "aspen.cluster",
      "--dig/x",
      "members",
      "counters",
      ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
      ...[0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x20, 0x21].map((byte) =>
        Uint8Array.of(byte, ...new TextEncoder().encode("members"))
      ),
      new Uint8Array(300).fill(0xff),
      new Uint8Array(4096),
    ];
    for (const [i, key] of keys.entries()) {
      await (i % 2 === 0 ? a : b).set(key, "x");
    }
    await cluster.converged("a", "b");
    assertEquals(await a.count(), keys.length);
    for (const key of keys) assertEquals(text(b.getSync(key)), "x");
    // A whole life on: the node is who it was, and has what it had.
    await b.close();
    cluster.kill("a");
    const again = await cluster.reopen("a");
    await cluster.reopen("b");
    assertEquals(again.cluster.host.key, 1);
    assertEquals(again.cluster.nodes().size, 2);
    for (const key of keys) await cluster.node("b").delete(key);
    await cluster.converged("a", "b");
    assertEquals(await again.count(), 0);
    assertEquals(again.cluster.nodes().size, 2);
  },
  { seeds: 1 },
);

scenario(
  "x/kv CRUD: keys and values are any bytes, the caller's bytes are copied, and limits hold",
  async (cluster) => {
    const a = await cluster.open("a");
    const key = Uint8Array.of(0, 255, 0);
    const value = new Uint8Array(1000).fill(7);
    const setting = a.set(key, value);
    key.fill(1);
    value.fill(1);
    await setting;
    const stored = (await a.get(Uint8Array.of(0, 255, 0)))!;
    assertEquals(stored, new Uint8Array(1000).fill(7));
    stored.fill(2);
    assertEquals(a.getSync(Uint8Array.of(0, 255, 0))![0], 7);
    await a.set("empty", "");
    assertEquals(await a.get("empty"), new Uint8Array());
    for (const wrong of ["", new Uint8Array(4097)]) {
      await assertRejects(() => a.set(wrong, "x"), LimitError);
      await assertRejects(() => a.get(wrong), LimitError);
      await assertRejects(() => a.delete(wrong), LimitError);
    }
    await assertRejects(() => a.set(5 as unknown as string, "x"), TypeError);
    await assertRejects(
      () => a.set("key", null as unknown as string),
      TypeError,
    );
    assertEquals(await a.count(), 2);
  },
);

scenario(
  "x/kv NoSync: a written write survives the end of the process, a synced one the loss of power too",
  async (cluster) => {
    const written = await cluster.open("a", { durability: "written" });
    await written.set("key", "written");
    cluster.world.kill("a", { unsynced: "kept" });
    const again = await cluster.reopen("a", { durability: "synced" });
    await assertReads(again, "key", "written");
    await again.set("key", "synced");
    cluster.world.kill("a", { unsynced: "lost" });
    await assertReads(await cluster.reopen("a"), "key", "synced");
  },
);

scenario(
  "x/kv: a store without an address is a cluster of its own, and joins nothing",
  async (cluster) => {
    const runtime = cluster.world.runtime("a");
    const a = await open("/data", { runtime });
    await a.set("key", "value");
    assertEquals(a.cluster.host.key, 1);
    await a.close();
    // Later it gets an address, and others join it.
    const again = await cluster.open("a", { bootstrap: false });
    const b = await cluster.open("b");
    await assertReads(b, "key", "value");
    assertEquals(b.cluster.key, again.cluster.key);
  },
);

scenario(
  "whatever a reader does with what it got, nobody else's writes suffer",
  async (cluster) => {
    const a = await cluster.open("a");
    const key = new TextEncoder().encode("planet");
    await a.set(key, "Earth");
    for (let i = 0; i < 20; i++) {
      const reading = a.getEntry(key);
      const writing = a.set(new TextEncoder().encode(`key ${i}`), `${i}`);
      const { key: given, value } = (await reading)!;
      const { buffer } = given as Uint8Array<ArrayBuffer>;
      assertEquals(buffer.byteLength, key.length);
      structuredClone(given, { transfer: [buffer] });
      structuredClone(value, { transfer: [value.buffer as ArrayBuffer] });
      await writing;
    }
    await assertReads(a, "planet", "Earth");
    for (let i = 0; i < 20; i++) await assertReads(a, `key ${i}`, `${i}`);
  },
);
