/**
 * A network of one proxy: every node dials through it, so that it can hold back,
 * delay, throttle and drop what they send. Needs no rights and no tools.
 *
 * ```
 * a node connects to the proxy and says: name, space, address, newline
 * the proxy connects to the address and says: one byte
 * from then on it passes bytes on, both ways
 * ```
 *
 * Guarantees: a cut direction passes nothing on, not even the end of a
 * connection; what was held back goes on its way when it is healed, as TCP would
 * send it again. Bytes are never changed, dropped or reordered within a
 * connection. Nothing but loopback is dialled.
 *
 * @module
 */

import {
  type ChaosNetwork,
  DELAY_MS,
  type Place,
  type Slowness,
  THROTTLED_BYTES,
} from "./network.ts";

const CHUNK_BYTES = 16 * 1024;
/** A name, a space and an address on loopback. */
const REQUEST_BYTES_MAX = 64;

interface Link {
  readonly from: number;
  readonly address: string;
  readonly ends: Deno.TcpConn[];
}

/** A network of one proxy on loopback. */
export class ProxyNetwork implements ChaosNetwork {
  readonly kind = "proxy";
  readonly can: ReadonlySet<Slowness | "reset"> = new Set(
    ["delay", "throttle", "reset"] as const,
  );
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #accepting: Promise<void>;
  readonly #links = new Set<Link>();
  readonly #serving = new Set<Promise<void>>();
  readonly #cut = new Set<string>();
  readonly #slow = new Map<number, Slowness>();
  /** Which node an address belongs, or belonged, to. */
  readonly #nodeAt = new Map<string, number>();
  #changed = Promise.withResolvers<void>();
  #closed = false;

  constructor() {
    this.#accepting = this.#accept();
  }

  place(): Promise<Place> {
    const { port } = this.#listener.addr;
    return Promise.resolve({
      address: "127.0.0.1:0",
      prefix: [],
      via: `127.0.0.1:${port}`,
    });
  }

  located(node: number, address: string): void {
    this.#nodeAt.set(address, node);
  }

  setCut(from: number, to: number, cut: boolean): Promise<void> {
    if (cut) this.#cut.add(`${from} ${to}`);
    else this.#cut.delete(`${from} ${to}`);
    this.#wake();
    return Promise.resolve();
  }

  setSlow(node: number, slowness: Slowness | undefined): Promise<void> {
    if (slowness === undefined) this.#slow.delete(node);
    else this.#slow.set(node, slowness);
    return Promise.resolve();
  }

  reset(a: number, b: number): Promise<void> {
    for (const link of this.#links) {
      const to = this.#nodeAt.get(link.address);
      if (link.from === a && to === b || link.from === b && to === a) {
        link.ends.forEach(close);
      }
    }
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#listener.close();
    this.#wake();
    for (const { ends } of this.#links) ends.forEach(close);
    await this.#accepting;
    await Promise.all(this.#serving);
  }

  async #accept(): Promise<void> {
    for (;;) {
      let dialler: Deno.TcpConn;
      try {
        dialler = await this.#listener.accept();
      } catch {
        if (this.#closed) return;
        continue;
      }
      const served: Promise<void> = this.#serve(dialler).catch(() => {
        // One of the two has gone.
      }).finally(() => this.#serving.delete(served));
      this.#serving.add(served);
    }
  }

  async #serve(dialler: Deno.TcpConn): Promise<void> {
    const ends = [dialler];
    let link: Link | undefined;
    try {
      const [name, address] = (await requestOf(dialler)).split(" ");
      const hostname = "127.0.0.1";
      if (!address?.startsWith(`${hostname}:`)) return;
      link = { from: Number(name), address, ends };
      this.#links.add(link);
      await this.#pass(link, false);
      if (this.#closed) return;
      const port = Number(address.slice(hostname.length + 1));
      const dialled = await Deno.connect({ hostname, port });
      ends.push(dialled);
      dialler.setNoDelay(true);
      dialled.setNoDelay(true);
      await this.#pass(link, true);
      await dialler.write(Uint8Array.of(1));
      await Promise.all([
        this.#pump(link, dialler, dialled, false),
        this.#pump(link, dialled, dialler, true),
      ]);
    } finally {
      ends.forEach(close);
      if (link !== undefined) this.#links.delete(link);
    }
  }

  /** Passes on what one end sends, until it has ended. */
  async #pump(
    link: Link,
    from: Deno.TcpConn,
    to: Deno.TcpConn,
    back: boolean,
  ): Promise<void> {
    const buffer = new Uint8Array(CHUNK_BYTES);
    try {
      for (;;) {
        const n = await from.read(buffer).catch(() => null);
        await this.#pass(link, back, n ?? 0);
        if (n === null) return;
        for (let at = 0; at < n;) at += await to.write(buffer.subarray(at, n));
      }
    } catch {
      // The other end has gone: its own pump says so.
    } finally {
      close(to);
    }
  }

  /** Waits until a direction of a link lets so many bytes through. */
  async #pass(link: Link, back: boolean, bytes = 0): Promise<void> {
    const ends = () => {
      const to = this.#nodeAt.get(link.address) ?? link.from;
      return back ? [to, link.from] as const : [link.from, to] as const;
    };
    const [from, to] = ends();
    const slowness = from === to ? undefined : this.#slow.get(from);
    if (slowness === "delay") await this.#sleep(DELAY_MS);
    else if (slowness === "throttle") {
      await this.#sleep(bytes / THROTTLED_BYTES * 1000);
    }
    while (!this.#closed && this.#cut.has(ends().join(" "))) {
      await this.#changed.promise;
    }
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#closed) return;
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** The first line of a connection; nothing may follow it before the answer. */
async function requestOf(connection: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(REQUEST_BYTES_MAX);
  let length = 0;
  while (length < buffer.length) {
    const n = await connection.read(buffer.subarray(length));
    if (n === null) break;
    length += n;
    if (buffer[length - 1] === 10) {
      return new TextDecoder().decode(buffer.subarray(0, length - 1));
    }
  }
  throw new Error("A request without an end");
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
