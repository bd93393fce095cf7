import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  concatBytes,
  CorruptionError,
  DecodeError,
  FormatVersionError,
  NotSupportedError,
  NotVoterError,
  toHex,
} from "../../runtime/mod.ts";
import type { Bytes } from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { Acceptor, beginningOps, founderOps } from "./acceptor.ts";
import { NO_BALLOT } from "./ballot.ts";
import type { Ballot } from "./ballot.ts";
import { foundConfig, withMember } from "./config.ts";
import type { Config } from "./config.ts";
import { decodeIds, foundIds, IDS_REGISTER } from "./ids.ts";
import {
  decodeReply,
  encodeAccept,
  encodeList,
  encodePrepare,
} from "./messages.ts";
import type { Reply } from "./messages.ts";
import { Dice, ForgetfulKV, PREFIX, seat, ticket } from "./world_test.ts";

const CONFIG = foundConfig(1, seat(1));
const X: Bytes = Uint8Array.of(88);

function founder(automatic = true): ForgetfulKV {
  const kv = new ForgetfulKV(automatic);
  kv.write(founderOps(PREFIX, seat(1), ticket(0)), { sync: true });
  kv.finishSync();
  return kv;
}

function open(kv: ForgetfulKV): Promise<Acceptor> {
  return Acceptor.open({
    kv,
    prefix: PREFIX,
    node: 1,
    random: new Dice(1),
  });
}

function ballot(n: number, more: Partial<Ballot> = {}): Ballot {
  return { epoch: 1, n, node: 1, generation: 1, ...more };
}

async function prepare(
  acceptor: Acceptor,
  b: Ballot,
  head: { config?: Config; seat?: Uint8Array; register?: string } = {},
): Promise<Reply> {
  const payload = encodePrepare({
    config: CONFIG,
    seat: seat(1),
    register: "r",
    ballot: b,
    ...head,
  });
  return decodeReply(
    await acceptor.handle(MessageType.REGISTER_PREPARE, payload),
  );
}

async function accept(
  acceptor: Acceptor,
  b: Ballot,
  value: Uint8Array = X,
): Promise<Reply> {
  const payload = encodeAccept({
    config: CONFIG,
    seat: seat(1),
    register: "r",
    ballot: b,
    value,
  });
  return decodeReply(
    await acceptor.handle(MessageType.REGISTER_ACCEPT, payload),
  );
}

function promise(accepted: Ballot, value: Uint8Array | undefined): Reply {
  return { kind: "promise", accepted, value, vector: new Uint8Array() };
}

Deno.test("a promise tells what was accepted, and holds against lower and equal ballots", async () => {
  const acceptor = await open(founder());
  assertEquals(
    await prepare(acceptor, ballot(5)),
    promise(NO_BALLOT, undefined),
  );
  const nack: Reply = { kind: "promised", ballot: ballot(5) };
  assertEquals(await prepare(acceptor, ballot(5)), nack);
  assertEquals(await prepare(acceptor, ballot(4)), nack);
  assertEquals(await accept(acceptor, ballot(4)), nack);
  assertEquals(await accept(acceptor, ballot(5)), { kind: "ok" });
  assertEquals(await prepare(acceptor, ballot(6)), promise(ballot(5), X));
});

Deno.test("an accept is a promise too, and may be repeated", async () => {
  const acceptor = await open(founder());
  assertEquals(await accept(acceptor, ballot(5)), { kind: "ok" });
  assertEquals(await accept(acceptor, ballot(5)), { kind: "ok" });
  assertEquals((await prepare(acceptor, ballot(5))).kind, "promised");
});

Deno.test("an accept of the proposer's earlier start does not pass its later promise", async () => {
  const acceptor = await open(founder());
  await prepare(acceptor, ballot(1, { generation: 2 }));
  assertEquals(
    (await accept(acceptor, ballot(1, { generation: 1 }))).kind,
    "promised",
  );
});

Deno.test("no reply is given before what it says is on the device", async () => {
  const kv = founder(false);
  const acceptor = await open(kv);
  for (const ask of [prepare, accept]) {
    let replied = false;
    const reply = ask(acceptor, ballot(9)).then((r) => (replied = true, r));
    for (let i = 0; i < 50; i++) await null;
    assert(kv.syncing);
    assertEquals(replied, false);
    kv.finishSync();
    await reply;
  }
  const again = await open(kv.crash());
  assertEquals((await accept(again, ballot(8))).kind, "promised");
});

Deno.test("requests at the same time are served one after the other", async () => {
  const acceptor = await open(founder());
  const [high, low] = await Promise.all([
    prepare(acceptor, ballot(2)),
    prepare(acceptor, ballot(1)),
  ]);
  assertEquals(high.kind, "promise");
  assertEquals(low, { kind: "promised", ballot: ballot(2) });
});

Deno.test("a request under an older config is answered with the one known", async () => {
  const acceptor = await open(founder());
  const newer = withMember(CONFIG, 2);
  assertEquals(await acceptor.adopt(newer), true);
  assertEquals(await acceptor.adopt(CONFIG), false);
  assertEquals(await prepare(acceptor, ballot(1)), {
    kind: "known",
    config: newer,
  });
});

Deno.test("a newer config that comes with a request is durable with the reply", async () => {
  const kv = founder();
  const learned: number[] = [];
  const acceptor = await Acceptor.open({
    kv,
    prefix: PREFIX,
    node: 1,
    random: new Dice(1),
    onKnown: (config) => learned.push(config.epoch),
  });
  const newer = withMember(CONFIG, 2);
  const before = kv.syncedWrites;
  await prepare(acceptor, ballot(5, { epoch: 2 }), { config: newer });
  assertEquals(kv.syncedWrites - before, 1);
  assertEquals(acceptor.known, newer);
  assertEquals(learned, [2]);
  const third = withMember(newer, 3);
  const refused = await prepare(acceptor, ballot(1), { config: third });
  assertEquals(refused.kind, "promised");
  assertEquals((await open(kv.crash())).known, third);
});

Deno.test("an acceptor without the seat named is silent and learns nothing", async () => {
  const newer = withMember(CONFIG, 2);
  const elsewhere = {
    ...newer,
    voters: [{ node: 2, seat: seat(1) }],
  };
  const reseated = { ...newer, voters: [{ node: 1, seat: seat(9) }] };
  const acceptor = await open(founder());
  for (
    const head of [
      { config: elsewhere },
      { config: reseated },
      { config: reseated, seat: seat(9) },
      { config: newer, seat: seat(9) },
    ]
  ) {
    await assertRejects(
      () => prepare(acceptor, ballot(1), head),
      NotVoterError,
    );
  }
  assertEquals(acceptor.known, CONFIG);
  assertEquals(acceptor.votes, true);
});

Deno.test("a learner knows the config and never votes", async () => {
  const kv = new ForgetfulKV(true);
  kv.write(beginningOps(PREFIX, { config: CONFIG }), { sync: true });
  const learner = await open(kv);
  assertEquals(learner.known, CONFIG);
  assertEquals(learner.votes, false);
  await assertRejects(() => prepare(learner, ballot(1)), NotVoterError);
});

Deno.test("a config that got settled is learned, one that was settled before is not unlearned", async () => {
  const unsettled = { ...withMember(CONFIG, 2), settled: false };
  const acceptor = await open(founder());
  assertEquals(await acceptor.adopt(unsettled), true);
  assertEquals(await acceptor.adopt({ ...unsettled, settled: true }), true);
  assertEquals(await acceptor.adopt(unsettled), false);
  assertEquals(acceptor.known.settled, true);
});

Deno.test("a list names the registers with an accepted value", async () => {
  const acceptor = await open(founder());
  await prepare(acceptor, ballot(1), { register: "promised only" });
  await accept(acceptor, ballot(1));
  const payload = encodeList({ config: CONFIG, seat: seat(1) });
  const reply = decodeReply(
    await acceptor.handle(MessageType.REGISTER_LIST, payload),
  );
  assert(reply.kind === "names");
  assertEquals(reply.names, ["config", "ids", "r"]);
});

Deno.test("the founder's registers hold the first config and the first node key", async () => {
  const acceptor = await open(founder());
  const ids = await prepare(acceptor, ballot(2), { register: IDS_REGISTER });
  assert(ids.kind === "promise");
  assertEquals(decodeIds(ids.value!), foundIds(ticket(0)));
});

Deno.test("an acceptor's rows have their golden bytes", async () => {
  const rows = founderOps(PREFIX, seat(1), ticket(0)).slice(0, 1);
  const config = "01" + "00" + "01" + "01" + "010100" +
    "010100" + "01".repeat(8) + "00" + "00" + "00";
  assertEquals(
    rows.map(({ key, value }) => [toHex(key), toHex(value!)]),
    [["0700", "01" + "01" + "01".repeat(8) + "15" + config + "00"]],
  );
  const kv = founder();
  await accept(await open(kv), ballot(300, { epoch: 2 }));
  assertEquals(
    toHex(kv.get(concatBytes(PREFIX, Uint8Array.of(1, 0x72)))!),
    "01" + "02ac02010001" + "02ac02010001" + "0158",
  );
});

Deno.test("state that is missing, torn or of a newer format is refused at open", async () => {
  await assertRejects(() => open(new ForgetfulKV(true)), CorruptionError);
  const [row] = beginningOps(PREFIX, { config: CONFIG, seat: seat(1) });
  const kv = new ForgetfulKV(true);
  const { key } = row!;
  kv.write([{ key, value: row!.value!.subarray(0, 20) }], { sync: true });
  await assertRejects(() => open(kv), DecodeError);
  kv.write([{ key, value: Uint8Array.of(2, 0, 0) }], { sync: true });
  await assertRejects(() => open(kv), FormatVersionError);
});

Deno.test("a request that is no such thing is refused, and the next one served", async () => {
  const acceptor = await open(founder());
  const { REGISTER_PREPARE, PLEDGE } = MessageType;
  await assertRejects(
    () => acceptor.handle(REGISTER_PREPARE, new Uint8Array(3)),
    DecodeError,
  );
  await assertRejects(
    () => acceptor.handle(PLEDGE, new Uint8Array(3)),
    NotSupportedError,
  );
  assertEquals((await prepare(acceptor, ballot(1))).kind, "promise");
});
