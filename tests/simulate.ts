// deno-lint-ignore-file no-console -- a program that prints what it found
/**
 * Runs random lives of a cluster in the virtual world, each from one seed.
 *
 * ```
 * deno task simulate --seed 1 --seeds 100 --nodes 3 --steps 150
 * deno task simulate --seed 17 --trace     replays one, a line an event
 * deno task simulate --seeds 100 --json    one object at the end
 * ```
 *
 * Ends with exit code 1 if an invariant did not hold, and prints the command that
 * replays it.
 */

import { runWorkload, type WorkloadReport } from "./sim/workload.ts";

function option(name: string, fallback: number): number {
  const at = Deno.args.indexOf(`--${name}`);
  if (at < 0) return fallback;
  const value = Number(Deno.args[at + 1]);
  if (!Number.isInteger(value) || value < 0) {
    throw new TypeError(`Cannot simulate: --${name} must be a whole number`);
  }
  return value;
}

const first = option("seed", 1);
const seeds = option("seeds", 1);
const nodes = option("nodes", 3);
const steps = option("steps", 150);
const json = Deno.args.includes("--json");
const trace = Deno.args.includes("--trace")
  ? (line: string) => console.log(line)
  : undefined;

const total = {
  seeds: 0,
  simulatedHours: 0,
  events: 0,
  acked: 0,
  unknown: 0,
  refused: 0,
  conflicts: 0,
  violations: 0,
  faults: {} as Record<string, number>,
  paths: {} as Record<string, number>,
  speedup: 0,
};
const started = performance.now();

for (let seed = first; seed < first + seeds; seed++) {
  const report = await runWorkload({
    seed,
    nodes,
    steps,
    ...trace && { trace },
  });
  add(report);
  if (report.violations.length > 0) {
    console.log(`seed ${seed}:`);
    for (const violation of report.violations) console.log(`  ${violation}`);
    console.log(
      `  deno task simulate --seed ${seed} --nodes ${nodes} --steps ${steps} --trace`,
    );
  } else if (!json && seeds > 20 && (seed - first + 1) % 20 === 0) {
    console.log(`${seed - first + 1} of ${seeds} seeds`);
  }
}
const realHours = (performance.now() - started) / 3_600_000;
total.speedup = Math.round(total.simulatedHours / realHours);
if (json) console.log(JSON.stringify(total));
else console.table(total);
if (total.violations > 0) Deno.exit(1);

function add(report: WorkloadReport): void {
  total.seeds++;
  total.simulatedHours += report.simulatedMs / 3_600_000;
  total.events += report.events;
  total.acked += report.acked;
  total.unknown += report.unknown;
  total.refused += report.refused;
  total.conflicts += report.conflicts;
  total.violations += report.violations.length;
  for (const group of ["faults", "paths"] as const) {
    for (const [name, count] of Object.entries(report[group])) {
      total[group][name] = (total[group][name] ?? 0) + count;
    }
  }
}
