/**
 * A map by dot, without a text or an object a dot.
 *
 * @module
 */

import type { Origin } from "./dot.ts";

/** Values by the dots of records. */
export class DotMap<T> {
  readonly #byOrigin = new Map<Origin, Map<number, T>>();
  #size = 0;

  /** How many dots have a value. */
  get size(): number {
    return this.#size;
  }

  /** The value of a dot. */
  get(origin: Origin, seq: number): T | undefined {
    return this.#byOrigin.get(origin)?.get(seq);
  }

  /** Gives a dot a value. */
  set(origin: Origin, seq: number, value: T): void {
    let values = this.#byOrigin.get(origin);
    if (values === undefined) {
      values = new Map();
      this.#byOrigin.set(origin, values);
    }
    const before = values.size;
    values.set(seq, value);
    this.#size += values.size - before;
  }

  /** Takes the value of a dot out. */
  take(origin: Origin, seq: number): T | undefined {
    const value = this.get(origin, seq);
    this.delete(origin, seq);
    return value;
  }

  /** Takes a dot out. */
  delete(origin: Origin, seq: number): void {
    const values = this.#byOrigin.get(origin);
    if (values?.delete(seq) !== true) return;
    this.#size--;
    if (values.size === 0) this.#byOrigin.delete(origin);
  }
}
