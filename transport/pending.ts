/**
 * The requests of one connection that wait for their replies.
 *
 * Guarantees: each ends exactly once, by its reply, its deadline, its signal or
 * the end of the connection, and then holds neither timer, nor listener, nor a
 * place in the queue. The error says whether the peer may have done it: not if no
 * frame of it was taken for writing.
 *
 * @module
 */

import {
  DeadlineExceededError,
  OutcomeUnknownError,
  type Timers,
} from "../runtime/mod.ts";
import { messageName } from "./registry.ts";
import type { Outgoing } from "./send_queue.ts";

/** A request that begins to wait. */
export interface Waiting {
  /** What is sent. */
  readonly message: Outgoing;
  /** How long it may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Gives it up when aborted; not aborted yet. */
  readonly signal: AbortSignal | undefined;
  /** Makes room for others; called once, when it is over. */
  readonly leave: () => void;
  readonly resolve: (payload: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/** What pending requests need. */
export interface PendingOptions {
  /** Sets the deadlines. */
  readonly timers: Timers;
  /** The error of a request that did not reach the peer. */
  readonly unsent: (type: number, cause: unknown) => unknown;
  /** A request no longer waits for the reply of this correlation. */
  readonly ended: (correlation: number) => void;
  /** A request was given up by its deadline or its signal. */
  readonly gaveUp: () => void;
}

interface Pending {
  readonly waiting: Waiting;
  readonly release: () => void;
}

/** The requests that wait, by correlation. */
export class PendingRequests {
  readonly #options: PendingOptions;
  readonly #pending = new Map<number, Pending>();

  constructor(options: PendingOptions) {
    this.#options = options;
  }

  /** How many wait. */
  get size(): number {
    return this.#pending.size;
  }

  /** Whether a request waits for the reply of this correlation. */
  has(correlation: number): boolean {
    return this.#pending.has(correlation);
  }

  /** Whether a request that waits was begun to be written. */
  started(correlation: number): boolean {
    return this.#pending.get(correlation)!.waiting.message.started;
  }

  /** Begins to wait. */
  add(waiting: Waiting): void {
    const { message, timeoutMs, signal, leave } = waiting;
    const { correlation, type } = message;
    const onAbort = () => this.#giveUp(correlation, signal!.reason);
    const expire = () => {
      const action = `send ${messageName(type)}`;
      this.#giveUp(correlation, new DeadlineExceededError(action, timeoutMs));
    };
    const timer = this.#options.timers.set(expire, timeoutMs, {
      persistent: true,
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    const release = () => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      leave();
    };
    this.#pending.set(correlation, { waiting, release });
  }

  /** The reply came. */
  resolve(correlation: number, payload: Uint8Array): void {
    this.#take(correlation).resolve(payload);
  }

  /** The reply came, and says that it failed. */
  reject(correlation: number, error: unknown): void {
    this.#take(correlation).reject(error);
  }

  /** The connection ended: so do all. */
  rejectAll(cause: unknown): void {
    for (const correlation of [...this.#pending.keys()]) {
      const { message, reject } = this.#take(correlation);
      reject(
        message.started
          ? outcomeUnknown(message, cause)
          : this.#options.unsent(message.type, cause),
      );
    }
  }

  #giveUp(correlation: number, cause: unknown): void {
    const { message, reject } = this.#take(correlation);
    message.cancelled = true;
    if (message.started) reject(outcomeUnknown(message, cause));
    else if (cause instanceof DeadlineExceededError) {
      reject(this.#options.unsent(message.type, cause));
    } else reject(cause);
    this.#options.gaveUp();
  }

  #take(correlation: number): Waiting {
    const { waiting, release } = this.#pending.get(correlation)!;
    this.#pending.delete(correlation);
    release();
    this.#options.ended(correlation);
    return waiting;
  }
}

function outcomeUnknown({ type }: Outgoing, cause: unknown): Error {
  return new OutcomeUnknownError(`${messageName(type)} request`, { cause });
}
