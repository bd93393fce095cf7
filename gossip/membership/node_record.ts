/**
 * What a node says of itself, as it travels by gossip and is kept on disk.
 *
 * Guarantees: only the node itself writes its record, but for the state, which
 * others may make worse (suspect, dead) until the node says something new; of two
 * records, the one whose standing is higher wins. The decoder checks every limit,
 * and keeps fields that a newer release appended, so that they travel on through
 * older ones.
 *
 * ```text
 * record := varint length | body
 * body   := u16 key | varint generation | varint version | u8 state
 *           8 bytes nonce | u8 role | u8 replica | varint features
 *           u16 protocolMin | u16 protocolMax | text address | text software
 *           fields of newer releases
 * state  := 0 healthy, 1 suspect, 2 dead, 3 left
 * role   := 0 member, 1 client
 * replica := 0 full, 1 partial, 2 witness
 * ```
 *
 * @module
 */

import {
  compareBytes,
  EMPTY_BYTES,
  equalBytes,
  LimitError,
  Reader,
  toBytes,
  Writer,
} from "../../runtime/mod.ts";
import type { ReplicaKind, Role } from "../../transport/mod.ts";

/** How a node is doing. */
export type NodeState = "healthy" | "suspect" | "dead" | "left";

/** How often a node started, and how often it spoke since. */
export interface Heartbeat {
  /** Which start of the node it is, from 1; 0 of one that has said nothing yet. */
  readonly generation: number;
  /** Rises with all that the node says of itself in this start. */
  readonly version: number;
}

/** A node of the cluster. */
export interface Node {
  /** The node key. */
  readonly key: number;
  /** Where peers reach it; empty if nowhere. */
  readonly address: string;
  /** How it is doing, as far as known. */
  readonly state: NodeState;
  /** How new this is. */
  readonly heartbeat: Heartbeat;
}

/** What a node says of itself. */
export interface NodeRecord {
  /** The node key. */
  readonly key: number;
  /** Where peers reach it; empty if nowhere. */
  readonly address: string;
  /** Which start of the node it is; 0 of one that has said nothing yet. */
  readonly generation: number;
  /** Rises with all that the node says of itself in this start. */
  readonly version: number;
  /** How it is doing. */
  readonly state: NodeState;
  /** Random, 8 bytes, drawn at each start. */
  readonly nonce: Uint8Array;
  /** The part it plays. */
  readonly role: Role;
  /** What part of the data it keeps. */
  readonly replica: ReplicaKind;
  /** Bits of optional features that it understands. */
  readonly features: number;
  /** The oldest protocol version that it speaks. */
  readonly protocolMin: number;
  /** The newest protocol version that it speaks. */
  readonly protocolMax: number;
  /** The release that it runs, for people. */
  readonly software: string;
  /** Fields of newer releases, as they came. */
  readonly rest: Uint8Array;
}

/** A start's nonce, in bytes. */
export const NONCE_BYTES = 8;

/** Largest address, in bytes of UTF-8. */
export const ADDRESS_BYTES_MAX = 512;

/** Largest name of a release, in bytes of UTF-8. */
export const SOFTWARE_BYTES_MAX = 128;

/** Largest record, in bytes after its length. */
export const RECORD_BYTES_MAX = 2048;

/** Largest generation, version and features: leaves room to count on. */
export const COUNTER_MAX = 2 ** 52;

const STATES: readonly NodeState[] = ["healthy", "suspect", "dead", "left"];
const ROLES: readonly Role[] = ["member", "client"];
const REPLICAS: readonly ReplicaKind[] = ["full", "partial", "witness"];

/** What is needed to speak of a node; the rest has defaults. */
export type NodeRecordInit =
  & Pick<NodeRecord, "key" | "address" | "generation" | "nonce">
  & Partial<NodeRecord>;

/**
 * Makes a record; version 0, healthy, a member with a full replica, protocol 1,
 * no features and no named release, unless told otherwise.
 *
 * @throws {LimitError} If the address or the release's name is too long.
 */
export function nodeRecord(init: NodeRecordInit): NodeRecord {
  const record: NodeRecord = {
    version: 0,
    state: "healthy",
    role: "member",
    replica: "full",
    features: 0,
    protocolMin: 1,
    protocolMax: 1,
    software: "",
    rest: EMPTY_BYTES,
    ...init,
  };
  checkLength("the address", record.address, ADDRESS_BYTES_MAX);
  checkLength("the release's name", record.software, SOFTWARE_BYTES_MAX);
  return record;
}

/** How new a record is, and how bad what it says. */
export interface Standing extends Heartbeat {
  /** How the node is doing. */
  readonly state: NodeState;
  /** Which start of it says so, where two have one generation. */
  readonly nonce: Uint8Array;
}

/**
 * Compares by age: generation, then version. Of two equally old ones of two starts
 * (a copy's, or those before and after a disk was put back) that of the larger
 * nonce wins everywhere, of one start the worse state: healthy, suspect, dead, left.
 */
export function compareStandings(a: Standing, b: Standing): number {
  return a.generation - b.generation || a.version - b.version ||
    compareBytes(a.nonce, b.nonce) || rankOf(a.state) - rankOf(b.state);
}

/** What no node comes to by starting and speaking. */
const PLAUSIBLE_MAX = 2 ** 50;

/**
 * Whether a node can have come so far: who says more of it is broken, or lies, and
 * would leave no room for the node itself to answer.
 */
export function isPlausible({ generation, version }: Heartbeat): boolean {
  return generation < PLAUSIBLE_MAX && version < PLAUSIBLE_MAX;
}

/** How bad a state is, from 0; what stands for it in bytes, too. */
export function rankOf(state: NodeState): number {
  return STATES.indexOf(state);
}

/**
 * The state of that rank.
 *
 * @throws {DecodeError} If there is none, by `reader`.
 */
export function readState(reader: Reader): NodeState {
  return readName(reader, STATES, "state");
}

/** Whether both say the same, whatever their versions. */
export function sameStanding(a: NodeRecord, b: NodeRecord): boolean {
  return a.address === b.address && a.state === b.state &&
    a.generation === b.generation && a.role === b.role &&
    a.replica === b.replica && a.features === b.features &&
    a.protocolMin === b.protocolMin && a.protocolMax === b.protocolMax &&
    a.software === b.software && equalBytes(a.nonce, b.nonce) &&
    equalBytes(a.rest, b.rest);
}

/** What users see of a record. */
export function toNode(record: NodeRecord): Node {
  const { key, address, state, generation, version } = record;
  return { key, address, state, heartbeat: { generation, version } };
}

/** Writes a record. */
export function writeNodeRecord(writer: Writer, record: NodeRecord): void {
  const body = new Writer(64);
  body.u16(record.key).varint(record.generation).varint(record.version)
    .u8(rankOf(record.state)).raw(record.nonce)
    .u8(ROLES.indexOf(record.role)).u8(REPLICAS.indexOf(record.replica))
    .varint(record.features).u16(record.protocolMin).u16(record.protocolMax)
    .text(record.address).text(record.software).raw(record.rest);
  writer.bytes(body.view());
}

/**
 * Reads a record, which shares nothing with the input afterwards.
 *
 * @throws {DecodeError} If the bytes are no record.
 */
export function readNodeRecord(reader: Reader): NodeRecord {
  const body = new Reader(reader.bytes(RECORD_BYTES_MAX), "a node's record");
  const key = body.u16();
  if (key === 0) body.fail("its node key is 0");
  return {
    key,
    generation: body.count(COUNTER_MAX),
    version: body.count(COUNTER_MAX),
    state: readState(body),
    nonce: body.raw(NONCE_BYTES).slice(),
    role: readName(body, ROLES, "role"),
    replica: readName(body, REPLICAS, "replica kind"),
    features: body.count(COUNTER_MAX),
    protocolMin: body.u16(),
    protocolMax: body.u16(),
    address: readText(body, ADDRESS_BYTES_MAX),
    software: readText(body, SOFTWARE_BYTES_MAX),
    rest: body.rest().slice(),
  };
}

function checkLength(what: string, text: string, max: number): void {
  const { length } = toBytes(text);
  if (length > max) {
    throw new LimitError("describe the node", what, length, 0, max);
  }
}

function readName<T>(reader: Reader, names: readonly T[], what: string): T {
  const number = reader.u8();
  return names[number] ?? reader.fail(`its ${what} is ${number}`);
}

function readText(reader: Reader, max: number): string {
  const text = reader.text(max);
  // Invalid UTF-8 is decoded to replacement marks, which may be longer.
  if (toBytes(text).length > max) reader.fail("a text is no UTF-8");
  return text;
}
