/**
 * A pace: so many bytes a second, however many ask.
 *
 * Guarantees: over any time, no more than the rate gives and a tenth of a second's
 * worth, and what went in one piece; who asks waits {@linkcode PAUSE_MAX_MS} at most.
 *
 * @module
 */

import type { Clock } from "../../runtime/mod.ts";

/** What may go at once after a rest, in milliseconds of the rate. */
const BURST_MS = 100;

/** A pause is no longer than this, in milliseconds: who waits has a deadline. */
export const PAUSE_MAX_MS = 5000;

/** Counts what goes, and says when the next may. */
export class Pace {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #bytesPerSecond: number;
  /** When all that went is paid for. */
  #paidAt = -Infinity;

  /** Begins with a rest behind it. */
  constructor(clock: Pick<Clock, "monotonic">, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Bytes that go in one piece, at most `max`: what may go at once after a rest. */
  pieceBytes(max: number): number {
    return Math.min(max, Math.ceil(this.#bytesPerSecond * BURST_MS / 1000));
  }

  /** How long to wait, in milliseconds, before something goes. */
  get pauseMs(): number {
    return Math.max(0, this.#paidAt - this.#clock.monotonic());
  }

  /** So many bytes go now. */
  spend(bytes: number): void {
    const now = this.#clock.monotonic();
    const from = Math.max(this.#paidAt, now - BURST_MS);
    const paidAt = from + bytes / this.#bytesPerSecond * 1000;
    this.#paidAt = Math.min(paidAt, now + PAUSE_MAX_MS);
  }
}
