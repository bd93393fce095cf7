/**
 * Makes a store out of the tables of another.
 *
 * Order: directory; the tables' further names in it; a MANIFEST of one edit,
 * sync, sync directory, which makes all these names durable; CURRENT last. A
 * crash in between leaves files without CURRENT, which no open takes for a store.
 *
 * Guarantees: the copy has no write-ahead log and needs none: who calls has
 * flushed.
 *
 * @module
 */

import { StorageError } from "../../runtime/mod.ts";
import { Manifest } from "../manifest/manifest.ts";
import { ManifestState } from "../manifest/state.ts";
import { isStoreFile, joinPath, tableName } from "../names.ts";
import { makeDirectory } from "../recovery.ts";
import type { Store } from "../store.ts";
import { removeStoreFiles } from "./destroy.ts";

/**
 * Makes a checkpoint in `dir`.
 *
 * @throws {StorageError} If the directory is in use, or cannot be written; what
 * was made there is then removed, as far as that goes.
 */
export async function makeCheckpoint(store: Store, dir: string): Promise<void> {
  const { files } = store;
  await makeDirectory(files, dir);
  const { edit, version } = await store.pin();
  const tables = edit.added ?? [];
  if (files.list(dir).some(isStoreFile)) {
    version.release();
    throw new StorageError("make a checkpoint in", dir, "a store is in it");
  }
  try {
    for (const { info } of tables) {
      const name = tableName(info.number);
      files.link(joinPath(store.dir, name), joinPath(dir, name));
      await store.settings.yieldNow();
    }
    const state = new ManifestState();
    const { nextNumber, lastSeq } = edit;
    state.apply({ nextNumber: nextNumber!, lastSeq: lastSeq!, added: tables });
    const manifest = await Manifest.create(
      { files, dir },
      store.storeId,
      { state },
    );
    manifest.close();
  } catch (error) {
    // The error says more than what might come of this.
    await removeStoreFiles(files, dir, files.list(dir)).catch(() => {});
    throw error;
  } finally {
    version.release();
  }
  store.emit({
    type: "checkpoint",
    dir,
    tables: tables.length,
    bytes: tables.reduce((sum, { info }) => sum + info.size, 0),
  });
}
