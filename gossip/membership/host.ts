/**
 * Who this node is, on its own disk: cluster, node key, generation.
 *
 * Guarantees:
 * - A node is made in one synced batch: with its key, its acceptor, the members
 *   that it was told of and the counters of its data, or not at all.
 * - The ticket is durable before the first pledge, so a joiner that crashes at
 *   any moment gets the same node key again.
 * - The generation rises, durably, at every start, before the first packet.
 *
 * ```
 * host   := u8 version (1) | 16 bytes clusterId | u16 node | varint generation
 * ticket := u8 version (1) | 16 bytes
 * format := u8 version of the keyspace
 * ```
 *
 * @module
 */

import {
  type Bytes,
  FormatVersionError,
  type Random,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import type { BatchOp, KV } from "../../engine/kv.ts";
import { KEYSPACE_VERSION, metaKey, Space, spacePrefix } from "../keyspace.ts";
import {
  beginningOps,
  type Config,
  FOUNDER,
  founderOps,
  SEAT_BYTES,
  TICKET_BYTES,
} from "../register/mod.ts";
import { encodeCounters } from "../replication/state.ts";

/** Bytes of a cluster id. */
export const CLUSTER_ID_BYTES = 16;

/** Who a node is. */
export interface HostState {
  /** The cluster's id, 16 random bytes. */
  readonly clusterId: Uint8Array;
  /** The node key. */
  readonly node: number;
  /** Which start of the node this is, from 1. */
  readonly generation: number;
}

/** The prefix of the acceptor's rows. */
export const ACCEPTOR_PREFIX: Bytes = spacePrefix(Space.ACCEPTOR);

/** Random bytes. */
export function drawBytes(random: Random, length: number): Bytes {
  return random.fill(new Uint8Array(length));
}

/**
 * Reads who this node is.
 *
 * @returns The state, or `undefined` if the engine holds no node yet.
 * @throws {FormatVersionError} If a newer release wrote the directory.
 */
export async function loadHost(kv: KV): Promise<HostState | undefined> {
  const format = (await kv.get(metaKey("format")))?.[0];
  if (format !== undefined && format > KEYSPACE_VERSION) {
    throw new FormatVersionError("the keyspace", format, KEYSPACE_VERSION);
  }
  const row = await kv.get(metaKey("host"));
  if (row === undefined) return undefined;
  const reader = new Reader(row, "the host's state");
  const version = reader.u8();
  if (version !== 1) throw new FormatVersionError("host", version, 1);
  const clusterId = reader.raw(CLUSTER_ID_BYTES).slice();
  return { clusterId, node: reader.u16(), generation: reader.varint() };
}

/** Begins a start of a node: its generation rises. */
export async function restartHost(
  kv: KV,
  host: HostState,
): Promise<HostState> {
  const next = { ...host, generation: host.generation + 1 };
  await kv.write([hostOp(next)], { sync: true });
  return next;
}

/**
 * The generation of a node that runs: it only rises, whoever raises it.
 *
 * Assumes: what it gives is handed to the engine in the same step, so that a lower
 * one never follows a higher one there.
 */
export class Generation {
  readonly #host: HostState;
  #current: number;

  /** @param host As its start began. */
  constructor(host: HostState) {
    this.#host = host;
    this.#current = host.generation;
  }

  /** The highest generation that is, or will be, on disk. */
  get current(): number {
    return this.#current;
  }

  /** Raises it to this one at least: gives what makes that durable. */
  raise(generation: number): BatchOp {
    this.#current = Math.max(this.#current, generation);
    return hostOp({ ...this.#host, generation: this.#current });
  }
}

/** Makes the first node of a new cluster. */
export async function foundHost(kv: KV, random: Random): Promise<HostState> {
  const clusterId = drawBytes(random, CLUSTER_ID_BYTES);
  // A version 4 UUID, so that it reads as one.
  clusterId[6] = (clusterId[6]! & 0x0f) | 0x40;
  clusterId[8] = (clusterId[8]! & 0x3f) | 0x80;
  const host = { clusterId, node: FOUNDER, generation: 1 };
  const seat = drawBytes(random, SEAT_BYTES);
  const ticket = await loadTicket(kv, random);
  const acceptor = founderOps(ACCEPTOR_PREFIX, seat, ticket);
  await kv.write(beginHost(host, acceptor, true), { sync: true });
  return host;
}

/**
 * Makes a node that a cluster has given a key.
 *
 * @param cluster The config, and the members ({@linkcode Members.encode}), that
 * it was told: its next start may be given no `peers`, so without them a crash
 * here would leave a node that knows nobody.
 */
export async function joinHost(
  kv: KV,
  host: HostState,
  { config, members }: { config: Config; members: Bytes },
): Promise<void> {
  const ops = [
    ...beginningOps(ACCEPTOR_PREFIX, { config }),
    { key: metaKey("members"), value: members },
  ];
  await kv.write(beginHost(host, ops, false), { sync: true });
}

/** The ticket by which this node asks for its key, durable. */
export async function loadTicket(kv: KV, random: Random): Promise<Bytes> {
  const row = await kv.get(metaKey("ticket"));
  if (row !== undefined) {
    const reader = new Reader(row, "the ticket");
    reader.u8();
    return reader.raw(TICKET_BYTES).slice() as Bytes;
  }
  const ticket = drawBytes(random, TICKET_BYTES);
  const value = new Writer(17).u8(1).raw(ticket).finish();
  await kv.write([{ key: metaKey("ticket"), value }], { sync: true });
  return ticket;
}

function beginHost(
  host: HostState,
  others: readonly BatchOp[],
  caughtUp: boolean,
): BatchOp[] {
  const counters = encodeCounters({
    clock: 0,
    lifeGone: 0,
    lifeFloor: 0,
    caughtUp,
    conflictNumber: 0,
    conflictsForgotten: 0,
    bank: 0,
  });
  return [
    { key: metaKey("format"), value: Uint8Array.of(KEYSPACE_VERSION) },
    { key: metaKey("counters"), value: counters },
    ...others,
    hostOp(host),
  ];
}

function hostOp({ clusterId, node, generation }: HostState): BatchOp {
  const value = new Writer(32).u8(1).raw(clusterId).u16(node)
    .varint(generation).finish();
  return { key: metaKey("host"), value };
}
