/**
 * A block of a table that was read and whose checksum was verified. The format
 * stands in `block_builder.ts`.
 *
 * Guarantees: all columns are inside the block and ends only grow, so no row
 * reaches outside. Immutable.
 *
 * @module
 */

import { DecodeError } from "../../runtime/mod.ts";
import type { CachedBlock } from "../cache/block_cache.ts";
import { abbreviate, compareRanges } from "../compare.ts";
import {
  BLOCK_HAS_KINDS,
  BLOCK_HAS_SEQS,
  BLOCK_HEADER_BYTES,
  BLOCK_VERSION,
} from "./block_builder.ts";

/** A sorted run of rows. */
export class Block implements CachedBlock {
  /** Its memory, in bytes. */
  readonly byteLength: number;
  /** The number of rows, at least 1. */
  readonly rows: number;
  /** Where keys and values are. */
  readonly bytes: Uint8Array;
  /** What all keys start with: where. */
  readonly prefixAt: number;
  /** What all keys start with: how long. */
  readonly prefixLength: number;
  readonly #valuesAt: number;
  readonly #suffixesAt: number;
  readonly #baseSeq: number;
  readonly #abbreviations: Uint32Array;
  readonly #keyEnds: Uint32Array;
  readonly #valueEnds: Uint32Array;
  readonly #seqDeltas: Uint32Array | undefined;
  readonly #kinds: Uint8Array | undefined;

  /**
   * Reads a block.
   *
   * @param bytes The block, at the start of its own buffer.
   * @throws {DecodeError} If it is malformed.
   */
  constructor(bytes: Uint8Array, kind: number) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (
      bytes.length < BLOCK_HEADER_BYTES || view.getUint8(0) !== BLOCK_VERSION ||
      view.getUint8(1) !== kind
    ) throw malformed("its header");
    const flags = view.getUint16(2, true);
    const rows = view.getUint32(4, true);
    const columns = flags & BLOCK_HAS_SEQS ? 4 : 3;
    const kindsAt = BLOCK_HEADER_BYTES + rows * 4 * columns;
    this.byteLength = bytes.buffer.byteLength;
    this.bytes = bytes;
    this.rows = rows;
    this.prefixLength = view.getUint32(8, true);
    this.prefixAt = view.getUint32(12, true);
    this.#suffixesAt = this.prefixAt + this.prefixLength;
    this.#valuesAt = view.getUint32(16, true);
    this.#baseSeq = view.getUint32(24, true) +
      view.getUint16(28, true) * 2 ** 32;
    if (
      rows === 0 ||
      kindsAt + (flags & BLOCK_HAS_KINDS ? rows : 0) !== this.prefixAt ||
      this.#suffixesAt > this.#valuesAt || this.#valuesAt > bytes.length
    ) throw malformed("its columns");
    const column = (n: number) =>
      new Uint32Array(
        bytes.buffer,
        bytes.byteOffset + BLOCK_HEADER_BYTES + n * rows * 4,
        rows,
      );
    this.#abbreviations = column(0);
    this.#keyEnds = column(1);
    this.#valueEnds = column(2);
    this.#seqDeltas = flags & BLOCK_HAS_SEQS ? column(3) : undefined;
    this.#kinds = flags & BLOCK_HAS_KINDS
      ? bytes.subarray(kindsAt, kindsAt + rows)
      : undefined;
    checkEnds(this.#keyEnds, this.#valuesAt - this.#suffixesAt);
    checkEnds(this.#valueEnds, bytes.length - this.#valuesAt);
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
      Math.min(key.length, prefixLength),
    );
    if (order !== 0) return order > 0 ? 0 : this.rows;
    const abbreviation = abbreviate(key, prefixLength);
    let low = 0;
    let high = this.rows;
    while (low < high) {
      const row = (low + high) >>> 1;
      let difference = this.#abbreviations[row]! - abbreviation;
      if (difference === 0) difference = this.#compareSuffix(row, key);
      if (difference === 0) difference = seq - this.seqOf(row);
      if (difference < 0) low = row + 1;
      else high = row;
    }
    return low;
  }

  /** Whether a row has exactly this key. */
  isKey(row: number, key: Uint8Array): boolean {
    return key.length === this.prefixLength + this.suffixLength(row) &&
      this.#compareSuffix(row, key) === 0 &&
      compareRanges(
          this.bytes,
          this.prefixAt,
          this.prefixLength,
          key,
          0,
          this.prefixLength,
        ) === 0;
  }

  /** Where in `bytes` the part of a key behind the prefix starts. */
  suffixAt(row: number): number {
    return this.#suffixesAt + (row === 0 ? 0 : this.#keyEnds[row - 1]!);
  }

  /** The length of a key behind the prefix. */
  suffixLength(row: number): number {
    return this.#keyEnds[row]! - (row === 0 ? 0 : this.#keyEnds[row - 1]!);
  }

  /** Where in `bytes` a value starts. */
  valueAt(row: number): number {
    return this.#valuesAt + (row === 0 ? 0 : this.#valueEnds[row - 1]!);
  }

  /** The length of a value. */
  valueLength(row: number): number {
    return this.#valueEnds[row]! - (row === 0 ? 0 : this.#valueEnds[row - 1]!);
  }

  /** A row's sequence number. */
  seqOf(row: number): number {
    return this.#seqDeltas === undefined
      ? this.#baseSeq
      : this.#baseSeq + this.#seqDeltas[row]!;
  }

  /** Whether a row deletes its key. */
  isDeleted(row: number): boolean {
    return this.#kinds !== undefined && this.#kinds[row] === 0;
  }

  #compareSuffix(row: number, key: Uint8Array): number {
    return compareRanges(
      this.bytes,
      this.suffixAt(row),
      this.suffixLength(row),
      key,
      this.prefixLength,
      key.length - this.prefixLength,
    );
  }
}

function checkEnds(ends: Uint32Array, last: number): void {
  let before = 0;
  for (let row = 0; row < ends.length; row++) {
    const end = ends[row]!;
    if (end < before) throw malformed("its rows");
    before = end;
  }
  if (before !== last) throw malformed("its length");
}

function malformed(what: string): DecodeError {
  return new DecodeError("a block", `${what} do not fit`);
}
