/**
 * Transactions: writes that are gathered, read back, and committed together.
 *
 * Guarantees: reads see the transaction's own writes above what the database
 * has; nothing is seen by anybody else before `commit`; what one node leads is
 * committed whole or not at all.
 *
 * @module
 */

import {
  ClosedError,
  compareBytes,
  startsWith,
  toBytes,
} from "../runtime/mod.ts";
import type {
  CommitOptions,
  CommitRequestInit,
  CommitResult,
  KeyValue,
  ListOptions,
  SetOptions,
} from "./face.ts";
import type { KeyLike, ValueLike } from "./check.ts";
import {
  checkExpireIn,
  checkKey,
  checkLease,
  checkLimit,
  checkValue,
} from "./check.ts";
import { keyText } from "./keyspace.ts";

/** What a transaction asks of its database. */
export interface TransactionHome {
  get(key: KeyLike): Promise<Uint8Array | undefined>;
  list(options: ListOptions): AsyncIterable<KeyValue>;
  commit(
    request: CommitRequestInit,
    options?: CommitOptions,
  ): Promise<CommitResult>;
}

interface Write {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
  readonly lease: number | undefined;
  readonly expireIn?: number | undefined;
}

/**
 * Writes that are committed together.
 *
 * Dispose of a transaction (`await using`) or call
 * {@linkcode Transaction.rollback} to drop what was not committed. The order of
 * writes to one key counts: the last one stays.
 */
export class Transaction implements AsyncDisposable {
  readonly #home: TransactionHome;
  readonly #writes = new Map<string, Write>();
  #ended = false;

  /** Made by `db.transaction()`. */
  constructor(home: TransactionHome) {
    this.#home = home;
  }

  /**
   * The value of a key, with the writes of this transaction.
   *
   * @throws {ClosedError} If the transaction has ended.
   */
  async get(key: KeyLike): Promise<Uint8Array | undefined> {
    this.#checkOpen("read");
    const write = this.#writes.get(keyText(checkKey("read", key)));
    if (write === undefined) return await this.#home.get(key);
    return write.value?.slice();
  }

  /**
   * Sets a key when the transaction is committed.
   *
   * @throws {LimitError} If the key or the value is beyond its limit.
   * @throws {RangeError} If `expireIn`, which counts from the commit on, is not
   * positive, or too long.
   * @throws {ClosedError} If the transaction has ended.
   */
  set(
    key: KeyLike,
    value: ValueLike,
    options: Pick<SetOptions, "lease" | "expireIn"> = {},
  ): this {
    this.#checkOpen("write");
    return this.#write({
      key: checkKey("set", key),
      value: checkValue("set", value),
      lease: checkLease(options.lease),
      expireIn: checkExpireIn(options.expireIn),
    });
  }

  /**
   * Deletes a key when the transaction is committed.
   *
   * @throws {ClosedError} If the transaction has ended.
   */
  delete(key: KeyLike): this {
    this.#checkOpen("write");
    return this.#write({
      key: checkKey("delete", key),
      value: undefined,
      lease: undefined,
    });
  }

  /** Lists keys and values in order, with the writes of this transaction. */
  async *list(options: ListOptions = {}): AsyncGenerator<KeyValue> {
    this.#checkOpen("read");
    const { limit: limitAsked, ...range } = options;
    const limit = checkLimit(limitAsked);
    const sign = range.reverse === true ? -1 : 1;
    const own = [...this.#writes.values()]
      .filter(({ key }) => isInside(key, range))
      .sort((a, b) => sign * compareBytes(a.key, b.key));
    const stored = this.#home.list(range)[Symbol.asyncIterator]();
    let yielded = 0;
    try {
      let below = await stored.next();
      let i = 0;
      while (yielded < limit && (i < own.length || below.done !== true)) {
        const write = own[i];
        const order = write === undefined
          ? 1
          : below.done === true
          ? -1
          : sign * compareBytes(write.key, below.value.key);
        let next: KeyValue | undefined;
        if (order <= 0) {
          i++;
          if (write!.value !== undefined) {
            next = { key: write!.key.slice(), value: write!.value.slice() };
          }
        } else next = below.value;
        if (order >= 0) below = await stored.next();
        if (next === undefined) continue;
        yielded++;
        yield next;
      }
    } finally {
      await stored.return?.();
    }
  }

  /**
   * Commits the writes. Those of keys that one node leads are atomic; a
   * transaction ends with its commit, also when that fails.
   *
   * @throws {PartialCommitError} If some leaseholders committed and some failed.
   * @throws {LeaseNotTransferableError} If a key has another leaseholder than
   * was asked for.
   * @throws {LeaseholderUnavailableError} If a leaseholder does not answer.
   * @throws {OutcomeUnknownError} If its reply never came.
   * @throws {ClosedError} If the transaction has ended.
   */
  async commit(options: CommitOptions = {}): Promise<CommitResult> {
    this.#checkOpen("commit");
    this.#ended = true;
    const ops = [...this.#writes.values()].map(
      ({ key, value, lease, expireIn }) =>
        value === undefined ? { type: "delete" as const, key } : {
          type: "set" as const,
          key,
          value,
          ...lease && { lease },
          ...expireIn && { expireIn },
        },
    );
    return await this.#home.commit({ ops }, options);
  }

  /** Drops the writes. Does nothing after a commit. */
  rollback(): void {
    this.#ended = true;
    this.#writes.clear();
  }

  /** {@linkcode Transaction.rollback}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.rollback();
    return Promise.resolve();
  }

  #write(write: Write): this {
    const text = keyText(write.key);
    const lease = write.lease ?? this.#writes.get(text)?.lease;
    this.#writes.set(text, { ...write, lease });
    return this;
  }

  #checkOpen(action: string): void {
    if (this.#ended) throw new ClosedError(action, "the transaction");
  }
}

function isInside(key: Uint8Array, range: ListOptions): boolean {
  const { prefix, start, end } = range;
  return (prefix === undefined || startsWith(key, toBytes(prefix))) &&
    (start === undefined || compareBytes(key, toBytes(start)) >= 0) &&
    (end === undefined || compareBytes(key, toBytes(end)) < 0);
}
