// deno-lint-ignore-file no-console -- a program that prints what it measured
/**
 * The read path of the engine alone, to compare two checkouts of it in
 * interleaved rounds.
 *
 * ```
 * deno run -A bench/read_path.ts [--engines /a,/b] [--rounds 5] [--rows get,missing]
 *   [--entries 1000000] [--peers dir-with-node_modules]
 * ```
 *
 * `--engines` names checkouts (this one, without it); each round of each is its
 * own process. The store is made once for each, in a temporary directory, and compacted
 * as it comes to rest. Keys (16 bytes) and their order are made before the clock starts,
 * values have 100 bytes; `--cpu` measures processor time of all threads instead of
 * the clock's, for a machine that others use; every row ends with bytes the caller may keep. Prints ns
 * per operation, the median of the rounds, and each engine's share of the first's.
 */

import { createRequire } from "node:module";
import process from "node:process";

/** What this needs of an engine; older checkouts have no more. */
interface Engine {
  get(key: Uint8Array): Uint8Array | undefined;
  iterate(
    options: { reverse?: boolean; keysOnly?: boolean; prefix?: Uint8Array },
  ): Rows;
  write(batch: { key: Uint8Array; value: Uint8Array }[]): Promise<void>;
  flush(): Promise<void>;
  idle(): Promise<void>;
  close(): Promise<void>;
}

interface Rows {
  next(): boolean;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  close(): void;
}

const MiB = 2 ** 20;
const READS = 300_000;

function option(name: string, fallback: string): string {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? fallback : Deno.args[at + 1]!;
}

const entries = Number(option("entries", "1000000"));

function keyOf(i: number): Uint8Array {
  return new TextEncoder().encode(String(i).padStart(16, "0"));
}

/** Keys of entries in an order of no order, the same in every process. */
function someKeys(count: number, spoil: boolean): Uint8Array[] {
  let state = 88172645;
  return Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const key = keyOf((state >>> 0) % entries);
    // Missing keys lie among those that are there.
    if (spoil) key[15]! += 32;
    return key;
  });
}

async function openEngine(
  root: string,
  dir: string,
  cacheBytes: number,
): Promise<Engine> {
  const { openLsm } = await import(`file://${root}/engine/mod.ts`);
  const { DenoFiles } = await import(`file://${root}/runtime/deno/files.ts`);
  return await openLsm(dir, { files: new DenoFiles(), cacheBytes });
}

async function openPeer(name: string, dir: string): Promise<Engine> {
  const require = createRequire(`${option("peers", "")}/package.json`);
  if (name === "lmdb") {
    const db = require("lmdb").open({
      path: `${dir}/db.lmdb`,
      keyEncoding: "binary",
      encoding: "binary",
      noSync: true,
      cache: false,
      compression: false,
    });
    return {
      get: (key) => db.getBinary(key),
      iterate(options) {
        const range = db.getRange({ reverse: options.reverse ?? false });
        const rows = range[Symbol.iterator]();
        let row: { key: Uint8Array; value: Uint8Array };
        return {
          next() {
            const result = rows.next();
            row = result.value;
            return !result.done;
          },
          get key() {
            return row.key;
          },
          get value() {
            return row.value;
          },
          close() {},
        };
      },
      async write(batch) {
        await db.transactionSync(() => {
          for (const { key, value } of batch) db.putSync(key, value);
        });
      },
      async flush() {},
      async idle() {},
      close: () => db.close(),
    };
  }
  const { ClassicLevel } = require("classic-level");
  const db = new ClassicLevel(`${dir}/level`, {
    keyEncoding: "view",
    valueEncoding: "view",
    cacheSize: Number(Deno.env.get("CACHE") ?? 256) * MiB,
  });
  await db.open();
  return {
    get: (key) => db.getSync(key),
    iterate: () => {
      throw new Error("Cannot iterate: awaited only");
    },
    write: (batch) =>
      db.batch(batch.map(({ key, value }) => ({ type: "put", key, value }))),
    async flush() {},
    async idle() {},
    close: () => db.close(),
  };
}

function openAny(root: string, dir: string, cache: number): Promise<Engine> {
  return root.startsWith("/")
    ? openEngine(root, dir, cache)
    : openPeer(root, dir);
}

async function fill(root: string, dir: string): Promise<void> {
  const store = await openAny(root, dir, 64 * MiB);
  const value = crypto.getRandomValues(new Uint8Array(4096));
  // 7919 is prime: every entry once, in no order.
  for (let i = 0; i < entries; i += 1000) {
    const batch = Array.from({ length: 1000 }, (_, n) => {
      const key = keyOf((i + n) * 7919 % entries);
      const at = (i + n) % 3996;
      return { key, value: value.slice(at, at + 100) };
    });
    await store.write(batch);
  }
  await store.flush();
  await store.idle();
  await store.close();
}

function nowMs(): number {
  if (!Deno.args.includes("--cpu")) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

let kept = 0;

function readAll(store: Engine, keys: Uint8Array[]): void {
  for (const key of keys) kept += store.get(key)?.length ?? 0;
}

async function awaitAll(store: Engine, keys: Uint8Array[]): Promise<void> {
  for (const key of keys) kept += (await store.get(key))?.length ?? 0;
}

function scan(rows: Rows, values: boolean): number {
  let count = 0;
  while (rows.next()) {
    kept += rows.key.length;
    if (values) kept += rows.value.length;
    count++;
  }
  return count;
}

function lists(store: Engine, keys: Uint8Array[]): number {
  let count = 0;
  for (const key of keys) {
    count += scan(store.iterate({ prefix: key.subarray(0, 15) }), true);
  }
  return count;
}

/** Runs one row and gives ns per operation; warms up first where it is told. */
async function runRow(row: string, root: string, dir: string): Promise<number> {
  const cache = row.startsWith("large")
    ? 16
    : row.startsWith("half")
    ? 64
    : 512;
  const store = await openAny(root, dir, cache * MiB);
  const keys = someKeys(READS, row === "missing");
  const few = keys.slice(0, 20_000);
  let run: () => void | number | Promise<void>;
  if (row === "await") run = () => awaitAll(store, keys);
  else if (row === "forward") run = () => scan(store.iterate({}), true);
  else if (row === "reverse") {
    run = () => scan(store.iterate({ reverse: true }), true);
  } else if (row === "keysonly") {
    run = () => scan(store.iterate({ keysOnly: true }), false);
  } else if (row === "list10") run = () => lists(store, few);
  else if (row === "largescan") run = () => scan(store.iterate({}), true);
  else run = () => readAll(store, keys);
  // Blocks into the cache, code through the compilers.
  if (!row.endsWith("scan") && !row.includes("ward") && row !== "reverse") {
    readAll(
      store,
      Array.from({ length: entries / 20 }, (_, i) => keyOf(i * 20)),
    );
  }
  await run();
  const start = nowMs();
  const count = await run() ?? READS;
  const ns = (nowMs() - start) / count * 1e6;
  if (Deno.args.includes("--rss")) {
    console.error(row, root, Math.round(Deno.memoryUsage().rss / MiB), "MiB");
  }
  await store.close();
  return ns;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

if (Deno.args[0] === "--child") {
  const [, what, root, dir] = Deno.args as [string, string, string, string];
  if (what === "fill") await fill(root, dir);
  else console.log(JSON.stringify(await runRow(what, root, dir)));
  if (kept < 0) console.log(kept);
  Deno.exit();
}

async function child(what: string, root: string, dir: string): Promise<string> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      import.meta.filename!,
      "--child",
      what,
      root,
      dir,
      ...Deno.args,
    ],
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`Cannot measure ${what} of ${root}`);
  return new TextDecoder().decode(stdout);
}

const here = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const engines = option("engines", here).split(",");
const rows = option(
  "rows",
  "get,await,half,large,missing,forward,reverse,keysonly,list10",
).split(",");
const rounds = Number(option("rounds", "5"));
const base: string = option("dir", "") ||
  await Deno.makeTempDir({ prefix: "aspen-" });
const dirs: string[] = [];
for (const engine of engines) {
  await Deno.mkdir(base, { recursive: true });
  const dir = `${base}/${engine.replaceAll("/", "_")}`;
  dirs.push(dir);
  try {
    await Deno.mkdir(dir, { recursive: false });
  } catch {
    continue; // An earlier run's.
  }
  await child("fill", engine, dir);
}
for (const row of rows) {
  const results = engines.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [n, engine] of engines.entries()) {
      const scans = row.endsWith("ward") || row === "reverse";
      if (scans && engine.startsWith("classic")) continue;
      try {
        results[n]!.push(JSON.parse(await child(row, engine, dirs[n]!)));
      } catch {
        results[n]!.push(NaN);
      }
    }
  }
  const first = median(results[0]!);
  console.log(
    row.padEnd(10),
    ...engines.map((engine, n) => {
      const ns = median(results[n]!);
      return `${engine}: ${ns.toFixed(0)} ns (${(first / ns).toFixed(2)} x)`;
    }),
  );
}
if (option("dir", "") === "") await Deno.remove(base, { recursive: true });
