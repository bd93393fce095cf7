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
  toBytes,
  toText,
} from "../runtime/mod.ts";
import { type LogIdentity, STORE_ID_BYTES } from "./log/frame.ts";
import type { LogWriter } from "./log/writer.ts";
import { Manifest } from "./manifest/manifest.ts";
import type { Memtable } from "./memtable/memtable.ts";
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
import {
  checkChain,
  checkCutOff,
  createWal,
  followsOn,
  replayWal,
} from "./wal/wal.ts";

/** The text in LOCK, at most, in bytes. */
const OWNER_BYTES_MAX = 128;

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
  const lock = takeLock(files, dir, options.owner);
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

/** Makes the directory of a store, and its name durable. */
export async function makeDirectory(
  files: FileSystem,
  dir: string,
): Promise<void> {
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

/**
 * Takes a directory's lock, and says in LOCK who has it.
 *
 * @throws {LockedError} If another handle has it.
 */
export function takeLock(
  files: FileSystem,
  dir: string,
  owner?: string,
): RuntimeFile {
  const file = files.open(joinPath(dir, LOCK_NAME), { mode: "append" });
  let locked = false;
  try {
    if (!file.tryLock()) throw new LockedError(dir, { owner: ownerIn(file) });
    // Nothing depends on this text, so it is not synced.
    if (file.size() > 0) file.truncate(0);
    if (owner !== undefined) {
      file.append(toBytes(owner).subarray(0, OWNER_BYTES_MAX));
    }
    locked = true;
    return file;
  } finally {
    if (!locked) file.close();
  }
}

/** Who has the lock, as far as LOCK says so in plain text. */
function ownerIn(lock: RuntimeFile): string | undefined {
  const bytes = new Uint8Array(OWNER_BYTES_MAX);
  const text = toText(bytes.subarray(0, lock.readAt(bytes, 0)));
  return /^[\x20-\x7e]+$/.test(text) ? text : undefined;
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

/** Checks that every table is there, of the right size, with its footer. */
export function checkTables(store: Store): void {
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

/** What the WALs of a store hold. */
export interface ReplayedWals {
  /** The last of them, or, if there is none, what it would be. */
  last: LogIdentity;
  /** Bytes of torn tail behind the last. */
  tornBytes: number;
  /** Batches in all of them. */
  batches: number;
}

/**
 * Replays all WALs into the memtables of a store, and changes no file: those
 * that the MANIFEST names, and those that follow on them.
 *
 * @throws {CorruptionError} If one is damaged or missing.
 */
export function replayWals(store: Store): ReplayedWals {
  const { firstWal, lastWal, lastSeq, closedWal } = store.manifest.state;
  const sealed: Memtable[] = [];
  let active: Memtable = store.makeMemtable();
  let last: LogIdentity | undefined;
  let nextSeq = lastSeq + 1;
  let batches = 0;
  let tornBytes = 0;
  const isFull = () =>
    active.count > 0 && active.bytes >= store.settings.memtableBytes;
  const seal = (id: number) => {
    active.lastWal = id;
    sealed.unshift(active);
    active = store.makeMemtable();
  };
  for (let id = firstWal;; id++) {
    if (id > lastWal && !followsOn(store, id, last)) break;
    if (isFull()) seal(id - 1);
    const replayed = replayWal(
      store,
      id,
      nextSeq,
      (seq, key, value) => active.add(seq, key, value),
    );
    if (last !== undefined) checkChain(store, last, replayed.previous);
    if (id === closedWal?.id) checkChain(store, replayed, closedWal);
    last = replayed;
    nextSeq = replayed.nextSeq;
    batches += replayed.batches;
    tornBytes = replayed.tornBytes;
  }
  last ??= { id: lastWal, length: 0, chain: 0 };
  for (const id of walsBehind(store, last.id)) checkCutOff(store, id);
  const many = last.id - firstWal >= RECOVERED_WALS_MAX;
  if (isFull() || (many && active.count > 0)) seal(last.id);
  store.visibleSeq = nextSeq - 1;
  store.setMemtables(active, sealed);
  return { last, tornBytes, batches };
}

/** Replays all WALs and starts a new one. */
async function recoverWals(store: Store): Promise<LogWriter> {
  const { firstWal, lastWal } = store.manifest.state;
  const { last, tornBytes, batches } = replayWals(store);
  // Those before the last that is named were synced before it was.
  for (let id = Math.max(firstWal, lastWal); id <= last.id; id++) {
    await makeDurable(
      store,
      id,
      id === last.id && tornBytes > 0 ? last : undefined,
    );
  }
  for (const id of walsBehind(store, last.id)) {
    store.files.remove(joinPath(store.dir, walName(id)));
  }

  const wal = createWal(store, last);
  const { active, sealed } = store.current;
  const empty = sealed.length === 0 && active.count === 0;
  try {
    await wal.sync();
    // Also makes durable what names a killed process has left.
    await store.files.syncDirectory(store.dir);
    await store.install(
      empty ? { firstWal: wal.id, lastWal: wal.id } : { lastWal: wal.id },
    );
  } catch (error) {
    wal.close();
    throw error;
  }
  store.emit({ type: "opened", batches, tornBytes });
  return wal;
}

/**
 * Makes a WAL durable before others build on it, without its torn tail.
 *
 * @param end Where to cut it, if it has one.
 */
async function makeDurable(
  store: Store,
  id: number,
  end: LogIdentity | undefined,
): Promise<void> {
  const path = joinPath(store.dir, walName(id));
  using file = store.files.open(path, { mode: "append" });
  if (end !== undefined) file.truncate(end.length);
  await file.syncData();
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

/** The WALs that are there with a number above `id`. */
function walsBehind(store: Store, id: number): number[] {
  return numberedNames(store).flatMap(([, { kind, number }]) =>
    kind === "wal" && number > id ? [number] : []
  );
}

function numberedNames(store: Store): [string, NumberedName][] {
  return store.files.list(store.dir).flatMap((name) => {
    const numbered = parseName(name);
    return numbered === undefined ? [] : [[name, numbered]];
  });
}
