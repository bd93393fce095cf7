/**
 * A peer: another node, and the two lanes to it.
 *
 * Guarantees: a lane has at most one current connection. While the peer is
 * kept and has an address, a lane without one is dialled for ever, with
 * full-jitter backoff; a request does not wait for the backoff. Where connections
 * are made on demand, requests alone dial. When both ends dial at once, both come
 * to keep the same connection, and the other one ends without harm to what was
 * begun on it.
 *
 * @module
 */

import {
  abortable,
  ClosedError,
  DeadlineExceededError,
  equalBytes,
  RejectedError,
  startDeadline,
  TIMEOUT_MS_DEFAULT,
  type Timer,
  UnreachableError,
} from "../runtime/mod.ts";
import type { Context, EstablishedConnection } from "./connection.ts";
import { isMismatch } from "./failure.ts";
import { messageName } from "./registry.ts";
import type { Lane, Peer, RequestOptions } from "./types.ts";

/** Time over which the dials of all peers are spread, in milliseconds. */
const REDIAL_ALL_MS = 1000;

/** What peers need beside what connections do. */
export interface PeerContext extends Context {
  /** Whether lanes are dialled by requests only. */
  readonly onDemand: () => boolean;
  /**
   * Dials a node for a lane. On success the new connection was handed to
   * {@linkcode KnownPeer.adopt}.
   */
  dialLane(
    peer: KnownPeer,
    lane: Lane,
    signal: AbortSignal,
  ): Promise<void>;
}

/**
 * Whether a new connection takes the place of an old one of the same lane of
 * the same peer. Both ends come to the same answer.
 *
 * A newer start of the peer wins. Within one start: a node that dials again has
 * lost the old one; so has one that dials although the connection is older than
 * any dial can take (`dialMsMax`). Otherwise both dialled at once, and the one
 * dialled by the lower node key stays.
 */
export function replaces(
  fresh: EstablishedConnection,
  old: EstablishedConnection,
  dialMsMax: number,
): boolean {
  if (!equalBytes(fresh.remote.nonce, old.remote.nonce)) {
    return fresh.remote.generation >= old.remote.generation;
  }
  if (fresh.dialled === old.dialled) return true;
  if (fresh.since - old.since > dialMsMax) return true;
  return fresh.dialled === (fresh.local < fresh.remote.node);
}

/** A node with which there are connections, or to which there should be. */
export class KnownPeer implements Peer {
  readonly node: number;
  #address = "";
  #kept = false;
  readonly #lanes: Record<Lane, PeerLane>;

  constructor(node: number, context: PeerContext) {
    this.node = node;
    this.#lanes = {
      control: new PeerLane(this, "control", context),
      bulk: new PeerLane(this, "bulk", context),
    };
  }

  get address(): string {
    return this.#address;
  }

  get connected(): boolean {
    return this.#lanes.control.current !== undefined;
  }

  /** Whether it is to be dialled. */
  get kept(): boolean {
    return this.#kept;
  }

  /** Whether there is no reason to remember it. */
  get idle(): boolean {
    return !this.#kept && this.#lanes.control.current === undefined &&
      this.#lanes.bulk.current === undefined;
  }

  request(
    type: number,
    payload: Uint8Array,
    options: RequestOptions = {},
  ): Promise<Uint8Array> {
    const lane = this.#lanes[options.lane ?? "control"];
    return lane.current?.request(type, payload, options) ??
      lane.requestAfterDial(type, payload, options);
  }

  send(type: number, payload: Uint8Array, lane: Lane = "control"): boolean {
    return this.#lanes[lane].current?.send(type, payload) ?? false;
  }

  /** Dials it from now on, at this address. */
  keep(address: string): void {
    const moved = address !== this.#address;
    this.#kept = true;
    this.#address = address;
    for (const lane of Object.values(this.#lanes)) lane.keep(moved);
  }

  /** Dials the lanes that are not connected, not all peers' at one time. */
  redial(): void {
    for (const lane of Object.values(this.#lanes)) lane.redial();
  }

  /** Dials anew: what it was told of this node does not hold any more. */
  renew(): void {
    for (const lane of Object.values(this.#lanes)) lane.renew();
  }

  /** Dials it no more; its connections are the caller's to close. */
  stop(reason: Error): void {
    this.#kept = false;
    for (const lane of Object.values(this.#lanes)) lane.stop(reason);
  }

  /** Takes a connection that was established, as current or to be ended. */
  adopt(connection: EstablishedConnection): void {
    this.#lanes[connection.lane].adopt(connection);
  }

  /** Takes note that a connection is of no more use, whoever had it. */
  lost(connection: EstablishedConnection, reason: unknown): void {
    this.#lanes[connection.lane].lost(connection, reason);
  }
}

/** One lane to a peer. */
class PeerLane {
  readonly #peer: KnownPeer;
  readonly #lane: Lane;
  readonly #context: PeerContext;
  readonly #waiting = new Set<PromiseWithResolvers<EstablishedConnection>>();
  #current: EstablishedConnection | undefined;
  #attempt: AbortController | undefined;
  #backoff: Timer | undefined;
  #failures = 0;

  constructor(peer: KnownPeer, lane: Lane, context: PeerContext) {
    this.#peer = peer;
    this.#lane = lane;
    this.#context = context;
  }

  get current(): EstablishedConnection | undefined {
    return this.#current;
  }

  async requestAfterDial(
    type: number,
    payload: Uint8Array,
    options: RequestOptions,
  ): Promise<Uint8Array> {
    const { timeoutMs = TIMEOUT_MS_DEFAULT, signal } = options;
    const { clock, timers } = this.#context;
    const action = `send ${messageName(type)} to node ${this.#peer.node}`;
    const addresses = this.#dialable ? [this.#peer.address] : [];
    signal?.throwIfAborted();
    if (!this.#dialable) throw new UnreachableError(action, addresses);
    const start = clock.monotonic();
    let connection: EstablishedConnection;
    {
      using deadline = startDeadline(timers, timeoutMs, action, signal);
      const waiting = Promise.withResolvers<EstablishedConnection>();
      this.#waiting.add(waiting);
      this.#dialNow();
      try {
        connection = await abortable(waiting.promise, deadline.signal);
      } catch (cause) {
        if (
          cause instanceof ClosedError || isMismatch(cause) ||
          (signal?.aborted && cause === signal.reason)
        ) throw cause;
        throw cause instanceof UnreachableError
          ? cause
          : new UnreachableError(action, addresses, { cause });
      } finally {
        this.#waiting.delete(waiting);
      }
    }
    const leftMs = timeoutMs - (clock.monotonic() - start);
    if (leftMs <= 0) {
      throw new UnreachableError(action, addresses, {
        cause: new DeadlineExceededError(action, timeoutMs),
      });
    }
    return connection.request(type, payload, { timeoutMs: leftMs, signal });
  }

  keep(moved: boolean): void {
    if (moved) this.#giveUp("the node has moved");
    if (this.#waiting.size > 0) this.#dialNow();
    // Not before all are kept that are to be: they may be too many to be dialled.
    else void Promise.resolve().then(() => this.#dialKept());
  }

  renew(): void {
    this.#giveUp("this node says something else of itself");
    if (this.#waiting.size > 0) this.#dialNow();
    else this.#dialKept();
  }

  redial(): void {
    this.#dialLater(REDIAL_ALL_MS);
  }

  stop(reason: Error): void {
    this.#backoff?.cancel();
    this.#backoff = undefined;
    this.#attempt?.abort(reason);
    this.#attempt = undefined;
    this.#failWaiting(reason);
  }

  adopt(connection: EstablishedConnection): void {
    const old = this.#current;
    if (old !== undefined) {
      const { dialTimeoutMs, handshakeTimeoutMs } = this.#context.tuning;
      const sameStart = equalBytes(old.remote.nonce, connection.remote.nonce);
      const dialMsMax = dialTimeoutMs + handshakeTimeoutMs;
      if (!replaces(connection, old, dialMsMax)) {
        if (sameStart) connection.retire();
        else connection.drop("a newer start of the node is connected");
        return;
      }
      // Whoever hears of the old one's end finds the new one.
      this.#current = connection;
      const reason = new ClosedError("use the connection", "a replaced one");
      this.#tellEnd(old, reason, this.#context.onDemand());
      if (sameStart && old.dialled !== connection.dialled) old.retire();
      else old.drop("another connection replaces it");
    }
    this.#current = connection;
    this.#backoff?.cancel();
    this.#backoff = undefined;
    this.#context.handler.connected?.(connection);
    for (const waiting of this.#waiting) waiting.resolve(connection);
    this.#waiting.clear();
  }

  lost(connection: EstablishedConnection, reason: unknown): void {
    if (this.#current !== connection) return;
    this.#current = undefined;
    const { clock, tuning } = this.#context;
    const livedMs = clock.monotonic() - connection.since;
    if (livedMs >= tuning.keepaliveMs) this.#failures = 0;
    // A peer that lets in and throws out is not to be dialled ever faster.
    else if (!connection.retired) this.#failures++;
    const { unused } = connection;
    const replaced = connection.retired && this.#context.onDemand();
    this.#tellEnd(connection, reason, unused || replaced);
    // Who took leave of this node keeps fewer connections than it does.
    this.#dialLater(unused ? tuning.backoffMaxMs : 0);
  }

  /**
   * Tells that a connection has ended. It is no loss where nobody uses it, nor,
   * where connections are made on demand, that two who dialled at once have one
   * less: nobody dials again before there is something to say.
   */
  #tellEnd(
    connection: EstablishedConnection,
    reason: unknown,
    released: boolean,
  ): void {
    const { handler } = this.#context;
    if (released) handler.released?.(connection);
    else handler.disconnected?.(connection, reason);
  }

  /** Gives up a dial that is under way; the next one is not late. */
  #giveUp(why: string): void {
    this.#failures = 0;
    this.#attempt?.abort(new UnreachableError("dial", [], { cause: why }));
    this.#attempt = undefined;
  }

  get #dialable(): boolean {
    return this.#peer.kept && this.#peer.address !== "";
  }

  /** Dials after the backoff, which is drawn up to `atLeastMs` if that is more. */
  #dialLater(atLeastMs = 0): void {
    if (!this.#dialable || this.#current || this.#attempt || this.#backoff) {
      return;
    }
    if (this.#context.onDemand()) return;
    const { random, timers, tuning } = this.#context;
    const { backoffMinMs: minMs, backoffMaxMs: maxMs } = tuning;
    const capMs = Math.max(
      minMs,
      atLeastMs,
      Math.min(maxMs, minMs * 2 ** Math.min(this.#failures + 1, 32)),
    );
    this.#backoff = timers.set(() => {
      this.#backoff = undefined;
      this.#dialKept();
    }, minMs + random.float() * (capMs - minMs));
  }

  #dialKept(): void {
    if (!this.#context.onDemand()) this.#dialNow();
  }

  #dialNow(): void {
    if (!this.#dialable || this.#current || this.#attempt) return;
    this.#backoff?.cancel();
    this.#backoff = undefined;
    this.#attempt = new AbortController();
    void this.#dial(this.#attempt);
  }

  async #dial(attempt: AbortController): Promise<void> {
    let failure: { error: unknown } | undefined;
    try {
      await this.#context.dialLane(this.#peer, this.#lane, attempt.signal);
    } catch (error) {
      failure = { error };
    }
    // A later attempt, or nobody, has taken over.
    if (this.#attempt !== attempt) return;
    this.#attempt = undefined;
    if (failure !== undefined) {
      this.#failures++;
      this.#tellRefusal(failure.error);
      this.#failWaiting(failure.error);
    }
    this.#dialLater();
  }

  /** Both lanes meet the same answer: one of them tells. */
  #tellRefusal(error: unknown): void {
    if (this.#lane !== "control") return;
    if (isMismatch(error) || error instanceof RejectedError) {
      const { node, address } = this.#peer;
      this.#context.handler.refused?.(node, address, error);
    }
  }

  #failWaiting(error: unknown): void {
    for (const waiting of this.#waiting) waiting.reject(error);
    this.#waiting.clear();
  }
}
