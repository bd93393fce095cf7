import { assertEquals, assertThrows } from "@std/assert";
import { decodeBase64Url } from "@std/encoding";
import { Buffer } from "node:buffer";
import {
  BATCH_BYTES_MAX,
  KEY_BYTES_MAX,
  LimitError,
  toBytes,
  toHex,
  VALUE_BYTES_MAX,
} from "../runtime/mod.ts";
import {
  checkBatch,
  checkKey,
  checkLease,
  checkLimit,
  checkTimeout,
  checkValue,
} from "./check.ts";
import { origin } from "./replication/world_test.ts";
import { Vector } from "./replication/vector.ts";
import { tokenOf } from "./token.ts";

Deno.test("keys and values are copied, also from a Buffer that shares its memory", () => {
  const buffer = Buffer.from("key");
  const [key, value] = [checkKey("set", buffer), checkValue("set", buffer)];
  buffer.fill(0);
  assertEquals([key, value], [toBytes("key"), toBytes("key")]);
  assertEquals(checkKey("set", "é"), toBytes("é"));
});

Deno.test("keys and values at their limits pass, beyond them they do not", () => {
  assertEquals(checkKey("set", new Uint8Array(KEY_BYTES_MAX)).length, 4096);
  const tooLong = new Uint8Array(KEY_BYTES_MAX + 1);
  assertThrows(() => checkKey("set", tooLong), LimitError);
  assertThrows(() => checkKey("set", ""), LimitError);
  assertEquals(checkValue("set", "").length, 0);
  // Told by its length: not so much is made for a test.
  class Long extends Uint8Array {
    override get length(): number {
      return VALUE_BYTES_MAX + 1;
    }
  }
  const op = { key: new Uint8Array(1), value: new Long(0) };
  const ops = [op, { key: new Uint8Array(8192), value: undefined }];
  assertThrows(() => checkBatch(ops), LimitError);
  const most = { key: new Uint8Array(1), value: new Uint8Array(0) };
  checkBatch(Array(Math.floor(BATCH_BYTES_MAX / 97)).fill(most));
  for (const bad of [undefined, null, 5, [1]]) {
    assertThrows(() => checkKey("set", bad as never), TypeError);
    assertThrows(() => checkValue("set", bad as never), TypeError);
  }
});

Deno.test("a lease is a node key", () => {
  assertEquals(checkLease(undefined), undefined);
  assertEquals(checkLease(65_535), 65_535);
  for (const bad of [0, 65_536, 1.5, NaN, "1" as never]) {
    assertThrows(() => checkLease(bad), TypeError);
  }
});

Deno.test("a limit is a whole number from 0, and a deadline is positive", () => {
  assertEquals([checkLimit(), checkLimit(0)], [Infinity, 0]);
  for (const bad of [-1, 1.5, NaN, "1" as never]) {
    assertThrows(() => checkLimit(bad), RangeError, "limit");
  }
  assertEquals(checkTimeout("commit"), 10_000);
  assertEquals(checkTimeout("commit", Infinity), Infinity);
  for (const bad of [0, -1, NaN, "x" as never]) {
    assertThrows(() => checkTimeout("commit", bad), RangeError, "timeoutMs");
  }
});

Deno.test("a token is a version and a vector: the largest seq of each origin", () => {
  const dots = [[2, 5], [1, 7], [2, 3]].map(([node, seq]) => ({
    origin: origin(node!),
    seq: seq!,
  }));
  const bytes = decodeBase64Url(tokenOf(dots));
  assertEquals(bytes[0], 1);
  const vector = Vector.decode(bytes.subarray(1));
  assertEquals([...vector.origins()], [origin(1), origin(2)]);
  assertEquals([vector.seq(origin(1)), vector.seq(origin(2))], [7, 5]);
  assertEquals(toHex(decodeBase64Url(tokenOf([]))), "0100");
});
