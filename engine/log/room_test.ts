import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  CorruptionError,
  type RuntimeFile,
  StorageError,
} from "../../runtime/mod.ts";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { openLsm } from "../mod.ts";
import { FrameKind } from "./frame.ts";
import { LogReader } from "./reader.ts";
import { LogWriter } from "./writer.ts";

const ROOM = 4096;

/** Of one with 40 bytes of payload. */
const FRAME_BYTES = 64;

function newLog(): { files: MemoryFiles; file: RuntimeFile; log: LogWriter } {
  const files = new MemoryFiles();
  const file = files.open("log", { mode: "create" });
  return {
    files,
    file,
    log: new LogWriter(file, 7, undefined, undefined, ROOM),
  };
}

async function put(log: LogWriter, byte: number): Promise<void> {
  log.append(FrameKind.data, new Uint8Array(40).fill(byte));
  await log.sync();
}

function read(file: RuntimeFile): { bytes: number[]; reader: LogReader } {
  const reader = new LogReader(file, "log", 7);
  const bytes: number[] = [];
  for (let frame = reader.next(); frame; frame = reader.next()) {
    bytes.push(frame.payload[0]!);
  }
  return { bytes, reader };
}

Deno.test("a log gets room from its second sync on, and reads to its end", async () => {
  const { files, file, log } = newLog();
  await put(log, 1);
  assertEquals(file.size(), log.length);
  for (let i = 2; i <= 200; i++) {
    await put(log, i);
    assert(file.size() >= log.length && file.size() <= log.length + ROOM);
  }
  assert(file.size() > log.length);
  using reader = files.open("log", { mode: "read" });
  const all = read(reader);
  assertEquals(all.bytes, Array.from({ length: 200 }, (_, i) => i + 1));
  assertEquals([all.reader.end, all.reader.tornBytes], [log.length, 0]);
  assertEquals(all.reader.restBytes, file.size() - log.length);
});

Deno.test("a sealed log has no room, whatever it had, and one that is complete gets none", async () => {
  for (let syncs = 0; syncs < 120; syncs++) {
    const { file, log } = newLog();
    for (let i = 0; i < syncs; i++) await put(log, 1);
    await log.seal();
    assertEquals(file.size(), log.length, `${syncs} syncs`);
  }
  const { file, log } = newLog();
  await put(log, 1);
  log.append(FrameKind.data, new Uint8Array(40).fill(2));
  log.complete();
  await log.sync();
  assertEquals(file.size(), log.length);
});

Deno.test("room that cannot be made is done without", async () => {
  const { file, log } = newLog();
  let asked = 0;
  file.reserve = () => {
    asked++;
    throw new StorageError("make room in", "log", "no space is left");
  };
  for (let i = 1; i <= 3; i++) await put(log, i);
  assert(asked > 0);
  assertEquals(file.size(), log.length);
  assertEquals(read(file).bytes, [1, 2, 3]);
});

Deno.test("a store that is closed leaves no room", async () => {
  const files = new MemoryFiles();
  for (let open = 0; open < 3; open++) {
    const store = await openLsm("store", { files });
    if (open === 1) {
      for (let i = 0; i < 5; i++) {
        const key = new Uint8Array([i]);
        await store.write([{ key, value: key }], { sync: true });
      }
    }
    await store.close();
    for (const name of files.list("store")) {
      if (!name.endsWith(".wal")) continue;
      using file = files.open(`store/${name}`, { mode: "read" });
      assert(file.size() < 1000, `${name}: ${file.size()}`);
    }
  }
});

/** A log as someone sees it who reads while `meanwhile` happens, once. */
function readBeside(file: RuntimeFile, meanwhile: () => void): RuntimeFile {
  let happened = false;
  const beside: RuntimeFile = Object.create(file);
  beside.size = () => file.size();
  beside.readAt = (buffer, position) => {
    const length = file.readAt(buffer, position);
    if (!happened) {
      happened = true;
      meanwhile();
    }
    return length;
  };
  return beside;
}

Deno.test("who reads beside a writer takes frames that came into the room meanwhile, and no damage for them", async () => {
  const { file, log } = newLog();
  for (let i = 1; i <= 3; i++) await put(log, i);
  let written = Promise.resolve();
  const { bytes, reader } = read(readBeside(file, () => {
    // The sync of memory is done when it is begun, so each says more than before.
    written = put(log, 4).then(() => put(log, 5));
    log.append(FrameKind.data, new Uint8Array(40).fill(6));
  }));
  await written;
  // 5 comes once 4 is synced, later than anyone looks.
  assertEquals(bytes, [1, 2, 3, 4, 6]);
  assertEquals(reader.tornBytes, 0);
});

Deno.test("a frame that a witness says was synced is read again before it is called damaged", async () => {
  const { file, log } = newLog();
  for (let i = 1; i <= 3; i++) await put(log, i);
  const end = log.length;
  // All of it is there from the start, but the first of them is seen late.
  for (let i = 4; i <= 6; i++) await put(log, i);
  for (const late of [1, 2]) {
    let looks = 0;
    const seen: RuntimeFile = Object.create(file);
    seen.size = () => file.size();
    seen.readAt = (buffer, position) => {
      const length = file.readAt(buffer, position);
      const at = end - position;
      if (looks++ < late) buffer.fill(0, at, at + FRAME_BYTES);
      return length;
    };
    assertEquals(read(seen).bytes, [1, 2, 3, 4, 5, 6]);
  }
  // Of one that is damaged every look shows the same.
  const broken: RuntimeFile = Object.create(file);
  broken.size = () => file.size();
  broken.readAt = (buffer, position) => {
    const length = file.readAt(buffer, position);
    if (position <= end && end < position + length) {
      buffer[end - position]! ^= 1;
    }
    return length;
  };
  const error = assertThrows(() => read(broken), CorruptionError);
  assertEquals(error.offset, end);
});

Deno.test("room that is cut while a log is read is no damage", async () => {
  const { file, log } = newLog();
  for (let i = 1; i <= 3; i++) await put(log, i);
  const length = log.length;
  const { bytes, reader } = read(
    readBeside(file, () => file.truncate(length)),
  );
  assertEquals(bytes, [1, 2, 3]);
  assertEquals([reader.end, reader.tornBytes], [length, 0]);
});
