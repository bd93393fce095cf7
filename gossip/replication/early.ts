/**
 * What has come and is not here yet: records that came early, and those that wait
 * until conflicts are forgotten (conflict.ts), with what comes after them.
 *
 * Guarantees: bounded; what waits keeps out nothing that came early for another
 * reason. All of it is to spare sending, and can be dropped: whatever the vector does
 * not cover is pulled.
 *
 * @module
 */

import type { Arrival, Draft } from "./draft.ts";
import { type HeldLimits, HeldRecords } from "./held.ts";
import type { LogRecord } from "./record.ts";
import type { Vector } from "./vector.ts";
import { WaitingOrigins } from "./waiting.ts";

/** What may be held of records that came early. */
const HELD_MAX: HeldLimits = { records: 16_384, bytes: 64 * 1024 * 1024 };

/** What may be held of records that wait, beside it. */
const ASIDE_MAX: HeldLimits = { records: 4096, bytes: 16 * 1024 * 1024 };

/** The records of one node that are not here yet. */
export class EarlyRecords {
  readonly #held = new HeldRecords(HELD_MAX);
  readonly #aside = new HeldRecords(ASIDE_MAX);
  /** Which origins wait. */
  readonly waiting = new WaitingOrigins();

  /** How many it holds. */
  get size(): number {
    return this.#held.size + this.#aside.size;
  }

  /** Whether there is something that {@linkcode EarlyRecords.apply} could apply. */
  get mayFit(): boolean {
    return this.#held.size > 0;
  }

  /** A record has arrived where this vector was covered: holds it, if it is early. */
  note(record: LogRecord, arrival: Arrival, vector: Vector): void {
    this.waiting.arrived(record, arrival, vector);
    if (arrival !== "early" && arrival !== "waits") return;
    const waits = this.waiting.has(record.origin);
    (waits ? this.#aside : this.#held).add(record);
  }

  /** Applies what now fits. What cannot be now is dropped, and pulled again. */
  async apply(draft: Draft): Promise<void> {
    while (this.#held.size > 0) {
      const record = this.#held.take(draft.vector);
      if (record === undefined) return;
      try {
        this.note(record, await draft.apply(record), draft.vector);
      } catch {
        // The engine could not be read: nothing of the record was applied.
      }
    }
  }

  /**
   * Applies of what waits that for which there is room now, and what then fits.
   *
   * @param bytesMax What the draft may have before another one has the rest.
   * @returns Whether there may be more.
   */
  async applyAside(draft: Draft, bytesMax: number): Promise<boolean> {
    const others: [LogRecord, Arrival][] = [];
    let more = true;
    while (draft.bytes < bytesMax) {
      // Each once, also where it waits again.
      const record = this.#aside.take(draft.vector) ??
        this.#held.take(draft.vector);
      if (record === undefined) {
        more = false;
        break;
      }
      try {
        const arrival = await draft.apply(record);
        if (arrival !== "applied") others.push([record, arrival]);
      } catch {
        // As above.
      }
    }
    const { vector } = draft;
    for (const [record, arrival] of others) this.note(record, arrival, vector);
    // What builds on these, and on these in turn, waits on.
    for (let named = -1; named < this.waiting.size;) {
      named = this.waiting.size;
      for (const record of this.#aside.next(vector)) {
        this.waiting.arrived(record, "early", vector);
      }
    }
    if (!more) this.#release();
    return more;
  }

  /** Drops what is covered by now. */
  settle(vector: Vector): void {
    this.#held.forget(vector);
    this.#aside.forget(vector);
    this.waiting.settle(vector);
    this.#release();
  }

  /** What does not wait any more fits soon, as what came early does. */
  #release(): void {
    if (this.#aside.size === 0) return;
    this.#aside.moveTo(this.#held, (origin) => !this.waiting.has(origin));
  }

  /** Drops the records; which origins wait is known on. */
  drop(): void {
    this.#held.clear();
    this.#aside.clear();
  }

  /** Drops all. */
  clear(): void {
    this.drop();
    this.waiting.clear();
  }
}
