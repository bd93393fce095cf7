// deno-lint-ignore-file no-console -- how it speaks to its parent
/**
 * Writes, reads and compacts values of 64 MiB under the default options, and says
 * how much memory the process took at most, in MiB.
 *
 * Arguments: directory, number of values.
 */

import { openLsm } from "../../../engine/mod.ts";
import { toBytes } from "../../../runtime/mod.ts";
import { denoRuntime } from "../../../runtime/deno/mod.ts";

const MiB = 2 ** 20;
const VALUE_BYTES = 64 * MiB;
const [dir, countText] = Deno.args;
const count = Number(countText);
const runtime = denoRuntime();
let peak = 0;
const look = (): void => {
  peak = Math.max(peak, Deno.memoryUsage().rss);
};
const value = new Uint8Array(VALUE_BYTES);
const idle = Deno.memoryUsage().rss;
const store = await openLsm(dir!, {
  files: runtime.files,
  random: runtime.random,
  yieldNow: () => {
    look();
    return new Promise((resolve) => {
      runtime.timers.set(resolve, 0, { persistent: true });
    });
  },
});
for (let i = 0; i < count; i++) {
  value.fill(i + 1);
  // Each key twice, so that a compaction has something to drop.
  await store.write([{ key: toBytes(`key ${i % 3}`), value }]);
  look();
}
await store.flush();
await store.compact();
look();
let right = 0;
for (let i = count - 3; i < count; i++) {
  const found = store.get(toBytes(`key ${i % 3}`));
  look();
  if (
    found?.length === VALUE_BYTES && found[0] === i + 1 &&
    found[VALUE_BYTES - 1] === i + 1
  ) right++;
}
const iterator = store.iterate();
while (iterator.next()) {
  if (iterator.value.length === VALUE_BYTES) right++;
  look();
}
await store.close();
console.log(
  JSON.stringify({
    right,
    idleMiB: Math.round(idle / MiB),
    peakMiB: Math.round(peak / MiB),
  }),
);
