/**
 * What waits until reports of conflicts are forgotten (conflict.ts): by origin the
 * next record, which has an entry that would lose here, or builds on one that waits.
 *
 * Guarantees: only names are kept, one an origin at most. They say what it would be
 * in vain to ask for again at once, never what is here: a name that is wrong costs
 * a comparison with a peer, and no record.
 *
 * @module
 */

import type { Dot, Origin } from "./dot.ts";
import type { Arrival } from "./draft.ts";
import type { LogRecord } from "./record.ts";
import { Vector } from "./vector.ts";

/** The origins whose next record waits. */
export class WaitingOrigins {
  readonly #seqs = new Map<Origin, number>();
  #session = false;

  /** Whether anything waits. */
  get any(): boolean {
    return this.#session || this.#seqs.size > 0;
  }

  /** How many origins wait. */
  get size(): number {
    return this.#seqs.size;
  }

  /** Whether the records of an origin wait. */
  has(origin: Origin): boolean {
    return this.#seqs.has(origin);
  }

  /** A record has arrived where this vector was covered. */
  arrived(
    { origin, seq, deps }: Pick<LogRecord, "origin" | "seq" | "deps">,
    arrival: Arrival,
    vector: Vector,
  ): void {
    const waits = arrival === "waits" || arrival === "early" &&
        seq === vector.seq(origin) + 1 &&
        deps.some((dep) =>
          this.has(dep.origin) && !vector.covers(dep.origin, dep.seq)
        );
    if (waits) this.#seqs.set(origin, seq);
  }

  /** A session has arrived, and waits or not. */
  sessionArrived(waits: boolean): void {
    this.#session = waits;
  }

  /** What this vector covers does not wait any more. */
  settle(vector: Vector): void {
    for (const [origin, seq] of this.#seqs) {
      if (vector.covers(origin, seq)) this.#seqs.delete(origin);
    }
  }

  /** There is room: nothing waits until it arrives again. */
  clear(): void {
    this.#seqs.clear();
    this.#session = false;
  }

  /** What is covered by this vector of the origins that wait. */
  of(vector: Vector): Vector {
    const dots: Dot[] = [];
    for (const origin of this.#seqs.keys()) {
      const seq = vector.seq(origin);
      if (seq > 0) dots.push({ origin, seq });
    }
    return Vector.upTo(dots);
  }
}
