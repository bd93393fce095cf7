/**
 * Addresses that whoever opened the node has named: asked for ever who the members
 * are and where, so that nodes that know each other only where they no longer are
 * find each other, as long as one of these addresses is somebody's.
 *
 * Guarantees: an address at which a connected member is known is left alone; one
 * address is asked at a time; never rejects.
 *
 * @module
 */

import type { Random, Timer, Timers } from "../../runtime/mod.ts";

/** Options for {@linkcode Seeds}. */
export interface SeedsOptions {
  /** The addresses. */
  readonly addresses: readonly string[];
  readonly timers: Timers;
  readonly random: Random;
  /** Longest pause between two rounds, in milliseconds; the first comes at once. */
  readonly intervalMs: number;
  /** Whether a connected member is known there. */
  readonly reaches: (address: string) => boolean;
  /** Exchanges what either end knows of nodes with whoever is at an address. */
  readonly ask: (address: string, signal: AbortSignal) => Promise<void>;
}

/** Asks at addresses that do not change. */
export class Seeds {
  readonly #options: SeedsOptions;
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  #round: Promise<void> = Promise.resolve();

  /** Makes seeds that ask nobody before {@linkcode Seeds.start}. */
  constructor(options: SeedsOptions) {
    this.#options = options;
  }

  /** Begins to ask. */
  start(): void {
    if (this.#options.addresses.length > 0) this.#later(0);
  }

  /** Asks no more, and waits until nobody is being asked. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort();
    await this.#round;
  }

  #later(delayMs: number): void {
    const { timers, random, intervalMs } = this.#options;
    this.#timer = timers.set(() => {
      this.#round = this.#askAll().then(() => {
        if (!this.#abort.signal.aborted) {
          this.#later(intervalMs * (0.5 + random.float() / 2));
        }
      });
    }, delayMs);
  }

  async #askAll(): Promise<void> {
    const { addresses, reaches, ask } = this.#options;
    const { signal } = this.#abort;
    for (const address of addresses) {
      if (signal.aborted) return;
      if (reaches(address)) continue;
      try {
        await ask(address, signal);
      } catch {
        // Nobody there now, or nobody to talk to: asked again in the next round.
      }
    }
  }
}
