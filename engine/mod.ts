/**
 * One node's ordered store of bytes: the {@linkcode KV} interface that any
 * engine can implement, and {@linkcode openLsm}, a log-structured merge tree
 * on files.
 *
 * ```ts ignore
 * import { openLsm } from "@aspen/core/engine";
 *
 * await using store = await openLsm("data", { files, random });
 * const text = new TextEncoder();
 * await store.write(
 *   [{ key: text.encode("greeting"), value: text.encode("hello") }],
 *   { sync: true },
 * );
 * store.get(text.encode("greeting")); // Uint8Array of "hello"
 *
 * const iterator = store.iterate({ prefix: text.encode("g") });
 * while (iterator.next()) iterator.key;
 * ```
 *
 * @module
 */

export * from "./kv.ts";
export { Lsm, type LsmSnapshot, type LsmStats, openLsm } from "./lsm.ts";
export type { RangeIterator } from "./iterator/range_iterator.ts";
export type { ValueView } from "./value_view.ts";
export { destroyLsm, type DestroyOptions } from "./upkeep/destroy.ts";
export {
  buildTable,
  type BuildTableOptions,
  type BuiltTable,
  type TableBuilder,
} from "./upkeep/build_table.ts";
export {
  checkLsm,
  type CheckLsmOptions,
  type CheckOptions,
  type CheckReport,
  type Damage,
  type Progress,
} from "./upkeep/check.ts";
export {
  describeLsm,
  type DescribeOptions,
  type StoreDescription,
  type TableDescription,
  type WalDescription,
} from "./upkeep/describe.ts";
export {
  repairLsm,
  type RepairOptions,
  type RepairReport,
} from "./upkeep/repair.ts";
export type { LevelMetrics, LsmMetrics, SyncBucket } from "./metrics.ts";
export type { KeyRange } from "./range.ts";
export type { Compression } from "./table/codec.ts";
export type { EntryFilter } from "./compaction/merge.ts";
export type { WrittenBytes } from "./store.ts";
export type { LsmOptions, StallReason } from "./options.ts";
