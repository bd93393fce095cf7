import { assert, assertEquals, assertNotStrictEquals } from "@std/assert";
import { toBytes } from "../../runtime/mod.ts";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { openLsm } from "../mod.ts";
import { hashKey } from "../table/filter.ts";
import { TINY } from "../testing/history.ts";
import { Memtable } from "./memtable.ts";
import { CHUNK_BYTES, SpareMemory } from "./spare_memory.ts";

const SEQ = 1000;

function fill(memtable: Memtable, from: number, count: number): void {
  for (let i = from; i < from + count; i++) {
    memtable.add(i + 1, toBytes(`key ${i}`), toBytes(`value ${i}`));
  }
}

function get(memtable: Memtable, key: string): Uint8Array | null | undefined {
  return memtable.get(toBytes(key), SEQ, hashKey(toBytes(key)));
}

Deno.test("a memtable in used memory has nothing of what was there before", () => {
  const memory = new SpareMemory(false, 0);
  const first = new Memtable(memory);
  first.acquire();
  fill(first, 0, 200);
  const { nodes, chunks } = first.memory;
  first.release();
  const second = new Memtable(memory);
  assertEquals(second.first(), 0);
  fill(second, 300, 100);
  assert(
    second.memory.nodes === nodes && second.memory.chunks[0] === chunks[0],
  );
  for (let i = 0; i < 200; i++) {
    assertEquals(get(second, `key ${i}`), undefined);
  }
  const cursor = second.cursor();
  let count = 0;
  for (cursor.seekTo(undefined); cursor.valid; cursor.next()) count++;
  assertEquals(count, 100);
  for (let i = 300; i < 400; i++) {
    assertEquals(get(second, `key ${i}`), toBytes(`value ${i}`));
  }
});

Deno.test("memory is used again only when the last holder has let go", () => {
  const memory = new SpareMemory(false, 0);
  const first = new Memtable(memory);
  first.acquire();
  first.acquire();
  fill(first, 0, 1);
  first.release();
  assertEquals(memory.bytes, 0);
  first.release();
  assert(memory.bytes > CHUNK_BYTES);
});

Deno.test("of much memory, as much is kept as may be", () => {
  const memory = new SpareMemory(true, 3 * CHUNK_BYTES);
  const chunks = Array.from({ length: 9 }, () => memory.takeChunk(CHUNK_BYTES));
  const large = memory.takeChunk(10 * CHUNK_BYTES);
  const nodes = memory.takeNodes(CHUNK_BYTES, 0);
  assert(nodes.buffer instanceof SharedArrayBuffer);
  memory.give(nodes, [...chunks, large], undefined, undefined, undefined);
  assertEquals(memory.bytes, 3 * CHUNK_BYTES);
  assertNotStrictEquals(memory.takeNodes(CHUNK_BYTES, 0), nodes);
  const some = memory.takeNodes(100, 0);
  memory.give(some, [], undefined, undefined, undefined);
  assertNotStrictEquals(memory.takeNodes(101, 0), some);
  assert(memory.takeNodes(99, 0) === some);

  const small = memory.takeIndex();
  memory.give(some, [], undefined, undefined, small);
  const grown = memory.takeIndex();
  assert(grown === small);
  for (let n = 1; grown.bytes <= 3 * CHUNK_BYTES; n++) grown.add(n << 8, n);
  memory.give(some, [], undefined, undefined, grown);
  assertNotStrictEquals(memory.takeIndex(), grown);

  const order = memory.takeOrder();
  order.append(1, 1);
  memory.give(some, [], order, undefined, undefined);
  assert(memory.takeOrder() === order);
  order.seek(2, { orderOf: () => 0 });
  assertEquals(order.before, 0, "it has forgotten what it had");
  while (order.bytes <= 3 * CHUNK_BYTES) order.append(1, 1);
  memory.give(some, [], order, undefined, undefined);
  assertNotStrictEquals(memory.takeOrder(), order);
});

Deno.test("what readers stand on stays while memtables fill the same memory again and again", async () => {
  await using store = await openLsm("store", {
    files: new MemoryFiles(),
    ...TINY,
  });
  const ROWS = 30;
  const valueOf = (i: number, round: number) =>
    toBytes(`${i} of round ${round}`);
  const write = (round: number) =>
    store.write(Array.from({ length: ROWS }, (_, i) => (
      { key: toBytes(`key ${i + 10}`), value: valueOf(i, round) }
    )));
  await write(0);
  for (let round = 1; round < 80; round += 8) {
    await write(round);
    const writeOn = async (from: number) => {
      for (let n = from; n < from + 3; n++) {
        await write(n);
        await store.flush();
      }
    };
    // Nobody else holds the memtable whose entry it shows.
    using view = store.getView(toBytes("key 13"))!;
    await writeOn(round + 1);
    assertEquals(view.bytes, valueOf(3, round));
    await write(round + 4);
    using forward = store.iterate();
    using backward = store.iterate({ reverse: true });
    // They stand on entries, whose views are still to be read.
    assert(forward.next() && backward.next());
    await writeOn(round + 5);
    for (let i = 0; i < ROWS; i++) {
      assertEquals(forward.valueView, valueOf(i, round + 4));
      assertEquals(backward.valueView, valueOf(ROWS - 1 - i, round + 4));
      assertEquals(forward.next(), i < ROWS - 1);
      assertEquals(backward.next(), i < ROWS - 1);
    }
  }
});
