/**
 * Waiting on timers that are handed in: the only way by which product code
 * waits for time to pass.
 *
 * @module
 */

import type { Timers } from "./runtime.ts";
import { DeadlineExceededError } from "./errors.ts";

/** Options for {@linkcode sleep}. */
export interface SleepOptions {
  /** Ends the wait; the promise then rejects with its reason. */
  signal?: AbortSignal | undefined;
  /**
   * Whether the wait keeps the process alive.
   *
   * @default {false}
   */
  persistent?: boolean;
}

/** Waits `delayMs` milliseconds. */
export function sleep(
  timers: Timers,
  delayMs: number,
  options: SleepOptions = {},
): Promise<void> {
  const { signal, persistent = false } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer.cancel();
      reject(signal!.reason);
    };
    const timer = timers.set(
      () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      },
      delayMs,
      { persistent },
    );
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** A signal that combines a caller's with a deadline. */
export interface Deadline extends Disposable {
  /**
   * Aborts with the caller's reason, or with {@linkcode DeadlineExceededError}.
   */
  readonly signal: AbortSignal;
}

/**
 * Starts a deadline. Dispose it when the work is done, or its timer stays.
 *
 * @param action What the deadline is for, for the error's message.
 */
export function startDeadline(
  timers: Timers,
  timeoutMs: number,
  action: string,
  signal?: AbortSignal | undefined,
): Deadline {
  const controller = new AbortController();
  if (signal?.aborted) {
    controller.abort(signal.reason);
    return { signal: controller.signal, [Symbol.dispose]() {} };
  }
  const onAbort = () => controller.abort(signal!.reason);
  const timer = timers.set(
    () => controller.abort(new DeadlineExceededError(action, timeoutMs)),
    timeoutMs,
    { persistent: true },
  );
  signal?.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    },
  };
}

/**
 * Settles as `promise` does, or rejects with the signal's reason when that
 * aborts first; the promise's own end is then ignored.
 */
export function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      promise.catch(() => {});
      return reject(signal.reason);
    }
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener("abort", onAbort);
        resolve(value);
      },
      (error) => {
        signal.removeEventListener("abort", onAbort);
        reject(error);
      },
    );
  });
}
