/**
 * What tables share, where they are written and what is put into them, for tests
 * that make tables without a store.
 *
 * @module
 */

import type { FileSystem } from "../../runtime/mod.ts";
import { BlockCache } from "../cache/block_cache.ts";
import { FileCache } from "../cache/file_cache.ts";
import type { Entry } from "../iterator/cursor.ts";
import type { TableSet } from "../table/table.ts";
import type { TableTarget } from "../table/table_writer.ts";

/** The tables of a directory, whose store's id is all zeros. */
export function tableSetOf(
  files: FileSystem,
  dir: string,
  cacheBytes = 0,
): TableSet {
  return {
    files,
    dir,
    storeId: new Uint8Array(16),
    handles: new FileCache(files, 1),
    blocks: new BlockCache(cacheBytes),
    discard() {},
  };
}

/** Where tables of a set are written, as they are. */
export function targetOf(
  { files, dir, storeId }: TableSet,
  blockBytes: number,
): TableTarget {
  return { files, dir, storeId, blockBytes, compression: "none" };
}

/** An entry that puts a value. */
export function entryFor(key: Uint8Array, value: Uint8Array, seq = 1): Entry {
  return {
    keyBuffer: key,
    keyAt: 0,
    keyLength: key.length,
    seq,
    deleted: false,
    valueBuffer: value,
    valueAt: 0,
    valueLength: value.length,
  };
}
