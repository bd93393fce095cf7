/**
 * Memory of a memtable: bytes are copied in and never move or change, so
 * whoever names them by chunk and offset may read them for as long as they like,
 * in another thread too if the memory is shared.
 *
 * @module
 */

/** Size of the chunks that small entries share, in bytes. */
const CHUNK_BYTES = 256 * 1024;

/** Entries from this size on get a chunk of their own, in bytes. */
const LARGE_BYTES = 64 * 1024;

/** Makes memory, all zeros; threads can share it if `shared`. */
export function allocate(bytes: number, shared: boolean): ArrayBufferLike {
  return shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
}

/** Where an allocation is. */
export class Arena {
  readonly #shared: boolean;
  readonly #chunks: Uint8Array[];
  #open = 0;
  #used = CHUNK_BYTES;
  #bytes = 0;
  /** The chunk of the last allocation. */
  chunk = 0;
  /** Its offset there. */
  offset = 0;

  /** Makes an arena; of `chunks` that were filled before, only to be read. */
  constructor(shared: boolean, chunks: Uint8Array[] = []) {
    this.#shared = shared;
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
    const chunk = new Uint8Array(allocate(length, this.#shared));
    return this.#chunks.push(chunk) - 1;
  }
}
