// deno-lint-ignore-file no-console -- how it speaks to its parent
/**
 * Writes into a store until tables were compacted, by a thread if there may be
 * one, says what happened, and ends as it is told: `closes` or `forgets`. It is
 * told too how many threads are to run at the same time.
 */

import { type LsmEvent, openLsm } from "../../../engine/mod.ts";
import { denoRuntime } from "../../../runtime/deno/mod.ts";

const [dir, ending, parallelism] = Deno.args;
const runtime = denoRuntime();
let threads = 0;
const events: LsmEvent[] = [];
const store = await openLsm(dir!, {
  files: runtime.files,
  random: runtime.random,
  memtableBytes: 100_000,
  tableBytes: 50_000,
  levelBytes: 200_000,
  workerBytes: 0,
  workers: {
    parallelism: Number(parallelism),
    start(module) {
      const thread = runtime.workers!.start(module);
      if (thread !== undefined) threads++;
      return thread;
    },
  },
  yieldNow: () =>
    new Promise((resolve) => {
      runtime.timers.set(resolve, 0, { persistent: true });
    }),
  onEvent: (event) => events.push(event),
});
const encoder = new TextEncoder();
for (let round = 0; round < 8; round++) {
  for (let at = 0; at < 2000; at += 100) {
    await store.write(Array.from({ length: 100 }, (_, i) => ({
      key: encoder.encode(String((at + i) * 7 % 2000).padStart(8, "0")),
      value: new Uint8Array(100).fill(round),
    })));
  }
}
await store.idle();
let right = 0;
const iterator = store.iterate();
while (iterator.next()) if (iterator.value[0] === 7) right++;
const merged =
  events.filter((event) => event.type === "compaction" && !event.moved).length;
const failed = events.filter((event) => event.type === "workerFailed").length;
console.log(JSON.stringify({ right, threads, failed, merges: merged > 3 }));
if (ending === "closes") await store.close();
