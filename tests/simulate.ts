// deno-lint-ignore-file no-console -- a program that prints what it found
/**
 * Runs lives of a cluster in the virtual world, each from one seed.
 *
 * ```
 * deno task simulate --seed 1 --seeds 100        5 nodes, 3000 calls, 20 faults each
 * deno task simulate --seed 17 --trace           replays one, a line an event
 * deno task simulate --seeds 100 --json          one object at the end
 * deno task simulate --script failed.json        replays a script, as it was printed
 * deno task simulate --scenario X3 --seeds 20    scenarios whose name has "X3"
 * deno task simulate --invariants                what is judged
 * ```
 *
 * Ends with exit code 1 if an invariant did not hold, or if a campaign of at least
 * {@linkcode CAMPAIGN_SEEDS} seeds never met a fault or path. Of a failing seed it
 * prints the command that replays it and a script that was shrunk.
 */

import { crc32 } from "../runtime/bytes.ts";
import { SCENARIOS } from "./sim/cluster.ts";
import { Coverage } from "./sim/coverage.ts";
import { INVARIANTS } from "./sim/invariants.ts";
import { FAULT_KINDS, writeScript } from "./sim/script.ts";
import { parseScript, scriptText, shrink } from "./sim/shrink.ts";
import { runScript, type WorkloadReport } from "./sim/workload.ts";

/** Seeds from which on everything must have happened. */
const CAMPAIGN_SEEDS = 50;

/** Failing seeds that are shrunk; the rest are only named. */
const SHRUNK_MAX = 2;

function text(name: string): string | undefined {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? undefined : Deno.args[at + 1];
}

function option(name: string, fallback: number): number {
  const given = text(name);
  if (given === undefined) return fallback;
  const value = Number(given);
  if (!Number.isInteger(value) || value < 0) {
    throw new TypeError(`Cannot simulate: --${name} must be a whole number`);
  }
  return value;
}

const first = option("seed", 1);
const seeds = option("seeds", 1);
const nodes = option("nodes", 5);
const steps = option("steps", 3000);
const json = Deno.args.includes("--json");
const trace = Deno.args.includes("--trace")
  ? (line: string) => console.log(line)
  : undefined;

const total = {
  seeds: 0,
  simulatedHours: 0,
  events: 0,
  faults: {} as Coverage["faults"],
  paths: {} as Coverage["paths"],
  acked: 0,
  unknown: 0,
  refused: 0,
  lost: 0,
  conflicts: 0,
  divergent: 0,
  duplicateKeys: 0,
  violations: 0,
  traceHash: "",
  speedup: 0,
};
const coverage = new Coverage();
const hashes: string[] = [];
let shrunk = 0;

if (Deno.args.includes("--invariants")) {
  for (const [id, says] of Object.entries(INVARIANTS)) {
    console.log(`${id}  ${says}`);
  }
} else if (text("scenario") !== undefined) {
  await runScenarios(text("scenario")!);
} else await runLives();

async function runLives(): Promise<void> {
  const started = performance.now();
  const file = text("script");
  if (file !== undefined) {
    const script = parseScript(await Deno.readTextFile(file));
    const report = await runScript(script, { trace });
    add(report);
    printViolations(report);
  } else {
    for (let seed = first; seed < first + seeds; seed++) {
      const script = writeScript({ seed, nodes, steps });
      const report = await runScript(script, { trace });
      add(report);
      if (report.violations.length > 0) await explain(report);
      else if (!json && seeds > 20 && (seed - first + 1) % 20 === 0) {
        console.log(`${seed - first + 1} of ${seeds} seeds`);
      }
    }
  }
  const realHours = (performance.now() - started) / 3_600_000;
  total.speedup = Math.round(total.simulatedHours / realHours);
  total.faults = coverage.faults;
  total.paths = coverage.paths;
  total.traceHash = hashes.length === 1
    ? hashes[0]!
    : crc32(new TextEncoder().encode(hashes.join())).toString(16);
  const never = total.seeds < CAMPAIGN_SEEDS
    ? []
    : coverage.missing(FAULT_KINDS);
  if (never.length > 0) console.log(`never happened: ${never.join(", ")}`);
  if (json) console.log(JSON.stringify(total));
  else console.log(total);
  if (total.violations > 0 || never.length > 0) Deno.exit(1);
}

/** Names of scenarios that have this in them, each with seeds of its own. */
async function runScenarios(name: string): Promise<void> {
  const folder = new URL("scenarios/", import.meta.url);
  for (const { name } of [...Deno.readDirSync(folder)].sort(byName)) {
    if (name.endsWith("_test.ts")) await import(new URL(name, folder).href);
  }
  const chosen = [...SCENARIOS].filter(([title]) => title.includes(name));
  if (chosen.length === 0) {
    throw new TypeError(`Cannot simulate: no scenario's name has "${name}"`);
  }
  const failed: string[] = [];
  const traces: string[] = [];
  for (const [title, run] of chosen) {
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        traces.push(await run(seed, trace));
      } catch (error) {
        failed.push(`${title}: seed ${seed}`);
        console.log(`seed ${seed} of "${title}": ${error}`);
        console.log(
          `  deno task simulate --seed ${seed} --scenario '${title}' --trace`,
        );
      }
    }
  }
  const traceHash = crc32(new TextEncoder().encode(traces.join())).toString(16);
  console.log(JSON.stringify({
    scenarios: chosen.length,
    seeds: seeds * chosen.length,
    violations: failed.length,
    traceHash,
  }));
  if (failed.length > 0) Deno.exit(1);
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}

function printViolations({ violations }: WorkloadReport): void {
  for (const { id, at, text } of violations) {
    console.log(`  ${id} at ${at} ms: ${text}`);
  }
}

/** Says what a failing seed did, and how little of it is needed. */
async function explain(report: WorkloadReport): Promise<void> {
  const { script, violations } = report;
  console.log(`seed ${script.seed}:`);
  printViolations(report);
  console.log(
    `  deno task simulate --seed ${script.seed} --nodes ${nodes} --steps ${steps} --trace`,
  );
  if (shrunk++ >= SHRUNK_MAX) return;
  const small = await shrink(script, violations[0]!.id);
  console.log(
    `  shrunk from ${script.steps.length} steps to ${small.steps.length}; save it and run: deno task simulate --script FILE --trace`,
  );
  console.log(scriptText(small));
}

function add(report: WorkloadReport): void {
  const count = (...ids: string[]) =>
    report.violations.filter(({ id }) => ids.includes(id)).length;
  total.seeds++;
  total.simulatedHours += report.simulatedMs / 3_600_000;
  total.events += report.events;
  total.acked += report.acked;
  total.unknown += report.unknown;
  total.refused += report.refused;
  total.conflicts += report.conflicts;
  total.violations += report.violations.length;
  total.lost += count("I2", "I3");
  total.divergent += count("I1");
  total.duplicateKeys += count("K1");
  coverage.add(report.coverage);
  hashes.push(report.hash);
}
