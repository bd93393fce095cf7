import { assertEquals } from "@std/assert";
import { compareBytes, toHex } from "../../runtime/mod.ts";
import { Memtable } from "./memtable.ts";
import { SpareMemory } from "./spare_memory.ts";

function random(seed: number): (below: number) => number {
  let state = seed * 0x9e3779b1 | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

Deno.test("keys in order that go between others stand where they belong, forward and back", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const draw = random(seed);
    const memtable = new Memtable(new SpareMemory(false, 0));
    const entries: { key: Uint8Array; seq: number }[] = [];
    const next = new Map<number, number>();
    for (let seq = 1; seq <= 500; seq++) {
      // Tables whose keys rise, now and then one that does not, and one at random
      // among them. Some first bytes share a finger, as 0x10 and 0x32 do.
      const table = [0x10, 0x12, 0x21, 0x32][draw(4)]!;
      const rises = table !== 0x21 && draw(8) > 0;
      const number = rises ? (next.get(table) ?? 0) + 1 + draw(3) : draw(400);
      if (rises) next.set(table, number);
      const key = Uint8Array.of(
        table,
        7,
        7,
        7,
        7,
        7,
        7,
        7,
        number >> 8,
        number,
      );
      memtable.add(seq, key, new Uint8Array(0));
      entries.push({ key, seq });
    }
    entries.sort((a, b) => compareBytes(a.key, b.key) || b.seq - a.seq);
    const want = entries.map(({ key, seq }) => `${toHex(key)}@${seq}`);
    const cursor = memtable.cursor();
    const here = () => {
      const { keyBuffer, keyAt, keyLength, seq } = cursor;
      return `${toHex(keyBuffer.subarray(keyAt, keyAt + keyLength))}@${seq}`;
    };
    const forward: string[] = [];
    for (cursor.seekTo(undefined); cursor.valid; cursor.next()) {
      forward.push(here());
    }
    assertEquals(forward, want);
    const back: string[] = [];
    for (cursor.seekBefore(undefined); cursor.valid; cursor.prev()) {
      back.push(here());
    }
    assertEquals(back.reverse(), want);
    // Through the upper levels too.
    for (const { key } of entries) {
      cursor.seekTo(key);
      assertEquals(here().split("@")[0], toHex(key));
    }
  }
});
