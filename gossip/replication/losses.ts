/**
 * Losses: the conflicts that one draft meets, up to the rows that report them
 * (conflict.ts).
 *
 * Guarantees: each loss is reported once, under the number behind the last one, with
 * both values and the other keys of the batch that lost. Those keys are looked up
 * when the draft is sealed, once for each batch.
 *
 * Assumes: nobody but the draft changes its counters.
 *
 * @module
 */

import { EMPTY_BYTES, equalBytes } from "../../runtime/mod.ts";
import type { BatchOp, KV } from "../../engine/kv.ts";
import { indexKey, logKey, numberKey, Space } from "../keyspace.ts";
import { type Clash, encodeClash, type ReportedClash } from "./conflict.ts";
import { type Dot, dotText } from "./dot.ts";
import { indexedKeys } from "./entry_rows.ts";
import {
  decodeRecord,
  dotOf,
  type LogRecord,
  OP_OVERHEAD_BYTES,
} from "./record.ts";
import {
  conflictsStanding,
  type Counters,
  type ReplicaState,
} from "./state.ts";

/** A clash whose batch keys are not looked up yet. */
export type Loss = Pick<Clash, "kept" | "lost">;

/** The conflicts of a draft. */
export class Losses {
  readonly #kv: KV;
  readonly #state: ReplicaState;
  readonly #counters: Counters;
  readonly #conflictsMax: number;
  readonly #losses: Loss[] = [];
  #bytes = 0;

  /** The reports, once they are made. */
  readonly reported: ReportedClash[] = [];

  /**
   * @param state What stood before the draft.
   * @param counters The draft's, which count the reports.
   * @param conflictsMax Reports that may stand before {@linkcode Losses.isFull}.
   */
  constructor(
    kv: KV,
    state: ReplicaState,
    counters: Counters,
    conflictsMax: number,
  ) {
    this.#kv = kv;
    this.#state = state;
    this.#counters = counters;
    this.#conflictsMax = conflictsMax;
  }

  /** Whether nothing lost. */
  get isEmpty(): boolean {
    return this.#losses.length === 0;
  }

  /** Bytes that the reports will take, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether as many reports of conflicts stand as may. */
  get isFull(): boolean {
    const drafted = this.#losses.length;
    return conflictsStanding(this.#counters) + drafted >= this.#conflictsMax;
  }

  /** A loss is to be reported, with both values. */
  add(loss: Loss): void {
    this.#losses.push(loss);
    this.#bytes += loss.lost.key.length * 2 + (loss.lost.value?.length ?? 0) +
      (loss.kept?.value?.length ?? 0) + OP_OVERHEAD_BYTES;
  }

  /** Makes the reports; what the draft has `applied` is in no row yet. */
  async seal(
    applied: readonly { readonly record: LogRecord | undefined }[],
  ): Promise<BatchOp[]> {
    const batches = new Map<string, readonly Uint8Array[]>();
    for (const { record } of applied) {
      if (record === undefined) continue;
      batches.set(dotText(record), record.entries.map(({ key }) => key));
    }
    const ops: BatchOp[] = [];
    for (const { kept, lost } of this.#losses) {
      let keys = batches.get(dotText(lost));
      if (keys === undefined) {
        keys = await this.#keysOf(dotOf(lost));
        batches.set(dotText(lost), keys);
      }
      const batchKeys = keys.filter((key) => !equalBytes(key, lost.key));
      const number = ++this.#counters.conflictNumber;
      const clash = { number, kept, lost, batchKeys };
      this.reported.push(clash);
      ops.push({
        key: numberKey(Space.CONFLICT, number),
        value: encodeClash(clash),
      });
    }
    return ops;
  }

  /**
   * The keys of a stored record: all of them from the recent log, else those
   * whose entry is still of it.
   */
  async #keysOf(dot: Dot): Promise<Uint8Array[]> {
    // Of the bank that counted before: what was lost by a copy is not in it.
    const { bank, log } = this.#state;
    const position = log.positionOf(dot);
    if (position !== undefined) {
      const row = await this.#kv.get(logKey(bank, position, dot));
      if (row !== undefined) {
        return decodeRecord(row).entries.map(({ key }) => key);
      }
    }
    const prefix = indexKey(bank, dot.origin, dot.seq, EMPTY_BYTES);
    return await indexedKeys(this.#kv, { prefix });
  }
}
