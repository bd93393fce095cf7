import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../runtime/virtual/mod.ts";
import { KeyIndex } from "./key_index.ts";

const rising = (a: number, b: number) => a - b;

/** The nodes of a hash, in the order in which the index gives them. */
function nodesOf(index: KeyIndex, hash: number): number[] {
  const nodes: number[] = [];
  for (;;) {
    const node = index.find(hash, nodes.length);
    if (node === 0) return nodes;
    nodes.push(node);
  }
}

function hashesOf(index: KeyIndex): number[] {
  const hashes: number[] = [];
  const half = index.slots >> 1;
  index.eachHash(0, half, (hash) => hashes.push(hash));
  index.eachHash(half, index.slots, (hash) => hashes.push(hash));
  return hashes.sort(rising);
}

Deno.test("each key is found once, and by its newest node, at each step of a move to a larger array", () => {
  for (let seed = 1; seed <= 5; seed++) {
    const prng = new Prng(seed);
    const index = new KeyIndex();
    const nodes = new Map<number, Set<number>>();
    const all: { hash: number; node: number }[] = [];
    let node = 8;
    for (let step = 0; step < 2500; step++) {
      node += 8;
      const again = prng.below(4) === 0
        ? all[prng.below(all.length)]
        : undefined;
      if (again !== undefined) {
        index.replace(again.hash, again.node, node);
        nodes.get(again.hash)!.delete(again.node);
        nodes.get(again.hash)!.add(node);
        again.node = node;
      } else {
        // Now and then one that another key has.
        const hash = prng.below(8) === 0 && all.length > 0
          ? all[prng.below(all.length)]!.hash
          : prng.u32();
        assert(index.add(hash, node));
        if (!nodes.has(hash)) nodes.set(hash, new Set());
        nodes.get(hash)!.add(node);
        all.push({ hash, node });
      }
      for (let i = 0; i < 5; i++) {
        const { hash } = all[prng.below(all.length)]!;
        assertEquals(new Set(nodesOf(index, hash)), nodes.get(hash));
        assertEquals(nodesOf(index, hash).length, nodes.get(hash)!.size);
      }
      if (step % 50 === 0) {
        assertEquals(
          hashesOf(index),
          all.map((each) => each.hash).sort(rising),
        );
      }
      const other = prng.u32();
      if (!nodes.has(other)) assertEquals(index.find(other, 0), 0);
    }
    for (const [hash, known] of nodes) {
      assertEquals(new Set(nodesOf(index, hash)), known);
    }
  }
});

Deno.test("no key that is added has more than a few others moved", () => {
  const prng = new Prng(7);
  const index = new KeyIndex();
  let moving = 0;
  let grown = 0;
  for (let i = 1; i <= 3000; i++) {
    const { slots } = index;
    index.add(prng.u32(), 8 * i);
    // While slots are moved there are those of two arrays.
    if ((index.slots & (index.slots - 1)) !== 0) moving++;
    if (index.slots > slots) grown++;
    if (index.slots < slots) {
      // Eight a key.
      assertEquals(moving, (slots - index.slots) / 8);
      moving = 0;
    }
  }
  assertEquals([grown, moving], [5, 0]);
});

Deno.test("an index that is cleared while slots are moved holds nothing", () => {
  const prng = new Prng(9);
  const index = new KeyIndex();
  const hashes = Array.from({ length: 130 }, () => prng.u32());
  for (const [i, hash] of hashes.entries()) index.add(hash, 8 * (i + 2));
  assert((index.slots & (index.slots - 1)) !== 0);
  index.clear();
  assertEquals(hashesOf(index), []);
  for (const hash of hashes) assertEquals(index.find(hash, 0), 0);
  for (const [i, hash] of hashes.entries()) index.add(hash, 8 * (i + 2));
  assertEquals(hashesOf(index).length, 130);
});
