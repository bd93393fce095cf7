/**
 * The timers of the platform.
 *
 * Guarantees: a timer that is not persistent never keeps the process alive; a
 * delay of any length is waited in full (the platform's own timers fire at once
 * when asked to wait more than 2^31 - 1 ms).
 *
 * @module
 */

import { clearImmediate, setImmediate } from "node:timers";
import type { Timer, TimerOptions, Timers } from "../runtime.ts";

/** Longest wait of one timer of the platform, in milliseconds. */
const PLATFORM_DELAY_MS_MAX = 2 ** 31 - 1;

/** Sets timers of the platform. */
export class DenoTimers implements Timers {
  /** Calls `callback` once, after `delayMs` milliseconds. */
  set(
    callback: () => void,
    delayMs: number,
    options: TimerOptions = {},
  ): Timer {
    const persistent = options.persistent ?? false;
    return delayMs <= 0
      ? new Turn(callback, persistent)
      : new DenoTimer(callback, delayMs, persistent);
  }
}

/**
 * The next turn of the event loop: it comes within microseconds, where the
 * platform's timers round a delay of 0 up to a millisecond or two.
 */
class Turn implements Timer {
  readonly #id: ReturnType<typeof setImmediate>;

  constructor(callback: () => void, persistent: boolean) {
    this.#id = setImmediate(callback);
    if (!persistent) this.#id.unref();
  }

  cancel(): void {
    clearImmediate(this.#id);
  }
}

class DenoTimer implements Timer {
  readonly #callback: () => void;
  readonly #persistent: boolean;
  #remainingMs: number;
  #id: ReturnType<typeof setTimeout> | undefined;

  constructor(callback: () => void, delayMs: number, persistent: boolean) {
    this.#callback = callback;
    this.#persistent = persistent;
    this.#remainingMs = delayMs;
    this.#wait();
  }

  cancel(): void {
    clearTimeout(this.#id);
  }

  #wait(): void {
    const step = Math.min(this.#remainingMs, PLATFORM_DELAY_MS_MAX);
    this.#remainingMs -= step;
    this.#id = setTimeout(() => {
      if (this.#remainingMs > 0) this.#wait();
      else this.#callback();
    }, step);
    if (!this.#persistent) Deno.unrefTimer(this.#id);
  }
}
