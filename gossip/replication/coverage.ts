/**
 * Coverage: sets of live members as bits, by which a rumour carries who needs it
 * no more.
 *
 * Guarantees: a bit means something only beside the list of members that it was
 * made for; two nodes that name the same list by size and hash mean the same nodes.
 * Bits beyond the list are never set.
 *
 * ```
 * list     := varint members | u32 crc32 of their node keys, u16 each, sorted
 * coverage := ceil(members / 8) bytes     bit i, from the lowest, is member i
 * ```
 *
 * @module
 */

import { crc32, Writer } from "../../runtime/mod.ts";

/** The live members as one node sees them, itself included. Never changes. */
export class MemberList {
  /** Node keys, sorted. */
  readonly keys: readonly number[];
  /** Names the list. */
  readonly hash: number;
  readonly #positions = new Map<number, number>();

  /** Makes a list of node keys, in whatever order. */
  constructor(keys: Iterable<number>) {
    this.keys = [...new Set(keys)].sort((a, b) => a - b);
    const writer = new Writer(this.keys.length * 2);
    for (const [position, key] of this.keys.entries()) {
      this.#positions.set(key, position);
      writer.u16(key);
    }
    this.hash = crc32(writer.view());
  }

  /** How many members it has. */
  get size(): number {
    return this.keys.length;
  }

  /** Where a member stands, or `undefined` if it is not in it. */
  positionOf(key: number): number | undefined {
    return this.#positions.get(key);
  }

  /** Whether a name, as read from a message, is this list's. */
  isNamed(name: { readonly members: number; readonly hash: number }): boolean {
    return name.members === this.size && name.hash === this.hash;
  }
}

/** Bytes of the coverage of so many members. */
export function coverageBytes(members: number): number {
  return Math.ceil(members / 8);
}

/** A set of members of one list. */
export class Coverage {
  readonly list: MemberList;
  readonly #bits: Uint8Array;

  private constructor(list: MemberList, bits: Uint8Array) {
    this.list = list;
    this.#bits = bits;
  }

  /** The set of some members; those that the list has not are left out. */
  static of(list: MemberList, ...keys: readonly number[]): Coverage {
    const bits = new Uint8Array(coverageBytes(list.size));
    const coverage = new Coverage(list, bits);
    for (const key of keys) coverage.add(key);
    return coverage;
  }

  /** All members. */
  static full(list: MemberList): Coverage {
    return Coverage.read(
      list,
      new Uint8Array(coverageBytes(list.size)).fill(0xff),
    );
  }

  /**
   * What a message has of a list: as many bytes as its members need. They are
   * copied.
   */
  static read(list: MemberList, bytes: Uint8Array): Coverage {
    const bits = new Uint8Array(bytes);
    const odd = list.size % 8;
    if (odd > 0) bits[bits.length - 1]! &= (1 << odd) - 1;
    return new Coverage(list, bits);
  }

  /** Its bytes, as a message has them. */
  get bytes(): Uint8Array {
    return this.#bits;
  }

  /** Whether it has nobody. */
  get isEmpty(): boolean {
    return this.#bits.every((byte) => byte === 0);
  }

  /** Whether it has all members. */
  get isFull(): boolean {
    const { size } = this.list;
    for (let at = 0; at < size; at += 8) {
      const all = at + 8 <= size ? 0xff : (1 << (size - at)) - 1;
      if (this.#bits[at >>> 3] !== all) return false;
    }
    return true;
  }

  /** Whether a member is in it. */
  has(key: number): boolean {
    const at = this.list.positionOf(key);
    return at !== undefined && (this.#bits[at >>> 3]! & (1 << (at & 7))) !== 0;
  }

  /** Puts a member in, if the list has it. */
  add(key: number): this {
    const at = this.list.positionOf(key);
    if (at !== undefined) this.#bits[at >>> 3]! |= 1 << (at & 7);
    return this;
  }

  /** Puts all members of another set of the same list in. */
  addAll(other: Coverage): this {
    const { bytes } = this.#sameList(other);
    for (let i = 0; i < bytes.length; i++) this.#bits[i]! |= bytes[i]!;
    return this;
  }

  /** Takes all members of another set of the same list out. */
  removeAll(other: Coverage): this {
    const { bytes } = this.#sameList(other);
    for (let i = 0; i < bytes.length; i++) this.#bits[i]! &= ~bytes[i]!;
    return this;
  }

  /** Leaves only members that another set of the same list has too. */
  keepOnly(other: Coverage): this {
    const { bytes } = this.#sameList(other);
    for (let i = 0; i < bytes.length; i++) this.#bits[i]! &= bytes[i]!;
    return this;
  }

  /** A copy that changes apart from this one. */
  clone(): Coverage {
    return new Coverage(this.list, new Uint8Array(this.#bits));
  }

  /** The members that are in it. */
  members(): number[] {
    return this.list.keys.filter((_, at) => this.#hasAt(at));
  }

  /** The members of the list that are not in it. */
  others(): number[] {
    return this.list.keys.filter((_, at) => !this.#hasAt(at));
  }

  /**
   * The same members by another list.
   *
   * @param added Whether members that only the other list has are put in.
   */
  translate(list: MemberList, added: boolean): Coverage {
    const result = Coverage.of(list, ...this.members());
    if (!added) return result;
    for (const key of list.keys) {
      if (this.list.positionOf(key) === undefined) result.add(key);
    }
    return result;
  }

  #hasAt(at: number): boolean {
    return (this.#bits[at >>> 3]! & (1 << (at & 7))) !== 0;
  }

  #sameList(other: Coverage): Coverage {
    if (other.list !== this.list) {
      throw new Error("Cannot join coverages: they are of two lists");
    }
    return other;
  }
}
