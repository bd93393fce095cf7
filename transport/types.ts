/**
 * What the transport offers to the layer above: an endpoint with peers, to which
 * requests and one-way messages go. See `PROTOCOL.md` for what is on the wire.
 *
 * @module
 */

import type {
  Awaitable,
  Clock,
  ProtocolRange,
  Random,
  RejectedError,
  Timers,
  Transport,
} from "../runtime/mod.ts";

/**
 * Which of the two connections to a peer a message takes. `control` carries
 * what must not wait (gossip, registers, writes), `bulk` what may be large
 * (records, sessions).
 */
export type Lane = "control" | "bulk";

/**
 * What part a node plays. A client is no member: it has no node key, stores
 * nothing, and is nobody's peer.
 */
export type Role = "member" | "client";

/** What part of the data a node keeps. Only `full` is in use. */
export type ReplicaKind = "full" | "partial" | "witness";

/** Who a node is, as told in the handshake of each connection. */
export interface Identity {
  /** The cluster, 16 bytes; all zero while the node has none (it pledges). */
  readonly clusterId: Uint8Array;
  /** The node key; 0 while the node has none. */
  readonly node: number;
  /** Which start of the node this is, from 1. 0 while it has no node key. */
  readonly generation: number;
  /** Random, 8 bytes, drawn at each start: tells two starts, or two nodes, apart. */
  readonly nonce: Uint8Array;
  /** The part the node plays. */
  readonly role: Role;
  /** What the node keeps. */
  readonly replica: ReplicaKind;
  /** Bits of optional features that the node understands. */
  readonly features: number;
  /** Where the node says it is reached; empty if nowhere. */
  readonly address: string;
  /** What the layer above tells of itself before anything else is said. */
  readonly hello: Uint8Array;
}

/** An established connection to a peer, after its handshake. */
export interface Connection {
  /** Who the peer is. */
  readonly remote: Identity;
  /** Whether this node dialled. */
  readonly dialled: boolean;
  /** The lane it serves. */
  readonly lane: Lane;
  /** The protocol version agreed on. */
  readonly protocol: number;
  /** The bits of optional features that both ends understand. */
  readonly features: number;
  /** Sends a request on this very connection; see {@linkcode Peer.request}. */
  request(
    type: number,
    payload: Uint8Array,
    options?: RequestOptions,
  ): Promise<Uint8Array>;
  /** Sends a one-way message; `false` if it was dropped. */
  send(type: number, payload: Uint8Array): boolean;
  /** Closes the connection. Idempotent. */
  close(reason?: string): void;
}

/** Options for requests. */
export interface RequestOptions {
  /**
   * The lane it takes, and its reply with it.
   *
   * @default {"control"}
   */
  lane?: Lane;
  /** Deadline, in milliseconds. @default {10_000} */
  timeoutMs?: number;
  /** Gives up when aborted. */
  signal?: AbortSignal | undefined;
}

/** Another node, to which the endpoint keeps connections, or makes them. */
export interface Peer {
  /** Its node key. */
  readonly node: number;
  /** Where it is dialled. */
  readonly address: string;
  /** Whether its control lane is established now. */
  readonly connected: boolean;
  /**
   * Sends a request and waits for its reply. If the lane is not connected, dials
   * at once, whatever the backoff, and fails when that attempt fails.
   *
   * @throws {UnreachableError} If there is no connection, or the deadline passed
   * before anything was sent: nothing was sent. Its `cause` tells why.
   * @throws {ClosedError} If this end was closed before it was sent.
   * @throws {LimitError} If the payload is larger than MESSAGE_BYTES_MAX.
   * @throws {OutcomeUnknownError} If it was sent and the connection broke or the
   * deadline passed before the reply. (An abort by `signal` after sending gives
   * this too, with the signal's reason as `cause`; before sending, the reason.)
   * @throws {RemoteError} If the peer answered with an error.
   * @throws {ClusterMismatchError} If the peer belongs to another cluster.
   * @throws {ProtocolMismatchError} If it speaks no common version.
   * @throws {SecretMismatchError} If this node and the peer share no secret.
   */
  request(
    type: number,
    payload: Uint8Array,
    options?: RequestOptions,
  ): Promise<Uint8Array>;
  /**
   * Sends a one-way message if the lane is connected and its queue has room.
   *
   * @returns `false` if the message was dropped.
   */
  send(type: number, payload: Uint8Array, lane?: Lane): boolean;
}

/** What the layer above does with what arrives. */
export interface EndpointHandler {
  /**
   * Who this node is now; asked anew for each handshake, and once more, for its
   * hello, where the peer has said first who it is.
   */
  identity(remote?: Identity): Identity;
  /**
   * Judges a peer after its handshake, before the connection is used. Throwing
   * refuses it: the peer gets a REJECT with the error's code and message. The
   * transport itself has already refused another cluster.
   */
  admit(remote: Identity, dialled: boolean): Awaitable<void>;
  /** What the dialler says last in the handshake, with its confirmation. */
  confirm?(remote: Identity): Uint8Array;
  /**
   * Takes what the dialler said last, before the connection is used. Throwing
   * closes the connection without a word.
   */
  confirmed?(remote: Identity, said: Uint8Array): Awaitable<void>;
  /**
   * Answers a request. What it throws goes back as a {@linkcode RemoteError};
   * `signal` aborts when the connection closes.
   */
  request(
    from: Connection,
    type: number,
    payload: Uint8Array,
    signal: AbortSignal,
  ): Awaitable<Uint8Array>;
  /** Takes a one-way message. Must not throw. */
  message(from: Connection, type: number, payload: Uint8Array): void;
  /**
   * A lane to a peer was established, whoever dialled and whether it is kept.
   * Not called for connections of {@linkcode Endpoint.dial}, at either end.
   */
  connected?(connection: Connection): void;
  /**
   * Somebody answered at the address of a kept peer, or dialled this node, and
   * is nobody to talk to: of another cluster, without a common version, or not
   * let in. `node` is 0 where nobody said which it is. Of those that dial this
   * node one a second is told of.
   */
  refused?(node: number, address: string, error: unknown): void;
  /**
   * Somebody who has dialled this node, and was let in, refuses it. Whoever may
   * dial may say so, also who is no member: judge who it is, and what is said.
   */
  refusedBy?(remote: Identity, error: RejectedError): void;
  /** A lane to a peer was lost. */
  disconnected?(connection: Connection, reason: unknown): void;
  /**
   * A lane to a peer was closed since nobody used it, here or there, or, where
   * connections are made on demand, since another one serves: this says nothing of
   * the peer. Called in place of `disconnected`.
   */
  released?(connection: Connection): void;
}

/** The intervals and bounds of an endpoint, each with its default. */
export interface EndpointTuning {
  /** Deadline of a dial, in milliseconds. @default {2000} */
  dialTimeoutMs?: number;
  /** Deadline of a handshake, in milliseconds. @default {3000} */
  handshakeTimeoutMs?: number;
  /** Shortest pause between dials, in milliseconds. @default {100} */
  backoffMinMs?: number;
  /** Longest pause between dials, in milliseconds. @default {30_000} */
  backoffMaxMs?: number;
  /** A KEEPALIVE is sent after this much silence, in ms. @default {5000} */
  keepaliveMs?: number;
  /** A connection from which nothing came so long is dead, in ms. @default {15_000} */
  idleTimeoutMs?: number;
  /** Bytes that may wait to be written on one lane. @default {16 MiB} */
  queueBytesMax?: number;
  /** Connections that may be in their handshake at once. @default {64} */
  handshakesMax?: number;
  /** Requests of one connection that may be worked on at once. @default {1024} */
  requestsMax?: number;
  /**
   * Kept peers to which connections stand for ever. Where there are more, a
   * connection is made when there is something to say and closed after
   * `keepaliveMs` without use, and at most twice so many of them, the lanes of so
   * many peers, stand. @default {64}
   */
  connectionsMax?: number;
}

/** What an endpoint is made of. */
export interface EndpointOptions {
  /** Carries the bytes. */
  network: Transport;
  /** Tells the time. */
  clock: Clock;
  /** Sets timers. */
  timers: Timers;
  /** Draws nonces, correlation starts and jitter. */
  random: Random;
  /** What to do with what arrives. */
  handler: EndpointHandler;
  /**
   * The secret that all nodes share, and while it changes the old one behind the
   * new one. Without any, nodes prove nothing to each other.
   *
   * @default {[]}
   */
  secrets?: readonly Uint8Array[] | undefined;
  /**
   * The versions of the protocol that this node speaks, where it is to hold back
   * some of those that this release does.
   *
   * @default {PROTOCOLS}
   */
  protocols?: ProtocolRange | undefined;
  /** Intervals and bounds. */
  tuning?: EndpointTuning | undefined;
}

/** What an endpoint holds at this moment. */
export interface EndpointMetrics {
  /** Streams that came in and are in their handshake. */
  readonly handshakes: number;
  /** Connections that stand, dialled by either end. */
  readonly connections: number;
  /** Of those that came in, the ones that are no lane of a peer. */
  readonly visits: number;
  /** Streams closed since the start because there were too many. */
  readonly turnedAway: number;
  /** Bytes of memory for what comes in: frames, and messages not yet whole. */
  readonly receivedBytes: number;
  /** Bytes that wait to be written. */
  readonly queuedBytes: number;
}

/** A node's end of all its connections. */
export interface Endpoint {
  /**
   * Listens, and serves what dials from now on.
   *
   * @returns The address with its real port.
   * @throws {AddressInUseError} If something listens there already.
   */
  listen(address: string): Promise<string>;
  /**
   * Keeps connections to a node from now on: both lanes dialled, redialled for
   * ever with full-jitter backoff. Called again with another address, moves.
   * With an empty address the node is only waited for: its own dials count.
   * While connections are made {@linkcode Endpoint.onDemand}, the node is dialled
   * by requests only.
   */
  keep(node: number, address: string): Peer;
  /** Whether more peers are kept than connections stand to: `connectionsMax`. */
  readonly onDemand: boolean;
  /** The peer with that node key, if it is kept. */
  peer(node: number): Peer | undefined;
  /** Closes the connections to a node and dials it no more. */
  forget(node: number): void;
  /** Closes all connections of a node whose nonce is another than this one. */
  dropOthers(node: number, nonce: Uint8Array): void;
  /**
   * This node says something else of itself now: every connection is closed and
   * dialled anew, with another handshake.
   */
  renew(): void;
  /**
   * Dials an address once, whoever answers there, and makes the handshake. The
   * connection serves both ends but never becomes the lane of a peer. The caller
   * closes it.
   *
   * @throws {UnreachableError} If nobody answers, or not within the deadline.
   * @throws {TlsError} If only one of the two speaks TLS, or the network takes no
   * certificate of the other's.
   * @throws {SecretMismatchError} If this node and who answers share no secret.
   * @throws {ClusterMismatchError} If the node there is of another cluster.
   * @throws {ProtocolMismatchError} If it speaks no common version.
   * @throws {ProtocolError} If it speaks no Aspen.
   * @throws {RejectedError} If it refused this node.
   */
  dial(
    address: string,
    options?: { signal?: AbortSignal | undefined; lane?: Lane },
  ): Promise<Connection>;
  /** What it holds now. */
  metrics(): EndpointMetrics;
  /** Says GOODBYE, closes everything and waits for its loops to end. */
  close(): Promise<void>;
}
