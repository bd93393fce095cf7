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
 * - A position is never used again, in neither bank, and rows before the stored head
 *   are never asked for: the engine may do with them what it likes.
 * - {@linkcode RecentLog.replays} is true only if what was told of the records
 *   between the two vectors, when they were applied, can be told again
 *   (replay.ts).
 *
 * Of a record whose ops all changed their keys, and built upon what they replaced,
 * nothing is marked: that is nearly every one. The others have a row of their own.
 * ```
 * marks := varint lost, varint* | varint won, varint*      numbers of ops, from 0
 * leap  := varint position        meta row: records before it came before a session
 * log   := varint position        meta row: the head, the first one that is kept
 * ```
 * `lost` are ops that changed nothing here, and `won` those that replaced what their
 * writer had not known.
 *
 * The index is in memory and made anew at open: per origin, the positions of the
 * unbroken run of its records that ends at the vector. A session leaps over
 * records, and thereby begins a new run.
 *
 * @module
 */

import { type Bytes, isPromise, Reader, Writer } from "../../runtime/mod.ts";
import type { BatchOp, BoundedRange, KV, KVReader } from "../../engine/kv.ts";
import {
  type Bank,
  logKey,
  logOfKey,
  logStart,
  metaKey,
  RowOp,
  Space,
  spacePrefix,
} from "../keyspace.ts";
import { type Dot, type Origin, originLane } from "./dot.ts";
import { type LogRecord, OPS_MAX } from "./record.ts";
import { Vector } from "./vector.ts";

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

/** The share of its bytes that may go at a time is one in this many. */
const TRIMMED_SHARE = 64;

/** Numbers of a record in the list of all: its position, origin, seq and bytes. */
const ROW = 4;

/** What the ops of a record met here, as far as it is out of the ordinary. */
export interface LogMarks {
  /** The ops that changed nothing. */
  readonly lost: readonly number[];
  /** The ops that replaced what their writer had not known. */
  readonly won: readonly number[];
}

/** A record as it is handed out, and where it stands. */
export interface LogRow {
  readonly position: number;
  readonly bytes: Uint8Array;
  readonly marks: LogMarks | undefined;
}

/** The recent log of one node. */
export class RecentLog {
  readonly #bytesMax: number;
  readonly #bank: Bank;
  readonly #runs = new Map<Origin, Run>();
  readonly #marks = new Map<number, LogMarks & { readonly dot: Dot }>();
  /** Records before this position came before the last session. */
  #leap = 0;
  /**
   * {@linkcode ROW} numbers a record, in order: no objects, which the collector of
   * garbage would copy, and walk through for as long as they stay.
   */
  #rows: number[] = [];
  /** What is before this index was trimmed. */
  #head = 0;
  #bytes = 0;
  #nextPosition: number;
  /** The first position that is kept. */
  #first: number;

  /**
   * @param bank Where its rows are.
   * @param position Where it begins: behind all that any log of this store has had.
   */
  constructor(bytesMax: number, bank: Bank, position: number = 1) {
    this.#bytesMax = bytesMax;
    this.#bank = bank;
    this.#nextPosition = position;
    this.#first = position;
  }

  /** Bytes of the records it holds. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The records it holds. */
  get length(): number {
    return (this.#rows.length - this.#head) / ROW;
  }

  /** Where the next record stands. */
  get end(): number {
    return this.#nextPosition;
  }

  /** All rows before the head, which is stored: nobody asks for them any more. */
  get passed(): BoundedRange {
    return {
      start: spacePrefix(Space.LOG + this.#bank),
      end: logStart(this.#bank, this.#first),
    };
  }

  /** Tells the engine, if it wants to hear, which rows nobody asks for any more. */
  giveUp(kv: KV): void {
    try {
      kv.abandon?.(this.passed);
    } catch {
      // It was a hint: what is wrong with the engine, the next write says.
    }
  }

  /** Makes the index from what is stored. */
  async load(reader: KVReader): Promise<void> {
    const head = await reader.get(metaKey("log"));
    if (head !== undefined) {
      this.#first = new Reader(head, "the head of the log").varint();
      this.#nextPosition = this.#first;
    }
    const rows = reader.iterate({
      prefix: spacePrefix(Space.LOG + this.#bank),
      start: logStart(this.#bank, this.#first),
    });
    try {
      for (;;) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) break;
        const { position, dot } = logOfKey(rows.key);
        this.#take(position, dot, rows.value.length);
      }
    } finally {
      await rows.close();
    }
    await this.#loadMarks(reader);
  }

  async #loadMarks(reader: KVReader): Promise<void> {
    const leap = await reader.get(metaKey("leap"));
    if (leap !== undefined) this.#leap = new Reader(leap, "a leap").varint();
    this.#nextPosition = Math.max(this.#nextPosition, this.#leap);
    const rows = reader.iterate({
      prefix: spacePrefix(Space.LOG_MARK + this.#bank),
    });
    try {
      for (;;) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) break;
        const { position, dot } = logOfKey(rows.key);
        this.#marks.set(position, { ...decodeMarks(rows.value), dot });
      }
    } finally {
      await rows.close();
    }
  }

  /** Appends a record: takes it into the index and gives its row. */
  append(record: LogRecord): BatchOp {
    const position = this.#nextPosition;
    this.#take(position, record, record.bytes.length);
    return new RowOp(logKey(this.#bank, position, record), record.bytes);
  }

  /** Marks the record that was appended last; gives the row. */
  mark(marks: LogMarks): BatchOp {
    const { position, dot } = this.#rowAt(this.#rows.length - ROW);
    this.#marks.set(position, { ...marks, dot });
    return {
      key: logKey(this.#bank, position, dot, Space.LOG_MARK),
      value: encodeMarks(marks),
    };
  }

  /**
   * A session was applied: what it brought is in no record, so that of those before
   * it nobody can tell what they were above. Gives the row that says so.
   */
  leap(): BatchOp {
    this.#leap = this.#nextPosition;
    const value = new Writer(8).varint(this.#leap).finish();
    return { key: metaKey("leap"), value };
  }

  /**
   * What was covered here when the last of these records had been applied.
   *
   * @param covered What is covered now.
   * @returns `undefined` if the log no longer tells.
   */
  stateAfter(records: Vector, covered: Vector): Vector | undefined {
    let last = 0;
    for (const origin of records.origins()) {
      // What is not at hand came before all that is.
      const dot = { origin, seq: records.seq(origin) };
      last = Math.max(last, this.positionOf(dot) ?? 0);
    }
    if (last === 0 || last < this.#leap) return undefined;
    const dots: Dot[] = [];
    for (const origin of covered.beyond(new Vector()).origins()) {
      if (originLane(origin) === 1) return undefined;
      const run = this.#runs.get(origin);
      const count = run === undefined ? 0 : countUpTo(run.positions, last);
      const head = covered.seq(origin);
      // Else all of it came before, also what came by a session.
      const isLater = run !== undefined && count < run.positions.length;
      const seq = isLater ? Math.max(run.start + count, run.from) - 1 : head;
      dots.push({ origin, seq: Math.min(seq, head) });
    }
    return Vector.upTo(dots);
  }

  /** The records that are covered and marked, and their marked ops. */
  marked(
    covered: Vector,
  ): { position: number; dot: Dot; ops: readonly number[] }[] {
    const found = [];
    for (const [position, { dot, lost, won }] of this.#marks) {
      if (covered.covers(dot.origin, dot.seq)) {
        found.push({ position, dot, ops: [...lost, ...won] });
      }
    }
    return found;
  }

  /** Where a record stands, if it is at hand. */
  positionOf({ origin, seq }: Dot): number | undefined {
    const run = this.#runs.get(origin);
    return run === undefined || seq < run.from
      ? undefined
      : run.positions[seq - run.start];
  }

  /**
   * Lets go of the oldest records once there are more than it may hold: gives what
   * makes that durable.
   *
   * @param isAbandoned Whether the engine is told of {@linkcode RecentLog.passed}
   * once this is written: then some go at a time, and if not, their rows are deleted.
   */
  trim(isAbandoned: boolean): BatchOp[] {
    const ops: BatchOp[] = [];
    if (this.#bytes <= this.#bytesMax || this.length === 1) return ops;
    const left = isAbandoned
      ? this.#bytesMax - Math.floor(this.#bytesMax / TRIMMED_SHARE)
      : this.#bytesMax;
    while (this.#bytes > left && this.length > 1) {
      const { position, dot } = this.#rowAt(this.#head);
      this.#bytes -= this.#rows[this.#head + 3]!;
      this.#head += ROW;
      this.#first = this.#rows[this.#head]!;
      if (!isAbandoned) {
        ops.push({ key: logKey(this.#bank, position, dot), value: undefined });
      }
      if (this.#marks.delete(position)) {
        const key = logKey(this.#bank, position, dot, Space.LOG_MARK);
        ops.push({ key, value: undefined });
      }
      const run = this.#runs.get(dot.origin)!;
      if (run.from === dot.seq) {
        run.from++;
        const gone = run.from - run.start;
        // Seldom enough: what is left is copied.
        if (gone > SLACK && gone > run.positions.length / 2) {
          run.positions = run.positions.slice(gone);
          run.start = run.from;
        }
      }
    }
    if (this.#head > SLACK * ROW && this.#head > this.#rows.length / 2) {
      this.#rows = this.#rows.slice(this.#head);
      this.#head = 0;
    }
    const head = new Writer(8).varint(this.#first).finish();
    ops.push({ key: metaKey("log"), value: head });
    return ops;
  }

  /** Whether all that `to` covers beyond `from` can be handed out. */
  reaches(from: Vector, to: Vector): boolean {
    for (const origin of to.beyond(from).origins()) {
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
   * Whether all that `to` covers beyond `from` can be told as it was told when it
   * was applied.
   */
  replays(from: Vector, to: Vector): boolean {
    if (!this.reaches(from, to)) return false;
    return this.#cursors(from, to).every((cursor) =>
      cursor.position() >= this.#leap
    );
  }

  /**
   * Hands out records that `to` covers and `from` does not, in log order.
   *
   * @returns Their rows, at most `bytesMax` of bytes (but one record always),
   * and whether there are more.
   */
  async read(
    reader: KVReader,
    from: Vector,
    to: Vector,
    bytesMax: number,
  ): Promise<{ records: LogRow[]; more: boolean }> {
    const cursors = this.#cursors(from, to);
    const records: LogRow[] = [];
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
      const position = first.position();
      // Its row may be there still, but what was marked of it is not.
      if (position < this.#first) return { records, more: true };
      const marks = this.#marks.get(position);
      const found = reader.get(logKey(this.#bank, position, { origin, seq }));
      const record = isPromise(found) ? await found : found;
      // Trimmed since, or about to be: what is left goes by session.
      if (record === undefined) return { records, more: true };
      if (records.length > 0 && bytes + record.length > bytesMax) {
        return { records, more: true };
      }
      records.push({ position, bytes: record, marks });
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
    for (const origin of to.beyond(from).origins()) {
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

  #rowAt(index: number): { position: number; dot: Dot } {
    const rows = this.#rows;
    const dot = { origin: rows[index + 1]!, seq: rows[index + 2]! };
    return { position: rows[index]!, dot };
  }

  #take(position: number, { origin, seq }: Dot, bytes: number): void {
    this.#rows.push(position, origin, seq, bytes);
    this.#bytes += bytes;
    this.#nextPosition = position + 1;
    const run = this.#runs.get(origin);
    if (run !== undefined && seq === run.start + run.positions.length) {
      run.positions.push(position);
    } else {
      this.#runs.set(origin, {
        start: seq,
        from: seq,
        positions: [position],
      });
    }
  }
}

/** The row of a record's marks. */
export function encodeMarks({ lost, won }: LogMarks): Bytes {
  const writer = new Writer(16);
  for (const ops of [lost, won]) {
    writer.varint(ops.length);
    for (const op of ops) writer.varint(op);
  }
  return writer.finish();
}

/** Reads the row of a record's marks. */
export function decodeMarks(row: Uint8Array): LogMarks {
  const reader = new Reader(row, "the marks of a record");
  const readOps = () => {
    const count = reader.count(Math.min(OPS_MAX, reader.remaining));
    return Array.from({ length: count }, () => reader.varint());
  };
  return { lost: readOps(), won: readOps() };
}

/** How many of some rising numbers are at most a number. */
function countUpTo(numbers: readonly number[], max: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numbers[middle]! <= max) low = middle + 1;
    else high = middle;
  }
  return low;
}
