/**
 * Defects of the write path of `engine/`, where more than one group is on its way
 * to the device, to be put in on purpose; see `mutants_table.ts`.
 */

import type { Mutant } from "./mutant.ts";

/** The defects. */
export const ENGINE_COMMIT_MUTANTS: readonly Mutant[] = [
  {
    name: "group-acked-before-the-one-before-it",
    file: "engine/commit.ts",
    find: "      if (await before === false) this.#store.assertHealthy();\n",
    replace: "",
    caughtBy: "engine/sync_test.ts :: seen behind those before it that must",
  },
  {
    name: "group-acked-behind-one-that-failed",
    file: "engine/commit.ts",
    find: "      if (await before === false) this.#store.assertHealthy();\n",
    replace: "      await before;\n",
    caughtBy: "engine/sync_test.ts :: what need not be synced behind it fails",
  },
  {
    name: "synced-before-those-before-it",
    file: "engine/log/writer.ts",
    find: "before === undefined ? own : before.then(() => own);",
    replace: "before === undefined ? own : own;",
    caughtBy: "engine/log/sync_test.ts :: counts once",
  },
  {
    name: "sync-counts-beside-one-that-failed",
    file: "engine/log/writer.ts",
    find: "    this.#assertWhole();\n    this.#syncedTo = length;\n",
    replace: "    this.#syncedTo = length;\n",
    caughtBy: "engine/log/sync_test.ts :: if one fails",
  },
  {
    name: "starts-early-in-the-turn-of-another-group",
    file: "engine/commit.ts",
    find: "    this.#isRunning = true;\n",
    replace: "",
    caughtBy: "engine/sync_test.ts :: who is called while a group waits",
  },
  {
    name: "any-number-of-syncs-at-a-time",
    file: "engine/commit.ts",
    find: "    if (unsettled.length === SYNCS_MAX) return unsettled[0];\n",
    replace: "",
    caughtBy: "engine/sync_test.ts :: a third one waits",
  },
  {
    name: "one-sync-at-a-time",
    file: "engine/commit.ts",
    find: "    if (unsettled.length === SYNCS_MAX) return unsettled[0];\n",
    replace: "    if (unsettled.length === 1) return unsettled[0];\n",
    caughtBy: "engine/sync_test.ts :: is synced while another one is",
  },
  {
    name: "memtable-sealed-while-a-sync-is-on-its-way",
    file: "engine/commit.ts",
    find: "(isAlone || this.#isFull() || !this.#wals.isOne)",
    replace: "(isAlone || !this.#wals.isOne)",
    caughtBy: "engine/sync_test.ts :: sealed when no sync is on its way",
  },
  {
    name: "job-run-while-a-sync-is-on-its-way",
    file: "engine/commit.ts",
    find: "(isAlone || this.#isFull() || !this.#wals.isOne)",
    replace: "(this.#isFull() || !this.#wals.isOne)",
    caughtBy: "engine/sync_test.ts :: sealed when no sync is on its way",
  },
  {
    name: "second-sync-while-logs-are-named",
    file: "engine/commit.ts",
    find: "(isAlone || this.#isFull() || !this.#wals.isOne)",
    replace: "(isAlone || this.#isFull())",
    caughtBy: "engine/sync_test.ts :: a log that is not named yet",
  },
  {
    name: "groups-behind-each-other-share-numbers",
    file: "engine/commit.ts",
    find: "store.visibleSeq + this.#hiddenOps + 1;",
    replace: "store.visibleSeq + 1;",
    caughtBy: "engine/sync_test.ts :: acked and seen behind it",
  },
  {
    name: "closes-while-syncs-are-on-their-way",
    file: "engine/commit.ts",
    find:
      "    while (this.#running !== undefined || this.#unsettled.length > 0) {\n",
    replace: "    while (this.#running !== undefined) {\n",
    caughtBy: "engine/sync_test.ts :: waits for what is on its way",
  },
  {
    name: "many-writers-wait-for-the-end-of-their-turn",
    file: "engine/commit.ts",
    find:
      "    if (group.batches.length === EARLY_BATCHES) this.#startEarly(group);\n",
    replace: "",
    caughtBy: "engine/sync_test.ts :: before the turn is over",
  },
  {
    name: "starts-early-with-what-nobody-syncs",
    file: "engine/commit.ts",
    find:
      "      group.sync && this.#queue[0] === group && !this.#isRunning &&\n",
    replace: "      this.#queue[0] === group && !this.#isRunning &&\n",
    caughtBy: "engine/sync_test.ts :: before the turn is over",
  },
  {
    name: "syncs-of-a-file-wait-for-each-other",
    file: "runtime/deno/files.ts",
    find: "      this.#syncing++;\n",
    replace: "",
    caughtBy: "runtime/deno/files_test.ts :: two syncs",
  },
  {
    name: "log-left-open-that-was-forgotten-while-its-sync-failed",
    file: "engine/wal/wal_chain.ts",
    find: "        if (this.#earlier[0] !== wal) wal.close();\n",
    replace: "",
    caughtBy:
      "engine/wal/wal_chain_test.ts :: is closed, also if its sync fails",
  },
  {
    name: "log-written-behind-a-sync-that-failed",
    file: "engine/log/writer.ts",
    find: "    this.#assertWhole();\n    const crc = ",
    replace: "    const crc = ",
    caughtBy: "engine/log/sync_test.ts :: nothing more is written",
  },
  {
    name: "engine-counts-a-sync-that-failed",
    file: "engine/metrics.ts",
    find: "    await run();\n",
    replace:
      "    await run().catch((error) => {\n      this.#syncs[0]!++;\n      throw error;\n    });\n",
    caughtBy: "engine/sync_test.ts :: if a sync fails, all fail",
  },
];
