/**
 * A position in a table.
 *
 * @module
 */

import { EMPTY_BYTES } from "../../runtime/mod.ts";
import { type Cursor, SEQ_MAX } from "../iterator/cursor.ts";
import type { Block } from "./block.ts";
import type { Table } from "./table.ts";

/**
 * Reads a table in order. The key is put together in a buffer of the cursor's
 * own: the prefix once a block, the rest at each step.
 */
export class TableCursor implements Cursor {
  readonly #table: Table;
  readonly #keep: boolean;
  #index: Block | undefined;
  #at = 0;
  #block: Block | undefined;
  #row = 0;
  valid = false;
  keyBuffer: Uint8Array = new Uint8Array(64);
  readonly keyAt = 0;
  keyLength = 0;
  seq = 0;
  deleted = false;
  valueBuffer: Uint8Array = EMPTY_BYTES;
  valueAt = 0;
  valueLength = 0;

  /** Reads `table`; `keep` tells whether its blocks are put into the cache. */
  constructor(table: Table, keep: boolean) {
    this.#table = table;
    this.#keep = keep;
  }

  seekTo(key: Uint8Array | undefined): void {
    const index = this.#openIndex();
    const at = key === undefined ? 0 : index.lowerBound(key, SEQ_MAX);
    if (!this.#openBlock(at)) return;
    const block = this.#block!;
    this.#stand(key === undefined ? 0 : block.lowerBound(key, SEQ_MAX));
  }

  seekBefore(key: Uint8Array | undefined): void {
    const index = this.#openIndex();
    const last = index.rows - 1;
    const at = key === undefined
      ? last
      : Math.min(index.lowerBound(key, SEQ_MAX), last);
    this.#openBlock(at);
    const block = this.#block!;
    this.#stand(
      (key === undefined ? block.rows : block.lowerBound(key, SEQ_MAX)) - 1,
    );
  }

  next(): void {
    this.#stand(this.#row + 1);
  }

  prev(): void {
    this.#stand(this.#row - 1);
  }

  /** Stands on a row, or on the nearest of the neighbour block beyond an end. */
  #stand(row: number): void {
    let block = this.#block!;
    if (row < 0) {
      if (!this.#openBlock(this.#at - 1)) return;
      block = this.#block!;
      row = block.rows - 1;
    } else if (row >= block.rows) {
      if (!this.#openBlock(this.#at + 1)) return;
      block = this.#block!;
      row = 0;
    }
    this.#row = row;
    this.valid = true;
    const { bytes, prefixLength } = block;
    const suffixLength = block.suffixLength(row);
    this.keyLength = prefixLength + suffixLength;
    if (this.keyLength > this.keyBuffer.length) this.#growKey(block);
    const suffixAt = block.suffixAt(row);
    const key = this.keyBuffer;
    for (let i = 0; i < suffixLength; i++) {
      key[prefixLength + i] = bytes[suffixAt + i]!;
    }
    this.seq = block.seqOf(row);
    this.deleted = block.isDeleted(row);
    this.valueBuffer = bytes;
    this.valueAt = block.valueAt(row);
    this.valueLength = block.valueLength(row);
  }

  #openIndex(): Block {
    return this.#index ??= this.#table.index();
  }

  /** Goes to a block; `false` if there is none, and the cursor is nowhere. */
  #openBlock(at: number): boolean {
    const index = this.#openIndex();
    if (at < 0 || at >= index.rows) {
      this.valid = false;
      return false;
    }
    this.#at = at;
    this.#block = this.#table.block(index, at, this.#keep);
    this.#copyPrefix(this.#block);
    return true;
  }

  #growKey(block: Block): void {
    this.keyBuffer = new Uint8Array(this.keyLength * 2);
    this.#copyPrefix(block);
  }

  #copyPrefix(block: Block): void {
    const { bytes, prefixAt, prefixLength } = block;
    if (prefixLength > this.keyBuffer.length) {
      this.keyBuffer = new Uint8Array(prefixLength * 2);
    }
    this.keyBuffer.set(bytes.subarray(prefixAt, prefixAt + prefixLength));
  }
}
