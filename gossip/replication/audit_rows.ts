/**
 * The rows that the audit reads, slice by slice, each between two groups of the
 * apply loop: what it counts, lists and compares is durable, and of one moment.
 *
 * @module
 */

import { isPromise } from "../../runtime/mod.ts";
import type { KV, KVReader } from "../../engine/kv.ts";
import {
  type Bank,
  indexKey,
  rowKey,
  Space,
  spacePrefix,
} from "../keyspace.ts";
import { type AuditItem, ITEMS_MAX, type Listed } from "./audit_messages.ts";
import { hashEntry } from "./audit_sums.ts";
import { decodeEntry, type Entry } from "./entry.ts";
import { readEntry } from "./entry_rows.ts";
import type { ReplicaState } from "./state.ts";
import type { Vector } from "./vector.ts";

/** Rows of a slice. */
const SLICE_ROWS = 256;

/** Bytes of a slice's values, after which it ends. */
const SLICE_BYTES = 256 * 1024;

/** Bytes of items that go together, unless the first has more. */
export const ITEMS_BYTES_MAX = 1024 * 1024;

/** Where in the rows a slice begins and ends: both keys, or neither. */
export interface Stretch {
  /** Behind which key. */
  readonly after?: Uint8Array | undefined;
  /** To which key, inclusive. */
  readonly upTo?: Uint8Array | undefined;
}

/** Living entries in a row. */
export interface Slice {
  readonly entries: readonly Entry[];
  /** Whether none comes behind them in the stretch. */
  readonly isLast: boolean;
}

/** The first living entries of a stretch. */
export async function readSlice(
  kv: KVReader,
  bank: Bank,
  { after, upTo }: Stretch,
): Promise<Slice> {
  const space = Space.LIVE + bank;
  const rows = kv.iterate({
    prefix: spacePrefix(space),
    start: after && behind(rowKey(space, after)),
    end: upTo && behind(rowKey(space, upTo)),
  });
  const entries: Entry[] = [];
  let bytes = 0;
  try {
    while (entries.length < SLICE_ROWS && bytes < SLICE_BYTES) {
      const more = rows.next();
      if (!(isPromise(more) ? await more : more)) {
        return { entries, isLast: true };
      }
      const row = rows.value;
      entries.push(decodeEntry(rows.key.subarray(1), row));
      bytes += row.length;
    }
    return { entries, isLast: false };
  } finally {
    await rows.close();
  }
}

/** Counts the next slice of the rows, unless all are counted. */
export async function countSlice(kv: KV, state: ReplicaState): Promise<void> {
  const { sums, bank } = state;
  if (sums.isWhole) return;
  const { entries, isLast } = await readSlice(kv, bank, { after: sums.last });
  sums.counted(entries, isLast);
}

/** Of a slice, those entries that are in some buckets. */
export function listed(
  { entries }: Slice,
  buckets: ReadonlySet<number>,
): Listed[] {
  const found: Listed[] = [];
  for (const entry of entries) {
    const { bucket, a, b } = hashEntry(entry);
    if (buckets.has(bucket)) found.push({ key: entry.key, a, b });
  }
  return found;
}

/** What a state has of keys: of all, or of the first, within the limits. */
export async function readItems(
  kv: KV,
  { vector, bank }: ReplicaState,
  keys: readonly Uint8Array[],
): Promise<{ vector: Vector; items: AuditItem[] }> {
  const items: AuditItem[] = [];
  let bytes = 0;
  for (const key of keys) {
    const entry = await readEntry(kv, bank, key);
    bytes += key.length + (entry?.value?.length ?? 0);
    if (items.length > 0 && bytes > ITEMS_BYTES_MAX) break;
    if (items.length === ITEMS_MAX) break;
    const isIndexed = entry !== undefined &&
      await kv.get(indexKey(bank, entry.origin, entry.seq, key)) !== undefined;
    items.push({ key, entry, isIndexed });
  }
  return { vector, items };
}

/** The key that comes next. */
function behind(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
