/**
 * Carries a list of operations out, on a store or on a sorted list in memory,
 * and tells what was read: the two must tell the same, whatever the options.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Bytes } from "../../runtime/mod.ts";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import type { RangeIterator } from "../iterator/range_iterator.ts";
import type { BatchOp, IterateOptions, Row } from "../kv.ts";
import { type Lsm, type LsmSnapshot, openLsm } from "../lsm.ts";
import { LEVEL0_TRIGGER } from "../options.ts";
import type { KeyRange } from "../range.ts";
import { buildTable } from "../upkeep/build_table.ts";
import { checkLsm, type CheckReport } from "../upkeep/check.ts";
import { destroyLsm } from "../upkeep/destroy.ts";
import { FaultyFiles } from "./faulty_files.ts";
import {
  type Change,
  type Operation,
  textOfValue,
  type TextRange,
} from "./operations.ts";
import type { OptionSet } from "./option_sets.ts";

const DIR = "store";

/** Snapshots, iterators and jobs that are kept, at most, of each. */
const KEPT_MAX = 4;

/** What carries operations out. */
interface Subject {
  /** Does it, and tells what was read. */
  do(operation: Operation): Promise<string>;
  /** Does what must hold at the end of any list, and tells all that is seen. */
  end(): Promise<string>;
}

/** What a sorted list in memory tells: a text an operation, and one at the end. */
export function historyOfModel(
  operations: readonly Operation[],
): Promise<string[]> {
  return historyOf(operations, new ModelSubject(), undefined);
}

/**
 * What a store tells. Throws at the first text that is another than expected,
 * and at whatever else a store must not do.
 */
export async function historyOfStore(
  operations: readonly Operation[],
  optionsOf: OptionSet,
  expected: readonly string[],
): Promise<string[]> {
  const subject = await StoreSubject.open(optionsOf);
  return await historyOf(operations, subject, expected);
}

async function historyOf(
  operations: readonly Operation[],
  subject: Subject,
  expected: readonly string[] | undefined,
): Promise<string[]> {
  const history: string[] = [];
  for (let at = 0; at <= operations.length; at++) {
    const operation = operations[at];
    const fail = (what: string, cause?: unknown): never => {
      const step = operation === undefined
        ? "the end"
        : JSON.stringify(operation).slice(0, 300);
      throw new Error(`step ${at}, ${step}: ${what}`, { cause });
    };
    let told: string;
    try {
      told =
        await (operation === undefined ? subject.end() : subject.do(operation));
    } catch (cause) {
      return fail((cause as Error).message, cause);
    }
    if (expected !== undefined && told !== expected[at]) {
      fail(difference(told, expected[at]!));
    }
    history.push(told);
  }
  return history;
}

/** Where two texts begin to differ. */
function difference(told: string, expected: string): string {
  let at = 0;
  while (at < told.length && told[at] === expected[at]) at++;
  const show = (text: string) =>
    JSON.stringify(text.slice(Math.max(0, at - 30), at + 60));
  return `from character ${at} on ${show(told)}, not ${show(expected)}`;
}

/** A list of kept things, of which the oldest goes when there are too many. */
function keep<T>(kept: T[], thing: T): T | undefined {
  kept.push(thing);
  return kept.length > KEPT_MAX ? kept.shift() : undefined;
}

function textOfPair(key: string, value: string): string {
  return `${key}=${value}`;
}

function textOfList(texts: readonly string[]): string {
  return `${texts.length}: ${texts.join("|")}`;
}

function textOfOptional(value: string | undefined): string {
  return value === undefined ? "absent" : `=${value}`;
}

/** The state of a moment; never changed. */
type State = ReadonlyMap<string, string>;

/** Where an iterator over a sorted list is. */
interface ModelIterator {
  readonly pairs: readonly (readonly [string, string])[];
  readonly range: TextRange;
  at: number;
  over: boolean;
}

/** A sorted list in memory. */
class ModelSubject implements Subject {
  #state: State = new Map();
  #snapshots: State[] = [];
  #iterators: ModelIterator[] = [];

  // deno-lint-ignore require-await -- as a store does it
  async do(operation: Operation): Promise<string> {
    switch (operation.do) {
      case "write":
        for (const { changes } of operation.batches) this.#apply(changes);
        return "";
      case "get":
        return textOfOptional(this.#view(operation.from).get(operation.key));
      case "getMany": {
        const view = this.#view(operation.from);
        return textOfList(
          operation.keys.map((key) => textOfOptional(view.get(key))),
        );
      }
      case "list":
        return listOf(this.#view(operation.from), operation.range);
      case "count":
        return `${pairsOf(this.#view(operation.from), operation.range).length}`;
      case "snapshot":
        keep(this.#snapshots, this.#state);
        return "";
      case "closeSnapshot":
        this.#snapshots.splice(operation.at % KEPT_MAX, 1);
        return "";
      case "iterate":
        keep(this.#iterators, {
          pairs: pairsOf(this.#view(operation.from), operation.range),
          range: operation.range,
          at: 0,
          over: false,
        });
        return "";
      case "step":
        return this.#step(operation);
      case "closeIterator":
        this.#iterators.splice(operation.at % KEPT_MAX, 1);
        return "";
      case "deleteRange": {
        const pairs = pairsOf(this.#state, operation.range);
        this.#apply(pairs.map(([key]) => [key, null]));
        return `${pairs.length}`;
      }
      case "ingest":
        this.#apply(sortedChanges(operation.changes));
        return "";
      case "load":
        if (!operation.givenUp) this.#apply(sortedChanges(operation.changes));
        return "";
      case "reopen":
        this.#snapshots = [];
        this.#iterators = [];
        return "";
      case "checkpoint":
      case "readOnly":
        return listOf(this.#state, {});
      case "flush":
      case "idle":
      case "compact":
      case "begin":
      case "size":
      case "check":
        return "";
    }
  }

  // deno-lint-ignore require-await -- as a store does it
  async end(): Promise<string> {
    return [...this.#snapshots, this.#state]
      .map((state) => listOf(state, {})).join("\n");
  }

  #view(from: number): State {
    const at = from % (this.#snapshots.length + 1);
    return at === 0 ? this.#state : this.#snapshots[at - 1]!;
  }

  #apply(changes: readonly Change[]): void {
    const state = new Map(this.#state);
    for (const [key, value] of changes) {
      if (value === null) state.delete(key);
      else state.set(key, textOfValue(value));
    }
    this.#state = state;
  }

  #step({ at, steps, seek }: Operation & { do: "step" }): string {
    const iterator = this.#iterators[at % KEPT_MAX];
    if (iterator === undefined) return "";
    const { pairs, range } = iterator;
    if (seek !== undefined && !iterator.over) {
      const found = pairs.findIndex(([key]) =>
        range.reverse ? key <= seek : key >= seek
      );
      iterator.at = found < 0 ? pairs.length : found;
    }
    const texts: string[] = [];
    for (let n = 0; n < steps; n++) {
      const pair = iterator.over ? undefined : pairs[iterator.at++];
      if (pair === undefined) {
        iterator.over = true;
        texts.push("over");
      } else texts.push(range.keysOnly ? pair[0] : textOfPair(...pair));
    }
    return textOfList(texts);
  }
}

function pairsOf(
  state: State,
  { start, end, prefix, reverse }: TextRange,
): [string, string][] {
  // A character is a byte, so texts sort as bytes do.
  const pairs = [...state].filter(([key]) =>
    (start === undefined || key >= start) && (end === undefined || key < end) &&
    (prefix === undefined || key.startsWith(prefix))
  ).sort(([a], [b]) => (a < b ? -1 : 1));
  return reverse ? pairs.reverse() : pairs;
}

function listOf(state: State, range: TextRange): string {
  return textOfList(
    pairsOf(state, range).map((pair) =>
      range.keysOnly ? pair[0] : textOfPair(...pair)
    ),
  );
}

/** A key once, the last of its changes, by key: what a table can hold. */
function sortedChanges(changes: readonly Change[]): Change[] {
  return [...new Map(changes)].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** What a store can read, at the moment or as of a snapshot. */
type View = Lsm | LsmSnapshot;

/** A store. */
class StoreSubject implements Subject {
  readonly #files: FaultyFiles;
  readonly #optionsOf: OptionSet;
  #store: Lsm;
  #opened = 1;
  #snapshots: LsmSnapshot[] = [];
  #iterators: { iterator: RangeIterator; keysOnly: boolean }[] = [];
  #jobs: Promise<void>[] = [];

  private constructor(files: FaultyFiles, optionsOf: OptionSet, store: Lsm) {
    this.#files = files;
    this.#optionsOf = optionsOf;
    this.#store = store;
  }

  static async open(optionsOf: OptionSet): Promise<StoreSubject> {
    // They never fail; they count what is open.
    const files = new FaultyFiles(new MemoryFiles(), () => false);
    const store = await openLsm(DIR, { ...optionsOf(files, 0), files });
    return new StoreSubject(files, optionsOf, store);
  }

  async do(operation: Operation): Promise<string> {
    switch (operation.do) {
      case "write":
        await this.#write(operation.batches);
        return "";
      case "get":
        return take(this.#view(operation.from).get(bytesOf(operation.key)));
      case "getMany":
        return textOfList(
          this.#view(operation.from).getMany(operation.keys.map(bytesOf))
            .map(take),
        );
      case "list":
        return readAll(this.#view(operation.from), operation.range);
      case "count":
        return `${this.#view(operation.from).count(rangeOf(operation.range))}`;
      case "snapshot":
        keep(this.#snapshots, this.#store.snapshot())?.close();
        return "";
      case "closeSnapshot":
        this.#snapshots.splice(operation.at % KEPT_MAX, 1)[0]?.close();
        return "";
      case "iterate":
        keep(this.#iterators, {
          iterator: this.#view(operation.from).iterate(
            rangeOf(operation.range),
          ),
          keysOnly: operation.range.keysOnly ?? false,
        })?.iterator.close();
        return "";
      case "step":
        return this.#step(operation);
      case "closeIterator":
        this.#iterators.splice(operation.at % KEPT_MAX, 1)[0]?.iterator.close();
        return "";
      case "deleteRange": {
        const { range, sync } = operation;
        return `${await this.#store.deleteRange(keyRangeOf(range), { sync })}`;
      }
      case "flush":
        await this.#store.flush();
        return "";
      case "idle":
        await this.#store.idle();
        return "";
      case "compact":
        await this.#store.compact(keyRangeOf(operation.range));
        return "";
      case "begin":
        await keep(this.#jobs, this.#store[operation.job]());
        return "";
      case "checkpoint":
        return await this.#checkpoint();
      case "ingest":
        await this.#ingest(sortedChanges(operation.changes), operation.tables);
        return "";
      case "load":
        await this.#load(operation);
        return "";
      case "reopen":
        await this.#reopen();
        return "";
      case "readOnly":
        return await this.#readOnly();
      case "size":
        this.#size(keyRangeOf(operation.range));
        return "";
      case "check":
        expectSound(await this.#store.check());
        return "";
    }
  }

  async end(): Promise<string> {
    await this.#store.compact();
    const before = readAll(this.#store, {});
    const told = [...this.#snapshots.map((each) => readAll(each, {})), before]
      .join("\n");
    await this.#reopen();
    expectSame(readAll(this.#store, {}), before, "after another open");
    await this.#store.idle();
    const [level0] = this.#store.stats().tables;
    if (level0! >= LEVEL0_TRIGGER) {
      throw new Error(`level 0 has ${level0} tables though nothing is to do`);
    }
    await this.#store.compact();
    expectSame(readAll(this.#store, {}), before, "after a compaction");
    expectSound(await this.#store.check());
    expectSame(await this.#readOnly(), before, "read only");
    await this.#close();
    expectSound(await checkLsm(DIR, { files: this.#files }));
    expectSame(await this.#readOnly(), before, "read only, once closed");
    if (this.#files.handles > 0) {
      throw new Error(`${this.#files.handles} files are open after the close`);
    }
    return told;
  }

  #view(from: number): View {
    const at = from % (this.#snapshots.length + 1);
    return at === 0 ? this.#store : this.#snapshots[at - 1]!;
  }

  async #write(
    batches: (Operation & { do: "write" })["batches"],
  ): Promise<void> {
    await Promise.all(batches.map(async ({ changes, sync }) => {
      const batch = changes.map(opOf);
      await this.#store.write(batch, { sync });
      // They are the caller's again.
      for (const { key, value } of batch) {
        key.fill(0xee);
        value?.fill(0xee);
      }
    }));
  }

  #step({ at, steps, seek }: Operation & { do: "step" }): string {
    const kept = this.#iterators[at % KEPT_MAX];
    if (kept === undefined) return "";
    const { iterator, keysOnly } = kept;
    if (seek !== undefined) iterator.seek(bytesOf(seek));
    const texts: string[] = [];
    for (let n = 0; n < steps; n++) {
      texts.push(iterator.next() ? takePair(iterator, keysOnly) : "over");
    }
    return textOfList(texts);
  }

  async #checkpoint(): Promise<string> {
    await this.#store.checkpoint("copy");
    const files = this.#files;
    const options = { ...this.#optionsOf(files, this.#opened), files };
    const copy = await openLsm("copy", options);
    const told = readAll(copy, {});
    expectSound(await copy.check());
    await copy.close();
    await destroyLsm("copy", { files });
    return told;
  }

  async #ingest(changes: readonly Change[], tables: number): Promise<void> {
    const paths: string[] = [];
    const size = Math.ceil(changes.length / tables);
    for (let from = 0; from < changes.length; from += size) {
      const path = `table ${from}`;
      paths.unshift(path);
      using table = buildTable(path, { files: this.#files, blockBytes: 100 });
      for (const change of changes.slice(from, from + size)) {
        const { key, value } = opOf(change);
        if (value === undefined) table.delete(key);
        else table.set(key, value);
      }
      await table.finish();
    }
    await this.#store.ingest(paths);
    for (const path of paths) this.#files.remove(path);
  }

  async #load(
    { changes, insert, givenUp }: Operation & { do: "load" },
  ): Promise<void> {
    const load = await this.#store.load();
    const rows = sortedChanges(changes).map(opOf) as Row[];
    try {
      for (let at = 0; at < rows.length; at++) {
        const row = rows[at]!;
        await (at % insert === 0 ? load.insert([row]) : load.append([row]));
        // They are the caller's again.
        row.key.fill(0xee);
        row.value.fill(0xee);
      }
      if (!givenUp) await load.finish();
    } finally {
      await load.close();
    }
  }

  async #reopen(): Promise<void> {
    await this.#close();
    const files = this.#files;
    const options = this.#optionsOf(files, this.#opened++);
    this.#store = await openLsm(DIR, { ...options, files });
  }

  async #close(): Promise<void> {
    for (const snapshot of this.#snapshots) snapshot.close();
    for (const { iterator } of this.#iterators) iterator.close();
    this.#snapshots = [];
    this.#iterators = [];
    await Promise.all(this.#jobs);
    this.#jobs = [];
    await this.#store.close();
  }

  async #readOnly(): Promise<string> {
    const files = this.#files;
    const options = this.#optionsOf(files, this.#opened);
    const store = await openLsm(DIR, { ...options, files, readOnly: true });
    const told = readAll(store, {});
    const backward = textsOf(store, { reverse: true }).reverse();
    expectSame(textOfList(backward), told, "backward");
    await store.close();
    return told;
  }

  #size(range: KeyRange): void {
    const store = this.#store;
    const whole = store.approximateSize();
    const { tableBytes } = store.stats();
    const part = store.approximateSize(range);
    const { start } = range;
    const left = store.approximateSize({ end: start });
    const right = store.approximateSize({ start });
    if (
      whole !== tableBytes || part < 0 || part > whole ||
      left + right < whole
    ) {
      throw new Error(
        `sizes ${[part, left, right]} of a whole of ${whole}, ${tableBytes}`,
      );
    }
  }
}

function bytesOf(text: string): Bytes {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

function opOf([key, value]: Change): BatchOp {
  return {
    key: bytesOf(key),
    value: value === null ? undefined : bytesOf(textOfValue(value)),
  };
}

function keyRangeOf({ start, end }: TextRange): KeyRange {
  return {
    start: start === undefined ? undefined : bytesOf(start),
    end: end === undefined ? undefined : bytesOf(end),
  };
}

function rangeOf(range: TextRange): IterateOptions {
  const { prefix, reverse, keysOnly } = range;
  return {
    ...keyRangeOf(range),
    prefix: prefix === undefined ? undefined : bytesOf(prefix),
    reverse,
    keysOnly,
  };
}

/** Text of bytes that are now the caller's, who may change them. */
function takeText(bytes: Bytes): string {
  const { buffer, byteOffset, length } = bytes;
  const text = Buffer.from(buffer, byteOffset, length).toString("latin1");
  bytes.fill(0xdd);
  return text;
}

function take(value: Bytes | undefined): string {
  return textOfOptional(value && takeText(value));
}

function takePair(iterator: RangeIterator, keysOnly: boolean): string {
  if (keysOnly) return takeText(iterator.key);
  // Taken before the key, of which it is no part.
  const value = takeText(iterator.value);
  return textOfPair(takeText(iterator.key), value);
}

function readAll(view: View, range: TextRange): string {
  return textOfList(textsOf(view, range));
}

function textsOf(view: View, range: TextRange): string[] {
  const texts: string[] = [];
  using iterator = view.iterate(rangeOf(range));
  while (iterator.next()) {
    texts.push(takePair(iterator, range.keysOnly ?? false));
  }
  return texts;
}

function expectSame(told: string, before: string, when: string): void {
  if (told !== before) throw new Error(`${when} ${difference(told, before)}`);
}

function expectSound({ damages }: CheckReport): void {
  if (damages.length > 0) {
    throw new Error(`check finds ${JSON.stringify(damages)}`);
  }
}
