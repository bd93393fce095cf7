/**
 * Sessions: how a node catches up with what a donor's recent log no longer
 * reaches, and how a joiner gets its first copy (a session from an empty base).
 *
 * Guarantees: the donor reads one snapshot, V its vector; it sends every entry
 * whose dot the requester's base does not cover, newest writes only. The
 * requester stages all of it and applies it in one step (`Draft.ingest`), so that
 * no partial pass is ever visible and V covers nothing that is not here.
 *
 * ```
 * offer := varint id | vector V | varint lifeGone | varint lifeFloor | vector floor
 *          varint intents, (txn dot, intent dot, varint length, body)*
 *          varint length, config | varint length, tenure (empty)
 *          varint n, (varint node, varint generation, 8 bytes nonce)*     incarnations
 *          folds (fold.ts)
 *          later fields, ignored
 * chunk := u8 last (0 | 1) | varint n, (varint keyLength, key, varint rowLength, entry row)*
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
  /** The folds that the vector covers and the base does not. */
  readonly folds: readonly Fold[];
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
  return {
    id,
    vector,
    lifeGone,
    lifeFloor,
    floor,
    intents,
    config,
    incarnations,
    folds: readFolds(reader),
  };
}

/** Decodes a chunk: its entries, and whether it is the last. */
export function decodeChunk(
  bytes: Uint8Array,
): { entries: Entry[]; last: boolean } {
  const reader = new Reader(bytes, "a session chunk");
  const last = reader.u8() === 1;
  const entries: Entry[] = [];
  for (let n = reader.count(reader.remaining); n > 0; n--) {
    const key = reader.bytes(KEY_BYTES_MAX);
    if (key.length === 0) reader.fail("a key is empty");
    entries.push(decodeEntry(key, reader.bytes()));
  }
  return { entries, last };
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
 * keys, which costs a tenth.
 */
export class SessionReader {
  readonly #snapshot: KVSnapshot;
  readonly #bank: Bank;
  readonly #base: Vector;
  readonly #origins: Origin[];
  /** The namespaces that are still to be walked where the base is empty. */
  readonly #spaces: number[] = [Space.LIVE, Space.DEAD];
  #rows: KVIterator | undefined;
  #origin = 0;

  /** What the snapshot covers. */
  readonly vector: Vector;

  constructor({ snapshot, bank, vector }: FrozenState, base: Vector) {
    this.#snapshot = snapshot;
    this.#bank = bank;
    this.#base = base;
    this.vector = vector;
    this.#origins = [...vector.beyond(base).origins()];
  }

  /** The next chunk, of `bytesMax` bytes or one entry. */
  async chunk(bytesMax: number): Promise<Bytes> {
    const writer = new Writer(bytesMax + 4096);
    let count = 0;
    let last = false;
    const isWhole = this.#base.size === 0;
    while (writer.length < bytesMax) {
      const found = await (isWhole ? this.#nextOfAll() : this.#next());
      if (found === undefined) {
        last = true;
        break;
      }
      writer.bytes(found.key).bytes(found.row);
      count++;
    }
    return new Writer(writer.length + 8).u8(last ? 1 : 0).varint(count)
      .raw(writer.view()).finish();
  }

  /** Lets go of the snapshot. */
  async close(): Promise<void> {
    await this.#rows?.close();
    await this.#snapshot.close();
  }

  /** The next entry of all. */
  async #nextOfAll(): Promise<FoundRow | undefined> {
    for (;;) {
      if (this.#rows === undefined) {
        const space = this.#spaces.shift();
        if (space === undefined) return undefined;
        const prefix = spacePrefix(space + this.#bank);
        this.#rows = this.#snapshot.iterate({ prefix });
      }
      const more = this.#rows.next();
      if (isPromise(more) ? await more : more) {
        return { key: this.#rows.key.subarray(1), row: this.#rows.value };
      }
      await this.#rows.close();
      this.#rows = undefined;
    }
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
