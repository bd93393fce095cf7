/**
 * How thorough the tests that try every crash point, byte or seed are: the
 * default run takes a sample, `tests/long/engine_long.ts` takes all of them.
 *
 * @module
 */

/** Read when a test runs. */
export const effort = { full: false };

/** The step from one case to the next: 1 if all are to be tried. */
export function sampled(step: number): number {
  return effort.full ? 1 : step;
}

/** How many times: `long` if all are to be tried. */
export function times(short: number, long: number): number {
  return effort.full ? long : short;
}
