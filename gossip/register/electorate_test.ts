import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  ConfigUnsettledError,
  NodeNotFoundError,
  NotVoterError,
  QuorumUnavailableError,
} from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import {
  CONFIG_REGISTER,
  seatOf,
  withMember,
  withoutMember,
  withVoters,
} from "./config.ts";
import {
  assigning,
  decodeIds,
  encodeIds,
  foundIds,
  IDS_REGISTER,
  keyOf,
} from "./ids.ts";
import { encodeSeatRequest } from "./messages.ts";
import {
  ForgetfulKV,
  PREFIX,
  PromptCluster,
  seat,
  ticket,
  votersConfig,
} from "./world_test.ts";

/** Nodes of which those up to `voters` vote, and have given the founder its key. */
function clusterOf(voters: number, nodes: number): Promise<PromptCluster> {
  const ids = encodeIds(foundIds(ticket(0)));
  const config = votersConfig(voters, nodes);
  return PromptCluster.of(config, nodes, { [IDS_REGISTER]: ids });
}

/** The voters that a node knows. */
function votersAt(cluster: PromptCluster, node: number): number[] {
  return cluster.acceptors.get(node)!.known.voters.map((voter) => voter.node);
}

/** Gives a node key for a ticket, by a node. */
async function pledge(
  cluster: PromptCluster,
  node: number,
  n: number,
): Promise<number> {
  const value = await cluster.proposer(node).change(
    IDS_REGISTER,
    assigning(ticket(n)),
    { attemptsMax: 3 },
  );
  return keyOf(decodeIds(value!), ticket(n))!;
}

Deno.test("A5: what one voter decided is known to the three that follow, whoever is down then", async () => {
  const cluster = await clusterOf(1, 3);
  assertEquals(await pledge(cluster, 1, 7), 2);
  const electorate = cluster.electorate(1);
  assert(await electorate.promote(2));
  assert(await electorate.promote(3));
  assertEquals(votersAt(cluster, 1), [1, 2, 3]);
  assert(cluster.acceptors.get(1)!.known.settled);

  cluster.down = [1];
  assertEquals(await pledge(cluster, 2, 7), 2);
  assertEquals(await pledge(cluster, 3, 8), 3);
});

Deno.test("A5: a change that was decided is settled by whoever changes next", async () => {
  const cluster = await clusterOf(1, 3);
  await pledge(cluster, 1, 7);
  cluster.refused = MessageType.REGISTER_LIST;
  await assertRejects(
    () => cluster.electorate(1).promote(2, { attemptsMax: 2 }),
    QuorumUnavailableError,
  );
  const { known } = cluster.acceptors.get(1)!;
  assertEquals([known.epoch, known.settled], [2, false]);
  const retire = { kind: "retire", node: 2 } as const;
  assertThrows(() => withVoters(known, 2, retire), ConfigUnsettledError);
  assertThrows(() => withMember(known, 9), ConfigUnsettledError);
  assertThrows(
    () => withoutMember(known, known.epoch, 3),
    ConfigUnsettledError,
  );

  cluster.refused = undefined;
  await cluster.acceptors.get(2)!.adopt(known);
  assert(await cluster.electorate(2).promote(3));
  cluster.down = [1];
  assertEquals(await pledge(cluster, 3, 7), 2);
});

Deno.test("A5: the names of registers come from a majority, not from who settles", async () => {
  const cluster = await clusterOf(3, 5);
  cluster.down = [3];
  assertEquals(await pledge(cluster, 1, 7), 2);
  // 3 has not heard of a register that {1, 2} have chosen.
  await cluster.proposer(1).change("r", () => Uint8Array.of(1));
  cluster.down = [];
  const electorate = cluster.electorate(3);
  assert(await electorate.promote(4));
  assert(await electorate.promote(5));
  cluster.down = [1, 2];
  const identity = (value: Uint8Array | undefined) => value;
  assertEquals(
    await cluster.proposer(4).change("r", identity),
    Uint8Array.of(1),
  );
});

Deno.test("A7: of two changes that began at one epoch one happens", async () => {
  const cluster = await clusterOf(3, 5);
  const [a, b] = [cluster.electorate(1), cluster.electorate(2)];
  const promoted = await Promise.all([
    a.promote(4),
    b.promote(5),
  ]);
  assertEquals(promoted.filter(Boolean).length, 1);
  await cluster.proposer(1).change(CONFIG_REGISTER, (value) => value);
  assertEquals(votersAt(cluster, 1).length, 4);
});

Deno.test("A7: who ceases to vote may be dead, and has no seat when it hears of it", async () => {
  const cluster = await clusterOf(3, 3);
  cluster.down = [3];
  assert(await cluster.electorate(1).retire(3));
  assertEquals(votersAt(cluster, 1), [1, 2]);
  cluster.down = [];
  const retired = cluster.acceptors.get(3)!;
  assert(retired.votes);
  await retired.adopt(cluster.acceptors.get(1)!.known);
  assertEquals([retired.votes, retired.unseated], [false, false]);
  const again = await cluster.restart(3);
  assertEquals([again.votes, again.unseated], [false, false]);
});

Deno.test("A8: a seat is new with each promotion, and the memory empty", async () => {
  const cluster = await clusterOf(3, 3);
  const before = seatOf(cluster.acceptors.get(1)!.known, 3)!;
  await cluster.proposer(3).change("r", () => Uint8Array.of(1));
  const electorate = cluster.electorate(1);
  assert(await electorate.retire(3));
  const image = cluster.kvs.get(3)!.image();
  await cluster.acceptors.get(3)!.handle(
    MessageType.REGISTER_SEAT,
    encodeSeatRequest(cluster.acceptors.get(1)!.known),
  );
  const registers = cluster.kvs.get(3)!.iterate({
    prefix: Uint8Array.of(...PREFIX, 1),
  });
  assertEquals(registers.next(), false);
  assert(await electorate.promote(3));
  assertNotEquals(seatOf(cluster.acceptors.get(1)!.known, 3), before);

  // A disk from before the promotion never votes, and is retired again.
  cluster.kvs.set(3, new ForgetfulKV(true, image));
  const old = await cluster.restart(3);
  await old.adopt(cluster.acceptors.get(1)!.known);
  assertEquals([old.votes, old.unseated], [false, true]);
  await assertRejects(() => electorate.promote(3), NotVoterError);
  assert(await electorate.retire(3));
  assert(await electorate.promote(3));
  assertEquals(old.votes, true);
});

Deno.test("a seat that was drawn and not yet named is given again, and outlives a start", async () => {
  const cluster = await clusterOf(3, 5);
  cluster.down = [2, 3];
  const electorate = cluster.electorate(1);
  const options = { attemptsMax: 2 };
  for (const node of [4, 5]) {
    await assertRejects(
      () => electorate.promote(node, options),
      QuorumUnavailableError,
    );
  }
  cluster.down = [];
  assert(await electorate.promote(4));
  assert(cluster.acceptors.get(4)!.votes);
  // It is named, and starts anew before it hears of it: its vote is needed.
  await electorate.askSeat(5);
  const before = new ForgetfulKV(true, cluster.kvs.get(5)!.image());
  assert(await electorate.promote(5));
  cluster.kvs.set(5, before);
  const started = await cluster.restart(5);
  await started.adopt(cluster.acceptors.get(1)!.known);
  assertEquals([started.votes, started.unseated], [true, false]);
});

Deno.test("A8: a seat that nobody named goes with the next config, so that a disk of that time never votes", async () => {
  const cluster = await clusterOf(3, 5);
  const electorate = cluster.electorate(1);
  const drawn = (await electorate.askSeat(5))!;
  assertEquals(await electorate.askSeat(5), drawn);
  const image = cluster.kvs.get(5)!.image();
  assert(await electorate.promote(4));
  await cluster.acceptors.get(5)!.adopt(cluster.acceptors.get(1)!.known);
  assert(await electorate.promote(5));
  assertNotEquals(seatOf(cluster.acceptors.get(1)!.known, 5), drawn);
  cluster.kvs.set(5, new ForgetfulKV(true, image));
  const old = await cluster.restart(5);
  await old.adopt(cluster.acceptors.get(1)!.known);
  assertEquals([old.votes, old.unseated], [false, true]);
});

Deno.test("A8: a seat stays while the config that it was asked under gets settled, and where it is named two configs later", async () => {
  const cluster = await clusterOf(3, 5);
  const electorate = cluster.electorate(1);
  cluster.refused = MessageType.REGISTER_LIST;
  await assertRejects(
    () => electorate.promote(4, { attemptsMax: 2 }),
    QuorumUnavailableError,
  );
  cluster.refused = undefined;
  const fifth = cluster.acceptors.get(5)!;
  const drawn = (await electorate.askSeat(5))!;
  await electorate.settle();
  const { known } = cluster.acceptors.get(1)!;
  assert(known.settled);
  assert(await fifth.adopt(known));
  assertEquals(await electorate.askSeat(5), drawn);
  assert(await electorate.promote(5));
  await electorate.change((config) => withMember(config, 6));
  await fifth.adopt(cluster.acceptors.get(1)!.known);
  assertEquals(seatOf(fifth.known, 5), drawn);
  assert(fifth.votes);
});

Deno.test("A9: who has fallen silent votes after it was retired and promoted anew", async () => {
  const cluster = await clusterOf(3, 3);
  const silent = cluster.acceptors.get(3)!;
  await silent.fallSilent();
  assertEquals([silent.votes, silent.unseated], [false, true]);
  assert((await cluster.restart(3)).unseated);
  cluster.down = [2];
  await assertRejects(() => pledge(cluster, 1, 7), QuorumUnavailableError);
  cluster.down = [];
  // It asks for it itself: its proposer is as good as any.
  assert(await cluster.electorate(3).retire(3));
  assert(await cluster.electorate(3).promote(3));
  cluster.down = [2];
  assertEquals(await pledge(cluster, 1, 7), 2);
});

Deno.test("the last voter stays, and only members vote", async () => {
  const cluster = await clusterOf(1, 2);
  const electorate = cluster.electorate(1);
  await assertRejects(() => electorate.retire(1), RangeError);
  await assertRejects(() => electorate.remove(1), RangeError);
  const known = cluster.acceptors.get(1)!.known;
  const voter = { node: 9, seat: seat(9) };
  await assertRejects(
    () =>
      electorate.change((config) =>
        withVoters(config, known.epoch, { kind: "promote", voter })
      ),
    NodeNotFoundError,
  );
  assertEquals(votersAt(cluster, 1), [1]);
});

Deno.test("a voter that is removed votes no more, and its key is retired for ever", async () => {
  const cluster = await clusterOf(3, 4);
  cluster.down = [3];
  const electorate = cluster.electorate(1);
  await electorate.remove(3);
  await electorate.settle();
  const { members, voters, removed, sealing, settled } =
    cluster.acceptors.get(1)!.known;
  assertEquals(members, [1, 2, 4]);
  assertEquals(voters.map(({ node }) => node), [1, 2]);
  assertEquals([removed, sealing, settled], [[3], [3], true]);
  assert(await electorate.remove(3)); // idempotent
  await assertRejects(() => electorate.remove(9), NodeNotFoundError);
});

Deno.test("a voter is not removed by who has not seen that others changed the voters", async () => {
  const cluster = await clusterOf(3, 4);
  cluster.down = [1];
  assert(await cluster.electorate(2).promote(4));
  cluster.down = [];
  const electorate = cluster.electorate(1);
  assertEquals(await electorate.remove(3), false);
  assertEquals(votersAt(cluster, 1), [1, 2, 3, 4]);
  assert(await electorate.remove(3));
  assertEquals(votersAt(cluster, 1), [1, 2, 4]);
});
