/**
 * The interface of an engine: one node's ordered store of bytes. Everything
 * above knows engines only through it, so that any store with ordered keys and
 * atomic batches can sit below.
 *
 * Guarantees asked of an engine:
 * - Keys are ordered as unsigned bytes, a prefix before what it begins.
 * - `write` is atomic: after a crash all of a batch is there or none of it, and
 *   what is there is a prefix of the batches in the order they were handed in.
 * - With `sync`, `write` resolves only when the batch survives a power failure.
 * - A read that starts after `write` resolved sees the batch. Snapshots and
 *   iterators see the state of the moment they were made, and stay so.
 * - Bytes that an engine returns belong to the caller, who may keep and change
 *   them. Several may lie in one `ArrayBuffer`, as Node's do: whoever transfers
 *   one's `buffer` takes the others along. Bytes handed in stay the caller's, who
 *   may reuse them once `write` has settled: an engine keeps none, and gives away
 *   none of their memory, in which other bytes may lie.
 * - After any failed write or sync every later write fails with
 *   {@linkcode PoisonedError} until the store is opened anew.
 *
 * @module
 */

import type { Awaitable, Bytes } from "../runtime/mod.ts";
import type { LsmMetrics } from "./metrics.ts";
import type { BoundedRange } from "./range.ts";

export type { LsmEvent } from "./options.ts";
export type { BoundedRange } from "./range.ts";

/** How an engine stands, in numbers: those of them that it counts. */
export type EngineMetrics = Partial<LsmMetrics>;

/** One change of a batch: sets the key, or deletes it if `value` is absent. */
export interface BatchOp {
  /** The key, 1 byte or more. */
  readonly key: Uint8Array;
  /** The new value; `undefined` deletes the key. */
  readonly value: Uint8Array | undefined;
}

/** Options for {@linkcode KV.write}. */
export interface WriteOptions {
  /**
   * Whether to resolve only once the batch survives a power failure. Without
   * it, the batch survives the end of the process once resolved.
   *
   * @default {false}
   */
  sync?: boolean;
}

/** Which keys to iterate over, and how. */
export interface IterateOptions {
  /** Only keys that begin so. */
  prefix?: Uint8Array | undefined;
  /** The first key, inclusive. */
  start?: Uint8Array | undefined;
  /** The end of the keys, exclusive. At or before `start`: nothing. */
  end?: Uint8Array | undefined;
  /**
   * Whether to go from the last key to the first.
   *
   * @default {false}
   */
  reverse?: boolean | undefined;
  /**
   * Whether values are not wanted; {@linkcode KVIterator.value} is then not to
   * be asked for.
   *
   * @default {false}
   */
  keysOnly?: boolean | undefined;
}

/** A position in a sequence of keys, before the first of them at the start. */
export interface KVIterator {
  /** Goes to the next key; `false` if there is none, and for ever after. */
  next(): Awaitable<boolean>;
  /** The key at the position. Only after `next` gave `true`. */
  readonly key: Bytes;
  /** The value at the position. Only after `next` gave `true`. */
  readonly value: Bytes;
  /** Lets go of what the iterator holds. Idempotent. */
  close(): Awaitable<void>;
}

/** What can be read, now or in a snapshot. */
export interface KVReader {
  /** The value of a key, or `undefined` if it has none. */
  get(key: Uint8Array): Awaitable<Bytes | undefined>;
  /** Iterates over keys in order. */
  iterate(options?: IterateOptions): KVIterator;
}

/** The state of a moment. */
export interface KVSnapshot extends KVReader {
  /** Lets the engine forget that state. Idempotent. */
  close(): Awaitable<void>;
}

/** A key and its value. */
export interface Row {
  /** The key, 1 byte or more. */
  readonly key: Uint8Array;
  /** The value. */
  readonly value: Uint8Array;
}

/**
 * Rows on their way into an engine, to be there all at once. No key comes twice.
 * One call at a time; after one that failed, only `close` is of use.
 */
export interface KVBulkLoad {
  /** Adds rows, each behind all that were appended before. */
  append(rows: readonly Row[]): Awaitable<void>;
  /** Adds rows in any order. */
  insert(rows: readonly Row[]): Awaitable<void>;
  /** Makes all of them readable; they survive a power failure then. */
  finish(): Awaitable<void>;
  /** Gives up what is not finished: nothing is left of it. Idempotent. */
  close(): Awaitable<void>;
}

/** An engine. */
export interface KV extends KVReader {
  /**
   * Whether `get`, `next`, `snapshot` and the closing of iterators and
   * snapshots always answer at once, never with a promise. `getSync` and
   * `listSync` of the database need it.
   */
  readonly synchronous: boolean;
  /** Applies a batch, atomically, after all batches handed in before it. */
  write(batch: readonly BatchOp[], options?: WriteOptions): Awaitable<void>;
  /** The state of this moment. */
  snapshot(): Awaitable<KVSnapshot>;
  /**
   * Begins to write many rows past the log, if the engine can. They hide what was
   * written in their place before. From here to `finish` nobody else may read or
   * write between the first and the last key of the rows appended, nor between
   * those of the rows inserted. One load at a time.
   */
  load?(): Awaitable<KVBulkLoad>;
  /**
   * Gives up a range of keys, if the engine has a use for that: nobody sets a key in
   * it any more while the store is open, and reads in it may find what there was or
   * nothing. An engine takes nothing away before all that was written before this
   * call survives a power failure, and forgets the range at `close`.
   */
  abandon?(range: BoundedRange): void;
  /**
   * Resolves, if the engine can tell, with the reason why it takes no writes any
   * more. Never rejects.
   */
  readonly failed?: Promise<unknown>;
  /** How the engine stands, if it can tell; also after `close`. */
  metrics?(): EngineMetrics;
  /** Settles what was handed in, then closes. Idempotent. */
  close(): Awaitable<void>;
}
