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
  Reader,
} from "../../runtime/mod.ts";
import {
  type BlockCache,
  BLOCKS_PER_TABLE_MAX,
  type CachedBlock,
} from "../cache/block_cache.ts";
import type { FileCache } from "../cache/file_cache.ts";
import { copyRange } from "../compare.ts";
import { decodeAt } from "../decode.ts";
import { joinPath, tableName } from "../names.ts";
import { Block } from "./block.ts";
import { BLOCK_DATA, BLOCK_INDEX } from "./block_builder.ts";
import { Filter } from "./filter.ts";
import {
  blockChecksum,
  type BlockHandle,
  checkFooter,
  type Footer,
  FOOTER_BYTES,
  readFooterHandles,
  readHandle,
  type TableInfo,
  TRAILER_BYTES,
} from "./format.ts";
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

const INDEX_SLOT = BLOCKS_PER_TABLE_MAX - 1;
const FILTER_SLOT = BLOCKS_PER_TABLE_MAX - 2;

/** A table of a store. */
export class Table {
  /** What is known of it. */
  readonly info: TableInfo;
  /** Its file. */
  readonly path: string;
  readonly #set: TableSet;
  #footer: Footer | undefined;
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
   */
  get(key: Uint8Array, seq: number, hash: number): Bytes | null | undefined {
    if (!this.filter().mayHold(hash)) return undefined;
    const index = this.index();
    for (let at = index.lowerBound(key, seq); at < index.rows; at++) {
      const block = this.block(index, at, true);
      const row = block.lowerBound(key, seq);
      // Behind the last row: a key's older entries may start the next block.
      if (row === block.rows) continue;
      if (!block.isKey(row, key)) return undefined;
      if (block.isDeleted(row)) return null;
      return copyRange(block.bytes, block.valueAt(row), block.valueLength(row));
    }
    return undefined;
  }

  /** The index: a row for each block. */
  index(): Block {
    const cached = this.#set.blocks.get(this.info.number, INDEX_SLOT);
    if (cached !== undefined) return cached as Block;
    const handle = this.footer().index;
    const body = this.#read(handle);
    return this.#keep(
      INDEX_SLOT,
      decodeAt(this.path, handle.offset, () => new Block(body, BLOCK_INDEX)),
    );
  }

  /** A data block, by its row in the index. */
  block(index: Block, row: number, keep: boolean): Block {
    const cached = this.#set.blocks.get(this.info.number, row);
    if (cached !== undefined) return cached as Block;
    const { path } = this;
    const handle = decodeAt(path, this.footer().index.offset, () => {
      const at = index.valueAt(row);
      return readHandle(
        new Reader(
          index.bytes.subarray(at, at + index.valueLength(row)),
          "a block's handle",
        ),
      );
    });
    const body = this.#read(handle);
    const block = decodeAt(
      path,
      handle.offset,
      () => new Block(body, BLOCK_DATA),
    );
    return keep ? this.#keep(row, block) : block;
  }

  /** Reads and checks the footer, once. */
  footer(): Footer {
    if (this.#footer !== undefined) return this.#footer;
    const { number, size } = this.info;
    const offset = size - FOOTER_BYTES;
    if (offset < 0) throw new CorruptionError(this.path, 0, "it is too short");
    const bytes = this.#readRaw({ offset, length: FOOTER_BYTES });
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
    const cached = this.#set.blocks.get(this.info.number, FILTER_SLOT);
    if (cached !== undefined) return cached as Filter;
    const handle = this.footer().filter;
    const body = this.#read(handle);
    return this.#keep(
      FILTER_SLOT,
      decodeAt(this.path, handle.offset, () => new Filter(body)),
    );
  }

  #keep<T extends CachedBlock>(slot: number, block: T): T {
    this.#set.blocks.put(this.info.number, slot, block);
    return block;
  }

  /** Reads a stored block, verifies it and gives its body. */
  #read(handle: BlockHandle): Uint8Array {
    const { offset, length } = handle;
    // Before anything is allocated for it.
    if (
      length <= TRAILER_BYTES || offset + length > this.info.size - FOOTER_BYTES
    ) {
      throw new CorruptionError(this.path, offset, "a handle points outside");
    }
    const stored = this.#readRaw(handle);
    const view = new DataView(stored.buffer);
    const bodyLength = length - TRAILER_BYTES;
    if (
      view.getUint32(length - 4, true) !==
        blockChecksum(stored, this.info.number, offset)
    ) {
      throw new CorruptionError(this.path, offset, "the block is damaged");
    }
    if (
      view.getUint32(bodyLength, true) !== 0 ||
      view.getUint32(bodyLength + 4, true) !== bodyLength
    ) {
      throw new CorruptionError(this.path, offset, "the trailer is malformed");
    }
    return stored.subarray(0, bodyLength);
  }

  #readRaw(handle: BlockHandle): Bytes {
    const { offset, length } = handle;
    const bytes = new Uint8Array(length);
    const file = this.#set.handles.get(this.info.number, this.path);
    if (file.readAt(bytes, offset) !== length) {
      throw new CorruptionError(this.path, offset, "the file ends too early");
    }
    return bytes;
  }

  #discard(): void {
    this.#set.handles.close(this.info.number);
    this.#set.discard(this.path);
  }
}
