/**
 * What days of faults leave of a cluster: the row `soak` of
 * `deno task simulate --scenario replication`.
 *
 * Guarantees: lives as all others are (`workload.ts`), judged by the same
 * invariants, but with few calls an hour, so that days go by: once with disks that
 * are put back and copied, once with nodes that go for ever, which no life has
 * together. What nodes hold in memory is looked at all the time.
 *
 * @module
 */

import type { Metrics } from "../../gossip/face.ts";
import { dbOf, type Member } from "./member.ts";
import { FAULT_KINDS, type FaultKind, writeScript } from "./script.ts";
import { runScript } from "./workload.ts";

/** A life of days. */
export interface Soak {
  readonly row: string;
  readonly nodes: number;
  /** The kinds of faults that it has not. */
  readonly without: readonly FaultKind[];
}

/** The two lives: no life has both kinds of faults (`script.ts`). */
export const SOAKS: readonly Soak[] = [
  { row: "soak.images", nodes: 7, without: ["leave", "remove"] },
  { row: "soak.going", nodes: 7, without: ["clone", "putBack"] },
];

/** Calls a simulated second, and calls for one fault. */
const RATE = 0.1;
const CALLS_PER_FAULT = 20;

/** Parts of the time that are told apart. */
const QUARTERS = 4;

/**
 * Memory is flat if the last quarter holds no more than this of the second, and one
 * thing a node: at any moment each may have begun anew, so that an origin of it that
 * has ended is not folded yet.
 */
const FLAT_SHARE = 1.1;

/** What a row came to. */
export interface SoakRow {
  readonly row: string;
  /** Nodes. */
  readonly n: number;
  readonly hours: number;
  readonly acked: number;
  readonly lost: number;
  readonly faults: number;
  readonly divergent: number;
  readonly violations: number;
  /** Things that the fullest node held in each quarter of the time. */
  readonly held: readonly number[];
  /** Megabytes that all of the process held in each quarter, judges included. */
  readonly heapMB: readonly number[];
  readonly met: boolean;
}

/** Lets a cluster live for so many hours. */
export async function measureSoak(
  { row, nodes, without }: Soak,
  seed: number,
  hours: number,
): Promise<SoakRow> {
  const steps = Math.round(hours * 3600 * RATE);
  const script = writeScript({
    seed,
    nodes,
    steps,
    rate: RATE,
    faults: Math.round(steps / CALLS_PER_FAULT),
    kinds: FAULT_KINDS.filter((kind) => !without.includes(kind)),
  });
  const looks: { held: number; heapMB: number }[] = [];
  const { acked, lost, coverage, violations } = await runScript(script, {
    onInspection: (members) =>
      looks.push({
        held: Math.max(...members.map(heldBy)),
        heapMB: Math.round(Deno.memoryUsage().heapUsed / 1e6),
      }),
  });
  const quarter = Math.floor(looks.length / QUARTERS);
  const quarters = Array.from(
    { length: QUARTERS },
    (_, i) => looks.slice(i * quarter, (i + 1) * quarter),
  );
  const held = quarters.map((looks) =>
    Math.max(...looks.map(({ held }) => held))
  );
  return {
    row,
    n: nodes,
    hours,
    acked,
    lost,
    faults: Object.values(coverage.faults).reduce((a, b) => a + b, 0),
    divergent: violations.filter(({ id }) => id === "I1").length,
    violations: violations.length,
    held,
    // What is garbage is in it too: the least of the looks has the least of that.
    heapMB: quarters.map((looks) =>
      Math.min(...looks.map(({ heapMB }) => heapMB))
    ),
    met: violations.length === 0 && isFlat(held, nodes),
  };
}

/**
 * Whether what nodes hold does not grow with the time.
 *
 * @param held The most that one held in each quarter of the time.
 */
export function isFlat(held: readonly number[], nodes: number): boolean {
  return held[3]! <= held[1]! * FLAT_SHARE + nodes;
}

/** Things that a node holds, of all that could grow with time. */
function heldBy(member: Member): number {
  const metrics: Metrics | undefined = dbOf(member)?.metrics();
  if (metrics === undefined) return 0;
  const { heldRecords, waiting, sessionsOpen, origins } = metrics;
  return heldRecords + waiting + sessionsOpen + origins;
}
