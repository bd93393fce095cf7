/**
 * How long a suspected node has to say that it lives.
 *
 * Lifeguard (Dadgar, Phillips, Currey: "Lifeguard: Local Health Awareness for More
 * Accurate Failure Detection", 2017, section IV.B): the fewer nodes accuse it, the
 * longer, since a single accuser may itself be what is slow.
 *
 * ```text
 * min     = 4 · max(1, log10 N) · probe interval
 * max     = 6 · min
 * timeout = max(min, max − log(c + 1) / log(k + 1) · (max − min))
 * ```
 *
 * with c other accusers of k = 2 that are enough; k = 0, and so min, below four
 * nodes, where there are none to agree.
 *
 * @module
 */

/** Probe intervals of the shortest suspicion in a cluster of ten. */
const MIN_INTERVALS = 4;
/** How many times the shortest suspicion the longest one is. */
const MAX_FACTOR = 6;
/** Other accusers that make a suspicion as short as it gets. */
const CONFIRMATIONS_MAX = 2;
/** Nodes from which on there are others to confirm a suspicion. */
const NODES_TO_CONFIRM = 4;
/** A node whose address refuses connections gets this share of the time. */
const REFUSED_SHARE = 0.5;

/** Accusers of a node that are told on; more change nothing. */
export const ACCUSERS_MAX = CONFIRMATIONS_MAX + 1;

/** What a suspicion's length depends on. */
export interface SuspicionInputs {
  /** Nodes that are not dead, this one included. */
  readonly nodes: number;
  /** The interval between probes, in milliseconds. */
  readonly intervalMs: number;
  /** Nodes that accuse it, at least 1. */
  readonly accusers: number;
  /** Whether its address refuses connections: its process is gone. */
  readonly refused: boolean;
}

/** The time from the accusation to death, in milliseconds. */
export function suspicionMs(
  { nodes, intervalMs, accusers, refused }: SuspicionInputs,
): number {
  const min = MIN_INTERVALS * Math.max(1, Math.log10(nodes)) * intervalMs *
    (refused ? REFUSED_SHARE : 1);
  if (nodes < NODES_TO_CONFIRM) return min;
  const max = MAX_FACTOR * min;
  const share = Math.log(accusers) / Math.log(CONFIRMATIONS_MAX + 1);
  return Math.max(min, max - share * (max - min));
}
