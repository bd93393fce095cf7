import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  AddressInUseError,
  ClusterMismatchError,
  type DB,
  LeaseholderUnavailableError,
  open,
  type OpenOptions,
} from "../../mod.ts";
import { FRAME_BYTES_MAX, Writer } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { within } from "./child.ts";
import { TempDir } from "./paths.ts";
import { RemoteCallError, RemoteNode } from "./remote_node.ts";

const text = new TextDecoder();

function found(dir: string, options: OpenOptions = {}): Promise<DB> {
  return open(dir, { address: "127.0.0.1:0", bootstrap: true, ...options });
}

Deno.test("an address that another program has is an AddressInUseError, and nothing was founded", async () => {
  await using temp = new TempDir();
  const dir = temp.at("node");
  const other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${other.addr.port}`;
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(
      () => found(dir, { address }),
      AddressInUseError,
      `Cannot listen on "${address}"`,
    );
    assertEquals(error.address, address);
  }
  other.close();
  await assertRejects(() => open(dir, { address }), Error, "holds no cluster");
  await using db = await found(dir, { address });
  assertEquals(db.cluster.host.address, address);
});

Deno.test("an address that a node has, of this cluster or another, is an AddressInUseError, and both nodes keep what they have", async () => {
  await using temp = new TempDir();
  await using a = await found(temp.at("a"));
  const { address } = a.cluster.host;
  await a.set("a", "1");
  const peers = [address];
  // A joiner, and a founder, on an address that is taken.
  await assertRejects(
    () => open(temp.at("b"), { address, peers }),
    AddressInUseError,
  );
  await assertRejects(
    () => found(temp.at("other"), { address }),
    AddressInUseError,
  );
  // A member that comes back, and a node of another cluster.
  for (const [name, ways] of [["b", { peers }], ["other", {}]] as const) {
    {
      await using db = await found(temp.at(name), {
        ...ways,
        bootstrap: name === "other",
      });
      await db.set(`${name}'s`, "2");
    }
    await assertRejects(
      () => open(temp.at(name), { address }),
      AddressInUseError,
    );
    await using db = await open(temp.at(name));
    assertEquals(text.decode(await db.get(`${name}'s`)), "2");
  }
  await a.set("a", "3");
  assertEquals(a.cluster.nodes().size, 2);
});

/** Listens on both loopbacks with one port, or not, where there is one only. */
function bothLoopbacks():
  | { v4: Deno.TcpListener; v6: Deno.TcpListener }
  | undefined {
  for (let i = 0; i < 20; i++) {
    const v4 = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    try {
      return { v4, v6: Deno.listen({ hostname: "::1", port: v4.addr.port }) };
    } catch {
      v4.close();
    }
  }
  return undefined;
}

const hasBoth = (() => {
  const both = bothLoopbacks();
  both?.v4.close();
  both?.v6.close();
  return both !== undefined;
})();

Deno.test({
  name:
    "two nodes that advertise localhost, one on 127.0.0.1 and one on ::1: whom others would not reach is told AddressInUseError",
  ignore: !hasBoth,
  async fn() {
    await using temp = new TempDir();
    const { v4, v6 } = bothLoopbacks()!;
    const { port } = v4.addr;
    // Whom `localhost` means on this machine if both listen.
    const dialled = Deno.connect({ hostname: "localhost", port });
    const accepted = [v4, v6].map((listener) =>
      listener.accept().then((connection) => {
        connection.close();
        return listener;
      }, () => undefined)
    );
    const reached = await Promise.race(accepted);
    (await dialled).close();
    v4.close();
    v6.close();
    await Promise.all(accepted);
    const sides = [`127.0.0.1:${port}`, `[::1]:${port}`];
    if (reached === v6) sides.reverse();
    const [address, other] = sides;
    const advertise = `localhost:${port}`;
    await using db = await found(temp.at("a"), {
      address: address!,
      advertise,
    });
    await db.set("key", "value");
    {
      // A member elsewhere, and a node of another cluster, come back here.
      await using _b = await open(temp.at("b"), {
        address: "127.0.0.1:0",
        peers: [advertise],
      });
      await using _c = await found(temp.at("c"));
    }
    for (const name of ["b", "c", "new"]) {
      const error = await assertRejects(
        () => found(temp.at(name), { address: other!, advertise }),
        AddressInUseError,
        `Cannot listen on "${advertise}": another`,
      );
      assertEquals(error.address, advertise);
    }
    await using b = await open(temp.at("b"), { address: "127.0.0.1:0" });
    await b.caughtUp();
    assertEquals(text.decode(await b.get("key")), "value");
  },
});

Deno.test({
  name:
    "localhost is in use if another program has the port on either loopback",
  ignore: !hasBoth,
  async fn() {
    await using temp = new TempDir();
    const resolved = (() => {
      using listener = Deno.listen({ hostname: "localhost", port: 0 });
      return listener.addr.hostname;
    })();
    const { v4, v6 } = bothLoopbacks()!;
    const [own, other] = resolved === "::1" ? [v6, v4] : [v4, v6];
    own.close();
    const address = `localhost:${other.addr.port}`;
    await assertRejects(
      () => found(temp.at("node"), { address }),
      AddressInUseError,
      address,
    );
    other.close();
    await using db = await found(temp.at("node"), { address });
    assertEquals(db.cluster.host.address, address);
  },
});

/** Runs a command under a hosts file of its own, which not every user may mount. */
function underHosts(hosts: string): string[] {
  return [
    "unshare",
    "--mount",
    "sh",
    "-c",
    'mount --bind "$0" /etc/hosts && exec "$@"',
    hosts,
  ];
}

async function canUnshare(): Promise<boolean> {
  if (!hasBoth || Deno.build.os !== "linux") return false;
  await using temp = new TempDir();
  const hosts = temp.at("hosts");
  Deno.writeTextFileSync(hosts, "");
  const [command, ...args] = underHosts(hosts);
  try {
    return new Deno.Command(command!, { args: [...args, "true"] })
      .outputSync().success;
  } catch {
    return false;
  }
}

Deno.test({
  name:
    "where localhost is ::1 for one node and 127.0.0.1 for another, or both for both, the second on a port is told AddressInUseError",
  ignore: !(await canUnshare()),
  async fn() {
    await using temp = new TempDir();
    const prefixOf = (name: string, lines: string) => {
      const hosts = temp.at(`hosts ${name}`);
      Deno.writeTextFileSync(hosts, lines);
      return underHosts(hosts);
    };
    const dual = prefixOf("dual", "::1 localhost\n127.0.0.1 localhost\n");
    const only4 = prefixOf("4", "127.0.0.1 localhost\n");
    const only6 = prefixOf("6", "::1 localhost\n");
    const both = bothLoopbacks()!;
    const { port } = both.v4.addr;
    both.v4.close();
    both.v6.close();
    const address = `localhost:${port}`;
    const start = (name: string, prefix: string[], options: OpenOptions) =>
      RemoteNode.start({ dir: temp.at(name), open: options, prefix });
    {
      await using _a = await start("4", only4, { address, bootstrap: true });
      for (const prefix of [dual, only6]) {
        const error = await assertRejects(
          () => start("b", prefix, { address, bootstrap: true }),
          RemoteCallError,
        );
        assertEquals(error.code, "AddressInUseError");
      }
    }
    await using a = await start("a", dual, { address, bootstrap: true });
    await a.commit(["key", "value", null]);
    for (
      const [name, ways] of [
        ["b", { peers: [address] }],
        ["c", { bootstrap: true }],
      ] as const
    ) {
      for (const prefix of [dual, only4]) {
        const error = await assertRejects(
          () => start(name, prefix, { address, ...ways }),
          RemoteCallError,
        );
        assertEquals(error.code, "AddressInUseError");
        assert(error.message.includes(address), error.message);
      }
    }
    // Elsewhere it joins, and reaches the first by that name.
    await using b = await start("b", dual, {
      address: "localhost:0",
      peers: [address],
    });
    assertEquals(await b.get("key"), "value");
    await b.close();
    await a.close();
  },
});

Deno.test("a node of another cluster in the place of a peer is a ClusterMismatchError, and the two never mix", async () => {
  await using temp = new TempDir();
  await using a = await found(temp.at("a"), { propagation: "fast" });
  const peers = [a.cluster.host.address];
  const join = { address: "127.0.0.1:0", peers };
  let address: string;
  {
    await using b = await open(temp.at("b"), join);
    address = b.cluster.host.address;
    await b.set("b's", "1");
    await a.caughtUp();
  }
  {
    await using stranger = await found(temp.at("stranger"), { address });
    await stranger.set("stranger's", "1");
    const error = await assertRejects(() => a.set("b's", "2"));
    assert(
      error instanceof ClusterMismatchError ||
        error instanceof LeaseholderUnavailableError &&
          error.cause instanceof ClusterMismatchError,
      `${error}: ${(error as Error).cause}`,
    );
    const { peers, missing } = await a.caughtUp();
    assertEquals([peers, missing], [[], [2]]);
    assertEquals(await a.get("stranger's"), undefined);
    assertEquals(await stranger.get("b's"), undefined);
    assertEquals(stranger.cluster.nodes().size, 1);
  }
  await using b = await open(temp.at("b"), { address });
  await b.caughtUp();
  await a.set("b's", "3");
  assertEquals(text.decode(await b.get("b's")), "3");
});

Deno.test("garbage and oversized frames on the port close that connection; the node lives and answers", async () => {
  await using temp = new TempDir();
  await using node = await found(temp.at("node"));
  const { address } = node.cluster.host;
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  await node.set("key", "value");
  const random = new Prng(1);
  const garbage = (length: number) =>
    Uint8Array.from({ length }, () => random.below(256));
  const messages: Uint8Array[] = [
    new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    new Writer().u32(0).finish(),
    new Writer().u32(FRAME_BYTES_MAX + 1).finish(),
    new Writer().u32(0xffffffff).raw(garbage(1000)).finish(),
    new Writer().u32(100).raw(garbage(100)).finish(),
    new Uint8Array(100_000),
    ...Array.from({ length: 30 }, () => garbage(1 + random.below(3000))),
  ];
  for (const [i, message] of messages.entries()) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const reading = within(
      `the end of connection ${i}`,
      drained(connection),
    );
    try {
      await connection.write(message);
      // What is too short for a frame ends with the stream.
      await connection.closeWrite();
    } catch {
      // Closed on us already.
    }
    await reading;
    connection.close();
  }
  assertEquals(text.decode(await node.get("key")), "value");
  await node.set("key", "again");
  await using other = await open(temp.at("other"), {
    address: "127.0.0.1:0",
    peers: [address],
  });
  assertEquals(text.decode(await other.get("key")), "again");
});

async function drained(connection: Deno.TcpConn): Promise<void> {
  const scrap = new Uint8Array(4096);
  try {
    while (await connection.read(scrap) !== null);
  } catch {
    // Reset is closed too.
  }
}
