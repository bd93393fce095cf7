// deno-lint-ignore-file no-console -- a program that prints what it measured
/**
 * What compression of the bottom saves and costs, on the bench's values, which
 * compress to about half.
 *
 * ```
 * deno run -A bench/compression.ts [--entries 300000] [--rounds 3]
 * ```
 *
 * The same entries in no order, written, compacted, and read from a store with
 * and one without compression, in turns. `cached`: random gets of blocks that
 * are all in the cache; `large`: with a cache of an eighth of the data, from the
 * page cache; `scan`: all entries in order. Prints the median of the rounds.
 */

import { DenoFiles } from "../runtime/deno/mod.ts";
import { type Compression, type Lsm, openLsm } from "../engine/mod.ts";
import {
  ENTRY_BYTES,
  expectedSum,
  keysOf,
  sampleOf,
  shuffled,
  uniform,
  Values,
} from "./engine/data.ts";

const READS = 30_000;
const BATCH = 1000;

function option(name: string, fallback: number): number {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(Deno.args[at + 1]);
}

const entries = option("entries", 300_000);
const dataBytes = entries * ENTRY_BYTES;

// One value an entry: what repeats does so inside a value only.
const values = new Values(entries);
const order = shuffled(entries, 1);
const orderKeys = keysOf(order);
const reads = uniform(READS, entries, 2);
const keys = keysOf(reads);

/** What was measured of each store, round by round. */
const figures = new Map<string, number[]>();

function note(name: string, value: number): void {
  const known = figures.get(name);
  if (known === undefined) figures.set(name, [value]);
  else known.push(value);
}

function median(name: string): number {
  const sorted = figures.get(name)!.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

async function openWith(
  dir: string,
  compression: Compression,
  cacheBytes: number,
): Promise<Lsm> {
  return await openLsm(dir, {
    files: new DenoFiles(),
    compression,
    cacheBytes,
  });
}

async function measure(compression: Compression): Promise<void> {
  const dir = Deno.makeTempDirSync();
  try {
    let store = await openWith(dir, compression, dataBytes * 2);
    let began = performance.now();
    for (let at = 0; at < entries; at += BATCH) {
      await store.write(
        Array.from(
          order.subarray(at, at + BATCH),
          (index, n) => ({
            key: orderKeys[at + n]!,
            value: values.stamp(index, index, 0),
          }),
        ),
      );
    }
    await store.compact();
    note(`${compression} load s`, (performance.now() - began) / 1000);
    note(
      `${compression} bytes an entry`,
      store.metrics().tableBytes / entries,
    );
    for (const cache of ["cached", "large"]) {
      if (cache === "large") {
        await store.close();
        store = await openWith(dir, compression, dataBytes / 8);
      }
      for (const key of keys) store.get(key);
      began = performance.now();
      let sum = 0;
      for (const key of keys) sum += sampleOf(store.get(key));
      note(
        `${compression} ${cache} ns a get`,
        (performance.now() - began) * 1e6 / READS,
      );
      if (sum !== expectedSum(reads)) throw new Error("wrong data was read");
    }
    began = performance.now();
    const rows = store.iterate();
    let count = 0;
    while (rows.next()) count += rows.key.length + rows.value.length;
    if (count !== dataBytes) throw new Error("entries are missing");
    note(
      `${compression} scan ns an entry`,
      (performance.now() - began) * 1e6 / entries,
    );
    await store.close();
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

for (let round = option("rounds", 3); round > 0; round--) {
  for (const compression of ["none", "zstd"] as const) {
    await measure(compression);
  }
}
console.log("                       none      zstd     ratio");
for (const name of figures.keys()) {
  if (!name.startsWith("none ")) continue;
  const what = name.slice(5);
  const [none, zstd] = [median(name), median(`zstd ${what}`)];
  console.log(
    `${what.padEnd(20)}${none.toFixed(1).padStart(7)}${
      zstd.toFixed(1).padStart(10)
    }${(zstd / none).toFixed(2).padStart(10)}`,
  );
}
