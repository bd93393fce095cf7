/**
 * How far, how soon and how often rumours bring a record, over links of one delay:
 * the figures that reference/cluster.md §2.2 and the rows `sir.bytes` and
 * `sir.residue` of `deno task simulate --scenario replication` promise.
 */

import { assert, assertEquals } from "@std/assert";
import { RumourWorld } from "./testing/rumour_world.ts";

const OPS = 10_000;

/** Writes that share a micro-batch. */
const BURST = 10;

/** Copies of a record a node, and delays until the last node has it, at most. */
const PROMISED = [
  { nodes: 5, copies: 1.8, delays: 4 },
  { nodes: 10, copies: 2.8, delays: 5 },
  { nodes: 20, copies: 3.4, delays: 7 },
  { nodes: 50, copies: 3.8, delays: 9 },
];

/** 10,000 writes, of random nodes, so close to each other that many are under way. */
function spread(nodes: number, seed: number, loss: number): RumourWorld {
  const world = new RumourWorld({ nodes, seed, loss });
  for (let i = 0; i < OPS / BURST; i++) {
    world.at(i * 3, () => {
      const node = world.nodes[world.random.below(nodes)]!;
      for (let n = 0; n < BURST; n++) world.write(node);
    });
  }
  world.run();
  // Nothing is under way any more, and nothing is kept.
  for (const { rumours } of world.nodes) {
    assertEquals([rumours.bytes, rumours.dueAt], [0, Infinity]);
    const { susceptible, infected } = rumours.figures;
    assertEquals([susceptible, infected], [0, 0]);
  }
  return world;
}

for (const { nodes, copies, delays } of PROMISED) {
  Deno.test(`${nodes} nodes: of 10,000 records each comes to all within ${delays} delays, at most ${copies} copies a node`, () => {
    const world = spread(nodes, nodes, 0);
    assertEquals(world.missed(), 0);
    assertEquals(world.pulls, 0);
    const last = world.delays().at(-1)!;
    assert(last <= delays, `the last node waited ${last} delays`);
    const sent = world.copies;
    assert(sent / (OPS * nodes) <= copies, `${sent / (OPS * nodes)} copies`);
    // What this protocol comes to: once to each node.
    assertEquals(sent, OPS * (nodes - 1));
    assertEquals(world.sum(({ rumours }) => rumours.figures.redundant), 0);
    // And at each node its spread ended, since all have it.
    assertEquals(
      world.sum(({ rumours }) => rumours.figures.recovered),
      OPS * nodes,
    );
    assert(world.feedbacks <= 1.2 * OPS * nodes / BURST, `${world.feedbacks}`);
  });

  Deno.test(`${nodes} nodes: with 5 % of all messages lost at most 0.1 % is left to anti-entropy`, () => {
    const world = spread(nodes, nodes, 0.05);
    const residue = world.missed() / (OPS * nodes);
    assert(residue <= 0.001, `${residue} is missing`);
    const sent = world.copies;
    assert(sent / (OPS * nodes) <= copies, `${sent / (OPS * nodes)} copies`);
  });
}

Deno.test("a node that dies while rumours are under way keeps nobody else from them", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = new RumourWorld({ nodes: 20, seed });
    const victim = world.nodes[19]!;
    const others = world.nodes.slice(0, -1);
    for (let i = 0; i < 200; i++) {
      world.at(i * 3, () => world.write(others[world.random.below(19)]!));
    }
    world.run(300);
    world.kill(victim);
    world.run(6000);
    world.see(others);
    world.run();
    const lacking = others.filter(({ seqs }) => {
      for (const other of others) {
        for (const [origin, seq] of other.seqs) {
          if ((seqs.get(origin) ?? 0) < seq) return true;
        }
      }
      return false;
    });
    assertEquals(lacking.map(({ key }) => key), [], `seed ${seed}`);
    for (const { rumours } of others) assertEquals(rumours.bytes, 0);
  }
});

Deno.test("nodes whose lists of members differ bring records to all, without a flood", () => {
  const world = new RumourWorld({ nodes: 20, seed: 1 });
  // Half of them have not heard that the last one is gone.
  world.kill(world.nodes[19]!);
  const others = world.nodes.slice(0, -1);
  for (const node of others.slice(0, 10)) world.seeAlone(node, others);
  for (let i = 0; i < 200; i++) {
    world.at(i * 3, () => world.write(others[world.random.below(19)]!));
  }
  world.run();
  assertEquals(world.missed(19), 0);
  const sent = world.copies;
  assert(sent / (200 * 19) <= 8, `${sent / (200 * 19)} copies`);
});
