/**
 * A position in a level whose tables are sorted and do not overlap: opens one
 * table at a time.
 *
 * @module
 */

import { compareBytes, EMPTY_BYTES } from "../../runtime/mod.ts";
import type { Table } from "../table/table.ts";
import { TableCursor } from "../table/table_cursor.ts";
import type { Cursor } from "./cursor.ts";

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

/** Reads a level in order. */
export class LevelCursor implements Cursor {
  readonly #tables: readonly Table[];
  readonly #keep: boolean;
  #at = 0;
  #cursor: TableCursor | undefined;
  valid = false;
  keyBuffer: Uint8Array = EMPTY_BYTES;
  readonly keyAt = 0;
  keyLength = 0;
  seq = 0;
  deleted = false;
  valueBuffer: Uint8Array = EMPTY_BYTES;
  valueAt = 0;
  valueLength = 0;

  /** Reads `tables`; `keep` tells whether blocks are put into the cache. */
  constructor(tables: readonly Table[], keep: boolean) {
    this.#tables = tables;
    this.#keep = keep;
  }

  seekTo(key: Uint8Array | undefined): void {
    const at = key === undefined ? 0 : findTable(this.#tables, key);
    if (this.#open(at)) this.#cursor!.seekTo(key);
    this.#settleForward();
  }

  seekBefore(key: Uint8Array | undefined): void {
    const last = this.#tables.length - 1;
    const at = key === undefined
      ? last
      : Math.min(findTable(this.#tables, key), last);
    if (this.#open(at)) this.#cursor!.seekBefore(key);
    this.#settleBackward();
  }

  next(): void {
    this.#cursor!.next();
    this.#settleForward();
  }

  prev(): void {
    this.#cursor!.prev();
    this.#settleBackward();
  }

  #settleForward(): void {
    while (this.#cursor !== undefined && !this.#cursor.valid) {
      if (this.#open(this.#at + 1)) this.#cursor.seekTo(undefined);
    }
    this.#load();
  }

  #settleBackward(): void {
    while (this.#cursor !== undefined && !this.#cursor.valid) {
      if (this.#open(this.#at - 1)) this.#cursor.seekBefore(undefined);
    }
    this.#load();
  }

  #open(at: number): boolean {
    const table = this.#tables[at];
    this.#at = at;
    this.#cursor = table && new TableCursor(table, this.#keep);
    return table !== undefined;
  }

  #load(): void {
    const cursor = this.#cursor;
    this.valid = cursor !== undefined;
    if (cursor === undefined) return;
    this.keyBuffer = cursor.keyBuffer;
    this.keyLength = cursor.keyLength;
    this.seq = cursor.seq;
    this.deleted = cursor.deleted;
    this.valueBuffer = cursor.valueBuffer;
    this.valueAt = cursor.valueAt;
    this.valueLength = cursor.valueLength;
  }
}
