/**
 * Finds the blocks of a table that can still be read.
 *
 * Guarantees: a block is taken only if its checksum holds for this table and
 * this place. Where the index is lost too, the file is searched for blocks, as
 * they are or compressed; as their order is that of their places, the run stays
 * sorted.
 *
 * @module
 */

import {
  compareBytes,
  crc32,
  equalBytes,
  Reader,
  Writer,
  ZSTD_MAGIC,
} from "../../runtime/mod.ts";
import { decodeAt } from "../decode.ts";
import { Block, blockCapacity } from "../table/block.ts";
import {
  BLOCK_DATA,
  BLOCK_HAS_KINDS,
  BLOCK_HAS_SEQS,
  BLOCK_HEADER_BYTES,
  BLOCK_INDEX,
  BLOCK_VERSION,
  BlockBuilder,
} from "../table/block_builder.ts";
import {
  blockChecksum,
  type BlockHandle,
  FEATURE_ZSTD,
  type Footer,
  FOOTER_BYTES,
  readHandle,
  TRAILER_BYTES,
  writeHandle,
} from "../table/format.ts";
import { SLICE_BYTES } from "../options.ts";
import { Table, type TableSet } from "../table/table.ts";
import type { Findings } from "./check.ts";
import { keyOf } from "./check_table.ts";

/** What of a table is read at a time when its index is lost, in bytes. */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** A table of the blocks that were found in a file, with an index of its own. */
class SalvagedTable extends Table {
  readonly #index: Block;

  constructor(set: TableSet, from: Table, index: Block, ends: Ends) {
    // Blocks may reach as far as the file does: its footer may be lost.
    super(set, {
      ...from.info,
      ...ends,
      size: from.info.size + FOOTER_BYTES,
    }, from.path);
    this.#index = index;
  }

  override index(): Block {
    return this.#index;
  }

  override footer(): Footer {
    return NO_FOOTER;
  }
}

const NOWHERE = { offset: 0, length: 0 };
/** Says nothing, but that blocks may be compressed: each one is looked at. */
const NO_FOOTER = {
  features: FEATURE_ZSTD,
  index: NOWHERE,
  filter: NOWHERE,
  properties: NOWHERE,
};

/** The ends of what was found. */
interface Ends {
  minKey: Uint8Array;
  maxKey: Uint8Array;
  maxSeq: number;
}

/**
 * What can be read of a table, as a table; `undefined` if that is nothing. What
 * cannot be read is noted.
 *
 * @param table A table of which only number and size need be known.
 */
export async function salvageTable(
  set: TableSet,
  table: Table,
  found: Findings,
  pause: () => Promise<void>,
): Promise<Table | undefined> {
  const { path } = table;
  const footer = found.attempt(path, () => table.footer());
  if (footer === undefined && isForeign(set, table)) return undefined;
  const index = footer && found.attempt(path, () => table.index());
  const handles = index === undefined
    ? await searchBlocks(set, table, pause)
    : handlesOf(index, table, found);
  const builder = new BlockBuilder(BLOCK_INDEX);
  // A table that has the index which its blocks are given by the search.
  const place = new SalvagedTable(set, table, indexOf(handles), NO_ENDS);
  let ends: Ends | undefined;
  let work = 0;
  for (let at = 0; at < handles.length; at++) {
    const handle = handles[at]!;
    const block = found.attempt(
      path,
      () => place.readBlock(place.index(), at, undefined),
    );
    if (block === undefined) continue;
    const first = keyOf(block, 0);
    const last = keyOf(block, block.rows - 1);
    if (ends !== undefined && compareBytes(ends.maxKey, first) > 0) {
      found.add(path, handle.offset, "the block is out of order");
      continue;
    }
    ends ??= { minKey: first, maxKey: last, maxSeq: 0 };
    ends.maxKey = last;
    for (let row = 0; row < block.rows; row++) {
      ends.maxSeq = Math.max(ends.maxSeq, block.seqOf(row));
    }
    builder.add(last, 0, last.length, 0, ...encodeHandle(handle));
    found.blocks++;
    found.entries += block.rows;
    work += handle.length;
    if (work < SLICE_BYTES) continue;
    work = 0;
    await pause();
  }
  return ends && new SalvagedTable(set, table, blockOf(builder), ends);
}

const NO_ENDS: Ends = {
  minKey: new Uint8Array(0),
  maxKey: new Uint8Array(0),
  maxSeq: 0,
};

/** Whether the footer is whole, but another table's or store's. */
function isForeign(set: TableSet, table: Table): boolean {
  const bytes = new Uint8Array(FOOTER_BYTES);
  const { number, size } = table.info;
  if (size < FOOTER_BYTES) return false;
  using file = set.files.open(table.path, { mode: "read" });
  file.readAt(bytes, size - FOOTER_BYTES);
  const view = new DataView(bytes.buffer);
  const crc = FOOTER_BYTES - 12;
  if (view.getUint32(crc, true) !== crc32(bytes.subarray(0, crc))) return false;
  const found = view.getUint32(38, true) + view.getUint16(42, true) * 2 ** 32;
  return found !== number ||
    !equalBytes(bytes.subarray(44, 52), set.storeId.subarray(0, 8));
}

function handlesOf(
  index: Block,
  table: Table,
  found: Findings,
): BlockHandle[] {
  const handles: BlockHandle[] = [];
  for (let row = 0; row < index.rows; row++) {
    const at = index.valueAt(row);
    const bytes = index.bytes.subarray(at, at + index.valueLength(row));
    const handle = found.attempt(
      table.path,
      () =>
        decodeAt(
          table.path,
          table.footer().index.offset,
          () => readHandle(new Reader(bytes, "a block's handle")),
        ),
    );
    if (handle !== undefined) handles.push(handle);
  }
  return handles;
}

/** Finds data blocks by what they look like and by their checksums. */
async function searchBlocks(
  set: TableSet,
  table: Table,
  pause: () => Promise<void>,
): Promise<BlockHandle[]> {
  const { number, size } = table.info;
  const handles: BlockHandle[] = [];
  using file = set.files.open(table.path, { mode: "read" });
  let window = new Uint8Array(Math.min(WINDOW_BYTES, size));
  let start = 0;
  let filled = file.readAt(window, 0);
  let pauseAt = SLICE_BYTES;
  // Garbage that looks like blocks must not keep us for ever.
  let budget = size * 16;
  for (let at = 0; at + BLOCK_HEADER_BYTES < size;) {
    const fill = (length: number) => {
      if (at + length <= start + filled) return;
      if (length > window.length) window = new Uint8Array(length);
      budget -= window.length;
      start = at;
      filled = file.readAt(window, start);
    };
    fill(BLOCK_HEADER_BYTES);
    const head = window.subarray(at - start, filled);
    const length = budget <= 0 ? 0 : plausibleLength(head, {
      left: size - at,
      need: (bytes) => {
        fill(bytes);
        return window.subarray(at - start, at - start + bytes);
      },
    });
    if (length > 0) {
      budget -= length;
      fill(length);
      const stored = window.subarray(at - start, at - start + length);
      const view = new DataView(stored.buffer, stored.byteOffset, length);
      if (
        view.getUint32(length - 4, true) === blockChecksum(stored, number, at)
      ) {
        handles.push({ offset: at, length });
        at += length;
        continue;
      }
    }
    at++;
    if (at < pauseAt) continue;
    pauseAt = at + SLICE_BYTES;
    await pause();
  }
  return handles;
}

/** The bytes that a search can ask for. */
interface Sight {
  /** Bytes to the end of the file. */
  left: number;
  /** The next so many bytes. */
  need: (bytes: number) => Uint8Array;
}

/** The stored length of what may be a data block, or 0. */
function plausibleLength(head: Uint8Array, sight: Sight): number {
  if (head.length < BLOCK_HEADER_BYTES) return 0;
  let view = new DataView(head.buffer, head.byteOffset, head.length);
  if (view.getUint32(0, true) === ZSTD_MAGIC) return packedLength(head, sight);
  if (head[0] !== BLOCK_VERSION || head[1] !== BLOCK_DATA) return 0;
  const flags = view.getUint16(2, true);
  if (flags & ~(BLOCK_HAS_KINDS | BLOCK_HAS_SEQS)) return 0;
  const rows = view.getUint32(4, true);
  const prefixAt = view.getUint32(12, true);
  const valuesAt = view.getUint32(16, true);
  const columns = flags & BLOCK_HAS_SEQS ? 4 : 3;
  const columnsEnd = BLOCK_HEADER_BYTES + rows * 4 * columns +
    (flags & BLOCK_HAS_KINDS ? rows : 0);
  if (
    rows === 0 || columnsEnd !== prefixAt || valuesAt < prefixAt ||
    valuesAt > sight.left
  ) return 0;
  const lastEnd = BLOCK_HEADER_BYTES + rows * 4 * 3 - 4;
  const bytes = sight.need(lastEnd + 4);
  view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = valuesAt + view.getUint32(lastEnd, true) + TRAILER_BYTES;
  return length <= sight.left ? length : 0;
}

/**
 * The stored length of what may be a compressed data block, or 0: the frame says
 * so, part by part (RFC 8878, 3.1.1).
 */
function packedLength(head: Uint8Array, sight: Sight): number {
  const flags = head[4]!;
  const oneSegment = (flags & 0x20) !== 0;
  const sizeBytes = [oneSegment ? 1 : 0, 2, 4, 8][flags >>> 6]!;
  let at = 5 + (oneSegment ? 0 : 1) + [0, 1, 2, 4][flags & 3]! + sizeBytes;
  let parts = 0;
  for (let last = false; !last;) {
    if (++parts > PARTS_MAX || at + PART_HEADER_BYTES > sight.left) return 0;
    const bytes = sight.need(at + PART_HEADER_BYTES);
    const part = bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16;
    last = (part & 1) !== 0;
    const type = (part >>> 1) & 3;
    if (type === PART_RESERVED) return 0;
    at += PART_HEADER_BYTES + (type === PART_RUN ? 1 : part >>> 3);
  }
  const length = at + (flags & 4 ? 4 : 0) + TRAILER_BYTES;
  return length <= sight.left ? length : 0;
}

/** All parts but the last are of 128 KiB: what the longest body has, and more. */
const PARTS_MAX = 1024;
const PART_HEADER_BYTES = 3;
const PART_RUN = 1;
const PART_RESERVED = 3;

function indexOf(handles: readonly BlockHandle[]): Block {
  const builder = new BlockBuilder(BLOCK_INDEX);
  const noKey = new Uint8Array(0);
  for (const handle of handles) {
    builder.add(noKey, 0, 0, 0, ...encodeHandle(handle));
  }
  // Of no rows there is no block; one that is never read stands for it.
  if (handles.length === 0) {
    builder.add(noKey, 0, 0, 0, ...encodeHandle(NOWHERE));
  }
  return blockOf(builder);
}

function blockOf(builder: BlockBuilder): Block {
  const stored = builder.finish(TRAILER_BYTES);
  const block = new Block(blockCapacity(stored.length));
  block.bytes.set(stored);
  block.read(stored.length - TRAILER_BYTES, BLOCK_INDEX);
  return block;
}

function encodeHandle(handle: BlockHandle): [Uint8Array, number, number] {
  const writer = new Writer(10);
  writeHandle(writer, handle);
  return [writer.view(), 0, writer.length];
}
