import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import {
  AddressInUseError,
  type ByteStream,
  ClosedError,
  ClusterMismatchError,
  OutcomeUnknownError,
  ProtocolError,
  ProtocolMismatchError,
  RejectedError,
  RemoteError,
  SecretMismatchError,
  UnreachableError,
  Writer,
} from "../runtime/mod.ts";
import { World } from "../runtime/virtual/mod.ts";
import type { EstablishedConnection } from "./connection.ts";
import { encodeFailure, failureOf } from "./failure.ts";
import { FrameDecoder, FrameFlag, readFrame, writeFrame } from "./frame.ts";
import { encodeHello, encodeWelcome } from "./handshake.ts";
import { MessageType } from "./registry.ts";
import {
  testIdentity,
  testNode,
  type TestNodeOptions,
} from "./testing/node.ts";
import type { Connection, Identity } from "./types.ts";

const { PULL, RECORDS } = MessageType;
const CHALLENGE = new Uint8Array(16);

/** Runs a program with nodes 1 and 2, of which 2 listens, and closes both. */
async function withTwo(
  program: (
    nodes: { a: TestNodeUnderTest; b: TestNodeUnderTest; world: World },
  ) => Promise<void>,
  options: { a?: Partial<TestNodeOptions>; b?: Partial<TestNodeOptions> } = {},
): Promise<void> {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1, ...options.a });
  const b = testNode(world.runtime("b"), { node: 2, ...options.b });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    try {
      await program({ a, b, world });
    } finally {
      await Promise.all([a.endpoint.close(), b.endpoint.close()]);
    }
  });
}

type TestNodeUnderTest = ReturnType<typeof testNode>;

async function say(
  stream: ByteStream,
  type: number,
  payload: Uint8Array,
): Promise<void> {
  const writer = new Writer();
  const head = { flags: FrameFlag.ONE_WAY, type, lane: 0, correlation: 0 };
  writeFrame(writer, head, payload);
  await stream.write(writer.view());
}

Deno.test("a dialled connection carries requests both ways, and one-way messages", async () => {
  let back: Uint8Array | undefined;
  await withTwo(async ({ a, b }) => {
    const connection = await a.endpoint.dial("b:1");
    assertEquals(connection.remote, b.identity);
    assertEquals(connection.dialled, true);
    assertEquals(connection.protocol, 1);
    const reply = await connection.request(PULL, new Uint8Array([1, 2]));
    assertEquals(reply, new Uint8Array([1, 2, 9]));
    assertEquals(back, new Uint8Array([7]));
    assert(connection.send(RECORDS, new Uint8Array(5)));
    await connection.request(PULL, new Uint8Array(0));
    assertEquals(b.log, [`message ${RECORDS} 5`]);
  }, {
    b: {
      handler: {
        async request(from, type, payload) {
          back = await from.request(type, new Uint8Array([7]));
          return new Uint8Array([...payload, 9]);
        },
      },
    },
  });
});

Deno.test("an error of the handler comes back with its code, message and data", async () => {
  const errors: unknown[] = [
    new RemoteError("word", "Cannot: no", { data: new Uint8Array([1]) }),
    new ClosedError("write"),
    "a string",
  ];
  await withTwo(async ({ a }) => {
    const connection = await a.endpoint.dial("b:1");
    const ask = () =>
      assertRejects(
        () => connection.request(PULL, new Uint8Array(0)),
        RemoteError,
      );
    const own = await ask();
    assertEquals([own.code, own.message], ["word", "Cannot: no"]);
    assertEquals(own.data, new Uint8Array([1]));
    const typed = await ask();
    assertEquals(typed.code, "ClosedError");
    assertEquals(typed.message, "Cannot write: the database is closed");
    assertEquals((await ask()).message, "a string");
  }, {
    b: {
      handler: {
        request: () => {
          throw errors.shift();
        },
      },
    },
  });
});

Deno.test("nodes of two clusters both get a cluster mismatch, whoever dials", async () => {
  await withTwo(async ({ a, b }) => {
    const error = await assertRejects(
      () => a.endpoint.dial("b:1"),
      ClusterMismatchError,
    );
    assertEquals(error.expected, "07070707-0707-0707-0707-070707070707");
    assertEquals(error.actual, "08080808-0808-0808-0808-080808080808");
    const peer = a.endpoint.keep(2, "b:1");
    await assertRejects(
      () => peer.request(PULL, new Uint8Array(0)),
      ClusterMismatchError,
    );
    assertEquals(b.log, []);
  }, { b: { cluster: 8 } });
});

Deno.test("a node without cluster may visit, and nothing becomes a peer of it", async () => {
  await withTwo(async ({ a, b }) => {
    const connection = await a.endpoint.dial("b:1");
    await connection.request(MessageType.PLEDGE, new Uint8Array(1));
    assertEquals(b.log, []);
  }, { a: { node: 0, cluster: 0 } });
});

Deno.test("who is not admitted is told why, and is not connected", async () => {
  const admit = () => {
    throw new RemoteError("removed", "Cannot connect: you were removed");
  };
  for (const side of ["a", "b"] as const) {
    await withTwo(async ({ a, b }) => {
      const error = await assertRejects(() => a.endpoint.dial("b:1"));
      if (side === "a") assertInstanceOf(error, RemoteError);
      else {
        assertInstanceOf(error, RejectedError);
        assertEquals(error.code, "removed");
      }
      const peer = a.endpoint.keep(2, "b:1");
      await assertRejects(
        () => peer.request(PULL, new Uint8Array(0)),
        UnreachableError,
      );
      assertEquals([a.log, b.log], [[], []]);
    }, { [side]: { handler: { admit } } });
  }
});

Deno.test("no common version is a protocol error on both sides", async () => {
  await withTwo(async ({ a, world }) => {
    // This release accepts: the stranger is told.
    const { network } = world.runtime("stranger");
    const stream = await network.dial("b:1");
    const protocols = { min: 2, max: 9 };
    await say(
      stream,
      MessageType.HELLO,
      encodeHello({ protocols, challenge: CHALLENGE }),
    );
    const answer = await readFrame(stream, new FrameDecoder());
    assertEquals(answer?.type, MessageType.REJECT);
    stream.close();
    // This release dials: a stranger who picks another version is refused.
    const listener = await network.listen("s:1");
    const dialled = assertRejects(
      () => a.endpoint.dial("s:1"),
      ProtocolError,
      "protocol 9",
    );
    const accepted = (await listener.accept())!;
    const welcome = encodeWelcome({
      protocol: 9,
      challenge: CHALLENGE,
      proofs: [],
    });
    await say(accepted, MessageType.WELCOME, welcome);
    await dialled;
    // And one who refuses this release is believed.
    const refused = assertRejects(() => a.endpoint.dial("s:1"), ProtocolError);
    const second = (await listener.accept())!;
    await say(second, MessageType.REJECT, answer!.payload.slice());
    await refused;
    accepted.close();
    second.close();
    listener.close();
  });
});

Deno.test("two nodes speak the newest version and use the features that both know", async () => {
  const identity = (features: number) => ({ features });
  await withTwo(async ({ a, b }) => {
    const connection = await a.endpoint.dial("b:1");
    assertEquals([connection.protocol, connection.features], [2, 0b100]);
    a.endpoint.keep(2, "b:1");
    await a.endpoint.peer(2)!.request(PULL, new Uint8Array(1));
    const there = b.current.get("1 control")!;
    assertEquals([there.protocol, there.features], [2, 0b100]);
  }, {
    a: { protocols: { min: 1, max: 2 }, identity: identity(0b110) },
    b: { protocols: { min: 2, max: 3 }, identity: identity(0b101) },
  });
});

Deno.test("two nodes without a common version are told so, both, with both ranges", async () => {
  const told: { side: string; node: number; error: unknown }[] = [];
  const handler = (side: string) => ({
    refused: (node: number, _address: string, error: unknown) => {
      told.push({ side, node, error });
    },
  });
  const secrets = [new Uint8Array(16)];
  for (const options of [{}, { secrets }]) {
    told.length = 0;
    await withTwo(async ({ a, world }) => {
      const error = await assertRejects(
        () => a.endpoint.dial("b:1"),
        ProtocolMismatchError,
        "it speaks protocol 3 to 4, this node 1 to 2",
      );
      assertEquals([error.ours.max, error.theirs.min], [2, 3]);
      const peer = a.endpoint.keep(2, "b:1");
      await assertRejects(
        () => peer.request(PULL, new Uint8Array(0)),
        ProtocolMismatchError,
      );
      // Both lanes, again and again: of those that dial one a second is told of.
      await world.sleep(10_000);
      const there = told.filter(({ side }) => side === "b");
      assert(there.length > 2 && there.length <= 11, `${there.length}`);
      for (
        const [side, node, text] of [
          ["a", 2, "it speaks protocol 3 to 4, this node 1 to 2"],
          ["b", 0, "it speaks protocol 1 to 2, this node 3 to 4"],
        ] as const
      ) {
        const first = told.find((each) => each.side === side)!;
        assertEquals(first.node, node);
        assertInstanceOf(first.error, ProtocolMismatchError);
        assert(first.error.message.endsWith(text), first.error.message);
      }
    }, {
      a: { ...options, protocols: { min: 1, max: 2 }, handler: handler("a") },
      b: { ...options, protocols: { min: 3, max: 4 }, handler: handler("b") },
    });
  }
});

Deno.test("who is dialled by a node that does not let it in is told so, by whom and why, each time", async () => {
  const told: { remote: Identity; error: unknown }[] = [];
  const refusedBy = (remote: Identity, error: unknown) =>
    told.push({ remote, error });
  const admit = () => {
    throw new RejectedError("Outdated", "its disk is old", {
      data: Uint8Array.of(7),
    });
  };
  await withTwo(async ({ a, world }) => {
    for (let times = 1; times <= 3; times++) {
      await assertRejects(() => a.endpoint.dial("b:1"), RejectedError);
      await world.sleep(100);
      assertEquals(told.length, times);
    }
    const [{ remote, error }] = told as [typeof told[0]];
    assertEquals([remote.node, remote.role], [1, "member"]);
    assertInstanceOf(error, RejectedError);
    assertEquals(error.code, "Outdated");
    assert(error.message.endsWith("its disk is old"), error.message);
    assertEquals(error.data, Uint8Array.of(7));
  }, { a: { handler: { admit } }, b: { handler: { refusedBy } } });
});

Deno.test("a client is served and never a peer; who says it is one and has a node key is not let in", async () => {
  const client = { role: "client" as const };
  await withTwo(async ({ a, b }) => {
    const connection = await a.endpoint.dial("b:1");
    await connection.request(MessageType.COMMIT, new Uint8Array(1));
    assertEquals(b.log, []);
  }, { a: { node: 0, identity: client } });
  await withTwo(async ({ a }) => {
    await assertRejects(() => a.endpoint.dial("b:1"), ProtocolError, "client");
  }, { a: { identity: client } });
});

Deno.test("where nobody listens, or nobody speaks, a dial is unreachable in time", async () => {
  await withTwo(async ({ a, world }) => {
    await assertRejects(() => a.endpoint.dial("b:9"), UnreachableError);
    world.cut("a", "b");
    const start = world.now;
    await assertRejects(() => a.endpoint.dial("b:1"), UnreachableError);
    assertEquals(world.now - start, 2000);
    world.heal();
    const listener = await world.runtime("silent").network.listen("s:1");
    const again = world.now;
    await assertRejects(() => a.endpoint.dial("s:1"), UnreachableError);
    assert(world.now - again > 2999 && world.now - again < 3100);
    listener.close();
  });
});

Deno.test("a dial ends with the reason of its signal", async () => {
  await withTwo(async ({ a, world }) => {
    world.cut("a", "b");
    const controller = new AbortController();
    const dialled = a.endpoint.dial("b:1", { signal: controller.signal });
    world.schedule(50, () => controller.abort("enough"));
    const reason = await dialled.then(() => "dialled", (error) => error);
    assertEquals(reason, "enough");
  });
});

Deno.test("a deadline that passes after sending leaves the outcome unknown and the connection whole", async () => {
  let answer = (_: Uint8Array) => {};
  const late = new Promise<Uint8Array>((resolve) => answer = resolve);
  await withTwo(async ({ a }) => {
    const connection = await a.endpoint.dial("b:1");
    const error = await assertRejects(
      () => connection.request(PULL, new Uint8Array(0), { timeoutMs: 100 }),
      OutcomeUnknownError,
    );
    assertEquals((error.cause as Error).name, "DeadlineExceededError");
    answer(new Uint8Array(600_000)); // a late reply, in chunks
    const reply = await connection.request(RECORDS, new Uint8Array([3]));
    assertEquals(reply, new Uint8Array([3]));
  }, {
    b: {
      handler: {
        request: (_from, type, payload) => type === PULL ? late : payload,
      },
    },
  });
});

Deno.test("an abort before sending gives its reason, after sending an unknown outcome", async () => {
  await withTwo(async ({ a, world }) => {
    const connection = await a.endpoint.dial("b:1");
    const controller = new AbortController();
    const { signal } = controller;
    const sent = connection.request(PULL, new Uint8Array([1]), { signal });
    world.schedule(1, () => controller.abort("stop"));
    const error = await assertRejects(() => sent, OutcomeUnknownError);
    assertEquals(error.cause, "stop");
    const before = connection.request(PULL, new Uint8Array([2]), { signal });
    assertEquals(await before.catch((reason) => reason), "stop");
    const second = new AbortController();
    const queued = connection.request(PULL, new Uint8Array([3]), {
      signal: second.signal,
    });
    second.abort("now"); // in the same turn: nothing has left yet
    assertEquals(await queued.catch((reason) => reason), "now");
    await connection.request(PULL, new Uint8Array([4])).catch(() => {});
    assertEquals(seen, [1, 4]);
  }, {
    b: {
      handler: {
        request: (_from, _type, payload) => {
          seen.push(payload[0]!);
          return payload[0] === 1 ? new Promise(() => {}) : payload;
        },
      },
    },
  });
});
const seen: number[] = [];

Deno.test("a stream that breaks leaves what was sent unknown, and aborts the work", async () => {
  let aborted = false;
  await withTwo(async ({ a, world }) => {
    const connection = await a.endpoint.dial("b:1");
    const sent = connection.request(PULL, new Uint8Array(1));
    world.schedule(10, () => world.reset("a", "b"));
    await assertRejects(() => sent, OutcomeUnknownError);
    await assertRejects(
      () => connection.request(PULL, new Uint8Array(1)),
      UnreachableError,
    );
    assertEquals(connection.send(RECORDS, new Uint8Array(1)), false);
    assert(aborted);
  }, {
    b: {
      handler: {
        request: (_from, _type, _payload, signal) => {
          signal.addEventListener("abort", () => aborted = true);
          return new Promise(() => {});
        },
      },
    },
  });
});

Deno.test("small requests pass a message of 20 MiB on the same lane", async () => {
  await withTwo(async ({ a }) => {
    const connection = await a.endpoint.dial("b:1", { lane: "bulk" });
    const big = new Uint8Array(20 * 1024 * 1024);
    big.forEach((_, i) => big[i] = i * 7);
    let bigDone = false;
    const sending = connection.request(RECORDS, big).then((reply) => {
      bigDone = true;
      return reply;
    });
    for (let i = 0; i < 5; i++) {
      await connection.request(PULL, new Uint8Array([i]));
      assertEquals(bigDone, false);
    }
    assertEquals(await sending, big);
  });
});

Deno.test("a full queue drops one-way messages, and lets requests wait", async () => {
  await withTwo(async ({ a, world }) => {
    const connection = await a.endpoint.dial("b:1");
    world.cut("a", "b");
    // Fills what the network itself takes in.
    let sent = 0;
    while (connection.send(RECORDS, new Uint8Array(100_000)) && sent < 100) {
      sent++;
      await world.sleep(1);
    }
    assert(sent >= 20 && sent < 40, `${sent}`);
    const short = connection.request(PULL, new Uint8Array(100_000), {
      timeoutMs: 100,
    });
    const long = connection.request(PULL, new Uint8Array(100_000));
    await assertRejects(() => short, UnreachableError);
    world.heal();
    assertEquals((await long).length, 100_000);
  }, { a: { tuning: { queueBytesMax: 1_000_000 } } });
});

Deno.test("a request beyond what may be in work is answered so", async () => {
  await withTwo(async ({ a }) => {
    const connection = await a.endpoint.dial("b:1");
    const held = [1, 2].map(() => connection.request(PULL, new Uint8Array(1)));
    const error = await assertRejects(
      () => connection.request(PULL, new Uint8Array(1)),
      RemoteError,
    );
    assertEquals(error.code, "overloaded");
    connection.close();
    for (const request of held) {
      await assertRejects(() => request, OutcomeUnknownError);
    }
  }, {
    b: {
      tuning: { requestsMax: 2 },
      handler: { request: () => new Promise(() => {}) },
    },
  });
});

Deno.test("requests that are given up hold up no others, also while the other end still works on them", async () => {
  const seen: number[] = [];
  await withTwo(async ({ a }) => {
    const connection = await a.endpoint.dial("b:1");
    const ask = (n: number, timeoutMs: number) =>
      connection.request(PULL, new Uint8Array([n]), { timeoutMs });
    const given = [1, 2].map((n) => ask(n, 100));
    const waiting = [3, 4].map((n) => ask(n, 10_000));
    await Promise.all(
      given.map((request) => assertRejects(() => request, OutcomeUnknownError)),
    );
    assertEquals(await Promise.all(waiting), [
      new Uint8Array([3]),
      new Uint8Array([4]),
    ]);
    assertEquals(seen, [1, 2, 3, 4]);
  }, {
    a: { tuning: { requestsMax: 10 } },
    b: {
      handler: {
        request: (_from, _type, payload) => {
          seen.push(payload[0]!);
          return payload[0]! < 3 ? new Promise(() => {}) : payload;
        },
      },
    },
  });
});

Deno.test("a connection that is to end does so at once, also where all that waits on it was given up", async () => {
  await withTwo(async ({ a, world }) => {
    const connection = await a.endpoint.dial("b:1");
    const controller = new AbortController();
    const { signal } = controller;
    const asked = connection.request(PULL, new Uint8Array(1), { signal });
    (connection as EstablishedConnection).retire();
    controller.abort("never mind");
    assertEquals(await asked.catch((reason) => reason), "never mind");
    await world.sleep(1000);
    assertEquals(a.endpoint.metrics().connections, 0);
  });
});

Deno.test("an idle connection is kept alive, and given up when its link is cut", async () => {
  await withTwo(async ({ a, b, world }) => {
    a.endpoint.keep(2, "b:1");
    await world.sleep(120_000);
    assertEquals(a.log.length, 2);
    assertEquals(b.log.length, 2);
    world.cut("a", "b");
    await world.sleep(16_000);
    assertEquals(a.current.size + b.current.size, 0);
    world.heal();
    await world.sleep(40_000);
    assertEquals(a.current.size, 2);
  });
});

Deno.test("closing rejects what waits: closed if nothing was sent, unknown if it was", async () => {
  await withTwo(async ({ a }) => {
    const connection = await a.endpoint.dial("b:1");
    const sent = connection.request(PULL, new Uint8Array(1));
    const waiting = a.endpoint.keep(3, "b:3").request(PULL, new Uint8Array(1));
    const failed = waiting.catch((error) => error);
    await Promise.resolve();
    await Promise.resolve();
    const closed = a.endpoint.close();
    await assertRejects(() => sent, OutcomeUnknownError);
    assertInstanceOf(await failed, ClosedError);
    await closed;
    await assertRejects(() => a.endpoint.dial("b:1"), ClosedError);
    await assertRejects(
      () => connection.request(PULL, new Uint8Array(1)),
      ClosedError,
    );
  }, { b: { handler: { request: () => new Promise(() => {}) } } });
});

Deno.test("an address in use is said so, and a node that dials itself meets its own nonce", async () => {
  await withTwo(async ({ a, b }) => {
    await assertRejects(() => a.endpoint.listen("b:1"), AddressInUseError);
    const self = await b.endpoint.dial("b:1");
    assertEquals(self.remote.nonce, b.identity.nonce);
    assertEquals(b.log, []);
  });
});

Deno.test("the same seed gives the same trace", async () => {
  const hashes = [];
  for (let round = 0; round < 2; round++) {
    const world = new World({ seed: 42 });
    const a = testNode(world.runtime("a"), { node: 1 });
    const b = testNode(world.runtime("b"), { node: 2 });
    await world.run(async () => {
      await a.endpoint.listen("a:1");
      await b.endpoint.listen("b:1");
      const peer = a.endpoint.keep(2, "b:1");
      b.endpoint.keep(1, "a:1");
      await peer.request(PULL, new Uint8Array(300_000), { lane: "bulk" });
      world.reset("a", "b");
      await world.sleep(5000);
      await peer.request(PULL, new Uint8Array(3));
      await a.endpoint.close();
      await b.endpoint.close();
    });
    hashes.push(world.traceHash());
  }
  assertEquals(hashes[0], hashes[1]);
});

Deno.test("identities of two starts are told apart by dropOthers", async () => {
  await withTwo(async ({ a, b, world }) => {
    a.endpoint.keep(2, "b:1");
    await world.sleep(100);
    assertEquals(b.current.size, 2);
    b.endpoint.dropOthers(1, a.identity.nonce);
    await world.sleep(50);
    assertEquals(b.current.size, 2);
    b.endpoint.dropOthers(1, testIdentity(1, new Uint8Array(8)).nonce);
    assertEquals(b.current.size, 0);
  });
});

Deno.test("messages of one turn leave in one write", async () => {
  const world = new World({ seed: 1 });
  const runtime = world.runtime("a");
  let writes = 0;
  const a = testNode({
    ...runtime,
    network: {
      listen: (address) => runtime.network.listen(address),
      async dial(address, options) {
        const stream = await runtime.network.dial(address, options);
        return {
          remote: stream.remote,
          read: (buffer) => stream.read(buffer),
          close: () => stream.close(),
          write(data) {
            writes++;
            return stream.write(data);
          },
        };
      },
    },
  }, { node: 1 });
  const b = testNode(world.runtime("b"), { node: 2 });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    const connection = await a.endpoint.dial("b:1");
    await world.sleep(10);
    const before = writes;
    for (let i = 0; i < 50; i++) connection.send(RECORDS, new Uint8Array(10));
    const reply = connection.request(PULL, new Uint8Array(1));
    await Promise.resolve();
    connection.send(RECORDS, new Uint8Array(10)); // of the same turn still
    await reply;
    assert(writes - before <= 2, `${writes - before}`);
    assertEquals(b.log.length, 51);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });
});

Deno.test("a burst of more requests than the other end works on is answered whole, and a ping amid it at once", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1 });
  const request = async (
    _from: Connection,
    type: number,
    bytes: Uint8Array,
  ) => {
    if (type === PULL) await world.sleep(50);
    return bytes;
  };
  const b = testNode(world.runtime("b"), { node: 2, handler: { request } });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    const peer = a.endpoint.keep(2, "b:1");
    const ask = (type: number) => peer.request(type, new Uint8Array(1));
    await ask(PULL);
    const burst = Array.from({ length: 3000 }, () => ask(PULL));
    const began = world.now;
    await ask(MessageType.PING);
    assert(world.now - began < 20, `${world.now - began} ms`);
    await Promise.all(burst);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });
});

Deno.test("a lane is not given up while a message is on its way, also where nobody else uses it", async () => {
  const world = new World({ seed: 1 });
  // Connections are made on demand, and end when they are not used.
  const tuning = { connectionsMax: 0 };
  const a = testNode(world.runtime("a"), { node: 1, tuning });
  const b = testNode(world.runtime("b"), { node: 2, tuning });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    b.endpoint.keep(1, "a:1");
    const peer = a.endpoint.keep(2, "b:1");
    // A chunk takes longer than an unused lane stands.
    world.condition("a", "b", { bytesPerMs: 40 });
    const payload = new Uint8Array(1_200_000);
    const options = { timeoutMs: 60_000 };
    const reply = await peer.request(PULL, payload, options);
    assertEquals(reply.length, payload.length);
    assert(world.now > 29_000, `${world.now} ms`);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });
});

Deno.test("who dials and is silent keeps nobody out who means it", async () => {
  const world = new World({ seed: 1 });
  const tuning = { handshakesMax: 4 };
  const a = testNode(world.runtime("a"), { node: 1 });
  const b = testNode(world.runtime("b"), { node: 2, tuning });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    const { network } = world.runtime("x");
    const silent = [];
    for (let i = 0; i < 8; i++) silent.push(await network.dial("b:1"));
    await a.endpoint.keep(2, "b:1").request(PULL, new Uint8Array(1));
    assert(world.now < 1000, `${world.now} ms`);
    assert(b.endpoint.metrics().turnedAway >= 4);
    for (const stream of silent) stream.close();
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });
});

Deno.test("of who refuses without a proof of the secret only that there is no common version is believed", async () => {
  const world = new World({ seed: 1 });
  const secrets = [new Uint8Array(16).fill(1)];
  const a = testNode(world.runtime("a"), { node: 1, secrets });
  await world.run(async () => {
    const listener = await world.runtime("s").network.listen("s:1");
    const dialled = assertRejects(
      () => a.endpoint.dial("s:1"),
      SecretMismatchError,
    );
    const stream = (await listener.accept())!;
    const failure = encodeFailure(failureOf(new ProtocolError("go away")));
    await say(stream, MessageType.REJECT, failure);
    await dialled;
    stream.close();
    listener.close();
    await a.endpoint.close();
  });
});
