/**
 * One life of a cluster in the virtual world, from a script to a report.
 *
 * Guarantees: the script decides everything. Under faults safety is judged
 * (`invariants.ts`); then the faults stop, and a random core, cut off from the
 * rest, must converge by itself, and after it all nodes, which then serve writes.
 *
 * @module
 */

import { World } from "../../runtime/virtual/mod.ts";
import { Clients } from "./clients.ts";
import { Coverage } from "./coverage.ts";
import { Faults } from "./faults.ts";
import { Going } from "./going.ts";
import type { InvariantId, Violation } from "./invariants.ts";
import type { Member } from "./member.ts";
import { Members } from "./members.ts";
import { Oracle } from "./oracle.ts";
import { type NodeState, stateText, tombstonesOf } from "./rows.ts";
import {
  isFault,
  type Script,
  type ScriptOptions,
  writeScript,
} from "./script.ts";

/** What a life did. */
export interface WorkloadReport {
  readonly script: Script;
  readonly hash: string;
  readonly events: number;
  readonly simulatedMs: number;
  /** Calls that were made. */
  readonly calls: number;
  readonly acked: number;
  /** Acked writes that are gone, however many violations say so. */
  readonly lost: number;
  /** Whether all was judged that is judged once all nodes have converged. */
  readonly judged: boolean;
  readonly conflicts: number;
  readonly coverage: Coverage;
  /** What must not be: empty if all invariants held. */
  readonly violations: readonly Violation[];
}

/** Options for {@linkcode runScript}. */
export interface RunOptions {
  /** Takes one line an event of the world. */
  readonly trace?: ((line: string) => void) | undefined;
  /** Traces no further than to where this one does not hold. */
  readonly until?: InvariantId;
  /** Called whenever all nodes were looked at, while there are faults. */
  readonly onInspection?: ((members: readonly Member[]) => void) | undefined;
}

/** How long the core may take to converge, in ms. */
const CORE_MS = 60_000;

/** How long nodes that converged may take to see each other healthy, in ms. */
const HEALTH_MS = 30_000;

/** How long the last changes of the config may take then, in ms. */
const SETTLED_MS = 30_000;

/** How long tombstones may stay then, in ms: a minute, as README has it. */
const COLLECTED_MS = 60_000;

/** How long all nodes may take to converge, in ms. */
const CONVERGENCE_MS = 120_000;

/** Shortest pause between two looks at all nodes, in ms. */
const INSPECTION_MS = 4000;

/** Pause between two looks at the configs of all nodes, in ms. */
const CONFIGS_MS = 200;

/** Looks at all nodes in a life, at most. */
const INSPECTIONS_MAX = 60;

/** Draws a script and runs it. */
export function runWorkload(
  options: ScriptOptions & RunOptions,
): Promise<WorkloadReport> {
  return runScript(writeScript(options), options);
}

/** Runs a script. */
export async function runScript(
  script: Script,
  { trace, until, onInspection }: RunOptions = {},
): Promise<WorkloadReport> {
  const life: ClusterLife = new ClusterLife(
    script,
    trace && ((line) => {
      if (life.oracle.violations.every(({ id }) => id !== until)) trace(line);
    }),
    onInspection,
  );
  const { world, oracle } = life;
  try {
    await world.run(() => life.run(), { maxMs: script.quietAt + 600_000 });
  } catch (error) {
    oracle.violate("E1", `the life ended early: ${error}`);
  }
  life.coverage.path("conflict", oracle.conflicts);
  return {
    script,
    hash: world.traceHash(),
    events: world.events,
    simulatedMs: world.now,
    calls: life.clients.made,
    acked: oracle.acked,
    lost: oracle.lostAcks,
    judged: life.judged,
    conflicts: oracle.conflicts,
    coverage: life.coverage,
    violations: oracle.violations,
  };
}

class ClusterLife {
  readonly world: World;
  readonly oracle: Oracle;
  readonly coverage = new Coverage();
  readonly clients: Clients;
  /** Whether the last judgement was reached, whatever it is. */
  judged = false;
  readonly #script: Script;
  readonly #members: Members;
  readonly #going: Going;
  readonly #faults: Faults;
  readonly #onInspection: RunOptions["onInspection"];
  /** When the steps begin. */
  #begin = 0;

  constructor(
    script: Script,
    trace: RunOptions["trace"],
    onInspection: RunOptions["onInspection"],
  ) {
    const world = new World({ seed: script.seed, ...trace && { trace } });
    const { coverage } = this;
    const oracle = new Oracle(() => world.now);
    this.world = world;
    this.oracle = oracle;
    this.#script = script;
    this.#onInspection = onInspection;
    const members: Members = new Members({
      world,
      oracle,
      coverage,
      draw: script.world,
      onDown: (life) => this.clients.forget(life),
      onRemoved: (member) => void this.#going.removed(member),
    });
    this.#members = members;
    this.#going = new Going({ world, members, oracle, coverage });
    this.#faults = new Faults({
      world,
      members,
      going: this.#going,
      coverage,
      quietAt: () => this.#begin + script.quietAt,
    });
    this.clients = new Clients({ world, members, oracle, coverage });
  }

  async run(): Promise<void> {
    const { nodes } = this.#script;
    for (let i = 0; i < nodes; i++) {
      const ways = i === 0 ? { bootstrap: true } : { peers: ["a:1"] };
      await this.#members.start(this.#members.add(i, () => ways));
    }
    await this.#live();
    await this.#calm();
    await this.#convergeCore();
    await this.#convergeAll();
    await this.#end();
  }

  /** Calls and faults. */
  async #live(): Promise<void> {
    const { steps, quietAt } = this.#script;
    const begin = this.#begin = this.world.now;
    const pauseMs = Math.max(INSPECTION_MS, quietAt / INSPECTIONS_MAX);
    let inspectAt = pauseMs;
    let configsAt = 0;
    for (const step of steps) {
      const waitMs = begin + step.at - this.world.now;
      if (waitMs > 0) await this.world.sleep(waitMs);
      if (isFault(step)) this.#faults.begin(step);
      else this.clients.begin(step);
      if (step.at >= configsAt) {
        configsAt = step.at + CONFIGS_MS;
        this.#members.judgeConfigs();
      }
      if (step.at < inspectAt) continue;
      inspectAt += pauseMs;
      this.clients.checkDeadlines();
      for (const member of this.#members.all) this.#members.inspect(member);
      this.#members.judgeLeaks();
      this.oracle.settles();
      this.#onInspection?.(this.#members.all);
    }
    await this.world.sleep(begin + quietAt - this.world.now);
  }

  /** The faults stop, and what was called ends. */
  async #calm(): Promise<void> {
    this.#faults.stop();
    this.#members.quiet();
    const { core } = this.#script;
    for (const member of this.#members.all) {
      if (core.includes(member.index)) continue;
      for (const index of core) {
        this.world.cut(member.name, this.#members.at(index)!.name);
      }
    }
    for (const index of core) {
      void this.#members.start(this.#members.at(index)!);
    }
    const end = this.world.now + 30_000;
    while (this.clients.pending > 0 && this.world.now < end) {
      await this.world.sleep(100);
    }
    this.clients.checkDeadlines();
  }

  async #convergeCore(): Promise<void> {
    const { core } = this.#script;
    // A node that never joined needs those it asked, who may be cut off.
    const joined = () =>
      this.#members.staying.filter(({ index, nodeKey }) =>
        core.includes(index) && nodeKey !== 0
      );
    if (await this.#converge("the core", joined, CORE_MS)) {
      this.coverage.path("core");
    }
  }

  async #convergeAll(): Promise<void> {
    this.world.heal();
    const { all } = this.#members;
    for (const member of all) {
      // Whoever runs it starts it again, and says where the others are.
      if (this.#members.isAstray(member)) this.#members.kill(member, "kept");
      void this.#members.start(member);
    }
    if (
      !await this.#converge(
        "all nodes",
        () => this.#members.staying,
        CONVERGENCE_MS,
      )
    ) return;
    await this.#going.finish();
    const staying = this.#members.staying;
    const states = await this.#lastStates(staying);
    if (states === undefined) return;
    staying.forEach(({ life }, i) => life!.watch!.ends(states[i]!));
    this.#members.judgeReports(staying);
    this.oracle.concludes(states[0]!);
    const joined = all.filter(({ nodeKey }) => nodeKey !== 0);
    const keys = new Set(joined.map(({ nodeKey }) => nodeKey));
    if (keys.size < joined.length) {
      this.oracle.violate("K1", "two nodes, one key");
    }
    await this.#agreeOnHealth();
    await this.#settle(staying);
    await this.#collect(staying);
    await this.#fold(staying);
    await this.clients.prove(staying, states[0]!.rows);
    this.judged = true;
  }

  /** What those who stay hold in the end; `undefined` if that is a violation. */
  async #lastStates(
    staying: readonly Member[],
  ): Promise<NodeState[] | undefined> {
    const end = this.world.now + CONVERGENCE_MS;
    const which = () => staying;
    while (await this.#converge("those who stay", which, CONVERGENCE_MS)) {
      // What was applied last is reported, or shown, just after.
      await this.world.sleep(50);
      const states = staying.flatMap((member) =>
        this.#members.inspect(member) ?? []
      );
      if (states.length === staying.length) return states;
      // An engine that a fault had broken before was found to be so just now.
      if (this.world.now < end) continue;
      this.oracle.violate("L1", "one is always down when it is to be judged");
      break;
    }
    return undefined;
  }

  /** All know one config before long, in which nothing is left to be done. */
  async #settle(members: readonly Member[]): Promise<void> {
    const end = this.world.now + SETTLED_MS;
    while (!this.#members.haveSettled(members)) {
      if (this.world.now > end) {
        const agreed = members.map(({ name, life }) =>
          `${name} ${JSON.stringify(life?.db?.metrics().agreement)}`
        );
        this.oracle.violate("L2", agreed.join(", "));
        return;
      }
      await this.world.sleep(200);
    }
  }

  /** What was deleted leaves no trace before long. */
  async #collect(members: readonly Member[]): Promise<void> {
    const end = this.world.now + COLLECTED_MS;
    for (;;) {
      const left = members.map((member) => {
        const state = this.#members.inspect(member);
        return state === undefined ? Infinity : tombstonesOf(state);
      });
      if (left.every((count) => count === 0)) return;
      if (this.world.now > end) {
        this.oracle.violate("I1", `tombstones are left: ${left.join(", ")}`);
        return;
      }
      await this.world.sleep(500);
    }
  }

  /** Vectors name no more than one origin a member before long. */
  async #fold(members: readonly Member[]): Promise<void> {
    const end = this.world.now + COLLECTED_MS;
    for (;;) {
      const named = members.map((member) =>
        this.#members.namedOrigins(member) ?? Infinity
      );
      if (named.every((count) => count <= members.length)) return;
      if (this.world.now > end) {
        this.oracle.violate(
          "V1",
          `vectors of ${members.length} members name ${
            named.join(", ")
          } origins`,
        );
        return;
      }
      await this.world.sleep(500);
    }
  }

  /** Nodes that run are healthy to all before long. */
  async #agreeOnHealth(): Promise<void> {
    const end = this.world.now + HEALTH_MS;
    for (;;) {
      const doubts = this.#members.doubts();
      if (doubts.length === 0) return;
      if (this.world.now > end) {
        this.oracle.violate("M1", doubts.join(", "));
        return;
      }
      await this.world.sleep(200);
    }
  }

  /**
   * What the world's rate of copies may add: all that there is comes by it to a node,
   * and to another one from there.
   */
  #copyMs(members: readonly Member[]): number {
    const { copyBytesPerSecond = Infinity } = this.#script.world.propagation;
    const bytes = members.map((member) => this.#members.entryBytes(member));
    return 2 * Math.max(0, ...bytes) / copyBytesPerSecond * 1000;
  }

  /** Waits until these nodes are up and equal. */
  async #converge(
    who: string,
    which: () => readonly Member[],
    maxMs: number,
  ): Promise<boolean> {
    const end = this.world.now + maxMs + this.#copyMs(which());
    for (;;) {
      const late = this.world.now > end;
      // Who leaves meanwhile is not waited for.
      const members = which();
      const states: NodeState[] = [];
      // Their vectors say, cheaply, whether it is worth a look at all they have.
      if (late || this.#members.vectorsAgree(members)) {
        for (const member of members) {
          const state = this.#members.inspect(member);
          if (state !== undefined) states.push(state);
        }
      }
      const up = states.length === members.length;
      // Of a core all nodes may have gone for ever.
      if (up && new Set(states.map(stateText)).size <= 1) return true;
      if (late) {
        this.oracle.violate(
          "L1",
          `${who} did not converge: ${
            members.map((member) =>
              `${member.name} ${
                member.life?.db === undefined ? "is not up" : "is up"
              }`
            ).join(", ")
          }${up ? `, ${difference(states)}` : ""}`,
        );
        if (up) this.oracle.violate("I1", `${who} differ`);
        return false;
      }
      await this.world.sleep(200);
    }
  }

  async #end(): Promise<void> {
    for (const member of this.#members.all) await this.#members.close(member);
  }
}

/** What differs between states, for people. */
function difference(states: readonly NodeState[]): string {
  const keys = new Set(states.flatMap(({ rows }) => [...rows.keys()]));
  for (const key of keys) {
    const rows = states.map(({ rows }) => JSON.stringify(rows.get(key)));
    if (new Set(rows).size > 1) return `"${key}" differs: ${rows.join(" | ")}`;
  }
  return "the vectors differ";
}
