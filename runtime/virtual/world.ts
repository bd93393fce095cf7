/**
 * A world in one process: nodes with clocks, timers, randomness, disks and a
 * network between them, in which one seed decides everything that happens.
 *
 * Guarantees: nothing of the real world comes in (no real time, timers, chance,
 * files or sockets), so the same seed and the same program give the same events
 * in the same order, which {@linkcode World.traceHash} shows. What one node
 * draws from its `random` shifts nothing that another node draws.
 *
 * Assumes: the program waits for nothing real either, and runs only while
 * {@linkcode World.run} or {@linkcode World.advance} does.
 *
 * @module
 */

import type { Runtime } from "../runtime.ts";
import { VirtualDisk } from "./disk.ts";
import type { Unsynced } from "./disk_state.ts";
import { VirtualFiles } from "./files.ts";
import { Host, VirtualClock, VirtualTimers } from "./host.ts";
import { type LinkConditions, VirtualNetwork } from "./network.ts";
import { Prng } from "./prng.ts";
import { type ScheduledEvent, Scheduler } from "./scheduler.ts";
import { Trace } from "./trace.ts";

/** Options for {@linkcode World}. */
export interface WorldOptions {
  /** Decides everything: an integer from 0 to 2^53 - 1. */
  seed: number;
  /**
   * The least and the most time that data takes from node to node, in ms.
   *
   * @default {[0.2, 2]}
   */
  latencyMs?: readonly [number, number];
  /**
   * The least and the most time that a sync takes, in ms.
   *
   * @default {[0.2, 2]}
   */
  syncMs?: readonly [number, number];
  /** Takes one line an event, for people. */
  trace?: (line: string) => void;
}

/** Options for {@linkcode World.run}. */
export interface RunOptions {
  /**
   * How long it may take, in virtual milliseconds.
   *
   * @default {600_000}
   */
  maxMs?: number;
}

/** Options for {@linkcode World.kill}. */
export interface KillOptions {
  /**
   * What becomes of what was not synced: a part that the seed draws survives,
   * nothing does, or all (the process dies and its machine goes on).
   *
   * @default {"torn"}
   */
  unsynced?: Unsynced;
}

/** What stays of a node over its lives. */
interface NodeSlot {
  disk: VirtualDisk;
  /** By how much its wall clock was ahead at `setAt`. */
  skewMs: number;
  /** By how much more it is ahead with each millisecond since. */
  drift: number;
  setAt: number;
  lives: number;
  host: Host | undefined;
  runtime: Runtime | undefined;
}

/** A world of nodes that one seed decides. */
export class World {
  readonly #root: Prng;
  readonly #scheduler: Scheduler;
  readonly #trace: Trace;
  readonly #network: VirtualNetwork;
  readonly #syncMs: readonly [number, number];
  readonly #slots = new Map<string, NodeSlot>();

  /** Makes a world without nodes, at time 0. */
  constructor(options: WorldOptions) {
    const { seed, latencyMs = [0.2, 2], syncMs = [0.2, 2] } = options;
    this.#root = new Prng(seed, "world");
    this.#scheduler = new Scheduler(this.#root.fork("scheduler"));
    this.#trace = new Trace(options.trace);
    this.#network = new VirtualNetwork(
      this.#scheduler,
      this.#root.fork("network"),
      latencyMs,
    );
    this.#syncMs = syncMs;
  }

  /** Virtual time since the world began, in milliseconds. */
  get now(): number {
    return this.#scheduler.now;
  }

  /** The number of events recorded so far. */
  get events(): number {
    return this.#trace.events;
  }

  /** How many events are to come: timers, bytes on their way, syncs. */
  get pending(): number {
    return this.#scheduler.pending;
  }

  /** A generator of this world for the test's own choices. */
  random(label: string): Prng {
    return this.#root.fork(`program:${label}`);
  }

  /** The runtime of a node. After {@linkcode World.kill} it is a new one. */
  runtime(name: string): Runtime {
    const slot = this.#slot(name);
    if (slot.runtime !== undefined) return slot.runtime;
    const life = `${name}#${slot.lives++}`;
    const host = new Host(
      name,
      this.#scheduler,
      this.#trace,
      this.#root.fork(`fate:${life}`),
    );
    host.trace("start", life);
    slot.host = host;
    slot.runtime = {
      clock: new VirtualClock(host, () => this.#skewOf(slot)),
      timers: new VirtualTimers(host),
      random: this.#root.fork(`random:${life}`),
      files: new VirtualFiles(
        host,
        slot.disk.state,
        this.#syncMs,
        slot.disk.faults,
      ),
      network: this.#network.transport(host),
    };
    return slot.runtime;
  }

  /**
   * Ends a node at once, as a loss of power does. Nothing it waits for ever
   * comes; its peers see their connections reset after a latency; its disk keeps
   * what was synced and, of the rest, what the options say.
   *
   * @throws {Error} If the node is not running.
   */
  kill(name: string, options: KillOptions = {}): void {
    const { unsynced = "torn" } = options;
    const slot = this.#slots.get(name);
    if (slot?.host === undefined) {
      throw new Error(`Cannot kill "${name}": it is not running`);
    }
    slot.host.trace("kill", unsynced);
    slot.host.die();
    this.#network.bury(slot.host);
    slot.disk.crash(unsynced, slot.host.fate);
    slot.host = undefined;
    slot.runtime = undefined;
  }

  /** Whether a node runs. */
  running(name: string): boolean {
    return this.#slots.get(name)?.host !== undefined;
  }

  /** A node's disk, to look at, to damage, to back up and to put back. */
  disk(name: string): VirtualDisk {
    return this.#slot(name).disk;
  }

  /** Sets by how much a node's wall clock is ahead, in milliseconds. */
  skewClock(name: string, skewMs: number): void {
    const slot = this.#slot(name);
    slot.skewMs = skewMs;
    slot.setAt = this.now;
    this.#note("skew", `${name} ${skewMs}`);
  }

  /**
   * Lets a node's wall clock run at another speed from now on.
   *
   * @param drift By how much it gains each millisecond, in ms: 0 is right.
   */
  driftClock(name: string, drift: number): void {
    const slot = this.#slot(name);
    slot.skewMs = this.#skewOf(slot);
    slot.setAt = this.now;
    slot.drift = drift;
    this.#note("drift", `${name} ${drift}`);
  }

  /**
   * Stalls a node: for `ms` milliseconds nothing of it runs, as if its event loop
   * were blocked or its process stopped. Whoever plays its clients must not call
   * it in the meantime.
   */
  stall(name: string, ms: number): void {
    this.#slots.get(name)?.host?.stall(ms);
  }

  /** Whether a node runs, and is stalled. */
  stalled(name: string): boolean {
    return this.#slots.get(name)?.host?.stalled ?? false;
  }

  /**
   * Cuts the link between two nodes without telling them: bytes and dials hang
   * until it is healed. With `oneWay` only from `a` to `b`.
   */
  cut(a: string, b: string, options: { oneWay?: boolean } = {}): void {
    const { oneWay = false } = options;
    this.#network.cut(a, b, oneWay);
    this.#note("cut", `${a} ${b}${oneWay ? " one way" : ""}`);
  }

  /** Makes the link from one node to another worse, or as others are. */
  condition(from: string, to: string, conditions?: LinkConditions): void {
    this.#network.condition(from, to, conditions);
    this.#note("condition", `${from} ${to} ${JSON.stringify(conditions)}`);
  }

  /** Flips a bit of what is sent next from one node to another. */
  corruptNext(from: string, to: string): void {
    this.#network.damageNext(from, to);
    this.#note("corrupt", `${from} ${to}`);
  }

  /** Bytes that nodes have sent each other so far. */
  get sentBytes(): number {
    return this.#network.sentBytes;
  }

  /** Portions of bytes in which a bit was flipped so far. */
  get corrupted(): number {
    return this.#network.damaged;
  }

  /**
   * Makes `a` forget its streams with `b` as a crash of its system would: `b` is
   * not told, and what it sends on them is lost without an answer.
   *
   * @returns How many streams there were.
   */
  forget(a: string, b: string): number {
    this.#note("forget", `${a} ${b}`);
    return this.#network.forget(a, b);
  }

  /**
   * Heals the link between two nodes, all links of one, or all; then nothing is
   * damaged any more either.
   */
  heal(a?: string, b?: string): void {
    this.#note("heal", `${a ?? "*"} ${b ?? "*"}`);
    this.#network.heal(a, b);
  }

  /**
   * Breaks all streams between two nodes, at both ends.
   *
   * @returns How many ends there were.
   */
  reset(a: string, b: string): number {
    this.#note("reset", `${a} ${b}`);
    return this.#network.reset(a, b);
  }

  /** Calls `callback` after `delayMs` virtual milliseconds. */
  schedule(delayMs: number, callback: () => void): ScheduledEvent {
    return this.#scheduler.schedule(delayMs, "the program", callback);
  }

  /** Waits `delayMs` virtual milliseconds, within a program that is run. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.schedule(delayMs, resolve);
    });
  }

  /**
   * Runs the world until a promise settles.
   *
   * @param program The promise, or a function that gives it.
   * @returns What it resolves to; what it rejects with is thrown.
   * @throws {Error} If nothing is left to happen, or `maxMs` pass, before that.
   */
  async run<T>(
    program: Promise<T> | (() => Promise<T>),
    options: RunOptions = {},
  ): Promise<T> {
    const { maxMs = 600_000 } = options;
    let settled = false;
    const promise = typeof program === "function" ? program() : program;
    const mark = () => {
      settled = true;
    };
    promise.then(mark, mark);
    const end = await this.#scheduler.runUntil(
      () => settled,
      this.now + maxMs,
    );
    if (end === "done") return await promise;
    throw new Error(
      `Cannot run to the end: at ${this.now.toFixed(3)} ms ${
        end === "empty"
          ? "nothing is left to happen"
          : `the limit of ${maxMs} ms is reached`
      } and the program still waits; pending: ${this.#scheduler.describePending()}`,
    );
  }

  /** Runs everything that happens in the next `ms` virtual milliseconds. */
  async advance(ms: number): Promise<void> {
    const until = this.now + ms;
    await this.#scheduler.runUntil(() => false, until);
    this.#scheduler.moveTo(until);
  }

  /** A hash of all that has happened: equal for equal seeds and programs. */
  traceHash(): string {
    return this.#trace.hash();
  }

  #note(kind: string, detail: string): void {
    this.#trace.add(this.now, "-", kind, detail);
  }

  #skewOf({ skewMs, drift, setAt }: NodeSlot): number {
    return skewMs + drift * (this.now - setAt);
  }

  #slot(name: string): NodeSlot {
    let slot = this.#slots.get(name);
    if (slot === undefined) {
      slot = {
        disk: new VirtualDisk(() => this.running(name)),
        skewMs: 0,
        drift: 0,
        setAt: 0,
        lives: 0,
        host: undefined,
        runtime: undefined,
      };
      this.#slots.set(name, slot);
    }
    return slot;
  }
}
