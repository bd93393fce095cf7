import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { closeSync, openSync } from "node:fs";
import { StorageError } from "../errors.ts";
import { DenoFiles } from "./files.ts";

Deno.test("two syncs of a file that has room go to two handles, each of which has one call at a time", async () => {
  const dir = await Deno.makeTempDir();
  const { syncData } = Deno.FsFile.prototype;
  const asked: Deno.FsFile[] = [];
  const gate = Promise.withResolvers<void>();
  Deno.FsFile.prototype.syncData = async function (this: Deno.FsFile) {
    asked.push(this);
    await gate.promise;
    await syncData.call(this);
  };
  try {
    using file = new DenoFiles().open(`${dir}/log`, { mode: "create" });
    const alone = [file.syncData(), file.syncData()];
    // There is one handle.
    assertEquals(asked.length, 2);
    assert(asked[0] === asked[1]);
    file.reserve(4096);
    file.append(new Uint8Array(10));
    const overlapping = file.syncData();
    file.append(new Uint8Array(10));
    assert(asked[2] !== asked[0]);
    gate.resolve();
    await Promise.all([...alone, overlapping]);
    await file.syncData();
    assert(asked[3] === asked[0]);
    assertEquals(file.size(), 4096);
  } finally {
    Deno.FsFile.prototype.syncData = syncData;
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a file that is only read is neither cut, synced nor locked, and is read no more once it is closed", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${dir}/f`, Uint8Array.of(1, 2, 3));
    using file = new DenoFiles().open(`${dir}/f`, { mode: "read" });
    const what = "it is open for reading only";
    assertThrows(() => file.truncate(1), StorageError, what);
    assertThrows(() => file.tryLock(), StorageError, what);
    await assertRejects(() => file.syncData(), StorageError, what);
    assertEquals(file.readAt(new Uint8Array(2), 2), 1);
    for (let n = 0; n < 2; n++) {
      const bytes = new Uint8Array(2);
      assertEquals(file.readAt(bytes, 0), 2);
      assertEquals(bytes, Uint8Array.of(1, 2));
    }
    for (const position of [-1, -2]) {
      assertThrows(
        () => file.readAt(new Uint8Array(1), position),
        StorageError,
        `there is no position ${position}`,
      );
    }
    file.close();
    file.close();
    const read = () => file.readAt(new Uint8Array(1), 0);
    assertThrows(read, StorageError, "it is closed");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("handles of files that are only read are given back, also of what is no file", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${dir}/f`, new Uint8Array(3));
    const files = new DenoFiles();
    for (let n = 0; n < 1000; n++) {
      files.open(`${dir}/f`, { mode: "read" }).close();
      assertThrows(() => files.open(dir, { mode: "read" }), StorageError);
    }
    // The system gives the lowest number that is free; tests beside this one have some.
    const handle = openSync(`${dir}/f`, "r");
    closeSync(handle);
    assert(handle < 800, `${handle} handles`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
