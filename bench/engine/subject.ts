/**
 * A store as the bench drives it: a few calls, each made in the way in which
 * that store is fastest, and each doing the same work for the caller.
 *
 * Rules for all:
 * - `key` makes, before the clock starts, whatever form of a key the store is
 *   fastest with; a call inside the clock gets that form.
 * - Reads end with key and value as `Uint8Array`s that the caller may keep.
 * - Keys and values handed in may be reused once the call has settled.
 */

import type { StoreSettings, SubjectName } from "../peers/settings.ts";

/** A value, or a promise of it. */
export type Awaitable<T> = T | PromiseLike<T>;

/** Told of every entry that a scan meets. */
export type Visit = (key: Uint8Array, value: Uint8Array) => void;

/** Which entries to scan. */
export interface ScanRange<K> {
  /** The first key of a forward scan, inclusive; absent: the very first. */
  readonly start?: K | undefined;
  /** Whether to go from the last key to the first. */
  readonly reverse?: boolean;
  /** Entries to stop after. */
  readonly limit?: number;
}

/** An open store. `K` is its own form of a key. */
export interface Subject<K = unknown> {
  /** Makes a key; not timed. The bytes stay as they are. */
  key(bytes: Uint8Array): K;
  /** Reads without a promise; absent where a store cannot. */
  getSync?(key: K): Uint8Array | undefined;
  /** Reads, for a caller who awaits the answer. */
  get(key: K): Awaitable<Uint8Array | undefined>;
  /** Reads entries in order. */
  scan(range: ScanRange<K>, visit: Visit): Awaitable<void>;
  /** Sets `keys[from..to]` atomically, to `values[0..to - from]`. */
  writeBatch(
    keys: readonly K[],
    values: readonly Uint8Array[],
    from: number,
    to: number,
  ): Awaitable<unknown>;
  /** Sets one key. */
  put(key: K, value: Uint8Array): Awaitable<unknown>;
  /** Sets one key so that it survives a power failure; absent: it cannot. */
  putSynced?(key: K, value: Uint8Array): Awaitable<unknown>;
  /** Deletes one key. */
  remove(key: K): Awaitable<unknown>;
  /**
   * Waits until the store has nothing left to do of its own accord.
   *
   * @returns The moment, of `performance.now()`, since when that is so.
   */
  idle(): Promise<number>;
  /** Syncs of its log so far; absent where the store does not tell. */
  logSyncs?(): number;
  /** Closes the store. */
  close(): Awaitable<unknown>;
}

/** How to open one of the stores. */
export interface SubjectKind {
  /** Whether nothing is kept on disk. */
  readonly volatile: boolean;
  /**
   * Loads the store's package, so that the first `open` does not; absent: none.
   *
   * @throws {MissingPeerError} If it is not installed.
   */
  readonly load?: () => void;
  /**
   * Opens the store in a directory that exists.
   *
   * @throws {MissingPeerError} If it is not installed.
   */
  open(dir: string, settings: StoreSettings): Promise<Subject>;
}

/** Flags that Deno needs for a store. */
export function flagsOf(name: SubjectName): string[] {
  return name === "deno-kv" ? ["--unstable-kv"] : [];
}
