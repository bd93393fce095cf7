import { assertEquals, assertThrows } from "@std/assert";
import {
  concatBytes,
  FRAME_BYTES_MAX,
  ProtocolError,
  toHex,
  Writer,
} from "../runtime/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { FrameDecoder, FrameFlag, writeFrame } from "./frame.ts";
import { MessageType } from "./registry.ts";

function frameOf(payload: Uint8Array, correlation = 1): Uint8Array {
  const writer = new Writer();
  const head = { flags: 0, type: MessageType.PULL, lane: 1, correlation };
  writeFrame(writer, head, payload);
  return writer.finish();
}

function feed(decoder: FrameDecoder, bytes: Uint8Array): void {
  const space = decoder.space();
  space.set(bytes.subarray(0, space.length));
  decoder.advance(bytes.length);
}

function put(decoder: FrameDecoder, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    const space = decoder.space();
    const part = bytes.subarray(at, at + space.length);
    space.set(part);
    decoder.advance(part.length);
    at += part.length;
  }
}

Deno.test("a frame has the bytes that its format says", () => {
  const writer = new Writer();
  writeFrame(writer, {
    flags: FrameFlag.ONE_WAY | FrameFlag.MORE,
    type: MessageType.RECORDS,
    lane: 1,
    correlation: 0x01020305,
  }, new Uint8Array([0xaa, 0xbb]));
  assertEquals(
    toHex(writer.view()),
    "0e000000" + "01185001" + "05030201" + "aabb" + "eb6cfc5c",
  );
});

Deno.test("frames are found however their bytes are cut", () => {
  const random = new Prng(1, "cuts");
  for (let round = 0; round < 50; round++) {
    const decoder = new FrameDecoder();
    const lengths = Array.from({ length: 20 }, () => random.below(3000));
    const writer = new Writer();
    for (const [i, length] of lengths.entries()) {
      writer.raw(frameOf(new Uint8Array(length).fill(i), i));
    }
    const bytes = writer.finish();
    const found: number[] = [];
    for (let at = 0; at < bytes.length;) {
      const space = decoder.space();
      const count = Math.min(
        space.length,
        bytes.length - at,
        1 + random.below(5000),
      );
      space.set(bytes.subarray(at, at + count));
      decoder.advance(count);
      at += count;
      for (let frame = decoder.next(); frame; frame = decoder.next()) {
        assertEquals(frame.correlation, found.length);
        assertEquals(
          frame.payload.every((byte) => byte === found.length),
          true,
        );
        found.push(frame.payload.length);
      }
    }
    assertEquals(found, lengths);
  }
});

Deno.test("a length beyond the limit is refused before memory is taken for it", () => {
  const decoder = new FrameDecoder();
  const before = decoder.capacity;
  feed(decoder, new Writer().u32(FRAME_BYTES_MAX + 1).finish());
  assertThrows(() => decoder.next(), ProtocolError, "1048577 bytes");
  assertEquals(decoder.capacity, before);
});

Deno.test("an announced frame takes no more than twice the memory that came", () => {
  const decoder = new FrameDecoder();
  feed(decoder, new Writer().u32(FRAME_BYTES_MAX).u8(1).finish());
  for (let sent = 5; sent < FRAME_BYTES_MAX;) {
    assertEquals(decoder.next(), undefined);
    const count = Math.min(1000, decoder.space().length);
    decoder.advance(count);
    sent += count;
    assertEquals(decoder.capacity <= Math.max(16 * 1024, 2 * sent + 2), true);
  }
});

Deno.test("too short a length, an unknown version or flag and a flipped bit are refused", () => {
  for (const length of [0, 11]) {
    const decoder = new FrameDecoder();
    feed(decoder, new Writer().u32(length).finish());
    assertThrows(() => decoder.next(), ProtocolError, `${length} bytes`);
  }
  const decoder = new FrameDecoder();
  feed(decoder, new Writer().u32(12).u8(2).finish());
  assertThrows(() => decoder.next(), ProtocolError, "version 2");
  const good = frameOf(new Uint8Array([1, 2, 3]));
  for (let bit = 32; bit < good.length * 8; bit++) {
    const bad = good.slice();
    bad[bit >> 3]! ^= 1 << (bit & 7);
    const decoder = new FrameDecoder();
    feed(decoder, bad);
    assertThrows(() => decoder.next(), ProtocolError);
  }
  const unknown = new Writer();
  writeFrame(unknown, { flags: 64, type: 1, lane: 0, correlation: 0 }, good);
  const last = new FrameDecoder();
  feed(last, unknown.view());
  assertThrows(() => last.next(), ProtocolError, "unknown flags 64");
});

Deno.test("damaged streams give frames that were sent, or a protocol error", () => {
  const random = new Prng(2, "damage");
  for (let round = 0; round < 3000; round++) {
    const bytes = new Writer().raw(frameOf(new Uint8Array(random.below(40)), 1))
      .raw(frameOf(new Uint8Array(random.below(40)), 2)).finish();
    bytes[random.below(bytes.length)] = random.below(256);
    const decoder = new FrameDecoder();
    feed(decoder, bytes);
    try {
      for (let frame = decoder.next(); frame; frame = decoder.next()) {
        assertEquals(frame.type, MessageType.PULL);
        assertEquals(frame.payload.every((byte) => byte === 0), true);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
});

Deno.test("a decoder gives back what a large frame took, and loses nothing", () => {
  const decoder = new FrameDecoder();
  const large = frameOf(new Uint8Array(500_000).fill(7));
  const small = frameOf(new Uint8Array(20_000).fill(8));
  put(decoder, concatBytes(large, small.subarray(0, 19_000)));
  assertEquals(decoder.next()?.payload.length, 500_000);
  assertEquals(decoder.capacity, 512 * 1024);
  decoder.shrink();
  assertEquals(decoder.capacity, 32 * 1024);
  put(decoder, small.subarray(19_000));
  assertEquals(decoder.next()?.payload, new Uint8Array(20_000).fill(8));
  decoder.shrink();
  assertEquals(decoder.capacity, 16 * 1024);
  put(decoder, large);
  assertEquals(decoder.next()?.payload.length, 500_000);
});
