import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CheckFailedError,
  ClosedError,
  OverloadedError,
  PoisonedError,
  toBytes,
  toText,
} from "../../runtime/mod.ts";
import { Space, spacePrefix } from "../keyspace.ts";
import { decodeRecord, makeRecord } from "./record.ts";
import { Vector } from "./vector.ts";
import {
  AbandoningKV,
  AwaitedHandKV,
  HandKV,
  openReplica,
  origin,
  readText,
  setRecord,
  sets,
  turns,
  writeCounters,
} from "./world_test.ts";

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  await turns();
  return settled;
}

Deno.test("D1: nothing is acked, told, reported or answered before the engine's write has ended", async () => {
  const kv = new HandKV(false);
  const a = await openReplica(1, { kv });
  const own = a.replica.commit(sets({ k: "v" }));
  const theirs = a.replica.receive(setRecord("t", "v"));
  const session = a.replica.ingest({
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
  });
  const frozen = a.replica.freeze();
  const covered = a.replica.covers(
    [{ origin: origin(2), seq: 1 }],
    new AbortController().signal,
  );
  const empty = a.replica.commit(sets({ never: undefined }));
  await turns();
  assert(kv.writing);
  for (const each of [own, theirs, session, frozen, covered, empty]) {
    assertEquals(await isSettled(each), false);
  }
  assertEquals(a.told.applied.length, 0);
  assertEquals(a.replica.vector.size, 0);
  assertEquals((await a.replica.recent(new Vector(), 1000))!.records, []);

  kv.finish();
  const { record } = await own;
  assertEquals(await theirs, "applied");
  assertEquals(await session, true);
  await covered;
  await empty;
  assertEquals(a.told.applied.length, 3);
  assertEquals(a.replica.vector.seq(record!.origin), 1);
  const { snapshot, vector } = await frozen;
  assert(vector.includes(a.replica.vector));
  await snapshot.close();
});

Deno.test("commits that wait are bounded in bytes: further ones are refused, until there is room", async () => {
  const kv = new HandKV(false);
  const { replica } = await openReplica(1, { kv });
  const first = replica.commit(sets({ k: "v" }));
  await turns();
  assert(kv.writing);
  // They wait with their values, and end by a check before these are copied.
  const ops = [{ key: toBytes("large"), value: new Uint8Array(64 * 2 ** 20) }];
  const checks = [{ key: toBytes("k"), version: null }];
  const waiting = Array.from(
    { length: 4 },
    () => replica.commit({ checks, ops }),
  );
  const refused = replica.commit(sets({ k: "w" }));
  await assertRejects(() => refused, OverloadedError, "268435988 bytes wait");
  kv.finish();
  await first;
  for (const each of waiting) await assertRejects(() => each, CheckFailedError);
  const later = replica.commit(sets({ k: "x" }));
  await turns();
  kv.finish();
  await later;
});

Deno.test("the entry of a key is read in one moment, whatever is written meanwhile", async () => {
  const plain = () => new HandKV();
  for (const make of [plain, () => new AwaitedHandKV()]) {
    for (let ahead = 0; ahead < 40; ahead++) {
      const kv = make();
      writeCounters(kv);
      const { replica } = await openReplica(1, { kv });
      await replica.commit(sets({ k: "1" }));
      await replica.commit(sets({ k: undefined }));
      // The tombstone goes, and the living entry comes, while it is read.
      const set = replica.commit(sets({ k: "2" }));
      await turns(ahead);
      const [entry] = await replica.entries([toBytes("k")]);
      assertEquals(entry?.holder, 1, `${ahead} turns`);
      await set;
    }
  }
});

Deno.test("a report speaks of what survives a power failure, also where acks do not wait for it", async () => {
  for (const sync of [true, false]) {
    const kv = new HandKV();
    const { replica } = await openReplica(1, { kv, sync });
    await replica.commit(sets({ k: "1" }));
    kv.keepBatches = true;
    const { vector } = await replica.durable();
    assertEquals(vector.fingerprint(), replica.vector.fingerprint());
    assertEquals(kv.batches.length, sync ? 0 : 1);
  }
});

Deno.test("what is forgotten is also what was handed in before and came early", async () => {
  const { replica } = await openReplica(1);
  const early = setRecord("k", "v", { seq: 2 });
  const received = replica.receive(early);
  replica.dropHeld();
  assertEquals(await received, "early");
  await replica.durable();
  assertEquals(replica.figures.held, 0);
  await replica.receive(early);
  assertEquals(replica.figures.held, 1);
});

Deno.test("D1: what was not durable when the process died was never there", async () => {
  const kv = new HandKV(false);
  const a = await openReplica(1, { kv });
  const first = a.replica.commit(sets({ k: "1" }));
  await turns();
  kv.finish();
  await first;
  void a.replica.commit(sets({ k: "2" }));
  await turns();
  const again = await openReplica(1, { kv: kv.crash() });
  assertEquals(await readText(again.replica, "k"), "1");
  assertEquals(again.replica.vector.size, 1);
});

Deno.test("while a write is under way the next group gathers, and goes in one batch", async () => {
  const kv = new HandKV(false);
  const a = await openReplica(1, { kv });
  kv.keepBatches = true;
  const first = a.replica.commit(sets({ k0: "v" }));
  await turns();
  const later = Array.from(
    { length: 50 },
    (_, i) => a.replica.commit(sets({ [`k${i + 1}`]: "v" })),
  );
  await turns();
  assertEquals(kv.batches.length, 1);
  kv.finish();
  await first;
  await turns(1000);
  kv.finish();
  await Promise.all(later);
  assertEquals(kv.batches.length, 2);
  assertEquals(a.replica.vector.seq(a.replica.origin!), 51);
});

Deno.test("after a failed write everybody is told, nothing is published, and nothing more is written", async () => {
  const kv = new HandKV(false);
  const a = await openReplica(1, { kv });
  const dot = { origin: origin(2), seq: 1 };
  const group = [
    a.replica.commit(sets({ k: "v" })),
    a.replica.receive(setRecord("t", "v")),
    a.replica.freeze(),
  ];
  const covered = a.replica.covers([dot], new AbortController().signal);
  await turns();
  const next = a.replica.commit(sets({ l: "v" }));
  const error = new Error("the disk is gone");
  kv.failWrites(error);
  for (const each of group) {
    assertEquals(await assertRejects(() => each), error);
  }
  await assertRejects(() => next, PoisonedError);
  await assertRejects(() => covered, PoisonedError);
  await assertRejects(() => a.replica.commit(sets({ m: "v" })), PoisonedError);
  await assertRejects(
    () => a.replica.receive(setRecord("t", "v")),
    PoisonedError,
  );
  await assertRejects(
    () => a.replica.covers([dot], new AbortController().signal),
    PoisonedError,
  );
  assertEquals(a.told.failed, [error]);
  assertEquals(a.told.applied, []);
  assertEquals(a.replica.vector.size, 0);
  await a.replica.close();
});

Deno.test("a read error of the engine refuses its caller, leaves no half record, and the rest goes on", async () => {
  const a = await openReplica(1);
  const error = new Error("one block is broken");
  a.kv.readFailure = (key) =>
    key[0] === Space.LIVE && toText(key.subarray(1)) === "bad"
      ? error
      : undefined;
  const before = setRecord("x", "1");
  const bad = makeRecord({
    ...setRecord("y", "2", { seq: 2 }),
    entries: ["y", "bad"].map((key) => ({
      ...setRecord("y", "2", { seq: 2 }).entries[0]!,
      key: toBytes(key),
    })),
  });
  const settled = await Promise.allSettled([
    a.replica.commit(sets({ good: "v", bad: "v" })),
    a.replica.receive(before),
    a.replica.receive(bad),
    a.replica.commit(sets({ good: "w" })),
  ]);
  assertEquals(
    settled.map(({ status }) => status),
    ["rejected", "fulfilled", "rejected", "fulfilled"],
  );
  assertEquals(await readText(a.replica, "y"), undefined);
  assertEquals(await readText(a.replica, "good"), "w");
  assertEquals(a.replica.vector.seq(origin(2)), 1);
  // Once it can be read, the record comes again by a pull.
  a.kv.readFailure = undefined;
  assertEquals(await a.replica.receive(bad), "applied");
  assertEquals(await readText(a.replica, "bad"), "2");
});

Deno.test("a read error on a held record drops it and poisons nothing", async () => {
  const a = await openReplica(1);
  const bad = setRecord("bad", "2", { seq: 2 });
  await a.replica.receive(bad);
  a.kv.readFailure = (key) =>
    toText(key.subarray(1)) === "bad" ? new Error("broken") : undefined;
  assertEquals(await a.replica.receive(setRecord("x", "1")), "applied");
  assertEquals(a.told.failed, []);
  assertEquals(a.replica.figures.held, 0);
  a.kv.readFailure = undefined;
  assertEquals(await a.replica.receive(bad), "applied");
});

Deno.test("close settles all that was handed in, then refuses, and ends who waits", async () => {
  const kv = new HandKV(false);
  const a = await openReplica(1, { kv });
  const commit = a.replica.commit(sets({ k: "v" }));
  const dot = { origin: origin(9), seq: 1 };
  const covered = a.replica.covers([dot], new AbortController().signal);
  const closed = a.replica.close();
  assertEquals(await isSettled(closed), false);
  await assertRejects(() => a.replica.commit(sets({ l: "v" })), ClosedError);
  await assertRejects(() => a.replica.freeze(), ClosedError);
  kv.finish();
  assert((await commit).record !== undefined);
  await closed;
  await assertRejects(() => covered, ClosedError);
  await a.replica.close();
});

Deno.test("who waits for a record may give up", async () => {
  const a = await openReplica(1);
  const abort = new AbortController();
  const dot = { origin: origin(2), seq: 1 };
  const covered = a.replica.covers([dot], abort.signal);
  abort.abort(new Error("enough"));
  await assertRejects(() => covered, Error, "enough");
  await a.replica.receive(setRecord("k", "v"));
  await a.replica.covers([dot], new AbortController().signal);
});

Deno.test("a session frozen between two groups covers exactly what its snapshot has", async () => {
  const kv = new HandKV(false);
  const a = await openReplica(1, { kv });
  void a.replica.commit(sets({ k: "1" }));
  const frozen = a.replica.freeze();
  void a.replica.commit(sets({ k: "2" }));
  await turns();
  kv.finish();
  const { snapshot, vector } = await frozen;
  const rows = snapshot.iterate({ prefix: Uint8Array.of(Space.VECTOR) });
  let stored = 0;
  while (await rows.next()) stored += rows.value[0]!;
  assertEquals(stored, vector.seq(a.replica.origin!));
  await snapshot.close();
  await turns();
  kv.finish();
  await turns();
});

Deno.test("a peer's record under the own origin harms nothing", async () => {
  const a = await openReplica(1);
  await a.replica.commit(sets({ k: "1" }));
  const own = a.replica.origin!;
  const foreign = setRecord("x", "?", { origin: own, seq: 2 });
  assertEquals(await a.replica.receive(foreign), "applied");
  const { record } = await a.replica.commit(sets({ k: "2" }));
  assertEquals(record!.seq, 3);
  // One under way at the same time as ours: one of the two has the dot.
  const clash = setRecord("x", "!", { origin: own, seq: 4 });
  const [arrival, outcome] = await Promise.all([
    a.replica.receive(clash),
    a.replica.commit(sets({ k: "3" })),
  ]);
  assertEquals(arrival, "applied");
  assertEquals(outcome.record!.seq, 5);
  assertEquals(await readText(a.replica, "k"), "3");
});

Deno.test("records with the largest numbers are stored, and the node lives", async () => {
  const a = await openReplica(1);
  const MAX = Number.MAX_SAFE_INTEGER;
  const huge = decodeRecord(
    setRecord("k", "v", {
      hlc: MAX,
      entry: { life: MAX, term: MAX, sub: MAX, claimHlc: MAX, hlc: MAX },
    }).bytes,
  );
  assertEquals(await a.replica.receive(huge), "applied");
  assertEquals(await readText(a.replica, "k"), "v");
  const mine = setRecord("mine", "v", {
    seq: 2,
    hlc: MAX,
    entry: { holder: 1, hlc: MAX },
  });
  assertEquals(await a.replica.receive(mine), "applied");
  await assertRejects(() => a.replica.commit(sets({ mine: "w" })), RangeError);
  await a.replica.commit(sets({ other: "v" }));
  const far = setRecord("k", "far", { seq: 2 ** 48 - 1 });
  assertEquals(await a.replica.receive(far), "early");
  assertEquals(a.told.failed, []);
});

Deno.test("what the log lets go of is given up once its head is durable, row by row deleted only where the engine knows no better", async () => {
  for (const Engine of [AbandoningKV, HandKV]) {
    const kv = new Engine(false);
    const { replica } = await openReplica(1, { kv, logBytesMax: 1000 });
    const abandoned = () =>
      kv instanceof AbandoningKV ? kv.abandoned.length : 0;
    const opened = abandoned();
    kv.keepBatches = true;
    let before = opened;
    for (let i = 0; i < 40; i++) {
      const set = replica.commit(sets({ [`k${i % 7}`]: "v".repeat(40) }));
      await turns();
      assert(kv.writing);
      assertEquals(abandoned(), before);
      kv.finish();
      await set;
      before = abandoned();
      const rows = kv.iterate({ prefix: spacePrefix(Space.LOG) });
      let count = 0;
      while (rows.next()) count++;
      assertEquals(count, replica.figures.logRecords);
    }
    assert(replica.figures.logRecords < 15);
    const isAbandoning = kv instanceof AbandoningKV;
    assertEquals(before - opened > 20, isAbandoning);
    const deleted = kv.batches.flat().filter(({ key, value }) =>
      key[0] === Space.LOG && value === undefined
    );
    assertEquals(deleted.length > 20, !isAbandoning);
    assertEquals(deleted.length > 0, !isAbandoning);
  }
});

Deno.test("an engine that refuses a hint ends nothing", async () => {
  class Refusing extends AbandoningKV {
    override abandon(): void {
      throw new ClosedError("abandon a range", "the store");
    }
  }
  const kv = new Refusing();
  const { replica, told } = await openReplica(1, { kv, logBytesMax: 200 });
  for (let i = 0; i < 10; i++) await replica.commit(sets({ k: `${i}` }));
  assertEquals(await readText(replica, "k"), "9");
  assertEquals(told.failed, []);
  const again = await openReplica(1, { kv, logBytesMax: 200 });
  assertEquals(await readText(again.replica, "k"), "9");
});
