/**
 * The clocks of the machine.
 *
 * @module
 */

import type { Clock } from "../runtime.ts";

/** Tells the machine's time. */
export class DenoClock implements Clock {
  /** @inheritDoc */
  now(): number {
    return Date.now();
  }

  /** @inheritDoc */
  monotonic(): number {
    return performance.now();
  }
}
