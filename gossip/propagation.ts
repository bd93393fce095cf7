/**
 * The intervals by which things spread, and bounds of it, each with its default,
 * in one place.
 *
 * @module
 */

/** Intervals, in milliseconds, and bounds of what spreads. */
export interface Propagation {
  /**
   * Least time between two pushes of a node: after a pause a commit goes at
   * once, and what is committed meanwhile goes together. Many bytes do not wait.
   * Beyond `directPeersMax`, how long a record waits for others at each node
   * that brings it on.
   *
   * @default {2}
   */
  pushDelayMs: number;
  /**
   * Other living nodes up to which a node pushes what it commits to each of them
   * itself. In a larger cluster a record spreads by SIR gossip: whoever it comes to
   * brings it to a part of the others. 0: always so.
   *
   * @default {16}
   */
  directPeersMax: number;
  /**
   * Nodes to which a node that is infected with a record sends it at once; 0:
   * log2 of the number of living nodes, rounded up, but two at least.
   *
   * @default {0}
   */
  sirFanout: number;
  /**
   * The k of SIR gossip: a record is recovered at a node once so many of those to
   * which it was sent had it already.
   *
   * @default {3}
   */
  sirRedundancy: number;
  /**
   * Time between two comparisons of data with a random peer, ± 50 %. It bounds
   * how long what no push brought is missing.
   *
   * @default {2000}
   */
  antiEntropyIntervalMs: number;
  /**
   * Time between two comparisons of sums over all data with a random node that has
   * the same records, ± 10 %: finds damage and mistakes. Where the records are not
   * the same, it is tried again after an eighth of it.
   *
   * @default {60_000}
   */
  auditIntervalMs: number;
  /**
   * Bytes of recent records that are kept, so that a peer that is a little
   * behind gets exactly what it misses; one that is further behind gets a
   * session.
   *
   * @default {67108864}
   */
  logBytesMax: number;
  /**
   * Reports of conflicts that may stand on this node before writes of others that
   * would lose here have to wait. `DB.forgetConflicts` makes room.
   *
   * @default {10_000}
   */
  conflictsMax: number;
  /**
   * Bytes a second that a node gives at most, of sessions: to peers that join, or
   * were away for long, however many they are. Where as much is written, who is
   * behind stays so.
   *
   * @default {134217728}
   */
  copyBytesPerSecond: number;
  /**
   * Time between two reports of what a node has on disk, ± 10 %, if that is news. By
   * them the cluster finds out what every member has: tombstones of deleted keys go
   * some three of these, and of rounds of cluster gossip, after the last node has
   * heard of them.
   *
   * @default {5000}
   */
  reportIntervalMs: number;
  /**
   * Time between two rounds of cluster gossip, ± 10 %.
   *
   * @default {1000}
   */
  clusterGossipIntervalMs: number;
  /**
   * Time between two probes of this node, each of another one. From silence to
   * death it is some five of these, or more where few others notice.
   *
   * @default {1000}
   */
  probeIntervalMs: number;
  /**
   * How long a probe may take before others are asked for help: half an interval
   * at most.
   *
   * @default {500}
   */
  probeTimeoutMs: number;
  /**
   * At most how many nodes vote on what the cluster agrees on: 1, 3 or 5. One
   * votes until three nodes are up, three until five are.
   *
   * @default {5}
   */
  votersMax: number;
  /**
   * How long a node that votes is dead before another one votes in its place.
   *
   * @default {60_000}
   */
  voterGoneMs: number;
  /**
   * How long a member may be dead, as far as this node knows, before the event
   * `overdue` says so. It is a hint for people, and takes nothing from the member:
   * a member that was cut off may have acked writes that no other node has, and who
   * removes it (`cluster.remove`) gives them up. Until then marks of deletions are
   * kept for it, and whenever it comes back it takes what it missed, and writes on.
   *
   * @default {604_800_000}
   */
  maxOfflineMs: number;
  /**
   * Shortest pause between two pledges of a node that joins; the pause grows by a
   * quarter each time, up to thirty times this.
   *
   * @default {1000}
   */
  pledgeRetryIntervalMs: number;
  /**
   * Deadline of one pledge. Whoever answers says within four fifths of it, of the
   * joiner's and of its own, which voters are missing.
   *
   * @default {5000}
   */
  pledgeTimeoutMs: number;
  /**
   * Deadline of a dial.
   *
   * @default {2000}
   */
  dialTimeoutMs: number;
  /**
   * Shortest pause between two dials of a peer, with full jitter.
   *
   * @default {100}
   */
  redialMinMs: number;
  /**
   * Longest pause between two dials of a peer.
   *
   * @default {30000}
   */
  redialMaxMs: number;
  /**
   * A connection that is silent so long is asked for a sign of life.
   *
   * @default {5000}
   */
  keepaliveMs: number;
  /**
   * A connection from which nothing came so long is given up.
   *
   * @default {15000}
   */
  idleTimeoutMs: number;
  /**
   * Other nodes to which connections stand for ever. Where there are more, a
   * connection is made when there is something to say and closed when it was not
   * used for `keepaliveMs`; at most those of so many nodes stand.
   *
   * @default {64}
   */
  connectionsMax: number;
}

/** The defaults. */
export const PROPAGATION_DEFAULT: Readonly<Propagation> = {
  pushDelayMs: 2,
  directPeersMax: 16,
  sirFanout: 0,
  sirRedundancy: 3,
  antiEntropyIntervalMs: 2000,
  auditIntervalMs: 60_000,
  logBytesMax: 64 * 1024 * 1024,
  conflictsMax: 10_000,
  copyBytesPerSecond: 128 * 1024 * 1024,
  reportIntervalMs: 5000,
  clusterGossipIntervalMs: 1000,
  probeIntervalMs: 1000,
  probeTimeoutMs: 500,
  votersMax: 5,
  voterGoneMs: 60_000,
  maxOfflineMs: 7 * 24 * 3_600_000,
  pledgeRetryIntervalMs: 1000,
  pledgeTimeoutMs: 5000,
  dialTimeoutMs: 2000,
  redialMinMs: 100,
  redialMaxMs: 30_000,
  keepaliveMs: 5000,
  idleTimeoutMs: 15_000,
  connectionsMax: 64,
};

/** For tests and small clusters on one machine: `propagation: "fast"`. */
export const PROPAGATION_FAST: Readonly<Propagation> = {
  pushDelayMs: 1,
  directPeersMax: 16,
  sirFanout: 0,
  sirRedundancy: 3,
  antiEntropyIntervalMs: 50,
  auditIntervalMs: 1000,
  logBytesMax: 64 * 1024 * 1024,
  conflictsMax: 10_000,
  copyBytesPerSecond: 128 * 1024 * 1024,
  reportIntervalMs: 100,
  clusterGossipIntervalMs: 10,
  probeIntervalMs: 200,
  probeTimeoutMs: 100,
  votersMax: 5,
  voterGoneMs: 10_000,
  maxOfflineMs: 7 * 24 * 3_600_000,
  pledgeRetryIntervalMs: 10,
  pledgeTimeoutMs: 1000,
  dialTimeoutMs: 500,
  redialMinMs: 10,
  redialMaxMs: 500,
  keepaliveMs: 500,
  idleTimeoutMs: 2000,
  connectionsMax: 64,
};

/** Those that are whole numbers, and the least that each may be. */
const WHOLE: ReadonlyMap<string, number> = new Map([
  ["directPeersMax", 0],
  ["sirFanout", 0],
  ["sirRedundancy", 1],
  ["conflictsMax", 1],
]);

/**
 * What a user's choice comes to.
 *
 * @throws {RangeError} If an interval is not a positive number, a number of nodes
 * not a whole one, or a probe's timeout more than half of its interval.
 * @throws {TypeError} If there is no such interval.
 */
export function propagationOf(
  choice: "fast" | Partial<Propagation> | undefined,
): Propagation {
  if (choice === "fast") return { ...PROPAGATION_FAST };
  if (choice !== undefined && typeof choice !== "object") {
    throw new TypeError(
      `Cannot open: propagation must be "fast" or intervals, received "${choice}"`,
    );
  }
  const chosen = { ...PROPAGATION_DEFAULT, ...choice };
  for (const [name, value] of Object.entries(chosen)) {
    if (!(name in PROPAGATION_DEFAULT)) {
      throw new TypeError(
        `Cannot open: there is no propagation interval "${name}"`,
      );
    }
    const least = WHOLE.get(name);
    if (least !== undefined) {
      if (Number.isSafeInteger(value) && value >= least) continue;
      throw new RangeError(
        `Cannot open: propagation.${name} must be a whole number from ${least}, received ${value}`,
      );
    }
    if (!(value > 0 && value < Infinity)) {
      throw new RangeError(
        `Cannot open: propagation.${name} must be positive, received ${value}`,
      );
    }
  }
  const { probeIntervalMs, probeTimeoutMs, votersMax, sirFanout } = chosen;
  if (sirFanout === 1) {
    throw new RangeError(
      "Cannot open: propagation.sirFanout must be 0, or 2 or more: with 1, nodes would pass a record along one chain",
    );
  }
  if (![1, 3, 5].includes(votersMax)) {
    throw new RangeError(
      `Cannot open: propagation.votersMax must be 1, 3 or 5, received ${votersMax}`,
    );
  }
  if (probeTimeoutMs > probeIntervalMs / 2) {
    throw new RangeError(
      `Cannot open: propagation.probeTimeoutMs must be at most half of probeIntervalMs (${probeIntervalMs}), received ${probeTimeoutMs}`,
    );
  }
  return chosen;
}
