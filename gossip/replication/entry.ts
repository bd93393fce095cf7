/**
 * Entries: what a node knows of one key, and the one order by which all nodes
 * choose between two entries of it.
 *
 * Guarantees: {@linkcode compareEntries} is a total order, independent of the
 * order of arrival; equal means the same write.
 *
 * Stored, in the row of its key (`keyspace.ts`):
 * ```
 * entry  := u8 headerLength | header | value         header ends where the value begins
 * header := u8 flags
 *           varint life | varint term | varint sub
 *           varint claim.hlc | varint claim.node
 *           varint hlc
 *           varint origin | varint seq | varint tenure
 *           [varint holder | varint holderTenure]    if HOLDER_GIVEN
 *           [varint expiresAt]                       if TTL, ms since 1970, 48 bits
 *           later fields, which older readers skip
 * ```
 * `headerLength` counts the bytes after itself, so that a get takes the value
 * without reading the header.
 *
 * @module
 */

import {
  type Bytes,
  EMPTY_BYTES,
  makeBytes,
  NODE_KEY_MAX,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import {
  type Dot,
  type Origin,
  originNode,
  readOrigin,
  SEQ_MAX,
} from "./dot.ts";

/** Bits of an entry's and an op's flags. Append only. */
export const EntryFlag = {
  /** The key is deleted; there is no value. */
  TOMBSTONE: 1,
  /** The entry ends by itself at `expiresAt`. */
  TTL: 2,
  /** A change of holder. Reserved. */
  TRANSFER: 4,
  /** The value is that of the entry below. Only in a record's ops. */
  VALUE_UNCHANGED: 8,
  /** The lease moves by quorum when its holder is lost. Reserved. */
  FAILOVER: 16,
  /** The holder is another than the origin's node. */
  HOLDER_GIVEN: 32,
  /** The op has an hlc of its own. Only in a record's ops. */
  HLC_GIVEN: 64,
} as const;

/** The flags that a stored entry keeps. */
const KEPT_FLAGS = EntryFlag.TOMBSTONE | EntryFlag.TTL | EntryFlag.FAILOVER;

/**
 * The version of a key: which of two values of a key is the later one, the same
 * on every node. Compare with {@linkcode compareVersions}.
 */
export interface Version {
  /** How often the key was made anew after its tombstone was collected, from 1. */
  readonly life: number;
  /** How often its lease was taken over; 0 until leases fail over. */
  readonly term: number;
  /** How often its lease was handed over; 0 until leases are transferred. */
  readonly sub: number;
  /** The first write under this lease: its time and its node. */
  readonly claim: { readonly hlc: number; readonly node: number };
  /** The time of the write on the hybrid logical clock. */
  readonly hlc: number;
  /** The record that wrote it. */
  readonly dot: Dot;
}

/** What a node knows of one key. */
export interface Entry {
  /** The key. */
  readonly key: Uint8Array;
  /** The value; `undefined` for a tombstone. */
  readonly value: Uint8Array | undefined;
  /** {@linkcode EntryFlag}s. */
  readonly flags: number;
  readonly life: number;
  readonly term: number;
  readonly sub: number;
  readonly claimHlc: number;
  readonly claimNode: number;
  readonly hlc: number;
  /** The origin of the record that wrote it. */
  readonly origin: Origin;
  /** The seq of that record. */
  readonly seq: number;
  /** The tenure of the origin's node at that time. */
  readonly tenure: number;
  /** The node that leads the key. */
  readonly holder: number;
  /** The tenure in which it does. */
  readonly holderTenure: number;
  /**
   * When the value ends by itself, in milliseconds since 1970; 0 if it does not. An
   * instant, and not a time after the hlc: that may be ahead of every clock.
   */
  readonly expiresAt: number;
}

/** An entry that is read, or written, field by field; dies young (`runtime/young.ts`). */
export class EntryFields implements Entry {
  key: Uint8Array = EMPTY_BYTES;
  value: Uint8Array | undefined = undefined;
  flags = 0;
  life = 0;
  term = 0;
  sub = 0;
  claimHlc = 0;
  claimNode = 0;
  hlc = 0;
  origin: Origin = 0;
  seq = 0;
  tenure = 0;
  holder = 0;
  holderTenure = 0;
  expiresAt = 0;
}

/**
 * Orders two entries of one key: life ↑, term ↑, sub ↑, claim ↓ (hlc, node),
 * hlc ↑, dot ↑. The earlier of two concurrent first claims wins; within a claim
 * the later write wins; the dot decides between two lives of one restored node.
 */
export function compareEntries(a: Entry, b: Entry): number {
  return a.life - b.life || a.term - b.term || a.sub - b.sub ||
    b.claimHlc - a.claimHlc || b.claimNode - a.claimNode ||
    a.hlc - b.hlc || a.origin - b.origin || a.seq - b.seq;
}

/** Orders two versions of one key as all nodes do; 0 if they are the same. */
export function compareVersions(a: Version, b: Version): number {
  return a.life - b.life || a.term - b.term || a.sub - b.sub ||
    b.claim.hlc - a.claim.hlc || b.claim.node - a.claim.node ||
    a.hlc - b.hlc || a.dot.origin - b.dot.origin || a.dot.seq - b.dot.seq;
}

/**
 * Whether two nodes with the same records hold something else of a key: another
 * value, or only one of them one. A tombstone is as good as nothing: it goes at each
 * node in its own time.
 */
export function differ(a: Entry | undefined, b: Entry | undefined): boolean {
  const isLiving = a?.value !== undefined;
  if (isLiving !== (b?.value !== undefined)) return true;
  return isLiving && (compareEntries(a, b!) !== 0 || a.holder !== b!.holder);
}

/** The version of an entry, for users. */
export function versionOf(entry: Entry): Version {
  return {
    life: entry.life,
    term: entry.term,
    sub: entry.sub,
    claim: { hlc: entry.claimHlc, node: entry.claimNode },
    hlc: entry.hlc,
    dot: { origin: entry.origin, seq: entry.seq },
  };
}

/** Whether an entry is exactly of this version. */
export function hasVersion(entry: Entry, version: Version): boolean {
  return compareVersions(versionOf(entry), version) === 0;
}

/** Writes a version into a message. */
export function writeVersion(writer: Writer, version: Version): void {
  writer.varint(version.life).varint(version.term).varint(version.sub)
    .varint(version.claim.hlc).varint(version.claim.node)
    .varint(version.hlc).varint(version.dot.origin).varint(version.dot.seq);
}

/** Reads a version from a message. */
export function readVersion(reader: Reader): Version {
  return {
    life: reader.varint(),
    term: reader.varint(),
    sub: reader.varint(),
    claim: { hlc: reader.varint(), node: reader.count(NODE_KEY_MAX) },
    hlc: reader.varint(),
    dot: { origin: readOrigin(reader), seq: reader.count(SEQ_MAX) },
  };
}

const scratch = new Writer(128);

/** The row of an entry. */
export function encodeEntry(entry: Entry): Bytes {
  const given = entry.holder !== originNode(entry.origin) ||
    entry.holderTenure !== entry.tenure;
  const flags = (entry.flags & KEPT_FLAGS) |
    (given ? EntryFlag.HOLDER_GIVEN : 0);
  scratch.clear();
  scratch.u8(0).u8(flags).varint(entry.life).varint(entry.term)
    .varint(entry.sub).varint(entry.claimHlc).varint(entry.claimNode)
    .varint(entry.hlc).varint(entry.origin).varint(entry.seq)
    .varint(entry.tenure);
  if (given) scratch.varint(entry.holder).varint(entry.holderTenure);
  if (flags & EntryFlag.TTL) scratch.varint(entry.expiresAt);
  const header = scratch.view();
  header[0] = header.length - 1;
  const value = entry.value ?? EMPTY_BYTES;
  const row = makeBytes(header.length + value.length);
  row.set(header);
  row.set(value, header.length);
  return row;
}

/**
 * Reads the row of an entry; key and value become views.
 *
 * @throws {DecodeError} If the row is malformed.
 */
export function decodeEntry(key: Uint8Array, row: Uint8Array): Entry {
  const reader = new Reader(row, "an entry");
  const headerEnd = reader.u8() + 1;
  const flags = reader.u8();
  const entry = new EntryFields();
  entry.key = key;
  entry.flags = flags & KEPT_FLAGS;
  readClaim(reader, entry);
  entry.hlc = reader.varint();
  entry.origin = readOrigin(reader);
  entry.seq = reader.count(SEQ_MAX);
  entry.tenure = reader.varint();
  readHolder(reader, entry, flags);
  if (reader.offset > headerEnd || headerEnd > row.length) {
    reader.fail(`its header is ${headerEnd} bytes`);
  }
  if (!(flags & EntryFlag.TOMBSTONE)) entry.value = row.subarray(headerEnd);
  return entry;
}

/** Reads by what claim an entry stands: in its row as in a record's op. */
export function readClaim(reader: Reader, entry: EntryFields): void {
  entry.life = reader.varint();
  entry.term = reader.varint();
  entry.sub = reader.varint();
  entry.claimHlc = reader.varint();
  entry.claimNode = reader.count(NODE_KEY_MAX);
}

/** Reads who leads an entry, whose writer is known, and when it ends: as above. */
export function readHolder(
  reader: Reader,
  entry: EntryFields,
  flags: number,
): void {
  if (flags & EntryFlag.HOLDER_GIVEN) {
    entry.holder = reader.count(NODE_KEY_MAX);
    entry.holderTenure = reader.varint();
  } else {
    entry.holder = originNode(entry.origin);
    entry.holderTenure = entry.tenure;
  }
  if (flags & EntryFlag.TTL) entry.expiresAt = reader.count(SEQ_MAX);
}

/**
 * The value in the row of a living entry, as a view.
 *
 * @returns The value, or `undefined` if its time to live has passed.
 */
export function valueOfRow(row: Bytes, nowMs: () => number): Bytes | undefined {
  if (row[1]! & EntryFlag.TTL && hasExpired(decodeEntry(row, row), nowMs())) {
    return undefined;
  }
  const at = row[0]! + 1;
  // `subarray` looks for a species first.
  return new Uint8Array(row.buffer, row.byteOffset + at, row.length - at);
}

/**
 * When an entry ends by itself, in milliseconds since 1970; `undefined` if it does
 * not, or is a tombstone.
 */
export function endOf(entry: Entry): number | undefined {
  if (entry.expiresAt === 0 || entry.value === undefined) return undefined;
  return entry.expiresAt;
}

/** Whether the time to live of an entry has passed. */
export function hasExpired(entry: Entry, nowMs: number): boolean {
  return entry.expiresAt > 0 && nowMs >= entry.expiresAt;
}
