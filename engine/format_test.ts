/**
 * The bytes of every format, as the grammars in the sources say them. If one of
 * these fails, stores in the field can no longer be read: raise FORMAT_VERSION
 * and keep the old reader instead of changing the bytes here.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Bytes, toBytes, toHex } from "../runtime/mod.ts";
import { MemoryFiles } from "../runtime/memory_files.ts";
import {
  encodeHeader,
  FRAME_HEADER_BYTES,
  FrameKind,
  frameLength,
} from "./log/frame.ts";
import { LogWriter } from "./log/writer.ts";
import { BlockCache } from "./cache/block_cache.ts";
import { FileCache } from "./cache/file_cache.ts";
import { encodeEdit } from "./manifest/edit.ts";
import { Memtable } from "./memtable/memtable.ts";
import { SpareMemory } from "./memtable/spare_memory.ts";
import { openLsm } from "./mod.ts";
import { hashKey } from "./table/filter.ts";
import { Table } from "./table/table.ts";
import { TableWriter } from "./table/table_writer.ts";
import { encodeBatch, measureBatch } from "./wal/batch.ts";

const STORE_ID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);

function bytesOf(files: MemoryFiles, path: string): string {
  using file = files.open(path, { mode: "read" });
  const bytes = new Uint8Array(file.size());
  file.readAt(bytes, 0);
  return toHex(bytes);
}

/** Joins the parts of a golden text, without its spaces. */
function golden(...parts: string[]): string {
  return parts.join("").replaceAll(" ", "");
}

Deno.test("a write-ahead log is what its grammar says", async () => {
  const files = new MemoryFiles();
  const wal = new LogWriter(files.open("wal", { mode: "create" }), 7);
  wal.append(
    FrameKind.header,
    encodeHeader({
      storeId: STORE_ID,
      previous: { id: 6, length: 0x1_0000_0040, chain: 0xabcdef01 },
    }),
  );
  await wal.sync();
  const batch = [
    { key: toBytes("k1"), value: toBytes("value") },
    { key: toBytes("k2"), value: undefined },
  ];
  const payloadLength = measureBatch(batch);
  const frame = new Uint8Array(frameLength(payloadLength));
  encodeBatch(frame, FRAME_HEADER_BYTES, batch, 0x2_0000_0009);
  wal.appendFrame(frame, payloadLength, 1);
  await wal.seal();
  wal.close();
  assertEquals(
    bytesOf(files, "wal"),
    golden(
      // HEADER: crc, payloadLength, logId
      "82a8eb362200000007000000",
      // kind, flags, batches, syncedTo, reserved
      "020000000000000000000000",
      // formatVersion, store id
      "010000000102030405060708090a0b0c0d0e0f10",
      // previous id, length, chain; padding
      "0600000040000000010001efcdab000000000000",
      // DATA: crc, payloadLength, logId
      "31186d1f2700000007000000",
      // kind, flags, batches, syncedTo, reserved
      "010001004000000000000000",
      // firstSeq, count, bytes
      "0900000002000200000019000000",
      // SET k1 value
      "01000200050000006b3176616c7565",
      // DELETE k2; padding
      "00000200000000006b3200",
      // SEAL
      "fe7478bd0000000007000000030000008000000000000000",
    ),
  );
});

Deno.test("a version edit is what its grammar says", () => {
  const edit = encodeEdit({
    nextNumber: 10,
    lastSeq: 0x3_0000_0001,
    firstWal: 4,
    lastWal: 5,
    closedWal: { id: 5, length: 72, chain: 0x01020304 },
    added: [{
      level: 1,
      info: {
        number: 9,
        size: 500,
        rows: 3,
        tombstones: 1,
        minSeq: 1,
        maxSeq: 7,
        minKey: toBytes("a"),
        maxKey: toBytes("zz"),
      },
    }],
    dropped: [{ level: 0, number: 8 }],
  });
  assertEquals(
    toHex(edit),
    golden(
      // comparator
      "0100080000006279746577697365",
      // nextNumber
      "0200060000000a0000000000",
      // lastSeq
      "030006000000010000000300",
      // firstWal
      "04000400000004000000",
      // lastWal
      "05000400000005000000",
      // addTable
      "06002c00000001090000000000f4010000000003000000000001000000000001",
      "000000000007000000000001006102007a7a",
      // dropTable
      "07000700000000080000000000",
      // closedWal
      "08000e0000000500000048000000000004030201",
    ),
  );
});

Deno.test("a table is what its grammar says", async () => {
  const files = new MemoryFiles();
  const memtable = new Memtable(new SpareMemory(false, 0));
  memtable.add(5, toBytes("user1"), toBytes("one"));
  memtable.add(6, toBytes("user2"), toBytes("two"));
  memtable.add(7, toBytes("user2"), undefined);
  memtable.add(8, toBytes("user3x"), toBytes(""));
  files.makeDirectory("d");
  const target = {
    files,
    dir: "d",
    storeId: STORE_ID,
    blockBytes: 100,
    compression: "none",
  } as const;
  const writer = new TableWriter(target, 3);
  const cursor = memtable.cursor();
  let before = "";
  for (cursor.seekTo(undefined); cursor.valid; cursor.next()) {
    const key = toHex(cursor.keyBuffer.subarray(
      cursor.keyAt,
      cursor.keyAt + cursor.keyLength,
    ));
    writer.add(cursor, key !== before, cursor.seq);
    before = key;
  }
  const info = await writer.finish();
  assertEquals(
    bytesOf(files, "d/000003.sst"),
    golden(
      // data block at 0: header
      "010103000300000004000000530000005a000000000000000500000000000000",
      // abbreviations, key ends, value ends, seq deltas
      "0000003100000032000000320100000002000000030000000300000003000000",
      "06000000000000000200000001000000",
      // kinds; prefix; rest of the keys; values
      "010001757365723132326f6e6574776f",
      // trailer
      "0000000060000000aac1b46b",
      // data block at 0x6c: header
      "0101000001000000060000002c00000032000000000000000800000000000000",
      // columns; prefix, which is the key
      "000000000000000000000000757365723378",
      // trailer
      "0000000032000000a19ee029",
      // filter at 0xaa: header
      "01030600010000000300000000000000",
      // line
      "2000000000000000000402000000000000004000000020000002000800000000",
      "0000000000280000000200008800100040200004000000800000000000000000",
      // trailer
      "000000005000000066a2406a",
      // properties at 0x106
      "0100060000000400000000000200060000000100000000000300060000000500",
      "0000000004000600000008000000000005000500000075736572310600060000",
      "00757365723378070006000000150000000000080006000000060000000000",
      // trailer
      "000000005f000000afec6091",
      // index at 0x171: header
      "010200000200000004000000380000003f000000000000000000000000000000",
      // columns; keys; handles
      "000000320000783301000000030000000a000000140000007573657232337800",
      "00000000006c0000006c00000000003e000000",
      // trailer
      "0000000053000000a7dca0fb",
      // footer: format, features, handles
      "01000000000000007101000000005f000000aa00000000005c00000006010000",
      "00006b000000",
      // number, store id, crc, magic
      "0300000000000102030405060708ad8ca606617370656e737374",
    ),
  );
  const handles = new FileCache(files, 1);
  const table = new Table({
    ...target,
    handles,
    blocks: new BlockCache(0),
    discard: () => {},
  }, info);
  const { number: _, size, ...properties } = info;
  assertEquals(table.properties(), {
    ...properties,
    keyBytes: 21,
    valueBytes: 6,
  });
  assertEquals(size, bytesOf(files, "d/000003.sst").length / 2);
  handles.closeAll();
});

Deno.test("a table with a compressed block is read as its grammar says", () => {
  // The frame is what some zstd made of it: another may make another, and every
  // one must read it.
  const bytes = golden(
    // data block at 0: a zstd frame, of a body of 0x238 bytes
    "28b52ffd6038011d020002c40c18c0a7357bffffffdf601759a064dd5fc1deff",
    "283e42b64c01026b47a12c9510c292f6319ff1e60bf0f35b574f47890f83ef02",
    "04005ea728e72ab7e166197345",
    // trailer: codec, length of the body, crc
    "010000003802000064e9a961",
    // filter at 0x59, trailer
    "0103060001000000040000000000000000000000010400000004020000000000",
    "1000000000000000002200080000800000080000002800000009000008001000",
    "4020000450000880000000000020000000000000500000001dc4d7fb",
    // properties at 0xb5, trailer
    "0100060000000400000000000200060000000000000000000300060000000000",
    "0000000004000600000000000000000005000500000075736572300600050000",
    "007573657233070006000000140000000000080006000000e001000000000000",
    "00005e0000003bf41835",
    // index at 0x11f: header
    "0102000001000000050000002c00000031000000000000000000000000000000",
    // columns; key; handle
    "00000000000000000a000000757365723300000000000059000000",
    // trailer
    "000000003b00000052585593",
    // footer: format, features, handles
    "01000000010000001f0100000000470000005900000000005c000000b5000000",
    "00006a000000",
    // number, store id, crc, magic
    "030000000000010203040506070844e88a03617370656e737374",
  );
  const files = new MemoryFiles();
  files.makeDirectory("d");
  {
    using file = files.open("d/000003.sst", { mode: "create" });
    file.append(
      Uint8Array.from(bytes.match(/../g)!, (pair) => parseInt(pair, 16)),
    );
  }
  const handles = new FileCache(files, 1);
  const info = {
    number: 3,
    size: bytes.length / 2,
    rows: 4,
    tombstones: 0,
    minSeq: 0,
    maxSeq: 0,
    minKey: toBytes("user0"),
    maxKey: toBytes("user3"),
  };
  const table = new Table({
    files,
    dir: "d",
    storeId: STORE_ID,
    handles,
    blocks: new BlockCache(100_000),
    discard: () => {},
  }, info);
  assertEquals(table.compressed, true);
  for (let i = 0; i < 4; i++) {
    const key = toBytes(`user${i}`);
    assertEquals(
      table.get(key, 0, hashKey(key), { block: 0, row: 0 }),
      toBytes("value ".repeat(20)) as Bytes,
    );
  }
  handles.closeAll();
});

Deno.test("CURRENT and a new MANIFEST are what their grammars say", async () => {
  const files = new MemoryFiles();
  const random = {
    u32: () => 0,
    float: () => 0,
    fill: (bytes: Uint8Array<ArrayBuffer>) => (bytes.set(STORE_ID), bytes),
  };
  await (await openLsm("d", { files, random })).close();
  assertEquals(
    bytesOf(files, "d/CURRENT"),
    golden(
      // CURRENT: crc, payloadLength, logId
      "6be6bbb31400000001000000",
      // kind, flags, batches, syncedTo, reserved
      "050000000000000000000000",
      // formatVersion, store id; padding
      "010000000102030405060708090a0b0c0d0e0f1000000000",
    ),
  );
  assertEquals(
    bytesOf(files, "d/MANIFEST-000001"),
    golden(
      // HEADER
      "46172fe422000000010000000200000000000000000000000100000001020304",
      "05060708090a0b0c0d0e0f100000000000000000000000000000000000000000",
      // DATA: the snapshot of an empty store
      "dc060f573a000000010000000100000000000000000000000100080000006279",
      "7465776973650200060000000100000000000300060000000000000000000400",
      "040000000100000005000400000000000000000000000000",
      // DATA: the first WAL
      "ceaf96e32e000000010000000100000098000000000000000100080000006279",
      "7465776973650200060000000100000000000400040000000100000005000400",
      "0000010000000000",
      // DATA: the clean close
      "b83348e92e0000000100000001000000e0000000000000000100080000006279",
      "74657769736502000600000001000000000008000e0000000100000058000000",
      "000072b792db0000",
      // SEAL
      "5aac020a0000000001000000030000002801000000000000",
    ),
  );
});
