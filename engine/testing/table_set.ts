/**
 * What tables share, for tests that make tables without a store.
 *
 * @module
 */

import type { FileSystem } from "../../runtime/mod.ts";
import { BlockCache } from "../cache/block_cache.ts";
import { FileCache } from "../cache/file_cache.ts";
import type { TableSet } from "../table/table.ts";

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
