/**
 * A thread that is none: compactions that are meant for one run in this thread,
 * by its program, and all that it is told and tells is copied.
 *
 * @module
 */

import type { FileSystem, Workers } from "../../runtime/mod.ts";
import { serve } from "../compaction/worker.ts";

/** What has been asked of a thread that is none. */
export interface InlineWorkers extends Workers {
  /** Calls so far. */
  calls: number;
  /** Threads that were closed. */
  closed: number;
}

/** Workers over `files`; `onCall` is awaited before each call. */
export function inlineWorkers(
  files: FileSystem,
  onCall: () => Promise<void> = () => Promise.resolve(),
): InlineWorkers {
  return {
    calls: 0,
    closed: 0,
    start(module) {
      if (!module.endsWith("/compaction/worker.ts")) {
        throw new Error(`Cannot start "${module}": it is no known program`);
      }
      const answer = serve({ files });
      return {
        call: async (request, onNote) => {
          this.calls++;
          await onCall();
          const { job, stop } = request as { job: object; stop: unknown };
          return structuredClone(
            await answer({ job: structuredClone(job), stop }, onNote),
          );
        },
        close: () => void this.closed++,
      };
    },
  };
}
