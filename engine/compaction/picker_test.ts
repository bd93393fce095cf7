import { assertEquals } from "@std/assert";
import { toBytes } from "../../runtime/mod.ts";
import type { TableInfo } from "../table/format.ts";
import { Table, type TableSet } from "../table/table.ts";
import { LEVELS, type Levels } from "../version.ts";
import { type Compaction, pickCompaction } from "./picker.ts";

const MiB = 1024 * 1024;

function table(
  number: number,
  [minKey, maxKey]: readonly [string, string],
  more: Partial<TableInfo> = {},
): Table {
  const set = { dir: "store" } as unknown as TableSet;
  return new Table(set, {
    number,
    size: MiB,
    rows: 100,
    tombstones: 0,
    minSeq: 0,
    maxSeq: 0,
    minKey: toBytes(minKey),
    maxKey: toBytes(maxKey),
    ...more,
  });
}

function levelsOf(...given: Table[][]): Levels {
  return Array.from({ length: LEVELS }, (_, level) => given[level] ?? []);
}

function numbers(compaction: Compaction | undefined): unknown {
  if (compaction === undefined) return undefined;
  const { level, upper, lower, move } = compaction;
  const of = (tables: readonly Table[]) =>
    tables.map(({ info }) => info.number);
  return { level, upper: of(upper), lower: of(lower), move };
}

Deno.test("nothing is picked while no level is full", () => {
  const levels = levelsOf([table(1, ["a", "z"])], [table(2, ["a", "m"])]);
  assertEquals(pickCompaction(levels, 10 * MiB), undefined);
});

Deno.test("of a full level the table that overlaps least goes down", () => {
  const levels = levelsOf(
    [],
    [table(1, ["a", "c"]), table(2, ["d", "f"]), table(3, ["g", "i"])],
    [table(4, ["a", "b"]), table(5, ["c", "e"]), table(6, ["g", "h"])],
  );
  assertEquals(numbers(pickCompaction(levels, 2 * MiB)), {
    level: 1,
    upper: [2],
    lower: [5],
    move: false,
  });
});

Deno.test("of tables that overlap as much the one with more deletions goes down", () => {
  const levels = levelsOf(
    [],
    [
      table(1, ["a", "c"]),
      table(2, ["d", "f"], { tombstones: 30 }),
      table(3, ["g", "i"]),
    ],
    [table(4, ["a", "b"]), table(5, ["d", "e"]), table(6, ["g", "h"])],
  );
  assertEquals(numbers(pickCompaction(levels, 2 * MiB)), {
    level: 1,
    upper: [2],
    lower: [5],
    move: false,
  });
});

Deno.test("tables that overlap nothing are moved as they are, unless they hold deletions", () => {
  const spread = [table(1, ["a", "b"]), table(2, ["c", "d"])];
  assertEquals(numbers(pickCompaction(levelsOf([], spread), MiB)), {
    level: 1,
    upper: [1],
    lower: [],
    move: true,
  });
  const deleting = [table(1, ["a", "b"], { tombstones: 1 })];
  assertEquals(numbers(pickCompaction(levelsOf([], deleting), MiB)), {
    level: 1,
    upper: [1],
    lower: [],
    move: false,
  });
});

Deno.test("a table of mostly deletions goes down though no level is full", () => {
  const levels = levelsOf(
    [],
    [table(1, ["a", "c"], { tombstones: 49 })],
    [table(2, ["d", "f"], { tombstones: 50 })],
    [table(3, ["a", "e"])],
  );
  assertEquals(numbers(pickCompaction(levels, 10 * MiB)), {
    level: 2,
    upper: [2],
    lower: [3],
    move: false,
  });
});
