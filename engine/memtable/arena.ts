/**
 * Memory of a memtable: bytes are copied in and never move or change, so
 * whoever names them by chunk and offset may read them for as long as they like.
 *
 * @module
 */

/** Size of the chunks that small entries share, in bytes. */
const CHUNK_BYTES = 256 * 1024;

/** Entries from this size on get a chunk of their own, in bytes. */
const LARGE_BYTES = 64 * 1024;

/** Where an allocation is. */
export class Arena {
  readonly #chunks: Uint8Array[] = [];
  #shared = 0;
  #used = CHUNK_BYTES;
  #bytes = 0;
  /** The chunk of the last allocation. */
  chunk = 0;
  /** Its offset there. */
  offset = 0;

  /** Memory given out, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The bytes of a chunk. */
  bytesOf(chunk: number): Uint8Array {
    return this.#chunks[chunk]!;
  }

  /** Takes room and names it in `chunk` and `offset`. */
  allocate(length: number): Uint8Array {
    this.#bytes += length;
    if (length >= LARGE_BYTES) {
      this.chunk = this.#addChunk(length);
      this.offset = 0;
    } else {
      if (this.#used + length > CHUNK_BYTES) {
        this.#shared = this.#addChunk(CHUNK_BYTES);
        this.#used = 0;
      }
      this.chunk = this.#shared;
      this.offset = this.#used;
      this.#used += length;
    }
    return this.#chunks[this.chunk]!;
  }

  #addChunk(length: number): number {
    return this.#chunks.push(new Uint8Array(length)) - 1;
  }
}
