import { assert, assertEquals, assertRejects } from "@std/assert";
import { EMPTY_BYTES, RemoteError } from "../../runtime/mod.ts";
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

function donorOf({ replica }: TestNode, timers = new HandTimers()): Donor {
  return new Donor({
    replica,
    timers,
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
