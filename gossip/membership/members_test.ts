import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  DecodeError,
  FormatVersionError,
  FRAME_BYTES_MAX,
  toHex,
} from "../../runtime/mod.ts";
import { decodeMembers, Members } from "./members.ts";
import type { MemberChange } from "./members.ts";
import {
  ACK_BYTES_MAX,
  encodeRecords,
  RECORDS_BYTES_MAX,
  STANDINGS_BYTES_MAX,
} from "./messages.ts";
import { nodeRecord } from "./node_record.ts";
import type { NodeRecord } from "./node_record.ts";
import { testRecord as node } from "./testing/record.ts";

/** One whole exchange, which `from` begins. */
function exchange(from: Members, to: Members): void {
  const { ack } = from.ack(to.answer(from.sync()));
  if (ack !== undefined) from.take(to.ack2(ack).reply);
}

function sorted(members: Members): NodeRecord[] {
  return [...members.records()].sort((a, b) => a.key - b.key);
}

function seeded(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

Deno.test("S1: new members hold the node itself", () => {
  const members = new Members(node(1));
  assertEquals([...members.nodes().keys()], [1]);
});

Deno.test("S2: a node that was taken is found by its key", () => {
  const members = new Members(node(1));
  members.merge([node(2)]);
  assertEquals(members.get(2), node(2));
  assertEquals(members.get(3), undefined);
});

Deno.test("S3: merging takes a node that was unknown, also with the lowest heartbeat", () => {
  const members = new Members(node(1));
  const { changes } = members.merge([node(2, { generation: 0, version: 0 })]);
  assertEquals(changes.map((change) => change.type), ["added"]);
  assertEquals(members.size, 2);
});

Deno.test("S4: merging replaces a node by a strictly higher heartbeat only", () => {
  const members = new Members(node(1), { others: [node(2, { version: 5 })] });
  members.merge([node(2, { version: 4, address: "older:1" })]);
  members.merge([node(2, { version: 5, address: "equal:1" })]);
  assertEquals(members.get(2)!.address, "host-2:1");
  const { changes } = members.merge([
    node(2, { generation: 2, version: 0, address: "newer:1" }),
  ]);
  assertEquals(members.get(2)!.address, "newer:1");
  assertEquals(changes, [{
    type: "updated",
    old: {
      key: 2,
      address: "host-2:1",
      state: "healthy",
      heartbeat: { generation: 1, version: 5 },
    },
    node: {
      key: 2,
      address: "newer:1",
      state: "healthy",
      heartbeat: { generation: 2, version: 0 },
    },
  }]);
});

Deno.test("S5: the node itself is its own record, with its new address", () => {
  const members = new Members(node(1));
  members.update({ address: "moved:1" });
  assertEquals(members.self, node(1, { version: 1, address: "moved:1" }));
  assertStrictEquals(members.get(1), members.self);
});

Deno.test("S6: members without the node itself cannot be read back", () => {
  const bytes = new Members(node(1)).encode();
  bytes[1] = 7;
  assertThrows(() => decodeMembers(bytes), DecodeError, "not in it");
});

Deno.test("N2: nodes are told apart by their state", () => {
  const states = ["healthy", "dead", "left", "suspect"] as const;
  const members = new Members(node(9));
  members.merge(states.map((state, i) => node(i + 1, { state })));
  const nodes = [...members.nodes().values()];
  for (const state of states) {
    const found = nodes.filter((n) => n.state === state && n.key !== 9);
    assertEquals(found.map((n) => n.key), [states.indexOf(state) + 1]);
  }
});

Deno.test("N3: every node has its address", () => {
  const members = new Members(node(1), { others: [node(2)] });
  assertEquals(
    [...members.nodes().values()].map((n) => n.address),
    ["host-1:1", "host-2:1"],
  );
});

Deno.test("N4: a node's standing rises by its generation, its version and a worse state", () => {
  const members = new Members(node(1), { others: [node(2, { version: 7 })] });
  const learn = (more: Partial<NodeRecord>) => {
    members.merge([node(2, more)]);
    const { generation, version, state } = members.get(2)!;
    return [generation, version, state];
  };
  assertEquals(learn({ version: 7, state: "suspect" }), [1, 7, "suspect"]);
  assertEquals(learn({ version: 7 }), [1, 7, "suspect"]);
  assertEquals(learn({ version: 7, state: "dead" }), [1, 7, "dead"]);
  assertEquals(learn({ version: 7, state: "suspect" }), [1, 7, "dead"]);
  assertEquals(learn({ version: 8 }), [1, 8, "healthy"]);
  assertEquals(learn({ version: 7, state: "left" }), [1, 8, "healthy"]);
  assertEquals(learn({ version: 9, state: "left" }), [1, 9, "left"]);
  assertEquals(learn({ version: 9, state: "dead" }), [1, 9, "left"]);
  assertEquals(learn({ generation: 2, version: 0 }), [2, 0, "healthy"]);
});

Deno.test("doubts about a node reach it, and its answer everybody", () => {
  const one = new Members(node(1), { others: [node(2), node(3)] });
  const two = new Members(node(2), { others: [node(1), node(3)] });
  one.accuse(2, "suspect");
  one.accuse(2, "dead");
  one.accuse(2, "suspect");
  one.accuse(1, "dead");
  assertEquals([one.get(2)!.state, one.self.state], ["dead", "healthy"]);
  exchange(one, two);
  assertEquals(two.self, node(2, { version: 1 }));
  exchange(one, two);
  assertEquals(one.get(2), two.self);
  // An old doubt comes late; a node that has left says so again.
  assertEquals(two.refute(node(2, { state: "dead" })), false);
  two.update({ state: "left" });
  assertEquals(two.refute(node(2, { version: 2, state: "dead" })), false);
});

Deno.test("N5: the nodes of a moment do not change afterwards", () => {
  const members = new Members(node(1));
  const before = members.nodes();
  members.merge([node(2)]);
  members.update({ address: "moved:1" });
  assertEquals(before.size, 1);
  assertEquals(before.get(1)!.address, "host-1:1");
  before.clear();
  assertEquals(members.size, 2);
});

Deno.test("G1: in one exchange a node learns of a dead third one, and each of the other", () => {
  const one = new Members(node(1), { others: [node(2)] });
  const two = new Members(node(2), {
    others: [node(1), node(3, { state: "dead" })],
  });
  one.update({ address: "moved:1" });
  exchange(one, two);
  assertEquals(one.get(3)!.state, "dead");
  assertEquals(two.get(1)!.version, 1);
  assertEquals(one.get(2)!.version, 0);
  assertEquals(sorted(one), sorted(two));
});

Deno.test("who was alone, and calls everybody dead, buries nobody: what is dead in a whole view is suspect", () => {
  const one = new Members(node(1), { others: [node(2), node(3), node(4)] });
  one.accuse(4, "dead");
  const alone = new Members(node(2), { others: [node(1), node(3), node(4)] });
  for (const key of [3, 4]) alone.accuse(key, "dead");
  exchange(one, alone);
  assertEquals([3, 4].map((key) => one.get(key)!.state), ["suspect", "dead"]);
  // Of who has found out himself it is taken.
  one.merge([node(3, { state: "dead" })]);
  assertEquals(one.get(3)!.state, "dead");
});

Deno.test("G2: what a node says again without a change reaches its peer, who is told of none of it", () => {
  const changes: MemberChange[] = [];
  const one = new Members(node(1), { others: [node(2)] });
  const two = new Members(node(2), {
    others: [node(1)],
    onChange: (more) => changes.push(...more),
  });
  for (let i = 0; i < 3; i++) {
    one.update({});
    exchange(one, two);
  }
  assertEquals(two.get(1)!.version, 3);
  assertEquals(changes, []);
});

Deno.test("G3: an empty or torn message is refused, and nothing of it is taken", () => {
  const members = new Members(node(1));
  assertThrows(() => members.answer(new Uint8Array(0)), DecodeError);
  assertThrows(() => members.ack2(new Uint8Array(0)), DecodeError);
  assertThrows(() => members.ack(new Uint8Array(1).fill(9)), DecodeError);
  assertThrows(() => members.take(new Uint8Array(0)), DecodeError);
  const whole = encodeRecords([node(2), node(3)]);
  assertThrows(() => members.take(whole.subarray(0, -1)), DecodeError);
  assertEquals(members.size, 1);
});

for (const [count, view] of [[4, 2], [10, 2], [30, 2], [100, 5]] as const) {
  Deno.test(`G4: cluster state converges within 10 cycles for ${count} nodes`, () => {
    for (let seed = 1; seed <= 3; seed++) {
      const random = seeded(seed * 1000 + count);
      const all: Members[] = [];
      for (let key = 1; key <= count; key++) {
        // The next node round the ring, so that the views connect; the rest by lot.
        const others = [node(key % count + 1)];
        while (others.length < view) others.push(node(random(count) + 1));
        all.push(new Members(node(key), { others }));
      }
      const equal = () => {
        const expected = sorted(all[0]!);
        return expected.length === count &&
          all.every((m) => all[0]!.answer(m.sync()).length === 0);
      };
      let cycles = 0;
      while (!equal()) {
        cycles++;
        assert(cycles <= 10, `seed ${seed}: not equal after 10 cycles`);
        for (const members of all) {
          const peers = [...members.nodes().keys()]
            .filter((key) => key !== members.self.key);
          exchange(members, all[peers[random(peers.length)]! - 1]!);
        }
      }
      for (const m of all) assertEquals(sorted(m), sorted(all[0]!));
    }
  });
}

Deno.test("a sync between equal states is answered with nothing, whatever the state of a node", () => {
  const one = new Members(node(1), { others: [node(2), node(3)] });
  const two = new Members(node(2), { others: [node(3), node(1)] });
  assertEquals(two.answer(one.sync()).length, 0);
  assertEquals(one.ack(two.answer(one.sync())).ack, undefined);
  one.accuse(3, "suspect");
  assertNotEquals(two.answer(one.sync()).length, 0);
  two.accuse(3, "suspect");
  assertEquals(two.answer(one.sync()).length, 0);
});

Deno.test("a message is merged in one step and told of once, afterwards", () => {
  const seen: [number, number][] = [];
  const members: Members = new Members(node(1), {
    onChange: (changes) => seen.push([changes.length, members.size]),
  });
  members.take(encodeRecords([node(2), node(3)]));
  assertEquals(seen, [[2, 3]]);
});

Deno.test("a record of this node's generation or later with another nonce means a clone and is not taken", () => {
  const members = new Members(node(1, { generation: 3 }));
  const nonce = new Uint8Array(8).fill(99);
  for (const generation of [3, 4]) {
    const record = node(1, { generation, version: 9, nonce });
    const { cloned, changes } = members.merge([record]);
    assertEquals(cloned, record);
    assertEquals(changes, []);
  }
  assertEquals(members.self, node(1, { generation: 3 }));
});

Deno.test("what another start of this node said is answered by a higher generation, once", () => {
  const one = new Members(node(1), { others: [node(2)] });
  const nonce = new Uint8Array(8).fill(99);
  const two = new Members(node(2), {
    others: [node(1, { generation: 5, state: "dead", nonce })],
  });
  exchange(one, two);
  assertEquals(two.get(1)!.state, "dead");
  one.reassert(6);
  one.reassert(6);
  one.reassert(3);
  assertEquals(one.self, node(1, { generation: 6 }));
  exchange(one, two);
  assertEquals(two.get(1), one.self);
});

Deno.test("what no node can have said of itself is not taken, so that there is room to answer", () => {
  const members = new Members(node(1), { others: [node(2, { version: 5 })] });
  const { self } = members;
  for (
    const more of [
      { generation: 2 ** 52, nonce: new Uint8Array(8).fill(9) },
      { generation: 2 ** 52 },
      { version: 2 ** 52, state: "suspect" as const },
      { generation: 2, version: 2 ** 51, state: "left" as const },
      { generation: 2 ** 50 },
    ]
  ) {
    const said = [node(1, more), node(2, more), node(9, more)];
    const outcome = members.merge(said);
    assertEquals(outcome, { changes: [], cloned: undefined, refuted: false });
    assertEquals(members.refute(node(1, more)), false);
  }
  assertEquals([members.self, members.get(2)!.version], [self, 5]);
  // What it can have said it can be answered, and everybody takes the answer.
  const far = node(2, { generation: 2 ** 50 - 2 });
  members.merge([far]);
  members.merge([node(2, { generation: 2 ** 50 - 1 })]);
  assertEquals(members.get(2)!.generation, 2 ** 50 - 1);
  // A later start with this one's nonce is none of this one's either.
  const foreign = node(1, { generation: 7, state: "dead" });
  const others = node(1, { generation: 6, state: "dead" });
  assertEquals(members.merge([foreign, others]).cloned, foreign);
});

Deno.test("of two starts with one standing all take one, and each of the two hears of the other", () => {
  const [low, high] = [1, 2].map((byte) =>
    node(7, { nonce: new Uint8Array(8).fill(byte), address: `${byte}:1` })
  ) as [NodeRecord, NodeRecord];
  const one = new Members(node(1), { others: [node(2), low] });
  const two = new Members(node(2), { others: [node(1), high] });
  exchange(one, two);
  assertEquals([one.get(7), two.get(7)], [high, high]);
  for (const self of [low, high]) {
    const other = self === low ? high : low;
    assertEquals(new Members(self).merge([other]).cloned, other);
  }
});

Deno.test("a start hears of another one of its generation whoever of two asks, also where its own word stands higher", () => {
  for (const [mine, theirs] of [[1, 2], [2, 1]] as const) {
    const [self, old] = [mine, theirs].map((byte) =>
      node(7, { nonce: new Uint8Array(8).fill(byte), address: `${byte}:1` })
    ) as [NodeRecord, NodeRecord];
    const views = (): [Members, Members] => [
      new Members(self, { others: [node(1)] }),
      new Members(node(1), { others: [old] }),
    ];
    {
      const [seven, one] = views();
      assertEquals(seven.ack(one.answer(seven.sync())).cloned?.generation, 1);
    }
    {
      const [seven, one] = views();
      const { ack, cloned } = one.ack(seven.answer(one.sync()));
      assertEquals([seven.ack2(ack!).cloned, cloned], [old, undefined]);
    }
    // And where it is told how it stands.
    const [seven] = views();
    const said = { ...old, version: 5, state: "suspect" as const };
    const { generation, key, address } = self;
    assertEquals(seven.stands(said), {
      changes: [],
      cloned: { generation, key, address },
      refuted: false,
    });
    assertEquals(seven.self, self);
    assertEquals(seven.stands({ ...self, state: "suspect" }).refuted, true);
  }
});

Deno.test("an earlier start of this node, and its own words coming back, are ignored", () => {
  const members = new Members(node(1, { generation: 3 }));
  const nonce = new Uint8Array(8).fill(99);
  const outcome = members.merge([
    node(1, { generation: 2, version: 9, nonce }),
    node(1, { generation: 3, version: 9 }),
  ]);
  assertEquals(outcome, { changes: [], cloned: undefined, refuted: false });
  assertEquals(members.self.version, 0);
});

Deno.test("a removed node goes, and gossip does not bring it back", () => {
  const one = new Members(node(1), { others: [node(2), node(3)] });
  const two = new Members(node(2), { others: [node(1), node(3)] });
  assertEquals(one.exclude([3]).map((change) => change.type), ["removed"]);
  exchange(one, two);
  exchange(two, one);
  assertEquals([...one.nodes().keys()], [1, 2]);
});

Deno.test("M5: a restarted node is seen with its next generation and its new address", () => {
  const changes: MemberChange[] = [];
  const one = new Members(node(1), {
    others: [node(2, { version: 50 })],
    onChange: (more) => changes.push(...more),
  });
  const restarted = new Members(
    node(2, { generation: 2, address: "moved:2", nonce: new Uint8Array(8) }),
    { others: [node(1)] },
  );
  exchange(restarted, one);
  assertEquals(one.nodes().get(2), {
    key: 2,
    address: "moved:2",
    state: "healthy",
    heartbeat: { generation: 2, version: 0 },
  });
  assertEquals(changes.map((change) => change.type), ["updated"]);
});

Deno.test("C4: the state that was kept is read back as it was", () => {
  const members = new Members(node(2), {
    others: [node(1), node(3, { state: "dead", rest: Uint8Array.of(1) })],
  });
  const { self, others } = decodeMembers(members.encode());
  assertEquals(self, node(2));
  assertEquals(sorted(new Members(self, { others })), sorted(members));
});

Deno.test("the persisted state and a sync have their golden bytes", () => {
  const members = new Members(
    nodeRecord({
      key: 1,
      address: "a:1",
      generation: 2,
      nonce: new Uint8Array(8).fill(7),
    }),
  );
  const record = "1901000200000707070707070707000000" + "01000100" +
    "03613a31" + "00";
  assertEquals(toHex(members.encode()), "010100" + "01" + record);
  assertEquals(toHex(encodeRecords([members.self])), "01" + record);
  assertEquals(toHex(members.sync()), "6135b2e489d7bb0d");
  const answer = members.answer(new Uint8Array(8));
  assertEquals(toHex(answer), "01" + "0100" + "020000" + "07".repeat(8));
});

Deno.test("C5: a state of a newer format is refused by its version", () => {
  const bytes = new Members(node(1)).encode();
  assertEquals(bytes[0], 1);
  bytes[0] = 2;
  const error = assertThrows(
    () => decodeMembers(bytes, "the members"),
    FormatVersionError,
  );
  assertEquals([error.path, error.found, error.supported], [
    "the members",
    2,
    1,
  ]);
});

Deno.test("a cluster too large for one message converges by several of bounded size", () => {
  const count = 12_000;
  const one = new Members(node(1));
  for (let key = 2; key <= count; key++) {
    one.merge([node(key, { software: "x".repeat(100) })]);
  }
  const two = new Members(node(count + 1), { others: [node(1)] });
  let exchanges = 0;
  for (
    let { ack } = two.ack(one.answer(two.sync()));
    ack !== undefined;
    ({ ack } = two.ack(one.answer(two.sync())))
  ) {
    const { reply } = one.ack2(ack);
    assert(reply.length <= RECORDS_BYTES_MAX + 4096);
    two.take(reply);
    assert(++exchanges < 10);
  }
  assert(exchanges > 1);
  assertEquals(one.size, two.size);
  assert(one.answer(new Uint8Array(8)).length < FRAME_BYTES_MAX);
});

Deno.test("a message beyond its limit is refused before it is read", () => {
  const members = new Members(node(1));
  const refused = (run: () => unknown) =>
    assertThrows(run, DecodeError, "too long");
  refused(() => members.ack(new Uint8Array(STANDINGS_BYTES_MAX + 1)));
  refused(() => members.ack2(new Uint8Array(ACK_BYTES_MAX + 1)));
  refused(() => members.take(new Uint8Array(ACK_BYTES_MAX + 1)));
});
