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

interface Name {
  readonly seq: number;
  /** What it builds on, where that is why it waits. */
  readonly deps: readonly Dot[] | undefined;
}

/** The origins whose next record waits. */
export class WaitingOrigins {
  readonly #names = new Map<Origin, Name>();
  #session = false;

  /** Whether anything waits. */
  get any(): boolean {
    return this.#session || this.#names.size > 0;
  }

  /** How many origins wait. */
  get size(): number {
    return this.#names.size;
  }

  /** Whether the records of an origin wait. */
  has(origin: Origin): boolean {
    return this.#names.has(origin);
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
    if (!waits) return;
    this.#names.set(origin, {
      seq,
      deps: arrival === "waits" ? undefined : deps,
    });
  }

  /** A session has arrived, and waits or not. */
  sessionArrived(waits: boolean): void {
    this.#session = waits;
  }

  /** What this vector covers does not wait any more, nor what builds on that only. */
  settle(vector: Vector): void {
    const covers = (dot: Dot) => vector.covers(dot.origin, dot.seq);
    for (const [origin, { seq, deps }] of this.#names) {
      if (covers({ origin, seq }) || deps?.every(covers)) {
        this.#names.delete(origin);
      }
    }
  }

  /** There is room: nothing waits until it arrives again. */
  clear(): void {
    this.#names.clear();
    this.#session = false;
  }

  /** What is covered by this vector of the origins that wait. */
  of(vector: Vector): Vector {
    const dots: Dot[] = [];
    for (const origin of this.#names.keys()) {
      const seq = vector.seq(origin);
      if (seq > 0) dots.push({ origin, seq });
    }
    return Vector.upTo(dots);
  }
}
