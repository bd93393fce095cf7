/**
 * Carries the handshake of `handshake.ts` over a stream.
 *
 * Guarantees: ends within its deadline, with a connection both ends want or
 * with the stream closed; the end that refuses tells the other why before it
 * closes, but not who has no proof of the secret; both ends have judged each other
 * before anything else is read.
 *
 * @module
 */

import {
  abortable,
  AspenError,
  type Awaitable,
  type ByteStream,
  DeadlineExceededError,
  EMPTY_BYTES,
  ProtocolError,
  ProtocolMismatchError,
  type ProtocolRange,
  type Random,
  RejectedError,
  SecretMismatchError,
  startDeadline,
  type Timers,
  TlsError,
  UnreachableError,
  Writer,
} from "../runtime/mod.ts";
import { encodeFailure } from "./failure.ts";
import {
  type Frame,
  FrameDecoder,
  FrameFlag,
  laneNumber,
  readFrame,
  writeFrame,
} from "./frame.ts";
import {
  CHALLENGE_BYTES,
  chooseProtocol,
  commonFeatures,
  decodeHello,
  decodeIdentity,
  decodeWelcome,
  encodeHello,
  encodeIdentity,
  encodeWelcome,
  GREETING_FRAME_BYTES_MAX,
  IDENTITY_FRAME_BYTES_MAX,
  judgeCluster,
  judgeRole,
  PROTOCOLS,
  type Purpose,
  refusalOf,
  refusedBy,
  type Welcome,
} from "./handshake.ts";
import { messageName, MessageType } from "./registry.ts";
import { proofOf, provedSecret, Seal, transcriptOf } from "./seal.ts";
import type { Identity, Lane } from "./types.ts";

/** What a handshake needs to know. */
export interface GreetingOptions {
  /** Sets the deadline. */
  timers: Timers;
  /** Draws the challenge. */
  random: Random;
  /** Milliseconds that the whole of it may take. */
  timeoutMs: number;
  /** Who this node is. */
  identity: Identity;
  /** The secrets that it shares with others, the newest first; empty: none. */
  secrets: readonly Uint8Array[];
  /** Judges the other node; throws to refuse it. */
  admit: (remote: Identity) => Awaitable<void>;
  /** The hello that the acceptor tells the dialler. @default {identity's} */
  answer?: (remote: Identity) => Uint8Array;
  /** What the dialler says last. @default {nothing} */
  confirm?: ((remote: Identity) => Uint8Array | undefined) | undefined;
  /** Takes that, at the acceptor. */
  confirmed?: (remote: Identity, said: Uint8Array) => Awaitable<void>;
  /** Is told, at the acceptor, that a dialler that it lets in has refused it. */
  refusedBy?: (remote: Identity, error: RejectedError) => void;
  /** Gives up when aborted. */
  signal?: AbortSignal | undefined;
  /** The versions spoken. @default {PROTOCOLS} */
  protocols?: ProtocolRange;
}

/** What the dialler decides. */
export interface Wish {
  /** Which lane the connection is to serve. */
  lane: Lane;
  /** What the connection is for. */
  purpose: Purpose;
}

/** What came of a handshake. */
export interface Greeting extends Wish {
  /** The stream, on which both now speak `protocol`. */
  stream: ByteStream;
  /** Has what was read beyond the handshake. */
  decoder: FrameDecoder;
  /** Seals what this node sends; `undefined` where there is no secret. */
  seal: Seal | undefined;
  /** The node key that this node told of itself. */
  local: number;
  /** Who the other node is. */
  remote: Identity;
  /** Whether this node dialled. */
  dialled: boolean;
  /** The version agreed on. */
  protocol: number;
  /** The bits of optional features that both understand. */
  features: number;
}

/**
 * Makes the handshake on a stream that this node has dialled.
 *
 * @throws {UnreachableError} If the stream broke or the deadline passed.
 * @throws {TlsError} If the other end speaks TLS, and this one does not.
 * @throws {SecretMismatchError} If the two have no secret in common.
 * @throws {ClusterMismatchError} If the clusters differ.
 * @throws {ProtocolMismatchError} If the other end speaks no common version.
 * @throws {ProtocolError} If the other end speaks no Aspen.
 * @throws {RejectedError} If the other end refused this node.
 */
export function greetAsDialler(
  stream: ByteStream,
  wish: Wish,
  options: GreetingOptions,
): Promise<Greeting> {
  const talk = new Talk(stream, options, wish.lane);
  return talk.run(() => talk.dial(wish));
}

/** Makes the handshake on a stream that came in; throws as the dialler's does. */
export function greetAsAcceptor(
  stream: ByteStream,
  options: GreetingOptions,
): Promise<Greeting> {
  const talk = new Talk(stream, options);
  return talk.run(() => talk.accept());
}

/** One handshake while it lasts. */
class Talk {
  readonly #stream: ByteStream;
  readonly #options: GreetingOptions;
  readonly #protocols: ProtocolRange;
  readonly #decoder = new FrameDecoder();
  #lane: number | undefined;
  #seal: Seal | undefined;
  /** Why this end refuses the other; outlives a deadline that passes then. */
  #verdict: { error: unknown } | undefined;

  constructor(stream: ByteStream, options: GreetingOptions, lane?: Lane) {
    this.#stream = stream;
    this.#options = options;
    this.#protocols = options.protocols ?? PROTOCOLS;
    this.#lane = lane && laneNumber(lane);
  }

  async run(converse: () => Promise<Greeting>): Promise<Greeting> {
    const { timers, timeoutMs, signal } = this.#options;
    using deadline = startDeadline(timers, timeoutMs, "shake hands", signal);
    try {
      deadline.signal.throwIfAborted();
      return await abortable(converse(), deadline.signal);
    } catch (error) {
      this.#stream.close();
      const cause = this.#verdict ? this.#verdict.error : error;
      if (signal?.aborted && cause === signal.reason) throw cause;
      if (cause instanceof AspenError && !isDeadline(cause)) throw cause;
      if (this.#verdict) throw cause;
      throw new UnreachableError("shake hands", [this.#stream.remote], {
        cause,
      });
    }
  }

  async dial(wish: Wish): Promise<Greeting> {
    const { identity } = this.#options;
    const hello = encodeHello({
      protocols: this.#protocols,
      challenge: this.#challenge(),
    });
    await this.#write(MessageType.HELLO, hello);
    const welcome = decodeWelcome(
      await this.#read(MessageType.WELCOME, GREETING_FRAME_BYTES_MAX),
    );
    const { protocol } = welcome;
    const { min, max } = this.#protocols;
    if (protocol < min || protocol > max) {
      throw new ProtocolError(
        `it chose protocol ${protocol}, this node speaks ${min} to ${max}`,
      );
    }
    this.#sealAsDialler(hello, welcome);
    await this.#write(
      MessageType.IDENTITY,
      encodeIdentity({ identity, purpose: wish.purpose }),
    );
    const { identity: remote } = decodeIdentity(
      await this.#read(MessageType.IDENTITY, IDENTITY_FRAME_BYTES_MAX),
    );
    await this.#judge(remote);
    const last = this.#options.confirm?.(remote) ?? EMPTY_BYTES;
    await this.#write(MessageType.KEEPALIVE, last);
    return {
      ...wish,
      stream: this.#stream,
      decoder: this.#decoder,
      seal: this.#seal,
      local: identity.node,
      remote,
      dialled: true,
      protocol,
      features: commonFeatures(identity.features, remote.features),
    };
  }

  async accept(): Promise<Greeting> {
    const { identity } = this.#options;
    // A copy: what is read next takes its place.
    const said = (await this.#read(MessageType.HELLO, GREETING_FRAME_BYTES_MAX))
      .slice();
    const hello = decodeHello(said);
    const protocol = chooseProtocol(this.#protocols, hello.protocols);
    if (protocol === undefined) {
      const mismatch = new ProtocolMismatchError(
        this.#protocols,
        hello.protocols,
      );
      await this.#refuse(mismatch);
      throw mismatch;
    }
    const challenge = this.#challenge();
    const transcript = transcriptOf(said, protocol, challenge);
    const { secrets } = this.#options;
    const proofs = secrets.map((secret) => proofOf(secret, transcript));
    await this.#write(
      MessageType.WELCOME,
      encodeWelcome({ protocol, challenge, proofs }),
    );
    if (secrets.length > 0) {
      this.#decoder.demand(new Seal(secrets, true, transcript));
    }
    const { identity: remote, purpose } = decodeIdentity(
      await this.#read(MessageType.IDENTITY, IDENTITY_FRAME_BYTES_MAX),
    );
    if (secrets.length > 0) {
      const chosen = secrets[this.#decoder.secret]!;
      this.#seal = new Seal([chosen], false, transcript);
    }
    await this.#judge(remote);
    const { answer, confirmed } = this.#options;
    const own = { ...identity, hello: answer?.(remote) ?? identity.hello };
    await this.#write(
      MessageType.IDENTITY,
      encodeIdentity({ identity: own, purpose }),
    );
    const last = await this.#readLast(remote);
    await confirmed?.(remote, last);
    return {
      stream: this.#stream,
      decoder: this.#decoder,
      seal: this.#seal,
      local: identity.node,
      remote,
      dialled: false,
      protocol,
      features: commonFeatures(identity.features, remote.features),
      lane: this.#lane === 0 ? "control" : "bulk",
      purpose,
    };
  }

  /** What the dialler says last, unless it has refused this node. */
  async #readLast(remote: Identity): Promise<Uint8Array> {
    try {
      return await this.#read(MessageType.KEEPALIVE, IDENTITY_FRAME_BYTES_MAX);
    } catch (error) {
      if (error instanceof RejectedError) {
        this.#options.refusedBy?.(remote, error);
      }
      throw error;
    }
  }

  /**
   * Takes the acceptor's proof, and seals what follows.
   *
   * @throws {SecretMismatchError} If there is none: nothing more is said then.
   */
  #sealAsDialler(hello: Uint8Array, welcome: Welcome): void {
    const { secrets } = this.#options;
    const { proofs, protocol, challenge } = welcome;
    if (secrets.length === 0 && proofs.length === 0) return;
    const transcript = transcriptOf(hello, protocol, challenge);
    const chosen = provedSecret(proofs, secrets, transcript);
    if (chosen === undefined) {
      throw new SecretMismatchError(
        this.#stream.remote,
        secrets.length === 0
          ? "who answers there has a secret, this node has none"
          : proofs.length === 0
          ? "who answers there has no secret"
          : "who answers there has another secret",
      );
    }
    this.#decoder.demand(new Seal([chosen], false, transcript));
    this.#seal = new Seal([chosen], true, transcript);
  }

  async #judge(remote: Identity): Promise<void> {
    try {
      judgeRole(remote);
      judgeCluster(this.#options.identity, remote);
      await this.#options.admit(remote);
    } catch (error) {
      await this.#refuse(error);
      throw error;
    }
  }

  /** Tells the other end why, and waits until it has closed: so it has read it. */
  async #refuse(error: unknown): Promise<void> {
    this.#verdict = { error };
    try {
      await this.#write(
        MessageType.REJECT,
        encodeFailure(refusalOf(error, this.#options.identity)),
      );
      const scrap = new Uint8Array(1024);
      while (await this.#stream.read(scrap) !== null);
    } catch {
      // The other end is gone: there is nobody left to be told.
    }
  }

  async #read(type: number, lengthMax: number): Promise<Uint8Array> {
    const frame = await this.#readFrame(lengthMax);
    if (frame === null) {
      throw new UnreachableError("shake hands", [this.#stream.remote], {
        cause: new ProtocolError("it closed the stream during the handshake"),
      });
    }
    this.#check(frame);
    if (frame.type === MessageType.REJECT) {
      const refusal = refusedBy(
        frame.payload,
        this.#options.identity,
        this.#protocols,
      );
      const { secrets } = this.#options;
      // Before a proof anybody may say anything; only that there is no common
      // version is said then by one of the cluster.
      if (
        secrets.length > 0 && this.#seal === undefined &&
        !(refusal instanceof ProtocolMismatchError)
      ) {
        throw new SecretMismatchError(
          this.#stream.remote,
          "who answers there refuses without a proof of the secret",
        );
      }
      throw refusal;
    }
    if (frame.type !== type) {
      throw new ProtocolError(
        `it sent ${messageName(frame.type)} where ${
          messageName(type)
        } was expected`,
      );
    }
    return frame.payload;
  }

  async #readFrame(lengthMax: number): Promise<Frame | null> {
    try {
      return await readFrame(this.#stream, this.#decoder, lengthMax);
    } catch (cause) {
      if (!(cause instanceof ProtocolError && this.#decoder.looksLikeTls)) {
        throw cause;
      }
      throw new TlsError(
        this.#stream.remote,
        "it speaks TLS, this node does not",
        { cause },
      );
    }
  }

  #check(frame: Frame): void {
    this.#lane ??= frame.lane;
    if (
      frame.flags !== FrameFlag.ONE_WAY || frame.correlation !== 0 ||
      frame.lane !== this.#lane || frame.lane > 1
    ) {
      throw new ProtocolError("a frame of its handshake has a wrong header");
    }
  }

  async #write(type: number, payload: Uint8Array): Promise<void> {
    const writer = new Writer(64 + payload.length);
    const head = {
      flags: FrameFlag.ONE_WAY,
      type,
      lane: this.#lane!,
      correlation: 0,
    };
    writeFrame(writer, head, payload, this.#seal);
    await this.#stream.write(writer.view());
  }

  #challenge(): Uint8Array {
    return this.#options.random.fill(new Uint8Array(CHALLENGE_BYTES));
  }
}

function isDeadline(error: unknown): boolean {
  return error instanceof DeadlineExceededError;
}
