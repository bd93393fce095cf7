/**
 * Bytes that nobody wrote, behind checksums that are right: what a decoder is
 * given is what its checksum let through, so each is tried behind it.
 *
 * Judged: every call gives something or a typed error that names the file and
 * the offset, in bounded steps, and no length is believed before it is compared
 * with what there is. What is read is not judged: with the checksum right, nobody
 * can know that it is wrong.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import {
  CorruptionError,
  crc32,
  DecodeError,
  FormatVersionError,
  PoisonedError,
  toBytes,
} from "../runtime/mod.ts";
import { type DiskImage, Prng } from "../runtime/virtual/mod.ts";
import { DiskState } from "../runtime/virtual/disk_state.ts";
import {
  decodeHeader,
  encodeHeader,
  finishFrame,
  FRAME_HEADER_BYTES,
  frameChecksum,
  FrameKind,
  frameLength,
} from "./log/frame.ts";
import { LogReader } from "./log/reader.ts";
import { decodeEdit, encodeEdit, type VersionEdit } from "./manifest/edit.ts";
import { Manifest } from "./manifest/manifest.ts";
import { checkLsm, describeLsm, type Lsm, openLsm, repairLsm } from "./mod.ts";
import {
  CODEC_ZSTD,
  COMPRESSED_BODY_BYTES_MAX,
  type Compression,
} from "./table/codec.ts";
import { Filter, FilterBuilder, hashKey } from "./table/filter.ts";
import {
  blockChecksum,
  type BlockHandle,
  FOOTER_BYTES,
  handleAt,
  TRAILER_BYTES,
} from "./table/format.ts";
import { tableSetOf } from "./testing/table_set.ts";
import { Table } from "./table/table.ts";
import { decodeProperties } from "./table/table_writer.ts";
import { withAllocationsUpTo } from "./testing/allocations.ts";
import { times } from "./testing/effort.ts";
import { batchOf, TINY } from "./testing/history.ts";
import {
  mutate,
  mutated,
  type Mutation,
  mutations,
} from "./testing/mutations.ts";
import { StepFiles } from "./testing/step_files.ts";
import { decodeBatches, encodeBatch, measureBatch } from "./wal/batch.ts";

const DIR = "store";

/** The most that these small stores may ask for at once: a chunk of a memtable. */
const ALLOCATION_MAX = 512 * 1024;

/** More than any of these stores can hold. */
const ENTRIES_MAX = 20_000;

/** Tries `decode` on harmed bytes; it must give something or a DecodeError. */
async function fuzzDecoder(
  valid: Uint8Array,
  decode: (bytes: Uint8Array) => unknown,
): Promise<void> {
  decode(valid.slice());
  let refused = 0;
  const property = fc.property(
    mutations,
    fc.oneof(fc.constant(0), fc.integer({ min: -valid.length, max: 40 })),
    (harm, lengthen) => {
      try {
        decode(mutated(valid, harm, lengthen));
      } catch (error) {
        if (
          !(error instanceof DecodeError || error instanceof FormatVersionError)
        ) throw error;
        refused++;
      }
    },
  );
  await withAllocationsUpTo(
    ALLOCATION_MAX,
    () => fc.assert(property, { seed: 1, numRuns: times(1000, 50_000) }),
  );
  assert(refused > 50, `only ${refused} were refused`);
}

function bytesOfBatches(): Uint8Array {
  const batches = [batchOf(3), batchOf(4)];
  const bytes = new Uint8Array(
    batches.reduce((sum, batch) => sum + measureBatch(batch), 0),
  );
  let at = 0;
  let seq = 9;
  for (const batch of batches) {
    at = encodeBatch(bytes, at, batch, seq);
    seq += batch.length;
  }
  return bytes;
}

function bytesOfProperties(): Uint8Array {
  const field = (tag: number, ...bytes: number[]) => [
    tag,
    0,
    bytes.length,
    0,
    0,
    0,
    ...bytes,
  ];
  return new Uint8Array(
    [1, 2, 3, 4, 5, 6, 7, 8].flatMap((tag) => field(tag, 1, 2, 0, 0, 0, 0)),
  );
}

function bytesOfFilter(): Uint8Array {
  const builder = new FilterBuilder();
  for (let i = 0; i < 100; i++) builder.add(hashKey(toBytes(`key ${i}`)));
  return builder.finish(0);
}

const DECODERS: Record<string, [Uint8Array, (bytes: Uint8Array) => unknown]> = {
  "batches": [
    bytesOfBatches(),
    (bytes) =>
      decodeBatches(bytes, 2, 9, (_, key, value) => {
        assert(key.length > 0 && (value?.length ?? 0) <= bytes.length);
      }),
  ],
  "a version edit": [
    encodeEdit({
      nextNumber: 10,
      lastSeq: 8,
      firstWal: 4,
      lastWal: 5,
      closedWal: { id: 5, length: 72, chain: 7 },
      added: [{
        level: 1,
        info: {
          number: 9,
          size: 500,
          rows: 3,
          tombstones: 1,
          minSeq: 1,
          maxSeq: 7,
          minKey: toBytes("a"),
          maxKey: toBytes("zz"),
        },
      }],
      dropped: [{ level: 0, number: 8 }],
    }),
    decodeEdit,
  ],
  "a log's header": [
    encodeHeader({
      storeId: new Uint8Array(16),
      previous: { id: 6, length: 64, chain: 7 },
    }),
    (bytes) => decodeHeader(bytes, "wal"),
  ],
  "a table's properties": [bytesOfProperties(), decodeProperties],
  "a filter": [bytesOfFilter(), (bytes) => {
    const filter = new Filter(bytes);
    for (let i = 0; i < 20; i++) filter.mayHold(hashKey(toBytes(`key ${i}`)));
  }],
};

for (const [name, [valid, decode]] of Object.entries(DECODERS)) {
  Deno.test(`harmed bytes of ${name} decode, or are refused`, () =>
    fuzzDecoder(valid, decode));
}

Deno.test("harmed frames are never taken for frames, and the reader comes to an end", async () => {
  const image = await makeStore();
  const logs = [...image.files].filter(([path]) => /wal$|MANIFEST/.test(path));
  const property = fc.property(
    fc.nat(),
    mutations,
    fc.oneof(fc.constant(0), fc.integer({ min: -200, max: 40 })),
    (pick, harm, lengthen) => {
      const [path, valid] = logs[pick % logs.length]!;
      const bytes = mutated(valid, harm, lengthen);
      const files = filesOf({ ...image, files: new Map([[path, bytes]]) });
      using file = files.open(path, { mode: "read" });
      const reader = new LogReader(file, path, Number(/\d+/.exec(path)![0]));
      try {
        for (let frame = reader.next(); frame; frame = reader.next()) {
          const { offset, end } = frame;
          assertEquals(bytes.slice(offset, end), valid.slice(offset, end));
        }
      } catch (error) {
        expectTyped(error);
      }
      // After damage, as a repair goes on.
      for (let n = 0; reader.resume(); n++) assert(n < bytes.length);
    },
  );
  await withAllocationsUpTo(
    ALLOCATION_MAX,
    () => fc.assert(property, { seed: 1, numRuns: times(500, 20_000) }),
  );
});

/** A small store with every kind of file, of a process that was killed. */
async function makeStore(
  compression: Compression = "none",
): Promise<DiskImage> {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, compression, files });
  for (let i = 1; i <= 14; i++) {
    await store.write(batchOf(i), { sync: true });
    if (i === 8) {
      const value = toBytes("repeated ".repeat(40));
      await store.write([{ key: toBytes("key5"), value }]);
      await store.compact();
    }
  }
  await store.idle();
  return files.disk.crash("kept", new Prng(1)).image();
}

function filesOf(image: DiskImage): StepFiles {
  return new StepFiles(new DiskState(image));
}

/** A part of a file that has a checksum of its own. */
interface Unit extends BlockHandle {
  path: string;
  kind: string;
  /** Makes the checksum fit what stands in `file`. */
  fix: (file: Uint8Array) => void;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The frames of a log. */
function framesOf(path: string, bytes: Uint8Array): Unit[] {
  const kind = /CURRENT|MANIFEST|wal/.exec(path)![0];
  const units: Unit[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const length = frameLength(viewOf(bytes).getUint32(offset + 4, true));
    const at = offset;
    units.push({
      path,
      kind,
      offset,
      length,
      fix: (file) => {
        const payload = viewOf(file).getUint32(at + 4, true);
        const end = at + frameLength(payload);
        if (end > file.length) return;
        const frame = file.subarray(at, end);
        viewOf(frame).setUint32(0, frameChecksum(frame, at), true);
      },
    });
    offset += length;
  }
  return units;
}

/** The stored blocks of a table, and its footer. */
function blocksOf(
  files: StepFiles,
  path: string,
  number: number,
  size: number,
): Unit[] {
  const set = tableSetOf(files, DIR);
  const empty = new Uint8Array(0);
  const table = new Table(set, {
    number,
    size,
    rows: 0,
    tombstones: 0,
    minSeq: 0,
    maxSeq: 0,
    minKey: empty,
    maxKey: empty,
  }, path);
  const block = (kind: string, { offset, length }: BlockHandle): Unit => ({
    path,
    kind,
    offset,
    length,
    fix: (file) => {
      const stored = file.subarray(offset, offset + length);
      const crc = blockChecksum(stored, number, offset);
      viewOf(stored).setUint32(length - 4, crc, true);
    },
  });
  const { filter, properties, index } = table.footer();
  const rows = table.index();
  const units = [
    block("filter", filter),
    block("properties", properties),
    block("index", index),
    {
      path,
      kind: "footer",
      offset: size - FOOTER_BYTES,
      length: FOOTER_BYTES,
      fix: (file: Uint8Array) => {
        const footer = file.subarray(file.length - FOOTER_BYTES);
        viewOf(footer).setUint32(52, crc32(footer.subarray(0, 52)), true);
      },
    },
  ];
  for (let row = 0; row < rows.rows; row++) {
    units.push(block("data", handleAt(rows.bytes, rows.valueAt(row))));
  }
  set.handles.closeAll();
  return units;
}

/** Units by their kind, so that each kind is tried as often. */
function unitsOf(image: DiskImage): Unit[][] {
  const byKind = new Map<string, Unit[]>();
  for (const [path, bytes] of image.files) {
    const name = path.slice(path.lastIndexOf("/") + 1);
    const units = name.endsWith(".sst")
      ? blocksOf(filesOf(image), path, Number(name.slice(0, 6)), bytes.length)
      : /CURRENT|MANIFEST|wal$/.test(name)
      ? framesOf(path, bytes)
      : [];
    for (const unit of units) {
      byKind.set(unit.kind, [...byKind.get(unit.kind) ?? [], unit]);
    }
  }
  return [...byKind.values()];
}

/** Harms a unit behind its checksum. */
function harmed(
  image: DiskImage,
  unit: Unit,
  harm: readonly Mutation[],
): DiskImage {
  const { path, offset, length, fix } = unit;
  const bytes = image.files.get(path)!.slice();
  mutate(bytes.subarray(offset, offset + length), harm);
  fix(bytes);
  return { ...image, files: new Map([...image.files, [path, bytes]]) };
}

function expectTyped(error: unknown): void {
  const typed = error instanceof FormatVersionError ||
    error instanceof PoisonedError ||
    (error instanceof CorruptionError && Number.isSafeInteger(error.offset) &&
      error.offset >= 0 && error.path !== "");
  if (!typed) throw error;
}

/** Does something that may fail, but only as it should. */
async function attempt<T>(
  doing: () => T | Promise<T>,
): Promise<T | undefined> {
  try {
    return await doing();
  } catch (error) {
    expectTyped(error);
    return undefined;
  }
}

async function readAll(store: Lsm): Promise<void> {
  const keys: Uint8Array[] = [];
  for (const reverse of [false, true]) {
    await attempt(() => {
      using iterator = store.iterate({ reverse });
      for (let n = 0; iterator.next(); n++) {
        if (n > ENTRIES_MAX) throw new Error("the iterator does not end");
        keys.push(iterator.key);
        void iterator.value;
      }
    });
  }
  for (const key of [...keys, toBytes("count"), toBytes("key3")]) {
    await attempt(() => store.get(key));
  }
  await attempt(() => store.count({ prefix: toBytes("key") }));
  await attempt(() => store.approximateSize({ start: toBytes("key3") }));
}

/** Opens, reads, checks, writes on and repairs what is left. */
async function exercise(image: DiskImage): Promise<void> {
  const reading = await attempt(() =>
    openLsm(DIR, { ...TINY, files: filesOf(image), readOnly: true })
  );
  if (reading !== undefined) {
    await readAll(reading);
    await reading.close();
  }
  await attempt(() => checkLsm(DIR, { files: filesOf(image) }));
  await attempt(() => describeLsm(DIR, { files: filesOf(image) }));
  const files = filesOf(image);
  const store = await attempt(() => openLsm(DIR, { ...TINY, files }));
  if (store !== undefined) {
    await readAll(store);
    await attempt(() => store.check());
    await attempt(() => store.write(batchOf(99)));
    await attempt(() => store.compact());
    await attempt(() => store.idle());
    await attempt(() => store.close());
  }
  const repaired = filesOf(image);
  const report = await attempt(() => repairLsm(DIR, { files: repaired }));
  if (report === undefined) return;
  // Nothing of what was harmed is left in it.
  const again = await openLsm(DIR, { ...TINY, files: repaired });
  assertEquals((await again.check()).damages, []);
  using iterator = again.iterate();
  while (iterator.next()) void iterator.value;
  await again.close();
}

for (const compression of ["none", "zstd"] as const) {
  Deno.test(`a store of which anything is harmed behind its checksum, compression ${compression}, serves, or says what is broken, and can be repaired`, async () => {
    const image = await makeStore(compression);
    const units = unitsOf(image);
    assertEquals(units.length, 8);
    const compressed = units.flat().some(({ path, offset, length }) => {
      const codec = image.files.get(path)![offset + length - TRAILER_BYTES];
      return path.endsWith(".sst") && codec === CODEC_ZSTD;
    });
    assertEquals(compressed, compression === "zstd");
    const property = fc.asyncProperty(
      fc.nat(),
      fc.nat(),
      mutations,
      async (kind, which, harm) => {
        const of = units[kind % units.length]!;
        await exercise(harmed(image, of[which % of.length]!, harm));
      },
    );
    // A trailer may claim as much as the largest block has.
    const max = compressed ? COMPRESSED_BODY_BYTES_MAX + 4096 : ALLOCATION_MAX;
    await withAllocationsUpTo(
      max,
      () => fc.assert(property, { seed: 1, numRuns: times(100, 10_000) }),
    );
  });
}

Deno.test("a block whose rows are out of order, its checksum right, is left out by a repair and named", async () => {
  const image = await makeStore();
  const block = unitsOf(image).flat().find(({ kind }) => kind === "data")!;
  const disorder = /^row \d+ is out of order$/;
  let found = 0;
  for (let at = 0; at < block.length && found < 3; at++) {
    const broken = harmed(image, block, [{ at, width: 1, value: 8 }]);
    const { damages } = await checkLsm(DIR, { files: filesOf(broken) });
    if (!damages.some(({ what }) => disorder.test(what))) continue;
    found++;
    const files = filesOf(broken);
    const { lost } = await repairLsm(DIR, { files });
    assert(lost.some(({ what }) => disorder.test(what)), `byte ${at}`);
    assertEquals((await checkLsm(DIR, { files })).damages, [], `byte ${at}`);
  }
  assert(found > 0);
});

/** Adds an edit to a store's MANIFEST, as if it had been written. */
function withEdit(image: DiskImage, edit: VersionEdit): DiskImage {
  const path = `${DIR}/MANIFEST-000001`;
  const manifest = image.files.get(path)!;
  const payload = encodeEdit(edit);
  const frame = new Uint8Array(frameLength(payload.length));
  frame.set(payload, FRAME_HEADER_BYTES);
  finishFrame(frame, manifest.length, {
    logId: 1,
    kind: FrameKind.data,
    batches: 0,
    syncedTo: manifest.length,
    payloadLength: payload.length,
  });
  const bytes = new Uint8Array(manifest.length + frame.length);
  bytes.set(manifest);
  bytes.set(frame, manifest.length);
  return { ...image, files: new Map([...image.files, [path, bytes]]) };
}

Deno.test("a MANIFEST that names billions of logs, or a table of terabytes, is refused at once, and repaired", async () => {
  const image = await makeStore();
  const manifest = Manifest.view({ files: filesOf(image), dir: DIR });
  manifest.close();
  const level = [0, 1, 2, 3].find((each) =>
    manifest.state.tables(each).length > 0
  )!;
  const [info] = manifest.state.tables(level);
  for (
    const edit of [
      { lastWal: 0xffff_ffff },
      {
        dropped: [{ level, number: info!.number }],
        added: [{ level, info: { ...info!, size: 2 ** 42 } }],
      },
    ]
  ) {
    const broken = withEdit(image, edit);
    await assertRejects(
      () => openLsm(DIR, { ...TINY, files: filesOf(broken) }),
      CorruptionError,
    );
    const { damages } = await checkLsm(DIR, { files: filesOf(broken) });
    assert(damages.length > 0);
    await withAllocationsUpTo(ALLOCATION_MAX, () => exercise(broken));
  }
});
