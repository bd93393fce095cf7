/**
 * LMDB by `lmdb`: binary keys and values, `getBinary`, ranges, and batches in
 * the faster of the two documented ways. All its writing is done when a commit
 * resolves, so it is idle then.
 */

import {
  LMDB_BATCH,
  loadLmdb,
  openLmdb,
  type StoreSettings,
} from "../peers/settings.ts";
import type { Subject, SubjectKind } from "../engine/subject.ts";

/** LMDB. */
export const lmdb: SubjectKind = { volatile: false, load: loadLmdb, open };

function open(
  dir: string,
  settings: StoreSettings,
): Promise<Subject<Uint8Array>> {
  const db = openLmdb(dir, settings);
  return Promise.resolve({
    key: (bytes) => bytes,
    getSync: (key) => db.getBinary(key),
    get: (key) => db.getBinary(key),
    scan({ start, reverse, limit }, visit) {
      const range = db.getRange({
        ...start === undefined ? {} : { start },
        ...limit === undefined ? {} : { limit },
        reverse: reverse ?? false,
      });
      for (const { key, value } of range) visit(key, value);
    },
    writeBatch(keys, values, from, to) {
      if (LMDB_BATCH === "transactionSync") {
        db.transactionSync(() => {
          for (let i = from; i < to; i++) {
            db.putSync(keys[i]!, values[i - from]!);
          }
        });
        return;
      }
      return db.transaction(() => {
        for (let i = from; i < to; i++) db.put(keys[i]!, values[i - from]!);
      });
    },
    put: (key, value) => db.put(key, value),
    async putSynced(key, value) {
      await db.put(key, value);
      await db.flushed;
    },
    remove: (key) => db.remove(key),
    async idle() {
      await db.committed;
      return performance.now();
    },
    close: () => db.close(),
  });
}
