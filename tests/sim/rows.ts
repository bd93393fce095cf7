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
  foldOfKey,
  metaKey,
  numberOfKey,
  originOfVectorKey,
  rowKey,
  Space,
  spacePrefix,
} from "../../gossip/keyspace.ts";
import { SEAT_BYTES } from "../../gossip/register/config.ts";
import { decodeClash } from "../../gossip/replication/conflict.ts";
import { decodeEntry, versionOf } from "../../gossip/replication/entry.ts";
import {
  decodeRecord,
  type LogRecord,
} from "../../gossip/replication/record.ts";
import { Folds, readFold } from "../../gossip/replication/fold.ts";
import { decodeCounters } from "../../gossip/replication/state.ts";
import { Vector } from "../../gossip/replication/vector.ts";
import type { Version } from "../../mod.ts";
import { Reader } from "../../runtime/bytes.ts";

/** What a node knows of a key. */
export interface Row {
  /** `undefined` for a tombstone. */
  readonly value: string | undefined;
  readonly version: Version;
  readonly leaseholder: number;
}

/**
 * The state of a node. Entries of a whole copy under way count for nothing
 * (`Replica.fill`): they stand in the other bank.
 */
export interface NodeState {
  /** All entries, tombstones included. */
  readonly rows: ReadonlyMap<string, Row>;
  readonly vector: Vector;
}

const decoder = new TextDecoder();

/**
 * The state of an engine that is open and answers at once.
 *
 * @param keyPrefix Only keys that begin so.
 */
export function readState(engine: KV, keyPrefix = ""): NodeState {
  const snapshot = engine.snapshot() as KVSnapshot;
  try {
    const rows = new Map<string, Row>();
    const bank = readBank(snapshot);
    const prefix = new TextEncoder().encode(keyPrefix);
    for (const space of [Space.LIVE + bank, Space.DEAD + bank]) {
      for (const { key, value } of rowsOf(snapshot, space, prefix)) {
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

/**
 * The vector of an engine, spelt out: with the origins that were folded, so that
 * vectors of nodes that know other folds are compared as what they say.
 */
export function readVector(engine: Pick<KV, "iterate" | "get">): Vector {
  const folds = new Folds();
  const known = engine.iterate({ prefix: spacePrefix(Space.FOLD) });
  while (known.next()) {
    folds.add(readFold(foldOfKey(known.key), known.value));
  }
  void known.close();
  return readNamed(engine, folds).beyond(new Vector());
}

/** The vector of an engine, as it is kept there. */
export function readNamed(
  engine: Pick<KV, "iterate" | "get">,
  folds?: Folds,
): Vector {
  const vector = new Vector(folds);
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
  return acceptorRow(engine)?.[1] === 1;
}

/** The newest config that a node knows, encoded; \`undefined\` until it knows one. */
export function configRow(engine: Pick<KV, "get">): Uint8Array | undefined {
  const row = acceptorRow(engine);
  if (row === undefined) return undefined;
  const reader = new Reader(row, "the acceptor's state");
  reader.u8();
  if (reader.u8() === 1) reader.raw(SEAT_BYTES);
  return reader.bytes();
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

/** A conflict on record. */
export interface ConflictRow {
  readonly key: string;
  /** Absent where a whole copy without the key took the place of the data. */
  readonly kept: Version | undefined;
  readonly lost: Pick<Row, "version" | "value">;
}

/** The conflicts on record behind a row of them, and the last row. */
export function readConflicts(
  engine: KV,
  after?: Uint8Array,
): { conflicts: ConflictRow[]; last: Uint8Array | undefined } {
  const conflicts: ConflictRow[] = [];
  let last = after;
  const rows = engine.iterate({
    prefix: spacePrefix(Space.CONFLICT),
    start: after && Uint8Array.of(...after, 0),
  });
  while (rows.next()) {
    const { kept, lost } = decodeClash(new Uint8Array(rows.value));
    const value = lost.value && decoder.decode(lost.value);
    conflicts.push({
      key: decoder.decode(lost.key),
      kept: kept && versionOf(kept),
      lost: { version: versionOf(lost), value },
    });
    last = new Uint8Array(rows.key);
  }
  void rows.close();
  return { conflicts, last };
}

/**
 * What is wrong with the numbers of the conflicts on record; `undefined` if all are
 * there that were reported and not forgotten.
 */
export function conflictGap(engine: KV): string | undefined {
  const snapshot = engine.snapshot() as KVSnapshot;
  try {
    const row = snapshot.get(metaKey("counters")) as Uint8Array | undefined;
    if (row === undefined) return undefined;
    const { conflictNumber, conflictsForgotten } = decodeCounters(row);
    let expected = conflictsForgotten + 1;
    const rows = snapshot.iterate({ prefix: spacePrefix(Space.CONFLICT) });
    try {
      while (rows.next()) {
        const number = numberOfKey(rows.key);
        if (number !== expected) return `${number} in the place of ${expected}`;
        expected++;
      }
    } finally {
      void rows.close();
    }
    return expected === conflictNumber + 1
      ? undefined
      : `none from ${expected} to ${conflictNumber}`;
  } finally {
    void snapshot.close();
  }
}

/** How many tombstones a state has. */
export function tombstonesOf({ rows }: NodeState): number {
  let count = 0;
  for (const { value } of rows.values()) if (value === undefined) count++;
  return count;
}

/**
 * A state as text: equal for equal states. Tombstones are left out, which go at each
 * node in its own time; in the end none is left.
 */
export function stateText({ rows, vector }: NodeState): string {
  const sorted = [...rows].filter(([, { value }]) => value !== undefined)
    .sort(([a], [b]) => a < b ? -1 : 1);
  const origins = [...vector.origins()].sort((a, b) => a - b);
  return JSON.stringify([
    sorted,
    origins.map((origin) => [origin, vector.seq(origin)]),
  ]);
}

function acceptorRow(engine: Pick<KV, "get">): Uint8Array | undefined {
  return engine.get(rowKey(Space.ACCEPTOR, Uint8Array.of(0))) as
    | Uint8Array
    | undefined;
}

function* rowsOf(
  engine: Pick<KV, "iterate">,
  space: number,
  keyPrefix: Uint8Array,
): Generator<{ key: Uint8Array; value: Uint8Array }> {
  const rows = engine.iterate({ prefix: rowKey(space, keyPrefix) });
  try {
    while (rows.next()) yield { key: rows.key.subarray(1), value: rows.value };
  } finally {
    void rows.close();
  }
}
