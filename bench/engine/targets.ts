/**
 * What is asked of our engine: by how much it is to outrun whom (the floor must
 * be met, the stretch is the aim), and the limits that no peer sets.
 */

import type { SubjectName } from "../peers/settings.ts";
import type { Worker } from "./row.ts";

/** Our rate by someone's, at least. */
export interface RatioTarget {
  readonly row: string;
  readonly against: Worker;
  /** Another row of theirs to compare with. */
  readonly againstRow?: string;
  /** In place of `opsPerSec` on our side. */
  readonly field?: string;
  readonly floor: number;
  readonly stretch: number;
}

/** A figure of ours, at most. */
export interface LimitTarget {
  readonly row: string;
  readonly field: string;
  readonly unit: string;
  /** Multiplies the field into the unit. */
  readonly scale: number;
  readonly floor: number;
  readonly stretch: number;
}

function ratios(
  row: string,
  ...marks: [against: SubjectName, floor: number, stretch: number][]
): RatioTarget[] {
  return marks.map(([against, floor, stretch]) => ({
    row,
    against,
    floor,
    stretch,
  }));
}

/** Ratios to be reached. */
export const RATIO_TARGETS: readonly RatioTarget[] = [
  ...ratios(
    "read.random.sync",
    ["lmdb", 1.2, 1.5],
    ["classic-level", 2.5, 3],
    ["map", 0.5, 0.7],
  ),
  ...ratios(
    "read.random.await",
    ["lmdb", 1, 1.2],
    ["classic-level", 25, 40],
    ["deno-kv", 30, 60],
  ),
  ...ratios("read.random.large", ["classic-level", 1, 1.3]),
  ...ratios("read.missing.sync", ["lmdb", 1, 1.5]),
  ...ratios("scan.forward", ["lmdb", 3, 6], ["classic-level", 6, 12]),
  ...ratios("scan.reverse", ["lmdb", 3, 6], ["classic-level", 6, 12]),
  ...ratios("write.seq.batch", ["lmdb", 0.8, 1.2], ["classic-level", 1.5, 2]),
  ...ratios("write.random.batch", ["lmdb", 1.2, 1.5], [
    "classic-level",
    1,
    1.3,
  ]),
  ...ratios("write.overwrite.batch", ["lmdb", 1.2, 1.5], [
    "classic-level",
    1,
    1.3,
  ]),
  ...ratios("write.put.await", ["classic-level", 6, 10], [
    "node:sqlite",
    1.2,
    2,
  ]),
  {
    row: "write.sync.64",
    against: "aspen",
    againstRow: "write.sync.1",
    floor: 20,
    stretch: 40,
  },
  {
    row: "write.sync.64",
    field: "groupsPerSec",
    against: "bare",
    againstRow: "write.sync.bare",
    floor: 0.9,
    stretch: 1,
  },
];

/** Limits to be kept. */
export const LIMIT_TARGETS: readonly LimitTarget[] = [
  limit("stall.overwrite", "maxStallMs", "ms", 1, 20, 10),
  limit("stall.overwrite", "p999Us", "ms", 0.001, 5, 2),
  limit("open.clean", "p50Us", "s", 1e-6, 0.3, 0.1),
  limit("open.killed", "p50Us", "s", 1e-6, 1.5, 0.7),
  limit("mem.large", "rssMb", "MB", 1, 128, 96),
  limit("amp.overwrite", "writeAmp", "×", 1, 12, 8),
];

function limit(
  row: string,
  field: string,
  unit: string,
  scale: number,
  floor: number,
  stretch: number,
): LimitTarget {
  return { row, field, unit, scale, floor, stretch };
}
