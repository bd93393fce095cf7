// deno-lint-ignore-file no-console -- a program that prints what it measures
/**
 * Draws how a cluster does by its number of nodes: how soon a process that is gone
 * is dead everywhere, how soon a change is known to all, what nodes say at rest.
 *
 * ```
 * deno task curves                   measures all and draws docs/curves-*.svg
 * deno task curves --nodes 10,1000   measures those again
 * deno task curves --draw            measures nothing
 * ```
 *
 * What was measured is kept in `docs/curves.json`. All times are virtual: they do
 * not depend on the machine, and one seed gives one figure.
 */

import { PROPAGATION_DEFAULT } from "../mod.ts";
import { type Curve, plot } from "./curves/plot.ts";
import {
  crashRow,
  type DetectionRow,
  idleRow,
  measureRow,
  spreadRoundsMax,
  spreadRow,
} from "./sim/detection.ts";

/** What was measured with so many nodes. */
interface Point {
  readonly nodes: number;
  readonly crash: DetectionRow;
  readonly spread: DetectionRow;
  readonly idle: DetectionRow;
}

const NODES = [3, 10, 30, 60, 100, 300, 1000];

/** Bytes a node a second that are promised at rest, at most. */
const IDLE_BYTES_MAX = 2000;

/** Worlds of so many nodes in which crashes are timed, five in each. */
const worldsOf = (nodes: number) => nodes > 100 ? 1 : 4;

const COMMAND = "deno task curves";
const MEASURED = "#1b6e4b";
const SLOWEST = "#b3543b";
const PROMISED = "#5f6368";

const docs = new URL("../docs/", import.meta.url);
const file = new URL("curves.json", docs);

const at = Deno.args.indexOf("--nodes");
const chosen = Deno.args.includes("--draw")
  ? []
  : at < 0
  ? NODES
  : (Deno.args[at + 1] ?? "").split(",").map(Number);
if (chosen.some((nodes) => !Number.isInteger(nodes) || nodes < 3)) {
  throw new TypeError("Cannot measure: --nodes must be whole numbers from 3");
}

for (const nodes of chosen) {
  const seed = 1;
  const started = performance.now();
  const point: Point = {
    nodes,
    idle: await measureRow(idleRow(nodes), seed, 1),
    spread: await measureRow(spreadRow(nodes), seed, 1),
    crash: await measureRow(crashRow(nodes), seed, worldsOf(nodes)),
  };
  const seconds = ((performance.now() - started) / 1000).toFixed();
  console.error(`${nodes} nodes, ${seconds} s: ${JSON.stringify(point)}`);
  const points = (await read()).filter((each) => each.nodes !== nodes);
  points.push(point);
  points.sort((a, b) => a.nodes - b.nodes);
  await Deno.writeTextFile(file, JSON.stringify(points, null, 2) + "\n");
}
await draw(await read());

async function read(): Promise<Point[]> {
  try {
    return JSON.parse(await Deno.readTextFile(file));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function draw(points: readonly Point[]): Promise<void> {
  const curve = (
    name: string,
    colour: string,
    valueOf: (point: Point) => number,
    promised = false,
  ): Curve => ({
    name,
    colour,
    promised,
    points: points.map((point) => [point.nodes, valueOf(point)] as const),
  });
  const onDemandFrom = PROPAGATION_DEFAULT.connectionsMax + 2;
  const figures = {
    detection: {
      title: "From the end of a process until all others call it dead",
      unit: "seconds",
      curves: [
        curve("median", MEASURED, ({ crash }) => crash.p50! / 1000),
        curve("99th percentile", SLOWEST, ({ crash }) => crash.p99! / 1000),
      ],
    },
    spread: {
      title: "Until all nodes know of a change, from the first that does",
      unit: "rounds of cluster gossip",
      curves: [
        curve(
          "median",
          MEASURED,
          ({ spread }) =>
            spread.p50! / PROPAGATION_DEFAULT.clusterGossipIntervalMs,
        ),
        curve("slowest", SLOWEST, ({ spread }) => spread.rounds!),
        curve(
          "promised: 1.5 × (log2 N + ln N)",
          PROMISED,
          ({ nodes }) => spreadRoundsMax(nodes),
          true,
        ),
      ],
    },
    idle: {
      title: "What a node sends at rest",
      unit: "bytes a second",
      curves: [
        curve("measured", MEASURED, ({ idle }) => idle.bytesPerNodeS!),
        curve("promised: at most", PROMISED, () => IDLE_BYTES_MAX, true),
      ],
    },
  };
  for (const [name, figure] of Object.entries(figures)) {
    const svg = plot({ ...figure, onDemandFrom, command: COMMAND });
    await Deno.writeTextFile(new URL(`curves-${name}.svg`, docs), svg);
  }
}
