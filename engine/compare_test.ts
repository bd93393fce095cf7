import { assertEquals } from "@std/assert";
import { copyViewed } from "./compare.ts";

Deno.test("copyViewed() copies bytes of any length between any places, and no others", () => {
  const source = Uint8Array.from({ length: 700 }, (_, i) => i * 37 + 11);
  // A view need not start where its buffer does.
  const sourceView = new DataView(source.buffer, 3);
  for (const shared of [false, true]) {
    const buffer = shared ? new SharedArrayBuffer(700) : new ArrayBuffer(700);
    const target = new Uint8Array(buffer);
    const targetView = new DataView(buffer, 5);
    for (let length = 0; length <= 600; length += length < 40 ? 1 : 13) {
      for (let shift = 0; shift < 9; shift++) {
        target.fill(0xee);
        copyViewed(targetView, 16 - shift, sourceView, shift * 2, length);
        const expected = new Uint8Array(700).fill(0xee);
        const from = 3 + shift * 2;
        expected.set(source.subarray(from, from + length), 5 + 16 - shift);
        assertEquals(new Uint8Array(target), expected);
      }
    }
  }
});

Deno.test("copyViewed() keeps what no number can say", () => {
  // Signalling and quiet numbers that are none, of both ends and signs.
  const source = new Uint8Array(64);
  const words = new BigUint64Array(source.buffer);
  words.set([
    0x7ff0000000000001n,
    0xfff0000000000001n,
    0x7ff8000000000000n,
    0x010000000000f07fn,
    0x010000000000f0ffn,
    0xffffffffffffffffn,
    0x8000000000000000n,
    0n,
  ]);
  const target = new Uint8Array(64);
  // Often enough for V8 to compile it, in its fastest form too.
  for (let i = 0; i < 20_000; i++) {
    target.fill(0);
    copyViewed(
      new DataView(target.buffer),
      0,
      new DataView(source.buffer),
      0,
      64,
    );
    if (target[7] !== source[7]) break;
  }
  assertEquals(target, source);
});
