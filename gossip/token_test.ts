import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeBase64Url } from "@std/encoding";
import { DecodeError, Writer } from "../runtime/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { makeOrigin } from "./replication/dot.ts";
import { Vector } from "./replication/vector.ts";
import { joinTokens, readToken, tokenOf, vectorToken } from "./token.ts";

const read = (token: unknown) =>
  readToken("read", '"t"', token as string).vector;
const origin = (node: number, lane: 0 | 1 = 0) => makeOrigin(node, 7, lane);

Deno.test("token: golden text", () => {
  const dots = [{ origin: origin(2), seq: 300 }, { origin: origin(1), seq: 4 }];
  assertEquals(tokenOf(dots), "AQKOgICAIASAgICAIKwC");
  assertEquals(tokenOf([]), "AQA");
  assertEquals(vectorToken(Vector.upTo(dots)), "AgKOgICAIASAgICAIKwC");
});

Deno.test("a token is read as what it was made of, in both lanes", () => {
  const vector = read(tokenOf([
    { origin: origin(1), seq: 9 },
    { origin: origin(1, 1), seq: 5 },
    { origin: origin(1, 1), seq: 3 },
  ]));
  assert(vector.covers(origin(1), 9) && vector.covers(origin(1), 1));
  assert(!vector.covers(origin(1), 10));
  const inLane1 = [1, 2, 3, 4, 5].filter((s) => vector.covers(origin(1, 1), s));
  assertEquals(inLane1, [3, 5]);
  assertEquals(vectorToken(vector), vectorToken(read(vectorToken(vector))));
});

Deno.test("what is no token is refused as an argument, whatever it is", () => {
  const token = tokenOf([{ origin: origin(1), seq: 9 }]);
  for (const bad of [undefined, 7, null, {}, new Uint8Array(3)]) {
    const error = assertThrows(() => read(bad), TypeError);
    assert(/^Cannot read: "t" must be a token/.test(error.message));
  }
  for (const bad of ["", "A", "?", "AQ", `${token}AA`, token.slice(0, -4)]) {
    const error = assertThrows(() => read(bad), TypeError, 'Cannot read: "t"');
    assert(error.message.endsWith(" is no token"), error.message);
    assert(error.cause instanceof DecodeError || error.cause instanceof Error);
  }
  assertThrows(() => read("A".repeat(20_000_000)), TypeError, "too long");
  const newer = encodeBase64Url(Uint8Array.of(3, 1, 2, 3));
  assertThrows(() => read(newer), TypeError, "kind 3");
  // A count that the bytes do not hold.
  const hollow = new Writer().u8(1).varint(1_000_000).finish();
  assertThrows(() => read(encodeBase64Url(hollow)), TypeError, "is no token");
});

Deno.test("random texts are tokens or refused, and nothing else", () => {
  const random = new Prng(1);
  const whole = tokenOf([1, 2, 3].map((n) => ({ origin: origin(n), seq: n })));
  for (let i = 0; i < 3000; i++) {
    const at = random.u32() % whole.length;
    const letter = "ABCDabcd0189-_="[random.u32() % 15]!;
    const text = whole.slice(0, at) + letter + whole.slice(at + 1);
    try {
      assert(read(text) instanceof Vector);
    } catch (error) {
      assert(error instanceof TypeError, `${error}`);
    }
  }
});

Deno.test("joined tokens stand for all of each, in any order", () => {
  const one = tokenOf([{ origin: origin(1), seq: 5 }]);
  const two = tokenOf([{ origin: origin(1), seq: 3 }, {
    origin: origin(2),
    seq: 1,
  }]);
  assertEquals(joinTokens(one, two), joinTokens(two, one));
  const both = read(joinTokens(one, two));
  assertEquals([both.seq(origin(1)), both.seq(origin(2))], [5, 1]);
  assertEquals(joinTokens(), tokenOf([]));
  const state = vectorToken(Vector.upTo([{ origin: origin(3), seq: 2 }]));
  const joined = readToken("read", "it", joinTokens(one, state));
  assertEquals([joined.isState, joined.vector.size], [true, 2]);
  assertEquals(readToken("read", "it", joinTokens(one, two)).isState, false);
  assertThrows(() => joinTokens(one, "?"), TypeError, "Cannot join tokens");
});
