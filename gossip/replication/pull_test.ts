import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  EMPTY_BYTES,
  ProtocolError,
  RemoteError,
  UnreachableError,
} from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { Donor } from "./donor.ts";
import {
  decodePull,
  decodePullReply,
  decodeRecords,
  encodeBusyReply,
  encodeRecordsReply,
  encodeSessionReply,
} from "./messages.ts";
import { Pull } from "./pull.ts";
import { Push } from "./push.ts";
import { SEQ_MAX } from "./dot.ts";
import { decodeOffer, encodeOffer } from "./session.ts";
import { decodeRecord } from "./record.ts";
import { Vector } from "./vector.ts";
import {
  HandClock,
  HandTimers,
  openReplica,
  origin,
  readText,
  setRecord,
  sets,
  T0,
  type TestNode,
  turns,
} from "./world_test.ts";

type Answer = (
  type: number,
  payload: Uint8Array,
  node: number,
) => Promise<Uint8Array>;

function pullOf(
  { replica }: TestNode,
  answer: Answer,
  timers = new HandTimers(),
) {
  const failed: unknown[] = [];
  const pull = new Pull({
    replica,
    timers,
    random: new Prng(1),
    intervalMs: 1,
    candidates: () => [2],
    request: (node, type, payload) => answer(type, payload, node),
    configEpoch: () => 1,
    adopt: () => Promise.resolve(),
    failed: (_node, error) => failed.push(error),
  });
  return { pull, failed, timers };
}

function donorAnswers(node: TestNode): Answer {
  const donor = new Donor({
    replica: node.replica,
    random: new Prng(1),
    timers: new HandTimers(),
    clock: { monotonic: () => 0 },
    bytesPerSecond: Infinity,
    sessionsMax: 2,
    idleMs: 1,
    cluster: () => ({ config: EMPTY_BYTES, incarnations: [] }),
  });
  return (type, payload) =>
    type === MessageType.PULL
      ? donor.pull(1, decodePull(payload))
      : donor.chunk(1, payload);
}

/** A pull from a donor, and the bytes of what that has answered. */
function countedPullOf(a: TestNode, donor: TestNode) {
  const answer = donorAnswers(donor);
  const answered = { bytes: 0 };
  const made = pullOf(a, async (type, payload) => {
    const reply = await answer(type, payload, 2);
    answered.bytes += reply.length;
    return reply;
  });
  return { ...made, answered };
}

Deno.test("a pull brings all that the other has, by records or by a session", async () => {
  for (const logBytesMax of [1, 1e6]) {
    const a = await openReplica(1);
    const b = await openReplica(2, { logBytesMax });
    for (let i = 0; i < 20; i++) {
      await b.replica.commit(sets({ [`k${i}`]: "v" }));
    }
    const { pull } = pullOf(a, donorAnswers(b));
    await pull.from(2);
    assert(a.replica.vector.includes(b.replica.vector));
    assertEquals(await readText(a.replica, "k7"), "v");
    assertEquals(pull.figures.sessions, logBytesMax === 1 ? 1 : 0);
    await pull.close();
  }
});

Deno.test("a joiner's first pull is a session, also of an empty donor", async () => {
  const a = await openReplica(1, { caughtUp: false });
  const b = await openReplica(2);
  const { pull } = pullOf(a, donorAnswers(b));
  await pull.from(2);
  assert(a.replica.caughtUp);
  await a.replica.commit(sets({ k: "v" }));
});

Deno.test("of two sessions that were offered at once the second is not fetched when the first has brought it all", async () => {
  const donor = await openReplica(2, { logBytesMax: 1 });
  await donor.replica.commit(sets({ k: "v" }));
  const a = await openReplica(1, { caughtUp: false });
  const answer = donorAnswers(donor);
  let chunks = 0;
  const { pull } = pullOf(a, (type, payload) => {
    if (type === MessageType.SESSION_CHUNK) chunks++;
    return answer(type, payload, 2);
  });
  await Promise.all([pull.from(2), pull.from(3)]);
  assertEquals(await readText(a.replica, "k"), "v");
  assertEquals([pull.figures.sessions, chunks], [1, 1]);
});

/** A node with records of 100 KB, of which a reply has two or three. */
async function richNode(records: number): Promise<TestNode> {
  const node = await openReplica(2, { logBytesMax: 1e8 });
  for (let i = 0; i < records; i++) {
    await node.replica.commit(sets({ [`k${i}`]: "v".repeat(100_000) }));
  }
  return node;
}

Deno.test("of several peers that have the same records one gives them, but for a first answer of each", async () => {
  const donor = await richNode(30);
  const a = await openReplica(1);
  const answer = donorAnswers(donor);
  let bytes = 0;
  const { pull, timers } = pullOf(a, async (type, payload) => {
    const reply = await answer(type, payload, 2);
    bytes += reply.length;
    return reply;
  });
  await Promise.all([2, 3, 4].map((node) => pull.from(node)));
  assert(a.replica.vector.includes(donor.replica.vector));
  assert(bytes > 3_000_000 && bytes < 3_000_000 + 3 * 300_000, `${bytes}`);
  assertEquals(timers.size, 0);
});

Deno.test("peers that are asked for more and do not answer hold the others up for a moment, however many they are", async () => {
  const donor = await richNode(10);
  const a = await openReplica(1);
  const answer = donorAnswers(donor);
  const { promise: never, reject } = Promise.withResolvers<Uint8Array>();
  const asked = new Map<number, number>();
  const { pull, timers } = pullOf(a, (type, payload, node) => {
    const before = asked.get(node) ?? 0;
    asked.set(node, before + 1);
    return node > 2 && before > 0 ? never : answer(type, payload, node);
  });
  const stuck = [3, 4, 5].map((node) => pull.from(node));
  while (asked.get(3) !== 2) await turns(1);
  const good = pull.from(2);
  let done = false;
  void good.then(() => done = true);
  await turns(1000);
  assert(!done);
  timers.fire();
  await good;
  assert(a.replica.vector.includes(donor.replica.vector));
  assertEquals(timers.size, 0);
  reject(new UnreachableError("reach", []));
  const ends = await Promise.allSettled(stuck);
  // Two of them waited until the good one had brought it all.
  assertEquals(ends[0]!.status, "rejected");
});

Deno.test("a peer whose vector claims what it cannot give is asked a few times, then given up", async () => {
  const a = await openReplica(1);
  const claim = new Vector();
  claim.decodeOrigin(
    origin(2),
    Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f),
  );
  assertEquals(claim.seq(origin(2)), SEQ_MAX);
  let asked = 0;
  const { pull } = pullOf(a, () => {
    asked++;
    return Promise.resolve(encodeRecordsReply(claim, [], false));
  });
  await assertRejects(() => pull.from(2), ProtocolError);
  assertEquals(asked, 3);
  assertEquals(a.replica.vector.size, 0);
});

Deno.test("a pull for whose records there is no room here has not brought all, and blames nobody", async () => {
  const donor = await openReplica(2);
  await donor.replica.commit(sets({ k: "v" }));
  const a = await openReplica(1);
  const { pull, failed } = pullOf(a, donorAnswers(donor));
  const { receiveAll } = a.replica;
  a.replica.receiveAll = () => Promise.resolve(["full"]);
  await assertRejects(() => pull.from(2), ProtocolError, "no room");
  pull.nudge(2);
  await turns(1000);
  assertEquals(failed, []);
  a.replica.receiveAll = receiveAll;
  await pull.from(2);
  assertEquals(await readText(a.replica, "k"), "v");
});

Deno.test("a pull that is asked for while one runs begins once, after it", async () => {
  const a = await openReplica(1);
  const replies: (() => void)[] = [];
  const { pull } = pullOf(a, () => {
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    replies.push(() => resolve(encodeRecordsReply(new Vector(), [], false)));
    return promise;
  });
  const first = pull.from(2);
  const [second, third] = [pull.from(2), pull.from(2)];
  assertEquals(replies.length, 1);
  replies[0]!();
  await first;
  await turns();
  assertEquals(replies.length, 2);
  replies[1]!();
  await Promise.all([second, third]);
  await turns();
  assertEquals(replies.length, 2);
});

Deno.test("bad answers and lost peers end a pull, and the next one is free to go", async () => {
  const a = await openReplica(1);
  const b = await openReplica(2);
  await b.replica.commit(sets({ k: "v" }));
  const good = donorAnswers(b);
  const bad: Answer[] = [
    () => Promise.reject(new UnreachableError("ask", [])),
    () => Promise.resolve(Uint8Array.of(9)),
    () => Promise.resolve(EMPTY_BYTES),
    (type) =>
      Promise.resolve(
        type === MessageType.PULL
          ? encodeSessionReply(encodeOffer({
            id: 1,
            vector: b.replica.vector,
            lifeGone: 0,
            lifeFloor: 0,
            floor: new Vector(),
            intents: [],
            config: EMPTY_BYTES,
            incarnations: [],
            goesOn: false,
            folds: [],
          }))
          : Uint8Array.of(1, 200),
      ),
  ];
  let answer = bad[0]!;
  const { pull, failed } = pullOf(
    a,
    (type, payload) => answer(type, payload, 2),
  );
  for (answer of bad) {
    await assertRejects(() => pull.from(2));
    pull.nudge(2);
    await turns(200);
  }
  assertEquals(failed.length, bad.length);
  assertEquals(a.replica.vector.size, 0);
  answer = good;
  await pull.from(2);
  assertEquals(await readText(a.replica, "k"), "v");
});

Deno.test("every interval a random peer is compared with; close ends it", async () => {
  const a = await openReplica(1);
  const b = await openReplica(2);
  await b.replica.commit(sets({ k: "v" }));
  const { pull, timers } = pullOf(a, donorAnswers(b));
  pull.start();
  timers.fire();
  await turns();
  assertEquals(await readText(a.replica, "k"), "v");
  assertEquals(timers.size, 1);
  await pull.close();
  assertEquals(timers.size, 0);
});

Deno.test("who has no copy yet compares ten times as often", async () => {
  for (
    const [caughtUp, least, most] of [[true, 0.5, 1.5], [
      false,
      0.05,
      0.15,
    ]] as const
  ) {
    const a = await openReplica(1, { caughtUp });
    const delays: number[] = [];
    const timers = new HandTimers();
    const set = timers.set.bind(timers);
    timers.set = (callback: () => void, delayMs?: number) => {
      delays.push(delayMs!);
      return set(callback);
    };
    const { pull } = pullOf(a, () => Promise.reject(new Error("gone")), timers);
    for (let i = 0; i < 20; i++) pull.start();
    assertEquals(delays.length, 20);
    for (const delayMs of delays) {
      assert(delayMs >= least && delayMs <= most, `${delayMs} of 1 ms`);
    }
  }
});

/** A push with a delay of 10 ms. */
function pushOf() {
  const timers = new HandTimers();
  const clock = new HandClock(0);
  const delays: number[] = [];
  const sent: ReturnType<typeof decodeRecords>[] = [];
  const push = new Push({
    timers: {
      set(callback, delayMs) {
        delays.push(delayMs);
        return timers.set(callback);
      },
    },
    clock,
    delayMs: 10,
    broadcast: (message) => sent.push(decodeRecords(message)),
  });
  const add = (seq: number, value = "v") =>
    push.add(setRecord("k", value, { seq }));
  /** Records that became durable together. */
  const commit = (...seqs: number[]) => {
    for (const seq of seqs) add(seq);
    push.gathered();
  };
  const seqs = () =>
    sent.map(({ records }) => records.map(({ seq }) => Number(seq)));
  return { push, timers, clock, delays, sent, add, commit, seqs };
}

Deno.test("a lone commit is pushed at once, what follows within the delay goes together after it, and after a pause at once again", () => {
  const { push, timers, clock, delays, commit, seqs } = pushOf();
  commit(1);
  assertEquals(seqs(), [[1]]);
  assertEquals(timers.size, 0);
  clock.ms = 4;
  commit(2);
  clock.ms = 5;
  commit(3);
  assertEquals(seqs(), [[1]]);
  assertEquals([push.size, timers.size], [2, 1]);
  clock.ms = 10;
  timers.fire();
  assertEquals(seqs(), [[1], [2, 3]]);
  assertEquals(timers.size, 0);
  // The pause is counted from the last push, whatever made it go.
  clock.ms = 19;
  commit(4);
  clock.ms = 20;
  timers.fire();
  clock.ms = 30;
  commit(5);
  assertEquals(seqs(), [[1], [2, 3], [4], [5]]);
  assertEquals(delays, [6, 1]);
  // A timer may be late: who commits then waits for it no longer.
  clock.ms = 31;
  commit(6);
  clock.ms = 40;
  commit(7);
  assertEquals(seqs().slice(4), [[6, 7]]);
  assertEquals(timers.size, 0);
});

Deno.test("records that become durable together are pushed in one message, those of many bytes as they are added", () => {
  const { push, timers, clock, sent, add, commit, seqs } = pushOf();
  commit(1, 2, 3);
  assertEquals(seqs(), [[1, 2, 3]]);
  assertEquals(sent[0]!.heads, [{ origin: origin(2), seq: 3 }]);
  add(4, "v".repeat(64 * 1024));
  add(5);
  assertEquals(seqs().slice(1), [[4]]);
  // That was a push, so what came after it waits.
  push.gathered();
  assertEquals([push.size, timers.size], [1, 1]);
  clock.ms = 10;
  timers.fire();
  assertEquals(seqs().slice(2), [[5]]);
  // Too large to be pushed: announced.
  clock.ms = 20;
  add(6, "v".repeat(300 * 1024));
  push.gathered();
  assertEquals(sent[3], {
    heads: [{ origin: origin(2), seq: 6 }],
    records: [],
  });
  push.gathered();
  assertEquals([sent.length, timers.size], [4, 0]);
});

Deno.test("what waits to be pushed goes when told to, or is dropped, and leaves no timer", () => {
  const { push, timers, commit, seqs } = pushOf();
  commit(1);
  commit(2);
  push.flush();
  assertEquals(seqs(), [[1], [2]]);
  assertEquals(timers.size, 0);
  commit(3);
  push.clear();
  assertEquals([push.size, timers.size], [0, 0]);
  push.flush();
  push.gathered();
  assertEquals(seqs(), [[1], [2]]);
});

Deno.test("a first copy moves the clock, is void until it is whole, and begins anew after it broke off", async () => {
  const b = await openReplica(2);
  b.clock.ms += 30_000;
  await b.replica.commit(sets({ k: "v", gone: "v" }));
  await b.replica.commit(sets({ gone: undefined }));
  const a = await openReplica(1, { caughtUp: false });
  const good = donorAnswers(b);
  let broken = true;
  const { pull } = pullOf(a, async (type, payload) => {
    const reply = await good(type, payload, 2);
    if (!broken || type === MessageType.PULL) return reply;
    // The first entries come, the last do not.
    if (reply[0] === 1) reply[0] = 0;
    else throw new UnreachableError("ask", []);
    return reply;
  });
  await assertRejects(() => pull.from(2));
  assertEquals(a.replica.caughtUp, false);
  await assertRejects(() => a.replica.commit(sets({ k: "early" })));
  // It breaks off with what it has, which counts for nothing.
  const again = await openReplica(1, { kv: a.kv });
  assertEquals(again.replica.caughtUp, false);
  assertEquals(again.replica.vector.size, 0);
  broken = false;
  const { pull: next } = pullOf(again, good);
  await next.from(2);
  assert(again.replica.caughtUp);
  assertEquals(await readText(again.replica, "k"), "v");
  assertEquals(await readText(again.replica, "gone"), undefined);
  const newest =
    (await b.replica.entries([new TextEncoder().encode("gone")]))[0]!;
  const { record } = await again.replica.commit(sets({ own: "v" }));
  assertEquals(record!.hlc, newest.hlc + 1);
});

Deno.test("a first copy with more than its vector covers is refused", async () => {
  const a = await openReplica(1, { caughtUp: false });
  const b = await openReplica(2);
  await b.replica.commit(sets({ k: "v" }));
  const good = donorAnswers(b);
  const { pull } = pullOf(a, async (type, payload) => {
    const reply = await good(type, payload, 2);
    if (type !== MessageType.PULL) return reply;
    const answer = decodePullReply(reply);
    assert(answer.kind === "session");
    const offer = decodeOffer(answer.offer);
    return encodeSessionReply(encodeOffer({ ...offer, vector: new Vector() }));
  });
  await assertRejects(() => pull.from(2), ProtocolError);
  assertEquals(a.replica.caughtUp, false);
});

/**
 * A node with room for one conflict, which stands, and a donor whose log begins with
 * many bytes of another node's late claim of one of its keys, and then has its own.
 */
async function worldThatWaits(logBytesMax = 1e8) {
  const a = await openReplica(1, { conflictsMax: 1 });
  await a.replica.commit(sets({ k0: "kept", k1: "kept" }));
  const lateBy = (node: number, seq: number, key: string, value = "late") => {
    const hlc = T0 + 1000 + seq;
    const claim = { origin: origin(node), seq, hlc };
    return setRecord(key, value, { ...claim, entry: { claimHlc: hlc } });
  };
  await a.replica.receive(lateBy(4, 1, "k0"));
  const donor = await openReplica(2, { logBytesMax });
  await donor.replica.receive(lateBy(3, 1, "k1"));
  for (let seq = 2; seq <= 12; seq++) {
    const large = "v".repeat(100_000);
    await donor.replica.receive(lateBy(3, seq, `large ${seq}`, large));
  }
  await donor.replica.commit(sets({ own: "v", also: "v" }));
  return { a, donor };
}

Deno.test("records that wait keep a pull from nothing else, whatever they come before in the donor's log", async () => {
  const { a, donor } = await worldThatWaits();
  const { pull, failed, answered } = countedPullOf(a, donor);
  await assertRejects(() => pull.from(2), ProtocolError, "wait until");
  assertEquals(await readText(a.replica, "own"), "v");
  assertEquals(a.replica.vector.seq(origin(3)), 0);
  // What waits came once.
  assertEquals(a.replica.figures.held, 3);
  assert(answered.bytes < 400_000, `${answered.bytes}`);

  await a.replica.forgetConflicts(1);
  pull.resume();
  await pull.from(2);
  assert(a.replica.vector.includes(donor.replica.vector));
  assertEquals(await readText(a.replica, "k1"), "kept");
  assertEquals(await readText(a.replica, "large 12"), "v".repeat(100_000));
  assertEquals([failed, a.told.clashes.length], [[], 2]);
  await pull.close();
});

Deno.test("what waits is not asked for again by the next pulls, but after a while or when conflicts are forgotten", async () => {
  const { a, donor } = await worldThatWaits();
  const { pull, timers, answered } = countedPullOf(a, donor);
  const bytesOfNext = async () => {
    answered.bytes = 0;
    await assertRejects(() => pull.from(2), ProtocolError, "wait until");
    return answered.bytes;
  };
  const first = await bytesOfNext();
  assert(first > 100_000, `${first}`);
  for (let i = 0; i < 3; i++) {
    await donor.replica.commit(sets({ own: `v${i}` }));
    const next = await bytesOfNext();
    assert(next < 1000, `${next}`);
    assertEquals(await readText(a.replica, "own"), `v${i}`);
  }
  timers.fire();
  const later = await bytesOfNext();
  assert(later > 100_000, `${later}`);

  await a.replica.forgetConflicts(1);
  pull.resume();
  await pull.from(2);
  assert(a.replica.vector.includes(donor.replica.vector));
  await pull.close();
  assertEquals(timers.size, 0);
});

Deno.test("a peer that is asked takes nothing for missing that waits here and it does not have", async () => {
  const { a, donor } = await worldThatWaits();
  const behind = await openReplica(5);
  const { records } = (await donor.replica.recent(new Vector(), 200_000))!;
  for (const record of records) {
    await behind.replica.receive(decodeRecord(record));
  }
  assert(behind.replica.vector.seq(origin(3)) < 12);
  const donors = new Map([[2, donor], [5, behind]]);
  const answers = new Map([...donors].map(([n, d]) => [n, donorAnswers(d)]));
  let asked = 0;
  const { pull } = pullOf(a, (type, payload, node) => {
    assert(type === MessageType.PULL);
    const { vector } = decodePull(payload);
    const had = donors.get(node)!.replica.vector;
    assert(vector.seq(origin(3)) <= had.seq(origin(3)), `${asked}`);
    asked++;
    return answers.get(node)!(type, payload, node);
  });
  for (const node of [2, 5, 2, 5]) {
    await assertRejects(() => pull.from(node), ProtocolError, "wait until");
  }
  assertEquals(asked, 5);
  await pull.close();
});

Deno.test("a peer that is busy is not asked again by each push, but once it has rested, if there was a reason", async () => {
  const a = await openReplica(1);
  const there = Vector.upTo([{ origin: origin(2), seq: 1 }]);
  let asked = 0;
  const { pull, failed, timers } = pullOf(a, () => {
    asked++;
    return Promise.resolve(encodeBusyReply(there));
  });
  for (let i = 0; i < 10; i++) {
    pull.nudge(2);
    await turns(100);
  }
  assertEquals(asked, 1);
  timers.fire();
  await turns(100);
  assertEquals(asked, 2);
  // There was none since.
  timers.fire();
  await turns(100);
  assertEquals(asked, 2);
  // Whoever must know asks all the same.
  await assertRejects(() => pull.from(2), ProtocolError, "no session to spare");
  assertEquals([asked, failed], [3, []]);
  await pull.close();
  assertEquals(timers.size, 0);
});

Deno.test("a peer that answers with an error rests as one that is busy, and one that cannot be reached does not", async () => {
  const a = await openReplica(1);
  let asked = 0;
  let error: Error = new RemoteError("Poisoned", "Cannot read");
  const { pull, failed, timers } = pullOf(a, () => {
    asked++;
    return Promise.reject(error);
  });
  for (let i = 0; i < 10; i++) {
    pull.nudge(2);
    await turns(100);
  }
  assertEquals([asked, failed.length], [1, 1]);
  timers.fire();
  await turns(100);
  assertEquals([asked, failed.length], [2, 2]);
  // Once it has rested.
  timers.fire();
  error = new UnreachableError("pull", ["b:1"]);
  for (let i = 0; i < 3; i++) {
    pull.nudge(2);
    await turns(100);
  }
  assertEquals(asked, 5);
  await pull.close();
});

Deno.test("of those that had what waited the next is asked when the one before it does not answer, or rests again", async () => {
  const a = await openReplica(1);
  const busy = encodeBusyReply(Vector.upTo([{ origin: origin(2), seq: 1 }]));
  let asked: number[] = [];
  const gate = Promise.withResolvers<void>();
  let isSlow = false;
  const { pull, timers } = pullOf(a, async (_type, _payload, node) => {
    asked.push(node);
    if (isSlow && node === 2) await gate.promise;
    return busy;
  });
  for (const node of [2, 3, 4]) {
    await assertRejects(() => pull.from(node), ProtocolError);
  }
  asked = [];
  isSlow = true;
  pull.resume();
  await turns(100);
  assertEquals(asked, [2]);
  // It rests again before its turn comes.
  await assertRejects(() => pull.from(3), ProtocolError);
  timers.fire();
  await turns(100);
  assert(asked.includes(4), `${asked}`);
  gate.resolve();
  await pull.close();
  assertEquals(timers.size, 0);
});

Deno.test("a pull that is asked for after it was closed leaves no timer", async () => {
  const { a, donor } = await worldThatWaits();
  const answer = donorAnswers(donor);
  const { pull, timers } = pullOf(
    a,
    (type, payload) => answer(type, payload, 2),
  );
  await assertRejects(() => pull.from(2), ProtocolError, "wait until");
  timers.fire();
  await turns(1000);
  await pull.close();
  assertEquals(timers.size, 0);
  await pull.nudge(2);
  assertEquals(timers.size, 0);
});

Deno.test("what waited is pulled from one after the other of those who had it", async () => {
  const { a, donor } = await worldThatWaits();
  const answer = donorAnswers(donor);
  const asked: [node: number, missing: boolean][] = [];
  const { pull, failed } = pullOf(a, (type, payload, node) => {
    const missing = !a.replica.vector.includes(donor.replica.vector);
    if (type === MessageType.PULL) asked.push([node, missing]);
    return answer(type, payload, node);
  });
  for (const node of [2, 5, 6]) {
    await assertRejects(() => pull.from(node), ProtocolError, "wait until");
  }
  asked.length = 0;
  await a.replica.forgetConflicts(1);
  pull.resume();
  for (let before = -1; before < asked.length;) {
    before = asked.length;
    await turns(2000);
  }
  assert(a.replica.vector.includes(donor.replica.vector));
  const others = asked.filter(([node]) => node !== 2);
  assertEquals(others, [[5, false], [6, false]]);
  assertEquals(failed, []);
  await pull.close();
});

Deno.test("a peer whose records wait is asked again after an interval, or when conflicts are forgotten, and not by each push", async () => {
  const { a, donor } = await worldThatWaits();
  let asked = 0;
  const answer = donorAnswers(donor);
  const { pull, failed, timers } = pullOf(a, (type, payload) => {
    asked++;
    return answer(type, payload, 2);
  });
  const settles = async () => {
    for (let before = -1; before < asked;) {
      before = asked;
      await turns(2000);
    }
    return asked;
  };
  pull.nudge(2);
  const first = await settles();
  assert(first >= 2 && first <= 5, `${first}`);
  for (let i = 0; i < 10; i++) pull.nudge(2);
  assertEquals(await settles(), first);
  // Whoever must know asks all the same.
  await assertRejects(() => pull.from(2), ProtocolError, "wait until");
  const second = await settles();
  assert(second > first);
  timers.fire();
  pull.nudge(2);
  const third = await settles();
  assert(third > second);

  await a.replica.forgetConflicts(1);
  pull.resume();
  await settles();
  assert(a.replica.vector.includes(donor.replica.vector));
  assertEquals(failed, []);
  await pull.close();
  assertEquals(timers.size, 0);
});

Deno.test("a session that waits is not asked for again by each push, nor taken without what was left out of it", async () => {
  const { a, donor } = await worldThatWaits(1);
  let sessions = 0;
  const answer = donorAnswers(donor);
  const { pull, failed, timers } = pullOf(a, (type, payload) => {
    if (type === MessageType.PULL) sessions++;
    return answer(type, payload, 2);
  });
  await assertRejects(() => pull.from(2), ProtocolError, "wait until");
  assertEquals([sessions, pull.figures.sessions], [1, 0]);
  for (let i = 0; i < 10; i++) pull.nudge(2);
  await turns(5000);
  assertEquals(sessions, 1);
  assertEquals(await readText(a.replica, "own"), undefined);
  await a.replica.forgetConflicts(1);
  pull.resume();
  await pull.from(2);
  assert(a.replica.vector.includes(donor.replica.vector));
  assertEquals(await readText(a.replica, "own"), "v");
  assertEquals([failed, pull.figures.sessions], [[], 1]);
  await pull.close();
  assertEquals(timers.size, 0);
});

Deno.test("where records wait and the rest comes by a session, it is asked for with all that is not here", async () => {
  const { a, donor } = await worldThatWaits();
  const answer = donorAnswers(donor);
  const kv = donor.kv.crash();
  const short = await openReplica(2, { kv, logBytesMax: 1 });
  // Its log reaches nothing any more once it has written again.
  await short.replica.commit(sets({ own: "newer" }));
  const later = donorAnswers(short);
  const bases: number[] = [];
  const { pull } = pullOf(a, (type, payload) => {
    if (type === MessageType.PULL) {
      bases.push(decodePull(payload).vector.seq(origin(3)));
    }
    return (bases.length === 1 ? answer : later)(type, payload, 2);
  });
  await assertRejects(() => pull.from(2), ProtocolError, "wait until");
  assertEquals(bases, [0, 12, 0]);
  // The session has the late claim too: all of it waits.
  assertEquals(a.replica.vector.seq(origin(3)), 0);
  assertEquals(await readText(a.replica, "own"), undefined);
  await a.replica.forgetConflicts(1);
  await pull.from(2);
  assertEquals(await readText(a.replica, "own"), "newer");
  assertEquals(await readText(a.replica, "large 12"), "v".repeat(100_000));
  assertEquals(a.told.clashes.length, 2);
  await pull.close();
});
