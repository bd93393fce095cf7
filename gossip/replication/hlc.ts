/**
 * The hybrid logical clock: wall-clock time that never goes back and never
 * repeats.
 *
 * A reading is one integer of 53 bits: 41 bits of milliseconds since 2024 (they
 * last until 2093) and 12 bits of counter. Safety does not rest on it: it orders
 * the writes of one claim, and tells people when.
 *
 * Source: Kulkarni et al., "Logical Physical Clocks", OPODIS 2014.
 *
 * @module
 */

/** Readings in one millisecond. */
export const HLC_PER_MS = 4096;

/** 2024-01-01T00:00:00Z, in milliseconds since 1970. */
export const HLC_EPOCH_MS = 1_704_067_200_000;

/**
 * A reading that is further ahead of the wall clock is stored, but not adopted.
 * One minute: beyond what synchronised clocks differ by, in milliseconds.
 */
export const HLC_AHEAD_MS_MAX = 60_000;

/** The smallest reading for a wall-clock time in milliseconds since 1970. */
export function hlcAt(wallMs: number): number {
  return Math.max(0, Math.floor(wallMs) - HLC_EPOCH_MS) * HLC_PER_MS;
}

/** The wall-clock time of a reading, in milliseconds since 1970. */
export function hlcToMs(hlc: number): number {
  return Math.floor(hlc / HLC_PER_MS) + HLC_EPOCH_MS;
}

/** Whether a reading is too far ahead of a wall-clock time to be adopted. */
export function isTooFarAhead(hlc: number, wallMs: number): boolean {
  return hlcToMs(hlc) > wallMs + HLC_AHEAD_MS_MAX;
}
