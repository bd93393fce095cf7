// deno-lint-ignore-file no-console -- a program that prints what it measured
/**
 * A cluster of real processes over loopback: how soon a write is everywhere, how
 * many there can be, what they cost readers, and how long nodes take to be equal.
 *
 * ```
 * deno task bench:cluster               everything at its full size, three rounds
 * deno task bench:cluster --quick       a tenth of the data, a tenth of the time
 * deno task bench:cluster --rows writes.,join --rounds 1 --json
 * ```
 *
 * | option         | what                                                         |
 * | -------------- | ------------------------------------------------------------ |
 * | `--rows a,b`   | the rows so named, or that begin so: `writes.`               |
 * | `--rounds N`   | 3                                                            |
 * | `--entries N`  | 1,000,000; 100,000 with `--quick`                            |
 * | `--seconds N`  | how long rows by time last: 60; 6 with `--quick`             |
 * | `--json`       | the lines of JSON and nothing else on the standard output    |
 * | `--svg PATH`   | where the chart goes; `data/bench/cluster.svg`               |
 * | `--dir PATH`   | where the stores are; the system's directory for such        |
 *
 * Rows and rules: bench/README.md. Exit code 1 if a row failed, which it does where
 * nodes differ at its end; a target that is not met is shown, not a failure.
 */

import { readArguments, rowsNamed } from "./arguments.ts";
import { chartOf } from "./cluster/chart.ts";
import { type Judged, judged, summaryTable } from "./cluster/report.ts";
import { type Figures, type Row, ROWS } from "./cluster/rows.ts";

interface Options {
  readonly rows: readonly Row[];
  readonly rounds: number;
  readonly entries: number;
  readonly lastMs: number;
  readonly json: boolean;
  readonly svg: string;
  readonly dir: string | undefined;
}

/** Understands the arguments; throws a `TypeError` that says what is wrong. */
function parse(args: readonly string[]): Options {
  const known = ["rows", "rounds", "entries", "seconds", "svg", "dir"];
  const { flags, values, count } = readArguments(args, known);
  const quick = flags.has("quick");
  return {
    rows: rowsNamed(ROWS, values.get("rows")),
    rounds: count("rounds", 3),
    entries: Math.max(10_000, count("entries", quick ? 100_000 : 1_000_000)),
    lastMs: count("seconds", quick ? 6 : 60) * 1000,
    json: flags.has("json"),
    svg: values.get("svg") ?? "data/bench/cluster.svg",
    dir: values.get("dir"),
  };
}

async function main(options: Options): Promise<number> {
  const { rows, rounds, entries, lastMs, json, svg } = options;
  const say = json ? console.error : console.log;
  const caption =
    `${entries.toLocaleString("en")} entries of 16 + 100 bytes, ` +
    `${lastMs / 1000} s, ${navigator.hardwareConcurrency} cores, ` +
    `medians of ${rounds} rounds`;
  say(caption);
  const results = new Map<Row, Figures[]>();
  let failures = 0;
  for (let round = 0; round < rounds; round++) {
    for (const row of rows) {
      const dir = await Deno.makeTempDir({
        prefix: "aspen-bench-",
        ...options.dir !== undefined && { dir: options.dir },
      });
      try {
        console.error(`${row.name}, round ${round + 1}: ${row.what}`);
        const figures = await row.run({ entries, lastMs, dir });
        const list = results.get(row) ?? [];
        results.set(row, [...list, figures]);
        console.log(
          JSON.stringify({ row: row.name, round, ...rounded(figures) }),
        );
      } catch (error) {
        failures++;
        console.error(`FAILED: ${row.name}, round ${round}: ${error}`);
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    }
  }
  const all: Judged[] = [...results].flatMap(([row, figures]) =>
    judged(row, figures)
  );
  await Deno.mkdir(svg.replace(/[^/]*$/, "") || ".", { recursive: true });
  await Deno.writeTextFile(svg, chartOf(all, caption));
  if (!json) {
    console.log(`\n${summaryTable(all)}`);
    console.log(`chart: ${svg}`);
  }
  return failures > 0 ? 1 : 0;
}

function rounded(figures: Figures): Figures {
  return Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [
      name,
      Number(value.toPrecision(4)),
    ]),
  );
}

let options: Options | undefined;
try {
  options = parse(Deno.args);
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(error.message);
}
Deno.exit(options === undefined ? 2 : await main(options));
