/**
 * A cursor: a position in a sorted run of entries, the one interface of
 * memtables, tables and levels to what reads them in order.
 *
 * Entries are ordered by key, and for one key from the newest (largest sequence
 * number) to the oldest. The bytes of key and value are named by buffer, offset
 * and length, so that a step makes no objects. `keyBuffer` may be overwritten by
 * the next step, and so may `valueBuffer`, but for cursors made for a merge.
 *
 * @module
 */

import type { Bytes } from "../../runtime/mod.ts";

/** Sequence numbers are integers up to this: what u48 can say. */
export const SEQ_MAX: number = 2 ** 48 - 1;

/** An entry, by where its bytes are. */
export interface Entry {
  /** Where the key's bytes are. */
  readonly keyBuffer: Uint8Array;
  /** Where in `keyBuffer` the key starts. */
  readonly keyAt: number;
  /** The key's length in bytes. */
  readonly keyLength: number;
  /** The entry's sequence number. */
  readonly seq: number;
  /** Whether the entry deletes the key. */
  readonly deleted: boolean;
  /** Where the value's bytes are. */
  readonly valueBuffer: Uint8Array;
  /** Where in `valueBuffer` the value starts. */
  readonly valueAt: number;
  /** The value's length in bytes. */
  readonly valueLength: number;
  /** A view of `valueBuffer`, where that holds more than this value. */
  readonly valueView?: DataView | undefined;
}

/** A position in a sorted run. The fields hold only while `valid`. */
export interface Cursor extends Entry {
  /** Whether the cursor stands on an entry. */
  readonly valid: boolean;
  /** Bytes of the key that are certainly those of the position before. */
  readonly keptLength: number;
  /** Whether the entry before in the run is certainly of another key. */
  readonly startsKey: boolean;
  /** Goes to the first entry of a key at or after `key`; absent: the first. */
  seekTo(key: Uint8Array | undefined): void;
  /** Goes to the last entry of a key before `key`; absent: the last. */
  seekBefore(key: Uint8Array | undefined): void;
  /** Goes to the next entry. Only while `valid`. */
  next(): void;
  /** Goes to the first entry of the next key. Only while `valid`. */
  nextKey(): void;
  /** Goes to the entry before. Only while `valid`. */
  prev(): void;
  /** A copy of the key for the user, who may keep and change it. */
  takeKey(): Bytes;
  /**
   * A copy of the value for the user, who may keep and change it; asked again,
   * it may be the same one. Only while `valid`.
   */
  takeValue(): Bytes;
}
