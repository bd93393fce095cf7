/**
 * Byte streams of the virtual network, one end at a time.
 *
 * Guarantees, as TCP: bytes arrive once, in order, with the latency that the
 * seed draws, in other portions than they were written; a writer waits while
 * {@linkcode WINDOW_BYTES} are unread; an end that closes is seen by the other
 * as the end of the stream behind all bytes, or as a broken stream if it closed
 * with bytes unread or bytes come in later; a broken end still gives out what
 * had arrived.
 *
 * @module
 */

import { crc32 } from "../bytes.ts";
import type { Bytes } from "../bytes.ts";
import { ClosedError } from "../errors.ts";
import type { ByteStream } from "../runtime.ts";
import { type Host, never } from "./host.ts";
import type { VirtualNetwork } from "./network.ts";

/** Most bytes that are written and not yet read, in each direction. */
export const WINDOW_BYTES = 1024 * 1024;

/** Most bytes that arrive at once. */
const SEGMENT_BYTES = 64 * 1024;

/** How often a segment is split in two, and a read cut short. */
const FRAGMENT_CHANCE = 1 / 8;

/** What one end tells the other besides bytes. */
type Signal = "open" | "end" | "break";

/** One direction of a stream: what is on its way. */
class Pipe {
  readonly #network: VirtualNetwork;
  readonly #from: Host;
  readonly #to: VirtualStream;
  readonly #items: { item: Bytes | Signal; arrival: number }[] = [];
  #takeBack: (() => void) | undefined;

  constructor(network: VirtualNetwork, from: Host, to: VirtualStream) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
  }

  /** Sends on its way, behind what was sent before. */
  send(item: Bytes | Signal): void {
    const [from, to] = [this.#from.name, this.#to.host.name];
    const size = typeof item === "string" ? 0 : item.length;
    // What would overtake waits in the queue until it is the first.
    const arrival = this.#network.now + this.#network.latency(from, to, size);
    if (typeof item !== "string") this.#network.carry(from, to, item);
    this.#items.push({ item, arrival });
    if (this.#takeBack === undefined) this.#next();
  }

  /** The link is another one: what is on its way comes no later than over it. */
  redraw(): void {
    const [from, to] = [this.#from.name, this.#to.host.name];
    for (const each of this.#items) {
      const size = typeof each.item === "string" ? 0 : each.item.length;
      const latency = this.#network.latency(from, to, size);
      each.arrival = Math.min(each.arrival, this.#network.now + latency);
    }
    this.#takeBack?.();
    this.#next();
  }

  /** Loses everything that is on its way. */
  empty(): void {
    this.#takeBack?.();
    this.#takeBack = undefined;
    this.#items.length = 0;
  }

  #next(): void {
    const first = this.#items[0];
    if (first === undefined) {
      this.#takeBack = undefined;
      return;
    }
    this.#takeBack = this.#network.cross(
      this.#from.name,
      this.#to.host.name,
      first.arrival - this.#network.now,
      () => {
        this.#items.shift();
        this.#next();
        this.#to.arrive(first.item);
      },
    );
  }
}

/** Who a stream joins. */
export interface StreamEnds {
  /** The host that dialled. */
  dialler: Host;
  /** The host that listens. */
  accepter: Host;
  /** The address dialled. */
  address: string;
  /** The address of the dialler, for messages to people. */
  from: string;
}

/**
 * Joins two hosts. The accepter's end is open at once, the dialler's when word
 * of it comes back.
 *
 * @returns The dialler's end.
 */
export function connect(
  network: VirtualNetwork,
  ends: StreamEnds,
): VirtualStream {
  const dialled = new VirtualStream(network, ends.dialler, ends.address);
  const accepted = new VirtualStream(network, ends.accepter, ends.from);
  dialled.join(accepted);
  accepted.join(dialled);
  accepted.open();
  return dialled;
}

/** One end of a stream. */
export class VirtualStream implements ByteStream {
  readonly remote: string;
  /** Whose end it is. */
  readonly host: Host;
  /** Called when word comes that the other end is open, or never will be. */
  onOpen: ((error?: Error) => void) | undefined;
  readonly #network: VirtualNetwork;
  #peer: VirtualStream | undefined;
  #out: Pipe | undefined;
  #state: "open" | "ended" | "broken" | "closed" = "open";
  #brokenBy: Error | undefined;
  /** Nothing that comes here is answered any more. */
  #vanished = false;
  readonly #arrived: Bytes[] = [];
  #unread = 0;
  /** Bytes written here and not yet read there. */
  #outstanding = 0;
  #reader:
    | { buffer: Uint8Array; resolve: ReadResolve; reject: Reject }
    | undefined;
  #writer:
    | { data: Uint8Array; resolve: () => void; reject: Reject }
    | undefined;

  /** An end of `host`. */
  constructor(network: VirtualNetwork, host: Host, remote: string) {
    this.#network = network;
    this.host = host;
    this.remote = remote;
    network.opened(this);
  }

  /** The other end. */
  get peer(): VirtualStream {
    return this.#peer!;
  }

  /** Joins it to the other end. */
  join(peer: VirtualStream): void {
    this.#peer = peer;
    this.#out = new Pipe(this.#network, this.host, peer);
  }

  /** {@linkcode Pipe.redraw}. */
  redraw(): void {
    this.#out!.redraw();
  }

  /** Tells the other end that this one is open. */
  open(): void {
    this.#out!.send("open");
  }

  read(buffer: Uint8Array): Promise<number | null> {
    if (!this.host.alive) return never();
    if (this.#reader !== undefined) {
      return Promise.reject(new Error("Cannot read: a read is pending"));
    }
    if (this.#unread > 0) return Promise.resolve(this.#take(buffer));
    if (this.#state === "broken") return Promise.reject(this.#brokenBy);
    if (this.#state !== "open") return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#reader = { buffer, resolve, reject };
    });
  }

  write(data: Uint8Array): Promise<void> {
    if (!this.host.alive) return never();
    if (this.#writer !== undefined) {
      return Promise.reject(new Error("Cannot write: a write is pending"));
    }
    if (this.#state === "closed") {
      return Promise.reject(new ClosedError("write", "the stream"));
    }
    if (this.#state === "broken") return Promise.reject(this.#brokenBy);
    return new Promise((resolve, reject) => {
      this.#writer = { data, resolve, reject };
      this.#pump();
    });
  }

  close(): void {
    // With bytes unread the system says so: the peer's bytes were lost.
    this.#close(this.#unread > 0 ? "break" : "end");
  }

  /** Closes without the courtesy of an orderly end. */
  abort(): void {
    this.#close("break");
  }

  /** Its host is dead: nothing here moves any more, the other end breaks. */
  die(): void {
    this.#reader = undefined;
    this.#writer = undefined;
    if (this.#state === "open" || this.#state === "ended") {
      this.#out!.send("break");
    }
    this.#state = "closed";
    this.#network.ended(this);
  }

  /** Breaks both ends at once; what is on its way is lost. */
  shatter(detail: string): void {
    for (const end of [this, this.peer]) {
      end.#out!.empty();
      end.host.run(() => end.#break(detail));
    }
  }

  /**
   * Breaks this end only: the other one is not told, and what it sends is lost
   * without an answer.
   */
  vanish(detail: string): void {
    this.#vanished = true;
    this.#out!.empty();
    this.host.run(() => this.#break(detail));
  }

  /** Something has come from the other end; to a dead host nothing comes. */
  arrive(item: Bytes | Signal): void {
    if (this.host.stalled) this.host.run(() => this.#receive(item));
    else if (this.host.alive) this.#receive(item);
  }

  #receive(item: Bytes | Signal): void {
    if (typeof item === "string") {
      this.host.trace("signal", `${this.remote} ${item}`);
      if (item === "open") this.#opened();
      else if (item === "end") this.#end();
      else this.#break("the connection was reset by the peer");
      return;
    }
    this.host.trace(
      "receive",
      `${this.remote} ${item.length} ${crc32(item)}`,
    );
    if (this.#vanished || this.#state === "broken") return;
    if (this.#state === "closed") {
      this.#out!.send("break");
      return;
    }
    this.#arrived.push(item);
    this.#unread += item.length;
    const reader = this.#reader;
    if (reader === undefined) return;
    this.#reader = undefined;
    reader.resolve(this.#take(reader.buffer));
  }

  #opened(): void {
    if (this.#state === "closed") return;
    this.onOpen?.();
    this.onOpen = undefined;
  }

  #end(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.#reader?.resolve(null);
    this.#reader = undefined;
  }

  #break(detail: string): void {
    if (this.#state === "broken" || this.#state === "closed") return;
    this.#state = "broken";
    this.#brokenBy = new Error(`Cannot use the stream: ${detail}`);
    this.#reader?.reject(this.#brokenBy);
    this.#writer?.reject(this.#brokenBy);
    this.#reader = undefined;
    this.#writer = undefined;
    this.#network.ended(this);
    this.onOpen?.(this.#brokenBy);
    this.onOpen = undefined;
  }

  #close(last: Signal): void {
    if (!this.host.alive || this.#state === "closed") return;
    const broken = this.#state === "broken";
    this.#state = "closed";
    this.#arrived.length = 0;
    this.#unread = 0;
    this.#reader?.resolve(null);
    this.#writer?.reject(new ClosedError("write", "the stream"));
    this.#reader = undefined;
    this.#writer = undefined;
    if (!broken) this.#out!.send(last);
    this.#network.ended(this);
  }

  /** Moves arrived bytes into a reader's buffer, at times fewer than it could. */
  #take(buffer: Uint8Array): number {
    const random = this.#network.random;
    let wanted = Math.min(buffer.length, this.#unread);
    if (wanted > 1 && random.chance(FRAGMENT_CHANCE)) {
      wanted = 1 + random.below(wanted);
    }
    let done = 0;
    while (done < wanted) {
      const first = this.#arrived[0]!;
      const part = first.subarray(0, wanted - done);
      buffer.set(part, done);
      done += part.length;
      if (part.length === first.length) this.#arrived.shift();
      else this.#arrived[0] = first.subarray(part.length);
    }
    this.#unread -= done;
    this.peer.#wasRead(done);
    return done;
  }

  #wasRead(bytes: number): void {
    this.#outstanding -= bytes;
    if (this.#writer !== undefined) this.host.run(() => this.#pump());
  }

  /** Sends as much of the pending write as the window lets through. */
  #pump(): void {
    const writer = this.#writer;
    if (writer === undefined) return;
    const random = this.#network.random;
    while (writer.data.length > 0) {
      let length = Math.min(writer.data.length, SEGMENT_BYTES);
      // Not less than that: a reader that takes single bytes would otherwise
      // have the rest sent as single bytes too ("silly window").
      if (length > WINDOW_BYTES - this.#outstanding) return;
      if (length > 1 && random.chance(FRAGMENT_CHANCE)) {
        length = 1 + random.below(length);
      }
      this.#outstanding += length;
      this.#out!.send(new Uint8Array(writer.data.subarray(0, length)));
      writer.data = writer.data.subarray(length);
    }
    this.#writer = undefined;
    writer.resolve();
  }
}

type ReadResolve = (result: number | null) => void;
type Reject = (reason: unknown) => void;
