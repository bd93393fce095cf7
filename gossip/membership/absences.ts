/**
 * Since when members are away, which is: dead, as far as this node knows.
 *
 * Guarantees: an absence ends with the first word of the member, or with its
 * removal, and nothing else; it goes on over restarts of this node, by its wall
 * clock, also for the time in which this node was down itself. A clock that was set
 * back makes it shorter, never negative. Whoever has been away for longer than
 * allowed is told of once a start.
 *
 * Nobody is removed for it: a member that was cut off may have acked what nobody else
 * has, and that would be lost. That is for people to decide.
 *
 * ```text
 * away (in the namespace `meta`) := u8 version 1
 *           varint count | count x (u16 node | varint sinceMs) | later fields, ignored
 * ```
 *
 * @module
 */

import {
  type Bytes,
  FormatVersionError,
  NODE_KEY_MAX,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import type { MemberChange } from "./members.ts";
import type { NodeRecord } from "./node_record.ts";

/** The format of the row. */
const VERSION = 1;

/** A member that has been away for too long. */
export interface Overdue {
  readonly node: number;
  /** For how long it has been away, in milliseconds. */
  readonly awayMs: number;
}

/** Who is away, and since when. */
export class Absences {
  readonly #maxMs: number;
  /** In milliseconds since 1970. */
  readonly #since = new Map<number, number>();
  readonly #told = new Set<number>();

  /** @param maxMs For how long a member may be away, in milliseconds. */
  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  /**
   * Goes on where an earlier start was: what the row says of those who are dead.
   *
   * @throws {DecodeError} If the row does not follow its format.
   * @throws {FormatVersionError} If a newer release wrote it.
   */
  begin(
    row: Uint8Array | undefined,
    records: Iterable<Pick<NodeRecord, "key" | "state">>,
    nowMs: number,
  ): void {
    const stored = row === undefined ? undefined : decodeAway(row);
    for (const { key, state } of records) {
      if (state !== "dead") continue;
      this.#since.set(key, Math.min(stored?.get(key) ?? nowMs, nowMs));
    }
  }

  /** Something has become of a member. */
  changed({ type, node: { key, state } }: MemberChange, nowMs: number): void {
    if (type !== "removed" && state === "dead") {
      if (!this.#since.has(key)) this.#since.set(key, nowMs);
    } else {
      this.#since.delete(key);
      this.#told.delete(key);
    }
  }

  /** For how long a member has been away, in ms; `undefined` if it is not. */
  awayMs(node: number, nowMs: number): number | undefined {
    const since = this.#since.get(node);
    return since === undefined ? undefined : Math.max(0, nowMs - since);
  }

  /** Whether a member has been away for too long. */
  isOverdue(node: number, nowMs: number): boolean {
    return (this.awayMs(node, nowMs) ?? -1) >= this.#maxMs;
  }

  /** Those who have been away for too long, and were not told of. */
  tell(nowMs: number): Overdue[] {
    const overdue: Overdue[] = [];
    for (const node of this.#since.keys()) {
      if (this.#told.has(node) || !this.isOverdue(node, nowMs)) continue;
      this.#told.add(node);
      overdue.push({ node, awayMs: this.awayMs(node, nowMs)! });
    }
    return overdue;
  }

  /** The row. */
  encode(): Bytes {
    const writer = new Writer(16).u8(VERSION).varint(this.#since.size);
    for (const [node, since] of this.#since) writer.u16(node).varint(since);
    return writer.finish();
  }
}

function decodeAway(row: Uint8Array): Map<number, number> {
  const what = "who is away";
  const reader = new Reader(row, what);
  const version = reader.u8();
  if (version > VERSION) throw new FormatVersionError(what, version, VERSION);
  const since = new Map<number, number>();
  for (let n = reader.count(NODE_KEY_MAX); n > 0; n--) {
    since.set(reader.u16(), reader.varint());
  }
  return since;
}
