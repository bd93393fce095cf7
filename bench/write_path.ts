// deno-lint-ignore-file no-console -- a program that prints what it measured
/**
 * The write path of two checkouts, side by side: rounds A B A B, each row and
 * round in its own process; medians and their ratio.
 *
 * ```
 * deno run -A bench/write_path.ts --against ../other --rounds 5 --n 300000
 * ```
 *
 * `cpuUs`: of all threads, by entry: it says more than the rate where the machine
 * is shared. 16-byte keys, 100-byte values, made before the clock starts. Rates are in
 * thousands a second; rows of writes end when the store is idle.
 */

import { cpuUsage } from "node:process";

const args = new Map<string, string>();
for (let i = 0; i + 1 < Deno.args.length; i += 2) {
  args.set(Deno.args[i]!.slice(2), Deno.args[i + 1]!);
}
const here = new URL("../", import.meta.url);
const ROWS = [
  "seq",
  "random",
  "overwrite",
  "put",
  "sync1",
  "sync64",
] as const;

const n = Number(args.get("n") ?? 300_000);
const row = args.get("row");
if (row !== undefined) {
  console.log(JSON.stringify(await measure(row, new URL(args.get("root")!))));
  Deno.exit(0);
}

const against = args.get("against");
const roots = [
  ...against === undefined
    ? []
    : [new URL(`${Deno.realPathSync(against)}/`, "file:///")],
  here,
];
const rows = args.get("rows")?.split(",") ?? ROWS;
const results = new Map<string, Record<string, number>[]>();
for (let round = 0; round < Number(args.get("rounds") ?? 3); round++) {
  for (const name of rows) {
    for (const root of roots) {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          "--no-check",
          import.meta.filename!,
          "--row",
          name,
          "--root",
          root.href,
          "--n",
          `${n}`,
        ],
        stderr: "inherit",
      }).output();
      const result = JSON.parse(new TextDecoder().decode(stdout));
      const key = `${name} ${root.href}`;
      results.set(key, [...results.get(key) ?? [], result]);
    }
  }
}
const table = rows.map((name) => {
  const line: Record<string, unknown> = { row: name };
  const [a, b] = roots.map((root) => medians(results.get(`${name} ${root}`)!));
  for (const field of Object.keys(a!)) {
    line[field] = b === undefined ? a![field] : `${a![field]} → ${b[field]}`;
  }
  if (b !== undefined) {
    line.ratio = (b.rate! / a!.rate!).toFixed(2);
    line.cpuRatio = (a!.cpuUs! / b.cpuUs!).toFixed(2);
  }
  return line;
});
console.table(table);

function medians(all: Record<string, number>[]): Record<string, number> {
  return Object.fromEntries(
    Object.keys(all[0]!).map((field) => {
      const sorted = all.map((each) => each[field]!).sort((a, b) => a - b);
      return [field, Number(sorted[sorted.length >> 1]!.toFixed(1))];
    }),
  );
}

/** Keys 0 to count - 1 as 16 bytes each, in order or in a fixed disorder. */
function makeKeys(count: number, order: "sorted" | "random"): Uint8Array[] {
  const keys = Array.from(
    { length: count },
    (_, i) => new TextEncoder().encode(String(i).padStart(16, "0")),
  );
  if (order === "random") {
    let seed = 12345;
    for (let i = count - 1; i > 0; i--) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      const other = Math.floor(seed / 2 ** 32 * (i + 1));
      [keys[i], keys[other]] = [keys[other]!, keys[i]!];
    }
  }
  return keys;
}

async function measure(
  name: string,
  root: URL,
): Promise<Record<string, number>> {
  const { openLsm } = await import(new URL("engine/mod.ts", root).href);
  const deno = await import(new URL("runtime/deno/mod.ts", root).href);
  const runtime = deno.denoRuntime();
  const dir = Deno.makeTempDirSync({ prefix: "aspen-write-" });
  const store = await openLsm(`${dir}/store`, {
    files: runtime.files,
    random: runtime.random,
    workers: args.get("worker") === "no" ? undefined : runtime.workers,
    cacheBytes: 64 * 2 ** 20,
    yieldNow: () =>
      new Promise((resolve) => {
        runtime.timers.set(resolve, 0, { persistent: true });
      }),
  });
  const values = Array.from({ length: 1000 }, () => {
    const value = crypto.getRandomValues(new Uint8Array(100));
    return value.fill(0x61, 50);
  });
  try {
    return await run(name, store);
  } finally {
    await store.close();
    Deno.removeSync(dir, { recursive: true });
  }

  // deno-lint-ignore no-explicit-any -- either checkout's store
  async function run(name: string, store: any) {
    const batched = name === "seq" || name === "random" || name === "overwrite";
    const keys = makeKeys(
      batched ? n : Math.min(n, 100_000),
      name === "seq" ? "sorted" : "random",
    );
    const writeAll = async () => {
      for (let at = 0; at < keys.length; at += 1000) {
        const batch = [];
        for (let i = at; i < at + 1000 && i < keys.length; i++) {
          batch.push({ key: keys[i]!, value: values[i % 1000]! });
        }
        await store.write(batch);
      }
    };
    if (name === "overwrite") await writeAll();
    let longest = 0;
    const gaps: number[] = [];
    let last = performance.now();
    let watching = batched;
    const tick = () => {
      const now = performance.now();
      gaps.push(now - last);
      longest = Math.max(longest, now - last);
      last = now;
      if (watching) setTimeout(tick, 0);
    };
    if (watching) setTimeout(tick, 0);
    const start = performance.now();
    const cpu = cpuUsage();
    let count = keys.length;
    if (batched) {
      const passes = name === "overwrite" ? Number(args.get("passes") ?? 2) : 1;
      for (let pass = 0; pass < passes; pass++) await writeAll();
      count *= passes;
      await store.idle();
    } else if (name === "put") {
      for (let i = 0; i < keys.length; i++) {
        await store.write([{ key: keys[i]!, value: values[i % 1000]! }]);
      }
    } else {
      const writers = name === "sync1" ? 1 : 64;
      count = writers * 200;
      let next = 0;
      await Promise.all(Array.from({ length: writers }, async () => {
        while (next < count) {
          const i = next++;
          await store.write([{ key: keys[i]!, value: values[i % 1000]! }], {
            sync: true,
          });
        }
      }));
    }
    const ms = performance.now() - start;
    const { user, system } = cpuUsage(cpu);
    watching = false;
    gaps.sort((a, b) => a - b);
    const stats = store.stats();
    return {
      rate: count / ms,
      cpuUs: (user + system) / count,
      longestMs: longest,
      p999Ms: gaps[Math.floor(gaps.length * 0.999)] ?? 0,
      rssMb: Deno.memoryUsage().rss / 2 ** 20,
      writeAmp: stats.writeAmplification ?? 0,
      tables: stats.tables.reduce((a: number, b: number) => a + b, 0),
    };
  }
}
