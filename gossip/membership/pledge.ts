/**
 * The pledge: how a node that has no key asks a cluster for one.
 *
 * Guarantees: the key is unique for ever, since it comes from the `ids` register;
 * asking again with the same ticket, of whichever member, gives the same key. A
 * joiner asks its peers in turn, for ever, until its signal aborts. It says how long
 * it waits, so that who finds no majority says which voters are missing before.
 *
 * ```
 * PLEDGE    := 16 bytes ticket | text address
 *              varint ms that the joiner waits, or nothing
 * its reply := 16 bytes clusterId | u16 node | varint length, config
 *              u16 responder | varint length, node records as in CLUSTER_ACK
 * ```
 *
 * @module
 */

import {
  type Bytes,
  JoinAbortedError,
  NodeKeysExhaustedError,
  NotMemberError,
  type Random,
  Reader,
  RemoteError,
  sleep,
  type Timers,
  Writer,
} from "../../runtime/mod.ts";
import { type Endpoint, MessageType } from "../../transport/mod.ts";
import {
  type Config,
  decodeConfig,
  encodeConfig,
  TICKET_BYTES,
} from "../register/mod.ts";
import type { Propagation } from "../propagation.ts";
import { CLUSTER_ID_BYTES } from "./host.ts";
import { decodeRecords, encodeRecords } from "./messages.ts";
import { ADDRESS_BYTES_MAX, type NodeRecord } from "./node_record.ts";

/** What a joiner asks for. */
export interface PledgeRequest {
  readonly ticket: Uint8Array;
  /** Where the joiner will be reached. */
  readonly address: string;
  /** How long it waits for the reply, in whole milliseconds, if it says so. */
  readonly patienceMs?: number | undefined;
}

/** What a joiner is given. */
export interface PledgeReply {
  readonly clusterId: Uint8Array;
  /** Its node key. */
  readonly node: number;
  /** The config in which it is a member. */
  readonly config: Config;
  /** The member that answered. */
  readonly responder: number;
  /** The nodes of the cluster. */
  readonly records: readonly NodeRecord[];
}

/** Encodes PLEDGE. */
export function encodePledge(
  { ticket, address, patienceMs }: PledgeRequest,
): Bytes {
  const writer = new Writer(64).raw(ticket).text(address);
  if (patienceMs !== undefined) writer.varint(patienceMs);
  return writer.finish();
}

/** Decodes PLEDGE. */
export function decodePledge(bytes: Uint8Array): PledgeRequest {
  const reader = new Reader(bytes, "a pledge");
  const ticket = reader.raw(TICKET_BYTES).slice();
  const address = reader.text(ADDRESS_BYTES_MAX);
  const patienceMs = reader.remaining === 0 ? undefined : reader.varint();
  return { ticket, address, patienceMs };
}

/** Encodes the reply to PLEDGE. */
export function encodePledgeReply(reply: PledgeReply): Bytes {
  return new Writer(1024).raw(reply.clusterId).u16(reply.node)
    .bytes(encodeConfig(reply.config)).u16(reply.responder)
    .bytes(encodeRecords(reply.records)).finish();
}

/** Decodes the reply to PLEDGE. */
export function decodePledgeReply(bytes: Uint8Array): PledgeReply {
  const reader = new Reader(bytes, "the reply to a pledge");
  const clusterId = reader.raw(CLUSTER_ID_BYTES).slice();
  const node = reader.u16();
  if (node === 0) reader.fail("the node key is 0");
  const config = decodeConfig(reader.bytes());
  const responder = reader.u16();
  const records = decodeRecords(reader.bytes());
  return { clusterId, node, config, responder, records };
}

/** What {@linkcode pledge} needs. */
export interface PledgeOptions {
  readonly endpoint: Pick<Endpoint, "dial">;
  readonly timers: Timers;
  readonly random: Random;
  readonly propagation: Propagation;
  /** The addresses to ask, in turn. At least one. */
  readonly peers: readonly string[];
  readonly request: Omit<PledgeRequest, "patienceMs">;
  /** Ends the asking: the promise then rejects with its reason. */
  readonly signal: AbortSignal | undefined;
}

/** Who waits longer is told no later, in milliseconds. */
const PATIENCE_MS_MAX = 2 ** 32;

/** A pause grows by this factor, up to so many times the first. */
const PAUSE_GROWTH = 1.25;
const PAUSE_GROWTH_MAX = 30;

/**
 * Asks the peers in turn until one of them gives this node a key.
 *
 * @throws {JoinAbortedError} If the signal aborts meanwhile.
 * @throws {NodeKeysExhaustedError} If the cluster has no key left.
 */
export async function pledge(options: PledgeOptions): Promise<PledgeReply> {
  const { peers, propagation, timers, random, signal } = options;
  signal?.throwIfAborted();
  let pauseMs = propagation.pledgeRetryIntervalMs;
  let failure: unknown;
  try {
    for (let attempt = 0;; attempt++) {
      try {
        return await ask(peers[attempt % peers.length]!, options);
      } catch (error) {
        // Down, joining itself, or without a majority: the next one, later.
        signal?.throwIfAborted();
        failure = error;
        const end = finalError(error);
        if (end !== undefined) throw end;
      }
      // Up to a quarter of jitter, so that joiners do not ask in step.
      await sleep(timers, pauseMs * (1 + random.float() / 4), {
        signal,
        persistent: true,
      });
      pauseMs = Math.min(
        pauseMs * PAUSE_GROWTH,
        propagation.pledgeRetryIntervalMs * PAUSE_GROWTH_MAX,
      );
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
    throw new JoinAbortedError(peers, signal.reason, { cause: failure });
  }
}

/** Why asking again is of no use, if it is not. */
function finalError(error: unknown): Error | undefined {
  if (!(error instanceof RemoteError)) return undefined;
  switch (error.code) {
    case "NodeKeysExhaustedError":
      return new NodeKeysExhaustedError();
    case "NodeNotFoundError":
      // The key that was given for this ticket is retired.
      return new NotMemberError("join");
    default:
      return undefined;
  }
}

async function ask(
  address: string,
  { endpoint, request, propagation, signal }: PledgeOptions,
): Promise<PledgeReply> {
  const { pledgeTimeoutMs: timeoutMs } = propagation;
  const patienceMs = Math.ceil(Math.min(timeoutMs, PATIENCE_MS_MAX));
  const connection = await endpoint.dial(address, { signal });
  try {
    const reply = await connection.request(
      MessageType.PLEDGE,
      encodePledge({ ...request, patienceMs }),
      { timeoutMs, signal },
    );
    return decodePledgeReply(reply);
  } finally {
    connection.close("the pledge is answered");
  }
}
