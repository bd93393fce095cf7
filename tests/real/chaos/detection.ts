/**
 * How soon real processes that are gone are found out, and that none is given up
 * that only stands still: rows of `deno task chaos --rows`.
 *
 * Guarantees: times are from the signal until the last of the others says so, of
 * nodes with default settings on loopback. What is dead is what the nodes' own
 * watches tell; nothing is left behind.
 *
 * @module
 */

import { within } from "../child.ts";
import { type NodeReport, RemoteNode } from "../remote_node.ts";
import { Guard } from "./guard.ts";
import { sleep } from "./members.ts";

/** What a row came to. Times are in milliseconds. */
export interface ProcessRow {
  readonly row: "detect.crash" | "false.stall";
  /** How many times a process was killed, or stopped. */
  readonly n: number;
  readonly p50?: number;
  readonly p99?: number;
  readonly max?: number;
  /** How often a process that ran was called dead. */
  readonly falseDeaths: number;
  /** Whether it is within what is promised. */
  readonly met: boolean;
}

/** Options for {@linkcode measureProcesses}. */
export interface ProcessRowOptions {
  readonly rows: readonly string[];
  /** @default {10} */
  readonly nodes?: number;
  /** Kills of `detect.crash`. @default {20} */
  readonly trials?: number;
  /** How long `false.stall` stops a process now and then. @default {600_000} */
  readonly stallMs?: number;
  readonly onRow: (row: ProcessRow) => void;
  readonly say: (line: string) => void;
}

/** One stop of a process, and from one to the next. */
const STOPPED_MS = 4000;
const STOP_EVERY_MS = 20_000;

/** What is promised of a process that is gone. */
const CRASH_MS = { p50: 3000, p99: 6000 };

/** Measures rows, one after the other, in one cluster. */
export async function measureProcesses(
  options: ProcessRowOptions,
): Promise<void> {
  const { rows, nodes = 10, trials = 20, stallMs = 600_000 } = options;
  await using guard = new Guard();
  const root = await Deno.makeTempDir({ prefix: "aspen-chaos-" });
  await guard.atEnd("rm", "-rf", root);
  await using cluster = new Processes(root, guard);
  await cluster.open(nodes);
  if (rows.includes("detect.crash")) {
    options.onRow(await cluster.crash(trials, options.say));
  }
  if (rows.includes("false.stall")) {
    options.onRow(await cluster.stall(stallMs, options.say));
  }
}

class Processes implements AsyncDisposable {
  readonly #root: string;
  readonly #guard: Guard;
  readonly #nodes: RemoteNode[] = [];
  /** What each process says of each node key. */
  readonly #views: Map<number, string>[] = [];
  readonly #waiting = new Set<() => void>();
  /** Who is gone now. */
  #victim: number | undefined;
  #falseDeaths = 0;

  constructor(root: string, guard: Guard) {
    this.#root = root;
    this.#guard = guard;
  }

  async open(count: number): Promise<void> {
    await this.#start(0, { bootstrap: true });
    const peers = [this.#nodes[0]!.address];
    for (let i = 1; i < count; i++) await this.#start(i, { peers });
    await this.#until("all are healthy", () => this.#all("healthy"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#victim = -1;
    for (const node of this.#nodes) await node.kill();
  }

  /** Kills the last process so many times. */
  async crash(
    trials: number,
    say: (line: string) => void,
  ): Promise<ProcessRow> {
    const at = this.#nodes.length - 1;
    const took: number[] = [];
    const deaths = this.#falseDeaths;
    for (let i = 0; i < trials; i++) {
      // Not always at the same moment of a round.
      await sleep(3000 + i * 237);
      const { key } = this.#nodes[at]!;
      this.#victim = at;
      const began = performance.now();
      const killed = this.#nodes[at]!.kill();
      await this.#until("it is dead", () => this.#others(at, key, "dead"));
      took.push(performance.now() - began);
      await killed;
      await this.#start(at, {});
      await this.#until("it is back", () => this.#all("healthy"));
      this.#victim = undefined;
      say(`detect.crash: ${i + 1} of ${trials}`);
    }
    took.sort((a, b) => a - b);
    const share = (q: number) =>
      Math.round(took[Math.ceil(q * took.length) - 1]!);
    const [p50, p99, max] = [share(0.5), share(0.99), share(1)];
    const falseDeaths = this.#falseDeaths - deaths;
    const met = falseDeaths === 0 && p50 <= CRASH_MS.p50 &&
      p99 <= CRASH_MS.p99;
    return { row: "detect.crash", n: trials, p50, p99, max, falseDeaths, met };
  }

  /** Stops the last process now and then. */
  async stall(ms: number, say: (line: string) => void): Promise<ProcessRow> {
    const node = this.#nodes.at(-1)!;
    const deaths = this.#falseDeaths;
    const n = Math.ceil(ms / STOP_EVERY_MS);
    for (let i = 0; i < n; i++) {
      node.signal("SIGSTOP");
      await sleep(STOPPED_MS);
      node.signal("SIGCONT");
      await sleep(STOP_EVERY_MS - STOPPED_MS);
      say(`false.stall: ${i + 1} of ${n}`);
    }
    const falseDeaths = this.#falseDeaths - deaths;
    return { row: "false.stall", n, falseDeaths, met: falseDeaths === 0 };
  }

  async #start(
    at: number,
    ways: { bootstrap?: boolean; peers?: string[] },
  ): Promise<void> {
    const view = new Map<number, string>();
    this.#views[at] = view;
    const node = await RemoteNode.start({
      dir: `${this.#root}/${at}`,
      open: { address: this.#nodes[at]?.address ?? "127.0.0.1:0", ...ways },
      onReport: (report) => this.#heard(at, view, report),
    });
    await this.#guard.killAtEnd(node.pid, this.#root);
    this.#nodes[at] = node;
    for (const { key, state } of await node.nodes()) {
      if (!view.has(key)) view.set(key, state);
    }
  }

  #heard(
    at: number,
    view: Map<number, string>,
    { standing }: NodeReport,
  ): void {
    if (standing === undefined) return;
    const [key, state] = standing;
    view.set(key, state);
    const victim = this.#victim;
    const isVictim = at === victim || key === this.#nodes[victim ?? -1]?.key;
    if (state === "dead" && (victim === undefined || !isVictim)) {
      this.#falseDeaths++;
    }
    for (const look of this.#waiting) look();
  }

  #all(state: string): boolean {
    const { length } = this.#nodes;
    return this.#views.every((view) =>
      view.size === length && [...view.values()].every((each) => each === state)
    );
  }

  /** Whether all others say so of a node. */
  #others(at: number, key: number, state: string): boolean {
    return this.#views.every((view, i) => i === at || view.get(key) === state);
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (condition()) resolve();
    };
    this.#waiting.add(look);
    look();
    try {
      await within(what, promise);
    } finally {
      this.#waiting.delete(look);
    }
  }
}
