/**
 * Devices that are full, slow, or do not give what is asked of them. What is
 * read is right or an error says so, and what was acknowledged is there once the
 * device works again.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CorruptionError,
  type FileOptions,
  PoisonedError,
  type RuntimeFile,
  StorageError,
  toBytes,
  toText,
} from "../runtime/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { DiskState } from "../runtime/virtual/disk_state.ts";
import { type Lsm, openLsm } from "./mod.ts";
import { sampled } from "./testing/effort.ts";
import { batchOf, contentOf, prefixOf, TINY } from "./testing/history.ts";
import { StepFiles } from "./testing/step_files.ts";

const DIR = "store";
const BATCHES = 24;
/** Every block is read anew each time. */
const UNCACHED = { ...TINY, cacheBytes: 0, openFilesMax: 1 };

/** What a device may do instead of a read or an append. */
interface Manners {
  append?: (data: Uint8Array) => Uint8Array;
  read?: (buffer: Uint8Array) => Uint8Array;
}

/** Files of a device with manners of its own. */
class MannersFiles extends StepFiles {
  constructor(readonly manners: Manners, disk = new DiskState()) {
    super(disk);
  }

  override open(path: string, options: FileOptions): RuntimeFile {
    const file = super.open(path, options);
    const { manners } = this;
    const append = file.append.bind(file);
    const readAt = file.readAt.bind(file);
    file.append = (data) => {
      const taken = manners.append?.(data) ?? data;
      append(taken);
      if (taken.length === data.length) return;
      throw new StorageError("append to", path, "no space is left");
    };
    file.readAt = (buffer, position) =>
      readAt(manners.read?.(buffer) ?? buffer, position);
    return file;
  }
}

/** Takes `room` bytes, also of what does not fit whole. */
function fullAfter(room: number): Manners {
  return {
    append(data) {
      const taken = data.subarray(0, room);
      room -= taken.length;
      return taken;
    },
  };
}

/** Writes until something fails; says what was acknowledged. */
async function writeOn(
  files: StepFiles,
): Promise<{ acked: number; store: Lsm | undefined; error: unknown }> {
  let acked = 0;
  let store: Lsm | undefined;
  try {
    store = await openLsm(DIR, { ...UNCACHED, files });
    for (let i = 1; i <= BATCHES; i++) {
      await store.write(batchOf(i), { sync: i % 3 === 0 });
      acked = i;
    }
    await store.flush();
    await store.compact();
    return { acked, store, error: undefined };
  } catch (error) {
    return { acked, store, error };
  }
}

/** What a process that ended without a close has left, opened in good times. */
async function expectPrefix(
  files: StepFiles,
  least: number,
  what: string,
): Promise<void> {
  const disk = files.disk.crash("kept", new Prng(1));
  const store = await openLsm(DIR, { ...TINY, files: new StepFiles(disk) });
  const count = await prefixOf(store);
  assert(count >= least, `${what}: ${count} of ${least} acked batches`);
  await store.close();
}

function expectFault(error: unknown, what: string): void {
  const fault = error instanceof StorageError || error instanceof PoisonedError;
  assert(fault, `${what}: ${error}`);
}

Deno.test("however much a device has room for, what was acked is there, is read on, and opens once there is room", async () => {
  let appended = 0;
  const counting = new MannersFiles({
    append: (data) => (appended += data.length, data),
  });
  assertEquals((await writeOn(counting)).error, undefined);
  let full = 0;
  for (let room = 0; room < appended; room += 29 * sampled(7)) {
    const what = `room for ${room} bytes`;
    const files = new MannersFiles(fullAfter(room));
    const { acked, store, error } = await writeOn(files);
    expectFault(error, what);
    full++;
    if (store !== undefined) {
      assert(await prefixOf(store) >= acked, what);
      await assertRejects(() => store.write(batchOf(1)), PoisonedError);
    }
    // Also if somebody tries while there is none.
    const again = new MannersFiles(
      fullAfter(0),
      files.disk.crash("kept", new Prng(2)),
    );
    await openLsm(DIR, { ...TINY, files: again }).then(
      () => assert(false, "an open has nothing to write"),
      (error) => expectFault(error, what),
    );
    await expectPrefix(again, acked, what);
  }
  assert(full > 20, `only ${full} devices were full`);
});

for (const forGood of [false, true]) {
  for (const short of [false, true]) {
    const how = `${short ? "gives too little" : "fails"}${
      forGood ? " for good" : ""
    }`;
    Deno.test(`whichever read ${how}, what is read is right or an error, and nothing is lost`, async () => {
      let failed = 0;
      for (let at = 0;; at += sampled(7)) {
        let asked = 0;
        const files = new MannersFiles({
          read(buffer) {
            const hit = forGood ? asked >= at : asked === at;
            asked++;
            if (!hit || buffer.length === 0) return buffer;
            if (short) return buffer.subarray(0, buffer.length >> 1);
            throw new StorageError("read", "a file", "the device failed");
          },
        });
        const what = `read ${at}`;
        const { acked, store, error } = await writeOn(files);
        const tolerated = (error: unknown) => {
          if (short && error instanceof CorruptionError) return;
          expectFault(error, what);
        };
        if (error !== undefined) tolerated(error);
        if (store !== undefined) {
          // Once more, when what failed once is over.
          for (let round = 0; round < 2; round++) {
            try {
              await contentOf(store);
              assert(await prefixOf(store) >= acked, what);
            } catch (error) {
              tolerated(error);
              failed++;
            }
          }
        }
        await expectPrefix(files, acked, what);
        if (asked <= at) break;
      }
      assert(failed > 2, `only ${failed} reads failed`);
    });
  }
}

Deno.test("while a sync takes its time, reads go on, nothing is acked, and writers share the next", async () => {
  const gate = Promise.withResolvers<void>();
  let held = 0;
  let armed = false;
  const files = new class extends StepFiles {
    override async sync(path: string, begin: () => () => void): Promise<void> {
      if (armed && path.endsWith(".wal")) {
        held++;
        await gate.promise;
      }
      await super.sync(path, begin);
    }
  }();
  const store = await openLsm(DIR, { files });
  await store.write(batchOf(1), { sync: true });
  using snapshot = store.snapshot();
  armed = true;
  let acked = 0;
  const writes = Array.from(
    { length: 50 },
    (_, i) =>
      store.write(batchOf(i + 2), { sync: true }).then(() => void acked++),
  );
  for (let turn = 0; turn < 200; turn++) {
    await undefined;
    assertEquals(toText(store.get(toBytes("count"))!), "1");
    assertEquals(await prefixOf(store), 1);
  }
  assertEquals([acked, held], [0, 2]);
  armed = false;
  const before = files.syncs;
  gate.resolve();
  await Promise.all(writes);
  assertEquals(await prefixOf(store), 51);
  assertEquals(toText(snapshot.get(toBytes("count"))!), "1");
  // Of those that the device was given at once, and of all that came meanwhile.
  assert(files.syncs - before <= 2, `${files.syncs - before} syncs`);
  await store.close();
});
