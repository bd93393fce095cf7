import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DecodeError, toHex } from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { type Config, foundConfig, withMember } from "../register/mod.ts";
import { Exchange } from "./exchange.ts";
import { Members, nodeRecord } from "./mod.ts";
import { Reports } from "./reports.ts";
import { reportOf } from "./world_test.ts";

/** One side of exchanges, and what was sent to it. */
class Side {
  readonly members: Members;
  readonly reports: Reports;
  readonly exchange: Exchange;
  readonly sent: [type: number, request: string, reply: string][] = [];

  constructor(key: number, public config: Config) {
    const nonce = new Uint8Array(8).fill(key);
    this.members = new Members(
      nodeRecord({ key, address: `n${key}:1`, generation: 1, nonce }),
    );
    this.reports = new Reports({
      node: key,
      isMember: () => true,
      accept: () => Promise.resolve(true),
    });
    this.exchange = new Exchange({
      members: this.members,
      reports: this.reports,
      config: () => this.config,
      adopt: (config) => {
        this.config = config;
        return Promise.resolve();
      },
      merged: () => {},
    });
  }

  readonly ask = async (type: number, payload: Uint8Array) => {
    const reply = type === MessageType.CLUSTER_SYNC
      ? this.exchange.answerSync(payload)
      : type === MessageType.REPORTS
      ? await this.reports.answer(payload)
      : await this.exchange.answerAck(payload);
    this.sent.push([type, toHex(payload), toHex(reply)]);
    return reply;
  };
}

const OLD = foundConfig(1, new Uint8Array(8).fill(1));
const NEW = withMember(OLD, 2);

Deno.test("an exchange tells either side the records and the config that it lacks", async () => {
  for (const [mine, theirs] of [[OLD, NEW], [NEW, OLD]] as const) {
    const [a, b] = [new Side(1, mine), new Side(2, theirs)];
    await a.exchange.run(b.ask);
    for (const { members, config } of [a, b]) {
      assertEquals([...members.nodes().keys()].sort(), [1, 2]);
      assertEquals(config, NEW);
    }
    assertEquals(b.sent.map(([type]) => type), [
      MessageType.CLUSTER_SYNC,
      MessageType.CLUSTER_ACK,
    ]);
  }
});

Deno.test("a config alone is told too, also one that says only that it is settled", async () => {
  const open = { ...OLD, settled: false };
  for (const [mine, theirs] of [[open, OLD], [OLD, open]] as const) {
    const [a, b] = [new Side(1, OLD), new Side(2, OLD)];
    await a.exchange.run(b.ask);
    [a.config, b.config] = [mine, theirs];
    await a.exchange.run(b.ask);
    assert(a.config.settled && b.config.settled);
  }
});

Deno.test("who knows the same says a hash and an age, and gets nothing", async () => {
  const [a, b] = [new Side(1, OLD), new Side(2, OLD)];
  await a.exchange.run(b.ask);
  b.sent.length = 0;
  await a.exchange.run(b.ask);
  const sync = toHex(a.members.sync()) + "00" + "01" + "01" +
    toHex(a.reports.hash());
  assertEquals(b.sent, [[MessageType.CLUSTER_SYNC, sync, ""]]);
});

Deno.test("what does not follow the format of an exchange is a DecodeError", async () => {
  const { exchange, ask } = new Side(1, OLD);
  for (let length = 0; length < 19; length++) {
    const bytes = new Uint8Array(length).fill(length);
    assertThrows(() => exchange.answerSync(bytes), DecodeError);
  }
  const settled = Uint8Array.of(
    ...new Uint8Array(8),
    0,
    1,
    2,
    ...new Uint8Array(8),
  );
  assertThrows(() => exchange.answerSync(settled), DecodeError);
  await assertRejects(() => exchange.answerAck(Uint8Array.of(9)), DecodeError);
  await assertRejects(
    () =>
      new Side(2, OLD).exchange.run(() => Promise.resolve(Uint8Array.of(9))),
    DecodeError,
  );
  await ask(MessageType.CLUSTER_ACK, Uint8Array.of(0, 0));
});

Deno.test("reports that differ are exchanged, under the config that both know then", async () => {
  const [a, b] = [new Side(1, OLD), new Side(2, NEW)];
  const known: number[] = [];
  const say = (side: Side, node: number) =>
    side.reports.say(reportOf({ node, epoch: NEW.epoch }));
  say(a, 1);
  say(b, 2);
  await a.exchange.run(async (type, payload) => {
    if (type === MessageType.REPORTS) known.push(a.config.epoch);
    return await b.ask(type, payload);
  });
  assertEquals(known, [NEW.epoch, NEW.epoch]);
  assertEquals(a.reports.get(2), b.reports.get(2));
  assertEquals(b.reports.get(1), a.reports.get(1));
  assertEquals(a.reports.hash(), b.reports.hash());
  b.sent.length = 0;
  await a.exchange.run(b.ask);
  assertEquals(b.sent.length, 1);
});
