import { assertEquals } from "@std/assert";
import type { Change, Version } from "../../mod.ts";
import { Vector } from "../../gossip/replication/vector.ts";
import { Oracle } from "./oracle.ts";
import type { NodeState, Row } from "./rows.ts";

const NODE = 1;
const ORIGIN = NODE * 2 ** 33 + 14;

/** The `seq`th write of a key. */
function versionAt(seq: number, origin = ORIGIN): Version {
  const claim = { hlc: 1, node: NODE };
  return { life: 1, term: 0, sub: 0, claim, hlc: seq, dot: { origin, seq } };
}

/** What a watch shows: the `seq`th write of a key. */
function changeTo(seq: number, coalesced = false): Change {
  const key = new TextEncoder().encode("k");
  const version = versionAt(seq);
  return { type: "delete", key, version, leaseholder: NODE, coalesced };
}

/** A node that has these rows, and covers these records. */
function stateOf(
  rows: Record<string, [version: Version, value: string | undefined]>,
  covered: Readonly<Record<number, number>> = {},
): NodeState {
  const vector = new Vector();
  for (const [origin, seq] of Object.entries(covered)) {
    for (let at = 1; at <= seq; at++) vector.add(Number(origin), at);
  }
  const entries = Object.entries(rows).map(([key, [version, value]]): [
    string,
    Row,
  ] => [key, { version, value, leaseholder: NODE }]);
  return { rows: new Map(entries), vector };
}

function idsOf({ violations }: Oracle): string[] {
  return violations.map(({ id }) => id);
}

Deno.test("a version has the value that was acked as it, wherever it is met and whoever is met first", () => {
  const judge = (acked: string | undefined, met: string | undefined) =>
    [true, false].map((ackFirst) => {
      const oracle = new Oracle(() => 0);
      const version = versionAt(1);
      for (const value of [1, 2]) oracle.writes("k", value);
      if (ackFirst) oracle.acks("k", version, { value: acked });
      const state = stateOf({ k: [version, met] }, { [ORIGIN]: 1 });
      oracle.inspects("a", state);
      if (!ackFirst) oracle.acks("k", version, { value: acked });
      return idsOf(oracle);
    });
  assertEquals(judge("v1.", "v1."), [[], []]);
  assertEquals(judge(undefined, undefined), [[], []]);
  assertEquals(judge("v2.", "v1."), [["R3"], ["R3"]]);
  assertEquals(judge("v2.", undefined), [["R3"], ["R3"]]);
  assertEquals(judge(undefined, "v1."), [["I3"], ["I3"]]);
});

Deno.test("what nobody was told of is one content on all nodes", () => {
  const oracle = new Oracle(() => 0);
  for (const value of [1, 2]) oracle.writes("k", value);
  oracle.inspects("a", stateOf({ k: [versionAt(1), "v1."] }, { [ORIGIN]: 1 }));
  oracle.inspects("b", stateOf({ k: [versionAt(1), "v2."] }, { [ORIGIN]: 1 }));
  assertEquals(idsOf(oracle), ["I5"]);
});

Deno.test("a version between two that a watch showed was shown, or the watch said why not", () => {
  const judge = (
    changes: readonly Change[],
    first: NodeState = stateOf({}),
    written = 3,
  ) => {
    const oracle = new Oracle(() => 0);
    const watch = oracle.watch("a", new Map(), { read: () => first });
    watch.begins(first);
    for (let seq = 1; seq <= written; seq++) {
      oracle.acks("k", versionAt(seq), { value: undefined });
    }
    for (const change of changes) watch.takes([change]);
    const last = [versionAt(written), undefined] as const;
    watch.ends(stateOf({ k: [...last] }));
    oracle.concludes(stateOf({ k: [...last] }, { [ORIGIN]: written }));
    return idsOf(oracle);
  };
  const lagged: Change = { type: "lagged", missed: 1, token: "" };
  const begun = stateOf({ k: [versionAt(2), undefined] });
  assertEquals(judge([changeTo(1), changeTo(2), changeTo(3)]), []);
  assertEquals(judge([changeTo(1), changeTo(3)]), ["I7"]);
  assertEquals(judge([changeTo(2), changeTo(3)]), ["I7"]);
  assertEquals(judge([changeTo(1), changeTo(3, true)]), []);
  assertEquals(judge([changeTo(3)], begun), []);
  assertEquals(judge([changeTo(4)], begun, 4), ["I7"]);
  assertEquals(judge([changeTo(1), changeTo(2)]), ["I7"]);
  // What had come and gone before, with the mark of its deletion.
  const gone = stateOf({}, { [ORIGIN]: 2 });
  assertEquals(judge([changeTo(3)], gone), []);
  assertEquals(judge([changeTo(4)], gone, 4), ["I7"]);
  // What was dropped is found in the database, and what came after it is shown.
  assertEquals(judge([changeTo(1), lagged, changeTo(3)], begun), []);
  assertEquals(judge([changeTo(1), lagged], begun), ["I7"]);
  assertEquals(judge([lagged, changeTo(4)], begun, 4), ["I7"]);
});

Deno.test("a write of a node that is gone is taken over by who has it, or was gone with its disk", () => {
  const other = 2 * 2 ** 33 + 14;
  const judge = (covered: Record<number, number>, discarded = false) => {
    const oracle = new Oracle(() => 0);
    oracle.acks("k", versionAt(1), { value: undefined });
    oracle.removes(NODE);
    if (discarded) {
      const [before, after, others] = [{ [ORIGIN]: 1 }, {}, {}]
        .map((had) => stateOf({}, had).vector);
      oracle.discard({
        before: before!,
        after: after!,
        others: others!,
      });
    }
    const claim = { hlc: 2, node: 2 };
    const over = { ...versionAt(1, other), life: 2, claim };
    oracle.concludes(
      stateOf({ k: [over, undefined] }, { ...covered, [other]: 1 }),
    );
    return idsOf(oracle);
  };
  assertEquals(judge({ [ORIGIN]: 1 }), []);
  assertEquals(judge({}), ["I2"]);
  assertEquals(judge({}, true), []);
});

Deno.test("what nobody wrote is found out where it is first heard of, in a log or a conflict as in a state", () => {
  const heard: ((oracle: Oracle, version: Version) => void)[] = [
    (oracle, version) =>
      oracle.reports("k", { version, value: "v2." }, "a conflict"),
    (oracle, version) => {
      const state = stateOf({ k: [version, "v2."] }, { [ORIGIN]: 1 });
      oracle.inspects("a", state);
    },
  ];
  for (const hear of [...heard, ...heard.reverse()]) {
    const oracle = new Oracle(() => 0);
    oracle.writes("k", 1);
    oracle.writes("other", 2);
    for (const each of [hear, ...heard]) each(oracle, versionAt(1));
    assertEquals(idsOf(oracle), ["R3"]);
  }
});
