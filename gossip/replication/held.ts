/**
 * Records that came early: before one of their origin that precedes them, or
 * before one that they build on; and those that wait until conflicts are forgotten
 * (waiting.ts). They are kept in memory until they fit.
 *
 * Guarantees: bounded in records and bytes; what does not fit is dropped, which
 * is harmless, since whatever the vector does not cover is pulled again.
 *
 * @module
 */

import { type Origin, originLane } from "./dot.ts";
import { decodeRecord, type LogRecord } from "./record.ts";
import type { Vector } from "./vector.ts";

/** How much may be held. */
export interface HeldLimits {
  readonly records: number;
  /** Of those records. */
  readonly bytes: number;
}

/** Those of one origin, by their seq. */
interface OfOrigin {
  readonly records: Map<number, LogRecord>;
  /** No seq is lower. */
  lowest: number;
}

/** The early records of one node. */
export class HeldRecords {
  readonly #limits: HeldLimits;
  readonly #byOrigin = new Map<Origin, OfOrigin>();
  #count = 0;
  #bytes = 0;

  constructor(limits: HeldLimits) {
    this.#limits = limits;
  }

  /** How many records it holds. */
  get size(): number {
    return this.#count;
  }

  /** Keeps a record, if there is room. */
  add(record: LogRecord): void {
    const { origin, seq } = record;
    const size = record.bytes.length;
    const { records: recordsMax, bytes: bytesMax } = this.#limits;
    if (this.#count >= recordsMax || this.#bytes + size > bytesMax) return;
    let held = this.#byOrigin.get(origin);
    if (held === undefined) {
      held = { records: new Map(), lowest: seq };
      this.#byOrigin.set(origin, held);
    }
    if (held.records.has(seq)) return;
    // What came in a message is a view of it: keep the record, not the message.
    held.records.set(seq, decodeRecord(new Uint8Array(record.bytes)));
    held.lowest = Math.min(held.lowest, seq);
    this.#count++;
    this.#bytes += size;
  }

  /** Takes out a record that now fits, if there is one. */
  take(vector: Vector): LogRecord | undefined {
    for (const [origin, held] of this.#byOrigin) {
      const record = held.records.get(vector.seq(origin) + 1);
      if (
        record !== undefined &&
        record.deps.every((dep) => vector.covers(dep.origin, dep.seq))
      ) {
        this.#remove(origin, held, record);
        return record;
      }
    }
    return undefined;
  }

  /** Of each origin the record that is its next one, if it is here. */
  next(vector: Vector): LogRecord[] {
    return [...this.#byOrigin].flatMap(([origin, { records }]) =>
      records.get(vector.seq(origin) + 1) ?? []
    );
  }

  /** Gives those of some origins to another one, as far as it has room. */
  moveTo(other: HeldRecords, moves: (origin: Origin) => boolean): void {
    for (const [origin, held] of this.#byOrigin) {
      if (!moves(origin)) continue;
      for (const record of held.records.values()) {
        this.#remove(origin, held, record);
        other.add(record);
      }
    }
  }

  /** Drops all. */
  clear(): void {
    this.#byOrigin.clear();
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Drops what the vector covers by now. */
  forget(vector: Vector): void {
    for (const [origin, held] of this.#byOrigin) {
      // It is asked often: of most origins nothing has come.
      const seq = vector.seq(origin);
      if (seq < held.lowest && originLane(origin) === 0) continue;
      for (const record of held.records.values()) {
        if (vector.covers(origin, record.seq)) {
          this.#remove(origin, held, record);
        }
      }
      held.lowest = seq + 1;
    }
  }

  #remove(origin: Origin, { records }: OfOrigin, record: LogRecord): void {
    records.delete(record.seq);
    if (records.size === 0) this.#byOrigin.delete(origin);
    this.#count--;
    this.#bytes -= record.bytes.length;
  }
}
