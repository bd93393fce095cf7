/**
 * Figures for people: lines over the number of nodes, drawn as SVG.
 *
 * Guarantees: the same curves give the same bytes. The axis of nodes is
 * logarithmic, the other begins at 0; each line has its name, each measured point
 * its mark, and the figure says by which command it was made.
 *
 * @module
 */

/** One line of a figure. */
export interface Curve {
  readonly name: string;
  readonly colour: string;
  /** Dashed and without marks: what is promised, not what was measured. */
  readonly promised?: boolean;
  /** Nodes and value, by ascending nodes. */
  readonly points: readonly (readonly [nodes: number, value: number])[];
}

/** A figure. */
export interface Figure {
  readonly title: string;
  /** What the values are, with their unit. */
  readonly unit: string;
  /** Nodes from which on connections are made on demand. */
  readonly onDemandFrom: number;
  readonly curves: readonly Curve[];
  /** The command that makes it. */
  readonly command: string;
}

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 64;
const RIGHT = 24;
const TOP = 76;
const BOTTOM = 74;

/** Marks of the axis of values, at most. */
const TICKS_MAX = 6;

/** Draws a figure as SVG. */
export function plot(figure: Figure): string {
  const points = figure.curves.flatMap(({ points }) => points);
  const nodes = points.map(([nodes]) => nodes);
  const [least, most] = [Math.min(...nodes), Math.max(...nodes)];
  const step = stepOf(Math.max(...points.map(([, value]) => value)));
  const top = Math.ceil(Math.max(...points.map(([, value]) => value)) / step) *
    step;
  const x = (nodes: number) =>
    LEFT + (WIDTH - LEFT - RIGHT) * Math.log(nodes / least) /
      Math.log(most / least);
  const y = (value: number) =>
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top;
  const parts: string[] = [];
  for (let value = 0; value <= top; value += step) {
    parts.push(
      line(LEFT, y(value), WIDTH - RIGHT, y(value), "#e3e5e8"),
      text(LEFT - 8, y(value) + 4, shown(value), "end"),
    );
  }
  for (const each of new Set(nodes)) {
    parts.push(
      line(x(each), HEIGHT - BOTTOM, x(each), HEIGHT - BOTTOM + 5, "#5f6368"),
      text(x(each), HEIGHT - BOTTOM + 18, shown(each), "middle"),
    );
  }
  parts.push(
    text(
      (LEFT + WIDTH - RIGHT) / 2,
      HEIGHT - BOTTOM + 36,
      "nodes (logarithmic)",
      "middle",
    ),
    text(LEFT - 52, TOP - 10, figure.unit, "start"),
  );
  const { onDemandFrom } = figure;
  if (least < onDemandFrom && onDemandFrom < most) {
    parts.push(
      line(x(onDemandFrom), TOP, x(onDemandFrom), HEIGHT - BOTTOM, "#9aa0a6"),
      text(x(onDemandFrom) - 6, TOP + 12, "all connected", "end"),
      text(x(onDemandFrom) + 6, TOP + 12, "connected on demand", "start"),
    );
  }
  let at = LEFT;
  for (const { name, colour, promised = false, points } of figure.curves) {
    const path = points.map(([nodes, value]) =>
      `${x(nodes).toFixed(1)},${y(value).toFixed(1)}`
    );
    const dashes = promised ? ` stroke-dasharray="6 4"` : "";
    parts.push(
      `<polyline points="${path.join(" ")}" fill="none" stroke="${colour}" ` +
        `stroke-width="2"${dashes}/>`,
    );
    for (const [nodes, value] of promised ? [] : points) {
      parts.push(
        `<circle cx="${x(nodes).toFixed(1)}" cy="${y(value).toFixed(1)}" ` +
          `r="3.5" fill="${colour}"><title>${shown(nodes)} nodes: ` +
          `${shown(value)}</title></circle>`,
      );
    }
    parts.push(
      `<line x1="${at}" y1="44" x2="${at + 22}" y2="44" stroke="${colour}" ` +
        `stroke-width="2"${dashes}/>`,
      text(at + 28, 48, name, "start"),
    );
    at += 52 + name.length * 6.4;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" ` +
    `height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" ` +
    `font-family="sans-serif" font-size="12" fill="#202124">\n` +
    `<rect width="100%" height="100%" fill="white"/>\n` +
    `<text x="12" y="24" font-size="15" font-weight="600">` +
    `${escaped(figure.title)}</text>\n${parts.join("\n")}\n` +
    `<text x="12" y="${HEIGHT - 12}" font-size="11" fill="#5f6368">` +
    `${escaped(figure.command)}</text>\n</svg>\n`;
}

/** A step of 1, 2 or 5 times a power of ten, for a few marks up to `most`. */
function stepOf(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most / TICKS_MAX));
  const factor = [1, 2, 5].find((each) => each * power * TICKS_MAX >= most);
  return power * (factor ?? 10);
}

function shown(value: number): string {
  return String(Math.round(value * 10) / 10).replace(
    /\B(?=(\d{3})+$)/g,
    ",",
  );
}

function line(
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  colour: string,
): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" ` +
    `x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${colour}"/>`;
}

function text(
  x: number,
  y: number,
  words: string,
  anchor: "start" | "middle" | "end",
): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ` +
    `text-anchor="${anchor}">${escaped(words)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
