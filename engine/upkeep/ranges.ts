/**
 * What a store does with whole ranges of keys.
 *
 * @module
 */

import { Reader } from "../../runtime/mod.ts";
import { decodeAt } from "../decode.ts";
import { SEQ_MAX } from "../iterator/cursor.ts";
import type { BatchOp, KV, WriteOptions } from "../kv.ts";
import { type KeyRange, overlaps } from "../range.ts";
import { readHandle } from "../table/format.ts";
import type { Table } from "../table/table.ts";
import type { Version } from "../version.ts";

/** Keys deleted at a time, at most, and their bytes. */
const BATCH_KEYS_MAX = 1000;
const BATCH_BYTES = 256 * 1024;

/**
 * Deletes the keys of a range in batches. With `sync`, all are on the device
 * when it resolves.
 *
 * @returns How many there were.
 */
export async function deleteRange(
  store: KV,
  range: KeyRange,
  options: WriteOptions,
): Promise<number> {
  const { start, end } = range;
  const iterator = store.iterate({ start, end, keysOnly: true });
  let deleted = 0;
  try {
    let ops: BatchOp[] = [];
    let bytes = 0;
    while (await iterator.next()) {
      const { key } = iterator;
      ops.push({ key, value: undefined });
      bytes += key.length;
      deleted++;
      if (ops.length < BATCH_KEYS_MAX && bytes < BATCH_BYTES) continue;
      await store.write(ops);
      ops = [];
      bytes = 0;
    }
    // A sync covers all that was written before, so the last write alone asks.
    await store.write(ops, options);
  } finally {
    await iterator.close();
  }
  return deleted;
}

/** About how many bytes of tables hold a range. */
export function approximateSize(version: Version, range: KeyRange): number {
  let bytes = 0;
  for (const tables of version.levels) {
    for (const table of tables) {
      if (overlaps(table.info, range)) bytes += bytesIn(table, range);
    }
  }
  return bytes;
}

function bytesIn(table: Table, { start, end }: KeyRange): number {
  const from = start === undefined ? 0 : offsetOf(table, start);
  // Behind the last block come filter, index and footer, which count as well.
  const to = end === undefined ? table.info.size : offsetOf(table, end);
  return Math.max(0, to - from);
}

/** Where the first block starts that may hold a key at or after `key`. */
function offsetOf(table: Table, key: Uint8Array): number {
  const index = table.index();
  const row = index.lowerBound(key, SEQ_MAX);
  if (row === index.rows) return table.info.size;
  const at = index.valueAt(row);
  const handle = index.bytes.subarray(at, at + index.valueLength(row));
  return decodeAt(
    table.path,
    table.footer().index.offset,
    () => readHandle(new Reader(handle, "a block's handle")).offset,
  );
}
