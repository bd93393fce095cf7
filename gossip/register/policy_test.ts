import { assertEquals } from "@std/assert";
import type { Config } from "./config.ts";
import { electorateSize, type ElectorateStep, nextStep } from "./policy.ts";
import { votersConfig } from "./world_test.ts";

/** The next step where some nodes are down, or have been for long. */
function step(
  config: Config,
  { down = [], gone = [], votersMax = 5 }: {
    down?: readonly number[];
    gone?: readonly number[];
    votersMax?: number;
  } = {},
): ElectorateStep | undefined {
  return nextStep(config, {
    isHealthy: (node) => !down.includes(node) && !gone.includes(node),
    isGone: (node) => gone.includes(node),
    votersMax,
  });
}

const promote = (node: number, next?: number) => ({
  kind: "promote" as const,
  node,
  ...next !== undefined && { next },
});
const retire = (node: number) => ({ kind: "retire", node }) as const;

Deno.test("of so many members so many vote", () => {
  const sizes = [1, 2, 3, 4, 5, 6, 100].map((n) => electorateSize(n, 5));
  assertEquals(sizes, [1, 1, 3, 3, 5, 5, 5]);
  assertEquals(electorateSize(100, 3), 3);
  assertEquals(electorateSize(100, 1), 1);
});

Deno.test("an even number is passed through, and begun only where all that it takes are up", () => {
  assertEquals(step(votersConfig(1, 2)), undefined);
  assertEquals(step(votersConfig(1, 3), { down: [3] }), undefined);
  assertEquals(step(votersConfig(1, 3)), promote(2, 3));
  assertEquals(step(votersConfig(2, 3)), promote(3));
  assertEquals(step(votersConfig(3, 3)), undefined);
  assertEquals(step(votersConfig(3, 5), { down: [4] }), undefined);
  assertEquals(step(votersConfig(3, 5)), promote(4, 5));
  // Who was to be the third has gone meanwhile.
  assertEquals(step(votersConfig(2, 3), { down: [3] }), retire(2));
});

Deno.test("a voter that is gone is replaced by one that is up, and stays where there is none", () => {
  assertEquals(step(votersConfig(3, 4), { down: [2] }), undefined);
  assertEquals(step(votersConfig(3, 4), { gone: [2] }), promote(4));
  assertEquals(step(votersConfig(4, 4), { gone: [2] }), retire(2));
  assertEquals(step(votersConfig(3, 3), { gone: [2] }), undefined);
});

Deno.test("what is not settled is settled first, and more voters than are wanted retire", () => {
  const config = { ...votersConfig(3), settled: false };
  assertEquals(step(config, { gone: [2] }), { kind: "settle" });
  assertEquals(step(votersConfig(5), { votersMax: 3 }), retire(5));
  assertEquals(step(votersConfig(3, 3), { votersMax: 1 }), retire(3));
  assertEquals(step(votersConfig(2, 2)), retire(2));
  // One that does not answer is no loss.
  assertEquals(step(votersConfig(5), { votersMax: 3, down: [2] }), retire(2));
  assertEquals(step(votersConfig(4, 4), { down: [1] }), retire(1));
});
