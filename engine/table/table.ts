/**
 * A table that is part of a store: reads it, and keeps its file as long as
 * anyone needs it.
 *
 * Guarantees: every block read from the file is verified against its checksum
 * and its place; what does not match is a {@linkcode CorruptionError}. A table
 * that the store has dropped is removed when the last holder lets go.
 *
 * @module
 */

import {
  type Bytes,
  CorruptionError,
  type FileSystem,
  getU32,
  Reader,
} from "../../runtime/mod.ts";
import {
  type BlockCache,
  type CacheEntry,
  type CacheOwner,
  CHANCES_OF_GUIDES,
  Pin,
} from "../cache/block_cache.ts";
import type { FileCache } from "../cache/file_cache.ts";
import type { Place } from "../cache/place_cache.ts";
import { corruptionOf, decodeAt } from "../decode.ts";
import type { Leaks } from "../leaks.ts";
import { joinPath, tableName } from "../names.ts";
import { ValueView } from "../value_view.ts";
import { BEYOND, Block, blockCapacity } from "./block.ts";
import { BLOCK_DATA, BLOCK_INDEX } from "./block_builder.ts";
import { CODEC_NONE, unpack } from "./codec.ts";
import { Filter } from "./filter.ts";
import {
  type BlockHandle,
  checkFooter,
  FEATURE_ZSTD,
  type Footer,
  FOOTER_BYTES,
  HANDLE_BYTES,
  handleAt,
  isIntact,
  readFooterHandles,
  type TableInfo,
  TRAILER_BYTES,
} from "./format.ts";
import type { ReadAhead } from "./read_ahead.ts";
import { decodeProperties, type TableProperties } from "./table_writer.ts";

/** What all tables of a store share. */
export interface TableSet {
  /** The file system. */
  readonly files: FileSystem;
  /** The store's directory. */
  readonly dir: string;
  /** The store's id. */
  readonly storeId: Uint8Array;
  /** Open files. */
  readonly handles: FileCache;
  /** Blocks in memory. */
  readonly blocks: BlockCache;
  /** Called for a dropped table that nobody holds any more. */
  discard(path: string): void;
}

/** What the cache calls the index and the filter; data blocks are 0 or more. */
const INDEX_ROW = -1;
const FILTER_ROW = -2;

/** Where a view was found, for the call only. */
const found: Place = { block: 0, row: 0 };

/** A table of a store. */
export class Table implements CacheOwner {
  /** What is known of it. */
  readonly info: TableInfo;
  /** Its file. */
  readonly path: string;
  readonly #set: TableSet;
  #footer: Footer | undefined;
  #filter: Filter | undefined;
  #index: Block | undefined;
  /** The cached data blocks, by their row in the index. */
  #blocks: (Block | undefined)[] = [];
  #holders = 0;
  #dropped = false;

  constructor(
    set: TableSet,
    info: TableInfo,
    path: string = joinPath(set.dir, tableName(info.number)),
  ) {
    this.#set = set;
    this.info = info;
    this.path = path;
  }

  /** Needs the file until {@linkcode Table.release}. */
  acquire(): void {
    this.#holders++;
  }

  /** Needs the file no longer. */
  release(): void {
    if (--this.#holders === 0 && this.#dropped) this.#discard();
  }

  /** The store no longer counts the table among its own. */
  drop(): void {
    this.#dropped = true;
    if (this.#holders === 0) this.#discard();
  }

  /**
   * The value of a key as of `seq`: `null` if it was deleted, `undefined` if
   * there is no entry here.
   *
   * @param hash The key's {@linkcode hashKey}.
   * @param place Is told where the entry is.
   */
  get(
    key: Uint8Array,
    seq: number,
    hash: number,
    place: Place,
  ): Bytes | null | undefined {
    const block = this.#find(key, seq, hash, place);
    if (block === undefined) return undefined;
    return block.isDeleted(place.row) ? null : block.giveValue(place.row);
  }

  /**
   * As {@linkcode Table.get}, where the key's newest entry may be in a certain
   * place; `undefined` if it is not, or newer than `seq`.
   */
  getAt(
    at: number,
    row: number,
    key: Uint8Array,
    seq: number,
  ): Bytes | null | undefined {
    const block = this.#blockAt(at);
    if (!block.holds(row, key)) return undefined;
    if (this.info.maxSeq > seq && block.seqOf(row) > seq) return undefined;
    return block.isDeleted(row) ? null : block.giveValue(row);
  }

  /** As {@linkcode Table.get}, without a copy: the block is pinned instead. */
  getView(
    key: Uint8Array,
    seq: number,
    hash: number,
    leaks: Leaks | undefined,
  ): ValueView | null | undefined {
    const block = this.#find(key, seq, hash, found);
    if (block === undefined) return undefined;
    if (block.isDeleted(found.row)) return null;
    const valueAt = block.valueAt(found.row);
    return new ValueView(
      block.bytes.subarray(valueAt, valueAt + block.valueLength(found.row)),
      new Pin(this.#set.blocks, block),
      leaks,
    );
  }

  /** The block of a key's newest entry as of `seq`; tells `place` where it is. */
  #find(
    key: Uint8Array,
    seq: number,
    hash: number,
    place: Place,
  ): Block | undefined {
    const filter = this.#filter ?? this.#loadFilter();
    if (!filter.used) filter.used = true;
    if (!filter.mayHold(hash)) return undefined;
    const index = this.index();
    for (let at = index.lowerBound(key, seq); at < index.rows; at++) {
      const block = this.#blockAt(at);
      const row = block.find(key, seq);
      // A key's older entries may start the next block.
      if (row === BEYOND) continue;
      if (row < 0) return undefined;
      place.block = at;
      place.row = row;
      return block;
    }
    return undefined;
  }

  /** The index: a row for each block. */
  index(): Block {
    const index = this.#index ?? this.#loadIndex();
    if (!index.used) index.used = true;
    return index;
  }

  /**
   * A data block, by its row in the index, for whoever names its bytes for as
   * long as they like.
   */
  block(row: number): Block {
    const block = this.#blockAt(row);
    block.lent = true;
    return block;
  }

  /** A data block as {@linkcode Table.block} gives it, if it is cached. */
  cachedBlock(row: number): Block | undefined {
    const block = this.#blocks[row];
    if (block !== undefined) block.lent = true;
    return block;
  }

  /**
   * Reads a data block past the cache, into the memory of `old` if it has as
   * much as is needed, out of `ahead` if that is there.
   */
  readBlock(
    index: Block,
    row: number,
    old: Block | undefined,
    ahead?: ReadAhead,
  ): Block {
    const handle = this.#handleOf(index, row);
    const body = this.#unpacked(handle, ahead);
    const capacity = blockCapacity(body?.length ?? handle.length);
    const block = old !== undefined && old.byteLength >= capacity
      ? old
      : new Block(capacity);
    this.#fill(block, handle, body, ahead);
    return block;
  }

  /** The cache has dropped an entry. */
  forget(row: number): void {
    if (row >= 0) this.#blocks[row] = undefined;
    else if (row === INDEX_ROW) this.#index = undefined;
    else this.#filter = undefined;
  }

  /** Reads and checks the footer, once. */
  footer(): Footer {
    if (this.#footer !== undefined) return this.#footer;
    const { number, size } = this.info;
    const offset = size - FOOTER_BYTES;
    if (offset < 0) throw new CorruptionError(this.path, 0, "it is too short");
    const bytes = new Uint8Array(FOOTER_BYTES);
    this.#readRaw(bytes, offset);
    checkFooter(bytes, number, this.#set.storeId, this.path, offset);
    this.#footer = readFooterHandles(new Reader(bytes, "a footer"));
    return this.#footer;
  }

  /** Reads the properties. */
  properties(): TableProperties {
    const handle = this.footer().properties;
    const body = this.#read(handle);
    return decodeAt(this.path, handle.offset, () => decodeProperties(body));
  }

  /** The filter: which keys there may be. */
  filter(): Filter {
    return this.#filter ?? this.#loadFilter();
  }

  #loadFilter(): Filter {
    const handle = this.footer().filter;
    const body = this.#read(handle);
    const filter = decodeAt(
      this.path,
      handle.offset,
      () => new Filter(body),
    );
    if (this.#keep(filter, FILTER_ROW)) this.#filter = filter;
    return filter;
  }

  #loadIndex(): Block {
    const handle = this.footer().index;
    this.#checkHandle(handle);
    const index = new Block(blockCapacity(handle.length), CHANCES_OF_GUIDES);
    // Read through while data blocks come and go.
    index.lent = true;
    this.#readInto(index, handle, BLOCK_INDEX);
    // All at once: an array that grows by its end becomes a dictionary.
    if (this.#blocks.length === 0) {
      this.#blocks = new Array(index.rows).fill(undefined);
    }
    if (this.#keep(index, INDEX_ROW)) this.#index = index;
    return index;
  }

  /**
   * A data block. One that was cached is marked; one that is read just now is
   * not: what is read once shall not outlive what is read again.
   */
  #blockAt(row: number): Block {
    this.#set.blocks.lookups++;
    const block = this.#blocks[row];
    if (block === undefined) return this.#loadBlock(this.index(), row);
    if (!block.used) block.used = true;
    return block;
  }

  #loadBlock(index: Block, row: number): Block {
    const handle = this.#handleOf(index, row);
    const body = this.#unpacked(handle);
    const capacity = blockCapacity(body?.length ?? handle.length);
    const { blocks } = this.#set;
    blocks.misses++;
    if (!blocks.takes(capacity)) {
      const block = new Block(capacity);
      this.#fill(block, handle, body);
      return block;
    }
    const isGuest = blocks.isGuest(capacity);
    const spare = isGuest
      ? blocks.reserveGuest(capacity)
      : blocks.reserve(capacity);
    // Only data blocks are ever not lent.
    const block = spare as Block | undefined ?? new Block(capacity);
    this.#fill(block, handle, body);
    if (isGuest) blocks.putGuest(block, this, row);
    else blocks.put(block, this, row);
    this.#blocks[row] = block;
    return block;
  }

  #handleOf(index: Block, row: number): BlockHandle {
    const handle = handleAt(index.bytes, index.valueAt(row));
    if (index.valueLength(row) !== HANDLE_BYTES) {
      const { offset } = this.footer().index;
      throw new CorruptionError(this.path, offset, "a handle is malformed");
    }
    this.#checkHandle(handle);
    return handle;
  }

  #keep(entry: CacheEntry, row: number): boolean {
    const { blocks } = this.#set;
    if (!blocks.takes(entry.byteLength)) return false;
    blocks.reserve(entry.byteLength);
    blocks.put(entry, this, row);
    return true;
  }

  /** Before anything is allocated for what it points to. */
  #checkHandle({ offset, length }: BlockHandle): void {
    if (
      length <= TRAILER_BYTES || offset + length > this.info.size - FOOTER_BYTES
    ) {
      throw new CorruptionError(this.path, offset, "a handle points outside");
    }
  }

  /** Whether data blocks may be compressed. */
  get compressed(): boolean {
    return (this.footer().features & FEATURE_ZSTD) !== 0;
  }

  /**
   * The body of a data block, only until the next one is asked for, where blocks
   * may be compressed; `undefined` where they are read in place.
   */
  #unpacked(
    handle: BlockHandle,
    ahead?: ReadAhead,
  ): Uint8Array | undefined {
    if (!this.compressed) return undefined;
    const { offset, length } = handle;
    const stored = this.#readAlong(handle, ahead) ??
      this.#readVerified(scratchOf(length), offset);
    return decodeAt(
      this.path,
      offset,
      () =>
        unpack(
          stored.subarray(0, length - TRAILER_BYTES),
          codecOf(stored),
          bodyLengthOf(stored),
        ),
    );
  }

  #fill(
    block: Block,
    handle: BlockHandle,
    body: Uint8Array | undefined,
    ahead?: ReadAhead,
  ): void {
    if (body === undefined) {
      this.#readInto(block, handle, BLOCK_DATA, ahead);
      return;
    }
    block.bytes.set(body);
    decodeAt(
      this.path,
      handle.offset,
      () => block.read(body.length, BLOCK_DATA),
    );
  }

  #readInto(
    block: Block,
    handle: BlockHandle,
    kind: number,
    ahead?: ReadAhead,
  ): void {
    const { offset, length } = handle;
    const along = this.#readAlong(handle, ahead);
    const stored = along ??
      this.#readVerified(block.bytes.subarray(0, length), offset);
    this.#checkPlain(stored, offset);
    if (along !== undefined) block.bytes.set(along);
    // Not `decodeAt`: it takes a function, made for each block.
    try {
      block.read(length - TRAILER_BYTES, kind);
    } catch (cause) {
      throw corruptionOf(this.path, offset, cause);
    }
  }

  /** Reads a stored block and gives its body. */
  #read(handle: BlockHandle): Uint8Array {
    this.#checkHandle(handle);
    const { offset, length } = handle;
    const stored = this.#readVerified(new Uint8Array(length), offset);
    this.#checkPlain(stored, offset);
    return stored.subarray(0, length - TRAILER_BYTES);
  }

  /**
   * A stored block out of what is read along, verified, only until the next one;
   * `undefined` if it is to be read alone.
   */
  #readAlong(
    { offset, length }: BlockHandle,
    ahead: ReadAhead | undefined,
  ): Bytes | undefined {
    if (ahead === undefined) return undefined;
    const { number, size } = this.info;
    const file = this.#set.handles.get(number, this.path);
    const stored = ahead.read(file, this, offset, length, size);
    if (stored === undefined) return undefined;
    if (stored.length !== length) throw this.#endsTooEarly(offset);
    return this.#verified(stored, offset);
  }

  /** `stored`, filled from its place in the file and verified. */
  #readVerified(stored: Bytes, offset: number): Bytes {
    this.#readRaw(stored, offset);
    return this.#verified(stored, offset);
  }

  #verified(stored: Bytes, offset: number): Bytes {
    if (!isIntact(stored, this.info.number, offset)) {
      throw new CorruptionError(this.path, offset, "the block is damaged");
    }
    return stored;
  }

  /** A stored block is its body, and a trailer. */
  #checkPlain(stored: Bytes, offset: number): void {
    if (
      codecOf(stored) !== CODEC_NONE ||
      bodyLengthOf(stored) !== stored.length - TRAILER_BYTES
    ) {
      throw new CorruptionError(this.path, offset, "the trailer is malformed");
    }
  }

  #readRaw(bytes: Bytes, offset: number): void {
    const file = this.#set.handles.get(this.info.number, this.path);
    if (file.readAt(bytes, offset) !== bytes.length) {
      throw this.#endsTooEarly(offset);
    }
  }

  #endsTooEarly(offset: number): CorruptionError {
    return new CorruptionError(this.path, offset, "the file ends too early");
  }

  #discard(): void {
    const { blocks } = this.#set;
    for (const block of this.#blocks) if (block) blocks.remove(block);
    this.#blocks = [];
    if (this.#index) blocks.remove(this.#index);
    if (this.#filter) blocks.remove(this.#filter);
    this.#set.handles.close(this.info.number);
    this.#set.discard(this.path);
  }
}

/** The size up to which memory for stored blocks is used again, in bytes. */
const SCRATCH_BYTES_MAX = 1024 * 1024;

let scratch: Bytes = new Uint8Array(0);

/** Memory for a stored block, only until it is asked for again. */
function scratchOf(length: number): Bytes {
  if (length > SCRATCH_BYTES_MAX) return new Uint8Array(length);
  if (length > scratch.length) scratch = new Uint8Array(length * 2);
  return scratch.subarray(0, length);
}

/** The codec of a stored block; the three zeros of its trailer count as codec. */
function codecOf(stored: Uint8Array): number {
  return getU32(stored, stored.length - TRAILER_BYTES);
}

function bodyLengthOf(stored: Uint8Array): number {
  return getU32(stored, stored.length - TRAILER_BYTES + 4);
}
