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

import { EMPTY_BYTES } from "../../runtime/mod.ts";
import {
  abbreviateRange,
  copyBytes,
  copyViewed,
  VIEWED_BYTES_MAX,
} from "../compare.ts";

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

/** Rows that there is room for at first. */
const ROWS = 128;

/** Values from this size on are not copied until the block is made, in bytes. */
export const LENT_BYTES = 64 * 1024;

/** Memory up to this size is used again for the next block, in bytes. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

/** The memory a block is made in, with its views; kept for the next one if small. */
class Room {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  /** What stands behind the header. */
  readonly words: Uint32Array;

  constructor(length: number) {
    const room = Math.max(BLOCK_HEADER_BYTES, Math.ceil(length / 4) * 4);
    this.bytes = new Uint8Array(room);
    this.view = new DataView(this.bytes.buffer);
    this.words = new Uint32Array(this.bytes.buffer, BLOCK_HEADER_BYTES);
  }
}

/** Collects rows, then makes a block of them; may be used again after. */
export class BlockBuilder {
  readonly #kind: number;
  #rows = 0;
  #keys = new Uint8Array(16 * 1024);
  #keysLength = 0;
  #values = new Uint8Array(16 * 1024);
  #valuesView = new DataView(this.#values.buffer);
  #valuesLength = 0;
  /** The value of the last row, if it is too large to be copied twice. */
  #lent: Uint8Array = EMPTY_BYTES;
  #minSeq = 0;
  #maxSeq = 0;
  #tombstones = 0;
  #keyEnds = new Uint32Array(ROWS);
  #valueEnds = new Uint32Array(ROWS);
  #seqs = new Float64Array(ROWS);
  #kinds = new Uint8Array(ROWS);
  /** Where blocks are made, one after the other. */
  #room = new Room(0);

  /** Makes a builder of data or index blocks. */
  constructor(kind: number) {
    this.#kind = kind;
  }

  /** The number of rows. */
  get rows(): number {
    return this.#rows;
  }

  /** About the size of the block, in bytes. */
  get bytes(): number {
    return BLOCK_HEADER_BYTES + this.#rows * COLUMN_BYTES_PER_ROW +
      this.#keysLength + this.#valuesLength + this.#lent.length;
  }

  /** The memory that is kept for the next block, in bytes. */
  get memoryBytes(): number {
    return this.#keys.length + this.#values.length + this.#room.bytes.length +
      this.#keyEnds.length * COLUMN_BYTES_PER_ROW;
  }

  /** Whether a row with that sequence number fits: deltas are 32 bits. */
  takesSeq(seq: number): boolean {
    return this.#rows === 0 ||
      (seq - this.#minSeq < 2 ** 32 && this.#maxSeq - seq < 2 ** 32);
  }

  /**
   * Adds a row behind the others. Key and value are copied, but for a value of
   * 64 KiB or more: it must not change before the block is made, and no row may
   * follow it. No `value`: the row deletes the key.
   *
   * @param valueView A view of `value`: most values are copied faster from it.
   */
  add(
    key: Uint8Array,
    keyAt: number,
    keyLength: number,
    seq: number,
    value: Uint8Array | undefined,
    valueAt: number,
    valueLength: number,
    valueView?: DataView,
  ): void {
    const row = this.#rows;
    if (row === this.#keyEnds.length) this.#growColumns();
    const keysAt = this.#keysLength;
    const keysLength = keysAt + keyLength;
    if (keysLength > this.#keys.length) {
      this.#keys = grown(this.#keys, keysLength);
    }
    copyBytes(this.#keys, keysAt, key, keyAt, keyLength);
    this.#keysLength = keysLength;
    this.#keyEnds[row] = keysLength;
    if (row === 0) {
      this.#minSeq = seq;
      this.#maxSeq = seq;
    } else if (seq < this.#minSeq) this.#minSeq = seq;
    else if (seq > this.#maxSeq) this.#maxSeq = seq;
    this.#seqs[row] = seq;
    this.#kinds[row] = value === undefined ? 0 : 1;
    if (value === undefined) this.#tombstones++;
    else this.#addValue(value, valueAt, valueLength, valueView);
    this.#valueEnds[row] = this.#valuesLength + this.#lent.length;
    this.#rows = row + 1;
  }

  /** The length of the last key, in bytes; there is at least one row. */
  get lastKeyLength(): number {
    return this.#keysLength - this.#lastKeyAt;
  }

  /** Copies the last key to the front of `target`, which has room for it. */
  copyLastKey(target: Uint8Array): void {
    const at = this.#lastKeyAt;
    copyBytes(target, 0, this.#keys, at, this.#keysLength - at);
  }

  get #lastKeyAt(): number {
    return this.#rows > 1 ? this.#keyEnds[this.#rows - 2]! : 0;
  }

  /**
   * Makes the block and forgets the rows. There is at least one row.
   *
   * @param trailerBytes Room to leave behind the block.
   * @returns The block, only until the next one is made.
   */
  finish(trailerBytes: number): Uint8Array {
    const rows = this.#rows;
    const prefixLength = this.#prefixLength();
    const hasSeqs = this.#maxSeq > this.#minSeq;
    const hasKinds = this.#tombstones > 0;
    const columns = hasSeqs ? 4 : 3;
    const kindsAt = BLOCK_HEADER_BYTES + rows * 4 * columns;
    const prefixAt = kindsAt + (hasKinds ? rows : 0);
    const suffixesAt = prefixAt + prefixLength;
    const valuesAt = suffixesAt + this.#keysLength - rows * prefixLength;
    const lentAt = valuesAt + this.#valuesLength;
    const length = lentAt + this.#lent.length + trailerBytes;
    const { bytes, view, words } = this.#roomFor(length);

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
    view.setUint32(20, 0, true);
    view.setUint32(24, this.#minSeq >>> 0, true);
    view.setUint16(28, Math.floor(this.#minSeq / 2 ** 32), true);
    view.setUint16(30, 0, true);

    const keys = this.#keys;
    const keyEnds = this.#keyEnds;
    const valueEnds = this.#valueEnds;
    let keyAt = 0;
    let suffixEnd = 0;
    for (let row = 0; row < rows; row++) {
      const keyEnd = keyEnds[row]!;
      const from = keyAt + prefixLength;
      const suffixLength = keyEnd - from;
      words[row] = abbreviateRange(keys, from, suffixLength);
      copyBytes(bytes, suffixesAt + suffixEnd, keys, from, suffixLength);
      suffixEnd += suffixLength;
      words[row + rows] = suffixEnd;
      words[row + rows * 2] = valueEnds[row]!;
      keyAt = keyEnd;
    }
    if (hasSeqs) {
      const seqs = this.#seqs;
      for (let row = 0; row < rows; row++) {
        words[row + rows * 3] = seqs[row]! - this.#minSeq;
      }
    }
    if (hasKinds) copyBytes(bytes, kindsAt, this.#kinds, 0, rows);
    copyBytes(bytes, prefixAt, keys, 0, prefixLength);
    bytes.set(this.#values.subarray(0, this.#valuesLength), valuesAt);
    if (this.#lent.length > 0) bytes.set(this.#lent, lentAt);
    this.#clear();
    return bytes.subarray(0, length);
  }

  #addValue(
    value: Uint8Array,
    at: number,
    length: number,
    view: DataView | undefined,
  ): void {
    if (length >= LENT_BYTES) {
      this.#lent = value.subarray(at, at + length);
      return;
    }
    const valuesLength = this.#valuesLength + length;
    if (valuesLength > this.#values.length) {
      this.#values = grown(this.#values, valuesLength);
      this.#valuesView = new DataView(this.#values.buffer);
    }
    if (view !== undefined && length <= VIEWED_BYTES_MAX) {
      copyViewed(this.#valuesView, this.#valuesLength, view, at, length);
    } else copyBytes(this.#values, this.#valuesLength, value, at, length);
    this.#valuesLength = valuesLength;
  }

  #growColumns(): void {
    const rows = this.#keyEnds.length * 2;
    const copyOf = <T extends { set(from: T): void }>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.#keyEnds = copyOf(new Uint32Array(rows), this.#keyEnds);
    this.#valueEnds = copyOf(new Uint32Array(rows), this.#valueEnds);
    this.#seqs = copyOf(new Float64Array(rows), this.#seqs);
    this.#kinds = copyOf(new Uint8Array(rows), this.#kinds);
  }

  /** Memory for a block; what it held before is still there. */
  #roomFor(length: number): Room {
    if (length > KEPT_BYTES_MAX) return new Room(length);
    if (length > this.#room.bytes.length) {
      this.#room = new Room(Math.min(length * 2, KEPT_BYTES_MAX));
    }
    return this.#room;
  }

  /** What the first and the last key share is shared by all: they are sorted. */
  #prefixLength(): number {
    const keys = this.#keys;
    const lastAt = this.#lastKeyAt;
    const length = Math.min(this.#keyEnds[0]!, this.#keysLength - lastAt);
    let shared = 0;
    while (shared < length && keys[shared] === keys[lastAt + shared]) shared++;
    return shared;
  }

  #clear(): void {
    this.#rows = 0;
    this.#keysLength = 0;
    this.#valuesLength = 0;
    this.#lent = EMPTY_BYTES;
    this.#tombstones = 0;
  }
}

function grown(
  bytes: Uint8Array<ArrayBuffer>,
  length: number,
): Uint8Array<ArrayBuffer> {
  const more = new Uint8Array(Math.max(length, bytes.length * 2));
  more.set(bytes);
  return more;
}
