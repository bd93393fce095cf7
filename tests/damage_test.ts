import { assert, assertEquals } from "@std/assert";
import { openLsm } from "../engine/mod.ts";
import { optionsIn } from "../engine/options.ts";
import { World } from "../runtime/virtual/mod.ts";
import { isTable, mayBeTorn, pickBit } from "./sim/damage.ts";

Deno.test("damage may pass for a torn write at the end of the newest log only, behind what was said to be synced", async () => {
  const world = new World({ seed: 1 });
  const runtime = world.runtime("a");
  const { files } = runtime;
  const disk = world.disk("a");
  await world.run(async () => {
    const store = await openLsm("/data", optionsIn(runtime));
    const value = new Uint8Array(200).fill(1);
    const put = (key: number) =>
      store.write([{ key: Uint8Array.of(key), value }], { sync: true });
    const at = (path: string, offset: number) =>
      mayBeTorn(files, "/data", { path, offset, mask: 1 });
    await put(1);
    await put(2);
    // The header of a frame says what was synced when it was written.
    const second = disk.read("data/000001.wal").lastIndexOf(1) - 200;
    await put(3);
    assert(!at("/data/000001.wal", 100) && !at("data/000001.wal", second));
    assert(at("data/000001.wal", second + 300));
    assert(!at("data/CURRENT", 300) && !at("data/MANIFEST-000001", 300));
    await store.flush();
    await put(4);
    assert(at("data/000002.wal", 300) && !at("data/000001.sst", 300));
    const table = pickBit(disk, 10, isTable);
    assertEquals(table, { path: "data/000001.sst", offset: 10, mask: 4 });
    const size = disk.read("data/000001.sst").length;
    assertEquals(pickBit(disk, size + 10, isTable)?.offset, 10);
    assertEquals(pickBit(disk, 10, () => false), undefined);
    await store.close();
  });
});
