import { assert, assertEquals } from "@std/assert";
import { exists } from "@std/fs";
import { MUTANTS } from "./mutants_table.ts";
import { occurrences, parseCaughtBy, SEEDS } from "./mutants/mutant.ts";

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
