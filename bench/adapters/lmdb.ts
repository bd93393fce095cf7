/**
 * LMDB as an engine. Reads answer at once; what an iterator or a snapshot sees
 * is one read transaction.
 */

import type { IterateOptions, KV, KVReader } from "../../engine/kv.ts";
import {
  assertKeys,
  boundsOf,
  emptyIterator,
  type Entry,
  Life,
  owned,
  snapshotOf,
  SyncIterator,
} from "./kv.ts";
import {
  type LmdbDatabase,
  type LmdbTransaction,
  openLmdb,
  type StoreSettings,
} from "../peers/settings.ts";

/** What fits its pages of 4 KiB. */
const KEY_BYTES_MAX = 1978;

/** No key is before this one. */
const FIRST_KEY = new Uint8Array(1);

/** Opens an LMDB as an engine. */
// deno-lint-ignore require-await -- its errors are to be rejections
export async function openLmdbKv(
  dir: string,
  settings: StoreSettings,
): Promise<KV> {
  const db = openLmdb(dir, settings);
  const life = new Life();
  let closing: Promise<void> | undefined;
  return {
    synchronous: true,
    ...readerOf(db, life),
    async write(batch, options = {}) {
      life.assertOpen("write");
      assertKeys(batch, KEY_BYTES_MAX);
      db.transactionSync(() => {
        for (const { key, value } of batch) {
          if (value === undefined) db.removeSync(key);
          else db.putSync(key, value);
        }
      });
      if (options.sync) await db.flushed;
    },
    snapshot() {
      life.assertOpen("take a snapshot");
      const transaction = db.useReadTransaction();
      return snapshotOf(
        life,
        readerOf(db, life, transaction),
        () => transaction.done(),
      );
    },
    close() {
      life.end();
      return closing ??= db.close();
    },
  };
}

function readerOf(
  db: LmdbDatabase,
  life: Life,
  transaction?: LmdbTransaction,
): KVReader {
  const state = transaction === undefined ? undefined : { transaction };
  return {
    get(key) {
      life.assertOpen("read");
      if (key.length === 0 || key.length > KEY_BYTES_MAX) return undefined;
      const value = db.getBinary(key, state);
      return value && owned(value);
    },
    iterate(options: IterateOptions = {}) {
      life.assertOpen("iterate");
      const { start, end, empty } = boundsOf(options);
      if (empty) return emptyIterator(life);
      const own = transaction === undefined
        ? db.useReadTransaction()
        : undefined;
      const reverse = options.reverse ?? false;
      // Going backward, `start` is the upper end.
      const [from, to] = reverse ? [end, start] : [start, end];
      const range = db.getRange({
        ...from === undefined ? {} : { start: owned(from) },
        ...to === undefined
          // Without it, its default would leave out the first keys there are.
          ? reverse ? { end: FIRST_KEY } : {}
          : { end: owned(to) },
        reverse,
        exclusiveStart: reverse && from !== undefined,
        inclusiveEnd: reverse,
        transaction: transaction ?? own!,
      });
      return new SyncIterator(life, entriesOf(range), () => own?.done());
    },
  };
}

function* entriesOf(
  range: Iterable<{ key: Uint8Array; value: Uint8Array }>,
): Generator<Entry> {
  for (const { key, value } of range) yield [key, value];
}
