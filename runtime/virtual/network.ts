/**
 * A network between the nodes of a virtual world: who listens where, which
 * links are cut, and streams being dialled.
 *
 * Guarantees: a dial takes a round trip. Where nobody listens it fails; across
 * a cut it hangs until the cut is healed, its signal aborts or
 * {@linkcode DIAL_TIMEOUT_MS} pass. A cut is silent: nothing arrives, nobody is
 * told, and what was under way arrives in order after the healing.
 *
 * Assumes: addresses are free text of the form `host:port`; whoever listens on
 * one first owns it, from whatever node.
 *
 * @module
 */

import { formatAddress, parseAddress } from "../address.ts";
import { AddressInUseError, UnreachableError } from "../errors.ts";
import type {
  ByteStream,
  DialOptions,
  Listener,
  Transport,
} from "../runtime.ts";
import { type Host, never } from "./host.ts";
import type { Prng } from "./prng.ts";
import type { ScheduledEvent, Scheduler } from "./scheduler.ts";
import { connect, type VirtualStream } from "./stream.ts";

/** How long a dial that nothing answers waits, in virtual milliseconds. */
export const DIAL_TIMEOUT_MS = 120_000;

/** Most streams that wait for `accept`; more are refused. */
const BACKLOG_MAX = 128;

/** The first port given to those who ask for a free one. */
const FREE_PORT_FIRST = 40_000;

/** What a link is like, in one direction, beside the world's latency. */
export interface LinkConditions {
  /** Added to the latency of everything, in ms. @default {0} */
  readonly delayMs?: number;
  /** At most so much more is added, as the seed draws, in ms. @default {0} */
  readonly jitterMs?: number;
  /** Bytes that get through in a millisecond. @default {Infinity} */
  readonly bytesPerMs?: number;
}

/** A link in one direction. */
interface Link {
  readonly conditions: LinkConditions;
  /** When what was sent last will have got into the link. */
  busyUntil: number;
}

/** What waits at a link that is cut. */
interface Held {
  from: string;
  to: string;
  release: () => void;
}

/** All links and listeners of a world. */
export class VirtualNetwork {
  readonly #scheduler: Scheduler;
  readonly #random: Prng;
  readonly #latencyMs: readonly [number, number];
  readonly #listeners = new Map<string, VirtualListener>();
  /** Who listened last on each address: where a dial to it travels. */
  readonly #owners = new Map<string, string>();
  /** Cut links, one direction each. */
  readonly #cut = new Set<string>();
  #held = new Set<Held>();
  readonly #streams = new Set<VirtualStream>();
  readonly #dials = new Set<Dial>();
  /** Links that are worse than others, one direction each. */
  readonly #links = new Map<string, Link>();
  /** Links of which the next portion of bytes comes out damaged. */
  readonly #damaging = new Set<string>();
  #damaged = 0;
  #sentBytes = 0;
  #nextPort = FREE_PORT_FIRST;

  /** A network without nodes. */
  constructor(
    scheduler: Scheduler,
    random: Prng,
    latencyMs: readonly [number, number],
  ) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#latencyMs = latencyMs;
  }

  /** Decides latencies and how streams are cut into reads. */
  get random(): Prng {
    return this.#random;
  }

  /** The virtual time in milliseconds. */
  get now(): number {
    return this.#scheduler.now;
  }

  /** Portions of bytes that came out damaged so far. */
  get damaged(): number {
    return this.#damaged;
  }

  /** Bytes that were sent so far, from all to all. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Draws the latency of `bytes` on a link, in milliseconds. */
  latency(from: string, to: string, bytes = 0): number {
    const latency = this.#random.between(this.#latencyMs);
    if (this.#links.size === 0) return latency;
    const link = this.#links.get(linkOf(from, to));
    if (link === undefined) return latency;
    const { delayMs = 0, jitterMs = 0, bytesPerMs = Infinity } =
      link.conditions;
    link.busyUntil = Math.max(link.busyUntil, this.now) + bytes / bytesPerMs;
    return latency + delayMs + this.#random.float() * jitterMs +
      link.busyUntil - this.now;
  }

  /** Makes a link, in one direction, what the conditions say. */
  condition(from: string, to: string, conditions?: LinkConditions): void {
    const name = linkOf(from, to);
    if (conditions === undefined) this.#links.delete(name);
    else this.#links.set(name, { conditions, busyUntil: this.now });
    for (const stream of this.#streams) {
      if (linkOf(stream.host.name, stream.peer.host.name) === name) {
        stream.redraw();
      }
    }
  }

  /** Damages the next bytes that are sent over a link, in one direction. */
  damageNext(from: string, to: string): void {
    this.#damaging.add(linkOf(from, to));
  }

  /** Counts bytes on their way, and flips a bit of them if that was asked for. */
  carry(from: string, to: string, bytes: Uint8Array): void {
    this.#sentBytes += bytes.length;
    if (this.#damaging.size === 0) return;
    if (!this.#damaging.delete(linkOf(from, to))) return;
    bytes[this.#random.below(bytes.length)]! ^= 1 << this.#random.below(8);
    this.#damaged++;
  }

  /** The network as one host uses it. */
  transport(host: Host): Transport {
    return {
      // Async functions, so that every failure is a rejection.
      listen: async (address) => await this.#listen(host, address),
      dial: async (address, options) =>
        await this.#dial(host, address, options),
    };
  }

  /** Cuts the link between two nodes, in both directions or from `a` to `b`. */
  cut(a: string, b: string, oneWay = false): void {
    this.#cut.add(linkOf(a, b));
    if (!oneWay) this.#cut.add(linkOf(b, a));
  }

  /** Makes `a` forget its streams with `b`, who is not told; how many there were. */
  forget(a: string, b: string): number {
    let count = 0;
    for (const stream of [...this.#streams]) {
      if (stream.host.name === a && stream.peer.host.name === b) {
        stream.vanish("the connection was forgotten");
        count++;
      }
    }
    return count;
  }

  /** Heals the links that join `a` and `b`, those of `a`, or all. */
  heal(a?: string, b?: string): void {
    if (a === undefined) this.#damaging.clear();
    const heals = (from: string, to: string) =>
      a === undefined ||
      (b === undefined
        ? from === a || to === a
        : (from === a && to === b) || (from === b && to === a));
    for (const link of [...this.#cut]) {
      const [from, to] = link.split("\0") as [string, string];
      if (heals(from, to)) this.#cut.delete(link);
    }
    const held = this.#held;
    this.#held = new Set();
    for (const each of held) {
      if (this.isCut(each.from, each.to)) this.#held.add(each);
      else each.release();
    }
  }

  /** Whether nothing gets from one node to another. */
  isCut(from: string, to: string): boolean {
    return this.#cut.has(linkOf(from, to));
  }

  /** Breaks all streams between two nodes, at once; how many ends there were. */
  reset(a: string, b: string): number {
    let count = 0;
    for (const stream of [...this.#streams]) {
      const [from, to] = [stream.host.name, stream.peer.host.name];
      if ((from === a && to === b) || (from === b && to === a)) {
        stream.shatter("the connection was lost");
        count++;
      }
    }
    return count;
  }

  /** Ends what a dead host had: listeners, streams, dials. */
  bury(host: Host): void {
    for (const [address, listener] of [...this.#listeners]) {
      if (listener.host === host) this.#listeners.delete(address);
    }
    for (const dial of [...this.#dials]) {
      if (dial.host === host) dial.abandon();
    }
    for (const stream of [...this.#streams]) {
      if (stream.host === host) stream.die();
    }
  }

  /**
   * Schedules what crosses a link. At a cut link it waits for the healing.
   *
   * @returns A call that takes it back.
   */
  cross(
    from: string,
    to: string,
    delayMs: number,
    callback: () => void,
  ): () => void {
    let event: ScheduledEvent | undefined;
    const held: Held = {
      from,
      to,
      release: () => set(this.latency(from, to)),
    };
    const set = (delay: number): void => {
      event = this.#scheduler.schedule(delay, `${from} to ${to}`, () => {
        if (this.isCut(from, to)) this.#held.add(held);
        else callback();
      });
    };
    set(delayMs);
    return () => {
      event?.cancel();
      this.#held.delete(held);
    };
  }

  /** Takes note of a stream's end that lives. */
  opened(stream: VirtualStream): void {
    this.#streams.add(stream);
  }

  /** Takes note of a stream's end that is over. */
  ended(stream: VirtualStream): void {
    this.#streams.delete(stream);
  }

  /** Takes note of a listener that was closed. */
  unlisten(listener: VirtualListener): void {
    if (this.#listeners.get(listener.address) === listener) {
      this.#listeners.delete(listener.address);
    }
  }

  /** Settles a dial's place in the books. */
  dialEnded(dial: Dial): void {
    this.#dials.delete(dial);
  }

  /** Who listens on an address, and who did last. */
  lookUp(
    address: string,
  ): { listener: VirtualListener | undefined; owner: string | undefined } {
    return {
      listener: this.#listeners.get(address),
      owner: this.#owners.get(address),
    };
  }

  /** Opens a stream between two hosts. */
  connect(dialler: Host, listener: VirtualListener): VirtualStream {
    return connect(this, {
      dialler,
      accepter: listener.host,
      address: listener.address,
      from: formatAddress(dialler.name, this.#nextPort++),
    });
  }

  #listen(host: Host, asked: string): Promise<Listener> {
    if (!host.alive) return never();
    const { host: name, port } = parseAddress(asked);
    let address = asked;
    if (port === 0) {
      do address = formatAddress(name, this.#nextPort++); while (
        this.#listeners.has(address)
      );
    }
    if (this.#listeners.has(address)) throw new AddressInUseError(address);
    const listener = new VirtualListener(this, host, address);
    this.#listeners.set(address, listener);
    this.#owners.set(address, host.name);
    host.trace("listen", address);
    return Promise.resolve(listener);
  }

  #dial(
    host: Host,
    address: string,
    options: DialOptions = {},
  ): Promise<ByteStream> {
    if (!host.alive) return never();
    if (parseAddress(address).port === 0) {
      throw new TypeError(`Cannot dial "${address}": port 0 is no destination`);
    }
    options.signal?.throwIfAborted();
    host.trace("dial", address);
    const dial = new Dial(this, host, address, options.signal);
    this.#dials.add(dial);
    return dial.result.promise;
  }
}

/** A dial under way. */
class Dial {
  readonly host: Host;
  readonly result = Promise.withResolvers<ByteStream>();
  readonly #network: VirtualNetwork;
  readonly #address: string;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#fail(this.#signal!.reason);
  readonly #timeout: ScheduledEvent;
  #stream: VirtualStream | undefined;
  #takeBack: () => void;

  constructor(
    network: VirtualNetwork,
    host: Host,
    address: string,
    signal: AbortSignal | undefined,
  ) {
    this.#network = network;
    this.host = host;
    this.#address = address;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#timeout = host.schedule(
      DIAL_TIMEOUT_MS,
      `timeout of the dial of ${address}`,
      () => this.#refuse("no answer in time"),
    );
    const to = network.lookUp(address).owner ?? host.name;
    this.#takeBack = network.cross(
      host.name,
      to,
      network.latency(host.name, to),
      () => this.#arrive(),
    );
  }

  /** Ends it without a word: the dialler gave up or is dead. */
  abandon(): void {
    this.#end();
    this.#takeBack();
    this.#stream?.abort();
  }

  /** The dial has come to the address. */
  #arrive(): void {
    const { listener, owner } = this.#network.lookUp(this.#address);
    if (listener?.hasRoom) {
      const stream = this.#network.connect(this.host, listener);
      this.#stream = stream;
      stream.onOpen = (error) => {
        if (error !== undefined) return this.#refuse(error.message);
        this.#end();
        this.host.trace("dialled", this.#address);
        this.result.resolve(stream);
      };
      listener.offer(stream.peer);
      return;
    }
    const from = owner ?? this.host.name;
    this.#takeBack = this.#network.cross(
      from,
      this.host.name,
      this.#network.latency(from, this.host.name),
      () => this.host.run(() => this.#refuse("connection refused", true)),
    );
  }

  #refuse(detail: string, refused = false): void {
    this.host.trace("refused", this.#address);
    this.#fail(
      new UnreachableError("dial", [this.#address], {
        cause: new Error(detail),
        refused,
      }),
    );
  }

  #fail(reason: unknown): void {
    this.abandon();
    if (this.host.alive) this.result.reject(reason);
  }

  #end(): void {
    this.#network.dialEnded(this);
    this.#timeout.cancel();
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}

/** A listening address of a host. */
class VirtualListener implements Listener {
  readonly address: string;
  readonly host: Host;
  readonly #network: VirtualNetwork;
  #closed = false;
  readonly #backlog: VirtualStream[] = [];
  readonly #waiting: ((stream: ByteStream | null) => void)[] = [];

  constructor(network: VirtualNetwork, host: Host, address: string) {
    this.#network = network;
    this.host = host;
    this.address = address;
  }

  /** Whether one more stream may wait here. */
  get hasRoom(): boolean {
    return this.#backlog.length < BACKLOG_MAX;
  }

  /** Hands over a stream that was dialled. */
  offer(stream: VirtualStream): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#backlog.push(stream);
      return;
    }
    this.host.trace("accept", `${this.address} ${stream.remote}`);
    this.host.run(() => waiting(stream));
  }

  accept(): Promise<ByteStream | null> {
    if (!this.host.alive) return never();
    if (this.#closed) return Promise.resolve(null);
    const stream = this.#backlog.shift();
    if (stream === undefined) {
      return new Promise((resolve) => this.#waiting.push(resolve));
    }
    this.host.trace("accept", `${this.address} ${stream.remote}`);
    return Promise.resolve(stream);
  }

  close(): void {
    if (this.#closed || !this.host.alive) return;
    this.#closed = true;
    this.#network.unlisten(this);
    this.host.trace("unlisten", this.address);
    for (const resolve of this.#waiting.splice(0)) resolve(null);
    for (const stream of this.#backlog.splice(0)) stream.abort();
  }
}

function linkOf(from: string, to: string): string {
  return `${from}\0${to}`;
}
