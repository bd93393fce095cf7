import { assert, assertEquals } from "@std/assert";
import {
  type Bytes,
  type ByteStream,
  CHUNK_BYTES,
  concatBytes,
  FRAME_BYTES_MAX,
  Writer,
} from "../runtime/mod.ts";
import { World } from "../runtime/virtual/mod.ts";
import {
  HELD_BYTES_MAX,
  VISIT_MS_MAX,
  VISIT_REQUESTS_MAX,
  VISITS_MAX,
} from "./bounds.ts";
import { FrameDecoder, FrameFlag, readFrame, writeFrame } from "./frame.ts";
import { encodeHello, encodeIdentity } from "./handshake.ts";
import { CHUNK_BYTES_MIN } from "./reassembly.ts";
import { MessageType } from "./registry.ts";
import { testIdentity, testNode } from "./testing/node.ts";
import type { Endpoint, EndpointHandler, Role } from "./types.ts";

const NONCE = new Uint8Array(8);
const CHALLENGE = new Uint8Array(16);

function frame(
  type: number,
  payload: Uint8Array,
  flags: number = FrameFlag.ONE_WAY,
  correlation = 0,
): Uint8Array {
  const writer = new Writer();
  writeFrame(writer, { flags, type, lane: 0, correlation }, payload);
  return writer.finish();
}

const HELLO = frame(
  MessageType.HELLO,
  encodeHello({ protocols: { min: 1, max: 1 }, challenge: CHALLENGE }),
);
const IDENTITY = frame(
  MessageType.IDENTITY,
  encodeIdentity({ identity: testIdentity(9, NONCE), purpose: "lane" }),
);
const CONFIRM = frame(MessageType.KEEPALIVE, new Uint8Array(0));

/** What a well-behaved dialler of node 9 says, all at once. */
const GREETING = concatBytes(HELLO, IDENTITY, CONFIRM);

/** What somebody without a node key says, all at once. */
function visitGreeting(role: Role, hello = 0): Uint8Array {
  const identity = {
    ...testIdentity(0, NONCE, role === "client" ? 7 : 0),
    role,
    hello: new Uint8Array(hello),
  };
  const bytes = encodeIdentity({ identity, purpose: "visit" });
  return concatBytes(HELLO, frame(MessageType.IDENTITY, bytes), CONFIRM);
}

/** Whether the other end closes a stream within some time. */
async function closesWithin(
  world: World,
  stream: ByteStream,
  ms: number,
): Promise<boolean> {
  return await Promise.race([
    closes(stream),
    world.sleep(ms).then(() => false),
  ]);
}

/** Reads until the other end closes; `true` if it did so by itself. */
async function closes(stream: ByteStream): Promise<boolean> {
  const scrap = new Uint8Array(4096);
  try {
    while (await stream.read(scrap) !== null);
  } catch {
    // Reset: closed too.
  }
  stream.close();
  return true;
}

async function withVictim(
  program: (
    world: World,
    dial: () => Promise<ByteStream>,
    log: string[],
    endpoint: Endpoint,
  ) => Promise<void>,
  handshakesMax = 64,
  handler: Partial<EndpointHandler> = {},
): Promise<void> {
  const world = new World({ seed: 1 });
  const victim = testNode(world.runtime("v"), {
    node: 1,
    tuning: { handshakesMax },
    handler,
  });
  const friend = testNode(world.runtime("f"), { node: 2 });
  await world.run(async () => {
    await victim.endpoint.listen("v:1");
    const { network } = world.runtime("x");
    const dial = () => network.dial("v:1");
    await program(world, dial, victim.log, victim.endpoint);
    // Whatever was done, the node lives.
    await world.sleep(3100);
    const connection = await friend.endpoint.dial("v:1");
    await connection.request(MessageType.PULL, new Uint8Array(1));
    await Promise.all([victim.endpoint.close(), friend.endpoint.close()]);
  });
}

Deno.test("garbage, foreign protocols and wrong frames close that connection only", async () => {
  const messages: Uint8Array[] = [
    new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    new Writer().u32(FRAME_BYTES_MAX + 1).finish(),
    new Writer().u32(0xffffffff).finish(),
    new Writer().u32(0).finish(),
    new Uint8Array(100),
    frame(MessageType.HELLO, new Uint8Array(3)),
    frame(MessageType.HELLO, new Uint8Array(30)), // the magic is wrong
    frame(MessageType.PULL, new Uint8Array(1)),
    frame(MessageType.HELLO, new Uint8Array(20_000)),
    concatBytes(HELLO, HELLO),
    concatBytes(HELLO, frame(MessageType.IDENTITY, new Uint8Array(9))),
    concatBytes(HELLO, IDENTITY, IDENTITY),
    concatBytes(GREETING, HELLO),
    concatBytes(GREETING, frame(MessageType.GOODBYE, new Uint8Array(1))),
    concatBytes(GREETING, new Writer().u32(FRAME_BYTES_MAX + 1).finish()),
    // A response to nothing, with the correlation of a request of its own.
    concatBytes(
      GREETING,
      frame(MessageType.PULL, NONCE, FrameFlag.RESPONSE, 1),
    ),
    // A request with a correlation of the acceptor.
    concatBytes(GREETING, frame(MessageType.PULL, NONCE, 0, 2)),
    concatBytes(GREETING, frame(MessageType.PULL, NONCE, FrameFlag.ERROR, 1)),
    concatBytes(GREETING, frame(MessageType.PULL, NONCE, FrameFlag.MORE, 1)),
  ];
  await withVictim(async (world, dial) => {
    for (const [i, message] of messages.entries()) {
      const stream = await dial();
      const start = world.now;
      await stream.write(message);
      assert(await closes(stream));
      assert(world.now - start < 1000, `message ${i}`);
    }
  });
});

Deno.test("a silent or half-finished handshake is closed at its deadline", async () => {
  await withVictim(async (world, dial) => {
    for (const message of [new Uint8Array(0), HELLO.subarray(0, 9), HELLO]) {
      const stream = await dial();
      const start = world.now;
      if (message.length > 0) await stream.write(message);
      assert(await closes(stream));
      assert(world.now - start > 2900 && world.now - start < 3100);
    }
    const stream = await dial();
    await stream.write(concatBytes(HELLO, IDENTITY)); // never confirmed
    assert(await closes(stream));
  });
});

Deno.test("more handshakes at once than allowed are turned away, and place is made in time", async () => {
  await withVictim(async (world, dial) => {
    const streams = [];
    for (let i = 0; i < 8; i++) streams.push(await dial());
    let open = 8;
    const ends = streams.map((stream) => closes(stream).then(() => open--));
    await world.sleep(100);
    assertEquals(open, 4);
    await Promise.all(ends);
  }, 4);
});

Deno.test("chunks that never end and requests whose replies are never read are cut off", async () => {
  await withVictim(async (world, dial) => {
    const chunk = frame(
      MessageType.RECORDS,
      new Uint8Array(CHUNK_BYTES),
      FrameFlag.MORE | FrameFlag.ONE_WAY,
      1,
    );
    const endless = await dial();
    await endless.write(GREETING);
    let sent = 0;
    try {
      for (; sent < 1000; sent++) {
        await endless.write(chunk);
        await world.sleep(5);
      }
    } catch {
      // Closed on us.
    }
    assert(sent < 72 * 4 + 10, `${sent}`);
    endless.close();
    const greedy = await dial();
    await greedy.write(GREETING);
    const ask = new Writer();
    for (let i = 0; i < 100; i++) {
      const payload = new Uint8Array(10_000);
      const head = {
        flags: 0,
        type: MessageType.PULL,
        lane: 0,
        correlation: 1,
      };
      writeFrame(ask, { ...head, correlation: 2 * i + 1 }, payload);
    }
    let asked = 0;
    try {
      for (; asked < 100; asked++) {
        await greedy.write(ask.view());
        await world.sleep(5);
      }
    } catch {
      // Closed on us.
    }
    assert(asked < 40, `${asked}`);
    greedy.close();
  });
});

Deno.test("no bytes on the port hurt the node: 3000 damaged conversations", async () => {
  await withVictim(async (world, dial, log) => {
    const random = world.random("fuzz");
    const parts = [
      HELLO,
      IDENTITY,
      CONFIRM,
      frame(MessageType.PULL, new Uint8Array(50), 0, 1),
      frame(MessageType.RECORDS, new Uint8Array(50), FrameFlag.ONE_WAY, 3),
      frame(MessageType.GOODBYE, new Uint8Array(5)),
    ];
    let answered = 0;
    const converse = async () => {
      const count = 1 + random.below(8);
      const said: Uint8Array[] = [];
      const inOrder = random.chance(0.7);
      for (let i = 0; i < count; i++) {
        said.push(inOrder ? parts[i % 6]! : parts[random.below(6)]!);
      }
      let bytes: Bytes = concatBytes(...said);
      if (random.chance(0.7)) {
        bytes[random.below(bytes.length)]! ^= 1 + random.below(255);
      }
      if (random.chance(0.2)) bytes = random.fill(bytes);
      if (random.chance(0.3)) {
        bytes = bytes.slice(0, random.below(bytes.length));
      }
      const stream = await dial();
      if (bytes.length > 0) await stream.write(bytes).catch(() => {});
      try {
        const decoder = new FrameDecoder();
        if (random.chance(0.5)) await world.sleep(random.below(20));
        else if (await readFrame(stream, decoder) !== null) answered++;
      } catch {
        // Broken: as good an end as any.
      }
      stream.close();
    };
    for (let round = 0; round < 300; round++) {
      await Promise.all(Array.from({ length: 10 }, converse));
    }
    assert(answered > 300, `${answered}`);
    assert(log.some((line) => line.startsWith("message")));
  });
});

Deno.test("who has no node key sends small messages only, and tells little of itself", async () => {
  await withVictim(async (world, dial) => {
    const ask = (bytes: number, flags = 0) =>
      frame(MessageType.PLEDGE, new Uint8Array(bytes), flags, 1);
    const pledger = visitGreeting("member");
    const client = visitGreeting("client");
    const more = FrameFlag.MORE;
    for (
      const [said, closed] of [
        [[pledger, ask(16_000)], false],
        [[pledger, ask(17_000)], true],
        [[pledger, ask(CHUNK_BYTES_MIN, more)], true],
        [[client, ask(17_000)], false],
        [[client, ask(CHUNK_BYTES_MIN, more)], false],
        [[visitGreeting("member", 1024)], false],
        [[visitGreeting("member", 1025)], true],
      ] as const
    ) {
      const stream = await dial();
      await stream.write(concatBytes(...said));
      assertEquals(await closesWithin(world, stream, 4000), closed);
      stream.close();
    }
  });
});

Deno.test("visits are bounded in number, in time, and in what they hold together", async () => {
  await withVictim(async (world, dial, _log, endpoint) => {
    const streams: ByteStream[] = [];
    for (let i = 0; i < VISITS_MAX + 20; i++) {
      const stream = await dial();
      await stream.write(visitGreeting("client"));
      streams.push(stream);
      await world.sleep(5);
    }
    const { visits, turnedAway } = endpoint.metrics();
    assertEquals([visits, turnedAway], [VISITS_MAX, 20]);
    // All of them send what never becomes whole.
    const chunk = frame(
      MessageType.COMMIT,
      new Uint8Array(CHUNK_BYTES),
      FrameFlag.MORE | FrameFlag.ONE_WAY,
      1,
    );
    let held = 0;
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        streams.map((stream) => stream.write(chunk).catch(() => {})),
      );
      await world.sleep(200);
      held = Math.max(held, endpoint.metrics().receivedBytes);
    }
    // What is half received, and for each visit what a frame took.
    const bound = HELD_BYTES_MAX + VISITS_MAX * 2 * CHUNK_BYTES;
    assert(held > HELD_BYTES_MAX / 2 && held < bound, `${held}`);
    // Whoever is left speaks on, and is sent away all the same.
    const ends = streams.map(closes);
    const began = world.now;
    const alive = frame(
      MessageType.KEEPALIVE,
      new Uint8Array(0),
      FrameFlag.ONE_WAY,
      3,
    );
    for (let ms = 0; ms < VISIT_MS_MAX; ms += 1000) {
      for (const stream of streams) {
        void stream.write(alive).catch(() => {});
      }
      await world.sleep(1000);
    }
    await Promise.all(ends);
    assert(world.now - began < VISIT_MS_MAX + 2000);
    const after = endpoint.metrics();
    assertEquals([after.visits, after.receivedBytes], [0, 0]);
  });
});

Deno.test("a visit whose stream is not closed yet still counts", async () => {
  await withVictim(async (world, dial, _log, endpoint) => {
    // Each ends by a mistake, and does not wait for the GOODBYE.
    const wrong = concatBytes(visitGreeting("client"), HELLO);
    for (let i = 0; i < 50; i++) {
      const stream = await dial();
      await stream.write(wrong);
      await world.sleep(1);
    }
    const { visits, connections } = endpoint.metrics();
    assert(visits > 40 && connections < 10, `${visits} and ${connections}`);
    await world.sleep(600);
    assertEquals(endpoint.metrics().visits, 0);
  });
});

Deno.test("a visit has few requests in work", async () => {
  let working = 0;
  let most = 0;
  let over = false;
  const request = () => {
    most = Math.max(most, ++working);
    return new Promise<Uint8Array>(() => {});
  };
  await withVictim(
    async (world, dial) => {
      const stream = await dial();
      await stream.write(visitGreeting("member"));
      for (let i = 0; i < 100; i++) {
        const ask = frame(MessageType.PLEDGE, NONCE, 0, 2 * i + 1);
        await stream.write(ask).catch(() => {});
      }
      await world.sleep(100);
      assertEquals(most, VISIT_REQUESTS_MAX);
      stream.close();
      over = true;
    },
    64,
    { request: (_from, _type, payload) => over ? payload : request() },
  );
});

Deno.test("a frame that was begun and never becomes whole ends its connection, one that comes slowly does not", async () => {
  await withVictim(async (world, dial, log) => {
    const alive = (n: number) =>
      frame(
        MessageType.KEEPALIVE,
        new Uint8Array(0),
        FrameFlag.ONE_WAY,
        2 * n + 1,
      );
    // As after a bit has flipped in a length: what follows is taken for its rest.
    const stuck = await dial();
    await stuck.write(concatBytes(GREETING, alive(0)));
    const began = world.now;
    const end = closes(stuck).then(() => world.now - began);
    await stuck.write(new Writer().u32(FRAME_BYTES_MAX).u8(1).finish());
    for (let n = 1; n <= 15; n++) {
      await world.sleep(4000);
      await stuck.write(alive(n)).catch(() => {});
    }
    const tookMs = await end;
    assert(tookMs > 29_000 && tookMs < 36_000, `${tookMs}`);

    const slow = await dial();
    await slow.write(GREETING);
    for (let round = 0; round < 3; round++) {
      const whole = frame(
        MessageType.RECORDS,
        new Uint8Array(100_000),
        FrameFlag.ONE_WAY,
        101 + 2 * round,
      );
      for (let at = 0; at < whole.length; at += 10_000) {
        await slow.write(whole.subarray(at, at + 10_000));
        await world.sleep(2500);
      }
    }
    assertEquals(log.filter((line) => line.endsWith("100000")).length, 3);
    slow.close();
  });
});
