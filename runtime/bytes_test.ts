import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import {
  compareBytes,
  concatBytes,
  crc32,
  EMPTY_BYTES,
  equalBytes,
  prefixEnd,
  Reader,
  startsWith,
  toBytes,
  toHex,
  toText,
  Writer,
} from "./bytes.ts";
import { DecodeError } from "./errors.ts";
import { Prng } from "./virtual/mod.ts";

const bytes = (...values: number[]) => new Uint8Array(values);
const reader = (...values: number[]) => new Reader(bytes(...values), "a test");

Deno.test("bytes compare as unsigned numbers, a prefix first", () => {
  const sorted = [
    bytes(),
    bytes(0),
    bytes(0, 0),
    bytes(1, 255),
    bytes(127),
    bytes(128),
    bytes(255),
    bytes(255, 0),
  ];
  for (const [i, a] of sorted.entries()) {
    for (const [j, b] of sorted.entries()) {
      assertEquals(Math.sign(compareBytes(a, b)), Math.sign(i - j));
      assertEquals(equalBytes(a, b), i === j);
    }
  }
  assert(startsWith(bytes(1, 2), bytes(1)));
  assert(startsWith(bytes(1), EMPTY_BYTES));
  assert(!startsWith(bytes(1), bytes(1, 2)));
  assert(!startsWith(bytes(1, 3), bytes(1, 2)));
});

Deno.test("the end of a prefix is the first key after all that begin with it", () => {
  assertEquals(prefixEnd(bytes(1, 2)), bytes(1, 3));
  assertEquals(prefixEnd(bytes(1, 255, 255)), bytes(2));
  assertEquals(prefixEnd(bytes(255, 255)), undefined);
  assertEquals(prefixEnd(bytes()), undefined);
});

Deno.test("the end of a prefix leaves the caller's bytes alone, Buffers too", () => {
  const prefix = Buffer.from([1, 2]);
  assertEquals([...prefixEnd(prefix)!], [1, 3]);
  assertEquals([...prefix], [1, 2]);
});

Deno.test("text and bytes give each other back, byte order mark included", () => {
  for (const text of ["", "key", "é€😀", "\uFEFFmarked", "a\0b"]) {
    assertEquals(toText(toBytes(text)), text);
  }
  const given = bytes(1);
  assert(toBytes(given) === given);
  assertEquals(toText(bytes(0xff, 0x61)), "\uFFFDa");
  assertEquals(toHex(bytes(0, 15, 255)), "000fff");
  assertEquals(concatBytes(bytes(1), bytes(), bytes(2, 3)), bytes(1, 2, 3));
});

Deno.test("a checksum continues from that of what came before", () => {
  const all = toBytes("123456789");
  assertEquals(crc32(all), 0xcbf43926);
  assertEquals(crc32(EMPTY_BYTES), 0);
  for (let cut = 0; cut <= all.length; cut++) {
    assertEquals(
      crc32(all.subarray(cut), crc32(all.subarray(0, cut))),
      0xcbf43926,
    );
  }
});

Deno.test("a writer writes these bytes for these values", () => {
  const writer = new Writer(0);
  writer.u8(0xab).u16(0x1234).u32(0xdeadbeef).u48(0x123456789abc)
    .varint(0).varint(127).varint(128).varint(300)
    .bytes(bytes(9, 8)).text("é").raw(bytes(7));
  const written = "ab3412efbeaddebc9a78563412007f8001ac0202090802c3a907";
  assertEquals(toHex(writer.view()), written);
  writer.patchU32(3, 0x80000001);
  assertEquals(toHex(writer.view().subarray(3, 7)), "01000080");
  writer.patchU32(3, 0xdeadbeef);
  assertEquals(toHex(writer.finish()), written);
  assertEquals(writer.length, 0);
  writer.u8(1).clear();
  assertEquals(writer.length, 0);
  assertThrows(() => writer.u16(1).patchU32(0, 1), RangeError, "2 are written");
});

Deno.test("what was finished is not touched by later writes, of this writer or of others", () => {
  for (const length of [1, 255, 256, 257, 65_536, 65_537, 200_000]) {
    const writer = new Writer(length % 2 === 0 ? length : 0);
    const finished = writer.raw(new Uint8Array(length).fill(1)).finish();
    assertEquals(writer.length, 0);
    const others = [writer, new Writer(), new Writer(300), new Writer(70_000)];
    for (const [i, other] of others.entries()) {
      other.raw(new Uint8Array(length).fill(2 + i));
    }
    for (const [i, other] of others.entries()) {
      assertEquals(other.finish(), new Uint8Array(length).fill(2 + i));
    }
    assertEquals(finished, new Uint8Array(length).fill(1));
  }
});

Deno.test("a reader reads what a writer wrote, at every size of integer", () => {
  const random = new Prng(7);
  const writer = new Writer(1);
  const numbers = [0, 2 ** 32, 2 ** 48 - 1, 2 ** 53 - 1];
  for (let bit = 0; bit < 53; bit++) {
    numbers.push(2 ** bit, 2 ** bit - 1, Math.floor(random.float() * 2 ** bit));
  }
  for (const number of numbers) {
    writer.varint(number).u48(number % 2 ** 48).u32(number % 2 ** 32)
      .u16(number % 65536).u8(number % 256);
  }
  const read = new Reader(writer.view(), "a test");
  for (const number of numbers) {
    assertEquals(read.varint(), number);
    assertEquals(read.u48(), number % 2 ** 48);
    assertEquals(read.u32(), number % 2 ** 32);
    assertEquals(read.u16(), number % 65536);
    assertEquals(read.u8(), number % 256);
  }
  assertEquals(read.remaining, 0);
});

Deno.test("a writer refuses integers that it would write as others", () => {
  const writer = new Writer();
  for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    assertThrows(() => writer.varint(value), RangeError);
    assertThrows(() => writer.u48(value), RangeError);
  }
  assertThrows(() => writer.u48(2 ** 48), RangeError);
  assertEquals(writer.length, 0);
});

Deno.test("a reader reads within its bytes only, wherever they lie", () => {
  const read = new Reader(bytes(9, 9, 1, 2, 3, 9).subarray(2, 5), "a test");
  assertEquals(read.u16(), 0x0201);
  assertEquals(read.offset, 2);
  assertThrows(() => read.u16(), DecodeError, "Cannot decode a test");
  assertEquals(read.u8(), 3);
  assertThrows(() => read.u8(), DecodeError);
  assertEquals(read.rest(), bytes());
});

Deno.test("a reader fails on every input that was cut short", () => {
  const whole = new Writer().u8(1).u16(2).u32(3).u48(4).varint(2 ** 40)
    .bytes(bytes(1, 2, 3)).text("text").finish();
  const readAll = (input: Uint8Array) => {
    const read = new Reader(input, "a test");
    read.u8();
    read.u16();
    read.u32();
    read.u48();
    read.varint();
    read.bytes();
    read.text();
  };
  readAll(whole);
  for (let length = 0; length < whole.length; length++) {
    assertThrows(() => readAll(whole.subarray(0, length)), DecodeError);
  }
});

Deno.test("a reader refuses varints over 53 bits and lengths over their limit", () => {
  const ones = [255, 255, 255, 255, 255, 255, 255];
  assertEquals(reader(...ones, 15).varint(), 2 ** 53 - 1);
  assertThrows(() => reader(...ones, 16).varint(), DecodeError, "53 bits");
  assertThrows(() => reader(...ones, 255, 1).varint(), DecodeError, "53 bits");
  assertThrows(() => reader(5).count(4), DecodeError, "at most 4");
  assertEquals(reader(4).count(4), 4);
  assertThrows(() => reader(...ones, 15).bytes(), DecodeError);
  assertThrows(() => reader(3, 1, 2, 3).bytes(2), DecodeError, "at most 2");
  assertThrows(() => reader(1, 2).raw(3), DecodeError);
  assertThrows(() => reader(1, 2).raw(-1), DecodeError);
  assertThrows(() => reader(1, 2).raw(NaN), DecodeError);
  assertThrows(() => reader(1).fail("why"), DecodeError, "a test: why");
});

Deno.test("a reader refuses a text that is not UTF-8", () => {
  assertEquals(reader(2, 0xc3, 0xa9).text(), "é");
  assertThrows(() => reader(1, 0xff).text(), DecodeError, "not UTF-8");
});
