/**
 * Any list of operations tells under any options what a sorted list in memory
 * tells. What fails is made smaller and printed, with what replays it:
 *
 * ```text
 * deno test --allow-read engine/model_test.ts -- SEED PATH "OPTION SET"
 * ```
 *
 * A list that found a defect is kept here, by its name.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { effort, times } from "./testing/effort.ts";
import { historyOfModel, historyOfStore } from "./testing/model.ts";
import { type Operation, operations } from "./testing/operations.ts";
import { OPTION_SETS } from "./testing/option_sets.ts";

/** Seeds of the default run: each set comes at least once. */
const SEEDS = 4;

/** Lists of a seed. */
const LISTS = 2;

/** Option sets that a list of the default run is carried out under. */
const SETS = 8;

/** Lists tried to make a failing one smaller, at most. */
const SHRINKS_MAX = 1000;

/** Carries a list out under one set; what it tells must be as expected. */
type CarryOut = (
  list: readonly Operation[],
  set: string,
  expected: readonly string[],
) => Promise<string[]>;

const onStore: CarryOut = (list, set, expected) =>
  historyOfStore(list, OPTION_SETS.get(set)!, expected);

/** The sets of a seed: each comes as often as any other. */
function setsOf(seed: number): string[] {
  const names = [...OPTION_SETS.keys()];
  if (effort.full) return names;
  return Array.from(
    { length: SETS },
    (_, i) => names[(seed * SETS + i) % names.length]!,
  );
}

/** Throws a message that says how to replay the smallest list that fails. */
async function compare(
  seed: number,
  sets: readonly string[],
  carryOut: CarryOut = onStore,
  path?: string,
): Promise<void> {
  let failing: string | undefined;
  let attempts = 0;
  const property = fc.asyncProperty(operations, async (list) => {
    // What has failed under one set is made smaller under that one.
    const tried = failing === undefined ? sets : [failing];
    if (failing !== undefined && ++attempts > SHRINKS_MAX) return;
    const expected = await historyOfModel(list);
    for (const set of tried) {
      try {
        assertEquals(await carryOut(list, set, expected), expected);
      } catch (error) {
        failing = set;
        throw error;
      }
    }
  });
  const details = await fc.check(property, {
    seed,
    numRuns: LISTS,
    ...(path === undefined ? {} : { path, endOnFailure: true }),
  });
  if (!details.failed) return;
  const [list] = details.counterexample!;
  const error = details.errorInstance as Error;
  throw new Error(
    `under "${failing}", ${error.message}
replay: deno test --allow-read engine/model_test.ts -- ${seed} ${details.counterexamplePath} "${failing}"
list: ${JSON.stringify(list)}`,
    { cause: error },
  );
}

const [replaySeed, replayPath, replaySet] = Deno.args;

Deno.test("any operations tell under any options what a sorted list tells", async () => {
  if (replaySeed !== undefined) {
    await compare(Number(replaySeed), [replaySet!], onStore, replayPath);
    return;
  }
  const seeds = times(SEEDS, 60);
  for (let seed = 0; seed < seeds; seed++) {
    await compare(seed, setsOf(seed));
  }
});

/** Lists that have found a defect, by what it was. */
const KEPT: Record<string, { set: string; list: Operation[] }> = {
  "an empty memtable was sealed, and its flush forgot the last sequence number":
    {
      set: "a memtable for each batch",
      list: [{
        do: "write",
        batches: [{ changes: [["\0", [0, 0]]], sync: false }],
      }],
    },
};

for (const [defect, { set, list }] of Object.entries(KEPT)) {
  Deno.test(`what is kept of lists that failed tells the right thing: ${defect}`, async () => {
    const expected = await historyOfModel(list);
    assertEquals(await onStore(list, set, expected), expected);
  });
}

Deno.test("there are enough option sets, and the seeds of a run take them all", () => {
  assert(OPTION_SETS.size >= 20, `${OPTION_SETS.size} option sets`);
  const taken = new Set<string>();
  for (let seed = 0; seed < SEEDS; seed++) {
    for (const set of setsOf(seed)) taken.add(set);
  }
  assertEquals([...taken].sort(), [...OPTION_SETS.keys()].sort());
});

/** A store that forgets the deletion of a range that has a start. */
const forgetful: CarryOut = (list, set, expected) =>
  onStore(
    list.filter((each) =>
      each.do !== "deleteRange" || each.range.start === undefined
    ),
    set,
    expected,
  );

Deno.test("a list that fails is made as small as it can be, and its replay fails too", async () => {
  const error = await assertRejects(
    () => compare(7, ["tiny"], forgetful),
    Error,
    'under "tiny", ',
  );
  const [, seed, path] = /-- (\d+) (\S+) "tiny"/.exec(error.message)!;
  const list = JSON.parse(/list: (.*)/.exec(error.message)![1]!);
  assert(list.length <= 3, error.message);
  const replayed = await assertRejects(
    () => compare(Number(seed), ["tiny"], forgetful, path),
    Error,
    "list: ",
  );
  assertEquals(
    JSON.parse(/list: (.*)/.exec(replayed.message)![1]!),
    list,
  );
});
