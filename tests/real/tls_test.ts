/**
 * Clusters over TLS, on real sockets.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type DatabaseEvent,
  type DB,
  JoinAbortedError,
  open,
  type OpenOptions,
  type Runtime,
  TlsError,
  type TlsOptions,
  type Transport,
} from "../../mod.ts";
import { DenoNetwork, denoRuntime } from "../../runtime/deno/mod.ts";
import {
  AUTHORITY,
  ELSEWHERE,
  NODE,
  OTHER_AUTHORITY,
  STRANGER,
} from "../../runtime/deno/testing/certificates.ts";
import { collect, text } from "../sim/cluster.ts";

const TLS: TlsOptions = { ...NODE, ca: AUTHORITY, clientCerts: true };

async function openNode(options: OpenOptions): Promise<DB> {
  return await open(":memory:", {
    address: "localhost:0",
    propagation: "fast",
    ...options,
  });
}

/** Waits, for a moment, until a condition holds. */
async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Cannot see that ${what}`);
}

function refusals(events: readonly DatabaseEvent[]): unknown[] {
  return events.flatMap((event) =>
    event.type === "refused" ? [event.error] : []
  );
}

/** TCP on which all that is said is written down, as who listens in would. */
class Tapped extends DenoNetwork {
  heard = "";
  /** How many streams that were dialled are closed. */
  closed = 0;

  override async dial(...call: Parameters<Transport["dial"]>) {
    const stream = await super.dial(...call);
    const note = (bytes: Uint8Array) => {
      for (const byte of bytes) this.heard += String.fromCharCode(byte);
    };
    return {
      remote: stream.remote,
      async read(buffer: Uint8Array) {
        const count = await stream.read(buffer);
        note(buffer.subarray(0, count ?? 0));
        return count;
      },
      async write(data: Uint8Array) {
        note(data);
        await stream.write(data);
      },
      close: () => {
        stream.close();
        this.closed++;
      },
    };
  }
}

Deno.test("over TLS a cluster serves, and who listens in hears nothing of it", async () => {
  for (
    const [tls, secret, readable] of [
      [undefined, undefined, true],
      [TLS, undefined, false],
      [{ ...NODE, ca: AUTHORITY }, "a secret beside it", false],
    ] as const
  ) {
    const network = new Tapped();
    const runtime: Runtime = { ...denoRuntime(), network };
    const options = { runtime, ...tls && { tls }, ...secret && { secret } };
    await using a = await openNode({ ...options, bootstrap: true });
    const peers = [a.cluster.host.address];
    await using b = await openNode({ ...options, peers });
    await a.set("key of a", "value of a");
    await b.caughtUp();
    await b.set("key of a", "value of b");
    await b.set("large", new Uint8Array(3_000_000).fill(7));
    await a.caughtUp();
    assertEquals(text(await a.get("key of a")), "value of b");
    assertEquals((await a.get("large"))?.length, 3_000_000);
    assertEquals(network.heard.includes("value of b"), readable);
    assertEquals(network.heard.includes("ASPN"), readable);
  }
});

Deno.test("who has no TLS, or no certificate that counts, is not let in, and both sides say why", async () => {
  await using plain = await openNode({ bootstrap: true });
  await using tls = await openNode({ tls: TLS, bootstrap: true });
  const events = new Map([plain, tls].map((db) => [db, collect(db.events())]));
  const cases: [DB, OpenOptions, string][] = [
    [plain, { tls: TLS }, "speaks no TLS"],
    [tls, {}, "it speaks TLS, this node does not"],
    [tls, { tls: { ...TLS, ca: OTHER_AUTHORITY } }, "the handshake failed"],
    [tls, { tls: { ...NODE, ca: AUTHORITY } }, ""],
    [tls, { tls: { ...STRANGER, ca: AUTHORITY } }, ""],
  ];
  for (const [db, options, detail] of cases) {
    events.get(db)!.length = 0;
    const aborting = new AbortController();
    const peers = [db.cluster.host.address];
    const network = new Tapped();
    const joining = openNode({
      ...options,
      runtime: { ...denoRuntime(), network },
      // Its own certificate need not hold at its own address here.
      address: "127.0.0.1:0",
      advertise: "localhost:1",
      peers,
      signal: aborting.signal,
    });
    const refused = assertRejects(() => joining, JoinAbortedError);
    // Who does not like the other's certificate goes without a word.
    const silent = options.tls?.ca === OTHER_AUTHORITY;
    await until(
      `both know: ${detail}`,
      () =>
        network.closed > 0 && (silent ||
          refusals(events.get(db)!).some((error) => error instanceof TlsError)),
    );
    aborting.abort("enough");
    const { cause } = await refused;
    // A certificate that is shown is judged after the handshake of who shows it.
    if (detail !== "") {
      assert(cause instanceof TlsError, `${cause}`);
      assert(cause.message.includes(detail), cause.message);
    } else assert(cause instanceof Error, `${cause}`);
    assertEquals(db.cluster.nodes().size, 1);
  }
});

Deno.test("a certificate that is not for the node's own address is said at once, and TLS stands on TCP only", async () => {
  const elsewhere = { ...ELSEWHERE, ca: AUTHORITY };
  const error = await assertRejects(
    () => openNode({ tls: elsewhere, bootstrap: true }),
    TlsError,
    "does not match",
  );
  assert(error.address.startsWith("localhost:"));
  const transport: Transport = new DenoNetwork();
  await assertRejects(
    () => openNode({ tls: TLS, transport, bootstrap: true }),
    TypeError,
    '"tls" stands on TCP',
  );
  await assertRejects(
    () => openNode({ tls: { ...TLS, key: "none" }, bootstrap: true }),
    TypeError,
    '"key" is no private key',
  );
});
