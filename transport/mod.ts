/**
 * Bytes between nodes: an endpoint listens, dials, makes the handshake and
 * keeps two connections to each peer, over any transport of byte streams.
 * `PROTOCOL.md` says what is on the wire.
 *
 * @example One node asks another
 * ```ts
 * import { createEndpoint, MessageType } from "@aspen/core/transport";
 * import type { EndpointOptions } from "@aspen/core/transport";
 *
 * async function ask(options: EndpointOptions, address: string) {
 *   const endpoint = createEndpoint(options);
 *   try {
 *     const connection = await endpoint.dial(address);
 *     return await connection.request(MessageType.PULL, new Uint8Array(0));
 *   } finally {
 *     await endpoint.close();
 *   }
 * }
 * ```
 *
 * @module
 */

export { createEndpoint } from "./endpoint.ts";
export { FailureCode, isMismatch } from "./failure.ts";
export { PROTOCOLS } from "./handshake.ts";
export { messageName, MessageType } from "./registry.ts";
export type {
  Connection,
  Endpoint,
  EndpointHandler,
  EndpointMetrics,
  EndpointOptions,
  EndpointTuning,
  Identity,
  Lane,
  Peer,
  ReplicaKind,
  RequestOptions,
  Role,
} from "./types.ts";
export type {
  ByteStream,
  Clock,
  DialOptions,
  Listener,
  ProtocolRange,
  Random,
  Timer,
  TimerOptions,
  Timers,
  Transport,
} from "../runtime/mod.ts";
