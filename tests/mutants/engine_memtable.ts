/**
 * Defects of the memtables of `engine/`, to be put in on purpose; see
 * `mutants_table.ts`.
 */

import type { Mutant } from "./mutant.ts";

/** The defects. */
export const ENGINE_MEMTABLE_MUTANTS: readonly Mutant[] = [
  {
    name: "engine-walks-through-all-entries-of-a-key",
    file: "engine/memtable/memtable_cursor.ts",
    find: "const STEPS_MAX = 8;",
    replace: "const STEPS_MAX = 8000;",
    caughtBy: "engine/memtable/memtable_test.ts :: without a walk",
  },
  {
    name: "engine-seeks-in-a-memtable-that-another-has-filled",
    file: "engine/memtable/memtable_cursor.ts",
    find: "this.#table.canSeek ? STEPS_MAX : Infinity",
    replace: "this.#table.canSeek ? STEPS_MAX : STEPS_MAX",
    caughtBy: "engine/memtable/memtable_test.ts :: without a walk",
  },
  {
    name: "engine-seeks-the-key-it-is-at",
    file: "engine/memtable/memtable_cursor.ts",
    find: "this.#table.firstFrom(key, 0)",
    replace: "this.#table.firstFrom(key, 1)",
    caughtBy: "engine/memtable/memtable_test.ts :: without a walk",
  },
  {
    name: "engine-seeks-keys-only-where-they-are-moved-to",
    file: "engine/memtable/key_index.ts",
    find:
      "      if (this.#old === undefined || slots === this.#old) return 0;\n",
    replace:
      "      if (this.#old === undefined || slots.length > 0) return 0;\n",
    caughtBy: "engine/memtable/key_index_test.ts :: each key is found once",
  },
  {
    name: "engine-finds-a-key-that-was-moved-twice",
    file: "engine/memtable/key_index.ts",
    find: "      old[at + 1] = MOVED;\n",
    replace: "",
    caughtBy: "engine/memtable/key_index_test.ts :: each key is found once",
  },
  {
    name: "engine-breaks-the-chain-of-what-was-moved",
    file: "engine/memtable/key_index.ts",
    find: "      old[at + 1] = MOVED;\n",
    replace: "      old[at + 1] = 0;\n",
    caughtBy: "engine/memtable/key_index_test.ts :: each key is found once",
  },
  {
    name: "engine-moves-all-keys-at-once",
    file: "engine/memtable/key_index.ts",
    find: "    const end = this.#moved + 2 * MOVES;\n",
    replace: "    const end = old.length;\n",
    caughtBy:
      "engine/memtable/key_index_test.ts :: more than a few others moved",
  },
  {
    name: "engine-moves-too-few-keys",
    file: "engine/memtable/key_index.ts",
    find: "const MOVES = 8;\n",
    replace: "const MOVES = 1;\n",
    caughtBy: "engine/memtable/key_index_test.ts :: each key is found once",
  },
  {
    name: "engine-clears-an-index-but-for-what-is-being-moved",
    file: "engine/memtable/key_index.ts",
    find: "    this.#count = 0;\n    this.#old = undefined;\n",
    replace: "    this.#count = 0;\n",
    caughtBy: "engine/memtable/key_index_test.ts :: that is cleared",
  },
  {
    name: "engine-tells-no-hash-of-what-is-being-moved",
    file: "engine/memtable/key_index.ts",
    find: "      const slots = at < length ? this.#slots : this.#old!;\n",
    replace:
      "      if (at >= length) return;\n      const slots = this.#slots;\n",
    caughtBy: "engine/memtable/key_index_test.ts :: each key is found once",
  },
  {
    name: "engine-forgets-what-a-block-begins-with",
    file: "engine/memtable/key_order.ts",
    find:
      "    if (this.#at === 0) this.#firsts[this.#block] = abbreviation;\n  }",
    replace: "  }",
    caughtBy: "engine/memtable/key_order_test.ts",
  },
  {
    name: "engine-splits-a-block-behind-the-place",
    file: "engine/memtable/key_order.ts",
    find: "if (this.#at <= stay && stay < BLOCK_ENTRIES) return full;",
    replace: "if (stay < BLOCK_ENTRIES) return full;",
    caughtBy: "engine/memtable/key_order_test.ts",
  },
  {
    name: "engine-leaves-half-full-blocks-behind-a-run",
    file: "engine/memtable/key_order.ts",
    find: "const stay = isRun ? this.#at : STAY;",
    replace: "const stay = isRun ? STAY : STAY;",
    caughtBy: "engine/memtable/key_order_test.ts :: full blocks",
  },
  {
    name: "engine-takes-what-comes-behind-a-full-block-for-a-run",
    file: "engine/memtable/key_order.ts",
    find: "    this.#lasts[full] = BLOCK_ENTRIES;\n",
    replace: "",
    caughtBy: "engine/memtable/key_order_test.ts :: behind a full block",
  },
  {
    name: "engine-orders-entries-by-half-of-their-numbers",
    file: "engine/memtable/memtable.ts",
    find: "    ) || this.#soughtSeq - this.#seqOf(node);",
    replace: "    ) || (this.#soughtSeq >>> 0) - nodes[node + SEQ_LOW]!;",
    caughtBy: "engine/memtable/memtable_test.ts :: newest to the oldest",
  },
  {
    name: "engine-keeps-no-order-of-a-memtable",
    file: "engine/memtable/memtable.ts",
    find: "      chunks,\n      this.#order,\n",
    replace: "      chunks,\n      undefined,\n",
    caughtBy: "engine/memtable/memtable_test.ts :: another one's afterwards",
  },
  {
    name: "engine-loses-the-beginning-of-an-appended-block",
    file: "engine/memtable/key_order.ts",
    find: "      this.#firsts[this.#used - 1] = abbreviation;\n",
    replace: "",
    caughtBy: "engine/memtable/key_order_test.ts",
  },
  {
    name: "engine-compares-with-what-the-last-key-was-called",
    file: "engine/memtable/memtable.ts",
    find:
      "      if (node === this.#last) this.#lastAbbreviation = abbreviation;\n",
    replace: "",
    caughtBy: "engine/memtable/memtable_test.ts :: that go between others",
  },
  {
    name: "engine-takes-an-overwrite-for-another-key",
    file: "engine/memtable/memtable.ts",
    find: "isTied = order.following === abbreviation;",
    replace: "isTied = order.following > abbreviation;",
    caughtBy: "engine/memtable/memtable_test.ts :: a key is found as of",
  },
  {
    name: "engine-sorts-a-key-like-the-last-one-behind-it",
    file: "engine/memtable/memtable.ts",
    find: "if (this.#lastAbbreviation < abbreviation) {",
    replace: "if (this.#lastAbbreviation <= abbreviation) {",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-keeps-an-index-of-any-size",
    file: "engine/memtable/spare_memory.ts",
    find: "index.bytes <= this.#nodesBytesMax",
    replace: "index.bytes >= 0",
    caughtBy: "engine/memtable/spare_memory_test.ts :: of much memory",
  },
  {
    name: "engine-finds-what-a-key-was-before",
    file: "engine/memtable/memtable.ts",
    find: "if (isAgain) this.#index?.replace(hash, next, node);",
    replace: "if (isAgain) return;",
    caughtBy: "engine/memtable/memtable_test.ts :: a key is found as of",
  },
  {
    name: "engine-finds-what-a-key-is-to-be",
    file: "engine/memtable/memtable.ts",
    find: "while (this.#seqOf(node) > seq) {",
    replace: "while (seq < 0) {",
    caughtBy: "engine/memtable/memtable_test.ts :: a key is found as of",
  },
  {
    name: "engine-takes-a-key-of-the-same-hash-for-another",
    file: "engine/memtable/memtable.ts",
    find: "      if (!this.#isOf(node, key)) continue;",
    replace: "      if (key.length === 0) continue;",
    caughtBy: "engine/memtable/memtable_test.ts :: keys of one hash",
  },
  {
    name: "engine-forgets-to-tell-that-a-memtable-has-a-key",
    file: "engine/memtable/memtable.ts",
    find: "this.#bits!.add(hash);",
    replace: "this.#bits!.add(hash ^ 1);",
    caughtBy: "engine/read_test.ts :: a memtable tells apart",
  },
  {
    name: "engine-takes-a-key-below-a-prefix-for-one-of-the-byte-before",
    file: "engine/memtable/memtable.ts",
    find: "if (order < 0) return first * FIRST - 0.5;",
    replace: "if (order < 0) return first * FIRST - 1;",
    caughtBy: "engine/memtable/memtable_test.ts :: those of other first bytes",
  },
  {
    name: "engine-takes-a-key-above-a-prefix-for-one-of-the-next-byte",
    file: "engine/memtable/memtable.ts",
    find: "if (order > 0) return (first + 1) * FIRST - 0.5;",
    replace: "if (order > 0) return (first + 1) * FIRST;",
    caughtBy: "engine/memtable/memtable_test.ts :: those of other first bytes",
  },
  {
    name: "engine-makes-abbreviations-anew-of-too-few",
    file: "engine/memtable/memtable.ts",
    find: "if (firstOf(bytes, offset, length) !== first) return undefined;",
    replace:
      "if (firstOf(bytes, offset, length) !== first || node % 3 === 0) return;",
    caughtBy: "engine/memtable/memtable_test.ts :: that go between others",
  },
  {
    name: "engine-keeps-abbreviations-of-a-longer-prefix",
    file: "engine/memtable/memtable.ts",
    find: "this.#order!.rename((node) => {",
    replace: "this.#order!.rename((node) => { if (node > 0) return;",
    caughtBy: "engine/model_test.ts",
  },
  {
    name: "engine-begins-a-memtable-with-the-list-of-another",
    file: "engine/memtable/spare_memory.ts",
    find: "    spare.fill(0, 0, cleared);\n",
    replace: "    void cleared;\n",
    caughtBy: "engine/memtable/spare_memory_test.ts :: a memtable in used",
  },
  {
    name: "engine-flushes-all-values-from-one-chunk",
    file: "engine/memtable/memtable.ts",
    find: "    cursor.valueChunk = chunk;\n",
    replace: "",
    caughtBy: "engine/memtable/memtable_test.ts",
  },
];
