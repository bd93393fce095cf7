/**
 * A node's end of all its connections: listens, dials, and owns the peers.
 *
 * Guarantees: whatever a stranger does on the port ends with that stranger's
 * connection; the number of handshakes, of visits and of what each holds is
 * bounded (`bounds.ts`). So is the number of connections, where more peers are kept
 * than `connectionsMax`: the longest unused ones end. After
 * {@linkcode Endpoint.close} nothing of it is left running.
 *
 * @module
 */

import {
  abortable,
  type Awaitable,
  type ByteStream,
  ClosedError,
  equalBytes,
  type Listener,
  NodeNotFoundError,
  ProtocolError,
  sleep,
  startDeadline,
  UnreachableError,
} from "../runtime/mod.ts";
import { boundsOf, HELD_BYTES_MAX, Room, VISITS_MAX } from "./bounds.ts";
import { EstablishedConnection, type Owner } from "./connection.ts";
import { isMismatch } from "./failure.ts";
import {
  greetAsAcceptor,
  greetAsDialler,
  type Greeting,
  type GreetingOptions,
  type Wish,
} from "./greeting.ts";
import { PROTOCOLS, type Purpose } from "./handshake.ts";
import { KnownPeer, type PeerContext } from "./peer.ts";
import type {
  Connection,
  Endpoint,
  EndpointMetrics,
  EndpointOptions,
  EndpointTuning,
  Lane,
  Peer,
} from "./types.ts";

/**
 * Shortest time between two strangers of whom it is told that they were refused,
 * in milliseconds: nobody who dials is to fill the events of the node.
 */
const REFUSAL_PAUSE_MS = 1000;

/** The defaults, as `EndpointTuning` documents them. */
const TUNING: Required<EndpointTuning> = {
  dialTimeoutMs: 2000,
  handshakeTimeoutMs: 3000,
  backoffMinMs: 100,
  backoffMaxMs: 30_000,
  keepaliveMs: 5000,
  idleTimeoutMs: 15_000,
  queueBytesMax: 16 * 1024 * 1024,
  handshakesMax: 64,
  requestsMax: 1024,
  connectionsMax: 64,
};

/** Lanes of a peer. */
const LANES = 2;

/** Makes an endpoint. It listens nowhere and keeps nobody yet. */
export function createEndpoint(options: EndpointOptions): Endpoint {
  return new NodeEndpoint(options);
}

class NodeEndpoint implements Endpoint, Owner {
  readonly #options: EndpointOptions;
  readonly #context: PeerContext;
  readonly #peers = new Map<number, KnownPeer>();
  readonly #connections = new Set<EstablishedConnection>();
  readonly #listeners = new Set<Listener>();
  /** All that runs and must have ended when the endpoint is closed. */
  readonly #tasks = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  /** Handshakes that came in and are not done, the oldest first. */
  readonly #handshakes = new Set<AbortController>();
  /** Peers that are kept. */
  #kept = 0;
  /** Visits that came in and whose streams are not closed yet. */
  #visits = 0;
  readonly #visitRoom = new Room(HELD_BYTES_MAX);
  #turnedAway = 0;
  #refusalToldAt = -Infinity;
  #closed: Promise<void> | undefined;

  constructor(options: EndpointOptions) {
    this.#options = options;
    const { clock, timers, random, handler } = options;
    this.#context = {
      clock,
      timers,
      random,
      handler,
      tuning: { ...TUNING, ...options.tuning },
      onDemand: () => this.onDemand,
      dialLane: (peer, lane, signal) =>
        this.#track(this.#dialLane(peer, lane, signal)),
    };
  }

  async listen(address: string): Promise<string> {
    this.#checkOpen("listen");
    const listener = await this.#options.network.listen(address);
    if (this.#closed !== undefined) {
      listener.close();
      this.#checkOpen("listen");
    }
    this.#listeners.add(listener);
    void this.#track(this.#acceptFrom(listener));
    return listener.address;
  }

  keep(node: number, address: string): Peer {
    this.#checkOpen("keep a peer");
    const peer = this.#known(node);
    if (!peer.kept) this.#kept++;
    peer.keep(address);
    return peer;
  }

  get onDemand(): boolean {
    return this.#kept > this.#context.tuning.connectionsMax;
  }

  peer(node: number): Peer | undefined {
    const peer = this.#peers.get(node);
    return peer?.kept ? peer : undefined;
  }

  forget(node: number): void {
    const peer = this.#peers.get(node);
    const wasOnDemand = this.onDemand;
    if (peer?.kept) this.#kept--;
    // Nobody has closed anything that callers know of.
    peer?.stop(new NodeNotFoundError(node));
    for (const connection of [...this.#connections]) {
      if (connection.remote.node === node) {
        connection.drop("the node is forgotten");
      }
    }
    this.#peers.delete(node);
    if (wasOnDemand && !this.onDemand) {
      for (const each of this.#peers.values()) each.redial();
    }
  }

  dropOthers(node: number, nonce: Uint8Array): void {
    for (const connection of [...this.#connections]) {
      const { remote } = connection;
      if (remote.node === node && !equalBytes(remote.nonce, nonce)) {
        connection.drop("another start of the node is the valid one");
      }
    }
  }

  renew(): void {
    for (const handshake of this.#handshakes) {
      handshake.abort(new Error("this node says something else of itself"));
    }
    for (const connection of [...this.#connections]) {
      connection.drop("the node says something else of itself");
    }
    for (const peer of this.#peers.values()) peer.renew();
  }

  async dial(
    address: string,
    options: { signal?: AbortSignal | undefined; lane?: Lane } = {},
  ): Promise<Connection> {
    this.#checkOpen("dial");
    const wish: Wish = { lane: options.lane ?? "control", purpose: "visit" };
    const greeting = await this.#track(
      this.#greet(address, wish, options.signal),
    );
    return this.#establish(greeting);
  }

  metrics(): EndpointMetrics {
    let receivedBytes = 0;
    let queuedBytes = 0;
    for (const connection of this.#connections) {
      receivedBytes += connection.receivedBytes;
      queuedBytes += connection.queuedBytes;
    }
    return {
      handshakes: this.#handshakes.size,
      connections: this.#connections.size,
      visits: this.#visits,
      turnedAway: this.#turnedAway,
      receivedBytes,
      queuedBytes,
    };
  }

  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  retired(connection: EstablishedConnection): void {
    this.#drop(
      connection,
      new ClosedError("use the connection", "a replaced one"),
    );
  }

  isOnDemand(connection: EstablishedConnection): boolean {
    return this.onDemand && !isVisit(connection);
  }

  ended(connection: EstablishedConnection, reason: unknown): void {
    this.#connections.delete(connection);
    this.#drop(connection, reason);
  }

  #drop(connection: EstablishedConnection, reason: unknown): void {
    const peer = this.#peers.get(connection.remote.node);
    if (peer === undefined) return;
    peer.lost(connection, reason);
    if (peer.idle) this.#peers.delete(peer.node);
  }

  async #close(): Promise<void> {
    // Not before the promise is in `#closed`: what is told may ask.
    await Promise.resolve();
    const reason = new ClosedError("use the endpoint", "the endpoint");
    this.#closing.abort(reason);
    for (const listener of this.#listeners) listener.close();
    for (const peer of this.#peers.values()) peer.stop(reason);
    for (const connection of [...this.#connections]) {
      connection.close("the node closes");
    }
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks);
  }

  async #acceptFrom(listener: Listener): Promise<void> {
    const { timers, tuning } = this.#context;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      let stream: ByteStream | null;
      try {
        stream = await listener.accept();
      } catch {
        // One stream failed, or the process is out of files: the port lives.
        await sleep(timers, tuning.backoffMinMs, { signal }).catch(() => {});
        continue;
      }
      if (stream === null) return;
      if (signal.aborted) stream.close();
      else {
        // The oldest goes: who means it is done in a few round trips, so that only
        // a flood keeps anybody out, and not who dials and is silent.
        if (this.#handshakes.size >= tuning.handshakesMax) {
          this.#turnedAway++;
          const [oldest] = this.#handshakes;
          this.#handshakes.delete(oldest!);
          oldest!.abort(new Error("others want to shake hands"));
        }
        void this.#track(this.#welcome(stream));
      }
    }
  }

  /** Makes the handshake with who has dialled; failing it ends that stream only. */
  async #welcome(stream: ByteStream): Promise<void> {
    const handshake = new AbortController();
    this.#handshakes.add(handshake);
    const { signal } = handshake;
    let greeting: Greeting;
    try {
      greeting = await greetAsAcceptor(
        stream,
        this.#greetingOptions(
          false,
          AbortSignal.any([signal, this.#closing.signal]),
        ),
      );
    } catch (error) {
      stream.close();
      if (isMismatch(error)) this.#tellRefused(stream.remote, error);
      return;
    } finally {
      this.#handshakes.delete(handshake);
    }
    if (this.#closing.signal.aborted) stream.close();
    else if (purposeOf(greeting) === "visit" && this.#visits >= VISITS_MAX) {
      // Without a word, which would hold the stream for a while.
      this.#turnedAway++;
      stream.close();
    } else this.#establish(greeting);
  }

  #tellRefused(address: string, error: unknown): void {
    const { clock, handler } = this.#context;
    const now = clock.monotonic();
    if (now < this.#refusalToldAt + REFUSAL_PAUSE_MS) return;
    this.#refusalToldAt = now;
    handler.refused?.(0, address, error);
  }

  async #dialLane(
    peer: KnownPeer,
    lane: Lane,
    signal: AbortSignal,
  ): Promise<void> {
    const greeting = await this.#greet(
      peer.address,
      { lane, purpose: "lane" },
      signal,
      peer.node,
    );
    if (signal.aborted) {
      greeting.stream.close();
      throw signal.reason;
    }
    this.#establish(greeting);
  }

  async #greet(
    address: string,
    wish: Wish,
    signal: AbortSignal | undefined,
    expected?: number,
  ): Promise<Greeting> {
    const either = signal
      ? AbortSignal.any([signal, this.#closing.signal])
      : this.#closing.signal;
    const stream = await this.#dialStream(address, either);
    const options = this.#greetingOptions(true, either, expected);
    const greeting = await greetAsDialler(stream, wish, options);
    if (either.aborted) {
      stream.close();
      throw either.reason;
    }
    return greeting;
  }

  async #dialStream(
    address: string,
    signal: AbortSignal,
  ): Promise<ByteStream> {
    const { timers, tuning } = this.#context;
    const action = `dial "${address}"`;
    using deadline = startDeadline(
      timers,
      tuning.dialTimeoutMs,
      action,
      signal,
    );
    try {
      deadline.signal.throwIfAborted();
      const dialling = this.#options.network.dial(address, {
        signal: deadline.signal,
      });
      // A transport may be late to notice that it was given up.
      dialling.then((stream) => {
        if (deadline.signal.aborted) stream.close();
      }, () => {});
      return await abortable(dialling, deadline.signal);
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (cause instanceof UnreachableError || isMismatch(cause)) throw cause;
      throw new UnreachableError("dial", [address], { cause });
    }
  }

  #greetingOptions(
    dialled: boolean,
    signal: AbortSignal,
    expected?: number,
  ): GreetingOptions {
    const { timers, random, handler, tuning } = this.#context;
    const identity = handler.identity();
    return {
      timers,
      random,
      timeoutMs: tuning.handshakeTimeoutMs,
      identity,
      secrets: this.#options.secrets ?? [],
      protocols: this.#options.protocols ?? PROTOCOLS,
      admit: (remote): Awaitable<void> => {
        if (expected === identity.node) {
          throw new ProtocolError("a node is no peer of itself");
        }
        if (expected !== undefined && remote.node !== expected) {
          throw new ProtocolError(
            `node ${remote.node} answers where node ${expected} was`,
          );
        }
        return handler.admit(remote, dialled);
      },
      answer: (remote) => handler.identity(remote).hello,
      confirm: (remote) => handler.confirm?.(remote),
      confirmed: (remote, said) => handler.confirmed?.(remote, said),
      refusedBy: (remote, error) => handler.refusedBy?.(remote, error),
      signal,
    };
  }

  #establish(greeting: Greeting): EstablishedConnection {
    const { requestsMax } = this.#context.tuning;
    const settled = { ...greeting, purpose: purposeOf(greeting) };
    const connection = new EstablishedConnection(
      settled,
      boundsOf(settled, requestsMax, this.#visitRoom),
      this.#context,
      this,
    );
    this.#connections.add(connection);
    const visits = settled.purpose === "visit";
    if (!visits) {
      this.#known(connection.remote.node).adopt(connection);
      if (this.onDemand) this.#endUnused(connection);
    }
    const serving = this.#track(connection.run());
    if (visits && !settled.dialled) {
      this.#visits++;
      void serving.then(() => this.#visits--);
    }
    return connection;
  }

  /**
   * Ends the connection that is longest unused, if they are too many; not the
   * fresh one, on which nothing was said yet.
   */
  #endUnused(fresh: EstablishedConnection): void {
    let count = 0;
    let oldest: EstablishedConnection | undefined;
    for (const connection of this.#connections) {
      if (isVisit(connection) || !connection.usable) continue;
      count++;
      if (connection === fresh || connection.busy) continue;
      if (oldest === undefined || connection.usedAt < oldest.usedAt) {
        oldest = connection;
      }
    }
    if (count > LANES * this.#context.tuning.connectionsMax) oldest?.release();
  }

  #known(node: number): KnownPeer {
    let peer = this.#peers.get(node);
    if (peer === undefined) {
      peer = new KnownPeer(node, this.#context);
      this.#peers.set(node, peer);
    }
    return peer;
  }

  #track<T>(task: Promise<T>): Promise<T> {
    this.#tasks.add(task);
    const end = () => {
      this.#tasks.delete(task);
    };
    task.then(end, end);
    return task;
  }

  #checkOpen(action: string): void {
    if (this.#closed !== undefined) {
      throw new ClosedError(action, "the endpoint");
    }
  }
}

/** What comes from nobody, or from this node itself, is no lane of a peer. */
function purposeOf({ remote, local, purpose }: Greeting): Purpose {
  return remote.node === 0 || remote.node === local ? "visit" : purpose;
}

function isVisit(connection: EstablishedConnection): boolean {
  return connection.purpose === "visit";
}
