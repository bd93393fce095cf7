// deno-lint-ignore-file no-console -- talks to bench/engine.ts by its output
/**
 * One process of the bench: fills a data set, cuts one short, or runs one row of
 * one store for one round. Told what by its only argument, a JSON `Task`; says
 * what came of it in one line of JSON. Anything wrong ends it with an error.
 */

import {
  MissingPeerError,
  type StoreSettings,
  type SubjectName,
} from "../peers/settings.ts";
import { SUBJECTS } from "../subjects/mod.ts";
import { shuffled } from "./data.ts";
import { diskMb, rssMb } from "./meter.ts";
import {
  type DatasetName,
  entriesOf,
  keysFor,
  type Row,
  scaleOf,
  type Worker,
  writeBatches,
} from "./row.ts";
import { killedOrder, ROWS } from "./rows.ts";
import { DB_BENCH } from "./rows_db_bench.ts";
import { YCSB } from "./rows_ycsb.ts";
import type { Subject } from "./subject.ts";

/** All rows, in the order in which they are shown. */
export const ALL_ROWS: readonly Row[] = [...ROWS, ...DB_BENCH, ...YCSB];

/** What a process is to do. */
export type Task =
  & { subject: Worker; dir: string; entries: number }
  & (
    | { kind: "row"; row: string; round: number }
    | { kind: "fill"; dataset: DatasetName }
    | { kind: "kill" }
  );

/** What came of it: what was measured, or why there is nothing. */
export type Outcome = Result | { skipped: string } | { filled: true };

/** One line of the bench's output. `null`: not measured in that row. */
export interface Result {
  row: string;
  subject: Worker;
  round: number;
  n: number;
  opsPerSec: number;
  p50Us: number | null;
  p99Us: number | null;
  p999Us: number | null;
  maxStallMs: number | null;
  rssMb: number;
  diskMb: number | null;
  writeAmp: number | null;
  /** What only one row has. */
  [extra: string]: string | number | null;
}

/** Puts entries 0 … `entries` - 1 into a store, in random order. */
async function fill(subject: Subject, entries: number): Promise<void> {
  const order = shuffled(entries, 1);
  const step = 100_000;
  for (let from = 0; from < entries; from += step) {
    const part = order.subarray(from, from + step);
    await writeBatches(subject, keysFor(subject, part), part, 0);
  }
  await subject.idle();
}

async function runRow(
  name: string,
  task: Task & { round: number },
): Promise<Result> {
  const row = ALL_ROWS.find((row) => row.name === name);
  if (row === undefined) throw new Error(`Cannot run ${name}: no such row`);
  const scale = scaleOf(task.entries);
  const { subject: worker, dir, round } = task;
  const open = async (settings: Partial<StoreSettings> = {}) => {
    if (worker === "bare") {
      throw new Error("Cannot open a store: there is none");
    }
    const subject = await SUBJECTS[worker].open(dir, {
      ...scale.settings,
      ...settings,
    });
    if (SUBJECTS[worker].volatile && row.dataset !== "none") {
      await fill(subject, entriesOf(row.dataset, scale));
    }
    return subject;
  };
  if (worker !== "bare") SUBJECTS[worker].load?.();
  const measured = await row.run({ ...scale, round, dir, open });
  const { laps, stalls } = measured;
  const volatile = worker !== "bare" && SUBJECTS[worker].volatile;
  return {
    row: name,
    subject: worker,
    round,
    n: measured.n,
    opsPerSec: rounded(measured.opsPerSec) ?? 0,
    p50Us: rounded(laps?.percentile(0.5)),
    p99Us: rounded(laps?.percentile(0.99)),
    p999Us: rounded(laps?.percentile(0.999)),
    maxStallMs: rounded((stalls?.max() ?? NaN) / 1000),
    rssMb: rounded(measured.rssMb ?? rssMb()) ?? 0,
    diskMb: volatile ? null : rounded(diskMb(dir)),
    writeAmp: volatile ? null : rounded(measured.writeAmp),
    ...Object.fromEntries(
      Object.entries(measured.extra ?? {}).map(([k, v]) => [k, rounded(v)]),
    ),
  };
}

/** Four digits are more than the noise leaves. */
function rounded(value: number | null | undefined): number | null {
  return value === undefined || value === null || Number.isNaN(value)
    ? null
    : Number(value.toPrecision(4));
}

async function run(task: Task): Promise<Outcome> {
  if (task.kind === "row") return await runRow(task.row, task);
  const scale = scaleOf(task.entries);
  const kind = SUBJECTS[task.subject as SubjectName];
  const subject = await kind.open(task.dir, scale.settings);
  if (task.kind === "fill") {
    await fill(subject, entriesOf(task.dataset, scale));
    await subject.close();
    return { filled: true };
  }
  const order = killedOrder(scale.gigEntries);
  await writeBatches(subject, keysFor(subject, order), order, 1);
  Deno.kill(Deno.pid, "SIGKILL");
  return { filled: true };
}

async function outcomeOf(task: Task): Promise<Outcome> {
  try {
    return await run(task);
  } catch (error) {
    if (!(error instanceof MissingPeerError)) throw error;
    return { skipped: error.message };
  }
}

if (import.meta.main) {
  const task: Task = JSON.parse(Deno.args[0]!);
  console.log(JSON.stringify(await outcomeOf(task)));
  // What a native peer leaves behind shall not keep the process alive.
  Deno.exit(0);
}
