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

import type { Origin } from "./dot.ts";
import { decodeRecord, type LogRecord } from "./record.ts";
import type { Vector } from "./vector.ts";

/** How much may be held. */
export interface HeldLimits {
  readonly records: number;
  /** Of those records. */
  readonly bytes: number;
}

/** The early records of one node. */
export class HeldRecords {
  readonly #limits: HeldLimits;
  readonly #byOrigin = new Map<Origin, Map<number, LogRecord>>();
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
    const size = record.bytes.length;
    const { records: recordsMax, bytes: bytesMax } = this.#limits;
    if (this.#count >= recordsMax || this.#bytes + size > bytesMax) return;
    let records = this.#byOrigin.get(record.origin);
    if (records === undefined) {
      records = new Map();
      this.#byOrigin.set(record.origin, records);
    }
    if (records.has(record.seq)) return;
    // What came in a message is a view of it: keep the record, not the message.
    const own = decodeRecord(new Uint8Array(record.bytes));
    records.set(record.seq, own);
    this.#count++;
    this.#bytes += size;
  }

  /** Gives all of them to another one, as far as it has room. */
  moveTo(other: HeldRecords): void {
    for (const records of this.#byOrigin.values()) {
      for (const record of records.values()) other.add(record);
    }
    this.clear();
  }

  /** Takes out a record that now fits, if there is one. */
  take(vector: Vector): LogRecord | undefined {
    for (const [origin, records] of this.#byOrigin) {
      const record = records.get(vector.seq(origin) + 1);
      if (
        record !== undefined &&
        record.deps.every((dep) => vector.covers(dep.origin, dep.seq))
      ) {
        this.#remove(origin, records, record);
        return record;
      }
    }
    return undefined;
  }

  /** Drops all. */
  clear(): void {
    this.#byOrigin.clear();
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Drops what the vector covers by now. */
  forget(vector: Vector): void {
    for (const [origin, records] of this.#byOrigin) {
      for (const record of records.values()) {
        if (vector.covers(origin, record.seq)) {
          this.#remove(origin, records, record);
        }
      }
    }
  }

  #remove(
    origin: Origin,
    records: Map<number, LogRecord>,
    record: LogRecord,
  ): void {
    records.delete(record.seq);
    if (records.size === 0) this.#byOrigin.delete(origin);
    this.#count--;
    this.#bytes -= record.bytes.length;
  }
}
