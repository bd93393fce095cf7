import { assert, assertEquals } from "@std/assert";
import { compareBytes, toBytes, toHex } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { hashKey } from "../table/filter.ts";
import type { Cursor } from "../iterator/cursor.ts";
import { cursorOf, Memtable } from "./memtable.ts";
import { SpareMemory } from "./spare_memory.ts";

Deno.test("keys in order that go between others stand where they belong, forward and back", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const prng = new Prng(seed);
    const draw = (below: number) => prng.below(below);
    const memtable = new Memtable(new SpareMemory(false, 0));
    const entries: { key: Uint8Array; seq: number }[] = [];
    const next = new Map<number, number>();
    for (let seq = 1; seq <= 500; seq++) {
      // Tables whose keys rise, now and then one that does not, and one at random
      // among them.
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
    for (const { key } of entries) {
      cursor.seekTo(key);
      assertEquals(here().split("@")[0], toHex(key));
    }
    // Of any key, whatever it shares with those that are here.
    for (let i = 0; i < 100; i++) {
      const key = entries[draw(entries.length)]!.key.slice(0, draw(11));
      if (key.length > 0) key[draw(key.length)]! += draw(3) - 1;
      const at = entries.findIndex((each) => compareBytes(each.key, key) >= 0);
      cursor.seekTo(key);
      assertEquals(cursor.valid ? here() : undefined, want[at]);
      cursor.seekBefore(key);
      const before = want.at(at < 0 ? -1 : at - 1);
      assertEquals(
        cursor.valid ? here() : undefined,
        at === 0 ? undefined : before,
      );
    }
  }
});

Deno.test("a key that has not what others of its first byte start with stands between them and those of other first bytes", () => {
  const memtable = new Memtable(new SpareMemory(false, 0));
  const keys = [
    [1, 0],
    [1, 255, 255, 255, 255, 255, 255, 255, 255],
    [2, 5, 5],
    [2, 5, 6],
    [3, 0, 0, 0, 0, 0, 0, 0, 0],
    [3, 1],
  ].map((key) => Uint8Array.from(key));
  let seq = 0;
  for (const key of keys) memtable.add(++seq, key, key);
  const cursor = memtable.cursor();
  const firstFrom = (...key: number[]) => {
    cursor.seekTo(Uint8Array.from(key));
    return cursor.takeKey();
  };
  assertEquals(firstFrom(2, 4), keys[2]);
  assertEquals(firstFrom(2, 4, 9, 9, 9, 9, 9, 9), keys[2]);
  assertEquals(firstFrom(2), keys[2]);
  assertEquals(firstFrom(2, 6), keys[4]);
  assertEquals(firstFrom(2, 6, 9, 9, 9, 9, 9, 9), keys[4]);
  // Of a first byte that no key has.
  assertEquals(firstFrom(0, 9), keys[0]);
  assertEquals(firstFrom(), keys[0]);
});

Deno.test("entries of one key go from the newest to the oldest, whatever their numbers, and the empty key before all others", () => {
  const memory = new SpareMemory(false, 0);
  for (const emptyFirst of [true, false]) {
    const memtable = new Memtable(memory);
    const keys = [new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(0, 0)];
    const want: string[] = [];
    let seq = 2 ** 32 - 15;
    for (let i = 0; i < 30; i++) {
      const key = keys[(i + (emptyFirst ? 0 : 1)) % keys.length]!;
      memtable.add(seq, key, i % 5 === 0 ? undefined : new Uint8Array(0));
      want.push(`${toHex(key)}@${seq}`);
      seq++;
    }
    const byKey = (text: string) => text.split("@")[0]!.length;
    want.reverse().sort((a, b) => byKey(a) - byKey(b));
    const cursor = memtable.cursor();
    const got: string[] = [];
    for (cursor.seekTo(undefined); cursor.valid; cursor.next()) {
      got.push(`${toHex(cursor.takeKey())}@${cursor.seq}`);
    }
    assertEquals(got, want);
  }
});

Deno.test("what a memtable says that it takes is what it takes, and all of it is another one's afterwards", () => {
  const memory = new SpareMemory(false, 16 << 20);
  const memtable = new Memtable(memory);
  memtable.acquire();
  const prng = new Prng(1);
  const count = 20_000;
  for (let seq = 1; seq <= count; seq++) {
    const key = Uint8Array.from({ length: 8 }, () => prng.below(256));
    memtable.add(seq, key, key);
  }
  // Bytes, a node of 8 words and a place in the order for each.
  const least = count * (16 + 32 + 12);
  const { bytes } = memtable;
  assert(bytes >= least && bytes < 1.3 * least, `${bytes} of ${least}`);
  memtable.release();
  const order = memory.takeOrder();
  assert(order.bytes >= count * 12, `${order.bytes}`);
  assertEquals(order.usedBytes, 0);
});

Deno.test("the next key is found behind any number of entries of one, without a walk through them all", () => {
  const keys = ["a", "b", "c", "d"].map((key) =>
    new TextEncoder().encode(`key-${key}`)
  );
  for (const versions of [1, 7, 8, 9, 10, 1000]) {
    const memtable = new Memtable(new SpareMemory(false, 0));
    let seq = 0;
    for (let i = 0; i < versions; i++) {
      memtable.add(++seq, keys[1]!, Uint8Array.of(i));
      memtable.add(++seq, keys[3]!, Uint8Array.of(i));
    }
    memtable.add(++seq, keys[0]!, Uint8Array.of(1));
    memtable.add(++seq, keys[2]!, Uint8Array.of(1));
    let steps = 0;
    const after = memtable.after.bind(memtable);
    memtable.after = (node) => {
      steps++;
      return after(node);
    };
    const walk = (cursor: Cursor) => {
      const seen: string[] = [];
      for (cursor.seekTo(undefined); cursor.valid; cursor.nextKey()) {
        seen.push(
          `${new TextDecoder().decode(cursor.takeKey())}@${cursor.seq}`,
        );
      }
      return seen;
    };
    const want = [
      `key-a@${2 * versions + 1}`,
      `key-b@${2 * versions - 1}`,
      `key-c@${2 * versions + 2}`,
      `key-d@${2 * versions}`,
    ];
    assertEquals(walk(memtable.cursor()), want);
    assert(steps <= 18, `${steps}`);
    // A thread that is told of its memory knows less of it.
    assertEquals(walk(cursorOf(memtable.memory)), want);
  }
});

Deno.test("a key is found as of any moment, by few keys and by many, in memory used before", () => {
  const memory = new SpareMemory(false, 1 << 20);
  for (let seed = 1; seed <= 40; seed++) {
    const prng = new Prng(seed);
    const draw = (below: number) => prng.below(below);
    const memtable = new Memtable(memory);
    memtable.acquire();
    const keys = 1 + draw(seed % 2 === 0 ? 20 : 800);
    const writes: { key: number; value: number | undefined }[] = [];
    const bytes = (key: number) => Uint8Array.of(key >> 8, key, 3, 3);
    for (let seq = 1; seq <= 1000; seq++) {
      const key = draw(keys);
      const value = draw(5) === 0 ? undefined : 1 + draw(255);
      memtable.add(
        seq,
        bytes(key),
        value === undefined ? undefined : Uint8Array.of(value),
      );
      writes.push({ key, value });
    }
    for (let i = 0; i < 500; i++) {
      const key = draw(keys + 5);
      const seq = draw(writes.length + 1);
      const last = writes.slice(0, seq).findLast((one) => one.key === key);
      const found = memtable.get(bytes(key), seq, hashKey(bytes(key)));
      assertEquals(
        found === undefined ? "none" : found?.[0],
        last === undefined ? "none" : last.value,
      );
    }
    memtable.release();
  }
});

Deno.test("keys of one hash are told apart", () => {
  const byHash = new Map<number, Uint8Array>();
  const pairs: [Uint8Array, Uint8Array][] = [];
  for (let n = 0; n < 300_000; n++) {
    const key = Uint8Array.of(n >> 16, n >> 8, n, 9, n * 7, n >> 4, n >> 9);
    const hash = hashKey(key);
    const other = byHash.get(hash);
    if (other === undefined) byHash.set(hash, key);
    else pairs.push([other, key]);
  }
  assert(pairs.length > 1);
  const memtable = new Memtable(new SpareMemory(false, 0));
  let seq = 0;
  const value = (of: string) => new TextEncoder().encode(of);
  for (let n = 0; n < 100; n++) memtable.add(++seq, value(`${n}`), value("-"));
  for (const [one] of pairs) memtable.add(++seq, one, value(toHex(one)));
  for (const [one, other] of pairs) {
    assertEquals(memtable.get(other, seq, hashKey(other)), undefined);
    assertEquals(memtable.get(one, seq, hashKey(one)), value(toHex(one)));
  }
  for (const [, other] of pairs) {
    memtable.add(++seq, other, value(toHex(other)));
  }
  for (const key of pairs.flat()) {
    assertEquals(memtable.get(key, seq, hashKey(key)), value(toHex(key)));
  }
});

/** So many keys of one hash, as whoever knows the hash can make them. */
function keysOfOneHash(count: number): Uint8Array[] {
  // The inverse of a factor of the hash, modulo 2^32, by Newton's method.
  let inverse = 0xcc9e2d51;
  for (let i = 0; i < 5; i++) {
    inverse = Math.imul(inverse, 2 - Math.imul(0xcc9e2d51, inverse));
  }
  return Array.from({ length: count }, (_, word) => {
    let hash = Math.imul(
      (0x5bd1e995 ^ 8) ^ Math.imul(word, 0xcc9e2d51),
      0x1b873593,
    );
    hash ^= hash >>> 15;
    const key = new Uint8Array(8);
    new DataView(key.buffer).setUint32(0, word, true);
    new DataView(key.buffer).setUint32(
      4,
      Math.imul(hash ^ 77, inverse),
      true,
    );
    return key;
  });
}

Deno.test("keys that were made to have one hash are found all the same, and cost no more than a search in the list", () => {
  for (const count of [20, 2000]) {
    const keys = keysOfOneHash(count + 1);
    const absent = keys.pop()!;
    const hash = hashKey(absent);
    assert(keys.every((key) => hashKey(key) === hash));
    const memtable = new Memtable(new SpareMemory(false, 0));
    let seq = 0;
    for (let n = 0; n < 100; n++) {
      memtable.add(++seq, Uint8Array.of(n), Uint8Array.of(n));
    }
    for (const key of keys) memtable.add(++seq, key, key);
    for (const key of keys) assertEquals(memtable.get(key, seq, hash), key);
    assertEquals(memtable.get(absent, seq, hash), undefined);
    for (const key of keys) memtable.add(++seq, key, Uint8Array.of(7));
    assertEquals(memtable.get(keys[0]!, seq, hash), Uint8Array.of(7));
    assertEquals(memtable.get(keys[0]!, seq - count, hash), keys[0]);
  }
});

Deno.test("a cursor's view of a value shows what its buffer does, in all chunks", () => {
  const memtable = new Memtable(new SpareMemory(true, 0));
  for (let i = 0; i < 100; i++) {
    // By turns at the start of the memory, so that cursors go from chunk to chunk.
    const key = toBytes(`${i % 7}-${i}`);
    memtable.add(i + 1, key, new Uint8Array(9000).fill(i));
  }
  assert(memtable.memory.chunks.length > 2);
  const cursor = cursorOf(memtable.memory);
  let entries = 0;
  for (cursor.seekTo(undefined); cursor.valid; cursor.next(), entries++) {
    const { valueBuffer, valueView, valueAt, valueLength } = cursor;
    for (let i = valueAt; i < valueAt + valueLength; i++) {
      assertEquals(valueView!.getUint8(i), valueBuffer[i]);
    }
  }
  assertEquals(entries, 100);
});
