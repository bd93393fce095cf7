// deno-lint-ignore-file no-console -- a program that prints what it found
/**
 * Runs a random life of a cluster of real processes on real files, under faults.
 *
 * ```
 * deno task chaos --minutes 30 --nodes 5
 * deno task chaos --minutes 3 --seed 17 --network proxy    the faults of that seed again
 * deno task chaos --minutes 3 --json                       one object at the end
 * deno task chaos --rows detect.crash,false.stall --nodes 10 --trials 20 --minutes 10
 *                                                          how soon it is noticed
 * ```
 *
 * Ends by itself, with exit code 1 if an invariant did not hold or a kind of fault
 * never happened, and leaves nothing behind, whatever happens to it.
 */

import { measureProcesses } from "./real/chaos/detection.ts";
import { runChaos } from "./real/chaos/run.ts";

function word(name: string): string | undefined {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? undefined : Deno.args[at + 1] ?? "";
}

function number(name: string, fallback: number): number {
  const value = Number(word(name) ?? fallback);
  if (!(value > 0)) {
    throw new TypeError(`Cannot run: --${name} must be a number above 0`);
  }
  return value;
}

const network = word("network");
if (
  network !== undefined && network !== "proxy" && network !== "namespaces"
) throw new TypeError(`Cannot run: --network is "proxy" or "namespaces"`);
const nodes = number("nodes", 5);
if (!Number.isInteger(nodes) || nodes < 2 || nodes > 50) {
  throw new TypeError("Cannot run: --nodes must be a number from 2 to 50");
}
const seed = number("seed", crypto.getRandomValues(new Uint16Array(1))[0]! + 1);
const json = Deno.args.includes("--json");

const rows = word("rows")?.split(",");
if (rows !== undefined) {
  await measureProcesses({
    rows,
    nodes: number("nodes", 10),
    trials: number("trials", 20),
    stallMs: number("minutes", 10) * 60_000,
    onRow(row) {
      console.log(JSON.stringify(row));
      if (!row.met) Deno.exitCode = 1;
    },
    say: (line) => console.error(line),
  });
  Deno.exit();
}

const report = await runChaos({
  seed,
  nodes,
  durationMs: number("minutes", 3) * 60_000,
  ...network !== undefined && { network },
  say: (line) => console.error(line),
});
if (json) console.log(JSON.stringify(report));
else {
  const { schedule, violated, ...figures } = report;
  console.log(
    JSON.stringify({ ...figures, scheduled: schedule.length }, null, 1),
  );
  for (const violation of violated) console.log(violation);
}
if (report.violations > 0) {
  console.error(`The same faults again: ${report.replay}`);
  Deno.exit(1);
}
