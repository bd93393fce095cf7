import { assertEquals, assertStringIncludes } from "@std/assert";
import { makeOrigin } from "./replication/dot.ts";
import type { Version } from "./replication/entry.ts";
import { Vector } from "./replication/vector.ts";
import { Committed, Written } from "./results.ts";
import { readToken, tokenOf, vectorToken } from "./token.ts";

const DOT = { origin: makeOrigin(1, 7, 0), seq: 3 };
const VERSION = { life: 1 } as unknown as Version;

Deno.test("a result has the token of what its write left, wherever it is shown or sent", () => {
  const written = new Written(VERSION, [DOT]);
  const { version, token } = written;
  assertEquals([version, token], [VERSION, tokenOf([DOT])]);
  assertEquals(written.token, token);
  const whole = { version: VERSION, token };
  assertEquals(JSON.parse(JSON.stringify(written)), whole);
  assertEquals(structuredClone(written) as unknown, whole);
  assertEquals({ ...written }, whole);
  assertStringIncludes(Deno.inspect(written), token);

  const vector = Vector.upTo([DOT]);
  const committed = new Committed([undefined], vector);
  assertEquals(committed.token, vectorToken(vector));
  assertEquals(readToken("test", "token", committed.token).isState, true);
});

Deno.test("a write that changed nothing has no version", () => {
  const nothing = new Written(undefined, new Vector());
  assertEquals(Object.keys(nothing), ["token"]);
  assertEquals("version" in nothing, false);
});

Deno.test("a token is that of the moment at which the write was done", () => {
  const dots = [DOT];
  const written = new Written(VERSION, dots);
  const { token } = written;
  dots.push({ ...DOT, seq: 9 });
  assertEquals(written.token, token);
});
