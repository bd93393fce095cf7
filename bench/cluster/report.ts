/**
 * What the rows of `bench:cluster` came to, beside what is asked of them.
 */

import { aligned, median, shown } from "../engine/report.ts";
import type { Figures, Row } from "./rows.ts";

/** A figure that something is asked of. */
export interface Judged {
  readonly row: string;
  readonly field: string;
  /** The median of the rounds. */
  readonly value: number;
  readonly floor: number;
  /** By how much it is better than asked: 1 is just enough. */
  readonly share: number;
}

/** The medians of a row's figures of which something is asked. */
export function judged(row: Row, rounds: readonly Figures[]): Judged[] {
  return row.targets.map(({ field, floor, atMost = false }) => {
    const value = median(rounds.map((figures) => figures[field] ?? NaN));
    const share = atMost ? floor / value : value / floor;
    return { row: row.name, field, value, floor, share };
  });
}

/** One line for each figure. */
export function summaryTable(all: readonly Judged[]): string {
  return aligned([
    ["row", "figure", "median", "asked", "by"],
    ...all.map(({ row, field, value, floor, share }) => [
      row,
      field,
      shown(value),
      shown(floor),
      share >= 1 ? `met ${shown(share)} ×` : `NOT MET ${shown(share)} ×`,
    ]),
  ]);
}
