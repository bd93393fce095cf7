/**
 * Shrinking: from a script that breaks an invariant to a small one that still
 * does.
 *
 * Guarantees: what it gives breaks the same invariant, and where that is E1, which
 * says many things, by the same words; it runs at most so many lives as it is told.
 *
 * @module
 */

import type { Violation } from "./invariants.ts";
import { isFault, type Script, type Step } from "./script.ts";
import { runScript } from "./workload.ts";

/** Lives that a shrinking may take. */
const RUNS_MAX = 150;

/** Makes a script smaller that breaks an invariant. */
export async function shrink(
  script: Script,
  violation: Violation,
  { runsMax = RUNS_MAX }: { runsMax?: number } = {},
): Promise<Script> {
  let runs = 0;
  const breaks = async (candidate: Script): Promise<boolean> => {
    if (runs++ >= runsMax) return false;
    const { violations } = await runScript(candidate);
    return violations.some((each) => isAlike(each, violation));
  };
  let best = script;
  const attempt = async (steps: readonly Step[]): Promise<boolean> => {
    const candidate = { ...best, steps };
    if (!await breaks(candidate)) return false;
    best = candidate;
    return true;
  };
  // Calls are many and cheap to drop; few faults make the rest fast.
  for (const part of [isCall, isFault, isCall]) {
    let chunk = Math.ceil(best.steps.filter(part).length / 2);
    for (; chunk >= 1 && runs < runsMax; chunk = Math.floor(chunk / 2)) {
      for (let from = 0; from < best.steps.filter(part).length;) {
        const dropped = new Set(
          best.steps.filter(part).slice(from, from + chunk),
        );
        const left = best.steps.filter((step) => !dropped.has(step));
        if (!await attempt(left)) from += chunk;
        if (runs >= runsMax) break;
      }
    }
  }
  const end = best.steps.reduce(
    (end, step) => Math.max(end, step.at + (isFault(step) ? step.forMs : 0)),
    0,
  );
  const shorter = { ...best, quietAt: end + 100 };
  return end + 100 < best.quietAt && await breaks(shorter) ? shorter : best;
}

/** Whether two violations are of one kind, whichever node they are of. */
export function isAlike(a: Violation, b: Violation): boolean {
  return a.id === b.id && (a.id !== "E1" || kindOf(a) === kindOf(b));
}

/** What a violation says, without numbers and nodes' names. */
function kindOf({ text }: Violation): string {
  return text.replaceAll(/\b[a-z](x\d+)?\b/g, "a").replaceAll(/\d+/g, "0");
}

function isCall(step: Step): boolean {
  return !isFault(step);
}

/** A script as text: its head, then a step a line; JSON as a whole. */
export function scriptText({ steps, ...head }: Script): string {
  const lines = steps.map((step) => JSON.stringify(step));
  const start = JSON.stringify(head).slice(0, -1);
  return `${start},"steps":[\n${lines.join(",\n")}\n]}`;
}

/** Reads what {@linkcode scriptText} wrote. */
export function parseScript(text: string): Script {
  const script = JSON.parse(text) as Script;
  if (!Array.isArray(script.steps) || !Number.isInteger(script.seed)) {
    throw new TypeError("Cannot read the script: it has no seed or no steps");
  }
  return script;
}
