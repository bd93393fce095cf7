/**
 * Opening: from a directory to a running node.
 *
 * Guarantees:
 * - A node that the engine knows serves from its own state at once, whatever
 *   peers are down. Only a node that joins waits: for its key, and for its first
 *   copy of the data.
 * - The generation is durable before the first packet; who else answers at this
 *   node's own address is found out before anything is said to anybody.
 * - The `peers` are asked for ever, so that a node whose members have all moved
 *   finds them again.
 * - Whatever fails, what was opened is closed again.
 *
 * @module
 */

import {
  abortable,
  AddressInUseError,
  ClusterRequiredError,
  equalBytes,
  JoinAbortedError,
  NotMemberError,
  type ProtocolRange,
  type Runtime,
  sleep,
  TlsError,
  UnreachableError,
} from "../runtime/mod.ts";
import type { KV } from "../engine/kv.ts";
import {
  createEndpoint,
  type Endpoint,
  type RequestOptions,
} from "../transport/mod.ts";
import { type DatabaseParts, DB } from "./db.ts";
import { Dispatch, strangerIdentity } from "./dispatch.ts";
import type { Events } from "./events.ts";
import { isOwnFault, isRoutine } from "./failure.ts";
import { Expiry } from "./lease/expiry.ts";
import { Router } from "./lease/router.ts";
import {
  drawBytes,
  foundHost,
  Generation,
  type HostState,
  joinHost,
  loadHost,
  loadTicket,
  restartHost,
} from "./membership/host.ts";
import { Cluster, selfRecord } from "./membership/cluster.ts";
import { Leaving } from "./membership/leaving.ts";
import { Members } from "./membership/members.ts";
import { type NodeRecord, NONCE_BYTES } from "./membership/mod.ts";
import { pledge } from "./membership/pledge.ts";
import { Seeds } from "./membership/seeds.ts";
import type { Propagation } from "./propagation.ts";
import { Arrivals } from "./replication/arrivals.ts";
import { Audit } from "./replication/audit.ts";
import { conflictOf } from "./replication/conflict.ts";
import type { Applied } from "./replication/draft.ts";
import { Collector } from "./replication/collector.ts";
import { Donor } from "./replication/donor.ts";
import { hlcToMs } from "./replication/hlc.ts";
import { Reset } from "./membership/reset.ts";
import { Pull, WaitingError } from "./replication/pull.ts";
import { Replica } from "./replication/replica.ts";
import { Spread } from "./replication/spread.ts";
import { decodeConfig, encodeConfig } from "./register/mod.ts";
import { Watchers } from "./watch.ts";

/** What a node is opened with: checked, and with all defaults filled in. */
export interface NodeOptions {
  readonly runtime: Runtime;
  /** For messages: the directory. */
  readonly path: string;
  readonly kv: KV;
  readonly ownsEngine: boolean;
  /** Whether nothing is left of the node once it is closed. */
  readonly isVolatile: boolean;
  /** Where it listens; `undefined`: it has no network. */
  readonly address: string | undefined;
  /** Where peers reach it, if elsewhere. */
  readonly advertise: string | undefined;
  readonly peers: readonly string[];
  readonly bootstrap: boolean;
  /** Whether an acked write survives a power failure. */
  readonly sync: boolean;
  readonly propagation: Propagation;
  /** The secrets that nodes prove to each other, the newest first. */
  readonly secrets: readonly Uint8Array[];
  /** The protocol versions that it speaks. @default {PROTOCOLS} */
  readonly protocols?: ProtocolRange | undefined;
  readonly signal: AbortSignal | undefined;
  readonly events: Events;
  /** The release, for people. */
  readonly software: string;
}

/** Sessions that a donor has open at once. */
const SESSIONS_MAX = 2;

/** A session that nobody asks for is closed after so long, in milliseconds. */
const SESSION_IDLE_MS = 30_000;

/** The tenure of every node until leases fail over. */
const TENURE = 1;

/** A node that was found, made or let in, and what it was told then. */
interface Origin {
  readonly host: HostState;
  readonly records: readonly NodeRecord[];
  /** The member that let it in. */
  readonly responder: number | undefined;
}

/** Opens a node over an engine. */
export async function openNode(options: NodeOptions): Promise<DB> {
  await using opened = new AsyncDisposableStack();
  const { kv, runtime, events } = options;
  if (options.ownsEngine) opened.defer(async () => await kv.close());
  const known = await loadHost(kv);
  checkWays(options, known);
  const nonce = drawBytes(runtime.random, NONCE_BYTES);
  const dispatch = new Dispatch(
    () => strangerIdentity(nonce, options.advertise ?? options.address ?? ""),
    events,
  );
  const endpoint = makeEndpoint(options, dispatch);
  if (endpoint !== undefined) opened.defer(() => endpoint.close());
  const wires = { nonce, dispatch, endpoint };
  let node: Assembled | undefined;
  if (known !== undefined) {
    // Who it is, is said from the first handshake on.
    const host = await restartHost(kv, known);
    node = await assemble(options, { host, records: [] }, wires, opened);
  }
  const address = await listen(options, endpoint, nonce);
  let responder: number | undefined;
  if (node === undefined) {
    const origin = await begin(options, endpoint, address, nonce);
    responder = origin.responder;
    node = await assemble(options, origin, wires, opened);
  }
  await node.rooms.cluster.enter(address);
  if (endpoint !== undefined) {
    const { replica } = node.rooms;
    // What it has is void, but can be read: a copy takes its place later.
    if (!replica.caughtUp && replica.vector.size === 0) {
      await takeFirstCopy(options, endpoint, node.rooms, responder);
    }
    node.rooms.cluster.start();
    node.rooms.pull.start();
    node.rooms.leaving.start();
    node.rooms.audit.start();
  }
  node.rooms.collector.start();
  node.expiry.start();
  const seeds = endpoint &&
    seedsOf(options, { endpoint, dispatch }, node.rooms.cluster, address);
  seeds?.start();
  opened.move();
  // Known, or heard, before anybody could listen.
  const { cluster, reset } = node.rooms;
  if (cluster.isRemoved) {
    runtime.timers.set(() => events.emit({ type: "removed" }), 0);
  }
  if (reset.isFound) runtime.timers.set(() => reset.tellAgain(), 0);
  const { ownsEngine, isVolatile } = options;
  return new DB({
    ...node,
    seeds,
    runtime,
    kv,
    ownsEngine,
    isVolatile,
    endpoint,
    events,
  });
}

/**
 * A directory without a node needs a way to become one.
 *
 * @throws {ClusterRequiredError} If there is an address, and neither peers nor
 * `bootstrap`.
 */
function checkWays(options: NodeOptions, known: HostState | undefined): void {
  const { address, peers, bootstrap, path } = options;
  if (known !== undefined || address === undefined) return;
  if (!bootstrap && peers.length === 0) throw new ClusterRequiredError(path);
}

function makeEndpoint(
  { address, runtime, propagation, secrets, protocols }: NodeOptions,
  handler: Dispatch,
): Endpoint | undefined {
  if (address === undefined) return undefined;
  return createEndpoint({
    network: runtime.network,
    clock: runtime.clock,
    timers: runtime.timers,
    random: runtime.random,
    handler,
    secrets,
    protocols,
    tuning: {
      dialTimeoutMs: propagation.dialTimeoutMs,
      backoffMinMs: propagation.redialMinMs,
      backoffMaxMs: propagation.redialMaxMs,
      keepaliveMs: propagation.keepaliveMs,
      idleTimeoutMs: propagation.idleTimeoutMs,
      connectionsMax: propagation.connectionsMax,
    },
  });
}

/**
 * Listens, where there is an address, and makes sure that it is this node's.
 *
 * @returns Where peers reach this node.
 */
async function listen(
  { address, advertise, signal }: NodeOptions,
  endpoint: Endpoint | undefined,
  nonce: Uint8Array,
): Promise<string | undefined> {
  if (endpoint === undefined || address === undefined) return undefined;
  const real = await endpoint.listen(address);
  const advertised = withRealPort(advertise ?? address, real);
  await checkOwn(endpoint, advertised, nonce, signal);
  return advertised;
}

/** Port 0 was asked for: the address says which port it became. */
function withRealPort(address: string, real: string): string {
  if (!address.endsWith(":0")) return address;
  return address.slice(0, -1) + real.slice(real.lastIndexOf(":") + 1);
}

/**
 * Dials this node's own address once: where a name stands for two addresses, two
 * nodes can listen on what reads the same, and one of them would never be
 * reached.
 *
 * @throws {AddressInUseError} If somebody else answers.
 */
async function checkOwn(
  endpoint: Endpoint,
  address: string,
  nonce: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  let answered: Uint8Array;
  try {
    const connection = await endpoint.dial(address, { signal });
    answered = connection.remote.nonce.slice();
    connection.close("this node has found itself");
  } catch (error) {
    signal?.throwIfAborted();
    // Not every network lets a node reach itself by the address others use.
    if (error instanceof UnreachableError) return;
    // Its own certificate is not for this address: no peer would take it either.
    if (error instanceof TlsError) throw error;
    throw new AddressInUseError(address, "another program answers there", {
      cause: error,
    });
  }
  if (!equalBytes(answered, nonce)) {
    throw new AddressInUseError(address, "another node answers there");
  }
}

/** Makes this node one: founds a cluster, or joins that of the peers. */
async function begin(
  options: NodeOptions,
  endpoint: Endpoint | undefined,
  address: string | undefined,
  nonce: Uint8Array,
): Promise<Origin> {
  const { kv, runtime, propagation, peers, signal, software } = options;
  const { protocols } = options;
  if (endpoint === undefined || address === undefined || options.bootstrap) {
    const host = await foundHost(kv, runtime.random);
    return { host, records: [], responder: undefined };
  }
  // One list of peers may serve all nodes; this one is no help to itself.
  const others = peers.filter((peer) => peer !== address);
  if (others.length === 0) throw new ClusterRequiredError(options.path);
  const { timers, random } = runtime;
  const ticket = await loadTicket(kv, random);
  const reply = await pledge({
    endpoint,
    timers,
    random,
    propagation,
    peers: others,
    request: { ticket, address },
    signal,
  });
  const { clusterId, node, records, responder } = reply;
  // It is an incarnation once it has its first copy.
  const host = { clusterId, node, generation: 0 };
  const incarnation = { node, generation: 0, nonce };
  const self = selfRecord({ incarnation, address, software, protocols });
  const members = new Members(self, { others: records }).encode();
  await joinHost(kv, host, { config: reply.config, members });
  return { host, records, responder };
}

interface Wires {
  readonly nonce: Uint8Array;
  readonly dispatch: Dispatch;
  readonly endpoint: Endpoint | undefined;
}

/** The rooms of a node, and what else its database needs. */
type Assembled = Pick<
  DatabaseParts,
  "rooms" | "arrivals" | "expiry" | "watchers" | "counts"
>;

/**
 * Asks the `peers` for ever, but for this node's own address. Whoever is there may
 * be the only one who can tell this node that its disk is old.
 */
function seedsOf(
  { runtime, propagation, peers }: NodeOptions,
  { endpoint, dispatch }: { endpoint: Endpoint; dispatch: Dispatch },
  cluster: Cluster,
  own: string | undefined,
): Seeds {
  return new Seeds({
    addresses: peers.filter((address) => address !== own),
    timers: runtime.timers,
    random: runtime.random,
    intervalMs: propagation.redialMaxMs,
    reaches: (address) => cluster.reaches(address),
    ask: (address, signal) =>
      askWhere(endpoint, cluster, address, signal).catch((error) => {
        dispatch.judgeDisk(0, error);
        throw error;
      }),
  });
}

/** Builds the rooms of a node. From now on it answers as that node. */
async function assemble(
  options: NodeOptions,
  { host, records }: Pick<Origin, "host" | "records">,
  { nonce, dispatch, endpoint }: Wires,
  opened: AsyncDisposableStack,
): Promise<Assembled> {
  const { kv, runtime, events, propagation } = options;
  const { clock, timers, random } = runtime;
  const nodeKey = host.node;
  const generation = new Generation(host);
  const counts = { records: 0, conflicts: 0 };
  const replica: Replica = await Replica.open({
    kv,
    clock,
    random,
    nodeKey,
    generation: host.generation,
    nonce,
    tenure: TENURE,
    sync: options.sync,
    logBytesMax: propagation.logBytesMax,
    conflictsMax: propagation.conflictsMax,
    isSealed: (node, vector) => cluster.isSealed(node, vector),
    isRemoved: (node) => cluster.config.removed.includes(node),
    isReported: ({ origin, seq }) =>
      cluster.reported().some((report) => report?.vector.covers(origin, seq)),
    renew: () => {
      const op = generation.raise(generation.current + 1);
      return {
        generation: generation.current,
        nonce: drawBytes(random, NONCE_BYTES),
        ops: [op],
      };
    },
    listener: {
      applied: (applied) => onApplied(applied),
      clashed: (clashes) => {
        counts.conflicts += clashes.length;
        for (const clash of clashes) {
          events.emit({ type: "conflict", conflict: conflictOf(clash) });
        }
      },
      full: (standing) => events.emit({ type: "conflictsFull", standing }),
      skewed: (hlc) => {
        const aheadMs = hlcToMs(hlc) - clock.now();
        events.emit({ type: "clockSkew", aheadMs });
      },
      failed: (error) => events.emit({ type: "failed", error }),
    },
  });
  opened.defer(() => replica.close());
  // Agreement and membership write to it too.
  void kv.failed?.then((error) => replica.fail(error));
  // Made last, and told of what comes before.
  const last: { leaving?: Leaving; reset?: Reset } = {};
  const cluster: Cluster = await Cluster.open({
    kv,
    clock,
    timers,
    random,
    host,
    generation,
    incarnation: replica.incarnation,
    software: options.software,
    protocols: options.protocols,
    records,
    endpoint,
    gossipIntervalMs: propagation.clusterGossipIntervalMs,
    probeIntervalMs: propagation.probeIntervalMs,
    probeTimeoutMs: propagation.probeTimeoutMs,
    events,
    pledgeTimeoutMs: propagation.pledgeTimeoutMs,
    votersMax: propagation.votersMax,
    voterGoneMs: propagation.voterGoneMs,
    maxOfflineMs: propagation.maxOfflineMs,
    isCaughtUp: () => replica.caughtUp,
    restoreCopy: () => replica.restoreCopy(),
    vector: () => replica.vector,
    durable: () => replica.durable(),
    onAccepted: () => replica.dropHeld(),
    onKnown: () => {
      if (cluster.isBeyondSeal(replica.vector)) last.reset?.needed();
    },
    floor: () => replica.floor,
    foldedOrigins: () => replica.foldedOrigins(),
    foldedSeq: (origin) => replica.foldedSeq(origin),
    onRemoved: (self) => {
      replica.dropHeld();
      if (self) onRemoved();
    },
  });
  opened.defer(() => cluster.close());
  const donor = new Donor({
    replica,
    clock,
    timers,
    random,
    sessionsMax: SESSIONS_MAX,
    idleMs: SESSION_IDLE_MS,
    bytesPerSecond: propagation.copyBytesPerSecond,
    cluster: () => ({
      config: encodeConfig(cluster.config),
      incarnations: cluster.incarnations,
    }),
  });
  opened.defer(() => donor.close());
  const configEpoch = () => cluster.config.epoch;
  const request = (
    node: number,
    type: number,
    payload: Uint8Array,
    options: RequestOptions,
  ) => cluster.peer(node).request(type, payload, options);
  const peerFailed = (node: number, error: unknown) => {
    if (!isRoutine(error)) events.emit({ type: "peerFailed", node, error });
  };
  const pull = new Pull({
    replica,
    timers,
    random,
    intervalMs: propagation.antiEntropyIntervalMs,
    candidates: () => cluster.candidates(),
    request,
    configEpoch,
    adopt: (config) => cluster.adopt(decodeConfig(config)),
    began: (session) => events.emit({ type: "session", ...session }),
    failed: peerFailed,
  });
  opened.defer(() => pull.close());
  const arrivals = new Arrivals({
    replica,
    timers,
    random,
    isOther: (node) => cluster.others().includes(node),
    candidates: () => cluster.candidates(),
    pullFrom: (node) => pull.from(node),
  });
  const watchers = new Watchers(nodeKey, { replica, arrivals, clock });
  const expiry = new Expiry({ nodeKey, replica, kv, clock, timers });
  opened.defer(() => expiry.close());
  const spread = endpoint && new Spread({
    node: nodeKey,
    replica,
    clock,
    timers,
    random,
    delayMs: propagation.pushDelayMs,
    directPeersMax: propagation.directPeersMax,
    fanout: propagation.sirFanout,
    redundancyMax: propagation.sirRedundancy,
    revision: () => cluster.revision,
    living: () => cluster.living(),
    others: () => cluster.others(),
    send: (node, type, message) =>
      endpoint.peer(node)?.send(type, message, "bulk") ?? false,
    dial: (node, type, message) =>
      cluster.isOnDemand
        ? endpoint.peer(node)?.request(type, message, {
          lane: "bulk",
          timeoutMs: propagation.dialTimeoutMs,
        })
        : undefined,
    pull: (node) => pull.nudge(node),
    failed: (node, error) => events.emit({ type: "peerFailed", node, error }),
  });
  if (spread !== undefined) opened.defer(() => spread.close());
  const router = new Router({
    nodeKey,
    nonce,
    replica,
    timers,
    isMember: (node) => cluster.isMember(node),
    isSealed: (node) => cluster.isSealed(node, replica.vector),
    configEpoch,
    request: endpoint && request,
    nudge: (node) => pull.nudge(node),
  });
  function onRemoved(): void {
    replica.refuse(new NotMemberError("write"));
    void last.leaving?.told();
    events.emit({ type: "removed" });
  }
  function onApplied(applied: readonly Applied[]): void {
    for (const { replaced } of applied) {
      if (replaced === undefined) continue;
      spread?.forget();
      void donor.endAll().catch(() => {
        // The engine could not close a snapshot; nobody asks for it any more.
      });
      cluster.renewed(replaced.copy.incarnations);
      if (replaced.vector.size > 0) events.emit({ type: "reset" });
    }
    counts.records += applied.length;
    watchers.publish(applied);
    expiry.saw(applied);
    spread?.published(applied);
  }
  const leaving = await Leaving.open({ kv, cluster, replica, pull, timers });
  last.leaving = leaving;
  opened.defer(() => leaving.close());
  const reset = new Reset({
    node: nodeKey,
    replica,
    pull,
    generation,
    timers,
    events,
    fallSilent: () => cluster.fallSilent(),
    onVoid: () => spread?.forget(),
  });
  last.reset = reset;
  opened.defer(() => reset.close());
  const collector = new Collector({
    replica,
    timers,
    random,
    intervalMs: propagation.reportIntervalMs,
    report: () => cluster.report(),
    others: () => cluster.reported(),
    isSealed: (vector) => cluster.isCounted(vector),
    basis: () => cluster.basis,
    isOver: (node) => cluster.folds(node),
  });
  opened.defer(() => collector.close());
  const audit = new Audit({
    replica,
    timers,
    random,
    intervalMs: propagation.auditIntervalMs,
    candidates: () => cluster.candidates(),
    request,
    diverged: (found) => events.emit({ type: "divergence", ...found }),
    failed: peerFailed,
  });
  opened.defer(() => audit.close());
  const rooms = {
    cluster,
    replica,
    donor,
    pull,
    router,
    leaving,
    reset,
    collector,
    audit,
    spread,
  };
  dispatch.attach(rooms);
  return { rooms, arrivals, expiry, watchers, counts };
}

/**
 * A joiner's state is void until it has taken a whole copy: from the member that
 * let it in, or else from whoever answers. Where nobody does, the members may
 * have moved since it was let in: then it asks the `peers` where they are.
 */
async function takeFirstCopy(
  { runtime, propagation, peers, signal }: NodeOptions,
  endpoint: Endpoint,
  { cluster, pull, replica }: {
    cluster: Cluster;
    pull: Pull;
    replica: Replica;
  },
  responder: number | undefined,
): Promise<void> {
  const first = responder === undefined ? [] : [responder];
  let failure: unknown;
  try {
    for (;;) {
      for (const node of [...first, ...cluster.others()]) {
        try {
          await ended(cluster.gossipWith(node), signal);
          await ended(pull.from(node), signal).catch((error) => {
            // Only who has this node can forget conflicts: it is open with what is here.
            if (!(error instanceof WaitingError)) throw error;
          });
          if (!replica.caughtUp) continue;
          // Every connection began anew with the copy: others see this node now.
          await ended(cluster.gossipWith(node), signal);
          return;
        } catch (error) {
          if (cluster.isRemoved) throw new NotMemberError("join");
          signal?.throwIfAborted();
          if (isOwnFault(error)) throw error;
          // Down, or joining itself: the next one.
          failure = error;
        }
      }
      for (const address of peers) {
        await askWhere(endpoint, cluster, address, signal).catch((error) => {
          signal?.throwIfAborted();
          failure = error;
        });
      }
      await sleep(runtime.timers, propagation.pledgeRetryIntervalMs, {
        signal,
        persistent: true,
      });
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
    const peers = cluster.others().map((node) => cluster.node(node).address);
    throw new JoinAbortedError(peers, signal.reason, { cause: failure });
  }
}

/** Learns from whoever is at an address who the members are, and where. */
async function askWhere(
  endpoint: Endpoint,
  cluster: Cluster,
  address: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const connection = await endpoint.dial(address, { signal });
  try {
    await ended(cluster.gossipOver(connection), signal);
  } finally {
    connection.close("the question is answered");
  }
}

/** Waits for a promise, or for the signal. */
function ended<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  return signal === undefined ? promise : abortable(promise, signal);
}
