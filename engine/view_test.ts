import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { runInNewContext } from "node:vm";
import { setFlagsFromString } from "node:v8";
import { ClosedError, toBytes } from "../runtime/mod.ts";
import { MemoryFiles } from "../runtime/memory_files.ts";
import { BlockCache, CacheEntry } from "./cache/block_cache.ts";
import { type BatchOp, type Lsm, type LsmEvent, openLsm } from "./mod.ts";
import { TINY } from "./testing/history.ts";

const ROWS = 400;
/** Of blocks of half a KiB, so all others are evicted all the time. */
const CACHE_BYTES = 12 * 1024;

function keyOf(i: number): Uint8Array {
  return toBytes(`key${String(i).padStart(6, "0")}`);
}

function valueOf(i: number): Uint8Array {
  return toBytes(`value ${i} `.repeat(8));
}

/** A store whose rows are all in tables, unless `flush` is false. */
async function openFilled(
  { flush = true, onEvent }: {
    flush?: boolean;
    onEvent?: (event: LsmEvent) => void;
  } = {},
): Promise<Lsm> {
  const store = await openLsm("store", {
    files: new MemoryFiles(),
    ...TINY,
    memtableBytes: flush ? TINY.memtableBytes! : 1024 * 1024,
    blockBytes: 512,
    cacheBytes: CACHE_BYTES,
    traceLeaks: true,
    ...onEvent && { onEvent },
  });
  await store.write(
    Array.from(
      { length: ROWS },
      (_, i): BatchOp => ({ key: keyOf(i), value: valueOf(i) }),
    ),
  );
  if (flush) {
    await store.flush();
    await store.idle();
  }
  return store;
}

Deno.test("a view stays right while the cache's memory is used again a thousand times", async () => {
  await using store = await openFilled();
  const rows = [0, 7, 200, 399];
  const views = rows.map((i) => store.getView(keyOf(i))!);
  const before = store.metrics().cache.misses;
  for (let n = 0; n < 12_000; n++) {
    const i = n * 41 % ROWS;
    assertEquals(store.get(keyOf(i)), valueOf(i));
  }
  assert(store.metrics().cache.misses - before > 1000);
  rows.forEach((i, n) => assertEquals(views[n]!.bytes, valueOf(i)));
  // A second view of what is in memory again is right too.
  for (const [n, i] of rows.entries()) {
    using again = store.getView(keyOf(i))!;
    assertEquals(again.bytes, views[n]!.bytes);
  }
  for (const view of views) view[Symbol.dispose]();
  for (let i = 0; i < ROWS; i++) {
    assertEquals(store.get(keyOf(i)), valueOf(i));
  }
  assert(store.stats().cacheBytes <= CACHE_BYTES);
});

Deno.test("a view is no copy: two of one value share memory, of a block and of a memtable", async () => {
  for (const flush of [true, false]) {
    await using store = await openFilled({ flush });
    using one = store.getView(keyOf(5))!;
    using other = store.getView(keyOf(5))!;
    assertStrictEquals(one.bytes.buffer, other.bytes.buffer);
    assertEquals(one.bytes.byteOffset, other.bytes.byteOffset);
    assertEquals(one.bytes, valueOf(5));
  }
});

Deno.test("views stay across overwriting, deleting, flush, compaction and close", async () => {
  for (const flush of [true, false]) {
    const store = await openFilled({ flush });
    const views = [1, 2, 3].map((i) => store.getView(keyOf(i))!);
    const snapshot = store.snapshot();
    await store.write([
      { key: keyOf(1), value: undefined },
      { key: keyOf(2), value: toBytes("other") },
    ]);
    using old = snapshot.getView(keyOf(2))!;
    assertEquals(old.bytes, valueOf(2));
    snapshot.close();
    assertThrows(() => snapshot.getView(keyOf(2)), ClosedError);
    await store.compact();
    assertEquals(store.getView(keyOf(1)), undefined);
    assertEquals(store.getView(toBytes("absent")), undefined);
    {
      using now = store.getView(keyOf(2))!;
      assertEquals(now.bytes, toBytes("other"));
    }
    for (let n = 0; n < 3 * ROWS; n++) store.get(keyOf(n * 41 % ROWS));
    await store.close();
    assertThrows(() => store.getView(keyOf(3)), ClosedError);
    views.forEach((view, n) => assertEquals(view.bytes, valueOf(n + 1)));
    assertEquals(old.bytes, valueOf(2));
    for (const view of views) view[Symbol.dispose]();
  }
});

Deno.test("a view disposed twice gives its memory back once, and is read no more", async () => {
  await using store = await openFilled();
  using kept = store.getView(keyOf(9))!;
  const twice = store.getView(keyOf(9))!;
  twice[Symbol.dispose]();
  twice[Symbol.dispose]();
  assertThrows(() => twice.bytes, ClosedError);
  for (let n = 0; n < 3 * ROWS; n++) store.get(keyOf(n * 41 % ROWS));
  assertEquals(kept.bytes, valueOf(9));
});

Deno.test("memory of an entry dropped while pinned is used again once, when the last pin is gone", () => {
  const cache = new BlockCache(8000);
  let held: CacheEntry[] = [];
  const put = () => {
    const entry = cache.reserve(1000) ?? new CacheEntry(1000);
    cache.put(entry, { forget: () => {} }, 0);
    held.push(entry);
    return entry;
  };
  /** Lets go of all, so that what is given back has room to wait. */
  const empty = () => {
    for (const entry of held) cache.remove(entry);
    held = [];
  };
  const drop = (entry: CacheEntry) => {
    while (entry.slot >= 0) put();
    empty();
  };
  const pinned = put();
  pinned.pins += 2;
  drop(pinned);
  for (let n = 0; n < 20; n++) assert(put() !== pinned);
  empty();
  cache.unpin(pinned);
  assert(put() !== pinned);
  cache.unpin(pinned);
  assertStrictEquals(put(), pinned);
  for (let n = 0; n < 5; n++) assert(put() !== pinned);
  empty();

  // Pinned and let go while it is kept: nothing happens to it.
  const kept = put();
  kept.pins++;
  cache.unpin(kept);
  for (let n = 0; n < 5; n++) assert(put() !== kept);
  // Lent for ever: never used again.
  kept.pins++;
  kept.lent = true;
  drop(kept);
  cache.unpin(kept);
  for (let n = 0; n < 20; n++) assert(put() !== kept);
  assert(cache.bytes <= 8000);
});

Deno.test("an iterator shows key and value without a copy, in both directions", async () => {
  await using store = await openFilled();
  for (const reverse of [false, true]) {
    using rows = store.iterate({ reverse });
    assertThrows(() => rows.valueView, TypeError);
    for (let n = 0; rows.next(); n++) {
      const i = reverse ? ROWS - 1 - n : n;
      assertEquals(rows.keyView, keyOf(i));
      assertEquals(rows.valueView, valueOf(i));
      assertStrictEquals(rows.valueView.buffer, rows.valueView.buffer);
      assertEquals(rows.value, valueOf(i));
      assertEquals(rows.valueView, valueOf(i));
    }
    assertThrows(() => rows.keyView, TypeError);
  }
});

Deno.test("a view lost undisposed is reported with where it was made, and its bytes stay", async () => {
  const told = Promise.withResolvers<LsmEvent>();
  await using store = await openFilled({
    onEvent: (event) => {
      if (event.type === "leak") told.resolve(event);
    },
  });
  function loseOne(): Uint8Array {
    store.getView(keyOf(8))![Symbol.dispose]();
    return store.getView(keyOf(9))!.bytes;
  }
  const bytes = loseOne();
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // What a turn has touched is collected in a later one.
  let turns = 0;
  const timer = setInterval(() => {
    collect();
    if (++turns === 100) told.reject(new Error("nothing was told"));
  }, 5);
  const leak = await told.promise.finally(() => clearInterval(timer));
  assert(leak.type === "leak" && leak.what === "view");
  assert(leak.createdAt?.includes("loseOne"));
  for (let n = 0; n < 3 * ROWS; n++) store.get(keyOf(n * 41 % ROWS));
  assertEquals(bytes, valueOf(9));
});
