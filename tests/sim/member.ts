/**
 * What is known of a node of a life, over all its starts, and what all that judge
 * it ask.
 *
 * @module
 */

import type { KV } from "../../engine/mod.ts";
import type { Vector } from "../../gossip/replication/vector.ts";
import {
  type Change,
  CorruptionError,
  type DB,
  type OpenOptions,
  type Version,
} from "../../mod.ts";
import type { World } from "../../runtime/virtual/mod.ts";
import type { Coverage } from "./coverage.ts";
import { type Discard, type Oracle, versionText } from "./oracle.ts";
import type { NodeState } from "./rows.ts";
import type { WorldDraw } from "./script.ts";
import type { WatchJudge } from "./watch_judge.ts";

/** How long after its cause an error of a disk may still come, in ms. */
export const DISK_ERROR_MS = 3000;

/** How long after a failure a node is started again, in ms. */
export const RETRY_MS = 700;

/** A node over all its lives. */
export interface Member {
  readonly index: number;
  readonly name: string;
  /** Goes up with each move. */
  port: number;
  /** 0 until it has joined. */
  nodeKey: number;
  /** How it becomes a node. */
  readonly ways: () => OpenOptions;
  /** The start under way or that runs; `undefined` while it is down. */
  life: Life | undefined;
  /** What its disk covered when it was last up. */
  vector: Vector;
  /** What it covered when it went down, as far as could be seen. */
  covered: Vector;
  /** What watches of this disk have shown. */
  shown: Map<string, Version>;
  /** From where its watch goes on, and what it had when the first one began. */
  watched: { last: Change; first: NodeState } | undefined;
  /** Whether another disk, or an older one, has written as this node too. */
  doubled: boolean;
  /** Its origins of which others may have more, since its disk lost some. */
  readonly cutShort: Set<number>;
  /** What was taken away and is to be compared with the next start. */
  discards: Discard[];
  /** What becomes of it for ever (`going.ts`); only who leaves may start again. */
  fate: "leaves" | "lost" | "gone" | undefined;
  /** The epoch of the config that it was last seen with, and who voted. */
  seen: { readonly epoch: number; readonly voters: string };
  /** Called once, when a flush or compaction of its engine pauses next. */
  onSlice: (() => void) | undefined;
  /** How many things keep it from answering in time now. */
  hindrances: number;
  /** When the last of them passed. */
  hinderedAt: number;
  /** When it went down last with an engine that might fail. */
  faultedAt: number;
  /** The same, with one that might find damage. */
  damagedAt: number;
}

/** One start of a node. */
export interface Life {
  /** `undefined` while it opens. */
  db: DB | undefined;
  engine: KV | undefined;
  /** Its engine may fail: something is, or was just now, wrong with its disk. */
  faulted: boolean;
  /** A bit of its disk is, or was just now, not as it was written. */
  damaged: boolean;
  /** Makes it what it was. */
  mend: (() => void) | undefined;
  failed: boolean;
  closing: boolean;
  joining: boolean;
  /** How it was told to become a node. */
  readonly ways: OpenOptions;
  watch: WatchJudge | undefined;
  /** The last row of the log that was read. */
  logRow: Uint8Array | undefined;
  /** The last row of the conflicts that was read. */
  conflictRow: Uint8Array | undefined;
  /** Conflicts that were told of since its events are read, and those that were not. */
  readonly told: Set<string>;
  readonly untold: Set<string>;
  /** Whether all its events were read, from this start's opening on. */
  allRead: boolean;
  /** What was read last of each key. */
  readonly reads: Map<string, Version>;
}

/** What the nodes are part of. */
export interface MembersOptions {
  readonly world: World;
  readonly oracle: Oracle;
  readonly coverage: Coverage;
  readonly draw: WorldDraw;
  /** A node is down: its calls will never end. */
  readonly onDown: (life: Life) => void;
  /** A node has been told that it was removed. */
  readonly onRemoved: (member: Member) => void;
}

/** The disk is not what it was when something was shown. */
export function forgetShown(member: Member): void {
  member.shown = new Map();
  member.watched = undefined;
}

/**
 * What is read of a node's engine behind its back; `undefined` where a bit of its
 * disk has flipped, and the engine says so.
 */
export function peek<T>(life: Life, read: (engine: KV) => T): T | undefined {
  try {
    return read(life.engine!);
  } catch (error) {
    if (life.damaged && error instanceof CorruptionError) return undefined;
    throw error;
  }
}

/** Whether something has kept a node from answering in time since then. */
export function isHindered(member: Member, since: number): boolean {
  return member.hindrances > 0 || member.hinderedAt >= since;
}

/** Whether a node is, or is to become, a member, as far as its fate goes. */
export function isStaying({ fate }: Member): boolean {
  return fate === undefined || fate === "leaves";
}

/** The database of a node that is up and not closing. */
export function dbOf({ life }: Member): DB | undefined {
  return life === undefined || life.closing ? undefined : life.db;
}

/** A conflict as a name. */
export function conflictText(
  key: string,
  kept: Version | undefined,
  lost: Version,
): string {
  const to = kept === undefined ? "nothing" : versionText(kept);
  return `"${key}" ${versionText(lost)} lost to ${to}`;
}
