/**
 * Opens a store for reading only, also while another process writes to it.
 *
 * Guarantees: no file is made, changed or locked. What is read is a state that
 * the store had during the open, with every batch acknowledged before it; it
 * never changes afterwards, and all its files are held open, so that the
 * writer's removals do not matter (on systems where an open file can be
 * removed).
 *
 * @module
 */

import {
  CorruptionError,
  FileNotFoundError,
  type FileSystem,
  StorageError,
} from "../runtime/mod.ts";
import { openExisting } from "./decode.ts";
import { Manifest } from "./manifest/manifest.ts";
import { CURRENT_NAME, joinPath, parseName } from "./names.ts";
import type { LsmOptions } from "./options.ts";
import { checkTables, replayWals } from "./recovery.ts";
import { Store } from "./store.ts";

/** How often a writer may get in the way before it is an error. */
const ATTEMPTS_MAX = 20;

/**
 * Opens the store in a directory for reading.
 *
 * @throws {FileNotFoundError} If there is none.
 * @throws {StorageError} If a file cannot be read.
 * @throws {CorruptionError} If files are damaged or missing.
 * @throws {FormatVersionError} If a newer version wrote them.
 */
export function openReadOnly(dir: string, options: LsmOptions): Store {
  const { files } = options;
  const current = joinPath(dir, CURRENT_NAME);
  if (!files.exists(current) && !files.list(dir).some(isData)) {
    throw new FileNotFoundError("open", current);
  }
  for (let attempt = 1;; attempt++) {
    const before = stampOf(files, dir);
    let store: Store | undefined;
    let failure: unknown;
    try {
      store = openOnce(dir, options);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      failure = error;
    }
    // A file that is gone was needed no longer, if an edit says so by now, and
    // what it held is elsewhere. Where no edit came, nobody writes: what is wrong
    // is damage, and what was read is all.
    if (stampOf(files, dir) === before) {
      if (store === undefined) throw failure;
      return store;
    }
    store?.release();
    if (attempt === ATTEMPTS_MAX) {
      throw failure ??
        new StorageError("open", dir, "another process changes it too often");
    }
  }
}

function openOnce(dir: string, options: LsmOptions): Store {
  const manifest = Manifest.view({ files: options.files, dir });
  const store = new Store(dir, options, manifest, undefined);
  try {
    checkTables(store);
    const { batches, tornBytes } = replayWals(store);
    store.emit({ type: "opened", batches, tornBytes });
    return store;
  } catch (error) {
    store.release();
    throw error;
  }
}

/** Changes with every edit: CURRENT and the length of each MANIFEST. */
function stampOf(files: FileSystem, dir: string): string {
  const stamps: string[] = [];
  for (const name of files.list(dir)) {
    if (name !== CURRENT_NAME && parseName(name)?.kind !== "manifest") continue;
    try {
      using file = openExisting(files, joinPath(dir, name));
      stamps.push(`${name} ${file.size()}`);
    } catch (error) {
      // Removed since it was listed: a change.
      if (!(error instanceof CorruptionError)) throw error;
    }
  }
  return stamps.join();
}

function isData(name: string): boolean {
  const kind = parseName(name)?.kind;
  return kind === "wal" || kind === "table";
}
