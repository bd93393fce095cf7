import { assertEquals, assertStringIncludes } from "@std/assert";
import { chartOf } from "./chart.ts";
import type { Result } from "./child.ts";
import { Medians, targetsTable } from "./report.ts";
import type { Worker } from "./row.ts";

function result(
  row: string,
  subject: Worker,
  round: number,
  opsPerSec: number,
): Result {
  return {
    row,
    subject,
    round,
    n: 1,
    opsPerSec,
    p50Us: null,
    p99Us: null,
    p999Us: null,
    maxStallMs: row === "stall.overwrite" ? 15 : null,
    rssMb: 1,
    diskMb: null,
    writeAmp: null,
  };
}

const medians = new Medians([
  result("read.random.sync", "aspen", 0, 100),
  result("read.random.sync", "aspen", 1, 400),
  result("read.random.sync", "aspen", 2, 130),
  result("read.random.sync", "lmdb", 0, 100),
  result("read.random.sync", "map", 0, 1000),
  result("stall.overwrite", "aspen", 0, 1),
]);

Deno.test("a median is that of the rounds in which a field was measured", () => {
  assertEquals(medians.of("read.random.sync", "aspen", "opsPerSec"), 130);
  assertEquals(medians.of("read.random.sync", "aspen", "p50Us"), undefined);
  assertEquals(medians.of("read.random.sync", "deno-kv", "rssMb"), undefined);
});

Deno.test("a target is judged by medians, and only if both sides took part", () => {
  const lines = targetsTable(medians).split("\n");
  assertEquals(lines.length, 4);
  assertStringIncludes(lines[1]!, "against lmdb");
  assertStringIncludes(lines[1]!, "1.30 ×");
  assertStringIncludes(lines[1]!, "floor met");
  assertStringIncludes(lines[2]!, "against map");
  assertStringIncludes(lines[2]!, "NOT MET");
  assertStringIncludes(lines[3]!, "maxStallMs");
  assertStringIncludes(lines[3]!, "floor met");
});

Deno.test("the chart has a bar for each store of a row", () => {
  const svg = chartOf(medians, ["aspen", "lmdb", "map"], "three < four");
  assertEquals(svg.match(/<rect x=/g)?.length, 4);
  assertStringIncludes(svg, "three &lt; four");
});
