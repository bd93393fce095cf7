/**
 * Vectors: which records are in a node's state.
 *
 * Guarantees: in lane 0 a vector is one number per origin, since records of an
 * origin are applied in order: `covers(o, s)` iff s ≤ vector[o]. Lane 1
 * (transactions, which apply in any order) has ranges above that number. What the
 * folds that it covers list is covered too, named or not (fold.ts), as far as they
 * are known where it is read: {@linkcode Vector.readAs}.
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
import type { Folds } from "./fold.ts";

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
  /** The folds that are known where it is read. */
  #folds: Folds | undefined;
  /** So many folds were known when it was found to cover all of them. */
  #whole = 0;
  /** What the folds that it covers list, where it does not cover all, of so many. */
  #implied:
    | { readonly size: number; readonly seqs: Map<Origin, number> }
    | undefined;

  /** @param folds The folds that are known where it is read. */
  constructor(folds?: Folds) {
    this.#folds = folds;
  }

  /** Reads it by the folds by which another one is read. Gives itself. */
  readAs(other: Vector): this {
    this.#folds = other.#folds;
    this.#whole = 0;
    this.#implied = undefined;
    return this;
  }

  /** The origins that it names, of which it covers something. */
  origins(): Iterable<Origin> {
    return this.#seqs.keys();
  }

  /** How many origins it names. */
  get size(): number {
    return this.#seqs.size;
  }

  /** All records of the origin up to this seq are covered; 0 for none. */
  seq(origin: Origin): number {
    const named = this.#seqs.get(origin) ?? 0;
    return this.#folds === undefined
      ? named
      : Math.max(named, this.#folded(origin, this.#folds));
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
    for (const [origin, seq] of this.#named(other)) {
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
      this.#name(origin, seq);
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
    if (this.#folds === undefined) this.readAs(other);
    for (const [origin, seq] of other.#seqs) {
      const own = this.seq(origin);
      if (seq > own || own === 0 && !this.#seqs.has(origin)) {
        this.#name(origin, seq);
        this.#absorb(origin);
      }
    }
    for (const [origin, ranges] of other.#ranges) {
      for (const { start, end } of ranges) this.#insert(origin, start, end);
    }
  }

  /**
   * What both cover, of lane 1 as far as neither has a gap, of what neither names as
   * far as one names a fold that lists it: what it leaves out there is only taken for
   * less than it is.
   */
  meet(other: Vector): Vector {
    const both = new Vector(this.#folds);
    for (const vector of [this, other]) {
      for (const origin of vector.#seqs.keys()) {
        const min = Math.min(this.seq(origin), other.seq(origin));
        if (min > 0) both.#seqs.set(origin, min);
      }
    }
    return both;
  }

  /** A copy that changes apart from this one. */
  clone(): Vector {
    const copy = new Vector(this.#folds);
    copy.#whole = this.#whole;
    copy.#implied = this.#implied;
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
    else if (seq > this.seq(origin)) this.#name(origin, seq);
  }

  /**
   * The same, without the origins that a fold lists which it and `floor` cover;
   * itself, if there are none.
   */
  shortened(floor: Vector): Vector {
    const gone: Origin[] = [];
    for (const [origin, seq] of this.#seqs) {
      const folds = this.#folds?.listing(origin) ?? [];
      const lists = folds.some((fold) =>
        floor.covers(fold.origin, fold.seq) &&
        this.covers(fold.origin, fold.seq) &&
        fold.list.some((dot) => dot.origin === origin && dot.seq >= seq)
      );
      if (lists) gone.push(origin);
    }
    if (gone.length === 0) return this;
    const shorter = this.clone();
    for (const origin of gone) shorter.#seqs.delete(origin);
    return shorter;
  }

  /**
   * The origins of which it covers something that `other` does not, with all of
   * theirs, also of those that it does not name.
   */
  beyond(other: Vector): Vector {
    const beyond = new Vector();
    for (const [origin, seq] of this.#named(other)) {
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

  #name(origin: Origin, seq: number): void {
    this.#seqs.set(origin, seq);
    // It may cover another fold now.
    if (this.#folds?.of(origin) !== undefined) this.#implied = undefined;
  }

  /** Whether folds that it covers list an origin as far as it is named here. */
  isFolded(origin: Origin): boolean {
    const named = this.#seqs.get(origin) ?? 0;
    return this.#folds !== undefined &&
      this.#folded(origin, this.#folds) >= named;
  }

  /** The seq that the folds which it covers list of an origin. */
  #folded(origin: Origin, folds: Folds): number {
    const listed = folds.listed(origin);
    if (listed === 0 || this.#coversAll(folds)) return listed;
    return this.#impliedBy(folds).get(origin) ?? 0;
  }

  #coversAll(folds: Folds): boolean {
    if (this.#whole === folds.size) return true;
    for (const [origin, seq] of folds.tops()) {
      if ((this.#seqs.get(origin) ?? 0) < seq) return false;
    }
    this.#whole = folds.size;
    return true;
  }

  /** What the folds that it covers list: those that it names, then what these list. */
  #impliedBy(folds: Folds): Map<Origin, number> {
    if (this.#implied?.size === folds.size) return this.#implied.seqs;
    const seqs = new Map<Origin, number>();
    const reached: Dot[] = [...this.#seqs].map(([origin, seq]) => ({
      origin,
      seq,
    }));
    for (let dot = reached.pop(); dot !== undefined; dot = reached.pop()) {
      for (const fold of folds.of(dot.origin) ?? []) {
        if (fold.seq > dot.seq) continue;
        for (const listed of fold.list) {
          if (originLane(listed.origin) === 1) continue;
          if (listed.seq <= (seqs.get(listed.origin) ?? 0)) continue;
          seqs.set(listed.origin, listed.seq);
          reached.push(listed);
        }
      }
    }
    this.#implied = { size: folds.size, seqs };
    return seqs;
  }

  /** What it names, and what folds list of which `other` does not cover all. */
  *#named(other: Vector): Iterable<[Origin, number]> {
    const folds = this.#folds;
    const all = folds !== undefined && other.#folds === folds &&
      other.#coversAll(folds);
    for (const [origin, seq] of this.#seqs) {
      yield [origin, all ? seq : this.seq(origin)];
    }
    if (folds === undefined || all) return;
    for (const origin of folds.listedOrigins()) {
      if (this.#seqs.has(origin)) continue;
      const seq = this.seq(origin);
      if (seq > 0) yield [origin, seq];
    }
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
