/**
 * What users see of the audit: a disk that was changed behind its node's back is
 * found out by the others, put right and told of.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { openAwaitedKv } from "../../engine/testing/awaited_kv.ts";
import { openLsm } from "../../engine/mod.ts";
import { optionsIn } from "../../engine/options.ts";
import { otherBank, rowKey, Space } from "../../gossip/keyspace.ts";
import { decodeEntry, encodeEntry } from "../../gossip/replication/entry.ts";
import type { Change, DatabaseEvent, DB, KV, OpenOptions } from "../../mod.ts";
import { toBytes } from "../../runtime/bytes.ts";
import {
  assertReads,
  collect,
  scenario,
  type SimCluster,
  text,
} from "../sim/cluster.ts";

const OFTEN = { propagation: { auditIntervalMs: 2000 } };

/** The row of a key at a node that has joined: in the bank of its first copy. */
const rowOf = (key: string) => rowKey(Space.LIVE + otherBank(0), toBytes(key));

/** Closes a node, has something done to its disk, and opens it again. */
async function behindItsBack(
  cluster: SimCluster,
  name: string,
  change: (engine: KV) => Promise<void>,
): Promise<DB> {
  await cluster.node(name).close();
  const engine = await openLsm(
    "/data",
    optionsIn(cluster.world.runtime(name)),
  );
  await change(engine);
  await engine.close();
  return await cluster.reopen(name);
}

/** The keys that events tell of as divergent, each with whether it was taken. */
function divergent(events: readonly DatabaseEvent[]): Record<string, boolean> {
  const keys: Record<string, boolean> = {};
  for (const event of events) {
    if (event.type !== "divergence") continue;
    for (const { key, isTaken } of event.keys) keys[text(key)] = isTaken;
  }
  return keys;
}

scenario(
  "a value that a disk has lost, and one that it has forgotten the last write of, come back from the others, who all tell of it",
  async (cluster) => {
    const [a] = await cluster.openAll(["a", "b", "c"]) as [DB, DB, DB];
    for (let i = 0; i < 50; i++) await a.set(`key${i}`, "first");
    await a.delete("key49");
    await a.set("old", "first");
    await cluster.converged("a", "b", "c");
    const before = await a.getEntry("old");
    await a.set("old", "second");
    await cluster.converged("a", "b", "c");

    const b = await behindItsBack(cluster, "b", async (engine) => {
      const row = await engine.get(rowOf("old"));
      const { dot, hlc } = before!.version;
      const older = {
        ...decodeEntry(toBytes("old"), row!),
        value: toBytes("first"),
        origin: dot.origin,
        seq: dot.seq,
        hlc,
      };
      await engine.write([
        { key: rowOf("key7"), value: undefined },
        { key: rowOf("old"), value: encodeEntry(older) },
      ]);
    });
    const seen: Change[] = [];
    void (async () => {
      for await (const changes of b.watch()) seen.push(...changes);
    })();
    const events = collect(b.events());
    const others = ["a", "c"].map((name) =>
      collect(cluster.node(name).events())
    );
    await assertReads(b, "key7", undefined);
    await assertReads(b, "old", "first");

    await cluster.until(
      "the audit has found both",
      () => Object.keys(divergent(events)).length === 2,
    );
    assertEquals(divergent(events), { key7: true, old: true });
    await assertReads(b, "key7", "first");
    await assertReads(b, "old", "second");
    await cluster.until(
      "one of the others tells of it too",
      () => others.some((told) => Object.keys(divergent(told)).length === 2),
    );
    // They had the later versions: nothing was taken from b.
    for (const told of others) {
      assert(!Object.values(divergent(told)).includes(true));
    }
    await cluster.until("b's watcher is told", () => seen.length === 2);
    assertEquals(seen.map(({ type }) => type), ["set", "set"]);

    // From then on all are the same, also after a write of what was repaired.
    const found = events.length;
    await a.set("key7", "third");
    await cluster.converged("a", "b", "c");
    const { audit: { same, divergences } } = b.metrics();
    await cluster.until(
      "b finds that it has what the others have",
      () => b.metrics().audit.same >= same + 4,
    );
    assertEquals(b.metrics().audit.divergences, divergences);
    assertEquals(
      events.slice(found).filter(({ type }) => type === "divergence"),
      [],
    );
  },
  { defaults: OFTEN },
);

scenario(
  "nodes that write, delete, restart and join are audited, also over an engine whose every call is awaited, and nothing is found",
  async (cluster) => {
    const events: DatabaseEvent[][] = [];
    const open = async (name: string, options: OpenOptions = {}) => {
      const db = await cluster.open(name, options);
      events.push(collect(db.events()));
      return db;
    };
    const a = await open("a");
    const b = await open("b");
    for (let i = 0; i < 300; i++) await a.set(`key${i}`, "value");
    for (let i = 0; i < 100; i++) await b.delete(`key${i}`);
    await open("c", { engine: await openAwaitedKv() });
    await b.set("ends", "soon", { expireIn: 500 });
    await cluster.converged("a", "b", "c");
    await b.close();
    await a.set("key200", "while b is away");
    events.push(collect((await cluster.reopen("b")).events()));
    await cluster.converged("a", "b", "c");
    await cluster.until(
      "all have been compared",
      () =>
        ["a", "b", "c"].every((name) =>
          cluster.node(name).metrics().audit.same > 2
        ),
    );
    assertEquals(
      events.flat().filter(({ type }) => type === "divergence"),
      [],
    );
  },
  { defaults: OFTEN },
);
