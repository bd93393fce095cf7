/**
 * Defects of the compactions and merges of `engine/`, to be put in on purpose; see
 * `mutants_table.ts`.
 */

import type { Mutant } from "./mutant.ts";

/** The defects. */
export const ENGINE_MERGE_MUTANTS: readonly Mutant[] = [
  {
    name: "engine-names-a-table-whose-name-is-not-durable",
    file: "engine/compaction/job.ts",
    find: "  await set.files.syncDirectory(job.dir);\n",
    replace: "",
    caughtBy: "engine/crash_test.ts :: unsynced data lost",
  },
  {
    name: "engine-numbers-a-table-that-is-made-again-as-the-newest",
    file: "engine/compaction/runner.ts",
    find: "firstNumber: job.firstNumber + job.numbers }",
    replace: "firstNumber: this.#store.takeNumber(job.numbers) }",
    caughtBy:
      "engine/compaction/runner_test.ts :: stays older than that of a later",
  },
  {
    name: "engine-lets-compactions-keep-flushes-waiting",
    file: "engine/compaction/job.ts",
    find: "      await this.#made.flush;\n",
    replace: "",
    caughtBy: "engine/compaction/runner_test.ts :: flushes go first",
  },
  {
    name: "engine-does-not-wait-for-the-sync-of-a-table",
    file: "engine/compaction/merge.ts",
    find: "return await Promise.all(tables);",
    replace:
      "return await Promise.all(tables.map((table) => Promise.race([table, Promise.resolve({} as TableInfo)])));",
    caughtBy: "engine/crash_test.ts",
  },
  {
    name: "engine-filters-what-a-snapshot-sees",
    file: "engine/compaction/merge.ts",
    find: "(filter !== undefined && stripe === snapshots.length &&",
    replace: "(filter !== undefined &&",
    caughtBy: "engine/compaction/runner_test.ts :: a compaction filter",
  },
  {
    name: "engine-hangs-on-a-dead-thread",
    file: "engine/compaction/runner.ts",
    find: "        this.#giveUp(thread, error);\n",
    replace: "        await new Promise(() => {});\n",
    caughtBy:
      "engine/compaction/runner_test.ts :: of a thread that dies is done again",
  },
  {
    name: "engine-merges-by-numbers-alone",
    file: "engine/iterator/merging_cursor.ts",
    find: "if (this.#compare(moved, order[at + 1]!, skip) < 0) break;",
    replace: "if (skip < 0) break;",
    caughtBy: "engine/iterator/merging_cursor_test.ts",
  },
  {
    name: "engine-merges-on-with-the-number-of-a-run-that-ended",
    file: "engine/iterator/merging_cursor.ts",
    find: "this.#numbers.copyWithin(at, at + 1);",
    replace: "",
    caughtBy: "engine/iterator/merging_cursor_test.ts",
  },
  {
    name: "engine-merges-by-numbers-that-are-rounded",
    file: "engine/iterator/merging_cursor.ts",
    find: "new Float64Array(cursors.length)",
    replace: "new Float32Array(cursors.length) as unknown as Float64Array",
    caughtBy: "engine/iterator/merging_cursor_test.ts :: tables and memtables",
  },
  {
    name: "engine-merges-by-the-number-of-a-key-without-the-prefix",
    file: "engine/iterator/merging_cursor.ts",
    find: "else if (this.#hasPrefix(at)) {",
    replace: "else {",
    caughtBy: "engine/iterator/merging_cursor_test.ts :: tables and memtables",
  },
  {
    name: "engine-copies-values-from-the-block-that-it-read-last",
    file: "engine/iterator/level_cursor.ts",
    find: "return this.#block!.view;",
    replace: "return (this.#own ?? this.#block!).view;",
    caughtBy: "engine/iterator/merging_cursor_test.ts :: a view of a value",
  },
  {
    name: "engine-copies-all-of-a-value-but-its-end",
    file: "engine/compare.ts",
    find: "target.setBigUint64(targetAt + last, tail, true);",
    replace: "target.setBigUint64(targetAt, tail, true);",
    caughtBy: "engine/compare_test.ts",
  },
  {
    name: "engine-copies-values-to-memory-that-was-outgrown",
    file: "engine/table/block_builder.ts",
    find: "      this.#valuesView = new DataView(this.#values.buffer);\n",
    replace: "",
    caughtBy: "engine/table/table_writer_test.ts",
  },
  {
    name: "engine-merges-by-the-number-of-another-prefix",
    file: "engine/iterator/merging_cursor.ts",
    find: "if (this.#ties > TIES_MAX) this.#choosePrefix();",
    replace: "if (this.#ties > TIES_MAX) this.#prefixLength = this.#ties = 0;",
    caughtBy: "engine/iterator/merging_cursor_test.ts",
  },
  {
    name: "engine-flushes-no-deletions",
    file: "engine/compaction/merge.ts",
    find: "stripe === 0 && this.#depth !== undefined &&\n      !this.#depth",
    replace: "stripe === 0 &&\n      !this.#depth?",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-does-small-jobs-beside-its-thread",
    file: "engine/compaction/runner.ts",
    find: "      !thread.isUp && bytesOf(job)",
    replace: "      bytesOf(job)",
    caughtBy: "engine/compaction/runner_test.ts :: small jobs go to a thread",
  },
  {
    name: "engine-starts-a-thread-again-for-small-jobs",
    file: "engine/compaction/runner.ts",
    find: "    ) return undefined;\n    return thread;",
    replace: "    ) return thread;\n    return thread;",
    caughtBy: "engine/compaction/runner_test.ts :: small jobs go to a thread",
  },
  {
    name: "engine-has-a-thread-tell-by-slices-however-large",
    file: "engine/compaction/worker.ts",
    find: "Math.ceil(NOTE_BYTES / job.sliceBytes)",
    replace: "16",
    caughtBy: "engine/compaction/runner_test.ts :: each 4 MiB of its work",
  },
  {
    name: "engine-has-flushes-tell-of-slices-for-which-nobody-waits",
    file: "engine/compaction/runner.ts",
    find: "const NOT_AWAITED = new Int32Array(new SharedArrayBuffer(4));\n",
    replace:
      "const NOT_AWAITED = new Int32Array(new SharedArrayBuffer(4)).fill(1);\n",
    caughtBy: "engine/compaction/runner_test.ts :: are told of each",
  },
  {
    name: "engine-leaves-out-a-table-that-starts-where-another-ends",
    file: "engine/compaction/picker.ts",
    find: "compareBytes(level[end]!.info.minKey, max) <= 0",
    replace: "compareBytes(level[end]!.info.minKey, max) < 0",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-compacts-away-what-the-newest-snapshot-sees",
    file: "engine/compaction/merge.ts",
    find: "snapshots[stripe - 1]! >= seq",
    replace: "snapshots[stripe - 1]! > seq",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "merges-keep-what-is-abandoned",
    file: "engine/compaction/merge.ts",
    find: "stripe === newerStripe || this.#isAbandoned(entry)",
    replace: "stripe === newerStripe || this.#isAbandoned(entry) && false",
    caughtBy: "engine/abandoned_test.ts :: never written",
  },
  {
    name: "merges-drop-the-end-of-what-is-abandoned",
    file: "engine/compaction/merge.ts",
    find: "      if (orderOf(end, entry) > 0) return",
    replace: "      if (orderOf(end, entry) >= 0) return",
    caughtBy: "engine/abandoned_test.ts",
  },
  {
    name: "a-new-table-spans-one-that-stays",
    file: "engine/compaction/merge.ts",
    find: "    return this.#besideAt > from;\n",
    replace: "    return this.#besideAt < from;\n",
    caughtBy: "engine/compaction/beside_test.ts :: no other one spans it",
  },
  {
    name: "merges-what-nothing-comes-down-to",
    file: "engine/compaction/picker.ts",
    find: "table.info.size >= tableBytes / 4 &&",
    replace: "table.info.size >= tableBytes * 4 &&",
    caughtBy: "engine/compaction/beside_test.ts :: stays as it is",
  },
  {
    name: "leaves-a-table-whose-keys-come-down",
    file: "engine/compaction/picker.ts",
    find: "!compaction.upper.some((upper) => hasEntries(upper, table.info));",
    replace:
      "!compaction.upper.slice(1).some((upper) => hasEntries(upper, table.info));",
    caughtBy: "engine/compaction/beside_test.ts :: stays only if none",
  },
];
