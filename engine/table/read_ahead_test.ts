import { assertEquals } from "@std/assert";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { LevelCursor } from "../iterator/level_cursor.ts";
import { withAllocationsUpTo } from "../testing/allocations.ts";
import { entryFor, tableSetOf, targetOf } from "../testing/table_set.ts";
import { ReadAhead } from "./read_ahead.ts";
import { Table } from "./table.ts";
import { TableWriter } from "./table_writer.ts";

const FILE_BYTES = 2_400_000;
const BLOCK_BYTES = 4_000;

/** What stands at a place of a file. */
function byteAt(file: number, at: number): number {
  return (at * 31 + (at >>> 8) + file * 101) & 0xff;
}

Deno.test("whoever reads ahead gets each byte of their own file, given back or not", () => {
  const files = new MemoryFiles();
  files.makeDirectory("d");
  const names = [0, 1, 2].map((name) => `d/${name}`);
  const opened = names.map((name, file) => {
    const bytes = Uint8Array.from(
      { length: FILE_BYTES },
      (_, at) => byteAt(file, at),
    );
    using writer = files.open(name, { mode: "create" });
    writer.append(bytes);
    return files.open(name, { mode: "read" });
  });
  for (const backward of [false, true]) {
    const readers = opened.map(() => new ReadAhead());
    for (const reader of readers) reader.backward = backward;
    for (let step = 0; step < FILE_BYTES / BLOCK_BYTES; step++) {
      const at = backward
        ? FILE_BYTES - (step + 1) * BLOCK_BYTES
        : step * BLOCK_BYTES;
      for (const [file, reader] of readers.entries()) {
        const read = reader.read(
          opened[file]!,
          names[file],
          at,
          BLOCK_BYTES,
          FILE_BYTES,
        )!;
        assertEquals(read.length, BLOCK_BYTES);
        for (let i = 0; i < BLOCK_BYTES; i++) {
          if (read[i] !== byteAt(file, at + i)) {
            throw new Error(`file ${file} has another byte at ${at + i}`);
          }
        }
        // One is through and goes on all the same, while another one begins.
        if (step % (60 + 7 * file) !== 59) continue;
        reader.giveBack();
        const next = (file + 1) % readers.length;
        readers[next] = new ReadAhead();
        readers[next].backward = backward;
      }
    }
    for (const reader of readers) reader.giveBack();
  }
  for (const file of opened) file.close();
});

Deno.test("a cursor that is through, either way, leaves its memory to the next one", async () => {
  const files = new MemoryFiles();
  files.makeDirectory("d");
  const set = tableSetOf(files, "d");
  const writer = new TableWriter(targetOf(set, 4096), 1);
  const rows = 250;
  const value = new Uint8Array(1000);
  for (let row = 0; row < rows; row++) {
    writer.add(entryFor(new Uint8Array([row]), value), true, 1);
  }
  const table = new Table(set, await writer.finish());
  const walk = (backward: boolean): void => {
    const cursor = new LevelCursor([table], false);
    let seen = 0;
    if (backward) {
      for (cursor.seekBefore(undefined); cursor.valid; cursor.prev()) seen++;
    } else {
      for (cursor.seekTo(undefined); cursor.valid; cursor.next()) seen++;
    }
    assertEquals(seen, rows);
  };
  for (const first of [false, true]) {
    walk(first);
    // Who reads little does not take what was left for who reads much.
    const short = Array.from({ length: 10 }, () => {
      const cursor = new LevelCursor([table], false);
      cursor.seekTo(undefined);
      return cursor;
    });
    await withAllocationsUpTo(128 * 1024 - 1, () => walk(!first));
    assertEquals(short.every((cursor) => cursor.valid), true);
  }
});
