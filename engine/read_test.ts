import { assert, assertEquals, assertThrows } from "@std/assert";
import { runInNewContext } from "node:vm";
import { setFlagsFromString } from "node:v8";
import {
  CorruptionError,
  type FileSystem,
  toBytes,
  toText,
} from "../runtime/mod.ts";
import { MemoryFiles } from "../runtime/memory_files.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { BlockCache, CacheEntry } from "./cache/block_cache.ts";
import {
  type BatchOp,
  buildTable,
  type Lsm,
  type LsmEvent,
  openLsm,
} from "./mod.ts";
import { hashKey } from "./table/filter.ts";
import { TINY } from "./testing/history.ts";

const DIR = "store";
const ROWS = 400;

function keyOf(i: number): Uint8Array {
  return toBytes(`key${String(i).padStart(6, "0")}`);
}

function valueOf(i: number): Uint8Array {
  return toBytes(`value ${i} `.repeat(8));
}

/** A store of tables and a memtable, small blocks and few of them cached. */
async function openFilled(
  onEvent?: (event: LsmEvent) => void,
): Promise<Lsm> {
  const store = await openLsm(DIR, {
    files: new MemoryFiles(),
    ...TINY,
    blockBytes: 512,
    cacheBytes: 12 * 1024,
    traceLeaks: true,
    ...onEvent && { onEvent },
  });
  const write = (from: number) =>
    store.write(
      Array.from({ length: ROWS / 2 }, (_, n): BatchOp => {
        const i = from + 2 * n;
        return { key: keyOf(i), value: valueOf(i) };
      }),
    );
  await write(0);
  await store.flush();
  await write(1);
  return store;
}

Deno.test("values read stay as they are while blocks' memory is used again", async () => {
  await using store = await openFilled();
  await store.flush();
  await store.idle();
  const read = [...Array(ROWS).keys()].map((i) => store.get(keyOf(i))!);
  for (let i = 0; i < ROWS; i++) {
    assertEquals(store.get(keyOf(i * 7 % ROWS)), valueOf(i * 7 % ROWS));
  }
  read.forEach((value, i) => assertEquals(value, valueOf(i)));
  assert(store.stats().cacheBytes <= 12 * 1024);
});

Deno.test("what iterators stand on stays while gets fill the cache anew, in both directions", async () => {
  await using store = await openFilled();
  await store.flush();
  await store.idle();
  for (const reverse of [false, true]) {
    using rows = store.iterate({ reverse });
    const values: Uint8Array[] = [];
    for (let n = 0; n < ROWS; n++) {
      assert(rows.next());
      for (let i = n; i < n + 100; i++) store.get(keyOf(i * 13 % ROWS));
      const i = reverse ? ROWS - 1 - n : n;
      assertEquals(toText(rows.key), toText(keyOf(i)));
      values.push(rows.value);
    }
    assert(!rows.next());
    values.forEach((value, n) =>
      assertEquals(value, valueOf(reverse ? ROWS - 1 - n : n))
    );
  }
});

Deno.test("values belong to their receiver: changing or transferring them changes nothing else", async () => {
  await using store = await openFilled();
  await store.flush();
  await store.idle();
  for (let round = 0; round < 2; round++) {
    using rows = store.iterate();
    for (let i = 0; rows.next(); i++) {
      assertEquals(rows.key, keyOf(i));
      const { value } = rows;
      assertEquals(value, valueOf(i));
      value.fill(0);
      const got = store.get(keyOf(i))!;
      assertEquals(got, valueOf(i));
      got.fill(0);
      if (i % 5 === 0) structuredClone(0, { transfer: [value.buffer] });
      else if (i % 7 === 0) structuredClone(0, { transfer: [got.buffer] });
    }
  }
});

Deno.test("an iterator seeks ahead and back within its range", async () => {
  await using store = await openFilled();
  const range = { start: keyOf(100), end: keyOf(200) };
  using forward = store.iterate(range);
  const goes = (rows: typeof forward, to: Uint8Array, i: number) => {
    rows.seek(to);
    assertThrows(() => rows.key, TypeError);
    assert(rows.next());
    assertEquals(toText(rows.key), toText(keyOf(i)));
    assertEquals(rows.value, valueOf(i));
  };
  goes(forward, keyOf(150), 150);
  goes(forward, keyOf(50), 100);
  goes(forward, toBytes("key000120x"), 121);
  assert(forward.next());
  assertEquals(forward.key, keyOf(122));
  forward.seek(keyOf(200));
  assert(!forward.next());
  forward.seek(keyOf(150));
  assert(!forward.next());

  using reverse = store.iterate({ ...range, reverse: true });
  goes(reverse, keyOf(150), 150);
  goes(reverse, keyOf(300), 199);
  goes(reverse, toBytes("key000120x"), 120);
  assert(reverse.next());
  assertEquals(reverse.key, keyOf(119));
  reverse.seek(keyOf(99));
  assert(!reverse.next());
});

Deno.test("an iterator gives the value of its key whatever was asked of the keys before, in both directions", async () => {
  await using store = await openLsm("store", { files: new MemoryFiles() });
  const set = (key: string, value: string) =>
    store.write([{ key: toBytes(key), value: toBytes(value) }]);
  // Keys with one version and with several, which are read in different ways.
  await set("a", "1");
  await set("c", "1");
  await store.flush();
  for (const key of ["a", "b", "c", "d"]) await set(key, "2");
  await store.flush();
  for (const reverse of [false, true]) {
    for (let asked = 0; asked < 16; asked++) {
      using rows = store.iterate({ reverse });
      for (let i = 0; rows.next(); i++) {
        if (asked >> i & 1) assertEquals(toText(rows.value), "2");
      }
    }
  }
});

Deno.test("getMany and count give what there is, now and in a snapshot", async () => {
  await using store = await openFilled();
  using snapshot = store.snapshot();
  await store.write([{ key: keyOf(1), value: undefined }]);
  const keys = [keyOf(2), keyOf(1), keyOf(ROWS)];
  assertEquals(store.getMany(keys), [valueOf(2), undefined, undefined]);
  assertEquals(snapshot.getMany(keys), [valueOf(2), valueOf(1), undefined]);
  assertEquals(store.count(), ROWS - 1);
  assertEquals(snapshot.count(), ROWS);
  assertEquals(store.count({ start: keyOf(1), end: keyOf(3) }), 1);
});

Deno.test("the cache stays within its budget and gives memory of a size again", () => {
  const cache = new BlockCache(8000);
  const gone: number[] = [];
  const owner = { forget: (row: number) => gone.push(row) };
  const entries: CacheEntry[] = [];
  for (let row = 0; row < 20; row++) {
    const spare = cache.reserve(1000);
    assertEquals(spare, row < 8 ? undefined : entries[gone.at(-1)!]);
    entries.push(spare ?? new CacheEntry(1000));
    cache.put(entries[row]!, owner, row);
    assert(cache.bytes <= 8000);
    // The first is used all the time and stays.
    entries[0]!.used = true;
  }
  assert(!gone.includes(0));
  assert(!cache.takes(1001));
  for (const entry of entries) entry.lent = true;
  assertEquals(cache.reserve(1000), undefined);
});

Deno.test("what was read again outlives what was only read once", () => {
  const cache = new BlockCache(8000);
  const gone: number[] = [];
  for (let row = 0; row < 8; row++) {
    const entry = new CacheEntry(1000);
    cache.put(entry, { forget: (row) => gone.push(row) }, row);
    if (row === 0) entry.used = true;
  }
  cache.reserve(1000);
  assertEquals(gone, [1]);
});

Deno.test("what leads to many blocks outlives rounds without a hit, and not for ever", () => {
  const cache = new BlockCache(8000);
  const gone: CacheEntry[] = [];
  const put = (entry: CacheEntry) =>
    cache.put(entry, { forget: () => gone.push(entry) }, 0);
  const guide = new CacheEntry(1000, 2);
  put(guide);
  /** As many blocks as the cache holds: the hand comes by once. */
  const goAround = () => {
    for (let i = 0; i < 7; i++) {
      put(cache.reserve(1000) ?? new CacheEntry(1000));
    }
  };
  goAround();
  for (let round = 0; round < 2; round++) {
    goAround();
    assert(!gone.includes(guide));
  }
  guide.used = true;
  for (let round = 0; round < 3; round++) {
    goAround();
    assert(!gone.includes(guide));
  }
  goAround();
  assert(gone.includes(guide), "it is dropped when nobody needs it");
});

Deno.test("an iterator or snapshot lost without close is reported with where it was made", async () => {
  const leaks: LsmEvent[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await using store = await openFilled((event) => {
    if (event.type !== "leak") return;
    leaks.push(event);
    if (leaks.length === 2) resolve();
  });
  function loseSome(): void {
    store.iterate().next();
    store.snapshot();
    store.iterate().close();
    store.snapshot().close();
  }
  loseSome();
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // What a turn has touched is collected in a later one.
  const timer = setInterval(() => collect(), 5);
  await promise;
  clearInterval(timer);
  const told = leaks.map((event) => event.type === "leak" && event);
  assertEquals(
    told.map((leak) => leak && leak.what).sort(),
    ["iterator", "snapshot"],
  );
  for (const leak of told) {
    assert(leak && leak.createdAt?.includes("loseSome"));
  }
});

Deno.test("a key that was read before is read where its newest entry is by now", async () => {
  await using store = await openLsm(DIR, { files: new MemoryFiles() });
  const [key, other] = [toBytes("a"), toBytes("b")];
  const write = async (key: Uint8Array, value: Uint8Array | undefined) => {
    await store.write([{ key, value }]);
    await store.flush();
  };
  await write(key, toBytes("1"));
  await write(other, toBytes("1"));
  // In the second of two tables; after this, older there than in the first.
  for (let i = 0; i < 2; i++) assertEquals(store.get(key), toBytes("1"));
  await store.compact();
  await write(key, toBytes("2"));
  for (let i = 0; i < 2; i++) assertEquals(store.get(key), toBytes("2"));
  await write(key, undefined);
  for (let i = 0; i < 2; i++) assertEquals(store.get(key), undefined);
});

Deno.test("whatever comes and goes, all keys are read where they are by now", async () => {
  const KEYS = 200;
  const prng = new Prng(1);
  const files = new MemoryFiles();
  await using store = await openLsm(DIR, {
    files,
    ...TINY,
    // Memtables that are full, and those that are flushed when they are not.
    memtableBytes: 4096,
    cacheBytes: 64 * 1024,
  });
  const model = new Map<number, string>();
  for (let round = 0; round < 150; round++) {
    using snapshot = store.snapshot();
    const before = new Map(model);
    // Few keys are known to a memtable otherwise than many.
    const count = prng.chance(0.5) ? 1 + prng.below(20) : 40 + prng.below(KEYS);
    const ops = Array.from({ length: count }, (_, n): BatchOp => {
      const i = prng.below(KEYS);
      const value = prng.chance(0.3) ? undefined : `${round} ${n}`;
      if (value === undefined) model.delete(i);
      else model.set(i, value);
      return {
        key: keyOf(i),
        value: value === undefined ? undefined : toBytes(value),
      };
    });
    await store.write(ops);
    if (prng.chance(0.6)) await store.flush();
    if (prng.chance(0.1)) await store.compact();
    if (prng.chance(0.1)) {
      const path = `${round}`;
      const i = prng.below(KEYS);
      using table = buildTable(path, { files });
      table.set(keyOf(i), toBytes(path));
      await table.finish();
      await store.ingest([path]);
      model.set(i, path);
    }
    for (let i = 0; i < KEYS; i++) {
      const old = snapshot.get(keyOf(i));
      assertEquals(old && toText(old), before.get(i));
      const value = store.get(keyOf(i));
      assertEquals(value && toText(value), model.get(i), `${round}: ${i}`);
    }
  }
});

/** More keys than a flush forgets without a pause. */
const MANY = 12_000;

function opsOfMany(value: string): BatchOp[] {
  return Array.from({ length: MANY }, (_, i) => ({
    key: keyOf(i),
    value: toBytes(value),
  }));
}

Deno.test("many keys that are flushed are read where they are by now", async () => {
  await using store = await openLsm(DIR, { files: new MemoryFiles() });
  for (const value of ["one", "two", "three"]) {
    await store.write(opsOfMany(value));
    await store.flush();
    for (let i = 0; i < MANY; i++) {
      assertEquals(toText(store.get(keyOf(i))!), value);
    }
  }
});

Deno.test("a snapshot that reads amid a flush does not tell where keys were before it", async () => {
  // Counts turns of the flush, once it is the one that matters.
  let amid = -1;
  await using store = await openLsm(DIR, {
    files: new MemoryFiles(),
    yieldNow() {
      if (amid < 0) return Promise.resolve();
      amid++;
      for (let i = 0; i < MANY; i += 100) {
        assertEquals(toText(snapshot.get(keyOf(i))!), "old");
      }
      return Promise.resolve();
    },
  });
  await store.write(opsOfMany("old"));
  await store.flush();
  // So that there is something to forget.
  assertEquals(toText(store.get(keyOf(0))!), "old");
  using snapshot = store.snapshot();
  await store.write(opsOfMany("new"));
  amid = 0;
  await store.flush();
  assert(amid > 1, `${amid}`);
  for (let i = 0; i < MANY; i++) {
    assertEquals(toText(store.get(keyOf(i))!), "new");
  }
});

Deno.test("what a snapshot reads does not tell others where a key is, nor they it", async () => {
  await using store = await openFilled();
  const key = keyOf(3);
  using snapshot = store.snapshot();
  await store.write([{ key, value: toBytes("newer") }]);
  await store.flush();
  await store.idle();
  for (let i = 0; i < 2; i++) {
    assertEquals(snapshot.get(key), valueOf(3));
    assertEquals(store.get(key), toBytes("newer"));
  }
});

Deno.test("two keys whose places look the same do not get each other's value", async () => {
  // One set of places, so that half a hash is all that tells keys apart.
  await using store = await openLsm(DIR, {
    files: new MemoryFiles(),
    cacheBytes: 512,
  });
  const keys = new Map<number, Uint8Array>();
  for (let i = 0;; i++) {
    const key = toBytes(`${i}`.padStart(8, "0"));
    const half = hashKey(key) >>> 16;
    const other = keys.get(half);
    keys.set(half, key);
    if (other === undefined) continue;
    await store.write([{ key, value: key }, { key: other, value: other }]);
    await store.flush();
    for (const one of [key, other, key, other]) {
      assertEquals(store.get(one), one);
    }
    return;
  }
});

Deno.test("a store that has no table any more has no key, whatever its hash", async () => {
  let key = toBytes("0");
  // A place that nothing was put in looks like that of such a key.
  for (let i = 1; hashKey(key) >>> 16 !== 0; i++) key = toBytes(`${i}`);
  await using store = await openLsm(DIR, { files: new MemoryFiles() });
  const other = toBytes("other");
  await store.write([{ key: other, value: other }]);
  await store.flush();
  assertEquals(store.get(other), other);
  await store.write([{ key: other, value: undefined }]);
  await store.compact();
  assertEquals(store.stats().tableBytes, 0);
  assertEquals(store.get(key), undefined);
});

Deno.test("a memtable tells apart the keys that it has, however many there are", async () => {
  await using store = await openLsm(DIR, { files: new MemoryFiles() });
  for (let n = 0; n < 3000; n++) {
    const key = keyOf(n);
    await store.write([{ key, value: key }]);
    // Few, and the moment at which they are many.
    for (let i = n < 100 ? 0 : n; i <= n; i++) {
      assertEquals(store.get(keyOf(i)), keyOf(i));
    }
    assertEquals(store.get(keyOf(n + 1)), undefined);
  }
  assertEquals(store.stats().tableBytes, 0);
  for (let i = 0; i < 3000; i++) assertEquals(store.get(keyOf(i)), keyOf(i));
});

/** Shows what is read of tables, which may be changed. */
function watchTables(
  files: FileSystem,
  onRead: (bytes: Uint8Array) => void,
): void {
  const open = files.open.bind(files);
  files.open = (path, options) => {
    const file = open(path, options);
    if (!path.endsWith(".sst")) return file;
    const readAt = file.readAt.bind(file);
    file.readAt = (bytes, position) => {
      const length = readAt(bytes, position);
      onRead(bytes);
      return length;
    };
    return file;
  };
}

Deno.test("blocks that are read once do not push out filter and index", async () => {
  const files = new MemoryFiles();
  let reads = 0;
  watchTables(files, () => void reads++);
  const options = { files, blockBytes: 512, cacheBytes: 64 * 1024 };
  {
    await using store = await openLsm(DIR, options);
    await store.write(
      Array.from({ length: ROWS }, (_, i) => (
        { key: keyOf(i), value: valueOf(i) }
      )),
    );
    await store.flush();
  }
  await using store = await openLsm(DIR, options);
  reads = 0;
  // Steps larger than a block, so that none is read twice while it is cached.
  for (let n = 0; n < ROWS; n++) {
    const i = n * 7 % ROWS;
    assertEquals(store.get(keyOf(i)), valueOf(i));
  }
  const { misses } = store.metrics().cache;
  assert(misses > 64, `${misses} blocks are more than the cache holds`);
  assertEquals(reads, misses + 2);
});

/** A store of one table whose blocks have a row of 2,000 bytes each. */
async function openRows(rows: number, cacheBytes: number, files: FileSystem) {
  const store = await openLsm(DIR, { files, cacheBytes, blockBytes: 2000 });
  for (let i = 0; i < rows; i++) {
    await store.write([{ key: keyOf(i), value: new Uint8Array(2000).fill(i) }]);
  }
  await store.compact();
  return store;
}

Deno.test("a block whose read failed is read anew, whoever had its memory before", async () => {
  const files = new MemoryFiles();
  let broken = 0;
  watchTables(files, (bytes) => {
    if (broken > 0) bytes.fill(0xee);
    broken = 0;
  });
  await using store = await openRows(200, 64 * 1024, files);
  for (let i = 0; i < 200; i++) store.get(keyOf(i));
  for (let i = 0; i < 60; i++) {
    broken = 1;
    assertThrows(() => store.get(keyOf(i)), CorruptionError);
    assertEquals(broken, 0);
    assertEquals(store.get(keyOf(i)), new Uint8Array(2000).fill(i));
  }
});

Deno.test("most of what is missed while the cache is full leaves what is there where it is", async () => {
  await using store = await openRows(200, 64 * 1024, new MemoryFiles());
  const missesOf = (from: number, to: number) => {
    const before = store.metrics().cache.misses;
    for (let i = from; i < to; i++) store.get(keyOf(i));
    return store.metrics().cache.misses - before;
  };
  // More than there is room for, then as many as there is room for.
  assertEquals(missesOf(0, 24), 24);
  assertEquals(missesOf(24, 44), 20);
  const again = missesOf(0, 16);
  assert(again > 0 && again < 12, `${again} of 16 were not there any more`);
});
