/**
 * SQLite as an engine. A connection sees its own writes at once, so every
 * iterator and snapshot has a connection of its own, in a read transaction.
 */

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
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
import { sqlitePragmas, type StoreSettings } from "../peers/settings.ts";

/** What a blob may have is far beyond. */
const KEY_BYTES_MAX = 65_535;

/** Opens a SQLite database as an engine. */
// deno-lint-ignore require-await -- its errors are to be rejections
export async function openNodeSqliteKv(
  dir: string,
  settings: StoreSettings,
): Promise<KV> {
  return openAt(`${dir}/data.sqlite`, settings);
}

interface Shared {
  readonly life: Life;
  /** A connection that sees the state of this moment until it is released. */
  freeze(): DatabaseSync;
  release(connection: DatabaseSync): void;
}

function openAt(path: string, settings: StoreSettings): KV {
  const db = new DatabaseSync(path);
  db.exec(sqlitePragmas(settings));
  const upsert = db.prepare("INSERT OR REPLACE INTO kv VALUES (?, ?)");
  const remove = db.prepare("DELETE FROM kv WHERE key = ?");
  const connections = new Set<DatabaseSync>();
  const shared: Shared = {
    life: new Life(),
    freeze() {
      const connection = new DatabaseSync(path, { readOnly: true });
      connections.add(connection);
      // A transaction sees from its first read on.
      connection.exec("BEGIN; SELECT 1 FROM kv LIMIT 1");
      return connection;
    },
    release(connection) {
      connections.delete(connection);
      connection.close();
    },
  };
  const { life } = shared;
  const syncedNow = settings.synced ? "FULL" : "OFF";
  return {
    synchronous: true,
    ...readerOf(db, shared, false),
    // deno-lint-ignore require-await -- its errors are to be rejections
    async write(batch, options = {}) {
      life.assertOpen("write");
      assertKeys(batch, KEY_BYTES_MAX);
      if (options.sync) db.exec("PRAGMA synchronous=FULL");
      db.exec("BEGIN IMMEDIATE");
      try {
        for (const { key, value } of batch) {
          if (value === undefined) remove.run(key);
          else upsert.run(key, value);
        }
        db.exec("COMMIT");
      } catch (error) {
        db.exec("ROLLBACK");
        throw error;
      } finally {
        if (options.sync) db.exec(`PRAGMA synchronous=${syncedNow}`);
      }
    },
    snapshot() {
      life.assertOpen("take a snapshot");
      const connection = shared.freeze();
      return snapshotOf(
        life,
        readerOf(connection, shared, true),
        () => shared.release(connection),
      );
    },
    close() {
      if (!life.end()) return;
      for (const connection of connections) connection.close();
      db.close();
    },
  };
}

/** @param frozen Whether the connection stands in a read transaction. */
function readerOf(
  db: DatabaseSync,
  shared: Shared,
  frozen: boolean,
): KVReader {
  const { life } = shared;
  const select = db.prepare("SELECT value FROM kv WHERE key = ?");
  return {
    get(key) {
      life.assertOpen("read");
      const row = select.get(key) as { value: Uint8Array } | undefined;
      return row && owned(row.value);
    },
    iterate(options: IterateOptions = {}) {
      life.assertOpen("iterate");
      const { start, end, empty } = boundsOf(options);
      if (empty) return emptyIterator(life);
      const connection = frozen ? db : shared.freeze();
      const where = [
        ...start === undefined ? [] : ["key >= ?"],
        ...end === undefined ? [] : ["key < ?"],
      ];
      const bounds: SQLInputValue[] = [start, end]
        .filter((bound) => bound !== undefined);
      const rows = connection.prepare(
        `SELECT key, value FROM kv ${
          where.length === 0 ? "" : `WHERE ${where.join(" AND ")}`
        } ORDER BY key ${options.reverse ? "DESC" : "ASC"}`,
      ).iterate(...bounds);
      return new SyncIterator(life, entriesOf(rows), () => {
        if (!frozen) shared.release(connection);
      });
    },
  };
}

function* entriesOf(rows: Iterable<unknown>): Generator<Entry> {
  for (const row of rows) {
    const { key, value } = row as { key: Uint8Array; value: Uint8Array };
    yield [key, value];
  }
}
