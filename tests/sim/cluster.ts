/**
 * Clusters in the virtual world: what scenario tests are written with.
 *
 * Guarantees: nodes are opened through the public `open`, on their own virtual
 * disk and network; nothing of the real world is used, so that one seed decides
 * everything.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type DB, open, type OpenOptions } from "../../mod.ts";
import { World, type WorldOptions } from "../../runtime/virtual/mod.ts";

/** Nodes that {@linkcode SimCluster.openMany} opens at a time. */
const WAVE = 50;

/** A cluster of nodes named "a", "b", "c", … in a world of its own. */
export class SimCluster {
  readonly world: World;
  readonly nodes = new Map<string, DB>();
  readonly #defaults: OpenOptions;

  /** Makes a world without nodes. `defaults` go to every node. */
  constructor(options: WorldOptions, defaults: OpenOptions = {}) {
    this.world = new World(options);
    this.#defaults = defaults;
  }

  /** The address of a node. */
  address(name: string): string {
    return `${name}:1`;
  }

  /**
   * Opens a node: the first founds the cluster, later ones join the first. With
   * `path` `":memory:"` nothing of it outlives it.
   */
  async open(
    name: string,
    options: OpenOptions = {},
    path = "/data",
  ): Promise<DB> {
    const founder = this.nodes.keys().next().value;
    const ways: OpenOptions = founder === undefined || founder === name
      ? { bootstrap: true }
      : { peers: [this.address(founder)] };
    const db = await open(path, {
      address: this.address(name),
      runtime: this.world.runtime(name),
      ...ways,
      ...this.#defaults,
      ...options,
    });
    this.nodes.set(name, db);
    return db;
  }

  /** Opens nodes that then all know each other and are connected. */
  async openAll(names: readonly string[]): Promise<DB[]> {
    const dbs: DB[] = [];
    for (const name of names) dbs.push(await this.open(name));
    await this.until(
      "all are connected",
      () => dbs.every((db) => db.metrics().peersConnected === names.length - 1),
    );
    return dbs;
  }

  /**
   * Opens many nodes, in waves, each node through the first, whose changes of the
   * registers take their turn; then all have heard of each other's first word, and
   * need not be connected.
   *
   * @param pathOf Where a node keeps its data; in memory unless told otherwise.
   */
  async openMany(
    names: readonly string[],
    pathOf: (name: string) => string = () => ":memory:",
  ): Promise<DB[]> {
    const dbs: DB[] = [];
    while (dbs.length < names.length) {
      const wave = names.slice(dbs.length, dbs.length + (dbs[0] ? WAVE : 1));
      dbs.push(
        ...await Promise.all(
          wave.map((name) => this.open(name, {}, pathOf(name))),
        ),
      );
    }
    await this.until(
      "all know each other",
      () =>
        dbs.every((db) => {
          const nodes = [...db.cluster.nodes().values()];
          return nodes.length === names.length &&
            nodes.every(({ state }) => state === "healthy");
        }),
    );
    return dbs;
  }

  /** Opens a node again from its disk, knowing nobody. */
  reopen(name: string, options: OpenOptions = {}): Promise<DB> {
    return this.open(name, { bootstrap: false, peers: [], ...options });
  }

  /** The open node of a name. */
  node(name: string): DB {
    const db = this.nodes.get(name);
    if (db === undefined) throw new Error(`Cannot find node "${name}"`);
    return db;
  }

  /** Kills a node: nothing of it runs on, and what was not synced is lost. */
  kill(name: string): void {
    this.world.kill(name);
  }

  /** Kills a node, and waits until those connected to it have noticed. */
  async killNoticed(name: string): Promise<void> {
    const { key } = this.node(name).cluster.host;
    const others = [...this.nodes].filter(([other]) =>
      other !== name && this.world.running(other)
    ).map(([, db]) => db);
    const noticed = new Set<DB>();
    for (const db of others) {
      void (async () => {
        for await (const event of db.events()) {
          if (event.type !== "disconnected" || event.node !== key) continue;
          noticed.add(db);
          return;
        }
      })();
    }
    this.world.kill(name);
    await this.until(
      "the others notice",
      () => others.every((db) => noticed.has(db)),
    );
  }

  /** Cuts the links between one side and the other. */
  cut(side: readonly string[], other: readonly string[]): void {
    for (const a of side) for (const b of other) this.world.cut(a, b);
  }

  /** Waits, in virtual time, until a condition holds. */
  async until(
    what: string,
    condition: () => boolean | Promise<boolean>,
    maxMs = 60_000,
  ): Promise<void> {
    const end = this.world.now + maxMs;
    while (!(await condition())) {
      if (this.world.now > end) {
        throw new Error(`Cannot see that ${what} within ${maxMs} ms`);
      }
      await this.world.sleep(20);
    }
  }

  /** How long something took, in virtual milliseconds. */
  async timed(work: () => Promise<unknown>): Promise<number> {
    const start = this.world.now;
    await work();
    return this.world.now - start;
  }

  /** Waits until the nodes hold the same. */
  async converged(...names: string[]): Promise<void> {
    await this.until("the nodes converge", async () => {
      const states = await Promise.all(
        names.map(async (name) => JSON.stringify(await dump(this.node(name)))),
      );
      return new Set(states).size === 1;
    });
  }

  /** Closes the nodes that run. */
  async close(): Promise<void> {
    for (const [name, db] of this.nodes) {
      if (this.world.running(name)) await db.close();
    }
  }
}

/** Options for {@linkcode scenario}. */
export interface ScenarioOptions extends Omit<WorldOptions, "seed"> {
  /**
   * How many seeds it is run with, from 1.
   *
   * @default {3}
   */
  seeds?: number;
  /** Goes to every node that is opened. */
  defaults?: OpenOptions;
  /**
   * How long it may take, in virtual milliseconds.
   *
   * @default {600_000}
   */
  maxMs?: number;
}

/** What a scenario did. */
export interface ScenarioReport {
  readonly hash: string;
  readonly events: number;
  readonly simulatedMs: number;
}

/** All scenarios by name: each runs with a seed. */
export const SCENARIOS: Map<
  string,
  (seed: number, trace?: (line: string) => void) => Promise<ScenarioReport>
> = new Map();

/** Registers a test: a program in a world of its own, once for each seed. */
export function scenario(
  name: string,
  program: (cluster: SimCluster, seed: number) => Promise<void>,
  { seeds = 3, defaults = {}, maxMs = 600_000, ...world }: ScenarioOptions = {},
): void {
  const run = async (seed: number, trace?: (line: string) => void) => {
    const options = { ...world, seed, ...trace && { trace } };
    const cluster = new SimCluster(options, defaults);
    await cluster.world.run(async () => {
      await program(cluster, seed);
      await cluster.close();
    }, { maxMs });
    const { events, now } = cluster.world;
    return { hash: cluster.world.traceHash(), events, simulatedMs: now };
  };
  SCENARIOS.set(name, run);
  Deno.test(name, async () => {
    for (let seed = 1; seed <= seeds; seed++) {
      try {
        await run(seed);
      } catch (cause) {
        throw new Error(`With seed ${seed}: ${cause}`, { cause });
      }
    }
  });
}

/** All that a stream gives from now on; it ends with its database. */
export function collect<T>(stream: ReadableStream<T>): T[] {
  const items: T[] = [];
  void (async () => {
    for await (const item of stream) items.push(item);
  })();
  return items;
}

/** One row of {@linkcode dump}. */
export interface DumpRow {
  key: string;
  value: string;
  version: unknown;
  leaseholder: number;
}

/** Everything that a node holds, for comparing and for people. */
export async function dump(db: DB): Promise<DumpRow[]> {
  const rows: DumpRow[] = [];
  for await (const key of db.keys()) {
    const entry = await db.getEntry(key);
    if (entry === undefined) continue;
    rows.push({
      key: text(key),
      value: text(entry.value),
      version: entry.version,
      leaseholder: entry.leaseholder,
    });
  }
  return rows;
}

/** The text of a value; `undefined` stays so. */
export function text(bytes: Uint8Array): string;
export function text(bytes: Uint8Array | undefined): string | undefined;
export function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}

/** Asserts that a node reads a text, or nothing. */
export async function assertReads(
  db: DB,
  key: string,
  value: string | undefined,
): Promise<void> {
  assertEquals(text(await db.get(key)), value);
}
