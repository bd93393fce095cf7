/**
 * What two nodes say before anything else, and how they judge it. No I/O here:
 * `greeting.ts` carries these messages over a stream.
 *
 * ```text
 * dialler                                   acceptor
 * HELLO    magic, protocols, challenge  ->
 *                                       <-  WELCOME  protocol, challenge | REJECT
 * IDENTITY                              ->
 *                                       <-  IDENTITY | REJECT
 * KEEPALIVE | REJECT                    ->
 *
 * hello    = raw "ASPN", varint protocolMin, varint protocolMax, raw challenge (16)
 * welcome  = varint protocol, raw challenge (16),
 *            varint count (0 to 2), count x raw proof (16)     see seal.ts
 * identity = raw clusterId (16), varint node, varint generation, raw nonce (8),
 *            u8 role, u8 replica, varint features, text address, bytes hello,
 *            u8 purpose
 * reject   = failure                   its data for ClusterMismatchError: clusterId,
 *                                      ProtocolMismatchError: varint min, varint max
 * ```
 *
 * Each may be followed by what later versions add, which is ignored. Nothing
 * but magic, protocols, lane (of the frame's header), challenges and proofs is
 * said before IDENTITY. With a secret, the acceptor proves by its WELCOME that it
 * has it, and all frames from the first IDENTITY on are sealed, which is the
 * dialler's proof.
 *
 * Guarantees: every bound is checked; what does not follow the format is a
 * {@linkcode ProtocolError}.
 *
 * @module
 */

import {
  ClusterMismatchError,
  equalBytes,
  NODE_KEY_MAX,
  ProtocolError,
  ProtocolMismatchError,
  type ProtocolRange,
  Reader,
  RejectedError,
  toBytes,
  toUuid,
  Writer,
} from "../runtime/mod.ts";
import { decodeFailure, type Failure, failureOf } from "./failure.ts";
import { SEAL_BYTES, SECRETS_MAX } from "./seal.ts";
import type { Identity, ReplicaKind, Role } from "./types.ts";

/** The protocol versions that this release speaks. */
export const PROTOCOLS: ProtocolRange = { min: 1, max: 1 };

/** Random bytes of each end of each connection. */
export const CHALLENGE_BYTES = 16;

/** Largest length of a HELLO, WELCOME or REJECT frame. */
export const GREETING_FRAME_BYTES_MAX = 16 * 1024;

/** Largest {@linkcode Identity.hello}. */
export const HELLO_BYTES_MAX = 512 * 1024;

/** Largest {@linkcode Identity.hello} of who has no node key. */
export const KEYLESS_HELLO_BYTES_MAX = 1024;

/**
 * Largest length of an IDENTITY frame: its `hello` and room for the rest; and of
 * a confirmation.
 */
export const IDENTITY_FRAME_BYTES_MAX = HELLO_BYTES_MAX + 16 * 1024;

const CLUSTER_ID_BYTES = 16;
const NONCE_BYTES = 8;
const ADDRESS_BYTES_MAX = 1024;
const MAGIC = toBytes("ASPN");
const ROLES: readonly Role[] = ["member", "client"];
const REPLICAS: readonly ReplicaKind[] = ["full", "partial", "witness"];
const PURPOSES: readonly Purpose[] = ["lane", "visit"];

/** What a connection is for: to be the lane of a peer, or a single errand. */
export type Purpose = "lane" | "visit";

/** The first message, of the dialler. */
export interface Hello {
  /** What it speaks. */
  readonly protocols: ProtocolRange;
  /** Fresh random bytes. */
  readonly challenge: Uint8Array;
}

/** The answer to it, of the acceptor. */
export interface Welcome {
  /** The version to be spoken. */
  readonly protocol: number;
  /** Fresh random bytes. */
  readonly challenge: Uint8Array;
  /** A proof for each secret that it has, the newest first. */
  readonly proofs: readonly Uint8Array[];
}

/** Who one end is, and what it wants. */
export interface Introduction {
  /** Who it is. */
  readonly identity: Identity;
  /** What the connection is for. Only the dialler's counts. */
  readonly purpose: Purpose;
}

/** The bytes of a HELLO. */
export function encodeHello(hello: Hello): Uint8Array {
  return new Writer().raw(MAGIC)
    .varint(hello.protocols.min).varint(hello.protocols.max)
    .raw(hello.challenge).finish();
}

/** Reads a HELLO. */
export function decodeHello(bytes: Uint8Array): Hello {
  return decode(bytes, "its HELLO", (reader) => {
    if (!equalBytes(reader.raw(MAGIC.length), MAGIC)) {
      reader.fail("the magic is wrong");
    }
    const protocols = readRange(reader);
    return { protocols, challenge: reader.raw(CHALLENGE_BYTES).slice() };
  });
}

/** The bytes of a WELCOME. */
export function encodeWelcome(welcome: Welcome): Uint8Array {
  const writer = new Writer().varint(welcome.protocol).raw(welcome.challenge)
    .varint(welcome.proofs.length);
  for (const proof of welcome.proofs) writer.raw(proof);
  return writer.finish();
}

/** Reads a WELCOME. */
export function decodeWelcome(bytes: Uint8Array): Welcome {
  return decode(bytes, "its WELCOME", (reader) => {
    const protocol = reader.varint();
    const challenge = reader.raw(CHALLENGE_BYTES).slice();
    const proofs: Uint8Array[] = [];
    for (let left = reader.count(SECRETS_MAX); left > 0; left--) {
      proofs.push(reader.raw(SEAL_BYTES).slice());
    }
    return { protocol, challenge, proofs };
  });
}

/**
 * The bytes of an IDENTITY.
 *
 * @throws {RangeError} If a field is beyond its bound.
 */
export function encodeIdentity(introduction: Introduction): Uint8Array {
  const { identity, purpose } = introduction;
  const address = toBytes(identity.address);
  if (
    identity.clusterId.length !== CLUSTER_ID_BYTES ||
    identity.nonce.length !== NONCE_BYTES ||
    address.length > ADDRESS_BYTES_MAX ||
    identity.hello.length > HELLO_BYTES_MAX
  ) {
    throw new RangeError(
      "Cannot introduce this node: a field of its identity is beyond its bound",
    );
  }
  return new Writer(128 + address.length + identity.hello.length)
    .raw(identity.clusterId).varint(identity.node).varint(identity.generation)
    .raw(identity.nonce)
    .u8(ROLES.indexOf(identity.role)).u8(REPLICAS.indexOf(identity.replica))
    .varint(identity.features)
    .bytes(address).bytes(identity.hello)
    .u8(PURPOSES.indexOf(purpose))
    .finish();
}

/** Reads an IDENTITY. */
export function decodeIdentity(bytes: Uint8Array): Introduction {
  return decode(bytes, "its IDENTITY", (reader) => ({
    identity: {
      clusterId: reader.raw(CLUSTER_ID_BYTES).slice(),
      node: reader.count(NODE_KEY_MAX),
      generation: reader.varint(),
      nonce: reader.raw(NONCE_BYTES).slice(),
      role: pick(reader, ROLES, "role"),
      replica: pick(reader, REPLICAS, "kind of replica"),
      features: reader.varint(),
      address: reader.text(ADDRESS_BYTES_MAX),
      hello: reader.bytes(HELLO_BYTES_MAX).slice(),
    },
    purpose: pick(reader, PURPOSES, "purpose"),
  }));
}

/** The newest version that both speak; `undefined` if there is none. */
export function chooseProtocol(
  ours: ProtocolRange,
  theirs: ProtocolRange,
): number | undefined {
  const chosen = Math.min(ours.max, theirs.max);
  return chosen >= ours.min && chosen >= theirs.min ? chosen : undefined;
}

/** The bits of optional features that both understand. */
export function commonFeatures(ours: number, theirs: number): number {
  // Bits beyond 32, which `&` alone would drop.
  const high = ours / 2 ** 32 & theirs / 2 ** 32;
  return high * 2 ** 32 + ((ours & theirs) >>> 0);
}

/**
 * Whether a node can be what it says.
 *
 * @throws {ProtocolError} If it cannot.
 */
export function judgeRole({ role, node, hello }: Identity): void {
  if (role === "client" && node !== 0) {
    throw new ProtocolError("it says that it is a client, and has a node key");
  }
  // It would be held for as long as the connection lasts.
  if (node === 0 && hello.length > KEYLESS_HELLO_BYTES_MAX) {
    throw new ProtocolError(
      `it has no node key, and tells ${hello.length} bytes of itself`,
    );
  }
}

/**
 * Whether two nodes may talk: in one cluster, or one of them in none yet, with
 * neither node key nor cluster. A client always names the cluster that it means.
 *
 * @throws {ClusterMismatchError} If they may not.
 */
export function judgeCluster(local: Identity, remote: Identity): void {
  if (isPledging(local) || isPledging(remote)) return;
  if (equalBytes(local.clusterId, remote.clusterId)) return;
  throw new ClusterMismatchError(
    toUuid(local.clusterId),
    toUuid(remote.clusterId),
  );
}

/** What a refusal tells the refused node; `local` is the one who refuses. */
export function refusalOf(error: unknown, local: Identity): Failure {
  const failure = failureOf(error);
  if (error instanceof ClusterMismatchError) {
    return { ...failure, data: local.clusterId };
  }
  if (error instanceof ProtocolMismatchError) {
    const { min, max } = error.ours;
    return { ...failure, data: new Writer(8).varint(min).varint(max).finish() };
  }
  return failure;
}

/**
 * The error that the refused node throws; `local` is its identity, `ours` the
 * versions that it speaks.
 */
export function refusedBy(
  bytes: Uint8Array,
  local: Identity,
  ours: ProtocolRange = PROTOCOLS,
): Error {
  const { code, message, data } = decode(
    bytes,
    "its REJECT",
    (reader) => decodeFailure(reader.rest()),
  );
  if (code === "ClusterMismatchError" && data.length === CLUSTER_ID_BYTES) {
    return new ClusterMismatchError(
      toUuid(local.clusterId),
      toUuid(data),
    );
  }
  if (code === "ProtocolMismatchError") {
    return new ProtocolMismatchError(
      ours,
      decode(data, "its range", readRange),
    );
  }
  if (code === "ProtocolError") {
    return new ProtocolError(`it refused this node: ${message}`);
  }
  return new RejectedError(code, message, { data: data.slice() });
}

function isPledging(identity: Identity): boolean {
  return identity.role === "member" && identity.node === 0 &&
    identity.clusterId.every((byte) => byte === 0);
}

function readRange(reader: Reader): ProtocolRange {
  const range = { min: reader.varint(), max: reader.varint() };
  if (range.min > range.max) reader.fail("its range of versions is empty");
  return range;
}

function pick<T>(reader: Reader, values: readonly T[], what: string): T {
  const value = values[reader.u8()];
  return value ?? reader.fail(`the ${what} is unknown`);
}

function decode<T>(
  bytes: Uint8Array,
  what: string,
  read: (reader: Reader) => T,
): T {
  try {
    return read(new Reader(bytes, what));
  } catch (cause) {
    throw new ProtocolError(`${what} is malformed`, { cause });
  }
}
