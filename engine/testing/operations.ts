/**
 * Lists of operations on a store, drawn by fast-check, which also makes a list
 * that fails smaller.
 *
 * Keys and values are text, a character a byte, so that a list can be read, and
 * pasted from a message into a test.
 *
 * @module
 */

import fc from "fast-check";

/** A value: a number, and how often it is repeated. */
export type Value = readonly [nonce: number, times: number];

/** A key with its new value; `null` deletes it. */
export type Change = readonly [key: string, value: Value | null];

/** A range, as `IterateOptions`. */
export interface TextRange {
  start?: string;
  end?: string;
  prefix?: string;
  reverse?: boolean;
  keysOnly?: boolean;
}

/**
 * One operation. `from`, taken modulo the number of them, is where it reads: the
 * store, or a snapshot that is kept; `at` is an iterator or snapshot that is
 * kept, taken so too.
 */
export type Operation =
  /** Batches that are handed in at once, then awaited. */
  | { do: "write"; batches: { changes: Change[]; sync: boolean }[] }
  | { do: "get"; from: number; key: string }
  | { do: "getMany"; from: number; keys: string[] }
  | { do: "list"; from: number; range: TextRange }
  | { do: "count"; from: number; range: TextRange }
  | { do: "snapshot" }
  | { do: "closeSnapshot"; at: number }
  | { do: "iterate"; from: number; range: TextRange }
  | { do: "step"; at: number; steps: number; seek?: string }
  | { do: "closeIterator"; at: number }
  | { do: "deleteRange"; range: TextRange; sync: boolean }
  | { do: "flush" }
  | { do: "idle" }
  | { do: "compact"; range: TextRange }
  /** Begins it, and goes on. */
  | { do: "begin"; job: "flush" | "compact" }
  /** Copies the store, and reads the copy. */
  | { do: "checkpoint" }
  /** Each table has the keys of one stretch. */
  | { do: "ingest"; changes: Change[]; tables: number }
  /** Of sets alone; each `insert`-th is inserted, the others are appended. */
  | { do: "load"; changes: Change[]; insert: number; givenUp: boolean }
  | { do: "reopen" }
  /** Opens it a second time, for reading only, and reads all. */
  | { do: "readOnly" }
  | { do: "size"; range: TextRange }
  | { do: "check" };

/** Operations in a list, at most. */
const OPERATIONS_MAX = 150;

/** Few, so that keys meet, are prefixes of each other and share prefixes. */
const LETTERS = ["\0", "\x01", "a", "b", "\x7f", "\x80", "\xfe", "\xff"];

const shortKey = fc.string({
  unit: fc.constantFrom(...LETTERS),
  minLength: 1,
  maxLength: 3,
});

const key = fc.oneof(
  // Some that have many versions, among them the first and the last of all.
  { weight: 6, arbitrary: fc.constantFrom(...LETTERS, "\xff\xff\xff") },
  { weight: 8, arbitrary: shortKey },
  { weight: 2, arbitrary: shortKey.map((short) => "k".repeat(75) + short) },
  // Ends that only the length tells apart.
  { weight: 1, arbitrary: shortKey.map((short) => `${short}\0\0\0\0\0`) },
  { weight: 1, arbitrary: fc.constant("long".repeat(300)) },
);

const value: fc.Arbitrary<Value> = fc.tuple(
  fc.nat(9999),
  fc.oneof(
    { weight: 8, arbitrary: fc.nat(25) },
    { weight: 2, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.nat(600) },
    { weight: 1, arbitrary: fc.constantFrom(4000, 20_000) },
  ),
);

const change: fc.Arbitrary<Change> = fc.tuple(
  key,
  fc.option<Value>(value, { freq: 2 }),
);

const range: fc.Arbitrary<TextRange> = fc.record({
  start: key,
  end: key,
  prefix: shortKey.map((short) => short.slice(0, 2)),
  reverse: fc.boolean(),
  keysOnly: fc.boolean(),
}, { requiredKeys: [] });

const keyRange: fc.Arbitrary<TextRange> = fc.record(
  { start: key, end: key },
  { requiredKeys: [] },
);

const from = fc.nat(4);
const at = fc.nat(3);

const batch = fc.record({
  changes: fc.array(change, { maxLength: 6 }),
  sync: fc.boolean(),
});

const WEIGHTED: [number, fc.Arbitrary<Operation>][] = [
  [
    40,
    fc.record({
      do: fc.constant("write"),
      batches: fc.array(batch, { minLength: 1, maxLength: 3 }),
    }),
  ],
  [12, fc.record({ do: fc.constant("get"), from, key })],
  [
    3,
    fc.record({
      do: fc.constant("getMany"),
      from,
      keys: fc.array(key, { maxLength: 5 }),
    }),
  ],
  [10, fc.record({ do: fc.constant("list"), from, range })],
  [3, fc.record({ do: fc.constant("count"), from, range })],
  [4, fc.constant({ do: "snapshot" })],
  [2, fc.record({ do: fc.constant("closeSnapshot"), at })],
  [5, fc.record({ do: fc.constant("iterate"), from, range })],
  [
    10,
    fc.record({
      do: fc.constant("step"),
      at,
      steps: fc.integer({ min: 1, max: 12 }),
      seek: key,
    }, { requiredKeys: ["do", "at", "steps"] }),
  ],
  [2, fc.record({ do: fc.constant("closeIterator"), at })],
  [
    2,
    fc.record({
      do: fc.constant("deleteRange"),
      range: keyRange,
      sync: fc.boolean(),
    }),
  ],
  [4, fc.constant({ do: "flush" })],
  [1, fc.constant({ do: "idle" })],
  [2, fc.record({ do: fc.constant("compact"), range: keyRange })],
  [
    2,
    fc.record({
      do: fc.constant("begin"),
      job: fc.constantFrom("flush", "compact"),
    }),
  ],
  [1, fc.constant({ do: "checkpoint" })],
  [
    2,
    fc.record({
      do: fc.constant("ingest"),
      changes: fc.array(change, { minLength: 1, maxLength: 8 }),
      tables: fc.integer({ min: 1, max: 3 }),
    }),
  ],
  [
    2,
    fc.record({
      do: fc.constant("load"),
      changes: fc.array(fc.tuple(key, value), { maxLength: 12 }),
      insert: fc.integer({ min: 1, max: 4 }),
      givenUp: fc.constantFrom(false, false, true),
    }),
  ],
  [2, fc.constant({ do: "reopen" })],
  [1, fc.constant({ do: "readOnly" })],
  [1, fc.record({ do: fc.constant("size"), range: keyRange })],
  [1, fc.constant({ do: "check" })],
];

/** Lists of operations. */
export const operations: fc.Arbitrary<Operation[]> = fc.array(
  fc.oneof(
    ...WEIGHTED.map(([weight, arbitrary]) => ({ weight, arbitrary })),
  ),
  { minLength: 1, maxLength: OPERATIONS_MAX, size: "max" },
);

/** The bytes of a value as text. */
export function textOfValue([nonce, times]: Value): string {
  return `${nonce};`.repeat(times);
}
