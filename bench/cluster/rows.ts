/**
 * The rows of `bench:cluster`: what each has real processes do, and what is asked
 * of it.
 *
 * Every row opens its own nodes, in directories of its own, and checks at its end
 * that all of them hold the same.
 */

import { GC_FLAG } from "../engine/meter.ts";
import { median } from "../engine/report.ts";
import { RemoteNode } from "../../tests/real/remote_node.ts";
import type { OpenOptions, Token } from "../../mod.ts";
import { ProxyNetwork } from "../../tests/real/chaos/proxy.ts";

const PROGRAM = new URL("node.ts", import.meta.url);
/** Reached by failures only, in milliseconds. */
const PATIENCE_MS = 300_000;

/** What a row is measured with. */
export interface RowContext {
  /** Entries of a store. */
  readonly entries: number;
  /** How long a row that goes by time lasts, in milliseconds. */
  readonly lastMs: number;
  /** A directory of its own. */
  readonly dir: string;
}

/** What a row came to. */
export type Figures = Readonly<Record<string, number>>;

/** What is asked of a figure. */
export interface Target {
  readonly field: string;
  readonly floor: number;
  /** Whether less is better. */
  readonly atMost?: boolean;
}

/** One kind of work. */
export interface Row {
  readonly name: string;
  /** What it measures, for people. */
  readonly what: string;
  readonly targets: readonly Target[];
  run(context: RowContext): Promise<Figures>;
}

const atMost = (field: string, floor: number): Target => ({
  field,
  floor,
  atMost: true,
});
const atLeast = (field: string, floor: number): Target => ({ field, floor });

/** All rows. */
export const ROWS: readonly Row[] = [
  {
    name: "visible",
    what: "commit on one of three until it can be read on all",
    targets: [atMost("p50Ms", 5), atMost("p99Ms", 25)],
    run: visible,
  },
  writesRow("writes.one", "one of three nodes writes", 25_000, {
    origins: 1,
    writers: 256,
    durability: "written",
  }),
  writesRow("writes.three", "each of three nodes writes", 25_000, {
    origins: 3,
    writers: 256,
    durability: "written",
  }),
  writesRow("writes.synced", "one of three nodes writes, synced", 8000, {
    origins: 1,
    writers: 64,
    durability: "synced",
  }),
  {
    name: "reads.busy",
    what:
      "gets on a replica that takes 10,000 writes a second, by those at rest",
    targets: [atLeast("ratio", 0.7)],
    run: readsBusy,
  },
  {
    name: "reads.facade",
    what: "gets of a database by those of its bare engine",
    targets: [atLeast("awaitRatio", 0.75), atLeast("syncRatio", 0.75)],
    run: readsFacade,
  },
  {
    name: "heal",
    what:
      "two and one of three apart, as many writes on either side, then equal",
    targets: [atMost("healMs", 3000)],
    run: heal,
  },
  {
    name: "join",
    what: "a node joins, and takes all entries from one of two",
    targets: [
      atLeast("opsPerSec", 100_000),
      atMost("peakMb", 200),
      atMost("donorP99Ms", 10),
    ],
    run: join,
  },
];

/** Nodes of one row, each a process. */
class Nodes implements AsyncDisposable {
  readonly all: RemoteNode[] = [];
  readonly #dir: string;
  readonly #options: OpenOptions;

  constructor(dir: string, options: OpenOptions = {}) {
    this.#dir = dir;
    this.#options = options;
  }

  /** Opens one more; through a proxy, if it is to be cut off. */
  async add(proxy?: ProxyNetwork): Promise<RemoteNode> {
    const at = this.all.length;
    const place = await proxy?.place();
    const peers = this.all.map(({ address }) => address);
    const node = await RemoteNode.start({
      program: PROGRAM,
      permissions: ["-A", GC_FLAG],
      startMs: PATIENCE_MS,
      dir: `${this.#dir}/${at}`,
      open: {
        address: "127.0.0.1:0",
        ...at === 0 ? { bootstrap: true } : { peers },
        ...this.#options,
      },
      ...place?.via !== undefined && { via: { proxy: place.via, name: at } },
    });
    this.all.push(node);
    proxy?.located(at, node.address);
    return node;
  }

  /** When all others have what one has now, in milliseconds since the epoch. */
  async level(): Promise<number> {
    const tokens = await Promise.all(
      this.all.map((node) => node.call<Token>({ name: "token" })),
    );
    const reached = this.all.flatMap((node) =>
      tokens.map((token) =>
        node.call<number>({ name: "reached", token, timeoutMs: PATIENCE_MS })
      )
    );
    return Math.max(...await Promise.all(reached));
  }

  /** Throws unless all hold the same; gives how many entries that is. */
  async assertSame(): Promise<number> {
    const sums = [];
    for (const node of this.all) {
      sums.push(
        await node.call<{ count: number; sum: string }>({ name: "sum" }),
      );
    }
    for (const { count, sum } of sums) {
      if (count !== sums[0]!.count || sum !== sums[0]!.sum) {
        throw new Error(`Cannot go on: nodes differ: ${JSON.stringify(sums)}`);
      }
    }
    return sums[0]!.count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.all) await node[Symbol.asyncDispose]();
  }
}

async function visible({ dir, lastMs }: RowContext): Promise<Figures> {
  await using nodes = new Nodes(dir);
  for (let i = 0; i < 3; i++) await nodes.add();
  const [origin, ...others] = nodes.all;
  const gapMs = 10;
  const count = Math.round(lastMs / gapMs / 3);
  const arrived = others.map((node) =>
    node.call<number[]>({ name: "arrivals", count })
  );
  const started = await origin!.call<number[]>({
    name: "commits",
    count,
    ms: gapMs,
  });
  const seen = await Promise.all(arrived);
  const took = started.map((at, i) =>
    Math.max(...seen.map((times) => times[i]!)) - at
  ).sort((a, b) => a - b);
  await nodes.assertSame();
  return {
    n: count,
    p50Ms: quantile(took, 0.5),
    p99Ms: quantile(took, 0.99),
    maxMs: quantile(took, 1),
  };
}

function writesRow(
  name: string,
  what: string,
  floor: number,
  kind: {
    readonly origins: number;
    readonly writers: number;
    readonly durability: "written" | "synced";
  },
): Row {
  const run = async ({ dir, entries, lastMs }: RowContext) => {
    const { origins, writers, durability } = kind;
    await using nodes = new Nodes(dir, { durability });
    for (let i = 0; i < 3; i++) await nodes.add();
    const runs = await Promise.all(
      nodes.all.slice(0, origins).map((node, at) =>
        node.call<
          { n: number; startedAt: number; p50Ms: number; p99Ms: number }
        >({ name: "write", entries, at, of: origins, writers, ms: lastMs })
      ),
    );
    const appliedAt = await nodes.level();
    const quiet = await Promise.all(
      nodes.all.map((node) => node.call<number>({ name: "quiet" })),
    );
    const startedAt = Math.min(...runs.map((run) => run.startedAt));
    const n = runs.reduce((sum, run) => sum + run.n, 0);
    await nodes.assertSame();
    const end = Math.max(appliedAt, ...quiet);
    return {
      n,
      opsPerSec: n / (end - startedAt) * 1000,
      appliedPerSec: n / (appliedAt - startedAt) * 1000,
      lagMs: appliedAt - startedAt - lastMs,
      p50Ms: Math.max(...runs.map(({ p50Ms }) => p50Ms)),
      p99Ms: Math.max(...runs.map(({ p99Ms }) => p99Ms)),
    };
  };
  return { name, what, targets: [atLeast("opsPerSec", floor)], run };
}

async function readsBusy(
  { dir, entries, lastMs }: RowContext,
): Promise<Figures> {
  const rate = 10_000;
  await using nodes = new Nodes(dir, { durability: "written" });
  const origin = await nodes.add();
  const few = Math.min(entries, 100_000);
  await origin.call({ name: "fill", entries: few });
  const replica = await nodes.add();
  await nodes.level();
  const ms = lastMs / 6;
  const read = () =>
    replica.call<{ opsPerSec: number }>({ name: "reads", entries: few, ms });
  const idle: number[] = [];
  const busy: number[] = [];
  let n = 0;
  let pacedMs = 0;
  await read();
  for (let round = 0; round < 3; round++) {
    await replica.call({ name: "quiet" });
    idle.push((await read()).opsPerSec);
    await origin.call({ name: "startPace", entries: few, rate });
    const start = performance.now();
    busy.push((await read()).opsPerSec);
    n += await origin.call<number>({ name: "stopPace" });
    pacedMs += performance.now() - start;
    await nodes.level();
  }
  await nodes.assertSame();
  return {
    n,
    opsPerSec: median(busy),
    idleOpsPerSec: median(idle),
    writesPerSec: n / pacedMs * 1000,
    ratio: median(busy) / median(idle),
  };
}

async function readsFacade({ dir, entries }: RowContext): Promise<Figures> {
  // As many as fit the cache of the database.
  const few = Math.min(entries, 100_000);
  const gets = 300_000;
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      GC_FLAG,
      new URL("facade.ts", import.meta.url).href,
      dir,
      String(few),
      String(gets),
    ],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("Cannot go on: the process failed");
  const rates = JSON.parse(new TextDecoder().decode(stdout));
  return {
    n: gets,
    opsPerSec: rates.dbAwait,
    awaitRatio: rates.dbAwait / rates.bareAwait,
    syncOpsPerSec: rates.dbSync,
    syncRatio: rates.dbSync / rates.bareSync,
  };
}

async function heal({ dir, entries }: RowContext): Promise<Figures> {
  // 100,000 on either side at the full size.
  const perSide = Math.ceil(entries / 10);
  await using proxy = new ProxyNetwork();
  await using nodes = new Nodes(dir, { durability: "written" });
  for (let i = 0; i < 3; i++) await nodes.add(proxy);
  const cut = async (isCut: boolean) => {
    for (const [a, b] of [[0, 2], [1, 2]] as const) {
      await proxy.setCut(a, b, isCut);
      await proxy.setCut(b, a, isCut);
    }
  };
  await cut(true);
  await Promise.all([0, 2].map((at) =>
    nodes.all[at]!.call({
      name: "fill",
      entries: 2 * perSide,
      at: at / 2,
      of: 2,
    })
  ));
  const start = performance.timeOrigin + performance.now();
  await cut(false);
  const equalAt = await nodes.level();
  const count = await nodes.assertSame();
  if (count !== 2 * perSide) {
    throw new Error(`Cannot go on: ${count} entries instead of ${2 * perSide}`);
  }
  return { n: count, healMs: equalAt - start };
}

async function join({ dir, entries }: RowContext): Promise<Figures> {
  await using nodes = new Nodes(dir, { durability: "written" });
  const donors = [await nodes.add(), await nodes.add()];
  await donors[0]!.call({ name: "fill", entries });
  await nodes.level();
  for (const donor of donors) {
    await donor.call({ name: "quiet" });
    await donor.call({ name: "startProbe", entries });
  }
  const joiner = await nodes.add();
  const openMs = await joiner.call<number>({ name: "openMs" });
  const probes = [];
  for (const donor of donors) {
    probes.push(
      await donor.call<{ p50Ms: number; p99Ms: number; maxMs: number }>({
        name: "stopProbe",
      }),
    );
  }
  const peakMb = await joiner.call<number>({ name: "peakMb" });
  await nodes.level();
  const count = await nodes.assertSame();
  return {
    n: count,
    opsPerSec: count / openMs * 1000,
    joinMs: openMs,
    peakMb,
    donorP50Ms: Math.max(...probes.map(({ p50Ms }) => p50Ms)),
    donorP99Ms: Math.max(...probes.map(({ p99Ms }) => p99Ms)),
    donorMaxMs: Math.max(...probes.map(({ maxMs }) => maxMs)),
  };
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!;
}
