/**
 * How long the answer to a rumour is waited for: by how long answers took
 * (RFC 6298, §2), twice what is usual at least, which is the 2 RTT of
 * reference/cluster.md §3.9, within bounds.
 *
 * Guarantees: an answer that may be to another question than the last is not taken
 * for one; but where all answers are such, they are taken, for nothing else would
 * ever tell that they have become slow.
 *
 * @module
 */

/** How long is waited where nothing is known, and at least, and most, in milliseconds. */
const SILENCE_MS = { first: 500, min: 100, max: 5000 };

/** Answers in a row, all of targets that were asked again: they have become slow. */
const DOUBTFUL_MAX = 8;

/** How long answers take at one node, whoever gives them. */
export class AnswerTimes {
  #usualMs: number | undefined;
  #varMs = 0;
  /** Answers since the last that was measured. */
  #doubtful = 0;

  /** How long an answer is waited for, in milliseconds. */
  get silenceMs(): number {
    const { first, min, max } = SILENCE_MS;
    if (this.#usualMs === undefined) return first;
    const ms = Math.max(2 * this.#usualMs, this.#usualMs + 4 * this.#varMs);
    return Math.min(max, Math.max(min, ms));
  }

  /**
   * Takes note of an answer, so many milliseconds after the first question.
   *
   * @param asks How often was asked again: nobody knows which question it answers.
   */
  take(ms: number, asks: number): void {
    if (asks > 0 && ++this.#doubtful < DOUBTFUL_MAX) return;
    this.#doubtful = 0;
    if (this.#usualMs === undefined) {
      this.#usualMs = ms;
      this.#varMs = ms / 2;
      return;
    }
    const off = Math.abs(this.#usualMs - ms);
    this.#varMs += (off - this.#varMs) / 4;
    this.#usualMs += (ms - this.#usualMs) / 8;
  }
}
