/** Long campaigns of the engine alone: `deno task test:long`. */

import { assert } from "@std/assert";
import { effort } from "../../engine/testing/effort.ts";
import { runLives } from "../../engine/testing/lives.ts";

// The tests that the default run only samples, with every crash point and byte.
effort.full = true;
await import("../../engine/crash_test.ts");
await import("../../engine/corruption_test.ts");
await import("../../engine/model_test.ts");
await import("../../engine/failure_test.ts");
await import("../../engine/device_test.ts");
await import("../../engine/fuzz_test.ts");

/** Seeds a test; each lives eight lives of one store. */
const SEEDS = 1000;

for (let part = 0; part < 3; part++) {
  const from = 1 + part * SEEDS;
  Deno.test(`random lives of a store break no promise: seeds ${from} to ${from + SEEDS - 1}`, async () => {
    let acked = 0;
    for (let seed = from; seed < from + SEEDS; seed++) {
      const report = await runLives(seed, 8).catch((cause) => {
        throw new Error(`seed ${seed}: ${cause.message}`, { cause });
      });
      acked += report.acked;
    }
    assert(acked > 100 * SEEDS, `only ${acked} batches were acknowledged`);
  });
}
