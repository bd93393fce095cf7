// deno-lint-ignore-file no-console -- a program that prints what it found
/**
 * Runs lives of a cluster in the virtual world, each from one seed.
 *
 * ```
 * deno task simulate --seed 1 --seeds 100        5 nodes, 3000 calls, 20 faults each
 * deno task simulate --seeds 100 --minutes 30    30 simulated minutes each
 * deno task simulate --seeds 50 --speedup-min 30  fails below 30 × real time
 * deno task simulate --kinds leave,join,kill     faults of these kinds only
 * deno task simulate --seeds 5000 --jobs 2       shared by two processes
 * deno task simulate --seed 17 --trace           replays one, a line an event
 * deno task simulate --seeds 500 --until-violation  ends at the first one
 * deno task simulate --seeds 100 --json          one object at the end
 * deno task simulate --script failed.json        replays a script, as it was kept
 * deno task simulate --scenario X3 --seeds 20    scenarios whose name has "X3"
 * deno task simulate --scenario detection --seeds 10   how soon nodes that are gone
 *                                                are found out, an object a row
 * deno task simulate --scenario membership       how parts find each other again,
 *                                                what up to 1,000 nodes say, and a
 *                                                node that is attacked
 * deno task simulate --scenario replication      how often and how soon records come
 *                                                to all by rumours, how soon halves
 *                                                are equal, what deletes leave, and
 *                                                two days of faults, twice;
 *                                                --nodes 5 --ops 1000 for one, smaller,
 *                                                --rows soak --hours 2
 * deno task simulate --invariants                what is judged
 * ```
 *
 * Progress goes to standard error. Ends with exit code 1 if an invariant did not
 * hold, if a life was not judged to its end, if it was slower than it was told to be
 * at least, or if a campaign of at least 50 seeds never met a fault or a path, or too
 * few faults or calls, unless it was told which faults to have. Of a failing seed it
 * prints the command that replays it, a shrunk script and the end of its trace; both
 * are kept whole in the folder of `--keep`, by default one below the system's for
 * temporary files.
 */

import {
  Campaign,
  lifeOf,
  type LifeReport,
  runCampaign,
  type Summary,
} from "./sim/campaign.ts";
import { SCENARIOS } from "./sim/cluster.ts";
import {
  DETECTION_ROWS,
  type DetectionRow,
  measureRow,
} from "./sim/detection.ts";
import { measureHeal, measureTombstones } from "./sim/healing.ts";
import { ATTACKS, measureHostile, NODES } from "./sim/hostile.ts";
import { INVARIANTS, type Violation } from "./sim/invariants.ts";
import { measureRumours, RUMOUR_OPS, RUMOUR_ROWS } from "./sim/rumours.ts";
import { FAULT_KINDS, writeScript } from "./sim/script.ts";
import { parseScript, scriptText, shrink } from "./sim/shrink.ts";
import { measureSoak, SOAKS } from "./sim/soak.ts";
import { runScript } from "./sim/workload.ts";

/** Nodes of the rows that heal and that delete, and writes on either side. */
const HEAL_NODES = 6;
const HEAL_WRITES = 100_000;

/** Hours of the row that lets a cluster live. */
const SOAK_HOURS = 48;

/** Failing seeds that are shrunk; the rest are only named. */
const SHRUNK_MAX = 2;

/** Lines of a trace that are printed; all of it is kept. */
const TRACE_LINES = 40;

/** Time between two lines of progress, in milliseconds. */
const PROGRESS_MS = 10_000;

const CALLS_PER_MINUTE = 3000;

function text(name: string): string | undefined {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? undefined : Deno.args[at + 1] ?? "";
}

function option(name: string, fallback: number): number {
  const given = text(name);
  if (given === undefined) return fallback;
  const value = Number(given);
  if (given === "" || !Number.isInteger(value) || value < 0) {
    throw new TypeError(`Cannot simulate: --${name} must be a whole number`);
  }
  return value;
}

const seed = option("seed", 1);
const seeds = option("seeds", 1);
const nodes = option("nodes", 5);
const steps = option("steps", option("minutes", 1) * CALLS_PER_MINUTE);
const jobs = option("jobs", 1);
const kinds = text("kinds")?.split(",").map((kind) => {
  const known = FAULT_KINDS.find((each) => each === kind);
  if (known === undefined) {
    throw new TypeError(
      `Cannot simulate: there is no fault "${kind}", but ${
        FAULT_KINDS.join(", ")
      }`,
    );
  }
  return known;
});
/** What each life is drawn by, but for its seed. */
const draw = { nodes, steps, ...kinds && { kinds } };
const untilViolation = Deno.args.includes("--until-violation");
const json = Deno.args.includes("--json");
const trace = Deno.args.includes("--trace")
  ? (line: string) => console.log(line)
  : undefined;

if (Deno.args.includes("--invariants")) {
  for (const [id, says] of Object.entries(INVARIANTS)) {
    console.log(`${id}  ${says}`);
  }
} else if (
  text("scenario") === "replication" ||
  DETECTION_ROWS.has(text("scenario") ?? "")
) {
  await runRows(text("scenario")!);
} else if (text("scenario") !== undefined) {
  await runScenarios(text("scenario")!);
} else if (text("script") !== undefined || trace !== undefined) {
  await replay();
} else await runLives();

async function runLives(): Promise<void> {
  let toldAt = performance.now();
  const campaign = await runCampaign({
    seed,
    seeds,
    ...draw,
    jobs: untilViolation ? 1 : jobs,
    untilViolation,
    onLife: ({ seed, violations }, { seeds: done, summary }) => {
      if (violations.length > 0) {
        console.error(`seed ${seed}: ${violations[0]!.id} does not hold`);
      }
      if (performance.now() - toldAt < PROGRESS_MS) return;
      toldAt = performance.now();
      const { simulatedHours, acked, speedup } = summary;
      console.error(
        `${done} of ${seeds} seeds: ${simulatedHours.toFixed(1)} hours, ` +
          `${acked} acked, ${summary.violations} violations, ${speedup} × real time`,
      );
    },
  });
  for (const [i, life] of campaign.failed.entries()) {
    await explain(life, !untilViolation && i < SHRUNK_MAX);
  }
  end(campaign);
}

/** Runs one life again: of a seed, or of a script that was kept. */
async function replay(): Promise<void> {
  const file = text("script");
  const script = file === undefined
    ? writeScript({ seed, ...draw })
    : parseScript(await Deno.readTextFile(file));
  const started = performance.now();
  const report = await runScript(script, { trace });
  const campaign = new Campaign();
  campaign.add(lifeOf(report, performance.now() - started));
  printViolations(report.violations);
  end(campaign);
}

/**
 * Measures rows, each by itself. `--rows` names some of them, `a` with `a` all `a.b`.
 */
async function runRows(scenario: string): Promise<void> {
  const names = text("rows")?.split(",");
  const unknown = new Set(names);
  const rows: DetectionRow[] = [];
  const run = async (
    name: string,
    nodes: number,
    measure: () => Promise<{ readonly met: boolean }>,
  ) => {
    const named = names?.filter((each) =>
      each === name || name.startsWith(`${each}.`)
    );
    if (named?.length === 0) return;
    for (const each of named ?? []) unknown.delete(each);
    console.error(`${name}: ${nodes} nodes`);
    const row = await measure();
    console.log(JSON.stringify(row));
    if (!row.met) Deno.exitCode = 1;
  };
  for (const kind of DETECTION_ROWS.get(scenario) ?? []) {
    await run(kind.row, kind.nodes, async () => {
      const row = await measureRow(kind, seed, seeds, rows);
      rows.push(row);
      return row;
    });
  }
  if (scenario === "membership") {
    await run("hostile", NODES, () => measureHostile(seed, ATTACKS));
  }
  if (scenario === "replication") {
    const only = text("nodes") === undefined ? undefined : nodes;
    const ops = option("ops", RUMOUR_OPS);
    for (const kind of RUMOUR_ROWS) {
      if (only !== undefined && only !== kind.nodes) continue;
      await run(kind.row, kind.nodes, () => measureRumours(kind, seed, ops));
    }
    await run(
      "heal",
      HEAL_NODES,
      () => measureHeal(HEAL_NODES, seed, option("ops", HEAL_WRITES)),
    );
    await run(
      "tombstones",
      HEAL_NODES,
      () => measureTombstones(HEAL_NODES, seed, ops),
    );
    const hours = option("hours", SOAK_HOURS);
    for (const soak of SOAKS) {
      await run(soak.row, soak.nodes, () => measureSoak(soak, seed, hours));
    }
  }
  if (unknown.size > 0) {
    throw new TypeError(
      `Cannot simulate: "${scenario}" has no row ${[...unknown].join(", ")}`,
    );
  }
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
  const campaign = new Campaign();
  let life = 0;
  for (const [title, run] of chosen) {
    for (let each = seed; each < seed + seeds; each++) {
      const started = performance.now();
      const report = await run(each, trace).catch((error) => {
        console.log(`seed ${each} of "${title}": ${error}`);
        console.log(
          `  deno task simulate --seed ${each} --scenario '${title}' --trace`,
        );
        return { hash: "", events: 0, simulatedMs: 0, error };
      });
      const violations: Violation[] = "error" in report
        ? [{ id: "E1", at: 0, text: `${title}: ${report.error}` }]
        : [];
      campaign.add({
        ...report,
        seed: life++,
        tookMs: performance.now() - started,
        calls: 0,
        callsDrawn: 0,
        acked: 0,
        lost: 0,
        judged: violations.length === 0,
        conflicts: 0,
        faults: {},
        paths: {},
        violations,
      });
    }
  }
  print(campaign.summary);
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}

function printViolations(violations: readonly Violation[]): void {
  for (const { id, at, text } of violations) {
    console.log(`  ${id} at ${at} ms: ${text}`);
  }
}

/** Says what a failing seed did, and how little of it is needed. */
async function explain(life: LifeReport, shrunk: boolean): Promise<void> {
  const { seed, violations } = life;
  console.log(`seed ${seed}:`);
  printViolations(violations);
  const only = kinds === undefined ? "" : ` --kinds ${kinds.join()}`;
  console.log(
    `  deno task simulate --seed ${seed} --nodes ${nodes} --steps ${steps}${only} --trace`,
  );
  const violation = violations[0]!;
  const { id } = violation;
  // Two traces of one seed have no script that could be shrunk.
  if (!shrunk || id === "T1") return;
  const script = writeScript({ seed, ...draw });
  const small = await shrink(script, violation);
  const folder = text("keep") ??
    await Deno.makeTempDir({ prefix: "aspen-simulate-" });
  await Deno.mkdir(folder, { recursive: true });
  const scriptFile = `${folder}/seed-${seed}.script.json`;
  const traceFile = `${folder}/seed-${seed}.trace.txt`;
  await Deno.writeTextFile(scriptFile, scriptText(small));
  const last: string[] = [];
  {
    using file = await Deno.create(traceFile);
    const encoder = new TextEncoder();
    const report = await runScript(small, {
      trace: (line) => {
        const bytes = encoder.encode(line + "\n");
        for (let at = 0; at < bytes.length;) {
          at += file.writeSync(bytes.subarray(at));
        }
        last.push(line);
        if (last.length > TRACE_LINES) last.shift();
      },
      // What came after it explains nothing.
      until: id,
    });
    printViolations(report.violations);
  }
  console.log(`  shrunk from ${script.steps.length} steps to:`);
  console.log(scriptText(small));
  console.log(`  the last of its trace, up to the violation:`);
  for (const line of last) console.log(`  ${line}`);
  console.log(`  all of it: ${traceFile}; again:`);
  console.log(`  deno task simulate --script ${scriptFile} --trace`);
}

function end(campaign: Campaign): void {
  const complaints = campaign.complaints({
    isDrawn: kinds === undefined,
    speedupMin: option("speedup-min", 0),
  });
  for (const complaint of complaints) console.log(complaint);
  print(campaign.summary, complaints.length > 0);
}

function print(summary: Summary, incomplete = false): void {
  console.log(json ? JSON.stringify(summary) : summary);
  if (summary.violations > 0 || incomplete) Deno.exit(1);
}
