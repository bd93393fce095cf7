/**
 * How ended origins are folded out of vectors (docs/fold.md).
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { EMPTY_BYTES } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { Space, spacePrefix } from "../keyspace.ts";
import { Progress } from "../progress.ts";
import { readToken } from "../token.ts";
import { Donor } from "./donor.ts";
import type { Origin } from "./dot.ts";
import { type Fold, foldable, Folds } from "./fold.ts";
import { decodePullReply, encodeChunkRequest } from "./messages.ts";
import { decodeRecord, RecordKind } from "./record.ts";
import { decodeChunk, decodeOffer, type SessionOffer } from "./session.ts";
import { Vector } from "./vector.ts";
import {
  HandClock,
  type HandKV,
  HandTimers,
  openReplica,
  origin,
  record,
  setRecord,
  sets,
  type TestNode,
} from "./world_test.ts";

function rows(kv: HandKV, space: number): number {
  const found = kv.iterate({ prefix: spacePrefix(space) });
  let count = 0;
  while (found.next()) count++;
  return count;
}

function vector(folds: Folds | undefined, ...dots: [Origin, number][]): Vector {
  const made = new Vector(folds);
  for (const [of, seq] of dots) made.reach({ origin: of, seq });
  return made;
}

function fold(of: Origin, seq: number, ...list: [Origin, number][]): Fold {
  return {
    origin: of,
    seq,
    list: list.map(([of, seq]) => ({ origin: of, seq })),
  };
}

const [A1, A2, A3, B1] = [1, 2, 3, 11].map((epoch) => origin(1, epoch)) as [
  Origin,
  Origin,
  Origin,
  Origin,
];

/** A2 folds A1, A3 folds A2. */
function chain(): Folds {
  const folds = new Folds();
  folds.add(fold(A2, 2, [A1, 5]));
  folds.add(fold(A3, 1, [A2, 4]));
  return folds;
}

Deno.test("who covers a fold covers its list, and what folds in that list do; who does not covers nothing by it", () => {
  const folds = chain();
  const newest = vector(folds, [A3, 1], [B1, 7]);
  assertEquals([A1, A2, A3, B1].map((of) => newest.seq(of)), [5, 4, 1, 7]);
  assert(!newest.covers(A1, 6));
  // Also where it does not cover all folds that are known.
  folds.add(fold(B1, 8, [origin(2), 1]));
  assertEquals([A1, A2, A3].map((of) => newest.clone().seq(of)), [5, 4, 1]);
  const middle = vector(folds, [A2, 3]);
  assertEquals([A1, A2, A3].map((of) => middle.seq(of)), [5, 3, 0]);
  const oldest = vector(folds, [A2, 1]);
  assertEquals([A1, A2, A3].map((of) => oldest.seq(of)), [0, 1, 0]);
  assert(newest.includes(middle) && !middle.includes(newest));
  assert(middle.includes(oldest) && !oldest.includes(middle));
});

Deno.test("a fold that is learnt, or covered, later counts from then on, in whatever order they come", () => {
  for (const order of [[0, 1], [1, 0]]) {
    const all = chain().all();
    const folds = new Folds();
    const state = vector(folds, [A3, 1]);
    assertEquals(state.seq(A1), 0);
    for (const i of order) folds.add(all[i]!);
    assertEquals([state.seq(A1), state.clone().seq(A2)], [5, 4]);
    const late = vector(folds);
    assertEquals(late.seq(A1), 0);
    late.add(A3, 1);
    assertEquals(late.seq(A1), 5);
  }
});

Deno.test("a living origin that was folded goes on behind what was folded", () => {
  const state = vector(chain(), [A3, 1]);
  state.add(A1, 6);
  assertEquals(state.seq(A1), 6);
  assertEquals(Vector.decode(state.encode()).seq(A1), 6);
});

Deno.test("without what is folded a vector says the same; nothing goes before the floor covers the fold", () => {
  const folds = chain();
  const long = vector(folds, [A1, 5], [A2, 4], [A3, 1], [B1, 7]);
  assertEquals(long.shortened(vector(folds, [A2, 1])), long);
  const half = long.shortened(vector(folds, [A2, 4], [A1, 5]));
  assertEquals([...half.origins()], [A2, A3, B1]);
  const short = long.shortened(long);
  assertEquals([...short.origins()], [A3, B1]);
  for (const other of [half, short]) {
    assert(other.includes(long) && long.includes(other));
    assertEquals(
      other.beyond(new Vector()).encode(),
      long.beyond(new Vector()).encode(),
    );
  }
  // One that has more than was folded is named on.
  const more = vector(folds, [A1, 6], [A2, 4], [A3, 1]);
  assertEquals([...more.shortened(more).origins()], [A1, A3]);
});

Deno.test("what is beyond an older vector is named, though it is folded", () => {
  const folds = chain();
  const state = vector(folds, [A3, 1], [B1, 7]);
  const token = vector(folds, [A1, 3], [B1, 7]);
  assertEquals([...state.beyond(token).origins()].sort(), [A1, A2, A3]);
  assertEquals(state.countBeyond(token), 2 + 4 + 1);
  assertEquals([...state.beyond(vector(folds, [A3, 1])).origins()], [B1]);
});

Deno.test("joins and meets of vectors are those of what they say", () => {
  const folds = chain();
  const short = vector(folds, [A3, 1]);
  const old = vector(folds, [A1, 3], [B1, 2]);
  const both = short.meet(old);
  assertEquals([A1, A2, A3, B1].map((of) => both.seq(of)), [3, 0, 0, 0]);
  assertEquals(
    old.meet(short).beyond(new Vector()).encode(),
    both.beyond(new Vector()).encode(),
  );
  const all = old.clone();
  all.join(short);
  assertEquals([A1, A2, A3, B1].map((of) => all.seq(of)), [5, 4, 1, 2]);
});

Deno.test("lists that go in a circle, which no records do, end", () => {
  const folds = new Folds();
  folds.add(fold(A1, 1, [A2, 1]));
  folds.add(fold(A2, 1, [A1, 1]));
  folds.add(fold(A3, 1));
  assertEquals(vector(folds, [B1, 1]).seq(A1), 0);
  assertEquals(vector(folds, [A1, 1]).seq(A2), 1);
});

Deno.test("a watcher that has seen an origin end and be folded names it no more in its tokens", () => {
  const folds = chain();
  const end = vector(folds, [A3, 1], [B1, 300]);
  const progress = new Progress(vector(folds, [A1, 1]), () => end);
  progress.advance([
    { origin: A1, seq: 5 },
    { origin: A2, seq: 4 },
    { origin: A3, seq: 1 },
  ]);
  const steps = Array.from({ length: 300 }, (_, i) => ({
    origin: B1,
    seq: i + 1,
  }));
  progress.advance(steps);
  const { vector: told } = readToken("test", "token", progress.token()());
  assertEquals([...told.origins()], [A3, B1]);
  assert(told.readAs(end).includes(end) && end.includes(told));
});

const own = (node: number) => node === 1;

async function raiseFloor({ replica }: TestNode): Promise<void> {
  await replica.collect(
    { floor: replica.vector, gate: replica.floor },
    () => true,
  );
}

/** A node that has written in three starts, and folds in the third. */
async function folded(): Promise<TestNode & { first: Origin }> {
  let node = await openReplica(1);
  let first: Origin | undefined;
  for (let start = 0; start < 3; start++) {
    if (start > 0) node = await openReplica(1, { kv: node.kv.crash() });
    await node.replica.commit(sets({ [`k${start}`]: "v" }));
    first ??= node.replica.origin;
  }
  await raiseFloor(node);
  assertEquals((await node.replica.fold(own))?.deps.length, 2);
  return { ...node, first: first! };
}

Deno.test("a node folds the origins of its earlier starts, and names them no more once the floor covers the fold", async () => {
  const node = await folded();
  const { replica, kv, first } = node;
  assertEquals([...replica.vector.origins()].length, 3);
  assertEquals(await replica.fold(own), undefined, "they are folded");
  const before = replica.vector;
  await raiseFloor(node);
  assertEquals([...replica.vector.origins()], [replica.origin]);
  assertEquals([...replica.floor.origins()], [replica.origin]);
  assert(replica.vector.includes(before) && before.includes(replica.vector));
  assert(replica.vector.covers(first, 1) && replica.floor.covers(first, 1));
  assertEquals(replica.figures.folded, 2);
  assertEquals(rows(kv, Space.VECTOR), 1);

  const again = await openReplica(1, { kv: kv.crash() });
  assert(again.replica.vector.covers(first, 1));
  assert(again.replica.vector.includes(before));
  // A late record of a folded origin.
  const late = setRecord("k0", "old", { origin: first });
  assertEquals(await again.replica.receive(late), "covered");
});

Deno.test("what only folds list that are not covered is folded again: they may be gone with what was written before a reset", () => {
  const folds = chain();
  const foldedBy = (...named: [Origin, number][]) => {
    const all = vector(folds, ...named);
    const own = { origin: undefined, floor: all };
    return foldable(own, all, () => true).map(({ origin }) => origin);
  };
  // The fold that lists A1 is the second record of A2.
  assertEquals(foldedBy([A1, 5], [A2, 1], [B1, 1]), [A1, A2, B1]);
  assertEquals(foldedBy([A1, 5], [A2, 4], [B1, 1]), [A2, B1]);
  assertEquals(foldedBy([A1, 5], [A2, 4], [A3, 1], [B1, 1]), [A3, B1]);
});

Deno.test("a node folds nothing that others may lack, nothing of others, and no single origin if it has to open one", async () => {
  const first = await openReplica(1);
  await first.replica.commit(sets({ a: "v" }));
  const node = await openReplica(1, { kv: first.kv.crash() });
  const { replica } = node;
  await raiseFloor(node);
  assertEquals(await replica.fold(own), undefined);
  await replica.receive(setRecord("b", "v"));
  await raiseFloor(node);
  assertEquals(await replica.fold(own), undefined);
  await replica.commit(sets({ c: "v" }));
  const made = await replica.fold(own);
  assertEquals(made?.kind, RecordKind.FOLD);
  assertEquals(made?.deps, [{ origin: first.replica.origin!, seq: 1 }]);
  assertEquals(decodeRecord(made!.bytes).deps, made!.deps);

  const third = await openReplica(1, { kv: node.kv.crash() });
  await third.replica.commit(sets({ c: "w" }));
  // The floor does not cover what the start before wrote last.
  assertEquals(await third.replica.fold(own), undefined);
});

Deno.test("a fold waits for what it lists, and its list is durable with it", async () => {
  const { replica, kv } = await openReplica(1);
  const [ended, present] = [origin(2, 1), origin(2, 2)];
  const folding = record({
    origin: present,
    kind: RecordKind.FOLD,
    deps: [{ origin: ended, seq: 2 }],
  });
  assertEquals(await replica.receive(folding), "early");
  await replica.receive(setRecord("k", "1", { origin: ended, seq: 1 }));
  assertEquals(replica.vector.seq(present), 0);
  await replica.receive(setRecord("k", "2", { origin: ended, seq: 2 }));
  assert(replica.vector.covers(present, 1));
  const again = await openReplica(1, { kv: kv.crash() });
  const theirs = vector(undefined, [present, 1]).readAs(again.replica.vector);
  assertEquals(theirs.seq(ended), 2);
});

Deno.test("a session brings the lists of the folds that the base does not cover", async () => {
  const donor = await folded();
  await raiseFloor(donor);
  const { vector: all, origin: present } = donor.replica;
  const folds = donor.replica.foldsBeyond(new Vector(), all);
  assertEquals(folds.length, 1);
  assertEquals(donor.replica.foldsBeyond(all, all), []);
  const { replica, kv } = await openReplica(2, { caughtUp: false });
  const offer = {
    id: 1,
    // As it comes from the wire.
    vector: Vector.decode(all.encode()),
    floor: Vector.decode(donor.replica.floor.encode()),
    lifeGone: 0,
    lifeFloor: 0,
    intents: [],
    config: new Uint8Array(),
    incarnations: [],
    goesOn: false,
    folds,
  };
  replica.learn(offer);
  assert(offer.vector.covers(donor.first, 1));
  await replica.ingest({
    ...offer,
    whole: true,
    base: new Vector(),
    entries: [],
  });
  for (
    const at of [replica, (await openReplica(2, { kv: kv.crash() })).replica]
  ) {
    assertEquals([...at.vector.origins()], [present!]);
    assert(at.vector.includes(all.beyond(new Vector())));
    assert(at.floor.covers(donor.first, 1));
  }
});

Deno.test("the log hands out, or says that it cannot, what an old vector lacks of a folded origin", async () => {
  const node = await folded();
  const { replica, first } = node;
  await raiseFloor(node);
  const old = vector(undefined, [replica.origin!, 1]);
  const given = await replica.recent(
    Vector.decode(old.encode()).readAs(replica.vector),
    1_000_000,
  );
  const origins = given!.records.map((bytes) => decodeRecord(bytes).origin);
  assertEquals(origins[0], first);
  assertEquals(origins.length, 3);
  // It has kept what came behind the old vector, but for what was folded since.
  const [k0, , fold] = given!.records.map(({ length }) => length);
  const small = await openReplica(1, {
    kv: node.kv.crash(),
    logBytesMax: fold! + 2 * k0! + 20,
  });
  await small.replica.commit(sets({ more: "v" }));
  assertEquals(small.replica.figures.logRecords, 3);
  assertEquals(
    await small.replica.recent(old.readAs(small.replica.vector), 1_000_000),
    null,
  );
});

Deno.test("where a write left a node is told without what is folded, and with what was not yet folded then", async () => {
  const node = await folded();
  const { replica, first } = node;
  await raiseFloor(node);
  const { after } = await replica.commit(sets({ last: "v" }));
  const state = replica.stateAfter(Vector.upTo(after))!;
  assertEquals([...state.origins()], [replica.origin]);
  assert(state.includes(replica.vector) && replica.vector.includes(state));
  const before = replica.stateAfter(Vector.upTo([{ origin: first, seq: 1 }]))!;
  assertEquals(before.seq(replica.origin!), 0);
  assertEquals(before.seq(first), 1);
  assertEquals(before.beyond(new Vector()).size, 1);
});

Deno.test("a copy that goes on brings the lists of all folds: those of its first donor are on no disk yet", async () => {
  const node = await folded();
  await raiseFloor(node);
  const donor = new Donor({
    replica: node.replica,
    random: new Prng(1),
    clock: new HandClock(),
    // An entry at a time.
    bytesPerSecond: 1,
    timers: new HandTimers(),
    sessionsMax: 1,
    idleMs: 1000,
    cluster: () => ({ config: EMPTY_BYTES, incarnations: [] }),
  });
  const { replica } = await openReplica(2, { caughtUp: false });
  const begin = async (): Promise<SessionOffer> => {
    const from = replica.copyPoint;
    const vector = Vector.decode((from?.base ?? new Vector()).encode());
    const request = { configEpoch: 1, whole: true, vector, from };
    const reply = decodePullReply(await donor.pull(2, request));
    if (reply.kind !== "session") throw new Error(`It answers ${reply.kind}`);
    const offer = decodeOffer(reply.offer);
    replica.learn(offer);
    return offer;
  };
  await replica.beginCopy();
  const first = await begin();
  const chunk = await donor.chunk(2, encodeChunkRequest(first.id));
  const { slices, last } = decodeChunk(chunk);
  const entries = [...slices].flat();
  assertEquals([entries.length, last], [1, false]);
  // Its dot is of an origin that only the list tells to be covered.
  assertEquals(first.vector.size, 1);
  await replica.fill(entries, first);

  const second = await begin();
  assert(second.goesOn);
  assertEquals(second.folds, first.folds);
  assertEquals(second.folds.length, 1);
  await donor.close();
});
