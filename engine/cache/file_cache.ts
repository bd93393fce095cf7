/**
 * Open handles of tables, at most a given number, opened when first read.
 *
 * @module
 */

import type { FileSystem, RuntimeFile } from "../../runtime/mod.ts";
import { openExisting } from "../decode.ts";

/** A cache of open files, by table number. */
export class FileCache {
  readonly #files: FileSystem;
  readonly #max: number;
  readonly #open: Map<number, RuntimeFile> = new Map();

  /** Keeps at most `max` files open. */
  constructor(files: FileSystem, max: number) {
    this.#files = files;
    this.#max = max;
  }

  /**
   * The open file of a table.
   *
   * @throws {CorruptionError} If it is missing.
   * @throws {StorageError} If it cannot be opened.
   */
  get(number: number, path: string): RuntimeFile {
    let file = this.#open.get(number);
    if (file !== undefined) return file;
    file = openExisting(this.#files, path);
    // First in, first out: a handle costs too little to keep count of its use.
    if (this.#open.size >= this.#max) {
      for (const oldest of this.#open.keys()) {
        this.close(oldest);
        break;
      }
    }
    this.#open.set(number, file);
    return file;
  }

  /** Closes the file of a table, if it is open. */
  close(number: number): void {
    this.#open.get(number)?.close();
    this.#open.delete(number);
  }

  /** Closes all files. */
  closeAll(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }
}
