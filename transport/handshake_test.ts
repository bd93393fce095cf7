import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import {
  ClusterMismatchError,
  concatBytes,
  ProtocolError,
  ProtocolMismatchError,
  RejectedError,
  toHex,
} from "../runtime/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { encodeFailure, failureOf } from "./failure.ts";
import {
  chooseProtocol,
  commonFeatures,
  decodeHello,
  decodeIdentity,
  decodeWelcome,
  encodeHello,
  encodeIdentity,
  encodeWelcome,
  HELLO_BYTES_MAX,
  judgeCluster,
  judgeRole,
  refusalOf,
  refusedBy,
} from "./handshake.ts";
import { testIdentity } from "./testing/node.ts";

const CHALLENGE = Uint8Array.from({ length: 16 }, (_, i) => i);
const CHALLENGE_HEX = "000102030405060708090a0b0c0d0e0f";
const NONCE = new Uint8Array(8).fill(0xee);
const IDENTITY = {
  ...testIdentity(300, NONCE),
  generation: 2,
  role: "client" as const,
  replica: "witness" as const,
  features: 5,
  address: "a:1",
  hello: new Uint8Array([9, 8]),
};

Deno.test("HELLO, WELCOME, IDENTITY and a failure have the bytes that their formats say", () => {
  const hello = { protocols: { min: 1, max: 3 }, challenge: CHALLENGE };
  assertEquals(toHex(encodeHello(hello)), "4153504e" + "0103" + CHALLENGE_HEX);
  assertEquals(decodeHello(encodeHello(hello)), hello);
  const welcome = { protocol: 2, challenge: CHALLENGE, proofs: [] };
  assertEquals(toHex(encodeWelcome(welcome)), `02${CHALLENGE_HEX}00`);
  assertEquals(decodeWelcome(encodeWelcome(welcome)), welcome);
  const proofs = [CHALLENGE, CHALLENGE.slice().reverse()];
  const proved = { ...welcome, proofs };
  assertEquals(
    toHex(encodeWelcome(proved)),
    `02${CHALLENGE_HEX}02${proofs.map(toHex).join("")}`,
  );
  assertEquals(decodeWelcome(encodeWelcome(proved)), proved);
  const introduction = { identity: IDENTITY, purpose: "visit" as const };
  assertEquals(
    toHex(encodeIdentity(introduction)),
    "07".repeat(16) + "ac02" + "02" + "ee".repeat(8) + "01" + "02" + "05" +
      "03613a31" + "020908" + "01",
  );
  assertEquals(decodeIdentity(encodeIdentity(introduction)), introduction);
  assertEquals(
    toHex(encodeFailure({ code: "a", message: "bc", data: NONCE.subarray(7) })),
    "0161" + "026263" + "01ee",
  );
});

Deno.test("what later versions add behind a message is ignored", () => {
  const more = new Uint8Array([1, 2, 3]);
  const hello = { protocols: { min: 1, max: 1 }, challenge: CHALLENGE };
  assertEquals(decodeHello(concatBytes(encodeHello(hello), more)), hello);
  const introduction = { identity: IDENTITY, purpose: "lane" as const };
  const bytes = concatBytes(encodeIdentity(introduction), more);
  assertEquals(decodeIdentity(bytes), introduction);
});

Deno.test("the newest common version is chosen, or none", () => {
  assertEquals(chooseProtocol({ min: 1, max: 3 }, { min: 2, max: 5 }), 3);
  assertEquals(chooseProtocol({ min: 2, max: 5 }, { min: 1, max: 2 }), 2);
  assertEquals(
    chooseProtocol({ min: 1, max: 1 }, { min: 2, max: 9 }),
    undefined,
  );
  assertEquals(
    chooseProtocol({ min: 2, max: 9 }, { min: 1, max: 1 }),
    undefined,
  );
});

Deno.test("a range of versions that is empty is no range", () => {
  const hello = { protocols: { min: 3, max: 2 }, challenge: CHALLENGE };
  assertThrows(() => decodeHello(encodeHello(hello)), ProtocolError);
});

Deno.test("features are those that both understand, up to 53 bits of them", () => {
  for (
    const [ours, theirs, common] of [
      [0, 7, 0],
      [0b1100, 0b0110, 0b0100],
      [2 ** 31 + 1, 2 ** 31, 2 ** 31],
      [2 ** 32 + 1, 2 ** 32 + 2, 2 ** 32],
      [2 ** 53 - 1, 2 ** 52 + 2 ** 40 + 5, 2 ** 52 + 2 ** 40 + 5],
    ] as const
  ) {
    assertEquals(commonFeatures(ours, theirs), common);
    assertEquals(commonFeatures(theirs, ours), common);
  }
});

Deno.test("a client has no node key, and names the cluster that it means", () => {
  const client = { role: "client" as const, nonce: NONCE };
  const ours = testIdentity(1, NONCE, 7);
  const named = { ...testIdentity(0, NONCE, 7), ...client };
  judgeRole(named);
  judgeCluster(ours, named);
  assertThrows(
    () => judgeRole({ ...testIdentity(9, NONCE, 7), ...client }),
    ProtocolError,
    "has a node key",
  );
  const anywhere = { ...testIdentity(0, NONCE, 0), ...client };
  assertThrows(() => judgeCluster(ours, anywhere), ClusterMismatchError);
  assertThrows(() => judgeCluster(anywhere, ours), ClusterMismatchError);
});

Deno.test("only a node with neither cluster nor node key may talk to another cluster", () => {
  const ours = testIdentity(1, NONCE, 7);
  const pledging = testIdentity(0, NONCE, 0);
  judgeCluster(ours, testIdentity(2, NONCE, 7));
  judgeCluster(ours, pledging);
  judgeCluster(pledging, ours);
  judgeCluster(ours, testIdentity(0, NONCE, 7));
  for (
    const other of [
      testIdentity(2, NONCE, 8),
      testIdentity(0, NONCE, 8),
      testIdentity(2, NONCE, 0),
    ]
  ) {
    assertThrows(() => judgeCluster(ours, other), ClusterMismatchError);
    assertThrows(() => judgeCluster(other, ours), ClusterMismatchError);
  }
});

Deno.test("a refusal arrives as the error that it was", () => {
  const ours = testIdentity(1, NONCE, 7);
  const theirs = testIdentity(2, NONCE, 8);
  const carry = (error: unknown) =>
    refusedBy(encodeFailure(refusalOf(error, ours)), theirs);
  const mismatch = carry(new ClusterMismatchError("x", "y"));
  assertInstanceOf(mismatch, ClusterMismatchError);
  assertEquals(mismatch.expected, "08080808-0808-0808-0808-080808080808");
  assertEquals(mismatch.actual, "07070707-0707-0707-0707-070707070707");
  assertInstanceOf(carry(new ProtocolError("no")), ProtocolError);
  const ranges = [{ min: 300, max: 301 }, { min: 1, max: 2 }] as const;
  const versions = refusedBy(
    encodeFailure(refusalOf(new ProtocolMismatchError(...ranges), ours)),
    theirs,
    ranges[1],
  );
  assertInstanceOf(versions, ProtocolMismatchError);
  assertEquals([versions.theirs, versions.ours], [...ranges]);
  const other = carry(new RangeError("out"));
  assertInstanceOf(other, RejectedError);
  assertEquals(other.code, "RangeError");
});

Deno.test("texts of a failure are cut to their bounds", () => {
  const failure = failureOf(new Error("ä".repeat(10_000)));
  assertEquals(encodeFailure(failure).length < 8300, true);
  assertInstanceOf(refusedBy(encodeFailure(failure), IDENTITY), RejectedError);
});

Deno.test("an identity beyond its bounds is not sent", () => {
  const identity = { ...IDENTITY, hello: new Uint8Array(HELLO_BYTES_MAX + 1) };
  assertThrows(() => encodeIdentity({ identity, purpose: "lane" }), RangeError);
});

Deno.test("any bytes are a message of the handshake or a protocol error", () => {
  const random = new Prng(3, "handshake");
  const seeds = [
    encodeHello({ protocols: { min: 1, max: 1 }, challenge: CHALLENGE }),
    encodeIdentity({ identity: IDENTITY, purpose: "lane" }),
    random.fill(new Uint8Array(100)),
  ];
  for (let round = 0; round < 3000; round++) {
    const seed = seeds[round % seeds.length]!;
    const bytes = seed.slice(0, random.below(seed.length + 1));
    if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
    for (
      const read of [
        decodeHello,
        decodeWelcome,
        decodeIdentity,
        (b: Uint8Array) => refusedBy(b, IDENTITY),
      ]
    ) {
      try {
        read(bytes);
      } catch (error) {
        assertInstanceOf(error, ProtocolError);
      }
    }
  }
});
