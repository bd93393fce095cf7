/**
 * The collector: reports what this node has, and takes away tombstones that every
 * member has, as far as the reports of all others allow (replication.md §6).
 *
 * Guarantees: a tombstone goes only when every member has persisted that every
 * member has it; one that nobody hears of keeps them all. A report is made when
 * there is something new to say. What has ended is folded (docs/fold.md).
 *
 * @module
 */

import type { Random, Timer, Timers } from "../../runtime/mod.ts";
import { floorOf, type Reported } from "./floor.ts";
import type { Replica } from "./replica.ts";
import type { Vector } from "./vector.ts";

/** What a collector is made of. */
export interface CollectorOptions {
  readonly replica: Replica;
  readonly timers: Timers;
  readonly random: Random;
  /** Time between two rounds, in ms; ± 10 %. */
  readonly intervalMs: number;
  /** Reports what is durable here, if that is news. Resolves to the newest report. */
  readonly report: () => Promise<Reported>;
  /** The newest report of each other member. */
  readonly others: () => readonly (Reported | undefined)[];
  /** Whether the last records of all removed nodes are counted, and covered. */
  readonly isSealed: (vector: Vector) => boolean;
  /** Changes whenever the config does, or a report counts no more. */
  readonly basis: () => string;
  /** Whether this node is to fold the origins of a node that have ended. */
  readonly isOver: (node: number) => boolean;
}

/** Collects tombstones. */
export class Collector {
  readonly #options: CollectorOptions;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;
  #collected = 0;
  /** The gate for which all tombstones were looked at, in which incarnation. */
  #done: { nonce: Uint8Array; gate: Vector } | undefined;

  /** Makes one that does nothing before {@linkcode Collector.start}. */
  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  /** Tombstones taken away since the start. */
  get collected(): number {
    return this.#collected;
  }

  /** Begins its rounds. */
  start(): void {
    const { timers, random, intervalMs } = this.#options;
    this.#timer = timers.set(() => {
      this.#running = this.round().catch(() => {
        // The engine has failed, and said so by its own event; or it is closed.
      }).finally(() => {
        if (!this.#closed) this.start();
      });
    }, intervalMs * (0.9 + random.float() * 0.2));
  }

  /** One round; rejects if the engine fails. */
  async round(): Promise<void> {
    const { replica, report, others, isSealed, basis, isOver } = this.#options;
    if (!replica.caughtUp) return;
    const known = basis();
    const own = await report();
    if (basis() !== known || !isSealed(own.vector)) return;
    const allowed = floorOf({ own, others: others() });
    if (allowed === undefined || this.#closed) return;
    const { floor, gate } = allowed;
    // What was looked at once for a gate has nothing more for it.
    const { nonce } = replica.incarnation;
    const done = this.#done?.nonce === nonce && this.#done.gate.includes(gate);
    if (!done || !replica.floor.includes(floor)) {
      this.#collected += await replica.collect(
        { floor, gate },
        () => basis() === known,
      );
      if (basis() === known) this.#done = { nonce, gate };
    }
    if (basis() === known) await replica.fold(isOver);
  }

  /** Ends its rounds, and waits for the one under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
  }
}
