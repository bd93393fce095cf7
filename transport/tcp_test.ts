import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnreachableError } from "../runtime/mod.ts";
import { denoRuntime } from "../runtime/deno/mod.ts";
import { MessageType } from "./registry.ts";
import { testNode } from "./testing/node.ts";

const { PULL } = MessageType;

Deno.test("over TCP two nodes that dial each other settle, ask and part", async () => {
  const runtime = denoRuntime();
  let changed = () => {};
  const a = testNode(runtime, { node: 1 });
  const b = testNode(runtime, {
    node: 2,
    handler: { message: () => changed() },
  });
  const toA = await a.endpoint.listen("127.0.0.1:0");
  const toB = await b.endpoint.listen("127.0.0.1:0");
  const peerB = a.endpoint.keep(2, toB);
  const peerA = b.endpoint.keep(1, toA);
  const big = new Uint8Array(8 * 1024 * 1024).fill(5);
  const replies = await Promise.all([
    peerB.request(PULL, new Uint8Array([1])),
    peerA.request(PULL, new Uint8Array([2])),
    peerB.request(PULL, big, { lane: "bulk" }),
    peerA.request(PULL, new Uint8Array([3]), { lane: "bulk" }),
  ]);
  assertEquals(replies.map((reply) => reply[0]), [1, 2, 5, 3]);
  assertEquals(replies[2]!.length, big.length);
  const arrived = new Promise<void>((resolve) => changed = resolve);
  assert(peerB.send(MessageType.RECORDS, new Uint8Array(3)));
  await arrived;
  await Promise.all([a.endpoint.close(), b.endpoint.close()]);
});

Deno.test("over TCP a node that comes back on its port is found again", async () => {
  const runtime = denoRuntime();
  const tuning = { backoffMinMs: 5, backoffMaxMs: 20 };
  const a = testNode(runtime, { node: 1, tuning });
  const first = testNode(runtime, { node: 2, tuning });
  const address = await first.endpoint.listen("127.0.0.1:0");
  const peer = a.endpoint.keep(2, address);
  await peer.request(PULL, new Uint8Array(1));
  await first.endpoint.close();
  await assertRejects(
    () => peer.request(PULL, new Uint8Array(1)),
    UnreachableError,
  );
  const second = testNode(runtime, {
    node: 2,
    tuning,
    identity: { generation: 2 },
  });
  await second.endpoint.listen(address);
  await peer.request(PULL, new Uint8Array(1));
  assertEquals(a.current.get("2 control")?.remote.generation, 2);
  await Promise.all([a.endpoint.close(), second.endpoint.close()]);
});

Deno.test("over TCP garbage is answered by closing, and the endpoint lives", async () => {
  const runtime = denoRuntime();
  const a = testNode(runtime, { node: 1 });
  const b = testNode(runtime, { node: 2 });
  const address = await a.endpoint.listen("127.0.0.1:0");
  for (
    const text of ["GET / HTTP/1.1\r\n\r\n", "\0\0\0\0", "\xff\xff\xff\xff"]
  ) {
    const stream = await runtime.network.dial(address);
    await stream.write(new TextEncoder().encode(text));
    const count = await stream.read(new Uint8Array(10)).catch(() => null);
    assertEquals(count, null);
    stream.close();
  }
  const connection = await b.endpoint.dial(address);
  await connection.request(PULL, new Uint8Array(1));
  await Promise.all([a.endpoint.close(), b.endpoint.close()]);
});
