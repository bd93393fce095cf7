/**
 * Byte streams over TLS 1.3, by the platform's `node:tls`, on top of another
 * network.
 *
 * Guarantees: nothing older than TLS 1.3 is spoken; who is dialled must have a
 * certificate for the host that was dialled, of an authority that is trusted, and
 * with `clientCerts` who dials one of those authorities too. Whoever has none, or
 * speaks no TLS, gets no byte through: that is a `TlsError`. What is read ahead, and
 * what waits to be written, is bounded: more is read when what came was read, and a
 * write resolves when the network beneath has taken it.
 *
 * Assumes: whoever accepts a stream sets a deadline to its first read, in which the
 * handshake of TLS is made.
 *
 * `Deno.listenTls` demands no client certificates, lets TLS 1.2 in, and leaves the
 * delay on by which small writes wait for each other; sockets of `node:tls` itself
 * read on and on whether or not anybody asks. So TLS stands here between two
 * streams of ours, as `node:tls` lets it stand on any duplex.
 *
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { Duplex } from "node:stream";
import { connect, createServer } from "node:tls";
import type {
  ConnectionOptions,
  TlsOptions as Node,
  TLSSocket,
} from "node:tls";
import { parseAddress } from "../address.ts";
import { ClosedError, TlsError } from "../errors.ts";
import type {
  ByteStream,
  DialOptions,
  Listener,
  Transport,
} from "../runtime.ts";
import { DenoNetwork } from "./network.ts";

/** How connections between nodes are made private. All texts are PEM. */
export interface TlsOptions {
  /**
   * This node's certificate, with those between it and its authority behind it.
   * It must name the host by which peers dial this node.
   */
  readonly cert: string;
  /** Its private key, without a passphrase. */
  readonly key: string;
  /**
   * The authorities that are trusted, instead of the system's: a text, or several,
   * of a certificate each.
   */
  readonly ca?: string | readonly string[];
  /**
   * Whether who dials must have a certificate of `ca` too, and this node shows
   * its own where it dials. Then `ca` must be given: anybody can get a certificate
   * of a public authority.
   *
   * @default {false}
   */
  readonly clientCerts?: boolean;
}

/** What is given to TLS at once, in bytes: it makes as much again of it. */
const PIECE_BYTES = 256 * 1024;

/** What is read at once from the network beneath, in bytes. */
const READ_BYTES = 64 * 1024;

/**
 * Deadline of a handshake that came in, in milliseconds. Whoever accepts has a
 * shorter one; this is for what is left of the handshake behind it.
 */
const HANDSHAKE_MS_MAX = 5000;

/** A fatal alert of TLS 1.3 (RFC 8446, section 6), as said before there are keys. */
const UNEXPECTED_MESSAGE = Uint8Array.of(0x15, 3, 3, 0, 2, 2, 10);

/** Listens and dials over TLS. */
export class TlsNetwork implements Transport {
  readonly #under: Transport;
  readonly #server: Node;
  readonly #client: ConnectionOptions;

  /**
   * Takes certificates and key; asks nothing of the system yet.
   *
   * @param under Carries what TLS makes of the bytes.
   * @throws {TypeError} If one of them is none, or the two do not belong together.
   */
  constructor(options: TlsOptions, under: Transport = new DenoNetwork()) {
    checkOptions(options);
    const { cert, key, ca, clientCerts = false } = options;
    const common = {
      minVersion: "TLSv1.3",
      ...ca !== undefined && { ca: [ca].flat() },
    } as const;
    this.#under = under;
    this.#server = {
      ...common,
      cert,
      key,
      requestCert: clientCerts,
      rejectUnauthorized: clientCerts,
      handshakeTimeout: HANDSHAKE_MS_MAX,
    };
    this.#client = clientCerts ? { ...common, cert, key } : common;
  }

  /** Listens on an address, `host:port`. */
  async listen(address: string): Promise<Listener> {
    const listener = await this.#under.listen(address);
    return {
      address: listener.address,
      accept: async () => {
        const stream = await listener.accept();
        return stream && new TlsStream(stream, false, (duplex, events) => {
          const server = createServer(this.#server);
          server.once("secureConnection", events.secure);
          server.once("tlsClientError", events.failed);
          server.emit("connection", duplex);
        });
      },
      close: () => listener.close(),
    };
  }

  /** Opens a stream to an address. */
  async dial(address: string, options: DialOptions = {}): Promise<ByteStream> {
    const { host } = parseAddress(address);
    const { signal } = options;
    const under = await this.#under.dial(address, options);
    const stream = new TlsStream(under, true, (duplex, events) => {
      const socket = connect({
        ...this.#client,
        socket: duplex,
        host,
        // An address is no name that a server could choose its certificate by.
        ...isIP(host) === 0 && { servername: host },
      });
      socket.once("secureConnect", () => events.secure(socket));
      socket.once("error", events.failed);
    });
    const onAbort = () => stream.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      signal?.throwIfAborted();
      await stream.secured;
      return stream;
    } catch (error) {
      stream.close();
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

interface HandshakeEvents {
  readonly secure: (socket: TLSSocket) => void;
  readonly failed: (error: Error) => void;
}

class TlsStream implements ByteStream {
  readonly remote: string;
  /** Resolves when the handshake is done. */
  readonly secured: Promise<void>;
  readonly #under: ByteStream;
  readonly #dialled: boolean;
  readonly #duplex: Duplex;
  readonly #handshake = Promise.withResolvers<void>();
  #socket: TLSSocket | undefined;
  #state: "open" | "ended" | "broken" | "closed" = "open";
  #brokenBy: unknown;
  /** What came and was not read yet. */
  readonly #chunks: Uint8Array[] = [];
  #reader: (Waiting<number | null> & { buffer: Uint8Array }) | undefined;
  #writer: (Waiting<void> & { from: number; bytes: number }) | undefined;
  /** Whether TLS asks for more, and whether it is being read. */
  #asked = false;
  #feeding = false;
  #underEnded = false;
  /** Whether TLS has said anything. */
  #spoken = false;
  /** Bytes that the stream beneath has taken, and what it is taking now. */
  #taken = 0;
  #taking: Promise<void> = Promise.resolve();

  constructor(
    under: ByteStream,
    dialled: boolean,
    begin: (duplex: Duplex, events: HandshakeEvents) => void,
  ) {
    this.remote = under.remote;
    this.#dialled = dialled;
    this.#under = under;
    this.secured = this.#handshake.promise;
    // Whoever reads, writes or dials hears of it.
    this.secured.catch(() => {});
    this.#duplex = new Duplex({
      read: () => {
        this.#asked = true;
        this.#feed();
      },
      write: (chunk: Uint8Array, _encoding, done) => {
        this.#spoken = true;
        this.#taking = this.#pass(chunk);
        this.#taking.then(() => done(), done).then(() => this.#settle());
      },
    });
    this.#duplex.on("error", (error) => this.#break(error));
    begin(this.#duplex, {
      secure: (socket) => this.#begin(socket),
      failed: (error) => void this.#fail(error),
    });
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#reader !== undefined) {
      throw new Error("Cannot read: a read is pending");
    }
    await this.#handshakeEnd();
    if (this.#chunks.length > 0) return this.#take(buffer);
    if (this.#state === "broken") throw this.#brokenBy;
    if (this.#state !== "open") return null;
    return await new Promise((resolve, reject) => {
      this.#reader = { buffer, resolve, reject };
    });
  }

  async write(data: Uint8Array): Promise<void> {
    let at = 0;
    do {
      await this.#handshakeEnd();
      if (this.#state === "closed") {
        throw new ClosedError("write", "the stream");
      }
      if (this.#state === "broken") throw this.#brokenBy;
      if (this.#socket === undefined) throw endedError();
      const piece = data.subarray(at, at + PIECE_BYTES);
      if (piece.length > 0) await this.#writePiece(piece);
      at += PIECE_BYTES;
    } while (at < data.length);
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#chunks.length = 0;
    this.#reader?.resolve(null);
    this.#reader = undefined;
    const closed = new ClosedError("use", "the stream");
    this.#handshake.reject(closed);
    this.#failWriter(new ClosedError("write", "the stream"));
    this.#socket?.destroy();
    this.#duplex.destroy();
    this.#under.close();
  }

  /** Waits until it is done or has failed, as the state then says. */
  async #handshakeEnd(): Promise<void> {
    if (this.#socket === undefined) await this.secured.catch(() => {});
  }

  #begin(socket: TLSSocket): void {
    this.#socket = socket;
    socket.on("data", (chunk: Uint8Array) => this.#arrive(chunk));
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("error", (error) => this.#break(error));
    if (this.#state === "open") this.#handshake.resolve();
    else socket.destroy();
  }

  /** The handshake failed, or, where this end dialled, what came after it. */
  async #fail(error: Error): Promise<void> {
    if (this.#socket !== undefined) return this.#break(error);
    // Who speaks no TLS is to learn by an alert that this end does. The platform
    // takes back its own where it has said nothing before.
    if (!this.#dialled && !this.#spoken && !this.#underEnded) {
      this.#taking = this.#pass(UNEXPECTED_MESSAGE);
    }
    await this.#taking.catch(() => {});
    if (this.#state !== "open") return;
    const gone = isHangUp(error) && this.#underEnded;
    // Who comes and goes without a word is nobody to tell of.
    this.#state = gone && !this.#dialled ? "ended" : "broken";
    // A certificate that does not count is refused without a word of why.
    const detail = gone
      ? "it breaks off the handshake, as who speaks no TLS does"
      : isHangUp(error)
      ? "its certificate is of no authority that counts here"
      : `the handshake failed: ${error.message}`;
    this.#brokenBy = new TlsError(this.remote, detail, { cause: error });
    this.#handshake.reject(this.#brokenBy);
  }

  /**
   * Reads from beneath, if TLS asks and nothing waits to be read here: what TLS
   * says on its own account must not stay unread, or the system would break off
   * the stream at its close instead of ending it.
   */
  #feed(): void {
    if (!this.#asked || this.#feeding || this.#chunks.length > 0) return;
    this.#asked = false;
    this.#feeding = true;
    const buffer = new Uint8Array(READ_BYTES);
    this.#under.read(buffer).then((count) => {
      this.#feeding = false;
      this.#underEnded = count === null;
      this.#duplex.push(count === null ? null : buffer.subarray(0, count));
      // Of an end amid a handshake nobody else tells.
      if (count === null && this.#socket === undefined) {
        void this.#fail(new Error("socket hang up"));
      }
      this.#feed();
    }, (error) => {
      this.#underEnded = true;
      this.#duplex.destroy(error);
    });
  }

  async #pass(chunk: Uint8Array): Promise<void> {
    await this.#under.write(chunk);
    this.#taken += chunk.length;
  }

  #writePiece(piece: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const [from, bytes] = [this.#taken, piece.length];
      this.#writer = { resolve, reject, from, bytes };
      this.#socket!.write(piece, (error) => {
        if (error) this.#failWriter(error);
        else this.#settle();
      });
    });
  }

  /** TLS makes more bytes of a piece than it has: once so many are taken, it is. */
  #settle(): void {
    const writer = this.#writer;
    if (writer === undefined || this.#duplex.writableLength > 0) return;
    if (this.#taken - writer.from < writer.bytes) return;
    this.#writer = undefined;
    writer.resolve();
  }

  #arrive(chunk: Uint8Array): void {
    if (this.#state === "closed" || chunk.length === 0) return;
    this.#chunks.push(chunk);
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.resolve(this.#take(reader.buffer));
  }

  #take(buffer: Uint8Array): number {
    const chunk = this.#chunks[0]!;
    const part = chunk.subarray(0, buffer.length);
    buffer.set(part);
    if (part.length === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(part.length);
    this.#feed();
    return part.length;
  }

  #end(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.#reader?.resolve(null);
    this.#reader = undefined;
    this.#failWriter(endedError());
  }

  #break(error: Error): void {
    if (this.#state !== "open") return;
    // Where the handshake is not done, that is what failed.
    if (this.#socket === undefined) return void this.#fail(error);
    this.#state = "broken";
    this.#brokenBy = /alert/.test(error.message)
      ? new TlsError(this.remote, `it refused this node: ${error.message}`, {
        cause: error,
      })
      : error;
    this.#reader?.reject(this.#brokenBy);
    this.#reader = undefined;
    this.#failWriter(this.#brokenBy);
  }

  #failWriter(reason: unknown): void {
    this.#writer?.reject(reason);
    this.#writer = undefined;
  }
}

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** @throws {TypeError} If an option has the wrong type or form. */
function checkOptions({ cert, key, ca, clientCerts }: TlsOptions): void {
  const toCertificate = (pem: string) => new X509Certificate(pem);
  const certificate = readPem("cert", "certificate", cert, toCertificate);
  const secret = readPem("key", "private key", key, createPrivateKey);
  if (!certificate.checkPrivateKey(secret)) {
    throw new TypeError(
      "Cannot use TLS: the key is not that of the certificate",
    );
  }
  for (const each of ca === undefined ? [] : [ca].flat()) {
    readPem("ca", "certificate", each, toCertificate);
  }
  if (clientCerts && ca === undefined) {
    throw new TypeError(
      'Cannot use TLS: "clientCerts" needs "ca", the authorities whose certificates count',
    );
  }
}

function readPem<T>(
  option: string,
  what: string,
  pem: unknown,
  read: (pem: string) => T,
): T {
  if (typeof pem !== "string") {
    throw new TypeError(
      `Cannot use TLS: "${option}" must be a ${what} in PEM, received ${typeof pem}`,
    );
  }
  try {
    return read(pem);
  } catch (cause) {
    throw new TypeError(
      `Cannot use TLS: "${option}" is no ${what} in PEM that can be read`,
      { cause },
    );
  }
}

function endedError(): Error {
  return new Error("Cannot write: the other end is closed");
}

/** Whether a handshake ended without saying why. */
function isHangUp(error: Error & { code?: string }): boolean {
  return error.code === "ECONNRESET" ||
    /hang up|disconnected before/.test(error.message);
}
