/**
 * Runs jobs that write tables: in a thread of their own where there is one, else
 * in this one.
 *
 * Guarantees: a thread is started by a job that is worth it, and while it is up runs
 * small ones too: what it does often is fast there, and slow where it is new. If it fails
 * or dies, for whatever reason, the job is done again in this thread, where an
 * error has its true type, and no thread is used from then on. Its tables then
 * have numbers that were kept for that: one of a later job stays the newer one. Once `stop` was
 * called a job ends at its next slice, and no thread writes any more when it has.
 *
 * @module
 */

import type { Workers, WorkerThread } from "../../runtime/mod.ts";
import type { Store } from "../store.ts";
import type { TableInfo } from "../table/format.ts";
import { bytesOf, type Job, JobQueue } from "./job.ts";
import type { WorkerRequest } from "./worker.ts";

/** Thrown out of a job that is to end because the store closes. */
export class StoppedError extends Error {
  override readonly name = "StoppedError";
}

/** Writers wait for tables of flushes, not for slices. */
const NOT_AWAITED = new Int32Array(new SharedArrayBuffer(4));

/** Runs jobs, in the order in which they are handed in. */
export class Runner {
  readonly #store: Store;
  readonly #onSlice: () => void;
  readonly #onFailed: (error: unknown) => void;
  readonly #jobs = new JobQueue();
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  #workers: Workers | undefined;
  #thread: WorkerThread | undefined;

  /**
   * Uses a thread of `workers`, if there are any, and calls `onFailed` if that has
   * failed. Calls `onSlice` after each slice of work in this thread; after each of
   * another, if the store waits for slices, else after some.
   */
  constructor(
    store: Store,
    workers: Workers | undefined,
    onSlice: () => void,
    onFailed: (error: unknown) => void,
  ) {
    this.#store = store;
    this.#workers = workers;
    this.#onSlice = onSlice;
    this.#onFailed = onFailed;
  }

  /** Runs a job; resolves with the tables that were written, all synced. */
  async run(job: Job): Promise<TableInfo[]> {
    const thread = this.#threadFor(job);
    if (thread !== undefined) {
      try {
        const request: WorkerRequest = {
          job,
          stop: this.#stop,
          awaited: job.kind === "compaction"
            ? this.#store.slicesAwaited
            : NOT_AWAITED,
        };
        return await thread.call(request, this.#onSlice) as TableInfo[];
      } catch (error) {
        this.#assertGoesOn();
        this.#giveUp(thread, error);
        // Its tables, begun or done, stay behind as orphans.
        job = { ...job, firstNumber: job.firstNumber + job.numbers };
      }
    }
    return await this.#jobs.run(this.#store, job, {
      pause: () => this.#pause(),
      filter: this.#store.settings.compactionFilter,
    });
  }

  /** Ends the job under way at its next slice, and all later ones. */
  stop(): void {
    Atomics.store(this.#stop, 0, 1);
  }

  /** Ends the thread, and with it what it has under way. Idempotent. */
  close(): void {
    this.#thread?.close();
    this.#thread = undefined;
  }

  /** Goes on without threads. Told once, however many jobs were under way. */
  #giveUp(thread: WorkerThread, error: unknown): void {
    if (this.#thread !== thread) return;
    this.#workers = undefined;
    this.close();
    this.#onFailed(error);
  }

  #threadFor(job: Job): WorkerThread | undefined {
    this.#thread ??= this.#workers?.start(
      new URL("./worker.ts", import.meta.url).href,
    );
    const thread = this.#thread;
    if (thread === undefined) this.#workers = undefined;
    else if (
      !thread.isUp && bytesOf(job) < this.#store.settings.workerBytes
    ) return undefined;
    return thread;
  }

  async #pause(): Promise<void> {
    this.#onSlice();
    await this.#store.settings.yieldNow();
    this.#assertGoesOn();
  }

  #assertGoesOn(): void {
    if (Atomics.load(this.#stop, 0) !== 0) throw new StoppedError();
  }
}
