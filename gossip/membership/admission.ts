/**
 * Admission: what this node tells in each handshake, and whom it lets in.
 *
 * Guarantees: of two nodes the higher config is adopted, durably, by the other one
 * first; only members are let in then, and which incarnation of them it is is durable
 * before anything is exchanged (rules F1, S2 and S5 of the replication protocol). Who
 * was removed is told so, and so is who has an old disk.
 *
 * @module
 */

import {
  EMPTY_BYTES,
  equalBytes,
  ProtocolError,
  RejectedError,
} from "../../runtime/mod.ts";
import type { Identity } from "../../transport/mod.ts";
import type { Events } from "../events.ts";
import {
  type Config,
  decodeConfig,
  encodeConfig,
  supersedes,
} from "../register/mod.ts";
import { decodeHello, encodeHello } from "./hello.ts";
import type { OwnIncarnation } from "../replication/incarnation.ts";
import type { HostState } from "./host.ts";
import type { Incarnations } from "./incarnations.ts";
import type { Report } from "./report.ts";
import type { Vector } from "../replication/vector.ts";

/** What a removed node is refused with. */
export const REMOVED = "Removed";

/** What admission is made of. */
export interface AdmissionOptions {
  readonly host: HostState;
  /** Which incarnation this node is. */
  readonly incarnation: OwnIncarnation;
  readonly events: Events;
  /** Where peers reach this node. */
  readonly address: () => string;
  /** The newest chosen config known here. */
  readonly config: () => Config;
  /** Learns a chosen config, durably. */
  readonly adopt: (config: Config) => Promise<void>;
  readonly incarnations: Incarnations;
  /** Whether this node has a copy of the data that counts. */
  readonly isCaughtUp: () => boolean;
  /** What is here. */
  readonly vector: () => Vector;
  /** Which records every member has, as far as is known here. */
  readonly floor: () => Vector;
}

/** Lets members in. */
export class Admission {
  readonly #options: AdmissionOptions;

  /** Makes one for a node. */
  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * What this node tells in each handshake: its config only to who is known to
   * have an older one.
   */
  identity(remote?: Identity): Identity {
    const { host, incarnation, address, config, isCaughtUp, floor } =
      this.#options;
    const { node, generation, nonce, birth } = incarnation;
    const told = remote && this.#lackedBy(remote);
    return {
      clusterId: host.clusterId,
      node,
      generation,
      nonce,
      role: "member",
      replica: "full",
      features: 0,
      address: address(),
      hello: encodeHello(config(), told, birth, floor(), !isCaughtUp()),
    };
  }

  /**
   * Judges a peer by its hello: adopts the higher config first, then lets in
   * members only, and remembers their incarnation before anything is exchanged.
   * Who dials and knows a higher config is judged when it has told it.
   *
   * @throws {RejectedError} If it is no member, or its disk is old.
   * @throws {ProtocolError} If it keeps a higher config for itself.
   */
  async admit(remote: Identity, dialled: boolean): Promise<void> {
    // A node without a key may ask for one, and nothing else.
    if (remote.node === 0) return;
    if (!this.#isOther(remote)) return this.#admitSelf(remote);
    const { config, adopt } = this.#options;
    const hello = decodeHello(remote.hello);
    if (hello.config !== undefined) await adopt(hello.config);
    const isHigher = supersedes(hello, config());
    if (isHigher && dialled) throw unheardConfig();
    if (!isHigher) await this.#admitMember(remote);
  }

  /** What this node, which dialled, tells last: its config to who lacks it. */
  confirm(remote: Identity): Uint8Array {
    const told = this.#lackedBy(remote);
    return told === undefined ? EMPTY_BYTES : encodeConfig(told);
  }

  /** Takes what a dialler told last; throws as {@linkcode Admission.admit} does. */
  async confirmed(remote: Identity, told: Uint8Array): Promise<void> {
    if (!this.#isOther(remote)) return;
    const { config, adopt } = this.#options;
    if (told.length > 0) await adopt(decodeConfig(told));
    if (supersedes(decodeHello(remote.hello), config())) throw unheardConfig();
    await this.#admitMember(remote);
  }

  /**
   * Judges the incarnation of a report, which may have come by others, as its hello
   * would be (rule S5); resolves to whether it counts.
   */
  async acceptReport(report: Report): Promise<boolean> {
    const { config, incarnations, floor, isCaughtUp, vector } = this.#options;
    if (!isCaughtUp() || !config().members.includes(report.node)) return false;
    for (const said of [report.birth, report.vector, report.floor]) {
      said.readAs(vector());
    }
    // It may leave out what this node has no list of (docs/fold.md, W5).
    if (!vector().includes(report.floor)) return false;
    try {
      await incarnations.accept(report, report.birth, floor());
      return true;
    } catch (error) {
      if (error instanceof RejectedError) return false;
      throw error;
    }
  }

  async #admitMember(remote: Identity): Promise<void> {
    const { incarnations, floor, isCaughtUp, vector } = this.#options;
    this.#checkMember(remote);
    const { isVoid, birth, floor: theirs } = decodeHello(remote.hello);
    // It has nothing to rely on yet: it is judged with the copy that it begins with.
    // Nor has this node, before it has a copy, a floor by which to judge anybody.
    if (isVoid || !isCaughtUp()) return;
    // It may leave out what this node has no list of: then this node's disk is the
    // old one, and it is told so (docs/fold.md, W5).
    if (!vector().includes(theirs.readAs(vector()))) return;
    await incarnations.accept(remote, birth.readAs(vector()), floor());
    // It may have been removed meanwhile.
    this.#checkMember(remote);
  }

  #checkMember({ node, address }: Identity): void {
    const { config, events } = this.#options;
    const { members, removed } = config();
    if (members.includes(node)) return;
    const error = removed.includes(node)
      ? new RejectedError(
        REMOVED,
        `node ${node} was removed from the cluster; its key is retired, an empty directory may join`,
      )
      : new RejectedError(
        "NotMember",
        `node ${node} is no member of the cluster`,
      );
    events.emit({ type: "refused", node, address, error });
    throw error;
  }

  /** This node's config, where a member lacks it. */
  #lackedBy(remote: Identity): Config | undefined {
    const config = this.#options.config();
    return this.#isOther(remote) &&
        supersedes(config, decodeHello(remote.hello))
      ? config
      : undefined;
  }

  #isOther({ node }: Identity): boolean {
    return node !== 0 && node !== this.#options.host.node;
  }

  /** This node dials its own address once; anybody else with its key is a clone. */
  #admitSelf({ node, nonce, address }: Identity): void {
    if (equalBytes(nonce, this.#options.incarnation.nonce)) return;
    this.#options.events.emit({ type: "cloned", node, address });
    throw new RejectedError("Cloned", `another process runs as node ${node}`);
  }
}

function unheardConfig(): ProtocolError {
  return new ProtocolError("it did not tell the config that it knows");
}
