/**
 * Threads that are none: flushes and compactions that are meant for one run in
 * this thread, by its program, and all that it is told and tells is copied.
 *
 * @module
 */

import type { FileSystem, Workers } from "../../runtime/mod.ts";
import type { Job } from "../compaction/job.ts";
import { serve, type WorkerRequest } from "../compaction/worker.ts";

/** What has been asked of threads that are none. */
export interface InlineWorkers extends Workers {
  /** Calls so far, by what was to be done. */
  calls: Record<Job["kind"], number>;
  /** Threads that were closed. */
  closed: number;
}

/** Workers over `files`; `onCall` is awaited before each call. */
export function inlineWorkers(
  files: FileSystem,
  onCall: (kind: Job["kind"]) => Promise<void> = () => Promise.resolve(),
): InlineWorkers {
  return {
    calls: { flush: 0, compaction: 0 },
    closed: 0,
    start(module) {
      if (!module.endsWith("/compaction/worker.ts")) {
        throw new Error(`Cannot start "${module}": it is no known program`);
      }
      const answer = serve({ files });
      return {
        call: async (request, onNote) => {
          const { job, stop } = request as WorkerRequest;
          this.calls[job.kind]++;
          await onCall(job.kind);
          return structuredClone(
            await answer({ job: structuredClone(job), stop }, onNote),
          );
        },
        close: () => void this.closed++,
      };
    },
  };
}
