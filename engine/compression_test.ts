import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { constants, zstdCompressSync } from "node:zlib";
import {
  compressZstd,
  CorruptionError,
  crc32,
  DecodeError,
  FormatVersionError,
  toBytes,
} from "../runtime/mod.ts";
import { FileNode } from "../runtime/file_tree.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import {
  buildTable,
  checkLsm,
  describeLsm,
  type Lsm,
  type LsmEvent,
  type LsmOptions,
  openLsm,
  repairLsm,
} from "./mod.ts";
import { serve, type WorkerRequest } from "./compaction/worker.ts";
import {
  blockChecksum,
  FEATURE_ZSTD,
  FOOTER_BYTES,
  TRAILER_BYTES,
} from "./table/format.ts";
import {
  CODEC_NONE,
  CODEC_ZSTD,
  COMPRESSED_BODY_BYTES_MAX,
  pack,
  unpack,
} from "./table/codec.ts";
import { times } from "./testing/effort.ts";
import { StepFiles } from "./testing/step_files.ts";

const DIR = "store";
const ROWS = 2000;

function keyOf(i: number): Uint8Array {
  return toBytes(`key${String(i).padStart(6, "0")}`);
}

/** Half of it repeats. */
function valueOf(i: number, round = 0): Uint8Array {
  const value = new Prng(i + round * ROWS).fill(new Uint8Array(100));
  return value.fill(97, 50);
}

async function fill(store: Lsm, round = 0): Promise<void> {
  for (let i = 0; i < ROWS; i += 100) {
    await store.write(
      Array.from({ length: 100 }, (_, n) => ({
        key: keyOf(i + n),
        value: valueOf(i + n, round),
      })),
    );
  }
}

const SMALL: Omit<LsmOptions, "files"> = {
  memtableBytes: 64 * 1024,
  tableBytes: 32 * 1024,
  levelBytes: 64 * 1024,
  cacheBytes: 512 * 1024,
  compression: "zstd",
};

async function openFilled(
  options: Partial<LsmOptions> = {},
): Promise<{ store: Lsm; files: StepFiles }> {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...SMALL, files, ...options });
  await fill(store);
  await store.compact();
  return { store, files };
}

function expectAll(store: Lsm, round = 0): void {
  for (let i = 0; i < ROWS; i += 7) {
    assertEquals(store.get(keyOf(i)), valueOf(i, round));
  }
  using rows = store.iterate({ reverse: true });
  for (let i = ROWS - 1; i >= 0; i--) {
    assert(rows.next());
    assertEquals(rows.value, valueOf(i, round));
  }
  assert(!rows.next());
}

function tablesOf(files: StepFiles): Map<string, Uint8Array<ArrayBuffer>> {
  return new Map(
    [...files.disk.image().files].filter(([path]) => path.endsWith(".sst")),
  );
}

function featuresOf(table: Uint8Array): number {
  const footer = table.subarray(table.length - FOOTER_BYTES);
  return new DataView(footer.buffer, footer.byteOffset).getUint32(4, true);
}

function isCompressed(table: Uint8Array): boolean {
  return (featuresOf(table) & FEATURE_ZSTD) !== 0;
}

/** Replaces the first block of a table by one that says what it is told. */
function forge(
  files: StepFiles,
  block: (body: Uint8Array, bodyLength: number) => {
    body: Uint8Array;
    codec: number;
    bodyLength: number;
  },
): void {
  const [path] = tablesOf(files).keys();
  const node = files.disk.tree.find(path!);
  assert(node instanceof FileNode);
  const bytes = node.view();
  const length = storedLength(bytes);
  const stored = bytes.subarray(0, length);
  const view = new DataView(stored.buffer, stored.byteOffset, length);
  const { body, codec, bodyLength } = block(
    stored.slice(0, length - TRAILER_BYTES),
    view.getUint32(length - 8, true),
  );
  assert(body.length <= length - TRAILER_BYTES);
  stored.fill(0);
  stored.set(body);
  view.setUint32(length - 12, codec, true);
  view.setUint32(length - 8, bodyLength, true);
  const number = Number(path!.slice(-10, -4));
  view.setUint32(length - 4, blockChecksum(stored, number, 0), true);
}

/** The length of the first stored block: its checksum holds there alone. */
function storedLength(table: Uint8Array): number {
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  const footer = table.length - FOOTER_BYTES;
  const index = view.getUint32(footer + 8, true);
  const end = index + view.getUint32(footer + 14, true) - TRAILER_BYTES;
  const rows = view.getUint32(index + 4, true);
  return view.getUint32(end - 10 * rows + 6, true);
}

Deno.test("the bottom is compressed, smaller by a third, and reads the same; what is above is not", async () => {
  const { store, files } = await openFilled();
  const compressed = store.metrics().tableBytes;
  assert([...tablesOf(files).values()].every(isCompressed));
  expectAll(store);
  await fill(store, 1);
  await store.flush();
  assert([...tablesOf(files).values()].some((table) => !isCompressed(table)));
  await store.compact();
  expectAll(store, 1);
  assertEquals((await store.check()).damages, []);
  await store.close();

  const plain = await openFilled({ compression: "none" });
  const raw = plain.store.metrics().tableBytes;
  assert(compressed < raw * 0.67, `${compressed} of ${raw}`);
  assertEquals(
    [...tablesOf(plain.files).values()].map(featuresOf),
    [
      ...tablesOf(plain.files).values(),
    ].map(() => 0),
  );
  await plain.store.close();
});

Deno.test("what only moves to the bottom is compressed there, once", async () => {
  const files = new StepFiles();
  const events: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    ...SMALL,
    files,
    onEvent: (event) => events.push(event),
  });
  // In order: no table overlaps another.
  await fill(store);
  await store.flush();
  await store.idle();
  await store.compact();
  assert([...tablesOf(files).values()].every(isCompressed));
  const { bytesIn } = store.metrics().compactions;
  assert(bytesIn < 1.5 * ROWS * 110, `${bytesIn} bytes were read again`);
  assert(events.some((event) => event.type === "compaction" && event.moved));
  expectAll(store);
  await store.close();
});

Deno.test("what repeats nothing is stored as it is, and then an older release reads it", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...SMALL, files });
  const random = new Prng(1);
  for (let i = 0; i < 50; i++) {
    const value = random.fill(new Uint8Array(2000));
    await store.write([{ key: keyOf(i), value }]);
  }
  await store.compact();
  const tables = [...tablesOf(files).values()];
  assert(tables.length > 0);
  assertEquals(tables.map(featuresOf), tables.map(() => 0));
  await store.close();
});

Deno.test("the option may change at every open, also where little becomes much", async () => {
  const files = new StepFiles();
  const open = (compression: "none" | "zstd") =>
    openLsm(DIR, { ...SMALL, files, compression });
  // A hundredth of its size: merging gives far more tables than there were.
  const value = new Uint8Array(10_000).fill(1);
  const write = async (store: Lsm) => {
    for (let i = 0; i < 100; i++) {
      await store.write([{ key: keyOf(i), value }]);
    }
    await store.compact();
  };
  let store = await open("zstd");
  await write(store);
  assert(store.metrics().tableBytes < 100_000);
  for (const compression of ["none", "zstd", "none"] as const) {
    await store.close();
    store = await open(compression);
    await write(store);
    const { tableBytes } = store.metrics();
    assertEquals(tableBytes < 100_000, compression === "zstd");
    for (let i = 0; i < 100; i++) assertEquals(store.get(keyOf(i)), value);
  }
  await store.close();
});

Deno.test("a merge of compressed tables alone may give many that are not", async () => {
  const files = new StepFiles();
  const value = new Uint8Array(1000).fill(1);
  const zstd = await openLsm(DIR, {
    ...SMALL,
    files,
    memtableBytes: 2 * 1024 * 1024,
    blockBytes: 2048,
  });
  for (let i = 0; i < 1000; i++) await zstd.write([{ key: keyOf(i), value }]);
  await zstd.compact();
  const before = tablesOf(files).size;
  await zstd.close();
  const none = await openLsm(DIR, { ...SMALL, files, compression: "none" });
  await none.write([0, 999].map((i) => ({ key: keyOf(i), value: undefined })));
  await none.compact();
  assertEquals(before, 1);
  assert(tablesOf(files).size > 20);
  for (let i = 1; i < 999; i++) assertEquals(none.get(keyOf(i)), value);
  await none.close();
});

Deno.test("what is merged above older data is not compressed, beside it it is", async () => {
  const files = new StepFiles();
  using table = buildTable("outside", { files });
  for (let i = 0; i < ROWS; i++) table.set(keyOf(i), valueOf(i));
  await table.finish();
  const store = await openLsm(DIR, { ...SMALL, files });
  // Into the deepest level.
  await store.ingest(["outside"]);
  const level1 = () => describeLsm(DIR, { files }).levels[1]!.tables;
  for (const [from, compressed] of [[0, false], [2 * ROWS, true]] as const) {
    for (let n = 0; n < 4; n++) {
      for (let i = 0; i < 100; i++) {
        await store.write([{ key: keyOf(from + i), value: valueOf(i, n) }]);
      }
      await store.flush();
    }
    await store.idle();
    const newest = level1().at(-1)!;
    assert(newest.minKey.includes(new TextDecoder().decode(keyOf(from))));
    const bytes = tablesOf(files).get(`${DIR}/${newest.name}`)!;
    assertEquals(isCompressed(bytes), compressed);
  }
  for (let i = 0; i < ROWS; i++) {
    assertEquals(store.get(keyOf(i)), valueOf(i, i < 100 ? 3 : 0));
  }
  await store.close();
});

Deno.test("blocks that are compressed are read into memory of their whole size, within the cache's budget", async () => {
  const prng = new Prng(1);
  const rows = 300;
  // Some shrink to next to nothing, some by a part, some not at all.
  const values = Array.from(
    { length: rows },
    (_, i) =>
      new Uint8Array(500 + i % 7 * 400).map((_, at) =>
        at % 8 < (i >> 2) % 9 ? prng.below(256) : 7
      ),
  );
  for (const cacheBytes of [30_000, 40_960, 45_000, 64_000]) {
    const store = await openLsm(DIR, {
      ...SMALL,
      files: new StepFiles(),
      blockBytes: 500,
      cacheBytes,
    });
    for (let i = 0; i < rows; i++) {
      await store.write([{ key: keyOf(i), value: values[i]! }]);
    }
    await store.compact();
    for (let n = 0; n < 2000; n++) {
      const i = n * 7919 % rows;
      assertEquals(store.get(keyOf(i)), values[i]);
      const { cacheBytes: bytes } = store.stats();
      assert(bytes <= cacheBytes, `${bytes} of ${cacheBytes}`);
    }
    await store.close();
  }
});

Deno.test("a compaction thread compresses as this one does", async () => {
  const files = new StepFiles();
  let calls = 0;
  const answer = serve({
    files,
    yieldNow: () => Promise.resolve(),
  });
  const store = await openLsm(DIR, {
    ...SMALL,
    files,
    workerBytes: 0,
    workers: {
      parallelism: 4,
      start: () => ({
        isUp: true,
        call: async (request, onNote) => {
          calls++;
          const { job, ...shared } = request as WorkerRequest;
          return structuredClone(
            await answer({ job: structuredClone(job), ...shared }, onNote),
          );
        },
        close: () => {},
      }),
    },
  });
  await fill(store);
  await store.compact();
  assert(calls > 0);
  assert([...tablesOf(files).values()].every(isCompressed));
  expectAll(store);
  await store.close();
});

Deno.test("check, repair, checkpoint, ingest and description know compressed tables", async () => {
  const { store, files } = await openFilled();
  await store.checkpoint("copy");
  const copy = await openLsm("copy", { files });
  expectAll(copy);
  await copy.close();

  using table = buildTable("outside", { files, compression: "zstd" });
  for (let i = 0; i < ROWS; i++) table.set(keyOf(i), valueOf(i, 2));
  await table.finish();
  const plain = await openLsm("plain", { files });
  await plain.ingest(["outside"]);
  expectAll(plain, 2);
  await plain.close();
  const zstd = await openLsm("zstd", { files, compression: "zstd" });
  await zstd.ingest(["outside"]);
  expectAll(zstd, 2);
  await zstd.close();
  const [before, after] = ["plain", "zstd"].map((dir) =>
    describeLsm(dir, { files }).levels.flatMap(({ tables }) => tables)
  );
  const data = ROWS * (9 + 100);
  assertEquals(before!.map(({ dataBytes }) => dataBytes), [data]);
  assertEquals(after!.map(({ dataBytes }) => dataBytes), [data]);
  assert(after![0]!.bytes < 0.7 * before![0]!.bytes);

  await store.close();
  const found = await checkLsm(DIR, { files });
  assertEquals([found.damages, found.entries], [[], ROWS]);
});

Deno.test("a compressed table whose footer and index are lost gives its blocks all the same", async () => {
  const { store, files } = await openFilled({ tableBytes: 1024 * 1024 });
  await store.close();
  const tables = tablesOf(files);
  assertEquals(tables.size, 1);
  const [path] = tables.keys();
  const node = files.disk.tree.find(path!);
  assert(node instanceof FileNode);
  const size = node.size;
  // One block in the middle is lost too.
  node.view()[size >> 1]! ^= 1;
  {
    using file = files.open(path!, { mode: "append" });
    file.truncate(size - 100);
  }
  const report = await repairLsm(DIR, { files });
  assert(report.entries > ROWS / 2 && report.entries < ROWS);
  const after = await openLsm(DIR, { files });
  using rows = after.iterate();
  let count = 0;
  while (rows.next()) {
    count++;
    const i = Number(new TextDecoder().decode(rows.key).slice(3));
    assertEquals(rows.value, valueOf(i));
  }
  assertEquals(count, report.entries);
  await after.close();
});

Deno.test("a block of any bytes with a right checksum is read or a CorruptionError, and one that claims what it does not hold always the latter", async () => {
  const { store, files } = await openFilled();
  await store.close();
  const image = files.disk.image();
  const random = new Prng(7);
  const bomb = compressZstd(new Uint8Array(8 * 1024 * 1024));
  for (let round = 0; round < times(300, 5000); round++) {
    const disk = new StepFiles();
    for (const [path, bytes] of image.files) {
      disk.makeDirectory(DIR);
      using file = disk.open(path, { mode: "create" });
      file.append(bytes);
    }
    const kind = random.below(6);
    forge(disk, (body, bodyLength) => {
      const claim = { body, codec: CODEC_ZSTD, bodyLength };
      switch (kind) {
        case 0:
          // Bytes of the frame.
          for (let n = random.below(4); n >= 0; n--) {
            body[random.below(body.length)]! ^= 1 << random.below(8);
          }
          return claim;
        case 1:
          // Of its head.
          body[random.below(16)] = random.below(256);
          return claim;
        case 2:
          return { ...claim, bodyLength: random.u32() };
        case 3:
          return { ...claim, bodyLength: bodyLength + 1 + random.below(200) };
        case 4:
          return { ...claim, codec: random.u32() };
        default: {
          // A bomb.
          return { ...claim, body: bomb };
        }
      }
    });
    const opened = await openLsm(DIR, { ...SMALL, files: disk });
    try {
      using rows = opened.iterate();
      while (rows.next());
      opened.get(keyOf(0));
      // A bit of the window's size, or of a literal, may go by unseen.
      assert(kind < 2, `round ${round}: a false claim of kind ${kind} passed`);
    } catch (error) {
      assert(error instanceof CorruptionError, `round ${round}: ${error}`);
      assert(error.path.endsWith(".sst") && error.offset === 0);
    }
    await opened.close();
  }
});

Deno.test("a claim beyond the limit, or of another codec, is refused before anything is allocated", () => {
  const body = new Uint8Array(100_000);
  const packed = pack(body)!;
  assertEquals(unpack(packed, CODEC_ZSTD, body.length), body);
  assertEquals(unpack(body, CODEC_NONE, body.length), body);
  for (
    const [codec, length] of [
      [CODEC_ZSTD, COMPRESSED_BODY_BYTES_MAX + 1],
      [CODEC_ZSTD, 2 ** 32 - 1],
      [CODEC_ZSTD, packed.length],
      [CODEC_ZSTD, 0],
      [CODEC_ZSTD, body.length - 1],
      [CODEC_ZSTD, body.length + 1],
      [CODEC_NONE, body.length],
      [2, body.length],
      [256 + CODEC_ZSTD, body.length],
    ] as const
  ) {
    assertThrows(
      () => unpack(packed, codec, length),
      DecodeError,
      undefined,
      `codec ${codec}, ${length} bytes`,
    );
  }
  // It holds what it claims, and that is too much.
  const long = new Uint8Array(COMPRESSED_BODY_BYTES_MAX + 1);
  assertThrows(
    () => unpack(compressZstd(long), CODEC_ZSTD, long.length),
    DecodeError,
    "trailer",
  );
  // It ends at the limit, not behind it.
  const { cause } = assertThrows(
    () => unpack(compressZstd(long), CODEC_ZSTD, 40_000),
    DecodeError,
  );
  assert(cause instanceof RangeError);
  // A window of 32 MiB would be needed to read it.
  const random = new Prng(2).fill(new Uint8Array(4 * 1024 * 1024));
  const windowed = zstdCompressSync(random.fill(1, 1000), {
    params: { [constants.ZSTD_c_windowLog]: 25 },
  });
  assertThrows(() => unpack(windowed, CODEC_ZSTD, random.length), DecodeError);
});

Deno.test("the largest value is compressed and read; a longer body is not compressed", () => {
  const random = new Prng(3);
  const body = new Uint8Array(COMPRESSED_BODY_BYTES_MAX);
  random.fill(body.subarray(0, 1000));
  const packed = pack(body);
  assert(packed !== undefined && packed.length < 100_000);
  const unpacked = unpack(packed, CODEC_ZSTD, body.length);
  assertEquals(unpacked.length, body.length);
  assertEquals(unpacked.subarray(0, 1000), body.subarray(0, 1000));
  assertEquals(pack(new Uint8Array(COMPRESSED_BODY_BYTES_MAX + 1)), undefined);
});

Deno.test("a feature that is not known is a newer version's", async () => {
  const { store, files } = await openFilled();
  await store.close();
  const [path] = tablesOf(files).keys();
  const node = files.disk.tree.find(path!);
  assert(node instanceof FileNode);
  const footer = node.view().subarray(node.size - FOOTER_BYTES);
  const view = new DataView(footer.buffer, footer.byteOffset);
  view.setUint32(4, FEATURE_ZSTD | 2, true);
  view.setUint32(52, crc32(footer.subarray(0, 52)), true);
  await assertRejects(() => openLsm(DIR, { files }), FormatVersionError, path);
});

Deno.test("a compressed block in a table that does not say so is damage", async () => {
  const { store, files } = await openFilled();
  await store.close();
  for (const path of tablesOf(files).keys()) {
    const node = files.disk.tree.find(path);
    assert(node instanceof FileNode);
    const footer = node.view().subarray(node.size - FOOTER_BYTES);
    const view = new DataView(footer.buffer, footer.byteOffset);
    view.setUint32(4, 0, true);
    view.setUint32(52, crc32(footer.subarray(0, 52)), true);
  }
  const opened = await openLsm(DIR, { files });
  assertThrows(() => opened.get(keyOf(0)), CorruptionError, "trailer");
  const { damages } = await opened.check();
  assert(damages.length > 0);
  await opened.close();
});
