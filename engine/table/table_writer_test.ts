import { assert, assertEquals, assertThrows } from "@std/assert";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import type { FileSystem } from "../../runtime/mod.ts";
import { LevelCursor } from "../iterator/level_cursor.ts";
import type { Entry } from "../iterator/cursor.ts";
import { decodeEdit, encodeEdit } from "../manifest/edit.ts";
import { entryFor, tableSetOf, targetOf } from "../testing/table_set.ts";
import { HANDLE_BYTES, handleAt, putHandle } from "./format.ts";
import { hashKey } from "./filter.ts";
import { Table } from "./table.ts";
import { type TableTarget, TableWriter } from "./table_writer.ts";

function entry(key: number, value: Uint8Array): Entry {
  return entryFor(new Uint8Array([key]), value, key);
}

function targetOn(files: FileSystem, blockBytes = 512): TableTarget {
  return targetOf(tableSetOf(files, "d"), blockBytes);
}

/** Writes values under the keys 1, 2, …, all out of one buffer, and reads back. */
async function roundTrip(
  sizes: readonly number[],
  blockBytes: number,
): Promise<void> {
  await roundTripOf(sizes, blockBytes, false);
  await roundTripOf(sizes, blockBytes, true);
}

/** The same, `viewed` or not. */
async function roundTripOf(
  sizes: readonly number[],
  blockBytes: number,
  viewed: boolean,
): Promise<void> {
  const files = new MemoryFiles();
  files.makeDirectory("d");
  const writer = new TableWriter(targetOn(files, blockBytes), 1);
  const buffer = new Uint8Array(Math.max(...sizes));
  sizes.forEach((size, i) => {
    // As a cursor's memory, it holds the next value once it has moved on.
    buffer.fill(i + 1);
    const from = viewed ? buffer.length - size : 0;
    const alone = entry(i + 1, buffer.subarray(from, from + size));
    const valueView = new DataView(buffer.buffer);
    writer.add(
      viewed
        ? { ...alone, valueBuffer: buffer, valueAt: from, valueView }
        : alone,
      true,
      i + 1,
    );
  });
  buffer.fill(0xff);
  const info = await writer.finish();
  using file = files.open("d/000001.sst", { mode: "read" });
  assertEquals(file.size(), info.size);
  const table = new Table(tableSetOf(files, "d"), info);
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

Deno.test("tables made side by side, one after another or not at all leave nothing in each other", async () => {
  const files = new MemoryFiles();
  files.makeDirectory("d");
  const numbers = [1, 2, 3, 4, 5, 6];
  /** Entries of which no two tables have the same. */
  const entryOf = (number: number, i: number) =>
    entry(i, new Uint8Array(40 + number).fill(number * 16 + i));
  const write = (writer: TableWriter, number: number, from: number) => {
    for (let i = from; i < from + 50; i++) {
      writer.add(entryOf(number, i), true, i);
    }
  };
  const alone: Uint8Array[] = [];
  for (const number of numbers) {
    // In memory that nobody has used, as the first of all has.
    const apart = new MemoryFiles();
    apart.makeDirectory("d");
    const module = await import(`./table_writer.ts?alone=${number}`);
    const writer: TableWriter = new module.TableWriter(targetOn(apart), number);
    write(writer, number, 0);
    write(writer, number, 50);
    await writer.finish();
    alone.push(contentOf(apart, number));
  }
  const target = targetOn(files);
  const given = new TableWriter(target, 100);
  write(given, 3, 0);
  given.close();
  for (const [a, b] of [[1, 2], [3, 4], [5, 6]] as const) {
    const first = new TableWriter(target, a);
    write(first, a, 0);
    const second = new TableWriter(target, b);
    write(second, b, 0);
    write(first, a, 50);
    const done = first.finish();
    write(second, b, 50);
    await Promise.all([done, second.finish()]);
  }
  for (const number of numbers) {
    assertEquals(contentOf(files, number), alone[number - 1]);
  }
});

function contentOf(files: FileSystem, number: number): Uint8Array {
  using file = files.open(`d/${String(number).padStart(6, "0")}.sst`, {
    mode: "read",
  });
  const bytes = new Uint8Array(file.size());
  assertEquals(file.readAt(bytes, 0), bytes.length);
  return bytes;
}

Deno.test("a handle says where a block is, in tables of any size", () => {
  for (const offset of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7, 2 ** 48 - 1]) {
    const handle = { offset, length: 2 ** 32 - 5 };
    const bytes = new Uint8Array(HANDLE_BYTES + 2).fill(0xaa);
    putHandle(bytes, 1, handle);
    assertEquals(handleAt(bytes, 1), handle);
    assertEquals([bytes[0], bytes[HANDLE_BYTES + 1]], [0xaa, 0xaa]);
  }
  const beyond = { offset: 2 ** 48, length: 1 };
  assertThrows(
    () => putHandle(new Uint8Array(HANDLE_BYTES), 0, beyond),
    RangeError,
    "beyond 48 bits",
  );
});

/** A table has each of these keys, whose values are the keys. */
async function assertFound(
  keys: readonly Uint8Array[],
  blockBytes: number,
): Promise<void> {
  const files = new MemoryFiles();
  files.makeDirectory("d");
  const writer = new TableWriter(targetOn(files, blockBytes), 1);
  for (const key of keys) {
    writer.add(
      entryFor(key, key),
      true,
      1,
    );
  }
  const info = await writer.finish();
  assertEquals([info.minKey, info.maxKey], [keys[0]!, keys.at(-1)!]);
  const table = new Table(tableSetOf(files, "d"), info);
  if (blockBytes === 1) assertEquals(table.index().rows, keys.length);
  for (const key of keys) {
    const place = { block: 0, row: 0 };
    const hash = hashKey(key, 0, key.length);
    assertEquals(table.get(key, 1, hash, place), key);
  }
}

Deno.test("a key is found whatever the keys around it share, at each end of a block", async () => {
  // Neighbours of each kind: the next byte, the one after, more of a key.
  const texts = [
    "a",
    "a1",
    "a2",
    "a2x",
    "a4",
    "a4b",
    "a4b0",
    "a4c",
    "b",
    "b9",
    "ba",
  ];
  const encoder = new TextEncoder();
  for (const shared of ["", "-".repeat(63), "-".repeat(200)]) {
    const keys = texts.map((text) => encoder.encode(shared + text));
    for (let from = 0; from < keys.length; from++) {
      await assertFound(keys.slice(from), 1);
    }
    await assertFound(keys, 4096);
  }
});

Deno.test("a table tells of itself in the order in which the manifest does, with the sequence numbers it has", async () => {
  const files = new MemoryFiles();
  files.makeDirectory("d");
  const writer = new TableWriter(targetOn(files), 7);
  for (const [key, seq] of [[1, 5], [2, 3], [3, 9]] as const) {
    writer.add(entry(key, new Uint8Array(8)), true, seq);
  }
  const info = await writer.finish();
  // Objects of two orders are of two shapes: what reads them is compiled for each.
  const { added } = decodeEdit(encodeEdit({ added: [{ level: 0, info }] }));
  assertEquals(added, [{ level: 0, info }]);
  assertEquals(Object.entries(info), Object.entries(added![0]!.info));
  assertEquals([info.minSeq, info.maxSeq], [3, 9]);
  const file = files.open(writer.path, { mode: "read" });
  assertEquals(info.size, file.size());
  file.close();
});
