/**
 * How far this node can trust what it sees: Lifeguard's local health (see
 * `suspicion.ts`), and a clock of our own, since a thread that stood still sees
 * nobody answer.
 *
 * Guarantees: a score from 0, healthy, to {@linkcode SCORE_MAX}; probes are as
 * many times slower and more patient as it says.
 *
 * @module
 */

/** The worst score. */
export const SCORE_MAX = 8;

/** What a thread that stood still counts. */
const LAG_PENALTY = 2;

/** The health of this node, as a detector. */
export class LocalHealth {
  #score = 0;

  /** From 0, healthy, to {@linkcode SCORE_MAX}. */
  get score(): number {
    return this.#score;
  }

  /** By how much intervals and timeouts are longer, at least 1. */
  get factor(): number {
    return this.#score + 1;
  }

  /** A probe was answered. */
  answered(): void {
    this.#add(-1);
  }

  /**
   * A probe failed.
   *
   * @param asked How many nodes were asked to probe too.
   * @param silent How many of them said nothing: they are well, as far as known.
   */
  failed(asked: number, silent: number): void {
    this.#add(asked === 0 ? 1 : silent);
  }

  /** Others suspected this node. */
  accused(): void {
    this.#add(1);
  }

  /** This thread stood still. */
  lagged(): void {
    this.#add(LAG_PENALTY);
  }

  #add(points: number): void {
    this.#score = Math.min(SCORE_MAX, Math.max(0, this.#score + points));
  }
}
