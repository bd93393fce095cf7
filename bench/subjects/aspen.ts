/**
 * Our engine: reads are synchronous calls of its own class, which are those of
 * the `KV` interface too; writes are batches.
 */

import { type LsmOptions, openLsm } from "../../engine/mod.ts";
import { denoRuntime } from "../../runtime/deno/mod.ts";
import type {
  FileOptions,
  FileSystem,
  RuntimeFile,
} from "../../runtime/mod.ts";
import type { StoreSettings } from "../peers/settings.ts";
import type { Subject, SubjectKind } from "../engine/subject.ts";

/** Our engine. */
export const aspen: SubjectKind = { volatile: false, open };

async function open(
  dir: string,
  settings: StoreSettings,
): Promise<Subject<Uint8Array>> {
  const runtime = denoRuntime();
  let syncs = 0;
  const options: LsmOptions = {
    files: settings.synced
      ? countingSyncs(runtime.files, () => syncs++)
      : runtime.files,
    random: runtime.random,
    clock: runtime.clock,
    // As `open` of mod.ts does it.
    workers: runtime.workers,
    yieldNow: () =>
      new Promise((resolve) => {
        runtime.timers.set(resolve, 0, { persistent: true });
      }),
  };
  if (!settings.defaults) {
    options.cacheBytes = settings.cacheBytes;
    options.memtableBytes = settings.writeBufferBytes;
  }
  const store = await openLsm(dir, options);
  const synced = { sync: true };
  return {
    key: (bytes) => bytes,
    getSync: (key) => store.get(key),
    get: (key) => store.get(key),
    scan({ start, reverse, limit = Infinity }, visit) {
      const iterator = store.iterate({ start, reverse });
      let left = limit;
      while (left-- > 0 && iterator.next()) {
        visit(iterator.key, iterator.value);
      }
      iterator.close();
    },
    writeBatch(keys, values, from, to) {
      const ops = new Array(to - from);
      for (let i = from; i < to; i++) {
        ops[i - from] = { key: keys[i]!, value: values[i - from]! };
      }
      return store.write(ops);
    },
    put: (key, value) => store.write([{ key, value }]),
    putSynced: (key, value) => store.write([{ key, value }], synced),
    remove: (key) => store.write([{ key, value: undefined }]),
    async idle() {
      await store.idle();
      return performance.now();
    },
    logSyncs: () => syncs,
    close: () => store.close(),
  };
}

/** The same files, with each sync of a log told. */
function countingSyncs(files: FileSystem, onSync: () => void): FileSystem {
  const counted: FileSystem = Object.create(files);
  counted.open = (path: string, options: FileOptions): RuntimeFile => {
    const file = files.open(path, options);
    if (!path.endsWith(".wal")) return file;
    const syncData = file.syncData.bind(file);
    file.syncData = () => {
      onSync();
      return syncData();
    };
    return file;
  };
  return counted;
}
