/**
 * Reads what lies beside a block along with it, for who reads block after
 * block: a call of the system costs as much as the bytes of a block.
 *
 * Guarantees: at most {@linkcode AHEAD_BYTES_MAX} of memory, which is the next
 * reader's of so much once this one is through; what is read along grows with what
 * was used, so that a short scan reads little in vain, and holds little. It
 * verifies nothing: whoever takes a block out of it does.
 *
 * @module
 */

import {
  type Bytes,
  EMPTY_BYTES,
  type RuntimeFile,
} from "../../runtime/mod.ts";

/** What is read at a time at first, in bytes. */
const AHEAD_BYTES_MIN = 32 * 1024;
/** What is read at a time at most, in bytes. */
const AHEAD_BYTES_MAX = 128 * 1024;

/** Memory that waits for the next reader: as many as a merge has runs, about. */
const SPARES_MAX = 8;
const spares: Bytes[] = [];

/** A stretch of a file that was read. */
export class ReadAhead {
  /** Whether blocks are read from the last to the first. */
  backward = false;
  #size = AHEAD_BYTES_MIN;
  #bytes: Bytes = EMPTY_BYTES;
  #owner: unknown;
  #start = 0;
  #end = 0;

  /**
   * The `length` bytes of a file from byte `position` on, only until the next call:
   * fewer if the file ends before; `undefined` if so many are not read along.
   *
   * @param owner Says which file it is; its bytes never change.
   * @param fileSize Where the file should end.
   */
  read(
    file: RuntimeFile,
    owner: unknown,
    position: number,
    length: number,
    fileSize: number,
  ): Bytes | undefined {
    const end = position + length;
    if (owner !== this.#owner || position < this.#start || end > this.#end) {
      if (length >= this.#size) return undefined;
      this.#fill(file, owner, position, end, fileSize);
    }
    const start = this.#start;
    return this.#bytes.subarray(
      position - start,
      Math.min(end, this.#end) - start,
    );
  }

  /**
   * The reader is through, for now. Each compaction has several: fresh memory for
   * each of them makes the garbage collector go through all that lives.
   */
  giveBack(): void {
    const bytes = this.#bytes;
    this.#owner = undefined;
    this.#bytes = EMPTY_BYTES;
    if (bytes.length === AHEAD_BYTES_MAX && spares.length < SPARES_MAX) {
      spares.push(bytes);
    }
  }

  #fill(
    file: RuntimeFile,
    owner: unknown,
    position: number,
    end: number,
    fileSize: number,
  ): void {
    // What was read before was used up: go further this time.
    const follows = owner === this.#owner;
    this.#owner = undefined;
    if (follows && this.#size < AHEAD_BYTES_MAX) this.#size *= 2;
    const size = this.#size;
    if (this.#bytes.length < size) {
      const spare = size === AHEAD_BYTES_MAX ? spares.pop() : undefined;
      this.#bytes = spare ?? new Uint8Array(size);
    }
    const start = this.backward ? Math.max(0, end - size) : position;
    const length = Math.min(size, fileSize - start);
    this.#start = start;
    this.#end = start + file.readAt(this.#bytes.subarray(0, length), start);
    this.#owner = owner;
  }
}
