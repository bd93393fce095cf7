// deno-lint-ignore-file no-console -- how it speaks to its parent
/**
 * Writes batches without end, several at a time, while memtables are flushed and
 * a thread compacts. Each line of the expected-state file is with the system
 * before the program goes on: `p 7` before batch 7 is handed in, `a 7` once it
 * was acknowledged, `e flush` or `e compaction` for what happened meanwhile.
 *
 * Arguments: directory, expected-state file, seed, round.
 */

import { openLsm } from "../../../engine/mod.ts";
import { toBytes, toText } from "../../../runtime/mod.ts";
import { denoRuntime } from "../../../runtime/deno/mod.ts";
import { Prng } from "../../../runtime/virtual/mod.ts";
import { COUNT_KEY, killBatch } from "../kill_history.ts";

const [dir, expected, seedText, roundText] = Deno.args;
const seed = Number(seedText);
const round = Number(roundText);
const runtime = denoRuntime();
const file = Deno.openSync(expected!, { append: true, create: true });
const note = (line: string): void => {
  file.writeSync(toBytes(`${line}\n`));
};
console.log("opens");
const store = await openLsm(dir!, {
  files: runtime.files,
  random: runtime.random,
  memtableBytes: 16 * 1024,
  tableBytes: 16 * 1024,
  blockBytes: 2048,
  levelBytes: 64 * 1024,
  cacheBytes: 256 * 1024,
  openFilesMax: 8,
  workers: runtime.workers,
  workerBytes: 0,
  yieldNow: () =>
    new Promise((resolve) => {
      runtime.timers.set(resolve, 0, { persistent: true });
    }),
  onEvent: (event) => {
    if (event.type === "flush" || event.type === "compaction") {
      note(`e ${event.type}`);
    } else if (event.type === "workerFailed" || event.type === "poisoned") {
      note(`e ${event.type} ${event.error}`);
    }
  },
});
const count = store.get(toBytes(COUNT_KEY));
let next = count === undefined ? 1 : Number(toText(count)) + 1;
console.log("writes");

async function write(random: Prng): Promise<void> {
  const i = next++;
  const batch = killBatch(seed, round, i);
  const sync = random.below(50) === 0;
  note(`p ${i}`);
  await store.write(batch, { sync });
  note(`a ${i}`);
}

for (let writer = 0; writer < 4; writer++) {
  const random = new Prng(seed, `round ${round}, writer ${writer}`);
  void (async () => {
    for (;;) {
      const writes = Array.from(
        { length: 1 + random.below(4) },
        () => write(random),
      );
      await Promise.all(writes);
    }
  })();
}
