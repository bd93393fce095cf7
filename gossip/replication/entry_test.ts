import { assert, assertEquals } from "@std/assert";
import { toBytes } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import {
  compareEntries,
  compareVersions,
  encodeEntry,
  type Entry,
  EntryFlag,
  hasExpired,
  hasVersion,
  valueOfRow,
  versionOf,
} from "./entry.ts";
import { hlcAt } from "./hlc.ts";
import { entry, T0 } from "./world_test.ts";

const KEY = toBytes("k");
/** From the field that decides first to the one that decides last. */
const FIELDS = [
  ["life", 1],
  ["term", 1],
  ["sub", 1],
  ["claimHlc", -1],
  ["claimNode", -1],
  ["hlc", 1],
  ["origin", 1],
  ["seq", 1],
] as const;

function randomEntry(random: Prng): Entry {
  const fields: Record<string, number> = {};
  for (const [name] of FIELDS) fields[name] = random.u32() % 2;
  return entry({ key: KEY, ...fields });
}

Deno.test("entries are ordered by life, term, sub, earlier claim, hlc, dot: each field above all later ones", () => {
  for (let i = 0; i < FIELDS.length; i++) {
    const [name, sign] = FIELDS[i]!;
    const low: Record<string, number> = {};
    const high: Record<string, number> = {};
    for (const [j, [other, otherSign]] of FIELDS.entries()) {
      // All later fields say the opposite.
      const against = j > i ? otherSign : 0;
      low[other] = 5 + against;
      high[other] = 5 - against;
    }
    low[name] = 5 - sign;
    high[name] = 5 + sign;
    const [a, b] = [entry({ key: KEY, ...low }), entry({ key: KEY, ...high })];
    assert(compareEntries(a, b) < 0, name);
    assert(compareEntries(b, a) > 0, name);
  }
});

Deno.test("the order of entries is total, and that of versions the same", () => {
  const random = new Prng(1);
  for (let i = 0; i < 20_000; i++) {
    const [a, b, c] = [0, 1, 2].map(() => randomEntry(random)) as [
      Entry,
      Entry,
      Entry,
    ];
    const ab = compareEntries(a, b);
    assertEquals(Math.sign(ab), -Math.sign(compareEntries(b, a)) + 0);
    if (ab <= 0 && compareEntries(b, c) <= 0) {
      assert(compareEntries(a, c) <= 0);
    }
    const same = FIELDS.every(([name]) => a[name] === b[name]);
    assertEquals(ab === 0, same);
    const versions = compareVersions(versionOf(a), versionOf(b));
    assertEquals(Math.sign(versions), Math.sign(ab));
    assertEquals(hasVersion(a, versionOf(b)), same);
  }
});

Deno.test("a value that has outlived its time is gone, a moment earlier it is there", () => {
  const born = 1_800_000_000_000;
  const mortal = entry({
    key: KEY,
    flags: EntryFlag.TTL,
    expiresAt: born + 1000,
  });
  const row = encodeEntry(mortal);
  assertEquals(T0, hlcAt(born));
  assertEquals(hasExpired(mortal, born + 999), false);
  assertEquals(hasExpired(mortal, born + 1000), true);
  assertEquals(valueOfRow(row, () => born + 999), toBytes("v") as never);
  assertEquals(valueOfRow(row, () => born + 1000), undefined);
  const eternal = encodeEntry(entry({ key: KEY }));
  assertEquals(
    valueOfRow(eternal, () => Infinity)?.length,
    1,
  );
});
