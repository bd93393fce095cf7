import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { toBytes } from "../../runtime/mod.ts";
import { Slots } from "./slots.ts";

Deno.test("slots are found by their keys, and come in the order in which they were added", () => {
  const slots = new Slots();
  const keys = Array.from({ length: 500 }, (_, i) => toBytes(`key ${i * 7}`));
  keys.push(new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(0, 0));
  for (const key of keys) {
    assertEquals(slots.get(key), undefined);
    assertStrictEquals(slots.add(key, undefined), slots.get(key.slice()));
  }
  assertEquals([...slots].map(({ key }) => key), keys);
  assertEquals(slots.get(toBytes("key 1")), undefined);
});

const START = 0x811c9dc5 | 0;
const step = (state: number, byte: number) =>
  Math.imul(state ^ byte, 0x01000193);

/**
 * Two blocks that lead FNV-1a from one state to another one: two starts of a block
 * after which states differ in the last byte only, each with the byte that mends it.
 */
function alike(state: number): { blocks: Uint8Array[]; state: number } {
  const seen = new Map<number, { start: number[]; state: number }>();
  for (let n = 0;; n++) {
    const start = [n >> 16, n >> 8 & 255, n & 255];
    const after = start.reduce(step, state);
    const other = seen.get(after >>> 8);
    if (other !== undefined) {
      return {
        blocks: [
          Uint8Array.of(...start, 0),
          Uint8Array.of(...other.start, (after ^ other.state) & 255),
        ],
        state: step(after, 0),
      };
    }
    seen.set(after >>> 8, { start, state: after });
  }
}

/** Keys of one hash: two to the power of so many blocks. */
function collisions(blocks: number): { keys: Uint8Array[]; state: number } {
  let keys: number[][] = [[]];
  let state = START;
  for (let i = 0; i < blocks; i++) {
    const next = alike(state);
    keys = keys.flatMap((key) =>
      next.blocks.map((block) => [...key, ...block])
    );
    state = next.state;
  }
  return { keys: keys.map((key) => Uint8Array.from(key)), state };
}

Deno.test("keys that were made to have one hash are told apart, however many", () => {
  const { keys, state } = collisions(5);
  assertEquals(keys.length, 32);
  const slots = new Slots();
  for (const key of keys) {
    assertEquals(key.reduce(step, START), state);
    assertEquals(slots.get(key), undefined);
    slots.add(key.slice(), undefined);
  }
  for (const key of keys) {
    assertEquals(slots.get(key)?.key, key);
  }
  assertEquals([...slots].length, keys.length);
});

Deno.test("few keys of one hash are looked at, however many there are", () => {
  let looks = 0;
  const counted = (key: Uint8Array) =>
    new Proxy(key, {
      get(target, name) {
        if (name === "length") looks++;
        return Reflect.get(target, name, target);
      },
    });
  const { keys } = collisions(7);
  assertEquals(keys.length, 128);
  const slots = new Slots();
  for (const key of keys) slots.add(counted(key), undefined);
  looks = 0;
  assert(slots.get(keys.at(-1)!) !== undefined);
  assert(looks > 0 && looks <= 40, `${looks} looks`);
});
