/**
 * Byte streams over TCP.
 *
 * Guarantees: small writes leave at once (no Nagle delay); what the system says
 * becomes `AddressInUseError` or `UnreachableError` with its error as `cause`;
 * a missing permission is passed through as the platform words it, since
 * retrying never helps. An address that is none is a `TypeError`.
 *
 * Assumes: a host name may stand for several interfaces (`localhost` for
 * 127.0.0.1 and ::1); listening takes the first that it resolves to, dialling
 * tries all. So on `localhost` a port is refused that the other loopback has
 * given to somebody, where this process may look: some peers would reach them.
 *
 * @module
 */

import { formatAddress, parseAddress } from "../address.ts";
import {
  AddressInUseError,
  AspenError,
  ClosedError,
  UnreachableError,
} from "../errors.ts";
import type {
  ByteStream,
  DialOptions,
  Listener,
  Transport,
} from "../runtime.ts";

/** Listens and dials over TCP. */
export class DenoNetwork implements Transport {
  /** Listens on an address, `host:port`. */
  // An async function, so that every failure is a rejection.
  // deno-lint-ignore require-await
  async listen(address: string): Promise<Listener> {
    const { host, port } = parseAddress(address);
    try {
      const listener = Deno.listen({ hostname: host, port });
      const other = host === "localhost" && port !== 0
        ? takenOnOtherLoopback(listener.addr)
        : undefined;
      if (other !== undefined) {
        listener.close();
        throw new AddressInUseError(
          address,
          `"localhost" may mean ${other} too, which is in use`,
        );
      }
      return new TcpListener(
        formatAddress(host, listener.addr.port),
        listener,
      );
    } catch (error) {
      throw listenError(address, error);
    }
  }

  /** Opens a stream to an address. */
  async dial(address: string, options: DialOptions = {}): Promise<ByteStream> {
    const { host, port } = parseAddress(address);
    const { signal } = options;
    signal?.throwIfAborted();
    if (port === 0) {
      throw new TypeError(`Cannot dial "${address}": port 0 is no destination`);
    }
    // A controller of its own, so that a caller's long-lived signal gathers
    // no listeners from one dial to the next.
    const dialling = new AbortController();
    const onAbort = () => dialling.abort(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    let connection: Deno.TcpConn;
    try {
      connection = await Deno.connect({
        hostname: host,
        port,
        signal: dialling.signal,
      });
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw new UnreachableError("dial", [address], {
        cause: error,
        refused: error instanceof Deno.errors.ConnectionRefused,
      });
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    if (signal?.aborted) {
      connection.close();
      throw signal.reason;
    }
    return new TcpStream(address, connection);
  }
}

/** Where on the other loopback the port is in use, if that can be told. */
function takenOnOtherLoopback(own: Deno.NetAddr): string | undefined {
  const { port } = own;
  const hostname = own.hostname === "::1" ? "127.0.0.1" : "::1";
  const address = formatAddress(hostname, port);
  // Nobody is to be asked for a permission to look.
  const { state } = Deno.permissions.querySync({ name: "net", host: address });
  if (state !== "granted") return undefined;
  try {
    Deno.listen({ hostname, port }).close();
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return address;
    // This machine has no such loopback.
  }
  return undefined;
}

class TcpListener implements Listener {
  readonly address: string;
  readonly #listener: Deno.TcpListener;
  #closed = false;

  constructor(address: string, listener: Deno.TcpListener) {
    this.address = address;
    this.#listener = listener;
  }

  async accept(): Promise<ByteStream | null> {
    if (this.#closed) return null;
    try {
      const connection = await this.#listener.accept();
      const { hostname, port } = connection.remoteAddr;
      return new TcpStream(formatAddress(hostname, port), connection);
    } catch (error) {
      if (this.#closed) return null;
      throw error;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
  }
}

class TcpStream implements ByteStream {
  readonly remote: string;
  readonly #connection: Deno.TcpConn;
  #closed = false;

  constructor(remote: string, connection: Deno.TcpConn) {
    this.remote = remote;
    this.#connection = connection;
    try {
      connection.setNoDelay(true);
    } catch {
      // The peer is gone already; the first read or write says so.
    }
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#closed) return null;
    try {
      return await this.#connection.read(buffer);
    } catch (error) {
      if (this.#closed) return null;
      throw error;
    }
  }

  async write(data: Uint8Array): Promise<void> {
    let done = 0;
    do {
      if (this.#closed) throw new ClosedError("write", "the stream");
      try {
        done += await this.#connection.write(
          done === 0 ? data : data.subarray(done),
        );
      } catch (error) {
        if (this.#closed) {
          throw new ClosedError("write", "the stream", { cause: error });
        }
        throw error;
      }
    } while (done < data.length);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#connection.close();
    } catch {
      // Gone already: there is nothing left to close.
    }
  }
}

function listenError(address: string, error: unknown): unknown {
  if (error instanceof AspenError) return error;
  if (error instanceof Deno.errors.NotCapable) return error;
  if (error instanceof Deno.errors.AddrInUse) {
    return new AddressInUseError(address, undefined, { cause: error });
  }
  const detail = error instanceof Error ? error.message : String(error);
  return new AspenError(`Cannot listen on "${address}": ${detail}`, {
    cause: error,
  });
}
