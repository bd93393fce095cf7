/**
 * A whole copy on its way into the bank that does not count.
 *
 * Guarantees: once {@linkcode IncomingCopy.finish} has resolved, all of it is there,
 * and on the device where the engine loads in bulk (the batch that makes it count
 * comes after, and cannot survive what these rows do not). Until then it counts for
 * nothing; of one that is given up nothing is left, or what the next start clears.
 *
 * One that breaks off goes on: what a difference replaces (session.ts) is read from
 * what came before, which is a load of its own.
 *
 * Assumes: the bank is empty when it begins, and nobody else works on it.
 *
 * @module
 */

import { compareBytes, ProtocolError } from "../../runtime/mod.ts";
import type { BatchOp, KV, KVBulkLoad, Row } from "../../engine/kv.ts";
import { type Bank, Space } from "../keyspace.ts";
import type { Entry } from "./entry.ts";
import { readEntry, replace, rowsOf } from "./entry_rows.ts";
import { isTooFarAhead } from "./hlc.ts";
import {
  checkCovered,
  type CopyPoint,
  type LastEntry,
  type SessionOffer,
} from "./session.ts";
import { Vector } from "./vector.ts";

/** The session that entries are of: its vector covers them. */
export type FilledFrom =
  & Pick<SessionOffer, "vector">
  & Partial<Pick<SessionOffer, "lifeGone" | "lifeFloor">>;

/** A whole copy that comes in. */
export class IncomingCopy {
  readonly #kv: KV;
  readonly #bank: Bank;
  #load: KVBulkLoad | undefined;
  #isLoading = false;
  /** The entry that came last: those that live come first, each kind by key. */
  #last: LastEntry | undefined;
  /** {@linkcode CopyPoint.base}. */
  #base = new Vector();
  /** {@linkcode CopyPoint.reached}. */
  #reached = new Vector();
  /** The session of which the last entries were. */
  #session: FilledFrom | undefined;
  #point: CopyPoint | undefined;
  #lifeGone = 0;
  #lifeFloor = 0;

  /** The newest hlc in it, as far as it is to be adopted. */
  hlc = 0;

  private constructor(kv: KV, bank: Bank) {
    this.#kv = kv;
    this.#bank = bank;
  }

  /** Begins one. */
  static async begin(kv: KV, bank: Bank): Promise<IncomingCopy> {
    const copy = new IncomingCopy(kv, bank);
    await copy.#startLoad();
    return copy;
  }

  /**
   * Where it can go on; another one each time that something came. `undefined` if
   * nothing came, after an error, and once it is finished.
   */
  get point(): CopyPoint | undefined {
    return this.#point;
  }

  /** What came so far can be read, and be replaced by the difference that comes now. */
  async resume(): Promise<void> {
    const point = this.#point;
    this.#point = undefined;
    await this.#finishLoad();
    this.#point = point;
  }

  /**
   * Writes entries in their order.
   *
   * @throws {ProtocolError} If the donor's vector does not cover them, or they do
   * not come in their order.
   */
  async add(
    entries: readonly Entry[],
    session: FilledFrom,
    nowMs: number,
  ): Promise<void> {
    this.#point = undefined;
    this.#check(entries, session, nowMs);
    let last = this.#last;
    for (const entry of entries) {
      const next = { dead: entry.value === undefined, key: entry.key };
      if (last !== undefined && !follows(next, last)) {
        throw new ProtocolError("a whole copy is not in the order of its keys");
      }
      last = next;
    }
    await this.#append(entries);
    // With the first of them all that replaces others has come.
    this.#base = session.vector;
    this.#last = last && { ...last, key: last.key.slice() };
    this.#keepPoint();
  }

  /**
   * Puts entries in the place of those that came before, where there are any.
   *
   * @throws {ProtocolError} If the donor's vector does not cover them, or they come
   * amid others.
   */
  async replace(
    entries: readonly Entry[],
    session: FilledFrom,
    nowMs: number,
  ): Promise<void> {
    this.#point = undefined;
    if (this.#isLoading) {
      throw new ProtocolError("a difference comes amid a whole copy");
    }
    this.#check(entries, session, nowMs);
    const ops: BatchOp[] = [];
    for (const entry of entries) {
      const before = await readEntry(this.#kv, this.#bank, entry.key);
      replace(ops, this.#bank, entry, before);
    }
    await this.#kv.write(ops);
    this.#keepPoint();
  }

  /** The lives of its donors: of all of them, the largest. */
  livesWith(
    { lifeGone, lifeFloor }: { lifeGone: number; lifeFloor: number },
  ): { lifeGone: number; lifeFloor: number } {
    return {
      lifeGone: Math.max(lifeGone, this.#lifeGone),
      lifeFloor: Math.max(lifeFloor, this.#lifeFloor),
    };
  }

  /** Makes it all readable, and durable where the engine loads in bulk. */
  async finish(): Promise<void> {
    this.#point = undefined;
    await this.#finishLoad();
  }

  /** Gives it up, unless it is finished. */
  async close(): Promise<void> {
    this.#point = undefined;
    this.#isLoading = false;
    await this.#load?.close();
    this.#load = undefined;
  }

  async #startLoad(): Promise<void> {
    this.#isLoading = true;
    this.#load = await this.#kv.load?.();
  }

  async #finishLoad(): Promise<void> {
    this.#isLoading = false;
    await this.#load?.finish();
    this.#load = undefined;
  }

  #check(
    entries: readonly Entry[],
    session: FilledFrom,
    nowMs: number,
  ): void {
    checkCovered(entries, session.vector);
    for (const { hlc } of entries) {
      if (!isTooFarAhead(hlc, nowMs)) this.hlc = Math.max(this.hlc, hlc);
    }
    if (session === this.#session) return;
    this.#session = session;
    this.#lifeGone = Math.max(this.#lifeGone, session.lifeGone ?? 0);
    this.#lifeFloor = Math.max(this.#lifeFloor, session.lifeFloor ?? 0);
    const reached = this.#reached.clone();
    reached.join(session.vector);
    this.#reached = reached;
  }

  #keepPoint(): void {
    const last = this.#last;
    if (last === undefined) return;
    this.#point = { last, base: this.#base, reached: this.#reached };
  }

  async #append(entries: readonly Entry[]): Promise<void> {
    const bank = this.#bank;
    if (!this.#isLoading) await this.#startLoad();
    if (this.#load === undefined) {
      await this.#kv.write(entries.flatMap((each) => rowsOf(bank, each)));
      return;
    }
    const rising: Row[] = [];
    const others: Row[] = [];
    for (const entry of entries) {
      for (const row of rowsOf(bank, entry) as Row[]) {
        (isStanding(row, bank) ? rising : others).push(row);
      }
    }
    await this.#load.append(rising);
    await this.#load.insert(others);
  }
}

/** Whether a row is of an entry itself: these come in the order of their keys. */
function isStanding({ key }: BatchOp, bank: Bank): boolean {
  return key[0] === Space.LIVE + bank || key[0] === Space.DEAD + bank;
}

function follows(next: LastEntry, last: LastEntry): boolean {
  if (next.dead !== last.dead) return next.dead;
  return compareBytes(last.key, next.key) < 0;
}
