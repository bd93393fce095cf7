/**
 * What a thread of a store serves: flushes and compactions, one after the other
 * but for the wait for the device. It opens the tables itself, and leaves nothing
 * open behind.
 *
 * @module
 */

import type { WorkerTools } from "../../runtime/mod.ts";
import { BlockCache } from "../cache/block_cache.ts";
import { FileCache } from "../cache/file_cache.ts";
import type { TableInfo } from "../table/format.ts";
import { type Job, JobQueue } from "./job.ts";

/** Memory for indexes of the tables that are merged, in bytes. */
const CACHE_BYTES = 8 * 1024 * 1024;
/** Tables that are open at a time: level 0, and one of the level below. */
const OPEN_FILES_MAX = 64;

/**
 * Work from one note to the next if nobody waits for slices, in bytes: it must be
 * known that the thread gets on, but each note is a turn of the program's event loop.
 */
export const NOTE_BYTES = 4 * 1024 * 1024;

/** What the thread is asked. */
export interface WorkerRequest {
  /** What to do. */
  readonly job: Job;
  /** Shared with who asks: not 0 once the job is to stop. */
  readonly stop: Int32Array<SharedArrayBuffer>;
  /** Shared with who asks: not 0 while each slice is waited for. */
  readonly awaited: Int32Array<SharedArrayBuffer>;
}

/** Makes the function that answers a request with the infos of the tables. */
export function serve(
  { files, yieldNow }: WorkerTools,
): (request: unknown, note: () => void) => Promise<TableInfo[]> {
  const jobs = new JobQueue();
  return async (request, note) => {
    const { job, stop, awaited } = request as WorkerRequest;
    const slicesPerNote = Math.ceil(NOTE_BYTES / job.sliceBytes);
    let slices = 0;
    const handles = new FileCache(files, OPEN_FILES_MAX);
    const { dir, storeId } = job;
    const blocks = new BlockCache(CACHE_BYTES);
    try {
      return await jobs.run(
        { files, dir, storeId, handles, blocks, discard() {} },
        job,
        {
          pause() {
            if (Atomics.load(stop, 0) !== 0) throw new Error("it is to stop");
            const isDue = slices++ % slicesPerNote === 0;
            if (isDue || Atomics.load(awaited, 0) !== 0) note();
            // What the device has done meanwhile is told at once.
            return yieldNow();
          },
        },
      );
    } finally {
      handles.closeAll();
    }
  };
}
