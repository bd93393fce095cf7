/**
 * Tables that are written outside a store, to be ingested by one.
 *
 * ```text
 * external table := a table (see table/format.ts) with number 0, store id 0 and
 *                   all sequence numbers 0; each key once
 * ```
 *
 * @module
 */

import {
  ClosedError,
  compareBytes,
  EMPTY_BYTES,
  type FileSystem,
  LimitError,
} from "../../runtime/mod.ts";
import { STORE_ID_BYTES } from "../log/frame.ts";
import type { Compression } from "../table/codec.ts";
import { TableWriter } from "../table/table_writer.ts";
import { ENGINE_KEY_BYTES_MAX } from "../wal/batch.ts";

/** The number that a table has outside a store. */
export const EXTERNAL_NUMBER = 0;
/** The store id that a table has outside a store. */
export const EXTERNAL_STORE_ID: Uint8Array = new Uint8Array(STORE_ID_BYTES);

/** Largest value of a table, in bytes. */
const VALUE_BYTES_MAX = 2 ** 30;

/** Options for {@linkcode buildTable}. */
export interface BuildTableOptions {
  /** The files to write to. */
  files: FileSystem;
  /**
   * The size from which a block is full, in bytes.
   *
   * @default {8192}
   */
  blockBytes?: number;
  /**
   * How blocks are stored, as `LsmOptions` say. The store that takes them in
   * stores them as it is told itself.
   *
   * @default {"none"}
   */
  compression?: Compression;
}

/** What a table that was built holds. */
export interface BuiltTable {
  /** Its entries. */
  entries: number;
  /** Its size in bytes. */
  bytes: number;
}

/**
 * Starts a table outside any store, for `Lsm.ingest`.
 *
 * @param path A file that must not exist.
 * @throws {StorageError} If the file cannot be made.
 */
export function buildTable(
  path: string,
  options: BuildTableOptions,
): TableBuilder {
  return new TableBuilder(path, options);
}

/**
 * Writes a table, key by key in ascending order, each key once. Made by
 * {@linkcode buildTable}. Holds one block in memory, and four bytes a key.
 */
export class TableBuilder implements Disposable {
  readonly #writer: TableWriter;
  #last: Uint8Array = EMPTY_BYTES;
  #entries = 0;
  #open = true;

  /** Makes the file; use {@linkcode buildTable}. */
  constructor(path: string, options: BuildTableOptions) {
    const { files, blockBytes = 8192, compression = "none" } = options;
    this.#writer = new TableWriter(
      { files, dir: "", storeId: EXTERNAL_STORE_ID, blockBytes, compression },
      EXTERNAL_NUMBER,
      path,
    );
  }

  /**
   * Adds a key with its value.
   *
   * @throws {RangeError} If the key is not behind the one before.
   * @throws {ClosedError} If the table is finished or closed.
   * @throws {LimitError} If the key or the value is beyond its limit.
   * @throws {StorageError} If the file cannot be written: it is no table then, and
   *   closed.
   */
  set(key: Uint8Array, value: Uint8Array): void {
    this.#add(key, value);
  }

  /**
   * Adds the deletion of a key: it hides what the store holds of it.
   *
   * @throws As {@linkcode TableBuilder.set}.
   */
  delete(key: Uint8Array): void {
    this.#add(key, undefined);
  }

  /**
   * Completes the table; its content is on the device then.
   *
   * @throws {RangeError} If it has no entries.
   * @throws {ClosedError} If it was finished or closed before.
   * @throws {StorageError} If the file cannot be written.
   */
  async finish(): Promise<BuiltTable> {
    if (!this.#open) throw new ClosedError("finish", "the table");
    if (this.#entries === 0) {
      throw new RangeError("Cannot finish the table: it has no entries");
    }
    this.#open = false;
    const { rows, size } = await this.#writer.finish();
    return { entries: rows, bytes: size };
  }

  /** Closes the file. Idempotent. */
  close(): void {
    this.#open = false;
    this.#writer.close();
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.close();
  }

  #add(key: Uint8Array, value: Uint8Array | undefined): void {
    if (!this.#open) throw new ClosedError("add a key", "the table");
    const valueLength = value?.length ?? 0;
    if (key.length === 0 || key.length > ENGINE_KEY_BYTES_MAX) {
      throw new LimitError(
        "add",
        "a key",
        key.length,
        1,
        ENGINE_KEY_BYTES_MAX,
      );
    }
    if (valueLength > VALUE_BYTES_MAX) {
      throw new LimitError("add", "a value", valueLength, 0, VALUE_BYTES_MAX);
    }
    if (compareBytes(this.#last, key) >= 0) {
      throw new RangeError("Cannot add a key: it is not behind the one before");
    }
    this.#last = new Uint8Array(key);
    this.#entries++;
    const entry = {
      keyBuffer: key,
      keyAt: 0,
      keyLength: key.length,
      seq: 0,
      deleted: value === undefined,
      valueBuffer: value ?? EMPTY_BYTES,
      valueAt: 0,
      valueLength,
    };
    try {
      this.#writer.add(entry, true, 0);
    } catch (error) {
      // Something of the file is missing: what comes behind it makes no table.
      this.close();
      throw error;
    }
  }
}
