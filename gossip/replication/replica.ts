/**
 * The replica: one node's copy of the data, and the one loop that changes it.
 *
 * Guarantees:
 * - The loop takes the next group (local commits, peers' records, sessions),
 *   makes one draft of it, writes one engine batch, waits until that is durable,
 *   and only then publishes: moves the vector, tells the listeners, settles the
 *   callers. So nothing leaves this node before it is durable, and `vector`
 *   speaks of durable records only.
 * - While a batch is on its way to the device the next group gathers: the slower
 *   the device, the larger the groups.
 * - After a failed write nothing is written any more until the store is opened
 *   anew; every waiting caller is told.
 * - A whole copy is written beside the one that is read, and takes its place in one
 *   batch: reads see the one or the other, whatever breaks off.
 *
 * @module
 */

import {
  abortable,
  type Awaitable,
  type Bytes,
  type Clock,
  ClosedError,
  isPromise,
  NotCaughtUpError,
  OverloadedError,
  PoisonedError,
  type Random,
} from "../../runtime/mod.ts";
import type { BatchOp, KV } from "../../engine/kv.ts";
import {
  type Bank,
  metaKey,
  numberKey,
  rowKey,
  Space,
  vectorKey,
} from "../keyspace.ts";
import type { AuditItem, EntriesMessage } from "./audit_messages.ts";
import { readItems } from "./audit_rows.ts";
import type { AuditSums } from "./audit_sums.ts";
import { ConflictsFullError, type ReportedClash } from "./conflict.ts";
import type { Dot, Origin } from "./dot.ts";
import {
  type Applied,
  type Arrival,
  type CommitOutcome,
  type CommitRequest,
  Draft,
  type DraftOptions,
} from "./draft.ts";
import { EarlyRecords } from "./early.ts";
import { decodeEntry, type Entry } from "./entry.ts";
import type { Floor } from "./floor.ts";
import { type Fold, foldable } from "./fold.ts";
import type { OwnIncarnation } from "./incarnation.ts";
import type { FilledFrom, IncomingCopy } from "./incoming_copy.ts";
import type { LogRecord } from "./record.ts";
import { Replay } from "./replay.ts";
import {
  checkCovered,
  type CopyPoint,
  type FrozenState,
  type SessionData,
  type SessionOffer,
} from "./session.ts";
import { SpareBank } from "./spare_bank.ts";
import {
  conflictsStanding,
  countersOf,
  decodeCounters,
  encodeCounters,
  floorOp,
  ReplicaState,
  type Writership,
} from "./state.ts";
import { collectSlice } from "./tombstones.ts";
import type { Vector } from "./vector.ts";

/** What others do once a group is durable. Must not throw. */
export interface ReplicaListener {
  /** Records and sessions were applied, in this order. */
  applied(applied: readonly Applied[]): void;
  /** Writes lost without having been built upon. */
  clashed(clashes: readonly ReportedClash[]): void;
  /**
   * So many reports of conflicts stand that records wait from now on. Told once until
   * reports are forgotten.
   */
  full(standing: number): void;
  /** A writer's clock is too far ahead to be adopted. */
  skewed(hlc: number): void;
  /** The engine failed: nothing is written any more. */
  failed(error: unknown): void;
}

/** What a replica is made of. */
export interface ReplicaOptions extends Writership {
  readonly kv: KV;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether a group must survive a power failure before anybody hears of it. */
  readonly sync: boolean;
  /** Bytes of records that the recent log keeps. */
  readonly logBytesMax: number;
  readonly listener: ReplicaListener;
  /** {@linkcode DraftOptions.isSealed}. */
  readonly isSealed?: DraftOptions["isSealed"];
  /** {@linkcode DraftOptions.isRemoved}. */
  readonly isRemoved?: DraftOptions["isRemoved"];
  /** {@linkcode DraftOptions.isReported}. */
  readonly isReported?: DraftOptions["isReported"];
  /** {@linkcode DraftOptions.conflictsMax}. */
  readonly conflictsMax?: DraftOptions["conflictsMax"];
  /**
   * Begins this node's next incarnation; `ops` make it durable, and are written at
   * once, with the copy of the data that it begins with.
   */
  readonly renew: () => Renewal;
}

/** An incarnation that begins. */
export interface Renewal {
  readonly generation: number;
  readonly nonce: Uint8Array;
  readonly ops: readonly BatchOp[];
}

/** Bytes of a group after which the next one begins. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024;

/** Reports that are forgotten with one batch. */
const FORGET_ROWS = 10_000;

/** Bytes of peers' records that may wait; beyond, they are pulled again later. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Bytes of commits that may wait. Who awaits its writes never comes near: what the
 * engine is slow to take slows it down.
 */
const COMMIT_BYTES_MAX = 256 * 1024 * 1024;

/** What an op takes beside its key and its value, in bytes, roughly. */
const OP_BYTES = 128;

type Item =
  | {
    kind: "commit";
    request: CommitRequest;
    size: number;
    resolve: (outcome: CommitOutcome) => void;
    reject: (error: unknown) => void;
  }
  | {
    kind: "fold";
    isOver: (node: number) => boolean;
    resolve: (record: LogRecord | undefined) => void;
    reject: (error: unknown) => void;
  }
  | RecordItem
  | {
    kind: "aside";
    resolve: () => void;
    reject: (error: unknown) => void;
  }
  | {
    kind: "session";
    session: SessionData;
    resolve: (taken: boolean) => void;
    reject: (error: unknown) => void;
  }
  | {
    kind: "turn";
    run: () => Promise<void>;
    reject: (error: unknown) => void;
  };

/** A record that is handed in; dies young (`runtime/young.ts`). */
class RecordItem {
  readonly kind = "record";
  readonly record: LogRecord;
  readonly resolve: (arrival: Arrival) => void;
  readonly reject: (error: unknown) => void;

  constructor(
    record: LogRecord,
    resolve: (arrival: Arrival) => void,
    reject: (error: unknown) => void,
  ) {
    this.record = record;
    this.resolve = resolve;
    this.reject = reject;
  }
}

interface Waiter {
  readonly isMet: (vector: Vector) => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One node's copy of the data. */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #kv: KV;
  readonly #state: ReplicaState;
  readonly #early = new EarlyRecords();
  /** Whether it was told that something waits, and still does. */
  #toldFull = false;
  readonly #waiters = new Set<Waiter>();
  #queue: Item[] = [];
  #waitingBytes = 0;
  #commitBytes = 0;
  readonly #spare: SpareBank;
  #running: Promise<void> | undefined;
  #failure: unknown;
  #refusal: Error | undefined;
  #closed = false;

  private constructor(options: ReplicaOptions, state: ReplicaState) {
    this.#options = options;
    this.#kv = options.kv;
    this.#state = state;
    this.#spare = new SpareBank(options.kv, () => state.bank);
  }

  /** Opens the replica that the engine holds. */
  static async open(options: ReplicaOptions): Promise<Replica> {
    const state = new ReplicaState(
      options,
      options.random,
      options.logBytesMax,
    );
    await state.load(options.kv);
    const replica = new Replica(options, state);
    // What a copy that broke off has left, or the one before this one.
    replica.#spare.clearLater();
    return replica;
  }

  /** What is durable here. Never changes: a later state has another vector. */
  get vector(): Vector {
    return this.#state.vector;
  }

  /** Whether this is a whole copy; if not, it is void. */
  get caughtUp(): boolean {
    return this.#state.caughtUp;
  }

  /** The origin of this start, once it has committed something. */
  get origin(): Origin | undefined {
    return this.#state.origin;
  }

  /** Which incarnation of this node writes. */
  get incarnation(): OwnIncarnation {
    return this.#state.incarnation;
  }

  /** Which records every member has, as far as is known here for ever. */
  get floor(): Vector {
    return this.#state.floor;
  }

  /** Where the copy of the data is that is read. */
  get bank(): Bank {
    return this.#state.bank;
  }

  /** What the living entries that `vector` covers come to, once that is known. */
  get sums(): AuditSums {
    return this.#state.sums;
  }

  /** Numbers for metrics. */
  get figures(): {
    origins: number;
    folded: number;
    logRecords: number;
    logBytes: number;
    held: number;
    waiting: number;
    conflictsForgotten: number;
    conflictsStanding: number;
    conflictsFull: boolean;
  } {
    const { vector, log, folds, conflictsForgotten } = this.#state;
    return {
      conflictsForgotten,
      origins: vector.size,
      folded: folds.origins,
      logRecords: log.length,
      logBytes: log.bytes,
      held: this.#early.size,
      waiting: this.#queue.length,
      conflictsStanding: conflictsStanding(this.#state),
      conflictsFull: this.#early.waiting.any,
    };
  }

  /**
   * Commits a batch of which this node leads, or may claim, every key. Resolves
   * once it is durable. Errors: see {@linkcode Draft.commit}.
   *
   * @throws {OverloadedError} If {@linkcode COMMIT_BYTES_MAX} wait already.
   */
  commit(request: CommitRequest): Promise<CommitOutcome> {
    const waiting = this.#commitBytes;
    if (waiting > COMMIT_BYTES_MAX) {
      return Promise.reject(new OverloadedError("write", waiting));
    }
    const size = sizeOf(request);
    return new Promise((resolve, reject) => {
      this.#push({ kind: "commit", request, size, resolve, reject });
    });
  }

  /**
   * Folds the origins of some nodes that have ended (docs/fold.md), if every member has
   * them and vectors become shorter. Resolves to the record, once it is durable.
   *
   * @param isOver Whether this node is to fold those of a node.
   */
  fold(isOver: (node: number) => boolean): Promise<LogRecord | undefined> {
    if (foldable(this.#state, this.#state.vector, isOver).length === 0) {
      return Promise.resolve(undefined);
    }
    return new Promise((resolve, reject) => {
      this.#push({ kind: "fold", isOver, resolve, reject });
    });
  }

  /** The origins that the folds known here list. */
  foldedOrigins(): Iterable<Origin> {
    return this.#state.folds.listedOrigins();
  }

  /** The largest seq that a fold known here lists of an origin; 0 for none. */
  foldedSeq(origin: Origin): number {
    return this.#state.folds.listed(origin);
  }

  /** The folds that a vector covers and a base does not. */
  foldsBeyond(base: Vector, vector: Vector): Fold[] {
    return this.#state.folds.all().filter(({ origin, seq }) =>
      vector.covers(origin, seq) && !base.covers(origin, seq)
    );
  }

  /** Learns the folds that a session brings, so that its vectors can be read. */
  learn({ folds, vector, floor }: SessionOffer): void {
    for (const fold of folds) this.#state.folds.add(fold);
    vector.readAs(this.#state.vector);
    floor.readAs(this.#state.vector);
  }

  /** Takes a peer's record. Resolves once what it changed is durable. */
  receive(record: LogRecord): Promise<Arrival> {
    return new Promise((resolve, reject) => {
      this.#receive(record, resolve, reject);
    });
  }

  /** Takes records of a peer. Resolves once what they changed is durable. */
  receiveAll(records: readonly LogRecord[]): Promise<Arrival[]> {
    if (records.length === 0) return Promise.resolve([]);
    const arrivals: Arrival[] = new Array(records.length);
    let left = records.length;
    return new Promise((resolve, reject) => {
      records.forEach((record, i) =>
        this.#receive(record, (arrival) => {
          arrivals[i] = arrival;
          if (--left === 0) resolve(arrivals);
        }, reject)
      );
    });
  }

  #receive(
    record: LogRecord,
    resolve: (arrival: Arrival) => void,
    reject: (error: unknown) => void,
  ): void {
    if (this.#state.vector.covers(record.origin, record.seq)) {
      resolve("covered");
    } else if (this.#waitingBytes > WAITING_BYTES_MAX) resolve("full");
    else this.#push(new RecordItem(record, resolve, reject));
  }

  /**
   * Takes a session, whole. Resolves once it is durable: `false` if it is void.
   *
   * @throws {ConflictsFullError} If it has to wait until reports are forgotten.
   */
  async ingest(session: SessionData): Promise<boolean> {
    // Its rows are on the device before the batch that makes them count.
    if (session.whole) {
      const { copy } = this.#spare;
      await copy?.finish();
      session = { ...session, ...copy?.livesWith(session) };
    }
    return await new Promise((resolve, reject) => {
      this.#push({ kind: "session", session, resolve, reject });
    });
  }

  /**
   * Makes this copy void: it is read, but nothing is written before a whole one has
   * taken its place. Resolves once that is durable.
   *
   * @param also Gives what is written with it, in the step in which it is.
   */
  voidCopy(also: () => readonly BatchOp[]): Promise<void> {
    return this.#inTurn(async () => {
      const counters = { ...countersOf(this.#state), caughtUp: false };
      const row = encodeCounters(counters);
      const batch = [{ key: metaKey("counters"), value: row }, ...also()];
      await this.#kv.write(batch, { sync: true });
      this.#state.caughtUp = false;
      this.#early.clear();
    });
  }

  /**
   * Makes a void copy count again, as another incarnation that begins with it: an
   * operator says that there is no better one. Resolves once that is durable.
   */
  restoreCopy(): Promise<void> {
    return this.#inTurn(async () => {
      const state = this.#state;
      if (state.caughtUp) return;
      const counters = { ...countersOf(state), caughtUp: true };
      const row = { key: metaKey("counters"), value: encodeCounters(counters) };
      const { generation, nonce, ops } = this.#options.renew();
      await this.#kv.write([row, ...ops], { sync: true });
      state.caughtUp = true;
      state.origin = undefined;
      state.incarnation.renew(generation, nonce, state.vector);
    });
  }

  /** What a vector covers of the origins whose records wait (waiting.ts). */
  waitingOf(vector: Vector): Vector {
    return this.#early.waiting.of(vector);
  }

  /** How many origins wait. */
  get originsWaiting(): number {
    return this.#early.waiting.size;
  }

  /**
   * Forgets the reports of conflicts up to a number. Resolves once that is durable,
   * and what waited here for room has what there is; the rest is to be pulled.
   *
   * @throws {RangeError} If no report has had that number yet.
   */
  async forgetConflicts(through: number): Promise<void> {
    for (let isDone = false; !isDone;) {
      isDone = await this.#inTurn(() => this.#forgetSlice(through));
    }
    if (this.#early.size === 0) return;
    // Forgotten they are, whatever becomes of this: it can be pulled.
    await new Promise<void>((resolve) => {
      this.#push({ kind: "aside", resolve, reject: () => resolve() });
    });
  }

  /** Forgets some of the reports; whether those were the last of them. */
  async #forgetSlice(through: number): Promise<boolean> {
    const state = this.#state;
    const { conflictNumber, conflictsForgotten } = state;
    if (through > conflictNumber) {
      throw new RangeError(
        `Cannot forget conflicts through ${through}: the newest is ${conflictNumber}`,
      );
    }
    const last = Math.min(through, conflictsForgotten + FORGET_ROWS);
    if (last > conflictsForgotten) {
      const counters = { ...countersOf(state), conflictsForgotten: last };
      const batch: BatchOp[] = [
        { key: metaKey("counters"), value: encodeCounters(counters) },
      ];
      for (let number = conflictsForgotten + 1; number <= last; number++) {
        const key = numberKey(Space.CONFLICT, number);
        batch.push({ key, value: undefined });
      }
      await this.#kv.write(batch, { sync: true });
      state.conflictsForgotten = last;
      this.#early.waiting.clear();
      this.#toldFull = false;
    }
    return last >= through;
  }

  /** Makes room for a whole copy, and gives up the one that has begun. */
  async beginCopy(): Promise<void> {
    await this.#spare.begin();
  }

  /** Where the copy goes on that broke off; `undefined` if there is none. */
  get copyPoint(): CopyPoint | undefined {
    return this.#spare.copy?.point;
  }

  /** The copy that broke off goes on, with a session that begins there. */
  async resumeCopy(): Promise<void> {
    await this.#incoming().resume();
  }

  /**
   * Writes entries of a whole copy, in the order of {@linkcode SessionReader}. They
   * count for nothing, and are cleared at the next start, until the session that
   * they are of is ingested: its batch, which makes the copy count, comes after
   * them.
   *
   * @param replaces Whether they are of the difference of one that goes on.
   * @throws {ProtocolError} If the session's vector does not cover them, or they do
   * not come in order.
   */
  async fill(
    entries: readonly Entry[],
    session: FilledFrom,
    replaces = false,
  ): Promise<void> {
    const copy = this.#incoming();
    const nowMs = this.#options.clock.now();
    await (replaces
      ? copy.replace(entries, session, nowMs)
      : copy.add(entries, session, nowMs));
  }

  #incoming(): IncomingCopy {
    const { copy } = this.#spare;
    if (this.#state.caughtUp || copy === undefined) {
      throw new Error("Cannot fill: no copy is on its way");
    }
    return copy;
  }

  /** Looks at the durable state between two groups. */
  inspect<T>(
    look: (kv: KV, state: ReplicaState) => Promise<T>,
  ): Promise<T> {
    return this.#inTurn(() => look(this.#kv, this.#state));
  }

  /**
   * Takes what another node has of keys, where it has the larger entry: only if this
   * one covers the same. Resolves once it is durable.
   *
   * @returns What was here of the keys, or of the first of them, within the limits
   * of {@linkcode readItems}, and which entries were taken; `undefined` if it covers
   * something else.
   * @throws {ProtocolError} If the vector does not cover the entries.
   */
  repair(
    { vector, items }: EntriesMessage,
  ): Promise<
    { items: AuditItem[]; taken: readonly Entry[] } | undefined
  > {
    return this.#inTurn(async () => {
      const state = this.#state;
      vector.readAs(state.vector);
      if (!state.caughtUp || !state.vector.equals(vector)) return undefined;
      checkCovered(items.flatMap(({ entry }) => entry ?? []), vector);
      const own = await readItems(this.#kv, state, items.map(({ key }) => key));
      const draft = this.#draft();
      const taken = await draft.repair(items.slice(0, own.items.length));
      if (!draft.isEmpty) {
        await this.#kv.write(await draft.seal(), { sync: this.#options.sync });
        this.#publish(draft, undefined);
      }
      return { items: own.items, taken };
    });
  }

  /** What is durable here, all of it with that could be read before this call. */
  settled(): Promise<Vector> {
    return this.#inTurn(() => Promise.resolve(this.#state.vector));
  }

  /** The durable state between two groups, and what it covers. */
  freeze(): Promise<FrozenState> {
    return this.#inTurn(async () => {
      const { bank, vector, lifeGone, lifeFloor, floor } = this.#state;
      const snapshot = await this.#kv.snapshot();
      return { snapshot, bank, vector, lifeGone, lifeFloor, floor };
    });
  }

  /**
   * What survives a power failure, once all does that was handed in before, also
   * where acks are given before: others rely on a report for ever.
   */
  durable(): Promise<{ vector: Vector; floor: Vector }> {
    return this.#inTurn(async () => {
      const { vector, floor } = this.#state;
      if (!this.#options.sync) {
        const op = { key: metaKey("synced"), value: Uint8Array.of(1) };
        await this.#kv.write([op], { sync: true });
      }
      return { vector, floor };
    });
  }

  /**
   * Takes away the tombstones behind the gate, and raises the floor, durably
   * (replication.md §6). Rows are looked at in slices, between which others are
   * served; the floor rises when all were.
   *
   * @param isCurrent Whether what the two rest on still holds.
   */
  async collect(
    { floor, gate }: Floor,
    isCurrent: () => boolean,
  ): Promise<number> {
    const { nonce } = this.#state.incarnation;
    const holds = () => {
      const { caughtUp, incarnation } = this.#state;
      return caughtUp && incarnation.nonce === nonce && isCurrent();
    };
    let collected = 0;
    let lifeFloor = 0;
    let after: Uint8Array | undefined;
    do {
      const from = after;
      const slice = await this.#inTurn(async () =>
        holds()
          ? await collectSlice(this.#kv, this.#state, gate, from)
          : undefined
      );
      if (slice === undefined) return collected;
      collected += slice.collected;
      for (const { dot, life } of slice.tombstones) {
        if (floor.covers(dot.origin, dot.seq)) {
          lifeFloor = Math.max(lifeFloor, life);
        }
      }
      after = slice.last;
    } while (after !== undefined);
    await this.#inTurn(async () => {
      if (!holds()) return;
      const state = this.#state;
      state.lifeFloor = Math.max(state.lifeFloor, lifeFloor);
      // Before it is durable: who is judged by it meanwhile is judged by more.
      state.floor = floor;
      const counters = encodeCounters(countersOf(state));
      // What folds list that every member has is named no more.
      const short = floor.shortened(floor);
      const vector = state.vector.shortened(floor);
      const ops: BatchOp[] = [
        { key: metaKey("counters"), value: counters },
        floorOp(short),
      ];
      const named = new Set(vector.origins());
      for (const origin of state.vector.origins()) {
        if (named.has(origin)) continue;
        ops.push({ key: vectorKey(state.bank, origin), value: undefined });
      }
      await this.#kv.write(ops, { sync: true });
      state.floor = short;
      state.vector = vector;
    });
    return collected;
  }

  /** Runs something between two groups. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = async () => resolve(await work());
      this.#push({ kind: "turn", run, reject });
    });
  }

  /**
   * Forgets the records that came early, those handed in before with them: they are
   * pulled again.
   */
  dropHeld(): void {
    const run = () => Promise.resolve(this.#early.drop());
    const reject = () => {
      // Nothing is held any more, in a replica that is closed or has failed.
    };
    this.#push({ kind: "turn", run, reject });
  }

  /** Commits nothing any more, or again: each is refused with this. */
  refuse(reason: Error | undefined): void {
    this.#refusal = reason;
  }

  /** Records for a peer that covers `from`, from the recent log if it reaches. */
  async recent(
    from: Vector,
    bytesMax: number,
  ): Promise<{ records: Uint8Array[]; more: boolean; vector: Vector } | null> {
    const { log, vector } = this.#state;
    if (!log.reaches(from, vector)) return null;
    const { records, more } = await log.read(this.#kv, from, vector, bytesMax);
    return { records: records.map(({ bytes }) => bytes), more, vector };
  }

  /**
   * What was covered here when the last of these records, all covered, had been
   * applied; `undefined` if the log no longer tells.
   */
  stateAfter(records: Vector): Vector | undefined {
    const { log, vector } = this.#state;
    const after = log.stateAfter(records, vector)?.readAs(vector);
    return after?.shortened(this.#state.floor);
  }

  /** Tells again what was applied here and `from` does not cover. */
  replay(from: Vector): Replay {
    return new Replay(this.#kv, this.#state, from.readAs(this.#state.vector));
  }

  /**
   * The entries of keys, tombstones included, all of one moment: a key that goes
   * from the living to the dead, or back, is in neither of two, and would be taken
   * for one that nobody leads.
   */
  async entries(
    keys: readonly Uint8Array[],
  ): Promise<(Entry | undefined)[]> {
    const kv = this.#kv;
    if (kv.synchronous) {
      const { bank } = this.#state;
      const get = (space: number, key: Uint8Array) =>
        kv.get(rowKey(space + bank, key)) as Bytes | undefined;
      return keys.map((key) =>
        toEntry(key, get(Space.LIVE, key) ?? get(Space.DEAD, key))
      );
    }
    const snapshot = await kv.snapshot();
    try {
      // That of the snapshot: another one may count since.
      const bank = bankOf(await snapshot.get(metaKey("counters")));
      const get = async (space: number, key: Uint8Array) =>
        await snapshot.get(rowKey(space + bank, key));
      return await Promise.all(
        keys.map(async (key) =>
          toEntry(key, await get(Space.LIVE, key) ?? await get(Space.DEAD, key))
        ),
      );
    } finally {
      await snapshot.close();
    }
  }

  /** The entry of a key that has a value. */
  async livingEntry(key: Uint8Array): Promise<Entry | undefined> {
    for (;;) {
      const { bank } = this.#state;
      const row = await this.#kv.get(rowKey(Space.LIVE + bank, key));
      // Or a whole copy has taken the place of what was read.
      if (row !== undefined || bank === this.#state.bank) {
        return toEntry(key, row);
      }
    }
  }

  /**
   * Resolves once all these records are durable here.
   *
   * @throws {ClosedError} If this replica is closed before.
   * @throws {PoisonedError} If its engine fails before.
   */
  covers(dots: readonly Dot[], signal: AbortSignal): Promise<void> {
    return this.#meets(
      (vector) => dots.every(({ origin, seq }) => vector.covers(origin, seq)),
      signal,
    );
  }

  /** Resolves once all that a vector covers is durable here. Throws as `covers`. */
  includes(wanted: Vector, signal: AbortSignal): Promise<void> {
    const missing = wanted.beyond(this.#state.vector);
    return this.#meets((vector) => vector.includes(missing), signal);
  }

  async #meets(
    isMet: (vector: Vector) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    if (isMet(this.#state.vector)) return;
    this.#checkWriting("wait for a record");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { isMet, resolve, reject };
    this.#waiters.add(waiter);
    try {
      await abortable(promise, signal);
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  /** Settles everything handed in, then takes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    await this.#spare.close();
    for (const { reject } of this.#waiters) {
      reject(new ClosedError("wait for a record"));
    }
  }

  #checkWriting(action: string): void {
    if (this.#closed) throw new ClosedError(action);
    if (this.#failure !== undefined) {
      throw new PoisonedError({ cause: this.#failure });
    }
  }

  #push(item: Item): void {
    try {
      this.#checkWriting("write");
    } catch (error) {
      return item.reject(error);
    }
    if (item.kind === "commit") this.#commitBytes += item.size;
    else if (item.kind === "record") {
      this.#waitingBytes += item.record.bytes.length;
    }
    this.#queue.push(item);
    this.#running ??= this.#run();
  }

  /** The apply loop: runs while there is something to do. */
  async #run(): Promise<void> {
    // Callers of this turn form the first group together.
    await undefined;
    while (this.#queue.length > 0) {
      const group = this.#queue;
      this.#queue = [];
      await this.#runGroup(group);
    }
    this.#running = undefined;
  }

  async #runGroup(group: Item[]): Promise<void> {
    let draft = this.#draft();
    const settled: (() => void)[] = [];
    let taken = 0;
    let renewal: Renewal | undefined;
    try {
      for (; taken < group.length && draft.bytes < GROUP_BYTES_MAX; taken++) {
        const item = group[taken]!;
        if (item.kind === "turn") {
          // A turn sees durable states only: what is drafted goes first.
          if (!draft.isEmpty) break;
          await item.run().catch(item.reject);
          // What it has changed is not what the draft began with.
          draft = this.#draft();
        } else {
          const settle = this.#take(draft, item);
          settled.push(isPromise(settle) ? await settle : settle);
        }
      }
      this.#queue = [...group.slice(taken), ...this.#queue];
      if (!draft.isEmpty) {
        const batch = await draft.seal();
        if (draft.copy !== undefined) {
          // In one step with the write: others raise the generation meanwhile.
          renewal = this.#options.renew();
          batch.push(...renewal.ops);
        }
        await this.#kv.write(batch, { sync: this.#options.sync });
      }
    } catch (error) {
      this.#fail(error, group);
      return;
    }
    this.#publish(draft, renewal);
    for (const settle of settled) settle();
    this.#tellFull();
  }

  /** Tells, once the reports are there that take the room, that something waits. */
  #tellFull(): void {
    const { any } = this.#early.waiting;
    if (any && !this.#toldFull) {
      this.#options.listener.full(conflictsStanding(this.#state));
    }
    this.#toldFull = any;
  }

  #draft(): Draft {
    const { clock, isSealed, isRemoved, isReported, conflictsMax } =
      this.#options;
    return new Draft(this.#kv, this.#state, {
      nowMs: clock.now(),
      isSealed,
      isRemoved,
      isReported,
      conflictsMax,
    });
  }

  /**
   * Takes one item into a draft; gives what settles its caller afterwards. Writes come
   * by the ten thousand: where the engine answers at once they are taken at once, with
   * no turn for each.
   */
  #take(
    draft: Draft,
    item: Exclude<Item, { kind: "turn" }>,
  ): Awaitable<() => void> {
    switch (item.kind) {
      case "commit": {
        this.#commitBytes -= item.size;
        const refusal = this.#state.caughtUp
          ? this.#refusal
          : new NotCaughtUpError("write");
        if (refusal !== undefined) return () => item.reject(refusal);
        return settling(
          () => draft.commit(item.request),
          (outcome) => () => item.resolve(outcome),
          item.reject,
        );
      }
      case "record":
        this.#waitingBytes -= item.record.bytes.length;
        // A void state takes no record (rule S6): who wrote it was not judged by the
        // floor of the copy that is to come.
        if (!this.#state.caughtUp) return () => item.resolve("early");
        return settling(
          () => draft.apply(item.record),
          (arrival) => {
            const settle = () => item.resolve(arrival);
            this.#early.note(item.record, arrival, draft.vector);
            return arrival === "applied" && this.#early.mayFit
              ? this.#early.apply(draft).then(() => settle)
              : settle;
          },
          item.reject,
        );
      default:
        return this.#takeLater(draft, item);
    }
  }

  /** Takes what is rare, as {@linkcode Replica.#take}. */
  async #takeLater(
    draft: Draft,
    item: Exclude<Item, { kind: "turn" | "commit" | "record" }>,
  ): Promise<() => void> {
    switch (item.kind) {
      case "fold":
        if (!this.#state.caughtUp || this.#refusal !== undefined) {
          return () => item.resolve(undefined);
        }
        return await draft.fold(item.isOver).then(
          (record) => () => item.resolve(record),
        );
      case "aside":
        // In several groups, if it is much.
        if (await this.#early.applyAside(draft, GROUP_BYTES_MAX)) {
          return () => this.#push(item);
        }
        return item.resolve;
      case "session":
        if (item.session.whole) draft.adopt(this.#spare.copy?.hlc ?? 0);
        return await draft.ingest(item.session).then(async (taken) => {
          this.#early.waiting.sessionArrived(false);
          if (taken && draft.copy === undefined) await this.#early.apply(draft);
          return () => item.resolve(taken);
        }, (error) => {
          if (error instanceof ConflictsFullError) {
            this.#early.waiting.sessionArrived(true);
          }
          return () => item.reject(error);
        });
    }
  }

  #publish(draft: Draft, renewal: Renewal | undefined): void {
    if (draft.isEmpty) return;
    const { listener } = this.#options;
    draft.publish();
    if (renewal !== undefined) {
      const { generation, nonce } = renewal;
      this.#state.origin = undefined;
      this.#early.clear();
      this.#state.incarnation.renew(generation, nonce, draft.vector);
      this.#spare.turned();
    }
    this.#early.settle(this.#state.vector);
    listener.applied(draft.applied);
    if (draft.clashes.length > 0) listener.clashed(draft.clashes);
    if (draft.skewedHlc > 0) listener.skewed(draft.skewedHlc);
    for (const waiter of this.#waiters) {
      if (waiter.isMet(this.#state.vector)) waiter.resolve();
    }
  }

  /** Takes note that the engine has failed, whoever wrote to it. */
  fail(error: unknown): void {
    this.#fail(error, []);
  }

  #fail(error: unknown, group: readonly Item[]): void {
    const isFirst = this.#failure === undefined;
    this.#failure ??= error;
    for (const item of group) item.reject(error);
    for (const item of this.#queue) {
      if (!group.includes(item)) {
        item.reject(new PoisonedError({ cause: error }));
      }
    }
    this.#queue = [];
    this.#waitingBytes = 0;
    for (const { reject } of this.#waiters) {
      reject(new PoisonedError({ cause: error }));
    }
    if (isFirst) this.#options.listener.failed(error);
  }
}

/** Does some work, at once if it can; gives what settles its caller by how it ended. */
function settling<T>(
  work: () => Awaitable<T>,
  done: (value: T) => Awaitable<() => void>,
  reject: (error: unknown) => void,
): Awaitable<() => void> {
  const failed = (error: unknown) => () => reject(error);
  let value: Awaitable<T>;
  try {
    value = work();
  } catch (error) {
    return failed(error);
  }
  return isPromise(value) ? value.then(done, failed) : done(value);
}

function sizeOf({ ops }: CommitRequest): number {
  let size = 0;
  for (const { key, value } of ops) {
    size += key.length + (value?.length ?? 0) + OP_BYTES;
  }
  return size;
}

function bankOf(counters: Bytes | undefined): Bank {
  return counters === undefined ? 0 : decodeCounters(counters).bank;
}

function toEntry(key: Uint8Array, row: Bytes | undefined): Entry | undefined {
  return row === undefined ? undefined : decodeEntry(key, row);
}
