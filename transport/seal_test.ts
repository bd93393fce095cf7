import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ByteStream,
  type Listener,
  ProtocolError,
  SecretMismatchError,
  toBytes,
  toHex,
  toText,
  UnreachableError,
  Writer,
} from "../runtime/mod.ts";
import { World } from "../runtime/virtual/mod.ts";
import { encodeFailure } from "./failure.ts";
import { FrameDecoder, FrameFlag, readFrame, writeFrame } from "./frame.ts";
import { decodeWelcome, encodeHello } from "./handshake.ts";
import { MessageType } from "./registry.ts";
import { proofOf, provedSecret, Seal, transcriptOf } from "./seal.ts";
import { testNode } from "./testing/node.ts";

const PULL = MessageType.PULL;
const OLD = toBytes("the old secret of all nodes");
const NEW = toBytes("the new secret of all nodes");
const OTHER = toBytes("somebody else's secret");

/** Two nodes, the second of which listens, and a program with them. */
async function withTwo(
  secrets: readonly [readonly Uint8Array[], readonly Uint8Array[]],
  program: (nodes: {
    a: ReturnType<typeof testNode>;
    b: ReturnType<typeof testNode>;
    world: World;
  }) => Promise<void>,
): Promise<void> {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1, secrets: secrets[0] });
  const b = testNode(world.runtime("b"), {
    node: 2,
    secrets: secrets[1],
    handler: {
      request(_from, _type, payload) {
        b.log.push(toText(payload));
        return payload;
      },
    },
  });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    try {
      await program({ a, b, world });
    } finally {
      await Promise.all([a.endpoint.close(), b.endpoint.close()]);
    }
  });
}

/** Frames of a stream, as they are. */
async function* framesOf(stream: ByteStream): AsyncGenerator<Uint8Array> {
  const bytes: number[] = [];
  const buffer = new Uint8Array(4096);
  for (;;) {
    const length = bytes.length < 4
      ? Infinity
      : 4 + (bytes[0]! | bytes[1]! << 8 | bytes[2]! << 16 | bytes[3]! << 24);
    if (bytes.length >= length) {
      yield Uint8Array.from(bytes.splice(0, length));
      continue;
    }
    const count = await stream.read(buffer).catch(() => null);
    if (count === null) return;
    bytes.push(...buffer.subarray(0, count));
  }
}

/** Stands between two nodes, and passes on what `change` makes of each frame. */
async function standBetween(
  world: World,
  change: (frame: Uint8Array, from: "dialler" | "acceptor", n: number) =>
    | readonly Uint8Array[]
    | undefined,
): Promise<Listener> {
  const { network } = world.runtime("m");
  const listener = await network.listen("m:1");
  void (async () => {
    for (;;) {
      const one = await listener.accept();
      if (one === null) return;
      const two = await network.dial("b:1");
      const pass = async (
        from: ByteStream,
        to: ByteStream,
        side: "dialler" | "acceptor",
      ) => {
        let n = 0;
        try {
          for await (const frame of framesOf(from)) {
            const changed = change(frame, side, n++) ?? [frame];
            for (const each of changed) await to.write(each);
          }
        } catch {
          // One of the two has closed: so does the other.
        }
        from.close();
        to.close();
      };
      void pass(one, two, "dialler");
      void pass(two, one, "acceptor");
    }
  })();
  return listener;
}

Deno.test("proofs and seals have their golden bytes", () => {
  const challenge = new Uint8Array(16).fill(2);
  const hello = encodeHello({
    protocols: { min: 1, max: 1 },
    challenge: new Uint8Array(16).fill(1),
  });
  const transcript = transcriptOf(hello, 1, challenge);
  assertEquals(
    toHex(transcript),
    `4153504e0101${"01".repeat(16)}01${"02".repeat(16)}`,
  );
  const proof = proofOf(NEW, transcript);
  const seal = new Seal([NEW], true, transcript);
  const frame = toBytes("a frame");
  const golden = [proof, seal.make(frame), seal.make(frame)].map(toHex);
  assertEquals(golden, [
    "dede06a0fbdfd609b442327d4341d611",
    "717960443d76c73a121499da9f3cbb48",
    "f1990fd636d7a669c5e6449d223136ba",
  ]);
  // Each end, each secret, each number and each conversation has its own.
  const checks = (
    secrets: Uint8Array[],
    dialler: boolean,
    of: Uint8Array = transcript,
  ) => {
    const seal = new Seal([NEW], true, transcript);
    return new Seal(secrets, dialler, of).check(frame, seal.make(frame));
  };
  assertEquals([checks([NEW], true), checks([OLD, NEW], true)], [0, 1]);
  assertEquals([checks([OLD], true), checks([NEW], false)], [-1, -1]);
  assertEquals(checks([NEW], true, transcriptOf(hello, 2, challenge)), -1);
  assertEquals(provedSecret([proof], [OLD, NEW], transcript), NEW);
  assertEquals(provedSecret([proof], [OLD], transcript), undefined);
  assertEquals(provedSecret([], [NEW], transcript), undefined);
});

Deno.test("nodes that share a secret talk, also while it changes, and no others do", async () => {
  const pairs: [Uint8Array[], Uint8Array[], string | undefined][] = [
    [[OLD], [OLD], undefined],
    [[NEW, OLD], [OLD], undefined],
    [[OLD], [NEW, OLD], undefined],
    [[NEW, OLD], [NEW, OLD], undefined],
    [[NEW], [NEW, OLD], undefined],
    [[NEW], [OLD], "has another secret"],
    [[NEW, OLD], [OTHER], "has another secret"],
    [[], [OLD], "this node has none"],
    [[OLD], [], "has no secret"],
  ];
  for (const [one, two, detail] of pairs) {
    await withTwo([one, two], async ({ a }) => {
      if (detail !== undefined) {
        await assertRejects(
          () => a.endpoint.dial("b:1"),
          SecretMismatchError,
          detail,
        );
        return;
      }
      const connection = await a.endpoint.dial("b:1");
      // Large enough for several frames, each way.
      const payload = new Uint8Array(600_000).fill(7);
      assertEquals(await connection.request(PULL, payload), payload);
    });
  }
});

Deno.test("a stranger learns nothing but challenge and proof, and a node tells a stranger nothing", async () => {
  await withTwo([[NEW], [NEW]], async ({ a, b, world }) => {
    const { network } = world.runtime("stranger");
    const stream = await network.dial("b:1");
    const frames = framesOf(stream);
    const say = async (type: number, payload: Uint8Array) => {
      const writer = new Writer();
      const head = { flags: FrameFlag.ONE_WAY, type, lane: 0, correlation: 0 };
      writeFrame(writer, head, payload);
      await stream.write(writer.view());
    };
    const challenge = new Uint8Array(16);
    const hello = { protocols: { min: 1, max: 1 }, challenge };
    await say(MessageType.HELLO, encodeHello(hello));
    const welcome = (await frames.next()).value as Uint8Array;
    const { proofs } = decodeWelcome(welcome.subarray(12, -4));
    assertEquals([proofs.length, welcome.length], [1, 16 + 1 + 16 + 1 + 16]);
    await say(MessageType.IDENTITY, new Uint8Array(100));
    assertEquals((await frames.next()).done, true, "not even why");

    // Who answers a node without a proof gets its HELLO and nothing else.
    const listener = await network.listen("s:1");
    const dialled = a.endpoint.dial("s:1");
    dialled.catch(() => {});
    const accepted = (await listener.accept())!;
    const decoder = new FrameDecoder();
    const first = await readFrame(accepted, decoder);
    assertEquals([first?.type, first?.payload.length], [MessageType.HELLO, 22]);
    const writer = new Writer();
    const head = {
      flags: FrameFlag.ONE_WAY,
      type: MessageType.WELCOME,
      lane: 0,
      correlation: 0,
    };
    // The proof of another conversation.
    writeFrame(writer, head, welcome.subarray(12, -4));
    await accepted.write(writer.view());
    await assertRejects(() => dialled, SecretMismatchError);
    assertEquals(await readFrame(accepted, decoder).catch(() => null), null);
    listener.close();
    assertEquals(b.log, []);
  });
});

Deno.test("a frame that is changed, left out, repeated, sent back or made up ends the connection, and nothing of it counts", async () => {
  type Change = Parameters<typeof standBetween>[1];
  let recorded: Uint8Array[] = [];
  const flip = (frame: Uint8Array, at: number) => {
    const changed = frame.slice();
    changed[at < 0 ? changed.length + at : at]! ^= 1;
    return changed;
  };
  /** As flipping bits of the payload, with the checksum set right. */
  const forge = (frame: Uint8Array) => {
    const writer = new Writer();
    const payload = frame.slice(12, -20);
    payload.fill(9);
    writeFrame(writer, {
      flags: frame[5]!,
      type: frame[6]!,
      lane: frame[7]!,
      correlation: new DataView(frame.buffer).getUint32(8, true),
    }, payload);
    const forged = new Uint8Array([...writer.view(), ...frame.slice(-16)]);
    forged.set(frame.subarray(0, 4));
    return forged;
  };
  const changes: Record<string, Change> = {
    "a bit of the seal": (frame, from, n) =>
      from === "dialler" && n === 3 ? [flip(frame, -1)] : undefined,
    "payload and checksum": (frame, from, n) =>
      from === "dialler" && n === 3 ? [forge(frame)] : undefined,
    "left out": (_, from, n) => from === "dialler" && n === 3 ? [] : undefined,
    "repeated": (frame, from, n) =>
      from === "dialler" && n === 3 ? [frame, frame] : undefined,
    // With the number that would be the acceptor's next.
    "sent back": (frame, from, n) =>
      from === "acceptor" && n === 2 ? [recorded[2]!] : (
        void (from === "dialler" && recorded.push(frame)), undefined
      ),
    "cut short": (frame, from, n) =>
      from === "dialler" && n === 3 ? [frame.subarray(0, -16)] : undefined,
    "a bit of the identity": (frame, from, n) =>
      from === "dialler" && n === 1 ? [flip(frame, -1)] : undefined,
    "a bit of the answer": (frame, from, n) =>
      from === "acceptor" && n === 1 ? [flip(frame, -1)] : undefined,
    "a lower version": (frame, from, n) =>
      from === "dialler" && n === 0 ? [flip(frame, 17)] : undefined,
  };
  // What never comes is noticed when the next frame does: a sign of life.
  const LATE_MS = new Map(
    Object.keys(changes).map((what) => [
      what,
      what === "left out" || what === "cut short" ? 6000 : 200,
    ]),
  );
  for (const [what, change] of Object.entries(changes)) {
    recorded = [];
    let asked = 0;
    await withTwo([[NEW], [NEW]], async ({ a, b, world }) => {
      const listener = await standBetween(world, change);
      const began = world.now;
      const error = await (async () => {
        const connection = await a.endpoint.dial("m:1");
        for (let i = 0; i < 3; i++) {
          await connection.request(PULL, toBytes(`request ${i}`));
          asked++;
        }
        // What was left out, or repeated, is noticed with the next frame.
        await connection.request(PULL, toBytes("last"));
      })().then(() => undefined, (error) => error);
      assert(error !== undefined, `${what} is not noticed`);
      assert(
        error instanceof ProtocolError || error instanceof UnreachableError ||
          error instanceof SecretMismatchError ||
          error.name === "OutcomeUnknownError",
        `${what}: ${error}`,
      );
      assert(asked < 3, `${what} went through`);
      assert(world.now - began < LATE_MS.get(what)!, `${what} is noticed late`);
      // Nothing but what was asked, in its order.
      const wanted = ["request 0", "request 1", "request 2"];
      assertEquals(b.log, wanted.slice(0, b.log.length), what);
      listener.close();
    });
  }
});

Deno.test("who refuses without a proof is not believed", async () => {
  await withTwo([[NEW], [NEW]], async ({ a, world }) => {
    const { network } = world.runtime("stranger");
    const listener = await network.listen("s:1");
    for (const code of ["ClusterMismatchError", "NotMember"]) {
      const dialled = assertRejects(
        () => a.endpoint.dial("s:1"),
        SecretMismatchError,
        "without a proof",
      );
      const accepted = (await listener.accept())!;
      const writer = new Writer();
      const failure = { code, message: "go", data: new Uint8Array(16) };
      writeFrame(writer, {
        flags: FrameFlag.ONE_WAY,
        type: MessageType.REJECT,
        lane: 0,
        correlation: 0,
      }, encodeFailure(failure));
      await accepted.write(writer.view());
      await dialled;
      accepted.close();
    }
    listener.close();
  });
});

Deno.test("what was recorded of one connection is of no use on another", async () => {
  await withTwo([[NEW], [NEW]], async ({ a, b, world }) => {
    const recorded: Uint8Array[] = [];
    const listener = await standBetween(world, (frame, from) => {
      if (from === "dialler") recorded.push(frame);
      return undefined;
    });
    const connection = await a.endpoint.dial("m:1");
    await connection.request(PULL, toBytes("once"));
    connection.close();
    assertEquals(b.log, ["once"]);
    const { network } = world.runtime("stranger");
    const stream = await network.dial("b:1");
    const frames = framesOf(stream);
    for (const [i, frame] of recorded.entries()) {
      await stream.write(frame).catch(() => {});
      if (i === 0) await frames.next();
    }
    assertEquals((await frames.next()).done, true);
    assertEquals(b.log, ["once"]);
    listener.close();
  });
});
