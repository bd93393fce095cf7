/**
 * Tables for people, from the lines of a run: medians, ratios, targets.
 */

import type { Result } from "./child.ts";
import type { Worker } from "./row.ts";
import { LIMIT_TARGETS, RATIO_TARGETS } from "./targets.ts";

/** The medians of a run, by row and subject. */
export class Medians {
  readonly #results = new Map<string, Result[]>();
  /** Rows in the order of their first result. */
  readonly rows: Set<string> = new Set();

  constructor(results: readonly Result[]) {
    for (const result of results) {
      this.rows.add(result.row);
      const key = `${result.row} ${result.subject}`;
      const list = this.#results.get(key);
      if (list === undefined) this.#results.set(key, [result]);
      else list.push(result);
    }
  }

  /** The median of a field over the rounds, where it was measured. */
  of(row: string, subject: Worker, field: string): number | undefined {
    const values = (this.#results.get(`${row} ${subject}`) ?? [])
      .map((result) => result[field])
      .filter((value) => typeof value === "number");
    return values.length === 0 ? undefined : median(values);
  }

  /** Who took part in a row, in the order given. */
  subjectsOf(row: string, among: readonly Worker[]): Worker[] {
    return among.filter((subject) => this.#results.has(`${row} ${subject}`));
  }
}

/** The table of medians: one line for each row and subject. */
export function mediansTable(
  medians: Medians,
  subjects: readonly Worker[],
): string {
  const fields = [
    "opsPerSec",
    "p50Us",
    "p99Us",
    "p999Us",
    "maxStallMs",
    "rssMb",
    "diskMb",
    "writeAmp",
  ];
  const lines = [["row", "subject", ...fields, "aspen ×"]];
  for (const row of medians.rows) {
    const ours = medians.of(row, "aspen", "opsPerSec");
    for (const subject of medians.subjectsOf(row, subjects)) {
      const theirs = medians.of(row, subject, "opsPerSec");
      const ratio = ours !== undefined && theirs && subject !== "aspen"
        ? (ours / theirs).toFixed(2)
        : "";
      lines.push([
        row,
        subject,
        ...fields.map((field) => shown(medians.of(row, subject, field))),
        ratio,
      ]);
    }
  }
  return aligned(lines);
}

/** The targets that this run can judge. */
export function targetsTable(medians: Medians): string {
  const lines = [["target", "median", "floor", "stretch", ""]];
  for (const target of RATIO_TARGETS) {
    const { row, against, againstRow = row, field = "opsPerSec" } = target;
    const ours = medians.of(row, "aspen", field);
    const theirs = medians.of(againstRow, against, "opsPerSec");
    if (ours === undefined || !theirs) continue;
    const ratio = ours / theirs;
    const what = field === "opsPerSec" ? row : `${row} ${field}`;
    const whom = againstRow === row ? against : `${againstRow} of ${against}`;
    lines.push([
      `${what} against ${whom}`,
      `${ratio.toFixed(2)} ×`,
      `${target.floor} ×`,
      `${target.stretch} ×`,
      verdict(ratio >= target.floor, ratio >= target.stretch),
    ]);
  }
  for (const { row, field, unit, scale, floor, stretch } of LIMIT_TARGETS) {
    const value = medians.of(row, "aspen", field);
    if (value === undefined) continue;
    const figure = value * scale;
    lines.push([
      `${row} ${field}`,
      `${shown(figure)} ${unit}`,
      `${floor} ${unit}`,
      `${stretch} ${unit}`,
      verdict(figure <= floor, figure <= stretch),
    ]);
  }
  return lines.length === 1 ? "" : aligned(lines);
}

function verdict(floor: boolean, stretch: boolean): string {
  return stretch ? "stretch met" : floor ? "floor met" : "NOT MET";
}

/** A figure with as many digits as it has meaning. */
export function shown(value: number | undefined): string {
  if (value === undefined) return "-";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Columns under each other: the text ones to the left, figures to the right. */
export function aligned(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length))
  );
  return lines.map((line) =>
    line.map((cell, column) =>
      /^[a-z]/i.test(cell)
        ? cell.padEnd(widths[column]!)
        : cell.padStart(widths[column]!)
    ).join("  ").trimEnd()
  ).join("\n");
}

/** A text as it may stand in SVG. */
export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** The value in the middle, or halfway between the two; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
