/**
 * Memory of a memtable: bytes are copied in and never move or change while the
 * memtable is in use, so whoever names them by chunk and offset may read them
 * until then, in another thread too if the memory is shared.
 *
 * @module
 */

import { CHUNK_BYTES, type SpareMemory } from "./spare_memory.ts";

/** Entries from this size on get a chunk of their own, in bytes. */
const LARGE_BYTES = 64 * 1024;

/** Where an allocation is. */
export class Arena {
  readonly #memory: SpareMemory;
  readonly #chunks: Uint8Array[];
  /** Of the chunks that were asked for. */
  readonly #views: (DataView | undefined)[] = [];
  #open = 0;
  /** Also what takes no room is in a chunk, so there is none with room yet. */
  #used = CHUNK_BYTES + 1;
  #bytes = 0;
  /** The chunk of the last allocation. */
  chunk = 0;
  /** Its offset there. */
  offset = 0;

  /**
   * Makes an arena that takes its chunks from `memory`; of `chunks` that were
   * filled before, only to be read.
   */
  constructor(memory: SpareMemory, chunks: Uint8Array[] = []) {
    this.#memory = memory;
    this.#chunks = chunks;
  }

  /** Its memory. */
  get chunks(): readonly Uint8Array[] {
    return this.#chunks;
  }

  /** Memory given out, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The bytes of a chunk. */
  bytesOf(chunk: number): Uint8Array {
    return this.#chunks[chunk]!;
  }

  /** A view of a chunk, which is all of its buffer; the same one each time. */
  viewOf(chunk: number): DataView {
    return this.#views[chunk] ??= new DataView(this.#chunks[chunk]!.buffer);
  }

  /** Takes room and names it in `chunk` and `offset`. */
  allocate(length: number): Uint8Array {
    this.#bytes += length;
    if (length >= LARGE_BYTES) {
      this.chunk = this.#addChunk(length);
      this.offset = 0;
    } else {
      if (this.#used + length > CHUNK_BYTES) {
        this.#open = this.#addChunk(CHUNK_BYTES);
        this.#used = 0;
      }
      this.chunk = this.#open;
      this.offset = this.#used;
      this.#used += length;
    }
    return this.#chunks[this.chunk]!;
  }

  #addChunk(length: number): number {
    return this.#chunks.push(this.#memory.takeChunk(length)) - 1;
  }
}
