import { assert, assertEquals } from "@std/assert";
import { BlockCache, CacheEntry, type CacheOwner } from "./block_cache.ts";

/** A full cache, and the way tables read what is missing. */
function setUp(places = 8) {
  const budget = places * 1000;
  const cache = new BlockCache(budget);
  const gone: number[] = [];
  const owner = { forget: (row: number) => gone.push(row) };
  const stayed: number[] = [];
  /** Reads a block that is not there, for which there is always memory. */
  const miss = (row: number, byteLength = 1000) => {
    const isGuest = cache.isGuest(byteLength);
    const entry =
      (isGuest ? cache.reserveGuest(byteLength) : cache.reserve(byteLength)) ??
        new CacheEntry(byteLength);
    if (isGuest) cache.putGuest(entry, owner, row);
    else {
      cache.put(entry, owner, row);
      stayed.push(row);
    }
    assert(cache.bytes <= budget);
    return { entry, isGuest };
  };
  for (let row = 0; row < places; row++) assert(!miss(row).isGuest);
  stayed.length = 0;
  return { cache, gone, stayed, miss };
}

/** A cache that is full of entries of one size, and they. */
function fullCache(byteLength: number, owner: CacheOwner) {
  const cache = new BlockCache(8000);
  const length = 8000 / byteLength;
  const entries = Array.from({ length }, () => new CacheEntry(byteLength));
  for (const [row, entry] of entries.entries()) cache.put(entry, owner, row);
  return { cache, entries };
}

/** Draws until it is a guest's turn. */
function drawGuest(cache: BlockCache, byteLength: number): void {
  for (let n = 0; !cache.isGuest(byteLength); n++) assert(n < 50);
}

/** A cache as above with a guest in it. */
function setUpGuest() {
  const house = setUp();
  let seen = house.miss(100);
  while (!seen.isGuest) seen = house.miss(100);
  house.gone.length = 0;
  return { ...house, guest: seen.entry };
}

Deno.test("of what is missed without room about one in four replaces another, the rest each other", () => {
  const { gone, stayed, miss } = setUp();
  const guests = new Set<CacheEntry>();
  for (let row = 8; row < 1008; row++) {
    const { entry, isGuest } = miss(row);
    if (isGuest) guests.add(entry);
  }
  assert(stayed.length > 200 && stayed.length < 300, `${stayed.length} stayed`);
  // They come into the same memory.
  assertEquals(guests.size, 1);
  // The owner hears of each that is not there any more: all but seven and a guest.
  assertEquals(gone.length, 1000);
  assertEquals(new Set(gone).size, 1000);
});

Deno.test("a block that is asked for again and again is soon there, whatever is read in between", () => {
  const beats = [...Array(20).keys(), 63, 127, 255, 511, 1023, 4095];
  for (const between of beats) {
    // Once it is there it is met marked each time, and stays.
    const { miss } = setUp(between + 8);
    let row = 10_000;
    let hot = miss(row).entry;
    let hotRow = row;
    let misses = 0;
    for (let n = 0; n < 100; n++) {
      for (let i = 0; i < between; i++) miss(++row);
      if (hot.slot >= 0 && hot.row === hotRow) hot.used = true;
      else {
        hotRow = ++row;
        hot = miss(hotRow).entry;
        misses++;
      }
    }
    assert(misses < 40, `${misses} misses with ${between} in between`);
  }
});

Deno.test("nobody is read into the memory of a guest that is lent or pinned", () => {
  const lent = setUpGuest();
  lent.guest.lent = true;
  for (let row = 200; row < 220; row++) {
    assert(lent.miss(row).entry !== lent.guest);
  }
  assertEquals(lent.gone.filter((row) => row === 100), [100]);

  const { cache, guest, miss } = setUpGuest();
  guest.pins = 2;
  for (let row = 200; row < 220; row++) assert(miss(row).entry !== guest);
  cache.unpin(guest);
  for (let row = 220; row < 240; row++) assert(miss(row).entry !== guest);
});

Deno.test("a guest that is pinned and let go while it is there is one entry's memory", () => {
  const { cache, guest, miss } = setUpGuest();
  guest.pins = 1;
  cache.unpin(guest);
  for (let row = 200; row < 240; row++) {
    const { entry, isGuest } = miss(row);
    assertEquals(entry === guest, isGuest);
  }
});

Deno.test("a guest that is let go where there is room is nobody else's memory", () => {
  const owner = { forget() {} };
  const { cache, entries } = fullCache(1000, owner);
  drawGuest(cache, 1000);
  const guest = cache.reserveGuest(1000) ?? new CacheEntry(1000);
  cache.putGuest(guest, owner, 8);
  for (const entry of entries) if (entry !== guest) cache.remove(entry);
  guest.pins++;
  cache.unpin(guest);
  for (let row = 0; row < 6; row++) {
    const entry = cache.reserve(1000) ?? new CacheEntry(1000);
    assert(entry !== guest);
    cache.put(entry, owner, row);
  }
});

Deno.test("a guest of a table that has gone leaves its place", () => {
  const { cache, gone, guest, miss } = setUpGuest();
  const before = cache.bytes;
  cache.remove(guest);
  assertEquals(cache.bytes, before - guest.byteLength);
  for (let row = 200; row < 208; row++) miss(row);
  // Its owner knows already.
  assert(!gone.includes(100));
});

Deno.test("where guests differ in size, each has memory of its size", () => {
  const { cache, miss } = setUpGuest();
  let row = 300;
  for (const byteLength of [1000, 200, 1000, 400, 900]) {
    for (let n = 0; n < 8; n++) {
      const { entry } = miss(row++, byteLength);
      assert(entry.byteLength >= byteLength);
      assert(entry.byteLength <= byteLength * 1.25);
    }
  }
  assert(cache.bytes > 6000);
});

Deno.test("a cache that has nothing but a guest takes what it took before", () => {
  const owner = { forget() {} };
  const { cache, entries } = fullCache(1000, owner);
  drawGuest(cache, 1000);
  const guest = cache.reserveGuest(1000)!;
  cache.putGuest(guest, owner, 8);
  // One of them gave it its memory.
  for (const entry of entries) if (entry !== guest) cache.remove(entry);
  for (let row = 0; row < 20; row++) {
    cache.put(cache.reserve(1000) ?? new CacheEntry(1000), owner, row);
    assert(cache.bytes <= 8000);
  }
  assert(guest.slot >= 0);
});

Deno.test("a guest whose memory fits nobody costs others no more than room for the next", () => {
  const gone: number[] = [];
  const owner = { forget: (row: number) => gone.push(row) };
  const { cache, entries } = fullCache(100, owner);
  const meet = (byteLength: number) => {
    drawGuest(cache, byteLength);
    const entry = cache.reserveGuest(byteLength) ?? new CacheEntry(byteLength);
    cache.putGuest(entry, owner, 100);
    assert(cache.bytes <= 8000);
  };
  meet(1000);
  // As many are spare as there may be, all of them too small: some came by pins.
  for (const entry of entries.slice(-2)) cache.remove(entry);
  for (let n = 0; n < 2; n++) {
    const pinned = new CacheEntry(100);
    pinned.pins = 1;
    cache.unpin(pinned);
  }
  gone.length = 0;
  meet(300);
  assertEquals(gone, [100]);
});
