import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  DecodeError,
  NodeKeysExhaustedError,
  QuorumUnavailableError,
} from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { Acceptor, founderOps } from "./acceptor.ts";
import {
  addingMember,
  CONFIG_REGISTER,
  decodeConfig,
  encodeConfig,
  withMember,
} from "./config.ts";
import type { Config } from "./config.ts";
import {
  assigning,
  decodeIds,
  encodeIds,
  foundIds,
  IDS_REGISTER,
  keyOf,
} from "./ids.ts";
import { decodeReply, encodeAccept, encodeSeatRequest } from "./messages.ts";
import { Proposer } from "./proposer.ts";
import {
  Dice,
  ForgetfulKV,
  PREFIX,
  PromptCluster,
  seat,
  ticket,
  votersConfig,
} from "./world_test.ts";

const X = Uint8Array.of(88);
const Y = Uint8Array.of(89);
const identity = (value: Uint8Array | undefined) => value;

/** The seat on which a node would vote. */
async function seatAt(
  cluster: PromptCluster,
  node: number,
  config: Config,
): Promise<Uint8Array> {
  const reply = decodeReply(
    await cluster.acceptors.get(node)!.handle(
      MessageType.REGISTER_SEAT,
      encodeSeatRequest(config),
    ),
  );
  assert(reply.kind === "seat");
  return reply.seat;
}

Deno.test("a change is chosen by a majority and read by any other", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  cluster.reachable = [1, 2];
  assertEquals(await cluster.proposer(1).change("r", () => X), X);
  cluster.reachable = [2, 3];
  assertEquals(await cluster.proposer(3).change("r", identity), X);
});

Deno.test("a read of an empty register writes nothing", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  assertEquals(await cluster.proposer(1).change("r", identity), undefined);
  const accepts = cluster.asked
    .filter(([, type]) => type === MessageType.REGISTER_ACCEPT);
  assertEquals(accepts, []);
});

Deno.test("P5: without a majority a change ends after its attempts and names who is missing", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  cluster.reachable = [2];
  const error = await assertRejects(
    () => cluster.proposer(2).change("r", () => X, { attemptsMax: 3 }),
    QuorumUnavailableError,
  );
  assertEquals(error.missing, [1, 3]);
  assertEquals(cluster.pauses.length, 2);
  assert(cluster.pauses.every((pause) => pause >= 0 && pause <= 20));
});

Deno.test("an abort ends a change that waits for mute voters, naming them and the reason", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  cluster.mute = [1, 3];
  const controller = new AbortController();
  const { signal } = controller;
  const proposer = cluster.proposer(2);
  const change = proposer.change("r", () => X, { signal });
  const behind = proposer.change("r", () => Y, { signal });
  for (let i = 0; i < 50; i++) await null;
  controller.abort(new Error("enough"));
  const error = await assertRejects(() => change, QuorumUnavailableError);
  assertEquals(error.missing, [1, 3]);
  assertEquals(error.cause, signal.reason);
  await assertRejects(() => behind, QuorumUnavailableError);
  cluster.mute = [];
  assertEquals(await proposer.change("r", identity), undefined);
});

Deno.test("P6: a change that was aborted before the call asks nobody", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  const signal = AbortSignal.abort(new Error("enough"));
  const error = await assertRejects(() =>
    cluster.proposer(1).change("r", () => X, { signal })
  );
  assertStrictEquals(error, signal.reason);
  assertEquals(cluster.asked, []);
});

Deno.test("P2, P3, P4: a new key is above all given, whatever the responsible or half of the voters know", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 4);
  cluster.reachable = [1, 2];
  const founded = () => encodeIds(foundIds(ticket(0)));
  await cluster.proposer(1).change(IDS_REGISTER, founded);
  for (let n = 1; n <= 9; n++) {
    await cluster.proposer(1).change(IDS_REGISTER, assigning(ticket(n)));
  }
  cluster.reachable = [2, 3]; // node 3 knows of none, node 4 is no voter
  const ids = await cluster.proposer(4)
    .change(IDS_REGISTER, assigning(ticket(10)), { attemptsMax: 100 });
  assertEquals(keyOf(decodeIds(ids!), ticket(10)), 11);
});

Deno.test("a mute minority holds nobody up", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  cluster.mute = [3];
  assertEquals(await cluster.proposer(1).change("r", () => X), X);
});

Deno.test("nor does one beside a voter that has promised a rival more", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  // A rival whose prepares reach node 2 alone goes up.
  cluster.reachable = [2];
  await assertRejects(
    () => cluster.proposer(3).change("r", () => Y, { attemptsMax: 5 }),
    QuorumUnavailableError,
  );
  cluster.reachable = [1, 2, 3];
  cluster.mute = [3];
  assertEquals(await cluster.proposer(1).change("r", () => X), X);
});

Deno.test("rivals take over from each other, and each sees what the other chose", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  const proposers = [1, 2, 3].map((node) => cluster.proposer(node));
  const append = (byte: number) => (value: Uint8Array = new Uint8Array()) =>
    value.includes(byte) ? value : Uint8Array.of(...value, byte);
  await Promise.all(
    [1, 2, 3, 4, 5, 6].map((byte) =>
      proposers[byte % 3]!.change("r", append(byte), { attemptsMax: 100 })
    ),
  );
  const all = await proposers[0]!.change("r", identity);
  assertEquals([...all!].sort(), [1, 2, 3, 4, 5, 6]);
});

Deno.test("changes of one register take turns, so that none refuses another", async () => {
  const cluster = await PromptCluster.of(votersConfig(1), 1);
  const proposer = cluster.proposer(1);
  await Promise.all(
    [1, 2, 3, 4].map((byte) => proposer.change("r", () => Uint8Array.of(byte))),
  );
  assertEquals(cluster.asked.length, 8);
  assertEquals(cluster.pauses, []);
});

Deno.test("who proposes under an older config learns the newer one and starts over", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  const newer = withMember(votersConfig(3), 4);
  for (const node of [2, 3]) await cluster.acceptors.get(node)!.adopt(newer);
  assertEquals(await cluster.proposer(1).change("r", () => X), X);
  assertEquals(cluster.acceptors.get(1)!.known, newer);
  assertEquals(cluster.pauses, []);
});

Deno.test("a change of the config is adopted once it is chosen, and idempotent", async () => {
  const cluster = await PromptCluster.of(votersConfig(3), 3);
  const bytes = await cluster.proposer(1).change(
    CONFIG_REGISTER,
    addingMember(4),
  );
  const { known } = cluster.acceptors.get(1)!;
  assertEquals(decodeConfig(bytes!), known);
  assertEquals([known.epoch, known.members], [2, [1, 2, 3, 4]]);
  await cluster.proposer(2).change(CONFIG_REGISTER, addingMember(4));
  assertEquals(cluster.acceptors.get(2)!.known, known);
});

Deno.test("a config that only a minority accepted is adopted by nobody", async () => {
  const config = votersConfig(3);
  const cluster = await PromptCluster.of(config, 3);
  const proposer = cluster.proposer(1);
  // Promises come from all, accepts reach the proposer's own acceptor only.
  const change = (value: Uint8Array | undefined) => {
    cluster.reachable = [1];
    return addingMember(4)(value);
  };
  await assertRejects(
    () => proposer.change(CONFIG_REGISTER, change, { attemptsMax: 1 }),
    QuorumUnavailableError,
  );
  assertEquals(cluster.acceptors.get(1)!.known, config);
});

Deno.test("what only a minority had accepted is written to a majority before it is given out, also where nothing changes", async () => {
  const config = votersConfig(3);
  const cluster = await PromptCluster.of(config, 3);
  const value = encodeIds(foundIds(ticket(0)));
  await cluster.acceptors.get(1)!.handle(
    MessageType.REGISTER_ACCEPT,
    encodeAccept({
      config,
      seat: seat(1),
      register: IDS_REGISTER,
      ballot: { epoch: 1, n: 1, node: 1, generation: 0 },
      value,
    }),
  );
  cluster.reachable = [1, 2];
  const ids = () =>
    cluster.proposer(2).change(IDS_REGISTER, assigning(ticket(0)));
  assertEquals(await ids(), value);
  // Those who then answer without the first one know it too.
  cluster.reachable = [2, 3];
  assertEquals(await ids(), value);
});

Deno.test("a newer config found is finished as it is before anything is built on it", async () => {
  const config = votersConfig(3);
  const cluster = await PromptCluster.of(config, 3);
  const found = encodeConfig(withMember(config, 4));
  await cluster.acceptors.get(1)!.handle(
    MessageType.REGISTER_ACCEPT,
    encodeAccept({
      config,
      seat: seat(1),
      register: CONFIG_REGISTER,
      ballot: { epoch: 1, n: 50, node: 1, generation: 0 },
      value: found,
    }),
  );
  cluster.reachable = [1, 2];
  const changed: number[] = [];
  await cluster.proposer(2).change(CONFIG_REGISTER, (value) => {
    changed.push(decodeConfig(value!).epoch);
    assertEquals(cluster.acceptors.get(2)!.known.epoch, 2);
    return addingMember(5)(value);
  }, { attemptsMax: 100 });
  assertEquals(changed, [2]);
  assertEquals(cluster.acceptors.get(2)!.known.members, [1, 2, 3, 4, 5]);
  assertEquals(cluster.acceptors.get(2)!.known.epoch, 3);
});

Deno.test("a late accept of an older config does not outrank what a newer one chose", async () => {
  const first = votersConfig(3);
  const cluster = await PromptCluster.of(first, 5);
  const voters = [...first.voters];
  for (const node of [4, 5]) {
    const seat = await seatAt(cluster, node, first);
    voters.push({ node, seat });
  }
  const third = { ...votersConfig(5), voters, epoch: 3 };
  for (const node of [3, 4, 5]) await cluster.acceptors.get(node)!.adopt(third);
  cluster.reachable = [3, 4, 5];
  await cluster.proposer(3).change("r", () => Y);
  const late = { config: first, seat: seat(2), register: "r", value: X };
  await cluster.acceptors.get(2)!.handle(
    MessageType.REGISTER_ACCEPT,
    encodeAccept({
      ...late,
      ballot: { epoch: 1, n: 101, node: 1, generation: 1 },
    }),
  );
  cluster.reachable = [2, 4, 5];
  assertEquals(await cluster.proposer(4).change("r", identity), Y);
});

Deno.test("what the function throws ends the change, and the register serves on", async () => {
  const cluster = await PromptCluster.of(votersConfig(1), 1);
  const proposer = cluster.proposer(1);
  const error = new NodeKeysExhaustedError();
  const thrown = await assertRejects(() =>
    proposer.change("r", () => {
      throw error;
    })
  );
  assertStrictEquals(thrown, error);
  await assertRejects(
    () => proposer.change(IDS_REGISTER, assigning(ticket(1))),
    DecodeError,
  );
  assertEquals(await proposer.change("r", () => X), X);
});

Deno.test("X12: a voter that restarts between two pledges gives unique keys", async () => {
  let kv = new ForgetfulKV(true);
  kv.write(founderOps(PREFIX, seat(1), ticket(1)), { sync: true });
  const keys: number[] = [];
  for (const [start, name] of [2, 3, 2, 4, 1].entries()) {
    kv = kv.crash();
    const acceptor = await Acceptor.open({
      kv,
      prefix: PREFIX,
      node: 1,
      random: new Dice(1),
    });
    const proposer = new Proposer({
      node: 1,
      generation: start + 1,
      knowledge: acceptor,
      random: new Dice(1),
      ask: (_, type, payload) => acceptor.handle(type, payload),
      sleep: () => Promise.resolve(),
    });
    const ids = await proposer.change(IDS_REGISTER, assigning(ticket(name)));
    keys.push(keyOf(decodeIds(ids!), ticket(name))!);
  }
  assertEquals(keys, [2, 3, 2, 4, 1]);
});
