/** Every rule of `protocol/replication.md` §3, §7 and §8, by its counterexample. */

import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import {
  CheckFailedError,
  LeaseNotTransferableError,
  NotCaughtUpError,
  toBytes,
  toHex,
  toText,
  Writer,
} from "../../runtime/mod.ts";
import { indexKey, rowKey, Space, spacePrefix } from "../keyspace.ts";
import { decodeClash } from "./conflict.ts";
import { makeOrigin, originNode, SEQ_MAX } from "./dot.ts";
import { NotLeaseholderError } from "./draft.ts";
import { type Entry, versionOf } from "./entry.ts";
import { HLC_PER_MS, hlcAt } from "./hlc.ts";
import { decodeRecord, dotOf, type LogRecord, RecordKind } from "./record.ts";
import type { SessionData } from "./session.ts";
import { decodeCounters } from "./state.ts";
import { Vector } from "./vector.ts";
import {
  AwaitedHandKV,
  entry,
  HandClock,
  HandKV,
  op,
  openReplica,
  origin,
  readText,
  record,
  setRecord,
  sets,
  T0,
  type TestNode,
  writeCounters,
} from "./world_test.ts";

function vectorOf(...dots: [number, number][]): Vector {
  const vector = new Vector();
  for (const [of, seq] of dots) {
    for (let n = 1; n <= seq; n++) vector.add(of, n);
  }
  return vector;
}

function session(init: Partial<SessionData>): SessionData {
  return {
    whole: false,
    base: new Vector(),
    vector: new Vector(),
    entries: [],
    intents: [],
    lifeGone: 0,
    lifeFloor: 0,
    floor: new Vector(),
    incarnations: [],
    folds: [],
    ...init,
  };
}

async function standing(
  node: TestNode,
  key: string,
): Promise<Entry | undefined> {
  return (await node.replica.entries([toBytes(key)]))[0];
}

async function committed(
  node: TestNode,
  pairs: Record<string, string | undefined>,
): Promise<LogRecord> {
  const { record } = await node.replica.commit(sets(pairs));
  assert(record !== undefined);
  return record;
}

function lostValues(node: TestNode): (string | undefined)[] {
  return node.told.clashes.map(({ lost }) => lost.value && toText(lost.value));
}

// ---- §3 commit

Deno.test("[1] a key without entry is claimed in the life after the highest one gone", async () => {
  const a = await openReplica(1);
  await a.replica.ingest(session({ lifeGone: 6 }));
  await committed(a, { k: "v" });
  const found = (await standing(a, "k"))!;
  assertEquals(found.life, 7);
  assertEquals([found.term, found.sub], [0, 0]);
  assertEquals([found.claimHlc, found.claimNode], [found.hlc, 1]);
});

Deno.test("[2] a node whose state is void writes nothing and takes no record before its first session", async () => {
  const a = await openReplica(1, { caughtUp: false });
  await assertRejects(
    () => a.replica.commit(sets({ k: "v" })),
    NotCaughtUpError,
  );
  assertEquals(await a.replica.receive(setRecord("k", "v")), "early");
  assertEquals(await standing(a, "k"), undefined);
  assertEquals(a.replica.figures.held, 0);
  // What was asked for before the state was void does not make it whole.
  assertEquals(await a.replica.ingest(session({})), false);
  assert(await a.replica.ingest(session({ whole: true })));
  // S6: nor is one taken with the session, whose writer nobody has judged.
  assertEquals(await readText(a.replica, "k"), undefined);
  assertEquals(a.replica.figures.held, 0);
  assertEquals(await a.replica.receive(setRecord("k", "v")), "applied");
  await committed(a, { own: "v" });
});

Deno.test("deletes of absent keys and of tombstones write nothing", async () => {
  const a = await openReplica(1);
  a.kv.keepBatches = true;
  assertEquals(
    (await a.replica.commit(sets({ k: undefined }))).record,
    undefined,
  );
  assertEquals(a.kv.batches.length, 0);
  await committed(a, { k: "v" });
  const deleted = await committed(a, { k: undefined });
  const batches = a.kv.batches.length;
  const again = await a.replica.commit(sets({ k: undefined }));
  assertEquals(again, { record: undefined, after: [dotOf(deleted)] });
  assertEquals(a.kv.batches.length, batches);
  // Beside a set they are left out of the record.
  const { entries } = await committed(a, { k: undefined, other: "v" });
  assertEquals(entries.map(({ key }) => toText(key)), ["other"]);
});

Deno.test("an entry keeps its claim through writes, and a tombstone its lease", async () => {
  const a = await openReplica(1);
  await committed(a, { k: "1" });
  const first = (await standing(a, "k"))!;
  await committed(a, { k: undefined });
  const dead = (await standing(a, "k"))!;
  assertEquals(dead.value, undefined);
  assertEquals(dead.holder, 1);
  await committed(a, { k: "2" });
  const last = (await standing(a, "k"))!;
  assertEquals(last.claimHlc, first.claimHlc);
  assertEquals([last.life, last.claimNode], [first.life, 1]);
  assert(dead.hlc > first.hlc && last.hlc > dead.hlc);

  // Also for another node: whoever deleted the key leads it.
  const b = await openReplica(2);
  await b.replica.receive(setRecord("k", undefined, { origin: origin(1) }));
  const refused = await assertRejects(
    () => b.replica.commit(sets({ k: "mine" })),
    NotLeaseholderError,
  );
  assertEquals(refused.holder, 1);
});

Deno.test("[5] every start has an origin of its own, drawn at its first commit", async () => {
  const a = await openReplica(1);
  assertEquals(a.replica.origin, undefined);
  const first = await committed(a, { k: "1" });
  assertEquals(first.seq, 1);
  assertEquals((await committed(a, { k: "2" })).seq, 2);
  const again = await openReplica(1, { kv: a.kv });
  const next = await committed(again, { k: "3" });
  assertNotEquals(next.origin, first.origin);
  assertEquals(originNode(next.origin), 1);
  assertEquals(next.seq, 1);
});

Deno.test("[19] the first write of a key after a restart depends on the last one before it", async () => {
  const a = await openReplica(1);
  await committed(a, { k: "1", other: "1" });
  const last = await committed(a, { k: "2" });
  const again = await openReplica(1, { kv: a.kv });
  const first = await committed(again, { k: "3" });
  assertEquals(first.deps, [dotOf(last)]);
  assertEquals((await committed(again, { k: "4" })).deps, []);
  // A replica that lacks what it builds on does not show it first.
  const b = await openReplica(2);
  assertEquals(await b.replica.receive(first), "early");
  assertEquals(await readText(b.replica, "k"), undefined);
});

Deno.test("the clock of a commit is above the wall clock, the own clock and all that it replaces", async () => {
  const clock = new HandClock();
  const a = await openReplica(1, { clock });
  const one = await committed(a, { k: "1" });
  assertEquals(one.hlc, hlcAt(clock.ms));
  const two = await committed(a, { other: "1" });
  assertEquals(two.hlc, one.hlc + 1);
  clock.ms -= 3000;
  assertEquals((await committed(a, { k: "2" })).hlc, two.hlc + 1);
  clock.ms += 10_000;
  assertEquals((await committed(a, { k: "3" })).hlc, hlcAt(clock.ms));
});

Deno.test("a wall clock set back by hours does not make the own clock repeat a reading", async () => {
  const clock = new HandClock();
  const a = await openReplica(1, { clock });
  const first = await committed(a, { k: "1" });
  clock.ms -= 5 * 3600_000;
  const second = await committed(a, { other: "1" });
  const third = await committed(a, { third: "1" });
  assertEquals([second.hlc, third.hlc], [first.hlc + 1, first.hlc + 2]);
  // Also after a restart: the clock is durable.
  const again = await openReplica(1, { kv: a.kv, clock });
  assertEquals((await committed(again, { x: "1" })).hlc, first.hlc + 3);
});

Deno.test("a clock more than 60 s ahead is stored, told, and not adopted", async () => {
  const clock = new HandClock();
  const a = await openReplica(1, { clock });
  const ahead = hlcAt(clock.ms) + 61_000 * HLC_PER_MS;
  await a.replica.receive(setRecord("k", "far", { hlc: ahead }));
  assertEquals(await readText(a.replica, "k"), "far");
  assertEquals(a.told.skewed, [ahead]);
  assertEquals((await committed(a, { own: "v" })).hlc, hlcAt(clock.ms));
  // Up to 60 s it is adopted.
  const near = hlcAt(clock.ms) + 60_000 * HLC_PER_MS;
  await a.replica.receive(setRecord("n", "near", { seq: 2, hlc: near }));
  assertEquals((await committed(a, { own: "w" })).hlc, near + 1);
  assertEquals(a.told.skewed, [ahead]);
});

Deno.test("a commit goes above an entry of its own whose clock is far ahead, and its clock does not follow", async () => {
  const clock = new HandClock();
  const a = await openReplica(1, { clock });
  const ahead = hlcAt(clock.ms) + 3_600_000 * HLC_PER_MS;
  const early = origin(1, 9);
  await a.replica.receive(
    setRecord("k", "far", { origin: early, hlc: ahead }),
  );
  assertEquals((await committed(a, { k: "v" })).hlc, ahead + 1);
  assertEquals((await committed(a, { k: "w" })).hlc, ahead + 2);
  assert((await committed(a, { own: "v" })).hlc < hlcAt(clock.ms + 1000));
  assertEquals(await readText(a.replica, "k"), "w");
});

Deno.test("a check is decided in the commit step: the version, or that there is none", async () => {
  const a = await openReplica(1);
  const absent = { key: toBytes("k"), version: null };
  await a.replica.commit({ checks: [absent], ops: [op("k", "1")] });
  await assertRejects(
    () => a.replica.commit({ checks: [absent], ops: [op("k", "2")] }),
    CheckFailedError,
  );
  const version = versionOf((await standing(a, "k"))!);
  const same = { key: toBytes("k"), version };
  // Two at once with one version: the first wins, whatever both had read.
  const both = await Promise.allSettled(
    ["2", "3"].map((value) =>
      a.replica.commit({ checks: [same], ops: [op("k", value)] })
    ),
  );
  assertEquals(both.map(({ status }) => status), ["fulfilled", "rejected"]);
  assertEquals(await readText(a.replica, "k"), "2");
  await committed(a, { k: undefined });
  await a.replica.commit({ checks: [absent], ops: [op("k", "4")] });
  assertEquals(await readText(a.replica, "k"), "4");
});

Deno.test("a commit checks some keys and writes others, also where the engine answers later", async () => {
  for (const kv of [new HandKV(), new AwaitedHandKV()]) {
    writeCounters(kv, true);
    const a = await openReplica(1, { kv });
    await a.replica.commit(sets({ x: "1", y: "1", z: "1" }));
    const checks = await Promise.all(["x", "y"].map(async (key) => ({
      key: toBytes(key),
      version: versionOf((await standing(a, key))!),
    })));
    const ops = [op("z", "2"), op("w", "2"), op("y", "2")];
    const { record } = await a.replica.commit({ checks, ops });
    const written = record!.entries.map(({ key, life, claimHlc, hlc }) => [
      toText(key),
      life,
      // What was there keeps its claim.
      claimHlc === hlc,
    ]);
    assertEquals(written, [["z", 1, false], ["w", 1, true], ["y", 1, false]]);
    const values = await Promise.all(
      ["x", "y", "z", "w"].map((key) => readText(a.replica, key)),
    );
    assertEquals(values, ["1", "2", "2", "2"]);
    await assertRejects(
      () => a.replica.commit({ checks, ops: [op("v", "3")] }),
      CheckFailedError,
    );
    assertEquals(await standing(a, "v"), undefined);
  }
});

Deno.test("a commit that is refused leaves no trace and the rest of its group unharmed", async () => {
  const a = await openReplica(1);
  await a.replica.receive(setRecord("theirs", "2"));
  const version = null;
  const group = [
    a.replica.commit(sets({ k: "1" })),
    a.replica.commit(sets({ half: "x", theirs: "mine" })),
    a.replica.commit({
      checks: [{ key: toBytes("k"), version }],
      ops: [op("half", "y")],
    }),
    a.replica.commit({ checks: [], ops: [op("half", "z", 2)] }),
    a.replica.commit(sets({ l: "1" })),
  ];
  const settled = await Promise.allSettled(group);
  const names = settled.map((result) =>
    result.status === "fulfilled" ? "ok" : result.reason.constructor
  );
  assertEquals(names, [
    "ok",
    NotLeaseholderError,
    CheckFailedError,
    LeaseNotTransferableError,
    "ok",
  ]);
  assertEquals(await standing(a, "half"), undefined);
  assertEquals(await readText(a.replica, "theirs"), "2");
  assertEquals(await readText(a.replica, "l"), "1");
  assertEquals(a.replica.vector.seq(a.replica.origin!), 2);
});

Deno.test("the last op of a key counts, and its record names the key once", async () => {
  const a = await openReplica(1);
  const ops = [op("k", "1"), op("k"), op("k", "3")];
  const { record } = await a.replica.commit({ checks: [], ops });
  assertEquals(record!.entries.length, 1);
  assertEquals(await readText(a.replica, "k"), "3");
});

// ---- §7 apply

Deno.test("[19] records of an origin are applied in order, and held until they can be", async () => {
  const a = await openReplica(1);
  const three = setRecord("k", "3", { seq: 3, entry: { claimHlc: T0 } });
  const two = setRecord("k", "2", { seq: 2, entry: { claimHlc: T0 } });
  const one = setRecord("k", "1", { seq: 1, entry: { claimHlc: T0 } });
  assertEquals(await a.replica.receive(three), "early");
  assertEquals(await a.replica.receive(two), "early");
  assertEquals(a.replica.vector.size, 0);
  assertEquals(a.replica.figures.held, 2);
  assertEquals(await a.replica.receive(one), "applied");
  assertEquals(a.replica.vector.seq(origin(2)), 3);
  assertEquals(a.replica.figures.held, 0);
  // Every version was shown, in order.
  const shown = a.told.applied.map(({ changes }) => toText(changes[0]!.value!));
  assertEquals(shown, ["1", "2", "3"]);
  assertEquals(lostValues(a), []);
});

Deno.test("a record waits for what it builds on, also within one group", async () => {
  const a = await openReplica(1);
  const base = setRecord("k", "1", { origin: origin(2, 1) });
  const above = setRecord("k", "2", {
    origin: origin(2, 7),
    deps: [dotOf(base)],
    entry: { claimHlc: base.hlc, hlc: base.hlc + 1 },
  });
  const arrived = await Promise.all(
    [above, base].map((each) => a.replica.receive(each)),
  );
  assertEquals(arrived, ["early", "applied"]);
  assertEquals(await readText(a.replica, "k"), "2");
  assertEquals(lostValues(a), []);
});

Deno.test("a covered record changes nothing, not even a conflict report", async () => {
  const a = await openReplica(1);
  const first = setRecord("k", "2", { origin: origin(2) });
  await a.replica.receive(first);
  await a.replica.receive(
    setRecord("k", "3", { origin: origin(3), hlc: T0 - 5 }),
  );
  assertEquals(lostValues(a), ["2"]);
  a.kv.keepBatches = true;
  assertEquals(await a.replica.receive(first), "covered");
  const both = await Promise.all([
    a.replica.receive(setRecord("n", "1", { origin: origin(4) })),
    a.replica.receive(setRecord("n", "1", { origin: origin(4) })),
  ]);
  assertEquals(both, ["applied", "covered"]);
  assertEquals(lostValues(a), ["2"]);
  assertEquals(a.kv.batches.length, 1);
  assertEquals(a.told.applied.length, 3);
});

Deno.test("I4: a batch is applied whole, in one engine batch, with vector, index, log and conflicts", async () => {
  const a = await openReplica(1);
  await committed(a, { x: "old" });
  a.kv.keepBatches = true;
  const batch = record({
    hlc: T0 - 9,
    entries: ["x", "y", "z"].map((key) => ({ key: toBytes(key) })),
  });
  await a.replica.receive(batch);
  assertEquals(a.kv.batches.length, 1);
  const spaces = new Set(a.kv.batches[0]!.map(({ key }) => key[0]!));
  assertEquals(
    [...spaces].sort((p, q) => p - q),
    [
      Space.META,
      Space.DOT_INDEX,
      Space.VECTOR,
      Space.LOG,
      Space.CONFLICT,
      Space.LOG_MARK,
      Space.LIVE,
    ],
  );
  for (const key of ["x", "y", "z"]) {
    assertEquals(await readText(a.replica, key), "v");
    assertEquals(
      a.kv.get(indexKey(0, batch.origin, 1, toBytes(key)))?.length,
      0,
    );
  }
  const rows = a.kv.iterate({ prefix: spacePrefix(Space.DOT_INDEX) });
  let count = 0;
  while (rows.next()) count++;
  assertEquals(count, 3);
});

Deno.test("a key is living or dead, never both", async () => {
  const a = await openReplica(1);
  const key = toBytes("k");
  const where = () =>
    [Space.LIVE, Space.DEAD].map((space) =>
      a.kv.get(rowKey(space, key)) !== undefined
    );
  await committed(a, { k: "1" });
  assertEquals(where(), [true, false]);
  await committed(a, { k: undefined });
  assertEquals(where(), [false, true]);
  await Promise.all([
    a.replica.commit(sets({ k: "2" })),
    a.replica.commit(sets({ k: undefined })),
    a.replica.commit(sets({ k: "3" })),
  ]);
  assertEquals(where(), [true, false]);
});

Deno.test("a deleted key stays deleted when an older write arrives", async () => {
  const a = await openReplica(1);
  await a.replica.receive(
    setRecord("k", undefined, { origin: origin(2), hlc: T0 - 5 }),
  );
  await a.replica.receive(setRecord("k", "late", { origin: origin(3) }));
  assertEquals(await readText(a.replica, "k"), undefined);
  assertEquals(lostValues(a), ["late"]);
});

// ---- §7 sessions

Deno.test("[9] a session is void when this state no longer has what the donor left out", async () => {
  const a = await openReplica(1);
  const base = vectorOf([origin(2), 1]);
  const taken = await a.replica.ingest(session({
    base,
    vector: vectorOf([origin(2), 5]),
    entries: [entry({ key: toBytes("k"), origin: origin(2), seq: 5 })],
  }));
  assertEquals(taken, false);
  assertEquals(a.replica.vector.size, 0);
  assertEquals(await standing(a, "k"), undefined);
});

Deno.test("a session moves all origins at once, skips what is covered, and takes the lives", async () => {
  const a = await openReplica(1);
  await a.replica.receive(setRecord("mine", "here"));
  const covered = entry({
    key: toBytes("mine"),
    value: toBytes("never again"),
    origin: origin(2),
    seq: 1,
    life: 9,
  });
  const fresh = entry({ key: toBytes("k"), origin: origin(3), seq: 4 });
  assert(
    await a.replica.ingest(session({
      vector: vectorOf([origin(2), 1], [origin(3), 4], [origin(4), 2]),
      entries: [covered, fresh],
      lifeGone: 3,
      lifeFloor: 2,
    })),
  );
  assertEquals(await readText(a.replica, "mine"), "here");
  assertEquals(await readText(a.replica, "k"), "v");
  assertEquals(a.replica.vector.seq(origin(3)), 4);
  assertEquals(a.replica.vector.seq(origin(4)), 2);
  const counters = decodeCounters(
    a.kv.get(rowKey(Space.META, toBytes("counters")))!,
  );
  assertEquals([counters.lifeGone, counters.lifeFloor], [3, 2]);
  // And all of it is durable.
  const again = await openReplica(1, { kv: a.kv });
  assertEquals(
    again.replica.vector.fingerprint(),
    a.replica.vector.fingerprint(),
  );
});

Deno.test("held records that a session frees are applied with it", async () => {
  const a = await openReplica(1);
  await a.replica.receive(setRecord("k", "6", { seq: 6 }));
  await a.replica.receive(setRecord("k", "5", { seq: 5 }));
  await a.replica.ingest(session({ vector: vectorOf([origin(2), 4]) }));
  assertEquals(a.replica.vector.seq(origin(2)), 6);
  assertEquals(a.replica.figures.held, 0);
});

Deno.test("a session with an entry that its vector does not cover is refused whole", async () => {
  const a = await openReplica(1);
  await assertRejects(() =>
    a.replica.ingest(session({
      vector: vectorOf([origin(2), 4]),
      entries: [entry({ key: toBytes("k"), origin: origin(2), seq: 5 })],
    }))
  );
  assertEquals(a.replica.vector.size, 0);
  assertEquals(await standing(a, "k"), undefined);
  await committed(a, { k: "alive" });
});

Deno.test("a session that says the own origin is full costs an origin, no write", async () => {
  const a = await openReplica(1);
  const first = await committed(a, { k: "1" });
  const vector = new Vector();
  const full = new Writer().varint(SEQ_MAX).finish();
  vector.decodeOrigin(first.origin, full);
  await a.replica.ingest(session({ vector }));
  const next = await committed(a, { k: "2" });
  assertNotEquals(next.origin, first.origin);
  assertEquals([next.seq, next.deps], [1, [dotOf(first)]]);
  assertEquals(decodeRecord(next.bytes).seq, 1);
});

Deno.test("an intent waits until its transaction is covered, also when both come in one group", async () => {
  const waiting = (node: TestNode) => {
    const rows = node.kv.iterate({ prefix: spacePrefix(Space.OPEN_INTENT) });
    let count = 0;
    while (rows.next()) count++;
    return count;
  };
  const txn = { origin: makeOrigin(3, 1, 1), seq: 4 };
  const body = new Writer().varint(txn.origin).varint(txn.seq).finish();
  const intent = record({ kind: RecordKind.INTENT, intent: { txn, body } });
  const decided = record({
    ...txn,
    kind: RecordKind.TXN,
    entries: [{ key: toBytes("k"), holder: 2 }],
  });
  const [apart, together, late] = [
    await openReplica(1),
    await openReplica(1),
    await openReplica(1),
  ];
  await apart.replica.receive(intent);
  assertEquals(waiting(apart), 1);
  await apart.replica.receive(decided);
  await Promise.all([
    together.replica.receive(intent),
    together.replica.receive(decided),
  ]);
  await late.replica.receive(decided);
  await late.replica.receive(intent);
  for (const node of [apart, together, late]) {
    assertEquals(waiting(node), 0);
    assertEquals((await standing(node, "k"))?.holder, 2);
    assert(node.replica.vector.covers(txn.origin, txn.seq));
  }
});

// ---- §8 conflicts

Deno.test("[10] two first claims: the earlier stays, the later is reported on both nodes with both values", async () => {
  const clock = new HandClock();
  const a = await openReplica(1, { clock });
  const b = await openReplica(2, { clock });
  const early = await committed(a, { k: "early" });
  clock.ms += 5;
  const late = await committed(b, { k: "late", also: "x" });
  await a.replica.receive(late);
  await b.replica.receive(early);
  for (const node of [a, b]) {
    assertEquals(await readText(node.replica, "k"), "early");
    assertEquals(await readText(node.replica, "also"), "x");
    assertEquals(node.told.clashes.length, 1);
    const { kept, lost, batchKeys } = node.told.clashes[0]!;
    assertEquals(toText(kept!.value!), "early");
    assertEquals(toText(lost.value!), "late");
    assertEquals(batchKeys.map(toText), ["also"]);
    const rows = node.kv.iterate({ prefix: spacePrefix(Space.CONFLICT) });
    assert(rows.next());
    assertEquals(
      toHex(decodeClash(rows.value).lost.value!),
      toHex(lost.value!),
    );
    assert(!rows.next());
  }
});

Deno.test("[10] what the winner was built upon is no conflict: its origin's, or its deps'", async () => {
  const a = await openReplica(1);
  const one = setRecord("k", "1");
  const next = { claimHlc: one.hlc };
  await a.replica.receive(one);
  await a.replica.receive(setRecord("k", "2", { seq: 2, entry: next }));
  const restarted = { origin: origin(2, 5), hlc: one.hlc + 9 };
  await a.replica.receive(
    setRecord("k", "3", {
      ...restarted,
      deps: [{ origin: origin(2), seq: 2 }],
      entry: next,
    }),
  );
  assertEquals(await readText(a.replica, "k"), "3");
  assertEquals(lostValues(a), []);
});

Deno.test("[10] a put-back node that overwrites its own newer write reports it", async () => {
  const a = await openReplica(1);
  const one = setRecord("k", "1");
  const next = { claimHlc: one.hlc };
  await a.replica.receive(one);
  await a.replica.receive(setRecord("k", "newer", { seq: 2, entry: next }));
  // Its next life knows the first write only.
  await a.replica.receive(
    setRecord("k", "after", {
      origin: origin(2, 5),
      hlc: one.hlc + 9,
      deps: [dotOf(one)],
      entry: next,
    }),
  );
  assertEquals(await readText(a.replica, "k"), "after");
  assertEquals(lostValues(a), ["newer"]);
});

Deno.test("[8] one version from two lives of a put-back node: the larger dot stays, on every node", async () => {
  const lives = [3, 4].map((epoch) =>
    setRecord("k", `life ${epoch}`, { origin: origin(2, epoch), hlc: T0 })
  );
  for (const order of [lives, lives.toReversed()]) {
    const a = await openReplica(1);
    for (const each of order) await a.replica.receive(each);
    assertEquals(await readText(a.replica, "k"), "life 4");
    assertEquals(lostValues(a), ["life 3"]);
  }
});

Deno.test("what a session overwrites is a conflict unless the donor had seen it", async () => {
  for (const seen of [0, 1]) {
    const a = await openReplica(1);
    await a.replica.receive(setRecord("k", "lost", { origin: origin(3) }));
    const vector = vectorOf([origin(2), 1]);
    if (seen) vector.add(origin(3), 1);
    const winner = entry({
      key: toBytes("k"),
      value: toBytes("kept"),
      holder: 2,
      claimHlc: T0 - 5,
      origin: origin(2),
      seq: 1,
    });
    await a.replica.ingest(session({ vector, entries: [winner] }));
    assertEquals(await readText(a.replica, "k"), "kept");
    assertEquals(lostValues(a), seen ? [] : ["lost"]);
  }
});

Deno.test("an entry of a session that loses here is a conflict", async () => {
  const a = await openReplica(1);
  await a.replica.receive(
    setRecord("k", "kept", { origin: origin(3), hlc: T0 - 5 }),
  );
  const loser = entry({
    key: toBytes("k"),
    value: toBytes("lost"),
    holder: 2,
    origin: origin(2),
    seq: 1,
  });
  const vector = vectorOf([origin(2), 1]);
  await a.replica.ingest(session({ vector, entries: [loser] }));
  assertEquals(await readText(a.replica, "k"), "kept");
  assertEquals(lostValues(a), ["lost"]);
});

Deno.test("a report names the whole batch, also when both sides arrive in one group", async () => {
  const a = await openReplica(1);
  const batch = record({
    origin: origin(3),
    entries: ["k", "m", "n"].map((key) => ({ key: toBytes(key) })),
  });
  const winner = setRecord("k", "early", { hlc: T0 - 5 });
  await Promise.all([batch, winner].map((each) => a.replica.receive(each)));
  const { lost, batchKeys } = a.told.clashes[0]!;
  assertEquals(lost.origin, origin(3));
  assertEquals(batchKeys.map(toText), ["m", "n"]);
});

Deno.test("a report names keys of its batch that were written again since", async () => {
  const a = await openReplica(1);
  const batch = record({
    origin: origin(3),
    entries: ["k", "m"].map((key) => ({ key: toBytes(key) })),
  });
  await a.replica.receive(batch);
  await a.replica.receive(setRecord("m", "again", {
    origin: origin(3),
    seq: 2,
    entry: { claimHlc: batch.hlc },
  }));
  await a.replica.receive(setRecord("k", "early", { hlc: T0 - 5 }));
  assertEquals(a.told.clashes[0]!.batchKeys.map(toText), ["m"]);
});

Deno.test("the same records in any order leave the same entries", async () => {
  const records = [
    setRecord("k", "a", { origin: origin(2), hlc: T0 + 1 }),
    setRecord("k", "b", { origin: origin(3), hlc: T0 + 1 }),
    setRecord("k", undefined, { origin: origin(4), hlc: T0 + 2 }),
    setRecord("k", "d", { origin: origin(5), hlc: T0 + 9, entry: { life: 2 } }),
  ];
  const seen = new Set<string>();
  for (const first of records) {
    for (const second of records) {
      const a = await openReplica(1);
      for (const each of [first, second, ...records]) {
        await a.replica.receive(decodeRecord(each.bytes));
      }
      seen.add(JSON.stringify(versionOf((await standing(a, "k"))!)));
    }
  }
  assertEquals(seen.size, 1);
});
