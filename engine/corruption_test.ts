import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CorruptionError, FormatVersionError } from "../runtime/mod.ts";
import { crc32 } from "../runtime/mod.ts";
import { type DiskImage, Prng } from "../runtime/virtual/mod.ts";
import { FileNode } from "../runtime/file_tree.ts";
import { DiskState } from "../runtime/virtual/disk_state.ts";
import { frameChecksum, frameLength } from "./log/frame.ts";
import { type LsmOptions, openLsm } from "./mod.ts";
import { FEATURE_ZSTD, FOOTER_BYTES } from "./table/format.ts";
import { withAllocationsUpTo } from "./testing/allocations.ts";
import { sampled } from "./testing/effort.ts";
import { batchOf, prefixOf, TINY } from "./testing/history.ts";
import { StepFiles } from "./testing/step_files.ts";

const DIR = "store";
const BATCHES = 14;

/** A small store with every kind of file, closed cleanly or killed. */
async function makeStore(
  close: boolean,
  options: Partial<LsmOptions> = {},
): Promise<DiskImage> {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files, ...options });
  for (let i = 1; i <= BATCHES; i++) {
    await store.write(batchOf(i), { sync: true });
    if (i === 6) await store.flush();
  }
  await store.idle();
  if (close) await store.close();
  const image = files.disk.image();
  const kinds = [...image.files.keys()].map((path) => path.slice(-4)).sort();
  assert(kinds.includes(".sst") && kinds.includes(".wal"), String(kinds));
  return image;
}

/** What a chunk of a memtable takes; no small store needs more at once. */
const ALLOCATION_MAX = 512 * 1024;

function countIn(image: DiskImage): Promise<number> {
  return withAllocationsUpTo(ALLOCATION_MAX, async () => {
    const files = new StepFiles(new DiskState(image));
    const store = await openLsm(DIR, { ...TINY, files });
    try {
      return await prefixOf(store);
    } finally {
      await store.close();
    }
  });
}

/** The error must say in which file, and where in it. */
function expectCorruption(
  error: unknown,
  image: DiskImage,
  what: string,
): number {
  assert(error instanceof CorruptionError, `${what}: ${error}`);
  const { path, offset } = error;
  // A file that is missing is so from its first byte on.
  const size = image.files.get(path)?.length ?? 0;
  assert(
    path.startsWith(`${DIR}/`) && offset >= 0 && offset <= size,
    `${what}: at byte ${offset} of "${path}"`,
  );
  return BATCHES;
}

function altered(
  image: DiskImage,
  path: string,
  alter: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>,
): DiskImage {
  const files = new Map(image.files);
  files.set(path, alter(files.get(path)!.slice()));
  return { ...image, files };
}

function without(image: DiskImage, path: string): DiskImage {
  const files = new Map(image.files);
  assert(files.delete(path), path);
  return { ...image, files };
}

function pathsOf(image: DiskImage, pattern: RegExp): string[] {
  return [...image.files.keys()].filter((path) => pattern.test(path)).sort();
}

/** Flips bytes of each file, one at a time. */
async function flipAll(
  image: DiskImage,
  files: [string, Uint8Array][] = [...image.files],
): Promise<void> {
  const random = new Prng(1);
  for (const [path, bytes] of files) {
    for (
      let at = random.below(sampled(3));
      at < bytes.length;
      at += sampled(3)
    ) {
      const flipped = altered(image, path, (copy) => {
        copy[at]! ^= 1 << random.below(8);
        return copy;
      });
      const what = `${path} at ${at}`;
      const count = await countIn(flipped).catch((error) =>
        expectCorruption(error, image, what)
      );
      assertEquals(count, BATCHES, what);
    }
  }
}

Deno.test("any flipped byte of a closed store gives the right data or a CorruptionError", async () => {
  await flipAll(await makeStore(true));
});

Deno.test("any flipped byte of a compressed table gives the right data or a CorruptionError", async () => {
  const image = await makeStore(true, { compression: "zstd" });
  const compressed = [...image.files].filter(([path, bytes]) =>
    path.endsWith(".sst") &&
    (new DataView(bytes.buffer).getUint32(
        bytes.length - FOOTER_BYTES + 4,
        true,
      ) &
        FEATURE_ZSTD) !== 0
  );
  assert(compressed.length > 0);
  await flipAll(image, compressed);
});

Deno.test("any flipped byte of a killed store gives a prefix or a CorruptionError", async () => {
  const image = await makeStore(false);
  const random = new Prng(2);
  for (const [path, bytes] of image.files) {
    for (let at = 0; at < bytes.length; at += 1 + random.below(sampled(5))) {
      const flipped = altered(image, path, (copy) => {
        copy[at]! ^= 1 << random.below(8);
        return copy;
      });
      const count = await countIn(flipped).catch((error) =>
        expectCorruption(error, image, `${path} at ${at}`)
      );
      // Only what was written last can pass for torn.
      assert(count >= BATCHES - 1, `${path} at ${at}: ${count}`);
    }
  }
});

Deno.test("any file of a closed store cut anywhere gives the right data or a CorruptionError", async () => {
  const image = await makeStore(true);
  for (const [path, bytes] of image.files) {
    for (let size = 0; size < bytes.length; size += sampled(5)) {
      const count = await countIn(
        altered(image, path, (copy) => copy.slice(0, size)),
      ).catch((error) =>
        expectCorruption(error, image, `${path} cut to ${size}`)
      );
      assertEquals(count, BATCHES, `${path} cut to ${size}`);
    }
  }
});

Deno.test("a torn value that looks like frames is cut like any other", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files });
  await store.write(batchOf(1), { sync: true });
  // At every place of the grid the head of a frame of this log: each word pair
  // is a log's id and, with the kind in its low byte, a length.
  const value = new Uint8Array(400_000);
  const view = new DataView(value.buffer);
  for (let at = 0; at < value.length; at += 8) {
    view.setUint32(at, 1, true);
    view.setUint32(at + 4, 0x3_0001, true);
  }
  // A key of two bytes puts the value on the grid.
  await store.write([{ key: new Uint8Array(2), value }]);
  const image = files.disk.image();
  const [wal] = pathsOf(image, /wal$/);
  const torn = altered(image, wal!, (copy) => copy.slice(0, -64));
  assertEquals(await countIn(torn), 1);
  await store.close();
});

Deno.test("an iterator that met damage does not go on behind it", async () => {
  for (const reverse of [false, true]) {
    const files = new StepFiles();
    const options = { ...TINY, cacheBytes: 0, tableBytes: 10_000 };
    const store = await openLsm(DIR, { ...options, files });
    for (let i = 0; i < 20; i++) {
      const key = new Uint8Array([i]);
      await store.write([{ key, value: new Uint8Array(100) }]);
    }
    await store.flush();
    await store.idle();
    const table = [...files.disk.image().files.keys()]
      .find((path) => path.endsWith(".sst"))!;
    const node = files.disk.tree.find(table);
    assert(node instanceof FileNode);
    const iterator = store.iterate({ reverse });
    assert(iterator.next());
    node.view()[node.size >> 1]! ^= 1;
    const rest = () => {
      while (iterator.next());
    };
    assertThrows(rest, CorruptionError);
    assertThrows(rest, CorruptionError);
    await store.close();
  }
});

Deno.test("any missing file of a killed store is a CorruptionError", async () => {
  const image = await makeStore(false);
  for (const path of pathsOf(image, /sst$|wal$|MANIFEST|CURRENT$/)) {
    await assertRejects(
      () => countIn(without(image, path)),
      CorruptionError,
      path.includes("CURRENT") ? "CURRENT" : path,
    );
  }
});

Deno.test("a torn tail of a killed store's last log is cut and reported", async () => {
  const image = await makeStore(false);
  const last = pathsOf(image, /wal$/).at(-1)!;
  // The log was synced, so it has room, which is no torn tail; this is one in it.
  const bytes = image.files.get(last)!;
  const end = Math.ceil((bytes.findLastIndex((byte) => byte !== 0) + 1) / 8) *
    8;
  assert(bytes.length > end + 21);
  const torn = altered(image, last, (bytes) => bytes.fill(0x5a, end, end + 21));
  let tornBytes = 0;
  const files = new StepFiles(new DiskState(torn));
  const store = await openLsm(DIR, {
    ...TINY,
    files,
    onEvent(event) {
      if (event.type === "opened") tornBytes = event.tornBytes;
    },
  });
  assertEquals(tornBytes, 21);
  assertEquals(await prefixOf(store), BATCHES);
  await store.close();
  assertEquals(await countIn(files.disk.image()), BATCHES);
});

Deno.test("damage before synced frames is not taken for a torn tail", async () => {
  const image = await makeStore(false);
  const last = pathsOf(image, /wal$/).at(-1)!;
  const damaged = altered(image, last, (bytes) => {
    bytes[frameLength(34) + 30]! ^= 1;
    return bytes;
  });
  const error = await assertRejects(() => countIn(damaged), CorruptionError);
  assertEquals([error.path, error.offset], [last, frameLength(34)]);
});

Deno.test("a newer format version in any file is a FormatVersionError", async () => {
  const image = await makeStore(true);
  // HEADER and CURRENT start a file; the version starts their payload.
  for (const path of pathsOf(image, /wal$|MANIFEST|CURRENT$/)) {
    const newer = altered(image, path, (bytes) => {
      const view = new DataView(bytes.buffer);
      view.setUint32(24, 2, true);
      const frame = bytes.subarray(0, frameLength(view.getUint32(4, true)));
      view.setUint32(0, frameChecksum(frame, 0), true);
      return bytes;
    });
    const error = await assertRejects(() => countIn(newer), FormatVersionError);
    assertEquals([error.path, error.found, error.supported], [path, 2, 1]);
  }
  for (const field of [0, 4]) {
    const path = pathsOf(image, /sst$/)[0]!;
    const newer = altered(image, path, (bytes) => {
      const view = new DataView(bytes.buffer, bytes.length - FOOTER_BYTES);
      view.setUint32(field, 2, true);
      const covered = bytes.subarray(bytes.length - FOOTER_BYTES).subarray(
        0,
        52,
      );
      view.setUint32(52, crc32(covered), true);
      return bytes;
    });
    await assertRejects(() => countIn(newer), FormatVersionError, path);
  }
});

Deno.test("a table, log or MANIFEST of another store is refused", async () => {
  const image = await makeStore(true);
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files, random: new Prng(3) });
  for (let i = 1; i <= BATCHES; i++) {
    await store.write(batchOf(i), { sync: true });
    if (i === 6) await store.flush();
  }
  await store.idle();
  await store.close();
  const other = files.disk.image();
  for (const path of pathsOf(image, /sst$|wal$|MANIFEST/)) {
    const foreign = other.files.get(path);
    if (foreign === undefined) continue;
    await assertRejects(
      () => countIn(altered(image, path, () => foreign)),
      CorruptionError,
    );
  }
});

Deno.test("a log that has lost its end, though another follows it, is a CorruptionError", async () => {
  // Two lives that were killed, the second before it wrote anything.
  const files = new StepFiles();
  const first = await openLsm(DIR, { files });
  for (let i = 1; i <= 3; i++) await first.write(batchOf(i));
  const killed = new StepFiles(files.disk.crash("kept", new Prng(1)));
  await openLsm(DIR, { files: killed });
  const image = killed.disk.image();
  const path = `${DIR}/000001.wal`;
  const size = image.files.get(path)!.length;
  assertEquals(await countIn(image), 3);
  for (const cut of [1, 8, frameLength(14), size - frameLength(34)]) {
    await assertRejects(
      () =>
        countIn(altered(image, path, (bytes) => bytes.slice(0, size - cut))),
      CorruptionError,
      path,
    );
  }
});
