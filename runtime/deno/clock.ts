/**
 * The clocks of the machine.
 *
 * @module
 */

import type { Clock } from "../runtime.ts";

/** Tells the machine's time. */
export class DenoClock implements Clock {
  /** Wall-clock time, in milliseconds since 1970. */
  now(): number {
    return Date.now();
  }

  /** Time that never goes back, in milliseconds. */
  monotonic(): number {
    return performance.now();
  }
}
