/**
 * The filter of a table: says of a key that it is certainly not there.
 *
 * ```text
 * filter := u8 version (1) | u8 kind (3) | u8 probes | u8 0
 *         | u32 lines | u32 keys | u32 0 | line[lines]
 * line   := 64 B
 * ```
 *
 * A Bloom filter in lines of 512 bits, one line a key, so a question touches
 * one cache line. With h = hash32(key): the line is floor(h · lines / 2³²); for
 * probe i, with p₀ = mix(h) and pᵢ₊₁ = pᵢ · 0x9e3779b9 mod 2³², the bit is
 * the top 9 bits of pᵢ: bit `b & 7` of byte `b >> 3`. Ten bits a key and six
 * probes err on about 1.1 % of absent keys.
 *
 * @module
 */

import { DecodeError } from "../../runtime/mod.ts";
import { CacheEntry, CHANCES_OF_GUIDES } from "../cache/block_cache.ts";

const VERSION = 1;
/** What a filter block calls itself. */
export const FILTER_KIND = 3;
const HEADER_BYTES = 16;
const LINE_BYTES = 64;
const LINE_BITS = 512;
const BITS_PER_KEY = 10;
const PROBES = 6;
const GOLDEN = 0x9e3779b9;

/** The hash of a key that filters are built on. */
export function hashKey(key: Uint8Array, at = 0, length = key.length): number {
  let hash = 0x5bd1e995 ^ length;
  const end = at + length;
  for (; at + 4 <= end; at += 4) {
    const word = key[at]! | key[at + 1]! << 8 | key[at + 2]! << 16 |
      key[at + 3]! << 24;
    hash = Math.imul(hash ^ Math.imul(word, 0xcc9e2d51), 0x1b873593);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) {
    hash = Math.imul(hash ^ key[at]!, 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  return mix(hash);
}

function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Collects the hashes of a table's keys; may be used again after. */
export class FilterBuilder {
  #hashes = new Uint32Array(1024);
  #count = 0;

  /** Adds a key by its hash. */
  add(hash: number): void {
    if (this.#count === this.#hashes.length) {
      const grown = new Uint32Array(this.#count * 2);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes[this.#count++] = hash;
  }

  /** The memory that is kept for the next filter, in bytes. */
  get memoryBytes(): number {
    return this.#hashes.byteLength;
  }

  /**
   * Makes the filter and forgets the keys.
   *
   * @param trailerBytes Room to leave behind it.
   */
  finish(trailerBytes: number): Uint8Array {
    const lines = Math.max(
      1,
      Math.ceil(this.#count * BITS_PER_KEY / LINE_BITS),
    );
    const filter = new Uint8Array(
      HEADER_BYTES + lines * LINE_BYTES + trailerBytes,
    );
    const view = new DataView(filter.buffer);
    view.setUint8(0, VERSION);
    view.setUint8(1, FILTER_KIND);
    view.setUint8(2, PROBES);
    view.setUint32(4, lines, true);
    view.setUint32(8, this.#count, true);
    for (let i = 0; i < this.#count; i++) {
      const hash = this.#hashes[i]!;
      const line = lineOf(hash, lines);
      let probe = mix(hash);
      for (let n = 0; n < PROBES; n++) {
        const bit = probe >>> 23;
        filter[line + (bit >>> 3)]! |= 1 << (bit & 7);
        probe = Math.imul(probe, GOLDEN);
      }
    }
    this.#count = 0;
    return filter;
  }
}

/** A filter that was read. */
export class Filter extends CacheEntry {
  readonly #bytes: Uint8Array;
  readonly #lines: number;
  readonly #probes: number;

  /**
   * Reads a filter block whose checksum was verified.
   *
   * @throws {DecodeError} If it is malformed.
   */
  constructor(bytes: Uint8Array) {
    super(bytes.length, CHANCES_OF_GUIDES);
    // Its memory is not of a size that comes again.
    this.lent = true;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (
      bytes.length < HEADER_BYTES + LINE_BYTES ||
      view.getUint8(0) !== VERSION || view.getUint8(1) !== FILTER_KIND ||
      view.getUint32(4, true) * LINE_BYTES + HEADER_BYTES !== bytes.length
    ) throw new DecodeError("a filter", "its header is malformed");
    this.#bytes = bytes;
    this.#probes = view.getUint8(2);
    this.#lines = view.getUint32(4, true);
  }

  /** Whether a key with that hash may be in the table. */
  mayHold(hash: number): boolean {
    const line = lineOf(hash, this.#lines);
    const probes = this.#probes;
    let probe = mix(hash);
    for (let n = 0; n < probes; n++) {
      const bit = probe >>> 23;
      if ((this.#bytes[line + (bit >>> 3)]! & (1 << (bit & 7))) === 0) {
        return false;
      }
      probe = Math.imul(probe, GOLDEN);
    }
    return true;
  }
}

function lineOf(hash: number, lines: number): number {
  return HEADER_BYTES + Math.floor(hash * lines / 2 ** 32) * LINE_BYTES;
}
