/**
 * Threads of the platform: web workers. They start sooner than those of
 * `node:worker_threads`, which is time of this thread, take less memory, and load
 * modules from where the program itself came, be it a URL.
 *
 * Guarantees: a thread keeps the process alive only while a call is under way, and
 * for {@linkcode IDLE_MS} after, or for as long as the next call is to be expected:
 * then it is ended, and the next call starts it anew. A call ends with the answer, or
 * with an error if the module fails or the thread dies or falls silent; it never
 * hangs on a dead thread. Where the source may not be loaded into a thread with the
 * permissions at hand there is none, and nobody is asked.
 *
 * @module
 */

import type { Workers, WorkerThread } from "../runtime.ts";

/**
 * A thread that says nothing for so long during a call is given up, in
 * milliseconds: it tells of each 4 MiB of its work, or of a slice if that is more.
 */
const SILENCE_MS_MAX = 30_000;

/**
 * A thread that has nothing to do for so long is ended, in milliseconds. A web
 * worker keeps the process alive as long as it lives. But one that is started every
 * few seconds is compiled anew each time: so whoever is asked again after a pause is
 * kept for twice the longest of them, up to `max`. Who is asked more seldom than
 * that is not waited for.
 */
const IDLE_MS = { min: 1_000, max: 10_000 };

const MAIN = new URL("./worker_main.ts", import.meta.url);

/** What a thread sends: that it listens, a note of a call, or a call's end. */
export type WorkerMessage =
  | { type: "ready" }
  | { type: "note"; call: number }
  | { type: "answer"; call: number; value: unknown }
  | { type: "error"; call: number; error: unknown };

/** What a thread is sent. */
export interface WorkerCall {
  /** The number of the call. */
  readonly call: number;
  /** What is asked. */
  readonly request: unknown;
}

/** The least and the most of something. */
interface Range {
  readonly min: number;
  readonly max: number;
}

/** Starts threads of the platform. */
export class DenoWorkers implements Workers {
  readonly #idleMs: Range;

  /** The processors that the platform counts. */
  readonly parallelism: number = navigator.hardwareConcurrency;

  /** Threads end when they had nothing to do for so many milliseconds. */
  constructor(idleMs: Range = IDLE_MS) {
    this.#idleMs = idleMs;
  }

  /**
   * Makes a thread that serves with `module`, started by the first call;
   * `undefined` where it may not.
   */
  start(module: string): WorkerThread | undefined {
    if (typeof Worker === "undefined") return undefined;
    return mayLoad(MAIN) && mayLoad(new URL(module))
      ? new DenoWorkerThread(module, this.#idleMs)
      : undefined;
  }
}

/** A thread needs the permission to read, or import, its own source. */
function mayLoad({ protocol, host, pathname }: URL): boolean {
  const descriptor: Deno.PermissionDescriptor = protocol === "file:"
    ? { name: "read", path: decodeURIComponent(pathname) }
    : { name: "import", host };
  return Deno.permissions.querySync(descriptor).state === "granted";
}

/** A call that is under way. */
interface Call {
  readonly request: unknown;
  readonly end: PromiseWithResolvers<unknown>;
  readonly onNote: () => void;
}

class DenoWorkerThread implements WorkerThread {
  readonly #module: string;
  readonly #range: Range;
  /** How long it is kept without a call, and since when it has had none. */
  #idleMs: number;
  #idleSince: number | undefined;
  #worker: Worker | undefined;
  #ready = false;
  #closed = false;
  readonly #calls = new Map<number, Call>();
  #lastCall = 0;
  /** Ends the thread if it is silent, or has nothing to do, for too long. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(module: string, range: Range) {
    this.#module = module;
    this.#range = range;
    this.#idleMs = range.min;
  }

  get isUp(): boolean {
    return this.#worker !== undefined;
  }

  call(request: unknown, onNote: () => void): Promise<unknown> {
    if (this.#closed) {
      return Promise.reject(new Error("the thread was closed"));
    }
    this.#awake();
    const call = ++this.#lastCall;
    const end = Promise.withResolvers<unknown>();
    this.#calls.set(call, { request, end, onNote });
    try {
      this.#worker ??= this.#start();
    } catch (error) {
      // The host has no threads, or not for us.
      this.#calls.delete(call);
      end.reject(error);
      return end.promise;
    }
    if (this.#ready) this.#send(call, request);
    this.#watch();
    return end.promise;
  }

  close(): void {
    this.#closed = true;
    this.#end(new Error("the thread was closed"));
  }

  /** A call comes: another one is to be expected after as long a pause. */
  #awake(): void {
    if (this.#idleSince === undefined) return;
    const { min, max } = this.#range;
    const pause = performance.now() - this.#idleSince;
    this.#idleSince = undefined;
    this.#idleMs = pause > max
      ? min
      : Math.min(max, Math.max(this.#idleMs, 2 * pause));
  }

  #send(call: number, request: unknown): void {
    try {
      this.#worker!.postMessage({ call, request });
    } catch (error) {
      // It cannot be copied.
      this.#calls.get(call)?.end.reject(error);
      this.#calls.delete(call);
    }
  }

  #start(): Worker {
    const worker = new Worker(MAIN, { type: "module", name: this.#module });
    // What one says that was given up is heard no more.
    worker.onmessage = ({ data }) => {
      if (worker === this.#worker) this.#hear(data);
    };
    worker.onerror = (event) => {
      // Else it would end the program.
      event.preventDefault();
      if (worker === this.#worker) this.#end(new Error(event.message));
    };
    return worker;
  }

  #hear(message: WorkerMessage): void {
    if (message.type === "ready") {
      // What was sent before it listened would have been lost.
      this.#ready = true;
      for (const [call, { request }] of this.#calls) this.#send(call, request);
      return;
    }
    const call = this.#calls.get(message.call);
    if (message.type === "note") call?.onNote();
    else {
      this.#calls.delete(message.call);
      if (message.type === "answer") call?.end.resolve(message.value);
      else call?.end.reject(message.error);
    }
    this.#watch();
  }

  /** Waits for the next sign of life, or the next call. */
  #watch(): void {
    clearTimeout(this.#timer);
    const busy = this.#calls.size > 0;
    if (!busy) this.#idleSince = performance.now();
    this.#timer = setTimeout(
      () =>
        this.#end(new Error(`the thread was silent for ${SILENCE_MS_MAX} ms`)),
      busy ? SILENCE_MS_MAX : this.#idleMs,
    );
  }

  #end(error: Error): void {
    clearTimeout(this.#timer);
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#ready = false;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { end } of calls) end.reject(error);
  }
}
