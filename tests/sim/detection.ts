/**
 * How soon nodes that are gone are found out, and that no others are: the rows of
 * `deno task simulate --scenario detection` and `--scenario membership`.
 *
 * Guarantees: times are virtual, of nodes with default settings, from the moment
 * of the fault until the last of the others says so; one seed gives one row.
 *
 * @module
 */

import type { DB } from "../../mod.ts";
import { SimCluster } from "./cluster.ts";

/** What a row came to. */
export interface DetectionRow {
  readonly row: string;
  /** How many times it was measured. */
  readonly n: number;
  /** In milliseconds; of rows that count deaths, none. */
  readonly p50?: number;
  readonly p99?: number;
  readonly max?: number;
  /** Bytes that a node sends a second, of rows that count them. */
  readonly bytesPerNodeS?: number;
  /** Nodes that ran and that others called dead. */
  readonly falseDeaths: number;
  /** Whether it is within what is promised. */
  readonly met: boolean;
}

/** A row: what to do in one world, and what is promised of it. */
export interface RowKind {
  readonly row: string;
  readonly nodes: number;
  /** Worlds that it takes by itself; the others take as many as asked for. */
  readonly worlds?: number;
  readonly promise: {
    readonly p50?: number;
    readonly p99?: number;
    readonly bytesPerNodeS?: number;
  };
  readonly hours: number;
  readonly measure: (watched: Watched) => Promise<number[]>;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Trials in one world of the rows that time a fault. */
const TRIALS = 5;

/** A cluster whose deaths are written down. */
export class Watched {
  readonly cluster: SimCluster;
  readonly names: string[];
  readonly dbs: DB[] = [];
  /** The node that a fault befalls. */
  readonly victim: string;
  falseDeaths = 0;
  bytesPerNodeS: number | undefined;
  /** Whether the victim counts as gone, or everybody does. */
  gone: "nobody" | "victim" | "all" = "nobody";

  constructor(seed: number, nodes: number) {
    this.cluster = new SimCluster({ seed });
    this.names = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
    this.victim = this.names.at(-1)!;
  }

  async open(): Promise<void> {
    this.dbs.push(...await this.cluster.openAll(this.names));
    for (const db of this.dbs) this.#watch(db);
  }

  /** How long it takes, trial by trial, until a victim that is struck is dead. */
  async trials(
    strike: () => void,
    mend: () => void | Promise<void>,
  ): Promise<number[]> {
    const took: number[] = [];
    for (let i = 0; i < TRIALS; i++) {
      await this.cluster.world.sleep(5000 + i * 237);
      this.gone = "victim";
      strike();
      took.push(await this.timeUntil("dead"));
      await mend();
      await this.timeUntilHealthy();
      this.gone = "nobody";
    }
    return took;
  }

  /** So many nodes more join at once, through the three that there are. */
  async join(count: number): Promise<void> {
    const peers = this.names.map((name) => this.cluster.address(name));
    const names = Array.from({ length: count }, (_, i) => `j${i + 1}`);
    this.names.push(...names);
    const joined = await Promise.all(
      names.map((name) => this.cluster.open(name, { peers })),
    );
    for (const db of joined) this.#watch(db);
    this.dbs.push(...joined);
    const keys = new Set(this.dbs.map((db) => db.cluster.host.key));
    if (keys.size < this.dbs.length) {
      throw new Error("Cannot go on: two nodes have one key");
    }
  }

  /** Throws unless each of the first nodes calls each of the others dead. */
  assertParted(first: number): void {
    for (const a of this.dbs.slice(0, first)) {
      for (const b of this.dbs.slice(first)) {
        for (const [one, other] of [[a, b], [b, a]] as const) {
          const { state } = one.cluster.node(other.cluster.host.key);
          if (state !== "dead") {
            throw new Error(`Cannot go on: a node that is cut off is ${state}`);
          }
        }
      }
    }
  }

  /** The victim starts anew from its disk. */
  async reopen(): Promise<void> {
    const db = await this.cluster.reopen(this.victim);
    this.dbs[this.dbs.length - 1] = db;
    this.#watch(db);
  }

  /** How long it takes until the others say so of the victim, in ms. */
  timeUntil(state: string): Promise<number> {
    const key = this.names.length;
    const others = this.dbs.slice(0, -1);
    return this.#timed(
      `the others say "${state}"`,
      () => others.every((db) => db.cluster.node(key).state === state),
    );
  }

  /** How long it takes until all say of all that they are healthy, in ms. */
  timeUntilHealthy(): Promise<number> {
    return this.#timed(
      "all are healthy",
      () =>
        this.dbs.every((db) =>
          [...db.cluster.nodes().values()].every(({ state }) =>
            state === "healthy"
          )
        ),
    );
  }

  #timed(what: string, condition: () => boolean): Promise<number> {
    return this.cluster.timed(() =>
      this.cluster.until(what, condition, 10 * MINUTE_MS)
    );
  }

  #watch(db: DB): void {
    void (async () => {
      for await (const changes of db.cluster.watch()) {
        for (const { node } of changes) {
          if (node.state !== "dead" || this.gone === "all") continue;
          const isVictim = node.key === this.names.length ||
            db.cluster.host.key === this.names.length;
          if (this.gone === "nobody" || !isVictim) this.falseDeaths++;
        }
      }
    })();
  }
}

const DETECTION: readonly RowKind[] = [
  {
    row: "detect.crash",
    nodes: 10,
    promise: { p50: 3000, p99: 6000 },
    hours: 1,
    measure: (watched) =>
      watched.trials(
        () => watched.cluster.kill(watched.victim),
        () => watched.reopen(),
      ),
  },
  {
    row: "detect.silent",
    nodes: 10,
    promise: { p50: 7000, p99: 12_000 },
    hours: 1,
    measure: (watched) =>
      watched.trials(
        () => watched.cluster.cut([watched.victim], watched.names.slice(0, -1)),
        () => watched.cluster.world.heal(),
      ),
  },
  {
    row: "false.stall",
    nodes: 10,
    worlds: 1,
    promise: {},
    hours: 2,
    async measure({ cluster, victim }) {
      for (let ms = 0; ms < HOUR_MS; ms += 20_000) {
        cluster.world.stall(victim, 4000);
        await cluster.world.sleep(20_000);
      }
      return [];
    },
  },
  {
    row: "false.loss",
    nodes: 50,
    worlds: 1,
    promise: {},
    hours: 2,
    async measure({ cluster, names }) {
      // A tenth of all links each minute, one after the other.
      let next = 0;
      const links = names.flatMap((a, i) =>
        names.slice(i + 1).map((b) => [a, b] as const)
      );
      const pauseMs = MINUTE_MS / (links.length / 10);
      for (let ms = 0; ms < HOUR_MS; ms += pauseMs) {
        const [a, b] = links[next]!;
        cluster.world.reset(a, b);
        next = (next + 7919) % links.length;
        await cluster.world.sleep(pauseMs);
      }
      return [];
    },
  },
];

const MEMBERSHIP: readonly RowKind[] = [
  {
    row: "join.storm",
    nodes: 3,
    promise: { p50: 10_000, p99: 10_000 },
    hours: 1,
    async measure(watched) {
      await watched.join(100);
      return [await watched.timeUntilHealthy()];
    },
  },
  ...[10, 50].map((nodes): RowKind => ({
    row: `idle.${nodes}`,
    nodes,
    worlds: 1,
    promise: { bytesPerNodeS: 2000 },
    hours: 1,
    async measure(watched) {
      const { world } = watched.cluster;
      // What the joins have brought is told by then.
      await world.sleep(2 * MINUTE_MS);
      const before = world.sentBytes;
      await world.sleep(2 * MINUTE_MS);
      watched.bytesPerNodeS = (world.sentBytes - before) / nodes /
        (2 * MINUTE_MS / 1000);
      return [];
    },
  })),
  {
    row: "merge.24h",
    nodes: 10,
    worlds: 1,
    promise: { p50: 10_000, p99: 10_000 },
    hours: 25,
    async measure(watched) {
      const { cluster, names } = watched;
      watched.gone = "all";
      cluster.cut(names.slice(0, 5), names.slice(5));
      await cluster.world.sleep(24 * HOUR_MS);
      watched.assertParted(5);
      cluster.world.heal();
      return [await watched.timeUntilHealthy()];
    },
  },
];

/** The rows, by the name that `--scenario` takes. */
export const DETECTION_ROWS: ReadonlyMap<string, readonly RowKind[]> = new Map(
  [["detection", DETECTION], ["membership", MEMBERSHIP]],
);

/** Measures a row in so many worlds, of seeds from `seed` on. */
export async function measureRow(
  kind: RowKind,
  seed: number,
  worlds: number,
): Promise<DetectionRow> {
  const took: number[] = [];
  let falseDeaths = 0;
  let bytesPerNodeS: number | undefined;
  const count = kind.worlds ?? worlds;
  for (let each = seed; each < seed + count; each++) {
    const watched = new Watched(each, kind.nodes);
    await watched.cluster.world.run(async () => {
      await watched.open();
      took.push(...await kind.measure(watched));
      await watched.cluster.close();
    }, { maxMs: kind.hours * HOUR_MS });
    falseDeaths += watched.falseDeaths;
    bytesPerNodeS = watched.bytesPerNodeS;
  }
  took.sort((a, b) => a - b);
  const at = (share: number) =>
    took[Math.min(took.length - 1, Math.ceil(share * took.length) - 1)];
  const [p50, p99, max] = [at(0.5), at(0.99), at(1)].map((ms) =>
    ms && Math.round(ms)
  );
  const within = (ms: number | undefined, promised: number | undefined) =>
    promised === undefined || (ms !== undefined && ms <= promised);
  return {
    row: kind.row,
    n: took.length || count,
    ...p50 !== undefined && { p50, p99: p99!, max: max! },
    ...bytesPerNodeS !== undefined &&
      { bytesPerNodeS: Math.round(bytesPerNodeS) },
    falseDeaths,
    met: falseDeaths === 0 &&
      within(bytesPerNodeS, kind.promise.bytesPerNodeS) &&
      within(p50, kind.promise.p50) &&
      within(p99, kind.promise.p99),
  };
}
