// deno-lint-ignore-file no-console
/**
 * Puts the defects of `mutants_table.ts` into copies of the repository, one at a
 * time, and shows that the test named for each fails.
 *
 * ```text
 * deno task mutants [--only NAME]... [--jobs N] [--timeout SECONDS] [--json]
 * ```
 *
 * Every test named in the table must pass as the code stands, which is seen before
 * its first mutant. Then, per mutant: the defect is put in, the file and its test
 * must still type-check, and the test runs. A test that hangs until the timeout
 * counts as failed. Where the table names no test but {@linkcode SEEDS}, up to 500
 * random lives of the simulator are the test, and the seed that broke an invariant
 * is printed. Three outcomes, told as they come: `caught`; `MISSED`, the test
 * passed; `BROKEN`, the mutant says nothing (its text is not there once, it does not
 * type-check, or its test fails or is missing even without it). Exit code 1 unless
 * all are caught.
 *
 * The working tree is never touched.
 *
 * @module
 */

import { pooledMap } from "@std/async";
import { MUTANTS } from "./mutants_table.ts";
import {
  brokenBy,
  type Mutant,
  occurrences,
  parseCaughtBy,
  SEEDS,
} from "./mutants/mutant.ts";

interface Options {
  only: string[];
  jobs: number;
  timeoutMs: number;
  json: boolean;
}

interface Outcome {
  name: string;
  status: "caught" | "MISSED" | "BROKEN";
  /** The test that failed, or what is wrong with the mutant. */
  detail: string;
  seconds: number;
}

interface Run {
  code: number;
  output: string;
  timedOut: boolean;
}

/** Signals that end it; Windows knows the first one only. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

/** Lives within which a mutant must be caught that {@linkcode SEEDS} name. */
const SEEDS_MAX = 500;

/** Lives that must pass without it. */
const SEEDS_WITHOUT = 2;

/** What a life takes at most on average, in milliseconds; for a busy machine. */
const LIFE_MS_MAX = 15_000;

/** What the start of a process takes, counted in lives. */
const STARTUP_LIVES = 4;

const ROOT = decodeURIComponent(new URL("../", import.meta.url).pathname);
const NOT_COPIED = new Set([".git", "node_modules", "coverage", "data"]);
const PERMISSIONS = [
  "--allow-read",
  "--allow-write",
  "--allow-net",
  "--allow-run",
];
const running = new Set<number>();

function parseOptions(args: readonly string[]): Options {
  const options: Options = {
    only: [],
    jobs: 2,
    timeoutMs: 180_000,
    json: false,
  };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--json") {
      options.json = true;
      continue;
    }
    const value = rest.shift();
    if (value === undefined) fail(`Cannot read "${arg}": a value must follow`);
    if (arg === "--only") options.only.push(value);
    else if (arg === "--jobs") options.jobs = positive(arg, value);
    else if (arg === "--timeout") {
      options.timeoutMs = positive(arg, value) * 1000;
    } else fail(`Cannot read "${arg}": no such option`);
  }
  return options;
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  return fail(`Cannot read "${option} ${text}": a number from 1 is expected`);
}

function fail(message: string): never {
  console.error(message);
  Deno.exit(2);
}

/** Copies the repository without what tests do not need. */
async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (NOT_COPIED.has(entry.name)) continue;
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory) await copyTree(source, target);
    else if (entry.isFile) await Deno.copyFile(source, target);
  }
}

/** Ends a child with all the processes that it started. */
function killGroup(pid: number): void {
  try {
    Deno.kill(Deno.build.os === "windows" ? pid : -pid, "SIGKILL");
  } catch {
    // They have ended already.
  }
}

/** Runs Deno in a copy, as a process group of its own. */
async function deno(
  cwd: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<Run> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();
  running.add(child.pid);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup(child.pid);
  }, timeoutMs);
  try {
    const { code, stdout, stderr } = await child.output();
    const text = new TextDecoder();
    return {
      code,
      output: text.decode(stdout) + text.decode(stderr),
      timedOut,
    };
  } finally {
    clearTimeout(timer);
    killGroup(child.pid);
    running.delete(child.pid);
  }
}

/** Runs random lives until one breaks an invariant. */
function runSeeds(cwd: string, seeds: number): Promise<Run> {
  const args = ["--seed", "1", "--seeds", String(seeds), "--until-violation"];
  return deno(
    cwd,
    ["run", "--no-check", ...PERMISSIONS, "tests/simulate.ts", ...args],
    (seeds + STARTUP_LIVES) * LIFE_MS_MAX,
  );
}

function runTest(
  cwd: string,
  caughtBy: string,
  timeoutMs: number,
): Promise<Run> {
  if (caughtBy === SEEDS) return runSeeds(cwd, SEEDS_MAX);
  const { file, filter } = parseCaughtBy(caughtBy);
  const args = ["test", "--no-check", ...PERMISSIONS];
  if (filter !== undefined) args.push("--filter", filter);
  return deno(cwd, [...args, file], timeoutMs);
}

/** Why a test cannot judge anything as the code stands; `undefined` if it can. */
async function judgeBaseline(
  cwd: string,
  caughtBy: string,
  timeoutMs: number,
): Promise<string | undefined> {
  const run = caughtBy === SEEDS
    ? await runSeeds(cwd, SEEDS_WITHOUT)
    : await runTest(cwd, caughtBy, timeoutMs);
  if (run.timedOut) return "its test hangs without the defect";
  if (run.code !== 0) return "its test fails without the defect";
  if (caughtBy === SEEDS) return undefined;
  const passed = Number(/\| (\d+) passed/.exec(run.output)?.[1] ?? 0);
  return passed > 0 ? undefined : "no test has that name";
}

/** What made a run fail: the first test, and the seed if one is named. */
function describeFailure(run: Run): string {
  if (run.timedOut) return "its test hangs";
  const broken = brokenBy(run.output);
  if (broken !== undefined) return broken;
  const test = /^(.+?) \.\.\. FAILED/m.exec(run.output)?.[1];
  const seed = /\bseed[ :=]+(\w+)/i.exec(run.output)?.[1];
  return (test ?? "its test file") + (seed ? ` (seed ${seed})` : "");
}

async function judge(
  cwd: string,
  mutant: Mutant,
  baseline: string | undefined,
  timeoutMs: number,
): Promise<Omit<Outcome, "name" | "seconds">> {
  if (baseline !== undefined) return { status: "BROKEN", detail: baseline };
  const path = `${cwd}/${mutant.file}`;
  const original = await Deno.readTextFile(path);
  const count = occurrences(original, mutant.find);
  if (count !== 1) {
    return { status: "BROKEN", detail: `its text occurs ${count} times` };
  }
  // A function, so that `$` in the replacement stands for itself.
  await Deno.writeTextFile(
    path,
    original.replace(mutant.find, () => mutant.replace),
  );
  try {
    const test = mutant.caughtBy === SEEDS
      ? "tests/simulate.ts"
      : parseCaughtBy(mutant.caughtBy).file;
    const check = await deno(cwd, ["check", mutant.file, test], timeoutMs);
    if (check.code !== 0) {
      return { status: "BROKEN", detail: "it does not type-check" };
    }
    const run = await runTest(cwd, mutant.caughtBy, timeoutMs);
    // That lives take long, or end in an error, is no invariant that they broke.
    const fails = mutant.caughtBy === SEEDS
      ? brokenBy(run.output) !== undefined
      : run.code !== 0 || run.timedOut;
    return fails
      ? { status: "caught", detail: describeFailure(run) }
      : { status: "MISSED", detail: `${mutant.caughtBy} passes with it` };
  } finally {
    await Deno.writeTextFile(path, original);
  }
}

function printOutcome(
  { name, status, detail, seconds }: Outcome,
  width: number,
): void {
  const time = `${seconds.toFixed(1)} s`.padStart(8);
  console.log(`${status}  ${name.padEnd(width)} ${time}  ${detail}`);
}

async function main(): Promise<number> {
  const options = parseOptions(Deno.args);
  const unknown = options.only.find((name) =>
    !MUTANTS.some((mutant) => mutant.name === name)
  );
  if (unknown !== undefined) fail(`Cannot try "${unknown}": no such mutant`);
  const mutants = MUTANTS.filter((mutant) =>
    options.only.length === 0 || options.only.includes(mutant.name)
  );

  const temp = await Deno.makeTempDir({ prefix: "aspen_mutants_" });
  const stop = () => {
    for (const pid of running) killGroup(pid);
    Deno.removeSync(temp, { recursive: true });
    Deno.exit(130);
  };
  // No test may outlive this program.
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stop);
  try {
    const free: string[] = [];
    for (let i = 0; i < options.jobs; i++) {
      free.push(`${temp}/${i}`);
      await copyTree(ROOT, `${temp}/${i}`);
    }
    // At most `jobs` run at a time, so a copy is always free.
    const inCopy = async <T>(work: (cwd: string) => Promise<T>): Promise<T> => {
      const cwd = free.pop()!;
      try {
        return await work(cwd);
      } finally {
        free.push(cwd);
      }
    };

    /** Why tests cannot judge anything, by their names; judged when first needed. */
    const baselines = new Map<string, Promise<string | undefined>>();
    const outcomes: Outcome[] = [];
    const width = Math.max(...mutants.map((mutant) => mutant.name.length));
    const judged = pooledMap(
      options.jobs,
      mutants,
      (mutant) =>
        inCopy(async (cwd): Promise<Outcome> => {
          const { name, caughtBy } = mutant;
          let baseline = baselines.get(caughtBy);
          if (baseline === undefined) {
            baseline = judgeBaseline(cwd, caughtBy, options.timeoutMs);
            baselines.set(caughtBy, baseline);
          }
          const unfit = await baseline;
          const start = performance.now();
          const verdict = await judge(cwd, mutant, unfit, options.timeoutMs);
          const seconds = (performance.now() - start) / 1000;
          return { name, ...verdict, seconds };
        }),
    );
    for await (const outcome of judged) {
      outcomes.push(outcome);
      // As they come: a run that is broken off has told of them.
      if (!options.json) printOutcome(outcome, width);
    }

    const count = (status: Outcome["status"]) =>
      outcomes.filter((each) => each.status === status).length;
    const caught = count("caught");
    const [missed, broken] = [count("MISSED"), count("BROKEN")];
    if (options.json) {
      console.log(JSON.stringify({ caught, missed, broken, outcomes }));
    } else {
      console.log(`${caught} caught, ${missed} missed, ${broken} broken`);
    }
    return missed + broken === 0 ? 0 : 1;
  } finally {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, stop);
    await Deno.remove(temp, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
