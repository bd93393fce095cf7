/**
 * The cluster as one node sees it: who is there, where, and what was agreed.
 *
 * Guarantees:
 * - Nodes spread by SI gossip: every interval this node exchanges what it does
 *   not know with a random connected one, or, where connections are made on
 *   demand, with a random living one; nobody is ever forgotten, and every member
 *   is dialled for ever, by the transport or else by `recall.ts`, so that parts
 *   that were apart find each other.
 * - Nodes that do not answer are suspected and then dead (`detector.ts`), which
 *   takes nothing from them: it is for routing and for people.
 * - What is known is on disk, and read at the next start.
 * - Node keys come from the `ids` register, members from the `config` register;
 *   the higher config is adopted, durably, before anything else is exchanged.
 *
 * @module
 */

import {
  abortable,
  type Clock,
  NodeNotFoundError,
  NotCaughtUpError,
  NotMemberError,
  type ProtocolRange,
  type Random,
  RemoteError,
  type Timer,
  type Timers,
  toUuid,
  UnreachableError,
} from "../../runtime/mod.ts";
import type { KV } from "../../engine/kv.ts";
import {
  type Endpoint,
  type Identity,
  type Peer,
  PROTOCOLS,
} from "../../transport/mod.ts";
import type { Events } from "../events.ts";
import { Feed } from "../feed.ts";
import { metaKey } from "../keyspace.ts";
import type { Config } from "../register/mod.ts";
import { originNode } from "../replication/dot.ts";
import type {
  Incarnation,
  OwnIncarnation,
} from "../replication/incarnation.ts";
import type { Vector } from "../replication/vector.ts";
import { Absences } from "./absences.ts";
import { Admission } from "./admission.ts";
import { Agreement, type AgreementMetrics } from "./agreement.ts";
import { Exchange } from "./exchange.ts";
import type { Generation, HostState } from "./host.ts";
import { Incarnations } from "./incarnations.ts";
import {
  decodeMembers,
  type MemberChange,
  Members,
  type MergeOutcome,
} from "./members.ts";
import { MembersFile } from "./members_file.ts";
import {
  type Node,
  type NodeRecord,
  nodeRecord,
  toNode,
} from "./node_record.ts";
import { decodePledge, encodePledgeReply } from "./pledge.ts";
import { type DetectionMetrics, Prober } from "./prober.ts";
import { Reassertion } from "./reassertion.ts";
import { Recall } from "./recall.ts";
import { decodeReportRequest, encodeReport, type Report } from "./report.ts";
import { Reports } from "./reports.ts";

/** Deadline of one exchange of cluster gossip, in milliseconds. */
const GOSSIP_TIMEOUT_MS = 2000;

/** After so many intervals of probes a start waits for no witness any more. */
const WITNESS_PROBES = 5;

/** Who joins is answered within this share of the time that it waits. */
const ADMIT_SHARE = 0.8;

/**
 * Who was dead before a start has so long to be heard of before it counts as overdue,
 * if it may not be away for a shorter time, in milliseconds.
 */
const OVERDUE_GRACE_MS = 60_000;

/** Batches of changes that may wait for a watcher. */
const WATCH_QUEUE_MAX = 4096;

/** What a cluster is made of. */
export interface ClusterOptions {
  readonly kv: KV;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly host: HostState;
  readonly generation: Generation;
  /** Which incarnation this node is. */
  readonly incarnation: OwnIncarnation;
  /** The release, for people. */
  readonly software: string;
  /** The protocol versions that this node speaks. @default {PROTOCOLS} */
  readonly protocols?: ProtocolRange | undefined;
  /** Nodes told of by the member that let this one in. */
  readonly records: readonly NodeRecord[];
  readonly endpoint: Endpoint | undefined;
  readonly gossipIntervalMs: number;
  readonly probeIntervalMs: number;
  readonly probeTimeoutMs: number;
  readonly events: Events;
  /** How long nodes that join wait for a reply, if they wait no shorter, in ms. */
  readonly pledgeTimeoutMs: number;
  /** At most how many nodes vote. */
  readonly votersMax: number;
  /** How long a voter is dead before another one votes for it, in milliseconds. */
  readonly voterGoneMs: number;
  /** How long a member is dead before it is told of as overdue, in milliseconds. */
  readonly maxOfflineMs: number;
  /** Whether this node has a copy of the data. */
  readonly isCaughtUp: () => boolean;
  /** Makes a copy that is void count again, for want of a better one. */
  readonly restoreCopy: () => Promise<void>;
  /** What is here. */
  readonly vector: () => Vector;
  /** What is durable, once all is that was taken so far. */
  readonly durable: () => Promise<Pick<Report, "vector" | "floor">>;
  /** What came early from a member's earlier incarnation counts no more. */
  readonly onAccepted: () => void;
  /** Which records every member has, as far as is known here for ever. */
  readonly floor: () => Vector;
  /** The origins that folds list, and how far (replication/fold.ts). */
  readonly foldedOrigins: () => Iterable<number>;
  readonly foldedSeq: (origin: number) => number;
  /** Nodes were removed; whether this one is among them. Must not throw. */
  readonly onRemoved: (self: boolean) => void;
  /** A config is newly known. Must not throw. */
  readonly onKnown: (config: Config) => void;
}

/** How far behind this node another member is. */
export interface MemberLag {
  /** Its node key. */
  readonly node: number;
  /**
   * Records that are here and were not there when it last reported, which it does
   * every `reportIntervalMs` if that is news; `undefined` until it has.
   */
  readonly records: number | undefined;
  /**
   * For how long it has been dead, in milliseconds, as far as this node knows, also
   * over its restarts; `undefined` if it is not.
   */
  readonly awayMs: number | undefined;
  /**
   * Whether that is longer than `maxOfflineMs`. Until it is back, or somebody removes
   * it, the marks of deletions are kept for it.
   */
  readonly overdue: boolean;
}

/** The cluster as one node sees it. */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #agreement: Agreement;
  readonly #admission: Admission;
  readonly #exchange: Exchange;
  readonly #reports: Reports;
  /** How often what was reported came to count no more. */
  #forgotten = 0;
  readonly #file: MembersFile;
  readonly #members: Members;
  readonly #absences: Absences;
  /** By the monotonic clock: nobody is overdue before. */
  #overdueFrom = Infinity;
  readonly #prober: Prober;
  readonly #incarnations: Incarnations;
  readonly #feeds = new Set<Feed<MemberChange[]>>();
  readonly #abort = new AbortController();
  readonly #gossiping = new Set<number>();
  #timer: Timer | undefined;
  #entered = false;
  #exchanges = 0;
  #revision = 0;
  /** How many nodes the config known here has retired. */
  #removed = 0;
  #wasTold = false;
  #silenced: Promise<void> = Promise.resolve();
  readonly #reassertion: Reassertion;
  readonly #recall: Recall;
  /** Whether this node is about to leave. */
  leaving = false;

  private constructor(
    options: ClusterOptions,
    agreement: Agreement,
    stored: readonly NodeRecord[],
    self: NodeRecord,
    incarnations: Incarnations,
  ) {
    this.#options = options;
    this.#agreement = agreement;
    this.#incarnations = incarnations;
    this.#members = new Members(self, {
      others: [...stored, ...options.records].filter(({ key }) =>
        key !== self.key
      ),
      onChange: (changes) => this.#changed(changes),
    });
    this.#absences = new Absences(options.maxOfflineMs);
    this.#prober = new Prober({
      members: this.#members,
      clock: options.clock,
      timers: options.timers,
      random: options.random,
      intervalMs: options.probeIntervalMs,
      timeoutMs: options.probeTimeoutMs,
      peer: (node) => options.endpoint?.peer(node),
      connected: () => this.connected(),
      merged: (outcome) => this.#merged(outcome),
    });
    this.#reassertion = new Reassertion({
      clock: options.clock,
      pauseMs: options.gossipIntervalMs,
      generation: () => this.#members.self.generation,
      raise: async (generation) => {
        const op = options.generation.raise(generation);
        await options.kv.write([op], { sync: true });
      },
      speak: (generation) => {
        this.#members.reassert(generation);
        this.#prober.announce();
      },
    });
    this.#recall = new Recall({
      random: options.random,
      living: () => this.#members.size - this.#dead().length,
      dead: () => this.#dead(),
      ask: (node) => this.gossipWith(node),
    });
    this.#file = new MembersFile({
      kv: options.kv,
      timers: options.timers,
      encode: () => this.#members.encode(),
      also: () => [{ key: metaKey("away"), value: this.#absences.encode() }],
      // Where they are many, each write is of all of them.
      pauseMs: () => this.isOnDemand ? options.gossipIntervalMs : 0,
    });
    this.#reports = new Reports({
      node: options.host.node,
      isMember: (node) => this.config.members.includes(node),
      accept: (report) => this.#admission.acceptReport(report),
    });
    this.#admission = new Admission({
      ...options,
      address: () => this.#members.self.address,
      config: () => this.config,
      adopt: (config) => this.adopt(config),
      incarnations,
    });
    this.#exchange = new Exchange({
      members: this.#members,
      reports: this.#reports,
      config: () => this.config,
      adopt: (config) => this.adopt(config),
      merged: (outcome) => this.#merged(outcome),
    });
  }

  /** Opens the cluster that the engine knows. */
  static async open(options: ClusterOptions): Promise<Cluster> {
    const { kv, incarnation, software, protocols } = options;
    const row = await kv.get(metaKey("members"));
    const stored = row === undefined ? undefined : decodeMembers(row);
    const address = stored?.self.address ?? "";
    const said = { address, software, protocols };
    const self = selfRecord({ ...said, incarnation });
    const incarnations = await Incarnations.load(
      kv,
      (incarnation) => cluster.#accepted(incarnation),
    );
    const agreement = await Agreement.open({
      ...options,
      witnessMs: WITNESS_PROBES * options.probeIntervalMs,
      stateOf: (node) => cluster.#members.get(node)?.state,
      request: (node, type, payload, signal) =>
        cluster.peer(node).request(type, payload, { signal }),
      report: () => cluster.#report(),
      onKnown: (config) => cluster.#known(config),
    });
    // What agreement asks of it, it asks later.
    const others = stored?.others ?? [];
    const cluster: Cluster = new Cluster(
      options,
      agreement,
      others,
      self,
      incarnations,
    );
    cluster.#absences.begin(
      await kv.get(metaKey("away")),
      cluster.#members.records(),
      options.clock.now(),
    );
    return cluster;
  }

  /** The cluster's id, as a UUID. */
  get key(): string {
    return toUuid(this.#options.host.clusterId);
  }

  /** This node. */
  get host(): Node {
    return this.node(this.#options.host.node);
  }

  /** The newest chosen config known here. */
  get config(): Config {
    return this.#agreement.known;
  }

  /** The starts of members accepted here, this node's own with them. */
  get incarnations(): readonly Incarnation[] {
    return [...this.#incarnations.values(), this.#options.incarnation];
  }

  /** The nodes of this moment, by node key. */
  nodes(): Map<number, Node> {
    return this.#members.nodes();
  }

  /**
   * A node.
   *
   * @throws {NodeNotFoundError} If no such node is known.
   */
  node(key: number): Node {
    const record = this.#members.get(key);
    if (record === undefined) throw new NodeNotFoundError(key);
    return toNode(record);
  }

  /** Whether a node is a member, as far as known here. */
  isMember(key: number): boolean {
    return this.#members.get(key) !== undefined ||
      this.config.members.includes(key);
  }

  /** The other members that have not left. */
  others(): number[] {
    const others: number[] = [];
    for (const { key, state } of this.#members.records()) {
      if (key !== this.#options.host.node && state !== "left") others.push(key);
    }
    return others;
  }

  /** Whether a member is connected now. */
  isConnected(key: number): boolean {
    return this.#options.endpoint?.peer(key)?.connected ?? false;
  }

  /** The other members that are connected now. */
  connected(): number[] {
    return this.others().filter((key) => this.isConnected(key));
  }

  /** Whether there are too many members to be connected to all of them. */
  get isOnDemand(): boolean {
    return this.#options.endpoint?.onDemand ?? false;
  }

  /**
   * The members that something may be asked of: all that are connected, or, where
   * connections are made on demand, all that are not known to be dead.
   */
  candidates(): number[] {
    return this.isOnDemand ? this.living() : this.connected();
  }

  /** The other members that are not known to be dead. */
  living(): number[] {
    return this.others().filter((key) =>
      this.#members.get(key)!.state !== "dead"
    );
  }

  /** Another number whenever somebody else may be living, or be no member. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether a member that is connected is known at an address. */
  reaches(address: string): boolean {
    return this.connected().some((key) =>
      this.#members.get(key)?.address === address
    );
  }

  /**
   * The peer with a node key.
   *
   * @throws {NodeNotFoundError} If there is none.
   */
  peer(key: number): Peer {
    const peer = this.#options.endpoint?.peer(key);
    if (peer === undefined) throw new NodeNotFoundError(key);
    return peer;
  }

  /** Watches nodes come, go and change, until the stream is cancelled. */
  watch(): ReadableStream<MemberChange[]> {
    const feed: Feed<MemberChange[]> = new Feed<MemberChange[]>({
      weightMax: WATCH_QUEUE_MAX,
      // What was missed shows in `nodes()`: an empty batch says "look again".
      lagged: () => [],
      onEnd: () => this.#feeds.delete(feed),
    });
    this.#feeds.add(feed);
    return feed.stream;
  }

  /** What this node tells in each handshake; {@linkcode Admission.identity}. */
  identity(remote?: Identity): Identity {
    return this.#admission.identity(remote);
  }

  /** Judges a peer; {@linkcode Admission.admit}. */
  admit(remote: Identity, dialled: boolean): Promise<void> {
    return this.#admission.admit(remote, dialled);
  }

  /** What this node tells last; {@linkcode Admission.confirm}. */
  confirm(remote: Identity): Uint8Array {
    return this.#admission.confirm(remote);
  }

  /** Takes what a dialler told last; {@linkcode Admission.confirmed}. */
  confirmed(remote: Identity, told: Uint8Array): Promise<void> {
    return this.#admission.confirmed(remote, told);
  }

  /** Learns a chosen config. */
  async adopt(config: Config): Promise<void> {
    await this.#agreement.adopt(config);
  }

  /** Answers REGISTER_PREPARE, REGISTER_ACCEPT, REGISTER_LIST and REGISTER_SEAT. */
  answerRegister(type: number, payload: Uint8Array): Promise<Uint8Array> {
    return this.#agreement.answerRegister(type, payload);
  }

  /**
   * Answers REPORT.
   *
   * @throws {NotCaughtUpError} If this node has no copy that counts.
   */
  async answerReport(payload: Uint8Array): Promise<Uint8Array> {
    await this.adopt(decodeReportRequest(payload));
    return encodeReport(await this.#report());
  }

  /** Answers PLEDGE: gives a joiner its key, and makes it a member. */
  async answerPledge(
    payload: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { ticket, address, patienceMs } = decodePledge(payload);
    const { pledgeTimeoutMs: maxMs } = this.#options;
    const timeoutMs = ADMIT_SHARE * Math.min(patienceMs ?? maxMs, maxMs);
    const node = await this.#agreement.admit(ticket, signal, timeoutMs);
    this.#members.expect(node, address);
    const { host } = this.#options;
    return encodePledgeReply({
      clusterId: host.clusterId,
      node,
      config: this.config,
      responder: host.node,
      records: [...this.#members.records()],
    });
  }

  /** {@linkcode Agreement.reportOf}. */
  async reportOf(node: number, signal: AbortSignal): Promise<Report> {
    const report = await this.#agreement.reportOf(node, signal);
    report.vector.readAs(this.#options.vector());
    return report;
  }

  /**
   * Whether this node folds the origins of a node that have ended: its own, and, if it
   * is the first member, those of the removed.
   */
  folds(node: number): boolean {
    const { members, removed } = this.config;
    const own = this.#options.host.node;
    return node === own || members[0] === own && removed.includes(node);
  }

  /** {@linkcode Agreement.refresh}. */
  refresh(signal: AbortSignal): Promise<void> {
    return this.#agreement.refresh(signal);
  }

  /**
   * {@linkcode Agreement.beginEra}, by all nodes that are known here.
   *
   * @throws {RangeError} If a majority of the voters answers.
   * @throws {NotMemberError} If this node was removed.
   */
  async recover(signal: AbortSignal): Promise<void> {
    const answers = await this.#agreement.answers(signal);
    // Asking has told it, if it was removed without having heard of it.
    if (this.isRemoved) throw new NotMemberError("recover");
    if (answers) {
      throw new RangeError("Cannot recover: a majority of the voters answers");
    }
    if (!this.#options.isCaughtUp() && this.#options.vector().size > 0) {
      await this.#options.restoreCopy();
      this.renewed(this.#incarnations.values());
    }
    let highest = 0;
    for (const { key } of this.#members.records()) {
      highest = Math.max(highest, key);
    }
    const { vector } = await this.#options.durable();
    const { foldedOrigins } = this.#options;
    for (const origin of [...vector.origins(), ...foldedOrigins()]) {
      highest = Math.max(highest, originNode(origin));
    }
    await this.#agreement.beginEra(highest, this.others());
    await this.#tellConnected(signal);
  }

  /** {@linkcode Agreement.makeDispensable} of this node. */
  makeDispensable(signal: AbortSignal): Promise<void> {
    const { node } = this.#options.host;
    return this.#agreement.makeDispensable(node, signal);
  }

  /**
   * Removes a member, for ever; it may be this node.
   *
   * @throws {NodeNotFoundError} If it is none.
   * @throws {QuorumUnavailableError} If no majority of the voters agreed, or would
   * answer without it.
   */
  async remove(node: number, signal: AbortSignal): Promise<void> {
    await this.#agreement.remove(node, signal);
    // Who has not heard of the removal learns that this node has left.
    if (node === this.#options.host.node) {
      this.#members.update({ state: "left" });
    } else await this.#tellConnected(signal);
  }

  /** Whether this node was removed, as far as it knows, or was told. */
  get isRemoved(): boolean {
    return this.#wasTold ||
      this.config.removed.includes(this.#options.host.node);
  }

  /** Whether a peer's word counts: it is what was accepted of it last. */
  isAccepted(remote: Identity): boolean {
    return this.#incarnations.isAccepted(remote);
  }

  /** {@linkcode Agreement.fallSilent}. */
  fallSilent(): Promise<void> {
    return this.#agreement.fallSilent();
  }

  /** A member refused this node because it was removed. */
  toldRemoved(): void {
    if (this.isRemoved) return;
    this.#wasTold = true;
    this.#options.onRemoved(true);
  }

  /**
   * This node is another incarnation now: it says so, and every connection begins
   * anew with it.
   *
   * @param accepted The incarnations on which the copy rests that it has taken.
   */
  renewed(accepted: Iterable<Incarnation>): void {
    const { incarnation, endpoint } = this.#options;
    this.#incarnations.replace(
      [...accepted].filter(({ node }) => node !== incarnation.node),
    );
    this.#reports.clear();
    this.#forgotten++;
    this.#members.renew(incarnation);
    endpoint?.renew();
  }

  /**
   * Whether the keys of a node may be claimed by who covers a vector: it was
   * removed, and its last records are in it (replication.md §3).
   */
  isSealed(node: number, vector: Vector): boolean {
    return this.#agreement.isSealed(node, vector);
  }

  /**
   * Whether a vector has more of a removed node than was counted: what no other
   * member has, as the disk of who brought it was put back before (counterexample
   * 16).
   */
  isBeyondSeal(vector: Vector): boolean {
    const { removed, sealing, finals } = this.config;
    if (sealing.length > 0 || removed.length === 0) return false;
    for (const origin of vector.origins()) {
      if (!removed.includes(originNode(origin))) continue;
      if (!vector.covers(origin, 1)) continue;
      // What was folded every member had: it may be in nobody's report by name.
      const { foldedSeq } = this.#options;
      const seq = Math.max(finals.get(origin) ?? 0, foldedSeq(origin));
      if (vector.seq(origin) > seq) return true;
    }
    return false;
  }

  /** {@linkcode Agreement.isCounted}. */
  isCounted(vector: Vector): boolean {
    return this.#agreement.isCounted(vector);
  }

  /** Answers REPORTS. */
  answerReports(payload: Uint8Array): Promise<Uint8Array> {
    return this.#reports.answer(payload);
  }

  /**
   * Reports what this node has, to all in time, if that is news. Resolves to the
   * newest report.
   */
  async report(): Promise<Report> {
    const { host: { node }, vector, floor } = this.#options;
    const now = { vector: vector(), floor: floor() };
    const old = this.#reports.get(node);
    // What was said is durable: nothing is synced to say it again.
    if (old !== undefined && saysSame(old, this.#reportOf(now))) return old;
    const report = await this.#report();
    const number = (this.#reports.get(node)?.number ?? 0) + 1;
    this.#reports.say({ ...report, number });
    return { ...report, number };
  }

  /** The newest reports of the other members; `undefined` where there is none. */
  reported(): (Report | undefined)[] {
    const { node } = this.#options.host;
    return this.config.members.filter((key) => key !== node)
      .map((key) => this.#reports.get(key));
  }

  /** By how much the other members were behind a vector when they last reported. */
  lag(vector: Vector): MemberLag[] {
    const { node: own } = this.#options.host;
    const nowMs = this.#options.clock.now();
    return this.config.members.filter((node) => node !== own).map((node) => {
      const report = this.#reports.get(node);
      const records = report && vector.countBeyond(report.vector);
      const awayMs = this.#absences.awayMs(node, nowMs);
      const overdue = this.#absences.isOverdue(node, nowMs);
      return { node, records, awayMs, overdue };
    });
  }

  /** Changes whenever the config does, or a report counts no more. */
  get basis(): string {
    return `${this.config.era}.${this.config.epoch}.${this.#forgotten}`;
  }

  /** Answers CLUSTER_SYNC. */
  answerSync(payload: Uint8Array): Uint8Array {
    return this.#exchange.answerSync(payload);
  }

  /** Answers CLUSTER_ACK. */
  answerAck(payload: Uint8Array): Promise<Uint8Array> {
    return this.#exchange.answerAck(payload);
  }

  /** Answers PING. */
  answerPing(payload: Uint8Array): Uint8Array {
    return this.#prober.answerPing(payload);
  }

  /** Answers PING_REQ. */
  answerPingRequest(payload: Uint8Array): Promise<Uint8Array> {
    return this.#prober.answerPingRequest(payload);
  }

  /** Takes CLUSTER_NEWS. */
  takeNews(payload: Uint8Array): void {
    this.#prober.takeNews(payload);
  }

  /** The control lane to a node was lost. */
  lost(node: number): void {
    this.#prober.lost(node);
  }

  /** Exchanges of cluster gossip that this node began and ended. */
  get exchanges(): number {
    return this.#exchanges;
  }

  /** What the cluster has agreed on, as far as known. */
  get agreed(): AgreementMetrics {
    const { era, epoch, settled, members, voters, removed, sealing } =
      this.config;
    return {
      era,
      epoch,
      settled,
      members: members.length,
      voters: voters.map(({ node }) => node),
      removed: removed.length,
      sealing: [...sealing],
    };
  }

  /** What finding out who answers has counted. */
  get detection(): DetectionMetrics {
    return this.#prober.metrics;
  }

  /**
   * Says where this node is reached from now on, durably, and begins to dial.
   *
   * @param address `undefined` leaves what was said before.
   */
  async enter(address: string | undefined): Promise<void> {
    if (address !== undefined && address !== this.#members.self.address) {
      this.#members.update({ address });
    }
    this.#known(this.config);
    await this.#file.save();
    this.#entered = true;
    this.#keepPeers();
  }

  /** Begins to gossip and to probe. */
  start(): void {
    const { clock, maxOfflineMs } = this.#options;
    this.#overdueFrom = clock.monotonic() +
      Math.min(maxOfflineMs, OVERDUE_GRACE_MS);
    this.#prober.start();
    this.#gossipLater();
  }

  #gossipLater(): void {
    const { timers, random, gossipIntervalMs } = this.#options;
    this.#timer = timers.set(() => {
      this.#reassertion.answer();
      this.#agreement.tend();
      this.#tellOverdue();
      const nodes = this.candidates();
      if (nodes.length > 0) {
        const node = nodes[Math.floor(random.float() * nodes.length)]!;
        void this.gossipWith(node);
      }
      if (this.isOnDemand) this.#recall.round();
      this.#gossipLater();
    }, gossipIntervalMs * (0.9 + random.float() * 0.2));
  }

  #tellOverdue(): void {
    const { clock, events } = this.#options;
    if (clock.monotonic() < this.#overdueFrom) return;
    for (const overdue of this.#absences.tell(clock.now())) {
      events.emit({ type: "overdue", ...overdue });
    }
  }

  /** Exchanges with a node what either does not know. Never rejects. */
  async gossipWith(node: number): Promise<void> {
    if (this.#gossiping.has(node)) return;
    this.#gossiping.add(node);
    try {
      await this.gossipOver(this.peer(node));
    } catch (error) {
      // Lost connections are routine; the next round asks another node.
      if (error instanceof RemoteError) {
        this.#options.events.emit({ type: "peerFailed", node, error });
      }
      // Where connections are made on demand, this is how one is found broken.
      if (error instanceof UnreachableError) this.#prober.lost(node);
    } finally {
      this.#gossiping.delete(node);
    }
  }

  /**
   * Exchanges with whoever is at the other end what either does not know.
   * Rejects if the exchange fails.
   */
  async gossipOver(link: Pick<Peer, "request">): Promise<void> {
    await this.#exchange.run((type, payload) =>
      link.request(type, payload, {
        timeoutMs: GOSSIP_TIMEOUT_MS,
        signal: this.#abort.signal,
      })
    );
    await this.#silenced;
    this.#agreement.witness();
    this.#exchanges++;
  }

  /** Stops gossiping, ends the watches, and saves what is known. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#prober.close();
    this.#abort.abort();
    for (const feed of [...this.#feeds]) feed.close();
    await this.#reassertion.close();
    await this.#agreement.close();
    await this.#file.close();
  }

  #merged({ cloned, refuted }: MergeOutcome): void {
    if (refuted) this.#prober.refuted();
    if (cloned === undefined) return;
    this.#reassertion.hear(cloned);
    // Before it votes again: what it promised may be gone from this disk.
    this.#silenced = this.#agreement.fallSilent().catch(() => {
      // The engine has failed, and said so by its own event.
    });
    const { key: node, address } = cloned;
    this.#options.events.emit({ type: "cloned", node, address });
  }

  /** Those who are connected need not wait for a round to hear what is known. */
  async #tellConnected(signal: AbortSignal): Promise<void> {
    const told = this.connected().map((key) => this.gossipWith(key));
    await abortable(Promise.all(told), signal).catch(() => {
      // Somebody is silent, and it is time; what was to be done is done.
    });
  }

  /** Another incarnation of a member counts from now on. */
  #accepted({ node, nonce }: Incarnation): void {
    this.#forget(node);
    this.#options.endpoint?.dropOthers(node, nonce);
    this.#options.onAccepted();
  }

  /** What a node has reported counts no more. */
  #forget(node: number): void {
    this.#reports.forget(node);
    this.#forgotten++;
  }

  /** A config is newly known. */
  #known(config: Config): void {
    const { host, onRemoved, onKnown } = this.#options;
    const { removed } = config;
    this.#members.exclude(removed);
    for (const node of removed) {
      if (this.#reports.get(node) !== undefined) this.#forget(node);
    }
    if (removed.length > this.#removed) {
      this.#removed = removed.length;
      onRemoved(removed.includes(host.node));
    }
    onKnown(config);
  }

  /**
   * What this node has, durable, under the config known here.
   *
   * @throws {NotCaughtUpError} If this node has no copy that counts.
   */
  async #report(): Promise<Report> {
    const { incarnation, durable, isCaughtUp } = this.#options;
    for (;;) {
      // Of what was known before: of a config that came meanwhile it says less, of
      // an incarnation that began meanwhile nothing.
      const { era, epoch } = this.config;
      const { nonce } = incarnation;
      const report = this.#reportOf(await durable());
      // Also for this node's own part in a seal: what is void is to be gone.
      if (!isCaughtUp()) throw new NotCaughtUpError("report");
      if (incarnation.nonce === nonce) return { ...report, era, epoch };
    }
  }

  /** A report of what the caller has made durable. */
  #reportOf({ vector, floor }: Pick<Report, "vector" | "floor">): Report {
    const { era, epoch } = this.config;
    const { node, generation, nonce, birth } = this.#options.incarnation;
    const number = this.#reports.get(node)?.number ?? 0;
    const { leaving } = this;
    return {
      node,
      era,
      epoch,
      generation,
      nonce,
      number,
      birth,
      vector,
      floor,
      leaving,
    };
  }

  #changed(changes: readonly MemberChange[]): void {
    this.#revision++;
    const nowMs = this.#options.clock.now();
    for (const change of changes) {
      this.#absences.changed(change, nowMs);
      this.#keepAsChanged(change);
    }
    this.#prober.changed(changes.map(({ node }) => node.key));
    for (const feed of this.#feeds) feed.push([...changes]);
    this.#file.changed();
  }

  #dead(): number[] {
    return this.others().filter((key) =>
      this.#members.get(key)!.state === "dead"
    );
  }

  /** Keeps connections to everybody who has not left. */
  #keepPeers(): void {
    const { endpoint, host } = this.#options;
    if (endpoint === undefined || !this.#entered) return;
    for (const { key, address, state } of this.#members.records()) {
      if (key === host.node) continue;
      if (state === "left") endpoint.forget(key);
      else endpoint.keep(key, address);
    }
  }

  /** Keeps, or no longer keeps, connections to a node that is another now. */
  #keepAsChanged(change: MemberChange): void {
    const { endpoint, host } = this.#options;
    const { key, address, state } = change.node;
    if (endpoint === undefined || !this.#entered || key === host.node) return;
    if (change.type === "removed" || state === "left") endpoint.forget(key);
    // Doubts are no reason to dial past the pause between dials; a move is.
    else if (
      change.type === "added" || state === "healthy" ||
      change.old.address !== address
    ) endpoint.keep(key, address);
  }
}

/** Whether a report says nothing that another one did not. */
function saysSame(old: Report, report: Report): boolean {
  const isEqual = (a: Vector, b: Vector) =>
    a === b || a.includes(b) && b.includes(a);
  return old.era === report.era && old.epoch === report.epoch &&
    old.generation === report.generation && old.leaving === report.leaving &&
    isEqual(old.vector, report.vector) && isEqual(old.floor, report.floor);
}

/** What a node says of itself when a start of it begins. */
export function selfRecord(
  { incarnation: { node, generation, nonce }, protocols = PROTOCOLS, ...said }:
    & { incarnation: Incarnation }
    & Pick<NodeRecord, "address" | "software">
    & Pick<ClusterOptions, "protocols">,
): NodeRecord {
  return nodeRecord({
    key: node,
    nonce,
    generation,
    version: 1,
    state: "healthy",
    role: "member",
    replica: "full",
    features: 0,
    protocolMin: protocols.min,
    protocolMax: protocols.max,
    ...said,
  });
}
