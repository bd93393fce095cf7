/**
 * The database: puts the rooms of a node together and gives them one face.
 *
 * Guarantees:
 * - Reads are local and never wait for the network; writes resolve when they are
 *   as durable as was asked at the node that leads the key.
 * - `close` settles every call that was made before it.
 *
 * A set goes: {@linkcode DB.set} → `lease/router.ts` (who leads the key?) →
 * `replication/replica.ts` (the apply loop) → `replication/draft.ts` (one batch)
 * → the engine; once durable back through `Replica.#publish` to the watchers
 * (`watch.ts`), to the peers (`replication/spread.ts`) and to the caller.
 *
 * @module
 */

import {
  abortable,
  type Bytes,
  ClosedError,
  isPromise,
  NotSupportedError,
  type Runtime,
  startDeadline,
  UnreachableError,
} from "../runtime/mod.ts";
import type { IterateOptions, KV, KVIterator } from "../engine/kv.ts";
import type { Endpoint } from "../transport/mod.ts";
import {
  checkBatch,
  checkBound,
  checkExpireIn,
  checkKey,
  checkLease,
  checkLimit,
  checkTimeout,
  checkValue,
  checkVersion,
  type KeyLike,
  type ValueLike,
} from "./check.ts";
import { clusterView, leaveForEver } from "./cluster_view.ts";
import type { DatabaseEvent, Events } from "./events.ts";
import {
  keyText,
  numberKey,
  numberOfKey,
  rowKey,
  Space,
  spacePrefix,
} from "./keyspace.ts";
import type { Expiry } from "./lease/expiry.ts";
import type { CallOptions, RoutedOutcome } from "./lease/router.ts";
import { LivingKeys } from "./living_keys.ts";
import type { Arrivals } from "./replication/arrivals.ts";
import {
  type Conflict,
  conflictOf,
  decodeClash,
} from "./replication/conflict.ts";
import type { CommitOp } from "./replication/draft.ts";
import {
  hasExpired,
  valueOfRow,
  type Version,
  versionOf,
} from "./replication/entry.ts";
import type { LogRecord } from "./replication/record.ts";
import type { SirState } from "./replication/rumours.ts";
import type { Vector } from "./replication/vector.ts";
import { Committed, type Left, Written } from "./results.ts";
import { readToken, type Token, vectorToken } from "./token.ts";
import { Transaction } from "./transaction.ts";
import type { Rooms } from "./dispatch.ts";
import type { Seeds } from "./membership/seeds.ts";
import type {
  CaughtUp,
  ClusterView,
  CommitOptions,
  CommitRequestInit,
  CommitResult,
  DeleteOp,
  EntryView,
  KeyValue,
  ListOptions,
  Metrics,
  RangeOptions,
  ReadOptions,
  SetOp,
  SetOptions,
  WriteResult,
} from "./face.ts";
import type { Change, ChangeStream, Watchers, WatchOptions } from "./watch.ts";

/** Nodes that {@linkcode DB.caughtUp} asks at a time. */
const ASKED_AT_ONCE_MAX = 64;

/** What a database is made of. Made by `open`. */
export interface DatabaseParts {
  readonly runtime: Runtime;
  readonly kv: KV;
  /** Whether `close` closes the engine. */
  readonly ownsEngine: boolean;
  /** Whether nothing is left of the node once it is closed. */
  readonly isVolatile: boolean;
  readonly endpoint: Endpoint | undefined;
  readonly rooms: Rooms;
  /** Who is asked where the others are; `undefined` without a network. */
  readonly seeds: Seeds | undefined;
  readonly arrivals: Arrivals;
  readonly expiry: Expiry;
  readonly watchers: Watchers;
  readonly events: Events;
  readonly counts: { records: number; conflicts: number };
}

/**
 * A database: one node's whole copy of the data, and its part in the cluster.
 *
 * Made by `open`. Close it with {@linkcode DB.close} or `await using`. Every
 * method but `close` and `metrics` throws {@linkcode ClosedError} afterwards.
 * Bytes handed in are copied, and bytes handed out belong to the caller.
 */
export class DB implements AsyncDisposable {
  readonly #parts: DatabaseParts;
  #closing: Promise<void> | undefined;
  /**
   * The namespace and the key of a read, where the engine answers at once: one
   * buffer, and its beginnings by their lengths.
   */
  readonly #scratch: Bytes = new Uint8Array(256);
  readonly #scratches: Bytes[] = [];

  /** The cluster. */
  readonly cluster: ClusterView;

  /** Made by `open`. */
  constructor(parts: DatabaseParts) {
    this.#parts = parts;
    this.cluster = clusterView({
      rooms: parts.rooms,
      timers: parts.runtime.timers,
      checkOpen: (action) => this.#checkOpen(action),
    });
  }

  /**
   * The value of a key as this node has it now; `undefined` if it has none.
   * Never waits for the network, unless it is to wait for a token.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * await db.set("planet", "Earth");
   *
   * const value = await db.get("planet");
   * assertEquals(new TextDecoder().decode(value), "Earth");
   * assertEquals(await db.get("no such key"), undefined);
   * ```
   *
   * @example What was written on one node, read on another
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using one = await open(":memory:", {
   *   address: "localhost:0",
   *   bootstrap: true,
   * });
   * await using two = await open(":memory:", {
   *   address: "localhost:0",
   *   peers: [one.cluster.host.address],
   * });
   * const { token } = await one.set("planet", "Earth");
   *
   * const value = await two.get("planet", { atLeast: token });
   * assertEquals(new TextDecoder().decode(value), "Earth");
   * ```
   *
   * @throws {LimitError} If the key is empty or too long.
   * @throws {CorruptionError} If what is stored is damaged.
   * @throws {TypeError} If `atLeast` is no token.
   * @throws {DeadlineExceededError} If this node has not by the deadline, 10 s
   * unless told otherwise, what `atLeast` stands for.
   * @throws {PoisonedError} If it waits for that, and the engine has failed.
   * @throws {RangeError} If `timeoutMs` is not positive.
   * @throws {ClosedError} If the database is closed, also meanwhile.
   */
  async get(
    key: KeyLike,
    options?: ReadOptions,
  ): Promise<Uint8Array | undefined> {
    if (options?.atLeast !== undefined) {
      checkKey("get", key);
      await this.#reach(options);
    }
    const { kv, rooms: { replica } } = this.#parts;
    for (;;) {
      const { bank } = replica;
      const found = kv.get(this.#rowOf(key));
      const row = isPromise(found) ? await found : found;
      if (row !== undefined) return valueOfRow(row, this.#now);
      // Or another copy of the data has taken the place of the one that was read.
      if (bank === replica.bank) return undefined;
    }
  }

  /**
   * {@linkcode DB.get}, at once. Throws as `get`.
   *
   * @throws {NotSupportedError} If the engine has no synchronous reads.
   */
  getSync(key: KeyLike): Uint8Array | undefined {
    this.#checkSynchronous("getSync");
    const row = this.#parts.kv.get(this.#rowOf(key)) as Bytes | undefined;
    return row && valueOfRow(row, this.#now);
  }

  /** The value of a key with its version and leaseholder. Throws as `get`. */
  async getEntry(
    key: KeyLike,
    options: ReadOptions = {},
  ): Promise<EntryView | undefined> {
    this.#checkOpen("read");
    const bytes = checkKey("get", key);
    await this.#reach(options);
    const entry = await this.#parts.rooms.replica.livingEntry(bytes);
    if (entry?.value === undefined || hasExpired(entry, this.#now())) {
      return undefined;
    }
    return {
      // The user's own: beside what was checked lies what others write.
      key: new Uint8Array(bytes),
      value: entry.value,
      version: versionOf(entry),
      leaseholder: entry.holder,
      ...entry.expiresAt > 0 && { expiresAt: entry.expiresAt },
    };
  }

  /**
   * How far this node is with bringing the newest write of a key that it has to
   * others: `"infected"` while it does so, `"recovered"` afterwards, or if that was
   * never its part. `"susceptible"`: it has no write of the key. Throws as `get`.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * assertEquals(await db.sirState("planet"), "susceptible");
   * await db.set("planet", "Earth");
   * // It has nobody to bring it to.
   * assertEquals(await db.sirState("planet"), "recovered");
   * ```
   */
  async sirState(key: KeyLike): Promise<SirState> {
    this.#checkOpen("read");
    const { replica, spread } = this.#parts.rooms;
    const [entry] = await replica.entries([checkKey("get", key)]);
    if (entry === undefined) return "susceptible";
    const { origin, seq } = entry;
    return spread?.stateOf({ origin, seq }) ?? "recovered";
  }

  /** Whether a key has a value. Throws as `get`. */
  async has(key: KeyLike, options?: ReadOptions): Promise<boolean> {
    return await this.get(key, options) !== undefined;
  }

  /**
   * Stands for all that this node has, whatever was read here before with it: with
   * `atLeast`, a read on another node is no older than one here.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   *
   * await using db = await open(":memory:");
   * await db.get("planet");
   * const token = await db.token();
   *
   * // Here, or on any other node:
   * await db.get("planet", { atLeast: token });
   * ```
   *
   * @throws {PoisonedError} If the engine has failed.
   * @throws {ClosedError} If the database is closed.
   */
  async token(): Promise<Token> {
    this.#checkOpen("read");
    return vectorToken(await this.#parts.rooms.replica.settled());
  }

  /**
   * Sets a key. Resolves when the node that leads it has the write as durably as
   * the database promises, and it is readable here.
   *
   * The first write of a key claims it: the node that wrote leads the key from
   * then on, or that named by `lease`. Writes of other nodes are forwarded to it.
   *
   * With `expireIn` the value ends by itself: every node hides it from that instant
   * on, and the leaseholder deletes it soon after.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * const { version } = await db.set("planet", new Uint8Array([1, 2, 3]));
   *
   * const entry = await db.getEntry("planet");
   * assertEquals(entry?.version, version);
   * assertEquals(entry?.leaseholder, db.cluster.host.key);
   * ```
   *
   * @example A value that ends
   * ```ts
   * import { open } from "@aspen/core";
   * import { assert, assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * await db.set("session/7", "open", { expireIn: 60_000 }); // milliseconds
   * const entry = await db.getEntry("session/7");
   * assert(entry!.expiresAt! > Date.now());
   *
   * await db.set("session/7", "kept"); // stays
   * assertEquals((await db.getEntry("session/7"))?.expiresAt, undefined);
   * ```
   *
   * @throws {LimitError} If the key or the value is beyond its limit.
   * @throws {LeaseNotTransferableError} If another node than `lease` leads it.
   * @throws {LeaseholderUnavailableError} If its leaseholder cannot be reached:
   * nothing was written.
   * @throws {DeadlineExceededError} If the deadline passed before anything was
   * sent to the leaseholder: nothing was written.
   * @throws {OutcomeUnknownError} If the reply of the leaseholder never came: it
   * may have written.
   * @throws {NodeNotFoundError} If `lease` is no member.
   * @throws {PoisonedError} If the engine has failed.
   * @throws {RangeError} If `timeoutMs` is not positive, or `expireIn` neither, or
   * more than 100 years.
   * @throws {ClosedError} If the database is closed.
   */
  async set(
    key: KeyLike,
    value: ValueLike,
    options: SetOptions = {},
  ): Promise<WriteResult> {
    this.#checkOpen("write");
    return await this.#write({
      key: checkKey("set", key),
      value: checkValue("set", value),
      lease: checkLease(options.lease),
      expireIn: checkExpireIn(options.expireIn),
    }, options);
  }

  /**
   * Deletes a key. A key that does not exist stays so, and nothing is written.
   * Throws as `set`.
   */
  async delete(
    key: KeyLike,
    options: CommitOptions = {},
  ): Promise<WriteResult> {
    this.#checkOpen("write");
    const op = { key: checkKey("delete", key), value: undefined };
    return await this.#write(op, options);
  }

  /** A commit of one op, which is how most is written. */
  async #write(op: CommitOp, options: CommitOptions): Promise<WriteResult> {
    const ops = [op];
    checkBatch(ops);
    const { router, replica } = this.#parts.rooms;
    const outcome = await router.commit({ checks: [], ops }, options);
    const [version] = versionsOf(ops, outcome.records);
    return new Written(version, leftBy(outcome, replica.vector));
  }

  /**
   * Writes several keys, if all checks hold: the one entry under `set`, `delete`
   * and transactions. What one node leads is written whole or not at all. Throws
   * as `set`, and what is named here.
   *
   * @example Compare and swap
   * ```ts
   * import { CheckFailedError, open } from "@aspen/core";
   * import { assertRejects } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * const { version = null } = await db.set("planet", "Earth");
   *
   * const request = {
   *   checks: [{ key: "planet", version }],
   *   ops: [{ type: "set", key: "planet", value: "Mars" }],
   * } as const;
   * await db.commit(request);
   * // The second time the version is another one.
   * await assertRejects(() => db.commit(request), CheckFailedError);
   * ```
   *
   * @throws {CheckFailedError} If a checked key has another version.
   * @throws {NotSupportedError} If there are checks and several leaseholders.
   * @throws {PartialCommitError} If some leaseholders committed and some failed.
   * @throws {LimitError} If a key, a value or the batch is beyond its limit.
   * @throws {OverloadedError} If 256 MiB of writes wait to be stored already.
   * @throws {TypeError} If an op is none.
   */
  async commit(
    request: CommitRequestInit,
    options: CommitOptions = {},
  ): Promise<CommitResult> {
    this.#checkOpen("write");
    if (!Array.isArray(request?.ops)) {
      throw new TypeError('Cannot commit: "ops" must be an array');
    }
    const ops = request.ops.map(toOp);
    checkBatch(ops);
    const checks = (request.checks ?? []).map(({ key, version }) => ({
      key: checkKey("check", key),
      version: checkVersion(version),
    }));
    const outcome = await this.#parts.rooms.router.commit(
      { checks, ops },
      options,
    );
    const versions = versionsOf(ops, outcome.records);
    const { vector } = this.#parts.rooms.replica;
    return new Committed(versions, leftBy(outcome, vector));
  }

  /**
   * Lists keys and values in the order of the keys' bytes, as they all were at
   * the first step. Leave the loop, or go to its end: until then the engine keeps
   * the state of that moment.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * for (const key of ["a/1", "a/2", "a/3", "b/1"]) await db.set(key, "");
   *
   * const keys: string[] = [];
   * const range = { prefix: "a/", reverse: true, limit: 2 };
   * for await (const { key } of db.list(range)) {
   *   keys.push(new TextDecoder().decode(key));
   * }
   * assertEquals(keys, ["a/3", "a/2"]);
   * ```
   *
   * @throws {RangeError} If `limit` is not a whole number from 0.
   * @throws {CorruptionError} If what is stored is damaged. What `atLeast` brings:
   * see `get`.
   * @throws {ClosedError} If the database is closed.
   */
  async *list(
    options: ListOptions & ReadOptions = {},
  ): AsyncGenerator<KeyValue> {
    const limit = checkLimit(options.limit);
    await this.#reach(options);
    const rows = this.#iterate(options);
    try {
      for (let left = limit; left > 0;) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) return;
        const value = valueOfRow(rows.value, this.#now);
        if (value === undefined) continue;
        left--;
        yield { key: rows.key.subarray(1), value };
      }
    } finally {
      const closed = rows.close();
      if (isPromise(closed)) await closed;
    }
  }

  /**
   * {@linkcode DB.list}, at once. Throws as `list`.
   *
   * @throws {NotSupportedError} If the engine has no synchronous reads.
   */
  *listSync(options: ListOptions = {}): Generator<KeyValue> {
    this.#checkSynchronous("listSync");
    const limit = checkLimit(options.limit);
    const rows = this.#iterate(options);
    try {
      for (let left = limit; left > 0;) {
        if (!rows.next()) return;
        const value = valueOfRow(rows.value, this.#now);
        if (value === undefined) continue;
        left--;
        yield { key: rows.key.subarray(1), value };
      }
    } finally {
      void rows.close();
    }
  }

  /** Lists keys in order, without their values. Throws as `list`. */
  async *keys(
    options: ListOptions & ReadOptions = {},
  ): AsyncGenerator<Uint8Array> {
    const limit = checkLimit(options.limit);
    await this.#reach(options);
    const rows = this.#livingKeys(options);
    try {
      for (let left = limit; left > 0; left--) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) return;
        yield rows.key;
      }
    } finally {
      const closed = rows.close();
      if (isPromise(closed)) await closed;
    }
  }

  /** Counts keys. Throws as `list`. */
  async count(options: RangeOptions & ReadOptions = {}): Promise<number> {
    await this.#reach(options);
    const rows = this.#livingKeys(options);
    let count = 0;
    try {
      for (;;) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) return count;
        count++;
      }
    } finally {
      const closed = rows.close();
      if (isPromise(closed)) await closed;
    }
  }

  /**
   * Begins a transaction: writes that are read back, and committed together.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * await using tx = db.transaction();
   * tx.set("from", "9").set("to", "1");
   *
   * // The transaction reads its own writes; nobody else does yet.
   * assertEquals(new TextDecoder().decode(await tx.get("to")), "1");
   * assertEquals(await db.has("to"), false);
   * await tx.commit();
   * assertEquals(await db.has("to"), true);
   * ```
   *
   * @throws {ClosedError} If the database is closed.
   */
  transaction(): Transaction {
    this.#checkOpen("begin a transaction");
    return new Transaction({
      get: (key) => this.get(key),
      list: (options) => this.list(options),
      commit: (request, options) => this.commit(request, options),
    });
  }

  /**
   * Watches what changes here, whoever wrote it, until the stream is cancelled or
   * the database closes: from now on, or after a token, or with what is there first.
   * Each array is what changed together.
   *
   * A watcher that is too slow is told the newest version of each key only, marked
   * `coalesced`; where even these are too many, it gets a {@linkcode LaggedChange}
   * in the place of what was dropped, and reads what it watches anew.
   *
   * After a pause, however long, on this node or another one, `since` goes on with
   * what came after a token. The stream fails with {@linkcode TokenTooOldError} if
   * that is no longer kept (`logBytesMax`, 64 MiB of the newest records, or if the
   * node has caught up with many changes at once since), and with
   * {@linkcode DeadlineExceededError} if this node does not get in `timeoutMs` what
   * the token stands for.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * const changes = db.watch({ prefix: "planet/" });
   * await db.set("star/1", "Sun");
   * await db.set("planet/3", "Earth");
   *
   * for await (const [change] of changes) {
   *   assertEquals(change?.type, "set");
   *   break; // cancels the stream
   * }
   * ```
   *
   * @example Go on where it was
   * ```ts
   * import { open, type Token } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * let token: Token | undefined; // kept with what was made of the changes
   * const first = db.watch({ prefix: "planet/" });
   * await db.set("planet/3", "Earth");
   * for await (const changes of first) {
   *   token = changes.at(-1)?.token;
   *   break;
   * }
   * await db.set("planet/4", "Mars");
   *
   * const second = db.watch({ prefix: "planet/", since: token });
   * for await (const [change] of second) {
   *   assertEquals(change?.type, "set"); // of Mars
   *   break;
   * }
   * ```
   *
   * @throws {TypeError} If `since` is no token, or given with `initial`.
   * @throws {RangeError} If `timeoutMs` or `queueBytesMax` is not positive.
   * @throws {ClosedError} If the database is closed.
   */
  watch(options: WatchOptions = {}): ChangeStream {
    this.#checkOpen("watch");
    return this.#parts.watchers.watch(options);
  }

  /**
   * Calls a handler with each batch of changes, one at a time: the next one when
   * the promise it returned has settled. What it throws is an event of type
   * `handlerFailed`, and the watch goes on; that the watch itself has failed is one
   * of type `watchFailed`. Dispose of what `onChange` returns to stop. Throws as
   * `watch`.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * const seen = Promise.withResolvers<string>();
   * using _watch = db.onChange(([change]) => seen.resolve(change!.type));
   *
   * await db.set("planet", "Earth");
   * assertEquals(await seen.promise, "set");
   * ```
   */
  onChange(
    handler: (changes: Change[]) => void | Promise<void>,
    options: WatchOptions = {},
  ): Disposable {
    if (typeof handler !== "function") {
      throw new TypeError("Cannot watch: the handler must be a function");
    }
    const reader = this.watch(options).getReader();
    const run = async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        try {
          await handler(value);
        } catch (error) {
          this.#parts.events.emit({ type: "handlerFailed", error });
        }
      }
    };
    run().catch((error) => {
      this.#parts.events.emit({ type: "watchFailed", error });
    });
    return {
      [Symbol.dispose]() {
        reader.cancel().catch(() => {
          // It has failed already, and was told of.
        });
      },
    };
  }

  /**
   * What happens beside the data, from now on, until the stream is cancelled:
   * conflicts, connections, failures. At most 1024 events wait for a reader.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * const events = db.events().getReader();
   * using _watch = db.onChange(() => {
   *   throw new Error("no planet");
   * });
   * await db.set("planet", "Pluto");
   *
   * for (;;) {
   *   const { value: event } = await events.read();
   *   if (event?.type !== "handlerFailed") continue;
   *   assertEquals((event.error as Error).message, "no planet");
   *   break;
   * }
   * await events.cancel();
   * ```
   *
   * @throws {ClosedError} If the database is closed.
   */
  events(): ReadableStream<DatabaseEvent> {
    this.#checkOpen("read events");
    return this.#parts.events.read();
  }

  /**
   * The conflicts on record, oldest first, over restarts: all that were reported on
   * this node and not forgotten since ({@linkcode DB.forgetConflicts}).
   *
   * @throws {CorruptionError} If what is stored is damaged.
   * @throws {ClosedError} If the database is closed.
   */
  async *conflicts(): AsyncGenerator<Conflict> {
    this.#checkOpen("read");
    const { kv, rooms: { replica } } = this.#parts;
    const { conflictsForgotten } = replica.figures;
    const rows = kv.iterate({
      prefix: spacePrefix(Space.CONFLICT),
      start: numberKey(Space.CONFLICT, conflictsForgotten + 1),
    });
    try {
      while (await rows.next()) {
        const number = numberOfKey(rows.key);
        yield conflictOf({ ...decodeClash(rows.value), number });
      }
    } finally {
      await rows.close();
    }
  }

  /**
   * Forgets the conflicts on record up to a number, for ever: those that you have
   * dealt with. Resolves once that is on the device. No report goes in any other way:
   * where as many stand as may (`propagation.conflictsMax`), writes of other nodes that
   * would lose here wait, with all that was written there after them (event
   * `conflictsFull`), and go on as soon as some are forgotten.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * for await (const { number, key, lost } of db.conflicts()) {
   *   // … write what was lost under another key, ask somebody, or let it go; then:
   *   console.log(key, lost.value);
   *   await db.forgetConflicts(number);
   * }
   * assertEquals(db.metrics().conflictsOnRecord, 0);
   * ```
   *
   * @param through The {@linkcode Conflict.number} of the last one to forget; 0 forgets
   * nothing.
   * @throws {RangeError} If it is not a whole number from 0 to that of the newest
   * conflict.
   * @throws {PoisonedError} If the engine has failed.
   * @throws {ClosedError} If the database is closed.
   */
  async forgetConflicts(through: number): Promise<void> {
    this.#checkOpen("forget conflicts");
    if (!Number.isSafeInteger(through) || through < 0) {
      throw new RangeError(
        `Cannot forget conflicts: the number must be a whole one from 0, received ${through}`,
      );
    }
    const { replica, pull } = this.#parts.rooms;
    await replica.forgetConflicts(through);
    pull.resume();
  }

  /**
   * Waits for one answer, or one failed attempt, of every node that has not left:
   * afterwards this node has all that those who answered had. Who has done neither
   * by the deadline is missing too, and so is who has records that wait here until
   * conflicts are forgotten. On a node alone it resolves at once.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assertEquals } from "@std/assert";
   *
   * await using one = await open(":memory:", {
   *   address: "localhost:0",
   *   bootstrap: true,
   * });
   * await using two = await open(":memory:", {
   *   address: "localhost:0",
   *   peers: [one.cluster.host.address],
   * });
   * await one.set("planet", "Earth");
   *
   * assertEquals(await two.caughtUp(), { peers: [1], missing: [] });
   * assertEquals(await two.has("planet"), true);
   * ```
   *
   * @throws {ClosedError} If the database is closed, also meanwhile.
   * @throws {RangeError} If `timeoutMs` is not positive.
   */
  async caughtUp(options: CallOptions = {}): Promise<CaughtUp> {
    this.#checkOpen("catch up");
    const { cluster, pull } = this.#parts.rooms;
    const { signal } = options;
    const timeoutMs = checkTimeout("catch up", options.timeoutMs);
    const { timers } = this.#parts.runtime;
    using deadline = startDeadline(timers, timeoutMs, "catch up", signal);
    const peers: number[] = [];
    const missing: number[] = [];
    const nodes = cluster.others().values();
    const askNext = async () => {
      for (const node of nodes) {
        try {
          if (this.#parts.endpoint === undefined) throw noNetwork(node);
          await abortable(pull.from(node), deadline.signal);
          peers.push(node);
        } catch {
          missing.push(node);
        }
      }
    };
    await Promise.all(Array.from({ length: ASKED_AT_ONCE_MAX }, askNext));
    signal?.throwIfAborted();
    // A close makes all that is under way fail: that says nothing of the peers.
    if (missing.length > 0) this.#checkOpen("catch up");
    return { peers: peers.sort(byKey), missing: missing.sort(byKey) };
  }

  /**
   * Numbers for dashboards and tests, those of the engine with them.
   *
   * @example
   * ```ts
   * import { open } from "@aspen/core";
   * import { assert } from "@std/assert";
   *
   * await using db = await open(":memory:");
   * await db.set("planet", "Earth");
   *
   * const { recordsApplied, engine } = db.metrics();
   * assert(recordsApplied === 1);
   * assert(engine?.syncs !== undefined && engine.syncs.count > 0);
   * ```
   */
  metrics(): Metrics {
    const { rooms, counts, watchers, kv, endpoint } = this.#parts;
    const {
      origins,
      folded,
      logRecords,
      logBytes,
      held,
      waiting,
      ...conflicts
    } = rooms.replica.figures;
    return {
      origins,
      foldedOrigins: folded,
      logRecords,
      logBytes,
      heldRecords: held,
      waiting,
      lag: rooms.cluster.lag(rooms.replica.vector),
      recordsApplied: counts.records,
      pushes: rooms.spread?.messages ?? 0,
      spread: rooms.spread?.metrics,
      pulls: rooms.pull.figures.pulls,
      pullsOfRecords: rooms.pull.figures.records,
      sessionsTaken: rooms.pull.figures.sessions,
      copiesTaken: rooms.pull.figures.copies,
      copiesResumed: rooms.pull.figures.resumed,
      sessionEntries: rooms.pull.figures.entries,
      sessionsOpen: rooms.donor.sessions,
      sessionBytesGiven: rooms.donor.figures.bytes,
      sessionPausesMs: rooms.donor.figures.pausedMs,
      tombstonesCollected: rooms.collector.collected,
      conflicts: counts.conflicts,
      audit: rooms.audit.metrics,
      conflictsOnRecord: conflicts.conflictsStanding,
      conflictsFull: conflicts.conflictsFull,
      peersConnected: rooms.cluster.connected().length,
      clusterExchanges: rooms.cluster.exchanges,
      agreement: rooms.cluster.agreed,
      detection: rooms.cluster.detection,
      transport: endpoint?.metrics(),
      watchers: watchers.size,
      engine: kv.metrics?.(),
    };
  }

  /** Settles every call made so far, then closes. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** {@linkcode DB.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { rooms, seeds, endpoint, watchers, events, kv } = this.#parts;
    const { isVolatile, runtime } = this.#parts;
    // From the bottom up, and each whatever becomes of the others: what stayed
    // open would hold the address and the directory.
    await using closing = new AsyncDisposableStack();
    if (this.#parts.ownsEngine) closing.defer(async () => await kv.close());
    closing.defer(() => events.close());
    closing.defer(() => watchers.close());
    closing.defer(() => rooms.donor.close());
    closing.defer(() => endpoint?.close());
    closing.defer(() => rooms.cluster.close());
    closing.defer(() => seeds?.close());
    closing.defer(() => rooms.leaving.close());
    closing.defer(() => rooms.reset.close());
    closing.defer(() => rooms.collector.close());
    closing.defer(() => rooms.audit.close());
    closing.defer(() => rooms.pull.close());
    closing.defer(() => rooms.spread?.close());
    closing.defer(() => rooms.replica.close());
    closing.defer(() => this.#parts.expiry.close());
    if (isVolatile) closing.defer(() => leaveForEver(rooms, runtime.timers));
  }

  /** The namespace, in the bank that counts. */
  #space(space: number): number {
    return space + this.#parts.rooms.replica.bank;
  }

  /** Waits until this node has what a read asks for at least. */
  async #reach(
    { atLeast, timeoutMs, signal }: ReadOptions,
  ): Promise<void> {
    if (atLeast === undefined) return;
    this.#checkOpen("read");
    const { vector } = readToken("read", '"atLeast"', atLeast);
    await this.#parts.arrivals.of(vector, {
      timeoutMs: checkTimeout("read", timeoutMs),
      signal,
    });
    this.#checkOpen("read");
  }

  readonly #now = (): number => this.#parts.runtime.clock.now();

  #checkOpen(action: string): void {
    if (this.#closing !== undefined) throw new ClosedError(action);
  }

  #checkSynchronous(method: string): void {
    if (!this.#parts.kv.synchronous) {
      throw new NotSupportedError(
        method,
        "the engine has no synchronous reads",
      );
    }
  }

  /** The row of a key, in a buffer that is reused where that is safe. */
  #rowOf(key: KeyLike): Uint8Array {
    this.#checkOpen("read");
    if (!this.#parts.kv.synchronous || typeof key === "string") {
      return rowKey(this.#space(Space.LIVE), checkKey("get", key));
    }
    if (
      !(key instanceof Uint8Array) || key.length === 0 ||
      key.length >= this.#scratch.length
    ) {
      return rowKey(this.#space(Space.LIVE), checkKey("get", key));
    }
    const { length } = key;
    const scratch = this.#scratch;
    scratch[0] = this.#space(Space.LIVE);
    // Few bytes are copied sooner than the platform is asked to.
    for (let i = 0; i < length; i++) scratch[i + 1] = key[i]!;
    return this.#scratches[length] ??= scratch.subarray(0, length + 1);
  }

  #iterate(options: RangeOptions): KVIterator {
    this.#checkOpen("list");
    return this.#parts.kv.iterate(rangeOf(options, this.#space(Space.LIVE)));
  }

  #livingKeys(options: RangeOptions): LivingKeys {
    this.#checkOpen("list");
    const { kv } = this.#parts;
    return new LivingKeys({
      synchronous: kv.synchronous,
      now: this.#now,
      reverse: options.reverse === true,
      // Of one moment: nothing comes between these two.
      keys: kv.iterate({
        ...rangeOf(options, this.#space(Space.LIVE)),
        keysOnly: true,
      }),
      expiring: kv.iterate(
        rangeOf(options, this.#space(Space.EXPIRING)),
      ),
    });
  }
}

/** A range of users' keys, in a namespace. */
function rangeOf(options: RangeOptions, space: number): IterateOptions {
  const { prefix, start, end, reverse } = options;
  const range: IterateOptions = {
    prefix: prefix === undefined
      ? spacePrefix(space)
      : rowKey(space, checkBound("prefix", prefix)),
    reverse,
  };
  if (start !== undefined) {
    range.start = rowKey(space, checkBound("start", start));
  }
  if (end !== undefined) range.end = rowKey(space, checkBound("end", end));
  return range;
}

function toOp(op: SetOp | DeleteOp): CommitOp {
  if (typeof op !== "object" || op === null) {
    throw new TypeError("Cannot commit: an op must be an object");
  }
  const key = checkKey(op.type, op.key);
  switch (op.type) {
    case "set":
      return {
        key,
        value: checkValue("set", op.value),
        lease: checkLease(op.lease),
        expireIn: checkExpireIn(op.expireIn),
      };
    case "delete":
      return { key, value: undefined };
    default:
      throw new TypeError(
        `Cannot commit: an op's type must be "set" or "delete", received ${
          String((op as { type: unknown }).type)
        }`,
      );
  }
}

/** What a commit left; of nothing, which is all that it may have left, the state. */
function leftBy({ after }: RoutedOutcome, here: Vector): Left {
  return after.length === 0 ? here : after;
}

/** The version that each op has left. */
function versionsOf(
  ops: readonly CommitOp[],
  records: readonly LogRecord[],
): (Version | undefined)[] {
  if (ops.length === 1) {
    const entry = records[0]?.entries[0];
    return [entry && versionOf(entry)];
  }
  const versions = new Map<string, Version>();
  for (const { entries } of records) {
    for (const entry of entries) {
      versions.set(keyText(entry.key), versionOf(entry));
    }
  }
  return ops.map(({ key }) => versions.get(keyText(key)));
}

function byKey(a: number, b: number): number {
  return a - b;
}

function noNetwork(node: number): Error {
  return new UnreachableError(`reach node ${node}`, []);
}
