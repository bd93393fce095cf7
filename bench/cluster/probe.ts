/**
 * How soon a node answers while it does something else: gets that are due at fixed
 * times, so that a loop that stands still is late for each of them.
 */

import type { DB } from "../../mod.ts";
import { keysOf, uniform } from "../engine/data.ts";
import { Laps } from "../engine/meter.ts";

/** From one get to the next, in milliseconds. */
const PROBE_MS = 1;

/** How long calls took. */
export interface CallFigures {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Gets an entry every millisecond; what counts is from when that was due. */
export class Probe {
  readonly #db: DB;
  readonly #laps = new Laps();
  readonly #keys: Uint8Array[];
  readonly #timer: ReturnType<typeof setTimeout>;
  #due = performance.now() + PROBE_MS;
  #n = 0;

  /** Begins; all entries are there. */
  constructor(db: DB, entries: number) {
    this.#db = db;
    this.#keys = keysOf(uniform(10_000, entries, 8));
    this.#timer = setInterval(() => this.#tick(), PROBE_MS);
  }

  /** Ends it; gives what it found. */
  stop(): CallFigures & { n: number } {
    clearInterval(this.#timer);
    return { n: this.#n, ...figuresOf(this.#laps) };
  }

  async #tick(): Promise<void> {
    const due = this.#due;
    await this.#db.get(this.#keys[this.#n++ % this.#keys.length]!);
    const done = performance.now();
    this.#laps.add(done - due);
    // Those that were missed meanwhile would have been late as well.
    this.#due += PROBE_MS;
    for (; this.#due < done; this.#due += PROBE_MS) {
      this.#laps.add(done - this.#due);
    }
  }
}

/** What a row says of how long calls took. */
export function figuresOf(laps: Laps): CallFigures {
  const ms = (q: number) => (laps.percentile(q) ?? NaN) / 1000;
  return { p50Ms: ms(0.5), p99Ms: ms(0.99), maxMs: ms(1) };
}
