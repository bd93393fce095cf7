import { assertEquals } from "@std/assert";
import type { KVIterator } from "../engine/kv.ts";
import { toBytes, toText } from "../runtime/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { rowKey, Space, spacePrefix } from "./keyspace.ts";
import { LivingKeys } from "./living_keys.ts";
import { putSeq } from "./replication/dot.ts";
import { HandKV } from "./replication/world_test.ts";

function write(kv: HandKV, key: string, endsMs?: number): void {
  const value = new Uint8Array(6);
  if (endsMs !== undefined) putSeq(value, 0, endsMs);
  kv.write([
    { key: rowKey(Space.LIVE, toBytes(key)), value: toBytes("v") },
    {
      key: rowKey(Space.EXPIRING, toBytes(key)),
      value: endsMs === undefined ? undefined : value,
    },
  ]);
}

/** Rows in the order of iteration, and how often one was asked for. */
function rowsOf(kv: HandKV, space: number, reverse: boolean, slow: boolean) {
  const rows = kv.iterate({ prefix: spacePrefix(space) });
  const all: { key: Uint8Array; value: Uint8Array }[] = [];
  while (rows.next()) all.push({ key: rows.key, value: rows.value });
  if (reverse) all.reverse();
  let at = -1;
  const figures = { keys: 0, values: 0, closed: 0 };
  const iterator = {
    next: () => slow ? Promise.resolve(++at < all.length) : ++at < all.length,
    get key() {
      figures.keys++;
      return all[at]!.key;
    },
    get value() {
      figures.values++;
      return all[at]!.value;
    },
    close: () => {
      figures.closed++;
      return slow ? Promise.resolve() : undefined;
    },
  };
  return { iterator: iterator as KVIterator, figures };
}

Deno.test("the keys that have a value are given in order, those that have ended are not, from either end, at once or awaited", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Prng(seed, "living");
    const kv = new HandKV();
    const living: string[] = [];
    const among = 1 + random.u32() % 4;
    for (let n = random.u32() % 20; n > 0; n--) {
      const key = `${random.u32() % 40}`.padStart(2, "0");
      if (living.includes(key) || kv.get(rowKey(Space.LIVE, toBytes(key)))) {
        continue;
      }
      const ends = random.u32() % among === 0
        ? 900 + random.u32() % 200
        : undefined;
      write(kv, key, ends);
      if (ends === undefined || ends > 1000) living.push(key);
    }
    living.sort();
    const reverse = random.u32() % 2 === 0;
    const slow = random.u32() % 2 === 0;
    if (reverse) living.reverse();
    const keys = new LivingKeys({
      synchronous: !slow,
      reverse,
      now: () => 1000,
      keys: rowsOf(kv, Space.LIVE, reverse, slow).iterator,
      expiring: rowsOf(kv, Space.EXPIRING, reverse, slow).iterator,
    });
    const seen: string[] = [];
    while (await keys.next()) seen.push(toText(keys.key));
    assertEquals(seen, living);
    await keys.close();
  }
});

Deno.test("a key that ends amid an iteration is left out; without any that end no key is looked at", async () => {
  const kv = new HandKV();
  for (const key of ["a", "b", "c"]) write(kv, key, 1001);
  write(kv, "d");
  write(kv, "e");
  let nowMs = 1000;
  const rows = rowsOf(kv, Space.LIVE, false, false);
  const expiring = rowsOf(kv, Space.EXPIRING, false, false);
  const keys = new LivingKeys({
    synchronous: true,
    reverse: false,
    now: () => nowMs,
    keys: rows.iterator,
    expiring: expiring.iterator,
  });
  assertEquals([await keys.next(), toText(keys.key)], [true, "a"]);
  nowMs = 1001;
  assertEquals([await keys.next(), toText(keys.key)], [true, "d"]);
  const looked = rows.figures.keys;
  assertEquals([await keys.next(), await keys.next()], [true, false]);
  assertEquals(rows.figures, { keys: looked, values: 0, closed: 0 });
  await keys.close();
  assertEquals([rows.figures.closed, expiring.figures.closed], [1, 1]);
});
