/**
 * LevelDB by `classic-level`: `view` encodings; `getSync` where no promise is
 * asked for; array batches; scans by `nextv(1000)` with a high-water mark that
 * never cuts those thousand short.
 *
 * LevelDB compacts in a thread that tells nobody when it is done. Idle is when
 * the process has handed nothing to the system's write calls for a while; the
 * wait itself is not counted.
 */

import {
  loadClassicLevel,
  openClassicLevel,
  type StoreSettings,
} from "../peers/settings.ts";
import { quietSince } from "../engine/meter.ts";
import type { Subject, SubjectKind } from "../engine/subject.ts";

/** LevelDB. */
export const classicLevel: SubjectKind = {
  volatile: false,
  load: loadClassicLevel,
  open,
};

const ROWS = 1000;

async function open(
  dir: string,
  settings: StoreSettings,
): Promise<Subject<Uint8Array>> {
  const db = await openClassicLevel(dir, settings);
  const synced = { sync: true };
  return {
    key: (bytes) => bytes,
    getSync: (key) => db.getSync(key),
    get: (key) => db.get(key),
    async scan({ start, reverse, limit }, visit) {
      const iterator = db.iterator({
        ...start === undefined ? {} : { gte: start },
        ...limit === undefined ? {} : { limit },
        reverse: reverse ?? false,
        highWaterMarkBytes: ROWS * 1024,
      });
      const rows = Math.min(ROWS, limit ?? ROWS);
      for (
        let page = await iterator.nextv(rows);
        page.length > 0;
        page = await iterator.nextv(rows)
      ) {
        for (const [key, value] of page) visit(key, value);
      }
      await iterator.close();
    },
    writeBatch(keys, values, from, to) {
      const ops = new Array(to - from);
      for (let i = from; i < to; i++) {
        ops[i - from] = {
          type: "put",
          key: keys[i]!,
          value: values[i - from]!,
        };
      }
      return db.batch(ops);
    },
    put: (key, value) => db.put(key, value),
    putSynced: (key, value) => db.put(key, value, synced),
    remove: (key) => db.batch([{ type: "del", key }]),
    idle: quietSince,
    close: () => db.close(),
  };
}
