import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DecodeError,
  EMPTY_BYTES,
  NotSupportedError,
  RejectedError,
  RemoteError,
  StorageError,
} from "../runtime/mod.ts";
import {
  type Connection,
  type Identity,
  MessageType,
  type Role,
} from "../transport/mod.ts";
import { Dispatch, type Rooms, strangerIdentity } from "./dispatch.ts";
import { Events } from "./events.ts";
import {
  OUTDATED,
  type Outdated,
  outdatedError,
} from "./membership/outdated.ts";
import { encodePull, encodeRecords } from "./replication/messages.ts";
import { Vector } from "./replication/vector.ts";
import {
  openReplica,
  origin,
  setRecord,
  turns,
} from "./replication/world_test.ts";

async function dispatchOf() {
  const { replica, kv } = await openReplica(1);
  const events = new Events();
  const nudged: number[] = [];
  const admitted: number[] = [];
  const found: Outdated[] = [];
  const refused = new Set<number>();
  const dispatch = new Dispatch(
    () => strangerIdentity(new Uint8Array(8), "here:1"),
    events,
  );
  const rooms = {
    replica,
    pull: { nudge: (node: number) => nudged.push(node) },
    donor: { pull: () => Promise.resolve(EMPTY_BYTES) },
    router: { serve: () => Promise.resolve(EMPTY_BYTES) },
    cluster: {
      answerPledge: () => Promise.resolve(EMPTY_BYTES),
      admit: (remote: Identity) => admitted.push(remote.node),
      isAccepted: ({ node }: Identity) => !refused.has(node),
    },
    reset: { found: (outdated: Outdated) => found.push(outdated) },
  } as unknown as Rooms;
  return {
    dispatch,
    rooms,
    replica,
    kv,
    nudged,
    admitted,
    found,
    refused,
    reader: events.read().getReader(),
  };
}

function from(node: number, role: Role = "member"): Connection {
  return { remote: { node, role }, lane: "bulk" } as unknown as Connection;
}

const { signal } = new AbortController();

Deno.test("before a node is one it answers nothing and takes nothing", async () => {
  const { dispatch, reader } = await dispatchOf();
  await assertRejects(
    () => dispatch.request(from(2), MessageType.PULL, EMPTY_BYTES, signal),
    RemoteError,
  );
  dispatch.message(from(2), MessageType.RECORDS, Uint8Array.of(255));
  dispatch.connected(from(2));
  assertEquals(dispatch.identity().node, 0);
  await reader.cancel();
});

Deno.test("a peer without a node key may pledge, and nothing else; an unknown type is refused", async () => {
  const { dispatch, rooms, replica, reader } = await dispatchOf();
  dispatch.attach(rooms);
  const ask = (node: number, type: number) =>
    dispatch.request(from(node), type, EMPTY_BYTES, signal);
  assertEquals(await ask(0, MessageType.PLEDGE), EMPTY_BYTES);
  await assertRejects(() => ask(0, MessageType.PULL), RemoteError);
  await assertRejects(() => ask(2, 60_000), RemoteError);
  const records = encodeRecords([], [setRecord("k", "v").bytes]);
  dispatch.message(from(0), MessageType.RECORDS, records);
  await turns();
  assertEquals(replica.vector.size, 0);
  await reader.cancel();
});

Deno.test("a client may commit, and neither pledge, vote, gossip nor take data", async () => {
  const { dispatch, rooms, replica, admitted, reader } = await dispatchOf();
  dispatch.attach(rooms);
  const client = from(0, "client");
  await dispatch.admit(client.remote, false);
  assertEquals(admitted, [], "it is no member to be judged");
  for (const type of Object.values(MessageType)) {
    const asked = dispatch.request(client, type, EMPTY_BYTES, signal);
    if (type === MessageType.COMMIT) assertEquals(await asked, EMPTY_BYTES);
    else await assertRejects(() => asked, RemoteError, "A client may");
  }
  const records = encodeRecords([], [setRecord("k", "v").bytes]);
  dispatch.message(client, MessageType.RECORDS, records);
  dispatch.connected(client);
  await turns();
  assertEquals(replica.vector.size, 0);
  await reader.cancel();
});

Deno.test("who keeps a part of the data only, or none, is not let in, and an event says so", async () => {
  const { dispatch, rooms, admitted, reader } = await dispatchOf();
  dispatch.attach(rooms);
  const member = strangerIdentity(new Uint8Array(8), "there:1");
  for (const replica of ["partial", "witness"] as const) {
    const error = await assertRejects(
      () => dispatch.admit({ ...member, node: 3, replica }, false),
      NotSupportedError,
      `Cannot use a ${replica} replica`,
    );
    const { value } = await reader.read();
    const address = "there:1";
    assertEquals(value, { type: "refused", node: 3, address, error });
  }
  await dispatch.admit({ ...member, node: 3 }, false);
  assertEquals(admitted, [3]);
  await reader.cancel();
});

Deno.test("pushed records are taken, and a head beyond them is pulled from who named it", async () => {
  const { dispatch, rooms, replica, nudged, reader } = await dispatchOf();
  dispatch.attach(rooms);
  const push = (seq: number) =>
    encodeRecords([{ origin: origin(2), seq }], [setRecord("k", "v").bytes]);
  dispatch.message(from(2), MessageType.RECORDS, push(1));
  await turns();
  assertEquals([replica.vector.seq(origin(2)), nudged.length], [1, 0]);
  dispatch.message(from(2), MessageType.RECORDS, push(5));
  await turns();
  assertEquals(nudged, [2]);
  // Who asks for more than is here has it.
  const vector = new Vector();
  vector.add(origin(7), 1);
  const pull = encodePull({ configEpoch: 1, whole: false, vector });
  await dispatch.request(from(3), MessageType.PULL, pull, signal);
  assertEquals(nudged, [2, 3]);
  await reader.cancel();
});

Deno.test("records of an incarnation that was not accepted, or not any more, are not taken", async () => {
  const { dispatch, rooms, replica, refused, nudged } = await dispatchOf();
  dispatch.attach(rooms);
  const head = { origin: origin(2), seq: 2 };
  const push = encodeRecords([head], [setRecord("k", "v").bytes]);
  refused.add(2);
  dispatch.message(from(2), MessageType.RECORDS, push);
  await turns();
  assertEquals([replica.vector.size, nudged.length], [0, 0]);
  refused.delete(2);
  dispatch.message(from(2), MessageType.RECORDS, push);
  await turns();
  assertEquals([replica.vector.size, nudged.length], [1, 1]);
});

Deno.test("who is refused with an old disk resets itself; a refusal that cannot be read is the peer's failure", async () => {
  const { dispatch, rooms, found, reader } = await dispatchOf();
  dispatch.attach(rooms);
  const nonce = new Uint8Array(8).fill(7);
  const judged = { node: 1, generation: 3, nonce };
  const error = outdatedError(judged, 5);
  dispatch.refused(2, "there:1", error);
  assertEquals(found, [{ generation: 5, nonce }]);
  assertEquals((await reader.read()).value?.type, "refused");
  const data = Uint8Array.of(1);
  dispatch.refused(2, "there:1", new RejectedError(OUTDATED, "no", { data }));
  assertEquals(found.length, 1);
  assertEquals((await reader.read()).value?.type, "refused");
  const { value } = await reader.read();
  assert(value?.type === "peerFailed" && value.node === 2);
  await reader.cancel();
});

Deno.test("records that this node's own engine does not take, or that come while it closes, are no failure of the peer", async () => {
  for (const end of ["failed", "closed"]) {
    const { dispatch, rooms, replica, kv, reader } = await dispatchOf();
    dispatch.attach(rooms);
    const push = () => {
      const records = encodeRecords([], [setRecord("k", "v").bytes]);
      dispatch.message(from(2), MessageType.RECORDS, records);
    };
    if (end === "failed") {
      kv.automatic = false;
      push();
      await turns();
      kv.failWrites(new StorageError("write", "the disk", "it is full"));
      await turns();
    } else await replica.close();
    push();
    await turns();
    // What the peer did wrong is told, as the next event.
    dispatch.message(from(2), MessageType.RECORDS, Uint8Array.of(255));
    const { value } = await reader.read();
    assert(value?.type === "peerFailed");
    assert(value.error instanceof DecodeError, `${value.error}`);
    await reader.cancel();
  }
});

Deno.test("rumours and answers to them are taken from members, and rumours that had to be asked are answered; that a lane broke is told", async () => {
  const { dispatch, rooms, refused, reader } = await dispatchOf();
  const taken: string[] = [];
  const take = (what: string) => (node: number, bytes: Uint8Array) => {
    taken.push(`${what} ${node} ${bytes}`);
  };
  const spread = {
    takeRumours: take("rumours"),
    takeFeedback: take("feedback"),
    lost: (node: number) => taken.push(`lost ${node}`),
  } as unknown as Rooms["spread"];
  dispatch.attach({ ...rooms, spread });
  const { RUMOURS, FEEDBACK } = MessageType;
  dispatch.message(from(2), RUMOURS, Uint8Array.of(1));
  dispatch.message(from(3), FEEDBACK, Uint8Array.of(2));
  dispatch.message(from(0), RUMOURS, Uint8Array.of(3));
  const asked = dispatch.request(from(4), RUMOURS, Uint8Array.of(4), signal);
  assertEquals(await asked, EMPTY_BYTES);
  // Nor of one whose incarnation was not accepted.
  refused.add(6);
  dispatch.message(from(6), RUMOURS, Uint8Array.of(5));
  dispatch.message(from(6), FEEDBACK, Uint8Array.of(6));
  await dispatch.request(from(6), RUMOURS, Uint8Array.of(7), signal);
  dispatch.disconnected(from(5), "reset");
  assertEquals(taken, [
    "rumours 2 1",
    "feedback 3 2",
    "rumours 4 4",
    "lost 5",
  ]);
  await reader.cancel();
});

Deno.test("bad bytes from a peer are an event, and the node lives", async () => {
  const { dispatch, rooms, replica, reader } = await dispatchOf();
  dispatch.attach(rooms);
  const harmed = encodeRecords([], [setRecord("k", "v").bytes]);
  harmed[20]! ^= 1;
  for (const bytes of [Uint8Array.of(255), harmed]) {
    dispatch.message(from(2), MessageType.RECORDS, bytes);
    const { value } = await reader.read();
    assert(value?.type === "peerFailed" && value.node === 2);
  }
  dispatch.message(from(2), 60_000, Uint8Array.of(1));
  const good = encodeRecords([], [setRecord("k", "v").bytes]);
  dispatch.message(from(2), MessageType.RECORDS, good);
  await turns();
  assertEquals(replica.vector.seq(origin(2)), 1);
  await reader.cancel();
});
