/**
 * The world of the replication tests: an engine that forgets what was not
 * synced and whose writes end when told, and short ways to entries, records and
 * replicas.
 */

import type {
  BatchOp,
  BoundedRange,
  IterateOptions,
  KV,
  KVIterator,
  KVSnapshot,
} from "../../engine/kv.ts";
import {
  type Bytes,
  type Clock,
  prefixEnd,
  type Timer,
  type Timers,
  toBytes,
} from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { keyText, metaKey } from "../keyspace.ts";
import type { ReportedClash } from "./conflict.ts";
import { makeOrigin, type Origin } from "./dot.ts";
import type { Applied } from "./draft.ts";
import { type Entry, EntryFields, EntryFlag } from "./entry.ts";
import { hlcAt } from "./hlc.ts";
import { type LogRecord, makeRecord, RecordKind } from "./record.ts";
import {
  Replica,
  type ReplicaListener,
  type ReplicaOptions,
} from "./replica.ts";
import { encodeCounters } from "./state.ts";

interface Row {
  readonly text: string;
  readonly key: Bytes;
  readonly value: Bytes;
}

/** Rows in order; never changed once made. */
type Rows = readonly Row[];

function lowerBound(rows: Rows, text: string): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rows[middle]!.text < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** An engine in memory, of which a test decides what is durable, and when. */
export class HandKV implements KV {
  readonly synchronous: boolean = true;
  /** What a crash leaves. */
  durable: Rows;
  #rows: Rows;
  #pending: { rows: Rows; done: () => void; fail: (e: unknown) => void }[] = [];
  /** Whether writes end at once. */
  automatic: boolean;
  /** Reads of these fail with it. */
  readFailure: ((key: Uint8Array) => unknown) | undefined;
  /** Batches handed in. */
  batches: (readonly BatchOp[])[] = [];
  keepBatches = false;

  constructor(automatic = true, rows: Rows = []) {
    this.automatic = automatic;
    this.durable = rows;
    this.#rows = rows;
  }

  /** Whether a write waits for its end. */
  get writing(): boolean {
    return this.#pending.length > 0;
  }

  get(key: Uint8Array): Bytes | undefined {
    return this.#find(this.#rows, key);
  }

  /** What a crash would leave of a key. */
  getDurable(key: Uint8Array): Bytes | undefined {
    const text = keyText(key);
    const row = this.durable[lowerBound(this.durable, text)];
    return row?.text === text ? row.value : undefined;
  }

  #find(rows: Rows, key: Uint8Array): Bytes | undefined {
    this.#checkRead(key);
    const text = keyText(key);
    const row = rows[lowerBound(rows, text)];
    return row?.text === text ? new Uint8Array(row.value) : undefined;
  }

  #checkRead(key: Uint8Array): void {
    const failure = this.readFailure?.(key);
    if (failure !== undefined) throw failure;
  }

  iterate(options: IterateOptions = {}): KVIterator {
    return this.#iterate(this.#rows, options);
  }

  #iterate(rows: Rows, options: IterateOptions): KVIterator {
    const { prefix, start, end } = options;
    let first = start === undefined ? 0 : lowerBound(rows, keyText(start));
    let last = end === undefined ? rows.length : lowerBound(rows, keyText(end));
    if (prefix !== undefined) {
      first = Math.max(first, lowerBound(rows, keyText(prefix)));
      const behind = prefixEnd(prefix);
      if (behind !== undefined) {
        last = Math.min(last, lowerBound(rows, keyText(behind)));
      }
    }
    let at = first - 1;
    const checkRead = (key: Uint8Array) => this.#checkRead(key);
    return {
      next: () => ++at < last,
      get key() {
        return new Uint8Array(rows[at]!.key);
      },
      get value() {
        checkRead(rows[at]!.key);
        return new Uint8Array(rows[at]!.value);
      },
      close: () => {},
    };
  }

  snapshot(): KVSnapshot {
    const rows = this.#rows;
    return {
      get: (key) => this.#find(rows, key),
      iterate: (options = {}) => this.#iterate(rows, options),
      close: () => {},
    };
  }

  write(batch: readonly BatchOp[]): Promise<void> | void {
    if (this.keepBatches) this.batches.push(batch);
    const rows = [...this.#rows];
    for (const { key, value } of batch) {
      const text = keyText(key);
      const at = lowerBound(rows, text);
      const found = rows[at]?.text === text ? 1 : 0;
      if (value === undefined) rows.splice(at, found);
      else {
        rows.splice(at, found, {
          text,
          key: new Uint8Array(key),
          value: new Uint8Array(value),
        });
      }
    }
    this.#rows = rows;
    if (this.automatic) {
      this.durable = rows;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#pending.push({ rows, done: resolve, fail: reject });
    return promise;
  }

  /** All that was written becomes durable. */
  finish(): void {
    for (const { rows, done } of this.#pending.splice(0)) {
      this.durable = rows;
      done();
    }
  }

  /** Takes the rows of a range away, durably once all is that was written before. */
  protected takeAway(range: BoundedRange): void {
    this.#rows = without(this.#rows, range);
    for (const pending of this.#pending) {
      pending.rows = without(pending.rows, range);
    }
    if (!this.writing) this.durable = this.#rows;
  }

  /** What was written is lost, and the writer is told. */
  failWrites(error: unknown): void {
    this.#rows = this.durable;
    for (const { fail } of this.#pending.splice(0)) fail(error);
  }

  /** The engine after a crash. */
  crash(): HandKV {
    this.#pending = [];
    const Engine = this.constructor as typeof HandKV;
    return new Engine(this.automatic, this.durable);
  }

  close(): void {}
}

/** Whose reads are awaited. */
export class AwaitedHandKV extends HandKV {
  override readonly synchronous: boolean = false;
  override get(key: Uint8Array) {
    return Promise.resolve(super.get(key)) as unknown as Bytes;
  }
}

/** An engine that lets go of what is abandoned as early as it may. */
export class AbandoningKV extends HandKV {
  /** What was given up, in order. */
  readonly abandoned: BoundedRange[] = [];

  abandon(range: BoundedRange): void {
    this.abandoned.push(range);
    this.takeAway(range);
  }

  override write(batch: readonly BatchOp[]): Promise<void> | void {
    for (const { key, value } of batch) {
      if (value === undefined) continue;
      const text = keyText(key);
      for (const { start, end } of this.abandoned) {
        if (keyText(start) <= text && text < keyText(end)) {
          throw new Error("a key is set that was given up");
        }
      }
    }
    return super.write(batch);
  }
}

function without(rows: Rows, { start, end }: BoundedRange): Rows {
  const [from, to] = [keyText(start), keyText(end)];
  return rows.filter(({ text }) => text < from || text >= to);
}

/** Timers that fire when told. */
export class HandTimers implements Timers {
  readonly #waiting = new Set<() => void>();
  get size(): number {
    return this.#waiting.size;
  }
  set(callback: () => void): Timer {
    this.#waiting.add(callback);
    return { cancel: () => this.#waiting.delete(callback) };
  }
  fire(): void {
    for (const callback of [...this.#waiting]) {
      this.#waiting.delete(callback);
      callback();
    }
  }
}

/** A clock that a test sets. */
export class HandClock implements Clock {
  constructor(public ms = 1_800_000_000_000) {}
  now(): number {
    return this.ms;
  }
  monotonic(): number {
    return this.ms;
  }
}

/** Lets everything run that waits for nothing else. */
export async function turns(count = 100): Promise<void> {
  for (let i = 0; i < count; i++) await undefined;
}

/** The rows of a replica that has its whole copy. */
export function writeCounters(kv: HandKV, caughtUp = true): void {
  const value = encodeCounters({
    clock: 0,
    lifeGone: 0,
    lifeFloor: 0,
    caughtUp,
    conflictNumber: 0,
    conflictsForgotten: 0,
    bank: 0,
  });
  const { automatic } = kv;
  kv.automatic = true;
  kv.write([{ key: metaKey("counters"), value }]);
  kv.automatic = automatic;
}

/** What a replica told its listener. */
export interface Told {
  readonly applied: Applied[];
  readonly clashes: ReportedClash[];
  /** How many conflicts stood whenever records began to wait. */
  readonly full: number[];
  readonly skewed: number[];
  readonly failed: unknown[];
}

/** A replica, its engine and what it said. */
export interface TestNode {
  readonly kv: HandKV;
  readonly clock: HandClock;
  readonly replica: Replica;
  readonly told: Told;
}

let starts = 0;

/** Opens the replica of a node over an engine that holds one, or a new one. */
export async function openReplica(
  nodeKey: number,
  options: Partial<ReplicaOptions> & {
    kv?: HandKV;
    clock?: HandClock;
    caughtUp?: boolean;
  } = {},
): Promise<TestNode> {
  const kv = options.kv ?? new HandKV();
  if (kv.get(metaKey("counters")) === undefined) {
    writeCounters(kv, options.caughtUp ?? true);
  }
  const clock = options.clock ?? new HandClock();
  let generation = 1;
  const told: Told = {
    applied: [],
    clashes: [],
    full: [],
    skewed: [],
    failed: [],
  };
  const replica = await Replica.open({
    random: new Prng(++starts),
    nodeKey,
    generation: 1,
    nonce: new Uint8Array(8).fill(nodeKey),
    tenure: 1,
    sync: true,
    logBytesMax: 1024 * 1024,
    renew: () => ({
      generation: ++generation,
      nonce: new Uint8Array(8).fill(generation),
      ops: [],
    }),
    listener: {
      applied: (applied) => told.applied.push(...applied),
      clashed: (clashes) => told.clashes.push(...clashes),
      full: (standing) => told.full.push(standing),
      skewed: (hlc) => told.skewed.push(hlc),
      failed: (error) => told.failed.push(error),
    },
    ...options,
    kv,
    clock,
  });
  return { kv, clock, replica, told };
}

/** One set, or delete, of a text key. */
export function op(key: string, value?: string, lease?: number) {
  return {
    key: toBytes(key),
    value: value === undefined ? undefined : toBytes(value),
    lease,
  };
}

/** A commit of sets. */
export function sets(pairs: Record<string, string | undefined>) {
  const ops = Object.entries(pairs).map(([key, value]) => op(key, value));
  return { checks: [], ops };
}

export const T0 = hlcAt(1_800_000_000_000);

/** Who is told, and takes no note. */
export const NOBODY: ReplicaListener = {
  applied() {},
  clashed() {},
  full() {},
  skewed() {},
  failed() {},
};

/** An origin of a node. */
export function origin(node: number, epoch = 1): Origin {
  return makeOrigin(node, epoch, 0);
}

/** An entry with sensible defaults. */
export function entry(init: Partial<Entry> & { key: Uint8Array }): Entry {
  const value = "value" in init ? init.value : toBytes("v");
  const holder = init.holder ?? 1;
  return Object.assign(new EntryFields(), {
    flags: value === undefined ? EntryFlag.TOMBSTONE : 0,
    life: 1,
    term: 0,
    sub: 0,
    claimHlc: T0,
    claimNode: holder,
    hlc: T0,
    origin: origin(holder),
    seq: 1,
    tenure: 1,
    holder,
    holderTenure: 1,
    expiresAt: 0,
    ...init,
    value,
  });
}

/** What a peer's record is made of. */
export interface RecordInit extends Partial<Omit<LogRecord, "entries">> {
  readonly entries?: readonly (Partial<Entry> & { key: Uint8Array })[];
}

/** A record of a peer: node 2, seq 1, unless told otherwise. */
export function record(init: RecordInit): LogRecord {
  const of = init.origin ?? origin(2);
  const seq = init.seq ?? 1;
  const hlc = init.hlc ?? T0 + seq;
  const node = Math.floor(of / 2 ** 33);
  return makeRecord({
    kind: RecordKind.BATCH,
    tenure: 1,
    generation: 1,
    nonce: new Uint8Array(8).fill(node),
    deps: [],
    intent: undefined,
    ...init,
    origin: of,
    seq,
    hlc,
    entries: (init.entries ?? []).map((each) =>
      entry({ holder: node, hlc, claimHlc: hlc, origin: of, seq, ...each })
    ),
  });
}

/** A record of a peer with one set of a text key. */
export function setRecord(
  key: string,
  value: string | undefined,
  init: RecordInit & { entry?: Partial<Entry> } = {},
): LogRecord {
  const { entry: extra, ...rest } = init;
  return record({
    ...rest,
    entries: [{
      key: toBytes(key),
      value: value === undefined ? undefined : toBytes(value),
      ...extra,
    }],
  });
}

/** The text of a key's value at a replica. */
export async function readText(
  replica: Replica,
  key: string,
): Promise<string | undefined> {
  const found = await replica.livingEntry(toBytes(key));
  return found?.value && new TextDecoder().decode(found.value);
}
