/**
 * Expiry: makes tombstones of the values that have ended by themselves, on the node
 * that leads their keys.
 *
 * Guarantees: whether a value has ended is judged in the commit step, of the entry
 * that stands there, so that what was set meanwhile stays. Reads do not wait for
 * this: each node hides a value from its instant on. Bounded: one batch at a time,
 * the earliest first, with a pause between two rounds; what is due is found by an
 * index on disk, so that a restart goes on where it was.
 *
 * Values of a node that is away become tombstones when it is back, and those of a
 * node that was removed when somebody writes their keys; until then they are hidden.
 *
 * @module
 */

import {
  type Clock,
  isPromise,
  type Timer,
  type Timers,
} from "../../runtime/mod.ts";
import type { KV } from "../../engine/kv.ts";
import { expiryKey, expiryOfKey } from "../keyspace.ts";
import { SEQ_MAX } from "../replication/dot.ts";
import type { Applied, CommitOp } from "../replication/draft.ts";
import { endOf } from "../replication/entry.ts";
import type { Replica } from "../replication/replica.ts";

/** Tombstones made at once. */
const BATCH_MAX = 500;

/** Shortest time between two rounds, in milliseconds: what ends together goes together. */
const PAUSE_MS = 100;

/**
 * Longest time until the next look, in milliseconds: wall clocks are set, and a
 * round that failed is tried again.
 */
const LOOK_MS = 60_000;

/** Time until what was due, and then was not, is looked at again, in milliseconds. */
const RETRY_MS = 1000;

/** What expiry is made of. */
export interface ExpiryOptions {
  readonly nodeKey: number;
  readonly replica: Pick<Replica, "commit" | "bank">;
  readonly kv: Pick<KV, "iterate">;
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Makes tombstones of values that have ended. */
export class Expiry {
  readonly #options: ExpiryOptions;
  #timer: Timer | undefined;
  /** When the timer fires, in milliseconds since 1970. */
  #fireMs = Infinity;
  #running: Promise<void> | undefined;
  /** Whether the timer fired amid a round. */
  #isDue = false;
  #isStarted = false;
  #isClosed = false;

  constructor(options: ExpiryOptions) {
    this.#options = options;
  }

  /** Looks for what is due, from now on. */
  start(): void {
    this.#isStarted = true;
    this.#wakeAt(0);
  }

  /** Takes note of what was applied. */
  saw(applied: readonly Applied[]): void {
    for (const { changes, replaced } of applied) {
      // What the copy has that ends is not told entry by entry.
      if (replaced !== undefined) this.#wakeAt(0);
      for (const entry of changes) {
        if (entry.expiresAt > 0 && entry.holder === this.#options.nodeKey) {
          this.#wakeAt(endOf(entry) ?? Infinity);
        }
      }
    }
  }

  /** Ends the round under way, and begins no other. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  /** Looks at a time, or after the pause if that is later. */
  #wakeAt(instantMs: number): void {
    const nowMs = this.#options.clock.now();
    const fireMs = Math.min(
      Math.max(instantMs, nowMs + PAUSE_MS),
      nowMs + LOOK_MS,
    );
    // Also after a round: what came meanwhile may be due before what it found.
    if (fireMs >= this.#fireMs || !this.#isStarted || this.#isClosed) return;
    this.#fireMs = fireMs;
    this.#timer?.cancel();
    this.#timer = this.#options.timers.set(() => {
      this.#fireMs = Infinity;
      this.#timer = undefined;
      if (this.#running !== undefined) this.#isDue = true;
      else this.#running = this.#round();
    }, fireMs - nowMs);
  }

  async #round(): Promise<void> {
    let nextMs = Infinity;
    try {
      nextMs = await this.#expire();
    } catch {
      // Closed, removed, or the engine has failed, of which others tell.
    }
    this.#running = undefined;
    this.#wakeAt(this.#isDue ? 0 : nextMs);
    this.#isDue = false;
  }

  /** Deletes what is due; gives the instant of what comes next. */
  async #expire(): Promise<number> {
    const { replica, clock } = this.#options;
    for (;;) {
      const nowMs = clock.now();
      const { due, nextMs } = await this.#due(nowMs);
      if (due.length === 0 || this.#isClosed) return nextMs;
      const { record } = await replica.commit({ checks: [], ops: due });
      // The clock was set back in between: nothing is due in the step.
      if (record === undefined) return nowMs + RETRY_MS;
    }
  }

  /** The first keys that are due, and the instant of the one after them. */
  async #due(nowMs: number): Promise<{ due: CommitOp[]; nextMs: number }> {
    const { kv, nodeKey, replica: { bank } } = this.#options;
    const none = new Uint8Array(0);
    const rows = kv.iterate({
      start: expiryKey(bank, nodeKey, 0, none),
      // The largest instant stands for "never".
      end: expiryKey(bank, nodeKey, SEQ_MAX, none),
      keysOnly: true,
    });
    const due: CommitOp[] = [];
    try {
      for (;;) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) {
          return { due, nextMs: Infinity };
        }
        const { instantMs, key } = expiryOfKey(rows.key);
        if (instantMs > nowMs || due.length === BATCH_MAX) {
          return { due, nextMs: instantMs };
        }
        due.push({ key, value: undefined, ifExpired: true });
      }
    } finally {
      const closed = rows.close();
      if (isPromise(closed)) await closed;
    }
  }
}
