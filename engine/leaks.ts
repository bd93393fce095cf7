/**
 * Finds iterators, snapshots and views that nobody can close any more: the
 * garbage collector took them while they were open. What an iterator or snapshot
 * held stays until the store is opened anew, and the memory of a view is not
 * used again, so this is a mistake of the program, and worth a word.
 *
 * Guarantees: it tells, and nothing of the store depends on when.
 *
 * Assumes that somebody listens: who registers each object pays for it.
 *
 * @module
 */

import type { LsmEvent } from "./options.ts";

/** What can leak. */
export type Leakable = "iterator" | "snapshot" | "view";

/** What is told of an object that leaked. */
interface Origin {
  readonly what: Leakable;
  readonly createdAt: string | undefined;
}

/** Watches over open objects of a store. */
export class Leaks {
  readonly #trace: boolean;
  // deno-lint-ignore aspen/world -- nothing is done by it but to tell
  readonly #registry: FinalizationRegistry<Origin>;

  /** Tells `emit`; `trace` asks for where objects were made. */
  constructor(emit: (event: LsmEvent) => void, trace: boolean) {
    this.#trace = trace;
    // deno-lint-ignore aspen/world -- as above
    this.#registry = new FinalizationRegistry(({ what, createdAt }) =>
      emit({ type: "leak", what, createdAt })
    );
  }

  /** Watches over an object until {@linkcode Leaks.closed}. */
  opened(object: object, what: Leakable): void {
    const createdAt = this.#trace ? new Error(what).stack : undefined;
    this.#registry.register(object, { what, createdAt }, object);
  }

  /** The object was closed, as it should be. */
  closed(object: object): void {
    this.#registry.unregister(object);
  }
}
