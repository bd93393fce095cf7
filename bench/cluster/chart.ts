/**
 * A chart for people: a bar for each figure, as long as it is better than what is
 * asked; beyond the line it is met.
 */

import { escaped, shown } from "../engine/report.ts";
import type { Judged } from "./report.ts";

const LABELS = 200;
/** Where a figure stands that is just as asked. */
const ENOUGH = 130;
/** Bars end at so many times what is asked. */
const SHARE_MAX = 4;
const WIDTH = LABELS + ENOUGH * SHARE_MAX + 200;
const STEP = 20;
const TOP = 52;

/** Draws figures as SVG. */
export function chartOf(all: readonly Judged[], caption: string): string {
  const bars = all.map(({ row, field, value, floor, share }, i) => {
    const y = TOP + i * STEP;
    const length = Math.max(1, Math.min(share, SHARE_MAX) * ENOUGH);
    const colour = share >= 1 ? "#1b6e4b" : "#b3543b";
    return `<text x="${LABELS - 8}" y="${y + 11}" text-anchor="end">` +
      `${escaped(`${row} ${field}`)}</text>\n` +
      `<rect x="${LABELS}" y="${y}" width="${
        length.toFixed(1)
      }" height="14" fill="${colour}"/>\n` +
      `<text x="${(LABELS + length + 5).toFixed(1)}" y="${y + 11}">` +
      `${shown(value)} (asked: ${shown(floor)})</text>`;
  });
  const bottom = TOP + all.length * STEP;
  const x = LABELS + ENOUGH;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" ` +
    `height="${bottom + 12}" font-family="sans-serif" font-size="10">\n` +
    `<rect width="100%" height="100%" fill="white"/>\n` +
    `<text x="8" y="20" font-size="14" font-weight="600">A cluster of real ` +
    `processes, by what is asked of it: longer is better</text>\n` +
    `<text x="8" y="36">${escaped(caption)}</text>\n` +
    `${bars.join("\n")}\n` +
    `<line x1="${x}" y1="${
      TOP - 6
    }" x2="${x}" y2="${bottom}" stroke="#202124" stroke-dasharray="3 2"/>\n` +
    `</svg>\n`;
}
