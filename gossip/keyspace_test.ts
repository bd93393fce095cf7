import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { compareBytes, startsWith, toBytes, toHex } from "../runtime/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import {
  BANKED,
  expiryKey,
  expiryOfKey,
  incarnationKey,
  indexKey,
  indexOfKey,
  indexRange,
  logKey,
  logOfKey,
  metaKey,
  numberKey,
  numberOfKey,
  openIntentKey,
  openIntentOfKey,
  openIntentPrefix,
  originOfVectorKey,
  otherBank,
  rowKey,
  Space,
  vectorKey,
} from "./keyspace.ts";
import {
  compareDots,
  type Dot,
  makeOrigin,
  originEpoch,
  originLane,
  originNode,
  originText,
  SEQ_MAX,
} from "./replication/dot.ts";

const NUMBERS = [1, 255, 256, 65_535, 2 ** 24, 2 ** 32 - 1, 2 ** 32, SEQ_MAX];

function randomDot(random: Prng): Dot {
  const pick = <T>(from: readonly T[]) => from[random.u32() % from.length]!;
  const node = pick([1, 2, 255, 256, 65_535]);
  const epoch = pick([0, 1, 255, 2 ** 24, 2 ** 31, 2 ** 32 - 1]);
  const origin = makeOrigin(node, epoch, pick([0, 1]));
  return { origin, seq: pick(NUMBERS) };
}

Deno.test("rows: golden bytes", () => {
  const dot = { origin: makeOrigin(0x1234, 0x56789abc, 1), seq: 0x0102030405 };
  const text = "123456789abc01" + "000102030405";
  assertEquals(
    toHex(indexKey(0, dot.origin, dot.seq, toBytes("k"))),
    `10${text}6b`,
  );
  assertEquals(toHex(vectorKey(0, dot.origin)), "11123456789abc01");
  assertEquals(toHex(logKey(0, 7, dot)), `12000000000007${text}`);
  assertEquals(
    toHex(logKey(0, 7, dot, Space.LOG_MARK)),
    `15000000000007${text}`,
  );
  const ends = expiryKey(0, 0x1234, 0x0102030405, toBytes("k"));
  assertEquals(toHex(ends), "1612340001020304056b");
  assertEquals(
    toHex(expiryKey(8, 0x1234, 0x0102030405, toBytes("k"))),
    "1e12340001020304056b",
  );
  const { instantMs, key } = expiryOfKey(ends);
  assertEquals([instantMs, toHex(key)], [0x0102030405, "6b"]);
  assertEquals(toHex(numberKey(Space.CONFLICT, 258)), "13000000000102");
  assertEquals(toHex(openIntentKey(0, dot, dot)), `14${text}${text}`);
  assertEquals(toHex(metaKey("host")), "01686f7374");
  assertEquals(toHex(incarnationKey(0x1234)), "031234");
  assertEquals(toHex(rowKey(Space.LIVE, toBytes("k"))), "206b");
  assertEquals(toHex(rowKey(Space.DEAD, toBytes("k"))), "216b");
  // The other bank.
  assertEquals(
    toHex(indexKey(8, dot.origin, dot.seq, toBytes("k"))),
    `18${text}6b`,
  );
  assertEquals(toHex(vectorKey(8, dot.origin)), "19123456789abc01");
  assertEquals(toHex(logKey(8, 7, dot)), `1a000000000007${text}`);
  assertEquals(toHex(openIntentKey(8, dot, dot)), `1c${text}${text}`);
});

Deno.test("rows say what they were made of, and sort as origins and seqs do", () => {
  const random = new Prng(1);
  for (let i = 0; i < 3000; i++) {
    const [a, b] = [randomDot(random), randomDot(random)];
    const key = random.fill(new Uint8Array(1 + random.u32() % 5));
    assertEquals(originOfVectorKey(vectorKey(0, a.origin)), a.origin);
    assertEquals(indexOfKey(indexKey(0, a.origin, a.seq, key)), {
      seq: a.seq,
      key,
    });
    assertEquals(logOfKey(logKey(0, b.seq, a)), { position: b.seq, dot: a });
    assertEquals(openIntentOfKey(openIntentKey(0, a, b)), {
      txn: a,
      intent: b,
    });
    assert(startsWith(openIntentKey(0, a, b), openIntentPrefix(0, a)));
    assertEquals(numberOfKey(numberKey(Space.CONFLICT, a.seq)), a.seq);
    const sign = Math.sign(compareDots(a, b));
    const index = compareBytes(
      indexKey(0, a.origin, a.seq, key),
      indexKey(0, b.origin, b.seq, key),
    );
    assertEquals(Math.sign(index), sign);
    const vectors = compareBytes(
      vectorKey(0, a.origin),
      vectorKey(0, b.origin),
    );
    assertEquals(Math.sign(vectors), Math.sign(a.origin - b.origin));
    const log = compareBytes(logKey(0, a.seq, b), logKey(0, b.seq, a));
    if (a.seq !== b.seq) assertEquals(Math.sign(log), Math.sign(a.seq - b.seq));
    const { start, end } = indexRange(0, a.origin, a.seq);
    const inside = b.origin === a.origin && b.seq >= a.seq;
    const row = indexKey(0, b.origin, b.seq, key);
    assertEquals(
      compareBytes(row, start) >= 0 &&
        (end === undefined || compareBytes(row, end) < 0),
      inside,
    );
  }
});

Deno.test("an origin is its node, epoch and lane", () => {
  const origin = makeOrigin(65_535, 2 ** 32 - 1, 1);
  assert(Number.isSafeInteger(origin) && origin < 2 ** 49);
  assertEquals(originNode(origin), 65_535);
  assertEquals(originEpoch(origin), 2 ** 32 - 1);
  assertEquals(originLane(origin), 1);
  assertEquals(originText(origin), "65535.fffffffft");
  assertEquals(originText(makeOrigin(3, 255, 0)), "3.ff");
});

Deno.test("no user's key can meet an internal row", () => {
  const users = [Space.LIVE, Space.DEAD, Space.LIVE + 8, Space.DEAD + 8];
  const spaces: number[] = [
    ...Object.values(Space),
    ...BANKED.map((space) => space + otherBank(0)),
  ];
  assertEquals(new Set(spaces).size, spaces.length);
  const random = new Prng(2);
  for (let i = 0; i < 1000; i++) {
    // Keys that look like internal rows.
    const key = i % 2
      ? metaKey("host")
      : random.fill(new Uint8Array(1 + random.u32() % 20));
    for (const space of users) {
      const row = rowKey(space, key);
      for (const other of spaces) {
        if (other !== space) assertNotEquals(row[0], other);
      }
    }
  }
});
