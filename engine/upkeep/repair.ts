/**
 * Makes a store that opens out of what is left of one.
 *
 * How: all entries that can be read, of tables and logs, are merged by sequence
 * number into new tables, of which each holds the newest of its keys. So
 * nothing depends on what was damaged: no order of files, no MANIFEST, no level.
 *
 * Guarantees: no value is made up: each was written for its key. Nothing is
 * removed: all files there were get a second name in `lost/<n>/` before any
 * changes. A crash on the way leaves the store as it was, or repaired, and a
 * repair may then be run again. What is lost is named.
 *
 * What damage can do beyond losing entries: where the newest entry of a key is
 * lost, an older one of it, if there is one, is the newest that is left. So an
 * old value, or one that was deleted, may be back; `mayBeStale` says whether
 * that is possible.
 *
 * Order: LOCK; all is read; `lost/<n>/`, links, sync directories; tables;
 * MANIFEST, which makes their names durable, and CURRENT (see `manifest.ts`);
 * the old names go.
 *
 * @module
 */

import {
  compareBytes,
  CorruptionError,
  type FileSystem,
  type Random,
  StorageError,
} from "../../runtime/mod.ts";
import { BlockCache } from "../cache/block_cache.ts";
import { FileCache } from "../cache/file_cache.ts";
import { mergeRuns } from "../compaction/merge.ts";
import type { Cursor } from "../iterator/cursor.ts";
import { LevelCursor } from "../iterator/level_cursor.ts";
import type { LogIdentity } from "../log/frame.ts";
import { Manifest } from "../manifest/manifest.ts";
import { ManifestState } from "../manifest/state.ts";
import { Memtable } from "../memtable/memtable.ts";
import { SpareMemory } from "../memtable/spare_memory.ts";
import {
  CURRENT_NAME,
  isStoreFile,
  joinPath,
  LOCK_NAME,
  manifestName,
  parseName,
  tableName,
  walName,
} from "../names.ts";
import { settingsOf } from "../options.ts";
import { takeLock } from "../recovery.ts";
import type { TableInfo } from "../table/format.ts";
import { Table, type TableSet } from "../table/table.ts";
import { LEVELS } from "../version.ts";
import { checkCutOff, followsOn, identityOf } from "../wal/wal.ts";
import { Findings } from "./check.ts";
import type { Damage, Progress } from "./check.ts";
import { salvageTable } from "./salvage_table.ts";
import { scanWal } from "./scan_wal.ts";
import { guessStoreId } from "./store_id.ts";

/** Options for {@linkcode repairLsm}. */
export interface RepairOptions {
  /** The files that the store is kept in. */
  files: FileSystem;
  /** Where the id of the store comes from if no file tells it. */
  random?: Random | undefined;
  /** What to call this process to others while it works. */
  owner?: string | undefined;
  /** Lets others run; compare `LsmOptions`. */
  yieldNow?: (() => Promise<void>) | undefined;
  /** Told after each file that was read. */
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** What a repair has done. */
export interface RepairReport {
  /** What could not be read, and so is lost. At most 1000. */
  lost: Damage[];
  /** What is lost beyond that listed. */
  furtherLost: number;
  /**
   * Whether old values, and keys that were deleted, may be back: something was
   * lost, or nobody knows which files were in use.
   */
  mayBeStale: boolean;
  /** Where all files of before are now. */
  setAside: string;
  /** Tables and logs of which something was read. */
  tables: number;
  /** Batches read from logs. */
  batches: number;
  /**
   * Bytes at the end of the last log that are no whole write: one that a crash
   * interrupted, or one that was damaged before others followed.
   */
  tornBytes: number;
  /** Entries that the store has now. */
  entries: number;
}

/** Names with larger numbers are not of our making. */
const NUMBER_MAX = 2 ** 31;

/** Memory for what is read from logs, in bytes, before it goes to a table. */
const MEMTABLE_BYTES = 16 * 1024 * 1024;

const LOST = "lost";

/**
 * Makes a store that opens out of what is left in a directory, and says what
 * could not be saved. It writes all data anew, so that it takes as much room
 * again; afterwards `lost/` can be removed. A sound store needs none: ask
 * {@linkcode checkLsm} first.
 *
 * @throws {LockedError} If somebody has the store open.
 * @throws {StorageError} If no file of a store is there, or a file cannot be
 * made.
 * @throws {FormatVersionError} If a newer version wrote a file; nothing has
 * changed then.
 */
export async function repairLsm(
  dir: string,
  options: RepairOptions,
): Promise<RepairReport> {
  const { files, owner } = options;
  if (!files.list(dir).some(isStoreFile)) {
    throw new StorageError("repair", dir, "no store is in it");
  }
  using _lock = takeLock(files, dir, owner);
  using repair = new Repair(dir, options);
  return await repair.run();
}

/** What is to be read. */
interface Sources {
  tables: { number: number; size: number }[];
  wals: number[];
  /** What the MANIFEST adds up to, if it is believed. */
  state: ManifestState | undefined;
}

class Repair implements Disposable {
  readonly #files: FileSystem;
  readonly #dir: string;
  readonly #options: RepairOptions;
  readonly #names: readonly string[];
  readonly #found = new Findings(false);
  readonly #pause: () => Promise<void>;
  readonly #set: TableSet;
  readonly #manifest: Manifest | undefined;
  readonly #temporary: string[] = [];
  #mayBeStale = false;
  #tornBytes = 0;
  #lastSeq = 0;
  #nextNumber = 1;
  #doneBytes = 0;

  constructor(dir: string, options: RepairOptions) {
    const { files, random } = options;
    this.#files = files;
    this.#dir = dir;
    this.#options = options;
    this.#pause = options.yieldNow ?? (() => Promise.resolve());
    this.#names = files.list(dir).filter((name) =>
      isStoreFile(name) && name !== LOCK_NAME &&
      (parseName(name)?.number ?? 0) < NUMBER_MAX
    );
    this.#manifest = this.#found.attempt(
      joinPath(dir, CURRENT_NAME),
      () => Manifest.view({ files, dir }),
    );
    this.#manifest?.close();
    const storeId = this.#manifest?.storeId ??
      guessStoreId(files, dir, this.#names) ??
      random?.fill(new Uint8Array(16)) ?? new Uint8Array(16);
    this.#set = {
      files,
      dir,
      storeId,
      handles: new FileCache(files, 64),
      blocks: new BlockCache(0),
      discard: () => {},
    };
  }

  async run(): Promise<RepairReport> {
    const sources = this.#chooseSources();
    for (const name of this.#names) {
      const { kind, number = 0 } = parseName(name) ?? {};
      if (kind === "table") {
        this.#nextNumber = Math.max(this.#nextNumber, number + 1);
      }
    }
    const { state } = sources;
    this.#lastSeq = state?.lastSeq ?? 0;
    this.#nextNumber = Math.max(this.#nextNumber, state?.nextNumber ?? 0);
    const tables = await this.#readTables(sources);
    const runs: Cursor[] = sortedRuns(tables)
      .map((run) => new LevelCursor(run, false));
    const batches = await this.#readWals(sources, runs);
    const setAside = await this.#setAside();
    const made = await this.#merge(runs);
    await this.#putInForce(made);
    this.#removeOld();
    const { damages, furtherDamages } = this.#found;
    return {
      lost: damages,
      furtherLost: furtherDamages,
      mayBeStale: this.#mayBeStale || this.#found.count > 0,
      setAside,
      tables: tables.length,
      batches,
      tornBytes: this.#tornBytes,
      entries: made.reduce((sum, { rows }) => sum + rows, 0),
    };
  }

  [Symbol.dispose](): void {
    this.#set.handles.closeAll();
  }

  /**
   * What the MANIFEST names, if nothing speaks against it; else all there is:
   * tables that were merged into others, but not removed yet, are then among it.
   */
  #chooseSources(): Sources {
    const manifest = this.#manifest;
    const has = (name: string) => this.#names.includes(name);
    const numbers = (wanted: string) =>
      this.#names.flatMap((name) => {
        const { kind, number } = parseName(name) ?? {};
        return kind === wanted ? [number!] : [];
      }).sort((a, b) => a - b);
    if (manifest !== undefined) {
      const { state } = manifest;
      const tables = Array.from({ length: LEVELS }, (_, level) => level)
        .flatMap((level) => state.tables(level));
      const missing = tables.map(({ number }) => tableName(number))
        .filter((name) => !has(name));
      const wals: number[] = [];
      // The numbers may be wrong: what is there bounds the loop.
      const known = numbers("wal");
      for (let id = state.firstWal; id <= state.lastWal; id++) {
        if (has(walName(id))) wals.push(id);
        else missing.push(walName(id));
        if (missing.length > this.#names.length + known.length + 1) break;
      }
      for (const name of missing) {
        this.#found.add(joinPath(this.#dir, name), 0, "the file is missing");
      }
      const current = manifestName(manifest.number);
      const torn = this.#sizeOf(current) !== manifest.length;
      wals.push(...this.#followers(state));
      const last = wals.at(-1) ?? state.lastWal;
      if (
        missing.length === 0 && !torn &&
        known.every((id) => id <= last || this.#isCutOff(id))
      ) return { tables, wals, state };
    }
    this.#mayBeStale = true;
    return {
      tables: numbers("table").map((number) => ({
        number,
        size: this.#sizeOf(tableName(number)),
      })),
      wals: numbers("wal"),
      state: undefined,
    };
  }

  async #readTables(sources: Sources): Promise<Table[]> {
    const tables: Table[] = [];
    for (const { number, size: written } of sources.tables) {
      const path = joinPath(this.#dir, tableName(number));
      const found = this.#sizeOf(tableName(number));
      // The MANIFEST may be wrong: what is there bounds what is read.
      const size = Math.min(found, written);
      if (found !== written) {
        this.#found.add(
          path,
          size,
          `it has ${found} bytes, ${written} were written`,
        );
      }
      const table = new Table(this.#set, { ...UNKNOWN, number, size });
      const readable = await this.#found.attemptAsync(
        path,
        () => salvageTable(this.#set, table, this.#found, this.#pause),
      );
      if (readable !== undefined) {
        tables.push(readable);
        this.#lastSeq = Math.max(this.#lastSeq, readable.info.maxSeq);
      }
      await this.#done(path, size);
    }
    return tables;
  }

  /** Adds runs of what logs hold; returns the number of batches. */
  async #readWals(sources: Sources, runs: Cursor[]): Promise<number> {
    let batches = 0;
    const memory = new SpareMemory(false, 0);
    let memtable = new Memtable(memory);
    const { state } = sources;
    let nextSeq = state && state.lastSeq + 1;
    let before: { id: number; end: number } | undefined;
    for (const id of sources.wals) {
      const path = joinPath(this.#dir, walName(id));
      const scanned = this.#found.attempt(
        path,
        () =>
          scanWal(this.#set, id, nextSeq, {
            apply: (seq, key, value) => {
              this.#lastSeq = Math.max(this.#lastSeq, seq);
              memtable.add(seq, key, value);
            },
            damaged: (error) => this.#found.note(path, error),
          }),
      );
      this.#expectEnd(before, scanned?.previous);
      before = scanned && { id, end: scanned.end };
      this.#expectEnd(before, state?.closedWal);
      this.#tornBytes = scanned?.tornBytes ?? 0;
      batches += scanned?.batches ?? 0;
      nextSeq = scanned?.nextSeq ?? nextSeq;
      if (memtable.bytes > MEMTABLE_BYTES) {
        runs.push(await this.#spill(memtable));
        memtable = new Memtable(memory);
      }
      await this.#done(path, this.#sizeOf(walName(id)));
    }
    if (memtable.count > 0) runs.push(memtable.cursor());
    return batches;
  }

  /** Notes if a log, or what there is of it, ends earlier than it did. */
  #expectEnd(
    found: { id: number; end: number } | undefined,
    written: LogIdentity | undefined,
  ): void {
    if (found === undefined || found.id !== written?.id) return;
    if (found.end >= written.length) return;
    const path = joinPath(this.#dir, walName(found.id));
    this.#found.add(path, found.end, "the end of the log is missing");
  }

  /** Writes a memtable to a table that nothing will name. */
  async #spill(memtable: Memtable): Promise<Cursor> {
    const infos = await this.#write([memtable.cursor()], {
      tableBytes: Infinity,
      deeper: undefined,
    });
    for (const { number } of infos) this.#temporary.push(tableName(number));
    return new LevelCursor(
      infos.map((info) => new Table(this.#set, info)),
      false,
    );
  }

  /** The newest entry of each key, without deletions, in tables. */
  #merge(runs: readonly Cursor[]): Promise<TableInfo[]> {
    const { tableBytes } = settingsOf({ files: this.#files });
    return this.#write(runs, { tableBytes, deeper: [] });
  }

  #write(
    runs: readonly Cursor[],
    how: { tableBytes: number; deeper: [] | undefined },
  ): Promise<TableInfo[]> {
    const { blockBytes, sliceBytes } = settingsOf({ files: this.#files });
    const { storeId } = this.#set;
    return mergeRuns(runs, {
      target: {
        files: this.#files,
        dir: this.#dir,
        storeId,
        blockBytes,
        compression: "none",
      },
      takeNumber: () => this.#nextNumber++,
      snapshots: [],
      sliceBytes,
      pause: this.#pause,
      ...how,
    });
  }

  /** Gives every file a second name where nothing removes it. */
  async #setAside(): Promise<string> {
    const files = this.#files;
    const lost = joinPath(this.#dir, LOST);
    let number = 1;
    while (files.exists(joinPath(lost, String(number)))) number++;
    const aside = joinPath(lost, String(number));
    files.makeDirectory(aside);
    for (const name of this.#names) {
      files.link(joinPath(this.#dir, name), joinPath(aside, name));
    }
    for (const path of [aside, lost, this.#dir]) {
      await files.syncDirectory(path);
    }
    return aside;
  }

  async #putInForce(made: readonly TableInfo[]): Promise<void> {
    const state = new ManifestState();
    let lastWal = 0;
    for (const name of this.#names) {
      const { kind, number = 0 } = parseName(name) ?? {};
      if (kind === "wal") lastWal = Math.max(lastWal, number);
    }
    state.apply({
      nextNumber: this.#nextNumber,
      lastSeq: this.#lastSeq,
      // Behind all that are there: none of them is to be replayed again.
      firstWal: lastWal + 1,
      lastWal,
      added: made.map((info) => ({ level: LEVELS - 1, info })),
    });
    let number = 1;
    while (this.#names.includes(manifestName(number))) number++;
    const place = { files: this.#files, dir: this.#dir };
    const { storeId } = this.#set;
    const manifest = await Manifest.create(place, storeId, { number, state });
    manifest.close();
  }

  /** Removes what the new MANIFEST does not name, and what is in `lost/`. */
  #removeOld(): void {
    this.#set.handles.closeAll();
    for (const name of [...this.#names, ...this.#temporary]) {
      if (name === CURRENT_NAME) continue;
      const path = joinPath(this.#dir, name);
      if (this.#files.exists(path)) this.#files.remove(path);
    }
  }

  /**
   * The logs that follow on those that the MANIFEST names; behind a damaged one
   * nobody can say, and what is there is taken for such.
   */
  #followers({ firstWal, lastWal }: ManifestState): number[] {
    const ids: number[] = [];
    let last: LogIdentity | undefined;
    let damaged = false;
    const follows = (id: number): boolean => {
      if (damaged) return this.#names.includes(walName(id));
      try {
        if (id > firstWal) last = identityOf(this.#set, id - 1);
        return followsOn(this.#set, id, last);
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        // What it is, is noted when the log is read.
        damaged = true;
        return this.#names.includes(walName(id));
      }
    };
    for (let id = lastWal + 1; follows(id); id++) ids.push(id);
    return ids;
  }

  /** Whether a log that follows on none is one that may do so. */
  #isCutOff(id: number): boolean {
    try {
      checkCutOff(this.#set, id);
      return true;
    } catch (error) {
      if (error instanceof CorruptionError) return false;
      throw error;
    }
  }

  #sizeOf(name: string): number {
    try {
      const path = joinPath(this.#dir, name);
      using file = this.#files.open(path, { mode: "read" });
      return file.size();
    } catch (error) {
      if (error instanceof StorageError) return 0;
      throw error;
    }
  }

  async #done(path: string, bytes: number): Promise<void> {
    this.#doneBytes += bytes;
    this.#options.onProgress?.({
      path,
      doneBytes: this.#doneBytes,
      totalBytes: this.#totalBytes(),
    });
    await this.#pause();
  }

  #total = -1;

  #totalBytes(): number {
    if (this.#total < 0) {
      this.#total = this.#names.reduce((sum, name) => {
        const kind = parseName(name)?.kind;
        const read = kind === "wal" || kind === "table";
        return read ? sum + this.#sizeOf(name) : sum;
      }, 0);
    }
    return Math.max(this.#total, this.#doneBytes);
  }
}

/** Tables in as few runs as it takes that no two of a run share keys. */
function sortedRuns(tables: readonly Table[]): Table[][] {
  const runs: Table[][] = [];
  const sorted = [...tables].sort((a, b) =>
    compareBytes(a.info.minKey, b.info.minKey)
  );
  for (const table of sorted) {
    const run = runs.find((others) =>
      compareBytes(others.at(-1)!.info.maxKey, table.info.minKey) < 0
    );
    if (run === undefined) runs.push([table]);
    else run.push(table);
  }
  return runs;
}

const UNKNOWN: Omit<TableInfo, "number" | "size"> = {
  rows: 0,
  tombstones: 0,
  minSeq: 0,
  maxSeq: 0,
  minKey: new Uint8Array(0),
  maxKey: new Uint8Array(0),
};
