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
import { Acceptor, beginningOps } from "./acceptor.ts";
import {
  CONFIG_REGISTER,
  encodeConfig,
  seatOf,
  withMember,
  withoutMember,
  withVoters,
} from "./config.ts";
import { Electorate } from "./electorate.ts";
import {
  assigning,
  decodeIds,
  encodeIds,
  foundIds,
  IDS_REGISTER,
  keyOf,
} from "./ids.ts";
import { encodeSeatRequest } from "./messages.ts";
import { type Ask, Proposer } from "./proposer.ts";
import {
  Dice,
  ForgetfulKV,
  PREFIX,
  seat,
  ticket,
  votersConfig,
} from "./world_test.ts";

/** Nodes that answer at once, of which only some can be reached. */
class Cluster {
  readonly acceptors = new Map<number, Acceptor>();
  readonly kvs = new Map<number, ForgetfulKV>();
  down: readonly number[] = [];
  /** A type of message that nobody answers. */
  refused: number | undefined;
  #generation = 0;

  static async of(voters: number, nodes: number): Promise<Cluster> {
    const cluster = new Cluster();
    const config = votersConfig(voters, nodes);
    for (let node = 1; node <= nodes; node++) {
      const kv = new ForgetfulKV(true);
      const votes = node <= voters;
      kv.write(
        beginningOps(PREFIX, {
          config,
          seat: votes ? seat(node) : undefined,
          registers: !votes ? {} : {
            [CONFIG_REGISTER]: encodeConfig(config),
            [IDS_REGISTER]: encodeIds(foundIds(ticket(0))),
          },
        }),
        { sync: true },
      );
      cluster.kvs.set(node, kv);
      await cluster.restart(node);
    }
    return cluster;
  }

  async restart(node: number): Promise<Acceptor> {
    const kv = this.kvs.get(node)!;
    const random = new Dice(100 * node + ++this.#generation);
    const acceptor = await Acceptor.open({ kv, prefix: PREFIX, node, random });
    this.acceptors.set(node, acceptor);
    return acceptor;
  }

  /** A fresh proposer of a node, and what changes voters by it. */
  at(node: number): { proposer: Proposer; electorate: Electorate } {
    const knowledge = this.acceptors.get(node)!;
    const ask: Ask = (to, type, payload) =>
      this.down.includes(to) || type === this.refused
        ? Promise.reject(new Error("unreachable"))
        : this.acceptors.get(to)!.handle(type, payload);
    const proposer = new Proposer({
      node,
      generation: ++this.#generation,
      knowledge,
      random: new Dice(node),
      ask,
      sleep: () => Promise.resolve(),
    });
    return {
      proposer,
      electorate: new Electorate({ proposer, knowledge, ask }),
    };
  }

  /** The voters that a node knows. */
  voters(node: number): number[] {
    return this.acceptors.get(node)!.known.voters.map((voter) => voter.node);
  }

  /** Gives a node key for a ticket, by a node. */
  async pledge(node: number, n: number): Promise<number> {
    const value = await this.at(node).proposer.change(
      IDS_REGISTER,
      assigning(ticket(n)),
      { attemptsMax: 3 },
    );
    return keyOf(decodeIds(value!), ticket(n))!;
  }
}

Deno.test("A5: what one voter decided is known to the three that follow, whoever is down then", async () => {
  const cluster = await Cluster.of(1, 3);
  assertEquals(await cluster.pledge(1, 7), 2);
  const { electorate } = cluster.at(1);
  assert(await electorate.promote(2));
  assert(await electorate.promote(3));
  assertEquals(cluster.voters(1), [1, 2, 3]);
  assert(cluster.acceptors.get(1)!.known.settled);

  cluster.down = [1];
  assertEquals(await cluster.pledge(2, 7), 2);
  assertEquals(await cluster.pledge(3, 8), 3);
});

Deno.test("A5: a change that was decided is settled by whoever changes next", async () => {
  const cluster = await Cluster.of(1, 3);
  await cluster.pledge(1, 7);
  cluster.refused = MessageType.REGISTER_LIST;
  await assertRejects(
    () => cluster.at(1).electorate.promote(2, { attemptsMax: 2 }),
    QuorumUnavailableError,
  );
  const { known } = cluster.acceptors.get(1)!;
  assertEquals([known.epoch, known.settled], [2, false]);
  const retire = { kind: "retire", node: 2 } as const;
  assertThrows(() => withVoters(known, 2, retire), ConfigUnsettledError);
  assertThrows(() => withMember(known, 9), ConfigUnsettledError);
  assertThrows(() => withoutMember(known, 3), ConfigUnsettledError);

  cluster.refused = undefined;
  await cluster.acceptors.get(2)!.adopt(known);
  assert(await cluster.at(2).electorate.promote(3));
  cluster.down = [1];
  assertEquals(await cluster.pledge(3, 7), 2);
});

Deno.test("A5: the names of registers come from a majority, not from who settles", async () => {
  const cluster = await Cluster.of(3, 5);
  cluster.down = [3];
  assertEquals(await cluster.pledge(1, 7), 2);
  // 3 has not heard of a register that {1, 2} have chosen.
  await cluster.at(1).proposer.change("r", () => Uint8Array.of(1));
  cluster.down = [];
  const { electorate } = cluster.at(3);
  assert(await electorate.promote(4));
  assert(await electorate.promote(5));
  cluster.down = [1, 2];
  const identity = (value: Uint8Array | undefined) => value;
  assertEquals(
    await cluster.at(4).proposer.change("r", identity),
    Uint8Array.of(1),
  );
});

Deno.test("A7: of two changes that began at one epoch one happens", async () => {
  const cluster = await Cluster.of(3, 5);
  const [a, b] = [cluster.at(1), cluster.at(2)];
  const promoted = await Promise.all([
    a.electorate.promote(4),
    b.electorate.promote(5),
  ]);
  assertEquals(promoted.filter(Boolean).length, 1);
  await a.proposer.change(CONFIG_REGISTER, (value) => value);
  assertEquals(cluster.voters(1).length, 4);
});

Deno.test("A7: who ceases to vote may be dead, and has no seat when it hears of it", async () => {
  const cluster = await Cluster.of(3, 3);
  cluster.down = [3];
  assert(await cluster.at(1).electorate.retire(3));
  assertEquals(cluster.voters(1), [1, 2]);
  cluster.down = [];
  const retired = cluster.acceptors.get(3)!;
  assert(retired.votes);
  await retired.adopt(cluster.acceptors.get(1)!.known);
  assertEquals([retired.votes, retired.unseated], [false, false]);
  const again = await cluster.restart(3);
  assertEquals([again.votes, again.unseated], [false, false]);
});

Deno.test("A8: a seat is new with each promotion, and the memory empty", async () => {
  const cluster = await Cluster.of(3, 3);
  const before = seatOf(cluster.acceptors.get(1)!.known, 3)!;
  await cluster.at(3).proposer.change("r", () => Uint8Array.of(1));
  const { electorate } = cluster.at(1);
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

Deno.test("a seat that was drawn and not yet named is given again, but not by another start", async () => {
  const cluster = await Cluster.of(3, 5);
  cluster.down = [2, 3];
  const { electorate } = cluster.at(1);
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
  // A copy of a disk has the seat that was drawn there: neither may vote on it.
  const copy = new ForgetfulKV(true, cluster.kvs.get(5)!.image());
  assert(await electorate.promote(5));
  cluster.kvs.set(5, copy);
  const started = await cluster.restart(5);
  await started.adopt(cluster.acceptors.get(1)!.known);
  assertEquals([started.votes, started.unseated], [false, true]);
});

Deno.test("A9: who has fallen silent votes after it was retired and promoted anew", async () => {
  const cluster = await Cluster.of(3, 3);
  const silent = cluster.acceptors.get(3)!;
  await silent.fallSilent();
  assertEquals([silent.votes, silent.unseated], [false, true]);
  assert((await cluster.restart(3)).unseated);
  cluster.down = [2];
  await assertRejects(() => cluster.pledge(1, 7), QuorumUnavailableError);
  cluster.down = [];
  // It asks for it itself: its proposer is as good as any.
  assert(await cluster.at(3).electorate.retire(3));
  assert(await cluster.at(3).electorate.promote(3));
  cluster.down = [2];
  assertEquals(await cluster.pledge(1, 7), 2);
});

Deno.test("the last voter stays, and only members vote", async () => {
  const cluster = await Cluster.of(1, 2);
  const { electorate } = cluster.at(1);
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
  assertEquals(cluster.voters(1), [1]);
});

Deno.test("a voter that is removed votes no more, and its key is retired for ever", async () => {
  const cluster = await Cluster.of(3, 4);
  cluster.down = [3];
  const { electorate } = cluster.at(1);
  await electorate.remove(3);
  await electorate.settle();
  const { members, voters, removed, sealing, settled } =
    cluster.acceptors.get(1)!.known;
  assertEquals(members, [1, 2, 4]);
  assertEquals(voters.map(({ node }) => node), [1, 2]);
  assertEquals([removed, sealing, settled], [[3], [3], true]);
  await electorate.remove(3); // idempotent
  await assertRejects(() => electorate.remove(9), NodeNotFoundError);
});
