/**
 * The window of requests that one end of a connection has under way.
 *
 * Guarantees: no more at once than the other end works on, which would refuse the
 * rest; those wait, in the order of asking. A few places are left to urgent ones,
 * for which others never make it wait.
 *
 * A request that is given up is under way no more, although the other end may still
 * work on it: if it kept its place, an end that never answers some requests would
 * hold up all. Such an end may have more in work than it takes, and refuse what comes
 * then.
 *
 * Assumes: each request that was asked leaves once. What waits is bounded by who
 * asks: each has a deadline.
 *
 * @module
 */

import { isUrgent } from "./registry.ts";
import type { Outgoing } from "./send_queue.ts";

/** Requests that the other end could work on and that are left to urgent ones. */
const URGENT_ROOM = 8;

/** What a window is made of. */
export interface RequestWindowOptions {
  /** Requests that the other end works on at once. */
  readonly max: number;
  /** Has a message sent; returns what takes it back while it waits for room. */
  readonly send: (message: Outgoing) => (() => void) | undefined;
}

/** Lets requests through as earlier ones end. */
export class RequestWindow {
  readonly #options: RequestWindowOptions;
  /** Those under way, and what takes them back. */
  readonly #underWay = new Map<Outgoing, (() => void) | undefined>();
  /** Those that wait: urgent ones, and others. */
  readonly #waiting = [new Set<Outgoing>(), new Set<Outgoing>()] as const;
  #closed = false;

  /** Makes an empty window. */
  constructor(options: RequestWindowOptions) {
    this.#options = options;
  }

  /** Sends a request now or later; returns what is to be called when it is over. */
  ask(message: Outgoing): () => void {
    if (this.#fits(message)) this.#send(message);
    else this.#waiting[isUrgent(message.type) ? 0 : 1].add(message);
    return () => this.#leave(message);
  }

  /** Lets nothing through any more. */
  close(): void {
    this.#closed = true;
  }

  #leave(message: Outgoing): void {
    if (this.#waiting.some((messages) => messages.delete(message))) return;
    this.#underWay.get(message)?.();
    this.#underWay.delete(message);
    if (this.#closed) return;
    for (const messages of this.#waiting) {
      for (const next of messages) {
        if (!this.#fits(next)) break;
        messages.delete(next);
        this.#send(next);
      }
    }
  }

  #fits({ type }: Outgoing): boolean {
    const { max } = this.#options;
    return this.#underWay.size <
      Math.max(1, isUrgent(type) ? max : max - URGENT_ROOM);
  }

  #send(message: Outgoing): void {
    this.#underWay.set(message, this.#options.send(message));
  }
}
