/**
 * The shapes of the database's face: what its methods take and give.
 *
 * @module
 */

import type { EngineMetrics } from "../engine/kv.ts";
import type { EndpointMetrics } from "../transport/mod.ts";
import type { KeyLike, ValueLike } from "./check.ts";
import type { CallOptions } from "./lease/router.ts";
import type { AgreementMetrics } from "./membership/agreement.ts";
import type { DetectionMetrics } from "./membership/prober.ts";
import type { MemberLag } from "./membership/cluster.ts";
import type { MemberChange, Node } from "./membership/mod.ts";
import type { AuditMetrics } from "./replication/audit.ts";
import type { Version } from "./replication/entry.ts";
import type { SpreadMetrics } from "./replication/spread.ts";
import type { Token } from "./token.ts";

/** Options for reads. */
export interface ReadOptions extends CallOptions {
  /**
   * Waits until this node has what the token stands for, asking other nodes for
   * it meanwhile: a session that hands on the tokens of its writes reads them on
   * any node. `timeoutMs` and `signal` bound that wait; without a token a read
   * waits for nobody.
   */
  atLeast?: Token;
}

/** Options for writes. */
export interface CommitOptions extends CallOptions {}

/** Options for {@linkcode DB.set}. */
export interface SetOptions extends CommitOptions {
  /**
   * The node that is to lead the key. A key that exists must be led by it
   * already. Without it, whoever leads the key writes; a new key is led by this
   * node.
   */
  lease?: number;
  /**
   * After how many milliseconds the value ends by itself, up to 100 years: from
   * that instant on no node shows it, each by its own clock. The leaseholder then
   * deletes the key, of which watchers are told. A later set without it makes the
   * value stay.
   */
  expireIn?: number;
}

/** What a write did. */
export interface WriteResult {
  /** The new version; absent if there was nothing to change. */
  readonly version?: Version;
  /** Stands for the state that the write left, on any node; see `atLeast`. */
  readonly token: Token;
}

/** Sets a key. */
export interface SetOp {
  /** What is to be done. */
  readonly type: "set";
  /** The key, 1 byte to 4 KiB. */
  readonly key: KeyLike;
  /** The value, up to 64 MiB. */
  readonly value: ValueLike;
  /** The node that is to lead the key; see {@linkcode SetOptions.lease}. */
  readonly lease?: number;
  /** When the value ends, in milliseconds; see {@linkcode SetOptions.expireIn}. */
  readonly expireIn?: number;
}

/** Deletes a key. */
export interface DeleteOp {
  /** What is to be done. */
  readonly type: "delete";
  /** The key, 1 byte to 4 KiB. */
  readonly key: KeyLike;
}

/** A condition of a commit. */
export interface Check {
  /** The key that is looked at. */
  readonly key: KeyLike;
  /** The version that the key must have; `null`: it must not exist. */
  readonly version: Version | null;
}

/** What {@linkcode DB.commit} is to do. */
export interface CommitRequestInit {
  /** Conditions, all of which must hold. */
  readonly checks?: readonly Check[];
  /** Writes. Of several to one key the last one counts. */
  readonly ops: readonly (SetOp | DeleteOp)[];
}

/** What {@linkcode DB.commit} did. */
export interface CommitResult {
  /** The new version of each op's key, in the order of the ops; `undefined` where
   * there was nothing to change. */
  readonly versions: readonly (Version | undefined)[];
  /** Stands for the state that the commit left, on any node; see `atLeast`. */
  readonly token: Token;
}

/** Which keys to list. */
export interface RangeOptions {
  /** Only keys that begin so. */
  prefix?: KeyLike;
  /** The first key, inclusive. */
  start?: KeyLike;
  /** The end of the keys, exclusive. At or before `start`: nothing. */
  end?: KeyLike;
  /**
   * Whether to go from the last key to the first.
   *
   * @default {false}
   */
  reverse?: boolean;
}

/** Options for {@linkcode DB.list} and {@linkcode DB.listSync}. */
export interface ListOptions extends RangeOptions {
  /** How many at most. */
  limit?: number;
}

/** A key and its value. */
export interface KeyValue {
  /** The key; the bytes belong to the caller. */
  readonly key: Uint8Array;
  /** The value; the bytes belong to the caller. */
  readonly value: Uint8Array;
}

/** A key, its value, and what is known of them. */
export interface EntryView extends KeyValue {
  /** The version, for {@linkcode Check} and {@linkcode compareVersions}. */
  readonly version: Version;
  /** The node that leads the key. */
  readonly leaseholder: number;
  /** When the value ends by itself, in milliseconds since 1970; absent if it stays. */
  readonly expiresAt?: number;
}

/** What {@linkcode DB.caughtUp} found. */
export interface CaughtUp {
  /** The nodes whose data this node has now. */
  readonly peers: number[];
  /** The nodes that did not answer. */
  readonly missing: number[];
}

/** The cluster, for users. */
export interface ClusterView {
  /** The cluster's id, a UUID. */
  readonly key: string;
  /** This node. */
  readonly host: Node;
  /** The nodes known here, by node key. */
  nodes(): Map<number, Node>;
  /**
   * A node.
   *
   * @throws {NodeNotFoundError} If no such node is known.
   */
  node(key: number): Node;
  /**
   * The address of a node.
   *
   * @throws {NodeNotFoundError} If no such node is known.
   */
  resolve(key: number): string;
  /** Batches of changes; an empty one says that some were dropped: look again. */
  watch(): ReadableStream<MemberChange[]>;
  /**
   * Leaves the cluster for ever: waits until others hold all that this node wrote,
   * then has its key retired. From the call on nothing is written here; reads go
   * on until the database is closed. Whoever writes one of its keys next leads it.
   * A database in memory leaves when it is closed.
   *
   * Once it has resolved the directory may be deleted; leaving again does no harm.
   *
   * @throws {RangeError} If this is the only member.
   * @throws {NotMemberError} If others have removed it: what it had acked and nobody
   * else has is here only.
   * @throws {QuorumUnavailableError} If without it no majority of the voters would
   * answer: it writes on. Or if no majority agreed: it may have been removed, so
   * that it writes nothing until it has heard from a majority, also after it was
   * opened anew; then it writes on if it was not.
   * @throws {DeadlineExceededError} If it was not done in time: it writes on, or, if
   * a majority was asked already, as soon as that has said that it has not left.
   * @throws {LeftUnheardError} If it has left, and by the deadline, or before the
   * database was closed, no voter had said that it knows: until one does the others
   * may be unable to decide anything. Keep the directory, let the node run, or open
   * it again, and leave again.
   * @throws {ClosedError} If the database is closed before: whether it has left its
   * next start finds out.
   */
  leave(options?: CallOptions): Promise<void>;
  /**
   * Removes a node that does not come back, for ever, by a majority of the voters.
   * Its key is retired: what is left of it may join anew from an empty directory.
   * What it had acked and nobody else has is lost. As soon as all members that are
   * left have been reached, whoever writes one of its keys next leads it; until then
   * such writes fail with {@linkcode LeaseholderUnavailableError}.
   *
   * @throws {NodeNotFoundError} If it is no member.
   * @throws {RangeError} If it is this node.
   * @throws {QuorumUnavailableError} If no majority of the voters agreed, so that it
   * may have been removed, or would answer without it.
   * @throws {DeadlineExceededError} If it was not done in time: it may have been
   * removed, and removing it again does no harm.
   * @throws {ClosedError} If the database is closed before: the same holds.
   */
  remove(key: number, options?: CallOptions): Promise<void>;
  /**
   * Begins anew where the voters are lost for ever, with their disks, so that
   * nobody could join, leave or be removed any more: this node alone votes then,
   * until others are promoted. Call it on one node, of those that are left the one
   * with the newest data, and remove the lost ones afterwards.
   *
   * What the lost voters had decided and this node has not heard of is void: a node
   * that joined unheard counts as removed, and joins anew from an empty directory.
   * Voters that were not lost, but cut off, take it over when they are back. A copy
   * of the data that is void, since the node's disk was old, counts again.
   *
   * @throws {TypeError} If `force` is not `true`.
   * @throws {RangeError} If a majority of the voters answers.
   * @throws {NotMemberError} If this node was removed.
   * @throws {NotCaughtUpError} If this node has no copy of the data yet.
   * @throws {DeadlineExceededError} If it was not found out in time whether a
   * majority answers: nothing has begun.
   * @throws {ClosedError} If the database is closed before: likewise.
   */
  recover(options: CallOptions & { force: true }): Promise<void>;
}

/** Numbers of a database, for dashboards and tests. */
export interface Metrics {
  /** Origins that the vector names: about one a member. */
  readonly origins: number;
  /** Origins that have ended and are named no more. */
  readonly foldedOrigins: number;
  /** Records in the recent log, from which peers take what they lack. */
  readonly logRecords: number;
  /** Bytes of those records. */
  readonly logBytes: number;
  /** Records that came early and wait, or wait until conflicts are forgotten. */
  readonly heldRecords: number;
  /** Calls and records that wait for the apply loop. */
  readonly waiting: number;
  /** By how much each of the other members is behind this node. */
  readonly lag: readonly MemberLag[];
  /** Records applied since the start, from here and from peers. */
  readonly recordsApplied: number;
  /** Messages with records that were pushed to peers. */
  readonly pushes: number;
  /** How what is written spreads by pushes; `undefined` without a network. */
  readonly spread: SpreadMetrics | undefined;
  /** Requests for missing records that were sent. */
  readonly pulls: number;
  /** Those of them that were answered from a peer's log of recent records. */
  readonly pullsOfRecords: number;
  /** Whole copies and large differences taken from peers. */
  readonly sessionsTaken: number;
  /** Those of them that were whole copies. */
  readonly copiesTaken: number;
  /** Times that a whole copy went on where it had broken off. */
  readonly copiesResumed: number;
  /** Entries that came by sessions, also by those under way. */
  readonly sessionEntries: number;
  /** Sessions being given to peers now. */
  readonly sessionsOpen: number;
  /** Bytes that were given to peers by sessions. */
  readonly sessionBytesGiven: number;
  /** Time that these waited because of `copyBytesPerSecond`, in milliseconds. */
  readonly sessionPausesMs: number;
  /** Tombstones taken away since the start, since every member had them. */
  readonly tombstonesCollected: number;
  /** Conflicts reported since the start. */
  readonly conflicts: number;
  /** What comparing data with other nodes has counted. */
  readonly audit: AuditMetrics;
  /** Conflicts on record: reported, and not forgotten. */
  readonly conflictsOnRecord: number;
  /** Whether writes of other nodes wait until conflicts are forgotten. */
  readonly conflictsFull: boolean;
  /** Peers connected. */
  readonly peersConnected: number;
  /** Exchanges of cluster gossip that this node began and ended. */
  readonly clusterExchanges: number;
  /** What the cluster has agreed on, as far as known here. */
  readonly agreement: AgreementMetrics;
  /** What finding out which nodes answer has counted. */
  readonly detection: DetectionMetrics;
  /** What the connections hold; `undefined` without a network. */
  readonly transport: EndpointMetrics | undefined;
  /** Watchers. */
  readonly watchers: number;
  /**
   * The engine: levels, bytes, cache, write and space amplification, stalls,
   * syncs. The default one counts all of it; `undefined` if an engine that was
   * brought counts nothing.
   */
  readonly engine: EngineMetrics | undefined;
}
