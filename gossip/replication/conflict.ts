/**
 * Conflicts: writes that lost without the winner having been built upon them.
 * They are reported with both values, on every node where the two meet. Reports
 * have rising numbers and go by being forgotten only, in that order, by who has
 * dealt with them: {@linkcode Replica.forgetConflicts}.
 *
 * Guarantees: no report is dropped, so that no acked write is lost in silence.
 * Where as many stand as may, a record of a peer that has an entry which would lose
 * here is not applied: it *waits* (draft.ts), in memory as far as there is room for
 * it (early.ts), and else it is pulled again (waiting.ts, pull.ts). A session with
 * such an entry waits whole. A record whose entries win is always taken, since the
 * report of what it replaces stands in the place of an entry that had its room
 * before; so is a whole copy. So reports take no more than the bound, with all of the
 * last record or session that was taken below it, and what stood here as entries.
 *
 * ```
 * report := u8 version (1) | varint keyLength, key
 *           varint n, kept entry row, or none | varint n, lost entry row
 *           varint others, (varint keyLength, key)*
 * ```
 *
 * @module
 */

import {
  type Bytes,
  EMPTY_BYTES,
  KEY_BYTES_MAX,
  ProtocolError,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import {
  decodeEntry,
  encodeEntry,
  type Entry,
  type Version,
  versionOf,
} from "./entry.ts";

/**
 * There is no room for the reports of what would lose in a session: nothing of it was
 * taken, and nobody is at fault.
 */
export class ConflictsFullError extends ProtocolError {
  constructor() {
    super("as many conflicts stand as may: this session has to wait");
    this.name = "ConflictsFullError";
  }
}

/** One of the two sides of a conflict. */
export interface ConflictSide {
  /** The value; `undefined` if the write was a delete. */
  readonly value: Uint8Array | undefined;
  /** The version. */
  readonly version: Version;
  /** The node that led the key for this write. */
  readonly leaseholder: number;
}

/** A write that lost although nobody had built upon it. */
export interface Conflict {
  /**
   * The number of its report on this node: from 1, rising. `DB.forgetConflicts`
   * takes it.
   */
  readonly number: number;
  /** The key. */
  readonly key: Uint8Array;
  /**
   * What the key has now, on every node; `undefined` where no other node knows of
   * it.
   */
  readonly kept: ConflictSide | undefined;
  /** What was acked and lost. */
  readonly lost: ConflictSide;
  /** The other keys of the batch that lost. */
  readonly batchKeys: readonly Uint8Array[];
}

/** The two entries of a conflict, as the apply step meets them. */
export interface Clash {
  /** Absent where a copy without the key has replaced what was here. */
  readonly kept: Entry | undefined;
  readonly lost: Entry;
  readonly batchKeys: readonly Uint8Array[];
}

/** A clash that was reported. */
export interface ReportedClash extends Clash {
  /** The number of the report. */
  readonly number: number;
}

/** The report of a clash, for users. */
export function conflictOf(
  { number, kept, lost, batchKeys }: ReportedClash,
): Conflict {
  return {
    number,
    key: lost.key.slice(),
    kept: kept && sideOf(kept),
    lost: sideOf(lost),
    batchKeys: batchKeys.map((key) => key.slice()),
  };
}

function sideOf(entry: Entry): ConflictSide {
  return {
    value: entry.value?.slice(),
    version: versionOf(entry),
    leaseholder: entry.holder,
  };
}

/** The row of a report. */
export function encodeClash({ kept, lost, batchKeys }: Clash): Bytes {
  const writer = new Writer().u8(1).bytes(lost.key)
    .bytes(kept === undefined ? EMPTY_BYTES : encodeEntry(kept))
    .bytes(encodeEntry(lost))
    .varint(batchKeys.length);
  for (const key of batchKeys) writer.bytes(key);
  return writer.finish();
}

/** Reads the row of a report. */
export function decodeClash(row: Uint8Array): Clash {
  const reader = new Reader(row, "a conflict");
  const version = reader.u8();
  if (version !== 1) reader.fail(`its version is ${version}`);
  const key = reader.bytes(KEY_BYTES_MAX);
  const other = reader.bytes();
  const kept = other.length === 0 ? undefined : decodeEntry(key, other);
  const lost = decodeEntry(key, reader.bytes());
  const batchKeys: Uint8Array[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    batchKeys.push(reader.bytes(KEY_BYTES_MAX));
  }
  return { kept, lost, batchKeys };
}
