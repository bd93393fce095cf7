/**
 * Threads of the platform.
 *
 * Guarantees: a thread keeps the process alive only while a call is under way. A
 * call ends with the answer, or with an error if the module fails or the thread
 * dies or falls silent; it never hangs on a dead thread. Where the source may not be loaded into
 * a thread with the permissions at hand there is none, and nobody is asked.
 *
 * @module
 */

import { Worker } from "node:worker_threads";
import type { Workers, WorkerThread } from "../runtime.ts";

/**
 * A thread that says nothing for so long during a call is given up, in
 * milliseconds: it tells of each slice of its work, which takes some of them.
 */
const SILENCE_MS_MAX = 30_000;

const MAIN = new URL("./worker_main.ts", import.meta.url);

/** What a thread sends: a note of a call under way, or its end. */
export type WorkerMessage =
  | { type: "ready" }
  | { type: "note" }
  | { type: "answer"; value: unknown }
  | { type: "error"; error: unknown };

/** Starts threads of the platform. */
export class DenoWorkers implements Workers {
  /** Starts a thread that serves with `module`; `undefined` where it may not. */
  start(module: string): WorkerThread | undefined {
    if (!mayLoad(MAIN) || !mayLoad(new URL(module))) return undefined;
    try {
      return new DenoWorkerThread(module);
    } catch {
      // The host has no threads, or not for us.
      return undefined;
    }
  }
}

/** A thread needs the permission to read, or import, its own source. */
function mayLoad({ protocol, host, pathname }: URL): boolean {
  const descriptor: Deno.PermissionDescriptor = protocol === "file:"
    ? { name: "read", path: decodeURIComponent(pathname) }
    : { name: "import", host };
  return Deno.permissions.querySync(descriptor).state === "granted";
}

class DenoWorkerThread implements WorkerThread {
  readonly #worker: Worker;
  #call:
    | {
      request: unknown;
      end: PromiseWithResolvers<unknown>;
      onNote: () => void;
    }
    | undefined;
  #ready = false;
  #dead: Error | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(module: string) {
    this.#worker = new Worker(MAIN, { workerData: { module } });
    this.#worker.unref();
    this.#worker.on("message", (message: WorkerMessage) => {
      if (message.type === "ready") this.#begin();
      else if (message.type === "note") {
        this.#watch();
        this.#call?.onNote();
      } else this.#settle(message);
    });
    this.#worker.on("error", (error) => this.#die(error));
    this.#worker.on("exit", () => this.#die(new Error("the thread has ended")));
  }

  call(request: unknown, onNote: () => void): Promise<unknown> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead);
    const end = Promise.withResolvers<unknown>();
    this.#call = { request, end, onNote };
    this.#worker.ref();
    this.#watch();
    if (this.#ready) this.#worker.postMessage(request);
    return end.promise;
  }

  /** The thread listens from now on: what was sent before would be lost. */
  #begin(): void {
    this.#ready = true;
    if (this.#call !== undefined) {
      this.#worker.postMessage(this.#call.request);
    }
  }

  /** Waits for the next sign of life of a call. */
  #watch(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#die(new Error(`the thread was silent for ${SILENCE_MS_MAX} ms`));
      void this.#worker.terminate();
    }, SILENCE_MS_MAX);
  }

  close(): void {
    this.#die(new Error("the thread was closed"));
    void this.#worker.terminate();
  }

  #die(error: Error): void {
    this.#dead ??= error;
    this.#settle({ type: "error", error });
  }

  #settle(message: Exclude<WorkerMessage, { type: "note" | "ready" }>): void {
    const call = this.#call;
    if (call === undefined) return;
    this.#call = undefined;
    clearTimeout(this.#silence);
    this.#worker.unref();
    if (message.type === "answer") call.end.resolve(message.value);
    else call.end.reject(message.error);
  }
}
