/**
 * Memory that memtables leave behind, for the next ones: fresh memory is zeroed
 * by the system as it is touched, which costs as much as what is done with it,
 * and shared memory lives until the garbage collectors of all threads that ever
 * saw it have found that nobody uses it.
 *
 * Guarantees: of what entries name at most as much as {@linkcode SpareMemory} was
 * made for, of nodes as much again, two chunks at least, and the order, the bits and
 * the index of one memtable. What it gives holds what was there before, but for the
 * list of nodes, whose head is as new.
 *
 * @module
 */

import { KeyBits } from "./key_bits.ts";
import { KeyIndex } from "./key_index.ts";
import { KeyOrder } from "./key_order.ts";

/** Size of the chunks that small entries share, in bytes. */
export const CHUNK_BYTES = 256 * 1024;

/** Chunks that are kept, however little memory it was made for. */
const CHUNKS_MIN = 2;

const WORD_BYTES = 4;

/** Memory of memtables that are not in use. */
export class SpareMemory {
  readonly #shared: boolean;
  readonly #chunksMax: number;
  readonly #nodesBytesMax: number;
  #nodes: Uint32Array | undefined;
  readonly #chunks: Uint8Array[] = [];
  #order: KeyOrder | undefined;
  #bits: KeyBits | undefined;
  #index: KeyIndex | undefined;

  /**
   * @param shared Whether threads can share it.
   * @param bytes How much is kept of what entries name, and how much of nodes, in
   * bytes.
   */
  constructor(shared: boolean, bytes: number) {
    this.#shared = shared;
    this.#chunksMax = Math.max(CHUNKS_MIN, Math.ceil(bytes / CHUNK_BYTES));
    this.#nodesBytesMax = this.#chunksMax * CHUNK_BYTES;
  }

  /** How much is kept at the moment, in bytes. */
  get bytes(): number {
    return this.#chunks.length * CHUNK_BYTES + (this.#nodes?.byteLength ?? 0) +
      (this.#order?.bytes ?? 0) + (this.#index?.bytes ?? 0);
  }

  /** Gives at least `words` words, of which the first `cleared` are zeros. */
  takeNodes(words: number, cleared: number): Uint32Array {
    const spare = this.#nodes;
    if (spare === undefined || spare.length < words) {
      return new Uint32Array(this.#allocate(words * WORD_BYTES));
    }
    this.#nodes = undefined;
    spare.fill(0, 0, cleared);
    return spare;
  }

  /** Gives memory of that many bytes, or of {@linkcode CHUNK_BYTES}. */
  takeChunk(length: number): Uint8Array {
    const spare = length === CHUNK_BYTES ? this.#chunks.pop() : undefined;
    return spare ?? new Uint8Array(this.#allocate(length));
  }

  /** Gives an order of no entry. */
  takeOrder(): KeyOrder {
    const order = this.#order ?? new KeyOrder();
    this.#order = undefined;
    order.clear();
    return order;
  }

  /** Gives bits of no key. */
  takeBits(): KeyBits {
    const bits = this.#bits ?? new KeyBits();
    this.#bits = undefined;
    bits.clear();
    return bits;
  }

  /** Gives an index of no key. */
  takeIndex(): KeyIndex {
    const index = this.#index ?? new KeyIndex();
    this.#index = undefined;
    return index;
  }

  /** Takes back what nobody reads any more, as far as it may keep it. */
  give(
    nodes: Uint32Array,
    chunks: readonly Uint8Array[],
    order: KeyOrder | undefined,
    bits: KeyBits | undefined,
    index: KeyIndex | undefined,
  ): void {
    const kept = this.#nodes?.byteLength ?? 0;
    if (nodes.byteLength > kept && nodes.byteLength <= this.#nodesBytesMax) {
      this.#nodes = nodes;
    }
    for (const chunk of chunks) {
      if (
        chunk.length === CHUNK_BYTES && this.#chunks.length < this.#chunksMax
      ) this.#chunks.push(chunk);
    }
    if (
      order !== undefined && order.bytes <= this.#nodesBytesMax &&
      order.bytes > (this.#order?.bytes ?? 0)
    ) this.#order = order;
    this.#bits ??= bits;
    if (index !== undefined && this.#index === undefined) {
      // At once: it may have two arrays, of which it keeps one.
      index.clear();
      if (index.bytes <= this.#nodesBytesMax) this.#index = index;
    }
  }

  #allocate(bytes: number): ArrayBufferLike {
    return this.#shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  }
}
