import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Prng } from "../../runtime/virtual/mod.ts";
import { Coverage, MemberList } from "./coverage.ts";
import { makeOrigin } from "./dot.ts";
import { BATCH_BYTES, RECORD_BYTES_PUSHED_MAX } from "./push.ts";
import type { PassedRecord } from "./record.ts";
import type { FeedbackItem, RumourGroup } from "./messages.ts";
import {
  ATTEMPTS_MAX,
  fanoutOf,
  GAP_MS,
  type RumourEffect,
  Rumours,
  type RumoursOptions,
} from "./rumours.ts";

const DELAY_MS = 2;
const ORIGIN = makeOrigin(9, 1, 0);

/** Node 1 of so many, and what is durable there. */
function nodeOf(members: number, options: Partial<RumoursOptions> = {}) {
  const durable = new Set<number>();
  const rumours = new Rumours({
    node: 1,
    random: new Prng(1),
    delayMs: DELAY_MS,
    fanout: 0,
    redundancyMax: 3,
    isWhole: () => true,
    covers: (_, seq) => durable.has(seq),
    ...options,
  });
  const list = listOf(members);
  rumours.members(list, 0);
  /** Node 1 writes. */
  const write = (seq: number, now = 0, size = 10) => {
    durable.add(seq);
    rumours.add(recordOf(seq, size), now);
  };
  /** What has come becomes durable. */
  const apply = (now: number, ...records: PassedRecord[]) => {
    for (const { seq } of records) durable.add(seq);
    rumours.applied(records, now);
  };
  return { rumours, list, durable, write, apply };
}

function listOf(members: number): MemberList {
  return new MemberList(Array.from({ length: members }, (_, i) => i + 1));
}

function nameOf(list: MemberList) {
  return { members: list.size, hash: list.hash };
}

function recordOf(seq: number, size = 10): PassedRecord {
  return { origin: ORIGIN, seq, bytes: new Uint8Array(size) };
}

function groupOf(
  list: MemberList,
  share: readonly number[],
  records: readonly PassedRecord[],
  id = 7,
): RumourGroup {
  const coverage = Coverage.full(list).removeAll(Coverage.of(list, ...share));
  return { id, coverage: coverage.bytes, records, announced: [] };
}

function itemOf(
  list: MemberList,
  id: number,
  covered: readonly number[],
  redundant: FeedbackItem["redundant"] = [],
): FeedbackItem {
  return { id, coverage: Coverage.of(list, ...covered).bytes, redundant };
}

function rising(a: number, b: number): number {
  return a - b;
}

type Sent = Extract<RumourEffect, { type: "rumour" }>;

function sentIn(effects: readonly RumourEffect[]): Sent[] {
  return effects.filter((effect) => effect.type === "rumour");
}

function answersIn(effects: readonly RumourEffect[]) {
  return effects.filter((effect) => effect.type === "feedback");
}

/** Whom a target is to bring it to. */
function shareOf({ list, group }: Sent): number[] {
  return Coverage.read(list, group.coverage).others();
}

function seqsOf({ group }: Sent): number[] {
  return group.records.map(({ seq }) => seq);
}

/** All steps that are due until then. */
function stepsUntil(rumours: Rumours, until: number): RumourEffect[] {
  const effects: RumourEffect[] = [];
  for (let i = 0; rumours.dueAt <= until; i++) {
    assert(i < 1000, "it is due for ever");
    effects.push(...rumours.step(rumours.dueAt));
  }
  return effects;
}

Deno.test("a record is susceptible until it is durable, infected while it is brought to others, then recovered", () => {
  const { rumours, list, apply } = nodeOf(3);
  const dot = { origin: ORIGIN, seq: 1 };
  assertEquals(rumours.stateOf(dot), "susceptible");
  rumours.arrive(2, nameOf(list), [groupOf(list, [3], [recordOf(1)])], 0);
  assertEquals(rumours.stateOf(dot), "susceptible");
  assertEquals(rumours.figures.susceptible, 1);
  apply(1, recordOf(1));
  assertEquals(rumours.stateOf(dot), "infected");
  assertEquals(rumours.figures.infected, 1);
  const [sent] = sentIn(stepsUntil(rumours, 10));
  assertEquals(rumours.stateOf(dot), "infected");
  const item = itemOf(list, sent!.group.id, [3]);
  rumours.feedback(3, nameOf(list), [item], 20);
  assertEquals(rumours.stateOf(dot), "recovered");
  const { susceptible, infected, recovered, useful } = rumours.figures;
  assertEquals([susceptible, infected, recovered, useful], [0, 0, 1, 1]);
});

Deno.test("a record that has come is passed on, and acknowledged, only once it is durable", () => {
  const { rumours, list, apply } = nodeOf(4);
  const group = groupOf(list, [3, 4], [recordOf(1)]);
  rumours.arrive(2, nameOf(list), [group], 0);
  const early = stepsUntil(rumours, 500);
  assertEquals(sentIn(early), []);
  // That it has come is said; nobody is told that it is here.
  assertEquals(answersIn(early).map(({ items }) => items), [[
    itemOf(list, 7, []),
  ]]);
  apply(500, recordOf(1));
  const later = stepsUntil(rumours, 550);
  assertEquals(sentIn(later).map(({ node }) => node).sort(rising), [3, 4]);
  assertEquals(answersIn(later).map(({ items }) => items), [[
    itemOf(list, 7, [1, 2]),
  ]]);
});

Deno.test("targets are drawn from who is not covered, and each of the others is one target's to bring it to", () => {
  for (const members of [2, 3, 5, 10, 20, 50]) {
    const { rumours, write } = nodeOf(members);
    write(1);
    const sent = sentIn(stepsUntil(rumours, DELAY_MS));
    assertEquals(sent.length, Math.min(members - 1, fanoutOf(members)));
    const all = sent.flatMap((each) => [each.node, ...shareOf(each)]);
    assertEquals(
      all.sort(rising),
      Array.from({ length: members - 1 }, (_, i) => i + 2),
    );
  }
  assertEquals([2, 5, 10, 20, 50].map(fanoutOf), [2, 3, 4, 5, 6]);
});

Deno.test("whoever gets a share brings it to the members of the share only", () => {
  const { rumours, list, apply } = nodeOf(50);
  rumours.arrive(2, nameOf(list), [groupOf(list, [30, 40], [recordOf(1)])], 0);
  apply(0, recordOf(1));
  const sent = sentIn(stepsUntil(rumours, 10));
  assertEquals(sent.map(({ node }) => node).sort(rising), [30, 40]);
  assertEquals(sent.flatMap(shareOf), []);
});

Deno.test("records written within the delay travel together, and at once when they are many bytes", () => {
  const { rumours, write } = nodeOf(2);
  write(1, 0);
  write(2, 1);
  assertEquals(rumours.dueAt, DELAY_MS);
  assertEquals(sentIn(rumours.step(DELAY_MS)).map(seqsOf), [[1, 2]]);
  write(3, 10, BATCH_BYTES);
  assertEquals(rumours.dueAt, 10);
});

Deno.test("one draw holds for a while: what follows takes the same ways, and arrives in order", () => {
  const { rumours, write } = nodeOf(50);
  const drawn = [0, 100, 20_000].map((now, i) => {
    write(i + 1, now);
    return sentIn(stepsUntil(rumours, now + DELAY_MS)).filter((sent) =>
      seqsOf(sent).includes(i + 1)
    ).map(({ node }) => node);
  });
  assertEquals(drawn[0], drawn[1]);
  assertNotEquals(drawn[0], drawn[2]);
});

Deno.test("whose list is another reads no bit: the sender and itself alone are covered, and it passes on after a silence", () => {
  const { rumours, apply } = nodeOf(4);
  const theirs = new MemberList([1, 2, 3, 4, 5]);
  // Read by this node's list, nobody would be left.
  const group = groupOf(theirs, [5], [recordOf(1)]);
  rumours.arrive(2, nameOf(theirs), [group], 0);
  apply(0, recordOf(1));
  assertEquals(sentIn(stepsUntil(rumours, 99)), []);
  const sent = sentIn(stepsUntil(rumours, 600));
  assertEquals(sent.map(({ node }) => node).sort(rising), [3, 4]);
});

Deno.test("a target whose list is another is known to have it; the share falls back", () => {
  const { rumours, write } = nodeOf(10);
  write(1);
  const [first] = sentIn(stepsUntil(rumours, DELAY_MS));
  const share = shareOf(first!);
  assert(share.length > 0);
  const theirs = new MemberList([first!.node, 77]);
  const item = itemOf(theirs, first!.group.id, [77]);
  rumours.feedback(first!.node, nameOf(theirs), [item], 50);
  const again = sentIn(stepsUntil(rumours, 60));
  assertEquals(
    again.flatMap((each) => [each.node, ...shareOf(each)]).sort(rising),
    share,
  );
});

Deno.test("feedback says who else is known to have it: nobody sends it there", () => {
  const { rumours, list, write } = nodeOf(10);
  write(1);
  const sent = sentIn(stepsUntil(rumours, DELAY_MS));
  for (const each of sent) {
    const covered = [each.node, ...shareOf(each)];
    const item = itemOf(list, each.group.id, covered);
    rumours.feedback(each.node, nameOf(list), [item], 50);
  }
  assertEquals(rumours.stateOf({ origin: ORIGIN, seq: 1 }), "recovered");
  assertEquals(rumours.dueAt < Infinity, true, "a timer may be left");
  assertEquals(stepsUntil(rumours, 60_000), []);
  assertEquals(rumours.dueAt, Infinity);
});

Deno.test("who had a record already does not take the share: it falls back, and after k of them the record is recovered", () => {
  const { rumours, list, write } = nodeOf(50, { redundancyMax: 2 });
  write(1);
  let sent = sentIn(stepsUntil(rumours, DELAY_MS));
  const answer = (each: Sent, now: number) => {
    const item = itemOf(list, each.group.id, [each.node], "all");
    rumours.feedback(each.node, nameOf(list), [item], now);
  };
  const [first] = sent;
  const share = shareOf(first!);
  answer(first!, 50);
  assertEquals(rumours.stateOf({ origin: ORIGIN, seq: 1 }), "infected");
  sent = sentIn(stepsUntil(rumours, 60));
  assertEquals(
    sent.flatMap((each) => [each.node, ...shareOf(each)]).sort(rising),
    [...share].sort(rising),
  );
  assert(sent.length <= 2, "who draws again draws at most k");
  answer(sent[0]!, 70);
  assertEquals(rumours.stateOf({ origin: ORIGIN, seq: 1 }), "recovered");
  assertEquals(stepsUntil(rumours, 60_000), []);
});

Deno.test("of records that come together only those that were not new fall back", () => {
  const { rumours, list, write } = nodeOf(10);
  write(1);
  write(2);
  const [first] = sentIn(stepsUntil(rumours, DELAY_MS));
  const share = shareOf(first!);
  const item = itemOf(list, first!.group.id, [first!.node], [1]);
  rumours.feedback(first!.node, nameOf(list), [item], 50);
  const again = sentIn(stepsUntil(rumours, 60));
  assertEquals(again.map(seqsOf), again.map(() => [2]));
  assertEquals(
    again.flatMap((each) => [each.node, ...shareOf(each)]).sort(rising),
    share,
  );
  // That the share has the one says nothing of the other.
  const done = itemOf(list, first!.group.id, [first!.node, ...share]);
  rumours.feedback(first!.node, nameOf(list), [done], 60);
  assertEquals(rumours.stateOf({ origin: ORIGIN, seq: 2 }), "infected");
});

Deno.test("a silent target is asked again under the same id, then others get what it was given", () => {
  const { rumours, list, write } = nodeOf(10);
  write(1);
  const sent = sentIn(stepsUntil(rumours, DELAY_MS));
  const [silent, ...rest] = sent;
  for (const each of rest) {
    const covered = [each.node, ...shareOf(each)];
    const item = itemOf(list, each.group.id, covered);
    rumours.feedback(each.node, nameOf(list), [item], 50);
  }
  const later = sentIn(stepsUntil(rumours, 900));
  const asked = later.filter(({ node }) => node === silent!.node);
  assertEquals(asked.slice(0, 2).map(({ group: { id } }) => id), [
    silent!.group.id,
    silent!.group.id,
  ]);
  const others = later.filter(({ node }) => node !== silent!.node);
  // Who was silent is somebody else's to bring it to.
  assertEquals(
    others.slice(0, 3).flatMap((each) => [each.node, ...shareOf(each)]).sort(
      rising,
    ),
    [silent!.node, ...shareOf(silent!)].sort(rising),
  );
});

/** What node 1 of 2 has sent at a time, of a record that it writes then. */
function asking({ rumours, list, write }: ReturnType<typeof nodeOf>) {
  let seq = 0;
  /** Writes, and says when it asks for an answer, so often, after it was sent. */
  return (from: number, times: number, answer: number): number[] => {
    // What was sent to others meanwhile is asked for to its end.
    stepsUntil(rumours, from - 1);
    write(++seq, from);
    const [sent] = sentIn(stepsUntil(rumours, from + DELAY_MS));
    const at = from + DELAY_MS;
    const asked: number[] = [];
    for (let now = at + 1; now < at + answer && asked.length < times; now++) {
      if (sentIn(stepsUntil(rumours, now)).length > 0) asked.push(now - at);
    }
    const item = itemOf(list, sent!.group.id, [2]);
    rumours.feedback(2, nameOf(list), [item], at + answer);
    return asked;
  };
}

Deno.test("an answer that may be to a second question says nothing of how long answers take", () => {
  const ask = asking(nodeOf(2));
  for (let i = 0; i < 50; i++) ask(i * 10_000, 9, 100);
  assertEquals(ask(500_000, 9, 300), [200]);
  assertEquals(ask(510_000, 9, 500), [200, 400]);
  // Were 300 ms, or 500, what an answer takes, it would be asked later.
  assertEquals(ask(520_000, 9, 201), [200]);
});

Deno.test("who is silent is asked again after the same time, before anybody would pull it", () => {
  const ask = asking(nodeOf(2));
  assertEquals(ask(0, 9, 100), []);
  const asked = ask(10_000, 2, 1000);
  assertEquals(asked, [300, 600]);
  assert(asked.at(-1)! < GAP_MS);
});

for (const answer of [220, 300, 500, 2000]) {
  Deno.test(`where answers take ${answer} ms instead of 100, nothing is asked twice before long`, () => {
    const ask = asking(nodeOf(2));
    for (let i = 0; i < 50; i++) ask(i * 10_000, 9, 100);
    const asked: number[] = [];
    for (let i = 0; i < 30; i++) {
      asked.push(ask(1_000_000 + i * 10_000, 99, answer).length);
    }
    assert(asked[0]! > 0);
    assertEquals(asked.slice(20).filter((times) => times > 0), []);
  });
}

Deno.test("where first answers come late, nothing is asked twice before long", () => {
  const ask = asking(nodeOf(2));
  const asked: number[] = [];
  for (let i = 0; i < 30; i++) asked.push(ask(i * 10_000, 99, 650).length);
  assert(asked[0]! > 0);
  assertEquals(asked.slice(20).filter((times) => times > 0), []);
});

Deno.test("a target that has answered, and not brought it to its share, is asked without the records", () => {
  const { rumours, list, write } = nodeOf(10);
  write(1);
  const [first] = sentIn(stepsUntil(rumours, DELAY_MS));
  const item = itemOf(list, first!.group.id, [first!.node]);
  rumours.feedback(first!.node, nameOf(list), [item], 50);
  const asked = sentIn(stepsUntil(rumours, 700)).filter(({ group: { id } }) =>
    id === first!.group.id
  );
  assert(asked.length > 0);
  assertEquals(asked.map(seqsOf), asked.map(() => []));
});

Deno.test("a group that comes twice is answered twice, and passed on once", () => {
  const { rumours, list, apply } = nodeOf(4);
  const group = groupOf(list, [3], [recordOf(1)]);
  rumours.arrive(2, nameOf(list), [group], 0);
  apply(0, recordOf(1));
  assertEquals(sentIn(stepsUntil(rumours, 25)).length, 1);
  for (const records of [group.records, []]) {
    rumours.arrive(2, nameOf(list), [{ ...group, records }], 30);
    const effects = stepsUntil(rumours, 55);
    assertEquals(sentIn(effects), []);
    // It does not refuse its share: it was new when it came first.
    assertEquals(answersIn(effects).map(({ items }) => items), [[
      itemOf(list, 7, [1, 2]),
    ]]);
  }
  assertEquals(rumours.figures.redundant, 1);
});

Deno.test("a record that comes from two nodes is new once", () => {
  const { rumours, list, apply } = nodeOf(5);
  rumours.arrive(2, nameOf(list), [groupOf(list, [4], [recordOf(1)])], 0);
  rumours.arrive(3, nameOf(list), [groupOf(list, [5], [recordOf(1)])], 0);
  apply(0, recordOf(1));
  rumours.arrive(4, nameOf(list), [groupOf(list, [], [recordOf(1)])], 0);
  const effects = stepsUntil(rumours, 25);
  assertEquals(sentIn(effects).map(({ node }) => node), [4]);
  const told = answersIn(effects).map(({ node, items }) =>
    [node, items[0]!.redundant] as const
  );
  assertEquals(told, [[2, []], [3, "all"], [4, "all"]]);
  const { useful, redundant } = rumours.figures;
  assertEquals([useful, redundant], [1, 2]);
});

Deno.test("a record that came before one that precedes it is pulled after a while from who told of it", () => {
  const { rumours, list, apply } = nodeOf(4);
  rumours.arrive(2, nameOf(list), [groupOf(list, [3], [recordOf(2)])], 0);
  const pulled = (until: number) =>
    stepsUntil(rumours, until).filter(({ type }) => type === "pull");
  assertEquals(pulled(GAP_MS - 1), []);
  assertEquals(pulled(GAP_MS), [{ type: "pull", node: 2 }]);
  // What the pull brought is passed on as any other.
  apply(GAP_MS + 10, recordOf(1), recordOf(2));
  assertEquals(
    sentIn(stepsUntil(rumours, GAP_MS + 20)).map(seqsOf),
    [[2]],
  );
});

Deno.test("of a record that was waited for in vain nobody is told that it is here, asked again or not", () => {
  const { rumours, list } = nodeOf(4);
  const group = groupOf(list, [3], [recordOf(2)]);
  rumours.arrive(2, nameOf(list), [group], 0);
  stepsUntil(rumours, 60_000);
  for (const records of [[], group.records]) {
    rumours.arrive(2, nameOf(list), [{ ...group, records }], 60_000);
  }
  for (const { items } of answersIn(stepsUntil(rumours, 61_000))) {
    for (const { coverage } of items) {
      assertEquals(Coverage.read(list, coverage).members(), []);
    }
  }
});

Deno.test("what a target has forgotten that it took falls back, itself with it", () => {
  const { rumours, list, write } = nodeOf(10);
  write(1);
  const [first] = sentIn(stepsUntil(rumours, DELAY_MS));
  const { node, group: { id } } = first!;
  rumours.feedback(node, nameOf(list), [itemOf(list, id, [])], 30);
  const forgotten = itemOf(list, id, [], "refused");
  rumours.feedback(node, nameOf(list), [forgotten], 60);
  assertEquals(
    sentIn(stepsUntil(rumours, 70)).flatMap((each) => [
      each.node,
      ...shareOf(each),
    ]).sort(rising),
    [node, ...shareOf(first!)].sort(rising),
  );
});

Deno.test("a record that never comes is forgotten, and what a session brought needs no waiting", () => {
  const { rumours, list, durable } = nodeOf(4);
  rumours.arrive(2, nameOf(list), [groupOf(list, [3], [recordOf(2)])], 0);
  stepsUntil(rumours, 60_000);
  assertEquals(rumours.figures.susceptible, 0);
  rumours.arrive(2, nameOf(list), [groupOf(list, [3], [recordOf(3)], 8)], 0);
  stepsUntil(rumours, 100);
  durable.add(3);
  rumours.jumped(100);
  assertEquals(rumours.figures.susceptible, 0);
  assertEquals(
    answersIn(stepsUntil(rumours, 200)).map(({ items }) => items),
    [[itemOf(list, 8, [1])]],
  );
});

Deno.test("a large record is announced, pulled at once from who announced it, and announced on", () => {
  const { rumours, list, write, apply } = nodeOf(3);
  const large = recordOf(1, RECORD_BYTES_PUSHED_MAX + 1);
  write(1, 0, large.bytes.length);
  for (const { group } of sentIn(stepsUntil(rumours, DELAY_MS))) {
    assertEquals(group.records, []);
    assertEquals(group.announced, [{ origin: ORIGIN, seq: 1 }]);
  }
  const announced = [{ origin: ORIGIN, seq: 2 }];
  const group = { ...groupOf(list, [3], []), announced };
  rumours.arrive(2, nameOf(list), [group], 10);
  assertEquals(rumours.step(rumours.dueAt), [{ type: "pull", node: 2 }]);
  apply(20, recordOf(2, large.bytes.length));
  const [sent] = sentIn(stepsUntil(rumours, 20 + DELAY_MS));
  assertEquals([sent!.node, sent!.group.announced], [3, announced]);
  // However large, it takes no room: its bytes are in the store.
  const huge = nodeOf(3, { bytesMax: 1_000_000 });
  huge.write(1, 0, 5_000_000);
  assertEquals(sentIn(stepsUntil(huge.rumours, DELAY_MS)).length, 2);
  assertEquals(huge.rumours.figures.evicted, 0);
});

Deno.test("members that are dead are not waited for, and those that are new get it from others", () => {
  const { rumours, list, write } = nodeOf(4);
  write(1);
  const sent = sentIn(stepsUntil(rumours, DELAY_MS));
  const [first] = sent;
  const item = itemOf(list, first!.group.id, [first!.node]);
  rumours.feedback(first!.node, nameOf(list), [item], 10);
  assertEquals(rumours.figures.infected, 1);
  rumours.members(new MemberList([1, first!.node, 5, 6]), 20);
  // Whom the first target was to bring it to is dead too.
  assertEquals(rumours.figures.infected, 0);
  assertEquals(sentIn(stepsUntil(rumours, 60_000)), []);
});

Deno.test("members may come and go while the records of a group become durable one by one, and are brought on", () => {
  const { rumours, list, apply } = nodeOf(4);
  const group = groupOf(list, [3, 4], [recordOf(1), recordOf(2)]);
  rumours.arrive(2, nameOf(list), [group], 0);
  let members = list;
  const answerAll = (now: number) => {
    for (const { node, group: { id } } of sentIn(stepsUntil(rumours, now))) {
      rumours.feedback(
        node,
        nameOf(members),
        [itemOf(members, id, [node])],
        now,
      );
    }
  };
  apply(10, recordOf(1));
  answerAll(20);
  members = new MemberList([1, 2, 3, 5]);
  rumours.members(members, 30);
  apply(40, recordOf(2));
  members = new MemberList([1, 2, 3, 5, 6, 7, 8, 9, 10]);
  rumours.members(members, 41);
  answerAll(50);
  const answers = answersIn(stepsUntil(rumours, 100));
  assertEquals(answers.at(-1)!.items, [itemOf(members, 7, [1, 2, 3])]);
  members = listOf(3);
  rumours.members(members, 100);
  rumours.arrive(2, nameOf(list), [group], 100);
  assertEquals(
    answersIn(stepsUntil(rumours, 200)).at(-1)!.items,
    [itemOf(members, 7, [1, 2, 3])],
  );
  assertEquals(rumours.bytes, 0);
});

Deno.test("the share of a target that dies falls back", () => {
  const { rumours, write } = nodeOf(10);
  write(1);
  const [first] = sentIn(stepsUntil(rumours, DELAY_MS));
  const share = shareOf(first!);
  const living = listOf(10).keys.filter((key) => key !== first!.node);
  rumours.members(new MemberList(living), 10);
  const again = sentIn(stepsUntil(rumours, 20));
  assertEquals(
    again.flatMap((each) => [each.node, ...shareOf(each)]).sort(rising),
    share,
  );
});

Deno.test("the bytes of all rumours are bounded: the oldest are recovered", () => {
  const { rumours, write } = nodeOf(3, { bytesMax: 100_000 });
  for (let seq = 1; seq <= 50; seq++) {
    write(seq, seq * 10, 10_000);
    rumours.step(seq * 10 + DELAY_MS);
    assert(rumours.bytes <= 100_000);
  }
  const { infected, recovered, evicted } = rumours.figures;
  assertEquals([infected + recovered, recovered === evicted], [50, true]);
  assert(evicted >= 40);
  assertEquals(rumours.stateOf({ origin: ORIGIN, seq: 1 }), "recovered");
  assertEquals(rumours.stateOf({ origin: ORIGIN, seq: 50 }), "infected");
});

Deno.test("what could not be sent goes elsewhere, and after some rounds nowhere", () => {
  const { rumours, write } = nodeOf(5);
  write(1);
  let rounds = 0;
  for (let now = 0; now < 60_000; now++) {
    const sent = sentIn(stepsUntil(rumours, now));
    if (sent.length > 0) rounds++;
    for (const { group } of sent) rumours.unsent(group.id, now);
  }
  assertEquals(rounds, ATTEMPTS_MAX + 1);
  assertEquals(rumours.stateOf({ origin: ORIGIN, seq: 1 }), "recovered");
  assertEquals(rumours.bytes, 0);
});

Deno.test("nodes that nobody can reach from here are reached by others", () => {
  const { rumours, list, write } = nodeOf(3);
  write(1);
  const sent = sentIn(stepsUntil(rumours, DELAY_MS));
  assertEquals(sent.length, 2);
  rumours.unsent(sent[0]!.group.id, 10);
  const [again] = sentIn(stepsUntil(rumours, 20));
  // The only other one has it by now: it is tried once more.
  assertEquals(again!.node, sent[0]!.node);
  assertEquals(nameOf(again!.list), nameOf(list));
});

Deno.test("a node without a copy of the data brings nothing to others: it says so at once, and its share falls back", () => {
  const joiner = nodeOf(4, { isWhole: () => false });
  const group = groupOf(joiner.list, [3, 4], [recordOf(1)]);
  joiner.rumours.arrive(2, nameOf(joiner.list), [group], 0);
  const [answer] = answersIn(stepsUntil(joiner.rumours, 20));
  assertEquals(answer!.items.map(({ redundant }) => redundant), ["refused"]);
  joiner.apply(20, recordOf(1));
  assertEquals(stepsUntil(joiner.rumours, 60_000), []);

  const { rumours, list, write } = nodeOf(10, { redundancyMax: 1 });
  write(1);
  const [first] = sentIn(stepsUntil(rumours, DELAY_MS));
  const item = itemOf(list, first!.group.id, [first!.node], "refused");
  rumours.feedback(first!.node, nameOf(list), [item], 30);
  assertEquals(
    sentIn(stepsUntil(rumours, 40)).flatMap((each) => [
      each.node,
      ...shareOf(each),
    ]).sort(rising),
    shareOf(first!),
  );
});

Deno.test("where the connection to a target breaks, what it was given goes elsewhere at once", () => {
  const { rumours, write } = nodeOf(10);
  write(1);
  const [first] = sentIn(stepsUntil(rumours, DELAY_MS));
  rumours.lost(first!.node, 10);
  const again = sentIn(stepsUntil(rumours, 20));
  assert(again.every(({ node }) => node !== first!.node));
  assertEquals(
    again.flatMap((each) => [each.node, ...shareOf(each)]).sort(rising),
    [first!.node, ...shareOf(first!)].sort(rising),
  );
});

Deno.test("feedback of nobody's group, of another's, or with places that are none changes nothing", () => {
  const { rumours, list, write } = nodeOf(5);
  write(1);
  const [first, second] = sentIn(stepsUntil(rumours, DELAY_MS));
  const items = [
    itemOf(list, 123, [1, 2, 3, 4, 5]),
    itemOf(list, second!.group.id, [1, 2, 3, 4, 5]),
    itemOf(list, first!.group.id, [], [5, 70_000]),
  ];
  rumours.feedback(first!.node, nameOf(list), items, 10);
  assertEquals(rumours.stateOf({ origin: ORIGIN, seq: 1 }), "infected");
});

Deno.test("a node that tells of more than can be waited for is not listened to for ever", () => {
  const { rumours, list } = nodeOf(3);
  for (let n = 0; n < 30; n++) {
    const announced = Array.from(
      { length: 5000 },
      (_, i) => ({ origin: ORIGIN, seq: 1 + n * 5000 + i }),
    );
    const group = { ...groupOf(list, [], [], n), announced };
    rumours.arrive(2, nameOf(list), [group], n);
    assert(rumours.figures.susceptible <= 65_536);
  }
});

Deno.test("at the end what waits goes out at once", () => {
  const { rumours, list, write } = nodeOf(3);
  write(1, 0);
  rumours.arrive(2, nameOf(list), [groupOf(list, [], [recordOf(5)])], 0);
  const effects = rumours.flush(0);
  assertEquals(sentIn(effects).length, 2);
  assertEquals(answersIn(effects).length, 1);
});

Deno.test("whatever comes, in whatever order, nothing throws, all ends, and nothing is kept", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Prng(seed, "rumours");
    const { rumours, durable, write, apply } = nodeOf(6, {
      random,
      bytesMax: 20_000,
      isWhole: () => random.chance(0.95),
    });
    let list = listOf(6);
    let seq = 0;
    let now = 0;
    const ids: number[] = [];
    const some = (count: number) =>
      Array.from({ length: random.below(count) }, () => 1 + random.below(9));
    const dots = () =>
      Array.from({ length: random.below(4) }, () => ({
        origin: ORIGIN,
        seq: 1 + random.below(40),
      }));
    const take = (effects: readonly RumourEffect[]) => {
      for (const { group: { id }, node } of sentIn(effects)) {
        ids.push(id);
        assertNotEquals(node, 1, "it sends nothing to itself");
        if (random.chance(0.1)) rumours.unsent(id, now);
      }
      assert(rumours.bytes <= 20_000);
    };
    const inputs = [
      () => write(100 + ++seq, now, random.below(3000)),
      () => {
        const name = random.chance(0.8) ? nameOf(list) : nameOf(listOf(4));
        const bytes = new Uint8Array(Math.ceil(name.members / 8));
        const coverage = random.fill(bytes);
        const records = dots().map(({ seq }) => recordOf(seq));
        const announced = random.chance(0.2) ? dots() : [];
        const group = { id: random.below(20), coverage, records, announced };
        rumours.arrive(2 + random.below(8), name, [group, group], now);
      },
      () => apply(now, ...dots().map(({ seq }) => recordOf(seq))),
      () => {
        const redundant = random.chance(0.3)
          ? "all" as const
          : random.chance(0.2)
          ? "refused" as const
          : some(3);
        const id = ids[random.below(ids.length + 1)] ?? 5;
        const name = random.chance(0.8) ? list : listOf(3);
        const item = itemOf(name, id, some(6), redundant);
        rumours.feedback(2 + random.below(8), nameOf(name), [item], now);
      },
      () => {
        list = new MemberList([1, ...some(9)]);
        rumours.members(list, now);
      },
      () => rumours.lost(2 + random.below(8), now),
      () => {
        durable.add(1 + random.below(40));
        rumours.jumped(now);
      },
    ];
    for (let i = 0; i < 150; i++) {
      inputs[random.below(inputs.length)]!();
      now += random.below(100);
      take(stepsUntil(rumours, now));
    }
    while (rumours.dueAt < Infinity) {
      now = Math.max(now, rumours.dueAt);
      assert(now < 1_000_000, "it is due for ever");
      take(rumours.step(now));
    }
    const { susceptible, infected } = rumours.figures;
    assertEquals([susceptible, infected, rumours.bytes], [0, 0, 0]);
  }
});
