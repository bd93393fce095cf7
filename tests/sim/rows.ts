/**
 * What a node has on its disk, read behind its back.
 *
 * Guarantees: {@linkcode readState} gives the state of one moment; it runs
 * nothing of the node.
 *
 * @module
 */

import type { KV, KVSnapshot } from "../../engine/mod.ts";
import {
  type Bank,
  metaKey,
  originOfVectorKey,
  rowKey,
  Space,
  spacePrefix,
} from "../../gossip/keyspace.ts";
import { decodeClash } from "../../gossip/replication/conflict.ts";
import { decodeEntry, versionOf } from "../../gossip/replication/entry.ts";
import {
  decodeRecord,
  type LogRecord,
} from "../../gossip/replication/record.ts";
import { decodeCounters } from "../../gossip/replication/state.ts";
import { Vector } from "../../gossip/replication/vector.ts";
import type { Version } from "../../mod.ts";

/** What a node knows of a key. */
export interface Row {
  /** `undefined` for a tombstone. */
  readonly value: string | undefined;
  readonly version: Version;
  readonly leaseholder: number;
}

/**
 * The state of a node. Entries of a first copy that is not whole count for nothing
 * (`Replica.fill`): a node that has one, or none, has no rows.
 */
export interface NodeState {
  /** All entries, tombstones included. */
  readonly rows: ReadonlyMap<string, Row>;
  readonly vector: Vector;
}

const decoder = new TextDecoder();

/** The whole state of an engine that is open and answers at once. */
export function readState(engine: KV): NodeState {
  const snapshot = engine.snapshot() as KVSnapshot;
  try {
    const rows = new Map<string, Row>();
    const counters = snapshot.get(metaKey("counters")) as
      | Uint8Array
      | undefined;
    if (counters === undefined || !decodeCounters(counters).caughtUp) {
      return { rows, vector: readVector(snapshot) };
    }
    const bank = readBank(snapshot);
    for (const space of [Space.LIVE + bank, Space.DEAD + bank]) {
      for (const { key, value } of rowsOf(snapshot, space)) {
        const entry = decodeEntry(key, value);
        rows.set(decoder.decode(key), {
          value: entry.value && decoder.decode(entry.value),
          version: versionOf(entry),
          leaseholder: entry.holder,
        });
      }
    }
    return { rows, vector: readVector(snapshot) };
  } finally {
    void snapshot.close();
  }
}

/** Where the copy of the data is that counts. */
function readBank(engine: Pick<KV, "get">): Bank {
  const row = engine.get(metaKey("counters")) as Uint8Array | undefined;
  return row === undefined ? 0 : decodeCounters(row).bank;
}

/** The vector of an engine. */
export function readVector(engine: Pick<KV, "iterate" | "get">): Vector {
  const vector = new Vector();
  const rows = engine.iterate({
    prefix: spacePrefix(Space.VECTOR + readBank(engine)),
  });
  while (rows.next()) {
    vector.decodeOrigin(originOfVectorKey(rows.key), rows.value);
  }
  void rows.close();
  return vector;
}

/** Whether a node has a seat, on which it votes once it is named. */
export function hasSeat(engine: Pick<KV, "get">): boolean {
  const row = engine.get(rowKey(Space.ACCEPTOR, Uint8Array.of(0)));
  return (row as Uint8Array | undefined)?.[1] === 1;
}

/** What a node knows of one key, now. */
export function readRow(engine: KV, key: string): Version | undefined {
  const name = new TextEncoder().encode(key);
  const bank = readBank(engine);
  for (const space of [Space.LIVE, Space.DEAD]) {
    const row = engine.get(rowKey(space + bank, name)) as
      | Uint8Array
      | undefined;
    if (row !== undefined) return versionOf(decodeEntry(name, row));
  }
  return undefined;
}

/** The records of the recent log behind a row of it, and the last row. */
export function readLog(
  engine: KV,
  after: Uint8Array | undefined,
): { records: LogRecord[]; last: Uint8Array | undefined } {
  const records: LogRecord[] = [];
  let last = after;
  const prefix = spacePrefix(Space.LOG + readBank(engine));
  // The log of a copy that took the place of another one is read from its start.
  const start = after?.[0] === prefix[0]
    ? Uint8Array.of(...after!, 0)
    : undefined;
  const rows = engine.iterate({ prefix, start });
  while (rows.next()) {
    records.push(decodeRecord(new Uint8Array(rows.value)));
    last = new Uint8Array(rows.key);
  }
  void rows.close();
  return { records, last };
}

/** The conflicts on record: key and losing version. */
export function readConflicts(engine: KV): { key: string; lost: Version }[] {
  const reports: { key: string; lost: Version }[] = [];
  for (const { value } of rowsOf(engine, Space.CONFLICT)) {
    const { lost } = decodeClash(value);
    reports.push({ key: decoder.decode(lost.key), lost: versionOf(lost) });
  }
  return reports;
}

/** A state as text: equal for equal states. */
export function stateText({ rows, vector }: NodeState): string {
  const sorted = [...rows].sort(([a], [b]) => a < b ? -1 : 1);
  const origins = [...vector.origins()].sort((a, b) => a - b);
  return JSON.stringify([
    sorted,
    origins.map((origin) => [origin, vector.seq(origin)]),
  ]);
}

function* rowsOf(
  engine: Pick<KV, "iterate">,
  space: number,
): Generator<{ key: Uint8Array; value: Uint8Array }> {
  const rows = engine.iterate({ prefix: spacePrefix(space) });
  try {
    while (rows.next()) yield { key: rows.key.subarray(1), value: rows.value };
  } finally {
    void rows.close();
  }
}
