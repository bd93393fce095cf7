/**
 * Who is there: the records of all nodes, spread by susceptible/infected gossip
 * and never forgotten.
 *
 * Guarantees: of each node the record of the highest standing wins, in whatever
 * order they come; a message is merged in one synchronous step and told of
 * afterwards; a node's own record is written by itself only, and what others say
 * of its state it answers with a newer one. One exchange (sync, ack, and their
 * replies) makes both sides equal, as far as the messages' size allows; what did
 * not fit goes with a later one.
 *
 * Assumes: the caller persists {@linkcode Members.encode} when it changes, and
 * raises the generation, durably, before each start.
 *
 * ```text
 * state file := u8 version 1 | u16 own key | records (messages.ts)
 * ```
 *
 * The hash of the state is the sum, modulo 2^32 and in two ways, of a mix of each
 * node's key and standing, so that it is kept up in O(1). At rest an exchange is
 * one hash and an empty reply.
 *
 * @module
 */

import {
  EMPTY_BYTES,
  equalBytes,
  FormatVersionError,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import type { Bytes } from "../../runtime/mod.ts";
import {
  decodeAck,
  decodeRecords,
  decodeStandings,
  decodeSync,
  encodeAck,
  encodeRecords,
  encodeStandings,
  readRecords,
} from "./messages.ts";
import {
  compareStandings,
  isPlausible,
  nodeRecord,
  NONCE_BYTES,
  rankOf,
  sameStanding,
  toNode,
  writeNodeRecord,
} from "./node_record.ts";
import type { Node, NodeRecord, Standing } from "./node_record.ts";

/** The format of the persisted state. */
const VERSION = 1;

/** What became of a node; a version alone is no change. */
export type MemberChange =
  | { readonly type: "added"; readonly node: Node }
  | { readonly type: "updated"; readonly old: Node; readonly node: Node }
  | { readonly type: "removed"; readonly node: Node };

/** A start of a node, and where it was, as far as known. */
export type NodeStart = Pick<NodeRecord, "key" | "address" | "generation">;

/** What merging records, or hearing how this node stands with others, did. */
export interface MergeOutcome {
  /** What became of nodes, in the order of the records. */
  readonly changes: readonly MemberChange[];
  /**
   * Another start of this very node, of this generation or a later one: another
   * process runs with a copy of its directory, or its disk was put back to an older
   * image. What it said was not taken.
   */
  readonly cloned: NodeStart | undefined;
  /** Whether others doubted this node, and it has said something newer. */
  readonly refuted: boolean;
}

/** What the state file holds. */
export interface StoredMembers {
  /** What this node last said of itself. */
  readonly self: NodeRecord;
  /** The other nodes. */
  readonly others: readonly NodeRecord[];
}

const NOTHING: MergeOutcome = {
  changes: [],
  cloned: undefined,
  refuted: false,
};

/** Options for {@linkcode Members}. */
export interface MembersOptions {
  /** The other nodes known, from {@linkcode decodeMembers}. */
  others?: Iterable<NodeRecord>;
  /** Called after each step that changed something. Must not throw. */
  onChange?: (changes: readonly MemberChange[]) => void;
}

/** The records of all nodes. */
export class Members {
  readonly #records = new Map<number, NodeRecord>();
  readonly #onChange: ((changes: readonly MemberChange[]) => void) | undefined;
  #removed: ReadonlySet<number> = new Set();
  #self: NodeRecord;
  #hashLow = 0;
  #hashHigh = 0;

  /** Makes the records of a node that says `self` of itself. */
  constructor(self: NodeRecord, options: MembersOptions = {}) {
    this.#self = self;
    this.#put(self);
    for (const record of options.others ?? []) {
      if (record.key !== self.key) this.#put(record);
    }
    this.#onChange = options.onChange;
  }

  /** What this node says of itself. */
  get self(): NodeRecord {
    return this.#self;
  }

  /** How many nodes are known, this one included. */
  get size(): number {
    return this.#records.size;
  }

  /** What a node last said of itself, as far as known. */
  get(key: number): NodeRecord | undefined {
    return this.#records.get(key);
  }

  /** What every node last said of itself. */
  records(): IterableIterator<NodeRecord> {
    return this.#records.values();
  }

  /** The nodes of this moment, by node key. */
  nodes(): Map<number, Node> {
    const nodes = new Map<number, Node>();
    for (const record of this.#records.values()) {
      nodes.set(record.key, toNode(record));
    }
    return nodes;
  }

  /**
   * Says something new of this node.
   *
   * @throws {LimitError} If the address is too long.
   */
  update(news: Partial<Pick<NodeRecord, "address" | "state">>): void {
    const old = this.#self;
    this.#say(nodeRecord({ ...old, ...news, version: old.version + 1 }));
  }

  /**
   * Knows of a node that was given its key and has said nothing yet. Where it dies
   * before its first word, it is a member all the same, which users must see: the
   * others wait for what it has (replication.md §5) until it is removed.
   */
  expect(key: number, address: string): void {
    if (this.#records.has(key)) return;
    const nonce = new Uint8Array(NONCE_BYTES);
    this.merge([
      nodeRecord({ key, address, generation: 0, nonce, state: "suspect" }),
    ]);
  }

  /**
   * Says of another node that it is doing worse than it said itself; nothing
   * happens where that, or worse, is known.
   */
  accuse(key: number, state: "suspect" | "dead"): void {
    const old = this.#records.get(key);
    if (
      old === undefined || key === this.#self.key ||
      rankOf(state) <= rankOf(old.state)
    ) return;
    this.merge([{ ...old, state }]);
  }

  /**
   * Answers doubts about this node by a newer record, if what is said of it is
   * worse than what it says itself.
   *
   * @param said What some node has of this one.
   * @returns Whether there was anything to answer.
   */
  refute(said: Standing): boolean {
    const self = this.#self;
    if (
      said.generation !== self.generation || said.version < self.version ||
      rankOf(said.state) <= rankOf(self.state) || !isPlausible(said)
    ) return false;
    this.#say({ ...self, version: said.version + 1 });
    return true;
  }

  /**
   * Takes how this node stands with another one: answers doubts, and hears of another
   * start of it. Of two starts of one generation a record tells of one only, and it
   * may be this one's own that stands higher.
   */
  stands(said: Standing): MergeOutcome {
    const changes: readonly MemberChange[] = [];
    if (!this.#isForeign(said)) {
      return { changes, cloned: undefined, refuted: this.refute(said) };
    }
    const { key, address } = this.#self;
    const cloned = { key, address, generation: said.generation };
    return { changes, cloned, refuted: false };
  }

  /**
   * Says all of this node again, above what another start of it has said: a copy
   * of its directory that runs or ran elsewhere, or itself, before its disk was
   * put back. What that has said would stand for ever.
   *
   * @param generation Above that of the other start, and durable.
   */
  reassert(generation: number): void {
    if (generation <= this.#self.generation) return;
    this.#say({ ...this.#self, generation, version: 0 });
  }

  /**
   * Takes what a whole other view has that stands higher: a node that is dead there
   * is suspect here, if it was not dead here. Whoever was alone calls everybody
   * dead; this node finds out by itself, or is told by those who did.
   */
  #mergeView(records: Iterable<NodeRecord>): MergeOutcome {
    return this.merge(Array.from(records, (record) => {
      const old = this.#records.get(record.key);
      return record.state !== "dead" || old === undefined ||
          old.state === "dead" || old.state === "left"
        ? record
        : { ...record, state: "suspect" as const };
    }));
  }

  /** Takes the records of a higher standing than those known. */
  merge(records: Iterable<NodeRecord>): MergeOutcome {
    const changes: MemberChange[] = [];
    let cloned: NodeStart | undefined;
    let refuted = false;
    for (const record of records) {
      if (record.key === this.#self.key) {
        if (this.#isForeign(record)) {
          if (cloned === undefined || cloned.generation < record.generation) {
            cloned = record;
          }
        } else if (this.refute(record)) refuted = true;
        continue;
      }
      if (this.#removed.has(record.key) || !isPlausible(record)) continue;
      const old = this.#records.get(record.key);
      if (old !== undefined && compareStandings(record, old) <= 0) continue;
      this.#put(record);
      if (old === undefined) {
        changes.push({ type: "added", node: toNode(record) });
      } else if (!sameStanding(old, record)) {
        changes.push({
          type: "updated",
          old: toNode(old),
          node: toNode(record),
        });
      }
    }
    if (changes.length > 0) this.#onChange?.(changes);
    return { changes, cloned, refuted };
  }

  /**
   * Drops the nodes that the cluster has removed, and lets gossip not bring
   * them back. This node itself stays.
   *
   * @param keys All node keys that the config retired.
   */
  exclude(keys: Iterable<number>): readonly MemberChange[] {
    this.#removed = new Set(keys);
    const changes: MemberChange[] = [];
    for (const key of this.#removed) {
      const record = this.#records.get(key);
      if (record === undefined || key === this.#self.key) continue;
      this.#count(record, -1);
      this.#records.delete(key);
      changes.push({ type: "removed", node: toNode(record) });
    }
    if (changes.length > 0) this.#onChange?.(changes);
    return changes;
  }

  /** The payload of a CLUSTER_SYNC, which begins an exchange. */
  sync(): Bytes {
    return this.#hash();
  }

  /**
   * Answers a CLUSTER_SYNC: nothing if both know the same, else how everybody
   * stands here.
   *
   * @throws {DecodeError} If the payload is no CLUSTER_SYNC.
   */
  answer(sync: Uint8Array): Bytes {
    if (equalBytes(decodeSync(sync), this.#hash())) return EMPTY_BYTES;
    return encodeStandings(this.#records.values(), this.size);
  }

  /**
   * What follows on the answer to a CLUSTER_SYNC.
   *
   * @returns What it did, and the payload of a CLUSTER_ACK with the records that
   * stand higher here or are unknown there, and which ones are wanted; `undefined`
   * if there is nothing to say.
   * @throws {DecodeError} If the answer is none.
   */
  ack(answer: Uint8Array): MergeOutcome & { readonly ack: Bytes | undefined } {
    const standings = answer.length === 0 ? undefined : decodeStandings(answer);
    const said = standings?.get(this.#self.key);
    const outcome = said === undefined ? NOTHING : this.stands(said);
    if (standings === undefined) return { ...outcome, ack: undefined };
    const newer: NodeRecord[] = [];
    const wanted: number[] = [];
    for (const record of this.#records.values()) {
      const theirs = standings.get(record.key);
      const order = theirs === undefined ? 1 : compareStandings(record, theirs);
      if (order < 0) wanted.push(record.key);
      // Who answers may be one of two starts itself, and is to hear of the other.
      if (order > 0 || (theirs !== undefined && isOtherStart(record, theirs))) {
        newer.push(record);
      }
    }
    for (const key of standings.keys()) {
      if (!this.#records.has(key) && !this.#removed.has(key)) wanted.push(key);
    }
    if (newer.length === 0 && wanted.length === 0) {
      return { ...outcome, ack: undefined };
    }
    return { ...outcome, ack: encodeAck(newer, wanted) };
  }

  /**
   * Merges a CLUSTER_ACK.
   *
   * @returns What it did, and the reply: the records that were wanted.
   * @throws {DecodeError} If the payload is no CLUSTER_ACK.
   */
  ack2(ack: Uint8Array): MergeOutcome & { readonly reply: Bytes } {
    const { newer, wanted } = decodeAck(ack);
    const outcome = this.#mergeView(newer);
    const records: NodeRecord[] = [];
    for (const key of wanted) {
      const record = this.#records.get(key);
      if (record !== undefined) records.push(record);
    }
    return { ...outcome, reply: encodeRecords(records) };
  }

  /**
   * Merges the reply to a CLUSTER_ACK, which ends an exchange.
   *
   * @throws {DecodeError} If it is none.
   */
  take(records: Uint8Array): MergeOutcome {
    return this.#mergeView(decodeRecords(records));
  }

  /** The state to persist. */
  encode(): Bytes {
    const writer = new Writer(64 + this.size * 64);
    writer.u8(VERSION).u16(this.#self.key).varint(this.size);
    for (const record of this.#records.values()) {
      writeNodeRecord(writer, record);
    }
    return writer.finish();
  }

  /** Whether another start of this node says so. */
  #isForeign(said: Standing): boolean {
    if (!isPlausible(said)) return false;
    return said.generation > this.#self.generation ||
      isOtherStart(said, this.#self);
  }

  #say(record: NodeRecord): void {
    const old = this.#self;
    this.#self = record;
    this.#put(record);
    if (!sameStanding(old, record)) {
      this.#onChange?.([
        { type: "updated", old: toNode(old), node: toNode(record) },
      ]);
    }
  }

  #put(record: NodeRecord): void {
    const old = this.#records.get(record.key);
    if (old !== undefined) this.#count(old, -1);
    this.#records.set(record.key, record);
    this.#count(record, 1);
  }

  /** Adds a record to the hash, or takes it out. */
  #count(record: NodeRecord, sign: 1 | -1): void {
    const { key, generation, version, nonce } = record;
    const state = rankOf(record.state) + 4 * (nonce[0]! | nonce[1]! << 8 |
          nonce[2]! << 16);
    const low = mix(mix(mix(mix(0x9e3779b9, key), generation), version), state);
    const high = mix(
      mix(mix(mix(0x7f4a7c15, state), version), generation),
      key,
    );
    this.#hashLow = (this.#hashLow + sign * low) >>> 0;
    this.#hashHigh = (this.#hashHigh + sign * high) >>> 0;
  }

  #hash(): Bytes {
    return new Writer(8).u32(this.#hashLow).u32(this.#hashHigh).finish();
  }
}

/**
 * Decodes what {@linkcode Members.encode} gave.
 *
 * @param what Names the state in errors.
 * @throws {FormatVersionError} If a newer release wrote it.
 * @throws {DecodeError} If it does not follow its format.
 */
export function decodeMembers(
  bytes: Uint8Array,
  what = "the cluster's state",
): StoredMembers {
  const reader = new Reader(bytes, what);
  const version = reader.u8();
  if (version > VERSION) throw new FormatVersionError(what, version, VERSION);
  if (version < 1) reader.fail("it has no version");
  const key = reader.u16();
  const records = readRecords(reader);
  if (reader.remaining > 0) reader.fail("bytes follow its end");
  const self = records.find((record) => record.key === key) ??
    reader.fail("this node is not in it");
  return { self, others: records.filter((record) => record.key !== key) };
}

/** Whether two starts of a node have one generation. */
function isOtherStart(a: Standing, b: Standing): boolean {
  return a.generation === b.generation && !equalBytes(a.nonce, b.nonce);
}

/** Mixes an integer of up to 53 bits into a hash of 32 bits (murmur3's rounds). */
function mix(hash: number, value: number): number {
  return mix32(mix32(hash, value >>> 0), Math.floor(value / 2 ** 32));
}

function mix32(hash: number, value: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  hash ^= k;
  hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
