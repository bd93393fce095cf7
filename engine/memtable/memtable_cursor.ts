/**
 * A position in a memtable, which stays valid while entries are added.
 *
 * @module
 */

import { type Bytes, EMPTY_BYTES } from "../../runtime/mod.ts";
import { compareRanges, giveRange } from "../compare.ts";
import { type Cursor, SEQ_MAX } from "../iterator/cursor.ts";
import type { Memtable } from "./memtable.ts";

/** Entries of one key that are passed one by one; beyond, the next key is sought. */
const STEPS_MAX = 8;

/** A position in a memtable. */
export class MemtableCursor implements Cursor {
  readonly #table: Memtable;
  #node = 0;
  valid = false;
  keyBuffer: Uint8Array = EMPTY_BYTES;
  keyAt = 0;
  keyLength = 0;
  seq = 0;
  deleted = false;
  valueBuffer: Uint8Array = EMPTY_BYTES;
  /** The number of the memory where the value is. */
  valueChunk = 0;
  valueAt = 0;
  valueLength = 0;
  readonly keptLength: number = 0;
  readonly startsKey: boolean = false;

  /** Stands nowhere, until it seeks. */
  constructor(table: Memtable) {
    this.#table = table;
  }

  get valueView(): DataView {
    return this.#table.viewOf(this.valueChunk);
  }

  seekTo(key: Uint8Array | undefined): void {
    this.#stand(
      key === undefined
        ? this.#table.first()
        : this.#table.firstFrom(key, SEQ_MAX),
    );
  }

  seekBefore(key: Uint8Array | undefined): void {
    this.#stand(this.#table.lastBefore(key));
  }

  next(): void {
    this.#stand(this.#table.after(this.#node));
  }

  prev(): void {
    this.#stand(this.#table.before(this.#node));
  }

  nextKey(): void {
    const { keyBuffer, keyAt, keyLength } = this;
    const stepsMax = this.#table.canSeek ? STEPS_MAX : Infinity;
    for (let steps = 0; steps < stepsMax; steps++) {
      this.next();
      if (!this.valid || !this.#isKey(keyBuffer, keyAt, keyLength)) return;
    }
    const key = keyBuffer.subarray(keyAt, keyAt + keyLength);
    // Behind all of its entries: no write has the number 0.
    this.#stand(this.#table.firstFrom(key, 0));
  }

  takeKey(): Bytes {
    return giveRange(this.keyBuffer, this.keyAt, this.keyLength);
  }

  takeValue(): Bytes {
    return giveRange(this.valueBuffer, this.valueAt, this.valueLength);
  }

  #isKey(key: Uint8Array, at: number, length: number): boolean {
    return compareRanges(
      this.keyBuffer,
      this.keyAt,
      this.keyLength,
      key,
      at,
      length,
    ) === 0;
  }

  #stand(node: number): void {
    this.#node = node;
    this.valid = node !== 0;
    if (node !== 0) this.#table.load(node, this);
  }
}
