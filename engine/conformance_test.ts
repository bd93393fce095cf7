import { MemoryFiles } from "../runtime/memory_files.ts";
import { kvConformance } from "./conformance.ts";
import type { KV } from "./kv.ts";
import { openLsm } from "./mod.ts";
import { openAwaitedKv } from "./testing/awaited_kv.ts";

const ENGINES: Record<string, () => Promise<KV>> = {
  "the LSM": () => openLsm("store", { files: new MemoryFiles() }),
  "the LSM with tiny memtables and tables": () =>
    openLsm("store", {
      files: new MemoryFiles(),
      memtableBytes: 1,
      tableBytes: 1,
      blockBytes: 1,
      levelBytes: 1,
      cacheBytes: 0,
      openFilesMax: 1,
    }),
  "the engine whose every call is awaited": openAwaitedKv,
};

for (const [engine, open] of Object.entries(ENGINES)) {
  for (const { name, run } of kvConformance) {
    Deno.test(`${engine}: ${name}`, () => run(open));
  }
}
