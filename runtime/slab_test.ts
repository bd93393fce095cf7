import { assert, assertEquals } from "@std/assert";
import { copyOf, makeBytes, SLAB_SHARE_BYTES } from "./mod.ts";

Deno.test("bytes that share memory are nobody else's, and 0", () => {
  const taken: Uint8Array[] = [];
  for (let i = 0; i < 2000; i++) {
    const bytes = makeBytes(i % 1100);
    assertEquals(bytes.length, i % 1100);
    assert(bytes.every((byte) => byte === 0), `${i}: it is used`);
    bytes.fill(i % 256);
    taken.push(bytes);
  }
  taken.forEach((bytes, i) => {
    assert(bytes.every((byte) => byte === i % 256), `${i}: it was written to`);
  });
});

Deno.test("few bytes share memory, more have their own", () => {
  const small = [makeBytes(10), makeBytes(10)];
  assertEquals(new Set(small.map(({ buffer }) => buffer)).size, 1);
  const large = makeBytes(SLAB_SHARE_BYTES);
  assertEquals(large.buffer.byteLength, SLAB_SHARE_BYTES);
});

Deno.test("bytes whose memory was given away leave the others alone", () => {
  const given = makeBytes(10);
  structuredClone(given.buffer, { transfer: [given.buffer] });
  const next = makeBytes(10);
  assertEquals([...next], new Array(10).fill(0));
});

Deno.test("a copy is the caller's own", () => {
  for (const length of [0, 1, 100, 5000]) {
    const bytes = new Uint8Array(length).fill(7);
    const copy = copyOf(bytes);
    bytes.fill(8);
    assertEquals(copy, new Uint8Array(length).fill(7));
  }
});
