import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { StorageError } from "../../runtime/mod.ts";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { turns } from "../testing/turns.ts";
import { FrameKind } from "./frame.ts";
import { LogReader } from "./reader.ts";
import { LogWriter } from "./writer.ts";

/** A log whose syncs end when the test says so. */
function heldLog() {
  const files = new MemoryFiles();
  const file = files.open("log", { mode: "create" });
  const held: PromiseWithResolvers<void>[] = [];
  file.syncData = () => {
    const gate = Promise.withResolvers<void>();
    held.push(gate);
    return gate.promise;
  };
  const log = new LogWriter(file, 7);
  const append = () => log.append(FrameKind.data, new Uint8Array(40));
  const witnessed = () => {
    const reader = new LogReader(file, "log", 7);
    const all: number[] = [];
    for (let frame = reader.next(); frame; frame = reader.next()) {
      all.push(frame.syncedTo);
    }
    return all;
  };
  return { held, log, append, witnessed };
}

Deno.test("what a sync has done counts once those before it are done", async () => {
  const { held, log, append, witnessed } = heldLog();
  append();
  const first = log.sync();
  append();
  const both = log.length;
  const second = log.sync();
  held[1]!.resolve();
  await turns();
  assertEquals(log.unsynced, both);
  append();
  held[0]!.resolve();
  await Promise.all([first, second]);
  assertEquals(log.unsynced, log.length - both);
  append();
  assertEquals(witnessed(), [0, 0, 0, both]);
});

Deno.test("if one fails, all fail that have not ended, whatever the device says of them", async () => {
  for (const failing of [0, 1]) {
    const { held, log, append } = heldLog();
    append();
    const first = log.sync();
    append();
    const second = log.sync();
    held[failing]!.reject(new StorageError("sync", "log", "so it is"));
    await turns();
    held[1 - failing]!.resolve();
    await assertRejects(() => first, StorageError, "so it is");
    await assertRejects(() => second, StorageError, "so it is");
    assertEquals(log.unsynced, log.length);
  }
});

Deno.test("a sync that has ended stays good when a later one fails", async () => {
  const { held, log, append } = heldLog();
  append();
  const first = log.sync();
  append();
  const second = log.sync();
  held[0]!.resolve();
  await first;
  const synced = log.length - log.unsynced;
  held[1]!.reject(new StorageError("sync", "log", "so it is"));
  await assertRejects(() => second, StorageError);
  assertEquals(log.length - log.unsynced, synced);
});

Deno.test("behind a sync that failed nothing more is written, nor is it tried again", async () => {
  const { held, log, append } = heldLog();
  append();
  const first = log.sync();
  append();
  const { length } = log;
  held[0]!.reject(new StorageError("sync", "log", "so it is"));
  await assertRejects(() => first, StorageError, "so it is");
  assertThrows(append, StorageError, "so it is");
  await assertRejects(() => log.sync(), StorageError, "so it is");
  assertEquals([log.length, held.length], [length, 1]);
});
