// deno-lint-ignore-file no-console -- what it finds is printed.
/**
 * Prints what a store's directory holds, for people or, with `--json`, for
 * programs. Opens it for reading only, so that it may be in use; changes nothing.
 *
 * ```sh
 * deno task inspect <dir> [--json] [--check]
 * ```
 *
 * With `--check` it reads everything and names what is broken; the exit code is
 * then 1 if something is.
 *
 * @module
 */

import {
  checkLsm,
  type CheckReport,
  describeLsm,
  type Progress,
  type StoreDescription,
  type TableDescription,
} from "../engine/mod.ts";
import { DenoFiles } from "../runtime/deno/mod.ts";

const USAGE = "usage: deno task inspect <dir> [--json] [--check]";

/** How a run ends, and what it prints. */
export interface InspectOptions {
  /** Whether to print JSON. */
  json: boolean;
  /** Whether to read everything. */
  check: boolean;
  /** Prints a line. */
  print: (line: string) => void;
  /** Shows how far it is; replaces what it showed before. */
  progress: (line: string) => void;
}

/** Inspects a directory; gives the exit code. */
export async function inspect(
  dir: string,
  options: InspectOptions,
): Promise<number> {
  const files = new DenoFiles();
  let description: StoreDescription | undefined;
  let failure: unknown;
  try {
    description = describeLsm(dir, { files });
  } catch (error) {
    // What is broken is told by the check; without one it is the answer.
    if (!options.check) throw error;
    failure = error;
  }
  const report = options.check
    ? await checkLsm(dir, {
      files,
      yieldNow: () => new Promise((resolve) => setTimeout(resolve, 0)),
      onProgress: (progress) => options.progress(progressLine(progress)),
    })
    : undefined;
  if (options.json) {
    options.print(JSON.stringify({ ...description, check: report }));
  } else {
    if (description !== undefined) printDescription(description, options.print);
    else options.print(String(failure));
    if (report !== undefined) printReport(report, options.print);
  }
  return report !== undefined && report.damages.length > 0 ? 1 : 0;
}

function printDescription(
  store: StoreDescription,
  print: (line: string) => void,
): void {
  print(`store ${store.storeId} in ${store.dir}`);
  print(`  MANIFEST ${store.manifest}, last sequence number ${store.lastSeq}`);
  print("");
  print("level  tables       bytes        data     entries  deletions");
  for (const level of store.levels) {
    if (level.tables.length === 0) continue;
    const bytes = sum(level.tables.map((table) => table.bytes));
    const data = dataOf(level.tables);
    const entries = sum(level.tables.map((table) => table.entries));
    const tombstones = sum(level.tables.map((table) => table.tombstones));
    print(
      `${cell(level.level, 5)}${cell(level.tables.length, 8)}${
        cell(sizeOf(bytes), 12)
      }${cell(data, 12)}${cell(entries, 12)}${cell(tombstones, 11)}`,
    );
  }
  for (const level of store.levels) {
    for (const table of level.tables) {
      print(
        `  L${level.level} ${table.name} ${sizeOf(table.bytes)} for ${
          dataOf([table])
        } of data, ${
          plural(table.entries, "entry", "entries")
        }, ${table.minKey} … ${table.maxKey}`,
      );
    }
  }
  print("");
  for (const wal of store.wals) {
    print(
      `  ${wal.name} ${sizeOf(wal.bytes)}, ${
        plural(wal.batches, "batch", "batches")
      }${wal.tornBytes > 0 ? `, a torn tail of ${wal.tornBytes} bytes` : ""}`,
    );
  }
  if (store.unnamed.length > 0) {
    print(`  not in use: ${store.unnamed.join(", ")}`);
  }
  const tables = store.levels.flatMap((level) => level.tables);
  const tableBytes = sum(tables.map((table) => table.bytes));
  const walBytes = sum(store.wals.map((wal) => wal.bytes));
  print("");
  print(
    `${plural(tables.length, "table", "tables")} of ${
      sizeOf(tableBytes)
    } with ${
      plural(sum(tables.map((table) => table.entries)), "entry", "entries")
    }; ${plural(store.wals.length, "log", "logs")} of ${sizeOf(walBytes)}; ${
      store.closedCleanly ? "closed cleanly" : "in use, or not closed cleanly"
    }`,
  );
}

function printReport(
  report: CheckReport,
  print: (line: string) => void,
): void {
  print("");
  print(
    `checked ${plural(report.tables, "table", "tables")}, ${
      plural(report.blocks, "block", "blocks")
    }, ${plural(report.entries, "entry", "entries")} and ${
      plural(report.wals, "log", "logs")
    }, ${sizeOf(report.bytes)}`,
  );
  for (const { path, offset, what } of report.damages) {
    print(`  BROKEN ${path} at byte ${offset}: ${what}`);
  }
  if (report.furtherDamages > 0) {
    print(`  and ${report.furtherDamages} more`);
  }
  print(report.damages.length === 0 ? "nothing is broken" : "it is damaged");
}

function progressLine({ path, doneBytes, totalBytes }: Progress): string {
  const percent = totalBytes === 0
    ? 100
    : Math.floor(100 * doneBytes / totalBytes);
  return `${percent} % of ${sizeOf(totalBytes)}, at ${path}`;
}

/** The size of what the keys and values of tables are, as far as it is known. */
function dataOf(tables: readonly TableDescription[]): string {
  const known = tables.flatMap(({ dataBytes }) => dataBytes ?? []);
  return known.length < tables.length ? "?" : sizeOf(sum(known));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function cell(value: number | string, width: number): string {
  return String(value).padStart(width);
}

function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

function sizeOf(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

if (import.meta.main) {
  const flags = Deno.args.filter((arg) => arg.startsWith("--"));
  const [dir, ...others] = Deno.args.filter((arg) => !arg.startsWith("--"));
  const unknown = flags.some((flag) => flag !== "--json" && flag !== "--check");
  if (dir === undefined || others.length > 0 || unknown) {
    console.error(USAGE);
    Deno.exit(2);
  }
  const terminal = Deno.stderr.isTerminal();
  const show = (text: string) =>
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  try {
    const code = await inspect(dir, {
      json: flags.includes("--json"),
      check: flags.includes("--check"),
      print: (line) => console.log(line),
      // One line that is written over; where nobody looks, none.
      progress: (line) => terminal && show(`\r\x1b[K${line}`),
    });
    if (terminal && flags.includes("--check")) show("\r\x1b[K");
    Deno.exit(code);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
