import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  AspenError,
  FormatVersionError,
  LockedError,
  StorageError,
  toText,
} from "../../runtime/mod.ts";
import { DiskState } from "../../runtime/virtual/disk_state.ts";
import { type DiskImage, Prng } from "../../runtime/virtual/mod.ts";
import { FOOTER_BYTES } from "../table/format.ts";
import { crc32 } from "../../runtime/mod.ts";
import { checkLsm, openLsm, repairLsm, type RepairReport } from "../mod.ts";
import { sampled } from "../testing/effort.ts";
import { batchOf, contentOf, stateAfter, TINY } from "../testing/history.ts";
import { StepFiles } from "../testing/step_files.ts";

const DIR = "store";
const BATCHES = 30;

async function makeStore(close: boolean): Promise<DiskImage> {
  const files = new StepFiles();
  const store = await openLsm(DIR, { ...TINY, files, random: new Prng(8) });
  for (let i = 1; i <= BATCHES; i++) {
    await store.write(batchOf(i), { sync: true });
  }
  await store.idle();
  if (close) await store.close();
  return files.disk.image();
}

function filesOf(
  image: DiskImage,
  alter: (files: Map<string, Uint8Array<ArrayBuffer>>) => void,
): StepFiles {
  const files = new Map([...image.files].map(([path, bytes]) => [
    path,
    bytes.slice(),
  ]));
  alter(files);
  return new StepFiles(new DiskState({ ...image, files }));
}

/** Each value that a key was ever given. */
const everWritten = new Map<string, Set<string>>();
for (let i = 1; i <= BATCHES; i++) {
  for (const { key, value } of batchOf(i)) {
    if (value === undefined) continue;
    const values = everWritten.get(toText(key)) ?? new Set();
    everWritten.set(toText(key), values.add(toText(value)));
  }
}

const newest = new Map(
  stateAfter(BATCHES).split(" ").map((pair) =>
    pair.split("=") as [string, string]
  ),
);

/** Repairs, opens, and judges what there is. */
async function repairAndJudge(
  files: StepFiles,
  what: string,
  { inRoom = false } = {},
): Promise<{ report: RepairReport; content: string }> {
  const before = files.disk.image();
  const report = await repairLsm(DIR, { files });
  // Nothing that there was is gone.
  const after = files.disk.image();
  for (const [path, bytes] of before.files) {
    if (path.endsWith("LOCK")) continue;
    const aside = path.includes("/lost/")
      ? path
      : path.replace(DIR, report.setAside);
    assertEquals(after.files.get(aside), bytes, `${what}: ${aside}`);
  }
  assertEquals((await checkLsm(DIR, { files })).damages, [], what);
  const store = await openLsm(DIR, { ...TINY, files });
  const content = await contentOf(store);
  await store.write(batchOf(1), { sync: true });
  await store.close();
  for (const pair of content === "" ? [] : content.split(" ")) {
    const [key, value] = pair.split("=") as [string, string];
    assert(everWritten.get(key)?.has(value), `${what}: ${pair} is made up`);
    if (!report.mayBeStale && report.tornBytes === 0) {
      assertEquals(value, newest.get(key), `${what}: ${key} is old`);
    }
  }
  if (!report.mayBeStale) {
    // As after a crash: a write that nobody can tell from a torn one is gone. In
    // the room of a log there was none.
    const torn = report.tornBytes > 0 && !inRoom;
    const whole = stateAfter(BATCHES);
    if (torn) assertEquals(content, stateAfter(BATCHES - 1), what);
    else assertEquals(content, whole, `${what}: silent loss`);
  }
  return { report, content };
}

for (const close of [true, false]) {
  Deno.test(`the repair of a sound ${close ? "closed" : "killed"} store keeps all of it`, async () => {
    const image = await makeStore(close);
    const files = filesOf(image, () => {});
    const { report, content } = await repairAndJudge(files, "sound");
    assertEquals([report.lost, report.mayBeStale], [[], false]);
    assertEquals(content, stateAfter(BATCHES));
    assertEquals(report.setAside, `${DIR}/lost/1`);
    // And once more: what was put aside stays.
    const again = await repairLsm(DIR, { files });
    assertEquals(again.setAside, `${DIR}/lost/2`);
  });

  Deno.test(`whatever file of a ${close ? "closed" : "killed"} store is missing, repair saves the rest`, async () => {
    const image = await makeStore(close);
    const paths = [...image.files.keys()].filter((path) =>
      !path.endsWith("LOCK")
    );
    for (const path of paths) {
      const files = filesOf(image, (all) => all.delete(path));
      const { report, content } = await repairAndJudge(files, path);
      assert(report.mayBeStale, path);
      if (/CURRENT|MANIFEST/.test(path)) {
        assertEquals(content, stateAfter(BATCHES), path);
      } else assertEquals(report.lost.some((lost) => lost.path === path), true);
    }
    // Only tables are left, and not even the id is known in full.
    const files = filesOf(image, (all) => {
      for (const path of paths) if (!path.endsWith(".sst")) all.delete(path);
    });
    const { report } = await repairAndJudge(files, "tables only");
    assert(report.tables > 0 && report.entries > 0);
  });

  Deno.test(`whatever byte of a ${close ? "closed" : "killed"} store is flipped, repair makes nothing up`, async () => {
    const image = await makeStore(close);
    const random = new Prng(5);
    for (const [path, bytes] of image.files) {
      const dataEnd = bytes.findLastIndex((byte) => byte !== 0) + 1;
      for (let at = 0; at < bytes.length; at += 1 + random.below(sampled(20))) {
        const files = filesOf(image, (all) => {
          all.get(path)![at]! ^= 1 << random.below(8);
        });
        // A frame ends with up to seven zeros.
        const inRoom = path.endsWith(".wal") && at >= dataEnd + 7;
        await repairAndJudge(files, `${path} at ${at}`, { inRoom });
      }
    }
  });
}

Deno.test("whatever is done to several files, repair ends with a store or a typed error", async () => {
  const image = await makeStore(true);
  for (let seed = 0; seed < 400; seed += sampled(5)) {
    const random = new Prng(seed);
    const files = filesOf(image, (all) => {
      for (const [path, bytes] of [...all]) {
        switch (random.below(5)) {
          case 0:
            all.delete(path);
            break;
          case 1:
            for (let i = 0; i < 3 && bytes.length > 0; i++) {
              bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
            }
            break;
          case 2:
            all.set(path, bytes.slice(0, random.below(bytes.length + 1)));
        }
      }
    });
    try {
      await repairAndJudge(files, `seed ${seed}`);
    } catch (error) {
      if (!(error instanceof AspenError)) throw error;
    }
  }
});

Deno.test("a table whose footer and index are lost gives its blocks all the same", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files, blockBytes: 500 });
  for (let i = 0; i < 300; i++) {
    const key = new TextEncoder().encode(`key${String(i).padStart(4, "0")}`);
    await store.write([{ key, value: new Uint8Array(20).fill(i) }]);
  }
  await store.flush();
  await store.close();
  const image = files.disk.image();
  const path = `${DIR}/000001.sst`;
  for (const cut of [1, FOOTER_BYTES, 400]) {
    const broken = filesOf(image, (all) => {
      const bytes = all.get(path)!;
      // One block in the middle is lost too.
      bytes[bytes.length >> 1]! ^= 1;
      all.set(path, bytes.slice(0, bytes.length - cut));
    });
    const report = await repairLsm(DIR, { files: broken });
    assert(report.entries > 250 && report.entries < 300, `${report.entries}`);
    assert(report.lost.every((lost) => lost.path === path));
    assert(report.lost.length > 0 && report.mayBeStale);
  }
});

Deno.test("a repair of many logs does not keep them in memory", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files, memtableBytes: 40 * 1024 * 1024 });
  const value = new Uint8Array(1024 * 1024);
  for (let i = 0; i < 20; i++) {
    await store.write([{ key: new Uint8Array([1, i]), value: value.fill(i) }]);
  }
  const killed = new StepFiles(files.disk.crash("kept", new Prng(1)));
  const half = await openLsm(DIR, { files: killed, memtableBytes: 2 ** 30 });
  await half.write([{ key: new Uint8Array([1, 0]), value: undefined }]);
  const last = new StepFiles(killed.disk.crash("kept", new Prng(1)));
  const report = await repairLsm(DIR, { files: last });
  assertEquals([report.entries, report.lost, report.batches], [19, [], 21]);
  const after = await openLsm(DIR, { files: last });
  assertEquals(after.get(new Uint8Array([1, 0])), undefined);
  assertEquals(after.get(new Uint8Array([1, 7])), value.fill(7));
  await after.close();
});

Deno.test("a crash at any step of a repair leaves a store that can be repaired again", async () => {
  const image = await makeStore(true);
  const table = [...image.files.keys()].find((path) => path.endsWith(".sst"))!;
  const damage = () =>
    filesOf(image, (all) => {
      all.delete(`${DIR}/CURRENT`);
      all.get(table)![45]! ^= 1;
    });
  const { content } = await repairAndJudge(damage(), "the first time");
  for (let at = 0;; at += sampled(2)) {
    const breaking = new StepFiles(
      damage().disk,
      (step) => step === at ? "crash" : undefined,
    );
    const repairing = repairLsm(DIR, { files: breaking });
    await Promise.race([repairing.catch(() => {}), breaking.end.promise]);
    if (!breaking.crashed) break;
    for (const seed of [1, 2]) {
      const disk = breaking.disk.crash("torn", new Prng(seed));
      const after = new StepFiles(disk);
      const again = await repairAndJudge(after, `crash at ${at}`);
      assertEquals(again.content, content, `crash at ${at}`);
    }
  }
});

Deno.test("a store that is open, none, or a newer version's is not repaired", async () => {
  const files = new StepFiles();
  files.makeDirectory("none");
  await assertRejects(
    () => repairLsm("none", { files }),
    StorageError,
    "no store",
  );
  const store = await openLsm(DIR, { files, owner: "process 3" });
  await store.write(batchOf(1));
  await store.flush();
  await assertRejects(
    () => repairLsm(DIR, { files }),
    LockedError,
    "process 3",
  );
  await store.close();
  const image = files.disk.image();
  const newer = filesOf(image, (all) => {
    const bytes = all.get(`${DIR}/000001.sst`)!;
    const footer = bytes.subarray(bytes.length - FOOTER_BYTES);
    const view = new DataView(footer.buffer, footer.byteOffset);
    view.setUint32(0, 2, true);
    view.setUint32(52, crc32(footer.subarray(0, 52)), true);
  });
  const before = newer.disk.image();
  await assertRejects(
    () => repairLsm(DIR, { files: newer }),
    FormatVersionError,
  );
  const unlocked = ({ files }: DiskImage) =>
    [...files].filter(([path]) => !path.endsWith("LOCK")).join("\n");
  assertEquals(unlocked(newer.disk.image()), unlocked(before));
  const { damages } = await checkLsm(DIR, { files: newer });
  assert(damages[0]?.what.includes("format version is 2"));
});
