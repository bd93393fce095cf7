/**
 * Arrivals: waits until this node covers what a token stands for, and has it
 * pulled meanwhile.
 *
 * Guarantees: a wait ends by its deadline, or when the replica is closed. Each
 * asks a few nodes, two at a time, the authors of what is missing first; whatever
 * comes of that, the comparisons with random peers go on (pull.ts), so that it
 * ends also where an author is gone and another node has its records.
 *
 * @module
 */

import {
  abortable,
  type Random,
  startDeadline,
  type Timers,
} from "../../runtime/mod.ts";
import { originNode } from "./dot.ts";
import type { Replica } from "./replica.ts";
import type { Vector } from "./vector.ts";

/** Nodes that a wait asks. */
const ASKED_MAX = 6;

/** Nodes that a wait asks at a time: one may be silent. */
const ASKED_AT_ONCE = 2;

/** What arrivals are made of. */
export interface ArrivalsOptions {
  readonly replica: Pick<Replica, "vector" | "includes">;
  readonly timers: Timers;
  readonly random: Random;
  /** Whether a node may be asked: another member that has not left. */
  readonly isOther: (node: number) => boolean;
  /** The nodes that answer, as far as known. */
  readonly candidates: () => readonly number[];
  /** Pulls from a node: {@linkcode Pull.from}. */
  readonly pullFrom: (node: number) => Promise<void>;
}

/** How long a wait may take. */
export interface ArrivalDeadline {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Waits for what tokens stand for. */
export class Arrivals {
  readonly #options: ArrivalsOptions;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
  }

  /**
   * Resolves once all that a vector covers is durable here.
   *
   * @throws {DeadlineExceededError} If it is not by the deadline.
   * @throws {ClosedError} If the replica is closed before.
   * @throws {PoisonedError} If its engine fails before.
   */
  async of(
    wanted: Vector,
    { timeoutMs, signal }: ArrivalDeadline,
  ): Promise<void> {
    signal?.throwIfAborted();
    const { replica, timers } = this.#options;
    if (replica.vector.includes(wanted)) return;
    using deadline = startDeadline(
      timers,
      timeoutMs,
      "wait for what a token stands for",
      signal,
    );
    const ended = new AbortController();
    const either = AbortSignal.any([deadline.signal, ended.signal]);
    try {
      void this.#ask(wanted, either);
      // Again where a whole copy has taken the place of what was here meanwhile.
      while (!replica.vector.includes(wanted)) {
        await replica.includes(wanted, deadline.signal);
      }
    } finally {
      ended.abort();
    }
  }

  /** Has what is missing pulled, until it is here or nobody is left to ask. */
  async #ask(wanted: Vector, signal: AbortSignal): Promise<void> {
    const { replica, pullFrom } = this.#options;
    const nodes = this.#toAsk(wanted.beyond(replica.vector)).values();
    const askNext = async () => {
      for (const node of nodes) {
        if (signal.aborted) return;
        try {
          await abortable(pullFrom(node), signal);
        } catch {
          // It is gone, or busy: the next one.
        }
      }
    };
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, askNext));
  }

  #toAsk(missing: Vector): number[] {
    const { random, isOther, candidates } = this.#options;
    const nodes = new Set<number>();
    for (const origin of missing.origins()) {
      const author = originNode(origin);
      if (isOther(author)) nodes.add(author);
      if (nodes.size === ASKED_MAX / 2) break;
    }
    const others = [...candidates()];
    while (nodes.size < ASKED_MAX && others.length > 0) {
      const at = Math.floor(random.float() * others.length);
      nodes.add(others[at]!);
      others[at] = others.at(-1)!;
      others.pop();
    }
    return [...nodes];
  }
}
