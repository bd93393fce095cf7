import { assertEquals } from "@std/assert";
import { type Bytes, compareBytes, toHex } from "../runtime/mod.ts";
import { MemoryFiles } from "../runtime/memory_files.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import type { BatchOp, IterateOptions, KVReader } from "./kv.ts";
import { type LsmOptions, openLsm } from "./mod.ts";
import { times } from "./testing/effort.ts";

const OPTIONS: Record<string, Omit<LsmOptions, "files">> = {
  "tiny everything": {
    memtableBytes: 2000,
    tableBytes: 700,
    blockBytes: 100,
    levelBytes: 3000,
    cacheBytes: 4000,
    openFilesMax: 2,
  },
  "one row a block and no cache": {
    memtableBytes: 4000,
    tableBytes: 1,
    blockBytes: 1,
    levelBytes: 10_000,
    cacheBytes: 0,
  },
  "compressed at the bottom": {
    memtableBytes: 2000,
    tableBytes: 700,
    blockBytes: 150,
    levelBytes: 3000,
    cacheBytes: 4000,
    compression: "zstd",
  },
  "large blocks in small memtables": {
    memtableBytes: 1500,
    tableBytes: 100_000,
    levelBytes: 1,
  },
};

/** Sorted pairs, by hexadecimal keys: those sort as the bytes do. */
type Model = Map<string, Bytes>;

for (const [name, options] of Object.entries(OPTIONS)) {
  Deno.test(`any operations give what a sorted list gives: ${name}`, async () => {
    for (let seed = 1; seed <= times(3, 60); seed++) {
      await compare(seed, options);
    }
  });
}

async function compare(
  seed: number,
  options: Omit<LsmOptions, "files">,
): Promise<void> {
  const random = new Prng(seed);
  const files = new MemoryFiles();
  let store = await openLsm("store", { ...options, files });
  let model: Model = new Map();
  let snapshots: { reader: ReturnType<typeof store.snapshot>; model: Model }[] =
    [];
  for (let step = 0; step < 500; step++) {
    const draw = random.below(100);
    const what = `seed ${seed}, step ${step}`;
    if (draw < 55) {
      const batch = drawBatch(random);
      const writing = store.write(batch, { sync: random.below(4) === 0 });
      model = new Map(model);
      for (const { key, value } of batch) {
        if (value === undefined) model.delete(toHex(key));
        else model.set(toHex(key), value as Bytes);
      }
      await writing;
    } else if (draw < 75) {
      const key = drawKey(random);
      assertEquals(store.get(key), model.get(toHex(key)), what);
    } else if (draw < 88) {
      const range = drawRange(random);
      assertEquals(listOf(store, range), expected(model, range), what);
    } else if (draw < 92) {
      snapshots.push({ reader: store.snapshot(), model });
    } else if (draw < 96 && snapshots.length > 0) {
      const at = random.below(snapshots.length);
      const [taken] = snapshots.splice(at, 1);
      const range = drawRange(random);
      assertEquals(
        listOf(taken!.reader, range),
        expected(taken!.model, range),
        what,
      );
      for (const [key, value] of taken!.model) {
        assertEquals(taken!.reader.get(unhex(key)), value, what);
      }
      taken!.reader.close();
    } else if (draw < 98) {
      await store.flush();
    } else if (draw < 99) {
      await store.idle();
    } else {
      for (const { reader } of snapshots) reader.close();
      snapshots = [];
      await store.close();
      store = await openLsm("store", { ...options, files });
    }
  }
  await store.flush();
  await store.idle();
  assertEquals(listOf(store, {}), expected(model, {}), `seed ${seed}`);
  const { tables } = store.stats();
  assertEquals(tables[0]! < 4, true, "level 0 is not compacted");
  await store.close();
}

function drawKey(random: Prng): Bytes {
  const length = 1 + random.below(random.below(10) === 0 ? 80 : 3);
  const key = new Uint8Array(length).fill(7);
  // Few letters, so that keys meet, and share and are prefixes.
  for (let i = 0; i < Math.min(length, 3); i++) {
    key[i] = [0, 1, 97, 98, 127, 128, 254, 255][random.below(8)]!;
  }
  return key;
}

function drawBatch(random: Prng): BatchOp[] {
  const batch: BatchOp[] = [];
  const count = random.below(6);
  for (let i = 0; i < count; i++) {
    const deletes = random.below(3) === 0;
    batch.push({
      key: drawKey(random),
      value: deletes
        ? undefined
        : random.fill(new Uint8Array(random.below(120))),
    });
  }
  return batch;
}

function drawRange(random: Prng): IterateOptions {
  const range: IterateOptions = { reverse: random.below(2) === 0 };
  if (random.below(2) === 0) range.start = drawKey(random);
  if (random.below(2) === 0) range.end = drawKey(random);
  if (random.below(3) === 0) range.prefix = drawKey(random).subarray(0, 1);
  return range;
}

function listOf(reader: KVReader, range: IterateOptions): string[] {
  const found: string[] = [];
  const iterator = reader.iterate(range);
  while (iterator.next()) {
    found.push(`${toHex(iterator.key)}=${toHex(iterator.value)}`);
  }
  return found;
}

function expected(model: Model, range: IterateOptions): string[] {
  const { start, end, prefix, reverse } = range;
  const found = [...model].filter(([hex]) => {
    const key = unhex(hex);
    return (start === undefined || compareBytes(key, start) >= 0) &&
      (end === undefined || compareBytes(key, end) < 0) &&
      (prefix === undefined || hex.startsWith(toHex(prefix)));
  }).sort(([a], [b]) => compareBytes(unhex(a), unhex(b)))
    .map(([key, value]) => `${key}=${toHex(value)}`);
  return reverse ? found.reverse() : found;
}

function unhex(hex: string): Bytes {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
