import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { toBytes } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { AuditSums, BUCKETS, hashEntry, isSameSum } from "./audit_sums.ts";
import { type Entry, EntryFlag } from "./entry.ts";
import { entry, origin } from "./world_test.ts";

const KEY = toBytes("key");

/** Sums of entries that are counted at once. */
function sumsOf(entries: readonly Entry[]): AuditSums {
  const sums = new AuditSums();
  sums.counted(entries, true);
  return sums;
}

function assertSame(sums: AuditSums, expected: AuditSums): void {
  assertEquals(sums.total(), expected.total());
  for (let i = 0; i < BUCKETS; i++) {
    assert(isSameSum(sums.bucket(i), expected.bucket(i)), `bucket ${i}`);
  }
}

Deno.test("the hash of an entry is the same on every node and in every release", () => {
  assertEquals(hashEntry(entry({ key: KEY })), GOLDEN_HASH);
  assertEquals(
    hashEntry(entry({
      key: new Uint8Array(13).fill(0xff),
      life: 3,
      term: 4,
      sub: 5,
      claimHlc: 2 ** 52 + 1,
      claimNode: 65_535,
      hlc: 2 ** 52 + 2,
      origin: origin(65_535, 2 ** 32 - 1),
      seq: 2 ** 48 - 1,
      holder: 65_534,
    })),
    GOLDEN_HASH_OF_ALL,
  );
});

const GOLDEN_HASH = { bucket: 1_506, a: 2_435_788_112, b: 767_509_187 };
const GOLDEN_HASH_OF_ALL = {
  bucket: 2_988,
  a: 1_835_489_127,
  b: 1_555_701_690,
};

Deno.test("whatever of an entry is another one, its hash is", () => {
  const plain = entry({ key: KEY });
  const others: Partial<Entry>[] = [
    { key: toBytes("kex") },
    { key: toBytes("key\0") },
    { life: 2 },
    { term: 1 },
    { sub: 1 },
    { claimHlc: plain.claimHlc + 2 ** 32 },
    { claimNode: 2 },
    { hlc: plain.hlc + 1 },
    { hlc: plain.hlc + 2 ** 32 },
    { origin: origin(1, 2) },
    { origin: origin(2, 1) },
    { seq: 2 },
    { seq: 1 + 2 ** 32 },
    { holder: 2, origin: plain.origin, claimNode: plain.claimNode },
  ];
  const seen = new Set([`${hashEntry(plain).a}`, `${hashEntry(plain).b}`]);
  for (const other of others) {
    const { a, b } = hashEntry({ ...plain, ...other });
    assert(!seen.has(`${a}`) && !seen.has(`${b}`), JSON.stringify(other));
    seen.add(`${a}`).add(`${b}`);
  }
  // What a value says is the engine's to guard, and when it ends is of its version.
  const value = toBytes("another");
  assertEquals(hashEntry({ ...plain, value }), hashEntry(plain));
});

Deno.test("hashes of much alike keys do not meet, and fill all buckets alike", () => {
  const seen = new Set<string>();
  const filled = new Uint32Array(BUCKETS);
  for (let i = 0; i < 40_960; i++) {
    // Also bytes that differ in their highest bit only, in two words.
    const key = Uint8Array.of(1, 2, 3, i & 0x80, i, i >> 8, 7, i >> 8 & 0x80);
    const { a, b, bucket } = hashEntry(entry({ key }));
    seen.add(`${a}/${b}`);
    filled[bucket]!++;
  }
  assertEquals(seen.size, 40_960);
  assert(Math.max(...filled) < 40, `${Math.max(...filled)}`);
  assert(filled.filter((count) => count === 0).length < 10);
});

Deno.test("sums do not depend on the order, and tombstones do not count", () => {
  const one = entry({ key: toBytes("one") });
  const two = entry({ key: toBytes("two") });
  const dead = entry({ key: toBytes("x"), value: undefined });
  assertEquals(dead.flags, EntryFlag.TOMBSTONE);
  const sums = sumsOf([]);
  sums.replace(undefined, two);
  sums.replace(undefined, dead);
  sums.replace(undefined, one);
  assertSame(sums, sumsOf([one, two]));
  assertEquals(sums.total().count, 2);
  sums.replace(one, { ...one, value: undefined });
  sums.replace(dead, undefined);
  assertSame(sums, sumsOf([two]));
  sums.replace(two, undefined);
  assertSame(sums, new AuditSums());
});

Deno.test("rows that are counted in slices come to the same, whatever is written meanwhile", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Prng(seed);
    const rows = new Map<string, Entry>();
    const sums = new AuditSums();
    let seq = 1;
    const write = () => {
      const name = `k${random.below(60)}`;
      const before = rows.get(name);
      const value = random.chance(0.3) ? undefined : toBytes("v");
      const now = entry({ key: toBytes(name), seq: seq++, value });
      rows.set(name, now);
      sums.replace(before, now);
    };
    const living = () =>
      [...rows].filter(([, { value }]) => value !== undefined)
        .sort(([a], [b]) => a < b ? -1 : 1);
    while (!sums.isWhole) {
      for (let n = random.below(20); n > 0; n--) write();
      const last = sums.last && new TextDecoder().decode(sums.last);
      const left = living().filter(([name]) =>
        last === undefined || name > last
      );
      const count = 1 + random.below(8);
      sums.counted(
        left.slice(0, count).map(([, row]) => row),
        left.length <= count,
      );
      if (random.chance(0.03)) sums.restart();
    }
    for (let n = 0; n < 50; n++) write();
    assertSame(sums, sumsOf(living().map(([, row]) => row)));
    assertNotEquals(sums.total().count, 0);
  }
});
