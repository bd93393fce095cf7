/**
 * Takes tables that were written outside into a store.
 *
 * Order: all is checked; writers wait, memtables are flushed, compactions wait;
 * the tables are copied, with the store's id, numbers and one sequence number
 * for all of them, sync; sync directory; one edit. A crash before the edit
 * leaves files that nothing names.
 *
 * They are copied, not linked, because a block only verifies with its table's
 * number and an entry only counts with its sequence number: what reads tables
 * need not know of any others than the store's own.
 *
 * @module
 */

import { compareBytes, CorruptionError } from "../../runtime/mod.ts";
import type { Background } from "../background.ts";
import { BlockCache } from "../cache/block_cache.ts";
import { FileCache } from "../cache/file_cache.ts";
import { LevelCursor } from "../iterator/level_cursor.ts";
import type { Committer } from "../commit.ts";
import { openExisting } from "../decode.ts";
import type { AddedTable } from "../manifest/edit.ts";
import { SLICE_BYTES } from "../options.ts";
import { levelFor } from "../placement.ts";
import type { Store } from "../store.ts";
import type { TableInfo } from "../table/format.ts";
import { Table } from "../table/table.ts";
import { TableWriter } from "../table/table_writer.ts";
import { LEVELS } from "../version.ts";
import { EXTERNAL_NUMBER, EXTERNAL_STORE_ID } from "./build_table.ts";
import { Findings } from "./check.ts";
import { checkTable } from "./check_table.ts";

/** What else in the store must stand still. */
interface Others {
  readonly committer: Committer;
  readonly background: Background;
}

/** Takes in tables, all or none. */
export async function ingestTables(
  store: Store,
  paths: readonly string[],
  { committer, background }: Others,
): Promise<void> {
  const tables: Table[] = [];
  try {
    for (const path of paths) tables.push(await openChecked(store, path));
    tables.sort((a, b) => compareBytes(a.info.minKey, b.info.minKey));
    refuseOverlaps(tables);
    if (tables.length === 0) return;
    await committer.runAlone(async () => {
      await committer.sealNow();
      await store.flushed();
      await background.exclusively(() => install(store, tables));
    });
  } finally {
    for (const table of tables) table.drop();
  }
}

/** Opens an external table of which every byte is right. */
async function openChecked(store: Store, path: string): Promise<Table> {
  const { files, settings } = store;
  const handles = new FileCache(files, 1);
  const set = {
    files,
    dir: "",
    storeId: EXTERNAL_STORE_ID,
    handles,
    blocks: new BlockCache(0),
    // "Dropped" when it is no longer wanted here; the file is its owner's.
    discard: () => handles.closeAll(),
  };
  try {
    using file = openExisting(files, path);
    const size = file.size();
    const unknown = new Table(set, { ...UNKNOWN, size }, path);
    const { keyBytes: _k, valueBytes: _v, ...properties } = unknown
      .properties();
    const info = { number: EXTERNAL_NUMBER, size, ...properties };
    const table = new Table(set, info, path);
    const found = new Findings(false);
    await checkTable(table, info, found, () => settings.yieldNow());
    const [first] = found.damages;
    if (first !== undefined) {
      throw new CorruptionError(path, first.offset, first.what);
    }
    if (info.minKey.length === 0 || info.maxSeq !== 0) {
      throw new CorruptionError(path, 0, "no external table is like this");
    }
    return table;
  } catch (error) {
    handles.closeAll();
    throw error;
  }
}

function refuseOverlaps(sorted: readonly Table[]): void {
  for (let i = 1; i < sorted.length; i++) {
    const [a, b] = [sorted[i - 1]!, sorted[i]!];
    if (compareBytes(a.info.maxKey, b.info.minKey) < 0) continue;
    throw new RangeError(
      `Cannot ingest "${b.path}": its keys overlap those of "${a.path}"`,
    );
  }
}

async function install(store: Store, tables: readonly Table[]): Promise<void> {
  const seq = store.visibleSeq + 1;
  const added: AddedTable[] = [];
  for (const table of tables) {
    const level = levelFor(store.current.levels, table.info);
    const info = await copy(store, table, { seq, level });
    added.push({ level, info });
  }
  await store.files.syncDirectory(store.dir);
  await store.install({ lastSeq: seq, added });
  store.visibleSeq = seq;
  store.emit({
    type: "ingest",
    tables: added.length,
    bytes: added.reduce((sum, { info }) => sum + info.size, 0),
  });
}

/** Copies a table into the store; a copy that is not finished is an orphan. */
async function copy(
  store: Store,
  table: Table,
  { seq, level }: { seq: number; level: number },
): Promise<TableInfo> {
  const { files, dir, storeId, settings } = store;
  const { blockBytes } = settings;
  // In the deepest level nothing lies deeper.
  const compression = level === LEVELS - 1 ? settings.compression : "none";
  const writer = new TableWriter(
    { files, dir, storeId, blockBytes, compression },
    store.takeNumber(),
  );
  try {
    const cursor = new LevelCursor([table], false);
    let work = 0;
    for (cursor.seekTo(undefined); cursor.valid; cursor.next()) {
      writer.add(cursor, true, seq);
      work += cursor.keyLength + cursor.valueLength;
      if (work < SLICE_BYTES) continue;
      work = 0;
      await settings.yieldNow();
    }
    return await writer.finish();
  } finally {
    writer.close();
  }
}

const UNKNOWN: TableInfo = {
  number: EXTERNAL_NUMBER,
  size: 0,
  rows: 0,
  tombstones: 0,
  minSeq: 0,
  maxSeq: 0,
  minKey: new Uint8Array(0),
  maxKey: new Uint8Array(0),
};
