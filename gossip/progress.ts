/**
 * How far a watcher has come: what was handed out to it, as a vector, and tokens of
 * the moments on the way.
 *
 * Guarantees: a token stands for what had been handed out when it was taken, also
 * if it is read later; one that nobody reads costs next to nothing.
 *
 * @module
 */

import type { Dot } from "./replication/dot.ts";
import { Vector } from "./replication/vector.ts";
import { type Token, vectorToken } from "./token.ts";

/** What one step brings: a record, with all before it, or what a session covers. */
export type Step = Dot | Vector;

/** Steps that are kept one by one, at least, before they become a vector. */
const STEPS_MAX = 256;

/** How far a watcher has come. */
export class Progress {
  #base: Vector;
  /** Only ever added to, so that a token may hold on to it. */
  #steps: Step[] = [];
  readonly #floor: () => Vector;

  /**
   * @param base What it has before the first step.
   * @param floor What every member has: what is folded behind it is not named.
   */
  constructor(base: Vector, floor: () => Vector = () => new Vector()) {
    this.#base = base;
    this.#floor = floor;
  }

  /** Goes on. */
  advance(steps: readonly Step[]): void {
    for (const step of steps) this.#steps.push(step);
    if (this.#steps.length < Math.max(STEPS_MAX, this.#base.size)) return;
    const base = after(this.#base, this.#steps);
    this.#base = base.shortened(this.#floor());
    this.#steps = [];
  }

  /** Gives the token of this moment, when it is wanted. */
  token(): () => Token {
    const base = this.#base;
    const steps = this.#steps;
    const { length } = steps;
    let token: Token | undefined;
    return () => token ??= vectorToken(after(base, steps.slice(0, length)));
  }
}

/** Fewer steps that lead as far: at most a few hundred. */
export function shortened(steps: Step[]): Step[] {
  return steps.length < STEPS_MAX ? steps : [after(new Vector(), steps)];
}

function after(base: Vector, steps: readonly Step[]): Vector {
  const vector = base.clone();
  for (const step of steps) {
    if (step instanceof Vector) vector.join(step);
    else vector.reach(step);
  }
  return vector;
}
