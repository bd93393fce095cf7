import { assertEquals, assertThrows } from "@std/assert";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { StorageError } from "../../runtime/mod.ts";
import { FaultyFiles } from "../testing/faulty_files.ts";
import { entryFor, tableSetOf, targetOf } from "../testing/table_set.ts";
import { Table } from "../table/table.ts";
import { TableWriter } from "../table/table_writer.ts";
import { LevelCursor } from "./level_cursor.ts";

Deno.test("a table that cannot be opened is not read by the index of another, then or later", async () => {
  let failing = "";
  const inner = new MemoryFiles();
  inner.makeDirectory("d");
  const files = new FaultyFiles(
    inner,
    ({ action, path }) => action === "open" && path === failing,
  );
  const set = tableSetOf(files, "d");
  const tables: Table[] = [];
  const paths: string[] = [];
  for (const number of [1, 2]) {
    const writer = new TableWriter(targetOf(set, 512), number);
    const value = new Uint8Array(16).fill(number);
    for (let key = 0; key < 100; key++) {
      writer.add(entryFor(new Uint8Array([number, key]), value), true, 1);
    }
    paths.push(writer.path);
    tables.push(new Table(set, await writer.finish()));
  }
  const first = new Uint8Array([1, 0]);
  const second = new Uint8Array([2, 7]);

  // Nothing was open yet, and a table of the level was.
  for (const before of [undefined, first]) {
    const cursor = new LevelCursor(tables, false);
    if (before !== undefined) cursor.seekTo(before);
    failing = paths[1]!;
    assertThrows(() => cursor.seekTo(second), StorageError);
    failing = "";
    cursor.seekTo(second);
    assertEquals(cursor.keyBuffer.slice(0, cursor.keyLength), second);
    assertEquals(cursor.takeValue(), new Uint8Array(16).fill(2));
  }
  set.handles.closeAll();
});
