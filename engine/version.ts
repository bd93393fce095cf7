/**
 * A version: what a store consists of at a moment.
 *
 * Guarantees: immutable, but for the active memtable, which only grows. Readers
 * hold the version they started with; a table's file and a memtable's memory
 * stay until the last version with them has been let go.
 *
 * @module
 */

import type { Bytes } from "../runtime/mod.ts";
import type { Place, PlaceCache } from "./cache/place_cache.ts";
import type { Cursor } from "./iterator/cursor.ts";
import { LevelCursor } from "./iterator/level_cursor.ts";
import { LevelMap } from "./iterator/level_map.ts";
import type { Leaks } from "./leaks.ts";
import type { Memtable } from "./memtable/memtable.ts";
import { hashKey } from "./table/filter.ts";
import type { Table } from "./table/table.ts";
import { ValueView } from "./value_view.ts";

/** The number of levels. */
export const LEVELS = 7;

/** The tables of all levels: level 0 from the newest, the others by key. */
export type Levels = readonly (readonly Table[])[];

/** What a store consists of at a moment. */
export class Version {
  /** The memtable that takes writes. */
  readonly active: Memtable;
  /** Full memtables, the newest first. */
  readonly sealed: readonly Memtable[];
  /** The tables. */
  readonly levels: Levels;
  /** How gets find tables; not made before the first. */
  #search: Search | undefined;
  #holders = 1;

  /** Makes a version held once, by whoever makes it. */
  constructor(active: Memtable, sealed: readonly Memtable[], levels: Levels) {
    this.active = active;
    this.sealed = sealed;
    this.levels = levels;
    active.acquire();
    for (const memtable of sealed) memtable.acquire();
    for (const tables of levels) for (const table of tables) table.acquire();
  }

  /** Holds the version until {@linkcode Version.release}. */
  acquire(): this {
    this.#holders++;
    return this;
  }

  /** Lets go of the version. */
  release(): void {
    if (--this.#holders > 0) return;
    this.active.release();
    for (const memtable of this.sealed) memtable.release();
    for (const tables of this.levels) {
      for (const table of tables) table.release();
    }
  }

  /**
   * The value of a key as of `seq`.
   *
   * @param places Where keys were found in the tables of this version.
   */
  get(
    key: Uint8Array,
    seq: number,
    places: PlaceCache<Table>,
  ): Bytes | undefined {
    const hash = hashKey(key);
    let found = this.active.get(key, seq, hash);
    for (let i = 0; found === undefined && i < this.sealed.length; i++) {
      found = this.sealed[i]!.get(key, seq, hash);
    }
    if (found === undefined) {
      found = this.#getFromTables(key, seq, hash, places);
    }
    return found ?? undefined;
  }

  #getFromTables(
    key: Uint8Array,
    seq: number,
    hash: number,
    places: PlaceCache<Table>,
  ): Bytes | null | undefined {
    for (let at = places.first(hash); at >= 0; at = places.next(at, hash)) {
      const found = places.tableOf(at)
        ?.getAt(places.blockOf(at), places.rowOf(at), key, seq);
      if (found !== undefined) return found;
    }
    const { maps, maxSeq } = this.#search ??= searchOf(this.levels);
    for (let level = 0; level < maps.length; level++) {
      const map = maps[level]!;
      for (let at = map.first(key); at >= 0; at = map.next(at, key)) {
        const table = map.tables[at]!;
        const found = table.get(key, seq, hash, place);
        if (found === undefined) continue;
        // A snapshot may have passed over a newer one, here or in what comes next.
        if (seq >= maxSeq && this.#sealedBefore(seq)) {
          places.remember(hash, table, place);
        }
        return found;
      }
    }
    return undefined;
  }

  /** Whether all that is about to become tables was written by `seq`. */
  #sealedBefore(seq: number): boolean {
    return this.sealed.every(({ lastSeq }) => lastSeq <= seq);
  }

  /** The value of a key as of `seq`, without a copy. */
  getView(
    key: Uint8Array,
    seq: number,
    leaks: Leaks | undefined,
  ): ValueView | undefined {
    const hash = hashKey(key);
    let memtable = this.active;
    let found = memtable.getView(key, seq, hash);
    for (let i = 0; found === undefined && i < this.sealed.length; i++) {
      memtable = this.sealed[i]!;
      found = memtable.getView(key, seq, hash);
    }
    if (found) return new ValueView(found, memtable, leaks);
    return found === null
      ? undefined
      : this.#getViewFromTables(key, seq, hash, leaks) ?? undefined;
  }

  #getViewFromTables(
    key: Uint8Array,
    seq: number,
    hash: number,
    leaks: Leaks | undefined,
  ): ValueView | null | undefined {
    const { maps } = this.#search ??= searchOf(this.levels);
    for (const map of maps) {
      for (let at = map.first(key); at >= 0; at = map.next(at, key)) {
        const found = map.tables[at]!.getView(key, seq, hash, leaks);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  /** A cursor for each sorted run that is not empty, of memtables and levels. */
  cursors(): Cursor[] {
    const cursors: Cursor[] = [];
    if (this.active.count > 0) cursors.push(this.active.cursor());
    for (const memtable of this.sealed) cursors.push(memtable.cursor());
    this.levels.forEach((tables, level) => {
      if (level === 0) {
        for (const table of tables) {
          cursors.push(new LevelCursor([table], true));
        }
      } else if (tables.length > 0) {
        cursors.push(new LevelCursor(tables, true));
      }
    });
    return cursors;
  }
}

/** What gets of all versions with the same tables share. */
interface Search {
  /** The largest sequence number in them. */
  readonly maxSeq: number;
  /** Where keys are in the levels that have tables. */
  readonly maps: readonly LevelMap[];
}

/** Where the last get of any version found an entry. */
const place: Place = { block: 0, row: 0 };

const searches = new WeakMap<Levels, Search>();

function searchOf(levels: Levels): Search {
  let search = searches.get(levels);
  if (search !== undefined) return search;
  const maps: LevelMap[] = [];
  let maxSeq = 0;
  levels.forEach((tables, depth) => {
    if (tables.length > 0) maps.push(new LevelMap(tables, depth > 0));
    for (const { info } of tables) maxSeq = Math.max(maxSeq, info.maxSeq);
  });
  search = { maxSeq, maps };
  searches.set(levels, search);
  return search;
}
