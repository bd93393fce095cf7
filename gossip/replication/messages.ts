/**
 * The messages of replication.
 *
 * ```
 * RECORDS (one-way) := varint heads, (varint origin, varint seq)*
 *                      varint n, (varint length, record)*
 * PULL              := varint configEpoch | u8 whole (0 | 1) | vector | goesOn?
 * goesOn            := u8 dead (0 | 1) | varint length, key | vector reached
 * its reply         := u8 kind | …
 *   0 records       := u8 more (0 | 1) | vector of the donor
 *                      varint n, (varint length, record)*
 *   1 session       := offer (session.ts)
 *   2 busy          := vector of the donor
 * SESSION_CHUNK     := varint id
 * its reply         := chunk (session.ts)
 * RUMOURS           := list (coverage.ts) | varint n, group*
 * group             := varint id | coverage (coverage.ts)
 *                      varint n, (varint length, record)*
 *                      varint announced, (varint origin, varint seq)*
 * its reply         := empty, where it is asked since that dials
 * FEEDBACK (one-way) := list | varint n, item*
 * item              := varint id | coverage | u8 redundant | …
 *   0 none            := nothing more
 *   1 all             := nothing more
 *   2 some            := varint n, varint delta*    places in the group, from 0
 *   3 refused         := nothing more
 * ```
 * A PULL that goes on asks for the rest of a whole copy behind an entry, living or
 * dead, of which the state that `vector` covers is here up to there; `reached` covers
 * all that came (session.ts).
 *
 * The heads of RECORDS name the newest record of each origin that the sender has
 * just committed, so that a receiver sees a gap even where a record was too
 * large to be pushed.
 *
 * A member that the coverage of a group has needs its records no more, or gets them
 * from somebody else: whoever takes the group brings it to the others. Announced
 * are records too large to be pushed. FEEDBACK answers the group of an id: its
 * coverage says who is known to have it, its places which records were not new,
 * first the records, then those announced. A node without a copy of the data refuses:
 * it gets the records with its first copy, and brings them to nobody. So does, without
 * itself in the coverage, who is asked of a group that it does not know any more: a
 * group without records is a question.
 *
 * @module
 */

import {
  type Bytes,
  KEY_BYTES_MAX,
  NODE_KEY_MAX,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import { coverageBytes, type MemberList } from "./coverage.ts";
import { type Dot, readDot, writeDot } from "./dot.ts";
import {
  decodeRecord,
  type LogRecord,
  type PassedRecord,
  RECORD_BYTES_MAX,
} from "./record.ts";
import type { CopyPoint } from "./session.ts";
import { Vector } from "./vector.ts";

/**
 * Heads that a push may have; a sender names one for each origin it pushes. As
 * many records may rumours announce, and answers to them name.
 */
const HEADS_MAX = 65_536;

/** Groups that a message of rumours may have, or answers to them. */
export const GROUPS_MAX = 4096;

/** A place in a group is below this. */
const PLACES_MAX = 2 ** 24;

/** A push of records. */
export interface RecordsMessage {
  readonly heads: readonly Dot[];
  readonly records: readonly LogRecord[];
}

/** Encodes RECORDS. */
export function encodeRecords(
  heads: readonly Dot[],
  records: readonly Uint8Array[],
): Bytes {
  const writer = new Writer(1024).varint(heads.length);
  for (const dot of heads) writeDot(writer, dot);
  writeAll(writer, records);
  return writer.finish();
}

/** Decodes RECORDS; the records are views into the message. */
export function decodeRecords(bytes: Uint8Array): RecordsMessage {
  const reader = new Reader(bytes, "a push of records");
  const heads: Dot[] = [];
  for (let n = reader.count(HEADS_MAX); n > 0; n--) {
    heads.push(readDot(reader));
  }
  return { heads, records: readAll(reader) };
}

/** A request for what a vector does not cover. */
export interface PullMessage {
  /** The epoch of the config that the requester knows. */
  readonly configEpoch: number;
  /** Whether the requester has nothing yet, and needs a session. */
  readonly whole: boolean;
  /** What the requester has. */
  readonly vector: Vector;
  /** Where a whole copy goes on that broke off; its base is `vector`. */
  readonly from?: CopyPoint | undefined;
}

/** Encodes PULL. */
export function encodePull(
  { configEpoch, whole, vector, from }: PullMessage,
): Bytes {
  const writer = new Writer(64).varint(configEpoch).u8(whole ? 1 : 0);
  vector.write(writer);
  if (from !== undefined) {
    writer.u8(from.last.dead ? 1 : 0).bytes(from.last.key);
    from.reached.write(writer);
  }
  return writer.finish();
}

/** Decodes PULL. */
export function decodePull(bytes: Uint8Array): PullMessage {
  const reader = new Reader(bytes, "a pull");
  const configEpoch = reader.varint();
  const whole = reader.u8() === 1;
  const vector = Vector.read(reader);
  if (!whole || reader.remaining === 0) return { configEpoch, whole, vector };
  const last = { dead: reader.u8() === 1, key: reader.bytes(KEY_BYTES_MAX) };
  const from = { last, base: vector, reached: Vector.read(reader) };
  return { configEpoch, whole, vector, from };
}

/** What a donor answers to a pull. */
export type PullReply =
  | {
    readonly kind: "records";
    readonly more: boolean;
    readonly vector: Vector;
    readonly records: readonly LogRecord[];
  }
  | { readonly kind: "session"; readonly offer: Uint8Array }
  | { readonly kind: "busy"; readonly vector: Vector };

const RECORDS = 0;
const SESSION = 1;
const BUSY = 2;

/** Encodes the reply with records. */
export function encodeRecordsReply(
  vector: Vector,
  records: readonly Uint8Array[],
  more: boolean,
): Bytes {
  const writer = new Writer(1024).u8(RECORDS).u8(more ? 1 : 0);
  vector.write(writer);
  writeAll(writer, records);
  return writer.finish();
}

/** Encodes the reply that offers a session. */
export function encodeSessionReply(offer: Uint8Array): Bytes {
  return new Writer(offer.length + 1).u8(SESSION).raw(offer).finish();
}

/** Encodes the reply of a donor that has no session to spare. */
export function encodeBusyReply(vector: Vector): Bytes {
  const writer = new Writer(64).u8(BUSY);
  vector.write(writer);
  return writer.finish();
}

/** Decodes the reply to a pull. */
export function decodePullReply(bytes: Uint8Array): PullReply {
  const reader = new Reader(bytes, "the reply to a pull");
  const kind = reader.u8();
  switch (kind) {
    case RECORDS: {
      const more = reader.u8() === 1;
      const vector = Vector.read(reader);
      return { kind: "records", more, vector, records: readAll(reader) };
    }
    case SESSION:
      return { kind: "session", offer: reader.rest() };
    case BUSY:
      return { kind: "busy", vector: Vector.read(reader) };
    default:
      return reader.fail(`its kind is ${kind}`);
  }
}

/** Encodes SESSION_CHUNK. */
export function encodeChunkRequest(id: number): Bytes {
  return new Writer(8).varint(id).finish();
}

/** Decodes SESSION_CHUNK. */
export function decodeChunkRequest(bytes: Uint8Array): number {
  return new Reader(bytes, "a request for a chunk").varint();
}

/** The name of a list of members, as read. */
export interface ListName {
  /** How many members it has. */
  readonly members: number;
  /** {@linkcode MemberList.hash}. */
  readonly hash: number;
}

/** Records that travel together, and who needs them no more. */
export interface RumourGroup {
  /** By which they are answered. */
  readonly id: number;
  /** The bytes of a coverage, of the list that the message names. */
  readonly coverage: Uint8Array;
  readonly records: readonly PassedRecord[];
  readonly announced: readonly Dot[];
}

/** Rumours. */
export interface RumoursMessage {
  readonly list: ListName;
  readonly groups: readonly (RumourGroup & {
    readonly records: readonly LogRecord[];
  })[];
}

/** Encodes RUMOURS. */
export function encodeRumours(
  list: Pick<MemberList, "size" | "hash">,
  groups: readonly RumourGroup[],
): Bytes {
  const writer = new Writer(1024).varint(list.size).u32(list.hash);
  writer.varint(groups.length);
  for (const { id, coverage, records, announced } of groups) {
    writer.varint(id).raw(coverage);
    writeAll(writer, records.map(({ bytes }) => bytes));
    writer.varint(announced.length);
    for (const dot of announced) writeDot(writer, dot);
  }
  return writer.finish();
}

/** Decodes RUMOURS; the records are views into the message. */
export function decodeRumours(bytes: Uint8Array): RumoursMessage {
  const reader = new Reader(bytes, "rumours");
  const list = readList(reader);
  const groups: RumoursMessage["groups"][number][] = [];
  let announcedMax = HEADS_MAX;
  for (let n = reader.count(GROUPS_MAX); n > 0; n--) {
    const id = reader.varint();
    const coverage = reader.raw(coverageBytes(list.members));
    const records = readAll(reader);
    const announced: Dot[] = [];
    for (let n = reader.count(announcedMax); n > 0; n--) {
      announced.push(readDot(reader));
    }
    announcedMax -= announced.length;
    groups.push({ id, coverage, records, announced });
  }
  return { list, groups };
}

/** The answer to a group. */
export interface FeedbackItem {
  /** The group's. */
  readonly id: number;
  /** The bytes of a coverage: who is known to have the records. */
  readonly coverage: Uint8Array;
  /** Places of the records that were not new, rising. */
  readonly redundant: readonly number[] | "all" | "refused";
}

/** Answers to rumours. */
export interface FeedbackMessage {
  readonly list: ListName;
  readonly items: readonly FeedbackItem[];
}

const NONE = 0;
const ALL = 1;
const SOME = 2;
const REFUSED = 3;

/** Encodes FEEDBACK. */
export function encodeFeedback(
  list: Pick<MemberList, "size" | "hash">,
  items: readonly FeedbackItem[],
): Bytes {
  const writer = new Writer(256).varint(list.size).u32(list.hash);
  writer.varint(items.length);
  for (const { id, coverage, redundant } of items) {
    writer.varint(id).raw(coverage);
    if (redundant === "all") writer.u8(ALL);
    else if (redundant === "refused") writer.u8(REFUSED);
    else if (redundant.length === 0) writer.u8(NONE);
    else {
      writer.u8(SOME).varint(redundant.length);
      let next = 0;
      for (const place of redundant) {
        writer.varint(place - next);
        next = place + 1;
      }
    }
  }
  return writer.finish();
}

/** Decodes FEEDBACK. */
export function decodeFeedback(bytes: Uint8Array): FeedbackMessage {
  const reader = new Reader(bytes, "feedback");
  const list = readList(reader);
  const items: FeedbackItem[] = [];
  let placesMax = HEADS_MAX;
  for (let n = reader.count(GROUPS_MAX); n > 0; n--) {
    const id = reader.varint();
    const coverage = reader.raw(coverageBytes(list.members));
    const redundant = readRedundant(reader, placesMax);
    if (typeof redundant !== "string") placesMax -= redundant.length;
    items.push({ id, coverage, redundant });
  }
  return { list, items };
}

function readRedundant(
  reader: Reader,
  max: number,
): FeedbackItem["redundant"] {
  const kind = reader.u8();
  if (kind === NONE) return [];
  if (kind === ALL) return "all";
  if (kind === REFUSED) return "refused";
  if (kind !== SOME) return reader.fail(`its kind of redundance is ${kind}`);
  const places: number[] = [];
  let next = 0;
  for (let n = reader.count(max); n > 0; n--) {
    next += reader.count(PLACES_MAX);
    places.push(next++);
  }
  return places;
}

function readList(reader: Reader): ListName {
  return { members: reader.count(NODE_KEY_MAX), hash: reader.u32() };
}

function writeAll(writer: Writer, records: readonly Uint8Array[]): void {
  writer.varint(records.length);
  for (const record of records) writer.bytes(record);
}

function readAll(reader: Reader): LogRecord[] {
  const records: LogRecord[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    records.push(decodeRecord(reader.bytes(RECORD_BYTES_MAX)));
  }
  return records;
}
