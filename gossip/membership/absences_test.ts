import { assertEquals, assertThrows } from "@std/assert";
import { DecodeError, FormatVersionError, toHex } from "../../runtime/mod.ts";
import { Absences } from "./absences.ts";
import type { MemberChange } from "./members.ts";
import type { Node, NodeState } from "./node_record.ts";

const DAY = 86_400_000;
const T = 1_800_000_000_000;

function node(key: number, state: NodeState): Node {
  const heartbeat = { generation: 1, version: 1 };
  return { key, state, address: "", heartbeat };
}

function becomes(key: number, state: NodeState): MemberChange {
  return { type: "updated", old: node(key, "healthy"), node: node(key, state) };
}

Deno.test("who has been dead for too long is told of once, until it is heard of and dies again", () => {
  const absences = new Absences(7 * DAY);
  absences.changed(becomes(2, "dead"), T);
  absences.changed(becomes(3, "suspect"), T);
  absences.changed(becomes(4, "left"), T);
  // Again, as it was told by others.
  absences.changed(becomes(2, "dead"), T + DAY);
  assertEquals(absences.tell(T + 7 * DAY - 1), []);
  assertEquals(absences.isOverdue(2, T + 7 * DAY - 1), false);
  const overdue = [{ node: 2, awayMs: 7 * DAY }];
  assertEquals(absences.tell(T + 7 * DAY), overdue);
  assertEquals(absences.tell(T + 9 * DAY), []);
  assertEquals(absences.isOverdue(2, T + 9 * DAY), true);
  assertEquals(absences.awayMs(2, T + 9 * DAY), 9 * DAY);
  assertEquals(absences.awayMs(3, T + 9 * DAY), undefined);

  absences.changed(becomes(2, "healthy"), T + 10 * DAY);
  assertEquals(absences.awayMs(2, T + 10 * DAY), undefined);
  absences.changed(becomes(2, "dead"), T + 11 * DAY);
  assertEquals(absences.tell(T + 12 * DAY), []);
  assertEquals(absences.tell(T + 18 * DAY), overdue);
  absences.changed({ type: "removed", node: node(2, "dead") }, T + 18 * DAY);
  assertEquals(absences.isOverdue(2, T + 99 * DAY), false);
});

Deno.test("an absence goes on over a restart, of those who are still dead, and is told of anew", () => {
  const before = new Absences(DAY);
  for (const key of [2, 3, 5]) before.changed(becomes(key, "dead"), T);
  before.tell(T + DAY);
  const row = before.encode();
  const after = new Absences(DAY);
  const records = [node(2, "dead"), node(3, "healthy"), node(4, "dead")];
  after.begin(row, records, T + 2 * DAY);
  assertEquals(after.tell(T + 2 * DAY), [{ node: 2, awayMs: 2 * DAY }]);
  assertEquals(
    [2, 3, 4, 5].map((key) => after.awayMs(key, T + 2 * DAY)),
    [2 * DAY, undefined, 0, undefined],
  );
  // Without a row, of an earlier release, it begins now.
  const fresh = new Absences(DAY);
  fresh.begin(undefined, records, T);
  assertEquals(fresh.awayMs(2, T + 1), 1);
});

Deno.test("a clock that was set back makes an absence shorter, never negative", () => {
  const absences = new Absences(DAY);
  absences.changed(becomes(2, "dead"), T);
  assertEquals(absences.awayMs(2, T - DAY), 0);
  const after = new Absences(DAY);
  after.begin(absences.encode(), [node(2, "dead")], T - DAY);
  assertEquals(after.awayMs(2, T), DAY);
});

Deno.test("who is away: golden bytes, and what is none is refused", () => {
  const absences = new Absences(DAY);
  absences.changed(becomes(2, "dead"), 300);
  const row = absences.encode();
  assertEquals(toHex(row), "0101" + "0200" + "ac02");
  const begin = (bytes: Uint8Array) =>
    new Absences(DAY).begin(bytes, [node(2, "dead")], T);
  begin(Uint8Array.of(...row, 9, 9));
  assertThrows(() => begin(row.subarray(0, 4)), DecodeError);
  assertThrows(() => begin(Uint8Array.of(2, 0)), FormatVersionError);
});
