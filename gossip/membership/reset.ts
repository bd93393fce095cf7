/**
 * Reset: what a node does whose disk is older than what it has said to others (an
 * image was put back, or a copy of its directory runs elsewhere), or that has more of
 * a removed node than was counted: it takes a whole copy of the data from another
 * one, and goes on as another incarnation (rules S5 and S6 of the replication
 * protocol).
 *
 * Guarantees: before anything else it votes no more (rule A9 of the agreement), and
 * that its copy is void is durable, with a generation above the one that others
 * know; from then on nothing is written here until the copy is whole, also after a
 * start. Reads go on. One reset a pause at most, a growing one: two processes that
 * run with one directory would else reset each other as fast as they can.
 *
 * @module
 */

import { equalBytes, type Timer, type Timers } from "../../runtime/mod.ts";
import type { Events } from "../events.ts";
import type { Pull } from "../replication/pull.ts";
import type { Replica } from "../replication/replica.ts";
import type { Generation } from "./host.ts";
import type { Outdated } from "./outdated.ts";

/** Pause after a reset before the next one, in milliseconds; doubles each time. */
const PAUSE_MS = 10_000;

/** Longest such pause, in milliseconds. */
const PAUSE_MS_MAX = 600_000;

/** What a reset needs of a node. */
export interface ResetOptions {
  readonly node: number;
  readonly replica: Replica;
  readonly pull: Pull;
  readonly generation: Generation;
  readonly timers: Timers;
  readonly events: Events;
  /** Votes no more, durably. */
  readonly fallSilent: () => Promise<void>;
  /** What this node wrote counts no more: it is told to nobody. */
  readonly onVoid: () => void;
}

/** Resets a node. */
export class Reset {
  readonly #options: ResetOptions;
  #running: Promise<void> | undefined;
  #pauseMs = PAUSE_MS;
  #pause: Timer | undefined;
  /** Whether nobody was listening when it was told. */
  #isUnheard = false;
  #closed = false;

  /** Makes one that has nothing to do. */
  constructor(options: ResetOptions) {
    this.#options = options;
  }

  /** Whether this start has begun one, or is about to. */
  get isFound(): boolean {
    return this.#running !== undefined || this.#pauseMs > PAUSE_MS;
  }

  /** Tells that this node's disk was found old, if nobody could hear it. */
  tellAgain(): void {
    if (this.#isUnheard) this.#tell();
  }

  /** A member has found this node's disk old. */
  found({ generation, nonce }: Outdated): void {
    const { replica } = this.#options;
    // An answer to what it was before says nothing of what it is now.
    if (equalBytes(nonce, replica.incarnation.nonce)) this.needed(generation);
  }

  /** This node has what no other member has, or lacks what they rely on. */
  needed(generation = 0): void {
    const { replica } = this.#options;
    if (!replica.caughtUp || this.#pause !== undefined || this.#closed) return;
    this.#running ??= this.#begin(generation).catch(() => {
      // The engine has failed, and said so by its own event.
    }).finally(() => {
      this.#running = undefined;
    });
  }

  /** Begins none any more, and waits for the one that is begun. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#pause?.cancel();
    await this.#running;
  }

  async #begin(generation: number): Promise<void> {
    const { replica, pull, timers } = this.#options;
    await this.#options.fallSilent();
    await replica.voidCopy(() => [this.#options.generation.raise(generation)]);
    this.#options.onVoid();
    this.#pause = timers.set(() => {
      this.#pause = undefined;
    }, this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MS_MAX);
    this.#tell();
    if (!this.#closed) pull.nudgeAny();
  }

  #tell(): void {
    const { node, events } = this.#options;
    this.#isUnheard = !events.emit({ type: "outdated", node });
  }
}
