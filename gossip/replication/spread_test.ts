import { assert, assertEquals, assertThrows } from "@std/assert";
import { DecodeError, StorageError } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { Coverage, MemberList } from "./coverage.ts";
import type { Applied } from "./draft.ts";
import {
  decodeFeedback,
  decodeRecords,
  decodeRumours,
  encodeRumours,
} from "./messages.ts";
import type { LogRecord } from "./record.ts";
import { Spread, type SpreadOptions } from "./spread.ts";
import { Vector } from "./vector.ts";
import {
  HandClock,
  HandTimers,
  origin,
  setRecord,
  turns,
} from "./world_test.ts";

interface Sent {
  readonly node: number;
  readonly type: number;
  readonly message: Uint8Array;
}

/** Node 1 of so many. What is told of as durable is covered. */
function spreadOf(members: number, options: Partial<SpreadOptions> = {}) {
  const sent: Sent[] = [];
  const pulls: number[] = [];
  const failures: unknown[] = [];
  const timers = new HandTimers();
  const clock = new HandClock(0);
  const vector = new Vector();
  const living = Array.from({ length: members - 1 }, (_, i) => i + 2);
  const received: LogRecord[] = [];
  const spread = new Spread({
    node: 1,
    replica: {
      caughtUp: true,
      origin: origin(1),
      vector,
      receiveAll(records) {
        received.push(...records);
        return Promise.resolve(records.map(() => "applied"));
      },
    },
    clock,
    timers,
    random: new Prng(1),
    delayMs: 2,
    directPeersMax: 0,
    fanout: 0,
    redundancyMax: 3,
    revision: () => living.length,
    living: () => living,
    others: () => living,
    send(node, type, message) {
      sent.push({ node, type, message });
      return true;
    },
    dial: () => undefined,
    pull: (node) => pulls.push(node),
    failed: (_, error) => failures.push(error),
    ...options,
  });
  const publish = (...records: LogRecord[]) => {
    for (const { origin, seq } of records) vector.add(origin, seq);
    spread.published(
      records.map((record): Applied => ({ record, changes: [] })),
    );
  };
  const pass = (ms: number) => {
    clock.ms += ms;
    timers.fire();
  };
  return {
    spread,
    sent,
    pulls,
    failures,
    received,
    timers,
    publish,
    pass,
    living,
  };
}

const own = (seq: number) => setRecord("k", "v", { origin: origin(1), seq });

Deno.test("to few nodes what this node commits is pushed to each, without a coverage", () => {
  const { spread, sent, timers, publish, pass } = spreadOf(5, {
    directPeersMax: 4,
  });
  publish(own(1), own(2), setRecord("k", "v"));
  // All of it in one message, at once.
  assertEquals(sent.map(({ node }) => node), [2, 3, 4, 5]);
  assert(sent.every(({ type }) => type === MessageType.RECORDS));
  assertEquals(decodeRecords(sent[0]!.message).records.length, 2);
  const { infected, recovered, copies, copyBytes, extraBytes } = spread.metrics;
  assertEquals([infected, recovered, copies, extraBytes], [0, 2, 8, 0]);
  assertEquals(copyBytes, 4 * (own(1).bytes.length + own(2).bytes.length));
  assertEquals(spread.messages, 4);
  assertEquals(timers.size, 0);
  // What comes right after it waits.
  publish(own(3));
  assertEquals(spread.metrics.infected, 1);
  const dot = { origin: origin(1), seq: 3 };
  assertEquals(spread.stateOf(dot), "infected");
  assertEquals(spread.messages, 4);
  pass(2);
  assertEquals(spread.stateOf(dot), "recovered");
  assertEquals(spread.messages, 8);
  assertEquals([spread.metrics.infected, timers.size], [0, 0]);
});

Deno.test("what waits to be pushed when a node closes goes out, and no timer is left", () => {
  const { spread, sent, timers, publish } = spreadOf(2, { directPeersMax: 1 });
  publish(own(1));
  publish(own(2));
  assertEquals([sent.length, timers.size], [1, 1]);
  spread.close();
  assertEquals([sent.length, timers.size], [2, 0]);
});

Deno.test("to more nodes it begins rumours, as soon as that many live", () => {
  const { sent, publish, pass, living } = spreadOf(5, { directPeersMax: 4 });
  living.push(6);
  publish(own(1));
  pass(2);
  assert(sent.every(({ type }) => type === MessageType.RUMOURS));
  assertEquals(sent.length, 3);
  const all = sent.flatMap(({ node, message }) => {
    const { list, groups: [group] } = decodeRumours(message);
    const members = new MemberList([1, ...living]);
    assert(members.isNamed(list));
    return [node, ...Coverage.read(members, group!.coverage).others()];
  });
  assertEquals(all.sort(), [2, 3, 4, 5, 6]);
});

Deno.test("rumours are handed to the replica, passed on once told of as durable, and answered", async () => {
  const { spread, sent, received, publish, pass } = spreadOf(4);
  const list = new MemberList([1, 2, 3, 4]);
  const group = {
    id: 9,
    coverage: Coverage.of(list, 1, 2, 4).bytes,
    records: [setRecord("k", "v")],
    announced: [],
  };
  spread.takeRumours(2, encodeRumours(list, [group]));
  await turns();
  assertEquals(received.length, 1);
  pass(30);
  // That it has come is all that is said of it.
  const [early] = sent.splice(0);
  assertEquals(early!.type, MessageType.FEEDBACK);
  const [told] = decodeFeedback(early!.message).items;
  assertEquals(Coverage.read(list, told!.coverage).members(), []);
  assertEquals(sent, []);
  publish(received[0]!);
  pass(30);
  assertEquals(sent.map(({ node, type }) => [node, type]), [
    [2, MessageType.FEEDBACK],
    [3, MessageType.RUMOURS],
  ]);
  const [item] = decodeFeedback(sent[0]!.message).items;
  assertEquals(item!.id, 9);
  const { useful, copies, extraBytes } = spread.metrics;
  assertEquals([useful, copies], [1, 1]);
  assert(extraBytes > 0 && extraBytes < 80, `${extraBytes}`);
});

Deno.test("bytes that are no rumours are refused, and what the replica refuses is told of", async () => {
  const failure = new DecodeError("a record", "it is none");
  for (const error of [failure, new StorageError("write", "a", "full")]) {
    const { spread, failures } = spreadOf(3, {
      replica: {
        caughtUp: true,
        origin: undefined,
        vector: new Vector(),
        receiveAll: () => Promise.reject(error),
      },
    });
    assertThrows(
      () => spread.takeRumours(2, Uint8Array.of(1)),
      DecodeError,
    );
    assertThrows(
      () => spread.takeFeedback(2, Uint8Array.of(1)),
      DecodeError,
    );
    const list = new MemberList([1, 2, 3]);
    const coverage = Coverage.full(list).bytes;
    const records = [setRecord("k", "v")];
    const group = { id: 1, coverage, records, announced: [] };
    spread.takeRumours(2, encodeRumours(list, [group]));
    await turns();
    // Its own engine's failure is not the peer's.
    assertEquals(failures, error === failure ? [failure] : []);
  }
});

Deno.test("where connections are made on demand rumours make them, so many at once and no more", async () => {
  const dialled: number[] = [];
  let fail = () => {};
  const { spread, publish, pass } = spreadOf(200, {
    fanout: 150,
    send: () => false,
    dial: (node) => {
      dialled.push(node);
      return new Promise((_, reject) => {
        const before = fail;
        fail = () => (before(), reject(new Error("nobody answers")));
      });
    },
  });
  publish(own(1));
  pass(2);
  assertEquals(dialled.length, 64);
  assertEquals(spread.metrics.copies, 0);
  fail();
  await turns();
  for (let i = 0; i < 100; i++) {
    pass(100);
    fail();
    await turns();
  }
  assertEquals(spread.metrics.infected, 0, "it does not try for ever");
});

Deno.test("what is told large is parted among messages, and at the end all goes out and no timer is left", () => {
  const { spread, sent, publish } = spreadOf(2);
  for (let seq = 1; seq <= 8; seq++) {
    const value = "v".repeat(60_000);
    publish(setRecord("k", value, { origin: origin(1), seq }));
  }
  spread.close();
  assert(sent.length > 1);
  const seqs = sent.flatMap(({ message }) =>
    decodeRumours(message).groups.flatMap(({ records }) =>
      records.map(({ seq }) => seq)
    )
  );
  assertEquals(seqs, [1, 2, 3, 4, 5, 6, 7, 8]);
  publish(own(9));
  spread.close();
  assertEquals(sent.every(({ message }) => message.length < 200_000), true);
});

Deno.test("once it is closed nothing is sent any more, at once or later", () => {
  for (const directPeersMax of [0, 16]) {
    const { spread, sent, publish, pass } = spreadOf(3, { directPeersMax });
    publish(own(1));
    spread.close();
    const before = sent.length;
    assert(before > 0);
    publish(own(2));
    pass(1000);
    assertEquals(sent.length, before);
  }
});

Deno.test("a record that was announced is pulled from who announced it", () => {
  const { spread, pulls } = spreadOf(3);
  const list = new MemberList([1, 2, 3]);
  const announced = [{ origin: origin(2), seq: 1 }];
  const coverage = Coverage.full(list).bytes;
  const group = { id: 1, coverage, records: [], announced };
  spread.takeRumours(2, encodeRumours(list, [group]));
  assertEquals(pulls, [2]);
});

Deno.test("of records that were pushed directly it is counted which were new", () => {
  const { spread } = spreadOf(3, { directPeersMax: 2 });
  spread.count(["applied", "covered", "early"]);
  assertEquals([spread.metrics.useful, spread.metrics.redundant], [2, 1]);
});

Deno.test("S5: once its data is void a node brings nothing of it to anybody any more, whatever breaks or comes", () => {
  for (const directPeersMax of [0, 16]) {
    const { spread, sent, publish, pass } = spreadOf(6, { directPeersMax });
    publish(own(1), setRecord("k", "v"));
    pass(2);
    // Where few nodes live, the first goes at once, and the next one waits.
    publish(own(2));
    const before = sent.length;
    publish(own(3));
    const { infected, copies, recovered } = spread.metrics;
    assert(infected > 0);
    spread.forget();
    assertEquals(spread.metrics.infected, 0);
    for (let node = 2; node <= 6; node++) spread.lost(node);
    for (let i = 0; i < 50; i++) pass(200);
    assertEquals(sent.length, before);
    const after = spread.metrics;
    assertEquals([after.copies, after.recovered], [copies, recovered]);
    // And what it writes afterwards goes out.
    publish(own(4));
    pass(2);
    assert(sent.length > before);
  }
});
