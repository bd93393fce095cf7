import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  assertValue,
  expectedSum,
  indexOf,
  inOrder,
  keysOf,
  Prng,
  sampleOf,
  scramble,
  shuffled,
  Values,
  Zipf,
} from "./data.ts";

Deno.test("keys say their entry and lie in its order, missing ones between", () => {
  const order = new Uint32Array([0, 7, 1_000_000]);
  const keys = keysOf(order);
  assertEquals(keys.map(indexOf), [...order]);
  assertEquals(new TextDecoder().decode(keys[1]), "0000000000000014");
  assertEquals(
    new TextDecoder().decode(keysOf(order, 1)[1]),
    "0000000000000015",
  );
});

Deno.test("a shuffled order has each entry once, the same for each seed", () => {
  const order = shuffled(1000, 5);
  assertEquals(order, shuffled(1000, 5));
  assert(order.some((index, i) => index !== i));
  assertEquals(order.toSorted(), inOrder(1000));
});

Deno.test("Zipf's ranks lie in their range, the first of them often", () => {
  const zipf = new Zipf(1000, new Prng(1));
  const ranks = Array.from({ length: 10_000 }, () => zipf.next());
  assert(ranks.every((rank) => rank >= 0 && rank < 1000));
  const first = ranks.filter((rank) => rank === 0).length / ranks.length;
  assert(first > 0.08 && first < 0.2, `${first}`);
  assert(ranks.every((rank) => scramble(rank, 1000) < 1000));
});

Deno.test("a value of another entry, cut or damaged, is noticed", () => {
  const value = new Values(1).stamp(0, 300, 1);
  assertValue(value, 300);
  assertEquals(sampleOf(value), expectedSum(new Uint32Array([300])));
  assertEquals(sampleOf(undefined), -1);
  assertThrows(() => assertValue(undefined, 300), Error, "wrong value");
  assertThrows(() => assertValue(value, 301), Error, "wrong value");
  assertThrows(() => assertValue(value.subarray(1), 300), Error, "wrong value");
  const damaged = new Uint8Array(value);
  damaged[20]! ^= 1;
  assertThrows(() => assertValue(damaged, 300), Error, "damaged value");
});
