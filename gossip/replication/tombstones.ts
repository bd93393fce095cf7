/**
 * Takes away tombstones that every member knows all to have (replication.md §6).
 *
 * Guarantees: a tombstone, its row in the index of dots, and what is remembered of its
 * life go in one batch; few rows are looked at in one call, so that others are served
 * between two. Assumes: nothing else writes meanwhile.
 *
 * @module
 */

import type { BatchOp, KV } from "../../engine/kv.ts";
import { indexKey, metaKey, Space, spacePrefix } from "../keyspace.ts";
import type { Dot } from "./dot.ts";
import { decodeEntry } from "./entry.ts";
import { countersOf, encodeCounters, type ReplicaState } from "./state.ts";
import type { Vector } from "./vector.ts";

/** Tombstones that are looked at in one call. */
const COLLECT_ROWS = 500;

/** What was looked at. */
export interface CollectedSlice {
  /** How many were taken away. */
  readonly collected: number;
  /** All of them, and what life each ended. */
  readonly tombstones: readonly { readonly dot: Dot; readonly life: number }[];
  /** The last row, if there may be more behind it. */
  readonly last: Uint8Array | undefined;
}

/** Collects among some tombstones, from behind a row on, those behind the gate. */
export async function collectSlice(
  kv: KV,
  state: ReplicaState,
  gate: Vector,
  after: Uint8Array | undefined,
): Promise<CollectedSlice> {
  const counters = countersOf(state);
  const prefix = spacePrefix(Space.DEAD + state.bank);
  const start = after === undefined ? undefined : Uint8Array.of(...after, 0);
  const rows = kv.iterate({ prefix, start });
  const tombstones: { dot: Dot; life: number }[] = [];
  const ops: BatchOp[] = [];
  let last: Uint8Array | undefined;
  try {
    for (;;) {
      if (!(await rows.next())) {
        last = undefined;
        break;
      }
      if (tombstones.length === COLLECT_ROWS) break;
      const key = rows.key.slice();
      const { origin, seq, life } = decodeEntry(key.subarray(1), rows.value);
      tombstones.push({ dot: { origin, seq }, life });
      last = key;
      if (!gate.covers(origin, seq)) continue;
      counters.lifeGone = Math.max(counters.lifeGone, life);
      const index = indexKey(state.bank, origin, seq, key.subarray(1));
      ops.push({ key, value: undefined }, { key: index, value: undefined });
    }
  } finally {
    await rows.close();
  }
  if (ops.length > 0) {
    const value = encodeCounters(counters);
    await kv.write([...ops, { key: metaKey("counters"), value }]);
    Object.assign(state, counters);
  }
  return { collected: ops.length / 2, tombstones, last };
}
