// deno-lint-ignore-file no-console -- how it answers
/**
 * Gets of a database beside gets of the bare engine below it, in one process: the
 * same entries, from tables in the cache, in rounds that take turns.
 *
 * Arguments: directory, entries, gets a round. Prints one line of JSON: the medians,
 * in gets a second.
 */

import { openLsm } from "../../engine/mod.ts";
import { open } from "../../mod.ts";
import { denoRuntime } from "../../runtime/deno/mod.ts";
import {
  assertSame,
  expectedSum,
  keysOf,
  sampleOf,
  shuffled,
  uniform,
  Values,
} from "../engine/data.ts";
import { collectGarbage } from "../engine/meter.ts";
import { median } from "../engine/report.ts";

const ROUNDS = 7;
const BATCH = 1000;

const [dir, entriesText, getsText] = Deno.args;
const entries = Number(entriesText);
const gets = Number(getsText);
const { files, random, clock } = denoRuntime();
await using bare = await openLsm(`${dir}/bare`, { files, random, clock });
await using below = await openLsm(`${dir}/db`, { files, random, clock });
await using db = await open(`${dir}/node`, {
  engine: below,
  durability: "written",
});

const order = shuffled(entries, 11);
const all = keysOf(order);
const values = new Values(BATCH);
for (let from = 0; from < entries; from += BATCH) {
  const batch = Array.from(
    order.subarray(from, from + BATCH),
    (index, i) => ({ key: all[from + i]!, value: values.stamp(i, index, 0) }),
  );
  await bare.write(batch);
  await db.commit({ ops: batch.map((op) => ({ type: "set", ...op })) });
}
// Both from tables, at rest.
for (const engine of [bare, below]) {
  await engine.flush();
  await engine.idle();
}

const picks = uniform(gets, entries, 5);
const keys = keysOf(picks);
const want = expectedSum(picks);
const rates: Record<string, number[]> = {};
for (let round = 0; round < ROUNDS + 1; round++) {
  const passes: [string, () => number | Promise<number>][] = [
    ["dbSync", () => {
      let sum = 0;
      for (const key of keys) sum += sampleOf(db.getSync(key));
      return sum;
    }],
    ["bareSync", () => {
      let sum = 0;
      for (const key of keys) sum += sampleOf(bare.get(key));
      return sum;
    }],
    ["dbAwait", async () => {
      let sum = 0;
      for (const key of keys) sum += sampleOf(await db.get(key));
      return sum;
    }],
    ["bareAwait", async () => {
      let sum = 0;
      for (const key of keys) sum += sampleOf(await bare.get(key));
      return sum;
    }],
  ];
  for (let i = 0; i < passes.length; i++) {
    const [name, pass] = passes[(i + round) % passes.length]!;
    collectGarbage();
    const start = performance.now();
    const sum = await pass();
    const rate = gets / (performance.now() - start) * 1000;
    assertSame("the sum of what was read", sum, want);
    // The first round warms up.
    if (round > 0) (rates[name] ??= []).push(rate);
  }
}
const medians = Object.entries(rates).map(([name, all]) => [
  name,
  median(all),
]);
console.log(JSON.stringify(Object.fromEntries(medians)));
