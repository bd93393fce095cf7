/**
 * SQLite by `node:sqlite`: one table without rowid, prepared statements that
 * answer with arrays, batches in one transaction. It works in the calling
 * thread only, so it is idle whenever a call has returned.
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { sqlitePragmas, type StoreSettings } from "../peers/settings.ts";
import type { Subject, SubjectKind } from "../engine/subject.ts";

/** SQLite. */
export const nodeSqlite: SubjectKind = { volatile: false, open };

type Row = [Uint8Array, Uint8Array];

/** What the platform's types do not know yet. */
interface ArrayStatement extends StatementSync {
  setReturnArrays(enabled: boolean): void;
}

function open(
  dir: string,
  settings: StoreSettings,
): Promise<Subject<Uint8Array>> {
  const db = new DatabaseSync(`${dir}/data.sqlite`);
  db.exec(sqlitePragmas(settings));
  const arrays = (sql: string): StatementSync => {
    const statement = db.prepare(sql) as ArrayStatement;
    statement.setReturnArrays(true);
    return statement;
  };
  const select = arrays("SELECT value FROM kv WHERE key = ?");
  const upsert = db.prepare("INSERT OR REPLACE INTO kv VALUES (?, ?)");
  const remove = db.prepare("DELETE FROM kv WHERE key = ?");
  const begin = db.prepare("BEGIN");
  const commit = db.prepare("COMMIT");
  const forward = arrays("SELECT key, value FROM kv ORDER BY key LIMIT ?");
  const backward = arrays(
    "SELECT key, value FROM kv ORDER BY key DESC LIMIT ?",
  );
  const from = arrays(
    "SELECT key, value FROM kv WHERE key >= ? ORDER BY key LIMIT ?",
  );
  const get = (key: Uint8Array): Uint8Array | undefined =>
    (select.get(key) as unknown as [Uint8Array] | undefined)?.[0];
  const put = (key: Uint8Array, value: Uint8Array) => upsert.run(key, value);
  return Promise.resolve({
    key: (bytes) => bytes,
    getSync: get,
    get,
    scan({ start, reverse, limit = -1 }, visit) {
      const rows = start !== undefined
        ? from.iterate(start, limit)
        : (reverse ? backward : forward).iterate(limit);
      for (const row of rows) {
        const [key, value] = row as unknown as Row;
        visit(key, value);
      }
    },
    writeBatch(keys, values, first, last) {
      begin.run();
      for (let i = first; i < last; i++) {
        upsert.run(keys[i]!, values[i - first]!);
      }
      commit.run();
    },
    put,
    putSynced: put,
    remove: (key) => remove.run(key),
    idle: () => Promise.resolve(performance.now()),
    close: () => db.close(),
  });
}
