/**
 * What a closed node has on its disk, read without the node.
 *
 * @module
 */

import { type Lsm, openLsm } from "../../engine/mod.ts";
import {
  type Bank,
  metaKey,
  numberOfKey,
  Space,
  spacePrefix,
} from "../../gossip/keyspace.ts";
import { conflictOf, decodeClash } from "../../gossip/replication/conflict.ts";
import {
  decodeEntry,
  type Version,
  versionOf,
} from "../../gossip/replication/entry.ts";
import {
  type Counters,
  decodeCounters,
} from "../../gossip/replication/state.ts";
import type { Vector } from "../../gossip/replication/vector.ts";
import { readVector as readVectorOf } from "../sim/rows.ts";
import { DenoFiles } from "../../runtime/deno/mod.ts";

/** What a node holds of a key. */
export interface Row {
  /** The value; `null` for a tombstone. */
  value: string | null;
  version: Version;
  leaseholder: number;
}

/** The entries in a closed directory, tombstones included. */
export async function readRows(dir: string): Promise<Map<string, Row>> {
  await using store = await openLsm(dir, { files: new DenoFiles() });
  return rowsIn(store);
}

function rowsIn(store: Lsm): Map<string, Row> {
  const rows = new Map<string, Row>();
  const text = new TextDecoder("utf-8", { fatal: true });
  const bank = readBank(store);
  for (const space of [Space.LIVE + bank, Space.DEAD + bank]) {
    const found = store.iterate({ prefix: spacePrefix(space) });
    while (found.next()) {
      const key = text.decode(found.key.subarray(1));
      if (rows.has(key)) throw new Error(`"${key}" is both alive and dead`);
      const entry = decodeEntry(found.key, found.value);
      rows.set(key, {
        value: entry.value === undefined ? null : text.decode(entry.value),
        version: versionOf(entry),
        leaseholder: entry.holder,
      });
    }
    found.close();
  }
  return rows;
}

/** The writes that a closed directory has on record as lost to others. */
export async function readConflicts(
  dir: string,
): Promise<{ key: string; lost: Version; batchKeys: string[] }[]> {
  const text = new TextDecoder();
  await using store = await openLsm(dir, { files: new DenoFiles() });
  const found = store.iterate({ prefix: spacePrefix(Space.CONFLICT) });
  const conflicts = [];
  while (found.next()) {
    const { key, lost, batchKeys } = conflictOf({
      ...decodeClash(found.value),
      number: numberOfKey(found.key),
    });
    conflicts.push({
      key: text.decode(key),
      lost: lost.version,
      batchKeys: batchKeys.map((key) => text.decode(key)),
    });
  }
  found.close();
  return conflicts;
}

/** What the records are that a closed directory covers. */
export async function readVector(dir: string): Promise<Vector> {
  await using store = await openLsm(dir, { files: new DenoFiles() });
  return readVectorOf(store);
}

/** What a closed directory has, for who compares it with others. */
export interface Left {
  readonly rows: ReadonlyMap<string, Row>;
  readonly vector: Vector;
  /** The highest life of which a tombstone was collected, here or by a donor. */
  readonly lifeGone: number;
}

/** Reads all that a closed directory is compared by. */
export async function readLeft(dir: string): Promise<Left> {
  await using store = await openLsm(dir, { files: new DenoFiles() });
  return {
    rows: rowsIn(store),
    vector: readVectorOf(store),
    lifeGone: readCounters(store)?.lifeGone ?? 0,
  };
}

/** Where the copy of the data is that counts. */
function readBank(store: Lsm): Bank {
  return readCounters(store)?.bank ?? 0;
}

function readCounters(store: Lsm): Counters | undefined {
  const row = store.get(metaKey("counters"));
  return row && decodeCounters(row);
}

/** How many conflicts a closed directory has on record. */
export async function countConflicts(dir: string): Promise<number> {
  return (await readConflicts(dir)).length;
}
