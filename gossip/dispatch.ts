/**
 * Dispatch: brings what arrives from peers to the room that answers it.
 *
 * Guarantees: before this node is one (while it pledges) nothing is answered;
 * a peer without a node key may pledge and nothing else, a client commit and
 * nothing else; who keeps a part of the data only is not let in. An unknown type
 * is refused, and costs nothing.
 *
 * @module
 */

import {
  EMPTY_BYTES,
  NotSupportedError,
  RejectedError,
  RemoteError,
} from "../runtime/mod.ts";
import {
  type Connection,
  type EndpointHandler,
  type Identity,
  messageName,
  MessageType,
} from "../transport/mod.ts";
import type { Events } from "./events.ts";
import { isRoutine } from "./failure.ts";
import type { Router } from "./lease/router.ts";
import { REMOVED } from "./membership/admission.ts";
import type { Cluster } from "./membership/cluster.ts";
import type { Audit } from "./replication/audit.ts";
import type { Collector } from "./replication/collector.ts";
import type { Donor } from "./replication/donor.ts";
import { decodePull, decodeRecords } from "./replication/messages.ts";
import type { Pull } from "./replication/pull.ts";
import type { Leaving } from "./membership/leaving.ts";
import { readOutdated } from "./membership/outdated.ts";
import type { Reset } from "./membership/reset.ts";
import type { Replica } from "./replication/replica.ts";
import type { Spread } from "./replication/spread.ts";

/** The rooms of a node. */
export interface Rooms {
  readonly cluster: Cluster;
  readonly replica: Replica;
  readonly donor: Donor;
  readonly pull: Pull;
  readonly router: Router;
  readonly leaving: Leaving;
  readonly reset: Reset;
  readonly collector: Collector;
  readonly audit: Audit;
  /** `undefined` without a network. */
  readonly spread: Spread | undefined;
}

/** Takes what arrives. */
export class Dispatch implements EndpointHandler {
  readonly #stranger: () => Identity;
  readonly #events: Events;
  #rooms: Rooms | undefined;

  /** @param stranger What this node says of itself while it has no key. */
  constructor(stranger: () => Identity, events: Events) {
    this.#stranger = stranger;
    this.#events = events;
  }

  /** From now on this node is one. */
  attach(rooms: Rooms): void {
    this.#rooms = rooms;
  }

  identity(remote?: Identity): Identity {
    return this.#rooms?.cluster.identity(remote) ?? this.#stranger();
  }

  async admit(remote: Identity, dialled: boolean): Promise<void> {
    // What a client keeps is its own business.
    if (remote.role === "client") return;
    if (remote.replica !== "full") {
      const { node, address, replica } = remote;
      const error = new NotSupportedError(
        `a ${replica} replica`,
        "in this release every node keeps all data",
      );
      this.#events.emit({ type: "refused", node, address, error });
      throw error;
    }
    await this.#rooms?.cluster.admit(remote, dialled);
  }

  confirm(remote: Identity): Uint8Array {
    return this.#rooms?.cluster.confirm(remote) ?? EMPTY_BYTES;
  }

  async confirmed(remote: Identity, said: Uint8Array): Promise<void> {
    await this.#rooms?.cluster.confirmed(remote, said);
  }

  async request(
    from: Connection,
    type: number,
    payload: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const rooms = this.#rooms;
    if (rooms === undefined) {
      throw new RemoteError("NotMember", "This node is joining itself");
    }
    const { node, role } = from.remote;
    if (role === "client") {
      if (type !== MessageType.COMMIT) {
        throw new RemoteError("NotMember", "A client may commit only");
      }
    } else if (node === 0 && type !== MessageType.PLEDGE) {
      throw new RemoteError(
        "NotMember",
        "A node without a key may pledge only",
      );
    }
    const { cluster, donor, replica, pull, router, audit } = rooms;
    switch (type) {
      case MessageType.PLEDGE:
        return await cluster.answerPledge(payload, signal);
      case MessageType.PING:
        return cluster.answerPing(payload);
      case MessageType.PING_REQ:
        return await cluster.answerPingRequest(payload);
      case MessageType.CLUSTER_SYNC:
        return cluster.answerSync(payload);
      case MessageType.CLUSTER_ACK:
        return await cluster.answerAck(payload);
      case MessageType.REGISTER_PREPARE:
      case MessageType.REGISTER_ACCEPT:
      case MessageType.REGISTER_LIST:
      case MessageType.REGISTER_SEAT:
        return await cluster.answerRegister(type, payload);
      case MessageType.REPORT:
        return await cluster.answerReport(payload);
      case MessageType.REPORTS:
        return await cluster.answerReports(payload);
      case MessageType.PULL: {
        const message = decodePull(payload);
        // Who asks may have what this node misses.
        if (!replica.vector.includes(message.vector)) pull.nudge(node);
        return await donor.pull(node, message);
      }
      case MessageType.SESSION_CHUNK:
        return await donor.chunk(node, payload);
      case MessageType.AUDIT_ROOT:
        return audit.answerRoot(payload);
      case MessageType.AUDIT_BUCKETS:
        return audit.answerBuckets(payload);
      case MessageType.AUDIT_LIST:
        return await audit.answerList(payload);
      case MessageType.AUDIT_ENTRIES:
        return await audit.answerEntries(node, payload);
      case MessageType.RUMOURS:
        // Asked since a request dials, where connections are made on demand.
        if (cluster.isAccepted(from.remote)) {
          rooms.spread?.takeRumours(node, payload);
        }
        return EMPTY_BYTES;
      case MessageType.COMMIT:
        return await router.serve(payload);
      default:
        throw new RemoteError(
          "UnknownMessage",
          `There is no request ${messageName(type)} here`,
        );
    }
  }

  message(from: Connection, type: number, payload: Uint8Array): void {
    const { node } = from.remote;
    if (this.#rooms === undefined || node === 0) return;
    try {
      const { spread, cluster } = this.#rooms;
      const { remote } = from;
      switch (type) {
        case MessageType.RECORDS:
          // Of an earlier incarnation of the node nothing counts any more.
          if (cluster.isAccepted(remote)) this.#takeRecords(node, payload);
          break;
        case MessageType.RUMOURS:
          if (cluster.isAccepted(remote)) spread?.takeRumours(node, payload);
          break;
        case MessageType.FEEDBACK:
          if (cluster.isAccepted(remote)) spread?.takeFeedback(node, payload);
          break;
        case MessageType.CLUSTER_NEWS:
          cluster.takeNews(payload);
          break;
      }
    } catch (error) {
      this.#events.emit({ type: "peerFailed", node, error });
    }
  }

  connected({ remote: { node }, lane }: Connection): void {
    if (this.#rooms === undefined || node === 0) return;
    // Who has dialled on demand says by itself what it has to say.
    if (this.#rooms.cluster.isOnDemand) return;
    if (lane === "bulk") this.#rooms.pull.nudge(node);
    else {
      this.#events.emit({ type: "connected", node });
      void this.#rooms.cluster.gossipWith(node);
    }
  }

  disconnected({ remote: { node }, lane }: Connection, reason: unknown): void {
    if (this.#rooms === undefined || node === 0) return;
    if (lane === "bulk") return this.#rooms.spread?.lost(node);
    this.#events.emit({ type: "disconnected", node, reason });
    this.#rooms.cluster.lost(node);
  }

  refused(node: number, address: string, error: unknown): void {
    this.#events.emit({ type: "refused", node, address, error });
    if (error instanceof RejectedError && error.code === REMOVED) {
      this.#rooms?.cluster.toldRemoved();
    }
    this.judgeDisk(node, error);
  }

  /**
   * A member that dials may be the only one to find this node's disk old: the node
   * may know nobody whom it could dial. Whatever else is said, it asks for itself.
   */
  refusedBy({ node, role }: Identity, error: unknown): void {
    if (role !== "member" || !this.#rooms?.cluster.isMember(node)) return;
    this.judgeDisk(node, error);
  }

  /**
   * Somebody may have found this node's disk old. Of what else a handshake fails by
   * nobody knows which end has refused the other.
   */
  judgeDisk(node: number, error: unknown): void {
    try {
      const outdated = readOutdated(error);
      if (outdated !== undefined) this.#rooms?.reset.found(outdated);
    } catch (error) {
      this.#events.emit({ type: "peerFailed", node, error });
    }
  }

  #takeRecords(node: number, payload: Uint8Array): void {
    const { replica, pull, spread } = this.#rooms!;
    const { heads, records } = decodeRecords(payload);
    // Once what came is applied, whatever the heads show beyond it is missing.
    replica.receiveAll(records).then((arrivals) => {
      spread?.count(arrivals);
      const missing = heads.some(({ origin, seq }) =>
        !replica.vector.covers(origin, seq)
      );
      if (missing) pull.nudge(node);
    }, (error) => {
      // Where this node's own engine failed, the peer has not.
      if (isRoutine(error)) return;
      this.#events.emit({ type: "peerFailed", node, error });
    });
  }
}

/** What a node without a key says of itself. */
export function strangerIdentity(
  nonce: Uint8Array,
  address: string,
): Identity {
  return {
    clusterId: new Uint8Array(16),
    node: 0,
    generation: 0,
    nonce,
    role: "member",
    replica: "full",
    features: 0,
    address,
    hello: EMPTY_BYTES,
  };
}
