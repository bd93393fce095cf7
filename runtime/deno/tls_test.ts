import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect } from "node:tls";
import { TlsError, UnreachableError } from "../errors.ts";
import type { ByteStream, Listener, Transport } from "../runtime.ts";
import { DenoNetwork } from "./network.ts";
import {
  AUTHORITY,
  ELSEWHERE,
  EXPIRED,
  NODE,
  OTHER_AUTHORITY,
  STRANGER,
} from "./testing/certificates.ts";
import { TlsNetwork, type TlsOptions } from "./tls.ts";

const TRUSTING = { ...NODE, ca: AUTHORITY };
const DEMANDING = { ...TRUSTING, clientCerts: true };

/** Runs a program with somebody who listens. */
async function listening(
  network: Transport,
  program: (listener: Listener) => Promise<void>,
): Promise<void> {
  const listener = await network.listen("localhost:0");
  try {
    await program(listener);
  } finally {
    listener.close();
  }
}

/** What a read comes to: how many bytes, the end, or an error. */
async function outcome(stream: ByteStream): Promise<unknown> {
  try {
    return await stream.read(new Uint8Array(100));
  } catch (error) {
    return error;
  } finally {
    stream.close();
  }
}

Deno.test("a certificate that does not count ends the handshake, with a typed error at both ends", async () => {
  for (
    const [server, client, text] of [
      [STRANGER, TRUSTING, "unable to verify"],
      [ELSEWHERE, TRUSTING, "does not match"],
      [EXPIRED, TRUSTING, "unable to verify"],
      [NODE, { ...NODE, ca: OTHER_AUTHORITY }, "unable to verify"],
    ] as [TlsOptions, TlsOptions, string][]
  ) {
    await listening(new TlsNetwork(server), async (listener) => {
      const accepting = listener.accept().then((stream) => outcome(stream!));
      const error = await assertRejects(
        () => new TlsNetwork(client).dial(listener.address),
        TlsError,
        text,
      );
      assertEquals(error.address, listener.address);
      const there = await accepting;
      assert(there === null || there instanceof TlsError, `${there}`);
    });
  }
});

Deno.test("a host that is a number is looked for among the numbers of the certificate", async () => {
  const at = async (server: TlsOptions) => {
    const network = new TlsNetwork(server);
    const listener = await network.listen("127.0.0.1:0");
    try {
      const accepting = listener.accept().then((stream) => outcome(stream!));
      const stream = await new TlsNetwork(TRUSTING).dial(listener.address);
      await stream.write(new Uint8Array(10));
      assertEquals(await accepting, 10);
      stream.close();
    } finally {
      listener.close();
    }
  };
  await at(NODE);
  await assertRejects(() => at(ELSEWHERE), TlsError, "does not match");
});

Deno.test("where client certificates are demanded nobody gets a byte through without one that counts", async () => {
  for (
    const [client, text] of [
      [TRUSTING, "no certificates"],
      [{ ...STRANGER, ca: AUTHORITY, clientCerts: true }, "no authority"],
      [{ ...EXPIRED, ca: AUTHORITY, clientCerts: true }, "no authority"],
    ] as [TlsOptions, string][]
  ) {
    await listening(new TlsNetwork(DEMANDING), async (listener) => {
      const accepting = listener.accept().then((stream) => outcome(stream!));
      // By TLS 1.3 who dials is done before its certificate is judged.
      const stream = await new TlsNetwork(client).dial(listener.address);
      await stream.write(new Uint8Array(10)).catch(() => {});
      const there = await accepting;
      assert(there instanceof TlsError, `${there}`);
      assert(there.message.includes(text), there.message);
      const here = await outcome(stream);
      assert(here === null || here instanceof Error, `${here}`);
    });
  }
});

Deno.test("who speaks no TLS and who speaks it do not meet, and neither waits", async () => {
  const [tls, plain] = [new TlsNetwork(TRUSTING), new DenoNetwork()];
  await listening(tls, async (listener) => {
    const accepting = listener.accept().then((stream) => outcome(stream!));
    const stream = await plain.dial(listener.address);
    await stream.write(new TextEncoder().encode("ASPN, and what follows it"));
    const alert = new Uint8Array(7);
    assertEquals(await stream.read(alert), 7);
    assertEquals([...alert], [0x15, 3, 3, 0, 2, 2, 10]);
    const there = await accepting;
    assert(there instanceof TlsError, `${there}`);
    stream.close();
  });
  await listening(plain, async (listener) => {
    const accepting = listener.accept().then((stream) => outcome(stream!));
    await assertRejects(
      () => tls.dial(listener.address),
      TlsError,
      "speaks no TLS",
    );
    assertEquals(typeof await accepting, "number");
  });
});

Deno.test("what nobody reads is not read ahead: its writer waits", async () => {
  const network = new TlsNetwork(TRUSTING);
  await listening(network, async (listener) => {
    const accepting = listener.accept();
    const stream = await network.dial(listener.address);
    const accepted = (await accepting)!;
    assertEquals(
      await Promise.all([
        accepted.read(new Uint8Array(9)),
        stream.write(new Uint8Array(1)),
      ]),
      [1, undefined],
    );
    const total = 64;
    let written = 0;
    const writing = (async () => {
      for (; written < total; written++) {
        await stream.write(new Uint8Array(1024 * 1024));
      }
    })().catch(() => {});
    // Until it has stood still for a while.
    for (let still = 0, before = -1; still < 5; before = written) {
      await new Promise((resolve) => setTimeout(resolve, 40));
      still = written === before ? still + 1 : 0;
    }
    assert(written < total / 2, `${written} MiB`);
    accepted.close();
    stream.close();
    await writing;
  });
});

Deno.test("who dials and is silent holds nothing once it is given up", async () => {
  await listening(new TlsNetwork(TRUSTING), async (listener) => {
    const dialled = await new DenoNetwork().dial(listener.address);
    const accepted = (await listener.accept())!;
    const reading = accepted.read(new Uint8Array(1));
    accepted.close();
    assertEquals(await reading, null);
    assertEquals(await outcome(dialled), null);
  });
});

Deno.test("nothing older than TLS 1.3 is spoken", async () => {
  await listening(new TlsNetwork(NODE), async (listener) => {
    const accepting = listener.accept().then((stream) => outcome(stream!));
    const port = Number(listener.address.split(":")[1]);
    const socket = connect({
      host: "localhost",
      port,
      ca: [AUTHORITY],
      maxVersion: "TLSv1.2",
      minVersion: "TLSv1.2",
    });
    const failed = await new Promise((resolve) => {
      socket.once("secureConnect", () => resolve("connected"));
      socket.once("error", resolve);
    });
    assert(failed instanceof Error, `${failed}`);
    const there = await accepting;
    assert(there instanceof TlsError, `${there}`);
    socket.destroy();
  });
});

Deno.test("a dial whose handshake is not answered ends with the reason of its signal", async () => {
  await listening(new DenoNetwork(), async (listener) => {
    const accepting = listener.accept();
    const aborting = new AbortController();
    const dialling = new TlsNetwork(TRUSTING).dial(listener.address, {
      signal: aborting.signal,
    });
    const accepted = (await accepting)!;
    const reason = new Error("enough");
    aborting.abort(reason);
    assertEquals(await assertRejects(() => dialling), reason);
    accepted.close();
  });
  const nobody = await new DenoNetwork().listen("localhost:0");
  nobody.close();
  await assertRejects(
    () => new TlsNetwork(TRUSTING).dial(nobody.address),
    UnreachableError,
  );
});

Deno.test("certificates and keys that are none are refused before anything is opened", () => {
  for (
    const [options, text] of [
      [{ ...TRUSTING, cert: "-----BEGIN" }, '"cert" is no certificate in PEM'],
      [{ ...TRUSTING, key: NODE.cert }, '"key" is no private key in PEM'],
      [{ ...TRUSTING, key: STRANGER.key }, "the key is not that of"],
      [{ ...TRUSTING, ca: ["none"] }, '"ca" is no certificate in PEM'],
      [{ ...TRUSTING, cert: undefined }, '"cert" must be a certificate in PEM'],
      [{ ...NODE, clientCerts: true }, '"clientCerts" needs "ca"'],
    ] as [TlsOptions, string][]
  ) {
    assertThrows(() => new TlsNetwork(options), TypeError, text);
  }
});
