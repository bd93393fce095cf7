/**
 * How soon nodes that are gone are found out, and that no others are: the rows of
 * `deno task simulate --scenario detection` and `--scenario membership`.
 *
 * Guarantees: times are virtual, of nodes with default settings, from the moment
 * of the fault until the last of the others says so; one seed gives one row.
 *
 * @module
 */

import { type DB, PROPAGATION_DEFAULT } from "../../mod.ts";
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
  /** How far that is from another row's, as a share, if that was measured. */
  readonly apart?: number;
  /** Rounds of cluster gossip that the slowest took, of rows that count them. */
  readonly rounds?: number;
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
    /**
     * The bytes are at most this share away from those of another row, which is
     * measured before.
     */
    readonly apart?: { readonly row: string; readonly share: number };
    readonly rounds?: number;
  };
  readonly hours: number;
  /** Connections of a node, where they are not as many as by default. */
  readonly connectionsMax?: number;
  readonly measure: (watched: Watched) => Promise<number[]>;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Trials in one world of the rows that time a fault. */
const TRIALS = 5;

/** How long it may take until nobody has news to tell, in ms. */
const NEWS_MS = 20 * MINUTE_MS;

/** A cluster whose deaths are written down. */
export class Watched {
  readonly cluster: SimCluster;
  readonly names: string[];
  readonly dbs: DB[] = [];
  /** The node that a fault befalls. */
  readonly victim: string;
  falseDeaths = 0;
  bytesPerNodeS: number | undefined;
  /** Whether the times that were measured are told in rounds of gossip too. */
  inRounds = false;
  #victimKey = 0;
  /** When others heard of nodes that were added, by node key. */
  readonly #heard = new Map<number, { first: number; count: number }>();
  /** Whether the victim counts as gone, or everybody does. */
  gone: "nobody" | "victim" | "all" = "nobody";

  readonly #connectionsMax: number;

  constructor(
    seed: number,
    nodes: number,
    connectionsMax = PROPAGATION_DEFAULT.connectionsMax,
  ) {
    this.#connectionsMax = connectionsMax;
    const defaults = { propagation: { connectionsMax } };
    this.cluster = new SimCluster({ seed }, defaults);
    this.names = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
    this.victim = this.names.at(-1)!;
  }

  async open(): Promise<void> {
    const dbs = this.isLarge
      // Only who comes back needs a disk.
      ? this.cluster.openMany(
        this.names,
        (name) => name === this.victim ? "/data" : ":memory:",
      )
      : this.cluster.openAll(this.names);
    this.dbs.push(...await dbs);
    this.#victimKey = this.dbs.at(-1)!.cluster.host.key;
    for (const db of this.dbs) this.#watch(db);
  }

  /** Whether nodes are too many to be connected to all others. */
  get isLarge(): boolean {
    return this.names.length > this.#connectionsMax;
  }

  /**
   * Counts what nodes say to each other at rest: once nobody has news to tell of
   * those that have joined.
   */
  async rest(): Promise<void> {
    const { world } = this.cluster;
    const ms = this.isLarge ? MINUTE_MS / 2 : 2 * MINUTE_MS;
    const end = world.now + NEWS_MS;
    while (this.dbs.some((db) => db.metrics().detection.news > 0)) {
      if (world.now > end) {
        throw new Error("Cannot count: there is always news");
      }
      await world.sleep(1000);
    }
    const before = world.sentBytes;
    await world.sleep(ms);
    this.bytesPerNodeS = (world.sentBytes - before) / this.names.length /
      (ms / 1000);
  }

  /**
   * How long it takes, trial by trial, from the first of the others that knows a
   * new node to the last.
   */
  async spread(): Promise<number[]> {
    this.inRounds = true;
    const took: number[] = [];
    const others = this.dbs.length;
    for (let i = 0; i < TRIALS; i++) {
      await this.cluster.world.sleep(2000 + i * 237);
      const db = await this.cluster.open(`s${i + 1}`, {}, ":memory:");
      const { key } = db.cluster.host;
      await this.#timed(
        "all know the new node",
        () => (this.#heard.get(key)?.count ?? 0) >= others,
      );
      took.push(this.cluster.world.now - this.#heard.get(key)!.first);
    }
    return took;
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
      if (this.isLarge) await this.timeUntil("healthy");
      else await this.timeUntilHealthy();
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
    const key = this.#victimKey;
    const others = this.dbs.slice(0, -1);
    return this.#timed(
      `the others say "${state}"`,
      () => others.every((db) => db.cluster.node(key).state === state),
    );
  }

  /** How long it takes until all know all, and that they are healthy, in ms. */
  timeUntilHealthy(): Promise<number> {
    return this.#timed(
      "all are healthy",
      () =>
        this.dbs.every((db) => {
          const nodes = db.cluster.nodes();
          return nodes.size === this.dbs.length &&
            [...nodes.values()].every(({ state }) => state === "healthy");
        }),
    );
  }

  #timed(what: string, condition: () => boolean): Promise<number> {
    return this.cluster.timed(() =>
      this.cluster.until(what, condition, 10 * MINUTE_MS)
    );
  }

  #hears(node: number): void {
    const heard = this.#heard.get(node);
    if (heard !== undefined) heard.count++;
    else this.#heard.set(node, { first: this.cluster.world.now, count: 1 });
  }

  #watch(db: DB): void {
    void (async () => {
      for await (const changes of db.cluster.watch()) {
        for (const { type, node } of changes) {
          if (type === "added") this.#hears(node.key);
          if (node.state !== "dead" || this.gone === "all") continue;
          const isVictim = node.key === this.#victimKey ||
            db.cluster.host.key === this.#victimKey;
          if (this.gone === "nobody" || !isVictim) this.falseDeaths++;
        }
      }
    })();
  }
}

/** How soon a process that is gone is dead everywhere, among so many nodes. */
export function crashRow(
  nodes: number,
  promise: RowKind["promise"] = {},
): RowKind {
  return {
    row: "detect.crash",
    nodes,
    promise,
    hours: 1,
    measure: (watched) =>
      watched.trials(
        () => watched.cluster.kill(watched.victim),
        () => watched.reopen(),
      ),
  };
}

/** What so many nodes say to each other at rest. */
export function idleRow(
  nodes: number,
  promise: RowKind["promise"] = {},
): RowKind {
  return {
    row: `idle.${nodes}`,
    nodes,
    worlds: 1,
    promise,
    hours: 1,
    async measure(watched) {
      await watched.rest();
      return [];
    },
  };
}

/**
 * How soon so many nodes all know of a change, within one and a half times the
 * rounds that a rumor takes: log2 N + ln N (Pittel 1987).
 */
export function spreadRow(nodes: number): RowKind {
  return {
    row: `spread.${nodes}`,
    nodes,
    worlds: 1,
    promise: { rounds: spreadRoundsMax(nodes) },
    hours: 1,
    measure: (watched) => watched.spread(),
  };
}

/** The rounds within which a change is promised to be everywhere. */
export function spreadRoundsMax(nodes: number): number {
  return 1.5 * (Math.log2(nodes) + Math.log(nodes));
}

const DETECTION: readonly RowKind[] = [
  crashRow(10, { p50: 3000, p99: 6000 }),
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
  ...[10, 50, 100].map((nodes) => idleRow(nodes, { bytesPerNodeS: 2000 })),
  idleRow(1000, {
    bytesPerNodeS: 2000,
    apart: { row: "idle.100", share: 0.2 },
  }),
  spreadRow(1000),
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

/**
 * Measures a row in so many worlds, of seeds from `seed` on.
 *
 * @param others The rows that were measured before.
 */
export async function measureRow(
  kind: RowKind,
  seed: number,
  worlds: number,
  others: readonly DetectionRow[] = [],
): Promise<DetectionRow> {
  const took: number[] = [];
  let falseDeaths = 0;
  let bytesPerNodeS: number | undefined;
  let inRounds = false;
  const count = kind.worlds ?? worlds;
  for (let each = seed; each < seed + count; each++) {
    const watched = new Watched(each, kind.nodes, kind.connectionsMax);
    await watched.cluster.world.run(async () => {
      await watched.open();
      took.push(...await kind.measure(watched));
      // A thousand goodbyes tell nothing more.
      if (!watched.isLarge) await watched.cluster.close();
    }, { maxMs: kind.hours * HOUR_MS });
    falseDeaths += watched.falseDeaths;
    bytesPerNodeS = watched.bytesPerNodeS;
    inRounds ||= watched.inRounds;
  }
  took.sort((a, b) => a - b);
  const at = (share: number) =>
    took[Math.min(took.length - 1, Math.ceil(share * took.length) - 1)];
  const [p50, p99, max] = [at(0.5), at(0.99), at(1)].map((ms) =>
    ms && Math.round(ms)
  );
  const within = (ms: number | undefined, promised: number | undefined) =>
    promised === undefined || (ms !== undefined && ms <= promised);
  const { promise } = kind;
  const { bytesPerNodeS: nearBytes } =
    others.find(({ row }) => row === promise.apart?.row) ?? {};
  const apart = nearBytes && bytesPerNodeS &&
    Math.abs(bytesPerNodeS - nearBytes) / Math.max(bytesPerNodeS, nearBytes);
  const rounds = inRounds
    ? at(1)! / PROPAGATION_DEFAULT.clusterGossipIntervalMs
    : undefined;
  return {
    row: kind.row,
    n: took.length || count,
    ...p50 !== undefined && { p50, p99: p99!, max: max! },
    ...bytesPerNodeS !== undefined &&
      { bytesPerNodeS: Math.round(bytesPerNodeS) },
    ...apart !== undefined && { apart: Math.round(apart * 1000) / 1000 },
    ...rounds !== undefined && { rounds: Math.round(rounds * 100) / 100 },
    falseDeaths,
    met: falseDeaths === 0 &&
      within(bytesPerNodeS, promise.bytesPerNodeS) &&
      within(apart, promise.apart?.share) &&
      within(rounds, promise.rounds) &&
      within(p50, promise.p50) &&
      within(p99, promise.p99),
  };
}
