/**
 * Defects to be put in on purpose. Each names a test that must fail with it: a
 * promise without such a test is only a hope. `deno task mutants` tries them.
 *
 * To add one: copy the text to break into `find` as it stands in the file (it
 * must occur exactly once, so take as many lines as that needs), write the
 * broken text, and name the test that is meant to notice. The broken code must
 * still type-check.
 *
 * @module
 */

/** One defect and the test that must notice it. */
export interface Mutant {
  /** A short name in kebab case that says what goes wrong. */
  readonly name: string;
  /** The file to break, from the root of the repository. */
  readonly file: string;
  /** The text to replace; occurs exactly once in the file. */
  readonly find: string;
  /** The text that stands there instead. */
  readonly replace: string;
  /**
   * The test that must fail: a test file, or `file :: filter` with a part of the
   * test's name, as `deno test --filter` takes it; or {@linkcode SEEDS}.
   */
  readonly caughtBy: string;
}

/** Caught by the random lives of the simulator, within 500 seeds. */
export const SEEDS = "seeds";

/** How often a text occurs in another, overlaps not counted. */
export function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** The test file and the filter of {@linkcode Mutant.caughtBy}. */
export function parseCaughtBy(
  caughtBy: string,
): { file: string; filter: string | undefined } {
  const at = caughtBy.indexOf(" :: ");
  return at < 0
    ? { file: caughtBy, filter: undefined }
    : { file: caughtBy.slice(0, at), filter: caughtBy.slice(at + 4) };
}

/** All defects. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "bytes-compared-without-length",
    file: "runtime/bytes.ts",
    find: "  return a.length - b.length;",
    replace: "  return 0;",
    caughtBy: "tests/bytes_test.ts :: a prefix comes before",
  },
  {
    name: "varint-beyond-53-bits-accepted",
    file: "runtime/bytes.ts",
    find: "if (value > Number.MAX_SAFE_INTEGER) break;",
    replace: "if (value > Number.MAX_VALUE) break;",
    caughtBy: "tests/bytes_test.ts :: more than 53 bits",
  },
  {
    name: "engine-acks-before-the-sync",
    file: "engine/commit.ts",
    find: "await this.#wals.sync();",
    replace: "await Promise.resolve();",
    caughtBy: "engine/crash_test.ts :: unsynced data lost",
  },
  {
    name: "engine-shows-a-batch-before-its-sync",
    file: "engine/commit.ts",
    find: "    this.#append(group);\n    if (group.sync) {",
    replace:
      "    this.#append(group);\n    this.#show(group);\n    if (group.sync) {",
    caughtBy: "engine/lsm_test.ts :: a batch is not seen before",
  },
  {
    name: "engine-writes-an-edit-behind-a-failed-one",
    file: "engine/store.ts",
    find: `      this.poison(error);
      throw error;`,
    replace: "      throw error;",
    caughtBy: "engine/failure_test.ts :: nothing is appended behind an edit",
  },
  {
    name: "engine-counts-an-edit-that-is-not-synced",
    file: "engine/manifest/manifest.ts",
    find: `    await this.#log.sync();
    this.state.apply(edit);`,
    replace: "    this.state.apply(edit);",
    caughtBy: "engine/crash_test.ts :: unsynced data lost",
  },
  {
    name: "engine-makes-a-wal-before-current-is-durable",
    file: "engine/manifest/manifest.ts",
    find: "if (state.lastWal === 0) await",
    replace: "if (state.lastWal < 0) await",
    caughtBy: "engine/failure_test.ts :: a store whose making was killed",
  },
  {
    name: "engine-passes-over-a-missing-wal",
    file: "engine/recovery.ts",
    find: "    const replayed = replayWal(",
    replace:
      `    if (!store.files.exists(joinPath(store.dir, walName(id)))) continue;
    const replayed = replayWal(`,
    caughtBy: "engine/corruption_test.ts :: any missing file of a killed",
  },
  {
    name: "engine-does-not-ask-how-long-a-wal-was",
    file: "engine/recovery.ts",
    find: "if (last !== undefined) checkChain(",
    replace: "if (last !== undefined && id < 0) checkChain(",
    caughtBy: "engine/corruption_test.ts :: a log that has lost its end",
  },
  {
    name: "engine-does-not-sync-a-torn-wal-it-has-cut",
    file: "engine/recovery.ts",
    find: `file.truncate(end.length);
  await file.syncData();`,
    replace: "file.truncate(end.length);",
    caughtBy: "engine/crash_test.ts :: what a killed process wrote stays",
  },
  {
    name: "engine-seals-a-memtable-that-is-empty",
    file: "engine/recovery.ts",
    find: "    active.count > 0 && active.bytes >=",
    replace: "    active.bytes >=",
    caughtBy: "engine/model_test.ts :: what is kept of lists",
  },
  {
    name: "engine-goes-on-with-a-wal-that-does-not-follow",
    file: "engine/wal/wal.ts",
    find: "    : isSame(previous, written);",
    replace: "    : previous.id === written.id;",
    caughtBy: "engine/crash_test.ts :: unsynced data torn",
  },
  {
    name: "engine-takes-a-wal-that-was-named-for-cut-off",
    file: "engine/wal/wal.ts",
    find: "if (frame.syncedTo > 0) {",
    replace: "if (frame.syncedTo < 0) {",
    caughtBy: "engine/corruption_test.ts :: any file of a closed store cut",
  },
  {
    name: "engine-syncs-the-newest-wal-only",
    file: "engine/wal/wal_chain.ts",
    find: "      await wal.sync();\n",
    replace: "      await Promise.resolve();\n",
    caughtBy: "engine/crash_test.ts :: unsynced data lost",
  },
  {
    name: "engine-names-a-wal-whose-name-is-not-durable",
    file: "engine/wal/wal_chain.ts",
    find: "    await this.#store.files.syncDirectory(this.#store.dir);\n",
    replace: "",
    caughtBy: "engine/wal/wal_chain_test.ts :: a sync makes all logs durable",
  },
  {
    name: "engine-leaves-the-wal-open-when-an-open-fails",
    file: "engine/recovery.ts",
    find: "    wal?.close();\n",
    replace: "",
    caughtBy: "engine/failure_test.ts :: an open that fails at any step",
  },
  {
    name: "engine-drops-deletions-one-level-early",
    file: "engine/background.ts",
    find: "store.current.levels.slice(level + 2)",
    replace: "store.current.levels.slice(level + 3)",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-names-a-table-whose-name-is-not-durable",
    file: "engine/compaction/job.ts",
    find: "  await set.files.syncDirectory(job.dir);\n",
    replace: "",
    caughtBy: "engine/crash_test.ts :: unsynced data lost",
  },
  {
    name: "engine-lets-slow-writers-keep-others-waiting",
    file: "engine/commit.ts",
    find: "this.#store.meter.now() - this.#workBegan >= COMMIT_SLICE_MS);",
    replace:
      "this.#store.meter.now() - this.#workBegan < 0 * COMMIT_SLICE_MS);",
    caughtBy: "engine/commit_test.ts :: by time once a slice takes long",
  },
  {
    name: "engine-fails-a-sync-for-want-of-room",
    file: "engine/log/writer.ts",
    find:
      "      // It goes without; if the device fails, the next write or sync says so.\n",
    replace: '      throw new Error("no room");\n',
    caughtBy: "engine/log/room_test.ts :: cannot be made is done without",
  },
  {
    name: "engine-tells-twice-of-one-thread",
    file: "engine/background.ts",
    find: "if (!told || workers === store.settings.workers) {",
    replace: "if (!told || workers !== undefined) {",
    caughtBy:
      "engine/compaction/runner_test.ts :: of a thread that dies is done again",
  },
  {
    name: "engine-names-a-table-before-that-of-an-older-memtable",
    file: "engine/background.ts",
    find: "      await before;\n      await this.#installTables",
    replace: "      await this.#installTables",
    caughtBy:
      "engine/compaction/runner_test.ts :: known in the order of the memtables",
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
    name: "engine-takes-a-frame-written-meanwhile-for-damage",
    file: "engine/log/reader.ts",
    find: "      const frame = this.#lookAgain();\n",
    replace: "      const frame = undefined as Frame | undefined;\n",
    caughtBy: "engine/log/room_test.ts :: is read again before",
  },
  {
    name: "engine-makes-room-behind-a-seal",
    file: "engine/log/writer.ts",
    find: "    this.complete();\n    await this.sync();",
    replace: "    await this.sync();",
    caughtBy: "engine/log/room_test.ts :: a sealed log has no room",
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
    name: "engine-takes-room-for-a-torn-write",
    file: "engine/log/reader.ts",
    find: "return Math.max(0, this.#dataEnd - this.#end);",
    replace: "return this.#size - this.#end;",
    caughtBy: "engine/corruption_test.ts :: a torn tail of a killed store",
  },
  {
    name: "engine-looks-for-damage-only-where-bytes-are-not-zero",
    file: "engine/log/reader.ts",
    find: "at < this.#dataEnd && at + FRAME_HEADER_BYTES <= this.#size;",
    replace: "at + FRAME_HEADER_BYTES <= this.#dataEnd;",
    caughtBy: "engine/upkeep/check_test.ts :: any flipped byte of a closed",
  },
  {
    name: "engine-makes-no-room",
    file: "engine/log/writer.ts",
    find: "this.#file.reserve(this.#roomBytes);",
    replace: "",
    caughtBy: "engine/corruption_test.ts :: a torn tail of a killed store",
  },
  {
    name: "engine-lets-a-large-value-stand-before-another-row",
    file: "engine/table/table_writer.ts",
    find: " || valueLength >= LENT_BYTES) {",
    replace: ") {",
    caughtBy: "engine/table/table_writer_test.ts",
  },
  {
    name: "engine-loses-what-waits-behind-a-large-block",
    file: "engine/table/table_writer.ts",
    find:
      "if (this.#waitingLength + bytes.length > WRITE_BYTES) this.#writeWaiting();",
    replace:
      "if (this.#waitingLength + bytes.length > 2 * WRITE_BYTES) this.#writeWaiting();",
    caughtBy: "engine/table/table_writer_test.ts",
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
    name: "engine-keeps-places-in-tables-that-are-gone",
    file: "engine/cache/place_cache.ts",
    find: "if (this.#words.length > 0) this.#words.fill(0);",
    replace: "",
    caughtBy: "engine/read_test.ts :: a key that was read before",
  },
  {
    name: "engine-remembers-what-a-snapshot-found",
    file: "engine/version.ts",
    find: "if (seq >= search.maxSeq) {",
    replace: "if (seq >= 0) {",
    caughtBy: "engine/read_test.ts :: what a snapshot reads",
  },
  {
    name: "engine-gives-a-snapshot-what-is-newer",
    file: "engine/table/table.ts",
    find: "this.info.maxSeq > seq && block.seqOf(row) > seq",
    replace: "this.info.maxSeq > seq && block.seqOf(row) < 0",
    caughtBy: "engine/read_test.ts :: what a snapshot reads",
  },
  {
    name: "engine-marks-a-block-that-is-read-for-the-first-time",
    file: "engine/cache/block_cache.ts",
    find: "entry.used = false;\n    entry.renew();",
    replace: "entry.used = true;\n    entry.renew();",
    caughtBy: "engine/read_test.ts :: what was read again",
  },
  {
    name: "engine-drops-an-index-as-soon-as-a-block",
    file: "engine/cache/block_cache.ts",
    find: "if (entry.chances > 0) {",
    replace: "if (entry.chances < 0) {",
    caughtBy: "engine/read_test.ts :: what leads to many blocks",
  },
  {
    name: "engine-takes-a-place-without-its-key",
    file: "engine/table/table.ts",
    find: "if (!block.holds(row, key)) return undefined;",
    replace: "if (row >= block.rows) return undefined;",
    caughtBy: "engine/read_test.ts :: two keys whose places",
  },
  {
    name: "engine-merges-by-numbers-alone",
    file: "engine/iterator/merging_cursor.ts",
    find:
      "number === other && this.#compareTied(moved, order[at + 1]!, number) < 0",
    replace: "number === other && this.#ties++ < 0",
    caughtBy: "engine/iterator/merging_cursor_test.ts",
  },
  {
    name: "engine-merges-by-the-number-of-another-prefix",
    file: "engine/iterator/merging_cursor.ts",
    find: "if (this.#ties > TIES_MAX) this.#choosePrefix();",
    replace: "if (this.#ties > TIES_MAX) this.#prefixLength = this.#ties = 0;",
    caughtBy: "engine/iterator/merging_cursor_test.ts",
  },
  {
    name: "engine-sorts-a-key-like-the-last-one-behind-it",
    file: "engine/memtable/memtable.ts",
    find: "          seq,\n        ) > 0",
    replace: "          0,\n        ) > 0",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-forgets-to-tell-that-a-memtable-has-a-key",
    file: "engine/memtable/memtable.ts",
    find: "this.#bits.add(hashKey(bytes, offset, keyLength));",
    replace: "this.#bits.add(hashKey(bytes, offset, 0));",
    caughtBy: "engine/read_test.ts :: a memtable tells apart",
  },
  {
    name: "engine-keeps-abbreviations-of-a-longer-prefix",
    file: "engine/memtable/memtable.ts",
    find: "      nodes[node + ABBREVIATION] = abbreviateRange(",
    replace: "      nodes[node + CHUNK]! < 0 && abbreviateRange(",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-compacts-away-what-a-snapshot-sees",
    file: "engine/background.ts",
    find: `      snapshots: store.snapshotSeqs(),
      deeper: store`,
    replace: `      snapshots: [],
      deeper: store`,
    caughtBy: "engine/lsm_test.ts :: a snapshot stays as it was",
  },
  {
    name: "engine-leaves-half-a-checkpoint",
    file: "engine/upkeep/checkpoint.ts",
    find:
      "    await removeStoreFiles(files, dir, files.list(dir)).catch(() => {});\n",
    replace: "    void removeStoreFiles;\n",
    caughtBy: "engine/upkeep/checkpoint_test.ts :: fails leaves nothing",
  },
  {
    name: "engine-checkpoint-without-what-is-in-memory",
    file: "engine/lsm.ts",
    find: `    await this.flush();
    await makeCheckpoint(`,
    replace: `    this.#writer("checkpoint");
    await makeCheckpoint(`,
    caughtBy: "engine/upkeep/checkpoint_test.ts :: all that was acked before",
  },
  {
    name: "engine-ingests-below-newer-entries",
    file: "engine/upkeep/ingest.ts",
    find: "Math.max(0, meets - 1)",
    replace: "Math.min(LEVELS - 1, meets + 1)",
    caughtBy: "engine/upkeep/ingest_test.ts :: as deep as nothing above",
  },
  {
    name: "engine-check-believes-the-table",
    file: "engine/upkeep/check_table.ts",
    find: "if (info !== undefined && !sum.equals(info)) {",
    replace: "if (info === undefined && sum.equals(properties!)) {",
    caughtBy: "engine/upkeep/check_test.ts :: sound in themselves",
  },
  {
    name: "engine-repair-drops-the-originals",
    file: "engine/upkeep/repair.ts",
    find: "      files.link(joinPath(this.#dir, name), joinPath(aside, name));",
    replace: "      if (name === CURRENT_NAME) files.exists(name);",
    caughtBy: "engine/upkeep/repair_test.ts :: the repair of a sound",
  },
  {
    name: "engine-repair-keeps-quiet-about-what-is-stale",
    file: "engine/upkeep/repair.ts",
    find: "      mayBeStale: this.#mayBeStale || this.#found.count > 0,",
    replace: "      mayBeStale: this.#found.count < 0,",
    caughtBy: "engine/upkeep/repair_test.ts :: is missing, repair saves",
  },
  {
    name: "engine-reads-only-but-takes-what-a-writer-removed-for-damage",
    file: "engine/read_only.ts",
    find: "    if (stampOf(files, dir) === before) {",
    replace: "    if (stampOf(files, dir) !== undefined) {",
    caughtBy: "engine/read_only_test.ts :: a writer that moves on",
  },
  {
    name: "engine-destroys-current-last",
    file: "engine/upkeep/destroy.ts",
    find: "  if (names.includes(CURRENT_NAME)) {",
    replace: "  if (names.length === 0) {",
    caughtBy: "engine/upkeep/destroy_test.ts :: a store that is destroyed",
  },
  {
    name: "engine-removes-a-table-under-an-iterator",
    file: "engine/table/table.ts",
    find: `    this.#dropped = true;
    if (this.#holders === 0) this.#discard();`,
    replace: `    this.#dropped = true;
    this.#discard();`,
    caughtBy: "engine/lsm_test.ts :: an iterator keeps its files",
  },
  {
    name: "engine-believes-a-damaged-block",
    file: "engine/table/table.ts",
    find: "if (!isIntact(stored, this.info.number, offset)) {",
    replace: "if (offset < 0 && !isIntact(stored, 0, offset)) {",
    caughtBy: "engine/corruption_test.ts :: of a closed store gives the right",
  },
  {
    name: "engine-filter-denies-a-key-it-holds",
    file: "engine/table/filter.ts",
    find: "if ((this.#bytes[line + (bit >>> 3)]!",
    replace: "if ((this.#bytes[line + (bit >>> 4)]!",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-misses-the-first-key-going-back",
    file: "engine/iterator/range_iterator.ts",
    find: `          start.length,
        ) < 0;`,
    replace: `          start.length,
        ) <= 0;`,
    caughtBy: "engine/conformance_test.ts",
  },
  {
    name: "engine-flush-never-ends-while-writers-write",
    file: "engine/store.ts",
    find: "newest !== undefined && this.#current.sealed.includes(newest) &&",
    replace: "newest !== undefined && this.#current.sealed.length > 0 &&",
    caughtBy: "engine/failure_test.ts :: a flush ends though writers go on",
  },
  {
    name: "engine-reuses-the-memory-an-iterator-reads",
    file: "engine/table/table.ts",
    find: `    const block = this.#blockAt(row);
    block.lent = true;`,
    replace: "    const block = this.#blockAt(row);",
    caughtBy: "engine/read_test.ts :: what iterators stand on stays",
  },
  {
    name: "engine-reuses-the-memory-of-a-view",
    file: "engine/cache/block_cache.ts",
    find: "if (!entry.lent && entry.pins === 0) this.#addSpare(entry);",
    replace: "if (!entry.lent) this.#addSpare(entry);",
    caughtBy: "engine/view_test.ts :: a view stays right",
  },
  {
    name: "engine-reuses-a-memtable-that-is-not-flushed",
    file: "engine/version.ts",
    find: "    for (const memtable of sealed) memtable.acquire();\n",
    replace: "",
    caughtBy: "engine/memtable/spare_memory_test.ts :: what readers stand on",
  },
  {
    name: "engine-reuses-a-memtable-that-a-view-shows",
    file: "engine/version.ts",
    find: "return new ValueView(found, memtable, leaks);",
    replace:
      "return new ValueView(found, { acquire() {}, release() {} }, leaks);",
    caughtBy: "engine/memtable/spare_memory_test.ts :: what readers stand on",
  },
  {
    name: "engine-begins-a-memtable-with-the-list-of-another",
    file: "engine/memtable/spare_memory.ts",
    find: "    spare.fill(0, 0, cleared);\n",
    replace: "    void cleared;\n",
    caughtBy: "engine/memtable/spare_memory_test.ts :: a memtable in used",
  },
  {
    name: "engine-filter-keeps-the-keys-of-another-table",
    file: "engine/table/filter.ts",
    find: "    this.#count = 0;\n    return filter;",
    replace: "    return filter;",
    caughtBy: "engine/table/table_writer_test.ts :: tables made side by side",
  },
  {
    name: "engine-gives-memory-back-that-another-table-is-made-in",
    file: "engine/table/table_writer.ts",
    find: "    this.#writeWaiting();\n    giveBack(this.#memory);",
    replace:
      "    this.#writeWaiting();\n    giveBack(this.#memory);\n    giveBack(this.#memory);",
    caughtBy: "engine/table/table_writer_test.ts :: tables made side by side",
  },
  {
    name: "engine-view-disposed-twice-takes-the-pin-of-another",
    file: "engine/value_view.ts",
    find: "    this.#holder = undefined;",
    replace: "    void this.#holder;",
    caughtBy: "engine/view_test.ts :: a view disposed twice",
  },
  {
    name: "engine-misses-what-a-key-has-in-the-next-block",
    file: "engine/table/block.ts",
    find: "return found === BEYOND && low < this.rows ? ABSENT : found;",
    replace: "return found === BEYOND ? ABSENT : found;",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-misses-the-last-key-of-a-table",
    file: "engine/iterator/level_map.ts",
    find:
      "(max === abbreviation && compare(this.tables[at]!.info.maxKey, key) < 0)",
    replace:
      "(max === abbreviation && compare(this.tables[at]!.info.maxKey, key) <= 0)",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-iterates-on-behind-damage",
    file: "engine/iterator/range_iterator.ts",
    find: `      this.#failure = error;
      this.close();
`,
    replace: "",
    caughtBy: "engine/corruption_test.ts :: an iterator that met damage",
  },
  {
    name: "engine-names-a-table-that-is-not-synced",
    file: "engine/table/table_writer.ts",
    find: "    await this.#file.syncData();\n",
    replace: "    await Promise.resolve();\n",
    caughtBy: "engine/crash_test.ts :: unsynced data lost",
  },
  {
    name: "engine-believes-a-damaged-frame",
    file: "engine/log/reader.ts",
    find: "if (crc !== frameChecksum(bytes, offset)) return undefined;",
    replace: "if (crc < 0) return undefined;",
    caughtBy: "engine/fuzz_test.ts :: harmed frames are never taken",
  },
  {
    name: "engine-believes-how-long-a-frame-says-it-is",
    file: "engine/log/reader.ts",
    find: "return length <= this.#size - offset ? length : 0;",
    replace: "return length;",
    caughtBy: "engine/fuzz_test.ts :: harmed frames are never taken",
  },
  {
    name: "engine-believes-a-damaged-footer",
    file: "engine/table/format.ts",
    find: `  ) fail("the footer is damaged");`,
    replace: "  ) void fail;",
    caughtBy: "engine/corruption_test.ts :: of a closed store gives the right",
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
    name: "engine-forgets-both-snapshots-of-a-moment",
    file: "engine/store.ts",
    find: "if (count === 0) this.#snapshots.delete(seq);",
    replace: "if (count >= 0) this.#snapshots.delete(seq);",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-serves-a-block-whose-memory-has-another",
    file: "engine/cache/block_cache.ts",
    find: "      entry.owner!.forget(entry.row);\n",
    replace: "",
    caughtBy: "engine/read_test.ts",
  },
  {
    name: "engine-snapshot-reads-many-as-they-are-now",
    file: "engine/lsm.ts",
    find: "return getMany(this.#store, keys, this.#seq);",
    replace: "return getMany(this.#store, keys, this.#store.visibleSeq);",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-deletes-beyond-the-end-of-a-range",
    file: "engine/upkeep/ranges.ts",
    find: "store.iterate({ start, end, keysOnly: true });",
    replace: "store.iterate({ start, keysOnly: end === undefined || true });",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-does-not-ask-how-a-clean-close-left-its-wal",
    file: "engine/recovery.ts",
    find: "if (id === closedWal?.id) checkChain(",
    replace: "if (closedWal?.id === -id) checkChain(",
    caughtBy: "engine/corruption_test.ts :: cut anywhere",
  },
  {
    name: "engine-repair-believes-how-large-a-table-is",
    file: "engine/upkeep/repair.ts",
    find: "const size = Math.min(found, written);",
    replace: "const size = written;",
    caughtBy: "engine/fuzz_test.ts :: names billions of logs",
  },
  {
    name: "engine-repair-takes-rows-that-are-out-of-order",
    file: "engine/upkeep/salvage_table.ts",
    find: "if (disordered !== undefined) {",
    replace: "if (disordered === -1) {",
    caughtBy: "engine/fuzz_test.ts :: rows are out of order",
  },
  {
    name: "ack-before-the-sync",
    file: "gossip/replication/replica.ts",
    find: `          (outcome) => () => item.resolve(outcome),`,
    replace: `          (outcome) => (item.resolve(outcome), () => {}),`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "published-before-the-sync",
    file: "gossip/replication/replica.ts",
    find: `        await this.#kv.write(batch, { sync: this.#options.sync });
      }`,
    replace:
      `        const written = this.#kv.write(batch, { sync: this.#options.sync });
        this.#publish(draft);
        for (const settle of settled) settle();
        await written;
        return;
      }`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "scalar-high-water-mark",
    file: "gossip/replication/draft.ts",
    find: `    this.vector.join(session.vector);`,
    replace: `    for (const origin of session.vector.origins()) {
      const seqs = [...session.vector.origins()].map((each) =>
        session.vector.seq(each)
      );
      const all = this.vector.clone();
      for (let seq = all.seq(origin); seq < Math.max(...seqs); seq++) {
        this.vector.add(origin, seq + 1);
      }
    }`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "blind-apply",
    file: "gossip/replication/draft.ts",
    find: `      if (order < 0) return entry;`,
    replace: ``,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "records-of-an-origin-in-any-order",
    file: "gossip/replication/draft.ts",
    find:
      `    if (originLane(origin) === 0 && seq !== this.vector.seq(origin) + 1) {
      return "early";
    }`,
    replace: `    while (this.vector.seq(origin) < seq - 1) {
      this.vector.add(origin, this.vector.seq(origin) + 1);
    }`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "deps-not-awaited",
    file: "gossip/replication/draft.ts",
    find:
      `    if (!record.deps.every((dot) => this.vector.covers(dot.origin, dot.seq))) {
      return "early";
    }`,
    replace: ``,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "own-earlier-origins-not-in-deps",
    file: "gossip/replication/draft.ts",
    find: `      if (current !== undefined && current.origin !== origin) {`,
    replace: `      if (
        current !== undefined && current.origin !== origin &&
        current.holder !== state.nodeKey
      ) {`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "origin-not-fresh",
    file: "gossip/replication/state.ts",
    find: `    do {
      this.origin = make(this.nodeKey, this.#random.u32(), 0);
    } while (this.vector.seq(this.origin) > 0);
    return this.origin;`,
    replace: `    this.origin = make(this.nodeKey, 1, 0);
    return this.origin;`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "dot-not-in-the-order",
    file: "gossip/replication/entry.ts",
    find: `    a.hlc - b.hlc || a.origin - b.origin || a.seq - b.seq;
}

/** Orders two versions`,
    replace: `    a.hlc - b.hlc;
}

/** Orders two versions`,
    caughtBy: "gossip/replication/draft_test.ts :: [8] one version",
  },
  {
    name: "covered-records-compared",
    file: "gossip/replication/draft.ts",
    find: `    if (this.vector.covers(origin, seq)) return "covered";
    if (originLane(origin) === 0 && seq !== this.vector.seq(origin) + 1) {`,
    replace:
      `    if (originLane(origin) === 0 && seq > this.vector.seq(origin) + 1) {`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "session-base-unchecked",
    file: "gossip/replication/draft.ts",
    find: `    if (!this.vector.includes(session.base)) return false;`,
    replace: ``,
    caughtBy: "gossip/replication/draft_test.ts :: [9] a session is void",
  },
  {
    name: "session-conflicts-off",
    file: "gossip/replication/draft.ts",
    find:
      `        lost !== undefined && !session.vector.covers(lost.origin, lost.seq)`,
    replace: `        lost !== undefined && lost.seq < 0`,
    caughtBy: "gossip/replication/draft_test.ts :: what a session overwrites",
  },
  {
    name: "record-conflicts-off",
    file: "gossip/replication/draft.ts",
    find:
      `      } else if (lost !== undefined && !isBuiltUpon(lost, record)) {`,
    replace: `      } else if (lost !== undefined && lost.seq < 0) {`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "every-loser-a-conflict",
    file: "gossip/replication/draft.ts",
    find:
      `      } else if (lost !== undefined && !isBuiltUpon(lost, record)) {`,
    replace: `      } else if (lost !== undefined) {`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "log-reaches-over-a-gap",
    file: "gossip/replication/log.ts",
    find: `        if (run.from > from.seq(origin) + 1) return false;`,
    replace: ``,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "index-row-of-the-loser-kept",
    file: "gossip/replication/draft.ts",
    find: `      if (before !== undefined) {
        ops.push({`,
    replace: `      if (before !== undefined) {
        if (before.seq > 0) continue;
        ops.push({`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "void-state-writes",
    file: "gossip/replication/replica.ts",
    find: `        if (!this.#state.caughtUp) {`,
    replace: `        if (this.#closed) {`,
    caughtBy: "gossip/replication/draft_test.ts :: [2] a node whose state",
  },
  {
    name: "cluster-id-not-checked",
    file: "transport/handshake.ts",
    find: `  if (equalBytes(local.clusterId, remote.clusterId)) return;`,
    replace:
      `  if (local.clusterId.length === remote.clusterId.length) return;`,
    caughtBy: "transport/endpoint_test.ts :: nodes of two clusters both get",
  },
  {
    name: "engine-failure-forgotten",
    file: "gossip/replication/replica.ts",
    find: `    this.#failure = error;`,
    replace: ``,
    caughtBy: "gossip/replication/replica_test.ts :: after a failed write",
  },
  {
    name: "held-record-keeps-its-message",
    file: "gossip/replication/held.ts",
    find: `    const own = decodeRecord(new Uint8Array(record.bytes));`,
    replace: `    const own = decodeRecord(record.bytes);`,
    caughtBy: "gossip/replication/log_test.ts :: does not keep the message",
  },
  {
    name: "clock-far-ahead-adopted",
    file: "gossip/replication/draft.ts",
    find: `      this.skewedHlc = Math.max(this.skewedHlc, entry.hlc);
    } else {`,
    replace: `      this.skewedHlc = Math.max(this.skewedHlc, entry.hlc);
    }
    {`,
    caughtBy:
      "gossip/replication/draft_test.ts :: a clock more than 60 s ahead",
  },
  {
    name: "deletes-of-absent-keys-written",
    file: "gossip/replication/draft.ts",
    find: `      if (op.value === undefined && current?.value === undefined) {`,
    replace: `      if (op.value === undefined && current?.value === null) {`,
    caughtBy: "gossip/replication/draft_test.ts :: deletes of absent keys",
  },
  {
    name: "lagged-marker-forgotten",
    file: "gossip/feed.ts",
    find: `    if (full || this.#missed > 0) this.#missed++;`,
    replace: `    if (full) this.#missed += 0;`,
    caughtBy: "gossip/feed_test.ts :: what is dropped is told",
  },
  {
    name: "donor-forgets-its-bound",
    file: "gossip/replication/donor.ts",
    find: `    const open = this.#sessions.size + this.#beginning;`,
    replace: `    const open = this.#sessions.size;`,
    caughtBy: "gossip/replication/donor_test.ts :: no more sessions are open",
  },
  {
    name: "record-checksum-not-checked",
    file: "gossip/replication/record.ts",
    find:
      `  if (checksum.u32() !== crc32(body)) reader.fail("its checksum is wrong");`,
    replace: `  checksum.u32();`,
    caughtBy: "gossip/replication/fuzz_test.ts :: a harmed record",
  },
  {
    name: "generation-not-durable-at-start",
    file: "gossip/membership/host.ts",
    find: `  await kv.write([hostOp(next)], { sync: true });`,
    replace: `  void kv.write([hostOp(next)], { sync: true });`,
    caughtBy: "gossip/membership/host_test.ts :: the generation rises",
  },
  {
    name: "losing-arrival-not-reported",
    file: "gossip/replication/draft.ts",
    find: `        this.#losses.push({ kept: current!, lost });
      } else if (lost !== undefined && !isBuiltUpon(lost, record)) {`,
    replace: `        this.#decided.push();
      } else if (lost !== undefined && !isBuiltUpon(lost, record)) {`,
    caughtBy: "tests/sim_test.ts :: random lives",
  },
  {
    name: "lease-of-a-node-not-heard-of-yet-is-of-no-member",
    file: "gossip/lease/router.ts",
    find:
      "      throw new LeaseholderUnavailableError(holder);\n    }\n    const head",
    replace:
      "      throw new NodeNotFoundError(holder);\n    }\n    const head",
    caughtBy: "gossip/lease/router_test.ts :: has not been heard of yet",
  },
  {
    name: "forwarded-write-not-readable-here",
    file: "gossip/lease/router.ts",
    find: `    await this.#readHere(holder, outcome, context.signal);`,
    replace: `    void this.#readHere(holder, outcome, context.signal);`,
    caughtBy: "tests/sim_test.ts :: random lives",
  },
  {
    name: "thread-asked-before-it-listens",
    file: "runtime/deno/workers.ts",
    find:
      "      for (const [call, { request }] of this.#calls) this.#send(call, request);\n",
    replace: "",
    caughtBy: "runtime/deno/workers_test.ts :: before it listens",
  },
  {
    name: "lock-left-to-a-forked-process",
    file: "runtime/deno/files.ts",
    find: "if (this.#locked) this.#file?.unlockSync();",
    replace: "",
    caughtBy: "runtime/deno/lock_test.ts",
  },
  {
    name: "open-waits-for-its-peers",
    file: "gossip/open.ts",
    find: "    if (!node.rooms.replica.caughtUp) {",
    replace: "    if (node.rooms.cluster.others().length > 0) {",
    caughtBy: "tests/scenarios/recovery_test.ts :: X1",
  },
  {
    name: "joiner-opens-before-its-first-copy",
    file: "gossip/open.ts",
    find: "    if (!node.rooms.replica.caughtUp) {",
    replace: "    if (node.rooms.replica.origin !== undefined) {",
    caughtBy: SEEDS,
  },
  {
    name: "requests-without-a-deadline",
    file: "transport/pending.ts",
    find: "const timer = this.#options.timers.set(expire, timeoutMs, {",
    replace: "const timer = this.#options.timers.set(() => {}, timeoutMs, {",
    caughtBy: "transport/endpoint_test.ts :: a deadline that passes after",
  },
  {
    name: "calls-outlive-their-deadline",
    file: "gossip/lease/router.ts",
    find: `startDeadline(timers, timeoutMs, "commit", signal)`,
    replace: `startDeadline(timers, timeoutMs * 100, "commit", signal)`,
    caughtBy:
      "gossip/lease/router_test.ts :: that cannot be read here yet, resolves",
  },
  {
    name: "failed-write-never-settles",
    file: "gossip/replication/replica.ts",
    find: "    for (const item of group) item.reject(error);\n",
    replace: "",
    caughtBy: "gossip/replication/replica_test.ts :: after a failed write",
  },
  {
    name: "failed-write-acked",
    file: "gossip/replication/replica.ts",
    find: "      this.#fail(error, group);\n      return;",
    replace:
      "      for (const settle of settled) settle();\n      this.#fail(error, group);\n      return;",
    caughtBy: "tests/scenarios/recovery_test.ts :: X17",
  },
  {
    name: "batch-in-two-writes",
    file: "gossip/replication/replica.ts",
    find:
      "        await this.#kv.write(batch, { sync: this.#options.sync });\n",
    replace:
      `        for (const half of [batch.splice(0, batch.length >> 1), batch]) {
          await this.#kv.write(half, { sync: this.#options.sync });
        }
`,
    caughtBy: SEEDS,
  },
  {
    name: "nothing-but-pushes",
    file: "gossip/replication/pull.ts",
    find: "      if (nodes.length > 0) {",
    replace: "      if (nodes.length < 0) {",
    caughtBy: "gossip/replication/pull_test.ts :: every interval",
  },
  {
    name: "close-pushes-nothing",
    file: "gossip/db.ts",
    find: "    closing.defer(() => push?.flush());\n",
    replace: "    void push;\n",
    caughtBy: "tests/scenarios/recovery_test.ts :: close: what was acked just",
  },
  {
    name: "leaseholder-not-checked",
    file: "gossip/replication/draft.ts",
    find: "if (holder !== nodeKey) throw new NotLeaseholderError(op.key",
    replace: "if (op.key.length < 1) throw new NotLeaseholderError(op.key",
    caughtBy: SEEDS,
  },
  {
    name: "later-claim-wins",
    file: "gossip/replication/entry.ts",
    find:
      "    b.claimHlc - a.claimHlc || b.claimNode - a.claimNode ||\n    a.hlc",
    replace:
      "    a.claimHlc - b.claimHlc || b.claimNode - a.claimNode ||\n    a.hlc",
    caughtBy: SEEDS,
  },
  {
    name: "each-write-claims-anew",
    file: "gossip/replication/draft.ts",
    find: "claimHlc: current?.claimHlc ?? hlc,",
    replace: "claimHlc: hlc,",
    caughtBy: "gossip/replication/draft_test.ts",
  },
  {
    name: "deleted-keys-forgotten-by-commits",
    file: "gossip/replication/draft.ts",
    find: "    for (const space of [Space.LIVE, Space.DEAD]) {",
    replace: "    for (const space of [Space.LIVE]) {",
    caughtBy: SEEDS,
  },
  {
    name: "version-below-what-it-replaces",
    file: "gossip/replication/draft.ts",
    find: "hlc = Math.max(hlc, current.hlc + 1);",
    replace: "hlc = Math.max(hlc, 1);",
    caughtBy: "gossip/replication/draft_test.ts",
  },
  {
    name: "session-takes-covered-entries",
    file: "gossip/replication/draft.ts",
    find: "      if (this.vector.covers(entry.origin, entry.seq)) continue;\n",
    replace: "",
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "session-covers-one-origin-only",
    file: "gossip/replication/draft.ts",
    find: "    this.vector.join(session.vector);\n    const counters",
    replace:
      `    for (const origin of [...session.vector.origins()].slice(0, 1)) {
      for (let at = this.vector.seq(origin); at < session.vector.seq(origin);) {
        this.vector.add(origin, ++at);
      }
    }
    const counters`,
    caughtBy: SEEDS,
  },
  {
    name: "session-entry-that-loses-not-reported",
    file: "gossip/replication/draft.ts",
    find: `      if (lost === entry) {
        this.#losses.push({ kept: current!, lost });
      } else if (
        lost`,
    replace: `      if (
        lost !== entry && lost`,
    caughtBy:
      "gossip/replication/draft_test.ts :: an entry of a session that loses",
  },
  {
    name: "watch-shows-what-lost",
    file: "gossip/replication/draft.ts",
    find: "      if (order < 0) return entry;\n",
    replace:
      "      if (order < 0) {\n        changes.push(entry);\n        return entry;\n      }\n",
    caughtBy: SEEDS,
  },
  {
    name: "watch-splits-batches",
    file: "gossip/watch.ts",
    find:
      "        watcher.feed.push(wanted.map((entry) => changeOf(entry, coalesced)));\n",
    replace:
      "        for (const entry of wanted) {\n          watcher.feed.push([changeOf(entry, coalesced)]);\n        }\n",
    caughtBy: SEEDS,
  },
  {
    name: "watch-shows-a-key-twice",
    file: "gossip/watch.ts",
    find: "        if (wanted.length === 0) continue;\n",
    replace:
      "        if (wanted.length === 0) continue;\n        if (wanted.length > 2) wanted.push(wanted[0]!);\n",
    caughtBy: SEEDS,
  },
  {
    name: "caught-up-without-asking",
    file: "gossip/db.ts",
    find: "        await abortable(pull.from(node), deadline.signal);\n",
    replace: "        void pull.from(node).catch(() => {});\n",
    caughtBy: SEEDS,
  },
  {
    name: "lists-leave-their-namespace",
    file: "gossip/db.ts",
    find: "        ? spacePrefix(Space.LIVE)\n",
    replace: "        ? new Uint8Array()\n",
    caughtBy: "tests/scenarios/kv_test.ts :: X16",
  },
  {
    name: "lease-of-an-earlier-op-forgotten",
    file: "gossip/lease/router.ts",
    find: "    const lease = op.lease ?? ops.get(text)?.lease;",
    replace: "    const lease = op.lease;",
    caughtBy: "tests/scenarios/transaction_test.ts",
  },
  {
    name: "moved-node-keeps-its-old-address",
    file: "gossip/membership/cluster.ts",
    find: "      this.#members.update({ address });\n",
    replace: "      this.#members.update();\n",
    caughtBy: "tests/scenarios/cluster_test.ts :: X10",
  },
  {
    name: "dialler-speaks-without-a-proof",
    file: "transport/greeting.ts",
    find: "const chosen = provedSecret(proofs, secrets, transcript);",
    replace:
      "const chosen = provedSecret(proofs, secrets, transcript) ?? secrets[0];",
    caughtBy: "transport/seal_test.ts :: a stranger learns nothing",
  },
  {
    name: "acceptor-takes-frames-without-a-seal",
    file: "transport/greeting.ts",
    find: "      this.#decoder.demand(new Seal(secrets, true, transcript));\n",
    replace: "",
    caughtBy: "transport/seal_test.ts",
  },
  {
    name: "seal-that-knows-no-number",
    file: "transport/seal.ts",
    find: "const counted = new Writer(6).u48(number).view();",
    replace: "const counted = new Writer(6).u48(number * 0).view();",
    caughtBy: "transport/seal_test.ts :: a frame that is changed",
  },
  {
    name: "one-key-for-both-ends",
    file: "transport/seal.ts",
    find: "const label = dialler ? DIALLER_LABEL : ACCEPTOR_LABEL;",
    replace: "const label = dialler ? DIALLER_LABEL : DIALLER_LABEL;",
    caughtBy: "transport/seal_test.ts :: a frame that is changed",
  },
  {
    name: "keys-that-know-no-challenge",
    file: "transport/seal.ts",
    find: "hmac(secret, label, transcript)",
    replace: "hmac(secret, label, transcript.subarray(0, 6))",
    caughtBy: "transport/seal_test.ts :: what was recorded",
  },
  {
    name: "wrong-seal-goes-through",
    file: "transport/frame.ts",
    find: "if (found < 0) throw",
    replace: "if (found < -1) throw",
    caughtBy: "transport/seal_test.ts :: a frame that is changed",
  },
  {
    name: "node-does-not-answer-doubts-about-it",
    file: "gossip/membership/members.ts",
    find: "else if (this.refute(record)) refuted = true;",
    replace: "",
    caughtBy: "gossip/membership/members_test.ts :: doubts about a node",
  },
  {
    name: "refutation-that-is-no-newer",
    file: "gossip/membership/members.ts",
    find: "this.#say({ ...self, version: said.version + 1 });",
    replace: "this.#say({ ...self, version: said.version });",
    caughtBy: "gossip/membership/members_test.ts :: doubts about a node",
  },
  {
    name: "better-state-wins-of-two-equally-old",
    file: "gossip/membership/node_record.ts",
    find: "|| rankOf(a.state) - rankOf(b.state);",
    replace: "|| rankOf(b.state) - rankOf(a.state);",
    caughtBy: "gossip/membership/members_test.ts :: N4",
  },
  {
    name: "state-is-not-in-the-hash",
    file: "gossip/membership/members.ts",
    find: "const state = rankOf(record.state) + 4",
    replace: "const state = 4",
    caughtBy:
      "gossip/membership/members_test.ts :: a sync between equal states",
  },
  {
    name: "thread-that-stood-still-blames-others",
    file: "gossip/membership/detector.ts",
    find: "this.#stoodStill(now, sleptMs);",
    replace: "this.#counts.lagged++;",
    caughtBy: "gossip/membership/detector_test.ts :: a thread that stood still",
  },
  {
    name: "suspect-without-asking-others",
    file: "gossip/membership/detector.ts",
    find: "const helpers = this.#helpersFor(node);",
    replace: "const helpers = this.#helpersFor(node).slice(0, 0);",
    caughtBy:
      "gossip/membership/detector_test.ts :: a node that does not answer",
  },
  {
    name: "one-accuser-counted-again-and-again",
    file: "gossip/membership/detector.ts",
    find:
      "if (suspicion === undefined || suspicion.accusers.has(accuser)) return;",
    replace: "if (suspicion === undefined) return;",
    caughtBy: "gossip/membership/detector_test.ts :: two more accusers",
  },
  {
    name: "dead-are-probed-for-ever",
    file: "gossip/membership/detector.ts",
    find: "isAlive(members.get(node)?.state);",
    replace: `members.get(node)?.state !== "left";`,
    caughtBy: "gossip/membership/detector_test.ts :: every node is pinged",
  },
  {
    name: "suspicion-as-long-whoever-agrees",
    file: "gossip/membership/suspicion.ts",
    find: "const share = Math.log(accusers)",
    replace: "const share = Math.log(1)",
    caughtBy: "gossip/membership/detector_test.ts :: a suspicion is what",
  },
  {
    name: "node-is-probed-at-each-loss-of-its-connection",
    file: "gossip/membership/detector.ts",
    find: "now - probedAt >= this.#options.intervalMs",
    replace: "now - probedAt >= 0",
    caughtBy: "gossip/membership/detector_test.ts :: a node whose connection",
  },
  {
    name: "stall-uses-up-a-suspicion",
    file: "gossip/membership/detector.ts",
    find: "Math.min(now, suspicion.since + sleptMs);",
    replace: "Math.min(now, suspicion.since);",
    caughtBy: "gossip/membership/detector_test.ts :: a stall across",
  },
  {
    name: "accusers-of-an-older-word-count",
    file: "gossip/membership/detector.ts",
    find: "      if (!isAbout(said, record)) continue;\n",
    replace: "",
    caughtBy: "gossip/membership/detector_test.ts :: what was held against",
  },
  {
    name: "suspicion-of-an-older-word-kills",
    file: "gossip/membership/detector.ts",
    find: "if (record !== undefined && !isAbout(suspicion, record)) {",
    replace: "if (record !== undefined && !isAbout(record, record)) {",
    caughtBy: "gossip/membership/detector_test.ts :: what was held against",
  },
  {
    name: "outcome-of-an-old-probe-counts",
    file: "gossip/membership/detector.ts",
    find: "if (probe?.number !== number || probe.asked !== undefined)",
    replace: "if (probe === undefined || probe.asked !== undefined)",
    caughtBy: "gossip/membership/detector_test.ts :: the outcome of an old",
  },
  {
    name: "generation-that-leaves-no-room",
    file: "gossip/membership/members.ts",
    find: "    if (!isPlausible(record)) return false;\n",
    replace: "",
    caughtBy: "gossip/membership/members_test.ts :: what no node can have",
  },
  {
    name: "peers-are-asked-once-only",
    file: "gossip/open.ts",
    find: "  seeds?.start();\n",
    replace: "",
    caughtBy: "tests/scenarios/membership_test.ts :: nodes that have all moved",
  },
  {
    name: "two-starts-of-one-standing-are-one",
    file: "gossip/membership/node_record.ts",
    find: "    compareBytes(a.nonce, b.nonce) || rankOf",
    replace: "    0 * compareBytes(a.nonce, b.nonce) || rankOf",
    caughtBy: "gossip/membership/members_test.ts :: of two starts",
  },
  {
    name: "what-a-copy-said-of-a-node-stands",
    file: "gossip/membership/cluster.ts",
    find: "    this.#reassertion.hear(cloned);\n",
    replace: "",
    caughtBy: "tests/scenarios/membership_test.ts :: what a copy",
  },
  {
    name: "generation-above-a-copy-is-forgotten",
    file: "gossip/membership/reassertion.ts",
    find: "    await this.#options.raise(heard + 1);\n",
    replace: "",
    caughtBy: "tests/scenarios/membership_test.ts :: what a copy",
  },
  {
    name: "incarnation-not-durable-when-let-in",
    file: "gossip/membership/incarnations.ts",
    find: "    await this.#kv.write([{ key: incarnationKey(node), value }], {",
    replace:
      "    void this.#kv.write([{ key: incarnationKey(node), value }], {",
    caughtBy: "gossip/membership/cluster_test.ts :: a start is durable before",
  },
  {
    name: "no-member-let-in",
    file: "gossip/membership/cluster.ts",
    find: "    if (!this.config.members.includes(remote.node)) {",
    replace: "    if (this.config.removed.includes(remote.node)) {",
    caughtBy: "gossip/membership/cluster_test.ts :: who is no member is not",
  },
  {
    name: "clone-not-told-of",
    file: "gossip/membership/cluster.ts",
    find: "    if (cloned === undefined) return;",
    replace: "    if (cloned === undefined || cloned.key > 0) return;",
    caughtBy: "tests/scenarios/directory_test.ts",
  },
  {
    name: "promise-not-durable",
    file: "gossip/register/acceptor.ts",
    find: "    await this.#admit(config, [\n      registerOp(",
    replace: "    void this.#admit(config, [\n      registerOp(",
    caughtBy: "gossip/register/acceptor_test.ts :: no reply is given before",
  },
  {
    name: "accept-not-durable",
    file: "gossip/register/acceptor.ts",
    find:
      "    await this.#admit(config, [registerOp(this.#prefix, register, state)]);",
    replace:
      "    void this.#admit(config, [registerOp(this.#prefix, register, state)]);",
    caughtBy: "gossip/register/schedules_test.ts",
  },
  {
    name: "adopted-config-not-durable",
    file: "gossip/register/acceptor.ts",
    find: "    if (batch.length > 0) await this.#write(batch);",
    replace: "    if (ops.length > 0) await this.#write(batch);",
    caughtBy: "gossip/register/acceptor_test.ts :: a newer config that comes",
  },
  {
    name: "no-epoch-gate",
    file: "gossip/register/acceptor.ts",
    find: "    if (compareConfigs(config, this.#known) < 0) {",
    replace: "    if (config.epoch < 0) {",
    caughtBy: "gossip/register/acceptor_test.ts :: a request under an older",
  },
  {
    name: "seat-not-checked",
    file: "gossip/register/acceptor.ts",
    find:
      "      this.#seat === undefined || !equalBytes(seat, this.#seat) ||\n      !hasSeat(config, this.#node, this.#seat)",
    replace: "      this.#seat === undefined || !equalBytes(seat, seat)",
    caughtBy:
      "gossip/register/acceptor_test.ts :: an acceptor without the seat",
  },
  {
    name: "ballot-without-epoch",
    file: "gossip/register/ballot.ts",
    find: "  return a.epoch - b.epoch || a.n - b.n || a.node - b.node ||",
    replace: "  return a.n - b.n || a.node - b.node ||",
    caughtBy: "gossip/register/proposer_test.ts :: a late accept of an older",
  },
  {
    name: "ballot-without-generation",
    file: "gossip/register/ballot.ts",
    find: "a.node - b.node ||\n    a.generation - b.generation;",
    replace: "a.node - b.node;",
    caughtBy: "gossip/register/acceptor_test.ts :: proposer's earlier start",
  },
  {
    name: "builds-on-a-found-config",
    file: "gossip/register/proposer.ts",
    find: "    const value = newer ? found : change(found);",
    replace: "    const value = change(found);",
    caughtBy: "gossip/register/proposer_test.ts :: a newer config found",
  },
  {
    name: "config-adopted-before-it-is-chosen",
    file: "gossip/register/proposer.ts",
    find: `    if (oks.outcome !== "majority") return oks;
    if (register`,
    replace: `    if (register === CONFIG_REGISTER) {
      await knowledge.adopt(decodeConfig(value));
    }
    if (oks.outcome !== "majority") return oks;
    if (register`,
    caughtBy:
      "gossip/register/proposer_test.ts :: a config that only a minority",
  },
  {
    name: "half-counts-as-a-majority",
    file: "gossip/register/proposer.ts",
    find: "    const majority = Math.floor(voters.length / 2) + 1;",
    replace: "    const majority = Math.max(1, Math.floor(voters.length / 2));",
    caughtBy: "gossip/register/schedules_test.ts",
  },
  {
    name: "known-ticket-not-written-back",
    file: "gossip/register/proposer.ts",
    find: `if (value === undefined) return { outcome: "chosen", value };`,
    replace: `if (value === undefined || String(value) === String(found)) {
      return { outcome: "chosen", value: value as Bytes };
    }`,
    caughtBy: "gossip/register/proposer_test.ts :: a minority had accepted",
  },
  {
    name: "ticket-gets-a-key-each-time",
    file: "gossip/register/ids.ts",
    find: "  if (ids.tickets.has(name)) return ids;",
    replace: "  if (ids.tickets.size < 1) return ids;",
    caughtBy: "gossip/register/schedules_test.ts",
  },
  {
    name: "ticket-drawn-anew-at-each-start",
    file: "gossip/membership/host.ts",
    find: `  const row = await kv.get(metaKey("ticket"));
  if (row !== undefined) {`,
    replace: `  const row = await kv.get(metaKey("ticket"));
  if (row !== undefined && row.length === 0) {`,
    caughtBy: "tests/scenarios/cluster_test.ts :: X12: a node that is killed",
  },
  {
    name: "frame-checksum-not-checked",
    file: "transport/frame.ts",
    find: `        this.#view.getUint32(crcAt, true)
    ) {`,
    replace: `        this.#view.getUint32(crcAt, true) && length < 0
    ) {`,
    caughtBy: "transport/frame_test.ts",
  },
  {
    name: "lost-connection-told-as-a-failure",
    file: "gossip/open.ts",
    find: "if (!isRoutine(error)) events.emit(",
    replace: "if (isRoutine(error) || !isRoutine(error)) events.emit(",
    caughtBy: "tests/scenarios/partition_test.ts :: is told as that, not as",
  },
  {
    name: "own-disk-blamed-on-the-peer",
    file: "gossip/dispatch.ts",
    find: "      if (isRoutine(error)) return;\n",
    replace: "      void isRoutine;\n",
    caughtBy: "gossip/dispatch_test.ts :: own engine does not take",
  },
];
