/**
 * Origins and dots: the names of records.
 *
 * An *origin* is one start of one node: (node u16, epoch u32 drawn at random at
 * its first commit, lane 1 bit). A *dot* is (origin, seq): it names one record,
 * for ever. Within lane 0 the seqs of an origin are dense, from 1.
 *
 * Guarantees: an origin is a JavaScript integer below 2^49, so that it can be
 * compared, and be the key of a `Map`, without allocating.
 *
 * ```
 * origin := u16 node | u32 epoch | u8 lane          big-endian: rows of a node
 * seq    := u48                                     sort by epoch, lane, seq
 * ```
 *
 * @module
 */

import type { Reader, Writer } from "../../runtime/mod.ts";

/** One start of one node, as an integer: (node × 2^32 + epoch) × 2 + lane. */
export type Origin = number;

/** The name of a record. */
export interface Dot {
  /** Whose record it is. */
  readonly origin: Origin;
  /** Which of that origin's records, from 1. */
  readonly seq: number;
}

/** A dot as the key of a map. */
export function dotText({ origin, seq }: Dot): string {
  return `${origin}/${seq}`;
}

/** The largest seq: 48 bits. */
export const SEQ_MAX = 2 ** 48 - 1;

const EPOCHS = 2 ** 32;

/** Makes an origin. */
export function makeOrigin(node: number, epoch: number, lane: 0 | 1): Origin {
  return (node * EPOCHS + epoch) * 2 + lane;
}

/** The node of an origin. */
export function originNode(origin: Origin): number {
  return Math.floor(origin / (EPOCHS * 2));
}

/** The epoch of an origin. */
export function originEpoch(origin: Origin): number {
  return Math.floor(origin / 2) % EPOCHS;
}

/** The lane of an origin: 0 for plain records, 1 for transactions. */
export function originLane(origin: Origin): 0 | 1 {
  return origin % 2 === 0 ? 0 : 1;
}

/** An origin for people: `node.epoch`, with `t` after it in lane 1. */
export function originText(origin: Origin): string {
  const epoch = originEpoch(origin).toString(16);
  return `${originNode(origin)}.${epoch}${originLane(origin) === 1 ? "t" : ""}`;
}

/** Bytes of an origin in {@linkcode putOrigin}. */
export const ORIGIN_BYTES = 7;

/** Bytes of a seq in {@linkcode putSeq}. */
export const SEQ_BYTES = 6;

/** Writes an origin so that bytes sort as origins do; returns the next offset. */
export function putOrigin(
  into: Uint8Array,
  at: number,
  origin: Origin,
): number {
  const node = originNode(origin);
  const epoch = originEpoch(origin);
  into[at] = node >>> 8;
  into[at + 1] = node;
  into[at + 2] = epoch >>> 24;
  into[at + 3] = epoch >>> 16;
  into[at + 4] = epoch >>> 8;
  into[at + 5] = epoch;
  into[at + 6] = originLane(origin);
  return at + ORIGIN_BYTES;
}

/** Reads what {@linkcode putOrigin} wrote. */
export function takeOrigin(from: Uint8Array, at: number): Origin {
  const node = from[at]! * 256 + from[at + 1]!;
  const epoch = ((from[at + 2]! << 24) | (from[at + 3]! << 16) |
    (from[at + 4]! << 8) | from[at + 5]!) >>> 0;
  return makeOrigin(node, epoch, from[at + 6] === 0 ? 0 : 1);
}

/** Writes a 48-bit number so that bytes sort as numbers do. */
export function putSeq(into: Uint8Array, at: number, seq: number): number {
  const high = Math.floor(seq / EPOCHS);
  into[at] = high >>> 8;
  into[at + 1] = high;
  into[at + 2] = seq >>> 24;
  into[at + 3] = seq >>> 16;
  into[at + 4] = seq >>> 8;
  into[at + 5] = seq;
  return at + SEQ_BYTES;
}

/** Reads what {@linkcode putSeq} wrote. */
export function takeSeq(from: Uint8Array, at: number): number {
  const high = from[at]! * 256 + from[at + 1]!;
  const low = ((from[at + 2]! << 24) | (from[at + 3]! << 16) |
    (from[at + 4]! << 8) | from[at + 5]!) >>> 0;
  return high * EPOCHS + low;
}

/** Writes a dot into a format: origin and seq as varints. */
export function writeDot(writer: Writer, dot: Dot): void {
  writer.varint(dot.origin).varint(dot.seq);
}

/** Reads a dot from a format. */
export function readDot(reader: Reader): Dot {
  const origin = readOrigin(reader);
  const seq = reader.count(SEQ_MAX);
  return { origin, seq };
}

/** Reads an origin from a format. */
export function readOrigin(reader: Reader): Origin {
  return reader.count(2 ** 49 - 1);
}

/** Orders dots, for the last tie between two versions. */
export function compareDots(a: Dot, b: Dot): number {
  return a.origin - b.origin || a.seq - b.seq;
}
