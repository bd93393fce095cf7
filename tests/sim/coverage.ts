/**
 * What happened in a life: faults, and paths that are rarely taken. What never
 * happens was not tested, so a campaign names what it missed.
 *
 * @module
 */

import type { FaultKind } from "./script.ts";

/** Paths that a campaign must have taken. */
export const PATHS = [
  /** A commit that another node decided. */
  "forwarded",
  /** A commit over several leaseholders of which only some acked. */
  "partial",
  /** A commit whose check failed. */
  "checkFailed",
  /** A write that wanted another leaseholder than the key has. */
  "leaseRefused",
  /** A node that had caught up with another. */
  "caughtUp",
  /** A call whose outcome nobody knows. */
  "unknown",
  /** A call that was refused, and wrote nothing. */
  "refused",
  /** A record that was applied. */
  "record",
  /** A record that came early and waited. */
  "held",
  /** A record that was brought by a rumour. */
  "rumour",
  /** A pull. */
  "pull",
  /** Two nodes of which an audit found that they hold the same. */
  "audited",
  /** A difference too large for the log. */
  "deltaSession",
  /** The first copy of a node that joined under way. */
  "snapshot",
  /** A whole copy that went on where it had broken off. */
  "copyResumed",
  /** A session that waited, so as not to take more than its share. */
  "paced",
  "conflict",
  /** A record that waited for room for the report of its conflict. */
  "conflictsFull",
  /** A conflict that was forgotten. */
  "forgotten",
  /** A watcher that did not keep up and was told. */
  "lagged",
  /** A watcher that was shown the newest of several versions. */
  "coalesced",
  /** A watch that went on after a restart where it was. */
  "resumed",
  /** A clock too far ahead to be adopted. */
  "clockSkew",
  /** A directory that was open already. */
  "locked",
  /** A node key that two processes had. */
  "cloned",
  /** An engine that failed, and was opened anew. */
  "poisoned",
  /** A torn end of a WAL. */
  "tornWal",
  /** A memtable that became a table. */
  "flush",
  "compaction",
  /** Tables of the log's old rows that went unread. */
  "abandoned",
  /** A whole copy that went into tables past the log. */
  "bulkLoad",
  /** A flipped bit that was noticed when the disk was opened. */
  "corruption",
  /** A flipped bit that a node noticed while it ran. */
  "rot",
  /** A frame whose checksum was wrong. */
  "badFrame",
  /** A node that was killed while it opened. */
  "killedAtOpen",
  /** An acked write that was gone with the only disk that held it. */
  "discard",
  /** A core that converged by itself. */
  "core",
  /** A node that was suspected of being gone. */
  "suspected",
  /** A node that counted as dead. */
  "died",
  /** A node that was dead for longer than it may be. */
  "overdue",
  /** A node that answered doubts about it. */
  "refuted",
  /** Others voted than before. */
  "electorate",
  /** A node that left. */
  "left",
  /** What removed nodes wrote was being counted. */
  "sealing",
  /** A write of a key that a removed node had led. */
  "takenOver",
  /** A tombstone that went, since every node had it. */
  "collected",
  /** An origin that had ended and that vectors name no more. */
  "folded",
  /** A node whose disk was older than what it had said. */
  "outdated",
  /** A node whose data a whole copy has replaced. */
  "reset",
] as const;

/** A path. */
export type PathKind = typeof PATHS[number];

/** Counts of a life or a campaign. */
export class Coverage {
  readonly faults: Partial<Record<FaultKind, number>> = {};
  readonly paths: Partial<Record<PathKind, number>> = {};

  /** A fault happened, so often. */
  fault(kind: FaultKind, times = 1): void {
    if (times > 0) this.faults[kind] = (this.faults[kind] ?? 0) + times;
  }

  /** A path was taken, so often. */
  path(kind: PathKind, times = 1): void {
    if (times > 0) this.paths[kind] = (this.paths[kind] ?? 0) + times;
  }

  /** Adds what happened elsewhere. */
  add(other: Pick<Coverage, "faults" | "paths">): void {
    for (const [kind, count] of Object.entries(other.faults)) {
      this.fault(kind as FaultKind, count);
    }
    for (const [kind, count] of Object.entries(other.paths)) {
      this.path(kind as PathKind, count);
    }
  }

  /** Which of these never happened. */
  missing(
    faults: readonly FaultKind[],
    paths: readonly PathKind[] = PATHS,
  ): string[] {
    return [
      ...new Set(faults).values().filter((kind) => !this.faults[kind]),
      ...paths.filter((kind) => !this.paths[kind]),
    ];
  }
}
