/**
 * Where tables that were not made by a flush or a compaction can stand.
 *
 * Guarantees: no entry of the level's other tables lies in the table's stretch of
 * keys, and above the level are no entries of its keys, so that none is found
 * before the table's own.
 *
 * Assumes: what the levels hold of the table's keys is older.
 *
 * @module
 */

import { compareBytes } from "../runtime/mod.ts";
import { LevelCursor } from "./iterator/level_cursor.ts";
import { intersects, type KeyBounds } from "./range.ts";
import type { Table } from "./table/table.ts";
import { LEVELS, type Levels } from "./version.ts";

/** The deepest level where a table of these bounds can stand. */
export function levelFor(levels: Levels, bounds: KeyBounds): number {
  const met = levelWithEntries(levels, bounds);
  let level = met < 0 ? LEVELS - 1 : Math.max(0, met - 1);
  // Below level 0 stretches must not overlap, though there are no entries.
  while (
    level > 0 && levels[level]!.some(({ info }) => intersects(info, bounds))
  ) level--;
  return level;
}

/** The first level with entries between two keys, both inclusive; -1: none. */
function levelWithEntries(levels: Levels, bounds: KeyBounds): number {
  return levels.findIndex((tables) =>
    tables.some((table) =>
      intersects(table.info, bounds) && hasEntries(table, bounds)
    )
  );
}

/** Whether a table has entries between two keys, and not only to either side. */
export function hasEntries(
  table: Table,
  { minKey, maxKey }: KeyBounds,
): boolean {
  const cursor = new LevelCursor([table], false);
  cursor.seekTo(minKey);
  return cursor.valid &&
    compareBytes(
        cursor.keyBuffer.subarray(0, cursor.keyLength),
        maxKey,
      ) <= 0;
}
