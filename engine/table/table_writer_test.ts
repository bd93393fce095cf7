import { assert, assertEquals } from "@std/assert";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { BlockCache } from "../cache/block_cache.ts";
import { FileCache } from "../cache/file_cache.ts";
import { LevelCursor } from "../iterator/level_cursor.ts";
import type { Entry } from "../iterator/cursor.ts";
import { Table } from "./table.ts";
import { TableWriter } from "./table_writer.ts";

const STORE_ID = new Uint8Array(16);

function entry(key: number, value: Uint8Array): Entry {
  return {
    keyBuffer: new Uint8Array([key]),
    keyAt: 0,
    keyLength: 1,
    seq: key,
    deleted: false,
    valueBuffer: value,
    valueAt: 0,
    valueLength: value.length,
  };
}

/** Writes values under the keys 1, 2, …, all out of one buffer, and reads back. */
async function roundTrip(
  sizes: readonly number[],
  blockBytes: number,
): Promise<void> {
  const files = new MemoryFiles();
  files.makeDirectory("d");
  const target = {
    files,
    dir: "d",
    storeId: STORE_ID,
    blockBytes,
    compression: "none" as const,
  };
  const writer = new TableWriter(target, 1);
  const buffer = new Uint8Array(Math.max(...sizes));
  sizes.forEach((size, i) => {
    // As a cursor's memory, it holds the next value once it has moved on.
    buffer.fill(i + 1);
    writer.add(entry(i + 1, buffer.subarray(0, size)), true, i + 1);
  });
  buffer.fill(0xff);
  const info = await writer.finish();
  using file = files.open("d/000001.sst", { mode: "read" });
  assertEquals(file.size(), info.size);
  const table = new Table({
    files,
    dir: "d",
    storeId: STORE_ID,
    handles: new FileCache(files, 1),
    blocks: new BlockCache(0),
    discard() {},
  }, info);
  const cursor = new LevelCursor([table], false);
  let i = 0;
  for (cursor.seekTo(undefined); cursor.valid; cursor.next(), i++) {
    const { valueBuffer, valueAt, valueLength } = cursor;
    assertEquals(valueLength, sizes[i]);
    assert(
      valueBuffer.subarray(valueAt, valueAt + valueLength)
        .every((byte) => byte === i + 1),
      `value ${i}`,
    );
  }
  assertEquals(i, sizes.length);
}

Deno.test("values are the writer's own once they are added, whatever their size", async () => {
  await roundTrip([1, 100, 8000, 8192, 9000, 70_000, 3, 200_000, 1, 1], 8192);
  await roundTrip([5, 131_000, 131_072, 131_073, 0, 65_536, 65_535, 7], 8192);
  // Blocks that take more than one large value.
  await roundTrip([70_000, 80_000, 1, 90_000, 65_536, 2], 1_000_000);
  await roundTrip([0, 0, 1], 1);
});

Deno.test("tables of many blocks are written whole, at any size of a block", async () => {
  for (const blockBytes of [1, 1000, 8192, 131_072, 500_000]) {
    await roundTrip(Array.from({ length: 250 }, (_, i) => i * 37), blockBytes);
  }
});
