import { assertEquals, assertRejects } from "@std/assert";
import {
  type FileOptions,
  type RuntimeFile,
  StorageError,
} from "../../runtime/mod.ts";
import { StepFiles } from "../testing/step_files.ts";
import { createWal, identityOf } from "./wal.ts";
import { WalChain } from "./wal_chain.ts";

const DIR = "store";

/** A chain of which `events` tells what becomes durable, in order. */
function chainOf(events: string[]): { chain: WalChain; files: StepFiles } {
  const files = new StepFiles(undefined, (_, action, path) => {
    if (action.startsWith("end")) events.push(`${action} ${path}`);
    return undefined;
  });
  files.makeDirectory(DIR);
  const store = {
    files,
    dir: DIR,
    storeId: new Uint8Array(16),
    install(edit: { lastWal?: number }) {
      events.push(`lastWal ${edit.lastWal}`);
      return Promise.resolve();
    },
  };
  const first = createWal(store, { id: 0, length: 0, chain: 0 });
  return { chain: new WalChain(store, first), files };
}

Deno.test("a sync makes all logs durable from the oldest on, and their names, then names the newest", async () => {
  const events: string[] = [];
  const { chain } = chainOf(events);
  chain.roll();
  chain.roll();
  assertEquals(events, []);
  await chain.sync();
  assertEquals(events, [
    "end sync store/000001.wal",
    "end sync store/000002.wal",
    "end sync store/000003.wal",
    "end sync store",
    "lastWal 3",
  ]);
  await chain.sync();
  assertEquals(events.length, 5);
  chain.close();
});

Deno.test("a log whose batches are in tables is not synced any more", async () => {
  const events: string[] = [];
  const { chain } = chainOf(events);
  chain.roll();
  chain.roll();
  chain.forget(1);
  await chain.sync();
  assertEquals(events[0], "end sync store/000002.wal");
  // Also while it is being synced.
  events.length = 0;
  chain.roll();
  const syncing = chain.sync();
  chain.forget(3);
  await syncing;
  assertEquals(events.at(-1), "lastWal 4");
  chain.close();
});

Deno.test("a log that is forgotten while it is synced is closed, also if its sync fails", async () => {
  for (const fails of [true, false]) {
    let open = 0;
    const files = new class extends StepFiles {
      override open(path: string, options: FileOptions): RuntimeFile {
        const file = super.open(path, options);
        const close = file.close.bind(file);
        open++;
        file.close = () => {
          open--;
          file.close = close;
          close();
        };
        return file;
      }
    }(
      undefined,
      (_, action) => fails && action === "end sync" ? "fail" : undefined,
    );
    files.makeDirectory(DIR);
    const store = {
      files,
      dir: DIR,
      storeId: new Uint8Array(16),
      install: () => Promise.resolve(),
    };
    const first = createWal(store, { id: 0, length: 0, chain: 0 });
    const chain = new WalChain(store, first);
    chain.roll();
    assertEquals(open, 2);
    const syncing = chain.sync();
    chain.forget(1);
    if (fails) await assertRejects(() => syncing, StorageError);
    else await syncing;
    assertEquals(open, 1);
    chain.close();
    assertEquals(open, 0);
  }
});

Deno.test("each log says how the one before it ended", () => {
  const { chain, files } = chainOf([]);
  const frame = new Uint8Array(32);
  chain.append(frame, 8, 1);
  const { length } = chain.current;
  chain.roll();
  const place = { files, dir: DIR, storeId: new Uint8Array(16) };
  assertEquals(identityOf(place, 1).length, length);
  assertEquals(chain.current.id, 2);
  chain.close();
});
