import { assert, assertEquals } from "@std/assert";
import { compareBytes, toHex } from "../../runtime/mod.ts";
import { Memtable } from "../memtable/memtable.ts";
import { SpareMemory } from "../memtable/spare_memory.ts";
import type { Cursor } from "./cursor.ts";
import { MergingCursor } from "./merging_cursor.ts";

/** Bytes that make numbers, prefixes and ties of all kinds. */
const ALPHABET = [0, 1, 127, 128, 255];

function random(seed: number): (below: number) => number {
  let state = seed * 0x9e3779b1 | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A key that shares a prefix of any length with others. */
function someKey(draw: (below: number) => number): Uint8Array {
  const shared = draw(4) * 5;
  const key = new Uint8Array(1 + shared + draw(9));
  for (let i = shared; i < key.length; i++) {
    key[i] = ALPHABET[draw(draw(3) === 0 ? 5 : 2)]!;
  }
  return key;
}

function entryOf(cursor: Cursor): string {
  const { keyBuffer, keyAt, keyLength, seq } = cursor;
  return `${toHex(keyBuffer.subarray(keyAt, keyAt + keyLength))}@${seq}`;
}

Deno.test("merged runs come in order, forward and back, whatever their keys share", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const draw = random(seed);
    const runs = Array.from(
      { length: 1 + draw(8) },
      () => new Memtable(new SpareMemory(false, 0)),
    );
    const entries: { key: Uint8Array; seq: number }[] = [];
    for (let seq = 1; seq <= 300; seq++) {
      const key = someKey(draw);
      runs[draw(runs.length)]!.add(seq, key, new Uint8Array(0));
      entries.push({ key, seq });
    }
    entries.sort((a, b) => compareBytes(a.key, b.key) || b.seq - a.seq);
    const merge = new MergingCursor(runs.map((run) => run.cursor()));
    const from = entries[draw(entries.length)]!.key;
    const name = ({ key, seq }: typeof entries[0]) => `${toHex(key)}@${seq}`;
    const rest = () => {
      const found: string[] = [];
      for (; merge.top !== undefined; merge.advance()) {
        found.push(entryOf(merge.top));
      }
      return found;
    };

    merge.seekTo(from);
    const behind = entries.filter(({ key }) => compareBytes(key, from) >= 0);
    assertEquals(rest(), behind.map(name));

    merge.seekBefore(from);
    const before = entries.filter(({ key }) => compareBytes(key, from) < 0);
    assertEquals(rest(), before.map(name).reverse());

    merge.seekTo(undefined);
    const firsts = entries.filter(({ key }, i) =>
      i === 0 || compareBytes(key, entries[i - 1]!.key) !== 0
    );
    for (const first of firsts) {
      assert(merge.top !== undefined);
      assertEquals(entryOf(merge.top), name(first));
      merge.advanceKey();
    }
    assertEquals(merge.top, undefined);
  }
});
