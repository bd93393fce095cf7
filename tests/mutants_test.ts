import { assert, assertEquals } from "@std/assert";
import { exists } from "@std/fs";
import { MUTANTS } from "./mutants_table.ts";
import {
  brokenBy,
  occurrences,
  parseCaughtBy,
  SEEDS,
} from "./mutants/mutant.ts";

const ROOT = new URL("../", import.meta.url);

Deno.test("every mutant finds its text exactly once, and its test file exists", async () => {
  for (const { name, file, find, replace, caughtBy } of MUTANTS) {
    const text = await Deno.readTextFile(new URL(file, ROOT));
    assertEquals(occurrences(text, find), 1, `${name}: "find" in ${file}`);
    assert(find !== replace, `${name} changes nothing`);
    if (caughtBy === SEEDS) continue;
    const test = parseCaughtBy(caughtBy).file;
    assert(await exists(new URL(test, ROOT)), `${name}: ${test} is not there`);
  }
});

Deno.test("no two mutants have one name", () => {
  const names = MUTANTS.map((mutant) => mutant.name);
  assertEquals(new Set(names).size, names.length);
});

Deno.test("lives catch a mutant by an invariant that they break, and by nothing else", () => {
  assertEquals(
    brokenBy("Check tests/simulate.ts\nseed 17: I2 does not hold\nseed 17:\n"),
    "seed 17: I2",
  );
  for (
    const output of [
      "error: Uncaught (in promise) TypeError: seed 17: a is undefined",
      "never happened: clone, putBack",
      "not judged: 1 lives",
    ]
  ) assertEquals(brokenBy(output), undefined);
});
