/**
 * Watches: what changes, as it changes here.
 *
 * Guarantees: a watcher sees each (key, version) at most once, and the versions
 * of a key in order; a batch whole, in one array, as far as its keys are
 * watched; nothing that is not durable here. A write that lost is not shown. A
 * watcher that does not keep up gets a `lagged` change in the place of what was
 * dropped, and never slows a writer.
 *
 * @module
 */

import { NotSupportedError, startsWith } from "../runtime/mod.ts";
import { checkBound } from "./check.ts";
import { Feed } from "./feed.ts";
import { type Applied, keyText } from "./replication/draft.ts";
import { type Entry, type Version, versionOf } from "./replication/entry.ts";

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
   * Whether versions of the key before this one may have been left out, because
   * this node caught up with many changes at once.
   */
  readonly coalesced: boolean;
}

/** Changes were dropped, because the watcher did not keep up. */
export interface LaggedChange {
  /** Tells it from what happened to a key. */
  readonly type: "lagged";
  /** How many batches. */
  readonly missed: number;
}

/**
 * A whole copy of the data has taken the place of what was here: any key may have
 * another value now, also an older one, and what is watched is to be read anew.
 */
export interface ResetChange {
  /** Tells it from what happened to a key. */
  readonly type: "reset";
}

/** What a watcher sees. */
export type Change = KeyChange | LaggedChange | ResetChange;

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
  /** Resumes after a token. Not in this release. */
  since?: string;
  /**
   * Bytes of changes that may wait for the watcher.
   *
   * @default {16 MiB}
   */
  queueBytesMax?: number;
}

/** Default of {@linkcode WatchOptions.queueBytesMax}. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;

/** Bytes that a change takes beside its key and value, about. */
const CHANGE_BYTES = 200;

interface Watcher {
  readonly feed: Feed<Change[]>;
  wants(entry: Entry): boolean;
}

/** All watchers of a database. */
export class Watchers {
  readonly #host: number;
  readonly #watchers = new Set<Watcher>();

  /** @param host The key of this node. */
  constructor(host: number) {
    this.#host = host;
  }

  /** How many watch. */
  get size(): number {
    return this.#watchers.size;
  }

  /**
   * Watches from now on, until the stream is cancelled.
   *
   * @throws {NotSupportedError} If a token to resume after is given.
   * @throws {TypeError} If the prefix or a key is neither text nor bytes.
   * @throws {RangeError} If the queue's limit is not positive.
   */
  watch(options: WatchOptions = {}): ReadableStream<Change[]> {
    if (options.since !== undefined) {
      throw new NotSupportedError(
        "watch({ since })",
        "resuming a watch comes with a later release",
      );
    }
    const { queueBytesMax = QUEUE_BYTES_MAX } = options;
    if (!(queueBytesMax > 0)) {
      throw new RangeError(
        `Cannot watch: queueBytesMax must be positive, received ${queueBytesMax}`,
      );
    }
    const watcher: Watcher = {
      feed: new Feed<Change[]>({
        weightMax: queueBytesMax,
        weigh: bytesOf,
        lagged: (missed) => [{ type: "lagged", missed }],
        onEnd: () => this.#watchers.delete(watcher),
      }),
      wants: this.#filter(options),
    };
    this.#watchers.add(watcher);
    return watcher.feed.stream;
  }

  /** Tells the watchers what was applied. */
  publish(applied: readonly Applied[]): void {
    if (this.#watchers.size === 0) return;
    for (const { record, changes, replaced } of applied) {
      if (replaced !== undefined) {
        for (const { feed } of this.#watchers) feed.push([{ type: "reset" }]);
      }
      for (const watcher of this.#watchers) {
        const wanted = changes.filter((entry) => watcher.wants(entry));
        if (wanted.length === 0) continue;
        const coalesced = record === undefined;
        watcher.feed.push(wanted.map((entry) => changeOf(entry, coalesced)));
      }
    }
  }

  /** Ends all streams, after what waits. */
  close(): void {
    for (const { feed } of [...this.#watchers]) feed.close();
  }

  #filter(options: WatchOptions): (entry: Entry) => boolean {
    const prefix = options.prefix === undefined
      ? undefined
      : new Uint8Array(checkBound("prefix", options.prefix, "watch"));
    if (options.keys !== undefined && !Array.isArray(options.keys)) {
      throw new TypeError('Cannot watch: "keys" must be an array of keys');
    }
    const keys = options.keys && new Set(
      options.keys.map((key) => keyText(checkBound("keys", key, "watch"))),
    );
    return (entry) =>
      (prefix === undefined || startsWith(entry.key, prefix)) &&
      (keys === undefined || keys.has(keyText(entry.key))) &&
      !(options.ignoreHost === true && entry.holder === this.#host);
  }
}

/** A change with bytes of its own: what a watcher does to them is its affair. */
function changeOf(entry: Entry, coalesced: boolean): KeyChange {
  const common = {
    key: entry.key.slice(),
    version: versionOf(entry),
    leaseholder: entry.holder,
    coalesced,
  };
  return entry.value === undefined
    ? { type: "delete", ...common }
    : { type: "set", value: entry.value.slice(), ...common };
}

function bytesOf(changes: readonly Change[]): number {
  let bytes = 0;
  for (const change of changes) {
    bytes += CHANGE_BYTES;
    if (change.type === "lagged" || change.type === "reset") continue;
    bytes += change.key.length + (change.value?.length ?? 0);
  }
  return bytes;
}
