/**
 * The value of the `config` register: who belongs to the cluster, and whose
 * votes decide its registers.
 *
 * Guarantees: a config is immutable; each change of it is one of the pure
 * functions below, idempotent by its arguments (agreement A3). A release that
 * rewrites a value of a newer one keeps the version byte and the fields that it
 * does not know: newer releases only append fields.
 *
 * ```text
 * config := u8 version (>= 1) | varint era | varint epoch | u8 settled (0, 1)
 *           nodes members | voters | nodes removed | nodes sealing | finals
 *           fields of newer releases
 * nodes  := varint count | count x u16, ascending
 * voters := varint count | count x (u16 node, ascending | 8 bytes seat)
 * finals := varint count | count x (varint origin, ascending | varint seq)
 * ```
 *
 * @module
 */

import {
  ConfigUnsettledError,
  EMPTY_BYTES,
  equalBytes,
  NODE_KEY_MAX,
  NodeNotFoundError,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import type { Bytes } from "../../runtime/mod.ts";

/** The name of the register that holds the config. */
export const CONFIG_REGISTER = "config";

/** The format written here. */
const VERSION = 1;

/** A seat's length, in bytes. */
export const SEAT_BYTES = 8;

/** Largest config, in bytes. */
export const CONFIG_BYTES_MAX = 2 * 1024 * 1024;

/** Most voters that a config may name; 1, 3 or 5 are in use. */
const VOTERS_MAX = 255;

/** Largest epoch and era: leaves room to count on from it. */
const EPOCH_MAX = 2 ** 47;

/** A node that votes. */
export interface Voter {
  /** The node key. */
  readonly node: number;
  /** Random, 8 bytes, made for one promotion: an older disk has another. */
  readonly seat: Uint8Array;
}

/** Who belongs to the cluster, and who votes. */
export interface Config {
  /** The format version of who wrote it last, kept when rewritten. */
  readonly version: number;
  /** Rises when an operator starts anew after the voters were lost for ever. */
  readonly era: number;
  /** Rises with each change. */
  readonly epoch: number;
  /** The members' node keys, ascending. */
  readonly members: readonly number[];
  /** Those of them that vote, by ascending node key. */
  readonly voters: readonly Voter[];
  /** Whether all registers were carried over to these voters. */
  readonly settled: boolean;
  /** Node keys that are retired for ever, ascending. */
  readonly removed: readonly number[];
  /** Those of them whose last records are still being counted, ascending. */
  readonly sealing: readonly number[];
  /** The last record of each origin of the removed nodes: origin to seq. */
  readonly finals: ReadonlyMap<number, number>;
  /** Fields of newer releases, as they came. */
  readonly rest: Uint8Array;
}

/** What tells two configs of one cluster apart. */
export type ConfigAge = Pick<Config, "era" | "epoch" | "settled">;

/** The first config of a cluster: one node, which is the one voter. */
export function foundConfig(node: number, seat: Uint8Array): Config {
  return {
    version: VERSION,
    era: 0,
    epoch: 1,
    members: [node],
    voters: [{ node, seat }],
    settled: true,
    removed: [],
    sealing: [],
    finals: new Map(),
    rest: EMPTY_BYTES,
  };
}

/**
 * The config with `node` as a member; the very same one if it is a member.
 *
 * @throws {ConfigUnsettledError} If the last change of voters is not settled.
 * @throws {NodeNotFoundError} If the node was removed: its key is retired.
 */
export function withMember(config: Config, node: number): Config {
  if (config.members.includes(node)) return config;
  if (config.removed.includes(node)) throw new NodeNotFoundError(node);
  if (!config.settled) {
    throw new ConfigUnsettledError(`add node ${node}`, config.epoch);
  }
  return {
    ...config,
    epoch: config.epoch + 1,
    members: [...config.members, node].sort((a, b) => a - b),
  };
}

/**
 * The change of the `config` register that makes `node` a member; throws what
 * {@linkcode withMember} throws.
 */
export function addingMember(
  node: number,
): (value: Uint8Array | undefined) => Bytes {
  return (value) =>
    encodeConfig(withMember(decodeConfig(value ?? EMPTY_BYTES), node));
}

/** Compares configs by age: era, then epoch. */
export function compareConfigs(a: ConfigAge, b: ConfigAge): number {
  return a.era - b.era || a.epoch - b.epoch;
}

/** Whether `config` says more than `known`: newer, or now settled. */
export function supersedes(
  config: ConfigAge,
  known: ConfigAge | undefined,
): boolean {
  if (known === undefined) return true;
  const order = compareConfigs(config, known);
  return order > 0 || (order === 0 && config.settled && !known.settled);
}

/** The seat that the config gives to a node; `undefined` if it does not vote. */
export function seatOf(config: Config, node: number): Uint8Array | undefined {
  return config.voters.find((voter) => voter.node === node)?.seat;
}

/** Whether the config has `node` vote on `seat`. */
export function hasSeat(
  config: Config,
  node: number,
  seat: Uint8Array,
): boolean {
  const given = seatOf(config, node);
  return given !== undefined && equalBytes(given, seat);
}

/** Encodes a config. */
export function encodeConfig(config: Config): Bytes {
  const writer = new Writer();
  writer.u8(config.version).varint(config.era).varint(config.epoch)
    .u8(config.settled ? 1 : 0);
  writeNodes(writer, config.members);
  writer.varint(config.voters.length);
  for (const { node, seat } of config.voters) writer.u16(node).raw(seat);
  writeNodes(writer, config.removed);
  writeNodes(writer, config.sealing);
  writer.varint(config.finals.size);
  for (const [origin, seq] of [...config.finals].sort((a, b) => a[0] - b[0])) {
    writer.varint(origin).varint(seq);
  }
  return writer.raw(config.rest).finish();
}

/**
 * Decodes a config, which shares nothing with `bytes` afterwards.
 *
 * @throws {DecodeError} If the bytes are no config.
 */
export function decodeConfig(bytes: Uint8Array): Config {
  const reader = new Reader(bytes, "a config");
  if (bytes.length > CONFIG_BYTES_MAX) reader.fail("it is too long");
  const version = reader.u8();
  if (version < 1) reader.fail("it has no version");
  const era = reader.count(EPOCH_MAX);
  const epoch = reader.count(EPOCH_MAX);
  const settled = reader.u8();
  if (settled > 1) reader.fail("its settled mark is neither 0 nor 1");
  const members = readNodes(reader);
  const voters: Voter[] = [];
  for (let left = reader.count(VOTERS_MAX), before = 0; left > 0; left--) {
    before = readNode(reader, before);
    voters.push({ node: before, seat: reader.raw(SEAT_BYTES).slice() });
  }
  const removed = readNodes(reader);
  const sealing = readNodes(reader);
  const finals = new Map<number, number>();
  const finalsCount = reader.count(reader.remaining >> 1);
  for (let left = finalsCount, before = -1; left > 0; left--) {
    const origin = reader.varint();
    if (origin <= before) reader.fail("its finals are not in order");
    finals.set(origin, reader.varint());
    before = origin;
  }
  return {
    version,
    era,
    epoch,
    members,
    voters,
    settled: settled === 1,
    removed,
    sealing,
    finals,
    rest: reader.rest().slice(),
  };
}

function writeNodes(writer: Writer, nodes: readonly number[]): void {
  writer.varint(nodes.length);
  for (const node of nodes) writer.u16(node);
}

function readNodes(reader: Reader): number[] {
  const count = reader.count(Math.min(NODE_KEY_MAX, reader.remaining >> 1));
  const nodes: number[] = [];
  for (let left = count, before = 0; left > 0; left--) {
    before = readNode(reader, before);
    nodes.push(before);
  }
  return nodes;
}

function readNode(reader: Reader, before: number): number {
  const node = reader.u16();
  if (node <= before) reader.fail("its node keys are not in order");
  return node;
}
