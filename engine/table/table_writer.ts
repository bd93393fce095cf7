/**
 * Writes a table, entry by entry in order.
 *
 * Guarantees: once `finish` has resolved, the file's content is on the device
 * (its name is not: who makes it known syncs the directory first). Holds one
 * block and what goes to the file in one call in memory, and four bytes a key for
 * the filter.
 *
 * @module
 */

import {
  type FileSystem,
  Reader,
  type RuntimeFile,
  Writer,
} from "../../runtime/mod.ts";
import { copyRange } from "../compare.ts";
import type { Entry } from "../iterator/cursor.ts";
import { joinPath, tableName } from "../names.ts";
import { readFields, writeField } from "../tlv.ts";
import {
  BLOCK_DATA,
  BLOCK_INDEX,
  BlockBuilder,
  LENT_BYTES,
} from "./block_builder.ts";
import {
  CODEC_NONE,
  CODEC_ZSTD,
  COMPRESSED_BLOCK_RATIO,
  type Compression,
  pack,
} from "./codec.ts";
import { FilterBuilder, hashKey } from "./filter.ts";
import {
  type BlockHandle,
  FEATURE_ZSTD,
  finishBlock,
  HANDLE_BYTES,
  putHandle,
  type TableInfo,
  TRAILER_BYTES,
  writeFooter,
} from "./format.ts";

/** What is written at a time, in bytes: blocks one by one take the system longer. */
const WRITE_BYTES = 128 * 1024;

/** Sets of memory that wait for the next table: one a job of a thread. */
const SPARES_MAX = 2;

/** Memory that is used again up to this many bytes of blocks and filter. */
const SPARE_BYTES_MAX = 1024 * 1024;

/**
 * What a table is made in. It is used again for the next table: fresh memory for
 * each makes the garbage collector go through all that lives again and again.
 */
class Memory {
  readonly block = new BlockBuilder(BLOCK_DATA);
  readonly index = new BlockBuilder(BLOCK_INDEX);
  readonly filter = new FilterBuilder();
  readonly waiting = new Uint8Array(WRITE_BYTES);
}

const spares: Memory[] = [];

/** Gives memory back whose table is in its file. */
function giveBack(memory: Memory): void {
  if (
    spares.length < SPARES_MAX &&
    memory.block.memoryBytes + memory.index.memoryBytes +
          memory.filter.memoryBytes <= SPARE_BYTES_MAX
  ) spares.push(memory);
}

/** Where a table is written, and how. */
export interface TableTarget {
  /** The file system. */
  readonly files: FileSystem;
  /** The store's directory. */
  readonly dir: string;
  /** The store's id. */
  readonly storeId: Uint8Array;
  /**
   * The size from which a block is full, in bytes; with compression, a quarter
   * of it.
   */
  readonly blockBytes: number;
  /** How data blocks are stored. */
  readonly compression: Compression;
}

/** Writes one table. */
export class TableWriter {
  /** The table's file. */
  readonly path: string;
  readonly #number: number;
  readonly #target: TableTarget;
  readonly #file: RuntimeFile;
  readonly #blockBytes: number;
  readonly #memory = spares.pop() ?? new Memory();
  readonly #block = this.#memory.block;
  readonly #index = this.#memory.index;
  readonly #filter = this.#memory.filter;
  readonly #waiting = this.#memory.waiting;
  #waitingLength = 0;
  #features = 0;
  /** Of the table so far, what waits to be written included. */
  #length = 0;
  #rows = 0;
  #tombstones = 0;
  #minSeq = 0;
  #maxSeq = 0;
  #keyBytes = 0;
  #valueBytes = 0;
  #minKey: Uint8Array | undefined;
  /** Of the last block, until the index names it. */
  #lastHandle: BlockHandle | undefined;
  /** The last key of that, or the separator that the index has for it: its start. */
  #lastKey = new Uint8Array(64);
  #lastKeyLength = 0;
  readonly #handle = new Uint8Array(HANDLE_BYTES);

  /** Makes the file. */
  constructor(
    target: TableTarget,
    number: number,
    path: string = joinPath(target.dir, tableName(number)),
  ) {
    this.#target = target;
    this.#blockBytes = target.compression === "none"
      ? target.blockBytes
      : target.blockBytes * COMPRESSED_BLOCK_RATIO;
    this.#number = number;
    this.path = path;
    this.#file = target.files.open(this.path, { mode: "create" });
  }

  /** About the size of the table so far, in bytes. */
  get bytes(): number {
    return this.#length + this.#block.bytes;
  }

  /**
   * Adds the entry on which a cursor stands, a copy, behind all others.
   *
   * @param newKey Whether it is the first of its key.
   * @param seq The sequence number to write.
   * @param deleted Whether the key is deleted, whatever the entry says.
   */
  add(
    cursor: Entry,
    newKey: boolean,
    seq: number,
    deleted: boolean = cursor.deleted,
  ): void {
    const block = this.#block;
    const { keyBuffer, keyAt, keyLength } = cursor;
    const valueLength = deleted ? 0 : cursor.valueLength;
    if (
      block.rows > 0 &&
      (block.bytes + valueLength > this.#blockBytes ||
        !block.takesSeq(seq))
    ) this.#finishBlock();
    if (this.#lastHandle !== undefined && block.rows === 0) {
      this.#addToIndex(keyBuffer, keyAt, keyLength);
    }
    if (newKey) this.#filter.add(hashKey(keyBuffer, keyAt, keyLength));
    this.#minKey ??= copyRange(keyBuffer, keyAt, keyLength);
    block.add(
      keyBuffer,
      keyAt,
      keyLength,
      seq,
      deleted ? undefined : cursor.valueBuffer,
      cursor.valueAt,
      valueLength,
      cursor.valueView,
    );
    if (this.#rows++ === 0 || seq < this.#minSeq) this.#minSeq = seq;
    if (deleted) this.#tombstones++;
    if (seq > this.#maxSeq) this.#maxSeq = seq;
    this.#keyBytes += keyLength;
    this.#valueBytes += valueLength;
    // Nothing fits any more, or the block has the value of someone else.
    if (block.bytes > this.#blockBytes || valueLength >= LENT_BYTES) {
      this.#finishBlock();
    }
  }

  /**
   * Writes what is left, before it returns, and waits until all is on the device.
   * There is at least one entry. The file is closed in any case.
   *
   * @throws {StorageError} If the device failed.
   */
  async finish(): Promise<TableInfo> {
    try {
      const info = this.#finishFile();
      await this.#file.syncData();
      return info;
    } finally {
      this.#file.close();
    }
  }

  /** Writes what is left. */
  #finishFile(): TableInfo {
    if (this.#block.rows > 0) this.#finishBlock();
    const maxKey = this.#lastKey.slice(0, this.#lastKeyLength);
    this.#nameLastBlock();

    const info: TableInfo = {
      number: this.#number,
      size: 0,
      rows: this.#rows,
      tombstones: this.#tombstones,
      minSeq: this.#minSeq,
      maxSeq: this.#maxSeq,
      minKey: this.#minKey!,
      maxKey,
    };
    const filter = this.#append(this.#filter.finish(TRAILER_BYTES));
    const properties = this.#append(
      withTrailer(encodeProperties(info, this.#keyBytes, this.#valueBytes)),
    );
    const index = this.#append(this.#index.finish(TRAILER_BYTES));
    const footer = new Writer(64);
    writeFooter(footer, this.#number, this.#target.storeId, {
      features: this.#features,
      index,
      filter,
      properties,
    });
    this.#write(footer.view());
    this.#writeWaiting();
    giveBack(this.#memory);
    info.size = this.#length;
    return info;
  }

  /** Gives up and closes the file. Idempotent, also after `finish`. */
  close(): void {
    this.#file.close();
  }

  #finishBlock(): void {
    const block = this.#block;
    const length = block.lastKeyLength;
    if (length > this.#lastKey.length) {
      this.#lastKey = new Uint8Array(length * 2);
    }
    block.copyLastKey(this.#lastKey);
    this.#lastKeyLength = length;
    const stored = block.finish(TRAILER_BYTES);
    this.#lastHandle = this.#appendPacked(stored) ?? this.#append(stored);
  }

  /** Appends a block compressed, if that is wanted and worth it. */
  #appendPacked(stored: Uint8Array): BlockHandle | undefined {
    if (this.#target.compression === "none") return undefined;
    const body = stored.subarray(0, stored.length - TRAILER_BYTES);
    const packed = pack(body);
    if (packed === undefined) return undefined;
    this.#features = FEATURE_ZSTD;
    return this.#append(withTrailer(packed), CODEC_ZSTD, body.length);
  }

  /** Names the block before, now that the next one's first key is known. */
  #addToIndex(next: Uint8Array, at: number, length: number): void {
    this.#lastKeyLength = shorten(
      this.#lastKey,
      this.#lastKeyLength,
      next,
      at,
      length,
    );
    this.#nameLastBlock();
  }

  #nameLastBlock(): void {
    putHandle(this.#handle, 0, this.#lastHandle!);
    this.#lastHandle = undefined;
    this.#index.add(
      this.#lastKey,
      0,
      this.#lastKeyLength,
      0,
      this.#handle,
      0,
      HANDLE_BYTES,
    );
  }

  #append(
    stored: Uint8Array,
    codec = CODEC_NONE,
    bodyLength = stored.length - TRAILER_BYTES,
  ): BlockHandle {
    const handle = { offset: this.#length, length: stored.length };
    finishBlock(stored, this.#number, handle.offset, codec, bodyLength);
    this.#write(stored);
    return handle;
  }

  #write(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (this.#waitingLength + bytes.length > WRITE_BYTES) this.#writeWaiting();
    if (bytes.length >= WRITE_BYTES) this.#file.append(bytes);
    else {
      this.#waiting.set(bytes, this.#waitingLength);
      this.#waitingLength += bytes.length;
    }
  }

  #writeWaiting(): void {
    if (this.#waitingLength === 0) return;
    this.#file.append(this.#waiting.subarray(0, this.#waitingLength));
    this.#waitingLength = 0;
  }
}

/**
 * Replaces `last` by a key at or behind it and before the next key, as short as is
 * cheaply found, and returns its length. Leaves it where none is found, as where
 * the next key is the same.
 */
function shorten(
  last: Uint8Array,
  lastLength: number,
  next: Uint8Array,
  at: number,
  length: number,
): number {
  const shorter = Math.min(lastLength, length);
  let shared = 0;
  while (shared < shorter && last[shared] === next[at + shared]) shared++;
  if (shared + 1 >= lastLength || shared >= length) return lastLength;
  if (last[shared]! + 1 >= next[at + shared]!) return lastLength;
  last[shared]!++;
  return shared + 1;
}

function withTrailer(body: Uint8Array): Uint8Array {
  const stored = new Uint8Array(body.length + TRAILER_BYTES);
  stored.set(body);
  return stored;
}

/** What the properties of a table say; the tags stand in `format.ts`. */
export interface TableProperties extends Omit<TableInfo, "number" | "size"> {
  /** Bytes of all keys. */
  keyBytes: number;
  /** Bytes of all values. */
  valueBytes: number;
}

function encodeProperties(
  info: Omit<TableInfo, "size">,
  keyBytes: number,
  valueBytes: number,
): Uint8Array {
  const writer = new Writer();
  writeField(writer, 1, (field) => field.u48(info.rows));
  writeField(writer, 2, (field) => field.u48(info.tombstones));
  writeField(writer, 3, (field) => field.u48(info.minSeq));
  writeField(writer, 4, (field) => field.u48(info.maxSeq));
  writeField(writer, 5, (field) => field.raw(info.minKey));
  writeField(writer, 6, (field) => field.raw(info.maxKey));
  writeField(writer, 7, (field) => field.u48(keyBytes));
  writeField(writer, 8, (field) => field.u48(valueBytes));
  return writer.finish();
}

/**
 * Reads the properties of a table.
 *
 * @throws {DecodeError} If they are malformed.
 */
export function decodeProperties(bytes: Uint8Array): TableProperties {
  const numbers = new Map<number, number>();
  const keys = new Map<number, Uint8Array>();
  readFields(bytes, "a table's properties", (tag, field) => {
    if (tag === 5 || tag === 6) keys.set(tag, field.rest().slice());
    else if (tag >= 1 && tag <= 8) numbers.set(tag, field.u48());
    else return false;
    return true;
  });
  const reader = new Reader(bytes, "a table's properties");
  const number = (tag: number) =>
    numbers.get(tag) ?? reader.fail(`field ${tag} is missing`);
  const key = (tag: number) =>
    keys.get(tag) ?? reader.fail(`field ${tag} is missing`);
  return {
    rows: number(1),
    tombstones: number(2),
    minSeq: number(3),
    maxSeq: number(4),
    minKey: key(5),
    maxKey: key(6),
    keyBytes: number(7),
    valueBytes: number(8),
  };
}
