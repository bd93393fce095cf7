/**
 * The node's side of the proxy: a transport that dials through it.
 *
 * @module
 */

import type {
  ByteStream,
  DialOptions,
  Listener,
  Transport,
} from "../../../mod.ts";
import { DenoNetwork } from "../../../runtime/deno/mod.ts";
import { UnreachableError } from "../../../runtime/mod.ts";

/** Listens on TCP, and dials through a proxy; see `proxy.ts` for what is said. */
export class ThroughProxy implements Transport {
  readonly #tcp = new DenoNetwork();
  readonly #proxy: string;
  readonly #name: number;

  constructor(proxy: string, name: number) {
    this.#proxy = proxy;
    this.#name = name;
  }

  /** Listens on an address. */
  listen(address: string): Promise<Listener> {
    return this.#tcp.listen(address);
  }

  /** Opens a stream to an address, once the proxy has. */
  async dial(address: string, options: DialOptions = {}): Promise<ByteStream> {
    const { signal } = options;
    const stream = await this.#tcp.dial(this.#proxy, options);
    const onAbort = () => stream.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const line = `${this.#name} ${address}\n`;
      await stream.write(new TextEncoder().encode(line));
      const answer = await stream.read(new Uint8Array(1));
      signal?.throwIfAborted();
      if (answer === null) throw new Error("The proxy reached nobody");
      return stream;
    } catch (error) {
      stream.close();
      signal?.throwIfAborted();
      throw new UnreachableError("dial", [address], { cause: error });
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }
}
