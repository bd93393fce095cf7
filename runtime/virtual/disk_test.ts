import { assert, assertEquals, assertThrows } from "@std/assert";
import type { FileSystem } from "../runtime.ts";
import { type Unsynced, World } from "./mod.ts";

const bytes = (...values: number[]) => new Uint8Array(values);

/** Runs a program on a node's disk, kills the node, gives back its disk. */
async function crash(
  seed: number,
  program: (files: FileSystem, world: World) => Promise<void>,
  unsynced?: Unsynced,
) {
  const world = new World({ seed });
  const { files } = world.runtime("node");
  await world.run(() => program(files, world));
  world.kill("node", unsynced === undefined ? {} : { unsynced });
  return world.disk("node");
}

async function synced(files: FileSystem, path: string, content: Uint8Array) {
  using file = files.open(path, { mode: "create" });
  file.append(content);
  await file.syncData();
  await files.syncDirectory("/");
}

Deno.test("synced data survives every crash, unsynced as a prefix", async () => {
  const lengths = new Set<number>();
  for (let seed = 0; seed < 60; seed++) {
    const disk = await crash(seed, async (files) => {
      await synced(files, "f", bytes(1, 2, 3));
      files.open("f", { mode: "append" }).append(bytes(4, 5, 6, 7));
    });
    const left = disk.read("f");
    assertEquals(left, bytes(1, 2, 3, 4, 5, 6, 7).subarray(0, left.length));
    lengths.add(left.length);
  }
  assertEquals([...lengths].sort(), [3, 4, 5, 6, 7]);
});

Deno.test("of what replaces room, any block may be missing; room that was synced stays", async () => {
  const size = 3 * 4096;
  const left = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const disk = await crash(seed, async (files) => {
      using file = files.open("f", { mode: "create" });
      file.append(bytes(1, 1));
      file.reserve(size);
      await file.syncData();
      await files.syncDirectory("/");
      file.append(new Uint8Array(2 * 4096).fill(2));
    });
    const content = disk.read("f");
    assertEquals(content.length, size + 2);
    assertEquals(content.subarray(0, 2), bytes(1, 1));
    assert(content.subarray(2 + 2 * 4096).every((byte) => byte === 0));
    const gap = content.indexOf(0);
    left.add(
      gap > 2 * 4096
        ? "all"
        : gap === 2 && !content.includes(2)
        ? "none"
        : content.lastIndexOf(2) > gap
        ? "a block is missing"
        : "a prefix",
    );
  }
  assertEquals([...left].sort(), [
    "a block is missing",
    "a prefix",
    "all",
    "none",
  ]);
});

Deno.test("room that was not synced is there or not after a crash", async () => {
  const sizes = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const disk = await crash(seed, async (files) => {
      await synced(files, "f", bytes(1));
      const file = files.open("f", { mode: "append" });
      file.reserve(9);
    });
    const content = disk.read("f");
    assertEquals(content[0], 1);
    sizes.add(content.length);
  }
  assertEquals([...sizes].sort((a, b) => a - b), [1, 10]);
});

Deno.test("a crash loses or keeps all that was not synced if told so", async () => {
  const program = async (files: FileSystem) => {
    await synced(files, "f", bytes(1));
    files.open("f", { mode: "append" }).append(bytes(2));
    files.open("g", { mode: "create" });
  };
  const lost = await crash(1, program, "lost");
  assertEquals([lost.paths(), lost.read("f")], [["f"], bytes(1)]);
  const kept = await crash(1, program, "kept");
  assertEquals([kept.paths(), kept.read("f")], [["f", "g"], bytes(1, 2)]);
});

Deno.test("a sync covers what was appended before its call, once it is done", async () => {
  const left = await crash(1, async (files, world) => {
    await synced(files, "f", bytes());
    const file = files.open("f", { mode: "append" });
    file.append(bytes(1));
    const syncing = file.syncData();
    file.append(bytes(2));
    await syncing;
    file.append(bytes(3));
    file.syncData();
    await world.sleep(0);
  }, "lost");
  assertEquals(left.read("f"), bytes(1));
});

Deno.test("a sync that a cut overtakes covers nothing appended after the cut", async () => {
  const disk = await crash(1, async (files) => {
    await synced(files, "f", bytes());
    const file = files.open("f", { mode: "append" });
    file.append(bytes(1, 2, 3));
    const syncing = file.syncData();
    file.truncate(1);
    file.append(bytes(9));
    await syncing;
  }, "lost");
  assertEquals(disk.read("f"), bytes(1));
});

Deno.test("a cut that was not synced is in force or undone", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const disk = await crash(seed, async (files) => {
      await synced(files, "f", bytes(1, 2, 3));
      const file = files.open("f", { mode: "append" });
      file.truncate(2);
      file.truncate(1);
      file.append(bytes(9));
    });
    seen.add(disk.read("f").join());
  }
  assertEquals([...seen].sort(), ["1", "1,2,3", "1,9"]);
});

Deno.test("a cut that was synced stays", async () => {
  const disk = await crash(1, async (files) => {
    await synced(files, "f", bytes(1, 2, 3));
    const file = files.open("f", { mode: "append" });
    file.truncate(1);
    await file.syncData();
  }, "lost");
  assertEquals(disk.read("f"), bytes(1));
});

Deno.test("a name that was not synced is there or not, a synced one always", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 40; seed++) {
    const disk = await crash(seed, async (files) => {
      await synced(files, "a", bytes(1));
      await synced(files, "b", bytes(2));
      files.remove("b");
      files.open("c", { mode: "create" });
    });
    assert(disk.paths().includes("a"));
    seen.add(disk.paths().join(""));
  }
  assertEquals([...seen].sort(), ["a", "ab", "abc", "ac"]);
});

Deno.test("a rename that was not synced leaves the file under one name", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 80; seed++) {
    const disk = await crash(seed, async (files) => {
      await synced(files, "old", bytes(1));
      await synced(files, "new", bytes(2));
      files.rename("new", "between");
      files.rename("between", "old");
    });
    seen.add(disk.paths().map((path) => `${path}=${disk.read(path)}`).join());
  }
  assertEquals([...seen].sort(), [
    "between=2,old=1",
    "new=2,old=1",
    "old=2",
  ]);
});

Deno.test("a removal takes away no file but the one removed", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 40; seed++) {
    const disk = await crash(seed, async (files) => {
      await synced(files, "a", bytes(1));
      await synced(files, "b", bytes(2));
      files.rename("a", "b");
      files.remove("b");
    });
    seen.add(disk.paths().map((path) => `${path}=${disk.read(path)}`).join());
  }
  assertEquals([...seen].sort(), ["", "a=1,b=2", "b=1"]);
});

Deno.test("a directory sync makes the names before its call durable", async () => {
  const disk = await crash(1, async (files) => {
    files.makeDirectory("d/e");
    files.open("d/a", { mode: "create" });
    const syncing = files.syncDirectory("d");
    files.open("d/b", { mode: "create" });
    await syncing;
    files.open("d/e/c", { mode: "create" });
  }, "lost");
  assertEquals(disk.paths(), ["d/a"]);
  assertEquals(disk.image().directories, ["d", "d/e"]);
});

Deno.test("a second crash keeps what the first one left", async () => {
  const world = new World({ seed: 2 });
  const first = world.runtime("node").files;
  first.open("f", { mode: "create" }).append(bytes(1, 2));
  world.kill("node", { unsynced: "kept" });
  world.runtime("node").files.open("f", { mode: "append" }).truncate(1);
  world.kill("node", { unsynced: "lost" });
  await world.advance(1);
  assertEquals(world.disk("node").read("f"), bytes(1, 2));
});

Deno.test("what a dead node's leftovers do reaches no disk", () => {
  const world = new World({ seed: 2 });
  const { files } = world.runtime("node");
  const lock = files.open("LOCK", { mode: "create" });
  assert(lock.tryLock());
  world.kill("node", { unsynced: "kept" });
  files.open("LOCK", { mode: "append" }).append(bytes(1));
  files.remove("LOCK");
  files.open("g", { mode: "create" });
  files.makeDirectory("d");
  const next = world.runtime("node").files;
  using again = next.open("LOCK", { mode: "append" });
  assert(again.tryLock());
  assertEquals([again.size(), next.list("/")], [0, ["LOCK"]]);
  lock.close();
});

Deno.test("a test may damage, cut, back up and put back a disk", async () => {
  const world = new World({ seed: 2 });
  const disk = world.disk("node");
  const { files } = world.runtime("node");
  files.makeDirectory("d");
  await world.run(async () => {
    using file = files.open("d/f", { mode: "create" });
    file.append(bytes(1, 2, 3));
    await file.syncData();
    await files.syncDirectory("d");
  });
  const image = disk.image();
  disk.flip("d/f", 1, 0x80);
  disk.truncate("d/f", 2);
  const buffer = bytes(0, 0);
  assertEquals(files.open("d/f", { mode: "read" }).readAt(buffer, 0), 2);
  assertEquals(buffer, bytes(1, 0x82));
  assertThrows(() => disk.flip("d/f", 2), Error, "no byte 2");
  assertThrows(() => disk.read("d/g"), Error, "no such file");
  assertThrows(() => disk.restore(image), Error, "running");
  world.kill("node");
  assertEquals(disk.read("d/f"), bytes(1, 0x82));
  disk.write("d/g", bytes(7));
  disk.restore(image);
  assertEquals(disk.paths(), ["d/f"]);
  assertEquals(disk.read("d/f"), bytes(1, 2, 3));
});
