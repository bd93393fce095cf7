import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../runtime/virtual/mod.ts";
import { Recall } from "./recall.ts";

/** One that asks as `ask` says; who was asked, in order. */
function recalling(
  living: number,
  dead: () => number[],
  ask: () => Promise<void> = () => Promise.resolve(),
): { recall: Recall; asked: number[] } {
  const asked: number[] = [];
  const recall = new Recall({
    random: new Prng(1),
    living: () => living,
    dead,
    ask: (node) => {
      asked.push(node);
      return ask();
    },
  });
  return { recall, asked };
}

Deno.test("who is alone asks in each round, every one of the dead in its turn", async () => {
  const nodes = [2, 3, 4, 5, 6];
  const { recall, asked } = recalling(1, () => nodes);
  for (let i = 0; i < 10; i++) {
    recall.round();
    await null;
    await null;
  }
  assertEquals(asked.slice(0, 5).sort(), nodes);
  assertEquals(asked.slice(5).sort(), nodes);
});

Deno.test("all the living together ask one of the dead about once a round", async () => {
  const { recall, asked } = recalling(1000, () => [7]);
  for (let i = 0; i < 100_000; i++) {
    recall.round();
    await null;
    await null;
  }
  assert(asked.length > 60 && asked.length < 150, `${asked.length}`);
});

Deno.test("one is asked at a time, and who lives again is not asked", async () => {
  let answer = () => {};
  let nodes = [2, 3];
  const { recall, asked } = recalling(
    1,
    () => nodes,
    () => new Promise((resolve) => answer = resolve),
  );
  recall.round();
  recall.round();
  assertEquals(asked.length, 1);
  nodes = [asked[0]!];
  answer();
  await new Promise((resolve) => setTimeout(resolve));
  recall.round();
  assertEquals(asked, [nodes[0]!, nodes[0]!]);
  nodes = [];
  answer();
  await new Promise((resolve) => setTimeout(resolve));
  recall.round();
  assertEquals(asked.length, 2);
});
