/**
 * What goes wrong, when, and to whom: decided by the seed before anything starts.
 *
 * @module
 */

import type { Prng } from "../../../runtime/virtual/mod.ts";

/** Ways in which the world fails. */
export const FAULTS = [
  "kill",
  "stop",
  "restart",
  "move",
  "cut",
  "cutOneWay",
  "isolate",
  "split",
  "flap",
  "reset",
  "delay",
  "throttle",
  "diskFull",
  /** A directory is put back to what it was a while before. */
  "putBack",
  /** A copy of a directory is opened beside it. */
  "clone",
] as const;

/** A way in which the world fails. */
export type FaultKind = typeof FAULTS[number];

/** One fault. */
export interface Fault {
  /** When it begins, from the start of the calls. */
  readonly atMs: number;
  readonly kind: FaultKind;
  /** How long it lasts. */
  readonly forMs: number;
  /** All nodes: it hits the first of them that it can hit. */
  readonly nodes: readonly number[];
}

/** Options for {@linkcode schedule}. */
export interface ScheduleOptions {
  readonly kinds: readonly FaultKind[];
  readonly nodes: number;
  /** No fault lasts longer than this. */
  readonly durationMs: number;
  /** The mean time from one fault to the next. */
  readonly everyMs: number;
}

/** Draws the faults of a run; each kind comes once before any comes again. */
export function schedule(
  random: Prng,
  { kinds, nodes, durationMs, everyMs }: ScheduleOptions,
): Fault[] {
  const faults: Fault[] = [];
  let bag: FaultKind[] = [];
  for (let atMs = everyMs / 2; atMs < durationMs;) {
    if (bag.length === 0) bag = shuffled(random, kinds);
    const longest = Math.min(4000, durationMs / 6);
    faults.push({
      atMs: Math.round(atMs),
      kind: bag.pop()!,
      forMs: Math.round(longest * (0.1 + 0.9 * random.float())),
      nodes: shuffled(random, Array.from({ length: nodes }, (_, i) => i)),
    });
    atMs += everyMs * (0.5 + random.float());
  }
  return faults;
}

/** The items in a random order. */
export function shuffled<T>(random: Prng, items: readonly T[]): T[] {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}
