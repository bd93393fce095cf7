/**
 * What every transport does, run against TCP and the virtual network.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { formatAddress, parseAddress } from "./address.ts";
import { concatBytes } from "./bytes.ts";
import { DenoNetwork } from "./deno/network.ts";
import { AUTHORITY, NODE } from "./deno/testing/certificates.ts";
import { TlsNetwork } from "./deno/tls.ts";
import { AddressInUseError, ClosedError, UnreachableError } from "./errors.ts";
import type { ByteStream, Transport } from "./runtime.ts";
import { World } from "./virtual/mod.ts";

interface Subject {
  server: Transport;
  client: Transport;
  run<T>(program: () => Promise<T>): Promise<T>;
}

const subjects: Record<string, () => Subject> = {
  "TCP": () => ({
    server: new DenoNetwork(),
    client: new DenoNetwork(),
    run: (program) => program(),
  }),
  ...Object.fromEntries([false, true].map((clientCerts) => {
    const network = () =>
      new TlsNetwork({ ...NODE, ca: AUTHORITY, clientCerts });
    const name = clientCerts ? "TLS, and certificates of both ends," : "TLS";
    return [name, () => ({
      server: network(),
      client: network(),
      run: (program) => program(),
    } satisfies Subject)];
  })),
  "the virtual network": () => {
    const world = new World({ seed: 3 });
    return {
      server: world.runtime("server").network,
      client: world.runtime("client").network,
      run: (program) => world.run(program),
    };
  },
};

const bytes = (...values: number[]) => new Uint8Array(values);

async function readAll(stream: ByteStream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const buffer = new Uint8Array(10_000);
  while (true) {
    const length = await stream.read(buffer);
    if (length === null) return concatBytes(...parts);
    assert(length > 0 && length <= buffer.length);
    parts.push(buffer.slice(0, length));
  }
}

/** Runs a program with two joined streams and closes all at its end. */
async function joined(
  subject: Subject,
  program: (dialled: ByteStream, accepted: ByteStream) => Promise<void>,
): Promise<void> {
  await subject.run(async () => {
    const listener = await subject.server.listen("127.0.0.1:0");
    const accepting = listener.accept();
    const dialled = await subject.client.dial(listener.address);
    const accepted = (await accepting)!;
    listener.close();
    try {
      await program(dialled, accepted);
    } finally {
      dialled.close();
      accepted.close();
    }
  });
}

for (const [name, make] of Object.entries(subjects)) {
  Deno.test(`${name} carries bytes in order, both ways at once`, async () => {
    await joined(make(), async (dialled, accepted) => {
      const large = new Uint8Array(5_000_000).map((_, i) => i ^ (i >> 8));
      const send = async (stream: ByteStream) => {
        for (let at = 0; at < large.length; at += 700_001) {
          await stream.write(large.subarray(at, at + 700_001));
        }
      };
      const receive = async (stream: ByteStream) => {
        const all = new Uint8Array(large.length);
        let at = 0;
        while (at < all.length) {
          const length = await stream.read(all.subarray(at));
          assert(length !== null && length > 0);
          at += length;
        }
        assert(all.every((byte, i) => byte === large[i]));
      };
      await Promise.all([
        send(dialled),
        send(accepted),
        receive(dialled),
        receive(accepted),
      ]);
    });
  });

  Deno.test(`${name} has taken what it is given once a write resolves`, async () => {
    await joined(make(), async (dialled, accepted) => {
      const data = bytes(1, 2, 3);
      await dialled.write(data);
      data.fill(0);
      const buffer = bytes(9, 9, 9);
      let at = 0;
      while (at < 3) at += (await accepted.read(buffer.subarray(at)))!;
      assertEquals(buffer, bytes(1, 2, 3));
      await dialled.write(bytes());
    });
  });

  Deno.test(`${name} gives all bytes before the end of the stream`, async () => {
    await joined(make(), async (dialled, accepted) => {
      await dialled.write(bytes(1, 2));
      await dialled.write(bytes(3));
      dialled.close();
      assertEquals(await readAll(accepted), bytes(1, 2, 3));
      assertEquals(await accepted.read(bytes(0)), null);
    });
  });

  Deno.test(`${name} makes a writer wait for a reader`, async () => {
    await joined(make(), async (dialled, accepted) => {
      // Far more than the buffers of a machine and of the virtual window.
      const total = 64 * 1024 * 1024;
      let finished = false;
      const writing = dialled.write(new Uint8Array(total)).then(() => {
        finished = true;
        dialled.close();
      });
      const buffer = new Uint8Array(1024 * 1024);
      let received = (await accepted.read(buffer))!;
      assert(!finished);
      while (true) {
        const length = await accepted.read(buffer);
        if (length === null) break;
        received += length;
      }
      await writing;
      assertEquals(received, total);
    });
  });

  Deno.test(`${name} ends what waits on a closed stream or listener`, async () => {
    await joined(make(), async (dialled, accepted) => {
      const reading = dialled.read(bytes(0));
      dialled.close();
      dialled.close();
      assertEquals(await reading, null);
      assertEquals(await dialled.read(bytes(0)), null);
      await assertRejects(() => dialled.write(bytes(1)), ClosedError);
      assertEquals(await accepted.read(bytes(0)), null);
    });
    const subject = make();
    await subject.run(async () => {
      const listener = await subject.server.listen("127.0.0.1:0");
      const accepting = listener.accept();
      listener.close();
      listener.close();
      assertEquals(await accepting, null);
      assertEquals(await listener.accept(), null);
      const again = await subject.server.listen(listener.address);
      again.close();
    });
  });

  Deno.test(`${name} breaks the writes to a stream closed at the other end`, async () => {
    await joined(make(), async (dialled, accepted) => {
      accepted.close();
      await assertRejects(async () => {
        while (true) await dialled.write(new Uint8Array(100_000));
      });
    });
  });

  Deno.test(`${name} keeps accepted streams when the listener closes`, async () => {
    await joined(make(), async (dialled, accepted) => {
      await accepted.write(bytes(5));
      const buffer = bytes(0);
      assertEquals(await dialled.read(buffer), 1);
      assertEquals(buffer, bytes(5));
      assert(accepted.remote.includes(":"));
    });
  });

  Deno.test(`${name} says who is not there, in use, aborted, no address`, async () => {
    const { server, client, run } = make();
    await run(async () => {
      const listener = await server.listen("127.0.0.1:0");
      const { address } = listener;
      assertEquals(parseAddress(address).host, "127.0.0.1");
      assert(parseAddress(address).port > 0);
      const inUse = await assertRejects(
        () => client.listen(address),
        AddressInUseError,
        `Cannot listen on "${address}": it is in use`,
      );
      assertEquals(inUse.address, address);
      listener.close();
      const nobody = await assertRejects(
        () => client.dial(address),
        UnreachableError,
        `nobody answers at "${address}"`,
      );
      assert(nobody.cause instanceof Error);
      const reason = new Error("enough");
      assertEquals(
        await assertRejects(() =>
          client.dial(address, { signal: AbortSignal.abort(reason) })
        ),
        reason,
      );
      const controller = new AbortController();
      const dialling = client.dial(address, { signal: controller.signal });
      controller.abort(reason);
      assertEquals(await assertRejects(() => dialling), reason);
      await assertRejects(() => client.dial("nowhere"), TypeError, '"nowhere"');
      await assertRejects(
        () => client.dial("127.0.0.1:0"),
        TypeError,
        "port 0",
      );
      await assertRejects(() => server.listen(":1"), TypeError, "host:port");
    });
  });
}

Deno.test("an address is a host and a port, IPv6 in brackets", () => {
  for (
    const [text, host, port] of [
      ["localhost:22646", "localhost", 22646],
      ["[::1]:7", "::1", 7],
      ["0.0.0.0:0", "0.0.0.0", 0],
      ["a-b.example:65535", "a-b.example", 65535],
    ] as const
  ) {
    assertEquals(parseAddress(text), { host, port });
    assertEquals(formatAddress(host, port), text);
  }
  for (
    const text of [
      "",
      "localhost",
      ":1",
      "a:",
      "a:65536",
      "a:-1",
      "a:1e3",
      "::1:7",
      "[]:7",
      "a b:7",
      "http://a:7",
      "a:7 ",
    ]
  ) {
    assertThrows(() => parseAddress(text), TypeError, `"${text}"`);
  }
});

Deno.test("TCP reaches a listener on localhost by that name", async () => {
  const network = new DenoNetwork();
  const listener = await network.listen("localhost:0");
  assert(listener.address.startsWith("localhost:"));
  const accepting = listener.accept();
  const dialled = await network.dial(listener.address);
  const accepted = (await accepting)!;
  dialled.close();
  accepted.close();
  listener.close();
});

Deno.test("TCP over IPv6 writes its addresses in brackets", async () => {
  const network = new DenoNetwork();
  const listener = await network.listen("[::1]:0");
  assert(listener.address.startsWith("[::1]:"));
  const accepting = listener.accept();
  const dialled = await network.dial(listener.address);
  const accepted = (await accepting)!;
  assert(accepted.remote.startsWith("[::1]:"));
  dialled.close();
  accepted.close();
  listener.close();
});

Deno.test({
  name: "TCP passes a missing permission through",
  permissions: { net: false },
  async fn() {
    const network = new DenoNetwork();
    await assertRejects(
      () => network.listen("127.0.0.1:0"),
      Deno.errors.NotCapable,
    );
    await assertRejects(
      () => network.dial("127.0.0.1:9"),
      Deno.errors.NotCapable,
    );
  },
});
