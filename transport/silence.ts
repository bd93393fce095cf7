/**
 * Watches one connection for silence.
 *
 * Guarantees: after `keepaliveMs` without a write a sign of life is asked for;
 * a stream on which nothing came, or into which nothing could be written, for
 * `idleTimeoutMs` is given up, and one on which a frame was begun and is not whole
 * after twice that: a bit that flipped in a length would have it wait for bytes
 * that nobody sends, and signs of life would be taken for them. Where this process itself stood still, the time
 * counts from its awakening: what came meanwhile is not read yet.
 *
 * @module
 */

import type { Clock, Timer, Timers } from "../runtime/mod.ts";

/** How many idle timeouts a frame may take from its first byte to its last. */
const FRAMES_IDLE = 2;

/** What a watch for silence needs. */
export interface SilenceOptions {
  /** Tells the time. */
  readonly clock: Clock;
  /** Sets the timer. */
  readonly timers: Timers;
  /** Silence here after which a sign of life is sent, in milliseconds. */
  readonly keepaliveMs: number;
  /** Silence there after which the peer counts as gone, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Sends a sign of life. */
  readonly keepalive: () => void;
  /** The peer counts as gone. Called once; the watch has ended then. */
  readonly gone: () => void;
}

/** The watch of one connection. */
export class SilenceWatch {
  readonly #options: SilenceOptions;
  #receivedAt: number;
  #sentAt: number;
  /** When the frame of which a part has come was begun. */
  #begunAt: number | undefined;
  #writing = false;
  #due: number;
  #timer: Timer | undefined;
  #ended = false;

  /** Begins with a stream that has just been established. */
  constructor(options: SilenceOptions) {
    this.#options = options;
    this.#receivedAt = this.#sentAt = this.#due = options.clock.monotonic();
  }

  /** Begins to watch. */
  start(): void {
    if (!this.#ended) this.#look();
  }

  /** Ends the watch. */
  end(): void {
    this.#ended = true;
    this.#timer?.cancel();
  }

  /**
   * Something came.
   *
   * @param whole Whether a frame has become whole by it.
   * @param partial Whether a part of another one is there.
   */
  received(whole: boolean, partial: boolean): void {
    this.#receivedAt = this.#options.clock.monotonic();
    if (!partial) this.#begunAt = undefined;
    else if (whole) this.#begunAt = this.#receivedAt;
    else this.#begunAt ??= this.#receivedAt;
  }

  /** A write begins. */
  writing(): void {
    this.#writing = true;
    this.#sentAt = this.#options.clock.monotonic();
  }

  /** The stream has taken the write. */
  written(): void {
    this.#writing = false;
  }

  #look(): void {
    const { clock, timers, keepaliveMs, idleTimeoutMs } = this.#options;
    const now = clock.monotonic();
    if (now > this.#due + keepaliveMs) {
      // This process stood still.
      this.#receivedAt = now;
      if (this.#writing) this.#sentAt = now;
      if (this.#begunAt !== undefined) this.#begunAt = now;
    }
    const whole = (this.#begunAt ?? Infinity) + FRAMES_IDLE * idleTimeoutMs;
    const heard = Math.min(whole, this.#receivedAt + idleTimeoutMs);
    const stuck = this.#writing ? this.#sentAt + idleTimeoutMs : heard;
    if (now >= Math.min(heard, stuck)) {
      this.end();
      this.#options.gone();
      return;
    }
    if (now >= this.#sentAt + keepaliveMs && !this.#writing) {
      this.#options.keepalive();
      this.#sentAt = now;
    }
    const spoken = this.#writing ? stuck : this.#sentAt + keepaliveMs;
    this.#due = Math.max(now + 1, Math.min(heard, stuck, spoken));
    this.#timer = timers.set(() => this.#look(), this.#due - now);
  }
}
