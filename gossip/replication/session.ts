/**
 * Sessions: how a node catches up with what a donor's recent log no longer
 * reaches, and how a joiner gets its first copy (a session from an empty base).
 *
 * Guarantees: the donor reads one snapshot, V its vector; it sends every entry
 * whose dot the requester's base does not cover, newest writes only. The
 * requester stages all of it and applies it in one step (`Draft.ingest`), so that
 * no partial pass is ever visible and V covers nothing that is not here.
 *
 * A whole copy, whose base is empty, comes in the order of its keys, first the living
 * entries, then the dead ones. One that broke off goes on with the same donor or with
 * another one. What is here of it is all that a state of vector B had up to an entry.
 * Who has all that B covers, or was sent since, and relies on no tombstone that B
 * does not cover, sends the *difference*: its entries whose dots B does not cover,
 * wherever they stand; then the rest behind that entry. So each key comes once, and
 * then the copy is the state of V: of a key in front of that entry, what B covers
 * is the newest for V as well, unless it is in the difference. Only tombstones that
 * one of the two donors had collected, and the other one had not, may be here, or
 * not: every member has them, and the lives of both donors are kept.
 *
 * ```
 * offer := varint id | vector V | varint lifeGone | varint lifeFloor | vector floor
 *          varint intents, (txn dot, intent dot, varint length, body)*
 *          varint length, config | varint length, tenure (empty)
 *          varint n, (varint node, varint generation, 8 bytes nonce)*     incarnations
 *          u8 goesOn (0 | 1) | folds (fold.ts) | later fields, ignored
 * chunk := u8 flags (1 the last, 2 of the difference of a copy that goes on)
 *          varint n, (varint keyLength, key, varint rowLength, entry row)*
 * ```
 *
 * @module
 */

import {
  type Bytes,
  EMPTY_BYTES,
  isPromise,
  KEY_BYTES_MAX,
  NODE_KEY_MAX,
  ProtocolError,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import type { KVIterator, KVSnapshot } from "../../engine/kv.ts";
import {
  type Bank,
  indexOfKey,
  indexRange,
  openIntentOfKey,
  rowKey,
  Space,
  spacePrefix,
} from "../keyspace.ts";
import { type Dot, type Origin, originLane, readDot, writeDot } from "./dot.ts";
import { decodeEntry, type Entry } from "./entry.ts";
import { type Fold, readFolds, writeFolds } from "./fold.ts";
import type { Incarnation } from "./incarnation.ts";
import { Vector } from "./vector.ts";

/** Largest life of something gone: leaves room to count on. */
const LIFE_MAX = 2 ** 52;

/** What a chunk's flags say. */
const LAST = 1;
const DIFFERENCE = 2;

/** Entries that are read from a chunk at a time. */
const SLICE_ENTRIES = 64;

/** An intent that waits for its transaction. */
export interface OpenIntent {
  readonly txn: Dot;
  readonly intent: Dot;
  readonly body: Uint8Array;
}

/** What a donor says of a session before its entries. */
export interface SessionOffer {
  /** Names the session at the donor. */
  readonly id: number;
  /** What the session covers, with its base. */
  readonly vector: Vector;
  readonly lifeGone: number;
  readonly lifeFloor: number;
  /** Which records every member has, as far as the donor knows. */
  readonly floor: Vector;
  readonly intents: readonly OpenIntent[];
  /** The newest chosen config that the donor knows, encoded. */
  readonly config: Uint8Array;
  /** The starts of members that the donor has accepted, its own with them. */
  readonly incarnations: readonly Incarnation[];
  /** Whether it goes on where the requester said that its copy broke off. */
  readonly goesOn: boolean;
  /** The folds that the vector covers and the base does not; of a copy all of them. */
  readonly folds: readonly Fold[];
}

/** The entry up to which there is a part of a copy. */
export interface LastEntry {
  readonly dead: boolean;
  readonly key: Uint8Array;
}

/** Where a copy that broke off goes on. */
export interface CopyPoint {
  readonly last: LastEntry;
  /** The vector of the state that is here up to that entry. */
  readonly base: Vector;
  /** Covers that and all that came besides. */
  readonly reached: Vector;
}

/** A session, staged whole. */
export interface SessionData extends
  Pick<
    SessionOffer,
    | "vector"
    | "lifeGone"
    | "lifeFloor"
    | "floor"
    | "intents"
    | "incarnations"
    | "folds"
  > {
  /** Whether it is a whole copy, whose entries stand in the other bank. */
  readonly whole: boolean;
  /** What the requester had when it asked. */
  readonly base: Vector;
  readonly entries: readonly Entry[];
}

/** Encodes an offer. */
export function encodeOffer(offer: SessionOffer): Bytes {
  const writer = new Writer(1024).varint(offer.id);
  offer.vector.write(writer);
  writer.varint(offer.lifeGone).varint(offer.lifeFloor);
  offer.floor.write(writer);
  writer.varint(offer.intents.length);
  for (const { txn, intent, body } of offer.intents) {
    writeDot(writer, txn);
    writeDot(writer, intent);
    writer.bytes(body);
  }
  writer.bytes(offer.config).bytes(EMPTY_BYTES)
    .varint(offer.incarnations.length);
  for (const { node, generation, nonce } of offer.incarnations) {
    writer.varint(node).varint(generation).raw(nonce);
  }
  writer.u8(offer.goesOn ? 1 : 0);
  writeFolds(writer, offer.folds);
  return writer.finish();
}

/** Decodes an offer. */
export function decodeOffer(bytes: Uint8Array): SessionOffer {
  const reader = new Reader(bytes, "a session offer");
  const id = reader.varint();
  const vector = Vector.read(reader);
  const lifeGone = reader.count(LIFE_MAX);
  const lifeFloor = reader.count(LIFE_MAX);
  const floor = Vector.read(reader);
  const intents: OpenIntent[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    const txn = readDot(reader);
    const intent = readDot(reader);
    intents.push({ txn, intent, body: reader.bytes() });
  }
  const config = reader.bytes();
  reader.bytes();
  const incarnations: Incarnation[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    const node = reader.count(NODE_KEY_MAX);
    const generation = reader.varint();
    incarnations.push({ node, generation, nonce: reader.raw(8).slice() });
  }
  const goesOn = reader.u8() === 1;
  return {
    id,
    vector,
    lifeGone,
    lifeFloor,
    floor,
    intents,
    config,
    incarnations,
    goesOn,
    folds: readFolds(reader),
  };
}

/** A chunk, as it is read. */
export interface Chunk {
  /** Whether it is the last. */
  readonly last: boolean;
  /** Whether its entries may replace some that came before. */
  readonly replaces: boolean;
  /**
   * Its entries, some at a time: a copy has many, and what the garbage collector
   * finds alive makes it take more memory.
   */
  readonly slices: Generator<Entry[], void>;
}

/** Decodes a chunk; entries are views into it. */
export function decodeChunk(bytes: Uint8Array): Chunk {
  const reader = new Reader(bytes, "a session chunk");
  const flags = reader.u8();
  return {
    last: (flags & LAST) !== 0,
    replaces: (flags & DIFFERENCE) !== 0,
    slices: readSlices(reader),
  };
}

/** Whether a chunk is the last. */
export function isLast(chunk: Uint8Array): boolean {
  return (chunk[0]! & LAST) !== 0;
}

function* readSlices(reader: Reader): Generator<Entry[], void> {
  let entries: Entry[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    const key = reader.bytes(KEY_BYTES_MAX);
    if (key.length === 0) reader.fail("a key is empty");
    entries.push(decodeEntry(key, reader.bytes()));
    if (entries.length < SLICE_ENTRIES) continue;
    yield entries;
    entries = [];
  }
  if (entries.length > 0) yield entries;
}

/**
 * Checks that a session's vector covers its entries: what it did not cover could
 * not be built upon here, nor be pulled by anybody.
 *
 * @throws {ProtocolError} If it does not.
 */
export function checkCovered(
  entries: readonly Entry[],
  vector: Vector,
): void {
  for (const { origin, seq } of entries) {
    if (!vector.covers(origin, seq)) {
      throw new ProtocolError("a session has more than its vector covers");
    }
  }
}

/** The intents that wait in a snapshot. */
export async function readOpenIntents(
  snapshot: KVSnapshot,
  bank: Bank,
): Promise<OpenIntent[]> {
  const intents: OpenIntent[] = [];
  const rows = snapshot.iterate({
    prefix: spacePrefix(Space.OPEN_INTENT + bank),
  });
  try {
    for (;;) {
      const more = rows.next();
      if (!(isPromise(more) ? await more : more)) return intents;
      intents.push({ ...openIntentOfKey(rows.key), body: rows.value });
    }
  } finally {
    await rows.close();
  }
}

/** A durable state that does not change any more. */
export interface FrozenState {
  readonly snapshot: KVSnapshot;
  /** Where in it the copy of the data is. */
  readonly bank: Bank;
  /** What it covers. */
  readonly vector: Vector;
  readonly lifeGone: number;
  readonly lifeFloor: number;
  readonly floor: Vector;
}

interface FoundRow {
  readonly key: Uint8Array;
  readonly row: Uint8Array;
}

/**
 * The donor's side of a session: walks the index of a snapshot for what a base does
 * not cover; where that is everything the entries themselves, in the order of their
 * keys, which costs a tenth; of a copy that goes on first the one, then the other.
 */
export class SessionReader {
  readonly #snapshot: KVSnapshot;
  readonly #bank: Bank;
  readonly #base: Vector;
  readonly #goesOn: boolean;
  readonly #origins: Origin[];
  /** The stretches of entries that are still to be walked in their order. */
  readonly #stretches: { prefix: Bytes; start?: Bytes }[] = [];
  #rows: KVIterator | undefined;
  #origin = 0;
  /** Whether entries come in the order of their keys now. */
  #inOrder: boolean;

  /** What the snapshot covers. */
  readonly vector: Vector;

  /** @param last Where a copy goes on whose state up to there is that of the base. */
  constructor(
    { snapshot, bank, vector }: FrozenState,
    base: Vector,
    last?: LastEntry,
  ) {
    this.#snapshot = snapshot;
    this.#bank = bank;
    this.#base = base;
    this.#goesOn = last !== undefined;
    this.#inOrder = last === undefined && base.size === 0;
    this.vector = vector;
    this.#origins = [...vector.beyond(base).origins()];
    for (const space of [Space.LIVE, Space.DEAD]) {
      const prefix = spacePrefix(space + bank);
      if (last === undefined || last.dead !== (space === Space.DEAD)) {
        if (!last?.dead) this.#stretches.push({ prefix });
      } else {
        const start = Uint8Array.of(...prefix, ...last.key, 0);
        this.#stretches.push({ prefix, start });
      }
    }
  }

  /** The next chunk, of `bytesMax` bytes or one entry. */
  async chunk(bytesMax: number): Promise<Bytes> {
    const writer = new Writer(bytesMax + 4096);
    let count = 0;
    let flags = this.#goesOn && !this.#inOrder ? DIFFERENCE : 0;
    while (writer.length < bytesMax) {
      const found = await (this.#inOrder ? this.#nextInOrder() : this.#next());
      if (found === undefined) {
        if (flags === DIFFERENCE) this.#inOrder = true;
        else flags = LAST;
        break;
      }
      writer.bytes(found.key).bytes(found.row);
      count++;
    }
    return new Writer(writer.length + 8).u8(flags).varint(count)
      .raw(writer.view()).finish();
  }

  /** Lets go of the snapshot. */
  async close(): Promise<void> {
    await this.#rows?.close();
    await this.#snapshot.close();
  }

  /** The next entry of all; of a copy that goes on, of those that the base covers. */
  async #nextInOrder(): Promise<FoundRow | undefined> {
    for (;;) {
      if (this.#rows === undefined) {
        const stretch = this.#stretches.shift();
        if (stretch === undefined) return undefined;
        this.#rows = this.#snapshot.iterate(stretch);
      }
      const more = this.#rows.next();
      if (!(isPromise(more) ? await more : more)) {
        await this.#rows.close();
        this.#rows = undefined;
        continue;
      }
      const found = { key: this.#rows.key.subarray(1), row: this.#rows.value };
      if (!this.#goesOn || this.#isInBase(found)) return found;
    }
  }

  #isInBase({ key, row }: FoundRow): boolean {
    const { origin, seq } = decodeEntry(key, row);
    return this.#base.covers(origin, seq);
  }

  /** The next entry that the base does not cover. */
  async #next(): Promise<FoundRow | undefined> {
    for (;;) {
      if (this.#rows === undefined) {
        const origin = this.#origins.shift();
        if (origin === undefined) return undefined;
        // Most are covered whole, and an iteration of none costs as much as of a few.
        if (
          originLane(origin) === 0 &&
          this.#base.seq(origin) >= this.vector.seq(origin)
        ) continue;
        this.#origin = origin;
        const range = indexRange(
          this.#bank,
          origin,
          this.#base.seq(origin) + 1,
        );
        this.#rows = this.#snapshot.iterate({ ...range, keysOnly: true });
      }
      const more = this.#rows.next();
      if (!(isPromise(more) ? await more : more)) {
        await this.#rows.close();
        this.#rows = undefined;
        continue;
      }
      const { seq, key } = indexOfKey(this.#rows.key);
      if (this.#base.covers(this.#origin, seq)) continue;
      for (const space of [Space.LIVE, Space.DEAD]) {
        const found = this.#snapshot.get(rowKey(space + this.#bank, key));
        const row = isPromise(found) ? await found : found;
        if (row !== undefined) return { key, row };
      }
    }
  }
}
