// deno-lint-ignore-file no-console -- a program that prints what it measured
/**
 * How fast one node's face is: reads and writes of an embedded database on disk.
 *
 * ```
 * deno task bench              median of five rounds
 * deno task bench --rounds 3 --keys 20000 --json
 * ```
 *
 * Keys (16 bytes) and their order are made before the clock starts; values have
 * 100 random bytes; each round has a fresh directory. Timings on a shared machine
 * are noisy: compare rows of one run.
 */

import { type DB, open } from "../mod.ts";

function option(name: string, fallback: number): number {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(Deno.args[at + 1]);
}

const rounds = option("rounds", 5);
const count = option("keys", 100_000);
const encoder = new TextEncoder();
// 7919 is prime, so this visits every key once, in no order.
const keys = Array.from(
  { length: count },
  (_, i) => encoder.encode(`user${String(i * 7919 % count).padStart(12, "0")}`),
);
const value = crypto.getRandomValues(new Uint8Array(100));

/** Sets the first keys, with so many calls under way at once. */
async function setAll(db: DB, howMany: number, writers: number): Promise<void> {
  let next = 0;
  const write = async () => {
    while (next < howMany) await db.set(keys[next++]!, value);
  };
  await Promise.all(Array.from({ length: writers }, write));
}

/** Operations a second, by row and round. */
const results = new Map<string, { n: number; perSecond: number[] }>();

async function measure(
  row: string,
  n: number,
  run: () => void | Promise<void>,
): Promise<void> {
  const start = performance.now();
  await run();
  const rate = n / (performance.now() - start) * 1000;
  const result = results.get(row) ?? { n, perSecond: [] };
  result.perSecond.push(rate);
  results.set(row, result);
}

for (let round = 0; round < rounds; round++) {
  const dir = await Deno.makeTempDir({ prefix: "aspen-bench-" });
  try {
    const written = await open(dir, { durability: "written" });
    await measure(
      "set, written, 256 writers",
      count,
      () => setAll(written, count, 256),
    );
    await measure("getSync", count, () => {
      for (const key of keys) written.getSync(key);
    });
    await measure("get", count, async () => {
      for (const key of keys) await written.get(key);
    });
    await measure("listSync", count, () => {
      for (const { key } of written.listSync()) if (key.length === 0) return;
    });
    await measure("count", count, async () => {
      await written.count();
    });
    await written.close();
    const synced = await open(dir);
    const few = Math.ceil(count / 20);
    const fewer = Math.ceil(few / 10);
    await measure(
      "set, synced, 1 writer",
      fewer,
      () => setAll(synced, fewer, 1),
    );
    await measure(
      "set, synced, 64 writers",
      few,
      () => setAll(synced, few, 64),
    );
    await synced.close();
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const rows = [...results].map(([row, { n, perSecond }]) => {
  const sorted = perSecond.toSorted((a, b) => a - b);
  return {
    row,
    n,
    rounds: sorted.length,
    opsPerSec: Math.round(sorted[sorted.length >> 1]!),
    opsPerSecMin: Math.round(sorted[0]!),
    opsPerSecMax: Math.round(sorted.at(-1)!),
  };
});
if (Deno.args.includes("--json")) {
  for (const row of rows) console.log(JSON.stringify(row));
} else console.table(rows);
