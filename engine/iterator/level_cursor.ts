/**
 * A position in tables that are sorted and do not overlap: a level, or a table
 * of level 0. Opens one table at a time, and of it one block.
 *
 * Guarantees: what a scan reads beyond its first blocks is not put into the
 * cache, so that it does not push out what is read often; such blocks are read
 * into the cursor's own memory, again and again.
 *
 * @module
 */

import { type Bytes, compareBytes, EMPTY_BYTES } from "../../runtime/mod.ts";
import { compareRanges, copyBytes, giveWords } from "../compare.ts";
import type { Block } from "../table/block.ts";
import { ReadAhead } from "../table/read_ahead.ts";
import type { Table } from "../table/table.ts";
import { type Cursor, SEQ_MAX } from "./cursor.ts";

/** Blocks behind a seek that are put into the cache: short ranges come again. */
const CACHED_BLOCKS = 2;

/** Values of a block with more bytes than this are copied one by one. */
const COPIED_BYTES_MAX = 64 * 1024;

/** Words of a key that there is room for at first. */
const KEY_WORDS = 16;

/** Words that the first rooms of cursors are cut from: memory is dear in small. */
const SLAB_WORDS = 1024;

let slab = new ArrayBuffer(0);
let slabUsed = 0;

/** Room for a key, which is nobody else's. */
function keyRoom(): Uint32Array<ArrayBuffer> {
  if (slabUsed + KEY_WORDS * 4 > slab.byteLength) {
    slab = new ArrayBuffer(SLAB_WORDS * 4);
    slabUsed = 0;
  }
  const words = new Uint32Array(slab, slabUsed, KEY_WORDS);
  slabUsed += KEY_WORDS * 4;
  return words;
}

/** The first table of a sorted level whose last key is not before `key`. */
export function findTable(tables: readonly Table[], key: Uint8Array): number {
  let low = 0;
  let high = tables.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(tables[middle]!.info.maxKey, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Reads tables in order. The key is put together in a buffer of the cursor's
 * own: the prefix once a block, the rest at each step.
 */
export class LevelCursor implements Cursor {
  valid = false;
  keyBuffer: Uint8Array;
  readonly keyAt = 0;
  keyLength = 0;
  keptLength = 0;
  readonly #tables: readonly Table[];
  readonly #caching: boolean;
  #tableAt = 0;
  #table: Table | undefined;
  #index: Block | undefined;
  #blockAt = 0;
  #block: Block | undefined;
  #row = 0;
  /** Blocks opened since the seek. */
  #opened = 0;
  /** Memory of the cursor's own, for blocks that are not cached. */
  #own: Block | undefined;
  readonly #ahead = new ReadAhead();
  /** A value of this block was asked for. */
  #asked = false;
  /** A copy of the values of this block, for the user. */
  #values: ArrayBuffer | undefined;
  /** The memory of `keyBuffer`. */
  #keyWords = keyRoom();
  /** The key that is left, where it takes whole keys to tell it from others. */
  #keyBefore = EMPTY_BYTES;

  /**
   * Reads `tables`. The first blocks behind a seek are put into the cache if
   * `caching`, as a merge never wants it.
   */
  constructor(tables: readonly Table[], caching: boolean) {
    this.#tables = tables;
    this.#caching = caching;
    const { buffer, byteOffset, byteLength } = this.#keyWords;
    this.keyBuffer = new Uint8Array(buffer, byteOffset, byteLength);
  }

  seekTo(key: Uint8Array | undefined): void {
    this.#opened = 0;
    this.#ahead.backward = false;
    const tables = this.#tables;
    if (!this.#openTable(key === undefined ? 0 : findTable(tables, key))) {
      return;
    }
    const at = key === undefined ? 0 : this.#index!.lowerBound(key, SEQ_MAX);
    // Behind the last separator is nothing; a key's last entries are before it.
    this.#openBlock(Math.min(at, this.#index!.rows - 1));
    this.#stand(key === undefined ? 0 : this.#block!.lowerBound(key, SEQ_MAX));
  }

  seekBefore(key: Uint8Array | undefined): void {
    this.#opened = 0;
    this.#ahead.backward = true;
    const last = this.#tables.length - 1;
    const table = key === undefined
      ? last
      : Math.min(findTable(this.#tables, key), last);
    if (!this.#openTable(table)) return;
    const end = this.#index!.rows - 1;
    const at = key === undefined
      ? end
      : Math.min(this.#index!.lowerBound(key, SEQ_MAX), end);
    this.#openBlock(at);
    const block = this.#block!;
    this.#stand(
      (key === undefined ? block.rows : block.lowerBound(key, SEQ_MAX)) - 1,
    );
  }

  get seq(): number {
    return this.#block!.seqOf(this.#row);
  }

  get deleted(): boolean {
    return this.#block!.isDeleted(this.#row);
  }

  get valueBuffer(): Bytes {
    return this.#block!.bytes;
  }

  get valueView(): DataView {
    return this.#block!.view;
  }

  get valueAt(): number {
    return this.#block!.valueAt(this.#row);
  }

  get valueLength(): number {
    return this.#block!.valueLength(this.#row);
  }

  get startsKey(): boolean {
    const row = this.#row;
    return row > 0 && this.#block!.differsBefore(row);
  }

  next(): void {
    this.#stand(this.#row + 1);
  }

  nextKey(): void {
    const row = this.#row + 1;
    const block = this.#block!;
    if (row < block.rows && block.differsBefore(row)) this.#stand(row);
    else this.#skipKey();
  }

  prev(): void {
    this.#stand(this.#row - 1);
  }

  takeKey(): Bytes {
    return giveWords(this.#keyWords, 0, this.keyLength);
  }

  takeValue(): Bytes {
    const block = this.#block!;
    const at = block.valueAt(this.#row);
    const length = block.valueLength(this.#row);
    // The first value of a block alone; with the second, it is taken for a scan.
    if (!this.#asked) {
      this.#asked = true;
      return block.giveValue(this.#row);
    }
    const { valuesAt } = block;
    let values = this.#values;
    // A user who transfers the buffer of a value leaves one of length 0.
    if (values === undefined || values.byteLength === 0) {
      const { bytes, valuesEnd } = block;
      if (valuesEnd - valuesAt > COPIED_BYTES_MAX || valuesEnd === valuesAt) {
        return block.giveValue(this.#row);
      }
      values = new Uint8Array(bytes.subarray(valuesAt, valuesEnd)).buffer;
      this.#values = values;
    }
    return new Uint8Array(values, at - valuesAt, length);
  }

  /** As {@linkcode LevelCursor.nextKey}, where it takes whole keys to tell. */
  #skipKey(): void {
    const { keyLength } = this;
    if (keyLength > this.#keyBefore.length) {
      this.#keyBefore = new Uint8Array(keyLength * 2);
    }
    const key = this.#keyBefore;
    copyBytes(key, 0, this.keyBuffer, 0, keyLength);
    let kept = keyLength;
    do {
      this.next();
      if (this.keptLength < kept) kept = this.keptLength;
    } while (
      this.valid &&
      compareRanges(this.keyBuffer, 0, this.keyLength, key, 0, keyLength) === 0
    );
    this.keptLength = kept;
  }

  /** Stands on a row, or on the nearest of the neighbour block beyond an end. */
  #stand(row: number): void {
    let block = this.#block!;
    if (row < 0) {
      if (!this.#openNeighbour(-1)) return;
      block = this.#block!;
      row = block.rows - 1;
    } else if (row >= block.rows) {
      if (!this.#openNeighbour(1)) return;
      block = this.#block!;
      row = 0;
    } else this.keptLength = block.prefixLength;
    this.#row = row;
    this.valid = true;
    const { bytes, prefixLength } = block;
    const suffixAt = block.suffixAt(row);
    const suffixLength = block.suffixLength(row);
    const keyLength = prefixLength + suffixLength;
    this.keyLength = keyLength;
    if (keyLength > this.keyBuffer.length) this.#growKey(block, keyLength);
    const key = this.keyBuffer;
    for (let i = 0; i < suffixLength; i++) {
      key[prefixLength + i] = bytes[suffixAt + i]!;
    }
  }

  /** Opens the next block or the one before; `false` at the run's end. */
  #openNeighbour(step: number): boolean {
    const at = this.#blockAt + step;
    if (at >= 0 && at < this.#index!.rows) {
      this.#openBlock(at);
      return true;
    }
    if (!this.#openTable(this.#tableAt + step)) return false;
    this.#openBlock(step > 0 ? 0 : this.#index!.rows - 1);
    return true;
  }

  /** Goes to a table; `false` if there is none, and the cursor is nowhere. */
  #openTable(at: number): boolean {
    const table = this.#tables[at];
    this.#tableAt = at;
    if (table === undefined) {
      this.valid = false;
      this.#ahead.giveBack();
      return false;
    }
    if (table !== this.#table) {
      // In this order: a table whose index cannot be read is not gone on with.
      this.#index = table.index();
      this.#table = table;
    }
    return true;
  }

  #openBlock(at: number): void {
    const table = this.#table!;
    const index = this.#index!;
    this.#blockAt = at;
    this.#asked = false;
    this.#values = undefined;
    this.#block = undefined;
    this.#block = this.#caching && this.#opened++ < CACHED_BLOCKS
      ? table.block(at)
      : table.cachedBlock(at) ?? this.#readOwn(table, index, at);
    this.keptLength = 0;
    this.#growKey(this.#block, this.#block.prefixLength);
  }

  #readOwn(table: Table, index: Block, at: number): Block {
    return this.#own = table.readBlock(index, at, this.#own, this.#ahead);
  }

  /** Puts the prefix of a block into a key buffer that has room for a key. */
  #growKey(block: Block, keyLength: number): void {
    if (keyLength > this.keyBuffer.length) {
      this.#keyWords = new Uint32Array(keyLength);
      const { buffer, byteOffset, byteLength } = this.#keyWords;
      this.keyBuffer = new Uint8Array(buffer, byteOffset, byteLength);
    }
    const { bytes, prefixAt, prefixLength } = block;
    const key = this.keyBuffer;
    for (let i = 0; i < prefixLength; i++) key[i] = bytes[prefixAt + i]!;
  }
}
