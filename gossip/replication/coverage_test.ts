import { assert, assertEquals, assertThrows } from "@std/assert";
import { toHex } from "../../runtime/mod.ts";
import { Coverage, coverageBytes, MemberList } from "./coverage.ts";

Deno.test("a list is named by its size and by a hash of its sorted keys: golden", () => {
  const list = new MemberList([300, 2, 1, 2]);
  assertEquals(list.keys, [1, 2, 300]);
  assertEquals(list.hash.toString(16), "9ea1e1b5");
  assert(list.isNamed({ members: 3, hash: new MemberList([1, 2, 300]).hash }));
  assert(!list.isNamed({ members: 4, hash: list.hash }));
  assert(!list.isNamed({ members: 3, hash: new MemberList([1, 2, 301]).hash }));
});

Deno.test("bit i, from the lowest, is member i of the sorted list: golden", () => {
  const list = new MemberList([9, 8, 7, 6, 5, 4, 3, 2, 1]);
  const coverage = Coverage.of(list, 1, 3, 9);
  assertEquals(toHex(coverage.bytes), "0501");
  assertEquals(coverageBytes(9), 2);
  assertEquals(coverage.members(), [1, 3, 9]);
  assertEquals(coverage.others(), [2, 4, 5, 6, 7, 8]);
});

Deno.test("bits beyond the list are nobody's: full is full whatever a message sets there", () => {
  const list = new MemberList([1, 2, 3]);
  assertEquals(toHex(Coverage.full(list).bytes), "07");
  for (const size of [1, 7, 8, 9, 16, 50]) {
    const keys = Array.from({ length: size }, (_, i) => i + 1);
    const sized = new MemberList(keys);
    assert(Coverage.full(sized).isFull);
    assert(Coverage.of(sized, ...keys).isFull);
    assert(!Coverage.of(sized, ...keys.slice(1)).isFull);
    assert(!Coverage.of(sized, ...keys.slice(0, -1)).isFull);
  }
  const read = Coverage.read(list, Uint8Array.of(0xfa));
  assertEquals(toHex(read.bytes), "02");
  assertEquals(Coverage.of(list, 7).isEmpty, true, "7 is not in the list");
});

Deno.test("sets of one list are joined, and taken from each other; those of two are not", () => {
  const list = new MemberList([1, 2, 3, 4]);
  const one = Coverage.of(list, 1, 2);
  const two = Coverage.of(list, 2, 3);
  assertEquals(one.clone().addAll(two).members(), [1, 2, 3]);
  assertEquals(one.clone().removeAll(two).members(), [1]);
  assertEquals(one.clone().keepOnly(two).members(), [2]);
  assertEquals(one.members(), [1, 2], "a copy changes apart");
  const other = Coverage.of(new MemberList([1, 2, 3, 4]), 1);
  assertThrows(() => one.addAll(other), Error, "two lists");
});

Deno.test("by another list the same members are in it, and who is new as asked", () => {
  const coverage = Coverage.of(new MemberList([1, 2, 3]), 1, 3);
  const list = new MemberList([2, 3, 4]);
  assertEquals(coverage.translate(list, false).members(), [3]);
  assertEquals(coverage.translate(list, true).members(), [3, 4]);
});
