/**
 * Vectors: which records are in a node's state.
 *
 * Guarantees: in lane 0 a vector is one number per origin, since records of an
 * origin are applied in order: `covers(o, s)` iff s ≤ vector[o]. Lane 1
 * (transactions, which apply in any order) has ranges above that number.
 *
 * ```
 * vector := varint origins, origin*              sorted by origin
 * origin := varint originDelta | varint seq | [varint ranges, range*]  ranges in lane 1
 * range  := varint startDelta | varint length    above seq, sorted, apart
 * ```
 *
 * @module
 */

import { type Bytes, crc32, Reader, toHex, Writer } from "../../runtime/mod.ts";
import { type Dot, type Origin, originLane, SEQ_MAX } from "./dot.ts";

/** Origins that a vector may have when it is read. */
export const VECTOR_ORIGINS_MAX = 1_000_000;

/** Seqs that are covered beyond a gap: start and end, both inclusive. */
interface Range {
  start: number;
  end: number;
}

/** Which records are in a state: a set of dots. */
export class Vector {
  readonly #seqs = new Map<Origin, number>();
  readonly #ranges = new Map<Origin, Range[]>();

  /** The origins of which it covers something. */
  origins(): Iterable<Origin> {
    return this.#seqs.keys();
  }

  /** How many origins it has. */
  get size(): number {
    return this.#seqs.size;
  }

  /** All records of the origin up to this seq are covered; 0 for none. */
  seq(origin: Origin): number {
    return this.#seqs.get(origin) ?? 0;
  }

  /** Whether it covers a record. */
  covers(origin: Origin, seq: number): boolean {
    if (seq <= this.seq(origin)) return true;
    const ranges = this.#ranges.get(origin);
    return ranges !== undefined &&
      ranges.some((range) => seq >= range.start && seq <= range.end);
  }

  /** Whether it covers all that `other` covers. */
  includes(other: Vector): boolean {
    for (const [origin, seq] of other.#seqs) {
      if (seq > this.seq(origin)) return false;
    }
    for (const [origin, ranges] of other.#ranges) {
      for (const { start, end } of ranges) {
        if (!this.#coversRange(origin, start, end)) return false;
      }
    }
    return true;
  }

  /** Whether it covers what `other` covers, and nothing else. */
  equals(other: Vector): boolean {
    return this.includes(other) && other.includes(this);
  }

  /**
   * How many records it covers that `other` does not; of lane 1 as far as there is no
   * gap.
   */
  countBeyond(other: Vector): number {
    let count = 0;
    for (const [origin, seq] of this.#seqs) {
      count += Math.max(0, seq - other.seq(origin));
    }
    return count;
  }

  /**
   * Adds a record. In lane 0 it must be the next one of its origin, or covered.
   */
  add(origin: Origin, seq: number): void {
    const head = this.seq(origin);
    if (seq <= head) return;
    if (seq === head + 1) {
      this.#seqs.set(origin, seq);
      this.#absorb(origin);
    } else if (originLane(origin) === 1) {
      if (!this.#seqs.has(origin)) this.#seqs.set(origin, 0);
      this.#insert(origin, seq, seq);
    } else {
      throw new RangeError(
        `Cannot cover seq ${seq}: seq ${head + 1} of that origin comes first`,
      );
    }
  }

  /** Adds all that `other` covers. */
  join(other: Vector): void {
    for (const [origin, seq] of other.#seqs) {
      if (seq > this.seq(origin) || !this.#seqs.has(origin)) {
        this.#seqs.set(origin, Math.max(seq, this.seq(origin)));
        this.#absorb(origin);
      }
    }
    for (const [origin, ranges] of other.#ranges) {
      for (const { start, end } of ranges) this.#insert(origin, start, end);
    }
  }

  /**
   * What both cover, of lane 1 as far as neither has a gap: what it leaves out there
   * is only taken for less than it is.
   */
  meet(other: Vector): Vector {
    const both = new Vector();
    for (const [origin, seq] of this.#seqs) {
      const min = Math.min(seq, other.seq(origin));
      if (min > 0) both.#seqs.set(origin, min);
    }
    return both;
  }

  /** A copy that changes apart from this one. */
  clone(): Vector {
    const copy = new Vector();
    for (const [origin, seq] of this.#seqs) copy.#seqs.set(origin, seq);
    for (const [origin, ranges] of this.#ranges) {
      copy.#ranges.set(origin, ranges.map((range) => ({ ...range })));
    }
    return copy;
  }

  /**
   * All records of lane 0 up to each of these; in lane 1, where none comes before
   * another, these alone.
   */
  static upTo(dots: readonly Dot[]): Vector {
    const vector = new Vector();
    for (const dot of dots) vector.reach(dot);
    return vector;
  }

  /** Adds a record, in lane 0 with all that come before it. */
  reach({ origin, seq }: Dot): void {
    if (originLane(origin) === 1) this.add(origin, seq);
    else if (seq > this.seq(origin)) this.#seqs.set(origin, seq);
  }

  /** The origins of which it covers something that `other` does not, with all of
   * theirs. */
  beyond(other: Vector): Vector {
    const beyond = new Vector();
    for (const [origin, seq] of this.#seqs) {
      const ranges = this.#ranges.get(origin) ?? [];
      if (
        seq <= other.seq(origin) &&
        ranges.every(({ start, end }) => other.#coversRange(origin, start, end))
      ) continue;
      beyond.#seqs.set(origin, seq);
      if (ranges.length > 0) {
        beyond.#ranges.set(origin, ranges.map((range) => ({ ...range })));
      }
    }
    return beyond;
  }

  /** Writes it into a format. */
  write(writer: Writer): void {
    const origins = [...this.#seqs.keys()].sort((a, b) => a - b);
    writer.varint(origins.length);
    let previous = 0;
    for (const origin of origins) {
      writer.varint(origin - previous).varint(this.seq(origin));
      previous = origin;
      if (originLane(origin) === 1) this.#writeRanges(writer, origin);
    }
  }

  /** Its bytes. */
  encode(): Bytes {
    const writer = new Writer(16 + this.size * 14);
    this.write(writer);
    return writer.finish();
  }

  /** The bytes of one origin's part, for its row. */
  encodeOrigin(origin: Origin): Bytes {
    const writer = new Writer(16).varint(this.seq(origin));
    if (originLane(origin) === 1) this.#writeRanges(writer, origin);
    return writer.finish();
  }

  /** Takes one origin's part from its row. */
  decodeOrigin(origin: Origin, row: Uint8Array): void {
    this.#readOrigin(origin, new Reader(row, "a vector row"));
  }

  /** Reads a vector from a format. */
  static read(reader: Reader): Vector {
    const vector = new Vector();
    const count = reader.count(VECTOR_ORIGINS_MAX);
    let origin = 0;
    for (let i = 0; i < count; i++) {
      const delta = reader.count(2 ** 49 - 1);
      if (i > 0 && delta === 0) reader.fail("an origin stands twice");
      origin += delta;
      if (origin >= 2 ** 49) reader.fail("an origin has more than 49 bits");
      vector.#readOrigin(origin, reader);
    }
    return vector;
  }

  /** Reads a vector that is all there is. */
  static decode(bytes: Uint8Array): Vector {
    return Vector.read(new Reader(bytes, "a vector"));
  }

  /** A short name of its contents, for traces: equal vectors have equal names. */
  fingerprint(): string {
    const bytes = this.encode();
    const out = new Writer(8).u32(crc32(bytes)).u32(crc32(bytes, 0x9e3779b9));
    return toHex(out.view());
  }

  #readOrigin(origin: Origin, reader: Reader): void {
    this.#seqs.set(origin, reader.count(SEQ_MAX));
    if (originLane(origin) === 0) return;
    const count = reader.count(VECTOR_ORIGINS_MAX);
    const ranges: Range[] = [];
    let at = this.seq(origin) + 1;
    for (let i = 0; i < count; i++) {
      const start = at + reader.count(SEQ_MAX);
      const end = start + reader.count(SEQ_MAX);
      if (start === at || end > SEQ_MAX) reader.fail("a range is misplaced");
      ranges.push({ start, end });
      at = end + 1;
    }
    if (ranges.length > 0) this.#ranges.set(origin, ranges);
  }

  #writeRanges(writer: Writer, origin: Origin): void {
    const ranges = this.#ranges.get(origin) ?? [];
    writer.varint(ranges.length);
    let at = this.seq(origin) + 1;
    for (const { start, end } of ranges) {
      writer.varint(start - at).varint(end - start);
      at = end + 1;
    }
  }

  /** Takes ranges into the number that they now touch. */
  #absorb(origin: Origin): void {
    const ranges = this.#ranges.get(origin);
    if (ranges === undefined) return;
    let head = this.seq(origin);
    while (ranges.length > 0 && ranges[0]!.start <= head + 1) {
      head = Math.max(head, ranges.shift()!.end);
    }
    this.#seqs.set(origin, head);
    if (ranges.length === 0) this.#ranges.delete(origin);
  }

  /** Whether all of start to end is covered: ranges lie apart, so by one part. */
  #coversRange(origin: Origin, start: number, end: number): boolean {
    const from = Math.max(start, this.seq(origin) + 1);
    if (from > end) return true;
    const ranges = this.#ranges.get(origin) ?? [];
    return ranges.some((range) => range.start <= from && range.end >= end);
  }

  /** Adds start to end, merging what it touches. */
  #insert(origin: Origin, start: number, end: number): void {
    const apart: Range[] = [];
    const merged: Range = { start, end };
    for (const range of this.#ranges.get(origin) ?? []) {
      if (range.end < start - 1 || range.start > end + 1) apart.push(range);
      else {
        merged.start = Math.min(merged.start, range.start);
        merged.end = Math.max(merged.end, range.end);
      }
    }
    apart.push(merged);
    this.#ranges.set(origin, apart.sort((a, b) => a.start - b.start));
    this.#absorb(origin);
  }
}
