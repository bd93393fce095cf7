/**
 * What every store of the bench is told, in one place, so that nobody is
 * favoured: the same memory for a cache, the same write buffer, the same
 * durability, and each store's fastest documented way of being used.
 *
 * | store         | cache            | write buffer                 | `written`                          | `synced`                 |
 * | ------------- | ---------------- | ---------------------------- | ---------------------------------- | ------------------------ |
 * | aspen         | `cacheBytes`     | `memtableBytes`              | `write(batch)`                     | `write(batch, { sync })` |
 * | classic-level | `cacheSize`      | `writeBufferSize`            | default                            | `sync: true`             |
 * | lmdb          | the page cache   | none, pages are written once | `noSync`                           | `put`, then `flushed`    |
 * | node:sqlite   | `cache_size`     | `wal_autocheckpoint`         | WAL, `synchronous=off`             | `synchronous=full`       |
 * | deno-kv       | cannot be chosen | cannot be chosen             | its own: SQLite in WAL mode        | the same                 |
 * | map           | is memory        | none                         | is lost with the process           | never                    |
 *
 * The npm packages are loaded from `node_modules` beside this file with
 * `createRequire`, at run time: Deno neither resolves nor locks them. A package
 * or native binary that is not there is a {@linkcode MissingPeerError}.
 */

import { createRequire } from "node:module";

/** The stores, in the order in which tables show them. */
export const SUBJECT_NAMES = [
  "aspen",
  "classic-level",
  "lmdb",
  "node:sqlite",
  "deno-kv",
  "map",
] as const;

/** One of the stores. */
export type SubjectName = typeof SUBJECT_NAMES[number];

/** What a store is opened with. */
export interface StoreSettings {
  /** Memory for cached data, in bytes. */
  readonly cacheBytes: number;
  /** Memory for data that is not in tables yet, in bytes. */
  readonly writeBufferBytes: number;
  /** Whether writes are to survive a power failure. */
  readonly synced: boolean;
  /** Whether the store's own defaults are wanted in place of the sizes above. */
  readonly defaults: boolean;
}

/** A peer is not installed, or not for this machine. */
export class MissingPeerError extends Error {
  /** Names the package, and how to get it. */
  constructor(name: string, options?: ErrorOptions) {
    super(
      `Cannot load ${name}: it is not installed; run deno task bench:peers`,
      options,
    );
    this.name = "MissingPeerError";
  }
}

const require = createRequire(new URL("package.json", import.meta.url));

/**
 * Loads a package of `bench/peers/package.json`.
 *
 * @throws {MissingPeerError} If it, or its native part, cannot be loaded.
 */
function load<T>(name: string): T {
  try {
    return require(name) as T;
  } catch (cause) {
    throw new MissingPeerError(name, { cause });
  }
}

/** Whether a package is there, by its files; loading it may still fail. */
export function hasPeer(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** What is used of a `classic-level` iterator. */
export interface LevelIterator {
  next(): Promise<[Uint8Array, Uint8Array] | undefined>;
  nextv(size: number): Promise<[Uint8Array, Uint8Array][]>;
  close(): Promise<void>;
}

/** What a `classic-level` iterator is told. */
export interface LevelRange {
  gte?: Uint8Array;
  lt?: Uint8Array;
  lte?: Uint8Array;
  reverse?: boolean;
  limit?: number;
  snapshot?: LevelSnapshot;
  highWaterMarkBytes?: number;
  fillCache?: boolean;
}

/** A snapshot of `classic-level`. */
export interface LevelSnapshot {
  close(): Promise<void>;
}

/** One change of a `classic-level` batch. */
export type LevelOp =
  | { type: "put"; key: Uint8Array; value: Uint8Array }
  | { type: "del"; key: Uint8Array };

/** What is used of `classic-level`. */
export interface LevelDatabase {
  open(): Promise<void>;
  get(
    key: Uint8Array,
    options?: { snapshot?: LevelSnapshot },
  ): Promise<Uint8Array | undefined>;
  getSync(key: Uint8Array): Uint8Array | undefined;
  put(
    key: Uint8Array,
    value: Uint8Array,
    options?: { sync?: boolean },
  ): Promise<void>;
  batch(ops: LevelOp[], options?: { sync?: boolean }): Promise<void>;
  iterator(range: LevelRange): LevelIterator;
  snapshot(): LevelSnapshot;
  close(): Promise<void>;
}

interface ClassicLevelPackage {
  ClassicLevel: new (dir: string, options: unknown) => LevelDatabase;
}

/** Loads `classic-level`. */
export function loadClassicLevel(): ClassicLevelPackage {
  return load<ClassicLevelPackage>("classic-level");
}

/** Opens a LevelDB with bytes as keys and values (`view`). */
export async function openClassicLevel(
  dir: string,
  settings: StoreSettings,
): Promise<LevelDatabase> {
  const { ClassicLevel } = loadClassicLevel();
  const db = new ClassicLevel(dir, {
    keyEncoding: "view",
    valueEncoding: "view",
    ...settings.defaults ? {} : {
      cacheSize: settings.cacheBytes,
      writeBufferSize: settings.writeBufferBytes,
    },
  });
  await db.open();
  return db;
}

/** What an `lmdb` range is told. */
export interface LmdbRange {
  start?: Uint8Array;
  end?: Uint8Array;
  reverse?: boolean;
  limit?: number;
  exclusiveStart?: boolean;
  inclusiveEnd?: boolean;
  values?: boolean;
  transaction?: LmdbTransaction;
}

/** A read transaction of `lmdb`. */
export interface LmdbTransaction {
  done(): void;
}

/** What is used of `lmdb`. */
export interface LmdbDatabase {
  getBinary(
    key: Uint8Array,
    options?: { transaction: LmdbTransaction },
  ): Uint8Array | undefined;
  getRange(
    range: LmdbRange,
  ): Iterable<{ key: Uint8Array; value: Uint8Array }>;
  put(key: Uint8Array, value: Uint8Array): Promise<boolean>;
  putSync(key: Uint8Array, value: Uint8Array): void;
  remove(key: Uint8Array): Promise<boolean>;
  removeSync(key: Uint8Array): boolean;
  transaction<T>(action: () => T): Promise<T>;
  transactionSync<T>(action: () => T): T;
  useReadTransaction(): LmdbTransaction;
  readonly committed: PromiseLike<unknown>;
  readonly flushed: PromiseLike<unknown>;
  close(): Promise<void>;
}

/** How batches go to lmdb: both ways are documented, the faster is used. */
export const LMDB_BATCH: "transactionSync" | "transaction" = "transactionSync";

interface LmdbPackage {
  open(options: unknown): LmdbDatabase;
}

/** Loads `lmdb`. */
export function loadLmdb(): LmdbPackage {
  return load<LmdbPackage>("lmdb");
}

/** Opens an LMDB with bytes as keys and values. */
export function openLmdb(dir: string, settings: StoreSettings): LmdbDatabase {
  const { open } = loadLmdb();
  return open({
    path: `${dir}/data.mdb`,
    keyEncoding: "binary",
    encoding: "binary",
    noSync: !settings.synced,
  });
}

/** The statements that a SQLite database is opened with. */
export function sqlitePragmas(settings: StoreSettings): string {
  const pages = Math.max(1, Math.round(settings.writeBufferBytes / 4096));
  return [
    "PRAGMA journal_mode=WAL",
    `PRAGMA synchronous=${settings.synced ? "FULL" : "OFF"}`,
    ...settings.defaults ? [] : [
      // Negative: in KiB.
      `PRAGMA cache_size=-${Math.round(settings.cacheBytes / 1024)}`,
      `PRAGMA wal_autocheckpoint=${pages}`,
    ],
    // Without a rowid the key is the B-tree's own: one look-up, not two.
    "CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
  ].join(";");
}
