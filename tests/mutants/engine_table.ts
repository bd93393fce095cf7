/**
 * Defects of the tables and their caches of `engine/`, to be put in on purpose; see
 * `mutants_table.ts`.
 */

import type { Mutant } from "./mutant.ts";

/** The defects. */
export const ENGINE_TABLE_MUTANTS: readonly Mutant[] = [
  {
    name: "engine-lets-a-large-value-stand-before-another-row",
    file: "engine/table/table_writer.ts",
    find: " || valueLength >= LENT_BYTES) {",
    replace: ") {",
    caughtBy: "engine/table/table_writer_test.ts",
  },
  {
    name: "engine-takes-no-sequence-number-for-the-smallest",
    file: "engine/table/table_writer.ts",
    find: "if (this.#rows++ === 0 || seq < this.#minSeq)",
    replace: "if (this.#rows++ < 0 || seq < this.#minSeq)",
    caughtBy:
      "engine/table/table_writer_test.ts :: the sequence numbers it has",
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
    name: "engine-names-a-block-by-less-than-its-last-key",
    file: "engine/table/table_writer.ts",
    find: "  last[shared]!++;\n",
    replace: "",
    caughtBy: "engine/table/table_writer_test.ts :: a key is found",
  },
  {
    name: "engine-names-a-block-by-the-key-behind-it",
    file: "engine/table/table_writer.ts",
    find: "if (last[shared]! + 1 >= next[at + shared]!) return lastLength;",
    replace: "if (last[shared]! + 1 > next[at + shared]!) return lastLength;",
    caughtBy: "engine/table/table_writer_test.ts :: a key is found",
  },
  {
    name: "engine-loses-the-high-bits-of-a-handle",
    file: "engine/table/format.ts",
    find: "  target[at + 5] = high >>> 8;\n",
    replace: "  target[at + 5] = 0;\n",
    caughtBy: "engine/table/table_writer_test.ts :: a handle says",
  },
  {
    name: "engine-says-that-a-table-ends-before-its-last-key",
    file: "engine/table/table_writer.ts",
    find: "    const maxKey = this.#lastKey.slice(0, this.#lastKeyLength);\n",
    replace:
      "    const maxKey = this.#lastKey.slice(0, this.#lastKeyLength - 1);\n",
    caughtBy: "engine/table/table_writer_test.ts :: a key is found",
  },
  {
    name: "engine-cuts-a-long-key-at-the-end-of-a-block",
    file: "engine/table/table_writer.ts",
    find: "      this.#lastKey = new Uint8Array(length * 2);\n",
    replace: "      this.#lastKey = new Uint8Array(64);\n",
    caughtBy: "engine/table/table_writer_test.ts :: a key is found",
  },
  {
    name: "engine-copies-the-start-of-a-long-prefix",
    file: "engine/table/block_builder.ts",
    find: "    copyBytes(bytes, prefixAt, keys, 0, prefixLength);\n",
    replace:
      "    copyBytes(bytes, prefixAt, keys, 0, Math.min(prefixLength, 64));\n",
    caughtBy: "engine/table/table_writer_test.ts :: a key is found",
  },
  {
    name: "engine-goes-on-with-a-table-of-which-a-part-is-missing",
    file: "engine/upkeep/build_table.ts",
    find: "      this.close();\n      throw error;\n",
    replace: "      throw error;\n",
    caughtBy: "engine/upkeep/ingest_test.ts :: could not be written",
  },
  {
    name: "engine-cuts-a-handle-beyond-48-bits",
    file: "engine/table/format.ts",
    find: "  if (high > 0xffff) {\n",
    replace: "  if (high > 0xffffffff) {\n",
    caughtBy: "engine/table/table_writer_test.ts :: a handle says",
  },
  {
    name: "engine-keeps-the-memory-of-a-large-block",
    file: "engine/table/block_builder.ts",
    find: "    if (length > KEPT_BYTES_MAX) return new Room(length);\n",
    replace:
      "    if (length > KEPT_BYTES_MAX) return this.#room = new Room(length);\n",
    caughtBy: "engine/table/block_builder_test.ts",
  },
  {
    name: "engine-makes-memory-for-each-large-value",
    file: "engine/table/block_builder.ts",
    find: "const KEPT_BYTES_MAX = 4 * 1024 * 1024;\n",
    replace: "const KEPT_BYTES_MAX = 1024 * 1024;\n",
    caughtBy: "engine/table/block_builder_test.ts",
  },
  {
    name: "engine-reads-ahead-into-fresh-memory-each-time",
    file: "engine/iterator/level_cursor.ts",
    find: "      this.#ahead.giveBack();\n",
    replace: "",
    caughtBy: "engine/table/read_ahead_test.ts :: a cursor that is through",
  },
  {
    name: "engine-gives-short-readers-memory-for-long-ones",
    file: "engine/table/read_ahead.ts",
    find: "const spare = size === AHEAD_BYTES_MAX ? spares.pop() : undefined;",
    replace: "const spare = spares.pop();",
    caughtBy: "engine/table/read_ahead_test.ts :: a cursor that is through",
  },
  {
    name: "engine-goes-on-with-a-table-that-cannot-be-opened",
    file: "engine/iterator/level_cursor.ts",
    find: `      this.#index = table.index();
      this.#table = table;
`,
    replace: `      this.#table = table;
      this.#index = table.index();
`,
    caughtBy: "engine/iterator/level_cursor_test.ts",
  },
  {
    name: "engine-reads-ahead-into-memory-of-another",
    file: "engine/table/read_ahead.ts",
    find: "    this.#bytes = EMPTY_BYTES;\n",
    replace: "",
    caughtBy: "engine/table/read_ahead_test.ts",
  },
  {
    name: "engine-reads-on-in-memory-that-it-gave-back",
    file: "engine/table/read_ahead.ts",
    find: "    this.#owner = undefined;\n    this.#bytes = EMPTY_BYTES;\n",
    replace: "    this.#bytes = EMPTY_BYTES;\n",
    caughtBy: "engine/table/read_ahead_test.ts",
  },
  {
    name: "engine-keeps-places-in-tables-that-are-gone",
    file: "engine/cache/place_cache.ts",
    find: "    this.#tables[number] = undefined;\n",
    replace: "",
    caughtBy: "engine/cache/place_cache_test.ts :: a place is known until",
  },
  {
    name: "engine-gives-the-number-of-a-table-again",
    file: "engine/cache/place_cache.ts",
    find: "    if (this.#tables.length === PLACE_LIMIT) this.clear();\n",
    replace:
      "    if (this.#tables.length === PLACE_LIMIT) this.#tables.length = 1;\n",
    caughtBy: "engine/cache/place_cache_test.ts :: a table that comes later",
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
    name: "engine-serves-a-guest-whose-memory-has-another",
    file: "engine/cache/block_cache.ts",
    find: "    guest.owner!.forget(guest.row);\n",
    replace: "",
    caughtBy: "engine/cache/block_cache_test.ts :: one in four",
  },
  {
    name: "engine-reads-into-a-guest-that-is-pinned",
    file: "engine/cache/block_cache.ts",
    find: "if (guest.lent || guest.pins > 0) return this.reserve(byteLength);",
    replace: "if (guest.lent) return this.reserve(byteLength);",
    caughtBy: "engine/cache/block_cache_test.ts :: lent or pinned",
  },
  {
    name: "engine-reads-into-a-guest-that-is-lent",
    file: "engine/cache/block_cache.ts",
    find: "if (guest.lent || guest.pins > 0) return this.reserve(byteLength);",
    replace: "if (guest.pins > 0) return this.reserve(byteLength);",
    caughtBy: "engine/cache/block_cache_test.ts :: lent or pinned",
  },
  {
    name: "engine-drops-all-for-spare-memory-that-fits-nobody",
    file: "engine/cache/block_cache.ts",
    find: "this.#spares.length >= SPARES_MAX ||",
    replace: "this.#spares.length === SPARES_MAX ||",
    caughtBy: "engine/cache/block_cache_test.ts :: fits nobody",
  },
  {
    name: "engine-picks-guests-by-turns",
    file: "engine/cache/block_cache.ts",
    find: "return this.#draw() % MISSES_PER_PLACE !== 0;",
    replace: "return this.#drawn++ % MISSES_PER_PLACE !== 0;",
    caughtBy: "engine/cache/block_cache_test.ts :: is soon there",
  },
  {
    name: "engine-gives-away-the-memory-of-a-guest-that-was-pinned",
    file: "engine/cache/block_cache.ts",
    find: "if (--entry.pins > 0 || entry.slot >= 0 || entry.lent) return;",
    replace:
      "if (--entry.pins > 0 || (entry.slot >= 0 && entry.slot < GUEST_SLOT) || entry.lent) return;",
    caughtBy: "engine/cache/block_cache_test.ts :: is nobody else's memory",
  },
  {
    name: "engine-has-a-guest-before-it-is-read",
    file: "engine/table/table.ts",
    find: "    this.#fill(block, handle, body);\n    if (isGuest)",
    replace:
      "    if (isGuest) this.#blocks[row] = block;\n    this.#fill(block, handle, body);\n    if (isGuest)",
    caughtBy: "engine/read_test.ts :: a block whose read failed",
  },
  {
    name: "engine-reads-compressed-guests-into-memory-of-their-stored-size",
    file: "engine/table/table.ts",
    find: "blocks.reserveGuest(capacity)\n",
    replace: "blocks.reserveGuest(handle.length)\n",
    caughtBy: "engine/compression_test.ts :: into memory of their whole size",
  },
  {
    name: "engine-has-no-guests",
    file: "engine/table/table.ts",
    find:
      "if (isGuest) blocks.putGuest(block, this, row);\n    else blocks.put",
    replace: "blocks.put",
    caughtBy: "engine/read_test.ts :: leaves what is there where it is",
  },
  {
    name: "engine-counts-no-guest",
    file: "engine/cache/block_cache.ts",
    find: " + (this.#guest?.byteLength ?? 0);",
    replace: ";",
    caughtBy: "engine/cache/block_cache_test.ts :: leaves its place",
  },
  {
    name: "engine-keeps-whatever-is-missed",
    file: "engine/cache/block_cache.ts",
    find: "return this.#draw() % MISSES_PER_PLACE !== 0;",
    replace: "return false;",
    caughtBy: "engine/cache/block_cache_test.ts :: one in four",
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
    name: "engine-misses-what-a-key-has-in-the-next-block",
    file: "engine/table/block.ts",
    find: "return found === BEYOND && low < this.rows ? ABSENT : found;",
    replace: "return found === BEYOND ? ABSENT : found;",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-names-a-table-that-is-not-synced",
    file: "engine/table/table_writer.ts",
    find: "    await this.#file.syncData();\n",
    replace: "    await Promise.resolve();\n",
    caughtBy: "engine/crash_test.ts :: unsynced data lost",
  },
  {
    name: "engine-believes-a-damaged-footer",
    file: "engine/table/format.ts",
    find: `  ) fail("the footer is damaged");`,
    replace: "  ) void fail;",
    caughtBy: "engine/corruption_test.ts :: of a closed store gives the right",
  },
  {
    name: "engine-serves-a-block-whose-memory-has-another",
    file: "engine/cache/block_cache.ts",
    find: "      entry.owner!.forget(entry.row);\n",
    replace: "",
    caughtBy: "engine/read_test.ts",
  },
  {
    name: "block-taken-as-it-is",
    file: "engine/table/table.ts",
    find: `    if (!isIntact(stored, this.info.number, offset)) {
      throw new CorruptionError(this.path, offset, "the block is damaged");`,
    replace:
      `    if (!isIntact(stored, this.info.number, offset) && offset < 0) {
      throw new CorruptionError(this.path, offset, "the block is damaged");`,
    caughtBy: "tests/sim_test.ts :: nobody reads what is wrong",
  },
];
