/**
 * Tells what files a store is made of, without opening it.
 *
 * @module
 */

import {
  CorruptionError,
  type FileSystem,
  StorageError,
  toHex,
  toText,
} from "../../runtime/mod.ts";
import { BlockCache } from "../cache/block_cache.ts";
import { FileCache } from "../cache/file_cache.ts";
import { Manifest } from "../manifest/manifest.ts";
import {
  isStoreFile,
  joinPath,
  manifestName,
  parseName,
  tableName,
  walName,
} from "../names.ts";
import type { TableInfo } from "../table/format.ts";
import { Table, type TableSet } from "../table/table.ts";
import { LEVELS } from "../version.ts";
import { scanWal } from "./scan_wal.ts";

/** A table of a store. */
export interface TableDescription {
  /** Its file. */
  name: string;
  /** Its size in bytes. */
  bytes: number;
  /**
   * Bytes of its keys and values: what it would take neither compressed nor
   * with an index; `undefined` if that cannot be read of it.
   */
  dataBytes: number | undefined;
  /** Its entries. */
  entries: number;
  /** Those of them that delete. */
  tombstones: number;
  /** Its first key, as text that can be printed; long ones are cut. */
  minKey: string;
  /** Its last key, likewise. */
  maxKey: string;
}

/** A write-ahead log of a store. */
export interface WalDescription {
  /** Its file. */
  name: string;
  /** Its size in bytes; 0 if it is missing. */
  bytes: number;
  /** Batches in it. */
  batches: number;
  /** Bytes behind its last whole frame. */
  tornBytes: number;
}

/** What a store is made of. */
export interface StoreDescription {
  /** Its directory. */
  dir: string;
  /** Its id, in hexadecimal digits. */
  storeId: string;
  /** The file that names all others. */
  manifest: string;
  /** The largest sequence number in tables. */
  lastSeq: number;
  /** The levels, from level 0 on. */
  levels: { level: number; tables: TableDescription[] }[];
  /** The logs that hold what is in no table yet. */
  wals: WalDescription[];
  /** Files of the store that are in use no longer, or not yet. */
  unnamed: string[];
  /** Whether the last log is as a clean close left it. */
  closedCleanly: boolean;
}

/** Options for {@linkcode describeLsm}. */
export interface DescribeOptions {
  /** The files that the store is kept in. */
  files: FileSystem;
}

/**
 * Tells what the store in a directory is made of. It may be in use: then a file
 * that its owner removes meanwhile is told as empty.
 *
 * @throws {CorruptionError} If CURRENT or the MANIFEST is damaged or missing.
 * @throws {FormatVersionError} If a newer version wrote them.
 * @throws {StorageError} If a file cannot be read.
 */
export function describeLsm(
  dir: string,
  options: DescribeOptions,
): StoreDescription {
  const { files } = options;
  const names = files.list(dir);
  const manifest = Manifest.view({ files, dir });
  manifest.close();
  const { state, storeId } = manifest;
  const handles = new FileCache(files, 1);
  const blocks = new BlockCache(0);
  const set = { files, dir, storeId, handles, blocks, discard() {} };
  const levels = Array.from({ length: LEVELS }, (_, level) => ({
    level,
    tables: state.tables(level).map((info) => ({
      name: tableName(info.number),
      bytes: info.size,
      dataBytes: dataBytesOf(set, info),
      entries: info.rows,
      tombstones: info.tombstones,
      minKey: printable(info.minKey),
      maxKey: printable(info.maxKey),
    })),
  }));
  handles.closeAll();
  const wals: WalDescription[] = [];
  let closedCleanly = false;
  let last: { id: number; end: number } | undefined;
  for (let id = state.firstWal;; id++) {
    const name = walName(id);
    const isThere = files.exists(joinPath(dir, name));
    if (id > state.lastWal && !isThere) break;
    const wal = { name, bytes: 0, batches: 0, tornBytes: 0 };
    if (!isThere) {
      wals.push(wal);
      continue;
    }
    const { batches, end, tornBytes, previous } = scanWal(
      { files, dir, storeId },
      id,
      undefined,
      { apply: () => {}, damaged: () => {} },
    );
    if (
      id > state.lastWal && previous !== undefined && last !== undefined &&
      (previous.id !== last.id || previous.length !== last.end)
    ) break;
    last = { id, end };
    wals.push(wal);
    Object.assign(wal, { bytes: end + tornBytes, batches, tornBytes });
    const { closedWal } = state;
    closedCleanly = closedWal?.id === id && closedWal.length === wal.bytes;
  }
  const named = new Set([
    manifestName(manifest.number),
    ...levels.flatMap(({ tables }) => tables.map(({ name }) => name)),
    ...wals.map(({ name }) => name),
  ]);
  return {
    dir,
    storeId: toHex(storeId),
    manifest: manifestName(manifest.number),
    lastSeq: state.lastSeq,
    levels,
    wals,
    unnamed: names.filter((name) =>
      isStoreFile(name) && parseName(name) !== undefined && !named.has(name)
    ),
    closedCleanly,
  };
}

function dataBytesOf(set: TableSet, info: TableInfo): number | undefined {
  try {
    const { keyBytes, valueBytes } = new Table(set, info).properties();
    return keyBytes + valueBytes;
  } catch (error) {
    if (error instanceof CorruptionError || error instanceof StorageError) {
      return undefined;
    }
    throw error;
  }
}

const PRINTED_MAX = 32;

/** A key as text in quotes if it is plain ASCII, else as hexadecimal digits. */
function printable(key: Uint8Array): string {
  const head = key.subarray(0, PRINTED_MAX);
  const more = key.length > PRINTED_MAX ? "…" : "";
  const text = toText(head);
  return /^[\x20-\x7e]*$/.test(text)
    ? `"${text}"${more}`
    : `0x${toHex(head)}${more}`;
}
