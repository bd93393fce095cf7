/**
 * A block of a table that was read and whose checksum was verified. The format
 * stands in `block_builder.ts`.
 *
 * Guarantees: all columns are inside the block and ends only grow, so no row
 * reaches outside. Immutable until it is read anew: a block's memory serves
 * one stored block after the other (see `block_cache.ts`).
 *
 * @module
 */

import { type Bytes, DecodeError } from "../../runtime/mod.ts";
import { CacheEntry } from "../cache/block_cache.ts";
import { abbreviate, compareRanges, giveWords } from "../compare.ts";
import {
  BLOCK_HAS_KINDS,
  BLOCK_HAS_SEQS,
  BLOCK_HEADER_BYTES,
  BLOCK_VERSION,
} from "./block_builder.ts";

/** The unit of a block's memory, in bytes, so that sizes come again. */
const CAPACITY_UNIT = 1024;

/** What {@linkcode Block.find} says of a key that is not in the block. */
export const ABSENT = -1;
/** What it says where the key's entries may go on in the next block. */
export const BEYOND = -2;

/** Bytes of a key that an abbreviation holds. */
const ABBREVIATED_BYTES = 4;

const HEADER_WORDS = BLOCK_HEADER_BYTES / 4;

/** The memory that a stored block of `length` bytes takes, in bytes. */
export function blockCapacity(length: number): number {
  return Math.ceil(length / CAPACITY_UNIT) * CAPACITY_UNIT;
}

/** A sorted run of rows. */
export class Block extends CacheEntry {
  /** Its memory: stored block, then whatever was there before. */
  readonly bytes: Bytes;
  /** The number of rows, at least 1. */
  rows = 0;
  /** What all keys start with: where. */
  prefixAt = 0;
  /** What all keys start with: how long. */
  prefixLength = 0;
  /** Where the values start. */
  valuesAt = 0;
  /** Where the values end. */
  valuesEnd = 0;
  readonly #words: Uint32Array<ArrayBuffer>;
  /** Made when it is asked for: only merges do. */
  #view: DataView | undefined;
  #suffixesAt = 0;
  #baseSeq = 0;
  /** Where the columns start, in words; 0 stands for none. */
  #keyEnds = 0;
  #valueEnds = 0;
  #seqDeltas = 0;
  /** Where the kinds start, in bytes; 0 stands for none. */
  #kinds = 0;

  /** Makes memory for a block; `capacity` is of {@linkcode blockCapacity}. */
  constructor(capacity: number, chances = 0) {
    super(capacity, chances);
    this.bytes = new Uint8Array(capacity);
    this.#words = new Uint32Array(this.bytes.buffer);
  }

  /** A view of `bytes`. */
  get view(): DataView {
    return this.#view ??= new DataView(this.bytes.buffer);
  }

  /**
   * Takes what `bytes` starts with for a block.
   *
   * @param length The length of the block's body.
   * @throws {DecodeError} If it is malformed.
   */
  read(length: number, kind: number): void {
    const { bytes } = this;
    const words = this.#words;
    if (
      length < BLOCK_HEADER_BYTES || bytes[0] !== BLOCK_VERSION ||
      bytes[1] !== kind
    ) throw malformed("its header");
    const flags = words[0]! >>> 16;
    const rows = words[1]!;
    const hasSeqs = (flags & BLOCK_HAS_SEQS) !== 0;
    const hasKinds = (flags & BLOCK_HAS_KINDS) !== 0;
    const kindsAt = BLOCK_HEADER_BYTES + rows * 4 * (hasSeqs ? 4 : 3);
    this.rows = rows;
    this.prefixLength = words[2]!;
    this.prefixAt = words[3]!;
    this.valuesAt = words[4]!;
    this.valuesEnd = length;
    this.#suffixesAt = this.prefixAt + this.prefixLength;
    this.#baseSeq = words[6]! + (words[7]! & 0xffff) * 2 ** 32;
    if (
      rows === 0 || kindsAt + (hasKinds ? rows : 0) !== this.prefixAt ||
      this.#suffixesAt > this.valuesAt || this.valuesAt > length
    ) throw malformed("its columns");
    this.#keyEnds = HEADER_WORDS + rows;
    this.#valueEnds = HEADER_WORDS + rows * 2;
    this.#seqDeltas = hasSeqs ? HEADER_WORDS + rows * 3 : 0;
    this.#kinds = hasKinds ? kindsAt : 0;
    checkEnds(words, this.#keyEnds, rows, this.valuesAt - this.#suffixesAt);
    checkEnds(words, this.#valueEnds, rows, length - this.valuesAt);
  }

  /** The first row at or behind a key as of `seq`; `rows` if there is none. */
  lowerBound(key: Uint8Array, seq: number): number {
    const prefixLength = this.prefixLength;
    const order = compareRanges(
      this.bytes,
      this.prefixAt,
      prefixLength,
      key,
      0,
      key.length < prefixLength ? key.length : prefixLength,
    );
    if (order !== 0) return order > 0 ? 0 : this.rows;
    const words = this.#words;
    const abbreviation = abbreviate(key, prefixLength);
    let low = 0;
    let high = this.rows;
    while (low < high) {
      const row = (low + high) >>> 1;
      let difference = words[HEADER_WORDS + row]! - abbreviation;
      if (difference === 0) difference = this.#compareSuffix(row, key);
      if (difference === 0) difference = seq - this.seqOf(row);
      if (difference < 0) low = row + 1;
      else high = row;
    }
    return low;
  }

  /**
   * The row of a key's newest entry as of `seq`; {@linkcode ABSENT} if there is
   * none here or behind, {@linkcode BEYOND} if all here are newer.
   */
  find(key: Uint8Array, seq: number): number {
    const { bytes, prefixLength, prefixAt } = this;
    if (key.length < prefixLength) return ABSENT;
    for (let i = 0; i < prefixLength; i++) {
      if (bytes[prefixAt + i] !== key[i]) return ABSENT;
    }
    const words = this.#words;
    const abbreviation = abbreviate(key, prefixLength);
    let low = 0;
    let high = this.rows;
    let found = ABSENT;
    while (low < high) {
      const row = (low + high) >>> 1;
      let difference = words[HEADER_WORDS + row]! - abbreviation;
      if (difference === 0) {
        difference = this.#compareSuffix(row, key);
        if (difference === 0) {
          if (this.seqOf(row) <= seq) found = row;
          else {
            difference = -1;
            if (found < 0) found = BEYOND;
          }
        }
      }
      if (difference < 0) low = row + 1;
      else high = row;
    }
    // The key's entries here are all too new, and another key may follow them.
    return found === BEYOND && low < this.rows ? ABSENT : found;
  }

  /** Where in `bytes` the part of a key behind the prefix starts. */
  suffixAt(row: number): number {
    return this.#suffixesAt +
      (row === 0 ? 0 : this.#words[this.#keyEnds + row - 1]!);
  }

  /** The length of a key behind the prefix. */
  suffixLength(row: number): number {
    const at = this.#keyEnds + row;
    return this.#words[at]! - (row === 0 ? 0 : this.#words[at - 1]!);
  }

  /** Where in `bytes` a value starts. */
  valueAt(row: number): number {
    return this.valuesAt +
      (row === 0 ? 0 : this.#words[this.#valueEnds + row - 1]!);
  }

  /** The length of a value. */
  valueLength(row: number): number {
    const at = this.#valueEnds + row;
    return this.#words[at]! - (row === 0 ? 0 : this.#words[at - 1]!);
  }

  /** Whether there is such a row, and it is of that key. */
  holds(row: number, key: Uint8Array): boolean {
    const { bytes, prefixLength, prefixAt } = this;
    if (row >= this.rows) return false;
    const suffixLength = this.suffixLength(row);
    if (key.length !== prefixLength + suffixLength) return false;
    const suffixAt = this.suffixAt(row);
    for (let i = 0; i < suffixLength; i++) {
      if (bytes[suffixAt + i] !== key[prefixLength + i]) return false;
    }
    for (let i = 0; i < prefixLength; i++) {
      if (bytes[prefixAt + i] !== key[i]) return false;
    }
    return true;
  }

  /** Whether a row is certainly of another key than the one before it. */
  differsBefore(row: number): boolean {
    const words = this.#words;
    return words[HEADER_WORDS + row] !== words[HEADER_WORDS + row - 1];
  }

  /** A copy of a value, for the user, who may keep and change it. */
  giveValue(row: number): Bytes {
    return giveWords(this.#words, this.valueAt(row), this.valueLength(row));
  }

  /** A row's sequence number. */
  seqOf(row: number): number {
    return this.#seqDeltas === 0
      ? this.#baseSeq
      : this.#baseSeq + this.#words[this.#seqDeltas + row]!;
  }

  /** Whether a row deletes its key. */
  isDeleted(row: number): boolean {
    return this.#kinds !== 0 && this.bytes[this.#kinds + row] === 0;
  }

  /** Compares with a key of the same prefix and abbreviation. */
  #compareSuffix(row: number, key: Uint8Array): number {
    const prefixLength = this.prefixLength;
    const suffixLength = this.suffixLength(row);
    const keyLength = key.length - prefixLength;
    // Equal abbreviations of short keys differ in zeros at the end, if at all.
    if (suffixLength <= ABBREVIATED_BYTES && keyLength <= ABBREVIATED_BYTES) {
      return suffixLength - keyLength;
    }
    return compareRanges(
      this.bytes,
      this.suffixAt(row),
      suffixLength,
      key,
      prefixLength,
      keyLength,
    );
  }
}

function checkEnds(
  words: Uint32Array,
  at: number,
  rows: number,
  last: number,
): void {
  let before = 0;
  for (let row = 0; row < rows; row++) {
    const end = words[at + row]!;
    if (end < before) throw malformed("its rows");
    before = end;
  }
  if (before !== last) throw malformed("its length");
}

function malformed(what: string): DecodeError {
  return new DecodeError("a block", `${what} do not fit`);
}
