/**
 * Folds: how ended origins are left out of vectors (docs/fold.md).
 *
 * A fold is a record that says: who covers me covers these, a list of origins, each
 * with a seq. Guarantees: that is a fact for ever, since a dot names one record; a
 * vector that covers the fold says the same whether it names the origins of its list
 * or not. So nothing is lost if a list is known that is not needed, and one may list
 * any origin, also one that has not ended.
 *
 * Assumes: whoever covers a fold knows its list (draft.ts): lists come with the
 * record, or with a session.
 *
 * ```
 * row      := varint n, n x dot              named by the dot of the fold
 * in offer := varint folds, folds x (dot, varint n, n x dot)
 * ```
 *
 * @module
 */

import { Reader, Writer } from "../../runtime/mod.ts";
import type { BatchOp } from "../../engine/kv.ts";
import { foldKey } from "../keyspace.ts";
import {
  type Dot,
  type Origin,
  originLane,
  originNode,
  readDot,
  writeDot,
} from "./dot.ts";
import type { Vector } from "./vector.ts";

/** Origins that one fold lists at most: its record fits into a push. */
export const FOLD_LIST_MAX = 4096;

/** A fold: who covers its dot covers its list. */
export interface Fold extends Dot {
  /** The last covered record of each origin. */
  readonly list: readonly Dot[];
}

/** The folds that a node knows. Only ever added to. */
export class Folds {
  readonly #all: Fold[] = [];
  readonly #byOrigin = new Map<Origin, Fold[]>();
  /** What they list, the largest seq of each origin. */
  readonly #listed = new Map<Origin, number>();
  readonly #listing = new Map<Origin, Fold[]>();
  /** The newest fold of each origin, but of those that another fold covers. */
  readonly #tops = new Map<Origin, number>();

  /** How many there are. */
  get size(): number {
    return this.#all.length;
  }

  /** How many origins they list. */
  get origins(): number {
    return this.#listed.size;
  }

  /** All of them. */
  all(): readonly Fold[] {
    return this.#all;
  }

  /** Those that are records of an origin. */
  of(origin: Origin): readonly Fold[] | undefined {
    return this.#byOrigin.get(origin);
  }

  /** Those that list an origin. */
  listing(origin: Origin): readonly Fold[] | undefined {
    return this.#listing.get(origin);
  }

  /** The largest seq that is listed of an origin; 0 for none. */
  listed(origin: Origin): number {
    return this.#listed.get(origin) ?? 0;
  }

  /** The origins that are listed. */
  listedOrigins(): Iterable<Origin> {
    return this.#listed.keys();
  }

  /** Who covers these covers all folds. */
  tops(): Iterable<[Origin, number]> {
    return this.#tops;
  }

  /** Adds one, unless it is known. */
  add(fold: Fold): void {
    const { origin, seq, list } = fold;
    const known = this.#byOrigin.get(origin) ?? [];
    if (known.some((other) => other.seq === seq)) return;
    this.#byOrigin.set(origin, [...known, fold]);
    this.#all.push(fold);
    const top = Math.max(seq, this.#tops.get(origin) ?? 0);
    if (this.listed(origin) < top) this.#tops.set(origin, top);
    for (const dot of list) {
      // Of lane 1 a seq does not say what is covered before it.
      if (originLane(dot.origin) === 1) continue;
      const listed = Math.max(dot.seq, this.listed(dot.origin));
      this.#listed.set(dot.origin, listed);
      const listing = this.#listing.get(dot.origin) ?? [];
      this.#listing.set(dot.origin, [...listing, fold]);
      if ((this.#tops.get(dot.origin) ?? Infinity) <= listed) {
        this.#tops.delete(dot.origin);
      }
    }
  }
}

/** The origins of some nodes that a node would fold: none, if it is not worth it. */
export function foldable(
  { origin: present, floor }: {
    readonly origin: Origin | undefined;
    readonly floor: Vector;
  },
  vector: Vector,
  isOver: (node: number) => boolean,
): Dot[] {
  const list: Dot[] = [];
  for (const origin of vector.origins()) {
    if (origin === present || originLane(origin) === 1) continue;
    const seq = vector.seq(origin);
    if (seq === 0 || list.length === FOLD_LIST_MAX) continue;
    // Folded, but not yet everywhere; or not everywhere what is to be folded. A fold
    // that is known and not covered may be gone for ever, with all that a node wrote
    // before it was reset.
    if (vector.isFolded(origin) || floor.seq(origin) < seq) continue;
    if (isOver(originNode(origin))) list.push({ origin, seq });
  }
  // An origin that is opened to end one other makes nothing shorter.
  return list.length < (present === undefined ? 2 : 1) ? [] : list;
}

/** What makes the list of a fold durable. */
export function foldOp(fold: Fold): BatchOp {
  const writer = new Writer(16 + fold.list.length * 14);
  writeList(writer, fold.list);
  return { key: foldKey(fold), value: writer.finish() };
}

/** Reads what {@linkcode foldOp} wrote. */
export function readFold(dot: Dot, row: Uint8Array): Fold {
  return { ...dot, list: readList(new Reader(row, "a fold")) };
}

/** Writes folds into a format. */
export function writeFolds(writer: Writer, folds: readonly Fold[]): void {
  writer.varint(folds.length);
  for (const fold of folds) {
    writeDot(writer, fold);
    writeList(writer, fold.list);
  }
}

/** Reads what {@linkcode writeFolds} wrote. */
export function readFolds(reader: Reader): Fold[] {
  const folds: Fold[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    folds.push({ ...readDot(reader), list: readList(reader) });
  }
  return folds;
}

function writeList(writer: Writer, list: readonly Dot[]): void {
  writer.varint(list.length);
  for (const dot of list) writeDot(writer, dot);
}

function readList(reader: Reader): Dot[] {
  const list: Dot[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    list.push(readDot(reader));
  }
  return list;
}
