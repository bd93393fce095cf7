/**
 * Reports of conflicts: none goes but by being forgotten, and what would lose waits
 * where there is no room for them.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { toBytes, toText } from "../../runtime/mod.ts";
import { metaKey, numberOfKey, Space, spacePrefix } from "../keyspace.ts";
import { conflictOf, ConflictsFullError, decodeClash } from "./conflict.ts";
import { dotOf, type LogRecord } from "./record.ts";
import { encodeCounters } from "./state.ts";
import { Vector } from "./vector.ts";
import {
  entry,
  HandClock,
  HandKV,
  openReplica,
  origin,
  readText,
  record,
  setRecord,
  sets,
  T0,
  type TestNode,
  turns,
} from "./world_test.ts";

/** A node that leads keys `k0` to `k9` by the earliest claims. */
async function leader(conflictsMax: number, kv?: HandKV): Promise<TestNode> {
  const node = await openReplica(1, { conflictsMax, ...kv && { kv } });
  if (kv !== undefined) return node;
  for (let i = 0; i < 10; i++) {
    await node.replica.commit(sets({ [`k${i}`]: "kept" }));
  }
  return node;
}

/** A record of another node that claims keys of the leader too late. */
function late(seq: number, keys: readonly string[], of = 2): LogRecord {
  const hlc = T0 + 1000 + seq;
  return record({
    origin: origin(of),
    seq,
    hlc,
    entries: keys.map((key) => ({
      key: toBytes(key),
      value: toBytes(`${key} of ${of}`),
      claimHlc: hlc,
    })),
  });
}

/** The conflicts on record, each as its number and what lost. */
function onRecord({ kv }: TestNode): string[] {
  const rows = kv.iterate({ prefix: spacePrefix(Space.CONFLICT) });
  const found: string[] = [];
  while (rows.next()) {
    const number = numberOfKey(rows.key);
    const { lost } = conflictOf({ ...decodeClash(rows.value), number });
    found.push(`${number}: ${toText(lost.value!)}`);
  }
  return found;
}

Deno.test("a record that would lose waits where as many conflicts stand as may, and nothing of it is here", async () => {
  const node = await leader(2);
  const { replica, told } = node;
  assertEquals(await replica.receive(late(1, ["k0"])), "applied");
  assertEquals(await replica.receive(late(2, ["k1"])), "applied");
  assertEquals(told.full, []);
  const before = onRecord(node);
  // Also a batch of which only one key would lose.
  const waits = late(3, ["free", "k2"]);
  for (let i = 0; i < 3; i++) {
    assertEquals(await replica.receive(waits), "waits");
  }
  assertEquals(await readText(replica, "free"), undefined);
  assertEquals(replica.vector.seq(origin(2)), 2);
  assertEquals(onRecord(node), before);
  assertEquals(told.clashes.length, 2);
  assertEquals(
    [replica.figures.conflictsStanding, replica.figures.conflictsFull],
    [2, true],
  );
  // Told once, however often it comes.
  assertEquals(told.full, [2]);
});

Deno.test("a batch that finds room is taken with all that loses in it", async () => {
  const node = await leader(2);
  assertEquals(await node.replica.receive(late(1, ["k0"])), "applied");
  const large = late(2, ["k1", "k2", "k3"]);
  assertEquals(await node.replica.receive(large), "applied");
  assertEquals(node.replica.figures.conflictsStanding, 4);
  assertEquals(await node.replica.receive(late(3, ["k4"])), "waits");
});

Deno.test("what waits keeps neither other origins nor this node's own writes, nor what wins here", async () => {
  const node = await leader(1);
  const { replica } = node;
  await replica.receive(late(1, ["k0"]));
  assertEquals(await replica.receive(late(2, ["k1"])), "waits");
  const other = { origin: origin(3) };
  assertEquals(await replica.receive(setRecord("o", "v", other)), "applied");
  await replica.commit(sets({ k1: "newer", own: "v" }));
  // An earlier claim than this node's own: it is above, and that is told.
  const wins = setRecord("k5", "earliest", {
    origin: origin(4),
    hlc: T0 - 5000,
  });
  assertEquals(await replica.receive(wins), "applied");
  assertEquals(await readText(replica, "k5"), "earliest");
  assertEquals(onRecord(node), ["1: k0 of 2", "2: kept"]);
  assertEquals(replica.figures.conflictsFull, true);
});

Deno.test("what comes after a record that waits, or builds on it, waits too, and comes with it when there is room", async () => {
  const { replica } = await leader(1);
  await replica.receive(late(1, ["k0"]));
  const waits = late(2, ["k1"]);
  await replica.receive(waits);
  const next = setRecord("x", "v", { seq: 3 });
  const builds = setRecord("y", "v", {
    origin: origin(3),
    deps: [dotOf(waits)],
  });
  const after = setRecord("z", "v", { origin: origin(3), seq: 2 });
  // Of which nobody knows whether it does.
  const gap = setRecord("w", "v", { origin: origin(5), seq: 2 });
  for (const early of [next, builds, after, gap]) {
    assertEquals(await replica.receive(early), "early");
  }
  assertEquals([replica.originsWaiting, replica.figures.held], [2, 5]);
  const donor = new Vector();
  for (const each of [late(1, []), waits, next, builds, after]) {
    donor.add(each.origin, each.seq);
  }
  const waiting = replica.waitingOf(donor);
  assertEquals([waiting.seq(origin(2)), waiting.seq(origin(3))], [3, 2]);

  await replica.forgetConflicts(1);
  assertEquals([replica.originsWaiting, replica.figures.held], [0, 1]);
  for (const each of [waits, next, builds, after]) {
    assertEquals(await replica.receive(each), "covered");
  }
  assertEquals(await readText(replica, "z"), "v");
});

Deno.test("what waits, and what comes early for another reason, have their own room", async () => {
  const { replica } = await leader(1);
  await replica.receive(late(1, ["k0"]));
  await replica.receive(late(2, ["k1"]));
  for (let seq = 3; seq < 5000; seq++) {
    await replica.receive(setRecord(`x${seq}`, "v", { seq }));
  }
  assertEquals(replica.figures.held, 4096);
  for (let seq = 2; seq < 20_000; seq++) {
    await replica.receive(
      setRecord(`y${seq}`, "v", { origin: origin(5), seq }),
    );
  }
  assertEquals(replica.figures.held, 4096 + 16_384);
  // Of what waits, what there was room for.
  await replica.forgetConflicts(1);
  assertEquals(replica.vector.seq(origin(2)), 1 + 4096);
  await replica.receive(setRecord("y", "v", { origin: origin(5) }));
  assertEquals(replica.vector.seq(origin(5)), 16_385);
});

Deno.test("what waited comes in batches that are bounded, with the reports of what loses", async () => {
  // They would all lose against one large value.
  const many = await openReplica(1, { conflictsMax: 1000 });
  await many.replica.commit(sets({ doc: "x".repeat(20_000) }));
  for (let seq = 1; seq <= 2000; seq++) {
    await many.replica.receive(late(seq, ["doc"]));
  }
  assertEquals(many.replica.figures.conflictsStanding, 1000);
  let largest = 0;
  const { write } = many.kv;
  many.kv.write = function (batch) {
    let bytes = 0;
    for (const { key, value } of batch) {
      bytes += key.length + (value?.length ?? 0);
    }
    largest = Math.max(largest, bytes);
    return write.call(this, batch);
  };
  await many.replica.forgetConflicts(1000);
  assertEquals(many.replica.vector.seq(origin(2)), 2000);
  assert(largest > 1e6 && largest < 6e6, `${largest}`);
});

Deno.test("what builds on what waits waits no longer once that has come by another way", async () => {
  const { replica } = await leader(1);
  await replica.receive(late(1, ["k0"]));
  const waits = late(2, ["k1"]);
  await replica.receive(waits);
  const deps = [dotOf(waits)];
  const builds = setRecord("y", "v", { origin: origin(3), deps });
  assertEquals(await replica.receive(builds), "early");
  assertEquals(replica.originsWaiting, 2);
  // A session of one whose own entry was above it has no loss to tell of.
  const vector = replica.vector.clone();
  vector.add(waits.origin, waits.seq);
  const taken = { ...sessionOf([]), base: replica.vector, vector };
  assert(await replica.ingest(taken));
  assertEquals(replica.vector.seq(origin(2)), 2);
  assertEquals(replica.originsWaiting, 0);
  await replica.receive(setRecord("z", "v", { origin: origin(4) }));
  assertEquals(await readText(replica, "y"), "v");
});

Deno.test("what waited comes whatever the order in which it had come, and what had no room comes later", async () => {
  const { replica } = await leader(1);
  await replica.receive(late(1, ["k0"]));
  await replica.receive(setRecord("x3", "v", { seq: 3 }));
  await replica.receive(late(2, ["k1"]));
  await replica.receive(setRecord("x4", "v", { seq: 4 }));
  await replica.forgetConflicts(1);
  assertEquals([replica.vector.seq(origin(2)), replica.figures.held], [4, 0]);

  await replica.receive(late(5, ["k2"]));
  assertEquals(replica.originsWaiting, 1);
  replica.dropHeld();
  for (const seq of [6, 7]) {
    await replica.receive(setRecord(`x${seq}`, "v", { seq }));
  }
  await replica.forgetConflicts(2);
  assertEquals(await replica.receive(late(5, ["k2"])), "applied");
  assertEquals([replica.vector.seq(origin(2)), replica.figures.held], [7, 0]);
});

Deno.test("what builds on what still waits waits on when some is forgotten", async () => {
  const { replica } = await leader(1);
  await replica.receive(late(1, ["k0"]));
  const [first, second] = [late(2, ["k1"]), late(1, ["k2"], 6)];
  await replica.receive(first);
  await replica.receive(second);
  const deps = [dotOf(first), dotOf(second)];
  const builds = setRecord("y", "v", { origin: origin(3), deps });
  const next = setRecord("z", "v", {
    origin: origin(4),
    deps: [dotOf(builds)],
  });
  await replica.receive(builds);
  await replica.receive(next);
  assertEquals(replica.originsWaiting, 4);
  await replica.forgetConflicts(1);
  assertEquals(replica.originsWaiting, 3);
  await replica.forgetConflicts(2);
  assertEquals([replica.originsWaiting, replica.figures.held], [0, 0]);
  assertEquals(await readText(replica, "z"), "v");
});

Deno.test("conflicts that are forgotten are so though the node is closed meanwhile", async () => {
  const node = await leader(1);
  await node.replica.receive(late(1, ["k0"]));
  await node.replica.receive(late(2, ["k1"]));
  const forgotten = node.replica.forgetConflicts(1);
  const closed = node.replica.close();
  await forgotten;
  await closed;
  assertEquals(onRecord(node).includes("1: k0 of 2"), false);
});

Deno.test("of what waits as much comes as there is room for, and the rest waits on", async () => {
  const { replica, told } = await leader(1);
  await replica.receive(late(1, ["k0"]));
  for (let seq = 2; seq <= 4; seq++) {
    await replica.receive(late(seq, [`k${seq}`]));
  }
  for (let conflicts = 1; conflicts <= 3; conflicts++) {
    assertEquals(replica.figures.held, 4 - conflicts);
    assertEquals(replica.vector.seq(origin(2)), conflicts);
    assertEquals(replica.figures.conflictsFull, true);
    await replica.forgetConflicts(conflicts);
  }
  assertEquals(replica.vector.seq(origin(2)), 4);
  assertEquals([replica.figures.held, replica.originsWaiting], [0, 0]);
  assertEquals(told.clashes.map(({ number }) => number), [1, 2, 3, 4]);
  assertEquals(told.full, [1, 1, 1]);
});

Deno.test("reports go by being forgotten only, durably, and make room for what waited", async () => {
  const node = await leader(3);
  const { replica, told } = node;
  for (let seq = 1; seq <= 3; seq++) {
    await replica.receive(late(seq, [`k${seq}`]));
  }
  await replica.receive(late(4, ["k4"]));
  await replica.forgetConflicts(2);
  assertEquals(onRecord(node), ["3: k3 of 2", "4: k4 of 2"]);
  assertEquals(replica.figures.conflictsFull, false);
  assertEquals(await replica.receive(late(5, ["k5"])), "applied");
  assertEquals(await replica.receive(late(6, ["k6"])), "waits");
  // Each time that it begins anew.
  assertEquals(told.full, [3, 3]);
  assertEquals(told.clashes.map(({ number }) => number), [1, 2, 3, 4, 5]);

  // After a crash they are those that stood, and as many.
  const again = await leader(3, node.kv.crash());
  assertEquals(onRecord(again), ["3: k3 of 2", "4: k4 of 2", "5: k5 of 2"]);
  assertEquals(again.replica.figures.conflictsStanding, 3);
  assertEquals(await again.replica.receive(late(6, ["k6"])), "waits");
  // What is forgotten already, or nothing, does no harm.
  await again.replica.forgetConflicts(2);
  await again.replica.forgetConflicts(0);
  assertEquals(again.replica.figures.conflictsStanding, 3);
  await assertRejects(
    () => again.replica.forgetConflicts(6),
    RangeError,
    "the newest is 5",
  );
  await again.replica.forgetConflicts(5);
  assertEquals(onRecord(again), ["6: k6 of 2"]);
  await again.replica.forgetConflicts(6);
  assertEquals(onRecord(again), []);
});

Deno.test("that something waits is told once the reports can be read that take the room: who forgets them then makes room", async () => {
  const node = await leader(2);
  const { replica, kv, told } = node;
  kv.automatic = false;
  const arrivals = Promise.all(
    [1, 2, 3].map((seq) => replica.receive(late(seq, [`k${seq}`]))),
  );
  await turns();
  assert(kv.writing);
  assertEquals(told.full, []);
  kv.finish();
  assertEquals(await arrivals, ["applied", "applied", "waits"]);
  assertEquals([told.full, onRecord(node).length], [[2], 2]);
});

Deno.test("however many are forgotten at once, no batch is large, and each leaves the right number", async () => {
  const kv = new HandKV();
  const counters = {
    clock: 0,
    lifeGone: 0,
    lifeFloor: 0,
    caughtUp: true,
    conflictNumber: 25_000,
    conflictsForgotten: 1000,
    bank: 0,
  } as const;
  kv.write([{ key: metaKey("counters"), value: encodeCounters(counters) }]);
  const { replica } = await openReplica(1, { kv });
  assertEquals(replica.figures.conflictsStanding, 24_000);
  kv.keepBatches = true;
  await replica.forgetConflicts(24_500);
  const sizes = kv.batches.map(({ length }) => length);
  assertEquals(sizes, [10_001, 10_001, 3501]);
  const again = await openReplica(1, { kv: kv.crash() });
  assertEquals(again.replica.figures.conflictsStanding, 500);
});

/** A session of node 2 with such keys of the leader, claimed too late. */
function sessionOf(keys: readonly string[]) {
  const vector = new Vector();
  const entries = keys.map((key, i) => {
    vector.add(origin(2), i + 1);
    const claimHlc = T0 + 1000 + i;
    return entry({
      key: toBytes(key),
      value: toBytes("session"),
      holder: 2,
      origin: origin(2),
      seq: i + 1,
      claimHlc,
      hlc: claimHlc,
    });
  });
  return {
    whole: false,
    base: new Vector(),
    vector,
    entries,
    intents: [],
    lifeGone: 7,
    lifeFloor: 0,
    floor: new Vector(),
    incarnations: [],
    folds: [],
  };
}

Deno.test("a session with what would lose waits whole, and is taken once there is room", async () => {
  const node = await leader(1);
  const { replica, told } = node;
  await replica.receive(late(1, ["k0"], 3));
  const session = sessionOf(["free", "k1", "k2"]);
  for (let i = 0; i < 2; i++) {
    await assertRejects(() => replica.ingest(session), ConflictsFullError);
  }
  assertEquals(await readText(replica, "free"), undefined);
  assertEquals(replica.vector.seq(origin(2)), 0);
  assertEquals([told.full, replica.figures.conflictsFull], [[1], true]);
  // One without goes on.
  assert(await replica.ingest(sessionOf(["free"])));
  assertEquals(replica.figures.conflictsFull, false);
  // Nor does it count what is covered, though it is below what stands.
  const covered = { ...sessionOf(["k1"]), base: new Vector() };
  assert(await replica.ingest(covered));

  await replica.forgetConflicts(1);
  assert(await replica.ingest(session));
  assertEquals(onRecord(node), ["2: session", "3: session"]);
});

Deno.test("S6: a whole copy reports all that is lost with it, however many conflicts stand", async () => {
  const node = await leader(1);
  const { replica } = node;
  await replica.receive(late(1, ["k0"]));
  await replica.voidCopy(() => []);
  await replica.beginCopy();
  const { entries, ...copy } = sessionOf(["free"]);
  await replica.fill(entries, copy);
  assert(await replica.ingest({ ...copy, entries: [], whole: true }));
  const found = onRecord(node);
  assertEquals(found.length, 11);
  assertEquals(found[0], "1: k0 of 2");
  assertEquals(replica.figures.conflictsStanding, 11);
});

Deno.test("own commits make no report, also of a key that is taken over from a node that is gone", async () => {
  const clock = new HandClock();
  const node = await openReplica(1, {
    clock,
    conflictsMax: 1,
    isSealed: (holder) => holder === 3,
  });
  const { replica, told } = node;
  await replica.commit(sets({ k0: "kept" }));
  await replica.receive(late(1, ["k0"]));
  await replica.receive(setRecord("gone", "v", { origin: origin(3) }));
  for (let i = 0; i < 3; i++) {
    // However far its clock was put back.
    clock.ms -= 60_000;
    await replica.commit(sets({ gone: `${i}`, k0: `${i}`, [`n${i}`]: "v" }));
  }
  assertEquals(await readText(replica, "gone"), "2");
  assertEquals(told.clashes.length, 1);
});
