import { assert, assertEquals } from "@std/assert";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { compareBytes, toHex } from "../../runtime/mod.ts";
import { Memtable } from "../memtable/memtable.ts";
import { SpareMemory } from "../memtable/spare_memory.ts";
import { Table, type TableSet } from "../table/table.ts";
import { TableWriter } from "../table/table_writer.ts";
import { tableSetOf, targetOf } from "../testing/table_set.ts";
import type { Cursor } from "./cursor.ts";
import { LevelCursor } from "./level_cursor.ts";
import { MergingCursor } from "./merging_cursor.ts";

/** Bytes that make numbers, prefixes and ties of all kinds. */
const ALPHABET = [0, 1, 127, 128, 255];

function random(seed: number): (below: number) => number {
  let state = seed * 0x9e3779b1 | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A key that shares a prefix of any length with others. */
function someKey(draw: (below: number) => number): Uint8Array {
  const shared = draw(4) * 5;
  const key = new Uint8Array(1 + shared + draw(9));
  for (let i = shared; i < key.length; i++) {
    key[i] = ALPHABET[draw(draw(3) === 0 ? 5 : 2)]!;
  }
  return key;
}

function entryOf(cursor: Cursor): string {
  const { keyBuffer, keyAt, keyLength, seq } = cursor;
  return `${toHex(keyBuffer.subarray(keyAt, keyAt + keyLength))}@${seq}`;
}

Deno.test("merged runs come in order, forward and back, whatever their keys share", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const draw = random(seed);
    const runs = Array.from(
      { length: 1 + draw(8) },
      () => new Memtable(new SpareMemory(false, 0)),
    );
    const entries: { key: Uint8Array; seq: number }[] = [];
    for (let seq = 1; seq <= 300; seq++) {
      const key = someKey(draw);
      runs[draw(runs.length)]!.add(seq, key, new Uint8Array(0));
      entries.push({ key, seq });
    }
    entries.sort((a, b) => compareBytes(a.key, b.key) || b.seq - a.seq);
    const merge = new MergingCursor(runs.map((run) => run.cursor()));
    const from = entries[draw(entries.length)]!.key;
    const name = ({ key, seq }: typeof entries[0]) => `${toHex(key)}@${seq}`;
    const rest = () => {
      const found: string[] = [];
      for (; merge.top !== undefined; merge.advance()) {
        found.push(entryOf(merge.top));
      }
      return found;
    };

    merge.seekTo(from);
    const behind = entries.filter(({ key }) => compareBytes(key, from) >= 0);
    assertEquals(rest(), behind.map(name));

    merge.seekBefore(from);
    const before = entries.filter(({ key }) => compareBytes(key, from) < 0);
    assertEquals(rest(), before.map(name).reverse());

    merge.seekTo(undefined);
    const firsts = entries.filter(({ key }, i) =>
      i === 0 || compareBytes(key, entries[i - 1]!.key) !== 0
    );
    for (const first of firsts) {
      assert(merge.top !== undefined);
      assertEquals(entryOf(merge.top), name(first));
      merge.advanceKey();
    }
    assertEquals(merge.top, undefined);
  }
});

/** A table of what a memtable has, in small blocks. */
async function tableOf(memtable: Memtable, set: TableSet, number: number) {
  const writer = new TableWriter(targetOf(set, 200), number);
  const cursor = memtable.cursor();
  let before: string | undefined;
  for (cursor.seekTo(undefined); cursor.valid; cursor.next()) {
    const key = entryOf(cursor).split("@")[0];
    writer.add(cursor, key !== before, cursor.seq);
    before = key;
  }
  return new Table(set, await writer.finish());
}

function tableSet(): TableSet {
  const files = new MemoryFiles();
  files.makeDirectory("d");
  return tableSetOf(files, "d", 100_000);
}

Deno.test("runs of tables and memtables are merged alike, whatever their keys share", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const draw = random(seed);
    const set = tableSet();
    const names: { key: Uint8Array; seq: number }[] = [];
    const cursors: Cursor[] = [];
    let seq = 0;
    for (let run = 1; run <= 4; run++) {
      const memtable = new Memtable(new SpareMemory(false, 0));
      for (let i = 0; i < 100; i++) {
        // Also keys whose numbers are the largest there are.
        const key = draw(4) > 0
          ? someKey(draw)
          : new Uint8Array(8).fill(255).map((byte, at) =>
            at === 5 ? byte - draw(3) : byte
          );
        memtable.add(++seq, key, new Uint8Array(draw(30)).fill(seq));
        names.push({ key, seq });
      }
      cursors.push(
        run % 2 === 0
          ? memtable.cursor()
          : new LevelCursor([await tableOf(memtable, set, run)], false),
      );
    }
    names.sort((a, b) => compareBytes(a.key, b.key) || b.seq - a.seq);
    const all = names.map(({ key, seq }) => `${toHex(key)}@${seq}`);
    const merge = new MergingCursor(cursors);
    for (const reverse of [false, true]) {
      if (reverse) merge.seekBefore(undefined);
      else merge.seekTo(undefined);
      const found: string[] = [];
      for (let top = merge.top; top !== undefined; top = merge.top) {
        found.push(entryOf(top));
        for (let i = top.valueAt; i < top.valueAt + top.valueLength; i++) {
          assertEquals(top.valueView!.getUint8(i), top.seq % 256);
        }
        merge.advance();
      }
      assertEquals(found, reverse ? all.toReversed() : all);
    }
  }
});

Deno.test("a view of a value is of the block that the cursor stands in, be it cached or its own", async () => {
  const memtable = new Memtable(new SpareMemory(false, 0));
  for (let i = 0; i < 40; i++) {
    memtable.add(i + 1, Uint8Array.of(i), new Uint8Array(150).fill(i));
  }
  const table = await tableOf(memtable, tableSet(), 1);
  // Those are cached by another cursor, and the last one reads the rest itself.
  for (const key of [10, 11, 20]) {
    new LevelCursor([table], true).seekTo(Uint8Array.of(key));
  }
  const cursor = new LevelCursor([table], false);
  let rows = 0;
  for (cursor.seekTo(undefined); cursor.valid; cursor.next(), rows++) {
    assertEquals(cursor.valueView.getUint8(cursor.valueAt), rows);
    assertEquals(cursor.valueBuffer[cursor.valueAt], rows);
  }
  assertEquals(rows, 40);
});
