/**
 * The memtable: the newest entries of a store, sorted, in memory.
 *
 * A list whose nodes are runs of words in one array and whose bytes lie in an
 * arena: no objects per entry, nothing for the garbage collector to walk. Where in
 * it a key belongs is found by abbreviations of keys (key_order.ts).
 *
 * ```text
 * node := chunk | offset | keyLength | valueLength | seqLow | seqHigh and kind
 *       | previous | next
 * ```
 *
 * An abbreviation is the first byte of a key and the 44 bits behind what all keys
 * with that first byte start with, so that a search seldom looks at keys: also
 * where several tables share a store, each under a first byte of its own.
 *
 * Guarantees: entries are only added, and added ones never change, so cursors
 * stay valid across writes. A key's entries go from the newest to the oldest.
 * When the last holder has let go, its memory is another memtable's.
 *
 * @module
 */

import { type Bytes, EMPTY_BYTES } from "../../runtime/mod.ts";
import {
  abbreviateRange,
  compareRanges,
  equalRanges,
  giveRange,
} from "../compare.ts";
import { type Cursor, SEQ_MAX } from "../iterator/cursor.ts";
import { hashKey } from "../table/filter.ts";
import { Arena } from "./arena.ts";
import { FEW_KEYS, type KeyBits } from "./key_bits.ts";
import type { KeyIndex } from "./key_index.ts";
import type { KeyOrder } from "./key_order.ts";
import { MemtableCursor } from "./memtable_cursor.ts";
import { SpareMemory } from "./spare_memory.ts";

const CHUNK = 0;
const OFFSET = 1;
const KEY_LENGTH = 2;
const VALUE_LENGTH = 3;
const SEQ_LOW = 4;
const SEQ_HIGH = 5;
const PREVIOUS = 6;
const NEXT = 7;
const NODE_WORDS = 8;

/** Bytes behind the prefix of a key that come first in its abbreviation. */
const ABBREVIATED_BYTES = 3;
/** What the last of them counts in it: 20 bits follow. */
const LAST = 2 ** 20;
/**
 * What the first byte of a key counts in it. With 52 bits in all there is room
 * between any two abbreviations for one half.
 */
const FIRST = LAST * 2 ** (8 * ABBREVIATED_BYTES);
/** The prefix length of a first byte that no key has. */
const NONE = -1;

/** In SEQ_HIGH, above the 16 high bits of the sequence number. */
const DELETED_BIT = 1 << 16;

/** What stands before the first node. No node is 0. */
const HEAD = NODE_WORDS;
/** Keys of one hash that are compared before the place is sought in the list. */
const SAME_HASH_MAX = 8;

const WORD_BYTES = 4;
/** Words before the first node. */
const HEAD_WORDS = HEAD + NODE_WORDS;

/** Room in a memtable. */
export interface Reserved {
  /** The memory that the room is part of. */
  bytes: Uint8Array;
  /** Its name. */
  chunk: number;
  /** Where in it the room starts. */
  offset: number;
}

/**
 * The memory of a memtable that is full: what a thread needs to read it. Bare
 * buffers: of an array, the platform's messages look at each single element.
 */
export interface MemtableMemory {
  /** The list. */
  readonly nodes: ArrayBufferLike;
  /** What its entries name. */
  readonly chunks: readonly ArrayBufferLike[];
}

/** Words that the list has room for at first. */
const LIST_WORDS = 4096;

/** Gives nothing and keeps nothing: for memtables that are only read. */
const NO_MEMORY = new SpareMemory(false, 0);

/** A cursor over a memtable that takes no more entries, by its memory. */
export function cursorOf({ nodes, chunks }: MemtableMemory): Cursor {
  return new MemtableCursor(
    new Memtable(
      NO_MEMORY,
      new Uint32Array(nodes),
      chunks.map((chunk) => new Uint8Array(chunk)),
    ),
  );
}

/** The newest entries of a store. */
export class Memtable {
  readonly #memory: SpareMemory;
  readonly #arena: Arena;
  #nodes: Uint32Array;
  #used = HEAD_WORDS;
  #count = 0;
  #lastSeq = 0;
  /** The last node, or what stands before the first one, and its abbreviation. */
  #last = HEAD;
  #lastAbbreviation = -1;
  /** Not taken before the first entry: who only reads in order needs none. */
  #order: KeyOrder | undefined;
  /** What is sought: a key, how much of it its abbreviation leaves out, and a seq. */
  #sought: Uint8Array = EMPTY_BYTES;
  #soughtAt = 0;
  #soughtLength = 0;
  #soughtSeq = 0;
  /**
   * What all keys with a first byte start with, by that byte: an entry that has it,
   * and how long it is.
   */
  readonly #prefixChunks = new Uint32Array(256);
  readonly #prefixAts = new Uint32Array(256);
  readonly #prefixLengths = new Int32Array(256).fill(NONE);
  /** Which keys may be here; not made for a few. */
  #bits: KeyBits | undefined;
  /** Where they are; made with the bits, and given up if keys want one place. */
  #index: KeyIndex | undefined;

  #holders = 0;

  /** The number of the last WAL whose batches are here. */
  lastWal = 0;

  /** Whether keys can be sought in it: not in one that another has filled. */
  readonly canSeek: boolean;

  /**
   * Makes an empty memtable in memory that it takes from `memory`, and gives back
   * there; or one of what another has filled, only to be read in order.
   */
  constructor(
    memory: SpareMemory,
    nodes: Uint32Array = memory.takeNodes(LIST_WORDS, HEAD_WORDS),
    chunks?: Uint8Array[],
  ) {
    this.#memory = memory;
    this.canSeek = chunks === undefined;
    this.#nodes = nodes;
    this.#arena = new Arena(memory, chunks);
  }

  /** Reads it until {@linkcode Memtable.release}. */
  acquire(): void {
    this.#holders++;
  }

  /** Reads it no longer. */
  release(): void {
    if (--this.#holders > 0) return;
    const { chunks } = this.#arena;
    this.#memory.give(
      this.#nodes,
      chunks,
      this.#order,
      this.#bits,
      this.#index,
    );
  }

  /** Its memory, for who reads it elsewhere; no entry is added any more. */
  get memory(): MemtableMemory {
    return {
      nodes: this.#nodes.buffer,
      chunks: this.#arena.chunks.map(({ buffer }) => buffer),
    };
  }

  /** The number of entries. */
  get count(): number {
    return this.#count;
  }

  /** Memory taken by entries, in bytes. */
  get bytes(): number {
    return this.#arena.bytes + this.#used * WORD_BYTES +
      (this.#order?.usedBytes ?? 0);
  }

  /** Slots in which hashes of keys are; 0 if keys are few, or too many want one. */
  get hashSlots(): number {
    return this.#index?.slots ?? 0;
  }

  /** Tells the {@linkcode hashKey} of each key in some of the slots. */
  eachHash(from: number, to: number, visit: (hash: number) => void): void {
    this.#index?.eachHash(from, to, visit);
  }

  /** The largest sequence number here, 0 if empty. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Adds an entry, a copy. Sequence numbers only grow. */
  add(seq: number, key: Uint8Array, value: Uint8Array | undefined): void {
    const valueLength = value?.length ?? 0;
    const bytes = this.#arena.allocate(key.length + valueLength);
    const { chunk, offset } = this.#arena;
    bytes.set(key, offset);
    if (value !== undefined) bytes.set(value, offset + key.length);
    this.addStored(
      seq,
      chunk,
      offset,
      key.length,
      value === undefined ? -1 : valueLength,
    );
  }

  /**
   * Takes room for bytes that {@linkcode Memtable.addStored} then names: a
   * group is put together here, written to the WAL from here and stays.
   */
  reserve(length: number): Reserved {
    const bytes = this.#arena.allocate(length);
    return { bytes, chunk: this.#arena.chunk, offset: this.#arena.offset };
  }

  /**
   * Adds an entry whose key, and behind it its value, lie in the table's memory
   * already, and never change from now on. Sequence numbers only grow.
   *
   * @param valueLength -1: the entry deletes the key.
   */
  addStored(
    seq: number,
    chunk: number,
    offset: number,
    keyLength: number,
    valueLength: number,
  ): void {
    const bytes = this.#arena.bytesOf(chunk);
    const first = firstOf(bytes, offset, keyLength);
    const order = this.#order ??= this.#memory.takeOrder();
    this.#shrinkPrefix(first, bytes, chunk, offset, keyLength);
    const skip = this.#prefixLengths[first]!;
    const abbreviation = abbreviateFrom(first, bytes, offset, keyLength, skip);
    const added = this.#allocateNode();
    let before = this.#last;
    let isTied = false;
    // Keys in order, which is how much is written, go behind all others.
    if (this.#lastAbbreviation < abbreviation) {
      order.append(abbreviation, added);
    } else {
      this.#seekFor(bytes, offset + skip, keyLength - skip, seq);
      order.seek(abbreviation, this);
      before = order.before || HEAD;
      isTied = order.following === abbreviation;
      order.insert(abbreviation, added);
    }
    const nodes = this.#nodes;
    const after = nodes[before + NEXT]!;
    nodes[added + CHUNK] = chunk;
    nodes[added + OFFSET] = offset;
    nodes[added + KEY_LENGTH] = keyLength;
    nodes[added + VALUE_LENGTH] = valueLength < 0 ? 0 : valueLength;
    nodes[added + SEQ_LOW] = seq >>> 0;
    nodes[added + SEQ_HIGH] = Math.floor(seq / 2 ** 32) |
      (valueLength < 0 ? DELETED_BIT : 0);
    nodes[added + PREVIOUS] = before;
    nodes[added + NEXT] = after;
    nodes[before + NEXT] = added;
    if (after === 0) {
      this.#last = added;
      this.#lastAbbreviation = abbreviation;
    } else nodes[after + PREVIOUS] = added;
    this.#count++;
    this.#lastSeq = seq;
    if (this.#bits !== undefined) this.#remember(added, isTied);
    else if (this.#count > FEW_KEYS) this.#rememberAll();
  }

  /**
   * The value of a key as of `seq`: `null` if it was deleted, `undefined` if
   * there is no entry here.
   *
   * @param hash The key's {@linkcode hashKey}.
   */
  get(key: Uint8Array, seq: number, hash: number): Bytes | null | undefined {
    const node = this.#find(key, seq, hash);
    if (node === 0) return undefined;
    const nodes = this.#nodes;
    if (nodes[node + SEQ_HIGH]! & DELETED_BIT) return null;
    return giveRange(
      this.#arena.bytesOf(nodes[node + CHUNK]!),
      nodes[node + OFFSET]! + nodes[node + KEY_LENGTH]!,
      nodes[node + VALUE_LENGTH]!,
    );
  }

  /**
   * As {@linkcode Memtable.get}, without a copy: the bytes stay as they are while
   * someone holds the memtable.
   */
  getView(
    key: Uint8Array,
    seq: number,
    hash: number,
  ): Uint8Array | null | undefined {
    const node = this.#find(key, seq, hash);
    if (node === 0) return undefined;
    const nodes = this.#nodes;
    if (nodes[node + SEQ_HIGH]! & DELETED_BIT) return null;
    const valueAt = nodes[node + OFFSET]! + nodes[node + KEY_LENGTH]!;
    return this.#arena.bytesOf(nodes[node + CHUNK]!)
      .subarray(valueAt, valueAt + nodes[node + VALUE_LENGTH]!);
  }

  /** The node of a key's newest entry as of `seq`; 0 if there is none. */
  #find(key: Uint8Array, seq: number, hash: number): number {
    if (this.#count === 0 || this.#bits?.mayHold(hash) === false) return 0;
    const index = this.#index;
    if (index === undefined) return this.#findInList(key, seq);
    for (let skip = 0;; skip++) {
      if (skip === SAME_HASH_MAX) return this.#findInList(key, seq);
      let node = index.find(hash, skip);
      if (node === 0) return 0;
      if (!this.#isOf(node, key)) continue;
      // What is newer than a snapshot is passed over.
      while (this.#seqOf(node) > seq) {
        node = this.#nodes[node + NEXT]!;
        if (node === 0 || !this.#isOf(node, key)) return 0;
      }
      return node;
    }
  }

  #findInList(key: Uint8Array, seq: number): number {
    const node = this.firstFrom(key, seq);
    return node !== 0 && this.#isOf(node, key) ? node : 0;
  }

  /** Whether a node is of a key. */
  #isOf(node: number, key: Uint8Array): boolean {
    const nodes = this.#nodes;
    return equalRanges(
      this.#arena.bytesOf(nodes[node + CHUNK]!),
      nodes[node + OFFSET]!,
      nodes[node + KEY_LENGTH]!,
      key,
      key.length,
    );
  }

  #seqOf(node: number): number {
    const nodes = this.#nodes;
    return nodes[node + SEQ_LOW]! +
      (nodes[node + SEQ_HIGH]! & 0xffff) * 2 ** 32;
  }

  /** A cursor over all entries, also those added later. */
  cursor(): Cursor {
    return new MemtableCursor(this);
  }

  /** The first node at or behind a key as of `seq`; 0 if there is none. */
  firstFrom(key: Uint8Array, seq: number): number {
    return this.#nodes[(this.#beforeKey(key, seq) || HEAD) + NEXT]!;
  }

  /** The last node before a key, or of all; 0 if there is none. */
  lastBefore(key: Uint8Array | undefined): number {
    if (key !== undefined) return this.#beforeKey(key, SEQ_MAX);
    return this.#last === HEAD ? 0 : this.#last;
  }

  /** The last node before (key, seq); 0 if there is none. */
  #beforeKey(key: Uint8Array, seq: number): number {
    const order = this.#order;
    if (order === undefined) return 0;
    const skip = Math.max(0, this.#prefixLengths[firstOf(key, 0, key.length)]!);
    this.#seekFor(key, skip, key.length - skip, seq);
    order.seek(this.#abbreviate(key), this);
    return order.before;
  }

  /** The first node; 0 if there is none. */
  first(): number {
    return this.#nodes[HEAD + NEXT]!;
  }

  /** The node behind a node; 0 if there is none. */
  after(node: number): number {
    return this.#nodes[node + NEXT]!;
  }

  /** The node before a node; 0 if there is none. */
  before(node: number): number {
    const before = this.#nodes[node + PREVIOUS]!;
    return before === HEAD ? 0 : before;
  }

  /** A view of the memory of that number. */
  viewOf(chunk: number): DataView {
    return this.#arena.viewOf(chunk);
  }

  /** Puts a node's entry into the fields of a cursor. */
  load(node: number, cursor: MemtableCursor): void {
    const nodes = this.#nodes;
    const chunk = nodes[node + CHUNK]!;
    const bytes = this.#arena.bytesOf(chunk);
    const offset = nodes[node + OFFSET]!;
    const keyLength = nodes[node + KEY_LENGTH]!;
    const high = nodes[node + SEQ_HIGH]!;
    cursor.keyBuffer = bytes;
    cursor.keyAt = offset;
    cursor.keyLength = keyLength;
    cursor.valueBuffer = bytes;
    cursor.valueChunk = chunk;
    cursor.valueAt = offset + keyLength;
    cursor.valueLength = nodes[node + VALUE_LENGTH]!;
    cursor.seq = nodes[node + SEQ_LOW]! + (high & 0xffff) * 2 ** 32;
    cursor.deleted = (high & DELETED_BIT) !== 0;
  }

  /**
   * Takes down the newest node of a key.
   *
   * @param isTied Whether what comes next in the list may be of the same key.
   */
  #remember(node: number, isTied: boolean): void {
    const nodes = this.#nodes;
    const bytes = this.#arena.bytesOf(nodes[node + CHUNK]!);
    const offset = nodes[node + OFFSET]!;
    const keyLength = nodes[node + KEY_LENGTH]!;
    const hash = hashKey(bytes, offset, keyLength);
    this.#bits!.add(hash);
    // What the key had before comes next in the list.
    const next = nodes[node + NEXT]!;
    const isAgain = isTied && next !== 0 && compareRanges(
          this.#arena.bytesOf(nodes[next + CHUNK]!),
          nodes[next + OFFSET]!,
          nodes[next + KEY_LENGTH]!,
          bytes,
          offset,
          keyLength,
        ) === 0;
    if (isAgain) this.#index?.replace(hash, next, node);
    else if (this.#index?.add(hash, node) === false) this.#index = undefined;
  }

  #rememberAll(): void {
    this.#bits = this.#memory.takeBits();
    this.#index = this.#memory.takeIndex();
    // From the back: the newest of a key comes last.
    for (let node = this.lastBefore(undefined); node !== 0;) {
      this.#remember(node, true);
      node = this.before(node);
    }
  }

  /** Says what {@linkcode Memtable.orderOf} compares nodes with. */
  #seekFor(key: Uint8Array, at: number, length: number, seq: number): void {
    this.#sought = key;
    this.#soughtAt = at;
    this.#soughtLength = length;
    this.#soughtSeq = seq;
  }

  /** How a node compares with what is sought, if their abbreviations are equal. */
  orderOf(node: number): number {
    const nodes = this.#nodes;
    const bytes = this.#arena.bytesOf(nodes[node + CHUNK]!);
    const offset = nodes[node + OFFSET]!;
    const length = nodes[node + KEY_LENGTH]!;
    const skip = this.#prefixLengths[firstOf(bytes, offset, length)]!;
    return compareRanges(
      bytes,
      offset + skip,
      length - skip,
      this.#sought,
      this.#soughtAt,
      this.#soughtLength,
    ) || this.#soughtSeq - this.#seqOf(node);
  }

  /**
   * The abbreviation of any key; if it has not the prefix, between those of two first
   * bytes.
   */
  #abbreviate(key: Uint8Array): number {
    const first = firstOf(key, 0, key.length);
    const skip = this.#prefixLengths[first]!;
    if (skip > 0) {
      const order = compareRanges(
        key,
        0,
        Math.min(key.length, skip),
        this.#arena.bytesOf(this.#prefixChunks[first]!),
        this.#prefixAts[first]!,
        skip,
      );
      if (order < 0) return first * FIRST - 0.5;
      if (order > 0) return (first + 1) * FIRST - 0.5;
    }
    return abbreviateFrom(first, key, 0, key.length, Math.max(skip, 0));
  }

  /**
   * Cuts the prefix of a first byte to what a new key shares with it. Its
   * abbreviations are then made anew: rarely, since the first few keys settle it.
   */
  #shrinkPrefix(
    first: number,
    bytes: Uint8Array,
    chunk: number,
    offset: number,
    keyLength: number,
  ): void {
    const before = this.#prefixLengths[first]!;
    if (before === NONE) {
      this.#prefixChunks[first] = chunk;
      this.#prefixAts[first] = offset;
      this.#prefixLengths[first] = keyLength;
      return;
    }
    const prefix = this.#arena.bytesOf(this.#prefixChunks[first]!);
    const prefixAt = this.#prefixAts[first]!;
    const length = keyLength < before ? keyLength : before;
    let shared = 0;
    while (
      shared < length && prefix[prefixAt + shared] === bytes[offset + shared]
    ) shared++;
    if (shared === before) return;
    this.#rename(first, shared);
  }

  /** Makes the abbreviations of a first byte anew, behind a shorter prefix. */
  #rename(first: number, shared: number): void {
    // The place before all keys with that first byte.
    this.#beforeKey(Uint8Array.of(first), SEQ_MAX);
    this.#prefixLengths[first] = shared;
    const nodes = this.#nodes;
    this.#order!.rename((node) => {
      const bytes = this.#arena.bytesOf(nodes[node + CHUNK]!);
      const offset = nodes[node + OFFSET]!;
      const length = nodes[node + KEY_LENGTH]!;
      if (firstOf(bytes, offset, length) !== first) return undefined;
      const abbreviation = abbreviateFrom(first, bytes, offset, length, shared);
      if (node === this.#last) this.#lastAbbreviation = abbreviation;
      return abbreviation;
    });
  }

  #allocateNode(): number {
    const node = this.#used;
    this.#used += NODE_WORDS;
    if (this.#used > this.#nodes.length) {
      const grown = this.#memory.takeNodes(this.#nodes.length * 2, 0);
      grown.set(this.#nodes);
      this.#nodes = grown;
    }
    return node;
  }
}

/** The first byte of a key; that of an empty one is 0. */
function firstOf(bytes: Uint8Array, at: number, length: number): number {
  return length === 0 ? 0 : bytes[at]!;
}

/** The abbreviation of a key whose prefix is so long. */
function abbreviateFrom(
  first: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  skip: number,
): number {
  const behind = abbreviateRange(bytes, at + skip, length - skip);
  const end = skip + ABBREVIATED_BYTES;
  const more = abbreviateRange(bytes, at + end, length - end);
  return first * FIRST + (behind >>> 8) * LAST + (more >>> 12);
}
