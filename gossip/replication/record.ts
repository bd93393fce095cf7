/**
 * Records: the unit of replication. A record is one batch, named by its dot,
 * applied whole or not at all.
 *
 * Guarantees: the bytes of a record are the same on every node; they carry
 * their own checksum, so that what is stored and relayed is known to be what the
 * origin wrote. {@linkcode decodeRecord} accepts what any version 1 node may
 * write, allocating nothing for a count before it is known to fit.
 *
 * ```
 * record := u8 version (1) | u8 kind | varint origin | varint seq
 *           varint tenure | varint generation | 8 bytes nonce | varint hlc
 *           varint deps, dot*
 *           [varint length, intent]                 if kind is intent
 *           varint ops, op*
 *           u32 crc32 of all before
 * dot    := varint origin | varint seq
 * intent := dot of the transaction | later fields, opaque in version 1
 * op     := varint flags | varint keyLength, key
 *           varint life | varint term | varint sub | varint claim.hlc | varint claim.node
 *           [varint hlc]                            if HLC_GIVEN, else the record's
 *           [varint holder | varint holderTenure]   if HOLDER_GIVEN, else the origin's
 *           [varint expiresAt]                      if TTL
 *           [varint valueLength, value]             unless TOMBSTONE or VALUE_UNCHANGED
 * ```
 * `tenure`, `generation` and `nonce` are those of the origin's node when it
 * wrote; the nonce proves a reused dot.
 *
 * @module
 */

import {
  BATCH_BYTES_MAX,
  crc32,
  EMPTY_BYTES,
  getU32,
  KEY_BYTES_MAX,
  Reader,
  Slabs,
  VALUE_BYTES_MAX,
  Writer,
  youngArray,
} from "../../runtime/mod.ts";
import {
  type Dot,
  type Origin,
  originNode,
  readDot,
  readOrigin,
  SEQ_MAX,
  writeDot,
} from "./dot.ts";
import {
  type Entry,
  EntryFields,
  EntryFlag,
  readClaim,
  readHolder,
} from "./entry.ts";

/** The version of the record format. */
export const RECORD_VERSION = 1;

/** The kinds of records. Append only. */
export const RecordKind = {
  /** Writes of keys that one node leads. */
  BATCH: 0,
  /** A promise to a transaction. Nobody writes it yet; everybody applies it. */
  INTENT: 1,
  /** A transaction over several holders. Nobody writes it yet. */
  TXN: 2,
  /** Nothing: it fills its dot. */
  EMPTY: 3,
  /** Who covers it covers its deps: vectors need not name these (fold.ts). */
  FOLD: 4,
} as const;

/** A kind of record. */
export type RecordKind = typeof RecordKind[keyof typeof RecordKind];

/** One batch, as it travels and as it is logged. */
export interface LogRecord {
  /** The origin of its dot. */
  readonly origin: Origin;
  /** The seq of its dot. */
  readonly seq: number;
  readonly kind: RecordKind;
  /** The tenure of the node that wrote it: 1 until tenures are in use. */
  readonly tenure: number;
  /** The generation of the node that wrote it. */
  readonly generation: number;
  /** The nonce of that start, 8 bytes. */
  readonly nonce: Uint8Array;
  readonly hlc: number;
  /** The records of other origins that it builds on: apply them first. */
  readonly deps: readonly Dot[];
  /** Of an intent: its transaction, and the rest as it came. */
  readonly intent: { readonly txn: Dot; readonly body: Uint8Array } | undefined;
  /** What it writes, one entry a key. */
  readonly entries: readonly Entry[];
  /** All of it, encoded. */
  readonly bytes: Uint8Array;
}

/** A record as it is passed on: its name and its bytes. */
export type PassedRecord = Pick<LogRecord, "origin" | "seq" | "bytes">;

/**
 * Bytes that an op takes beside its key and value, at most, with the dependency
 * that it may bring: what limits and buffers count for it.
 */
export const OP_OVERHEAD_BYTES = 96;

/** Largest encoded record: a batch of the largest size and its envelope. */
export const RECORD_BYTES_MAX = BATCH_BYTES_MAX + 4 * 1024 * 1024;

/** Ops that a batch of the largest size may have. */
export const OPS_MAX: number = Math.ceil(BATCH_BYTES_MAX / OP_OVERHEAD_BYTES);

/** Dependencies a record may have: one an op. */
const DEPS_MAX = OPS_MAX;

const NO_DEPS: readonly Dot[] = [];

/** Of records alone: rumours are kept for a while, most of them or none. */
const slabs = new Slabs();

/** Encodes a record and returns it with its bytes. */
export function makeRecord(record: Omit<LogRecord, "bytes">): LogRecord {
  let size = 128 + record.deps.length * 16;
  for (const { key, value } of record.entries) {
    size += OP_OVERHEAD_BYTES + key.length + (value?.length ?? 0);
  }
  const writer = new Writer(size);
  writer.u8(RECORD_VERSION).u8(record.kind)
    .varint(record.origin).varint(record.seq)
    .varint(record.tenure).varint(record.generation)
    .raw(record.nonce).varint(record.hlc)
    .varint(record.deps.length);
  for (const dot of record.deps) writeDot(writer, dot);
  if (record.kind === RecordKind.INTENT) writer.bytes(record.intent!.body);
  writer.varint(record.entries.length);
  for (const entry of record.entries) writeOp(writer, record, entry);
  writer.u32(crc32(writer.view()));
  return { ...record, bytes: writer.finish(slabs) };
}

function writeOp(
  writer: Writer,
  record: Omit<LogRecord, "bytes">,
  entry: Entry,
): void {
  const given = entry.holder !== originNode(record.origin) ||
    entry.holderTenure !== record.tenure;
  const flags = entry.flags | (given ? EntryFlag.HOLDER_GIVEN : 0) |
    (entry.hlc !== record.hlc ? EntryFlag.HLC_GIVEN : 0);
  writer.varint(flags).bytes(entry.key)
    .varint(entry.life).varint(entry.term).varint(entry.sub)
    .varint(entry.claimHlc).varint(entry.claimNode);
  if (flags & EntryFlag.HLC_GIVEN) writer.varint(entry.hlc);
  if (given) writer.varint(entry.holder).varint(entry.holderTenure);
  if (flags & EntryFlag.TTL) writer.varint(entry.expiresAt);
  if (!(flags & (EntryFlag.TOMBSTONE | EntryFlag.VALUE_UNCHANGED))) {
    writer.bytes(entry.value!);
  }
}

/**
 * Decodes a record. Keys, values and `bytes` are views into the input.
 *
 * @throws {DecodeError} If the bytes are no whole, unharmed record.
 */
export function decodeRecord(bytes: Uint8Array): LogRecord {
  const end = bytes.length - 4;
  const body = new Reader(bytes.subarray(0, Math.max(end, 0)), "a record");
  if (bytes.length > RECORD_BYTES_MAX) body.fail("it is too large");
  if (end < 0) body.fail("it is too short");
  if (getU32(bytes, end) !== crc32(bytes.subarray(0, end))) {
    body.fail("its checksum is wrong");
  }
  return readBody(body, bytes);
}

/** A record that is read field by field; dies young (`runtime/young.ts`). */
class RecordFields implements LogRecord {
  origin: Origin = 0;
  seq = 0;
  kind: RecordKind = RecordKind.BATCH;
  tenure = 0;
  generation = 0;
  nonce: Uint8Array = EMPTY_BYTES;
  hlc = 0;
  deps: readonly Dot[] = NO_DEPS;
  intent: LogRecord["intent"] = undefined;
  readonly entries: Entry[] = youngArray();
  bytes: Uint8Array = EMPTY_BYTES;
}

function readBody(reader: Reader, bytes: Uint8Array): LogRecord {
  const version = reader.u8();
  if (version !== RECORD_VERSION) {
    reader.fail(`its version is ${version}, this release reads 1`);
  }
  const record = new RecordFields();
  const kind = reader.u8() as RecordKind;
  if (kind > RecordKind.FOLD) reader.fail(`its kind is ${kind}`);
  record.kind = kind;
  record.origin = readOrigin(reader);
  record.seq = reader.count(SEQ_MAX);
  if (record.seq === 0) reader.fail("its seq is 0");
  record.tenure = reader.varint();
  record.generation = reader.varint();
  record.nonce = reader.raw(8);
  record.hlc = reader.varint();
  const depCount = reader.count(DEPS_MAX);
  if (depCount > 0) record.deps = readDeps(reader, depCount);
  if (kind === RecordKind.INTENT) record.intent = readIntent(reader.bytes());
  const { entries } = record;
  // Each op takes 8 bytes or more, so the count is bounded by what is there.
  const opsMax = Math.min(OPS_MAX, reader.remaining >>> 3);
  for (let n = reader.count(opsMax); n > 0; n--) {
    entries.push(readOp(reader, record));
  }
  if (reader.remaining > 0) reader.fail("bytes follow its last op");
  if (kind === RecordKind.FOLD && entries.length > 0) {
    reader.fail("it folds, and has ops");
  }
  record.bytes = bytes;
  return record;
}

function readDeps(reader: Reader, count: number): Dot[] {
  const deps: Dot[] = [];
  for (let n = count; n > 0; n--) deps.push(readDot(reader));
  return deps;
}

function readIntent(body: Uint8Array): { txn: Dot; body: Uint8Array } {
  return { txn: readDot(new Reader(body, "an intent")), body };
}

function readOp(reader: Reader, record: LogRecord): Entry {
  const given = reader.varint();
  const entry = new EntryFields();
  entry.flags = given & ~(EntryFlag.HOLDER_GIVEN | EntryFlag.HLC_GIVEN);
  entry.key = reader.bytes(KEY_BYTES_MAX);
  if (entry.key.length === 0) reader.fail("a key is empty");
  readClaim(reader, entry);
  entry.hlc = given & EntryFlag.HLC_GIVEN ? reader.varint() : record.hlc;
  entry.origin = record.origin;
  entry.seq = record.seq;
  entry.tenure = record.tenure;
  readHolder(reader, entry, given);
  const without = EntryFlag.TOMBSTONE | EntryFlag.VALUE_UNCHANGED;
  if ((given & without) === without) {
    reader.fail("an op deletes its key and keeps its value");
  }
  if (!(given & without)) entry.value = reader.bytes(VALUE_BYTES_MAX);
  return entry;
}

/** The dot of a record or an entry. */
export function dotOf(named: { origin: Origin; seq: number }): Dot {
  return { origin: named.origin, seq: named.seq };
}

/** Bytes of a batch as its limit counts them. */
export function batchBytes(
  ops: readonly { key: Uint8Array; value?: Uint8Array | undefined }[],
): number {
  let bytes = 0;
  for (const { key, value } of ops) {
    bytes += key.length + (value?.length ?? 0) + OP_OVERHEAD_BYTES;
  }
  return bytes;
}
