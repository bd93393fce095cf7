/**
 * A file of the machine that is only read, as tables are by gets: at a position, from
 * Deno 2.8 on by one call of the system. `Deno.FsFile` takes two, one of which moves
 * its cursor.
 *
 * Guarantees: one handle of the system, without a cursor that anything depends on.
 *
 * @module
 */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { StorageError } from "../errors.ts";
import type { RuntimeFile } from "../runtime.ts";
import { attempt, storageError } from "./system_error.ts";

/** Bytes of one call, at most: the platform counts them in 32 bits, with a sign. */
const CALL_BYTES_MAX = 2 ** 30;

/** A file that is open for reading only. */
export class ReadFile implements RuntimeFile {
  readonly #path: string;
  #handle: number | undefined;

  /**
   * Opens it.
   *
   * @throws {FileNotFoundError} If there is none.
   * @throws {StorageError} If it cannot be opened, or is a directory.
   */
  constructor(path: string) {
    this.#path = path;
    const handle = attempt("open", path, () => openSync(path, "r"));
    try {
      // The system opens a directory for reading; its reads fail later.
      if (fstatSync(handle).isDirectory()) {
        throw new StorageError("open", path, "it is a directory");
      }
    } catch (error) {
      closeSync(handle);
      throw storageError("open", path, error);
    }
    this.#handle = handle;
  }

  size(): number {
    return attempt(
      "measure",
      this.#path,
      () => fstatSync(this.#open("measure")).size,
    );
  }

  readAt(buffer: Uint8Array, position: number): number {
    try {
      const handle = this.#open("read");
      // Not refused by the platform, but read where the cursor is.
      if (position < 0) {
        throw new RangeError(`there is no position ${position}`);
      }
      const { length } = buffer;
      let done = 0;
      // The system may stop early; only its "nothing" means the end.
      while (done < length) {
        const part = done === 0 && length <= CALL_BYTES_MAX
          ? buffer
          : buffer.subarray(done, done + CALL_BYTES_MAX);
        const more = readSync(handle, part, 0, part.length, position + done);
        if (more === 0) break;
        done += more;
      }
      return done;
    } catch (error) {
      throw storageError("read", this.#path, error);
    }
  }

  append(): void {
    throw this.#refused("append to");
  }

  reserve(): void {
    throw this.#refused("make room in");
  }

  truncate(): void {
    throw this.#refused("cut");
  }

  syncData(): Promise<void> {
    return Promise.reject(this.#refused("sync"));
  }

  tryLock(): boolean {
    throw this.#refused("lock");
  }

  close(): void {
    if (this.#handle === undefined) return;
    closeSync(this.#handle);
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(action: string): number {
    if (this.#handle === undefined) {
      throw new StorageError(action, this.#path, "it is closed");
    }
    return this.#handle;
  }

  #refused(action: string): StorageError {
    return new StorageError(action, this.#path, "it is open for reading only");
  }
}
