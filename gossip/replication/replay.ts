/**
 * Replay: what was applied here after a vector, told again from the recent log as
 * it was told then.
 *
 * Guarantees: in the order in which it was applied here, each record once and
 * whole, with the entries that changed something; of each key the versions rise,
 * above all that the vector covers. What cannot be told exactly is not told.
 *
 * The vector may be another node's, where what was told may stand above what is to
 * be told here: two writers claimed one key without knowing of each other, and the
 * other node never told of the one that lost. What stands above came here later, so
 * that it is in the log, which lets go of the oldest first, and is marked: it
 * replaced what its writer had not known, or lost itself to a third. So those few
 * are looked at first.
 *
 * Assumes: this node covers the vector.
 *
 * @module
 */

import type { KVReader } from "../../engine/kv.ts";
import { keyText, logKey } from "../keyspace.ts";
import type { Applied } from "./draft.ts";
import { compareEntries, type Entry, EntryFlag } from "./entry.ts";
import type { LogRow } from "./log.ts";
import { decodeRecord } from "./record.ts";
import type { ReplicaState } from "./state.ts";
import type { Vector } from "./vector.ts";

/** An entry that the vector covers, and where it came into the log. */
interface Overtaker {
  readonly position: number;
  readonly entry: Entry;
}

/** Tells again what was applied after a vector. */
export class Replay {
  readonly #reader: KVReader;
  readonly #state: ReplicaState;
  readonly #from: Vector;
  #overtakers: Map<string, Overtaker[]> | undefined;

  /** What was told, and what the vector covered that it began with. */
  readonly vector: Vector;

  constructor(reader: KVReader, state: ReplicaState, from: Vector) {
    this.#reader = reader;
    this.#state = state;
    this.#from = from;
    this.vector = from.clone();
  }

  /** Whether all has been told that is durable here now. */
  get isAtEnd(): boolean {
    return this.vector.includes(this.#state.vector);
  }

  /**
   * Tells the next records, of `bytesMax` bytes or one.
   *
   * @returns `undefined` if the log no longer has what comes next.
   */
  async next(bytesMax: number): Promise<Applied[] | undefined> {
    const { log, vector } = this.#state;
    if (!log.replays(this.vector, vector)) return undefined;
    this.#overtakers ??= await this.#findOvertakers();
    const { records, more } = await log.read(
      this.#reader,
      this.vector,
      vector,
      bytesMax,
    );
    if (records.length === 0 && more) return undefined;
    const told: Applied[] = [];
    for (const row of records) {
      const applied = this.#tell(row);
      if (applied === undefined) return told.length > 0 ? told : undefined;
      told.push(applied);
    }
    return told;
  }

  #tell({ bytes, position, marks }: LogRow): Applied | undefined {
    const record = decodeRecord(bytes);
    const changes: Entry[] = [];
    for (const [i, entry] of record.entries.entries()) {
      if (marks?.lost.includes(i)) continue;
      // What the value was then, nobody knows now.
      if (entry.flags & EntryFlag.VALUE_UNCHANGED) return undefined;
      if (!this.#isOvertaken(entry, position)) changes.push(entry);
    }
    this.vector.add(record.origin, record.seq);
    return { record, changes };
  }

  #isOvertaken(entry: Entry, position: number): boolean {
    if (this.#overtakers!.size === 0) return false;
    return this.#overtakers!.get(keyText(entry.key))?.some((other) =>
      other.position > position && compareEntries(other.entry, entry) > 0
    ) ?? false;
  }

  /** What the vector covers and has replaced what its writer had not known. */
  async #findOvertakers(): Promise<Map<string, Overtaker[]>> {
    const found = new Map<string, Overtaker[]>();
    const marked = this.#state.log.marked(this.#from);
    for (const { position, dot, ops } of marked) {
      const row = await this.#reader.get(
        logKey(this.#state.bank, position, dot),
      );
      // Trimmed since, and with it all that it could stand above.
      if (row === undefined) continue;
      const { entries } = decodeRecord(row);
      for (const i of ops) {
        const entry = entries[i]!;
        const key = entry.key.slice();
        const others = found.get(keyText(key)) ?? [];
        // Neither the value nor the record is kept in memory.
        others.push({ position, entry: { ...entry, key, value: undefined } });
        found.set(keyText(key), others);
      }
    }
    return found;
  }
}
