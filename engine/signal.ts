/**
 * Wakes all who wait for a change.
 *
 * @module
 */

/** Something that may be waited for again and again. */
export class Signal {
  #next: PromiseWithResolvers<void> | undefined;

  /** Resolves at the next {@linkcode Signal.notify}. */
  wait(): Promise<void> {
    return (this.#next ??= Promise.withResolvers<void>()).promise;
  }

  /** Wakes all who wait now. */
  notify(): void {
    this.#next?.resolve();
    this.#next = undefined;
  }
}
