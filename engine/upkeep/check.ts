/**
 * Checks a store: reads all of it and compares it with what it must be.
 *
 * Guarantees: goes on behind what is broken, and names all of it: the file, the
 * offset, what is wrong. Changes nothing. Memory: one block, the index and the
 * filter of one table.
 *
 * What is compared: CURRENT and MANIFEST with each other and in themselves;
 * tables with the MANIFEST (size, counts, bounds), each block with its
 * checksum, its neighbours and its place in the index, each key with the
 * filter; logs with their checksums, their sequence numbers and each other.
 *
 * @module
 */

import {
  ClosedError,
  CorruptionError,
  DecodeError,
  type FileSystem,
  FormatVersionError,
  StorageError,
} from "../../runtime/mod.ts";
import { BlockCache } from "../cache/block_cache.ts";
import { FileCache } from "../cache/file_cache.ts";
import { Manifest } from "../manifest/manifest.ts";
import type { ManifestState } from "../manifest/state.ts";
import { joinPath, parseName, tableName, walName } from "../names.ts";
import type { Store } from "../store.ts";
import type { TableInfo } from "../table/format.ts";
import { Table, type TableSet } from "../table/table.ts";
import { LEVELS } from "../version.ts";
import {
  checkChain,
  checkCutOff,
  followsOn,
  type ReplayedWal,
  replayWal,
  type WalPlace,
} from "../wal/wal.ts";
import { checkTable } from "./check_table.ts";
import { scanWal } from "./scan_wal.ts";

/** Something that is broken. */
export interface Damage {
  /** The file. */
  path: string;
  /** Where in the file, in bytes. */
  offset: number;
  /** What is wrong. */
  what: string;
}

/** How far a long job has come. */
export interface Progress {
  /** The file that it is at. */
  path: string;
  /** Bytes of all files that are done. */
  doneBytes: number;
  /** Bytes of all files. */
  totalBytes: number;
}

/** Options for {@linkcode Lsm.check}. */
export interface CheckOptions {
  /** Told after each file how far it is. */
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** Options for {@linkcode checkLsm}. */
export interface CheckLsmOptions extends CheckOptions {
  /** The files that the store is kept in. */
  files: FileSystem;
  /**
   * Lets others run: awaited after each block or so. Without it only promises
   * get through.
   */
  yieldNow?: (() => Promise<void>) | undefined;
}

/** What a check has found. */
export interface CheckReport {
  /** All that is broken; empty if the store is sound. At most 1000. */
  damages: Damage[];
  /** What is broken beyond those listed. */
  furtherDamages: number;
  /** Tables read. */
  tables: number;
  /** Data blocks read. */
  blocks: number;
  /** Entries of tables read. */
  entries: number;
  /** Write-ahead logs read. */
  wals: number;
  /** Batches in them. */
  batches: number;
  /** Bytes of tables and logs. */
  bytes: number;
}

const DAMAGES_MAX = 1000;

/** A report that is being written. */
export class Findings implements CheckReport {
  readonly #newerToo: boolean;
  readonly damages: Damage[] = [];
  furtherDamages = 0;
  tables = 0;
  blocks = 0;
  entries = 0;
  wals = 0;
  batches = 0;
  bytes = 0;

  /**
   * `newerToo` says whether what a newer version wrote is broken, or an error
   * that ends the job.
   */
  constructor(newerToo: boolean) {
    this.#newerToo = newerToo;
  }

  /** The number of all damages. */
  get count(): number {
    return this.damages.length + this.furtherDamages;
  }

  /** Notes something broken. */
  add(path: string, offset: number, what: string): void {
    if (this.damages.length === DAMAGES_MAX) this.furtherDamages++;
    else this.damages.push({ path, offset, what });
  }

  /** Runs a part; notes what it throws about files, and gives `undefined`. */
  attempt<T>(path: string, part: () => T): T | undefined {
    try {
      return part();
    } catch (error) {
      this.note(path, error);
      return undefined;
    }
  }

  /** As {@linkcode Findings.attempt}, for a part that takes its time. */
  async attemptAsync<T>(
    path: string,
    part: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await part();
    } catch (error) {
      this.note(path, error);
      return undefined;
    }
  }

  /** Notes an error about a file; throws on any other. */
  note(path: string, error: unknown): void {
    if (error instanceof CorruptionError) {
      const { cause } = error;
      const what = cause instanceof DecodeError
        ? cause.message
        : error.message.slice(error.message.indexOf(": ") + 2);
      this.add(error.path, error.offset, what);
    } else if (
      error instanceof StorageError ||
      (error instanceof FormatVersionError && this.#newerToo)
    ) this.add(path, 0, error.message);
    else throw error;
  }
}

/** Checks a store that is open here; compare `Lsm.check`. */
export async function checkOpenStore(
  store: Store,
  options: CheckOptions,
): Promise<CheckReport> {
  const { version } = await store.pin();
  try {
    const found = new Findings(true);
    const { readOnly } = store.settings;
    // Who reads only has read MANIFEST and logs at the open, and another process
    // may have moved on since; the tables of that moment it holds open.
    if (!readOnly) found.attempt(store.dir, () => Manifest.view(store).close());
    const job = new Job(found, store, options.onProgress, async () => {
      await store.settings.yieldNow();
      if (store.closed) throw new ClosedError("check", "the store");
    });
    await job.run(
      version.levels.flatMap((tables) => tables.map(({ info }) => info)),
      readOnly ? undefined : store.manifest.state,
    );
    return found;
  } finally {
    version.release();
  }
}

/**
 * Checks the store in a directory, also if it cannot be opened. Nobody must
 * write to it meanwhile. Without a sound MANIFEST it checks what tables and logs
 * there are, each for itself.
 *
 * @throws {StorageError} If the directory cannot be read.
 */
export async function checkLsm(
  dir: string,
  options: CheckLsmOptions,
): Promise<CheckReport> {
  const { files, onProgress } = options;
  const found = new Findings(true);
  const names = files.list(dir);
  const manifest = found.attempt(dir, () => Manifest.view({ files, dir }));
  manifest?.close();
  const job = new Job(
    found,
    { files, dir, storeId: manifest?.storeId ?? new Uint8Array(16) },
    onProgress,
    options.yieldNow ?? (() => Promise.resolve()),
  );
  if (manifest !== undefined) {
    const { state } = manifest;
    const tables = Array.from({ length: LEVELS }, (_, level) => level)
      .flatMap((level) => state.tables(level));
    await job.run(tables, state);
  } else {
    await job.runUnlisted(names);
  }
  return found;
}

/** One run over the files of a store. */
class Job {
  readonly #found: Findings;
  readonly #place: WalPlace;
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  readonly #pause: () => Promise<void>;
  readonly #set: TableSet;
  readonly #ownsHandles: boolean;
  #doneBytes = 0;
  #totalBytes = 0;

  constructor(
    found: Findings,
    place: WalPlace & { readonly handles?: FileCache },
    onProgress: ((progress: Progress) => void) | undefined,
    pause: () => Promise<void>,
  ) {
    this.#found = found;
    this.#place = place;
    this.#onProgress = onProgress;
    this.#pause = pause;
    const { files, dir, storeId } = place;
    this.#ownsHandles = place.handles === undefined;
    this.#set = {
      files,
      dir,
      storeId,
      handles: place.handles ?? new FileCache(files, 1),
      // Nothing is read twice, and what others cached must not be believed.
      blocks: new BlockCache(0),
      discard: () => {},
    };
  }

  /** Checks the tables, and the logs that `state` names, if it is given. */
  async run(
    tables: readonly TableInfo[],
    state: ManifestState | undefined,
  ): Promise<void> {
    this.#totalBytes = tables.reduce((sum, { size }) => sum + size, 0);
    // Not those that are begun meanwhile: the last one has not ended yet, and
    // how it ends is what the next one says.
    const wals = state === undefined ? [] : this.#walIds(state);
    for (const id of wals) this.#totalBytes += this.#sizeOf(walName(id));
    try {
      for (const info of tables) await this.#table(info);
      if (state !== undefined) await this.#wals(state, wals);
    } finally {
      if (this.#ownsHandles) this.#set.handles.closeAll();
    }
  }

  /** Checks the tables and logs of these names, each for itself. */
  async runUnlisted(names: readonly string[]): Promise<void> {
    const sizes = new Map(names.map((name) => [name, this.#sizeOf(name)]));
    for (const size of sizes.values()) this.#totalBytes += size;
    for (const [name, size] of sizes) {
      const { kind, number } = parseName(name) ?? {};
      if (number === undefined) continue;
      if (kind === "table") await this.#table({ number, size });
      if (kind === "wal") {
        this.#scan(number, undefined);
        await this.#done(joinPath(this.#place.dir, name), size);
      }
    }
    this.#set.handles.closeAll();
  }

  async #table(
    info: TableInfo | Pick<TableInfo, "number" | "size">,
  ): Promise<void> {
    const path = joinPath(this.#place.dir, tableName(info.number));
    const whole = "rows" in info ? info : undefined;
    const table = new Table(this.#set, whole ?? { ...NO_INFO, ...info });
    this.#found.tables++;
    const size = this.#found.attempt(
      path,
      () => this.#set.handles.get(info.number, path).size(),
    );
    // One damage a missing file.
    if (size === undefined) return await this.#done(path, info.size);
    if (size !== info.size) {
      this.#found.add(
        path,
        Math.min(size, info.size),
        `it has ${size} bytes, ${info.size} were written`,
      );
    }
    await checkTable(table, whole, this.#found, this.#pause);
    if (this.#ownsHandles) this.#set.handles.close(info.number);
    await this.#done(path, info.size);
  }

  /** The WALs that are named, then all others that are there behind them. */
  #walIds({ firstWal, lastWal }: ManifestState): number[] {
    const ids: number[] = [];
    for (let id = firstWal; id <= lastWal; id++) ids.push(id);
    const others = this.#place.files.list(this.#place.dir).flatMap((name) => {
      const { kind, number = 0 } = parseName(name) ?? {};
      return kind === "wal" && number > lastWal ? [number] : [];
    });
    return [...ids, ...others.sort((a, b) => a - b)];
  }

  async #wals(state: ManifestState, ids: readonly number[]): Promise<void> {
    let previous: ReplayedWal | undefined;
    let nextSeq = state.lastSeq + 1;
    for (const id of ids) {
      // Flushed while others were read.
      if (id < state.firstWal) continue;
      if (id === state.firstWal) {
        nextSeq = state.lastSeq + 1;
        previous = undefined;
      }
      const size = this.#sizeOf(walName(id));
      const path = joinPath(this.#place.dir, walName(id));
      try {
        if (id > state.lastWal && !followsOn(this.#place, id, previous)) {
          checkCutOff(this.#place, id);
          continue;
        }
        const replayed = replayWal(this.#place, id, nextSeq, () => {});
        this.#found.wals++;
        this.#found.batches += replayed.batches;
        nextSeq = replayed.nextSeq;
        if (previous !== undefined) {
          checkChain(this.#place, previous, replayed.previous);
          this.#expectNothingBehind(previous);
        }
        if (id === state.closedWal?.id) {
          checkChain(this.#place, replayed, state.closedWal);
          this.#expectNothingBehind(replayed);
        }
        previous = replayed;
      } catch (error) {
        previous = undefined;
        const before = this.#found.count;
        nextSeq = this.#scan(id, nextSeq) ?? nextSeq;
        if (this.#found.count === before) this.#found.note(path, error);
      }
      await this.#done(path, size);
    }
  }

  /** Behind the end of a log that is complete there is room, and no torn write. */
  #expectNothingBehind({ id, length, tornBytes }: ReplayedWal): void {
    if (tornBytes === 0) return;
    const path = joinPath(this.#place.dir, walName(id));
    this.#found.add(path, length, `${tornBytes} bytes stand behind its end`);
  }

  /** Names what is broken in a log, and gives the number behind its last op. */
  #scan(id: number, nextSeq: number | undefined): number | undefined {
    const path = joinPath(this.#place.dir, walName(id));
    const scanned = this.#found.attempt(
      path,
      () =>
        scanWal(this.#place, id, nextSeq, {
          apply: () => {},
          damaged: (error) => this.#found.note(path, error),
        }),
    );
    this.#found.wals++;
    this.#found.batches += scanned?.batches ?? 0;
    return scanned?.nextSeq ?? nextSeq;
  }

  async #done(path: string, bytes: number): Promise<void> {
    this.#doneBytes += bytes;
    this.#found.bytes += bytes;
    this.#onProgress?.({
      path,
      doneBytes: this.#doneBytes,
      totalBytes: Math.max(this.#totalBytes, this.#doneBytes),
    });
    await this.#pause();
  }

  #sizeOf(name: string): number {
    const kind = parseName(name)?.kind;
    if (kind !== "wal" && kind !== "table") return 0;
    try {
      const path = joinPath(this.#place.dir, name);
      using file = this.#place.files.open(path, { mode: "read" });
      return file.size();
    } catch (error) {
      if (error instanceof StorageError) return 0;
      throw error;
    }
  }
}

const NO_INFO = {
  rows: 0,
  tombstones: 0,
  minSeq: 0,
  maxSeq: 0,
  minKey: new Uint8Array(0),
  maxKey: new Uint8Array(0),
};
