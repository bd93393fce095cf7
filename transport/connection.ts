/**
 * An established connection: requests, their replies and one-way messages over
 * one stream, after the handshake.
 *
 * Guarantees: every request ends, by its reply, its deadline, its signal or the
 * end of the connection, and the error says whether it may have been done. What
 * waits to be written is bounded, what is half received too. A stream on which
 * nothing comes, or into which nothing can be written, is given up after the
 * idle timeout. Frames that are queued in the same turn go out in one write.
 * An end that takes leave of the other (GOODBYE `duplicate`, `unused`) loses nothing
 * that was begun.
 *
 * Assumes: payloads are not changed after they were handed over.
 *
 * @module
 */

import {
  type Awaitable,
  type ByteStream,
  type Clock,
  ClosedError,
  DeadlineExceededError,
  EMPTY_BYTES,
  isPromise,
  LimitError,
  MESSAGE_BYTES_MAX,
  ProtocolError,
  type Random,
  RejectedError,
  RemoteError,
  TIMEOUT_MS_DEFAULT,
  type Timer,
  type Timers,
  UnreachableError,
  Writer,
} from "../runtime/mod.ts";
import {
  decodeFailure,
  encodeFailure,
  type Failure,
  FailureCode,
  failureOf,
} from "./failure.ts";
import {
  type Frame,
  FRAME_OVERHEAD_BYTES,
  type FrameDecoder,
  FrameFlag,
  laneNumber,
  readFrame,
} from "./frame.ts";
import type { Greeting } from "./greeting.ts";
import type { Purpose } from "./handshake.ts";
import type { Bounds } from "./bounds.ts";
import { PendingRequests } from "./pending.ts";
import { Reassembly } from "./reassembly.ts";
import { messageName, MessageType } from "./registry.ts";
import { type Outgoing, SendQueue } from "./send_queue.ts";
import { SilenceWatch } from "./silence.ts";
import { RequestWindow } from "./window.ts";
import type {
  Connection,
  EndpointHandler,
  EndpointTuning,
  Identity,
  Lane,
  RequestOptions,
} from "./types.ts";

/** How long the peer is given to read a GOODBYE, in milliseconds. */
const FAREWELL_MS = 500;

/** What is read, and thrown away, while waiting for that, in bytes. */
const FAREWELL_BYTES_MAX = 1024 * 1024;

/** Memory kept for writing between writes, in bytes. */
const WRITER_BYTES_KEPT = 64 * 1024;

/** Types below this are the transport's own. */
const TYPE_FIRST_OF_OTHERS = 16;

/** What connections, peers and the endpoint have in common. */
export interface Context {
  /** Tells the time. */
  readonly clock: Clock;
  /** Sets timers. */
  readonly timers: Timers;
  /** Draws correlation starts and jitter. */
  readonly random: Random;
  /** Takes what arrives. */
  readonly handler: EndpointHandler;
  /** Intervals and bounds, all of them. */
  readonly tuning: Required<EndpointTuning>;
}

/** Who is told what becomes of a connection. */
export interface Owner {
  /** Another connection is to be used from now on, as this end or the peer says. */
  retired(connection: EstablishedConnection): void;
  /** It takes no more; called once. */
  ended(connection: EstablishedConnection, reason: unknown): void;
  /** Whether it is to be ended once nobody uses it. */
  isOnDemand(connection: EstablishedConnection): boolean;
}

/** A connection after its handshake. */
export class EstablishedConnection implements Connection {
  readonly remote: Identity;
  readonly dialled: boolean;
  readonly lane: Lane;
  readonly protocol: number;
  readonly features: number;
  /** The node key that this node told of itself. */
  readonly local: number;
  /** What the dialler wants of it. */
  readonly purpose: Purpose;
  /** When it was established, in monotonic milliseconds. */
  readonly since: number;

  readonly #context: Context;
  readonly #bounds: Bounds;
  readonly #owner: Owner;
  readonly #stream: ByteStream;
  readonly #decoder: FrameDecoder;
  readonly #queue: SendQueue;
  readonly #reassembly: Reassembly;
  readonly #window: RequestWindow;
  readonly #pending: PendingRequests;
  readonly #silence: SilenceWatch;
  readonly #working = new AbortController();
  #correlation: number;
  /** When something was said on it last, by either end, but for signs of life. */
  #usedAt: number;
  #unused = false;
  /** Requests of the peer whose replies are not yet written. */
  #inWork = 0;
  #writing = false;
  #farewell: Timer | undefined;
  #wake: (() => void) | undefined;
  #ended = false;
  #broken = false;
  /** Whether {@linkcode close} ended it, not the transport nor the peer. */
  #closedHere = false;
  #retired = false;
  /** Whether this end, and the peer, said that they ask nothing more. */
  #askedAll = false;
  #peerAskedAll = false;
  #retirement: Timer | undefined;
  #life: Timer | undefined;

  constructor(
    greeting: Greeting,
    bounds: Bounds,
    context: Context,
    owner: Owner,
  ) {
    this.remote = greeting.remote;
    this.local = greeting.local;
    this.dialled = greeting.dialled;
    this.lane = greeting.lane;
    this.protocol = greeting.protocol;
    this.features = greeting.features;
    this.purpose = greeting.purpose;
    this.#stream = greeting.stream;
    this.#decoder = greeting.decoder;
    this.#context = context;
    this.#bounds = bounds;
    this.#owner = owner;
    this.#reassembly = new Reassembly(bounds.room);
    // What an IDENTITY took is not kept for as long as the connection lasts.
    this.#decoder.shrink();
    this.#queue = new SendQueue(
      laneNumber(greeting.lane),
      context.tuning.queueBytesMax,
      greeting.seal,
    );
    this.#correlation = context.random.u32() & ~1 | (greeting.dialled ? 1 : 0);
    this.since = this.#usedAt = context.clock.monotonic();
    const { clock, timers, tuning } = context;
    this.#window = new RequestWindow({
      max: bounds.askedMax,
      send: (message) => {
        const fits = this.#queue.offer(message);
        this.#wake?.();
        return fits ? undefined : this.#queue.wait(message);
      },
    });
    this.#pending = new PendingRequests({
      timers,
      unsent: (type, cause) => this.#unsentError(type, cause),
      ended: (correlation) => this.#reassembly.drop(correlation),
      gaveUp: () => this.#drain(),
    });
    this.#silence = new SilenceWatch({
      clock,
      timers,
      keepaliveMs: tuning.keepaliveMs,
      idleTimeoutMs: tuning.idleTimeoutMs,
      keepalive: () => this.#keepAlive(),
      gone: () =>
        this.#end(
          new DeadlineExceededError("hear from the peer", tuning.idleTimeoutMs),
        ),
    });
  }

  /** Whether it can be used for new messages. */
  get usable(): boolean {
    return !this.#ended && !this.#retired;
  }

  /** Whether it was, or is to be, ended in favour of another. */
  get retired(): boolean {
    return this.#retired;
  }

  /** Whether it was ended since nobody used it. */
  get unused(): boolean {
    return this.#unused;
  }

  /** When something was said on it last, in monotonic milliseconds. */
  get usedAt(): number {
    return this.#usedAt;
  }

  /** Whether something that was begun on it is not done. */
  get busy(): boolean {
    return this.#inWork > 0 || this.#pending.size > 0 || !this.#queue.empty;
  }

  /** Whether what was begun will end: by a deadline, or since it goes on. */
  get #progresses(): boolean {
    const unusedMs = this.#context.clock.monotonic() - this.#usedAt;
    return this.busy ||
      (this.#reassembly.held > 0 && unusedMs < TIMEOUT_MS_DEFAULT);
  }

  /** Bytes that wait to be written. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Bytes of memory held for what comes in: of frames, of messages not whole. */
  get receivedBytes(): number {
    return this.#decoder.capacity + this.#reassembly.held;
  }

  /** Serves the connection; resolves when its stream is closed. Never rejects. */
  async run(): Promise<void> {
    this.#silence.start();
    const { lifeMsMax } = this.#bounds;
    if (lifeMsMax < Infinity && !this.#ended) {
      this.#life = this.#context.timers.set(
        () => this.drop("a visit does not last so long"),
        lifeMsMax,
      );
    }
    const writing = this.#writeLoop();
    await this.#readLoop();
    await this.#awaitFarewell();
    this.#wake?.();
    await writing;
    this.#farewell?.cancel();
    this.#stream.close();
  }

  request(
    type: number,
    payload: Uint8Array,
    options: RequestOptions = {},
  ): Promise<Uint8Array> {
    const { timeoutMs = TIMEOUT_MS_DEFAULT, signal } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      checkSize(type, payload);
      if (!this.usable) throw this.#unsentError(type, undefined);
      this.#usedAt = this.#context.clock.monotonic();
      const message = this.#outgoing(0, type, this.#nextCorrelation(), payload);
      const leave = this.#window.ask(message);
      this.#pending.add({ message, timeoutMs, signal, leave, resolve, reject });
    });
  }

  send(type: number, payload: Uint8Array): boolean {
    checkSize(type, payload);
    if (!this.usable) return false;
    this.#usedAt = this.#context.clock.monotonic();
    const flags = FrameFlag.ONE_WAY;
    const correlation = this.#nextCorrelation();
    const taken = this.#queue.offer(
      this.#outgoing(flags, type, correlation, payload),
    );
    if (taken) this.#wake?.();
    return taken;
  }

  close(reason = "the connection was closed"): void {
    this.#closedHere ||= !this.#ended;
    this.drop(reason);
  }

  /**
   * Ends it as {@linkcode close} does, but of the transport's own accord, which is
   * nothing that callers have asked for: requests that were not sent are told that
   * the peer is not to be reached.
   */
  drop(reason: string): void {
    this.#end(new ClosedError("use the connection", "the connection"), {
      code: FailureCode.CLOSED,
      message: reason,
      data: EMPTY_BYTES,
    });
  }

  /**
   * Lets the connection end when what was begun on it is done: another serves
   * its lane. It takes nothing new. Each end says GOODBYE when it has nothing
   * more to ask, and closes when both have said it.
   */
  retire(): void {
    if (this.#retired || this.#ended) return;
    this.#retired = true;
    this.#awaitEnd();
    this.#drain();
  }

  /** A peer that never says that it has asked all is not waited for. */
  #awaitEnd(): void {
    this.#retirement = this.#context.timers.set(
      () => this.#progresses ? this.#awaitEnd() : this.drop("it was to end"),
      TIMEOUT_MS_DEFAULT,
    );
  }

  /** Lets it end likewise, since nobody uses it. */
  release(): void {
    if (!this.usable) return;
    this.#unused = true;
    this.retire();
    this.#owner.retired(this);
  }

  async #readLoop(): Promise<void> {
    const decoder = this.#decoder;
    const { frameBytesMax } = this.#bounds;
    try {
      while (!this.#ended) {
        let whole = false;
        for (
          let frame = decoder.next(frameBytesMax);
          frame !== undefined && !this.#ended;
          frame = decoder.next(frameBytesMax)
        ) {
          whole = true;
          this.#take(frame);
        }
        if (this.#ended) break;
        this.#silence.received(whole, decoder.partial);
        const count = await this.#stream.read(decoder.space());
        if (count === null) {
          this.#end(new ClosedError("read", "the other end of the stream"));
          break;
        }
        decoder.advance(count);
      }
    } catch (error) {
      this.#end(
        error,
        error instanceof ProtocolError ? failureOf(error) : undefined,
      );
    }
  }

  /** Reads until the peer has closed or says GOODBYE too: it has read ours. */
  async #awaitFarewell(): Promise<void> {
    let readBytes = 0;
    try {
      while (!this.#broken && readBytes < FAREWELL_BYTES_MAX) {
        const frame = await readFrame(
          this.#stream,
          this.#decoder,
          this.#bounds.frameBytesMax,
        );
        if (frame === null || frame.type === MessageType.GOODBYE) break;
        readBytes += FRAME_OVERHEAD_BYTES + frame.payload.length;
      }
    } catch {
      // Broken, closed or no frames: it is over either way.
    }
  }

  async #writeLoop(): Promise<void> {
    let writer = new Writer(1024);
    try {
      while (!this.#broken) {
        if (this.#queue.empty) {
          if (this.#ended) return;
          await new Promise<void>((resolve) => this.#wake = resolve);
          this.#wake = undefined;
          // The turn's other messages join this write.
          await Promise.resolve();
          continue;
        }
        this.#queue.take(writer);
        if (writer.length === 0) {
          // All that waited had been given up.
          this.#drain();
          continue;
        }
        this.#writing = true;
        this.#silence.writing();
        await this.#stream.write(writer.view());
        this.#silence.written();
        this.#writing = false;
        if (writer.length > WRITER_BYTES_KEPT) writer = new Writer(1024);
        else writer.clear();
        this.#drain();
      }
    } catch (error) {
      this.#end(error);
      this.#stream.close();
    }
  }

  #take(frame: Frame): void {
    const { flags, type, correlation } = frame;
    if (frame.lane !== laneNumber(this.lane)) {
      throw new ProtocolError("it sent a frame of another lane");
    }
    const own = (correlation & 1) === (this.dialled ? 1 : 0);
    const response = (flags & FrameFlag.RESPONSE) !== 0;
    const oneWay = (flags & FrameFlag.ONE_WAY) !== 0;
    const failed = (flags & FrameFlag.ERROR) !== 0;
    if (own !== response || (response && oneWay) || (failed && !response)) {
      throw new ProtocolError("the header of a frame contradicts itself");
    }
    if (response && !this.#pending.has(correlation)) {
      // Given up here meanwhile.
      this.#reassembly.drop(correlation);
      return;
    }
    if (type >= TYPE_FIRST_OF_OTHERS) {
      this.#usedAt = this.#context.clock.monotonic();
    }
    const payload = this.#reassembly.take(frame);
    if (payload === undefined) return;
    if (response) this.#takeResponse(correlation, failed, payload);
    else if (type < TYPE_FIRST_OF_OTHERS) this.#takeOwn(type, payload);
    else this.#takeOther(frame, payload);
  }

  #takeOther(
    { flags, type, correlation }: Frame,
    payload: Uint8Array,
  ): void {
    const oneWay = (flags & FrameFlag.ONE_WAY) !== 0;
    if (oneWay) this.#context.handler.message(this, type, payload);
    else this.#takeRequest(type, correlation, payload);
  }

  #takeResponse(
    correlation: number,
    failed: boolean,
    payload: Uint8Array,
  ): void {
    if (!this.#pending.started(correlation)) {
      throw new ProtocolError("it answered what was not asked yet");
    }
    if (!failed) this.#pending.resolve(correlation, payload);
    else {
      const { code, message, data } = readFailure(payload);
      this.#pending.reject(
        correlation,
        new RemoteError(code, message, { data }),
      );
    }
    this.#drain();
  }

  #takeRequest(type: number, correlation: number, payload: Uint8Array): void {
    const { handler } = this.#context;
    const { requestsMax } = this.#bounds;
    if (this.#inWork >= 2 * requestsMax) {
      throw new ProtocolError("it asks more without reading the replies");
    }
    this.#inWork++;
    if (this.#inWork > requestsMax) {
      const message = "Cannot take the request: too many are in work";
      this.#fail(
        type,
        correlation,
        new RemoteError(FailureCode.OVERLOADED, message),
      );
      return;
    }
    let reply: Awaitable<Uint8Array>;
    try {
      reply = handler.request(this, type, payload, this.#working.signal);
    } catch (error) {
      this.#fail(type, correlation, error);
      return;
    }
    if (!isPromise(reply)) this.#reply(type, correlation, reply);
    else {
      reply.then(
        (bytes) => this.#reply(type, correlation, bytes),
        (error) => this.#fail(type, correlation, error),
      );
    }
  }

  #reply(type: number, correlation: number, payload: Uint8Array): void {
    if (payload.length > MESSAGE_BYTES_MAX) {
      this.#fail(type, correlation, sizeError(type, payload));
    } else {
      this.#answer(FrameFlag.RESPONSE, type, correlation, payload);
    }
  }

  #fail(type: number, correlation: number, error: unknown): void {
    const flags = FrameFlag.RESPONSE | FrameFlag.ERROR;
    let payload = encodeFailure(failureOf(error));
    if (payload.length > MESSAGE_BYTES_MAX) {
      payload = encodeFailure(failureOf(sizeError(type, payload)));
    }
    this.#answer(flags, type, correlation, payload);
  }

  #answer(
    flags: number,
    type: number,
    correlation: number,
    payload: Uint8Array,
  ): void {
    if (this.#ended) return;
    const message: Outgoing = {
      ...this.#outgoing(flags, type, correlation, payload),
      onTaken: () => {
        this.#inWork--;
      },
    };
    if (!this.#queue.offer(message)) this.#queue.wait(message);
    this.#wake?.();
  }

  #takeOwn(type: number, payload: Uint8Array): void {
    switch (type) {
      case MessageType.GOODBYE: {
        const { code, message } = readFailure(payload);
        const unused = code === FailureCode.UNUSED;
        if (!unused && code !== FailureCode.DUPLICATE) {
          this.#end(new RejectedError(code, message));
          break;
        }
        this.#peerAskedAll = true;
        if (unused && !this.#retired) this.#unused = true;
        this.retire();
        this.#owner.retired(this);
        this.#drain();
        break;
      }
      case MessageType.HELLO:
      case MessageType.WELCOME:
      case MessageType.IDENTITY:
      case MessageType.REJECT:
        throw new ProtocolError(
          `it sent ${messageName(type)} after the handshake`,
        );
      default:
        // KEEPALIVE, whose coming is its meaning, and what later versions add.
    }
  }

  /** Says that it is there; or takes leave, where there is nothing to say. */
  #keepAlive(): void {
    const { clock, tuning } = this.#context;
    const unusedMs = clock.monotonic() - this.#usedAt;
    if (
      unusedMs >= tuning.keepaliveMs && !this.busy &&
      this.#owner.isOnDemand(this)
    ) this.release();
    else this.#pushOwn(MessageType.KEEPALIVE, EMPTY_BYTES);
  }

  /** Takes a retired connection a step nearer to its end. */
  #drain(): void {
    if (
      !this.#retired || this.#ended || this.#writing ||
      this.#pending.size > 0 || !this.#queue.empty
    ) return;
    if (!this.#askedAll) {
      this.#askedAll = true;
      this.#pushOwn(
        MessageType.GOODBYE,
        encodeFailure({
          ...this.#unused ? { code: FailureCode.UNUSED, message: "" } : {
            code: FailureCode.DUPLICATE,
            message: "another connection serves the lane",
          },
          data: EMPTY_BYTES,
        }),
      );
    } else if (this.#peerAskedAll && this.#inWork === 0) {
      if (!this.#unused) this.drop("its lane is served by another connection");
      // Both have taken leave: there is nothing more to be said.
      else this.#end(new ClosedError("use the connection", "an unused one"));
    }
  }

  #end(reason: unknown, farewell?: Failure): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#silence.end();
    this.#retirement?.cancel();
    this.#life?.cancel();
    this.#queue.clear();
    this.#window.close();
    this.#reassembly.clear();
    this.#pending.rejectAll(reason);
    this.#working.abort(reason);
    if (farewell === undefined) {
      this.#broken = true;
      this.#stream.close();
    } else {
      this.#pushOwn(MessageType.GOODBYE, encodeFailure(farewell));
      this.#farewell = this.#context.timers.set(() => {
        this.#broken = true;
        this.#stream.close();
      }, FAREWELL_MS);
    }
    this.#wake?.();
    this.#owner.ended(this, reason);
  }

  #pushOwn(type: number, payload: Uint8Array): void {
    const flags = FrameFlag.ONE_WAY;
    const correlation = this.#nextCorrelation();
    this.#queue.push(this.#outgoing(flags, type, correlation, payload));
    this.#wake?.();
  }

  #outgoing(
    flags: number,
    type: number,
    correlation: number,
    payload: Uint8Array,
  ): Outgoing {
    return {
      flags,
      type,
      correlation,
      payload,
      taken: 0,
      started: false,
      cancelled: false,
    };
  }

  #nextCorrelation(): number {
    do this.#correlation = (this.#correlation + 2) >>> 0; while (
      this.#pending.has(this.#correlation)
    );
    return this.#correlation;
  }

  #unsentError(type: number, cause: unknown): Error {
    const action = actionOf(type);
    return this.#closedHere
      ? new ClosedError(action, "the connection", { cause })
      : new UnreachableError(action, [this.#stream.remote], { cause });
  }
}

function readFailure(payload: Uint8Array): Failure {
  try {
    return decodeFailure(payload);
  } catch (cause) {
    throw new ProtocolError("its account of a failure is malformed", { cause });
  }
}

function checkSize(type: number, payload: Uint8Array): void {
  if (payload.length > MESSAGE_BYTES_MAX) throw sizeError(type, payload);
}

function sizeError(type: number, payload: Uint8Array): LimitError {
  const { length } = payload;
  return new LimitError(
    actionOf(type),
    "a message",
    length,
    0,
    MESSAGE_BYTES_MAX,
  );
}

function actionOf(type: number): string {
  return `send ${messageName(type)}`;
}
