/**
 * A random life of a cluster, and the oracle that judges it.
 *
 * Guarantees: the seed decides the nodes' calls and all faults (cuts, lost
 * connections, kills with loss of what was not synced, clock errors). Then the
 * faults stop and these must hold:
 *
 * - all nodes hold the same entries: key, value, version, leaseholder, and
 *   tombstones (I1);
 * - every acked write is there, or below a later write of the same claim, or was
 *   reported as a conflict (I2);
 * - each watcher saw each (key, version) at most once, rising (I7);
 * - node keys are unique.
 *
 * @module
 */

import { openLsm } from "../../engine/mod.ts";
import { Space } from "../../gossip/keyspace.ts";
import { decodeEntry, versionOf } from "../../gossip/replication/entry.ts";
import {
  compareVersions,
  type DatabaseEvent,
  type DB,
  DeadlineExceededError,
  type KV,
  LeaseholderUnavailableError,
  open,
  type OpenOptions,
  OutcomeUnknownError,
  PartialCommitError,
  type Version,
} from "../../mod.ts";
import { type Prng, World } from "../../runtime/virtual/mod.ts";
import { text } from "./cluster.ts";

/** What a run is made of. */
export interface WorkloadOptions {
  readonly seed: number;
  /** @default {3} */
  readonly nodes?: number;
  /** Steps under faults; each is a call or a fault. @default {150} */
  readonly steps?: number;
  /** Takes one line an event of the world. */
  readonly trace?: (line: string) => void;
}

/** What a run did. */
export interface WorkloadReport {
  readonly seed: number;
  readonly hash: string;
  readonly events: number;
  readonly simulatedMs: number;
  readonly acked: number;
  readonly unknown: number;
  readonly refused: number;
  readonly conflicts: number;
  readonly faults: Record<string, number>;
  readonly paths: Record<string, number>;
  /** What must not be: empty if all invariants held. */
  readonly violations: string[];
}

interface Acked {
  readonly key: string;
  readonly version: Version;
}

interface Member {
  readonly name: string;
  db: DB | undefined;
  engine: KV | undefined;
  nodeKey: number;
}

const KEYS = ["k0", "k1", "k2", "k3", "k4", "k5"];

/** How long the cluster may take to be equal once the faults stop, in ms. */
const CONVERGENCE_MS = 120_000;

/** Runs one life of a cluster. */
export async function runWorkload(
  options: WorkloadOptions,
): Promise<WorkloadReport> {
  const life = new Life(options);
  await life.world.run(() => life.run(), { maxMs: 3_600_000 });
  return life.report();
}

class Life {
  readonly world: World;
  readonly #options: WorkloadOptions;
  readonly #random: Prng;
  readonly #members: Member[] = [];
  readonly #acked: Acked[] = [];
  readonly #lost = new Set<string>();
  readonly #shown = new Map<string, Version>();
  readonly #violations: string[] = [];
  readonly #faults: Record<string, number> = {};
  readonly #paths: Record<string, number> = {};
  /** The calls under way, by the database that they were made on. */
  readonly #calls = new Map<Promise<void>, DB>();
  #unknown = 0;
  #refused = 0;
  #conflicts = 0;
  #value = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    const { seed, trace } = options;
    this.world = new World({ seed, ...trace && { trace } });
    this.#random = this.world.random("workload");
  }

  async run(): Promise<void> {
    const { nodes = 3, steps = 150 } = this.#options;
    for (let i = 0; i < nodes; i++) {
      const name = String.fromCharCode(97 + i);
      const member: Member = {
        name,
        db: undefined,
        engine: undefined,
        nodeKey: 0,
      };
      this.#members.push(member);
      await this.#open(
        member,
        i === 0 ? { bootstrap: true } : {
          peers: ["a:1"],
        },
      );
      member.nodeKey = member.db!.cluster.host.key;
    }
    for (let i = 0; i < steps; i++) {
      await this.#step();
      // Bursts, in which messages overtake each other, and pauses.
      const burst = this.#random.float() < 0.6;
      await this.world.sleep(this.#random.float() * (burst ? 3 : 90));
    }
    await this.#settle();
  }

  report(): WorkloadReport {
    const { world } = this;
    return {
      seed: this.#options.seed,
      hash: world.traceHash(),
      events: world.events,
      simulatedMs: world.now,
      acked: this.#acked.length,
      unknown: this.#unknown,
      refused: this.#refused,
      conflicts: this.#conflicts,
      faults: this.#faults,
      paths: this.#paths,
      violations: this.#violations,
    };
  }

  async #step(): Promise<void> {
    const dice = this.#random.float();
    if (dice < 0.8) return this.#call();
    const member = this.#pick(this.#members);
    const other = this.#pick(this.#members);
    if (dice < 0.85) {
      if (member === other) return;
      this.#count(this.#faults, "cut");
      this.world.cut(member.name, other.name);
    } else if (dice < 0.90) {
      this.#count(this.#faults, "heal");
      this.world.heal();
    } else if (dice < 0.92) {
      if (member === other) return;
      this.#count(this.#faults, "reset");
      this.world.reset(member.name, other.name);
    } else if (dice < 0.93) {
      this.#count(this.#faults, "skew");
      this.world.skewClock(member.name, (this.#random.float() - 0.5) * 2000);
    } else if (member.db === undefined) await this.#open(member);
    else {
      this.#count(this.#faults, "kill");
      this.world.kill(member.name);
      for (const [call, db] of this.#calls) {
        if (db !== member.db) continue;
        // Nobody will ever hear of it.
        this.#calls.delete(call);
        this.#unknown++;
      }
      member.db = member.engine = undefined;
    }
  }

  /** Makes a call on a node; does not wait for it. */
  #call(): void {
    const { db } = this.#pick(this.#members);
    if (db === undefined) return;
    const ops = [this.#op()];
    while (this.#random.float() < 0.2) ops.push(this.#op());
    const call = db.commit({ ops }, { timeoutMs: 2000 }).then(
      ({ versions }) => {
        ops.forEach(({ key }, i) => {
          const version = versions[i];
          if (version !== undefined) this.#acked.push({ key, version });
        });
      },
      (error) => this.#judgeError(error),
    ).finally(() => this.#calls.delete(call));
    this.#calls.set(call, db);
  }

  #op() {
    const key = this.#pick(KEYS);
    return this.#random.float() < 0.2
      ? { type: "delete" as const, key }
      : { type: "set" as const, key, value: `v${++this.#value}` };
  }

  #judgeError(error: unknown): void {
    if (
      error instanceof OutcomeUnknownError ||
      error instanceof PartialCommitError
    ) {
      this.#unknown++;
    } else if (
      error instanceof LeaseholderUnavailableError ||
      error instanceof DeadlineExceededError
    ) {
      this.#refused++;
    } else this.#violations.push(`a call failed: ${error}`);
  }

  async #open(member: Member, ways: OpenOptions = {}): Promise<void> {
    const runtime = this.world.runtime(member.name);
    member.engine = await openLsm("/data", {
      files: runtime.files,
      random: runtime.random,
      memtableBytes: 16 * 1024,
    });
    const db = await open("/data", {
      address: `${member.name}:1`,
      runtime,
      engine: member.engine,
      // Every other world has a log so small that sessions do the work.
      propagation: this.#options.seed % 2 === 0 ? { logBytesMax: 400 } : {},
      ...ways,
    });
    member.db = db;
    if (member.nodeKey !== 0 && db.cluster.host.key !== member.nodeKey) {
      this.#violations.push(`${member.name} came back with another node key`);
    }
    void this.#readEvents(db);
    void this.#watch(member.name, db);
  }

  async #readEvents(db: DB): Promise<void> {
    for await (const event of db.events() as AsyncIterable<DatabaseEvent>) {
      if (event.type === "conflict") {
        this.#conflicts++;
        const { key, lost } = event.conflict;
        this.#lost.add(claimName(text(key), lost.version));
      } else if (
        event.type === "failed" || event.type === "handlerFailed" ||
        event.type === "cloned"
      ) {
        this.#violations.push(`event ${event.type}`);
      }
    }
  }

  async #watch(name: string, db: DB): Promise<void> {
    for await (const changes of db.watch()) {
      for (const change of changes) {
        if (change.type === "lagged") continue;
        const at = `${name} ${text(change.key)}`;
        const before = this.#shown.get(at);
        if (before && compareVersions(change.version, before) <= 0) {
          this.#violations.push(`I7: ${at} was shown twice or out of order`);
        }
        this.#shown.set(at, change.version);
      }
    }
  }

  /** Faults stop: everybody runs, all links are whole, and all becomes equal. */
  async #settle(): Promise<void> {
    this.world.heal();
    for (const member of this.#members) {
      if (member.db === undefined) await this.#open(member);
    }
    await Promise.all(this.#calls.keys());
    const end = this.world.now + CONVERGENCE_MS;
    let states: Map<string, Row>[];
    for (;;) {
      states = await Promise.all(
        this.#members.map(({ engine }) => rowsOf(engine!)),
      );
      const texts = new Set(states.map(stateText));
      if (texts.size === 1) break;
      if (this.world.now > end) {
        this.#violations.push(
          `I1: the nodes differ: ${[...texts].join(" | ")}`,
        );
        break;
      }
      await this.world.sleep(100);
    }
    // What was applied last is reported before it is dumped, or just after.
    await this.world.sleep(10);
    this.#judgeAcked(states[0]!);
    const keys = new Set(this.#members.map(({ nodeKey }) => nodeKey));
    if (keys.size < this.#members.length) {
      this.#violations.push("two nodes have one key");
    }
    for (const { db, engine } of this.#members) {
      const { sessionsTaken, recordsApplied, pulls } = db!.metrics();
      this.#count(this.#paths, "session", sessionsTaken);
      this.#count(this.#paths, "record", recordsApplied);
      this.#count(this.#paths, "pull", pulls);
      await db!.close();
      await engine!.close();
    }
  }

  #judgeAcked(state: ReadonlyMap<string, Row>): void {
    for (const { key, version } of this.#acked) {
      const final = state.get(key)?.version;
      const kept = final !== undefined && sameClaim(final, version) &&
        compareVersions(final, version) >= 0;
      if (!kept && !this.#lost.has(claimName(key, version))) {
        this.#violations.push(
          `I2: the write of "${key}" acked as ${
            JSON.stringify(version)
          } is lost`,
        );
      }
    }
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random.float() * items.length)]!;
  }

  #count(counts: Record<string, number>, name: string, n = 1): void {
    counts[name] = (counts[name] ?? 0) + n;
  }
}

interface Row {
  readonly value: string | undefined;
  readonly version: Version;
  readonly leaseholder: number;
}

/** All entries of a node, tombstones included. */
async function rowsOf(engine: KV): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  for (const space of [Space.LIVE, Space.DEAD]) {
    const stored = engine.iterate({ prefix: Uint8Array.of(space) });
    while (await stored.next()) {
      const key = stored.key.subarray(1);
      const entry = decodeEntry(key, stored.value);
      rows.set(text(key), {
        value: text(entry.value),
        version: versionOf(entry),
        leaseholder: entry.holder,
      });
    }
    await stored.close();
  }
  return rows;
}

function stateText(rows: ReadonlyMap<string, Row>): string {
  return JSON.stringify([...rows].sort(([a], [b]) => a < b ? -1 : 1));
}

function sameClaim(a: Version, b: Version): boolean {
  return a.claim.hlc === b.claim.hlc && a.claim.node === b.claim.node;
}

function claimName(key: string, { claim }: Version): string {
  return `${key} ${claim.hlc} ${claim.node}`;
}
