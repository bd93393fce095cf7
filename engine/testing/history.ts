/**
 * A short history of a store, and what it may look like after any crash: every
 * prefix of its batches.
 *
 * @module
 */

import { toBytes, toText } from "../../runtime/mod.ts";
import type { BatchOp, KV, KVReader } from "../kv.ts";
import type { LsmOptions } from "../options.ts";

/** Options under which little data sees every kind of file and job. */
export const TINY: Omit<LsmOptions, "files"> = {
  memtableBytes: 700,
  tableBytes: 300,
  blockBytes: 120,
  levelBytes: 1500,
  cacheBytes: 2000,
  openFilesMax: 3,
};

/** The key whose value is the number of batches written so far. */
const COUNT_KEY = "count";

/** The batch number `i` of the history, from 1 on. */
export function batchOf(i: number): BatchOp[] {
  const ops: BatchOp[] = [{ key: toBytes(COUNT_KEY), value: toBytes(`${i}`) }];
  for (let n = 0; n < 3; n++) {
    const key = toBytes(`key${(i * 7 + n * 5) % 11}`);
    const deletes = (i + n) % 4 === 0;
    ops.push({
      key,
      value: deletes ? undefined : toBytes(`${i}-${n}`.repeat(1 + i % 5)),
    });
  }
  return ops;
}

/** What the store holds after `count` batches. */
export function stateAfter(count: number): string {
  const state = new Map<string, string>();
  for (let i = 1; i <= count; i++) {
    for (const { key, value } of batchOf(i)) {
      if (value === undefined) state.delete(toText(key));
      else state.set(toText(key), toText(value));
    }
  }
  return [...state].sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`).join(" ");
}

/** What a store holds, read forward, backward and key by key. */
export async function contentOf(reader: KVReader): Promise<string> {
  const read = async (reverse: boolean) => {
    const pairs: string[] = [];
    const iterator = reader.iterate({ reverse });
    while (await iterator.next()) {
      const value = await reader.get(iterator.key);
      if (value === undefined || toText(value) !== toText(iterator.value)) {
        throw new Error("get and iterate disagree");
      }
      pairs.push(`${toText(iterator.key)}=${toText(value)}`);
    }
    return reverse ? pairs.reverse() : pairs;
  };
  const forward = (await read(false)).join(" ");
  if (forward !== (await read(true)).join(" ")) {
    throw new Error("forward and backward disagree");
  }
  return forward;
}

/** How many batches a store holds. Throws if it is no prefix of the history. */
export async function prefixOf(kv: KV): Promise<number> {
  const bytes = await kv.get(toBytes(COUNT_KEY));
  const count = bytes === undefined ? 0 : Number(toText(bytes));
  const found = await contentOf(kv);
  if (found !== stateAfter(count)) {
    throw new Error(
      `no prefix: after ${count} batches "${found}", not "${
        stateAfter(count)
      }"`,
    );
  }
  return count;
}
