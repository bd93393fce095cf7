import { assert, assertEquals } from "@std/assert";
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
