/**
 * Removes a store.
 *
 * Guarantees: nothing is removed that is not a store's own file by its name, and
 * nothing while somebody has the store open. CURRENT goes first, so that a crash
 * on the way leaves no store with files missing; LOCK goes last.
 *
 * @module
 */

import type { FileSystem } from "../../runtime/mod.ts";
import { CURRENT_NAME, isStoreFile, joinPath, LOCK_NAME } from "../names.ts";
import { takeLock } from "../recovery.ts";

/** Options for {@linkcode destroyLsm}. */
export interface DestroyOptions {
  /** The files that the store is kept in. */
  files: FileSystem;
  /** What to call this process to others while it works. */
  owner?: string | undefined;
}

/**
 * Removes all files of the store in a directory, for good. Other files there
 * stay, and so do the directory and what a repair has put into `lost/`. Does
 * nothing if there is no store. Also finishes a removal, or clears away a
 * checkpoint, that was interrupted.
 *
 * @throws {LockedError} If somebody has the store open.
 * @throws {StorageError} If the directory cannot be read or written.
 */
export async function destroyLsm(
  dir: string,
  options: DestroyOptions,
): Promise<void> {
  const { files, owner } = options;
  if (!files.exists(dir)) return;
  if (!files.list(dir).some(isStoreFile)) return;
  using _lock = takeLock(files, dir, owner);
  const names = files.list(dir).filter((name) => name !== LOCK_NAME);
  await removeStoreFiles(files, dir, names);
  files.remove(joinPath(dir, LOCK_NAME));
  await files.syncDirectory(dir);
}

/** Removes those of the names that are a store's own, CURRENT before all. */
export async function removeStoreFiles(
  files: FileSystem,
  dir: string,
  names: readonly string[],
): Promise<void> {
  if (names.includes(CURRENT_NAME)) {
    files.remove(joinPath(dir, CURRENT_NAME));
    await files.syncDirectory(dir);
  }
  for (const name of names) {
    if (name !== CURRENT_NAME && isStoreFile(name)) {
      files.remove(joinPath(dir, name));
    }
  }
}
