/**
 * Checks a table whole.
 *
 * @module
 */

import { compareBytes, Reader } from "../../runtime/mod.ts";
import { decodeAt } from "../decode.ts";
import type { Block } from "../table/block.ts";
import { hashKey } from "../table/filter.ts";
import {
  type BlockHandle,
  readHandle,
  type TableInfo,
} from "../table/format.ts";
import type { Table } from "../table/table.ts";
import type { Findings } from "./check.ts";

/** Work between two pauses, in bytes. */
const SLICE_BYTES = 256 * 1024;

/**
 * Reads a table and notes what is broken in it.
 *
 * @param info What the MANIFEST says of it, if it does.
 */
export async function checkTable(
  table: Table,
  info: TableInfo | undefined,
  found: Findings,
  pause: () => Promise<void>,
): Promise<void> {
  const { path } = table;
  const footer = found.attempt(path, () => table.footer());
  if (footer === undefined) return;
  const properties = found.attempt(path, () => table.properties());
  const filter = found.attempt(path, () => table.filter());
  const index = found.attempt(path, () => table.index());
  if (index === undefined) return;
  const before = found.count;
  const sum = new Sum();
  let end = 0;
  let work = 0;
  let separator: Uint8Array | undefined;
  for (let at = 0; at < index.rows; at++) {
    const handle = found.attempt(
      path,
      () => decodeAt(path, footer.index.offset, () => handleOf(index, at)),
    );
    if (handle === undefined) continue;
    const { offset } = handle;
    if (offset !== end) found.add(path, offset, "a block is out of place");
    end = offset + handle.length;
    const block = found.attempt(
      path,
      () => table.readBlock(index, at, undefined),
    );
    const last = separator;
    separator = keyOf(index, at);
    if (block === undefined) continue;
    found.blocks++;
    for (let row = 0; row < block.rows; row++) {
      const key = keyOf(block, row);
      if (!sum.add(key, block.seqOf(row), block.isDeleted(row))) {
        found.add(path, offset, `row ${row} is out of order`);
      }
      if (filter?.mayHold(hashKey(key)) === false) {
        found.add(path, footer.filter.offset, "the filter misses a key");
      }
      if (
        compareBytes(key, separator) > 0 ||
        (last !== undefined && compareBytes(key, last) < 0)
      ) found.add(path, offset, `row ${row} is not where the index says`);
    }
    found.entries += block.rows;
    work += handle.length;
    if (work >= SLICE_BYTES) {
      work = 0;
      await pause();
    }
  }
  if (end !== footer.filter.offset) {
    found.add(path, end, "there is no filter behind the last block");
  }
  // What was not read cannot be counted.
  if (found.count !== before) return;
  const { offset } = footer.properties;
  if (properties !== undefined && !sum.equals(properties)) {
    found.add(path, offset, "the properties do not tell what is there");
  }
  if (info !== undefined && !sum.equals(info)) {
    found.add(path, offset, "the MANIFEST does not tell what is there");
  }
}

/** A key of a block. */
export function keyOf(block: Block, row: number): Uint8Array {
  const { bytes, prefixAt, prefixLength } = block;
  const length = block.suffixLength(row);
  const at = block.suffixAt(row);
  const key = new Uint8Array(prefixLength + length);
  key.set(bytes.subarray(prefixAt, prefixAt + prefixLength));
  key.set(bytes.subarray(at, at + length), prefixLength);
  return key;
}

function handleOf(index: Block, row: number): BlockHandle {
  const at = index.valueAt(row);
  return readHandle(
    new Reader(
      index.bytes.subarray(at, at + index.valueLength(row)),
      "a block's handle",
    ),
  );
}

/** What the entries of a table add up to. */
class Sum {
  #rows = 0;
  #tombstones = 0;
  #minSeq = Infinity;
  #maxSeq = 0;
  #minKey: Uint8Array | undefined;
  #maxKey: Uint8Array = new Uint8Array(0);
  #lastSeq = 0;

  /** Adds an entry; `false` if it does not belong behind the one before. */
  add(key: Uint8Array, seq: number, deleted: boolean): boolean {
    const order = compareBytes(this.#maxKey, key);
    const ordered = this.#rows === 0 || order < 0 ||
      (order === 0 && seq < this.#lastSeq);
    this.#rows++;
    if (deleted) this.#tombstones++;
    this.#minSeq = Math.min(this.#minSeq, seq);
    this.#maxSeq = Math.max(this.#maxSeq, seq);
    this.#minKey ??= key;
    this.#maxKey = key;
    this.#lastSeq = seq;
    return ordered;
  }

  equals(info: Omit<TableInfo, "number" | "size">): boolean {
    return info.rows === this.#rows && info.tombstones === this.#tombstones &&
      info.minSeq === this.#minSeq && info.maxSeq === this.#maxSeq &&
      this.#minKey !== undefined &&
      compareBytes(info.minKey, this.#minKey) === 0 &&
      compareBytes(info.maxKey, this.#maxKey) === 0;
  }
}
