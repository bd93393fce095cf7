/**
 * What the tests of this room share: nodes with an endpoint each, that write
 * down what happens to them.
 *
 * @module
 */

import {
  type Bytes,
  equalBytes,
  type ProtocolRange,
  type Runtime,
} from "../../runtime/mod.ts";
import { createEndpoint } from "../endpoint.ts";
import type {
  Connection,
  Endpoint,
  EndpointHandler,
  EndpointTuning,
  Identity,
} from "../types.ts";

/** A node under test. */
export interface TestNode {
  readonly endpoint: Endpoint;
  readonly identity: Identity;
  /** What happened, one word or two an event. */
  readonly log: string[];
  /** The current connections, as `connected` and `disconnected` tell. */
  readonly current: Map<string, Connection>;
}

/** Options for {@linkcode testNode}. */
export interface TestNodeOptions {
  node: number;
  cluster?: number;
  identity?: Partial<Identity>;
  handler?: Partial<EndpointHandler>;
  secrets?: readonly Uint8Array[];
  protocols?: ProtocolRange;
  tuning?: EndpointTuning;
}

/** An identity of a member. */
export function testIdentity(
  node: number,
  nonce: Uint8Array,
  cluster = 7,
): Identity {
  return {
    clusterId: new Uint8Array(16).fill(cluster),
    node,
    generation: 1,
    nonce,
    role: "member",
    replica: "full",
    features: 0,
    address: "",
    hello: new Uint8Array(0),
  };
}

/** A node whose requests are answered with their payload. */
export function testNode(
  runtime: Runtime,
  options: TestNodeOptions,
): TestNode {
  const { clock, timers, random, network } = runtime;
  const nonce: Bytes = random.fill(new Uint8Array(8));
  const identity = {
    ...testIdentity(options.node, nonce, options.cluster),
    ...options.identity,
  };
  const log: string[] = [];
  const current = new Map<string, Connection>();
  const nameOf = (connection: Connection) =>
    `${connection.remote.node} ${connection.lane}`;
  const endpoint = createEndpoint({
    network,
    clock,
    timers,
    random,
    tuning: options.tuning,
    secrets: options.secrets,
    protocols: options.protocols,
    handler: {
      identity: () => identity,
      admit() {},
      request: (_from, _type, payload) => payload,
      message(_from, type, payload) {
        log.push(`message ${type} ${payload.length}`);
      },
      connected(connection) {
        if (current.has(nameOf(connection))) log.push("connected twice");
        current.set(nameOf(connection), connection);
        log.push(`connected ${nameOf(connection)}`);
      },
      disconnected(connection) {
        if (current.get(nameOf(connection)) !== connection) {
          log.push("disconnected what was not connected");
        }
        current.delete(nameOf(connection));
        log.push(`disconnected ${nameOf(connection)}`);
      },
      released(connection) {
        if (current.get(nameOf(connection)) !== connection) {
          log.push("released what was not connected");
        }
        current.delete(nameOf(connection));
        log.push(`released ${nameOf(connection)}`);
      },
      ...options.handler,
    },
  });
  return { endpoint, identity, log, current };
}

/** Whether two nodes have the same lanes to each other, and both of them. */
export function joined(a: TestNode, b: TestNode): boolean {
  return (["control", "bulk"] as const).every((lane) => {
    const there = a.current.get(`${b.identity.node} ${lane}`);
    const back = b.current.get(`${a.identity.node} ${lane}`);
    return there !== undefined && back !== undefined &&
      there.dialled !== back.dialled &&
      equalBytes(there.remote.nonce, b.identity.nonce) &&
      equalBytes(back.remote.nonce, a.identity.nonce);
  });
}
