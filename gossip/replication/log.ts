/**
 * The recent log: whole records, in the order in which this node applied them,
 * so that a peer that is a little behind gets exactly what it misses.
 *
 * Guarantees:
 * - Records are handed out in log order, in which a record's deps come first.
 * - {@linkcode RecentLog.reaches} is true only if every record between the two
 *   vectors can be handed out.
 * - It holds at most `bytesMax` bytes of records (and always the newest one);
 *   older records are reachable through the entries only (session.ts).
 *
 * The index is in memory and made anew at open: per origin, the positions of the
 * unbroken run of its records that ends at the vector. A session leaps over
 * records, and thereby begins a new run.
 *
 * @module
 */

import { isPromise } from "../../runtime/mod.ts";
import type { BatchOp, KVReader } from "../../engine/kv.ts";
import {
  type Bank,
  logKey,
  logOfKey,
  Space,
  spacePrefix,
} from "../keyspace.ts";
import { type Dot, type Origin, originLane } from "./dot.ts";
import type { LogRecord } from "./record.ts";
import type { Vector } from "./vector.ts";

/**
 * The unbroken run of one origin: records `from` to the last; `positions` begins
 * with that of `start`, which may have been trimmed since.
 */
interface Run {
  start: number;
  from: number;
  positions: number[];
}

/** Trimmed positions that a run keeps before it is packed. */
const SLACK = 1024;

interface Row {
  readonly position: number;
  readonly dot: Dot;
  readonly bytes: number;
}

/** The recent log of one node. */
export class RecentLog {
  readonly #bytesMax: number;
  readonly #bank: Bank;
  readonly #runs = new Map<Origin, Run>();
  #rows: Row[] = [];
  /** Rows before this index were trimmed. */
  #head = 0;
  #bytes = 0;
  #nextPosition = 1;

  /** @param bank Where its rows are. */
  constructor(bytesMax: number, bank: Bank) {
    this.#bytesMax = bytesMax;
    this.#bank = bank;
  }

  /** Bytes of the records it holds. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The records it holds. */
  get length(): number {
    return this.#rows.length - this.#head;
  }

  /** Makes the index from what is stored. */
  async load(reader: KVReader): Promise<void> {
    const rows = reader.iterate({
      prefix: spacePrefix(Space.LOG + this.#bank),
    });
    try {
      for (;;) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) break;
        const { position, dot } = logOfKey(rows.key);
        this.#take({ position, dot, bytes: rows.value.length });
      }
    } finally {
      await rows.close();
    }
  }

  /** Appends a record: takes it into the index and gives its row. */
  append(record: LogRecord): BatchOp {
    const dot = { origin: record.origin, seq: record.seq };
    const position = this.#nextPosition;
    this.#take({ position, dot, bytes: record.bytes.length });
    return { key: logKey(this.#bank, position, dot), value: record.bytes };
  }

  /** Where a record stands, if it is at hand. */
  positionOf({ origin, seq }: Dot): number | undefined {
    const run = this.#runs.get(origin);
    return run === undefined || seq < run.from
      ? undefined
      : run.positions[seq - run.start];
  }

  /** Lets go of the oldest records beyond the limit: gives what deletes them. */
  trim(): BatchOp[] {
    const ops: BatchOp[] = [];
    while (this.#bytes > this.#bytesMax && this.length > 1) {
      const { position, dot, bytes } = this.#rows[this.#head++]!;
      this.#bytes -= bytes;
      ops.push({ key: logKey(this.#bank, position, dot), value: undefined });
      const run = this.#runs.get(dot.origin)!;
      if (run.from === dot.seq) {
        run.from++;
        if (run.from - run.start > SLACK) {
          run.positions = run.positions.slice(run.from - run.start);
          run.start = run.from;
        }
      }
    }
    if (this.#head > SLACK && this.#head > this.#rows.length / 2) {
      this.#rows = this.#rows.slice(this.#head);
      this.#head = 0;
    }
    return ops;
  }

  /** Whether all that `to` covers beyond `from` can be handed out. */
  reaches(from: Vector, to: Vector): boolean {
    for (const origin of to.origins()) {
      const head = to.seq(origin);
      if (head > from.seq(origin)) {
        const run = this.#runs.get(origin);
        if (run === undefined || originLane(origin) === 1) return false;
        if (run.from > from.seq(origin) + 1) return false;
        if (run.start + run.positions.length - 1 < head) return false;
      }
    }
    return true;
  }

  /**
   * Hands out records that `to` covers and `from` does not, in log order.
   *
   * @returns Their bytes, at most `bytesMax` of them (but one record always),
   * and whether there are more.
   */
  async read(
    reader: KVReader,
    from: Vector,
    to: Vector,
    bytesMax: number,
  ): Promise<{ records: Uint8Array[]; more: boolean }> {
    const cursors = this.#cursors(from, to);
    const records: Uint8Array[] = [];
    let bytes = 0;
    for (;;) {
      let first: typeof cursors[number] | undefined;
      for (const cursor of cursors) {
        if (cursor.seq > cursor.end) continue;
        if (first === undefined || cursor.position() < first.position()) {
          first = cursor;
        }
      }
      if (first === undefined) return { records, more: false };
      const { origin, seq } = first;
      const found = reader.get(
        logKey(this.#bank, first.position(), { origin, seq }),
      );
      const record = isPromise(found) ? await found : found;
      // Trimmed since, or about to be: what is left goes by session.
      if (record === undefined) return { records, more: true };
      if (records.length > 0 && bytes + record.length > bytesMax) {
        return { records, more: true };
      }
      records.push(record);
      bytes += record.length;
      first.seq++;
    }
  }

  #cursors(from: Vector, to: Vector): {
    origin: Origin;
    seq: number;
    end: number;
    position(): number;
  }[] {
    const cursors = [];
    for (const origin of to.origins()) {
      const run = this.#runs.get(origin);
      const seq = from.seq(origin) + 1;
      const end = to.seq(origin);
      if (run === undefined || seq > end) continue;
      cursors.push({
        origin,
        seq,
        end,
        position() {
          return run.positions[this.seq - run.start] ?? Infinity;
        },
      });
    }
    return cursors;
  }

  #take(row: Row): void {
    this.#rows.push(row);
    this.#bytes += row.bytes;
    this.#nextPosition = row.position + 1;
    const { origin, seq } = row.dot;
    const run = this.#runs.get(origin);
    if (run !== undefined && seq === run.start + run.positions.length) {
      run.positions.push(row.position);
    } else {
      this.#runs.set(origin, {
        start: seq,
        from: seq,
        positions: [row.position],
      });
    }
  }
}
