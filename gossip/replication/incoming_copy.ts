/**
 * A whole copy on its way into the bank that does not count.
 *
 * Guarantees: once {@linkcode IncomingCopy.finish} has resolved, all of it is there,
 * and on the device where the engine loads in bulk (the batch that makes it count
 * comes after, and cannot survive what these rows do not). Until then it counts for
 * nothing; of one that is given up nothing is left, or what the next start clears.
 *
 * Assumes: the bank is empty when it begins, and nobody else works on it.
 *
 * @module
 */

import { compareBytes, ProtocolError } from "../../runtime/mod.ts";
import type { BatchOp, KV, KVBulkLoad, Row } from "../../engine/kv.ts";
import { type Bank, Space } from "../keyspace.ts";
import { checkCovered, rowsOf } from "./draft.ts";
import type { Entry } from "./entry.ts";
import { isTooFarAhead } from "./hlc.ts";
import type { Vector } from "./vector.ts";

/** A whole copy that comes in. */
export class IncomingCopy {
  readonly #kv: KV;
  readonly #bank: Bank;
  #load: KVBulkLoad | undefined;
  /** The entry that came last: those that live come first, each kind by key. */
  #last: Entry | undefined;

  /** The newest hlc in it, as far as it is to be adopted. */
  hlc = 0;

  private constructor(kv: KV, bank: Bank) {
    this.#kv = kv;
    this.#bank = bank;
  }

  /** Begins one. */
  static async begin(kv: KV, bank: Bank): Promise<IncomingCopy> {
    const copy = new IncomingCopy(kv, bank);
    copy.#load = await kv.load?.();
    return copy;
  }

  /**
   * Writes entries.
   *
   * @throws {ProtocolError} If the donor's vector does not cover them, or they do
   * not come in their order.
   */
  async add(
    entries: readonly Entry[],
    vector: Vector,
    nowMs: number,
  ): Promise<void> {
    checkCovered(entries, vector);
    let last = this.#last;
    for (const entry of entries) {
      if (last !== undefined && !follows(entry, last)) {
        throw new ProtocolError("a whole copy is not in the order of its keys");
      }
      last = entry;
      const { hlc } = entry;
      if (!isTooFarAhead(hlc, nowMs)) this.hlc = Math.max(this.hlc, hlc);
    }
    this.#last = last;
    if (this.#load === undefined) {
      await this.#kv.write(entries.flatMap((each) => rowsOf(this.#bank, each)));
      return;
    }
    const rising: Row[] = [];
    const others: Row[] = [];
    for (const entry of entries) {
      for (const row of rowsOf(this.#bank, entry) as Row[]) {
        (isStanding(row, this.#bank) ? rising : others).push(row);
      }
    }
    await this.#load.append(rising);
    await this.#load.insert(others);
  }

  /** Makes it all readable, and durable where the engine loads in bulk. */
  async finish(): Promise<void> {
    await this.#load?.finish();
    this.#load = undefined;
  }

  /** Gives it up, unless it is finished. */
  async close(): Promise<void> {
    await this.#load?.close();
    this.#load = undefined;
  }
}

/** Whether a row is of an entry itself: these come in the order of their keys. */
function isStanding({ key }: BatchOp, bank: Bank): boolean {
  return key[0] === Space.LIVE + bank || key[0] === Space.DEAD + bank;
}

function follows(entry: Entry, last: Entry): boolean {
  const dead = entry.value === undefined;
  if (dead !== (last.value === undefined)) return dead;
  return compareBytes(last.key, entry.key) < 0;
}
