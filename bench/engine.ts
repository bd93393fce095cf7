// deno-lint-ignore-file no-console -- a program that prints what it measured
/**
 * Our engine side by side with the stores that JavaScript programs use:
 *
 * ```
 * deno task bench:peers                 installs the peers, once
 * deno task bench:engine                everything, seven rounds: some hours
 * deno task bench:engine --quick        a tenth of the data, three rounds
 * deno task bench:engine --rows read.,scan. --subjects aspen,lmdb
 * ```
 *
 * | option           | what                                                        |
 * | ---------------- | ----------------------------------------------------------- |
 * | `--rows a,b`     | the rows so named, or that begin so: `read.`, `ycsb.`       |
 * | `--subjects a,b` | the stores                                                  |
 * | `--rounds N`     | 7; 3 with `--quick`                                         |
 * | `--entries N`    | 1,000,000; 100,000 with `--quick`; all sizes grow with it   |
 * | `--json`         | the lines of JSON and nothing else on the standard output   |
 * | `--svg PATH`     | where the chart goes; `data/bench/engine.svg`               |
 * | `--dir PATH`     | where the stores are; the system's directory for such       |
 *
 * Rows and rules: bench/README.md. Exit code 1 if a row failed, which a store
 * that gives wrong data does.
 */

import { readArguments, rowsNamed } from "./arguments.ts";
import { chartOf } from "./engine/chart.ts";
import {
  ALL_ROWS,
  type Outcome,
  type Result,
  type Task,
} from "./engine/child.ts";
import { GC_FLAG } from "./engine/meter.ts";
import { Medians, mediansTable, targetsTable } from "./engine/report.ts";
import {
  type DatasetName,
  type Row,
  scaleOf,
  type Worker,
} from "./engine/row.ts";
import { flagsOf } from "./engine/subject.ts";
import { SUBJECT_NAMES, type SubjectName } from "./peers/settings.ts";
import { SUBJECTS } from "./subjects/mod.ts";

interface Options {
  readonly json: boolean;
  readonly rounds: number;
  readonly entries: number;
  readonly rows: readonly Row[];
  readonly subjects: readonly Worker[];
  readonly svg: string;
  readonly dir: string | undefined;
}

/** Understands the arguments; throws a `TypeError` that says what is wrong. */
function parse(args: readonly string[]): Options {
  const known = ["rows", "subjects", "rounds", "entries", "svg", "dir"];
  const { flags, values, count } = readArguments(args, known);
  const quick = flags.has("quick");
  const rows = rowsNamed(ALL_ROWS, values.get("rows"));
  const subjects = values.get("subjects")?.split(",") ?? SUBJECT_NAMES;
  for (const name of subjects) {
    if (!SUBJECT_NAMES.includes(name as SubjectName)) {
      throw new TypeError(
        `Cannot find ${name}; there are ${SUBJECT_NAMES.join(", ")}`,
      );
    }
  }
  return {
    json: flags.has("json"),
    rounds: count("rounds", quick ? 3 : 7),
    entries: Math.max(1000, count("entries", quick ? 100_000 : 1_000_000)),
    rows,
    subjects: [
      ...SUBJECT_NAMES.filter((name) => subjects.includes(name)),
      "bare",
    ],
    svg: values.get("svg") ?? "data/bench/engine.svg",
    dir: values.get("dir"),
  };
}

function rulesOf({ entries, rounds }: Options): string {
  const scale = scaleOf(entries);
  const MB = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
  return `Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores
- Keys and their order are made before the clock starts, and what that left is
  collected.
- Each row of each store in each round is a process of its own; rounds are
  interleaved: ${rounds} of them.
- 16-byte keys, 100-byte half-compressible values, ${
    entries.toLocaleString("en")
  } entries unless said.
- The same cache (${MB(scale.settings.cacheBytes)}), write buffer (${
    MB(scale.settings.writeBufferBytes)
  }) and durability (written).
- Each store by its fastest documented way: bench/peers/settings.ts, bench/subjects/.
- Reads end with key and value as bytes that the caller may keep.
- Writes end when the store is idle; nobody compacts by hand.
- Every row checks what it read: a store that gives wrong data fails.`;
}

/** Runs one process. `undefined`: it was killed, as it was to be. */
async function runTask(task: Task): Promise<Outcome | undefined> {
  const flags = task.subject === "bare" ? [] : flagsOf(task.subject);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      GC_FLAG,
      ...flags,
      new URL("engine/child.ts", import.meta.url).href,
      JSON.stringify(task),
    ],
    stdout: "piped",
    stderr: "inherit",
  });
  const { success, signal, stdout } = await child.output();
  if (task.kind === "kill" && signal === "SIGKILL") return undefined;
  if (!success) throw new Error(`exit by ${signal ?? "an error"}`);
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  return JSON.parse(lines.at(-1)!);
}

/** Data sets on disk, each filled when it is first needed. */
class Datasets {
  readonly #root: string;
  readonly #entries: number;
  readonly #made = new Map<string, string | undefined>();

  constructor(root: string, entries: number) {
    this.#root = root;
    this.#entries = entries;
  }

  /** The directory of a store's data set; a string that says why there is none. */
  async get(
    subject: SubjectName,
    dataset: DatasetName,
  ): Promise<{ dir: string } | { skipped: string }> {
    const dir = `${this.#root}/${dataset}-${subject.replace(":", "-")}`;
    if (!this.#made.has(dir)) {
      this.#made.set(dir, await this.#make(subject, dataset, dir));
    }
    const skipped = this.#made.get(dir);
    return skipped === undefined ? { dir } : { skipped };
  }

  /** Removes what is not needed any more. */
  async clear(dataset: DatasetName): Promise<void> {
    for (const [dir, skipped] of this.#made) {
      if (!dir.startsWith(`${this.#root}/${dataset}-`)) continue;
      this.#made.delete(dir);
      if (skipped === undefined) await Deno.remove(dir, { recursive: true });
    }
  }

  async #make(
    subject: SubjectName,
    dataset: DatasetName,
    dir: string,
  ): Promise<string | undefined> {
    const base = { subject, dir, entries: this.#entries };
    if (dataset === "killed") {
      const gig = await this.get(subject, "gig");
      if ("skipped" in gig) return gig.skipped;
      await copy(gig.dir, dir);
      await runTask({ ...base, kind: "kill" });
      return undefined;
    }
    await Deno.mkdir(dir);
    const outcome = await runTask({ ...base, kind: "fill", dataset });
    return outcome !== undefined && "skipped" in outcome
      ? String(outcome.skipped)
      : undefined;
  }
}

/**
 * Copies a data set, onto the device: pages still dirty would be written back
 * while the row runs, and what it overwrites in them would not be counted.
 */
async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copy(`${from}/${name}`, `${to}/${name}`);
    else {
      await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
      using file = await Deno.open(`${to}/${name}`);
      await file.syncData();
    }
  }
}

/** Runs one row of one store for one round. */
async function runRow(
  row: Row,
  subject: Worker,
  round: number,
  { root, datasets, entries }: {
    root: string;
    datasets: Datasets;
    entries: number;
  },
): Promise<Outcome> {
  let dir = `${root}/run`;
  const onDisk = subject !== "bare" && !SUBJECTS[subject].volatile;
  if (onDisk && row.dataset !== "none") {
    const data = await datasets.get(subject, row.dataset);
    if ("skipped" in data) return data;
    if (row.changes) await copy(data.dir, dir);
    else dir = data.dir;
  } else await Deno.mkdir(dir);
  try {
    const task = { subject, dir, entries, round, row: row.name };
    return (await runTask({ ...task, kind: "row" }))!;
  } finally {
    if (dir === `${root}/run`) await Deno.remove(dir, { recursive: true });
  }
}

/** In this order, so that each data set is made once and then removed. */
const DATASETS: readonly DatasetName[] = [
  "none",
  "data",
  "large",
  "gig",
  "killed",
];

async function main(options: Options): Promise<number> {
  const { rounds, entries, json, subjects } = options;
  const say = json ? console.error : console.log;
  say(rulesOf(options));
  const root = await Deno.makeTempDir({
    prefix: "aspen-bench-",
    ...options.dir === undefined ? {} : { dir: options.dir },
  });
  const datasets = new Datasets(root, entries);
  const results: Result[] = [];
  const skipped = new Set<string>();
  let failures = 0;
  try {
    for (const dataset of DATASETS) {
      const rows = options.rows.filter((row) => row.dataset === dataset);
      for (let round = 0; round < rounds; round++) {
        for (const row of rows) {
          const taking = subjects.filter((name) => row.subjects.includes(name));
          // Another store begins in each round.
          for (let i = 0; i < taking.length; i++) {
            const subject = taking[(i + round) % taking.length]!;
            const name = `${row.name} of ${subject}`;
            if (skipped.has(name)) continue;
            try {
              const outcome = await runRow(row, subject, round, {
                root,
                datasets,
                entries,
              });
              if ("skipped" in outcome) {
                skipped.add(name);
                const why = { row: row.name, subject, round };
                console.log(
                  JSON.stringify({ ...why, skipped: outcome.skipped }),
                );
              } else {
                results.push(outcome as Result);
                console.log(JSON.stringify(outcome));
              }
            } catch (error) {
              failures++;
              console.error(`FAILED: ${name}, round ${round}: ${error}`);
            }
          }
        }
      }
      if (dataset !== "gig") await datasets.clear(dataset);
    }
  } finally {
    await Deno.remove(root, { recursive: true });
  }
  const order = ALL_ROWS.map(({ name }) => name);
  results.sort((a, b) => order.indexOf(a.row) - order.indexOf(b.row));
  const medians = new Medians(results);
  await Deno.mkdir(options.svg.replace(/[^/]*$/, "") || ".", {
    recursive: true,
  });
  await Deno.writeTextFile(
    options.svg,
    chartOf(
      medians,
      subjects,
      `${entries.toLocaleString("en")} entries, medians of ${rounds} rounds`,
    ),
  );
  if (!json) {
    console.log(`\n${mediansTable(medians, subjects)}`);
    console.log(`\n${targetsTable(medians)}`);
    for (const name of skipped) console.log(`skipped: ${name}`);
    console.log(`chart: ${options.svg}`);
  }
  if (failures > 0) console.error(`${failures} failed`);
  return failures > 0 ? 1 : 0;
}

let options: Options | undefined;
try {
  options = parse(Deno.args);
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(error.message);
}
Deno.exit(options === undefined ? 2 : await main(options));
