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
  /** Threads that were started. */
  started: number;
  /** Times that a thread was closed. */
  closed: number;
  /** Ends all threads, as ones do that have nothing to do. */
  endAll(): void;
}

/** How such threads are. */
export interface InlineOptions {
  /** How many run at a time: 4 by default. */
  readonly parallelism?: number;
  /** Awaited at each slice of work: resolved by default. */
  readonly yieldNow?: () => Promise<void>;
  /** Awaited before each call. */
  readonly onCall?: (kind: Job["kind"]) => Promise<void> | undefined;
  /** Called at each slice of a call's work, as if all were awaited. */
  readonly onSlice?: (kind: Job["kind"]) => void;
  /** Awaited before each answer. */
  readonly onAnswer?: (kind: Job["kind"]) => Promise<void> | undefined;
}

const ALWAYS = new Int32Array(new SharedArrayBuffer(4)).fill(1);

/** Workers over `files`. */
export function inlineWorkers(
  files: FileSystem,
  {
    parallelism = 4,
    yieldNow = () => Promise.resolve(),
    onCall,
    onSlice,
    onAnswer,
  }: InlineOptions = {},
): InlineWorkers {
  let endings = 0;
  return {
    parallelism,
    calls: { flush: 0, compaction: 0 },
    started: 0,
    closed: 0,
    endAll: () => void endings++,
    start(module) {
      if (!module.endsWith("/compaction/worker.ts")) {
        throw new Error(`Cannot start "${module}": it is no known program`);
      }
      this.started++;
      const answer = serve({ files, yieldNow });
      let upSince = -1;
      return {
        get isUp() {
          return upSince === endings;
        },
        call: async (request, onNote) => {
          upSince = endings;
          const { job, stop, awaited } = request as WorkerRequest;
          const { kind } = job;
          this.calls[kind]++;
          await onCall?.(kind);
          const tables = await answer(
            {
              job: structuredClone(job),
              stop,
              awaited: onSlice === undefined ? awaited : ALWAYS,
            },
            () => {
              onSlice?.(kind);
              onNote();
            },
          );
          await onAnswer?.(kind);
          return structuredClone(tables);
        },
        close: () => void this.closed++,
      };
    },
  };
}
