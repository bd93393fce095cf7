import { assertEquals, assertLess, assertThrows } from "@std/assert";
import { compareBytes, DecodeError, Reader, Writer } from "../runtime/mod.ts";

Deno.test("bytes are ordered as unsigned numbers, and a prefix comes before what it begins", () => {
  assertLess(compareBytes(Uint8Array.of(1), Uint8Array.of(0xff)), 0);
  assertLess(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0)), 0);
  assertLess(compareBytes(new Uint8Array(0), Uint8Array.of(0)), 0);
  assertEquals(compareBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2)), 0);
});

Deno.test("a varint of more than 53 bits is refused, one of 53 is read", () => {
  const largest = new Writer().varint(Number.MAX_SAFE_INTEGER).finish();
  assertEquals(
    new Reader(largest, "a number").varint(),
    Number.MAX_SAFE_INTEGER,
  );
  const larger = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f);
  assertThrows(
    () => new Reader(larger, "a number").varint(),
    DecodeError,
    "53 bits",
  );
});
