/**
 * The bank that does not count: cleared, or filled by a whole copy on its way
 * (incoming_copy.ts). There is one such work at a time.
 *
 * Guarantees: a copy begins in an empty bank. What one that is given up has left, and
 * the bank that a whole one has replaced, are cleared in batches of bounded size, by
 * the next start if not by this one.
 *
 * @module
 */

import type { BatchOp, KV } from "../../engine/kv.ts";
import { type Bank, BANKED, otherBank, spacePrefix } from "../keyspace.ts";
import { IncomingCopy } from "./incoming_copy.ts";

/** Rows that are deleted with one batch. */
const CLEAR_ROWS = 10_000;

/** The bank that does not count. */
export class SpareBank {
  readonly #kv: KV;
  readonly #counting: () => Bank;
  #copy: IncomingCopy | undefined;
  #clearing: Promise<void> = Promise.resolve();
  #closed = false;

  /** @param counting Which bank counts. */
  constructor(kv: KV, counting: () => Bank) {
    this.#kv = kv;
    this.#counting = counting;
  }

  /** The whole copy that is on its way. */
  get copy(): IncomingCopy | undefined {
    return this.#copy;
  }

  /** Makes room for a whole copy, and gives up the one that has begun. */
  async begin(): Promise<void> {
    await this.#copy?.close();
    this.#copy = undefined;
    await this.#clearing;
    // Not as one that may fail: what it left would be part of the copy.
    await this.#clear();
    this.#copy = await IncomingCopy.begin(
      this.#kv,
      otherBank(this.#counting()),
    );
  }

  /** The copy counts: the bank is another one now, and is cleared. */
  turned(): void {
    this.#copy = undefined;
    this.clearLater();
  }

  /** Clears it in the background. */
  clearLater(): void {
    this.#clearing = this.#clearing.then(() => this.#clear()).catch(() => {
      // The engine has failed, and says so by the next write; or it is closed.
    });
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#clearing;
    await this.#copy?.close();
  }

  async #clear(): Promise<void> {
    const bank = otherBank(this.#counting());
    for (const space of BANKED) {
      const rows = this.#kv.iterate({
        prefix: spacePrefix(space + bank),
        keysOnly: true,
      });
      try {
        let batch: BatchOp[] = [];
        while (!this.#closed && await rows.next()) {
          batch.push({ key: rows.key, value: undefined });
          if (batch.length === CLEAR_ROWS) {
            await this.#kv.write(batch);
            batch = [];
          }
        }
        if (batch.length > 0) await this.#kv.write(batch);
      } finally {
        await rows.close();
      }
    }
  }
}
