import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  DecodeError,
  NODE_KEY_MAX,
  NodeKeysExhaustedError,
  toHex,
} from "../../runtime/mod.ts";
import {
  assign,
  assigning,
  decodeIds,
  encodeIds,
  foundIds,
  keyOf,
} from "./ids.ts";
import { ticket } from "./world_test.ts";

Deno.test("the founder is node 1, tickets get the next keys, each once", () => {
  const founded = foundIds(ticket(9));
  assertEquals(keyOf(founded, ticket(9)), 1);
  const two = assign(founded, ticket(5));
  const three = assign(two, ticket(7));
  assertEquals([keyOf(three, ticket(5)), keyOf(three, ticket(7))], [2, 3]);
  assertStrictEquals(assign(three, ticket(5)), three);
  assertEquals(keyOf(founded, ticket(5)), undefined);
});

Deno.test("when the keys are used up, only tickets that have one are served", () => {
  const full = { ...foundIds(ticket(0)), next: NODE_KEY_MAX };
  const last = assign(full, ticket(1));
  assertEquals(keyOf(last, ticket(1)), 65_535);
  assertThrows(() => assign(last, ticket(2)), NodeKeysExhaustedError);
  assertStrictEquals(assign(last, ticket(1)), last);
  assertEquals(decodeIds(encodeIds(last)), last);
});

Deno.test("the node keys given have their golden bytes", () => {
  const ids = assign(foundIds(ticket(0xab)), ticket(1));
  const bytes = encodeIds(ids);
  assertEquals(
    toHex(bytes),
    "01" + "03" + "02" + "01".repeat(16) + "0200" + "ab".repeat(16) + "0100",
  );
  assertEquals(decodeIds(bytes), {
    ...ids,
    tickets: new Map([["01".repeat(16), 2], ["ab".repeat(16), 1]]),
  });
});

Deno.test("what a newer release appended to the keys stays when an older one rewrites them", () => {
  const rest = Uint8Array.of(4, 5);
  const newer = encodeIds({ ...foundIds(ticket(0)), version: 3, rest });
  const rewritten = decodeIds(assigning(ticket(1))(newer));
  assertEquals([rewritten.version, rewritten.rest], [3, rest]);
  assertEquals(keyOf(rewritten, ticket(1)), 2);
});

Deno.test("node keys that were not given yet, or tickets twice, are refused", () => {
  const bytes = encodeIds(assign(foundIds(ticket(0)), ticket(1)));
  const tooHigh = bytes.slice();
  tooHigh[19] = 3;
  assertThrows(() => decodeIds(tooHigh), DecodeError, "too large");
  const twice = bytes.slice();
  twice.fill(0, 21, 37);
  assertThrows(() => decodeIds(twice), DecodeError, "unsorted");
  assertThrows(() => assigning(ticket(1))(undefined), DecodeError);
});
