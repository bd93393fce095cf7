/**
 * Answers what another start of this node has said of it: a copy of its directory
 * that runs or ran elsewhere, or the node itself, before its disk was put back. By
 * the rules of `members.ts` that would stand for ever: others would look for the
 * node where it is not, and call it dead.
 *
 * Guarantees: this node speaks above it, with a generation that is durable before
 * (rule S5 of the replication protocol); ever more seldom, since a copy that runs
 * elsewhere answers in the same way. Never rejects.
 *
 * @module
 */

import type { Clock } from "../../runtime/mod.ts";
import type { NodeStart } from "./members.ts";

/** Longest pause between two answers, in milliseconds. */
const PAUSE_MS_MAX = 16_000;

/** Options for {@linkcode Reassertion}. */
export interface ReassertionOptions {
  readonly clock: Clock;
  /** Shortest pause between two answers, in milliseconds. */
  readonly pauseMs: number;
  /** The generation in which this node speaks now. */
  readonly generation: () => number;
  /** Makes durable that the next start is above that generation. */
  readonly raise: (generation: number) => Promise<void>;
  /** Speaks in that generation from now on. */
  readonly speak: (generation: number) => void;
}

/** Speaks above other starts of this node. */
export class Reassertion {
  readonly #options: ReassertionOptions;
  #heard = 0;
  #pauseMs: number;
  #nextAt = -Infinity;
  #running: Promise<void> | undefined;
  #closed = false;

  /** Makes one that has nothing to answer. */
  constructor(options: ReassertionOptions) {
    this.#options = options;
    this.#pauseMs = options.pauseMs;
  }

  /** Another start has said something of this node. */
  hear({ generation }: NodeStart): void {
    this.#heard = Math.max(this.#heard, generation);
  }

  /** Answers, if there is anything to answer and it is time. */
  answer(): void {
    const { clock, generation } = this.#options;
    const now = clock.monotonic();
    if (
      this.#heard < generation() || this.#running !== undefined ||
      now < this.#nextAt
    ) return;
    this.#nextAt = now + this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MS_MAX);
    this.#running = this.#speakAbove(this.#heard).catch(() => {
      // The engine has failed, and said so by its own event.
    }).finally(() => {
      this.#running = undefined;
    });
  }

  /** Answers no more, and waits until it does not. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #speakAbove(heard: number): Promise<void> {
    await this.#options.raise(heard + 1);
    if (!this.#closed) this.#options.speak(heard + 1);
  }
}
