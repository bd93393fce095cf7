/**
 * Builds the blocks of a table: data blocks and the index.
 *
 * ```text
 * block  := header | u32 abbreviation[rows] | u32 keyEnd[rows]
 *         | u32 valueEnd[rows] | u32 seqDelta[rows]? | u8 kind[rows]?
 *         | prefix | the keys without prefix | values
 * header := u8 version (1) | u8 kind (1 data, 2 index)
 *         | u16 flags (1: seqDelta is there; 2: kind is there)
 *         | u32 rows | u32 prefixLength | u32 prefixAt | u32 valuesAt
 *         | u32 hashAt (0: none) | u48 baseSeq | u16 0
 * ```
 *
 * Rows are sorted by key, one key's from its newest to its oldest. All keys
 * start with `prefix`; `abbreviation` is the four bytes behind it, big-endian,
 * zeros behind the key's end, so that a search touches one column. Ends are
 * relative to the first key or value. A row's sequence number is baseSeq +
 * seqDelta; kind is 0 DELETE, 1 SET; without the column all are SET.
 *
 * Stored little-endian and read as typed arrays in place: every platform of
 * Deno is little-endian.
 *
 * @module
 */

import { abbreviateRange, copyBytes } from "../compare.ts";

/** The version of the block format. */
export const BLOCK_VERSION = 1;
/** Bytes before the columns. */
export const BLOCK_HEADER_BYTES = 32;
/** A block of entries. */
export const BLOCK_DATA = 1;
/** A block of separators and handles. */
export const BLOCK_INDEX = 2;
/** The flag that says that there are sequence numbers. */
export const BLOCK_HAS_SEQS = 1;
/** The flag that says that there are kinds. */
export const BLOCK_HAS_KINDS = 2;

const COLUMN_BYTES_PER_ROW = 17;

/** Collects rows, then makes a block of them; may be used again after. */
export class BlockBuilder {
  readonly #kind: number;
  #keys = new Uint8Array(16 * 1024);
  #keysLength = 0;
  #valuesLength = 0;
  #minSeq = 0;
  #maxSeq = 0;
  #tombstones = 0;
  readonly #keyEnds: number[] = [];
  readonly #seqs: number[] = [];
  readonly #valueBuffers: (Uint8Array | undefined)[] = [];
  readonly #valueAts: number[] = [];
  readonly #valueLengths: number[] = [];

  /** Makes a builder of data or index blocks. */
  constructor(kind: number) {
    this.#kind = kind;
  }

  /** The number of rows. */
  get rows(): number {
    return this.#keyEnds.length;
  }

  /** About the size of the block, in bytes. */
  get bytes(): number {
    return BLOCK_HEADER_BYTES + this.rows * COLUMN_BYTES_PER_ROW +
      this.#keysLength + this.#valuesLength;
  }

  /** Whether a row with that sequence number fits: deltas are 32 bits. */
  takesSeq(seq: number): boolean {
    return this.rows === 0 ||
      (seq - this.#minSeq < 2 ** 32 && this.#maxSeq - seq < 2 ** 32);
  }

  /**
   * Adds a row behind the others. The key is copied; the value must not change
   * before the block is made. No `value`: the row deletes the key.
   */
  add(
    key: Uint8Array,
    keyAt: number,
    keyLength: number,
    seq: number,
    value: Uint8Array | undefined,
    valueAt: number,
    valueLength: number,
  ): void {
    const keysLength = this.#keysLength + keyLength;
    if (keysLength > this.#keys.length) {
      const grown = new Uint8Array(Math.max(keysLength, this.#keys.length * 2));
      grown.set(this.#keys);
      this.#keys = grown;
    }
    copyBytes(this.#keys, this.#keysLength, key, keyAt, keyLength);
    this.#keysLength = keysLength;
    if (this.rows === 0) {
      this.#minSeq = seq;
      this.#maxSeq = seq;
    } else {
      this.#minSeq = Math.min(this.#minSeq, seq);
      this.#maxSeq = Math.max(this.#maxSeq, seq);
    }
    if (value === undefined) this.#tombstones++;
    this.#keyEnds.push(keysLength);
    this.#seqs.push(seq);
    this.#valueBuffers.push(value);
    this.#valueAts.push(valueAt);
    this.#valueLengths.push(valueLength);
    this.#valuesLength += valueLength;
  }

  /** The last key, as a view that the next row may move. */
  lastKey(): Uint8Array {
    const rows = this.rows;
    return this.#keys.subarray(
      rows > 1 ? this.#keyEnds[rows - 2]! : 0,
      this.#keysLength,
    );
  }

  /**
   * Makes the block and forgets the rows. There is at least one row.
   *
   * @param trailerBytes Room to leave behind the block.
   */
  finish(trailerBytes: number): Uint8Array {
    const rows = this.rows;
    const prefixLength = this.#prefixLength();
    const hasSeqs = this.#maxSeq > this.#minSeq;
    const hasKinds = this.#tombstones > 0;
    const columns = hasSeqs ? 4 : 3;
    const prefixAt = BLOCK_HEADER_BYTES + rows * 4 * columns +
      (hasKinds ? rows : 0);
    const valuesAt = prefixAt + prefixLength + this.#keysLength -
      rows * prefixLength;
    const block = new Uint8Array(valuesAt + this.#valuesLength + trailerBytes);

    const view = new DataView(block.buffer);
    view.setUint8(0, BLOCK_VERSION);
    view.setUint8(1, this.#kind);
    view.setUint16(
      2,
      (hasSeqs ? BLOCK_HAS_SEQS : 0) | (hasKinds ? BLOCK_HAS_KINDS : 0),
      true,
    );
    view.setUint32(4, rows, true);
    view.setUint32(8, prefixLength, true);
    view.setUint32(12, prefixAt, true);
    view.setUint32(16, valuesAt, true);
    view.setUint32(24, this.#minSeq >>> 0, true);
    view.setUint16(28, Math.floor(this.#minSeq / 2 ** 32), true);

    block.set(this.#keys.subarray(0, prefixLength), prefixAt);
    let keyAt = 0;
    const suffixesAt = prefixAt + prefixLength;
    let suffixEnd = 0;
    let valueEnd = 0;
    const keys = this.#keys;
    const words = new Uint32Array(
      block.buffer,
      BLOCK_HEADER_BYTES,
      rows * columns,
    );
    for (let row = 0; row < rows; row++) {
      const keyEnd = this.#keyEnds[row]!;
      const suffixLength = keyEnd - keyAt - prefixLength;
      words[row] = abbreviateRange(keys, keyAt + prefixLength, suffixLength);
      copyBytes(
        block,
        suffixesAt + suffixEnd,
        keys,
        keyAt + prefixLength,
        suffixLength,
      );
      suffixEnd += suffixLength;
      words[row + rows] = suffixEnd;
      keyAt = keyEnd;

      const value = this.#valueBuffers[row];
      if (value !== undefined) {
        const valueLength = this.#valueLengths[row]!;
        copyBytes(
          block,
          valuesAt + valueEnd,
          value,
          this.#valueAts[row]!,
          valueLength,
        );
        valueEnd += valueLength;
      }
      words[row + rows * 2] = valueEnd;
      if (hasSeqs) words[row + rows * 3] = this.#seqs[row]! - this.#minSeq;
      if (hasKinds) {
        block[BLOCK_HEADER_BYTES + rows * 4 * columns + row] =
          value === undefined ? 0 : 1;
      }
    }
    this.#clear();
    return block;
  }

  /** What the first and the last key share is shared by all: they are sorted. */
  #prefixLength(): number {
    const last = this.lastKey();
    const length = Math.min(this.#keyEnds[0]!, last.length);
    let shared = 0;
    while (shared < length && this.#keys[shared] === last[shared]) shared++;
    return shared;
  }

  #clear(): void {
    this.#keysLength = 0;
    this.#valuesLength = 0;
    this.#tombstones = 0;
    this.#keyEnds.length = 0;
    this.#seqs.length = 0;
    this.#valueBuffers.length = 0;
    this.#valueAts.length = 0;
    this.#valueLengths.length = 0;
  }
}
