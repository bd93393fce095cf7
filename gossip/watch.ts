/**
 * Watches: what changes, as it changes here.
 *
 * Guarantees: a watcher sees each (key, version) at most once, and the versions
 * of a key in order; a batch whole, in one array, as far as its keys are
 * watched; nothing that is not durable here. A write that lost is not shown. A
 * watcher never slows a writer: one that does not keep up is shown the newest
 * version of each key, and where even those are too many, gets a `lagged` change in
 * the place of what was dropped.
 *
 * A watcher that goes on after a token, on this node or another, after any number
 * of restarts, sees what came after it, as if it had never stopped, or an error
 * that says that it cannot.
 *
 * @module
 */

import { compareBytes, startsWith } from "../runtime/mod.ts";
import type { Waiting } from "./change_queue.ts";
import { checkBound, checkTimeout } from "./check.ts";
import { keyText } from "./keyspace.ts";
import type { Applied } from "./replication/draft.ts";
import { type Version, versionOf } from "./replication/entry.ts";
import { readToken, type Token } from "./token.ts";
import { Watcher, type WatcherFilter, type WatchSource } from "./watcher.ts";

/** A key has a new version. */
export interface KeyChange {
  /** What happened to it. */
  readonly type: "set" | "delete";
  /** The key. */
  readonly key: Uint8Array;
  /** The value; absent if the key was deleted. */
  readonly value?: Uint8Array;
  /** The version. */
  readonly version: Version;
  /** The node that leads the key. */
  readonly leaseholder: number;
  /**
   * Whether versions of the key before this one may have been left out: this node
   * caught up with many changes at once, or the watcher did not keep up, or this is
   * what was there when it began.
   */
  readonly coalesced: boolean;
  /**
   * Goes on after the whole batch that this change is in:
   * `watch({ since: token })`, on any node. Store it when all of the batch is dealt
   * with. Absent only where nothing could go on: in batches of an initial state
   * before the last one.
   */
  readonly token?: Token;
}

/**
 * Changes were dropped, because the watcher did not keep up. Read what is watched
 * anew, or see what was dropped with `watch({ since: token })`, if it is still kept.
 */
export interface LaggedChange {
  /** Tells it from what happened to a key. */
  readonly type: "lagged";
  /** How many batches. */
  readonly missed: number;
  /** Goes on before what was dropped. The tokens that follow go on after it. */
  readonly token: Token;
}

/**
 * A whole copy of the data has taken the place of what was here: any key may have
 * another value now, also an older one, and what is watched is to be read anew.
 */
export interface ResetChange {
  /** Tells it from what happened to a key. */
  readonly type: "reset";
  /** Goes on with what happens from then on. */
  readonly token: Token;
}

/** What a watcher sees. */
export type Change = KeyChange | LaggedChange | ResetChange;

/** The changes of a watch, batch by batch. */
export interface ChangeStream extends ReadableStream<Change[]> {
  /**
   * Goes on behind the last batch that was read, and behind what has gone by since
   * and was not watched: `watch({ since: token })`. Where little of what is watched
   * changes, store this one now and then, when the last batch is dealt with: that of
   * the batch becomes too old. `undefined` until an initial state has been told.
   */
  token(): Token | undefined;
}

/** What to watch. */
export interface WatchOptions {
  /** Only keys that begin so. */
  prefix?: string | Uint8Array;
  /** Only these keys. */
  keys?: readonly (string | Uint8Array)[];
  /**
   * Leaves out what was written to keys that this node leads.
   *
   * @default {false}
   */
  ignoreHost?: boolean;
  /**
   * Goes on after a token: of a {@linkcode KeyChange}, of the stream, or of
   * {@linkcode DB.token}; with that of a write, after what the watching node applied
   * with or before it. `undefined`: begins now. On a node that has not yet what the
   * token stands for, nothing is told until it has.
   */
  since?: Token | undefined;
  /**
   * How long this node may take until it has what `since` stands for, in
   * milliseconds.
   *
   * @default {10_000}
   */
  timeoutMs?: number;
  /**
   * Tells first what is there, as changes of type `set` that are `coalesced`, in
   * the order of the keys, some 256 KiB a batch, then what changes. Not with
   * `since`.
   *
   * @default {false}
   */
  initial?: boolean;
  /**
   * Bytes of changes that may wait for the watcher. Beyond, only the newest version
   * of each key waits; where that takes more too, changes are dropped.
   *
   * @default {16 MiB}
   */
  queueBytesMax?: number;
}

/** Default of {@linkcode WatchOptions.queueBytesMax}. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;

/** All watchers of a database. */
export class Watchers {
  readonly #host: number;
  readonly #source: WatchSource;
  readonly #watchers = new Set<Watcher<Change[]>>();

  /** @param host The key of this node. */
  constructor(host: number, source: WatchSource) {
    this.#host = host;
    this.#source = source;
  }

  /** How many watch. */
  get size(): number {
    return this.#watchers.size;
  }

  /**
   * Watches from now on, or after a token, until the stream is cancelled. It fails
   * with {@linkcode TokenTooOldError} or {@linkcode DeadlineExceededError}.
   *
   * @throws {TypeError} If the prefix or a key is neither text nor bytes, or
   * `since` no token, or given with `initial`.
   * @throws {RangeError} If the queue's limit or `timeoutMs` is not positive.
   */
  watch(options: WatchOptions = {}): ChangeStream {
    const { queueBytesMax = QUEUE_BYTES_MAX, since, initial = false } = options;
    if (!(queueBytesMax > 0)) {
      throw new RangeError(
        `Cannot watch: queueBytesMax must be positive, received ${queueBytesMax}`,
      );
    }
    if (since !== undefined && initial) {
      throw new TypeError(
        'Cannot watch: "since" and "initial" exclude each other',
      );
    }
    const watcher: Watcher<Change[]> = new Watcher<Change[]>({
      source: this.#source,
      filter: this.#filter(options),
      since: since === undefined
        ? undefined
        : readToken("watch", '"since"', since),
      initial,
      timeoutMs: checkTimeout("watch", options.timeoutMs),
      queueBytesMax,
      changes: (waiting, token) => waiting.map((one) => changeOf(one, token)),
      lagged: (missed, token) => [laggedBy(missed, token)],
      reset: (token) => [resetTo(token)],
      onEnd: () => this.#watchers.delete(watcher),
    });
    this.#watchers.add(watcher);
    return Object.assign(watcher.stream, { token: () => watcher.token() });
  }

  /** Tells the watchers what was applied. */
  publish(applied: readonly Applied[]): void {
    if (this.#watchers.size === 0) return;
    for (const each of applied) {
      for (const watcher of this.#watchers) watcher.offer(each);
    }
  }

  /** Ends all streams, after what waits. */
  async close(): Promise<void> {
    await Promise.all([...this.#watchers].map((watcher) => watcher.close()));
  }

  #filter(options: WatchOptions): WatcherFilter {
    const prefix = new Uint8Array(
      checkBound("prefix", options.prefix ?? "", "watch"),
    );
    if (options.keys !== undefined && !Array.isArray(options.keys)) {
      throw new TypeError('Cannot watch: "keys" must be an array of keys');
    }
    const keys = options.keys && new Map(
      options.keys.map((key) => {
        const own = new Uint8Array(checkBound("keys", key, "watch"));
        return [keyText(own), own];
      }),
    );
    return {
      prefix,
      keys: keys && [...keys.values()].sort(compareBytes),
      wants: (entry) =>
        startsWith(entry.key, prefix) &&
        (keys === undefined || keys.has(keyText(entry.key))) &&
        !(options.ignoreHost === true && entry.holder === this.#host),
    };
  }
}

function changeOf(
  { entry, coalesced }: Waiting,
  token: (() => Token) | undefined,
): KeyChange {
  const { key, value, holder } = entry;
  const version = versionOf(entry);
  const type = value === undefined ? "delete" : "set";
  const common = {
    type,
    key,
    version,
    leaseholder: holder,
    coalesced,
  } as const;
  // Made when it is asked for: it takes more work than all the rest.
  const resumable = token === undefined ? common : {
    ...common,
    get token() {
      return token();
    },
  };
  if (value === undefined) return resumable;
  return Object.assign(resumable, { value });
}

function resetTo(token: () => Token): ResetChange {
  return {
    type: "reset",
    get token() {
      return token();
    },
  };
}

function laggedBy(missed: number, token: () => Token): LaggedChange {
  return {
    type: "lagged",
    missed,
    get token() {
      return token();
    },
  };
}
