/**
 * A chart for people: for each row one bar a store, as long as its median rate
 * by the fastest of that row.
 */

import type { Medians } from "./report.ts";
import { escaped, shown } from "./report.ts";
import type { Worker } from "./row.ts";

const COLOURS: Readonly<Record<Worker, string>> = {
  "aspen": "#1b6e4b",
  "classic-level": "#b3543b",
  "lmdb": "#3d6fb4",
  "node:sqlite": "#8a6bb1",
  "deno-kv": "#c39a2c",
  "map": "#9aa0a6",
  "bare": "#5f6368",
};

const LABELS = 190;
const BARS = 520;
const WIDTH = LABELS + BARS + 110;
const BAR = 13;
const GAP = 12;

/** Draws the medians of a run as SVG. */
export function chartOf(
  medians: Medians,
  subjects: readonly Worker[],
  caption: string,
): string {
  const parts: string[] = [];
  let y = 48;
  for (const row of medians.rows) {
    const bars = medians.subjectsOf(row, subjects).map((subject) => ({
      subject,
      rate: medians.of(row, subject, "opsPerSec") ?? 0,
    }));
    const best = Math.max(...bars.map(({ rate }) => rate), 1e-9);
    parts.push(
      `<text x="${LABELS - 8}" y="${y + BAR - 3}" text-anchor="end" ` +
        `font-weight="600">${escaped(row)}</text>`,
    );
    for (const { subject, rate } of bars) {
      const length = Math.max(1, rate / best * BARS);
      parts.push(
        `<rect x="${LABELS}" y="${y}" width="${length.toFixed(1)}" ` +
          `height="${BAR - 2}" fill="${COLOURS[subject]}"/>`,
        `<text x="${(LABELS + length + 5).toFixed(1)}" y="${y + BAR - 4}">` +
          `${escaped(subject)} ${shown(rate)}/s</text>`,
      );
      y += BAR;
    }
    y += GAP;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH + 60}" ` +
    `height="${y}" font-family="sans-serif" font-size="10">\n` +
    `<rect width="100%" height="100%" fill="white"/>\n` +
    `<text x="8" y="20" font-size="14" font-weight="600">Operations a second, ` +
    `each row by its fastest</text>\n` +
    `<text x="8" y="36">${escaped(caption)}</text>\n` +
    `${parts.join("\n")}\n</svg>\n`;
}
