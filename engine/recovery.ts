/**
 * Opens a store: from whatever a crash left to a state that can be served.
 *
 * Guarantees: every batch acknowledged with `sync` is there, and what is there
 * is a prefix of the batches handed in. What cannot be made so is an error, and
 * then nothing was removed. A directory in which the making of a store was
 * interrupted opens as an empty store.
 *
 * Order: LOCK, CURRENT, MANIFEST, tables, WALs, a new WAL; files that nothing
 * names go last.
 *
 * @module
 */

import {
  CorruptionError,
  type FileSystem,
  LockedError,
  type RuntimeFile,
} from "../runtime/mod.ts";
import { type LogIdentity, STORE_ID_BYTES } from "./log/frame.ts";
import type { LogWriter } from "./log/writer.ts";
import { Manifest } from "./manifest/manifest.ts";
import { Memtable } from "./memtable/memtable.ts";
import {
  CURRENT_NAME,
  CURRENT_NEW_NAME,
  joinPath,
  LOCK_NAME,
  type NumberedName,
  parseName,
  tableName,
  walName,
} from "./names.ts";
import { type LsmOptions, RECOVERED_WALS_MAX } from "./options.ts";
import { Store } from "./store.ts";
import { createWal, holdsData, replayWal } from "./wal/wal.ts";

/** A store that was opened. */
export interface OpenedStore {
  /** Its state. */
  store: Store;
  /** The WAL that takes the next batch. */
  wal: LogWriter;
}

/**
 * Opens the store in a directory, or makes one there.
 *
 * @throws {LockedError} If another handle has it open.
 * @throws {StorageError} If the directory or a file cannot be used.
 * @throws {CorruptionError} If files are damaged or missing.
 * @throws {FormatVersionError} If a newer version wrote them.
 */
export async function openStore(
  dir: string,
  options: LsmOptions,
): Promise<OpenedStore> {
  const { files } = options;
  await makeDirectory(files, dir);
  const lock = takeLock(files, dir);
  let store: Store | undefined;
  let wal: LogWriter | undefined;
  try {
    const manifest = await openManifest(dir, options);
    store = new Store(dir, options, manifest, lock);
    checkTables(store);
    wal = await recoverWals(store);
    removeOrphans(store);
    return { store, wal };
  } catch (error) {
    wal?.close();
    if (store !== undefined) store.release();
    else lock.close();
    throw error;
  }
}

async function makeDirectory(files: FileSystem, dir: string): Promise<void> {
  if (files.exists(joinPath(dir, CURRENT_NAME))) return;
  if (!files.exists(dir)) files.makeDirectory(dir);
  // The names of the directories made must be durable too, also if they were
  // made by a process that was killed before it had come to that. A parent that
  // we may not open is none that we made.
  for (let child = dir; child !== "/" && child !== ".";) {
    const at = child.lastIndexOf("/");
    child = at > 0 ? child.slice(0, at) : at === 0 ? "/" : ".";
    try {
      await files.syncDirectory(child);
    } catch {
      return;
    }
  }
}

function takeLock(files: FileSystem, dir: string): RuntimeFile {
  const file = files.open(joinPath(dir, LOCK_NAME), { mode: "append" });
  let locked = false;
  try {
    locked = file.tryLock();
  } finally {
    if (!locked) file.close();
  }
  if (!locked) throw new LockedError(dir);
  return file;
}

async function openManifest(
  dir: string,
  options: LsmOptions,
): Promise<Manifest> {
  const { files, random } = options;
  const place = { files, dir };
  const names = files.list(dir);
  if (!names.includes(CURRENT_NAME)) {
    const data = names.find((name) => {
      const kind = parseName(name)?.kind;
      return kind === "wal" || kind === "table";
    });
    // CURRENT is there before any of these; without it they must not be
    // taken for rubbish.
    if (data !== undefined) {
      throw new CorruptionError(
        joinPath(dir, CURRENT_NAME),
        0,
        `the file is missing, but "${data}" is there`,
      );
    }
    const id = new Uint8Array(STORE_ID_BYTES);
    return await Manifest.create(place, random?.fill(id) ?? id);
  }
  return await Manifest.load(place);
}

function checkTables(store: Store): void {
  for (const tables of store.current.levels) {
    for (const table of tables) {
      const file = store.handles.get(table.info.number, table.path);
      if (file.size() !== table.info.size) {
        throw new CorruptionError(
          table.path,
          Math.min(file.size(), table.info.size),
          `it has ${file.size()} bytes, ${table.info.size} were written`,
        );
      }
      table.footer();
    }
  }
}

/** Replays all WALs into memtables and starts a new one. */
async function recoverWals(store: Store): Promise<LogWriter> {
  const { firstWal, lastWal, lastSeq, closedWal } = store.manifest.state;
  const sealed: Memtable[] = [];
  let active = new Memtable();
  let previous: LogIdentity = { id: lastWal, length: 0, chain: 0 };
  let nextSeq = lastSeq + 1;
  let batches = 0;
  let tornBytes = 0;
  for (let id = firstWal; id <= lastWal; id++) {
    const replayed = replayWal(
      store,
      id,
      nextSeq,
      (seq, key, value) => active.add(seq, key, value),
    );
    if (id > firstWal) checkChain(store, previous, replayed.previous);
    if (id === closedWal?.id) checkChain(store, replayed, closedWal);
    if (id === lastWal) await cutTail(store, replayed);
    previous = replayed;
    nextSeq = replayed.nextSeq;
    batches += replayed.batches;
    tornBytes = replayed.tornBytes;
    const many = id === lastWal && id - firstWal >= RECOVERED_WALS_MAX;
    if (
      active.count > 0 &&
      (many || active.bytes >= store.settings.memtableBytes)
    ) {
      active.lastWal = id;
      sealed.unshift(active);
      active = new Memtable();
    }
  }
  refuseUnnamedWals(store);

  // Also makes durable what names a killed process has left.
  const wal = await createWal(store, previous);
  const empty = sealed.length === 0 && active.count === 0;
  try {
    await store.install(
      empty ? { firstWal: wal.id, lastWal: wal.id } : { lastWal: wal.id },
    );
  } catch (error) {
    wal.close();
    throw error;
  }
  store.visibleSeq = nextSeq - 1;
  store.setMemtables(active, sealed);
  store.emit({ type: "opened", batches, tornBytes });
  return wal;
}

/** A WAL must be as the next one's HEADER, or the clean close, says. */
function checkChain(
  store: Store,
  found: LogIdentity,
  { id, length, chain }: LogIdentity,
): void {
  if (found.id !== id || found.length !== length || found.chain !== chain) {
    throw new CorruptionError(
      joinPath(store.dir, walName(found.id)),
      Math.min(found.length, length),
      `${length} bytes were written, and not these`,
    );
  }
}

/** Cuts a torn tail, and makes what is left durable before others build on it. */
async function cutTail(
  store: Store,
  wal: LogIdentity & { tornBytes: number },
): Promise<void> {
  const path = joinPath(store.dir, walName(wal.id));
  using file = store.files.open(path, { mode: "append" });
  if (wal.tornBytes > 0) file.truncate(wal.length);
  await file.syncData();
}

/**
 * A WAL beyond the last one named can be left by a crash, with nothing in it.
 * One with data says that the MANIFEST has lost its end.
 */
function refuseUnnamedWals(store: Store): void {
  const { lastWal } = store.manifest.state;
  for (const [name, numbered] of numberedNames(store)) {
    if (numbered.kind !== "wal" || numbered.number <= lastWal) continue;
    const path = joinPath(store.dir, name);
    if (holdsData(store, numbered.number)) {
      throw new CorruptionError(path, 0, "no MANIFEST names this log");
    }
    store.files.remove(path);
  }
}

function removeOrphans(store: Store): void {
  const { files, dir, manifest } = store;
  const live = new Set(
    store.current.levels.flat().map((table) => tableName(table.info.number)),
  );
  for (const [name, { kind, number }] of numberedNames(store)) {
    const needed = kind === "manifest"
      ? number === manifest.number
      : kind === "wal"
      ? number >= manifest.state.firstWal
      : live.has(name);
    if (!needed) files.remove(joinPath(dir, name));
  }
  const next = joinPath(dir, CURRENT_NEW_NAME);
  if (files.exists(next)) files.remove(next);
}

function numberedNames(store: Store): [string, NumberedName][] {
  return store.files.list(store.dir).flatMap((name) => {
    const numbered = parseName(name);
    return numbered === undefined ? [] : [[name, numbered]];
  });
}
