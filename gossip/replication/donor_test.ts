import { assert, assertEquals, assertRejects } from "@std/assert";
import { EMPTY_BYTES, RemoteError } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { Space } from "../keyspace.ts";
import { Donor } from "./donor.ts";
import { decodePullReply, encodeChunkRequest } from "./messages.ts";
import { decodeChunk, decodeOffer } from "./session.ts";
import { Vector } from "./vector.ts";
import {
  HandTimers,
  openReplica,
  setRecord,
  sets,
  type TestNode,
} from "./world_test.ts";

function donorOf(
  { replica }: TestNode,
  timers = new HandTimers(),
  seed = 1,
): Donor {
  return new Donor({
    replica,
    random: new Prng(seed),
    timers,
    clock: { monotonic: () => 0 },
    bytesPerSecond: Infinity,
    sessionsMax: 2,
    idleMs: 1,
    cluster: () => ({ config: EMPTY_BYTES, incarnations: [] }),
  });
}

const WHOLE = { configEpoch: 1, whole: true, vector: new Vector() };

async function kindOf(reply: Promise<Uint8Array>): Promise<string> {
  return decodePullReply(await reply).kind;
}

async function sessionOf(donor: Donor, node: number): Promise<number> {
  const reply = decodePullReply(await donor.pull(node, WHOLE));
  assert(reply.kind === "session");
  return decodeOffer(reply.offer).id;
}

Deno.test("a pull is answered from the log as far as it reaches, else by a session", async () => {
  const a = await openReplica(1, { logBytesMax: 1 });
  const donor = donorOf(a);
  const none = { ...WHOLE, whole: false };
  await a.replica.commit(sets({ k: "1" }));
  assertEquals(await kindOf(donor.pull(2, none)), "records");
  await a.replica.commit(sets({ k: "2" }));
  assertEquals(await kindOf(donor.pull(2, none)), "session");
  const near = new Vector();
  near.add(a.replica.origin!, 1);
  assertEquals(
    await kindOf(donor.pull(2, { ...none, vector: near })),
    "records",
  );
  await donor.close();
});

Deno.test("a void replica gives nothing away", async () => {
  const a = await openReplica(1, { caughtUp: false });
  assertEquals(await kindOf(donorOf(a).pull(2, WHOLE)), "busy");
});

Deno.test("no more sessions are open than allowed, however many ask at once", async () => {
  const a = await openReplica(1);
  const donor = donorOf(a);
  const kinds = await Promise.all(
    [2, 3, 4, 5].map((node) => kindOf(donor.pull(node, WHOLE))),
  );
  assertEquals(kinds.filter((kind) => kind === "session").length, 2);
  assertEquals(donor.sessions, 2);
  // A node that asks again gives up its own.
  assertEquals(await kindOf(donor.pull(2, WHOLE)), "session");
  assertEquals(donor.sessions, 2);
  await donor.close();
  assertEquals(donor.sessions, 0);
  assertEquals(await kindOf(donor.pull(2, WHOLE)), "busy");
});

Deno.test("a session ends with its last chunk, when it is idle, or with an error", async () => {
  const a = await openReplica(1);
  await a.replica.commit(sets({ k: "v" }));
  const timers = new HandTimers();
  const donor = donorOf(a, timers);
  const id = await sessionOf(donor, 2);
  // Another node's is none of its affair.
  await assertRejects(
    () => donor.chunk(3, encodeChunkRequest(id)),
    RemoteError,
  );
  const { slices, last } = decodeChunk(
    await donor.chunk(2, encodeChunkRequest(id)),
  );
  assertEquals([[...slices].flat().length, last], [1, true]);
  assertEquals(donor.sessions, 0);

  await sessionOf(donor, 2);
  timers.fire();
  assertEquals(donor.sessions, 0);

  const broken = await sessionOf(donor, 2);
  a.kv.readFailure = (key) =>
    key[0] === Space.LIVE ? new Error("broken") : undefined;
  await assertRejects(() => donor.chunk(2, encodeChunkRequest(broken)));
  assertEquals(donor.sessions, 0);
  assertEquals(timers.size, 0);
});

// Seed 1003999: a copy of a directory ran beside its original. Who was amid a session
// of the one asked the other for the next chunk, and took it from a session that the
// other had begun with it: that one lacked these entries in the end.
Deno.test("of a session of another process of the same node no chunk is given, and none of its own is lost", async () => {
  const a = await openReplica(1, { logBytesMax: 1 });
  for (let i = 0; i < 3; i++) await a.replica.commit(sets({ [`k${i}`]: "v" }));
  const [original, copy] = [1, 2].map((seed) =>
    donorOf(a, new HandTimers(), seed)
  );
  const first = await sessionOf(original!, 2);
  const second = await sessionOf(copy!, 2);
  const error = await assertRejects(
    () => copy!.chunk(2, encodeChunkRequest(first)),
    RemoteError,
  );
  assertEquals(error.code, "SessionNotFound");
  for (const [donor, id] of [[original!, first], [copy!, second]] as const) {
    const chunk = decodeChunk(await donor.chunk(2, encodeChunkRequest(id)));
    assertEquals([[...chunk.slices].flat().length, chunk.last], [3, true]);
  }
});

Deno.test("sessions wait for each other so that together they are no faster than they may", async () => {
  const a = await openReplica(1);
  for (let i = 0; i < 8; i++) {
    await a.replica.commit(sets({ [`k${i}`]: "v".repeat(400) }));
  }
  let nowMs = 0;
  const timers = new HandTimers();
  const delays: number[] = [];
  const donor = new Donor({
    replica: a.replica,
    random: new Prng(1),
    clock: { monotonic: () => nowMs },
    bytesPerSecond: 1000,
    timers: {
      set(callback, delayMs) {
        if (delayMs !== 77) delays.push(delayMs);
        return timers.set(callback);
      },
    },
    sessionsMax: 2,
    idleMs: 77,
    cluster: () => ({ config: EMPTY_BYTES, incarnations: [] }),
  });
  const [two, three] = [await sessionOf(donor, 2), await sessionOf(donor, 3)];
  const first = await donor.chunk(2, encodeChunkRequest(two));
  assert(first.length < 1000, "an entry is the least that goes");
  assertEquals(delays, []);
  // The other one waits for what this one has taken.
  const waiting = donor.chunk(3, encodeChunkRequest(three));
  const [delayMs] = delays;
  assertEquals(Math.round(delayMs!), first.length - 100);
  nowMs += delayMs!;
  timers.fire();
  const second = await waiting.catch((error) => error);
  // That ended idle sessions, too; its own goes on.
  assert(second instanceof Uint8Array);
  assertEquals(donor.figures.bytes, first.length + second.length);
  assertEquals(donor.figures.pausedMs, delayMs);
  // One that is ended while it waits is told so at once.
  const ended = donor.chunk(3, encodeChunkRequest(three));
  await donor.close();
  await assertRejects(() => ended, RemoteError, "no session");
  assertEquals(timers.size, 0);
});

Deno.test("a session has every entry that its base does not cover, and its snapshot's alone", async () => {
  const a = await openReplica(1);
  await a.replica.receive(setRecord("theirs", "1"));
  await a.replica.commit(sets({ k: "1", dead: "1" }));
  await a.replica.commit(sets({ k: "2", dead: undefined }));
  const base = new Vector();
  base.join(a.replica.vector);
  await a.replica.commit(sets({ new: "1" }));
  const donor = donorOf(a);
  for (const [vector, count] of [[new Vector(), 4], [base, 1]] as const) {
    const reply = decodePullReply(
      await donor.pull(2, { configEpoch: 1, whole: true, vector }),
    );
    assert(reply.kind === "session");
    const offer = decodeOffer(reply.offer);
    assert(offer.vector.includes(a.replica.vector));
    await a.replica.commit(sets({ later: String(count) }));
    const request = encodeChunkRequest(offer.id);
    const { slices } = decodeChunk(await donor.chunk(2, request));
    const entries = [...slices].flat();
    const before = count === 4 ? 4 : 2;
    assertEquals(entries.length, before);
    for (const { origin, seq } of entries) {
      assert(offer.vector.covers(origin, seq));
    }
  }
  await donor.close();
});
