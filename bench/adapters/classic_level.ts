/** LevelDB as an engine: every answer is a promise. */

import type { IterateOptions, KV, KVReader } from "../../engine/kv.ts";
import {
  assertKeys,
  AwaitedIterator,
  boundsOf,
  emptyIterator,
  Life,
  owned,
  snapshotOf,
} from "./kv.ts";
import {
  type LevelDatabase,
  type LevelOp,
  type LevelSnapshot,
  openClassicLevel,
  type StoreSettings,
} from "../peers/settings.ts";

/** LevelDB itself has no smaller limit that matters. */
const KEY_BYTES_MAX = 65_535;

/** Opens a LevelDB as an engine. */
export async function openClassicLevelKv(
  dir: string,
  settings: StoreSettings,
): Promise<KV> {
  const db = await openClassicLevel(dir, settings);
  const life = new Life();
  // Its thread pool would let batches overtake each other.
  let last: Promise<void> = Promise.resolve();
  let closing: Promise<void> | undefined;
  return {
    synchronous: false,
    ...readerOf(db, life),
    async write(batch, options = {}) {
      life.assertOpen("write");
      assertKeys(batch, KEY_BYTES_MAX);
      const ops = batch.map(({ key, value }): LevelOp =>
        value === undefined ? { type: "del", key } : { type: "put", key, value }
      );
      const done = last.then(() =>
        db.batch(ops, { sync: options.sync ?? false })
      );
      last = done.catch(() => {});
      await done;
    },
    // deno-lint-ignore require-await -- its errors are to be rejections
    async snapshot() {
      life.assertOpen("take a snapshot");
      const snapshot = db.snapshot();
      return snapshotOf(
        life,
        readerOf(db, life, snapshot),
        () => snapshot.close(),
      );
    },
    close() {
      life.end();
      return closing ??= last.then(() => db.close());
    },
  };
}

function readerOf(
  db: LevelDatabase,
  life: Life,
  snapshot?: LevelSnapshot,
): KVReader {
  const state = snapshot === undefined ? {} : { snapshot };
  return {
    async get(key) {
      life.assertOpen("read");
      const value = await db.get(key, state);
      return value && owned(value);
    },
    iterate(options: IterateOptions = {}) {
      life.assertOpen("iterate");
      const { start, end, empty } = boundsOf(options);
      if (empty) return emptyIterator(life);
      const iterator = db.iterator({
        ...start === undefined ? {} : { gte: start },
        ...end === undefined ? {} : { lt: end },
        ...state,
        reverse: options.reverse ?? false,
      });
      return new AwaitedIterator(
        life,
        () => iterator.next(),
        () => iterator.close(),
      );
    },
  };
}
