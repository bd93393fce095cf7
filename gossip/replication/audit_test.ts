/** Audits of two replicas, which hand each other their requests. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Timers, toBytes, toText } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { indexKey, rowKey, Space, spacePrefix } from "../keyspace.ts";
import { Audit, type Divergence } from "./audit.ts";
import { encodeListReply } from "./audit_messages.ts";
import { countSlice } from "./audit_rows.ts";
import { AuditSums } from "./audit_sums.ts";
import { decodeEntry, encodeEntry, type Entry } from "./entry.ts";
import { decodeRecord, type LogRecord } from "./record.ts";
import type { Replica } from "./replica.ts";
import { Vector } from "./vector.ts";
import {
  HandKV,
  HandTimers,
  openReplica,
  readText,
  sets,
  type TestNode,
} from "./world_test.ts";

/** A node that audits, and what it found. */
interface Auditor extends TestNode {
  readonly node: number;
  readonly audit: Audit;
  readonly found: Divergence[];
}

/** Timers of which every one fires at once. */
const SOON: Timers = {
  set: (callback) => {
    let isCancelled = false;
    setTimeout(() => isCancelled || callback(), 0);
    return { cancel: () => isCancelled = true };
  },
};

/** What happens before a request is answered, by its type. */
type Before = (type: number) => Promise<unknown> | void;

/** Nodes 1 and 2, each of which asks the other. */
async function pair(before: Before = () => {}): Promise<[Auditor, Auditor]> {
  const nodes: Auditor[] = [];
  for (const node of [1, 2]) {
    const found: Divergence[] = [];
    const test = await openReplica(node);
    const audit = new Audit({
      replica: test.replica,
      timers: SOON,
      random: new Prng(node),
      intervalMs: 1000,
      candidates: () => [3 - node],
      request: async (other, type, payload) => {
        await before(type);
        return await answer(nodes[other - 1]!, node, type, payload);
      },
      diverged: (divergence) => found.push(divergence),
      failed: (_, error) => {
        throw error;
      },
    });
    nodes.push({ ...test, node, audit, found });
  }
  return nodes as [Auditor, Auditor];
}

async function answer(
  { audit }: Auditor,
  from: number,
  type: number,
  payload: Uint8Array,
): Promise<Uint8Array> {
  // As over a network: the asker's bytes are its own.
  const bytes = payload.slice();
  switch (type) {
    case MessageType.AUDIT_ROOT:
      return audit.answerRoot(bytes);
    case MessageType.AUDIT_BUCKETS:
      return audit.answerBuckets(bytes);
    case MessageType.AUDIT_LIST:
      return await audit.answerList(bytes);
    default:
      assertEquals(type, MessageType.AUDIT_ENTRIES);
      return await audit.answerEntries(from, bytes);
  }
}

/** Commits at one node, and brings it to others. */
async function write(
  at: Auditor,
  pairs: Record<string, string | undefined>,
  ...others: Auditor[]
): Promise<LogRecord> {
  const { record } = await at.replica.commit(sets(pairs));
  for (const { replica } of others) {
    assertEquals(await replica.receive(record!), "applied");
  }
  return record!;
}

const live = (key: string) => rowKey(Space.LIVE, toBytes(key));

function rowOf({ kv }: TestNode, key: string): Entry | undefined {
  const row = kv.get(live(key));
  return row && decodeEntry(toBytes(key), row);
}

/** Takes a living row away, or puts another one there, behind the replica's back. */
async function tamper(
  { kv }: TestNode,
  key: string,
  row: Entry | undefined,
): Promise<void> {
  await kv.write([{ key: live(key), value: row && encodeEntry(row) }]);
}

/** Counts the rows of nodes as after a start. */
async function count(...nodes: TestNode[]): Promise<void> {
  for (const { replica } of nodes) {
    await replica.inspect(async (kv, state) => {
      state.sums.restart();
      while (!state.sums.isWhole) await countSlice(kv, state);
    });
  }
}

/** What the rows of a replica come to, counted anew. */
async function counted(replica: Replica): Promise<AuditSums> {
  return await replica.inspect(async (kv, { bank }) => {
    const sums = new AuditSums();
    const state = { sums, bank } as Parameters<typeof countSlice>[1];
    while (!sums.isWhole) await countSlice(kv, state);
    return sums;
  });
}

function rows(kv: HandKV, space: number): number {
  const found = kv.iterate({ prefix: spacePrefix(space) });
  let count = 0;
  while (found.next()) count++;
  return count;
}

/** The keys of a divergence, each with whether it was taken. */
function keysOf({ keys }: Divergence): Record<string, boolean> {
  return Object.fromEntries(
    keys.map(({ key, isTaken }) => [toText(key), isTaken]),
  );
}

/** Audits until both say that they hold the same. */
async function assertSame(one: Auditor, two: Auditor): Promise<void> {
  await count(one, two);
  const { same } = one.audit.metrics;
  await one.audit.with(two.node);
  assertEquals(one.audit.metrics.same, same + 1);
}

Deno.test("nodes with the same records hold the same, whatever was written, deleted, lost a claim or collected", async () => {
  const [one, two] = await pair();
  await count(one);
  const random = new Prng(7);
  const late: LogRecord[] = [];
  for (let i = 0; i < 200; i++) {
    const at = random.chance(0.5) ? one : two;
    const key = `k${random.below(40)}`;
    const value = random.chance(0.3) ? undefined : `v${i}`;
    // Where the other one leads, that is no write of this one.
    const outcome = await at.replica.commit(sets({ [key]: value }))
      .catch(() => undefined);
    if (outcome?.record === undefined) continue;
    // What node 2 writes comes late: both may claim a key meanwhile.
    if (at === two) late.push(outcome.record);
    else await two.replica.receive(outcome.record);
    if (random.chance(0.1)) {
      for (const record of late.splice(0)) await one.replica.receive(record);
    }
  }
  for (const record of late) await one.replica.receive(record);
  assert(one.told.clashes.length > 0);
  await count(two);
  assert(rows(one.kv, Space.DEAD) > 0);
  // Collected at one of them only: their vectors are what they were.
  const { vector } = one.replica;
  const floor = vector;
  await one.replica.collect({ floor, gate: new Vector() }, () => true);
  assert(await one.replica.collect({ floor, gate: floor }, () => true) > 0);
  await one.audit.with(2);
  await two.audit.with(1);
  assertEquals([one.audit.metrics.same, two.audit.metrics.same], [1, 1]);
  assertEquals([...one.found, ...two.found], []);
  for (const { replica } of [one, two]) {
    assertEquals(replica.sums.total(), (await counted(replica)).total());
  }
});

Deno.test("sums move on with the vector: what is on its way to the device is in neither", async () => {
  const kv = new HandKV(false);
  const { replica } = await openReplica(1, { kv });
  const counting = replica.inspect(countSlice);
  await counting;
  const before = replica.sums.total();
  const writing = replica.commit(sets({ k: "1" }));
  while (!kv.writing) await undefined;
  assertEquals(replica.sums.total(), before);
  assertEquals(replica.vector.size, 0);
  kv.finish();
  await writing;
  assertEquals(replica.sums.total().count, 1);
  assertEquals(replica.vector.size, 1);
});

Deno.test("sums of the copy before are none of the whole copy that takes its place", async () => {
  const [one, two] = await pair();
  await write(one, { a: "1", b: "1" });
  await write(two, { z: "lost" });
  await count(one, two);
  await two.replica.voidCopy(() => []);
  await two.audit.with(1);
  assertEquals(two.audit.metrics, {
    isReady: true,
    same: 0,
    missed: 0,
    divergences: 0,
  });
  await two.replica.beginCopy();
  const { vector } = one.replica;
  const entries = [rowOf(one, "a")!, rowOf(one, "b")!];
  await two.replica.fill(entries, { vector });
  await two.replica.ingest({
    whole: true,
    base: new Vector(),
    vector,
    entries: [],
    lifeGone: 0,
    lifeFloor: 0,
    floor: new Vector(),
    intents: [],
    incarnations: [],
    folds: [],
  });
  assert(!two.replica.sums.isWhole);
  await one.audit.with(2);
  assertEquals(one.audit.metrics.missed, 1, "it is not ready");
  await two.audit.with(1);
  assertEquals(two.audit.metrics.same, 1);
  assertEquals(two.replica.sums.total().count, 2);
  assertEquals([...one.found, ...two.found], []);
});

Deno.test("a session is in the sums, too", async () => {
  const [one, two] = await pair();
  await write(one, { a: "1", b: "1", c: "1" });
  await write(one, { a: undefined });
  await write(two, { d: "1" });
  await count(one, two);
  const session = {
    whole: false,
    base: two.replica.vector,
    vector: one.replica.vector,
    entries: [rowOf(one, "b")!, rowOf(one, "c")!],
    lifeGone: 0,
    lifeFloor: 0,
    floor: new Vector(),
    intents: [],
    incarnations: [],
    folds: [],
  };
  assert(await two.replica.ingest(session));
  assertEquals(
    two.replica.sums.total(),
    (await counted(two.replica)).total(),
  );
  assertEquals(two.replica.sums.total().count, 3);
});

Deno.test("with other vectors nothing is compared, whatever the sums", async () => {
  const [one, two] = await pair();
  await write(one, { a: "1" }, two);
  await write(one, { a: "2" });
  await count(one, two);
  await one.audit.with(2);
  await two.audit.with(1);
  assertEquals([one.audit.metrics.missed, two.audit.metrics.missed], [1, 1]);
  assertEquals([...one.found, ...two.found], []);
});

Deno.test("nobody is compared with before all its rows are counted", async () => {
  const [one, two] = await pair();
  await write(one, { a: "1" }, two);
  await one.audit.with(2);
  assertEquals(one.audit.metrics.isReady, true);
  assertEquals(two.audit.metrics.isReady, false);
  assertEquals(one.audit.metrics.missed, 1);
  // Who asks counts first.
  await two.audit.with(1);
  assertEquals(two.audit.metrics.same, 1);
});

Deno.test("an older row, a lost one and one that is deleted elsewhere: both take the larger entry, with its rows, and tell of it", async () => {
  const [one, two] = await pair();
  await write(one, { kept: "k", old: "1", lost: "1", back: "1" }, two);
  const before = [rowOf(one, "old")!, rowOf(one, "back")!];
  await write(one, { old: "2" }, two);
  await write(one, { back: undefined }, two);
  const index = rows(one.kv, Space.DOT_INDEX);
  await tamper(one, "old", before[0]);
  await tamper(two, "lost", undefined);
  // As by a delete that the disk has lost: the tombstone is there no more.
  await tamper(two, "back", before[1]);
  await two.kv.write([{
    key: rowKey(Space.DEAD, toBytes("back")),
    value: undefined,
  }]);
  await count(one, two);
  two.told.applied.length = 0;
  await one.audit.with(2);

  const [here] = one.found;
  assertEquals([one.found.length, two.found.length], [1, 1]);
  assertEquals([here!.node, two.found[0]!.node], [2, 1]);
  assertEquals(keysOf(here!), { back: false, lost: false, old: true });
  assertEquals(keysOf(two.found[0]!), { back: true, lost: true, old: false });
  const of = (key: string) => here!.keys.find((k) => toText(k.key) === key)!;
  assertEquals(of("lost").there, undefined);
  assertEquals(of("lost").here?.leaseholder, 1);
  assertEquals(of("back").here?.isDeleted, true);
  assertEquals(of("old").here?.version.dot.seq, 1);
  assertEquals(of("old").there?.version.dot.seq, 2);
  for (const node of [one, two]) {
    const { replica } = node;
    assertEquals(await readText(replica, "old"), "2");
    assertEquals(await readText(replica, "lost"), "1");
    assertEquals(await readText(replica, "back"), undefined);
    assertEquals(rows(node.kv, Space.DOT_INDEX), index);
    assertEquals(node.audit.metrics.divergences, 1);
  }
  // As of a session: without a record, and with what is covered.
  assertEquals(two.told.applied.length, 1);
  const [{ record, changes, vector }] = two.told.applied as [
    TestNode["told"]["applied"][number],
  ];
  assertEquals([record, changes.length], [undefined, 2]);
  assert(vector?.equals(two.replica.vector));
  await assertSame(one, two);
  await assertSame(two, one);
  assertEquals([one.found.length, two.found.length], [1, 1]);
});

Deno.test("what only a single row says is left alone where a deletion may have been collected, and told of each time", async () => {
  const [one, two] = await pair();
  await write(one, { old: "1", gone: "1" }, two);
  const old = rowOf(one, "old")!;
  await write(one, { old: undefined }, two);
  const { vector: floor } = one.replica;
  for (const { replica } of [one, two]) {
    await replica.collect({ floor, gate: new Vector() }, () => true);
    assertEquals(await replica.collect({ floor, gate: floor }, () => true), 1);
  }
  // It is back at one, but its row of the index is not.
  await tamper(one, "old", old);
  await count(one, two);
  for (let times = 1; times <= 2; times++) {
    await two.audit.with(1);
    assertEquals(keysOf(two.found.at(-1)!), { old: false });
    assertEquals(keysOf(one.found.at(-1)!), { old: false });
    assertEquals(await readText(one.replica, "old"), "1");
    assertEquals(await readText(two.replica, "old"), undefined);
    assertEquals([one.found.length, two.found.length], [times, times]);
    await count(one, two);
  }
  // A write by its leaseholder ends it.
  await write(one, { old: "2" }, two);
  await assertSame(one, two);
  assertEquals(await readText(two.replica, "old"), "2");

  // Where the index has it, it stands: an acked value is not given up.
  await tamper(two, "gone", undefined);
  await count(one, two);
  await one.audit.with(2);
  assertEquals(keysOf(two.found.at(-1)!), { gone: true });
  assertEquals(await readText(two.replica, "gone"), "1");
});

Deno.test("where no tombstone above it was ever collected, a lost row is taken though the other has no index of it", async () => {
  const [one, two] = await pair();
  const { origin, seq } = await write(one, { k: "1" }, two);
  await one.kv.write([{
    key: indexKey(0, origin, seq, toBytes("k")),
    value: undefined,
  }]);
  await tamper(two, "k", undefined);
  await count(one, two);
  await two.audit.with(1);
  assertEquals(keysOf(two.found[0]!), { k: true });
  assertEquals(await readText(two.replica, "k"), "1");
});

Deno.test("a key with two leaseholders in one version is told of, and left to people", async () => {
  const [one, two] = await pair();
  await write(one, { k: "1" }, two);
  await tamper(two, "k", { ...rowOf(two, "k")!, holder: 2 });
  await count(one, two);
  await one.audit.with(2);
  assertEquals(keysOf(one.found[0]!), { k: false });
  assertEquals(one.found[0]!.keys[0]!.there?.leaseholder, 2);
  assertEquals(keysOf(two.found[0]!), { k: false });
});

Deno.test("what is written while keys are looked for is no divergence, and what is one is found all the same", async () => {
  let writes = 0;
  const nodes = await pair(async (type) => {
    if (type === MessageType.AUDIT_ROOT) return;
    // It comes to the other node with the third request after it.
    if (type === MessageType.AUDIT_LIST) {
      await write(nodes[0], { [`new${++writes}`]: "x", kept: `${writes}` });
    } else if (type === MessageType.AUDIT_ENTRIES && ++tries === 3) {
      let record = await nodes[0].replica.recent(nodes[1].replica.vector, 1e6);
      while (record!.records.length > 0) {
        for (const bytes of record!.records) {
          await nodes[1].replica.receive(decodeRecord(bytes));
        }
        record = await nodes[0].replica.recent(nodes[1].replica.vector, 1e6);
      }
    }
  });
  let tries = 0;
  const [one, two] = nodes;
  await write(one, { kept: "0", lost: "1" }, two);
  await tamper(two, "lost", undefined);
  await count(one, two);
  await one.audit.with(2);
  assert(tries >= 3 && writes > 0);
  assertEquals(one.found.map(keysOf), [{ lost: false }]);
  assertEquals(two.found.map(keysOf), [{ lost: true }]);
  assertEquals(await readText(two.replica, "lost"), "1");
});

Deno.test("where two never meet under one vector, the alarm waits for a later round", async () => {
  let number = 0;
  const nodes = await pair(async (type) => {
    if (type === MessageType.AUDIT_ENTRIES) {
      await write(nodes[1], { busy: `${++number}` });
    }
  });
  const [one, two] = nodes;
  await write(one, { lost: "1" }, two);
  await tamper(two, "lost", undefined);
  await count(one, two);
  await one.audit.with(2);
  assert(number > 10);
  assertEquals([...one.found, ...two.found], []);
  assertEquals(await readText(two.replica, "lost"), undefined);
  assertEquals(one.audit.metrics.same, 0);
});

Deno.test("sums that are wrong without a wrong key are told of, and counted anew", async () => {
  const [one, two] = await pair();
  await write(one, { a: "1", b: "1" }, two);
  await count(one, two);
  one.replica.sums.replace(rowOf(one, "a"), undefined);
  await one.audit.with(2);
  assertEquals(one.found, [{ node: 2, keys: [] }]);
  await one.audit.with(2);
  assertEquals(one.audit.metrics.same, 1);
  assertEquals(two.found, []);
});

Deno.test("many keys and large values are looked at part by part", async () => {
  const [one, two] = await pair();
  const names = Array.from({ length: 1500 }, (_, i) => `many/${i}`);
  await write(
    one,
    Object.fromEntries(names.map((name) => [name, "x"])),
    two,
  );
  const large = "y".repeat(600 * 1024);
  const larger = ["large/1", "large/2", "large/3", "large/4"];
  for (const name of larger) await write(one, { [name]: large }, two);
  // Both have lost some, one of them a long stretch.
  for (const name of names.slice(100, 700)) await tamper(one, name, undefined);
  for (const name of names.slice(1400)) await tamper(two, name, undefined);
  for (const name of larger) await tamper(two, name, undefined);
  await count(one, two);
  await one.audit.with(2);
  assertEquals(one.found[0]!.keys.length, 704);
  assert(two.found.length > 2, "its values do not fit into one message");
  assertEquals(await readText(two.replica, "large/4"), large);
  for (const node of [one, two]) {
    assertEquals(rows(node.kv, Space.LIVE), 1504);
    assertEquals(rows(node.kv, Space.DOT_INDEX), 1504);
  }
  await assertSame(one, two);
});

Deno.test("more keys than one round looks into are found by the next ones", async () => {
  const [one, two] = await pair();
  const names = Array.from({ length: 1100 }, (_, i) => `${i}`);
  await write(
    one,
    Object.fromEntries(names.map((name) => [name, "x"])),
    two,
  );
  for (const name of names) await tamper(two, name, undefined);
  await count(one, two);
  await one.audit.with(2);
  assertEquals(one.found[0]!.keys.length, 1024);
  await count(one, two);
  await one.audit.with(2);
  assertEquals(one.found[1]!.keys.length, 76);
  await assertSame(one, two);
});

Deno.test("a repair is of one vector, and of what it covers", async () => {
  const [one, two] = await pair();
  const { origin, seq } = await write(one, { k: "1" }, two);
  const item = {
    key: toBytes("k"),
    entry: { ...rowOf(one, "k")!, seq: seq + 1 },
    isIndexed: true,
  };
  const vector = two.replica.vector.clone();
  await assertRejects(
    () => two.replica.repair({ vector, items: [item] }),
    Error,
    "more than its vector covers",
  );
  vector.add(origin, seq + 1);
  assertEquals(
    await two.replica.repair({ vector, items: [item] }),
    undefined,
  );
  assertEquals(rowOf(two, "k")!.seq, seq);
});

Deno.test("a list that does not go on ends the audit", async () => {
  const { replica } = await openReplica(1);
  await replica.commit(sets({ k: "1" }));
  const audit = new Audit({
    replica,
    timers: SOON,
    random: new Prng(1),
    intervalMs: 1000,
    candidates: () => [2],
    request: (_, type) =>
      Promise.resolve(
        type === MessageType.AUDIT_ROOT
          ? Uint8Array.of(3)
          : type === MessageType.AUDIT_BUCKETS
          ? Uint8Array.of(3, 1, 5)
          : encodeListReply({
            isLast: false,
            upTo: new Uint8Array(0),
            listed: [],
          }),
      ),
    diverged: () => {},
    failed: () => {},
  });
  await assertRejects(() => audit.with(2), Error, "does not go on");
});

Deno.test("rounds go on until they are closed: an interval after one that compared, sooner after one that did not", async () => {
  const timers = new HandTimers();
  const delays: number[] = [];
  const { replica } = await openReplica(1);
  await replica.commit(sets({ k: "1" }));
  let verdict = 2;
  let asked = Promise.withResolvers<void>();
  const audit = new Audit({
    replica,
    timers: {
      set: (callback, delayMs) => {
        delays.push(delayMs);
        asked.resolve();
        return timers.set(callback);
      },
    },
    random: new Prng(1),
    intervalMs: 1000,
    candidates: () => [2],
    request: () => Promise.resolve(Uint8Array.of(verdict)),
    diverged: () => {},
    failed: () => {},
  });
  audit.start();
  for (const next of [1, 0, 2]) {
    asked = Promise.withResolvers();
    timers.fire();
    await asked.promise;
    verdict = next;
  }
  assertEquals(audit.metrics, {
    isReady: true,
    same: 1,
    missed: 2,
    divergences: 0,
  });
  const isAbout = (ms: number, of: number) => Math.abs(ms / of - 1) <= 0.1;
  assert(isAbout(delays[0]!, 1000) && isAbout(delays[1]!, 1000), `${delays}`);
  assert(isAbout(delays[2]!, 125) && isAbout(delays[3]!, 125), `${delays}`);
  await audit.close();
  assertEquals(timers.size, 0);
});
