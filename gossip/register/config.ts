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

/** Largest epoch and era: room for 32,767 eras, and to count on from it. */
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

/**
 * Epochs begin at a multiple of this in a new era, and at a multiple of
 * {@linkcode FOUNDER_EPOCHS} within it, which is the node key of who began it.
 */
const ERA_EPOCHS = 2 ** 32;

/**
 * So many changes may be made of one era before its epochs are those of another that
 * was begun at once by who has the next node key.
 */
const FOUNDER_EPOCHS = 2 ** 16;

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

/** One change of the voters, or of who votes among the members, by one node. */
export type VoterChange =
  | { readonly kind: "promote"; readonly voter: Voter }
  | { readonly kind: "retire"; readonly node: number };

/**
 * The config after one change of its voters, made when the epoch was `epoch`; the
 * very same one if that change, or another one since, has been made: voters are
 * changed one at a time, and by who has seen what the change before came to
 * (agreement A7).
 *
 * @throws {ConfigUnsettledError} If the last change of voters is not settled.
 * @throws {NodeNotFoundError} If the node to promote is no member.
 * @throws {RangeError} If nobody, or too many, would vote.
 */
export function withVoters(
  config: Config,
  epoch: number,
  change: VoterChange,
): Config {
  if (config.epoch !== epoch) return config;
  const { node } = change.kind === "promote" ? change.voter : change;
  const votes = seatOf(config, node) !== undefined;
  if (votes === (change.kind === "promote")) return config;
  if (!config.settled) {
    throw new ConfigUnsettledError(`${change.kind} node ${node}`, epoch);
  }
  let voters = config.voters.filter((voter) => voter.node !== node);
  if (change.kind === "promote") {
    if (!config.members.includes(node)) throw new NodeNotFoundError(node);
    voters = [...voters, change.voter].sort((a, b) => a.node - b.node);
  }
  if (voters.length === 0 || voters.length > VOTERS_MAX) {
    throw new RangeError(
      `Cannot ${change.kind} node ${node}: ${voters.length} nodes would vote`,
    );
  }
  return { ...config, epoch: epoch + 1, voters, settled: false };
}

/** The config of that epoch, settled; the very same one if it is, or if it is newer. */
export function asSettled(config: Config, epoch: number): Config {
  if (config.epoch !== epoch || config.settled) return config;
  return { ...config, settled: true };
}

/**
 * The config without `node`, whose key is retired for ever and whose last records
 * are still to be counted; the very same one if it was removed before. A voter
 * that is removed is one change of the voters besides, made when the epoch was
 * `epoch`: the very same config if that has changed since.
 *
 * @throws {ConfigUnsettledError} If the last change of voters is not settled.
 * @throws {NodeNotFoundError} If the node never was a member.
 * @throws {RangeError} If it is the last voter.
 */
export function withoutMember(
  config: Config,
  epoch: number,
  node: number,
): Config {
  if (config.removed.includes(node)) return config;
  if (!config.members.includes(node)) throw new NodeNotFoundError(node);
  const votes = seatOf(config, node) !== undefined;
  if (votes && config.epoch !== epoch) return config;
  if (!config.settled) {
    throw new ConfigUnsettledError(`remove node ${node}`, config.epoch);
  }
  const voters = config.voters.filter((voter) => voter.node !== node);
  if (voters.length === 0) {
    throw new RangeError(`Cannot remove node ${node}: nobody would vote`);
  }
  return {
    ...config,
    epoch: config.epoch + 1,
    members: config.members.filter((member) => member !== node),
    voters,
    settled: !votes,
    removed: [...config.removed, node].sort((a, b) => a - b),
    sealing: [...config.sealing, node].sort((a, b) => a - b),
  };
}

/**
 * The config with the last records of all removed nodes, as every member reported
 * them under the epoch `epoch` (replication.md §5); the very same one if the
 * config is newer.
 *
 * @param finals The last record of each origin of all the removed nodes.
 */
export function sealed(
  config: Config,
  epoch: number,
  finals: ReadonlyMap<number, number>,
): Config {
  if (config.epoch !== epoch || config.sealing.length === 0) return config;
  if (!config.settled) throw new ConfigUnsettledError("seal", epoch);
  return { ...config, epoch: epoch + 1, sealing: [], finals };
}

/**
 * The config of a new era, in which `node` alone votes (agreement §1.4): what an
 * operator begins where the voters are lost for ever. Two that do so come to two
 * configs, of which, and of whatever is made of them, all take the one that the higher
 * node key began.
 *
 * @param members Nodes known besides the members.
 * @param nextKey The first node key to be given. Those before it of nobody known are
 * retired: who has one joined unheard.
 */
export function withNewEra(
  config: Config,
  { node, seat }: Voter,
  members: readonly number[],
  nextKey: number,
): Config {
  const all = new Set([...config.members, ...members, node]);
  for (const removed of config.removed) all.delete(removed);
  const removed = Array.from({ length: nextKey - 1 }, (_, i) => i + 1)
    .filter((key) => !all.has(key));
  const unheard = removed.filter((key) => !config.removed.includes(key));
  return {
    ...config,
    era: config.era + 1,
    epoch: (Math.floor(config.epoch / ERA_EPOCHS) + 1) * ERA_EPOCHS +
      node * FOUNDER_EPOCHS,
    members: [...all].sort((a, b) => a - b),
    voters: [{ node, seat }],
    settled: true,
    removed,
    sealing: [...config.sealing, ...unheard].sort((a, b) => a - b),
  };
}

/**
 * The change of the `config` register that makes `node` a member; throws what
 * {@linkcode withMember} throws.
 */
export function addingMember(
  node: number,
): (value: Uint8Array | undefined) => Bytes {
  return changingConfig((config) => withMember(config, node));
}

/** The change of the `config` register by a pure function of configs. */
export function changingConfig(
  change: (config: Config) => Config,
): (value: Uint8Array | undefined) => Bytes {
  return (value) => encodeConfig(change(decodeConfig(value ?? EMPTY_BYTES)));
}

/** Writes what tells a config from others of its cluster. */
export function writeConfigAge(
  writer: Writer,
  { era, epoch, settled }: ConfigAge,
): Writer {
  return writer.varint(era).varint(epoch).u8(settled ? 1 : 0);
}

/**
 * Reads what {@linkcode writeConfigAge} wrote.
 *
 * @throws {DecodeError} If it is not that.
 */
export function readConfigAge(reader: Reader): ConfigAge {
  const era = reader.count(EPOCH_MAX);
  const epoch = reader.count(EPOCH_MAX);
  const settled = reader.u8();
  if (settled > 1) reader.fail("its settled mark is neither 0 nor 1");
  return { era, epoch, settled: settled === 1 };
}

/** Writes a config with its length before it, or that there is none. */
export function writeToldConfig(
  writer: Writer,
  config: Config | undefined,
): Writer {
  return writer.bytes(
    config === undefined ? EMPTY_BYTES : encodeConfig(config),
  );
}

/**
 * Reads what {@linkcode writeToldConfig} wrote.
 *
 * @throws {DecodeError} If it is not that.
 */
export function readToldConfig(reader: Reader): Config | undefined {
  const bytes = reader.bytes(CONFIG_BYTES_MAX);
  return bytes.length === 0 ? undefined : decodeConfig(bytes);
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
  const writer = writeConfigAge(new Writer().u8(config.version), config);
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
  const age = readConfigAge(reader);
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
    ...age,
    members,
    voters,
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
