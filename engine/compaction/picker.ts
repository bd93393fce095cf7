/**
 * Chooses what to compact.
 *
 * A level's score is how full it is: tables over the trigger for level 0, bytes
 * over its size for the others; the fullest one from 1 on goes first. Level 0
 * goes whole, since its tables overlap; of another level the table that pulls
 * in the fewest bytes of the next one for its own, where a deletion counts as
 * much as a row of the next level that it may take away. If no level is full,
 * tables of mostly deletions go down all the same: what they hide is given back.
 *
 * What goes down need not meet all that its stretch of keys spans: a table of the
 * next level in whose own stretch it has no key stays as it is. So rows that come in
 * the order of their keys, beside others that do not, are merged once only.
 *
 * @module
 */

import { compareBytes } from "../../runtime/mod.ts";
import { LEVEL0_TRIGGER, LEVEL_RATIO } from "../options.ts";
import type { Table } from "../table/table.ts";
import { findTable } from "../iterator/level_cursor.ts";
import { hasEntries } from "../placement.ts";
import { LEVELS, type Levels } from "../version.ts";

/** A table goes down if this share of its rows, or more, are deletions. */
const DELETIONS_SHARE = 0.5;

/** Tables to merge into the next level. */
export interface Compaction {
  /** Where the upper tables are. */
  level: number;
  /** Tables of that level. */
  upper: readonly Table[];
  /** Tables of the next level that they overlap. */
  lower: readonly Table[];
  /** Tables of the next level, by key, that lie between keys of theirs: they stay. */
  beside: readonly Table[];
  /** Whether the upper tables can go down as they are. */
  move: boolean;
}

/** What to compact next, if anything. */
export function pickCompaction(
  levels: Levels,
  levelBytes: number,
): Compaction | undefined {
  let level = -1;
  let highest = 1;
  let target = levelBytes;
  for (let i = 0; i < LEVELS - 1; i++) {
    const tables = levels[i]!;
    const score = i === 0
      ? tables.length / LEVEL0_TRIGGER
      : totalBytes(tables) / target;
    if (i > 0) target *= LEVEL_RATIO;
    if (score > highest || (score === highest && level < 0)) {
      level = i;
      highest = score;
    }
  }
  if (level < 0) return pickDeletions(levels);
  const upper = level === 0 ? levels[0]! : cheapest(levels, level);
  return mergeDown(levels, level, upper);
}

/** A table of mostly deletions that is not at the bottom. */
function pickDeletions(levels: Levels): Compaction | undefined {
  for (let level = 1; level < LEVELS - 1; level++) {
    const table = levels[level]!.find(({ info }) =>
      info.tombstones >= info.rows * DELETIONS_SHARE
    );
    if (table !== undefined) return mergeDown(levels, level, [table]);
  }
  return undefined;
}

/** The compaction that takes a table, in level 0 all of them, one level down. */
export function compactionOf(
  levels: Levels,
  level: number,
  table: Table,
): Compaction {
  return mergeDown(levels, level, level === 0 ? levels[0]! : [table]);
}

function mergeDown(
  levels: Levels,
  level: number,
  upper: readonly Table[],
): Compaction {
  const lower = overlapping(levels[level + 1]!, upper);
  // A deletion that is only moved would never be dropped.
  const move = lower.length === 0 && disjoint(upper) &&
    upper.every((table) => table.info.tombstones === 0);
  return { level, upper, lower, beside: [], move };
}

/**
 * Leaves out the lower tables in whose stretch no upper one has an entry, which takes
 * a look into these. Not the small ones: they are to become larger.
 *
 * @param tableBytes About how large tables become, in bytes.
 * @param pause Awaited after each look.
 */
export async function sparing(
  compaction: Compaction,
  tableBytes: number,
  pause: () => Promise<void>,
): Promise<Compaction> {
  const lower: Table[] = [];
  const beside: Table[] = [];
  for (const table of compaction.lower) {
    const stays = table.info.size >= tableBytes / 4 &&
      !compaction.upper.some((upper) => hasEntries(upper, table.info));
    (stays ? beside : lower).push(table);
    await pause();
  }
  return { ...compaction, lower, beside };
}

/** The bytes of tables. */
export function totalBytes(tables: readonly Table[]): number {
  let bytes = 0;
  for (const table of tables) bytes += table.info.size;
  return bytes;
}

function cheapest(levels: Levels, level: number): readonly Table[] {
  let best: Table | undefined;
  let lowest = Infinity;
  for (const table of levels[level]!) {
    const { size, rows, tombstones } = table.info;
    const cost = totalBytes(overlapping(levels[level + 1]!, [table])) /
      (size * (1 + tombstones / rows));
    if (cost < lowest) {
      lowest = cost;
      best = table;
    }
  }
  return [best!];
}

/** The tables of a sorted level that share keys with the range of others. */
function overlapping(
  level: readonly Table[],
  others: readonly Table[],
): readonly Table[] {
  let min = others[0]!.info.minKey;
  let max = others[0]!.info.maxKey;
  for (const { info } of others) {
    if (compareBytes(info.minKey, min) < 0) min = info.minKey;
    if (compareBytes(info.maxKey, max) > 0) max = info.maxKey;
  }
  const first = findTable(level, min);
  let end = first;
  while (
    end < level.length && compareBytes(level[end]!.info.minKey, max) <= 0
  ) end++;
  return level.slice(first, end);
}

function disjoint(tables: readonly Table[]): boolean {
  const sorted = [...tables].sort((a, b) =>
    compareBytes(a.info.minKey, b.info.minKey)
  );
  return sorted.every((table, i) =>
    i === 0 || compareBytes(sorted[i - 1]!.info.maxKey, table.info.minKey) < 0
  );
}
