/**
 * A random life of a cluster of real processes on real files.
 *
 * Guarantees: the seed decides the faults, when they come and whom they hit, and
 * what each caller asks for; how it goes is up to the machine. After the faults the
 * run waits, no longer than {@linkcode CONVERGENCE_MS}, until all is equal by itself;
 * then these must hold, read from the closed directories:
 *
 * - all stores are equal in key, value, version and leaseholder, tombstones and
 *   vectors too, but for tombstones that are on their way out (I1);
 * - every acked write is there, or below a later write of the same claim, or was
 *   named in a conflict by some node (I2), or its claim ended by a delete, or it went
 *   with the only directory that had it: one that was put back, or a copy that was in
 *   use for a while;
 * - a batch of keys that are only written together is whole, also in every list,
 *   unless a conflict names one of its keys (I4);
 * - what is read was written, under that key (R3);
 * - each watch showed each (key, version) at most once, rising (I7); a node never
 *   read something older than it had acked, unless a whole copy came in between;
 *   node keys are unique and stay;
 * - every call ended by its deadline; no process ended by itself; no call failed
 *   in another way than its documentation says;
 * - no audit found a divergence (S1);
 * - each kind of fault happened.
 *
 * @module
 */

import type { OpenOptions, Propagation, Version } from "../../../mod.ts";
import { Prng } from "../../../runtime/virtual/mod.ts";
import { within } from "../child.ts";
import {
  ProcessEndedError,
  RemoteCallError,
  type RemoteNode,
  type RemoteOp,
} from "../remote_node.ts";
import { readConflicts, readLeft } from "../rows.ts";
import { Faults } from "./faults.ts";
import { Guard } from "./guard.ts";
import { Member, sleep } from "./members.ts";
import { NamespaceNetwork } from "./namespaces.ts";
import type { ChaosNetwork } from "./network.ts";
import { Oracle } from "./oracle.ts";
import { ProxyNetwork } from "./proxy.ts";
import { type Fault, type FaultKind, FAULTS, schedule } from "./schedule.ts";

/** How long the cluster may take to be equal once the faults stop. */
const CONVERGENCE_MS = 120_000;
/** What callers give a commit. */
const TIMEOUT_MS = 2000;
/** What a busy machine may add to it, outside of the node. */
const TIMEOUT_SLACK_MS = 5000;
/** Callers, of which each has one call in flight. */
const CALLERS = 8;
const CALLER_PAUSE_MS = 150;
/** The part of the calls that read. */
const READS = 0.2;
/** How often new keys come into fashion. */
const EPOCH_MS = 2000;
/** Keys of an epoch beside those of its batch. */
const KEYS = 4;

const PROPAGATION: Partial<Propagation> = {
  antiEntropyIntervalMs: 500,
  auditIntervalMs: 2000,
  redialMaxMs: 2000,
  keepaliveMs: 1000,
  idleTimeoutMs: 3000,
};

/** What a caller must expect in a world like this. */
const EXPECTED = [
  "LeaseholderUnavailableError",
  "DeadlineExceededError",
  "OutcomeUnknownError",
  "PartialCommitError",
  // A member that has not been heard of yet, and one that is going.
  "NodeNotFoundError",
  "ClosedError",
];
/** What a caller at a node whose disk is full hears besides. */
const STARVED = ["StorageError", "PoisonedError"];

/** Options for {@linkcode runChaos}. */
export interface ChaosOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** @default {5} */
  readonly nodes?: number;
  /** @default {namespaces where they can be had, else the proxy} */
  readonly network?: "proxy" | "namespaces";
  /** The mean time from one fault to the next. @default {1500} */
  readonly faultEveryMs?: number;
  /** Leaves these out. */
  readonly without?: readonly FaultKind[];
  /** Takes lines for people. */
  readonly say?: (line: string) => void;
}

/** What a run did. */
export interface ChaosReport {
  seed: number;
  minutes: number;
  nodes: number;
  network: string;
  /** Which kind of fault happened how often. */
  faults: Record<string, number>;
  /** Faults that found nobody whom they could hit. */
  missed: number;
  /** What this machine or network cannot do. */
  unavailable: FaultKind[];
  calls: Record<string, number>;
  paths: Record<string, number>;
  acked: number;
  lost: number;
  conflicts: number;
  divergent: number;
  duplicateKeys: number;
  keys: number;
  slowestCallMs: number;
  convergedMs: number;
  violations: number;
  violated: string[];
  /** A copy of the directories, if anything was violated. */
  kept?: string;
  replay: string;
  schedule: Fault[];
}

/** Runs one life of a cluster. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { nodes = 5, network: wanted } = options;
  await using guard = new Guard();
  const root = await Deno.makeTempDir({ prefix: "aspen-chaos-" });
  await guard.atEnd("rm", "-rf", root);
  const spaces = wanted === "proxy"
    ? undefined
    : await NamespaceNetwork.make(nodes, guard);
  if (wanted === "namespaces" && spaces === undefined) {
    throw new Error("Cannot run: network namespaces need root and iproute2");
  }
  await using network = spaces ?? new ProxyNetwork();
  await using life = new Life(options, { guard, root, network });
  return await life.run();
}

interface Surroundings {
  readonly guard: Guard;
  readonly root: string;
  readonly network: ChaosNetwork;
}

class Life implements AsyncDisposable {
  readonly #options: ChaosOptions;
  readonly #network: ChaosNetwork;
  readonly #root: string;
  readonly #random: Prng;
  readonly #oracle = new Oracle();
  readonly #members: Member[];
  readonly #paths: Record<string, number> = {};
  readonly #faults: Record<string, number> = {};
  readonly #calls: Record<string, number> = {};
  readonly #batches = new Map<string, string[]>();
  #missed = 0;
  #value = 0;
  #slowestMs = 0;
  #began = 0;

  constructor(options: ChaosOptions, { guard, root, network }: Surroundings) {
    this.#options = options;
    this.#network = network;
    this.#root = root;
    this.#random = new Prng(options.seed, "chaos");
    const context = {
      root,
      guard,
      network,
      oracle: this.#oracle,
      count: (path: string, n = 1) => add(this.#paths, path, n),
    };
    this.#members = Array.from(
      { length: options.nodes ?? 5 },
      (_, i) => new Member(i, context),
    );
  }

  async run(): Promise<ChaosReport> {
    const { durationMs, faultEveryMs = 1500, without = [] } = this.#options;
    await this.#found();
    const can = this.#possible();
    const kinds = can.filter((kind) => !without.includes(kind));
    const plan = schedule(this.#random.fork("faults"), {
      kinds,
      nodes: this.#members.length,
      durationMs,
      everyMs: faultEveryMs,
    });
    this.#began = performance.now();
    const progress = setInterval(() => this.#tell(), 10_000);
    try {
      await Promise.all([
        this.#break(plan),
        ...Array.from({ length: CALLERS }, (_, i) => this.#keepCalling(i)),
      ]);
    } finally {
      clearInterval(progress);
    }
    const convergedMs = await this.#settle();
    const keys = await this.#judge();
    const never = kinds.filter((kind) => this.#faults[kind] === undefined);
    if (never.length > 0) this.#oracle.violate(`there was no fault: ${never}`);
    return await this.#report({ plan, keys, convergedMs, can });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.#members) await member.kill();
  }

  /** Starts all nodes. */
  async #found(): Promise<void> {
    const [founder, ...others] = this.#members as [Member, ...Member[]];
    if (!this.#options.without?.includes("diskFull")) {
      await this.#members.at(-1)!.mountDisk();
    }
    await founder.start({ ...this.#reopen(founder), bootstrap: true }, true);
    const peers = [founder.node!.address];
    await Promise.all(
      others.map((member) =>
        member.start({ ...this.#reopen(member), peers }, true)
      ),
    );
  }

  /** Where the other nodes that run are. */
  #others(member: Member): string[] {
    return this.#members.flatMap((other) =>
      other === member || other.node === undefined ? [] : [other.node.address]
    );
  }

  #reopen({ index }: Member): OpenOptions {
    // Every other node has a log so small that sessions do the work.
    const log = index % 2 === 1 ? { logBytesMax: 400 } : {};
    return {
      propagation: { ...PROPAGATION, ...log },
      // What is killed here are processes: both kinds must survive that.
      durability: index % 3 === 2 ? "written" : "synced",
    };
  }

  /** The kinds of faults that can be had here. */
  #possible(): FaultKind[] {
    return FAULTS.filter((kind) => {
      switch (kind) {
        case "delay":
        case "throttle":
        case "reset":
          return this.#network.can.has(kind);
        case "diskFull":
          return this.#members.some(({ ownDisk }) => ownDisk);
        default:
          return true;
      }
    });
  }

  async #break(plan: readonly Fault[]): Promise<void> {
    const faults = new Faults({
      network: this.#network,
      members: this.#members,
      // Whoever starts a node again says where others are, and what moves may be
      // known nowhere else: a directory put back knows where they were.
      reopen: (member) => ({
        ...this.#reopen(member),
        peers: this.#others(member),
      }),
    });
    const running: Promise<void>[] = [];
    for (const fault of plan) {
      await sleep(this.#began + fault.atMs - performance.now());
      const done = faults.perform(fault).then(
        (happened) => {
          if (happened) add(this.#faults, fault.kind);
          else this.#missed++;
        },
        (error) => this.#oracle.violate(`${fault.kind}: ${error}`),
      );
      running.push(done);
    }
    await Promise.all(running);
  }

  async #keepCalling(caller: number): Promise<void> {
    const random = this.#random.fork(`caller ${caller}`);
    const elapsedMs = () => performance.now() - this.#began;
    while (elapsedMs() < this.#options.durationMs) {
      const member = this.#members[random.below(this.#members.length)]!;
      if (member.node !== undefined) {
        if (random.chance(READS)) await this.#read(member, random, elapsedMs());
        else await this.#call(member, this.#ops(random, elapsedMs()));
      }
      await sleep(random.float() * CALLER_PAUSE_MS);
    }
  }

  #ops(random: Prng, elapsedMs: number): RemoteOp[] {
    // New keys appear all the time, so that claims collide in every partition.
    const epoch = Math.floor(elapsedMs / EPOCH_MS);
    const of = random.chance(0.4) ? epoch : random.below(epoch + 1);
    if (random.chance(0.15)) {
      const keys = batchKeys(of);
      this.#batches.set(keys[0]!, keys);
      const value = this.#nextValue(random);
      for (const key of keys) this.#oracle.wrote(key, value);
      return keys.map((key): RemoteOp => [key, value, null]);
    }
    const ops: RemoteOp[] = [];
    do {
      const key = `key ${of} ${random.below(KEYS)}`;
      const value = random.chance(0.2) ? null : this.#nextValue(random);
      if (value !== null) this.#oracle.wrote(key, value);
      ops.push([key, value, null]);
    } while (random.chance(0.2));
    return ops;
  }

  #nextValue(random: Prng): string {
    return `value ${this.#value++} ${"x".repeat(random.below(200))}`;
  }

  /** Reads a key, or the batches of an epoch at one moment. */
  async #read(
    member: Member,
    random: Prng,
    elapsedMs: number,
  ): Promise<void> {
    const node = member.node!;
    const of = random.below(Math.floor(elapsedMs / EPOCH_MS) + 1);
    try {
      if (random.chance(0.5)) {
        const key = `key ${of} ${random.below(KEYS)}`;
        const value = await node.get(key);
        if (value !== null) this.#oracle.read(member.index, key, value);
        add(this.#calls, "read");
        return;
      }
      const rows = new Map(await node.list(`batch ${of} `));
      for (const [key, value] of rows) {
        this.#oracle.read(member.index, key, value);
      }
      const keys = batchKeys(of);
      const values = new Set(keys.map((key) => rows.get(key)));
      this.#oracle.listed(member.index, keys, values);
      add(this.#calls, "listed");
    } catch (error) {
      this.#judgeError(error, member.starved);
    }
  }

  /** One call; whatever it ends with is taken down. */
  async #call(member: Member, ops: readonly RemoteOp[]): Promise<void> {
    const node = member.node!;
    const began = performance.now();
    const stoppedMs = member.stoppedMs;
    const { starved } = member;
    // Only a call that never ends takes longer than any stop and any slack.
    const endless = TIMEOUT_MS + 4 * TIMEOUT_SLACK_MS;
    const called = node.commitWithin(TIMEOUT_MS, ops);
    try {
      const { versions, copies } = await within(
        "the end of a call",
        called,
        endless,
      );
      this.#judgeTime(member, began, stoppedMs);
      // Its deadline passes while a node is stopped, too.
      const isLate = performance.now() - began > TIMEOUT_MS / 2;
      // Of several ops to one key the last one counts.
      const values = new Map(ops.map(([key, value]) => [key, value]));
      const done = new Set<string>();
      for (const [i, [key]] of ops.entries()) {
        const version = versions[i] ?? null;
        if (version === null || done.has(key)) continue;
        done.add(key);
        this.#oracle.acked({ key, version, value: values.get(key)! });
        // An ack that came late need not be readable yet, nor where the disk is full.
        if (isLate || member.starved || i > 0) continue;
        await this.#readOwn(member, node, key, { version, copies });
      }
      add(this.#calls, "acked");
    } catch (error) {
      this.#oracle.failed(ops, error);
      this.#judgeError(error, starved || member.starved);
      this.#judgeTime(member, began, stoppedMs);
    }
  }

  /** Reads what was acked, where it was. */
  async #readOwn(
    { index }: Member,
    node: RemoteNode,
    key: string,
    wrote: { readonly version: Version; readonly copies: number },
  ): Promise<void> {
    const found = await node.version(key).catch(() => undefined);
    if (!found?.version) return;
    // A whole copy need not have what came last.
    if (found.copies > wrote.copies) return add(this.#paths, "copiedAmidReads");
    this.#oracle.readOwn(index, key, wrote.version, found.version);
  }

  /** Judges how long a call took, without the time that its node was stopped. */
  #judgeTime(member: Member, began: number, stoppedMs: number): void {
    const took = performance.now() - began - (member.stoppedMs - stoppedMs);
    this.#slowestMs = Math.max(this.#slowestMs, took);
    if (took > TIMEOUT_MS + TIMEOUT_SLACK_MS) {
      this.#oracle.violate(
        `a call of ${TIMEOUT_MS} ms ended after ${Math.round(took)} ms`,
      );
    }
  }

  #judgeError(error: unknown, starved: boolean): void {
    if (error instanceof ProcessEndedError) add(this.#calls, "unanswered");
    else if (
      error instanceof RemoteCallError &&
      (EXPECTED.includes(error.code) ||
        starved && STARVED.includes(error.code) ||
        // Its disk was put back: a whole copy is under way.
        this.#oracle.images && error.code === "NotCaughtUpError")
    ) add(this.#calls, error.code);
    else this.#oracle.violate(`a call failed: ${error}`);
  }

  /** The faults are over: waits until all nodes are equal by themselves. */
  async #settle(): Promise<number> {
    const began = performance.now();
    const nodes = this.#members.map(({ node }) => node);
    if (nodes.includes(undefined)) return 0;
    try {
      for (;;) {
        const digests = await within(
          "the digests",
          Promise.all(nodes.map((node) => node!.digest())),
        );
        if (new Set(digests).size === 1) break;
        if (performance.now() - began > CONVERGENCE_MS) {
          this.#oracle.violate(`not equal within ${CONVERGENCE_MS} ms`);
          break;
        }
        await sleep(100);
      }
      const convergedMs = performance.now() - began;
      // Tombstones are not in digests, but they are in what all have.
      for (const node of nodes) await node!.caughtUp();
      return convergedMs;
    } catch (error) {
      this.#oracle.violate(`settling: ${error}`);
      return performance.now() - began;
    }
  }

  /** Closes all nodes, and judges what they left. */
  async #judge(): Promise<number> {
    const keys = new Set(this.#members.map(({ key }) => key));
    if (keys.size < this.#members.length) {
      this.#oracle.violate("two nodes have one key");
    }
    for (const member of this.#members) {
      if (member.node === undefined) {
        this.#oracle.violate(`node ${member.index} is not up at the end`);
        continue;
      }
      const { sessionsTaken, recordsApplied, pulls } = await member.node
        .metrics();
      add(this.#paths, "session", sessionsTaken);
      add(this.#paths, "record", recordsApplied);
      add(this.#paths, "pull", pulls);
      await member.close();
    }
    const left = [];
    for (const { dir } of this.#members) {
      left.push(await readLeft(`${dir}/store`));
      for (
        const { key, lost, batchKeys } of await readConflicts(`${dir}/store`)
      ) {
        this.#oracle.conflict(key, lost, batchKeys);
      }
    }
    this.#oracle.judge(left, this.#batches.values());
    return left[0]!.rows.size;
  }

  async #report(
    { plan, keys, convergedMs, can }: {
      plan: Fault[];
      keys: number;
      convergedMs: number;
      can: readonly FaultKind[];
    },
  ): Promise<ChaosReport> {
    const { seed, durationMs } = this.#options;
    const { acks, lost, conflicts, divergent, violations, unfit } =
      this.#oracle;
    const minutes = durationMs / 60_000;
    const nodes = this.#members.length;
    const network = this.#network.kind;
    return {
      seed,
      minutes,
      nodes,
      network,
      faults: this.#faults,
      missed: this.#missed,
      unavailable: FAULTS.filter((kind) => !can.includes(kind)),
      calls: this.#calls,
      paths: this.#paths,
      acked: acks.length,
      lost,
      conflicts,
      divergent,
      duplicateKeys: nodes - new Set(this.#members.map(({ key }) => key)).size,
      keys,
      slowestCallMs: Math.round(this.#slowestMs),
      convergedMs: Math.round(convergedMs),
      violations: unfit,
      violated: violations,
      ...unfit > 0 && { kept: await this.#keep() },
      replay:
        `deno task chaos --minutes ${minutes} --nodes ${nodes} --seed ${seed} --network ${network}`,
      schedule: plan,
    };
  }

  /** Copies the directories to where they stay, with what was acked. */
  async #keep(): Promise<string> {
    const to = await Deno.makeTempDir({ prefix: "aspen-violated-" });
    await new Deno.Command("cp", { args: ["-r", `${this.#root}/.`, to] })
      .output();
    await Deno.writeTextFile(
      `${to}/acked.json`,
      JSON.stringify(this.#oracle.acks),
    );
    return to;
  }

  #tell(): void {
    const { say } = this.#options;
    const seconds = Math.round((performance.now() - this.#began) / 1000);
    const up = this.#members.filter(({ node }) => node !== undefined).length;
    const faults = Object.values(this.#faults).reduce((a, b) => a + b, 0);
    const { acks, conflicts, unfit } = this.#oracle;
    say?.(
      `${seconds} s: ${up} of ${this.#members.length} up, ${faults} faults, ` +
        `${acks.length} acked, ${JSON.stringify(this.#calls)}, ` +
        `${conflicts} conflicts, ${unfit} violations`,
    );
  }
}

/** The keys that are only written together. */
function batchKeys(epoch: number): string[] {
  return [0, 1, 2].map((i) => `batch ${epoch} ${i}`);
}

function add(counts: Record<string, number>, name: string, n = 1): void {
  counts[name] = (counts[name] ?? 0) + n;
}
