/**
 * A draft: the changes of one group, from the commits, records and sessions that
 * make it up to the one engine batch that carries them all.
 *
 * Guarantees (`shared/protocol/replication.md` names the rules):
 * - Commit, push, pull, session and repair end in the same
 *   {@linkcode Draft.#merge}: per key the larger entry wins, whatever the order of
 *   arrival.
 * - A record whose dot is covered changes nothing; one that comes before its
 *   predecessor or its deps is not applied.
 * - Values, entries, index, vector, log, conflicts, intents and the clock go into
 *   one batch; nothing of a draft is seen by anybody before it is published,
 *   after the batch is durable.
 * - A commit re-reads what it compares here, in the one place where entries
 *   change, so that no earlier look at the lease or at a checked version counts.
 *
 * Assumes: one draft at a time (replica.ts).
 *
 * @module
 */

import {
  type Awaitable,
  CheckFailedError,
  isPromise,
  LeaseNotTransferableError,
  ProtocolError,
  startsWith,
  youngArray,
} from "../../runtime/mod.ts";
import type { BatchOp, KV } from "../../engine/kv.ts";
import {
  type Bank,
  indexRange,
  keyText,
  metaKey,
  openIntentKey,
  openIntentPrefix,
  otherBank,
  Space,
  spacePrefix,
  vectorKey,
} from "../keyspace.ts";
import type { AuditItem } from "./audit_messages.ts";
import { ConflictsFullError, type ReportedClash } from "./conflict.ts";
import {
  type Dot,
  dotText,
  makeOrigin,
  type Origin,
  originLane,
  originNode,
  SEQ_MAX,
} from "./dot.ts";
import {
  compareEntries,
  differ,
  type Entry,
  EntryFields,
  EntryFlag,
  hasExpired,
  hasVersion,
  type Version,
} from "./entry.ts";
import { indexedKeys, readEntry, replace } from "./entry_rows.ts";
import { type Fold, foldable, foldOp } from "./fold.ts";
import { hlcAt, isTooFarAhead } from "./hlc.ts";
import {
  dotOf,
  type LogRecord,
  makeRecord,
  OP_OVERHEAD_BYTES,
  RecordKind,
} from "./record.ts";
import {
  type Counters,
  countersOf,
  encodeCounters,
  floorOp,
  type ReplicaState,
} from "./state.ts";
import { type Incarnation, incarnationOp } from "./incarnation.ts";
import type { RecentLog } from "./log.ts";
import { Losses } from "./losses.ts";
import { checkCovered, type OpenIntent, type SessionData } from "./session.ts";
import { type Slot, Slots } from "./slots.ts";
import type { Vector } from "./vector.ts";

/** One change that a commit asks for. */
export interface CommitOp {
  /** The key. */
  readonly key: Uint8Array;
  /** The new value; `undefined` deletes. */
  readonly value: Uint8Array | undefined;
  /** The node that must lead the key; `undefined` for whoever does. */
  readonly lease?: number | undefined;
  /** When the value ends by itself, in milliseconds from the commit on. */
  readonly expireIn?: number | undefined;
  /**
   * Deletes the key only if its value has ended by itself, and this node leads it.
   * Never sent to another node.
   */
  readonly ifExpired?: boolean;
}

/** A version that a key must have for a commit to happen. */
export interface CommitCheck {
  /** The key. */
  readonly key: Uint8Array;
  /** The version; `null`: the key must not exist. */
  readonly version: Version | null;
}

/** A batch that one node decides. */
export interface CommitRequest {
  readonly checks: readonly CommitCheck[];
  readonly ops: readonly CommitOp[];
}

/** What a commit did. */
export interface CommitOutcome {
  /** The record; `undefined` if nothing had to change. */
  readonly record: LogRecord | undefined;
  /** Who covers these dots sees the state that the commit left. */
  readonly after: readonly Dot[];
}

/** The key of a commit is led by another node: nothing was logged. */
export class NotLeaseholderError extends Error {
  /** The key. */
  readonly key: Uint8Array;
  /** The node that leads it. */
  readonly holder: number;
  constructor(key: Uint8Array, holder: number) {
    super(`Cannot commit here: node ${holder} leads the key`);
    this.name = "NotLeaseholderError";
    this.key = key;
    this.holder = holder;
  }
}

/**
 * What became of a record that arrived; where there was no room, nothing: `full`, and
 * where there was none for the report of what would lose, `waits` (conflict.ts).
 */
export type Arrival = "applied" | "covered" | "early" | "full" | "waits";

/** A record, or a session, that a draft applied, and what it changed. */
export interface Applied {
  /** The record; `undefined` for a session. */
  readonly record: LogRecord | undefined;
  /** The entries that now stand, in order. */
  readonly changes: readonly Entry[];
  /** Where a whole copy has replaced all of it: what was covered, and what it was. */
  readonly replaced?: { readonly vector: Vector; readonly copy: SessionData };
  /** What a session covers; `undefined` for a record. */
  readonly vector?: Vector;
}

/** A record that a draft applied; dies young (`runtime/young.ts`). */
class AppliedRecord implements Applied {
  readonly record: LogRecord;
  readonly changes: Entry[] = youngArray();

  constructor(record: LogRecord) {
    this.record = record;
  }
}

/** A change that a commit makes, and the key as it is before. */
interface Replaced {
  readonly op: CommitOp;
  readonly slot: Slot;
}

/** What a draft is made by. */
export interface DraftOptions {
  /** The wall clock's time, in milliseconds. */
  readonly nowMs: number;
  /**
   * Whether a node was removed and its last records are covered, so that its keys
   * may be claimed anew (rule 13 of the replication protocol).
   *
   * @default {no node was}
   */
  readonly isSealed?: ((node: number, vector: Vector) => boolean) | undefined;
  /**
   * Whether a node was removed.
   *
   * @default {no node was}
   */
  readonly isRemoved?: ((node: number) => boolean) | undefined;
  /**
   * Whether another member has said that it has a record, which it says of what is
   * on its device only.
   *
   * @default {nobody has said so}
   */
  readonly isReported?: ((dot: Dot) => boolean) | undefined;
  /**
   * Reports of conflicts that may stand before what would lose has to wait.
   *
   * @default {no bound}
   */
  readonly conflictsMax?: number | undefined;
}

/** The changes of one group. */
export class Draft {
  readonly #kv: KV;
  readonly #state: ReplicaState;
  readonly #options: DraftOptions;
  readonly #slots = new Slots();
  readonly #losses: Losses;
  readonly #decided: Dot[] = [];
  readonly #ops: BatchOp[] = [];
  readonly #moved = new Set<Origin>();
  readonly #counters: Counters;
  #bytes = 0;
  #log: RecentLog;
  /** Whether the batch moves the head of the log. */
  #isTrimmed = false;

  /** What is covered once the draft is published. */
  vector: Vector;
  /** The whole copy that it puts in the place of all that stood before. */
  copy: SessionData | undefined;
  /** What was applied, in order. */
  readonly applied: Applied[] = [];
  /** How far the clock of a writer was ahead, in hlc, if too far; else 0. */
  skewedHlc = 0;

  constructor(kv: KV, state: ReplicaState, options: DraftOptions) {
    this.#kv = kv;
    this.#state = state;
    this.#options = options;
    this.#log = state.log;
    this.#counters = countersOf(state);
    const { conflictsMax = Infinity } = options;
    this.#losses = new Losses(kv, state, this.#counters, conflictsMax);
    this.vector = state.vector.clone();
  }

  /** The conflicts met, once it is sealed. */
  get clashes(): readonly ReportedClash[] {
    return this.#losses.reported;
  }

  /** Whether it changes nothing. */
  get isEmpty(): boolean {
    return this.applied.length === 0;
  }

  /** Bytes that its batch will take, about. */
  get bytes(): number {
    return this.#bytes + this.#losses.bytes;
  }

  /**
   * Decides a batch, all of whose keys this node must lead or may claim. At once if
   * the engine answers so.
   *
   * @throws {NotLeaseholderError} If another node leads one of its keys.
   * @throws {LeaseNotTransferableError} If another node than asked for does.
   * @throws {CheckFailedError} If a checked key has another version.
   */
  commit(request: CommitRequest): Awaitable<CommitOutcome> {
    const { checks } = request;
    const ops = lastOfEach(request.ops);
    const slots = this.#slotsOf(
      checks.length === 0 ? ops : [...checks, ...ops],
    );
    return isPromise(slots)
      ? slots.then((slots) => this.#decide(checks, ops, slots))
      : this.#decide(checks, ops, slots);
  }

  /** Decides a batch; `slots` are those of its checks, and then of its ops. */
  #decide(
    checks: readonly CommitCheck[],
    ops: readonly CommitOp[],
    slots: readonly Slot[],
  ): CommitOutcome {
    const { nodeKey } = this.#state;
    for (const [i, { key, version }] of checks.entries()) {
      const current = slots[i]!.now;
      const holder = this.#holderOf(current);
      if (holder !== nodeKey) throw new NotLeaseholderError(key, holder);
      const living = this.#isLiving(current) ? current : undefined;
      if (
        version === null ? living !== undefined : living === undefined ||
          !hasVersion(living, version)
      ) {
        throw new CheckFailedError(key.slice());
      }
    }
    const replaced: Replaced[] = [];
    const after: Dot[] = [];
    for (let i = 0; i < ops.length; i++) {
      const op = ops[i]!;
      const slot = slots[checks.length + i]!;
      const current = slot.now;
      if (op.ifExpired === true) {
        if (this.#mayExpire(current)) replaced.push({ op, slot });
        continue;
      }
      const holder = this.#holderOf(current);
      if (op.lease !== undefined && op.lease !== holder) {
        throw new LeaseNotTransferableError(holder, op.lease);
      }
      if (holder !== nodeKey) throw new NotLeaseholderError(op.key, holder);
      // Also of what has ended here: others, whose clocks are behind, show it.
      if (op.value === undefined && current?.value === undefined) {
        if (current !== undefined) after.push(dotOf(current));
      } else {
        replaced.push({ op, slot });
      }
    }
    if (replaced.length === 0) return { record: undefined, after };
    const record = this.#writeRecord(replaced);
    // Its keys are read, its seq is the next, its deps are stored: it applies.
    const arrival = this.#refused(record) ??
      this.#applyTo(record, replaced.map(({ slot }) => slot));
    if (arrival !== "applied") {
      throw new ProtocolError(
        `an own record is ${arrival}, nothing was written`,
      );
    }
    after.push(dotOf(record));
    return { record, after };
  }

  /** Whether a key has a value now: it is absent from the instant on that it ends. */
  #isLiving(current: Entry | undefined): boolean {
    return current?.value !== undefined &&
      !hasExpired(current, this.#options.nowMs);
  }

  /** Whether this node is to make a tombstone of what has ended by itself. */
  #mayExpire(current: Entry | undefined): boolean {
    return current?.value !== undefined &&
      current.holder === this.#state.nodeKey &&
      hasExpired(current, this.#options.nowMs);
  }

  /** Who leads a key: this node, where nobody does or the one that did is gone. */
  #holderOf(current: Entry | undefined): number {
    const { nodeKey } = this.#state;
    if (current === undefined || current.holder === nodeKey) return nodeKey;
    const gone = this.#options.isSealed?.(current.holder, this.vector) ?? false;
    return gone ? nodeKey : current.holder;
  }

  #writeRecord(replaced: readonly Replaced[]): LogRecord {
    const state = this.#state;
    const { origin, seq } = this.#nextDot();
    let hlc = Math.max(hlcAt(this.#options.nowMs), this.#counters.clock + 1);
    // Adopted however far the wall clock was set back: it must not repeat.
    this.#counters.clock = hlc;
    for (const { slot: { now } } of replaced) {
      if (now !== undefined) hlc = Math.max(hlc, now.hlc + 1);
    }
    const deps = new Map<string, Dot>();
    const entries = replaced.map(({ op, slot: { now: current } }): Entry => {
      if (current !== undefined && current.origin !== origin) {
        deps.set(dotText(current), dotOf(current));
      }
      // A key of a node that is gone is claimed anew, above all that it wrote.
      const kept = current?.holder === state.nodeKey ? current : undefined;
      const lifeBefore = current?.life ?? this.#counters.lifeGone;
      const expiresAt = this.#endOf(op);
      const entry = new EntryFields();
      entry.key = op.key;
      entry.value = op.value;
      if (op.value === undefined) entry.flags = EntryFlag.TOMBSTONE;
      else if (expiresAt > 0) entry.flags = EntryFlag.TTL;
      entry.life = kept?.life ?? lifeBefore + 1;
      entry.term = kept?.term ?? 0;
      entry.sub = kept?.sub ?? 0;
      entry.claimHlc = kept?.claimHlc ?? hlc;
      entry.claimNode = kept?.claimNode ?? state.nodeKey;
      entry.hlc = hlc;
      entry.origin = origin;
      entry.seq = seq;
      entry.tenure = state.tenure;
      entry.holder = state.nodeKey;
      entry.holderTenure = state.tenure;
      entry.expiresAt = expiresAt;
      return entry;
    });
    return makeRecord({
      origin,
      seq,
      kind: RecordKind.BATCH,
      tenure: state.tenure,
      generation: state.incarnation.generation,
      nonce: state.incarnation.nonce,
      hlc,
      deps: [...deps.values()],
      intent: undefined,
      entries,
    });
  }

  #nextDot(): Dot {
    const state = this.#state;
    let origin = state.origin ?? state.openOrigin(makeOrigin);
    // Full, or a session said so: peers would not read what came after.
    if (this.vector.seq(origin) >= SEQ_MAX) {
      origin = state.openOrigin(makeOrigin);
    }
    return { origin, seq: this.vector.seq(origin) + 1 };
  }

  /**
   * Folds the origins of some nodes that every member has and that have ended, if
   * that makes vectors shorter (docs/fold.md).
   *
   * @param isOver Whether this node is to fold the origins of a node.
   */
  async fold(
    isOver: (node: number) => boolean,
  ): Promise<LogRecord | undefined> {
    const state = this.#state;
    const deps = foldable(state, this.vector, isOver);
    if (deps.length === 0) return undefined;
    const record = makeRecord({
      ...this.#nextDot(),
      kind: RecordKind.FOLD,
      tenure: state.tenure,
      generation: state.incarnation.generation,
      nonce: state.incarnation.nonce,
      hlc: this.#counters.clock,
      deps,
      intent: undefined,
      entries: [],
    });
    return await this.apply(record) === "applied" ? record : undefined;
  }

  /** Who covers a fold has its list, durably: with the record, or the session. */
  #keep(fold: Fold): void {
    this.#state.folds.add(fold);
    this.#ops.push(foldOp(fold));
  }

  /** When what an op sets ends by itself; 0 if it does not. */
  #endOf({ value, expireIn }: CommitOp): number {
    if (value === undefined || expireIn === undefined) return 0;
    return Math.min(Math.ceil(this.#options.nowMs + expireIn), SEQ_MAX);
  }

  /**
   * Applies a record, from here or from anywhere. At once if the engine answers so;
   * if this throws, or rejects, the engine could not be read and the record has
   * changed nothing.
   */
  apply(record: LogRecord): Awaitable<Arrival> {
    const refused = this.#refused(record);
    if (refused !== undefined) return refused;
    const slots = this.#slotsOf(record.entries);
    return isPromise(slots)
      ? slots.then((slots) => this.#applyTo(record, slots))
      : this.#applyTo(record, slots);
  }

  /** Why a record is not applied here and now; `undefined` if it is its turn. */
  #refused({ origin, seq, deps }: LogRecord): "covered" | "early" | undefined {
    if (this.vector.covers(origin, seq)) return "covered";
    if (originLane(origin) === 0 && seq !== this.vector.seq(origin) + 1) {
      return "early";
    }
    return deps.every((dot) => this.vector.covers(dot.origin, dot.seq))
      ? undefined
      : "early";
  }

  /** Applies a record whose turn it is. Waits for nothing: all of it, or nothing. */
  #applyTo(record: LogRecord, slots: readonly Slot[]): "applied" | "waits" {
    const { origin, seq } = record;
    if (
      this.#losses.isFull && record.entries.some((e, i) => loses(e, slots[i]!))
    ) {
      return "waits";
    }
    const applied = new AppliedRecord(record);
    const { changes } = applied;
    let marks: { lost: number[]; won: number[] } | undefined;
    for (let i = 0; i < slots.length; i++) {
      const entry = record.entries[i]!;
      const slot = slots[i]!;
      const current = slot.now;
      const changed = changes.length;
      const lost = this.#merge(entry, slot, changes);
      if (changes.length === changed) {
        marks ??= { lost: [], won: [] };
        marks.lost.push(i);
      }
      if (lost === entry) {
        this.#losses.add({ kept: current!, lost });
      } else if (lost !== undefined && !this.#isBuiltUpon(lost, record)) {
        this.#losses.add({ kept: entry, lost });
        marks ??= { lost: [], won: [] };
        marks.won.push(i);
      }
    }
    if (record.intent !== undefined) {
      this.#openIntent({ ...record.intent, intent: dotOf(record) });
    }
    if (originLane(origin) === 1) this.#decided.push(dotOf(record));
    if (record.kind === RecordKind.FOLD) {
      this.#keep({ origin, seq, list: record.deps });
    }
    this.vector.add(origin, seq);
    this.#moved.add(origin);
    const log = this.#log;
    this.#ops.push(log.append(record));
    if (marks !== undefined) this.#ops.push(log.mark(marks));
    this.#bytes += record.bytes.length * 2 + OP_OVERHEAD_BYTES;
    this.applied.push(applied);
    return "applied";
  }

  /**
   * Applies a session, whole.
   *
   * @returns `false` if this state no longer has what the donor left out, or lacks
   * what the donor takes for granted, or has become void since, or whole.
   * @throws {ProtocolError} If it has entries that its vector does not cover.
   * @throws {ConflictsFullError} If it has one that would lose here, and as many
   * reports of conflicts stand as may: nothing of it was taken.
   */
  async ingest(session: SessionData): Promise<boolean> {
    if (session.whole === this.#counters.caughtUp) return false;
    for (const fold of session.folds) this.#keep(fold);
    session.vector.readAs(this.vector);
    session.floor.readAs(this.vector);
    if (session.whole) {
      await this.#replace(session);
      return true;
    }
    if (!this.vector.includes(session.base)) return false;
    // The donor may have collected tombstones that this state has not.
    if (!this.vector.includes(session.floor)) return false;
    checkCovered(session.entries, session.vector);
    const slots = await this.#slotsOf(session.entries);
    if (
      this.#losses.isFull &&
      session.entries.some((entry, i) =>
        !this.vector.covers(entry.origin, entry.seq) && loses(entry, slots[i]!)
      )
    ) throw new ConflictsFullError();
    const changes: Entry[] = [];
    for (let i = 0; i < slots.length; i++) {
      const entry = session.entries[i]!;
      if (this.vector.covers(entry.origin, entry.seq)) continue;
      const slot = slots[i]!;
      const current = slot.now;
      const lost = this.#merge(entry, slot, changes);
      if (lost === entry) {
        this.#losses.add({ kept: current!, lost });
      } else if (
        lost !== undefined && !session.vector.covers(lost.origin, lost.seq)
      ) {
        this.#losses.add({ kept: entry, lost });
      }
    }
    for (const intent of session.intents) this.#openIntent(intent);
    for (const origin of session.vector.origins()) {
      if (!this.vector.covers(origin, session.vector.seq(origin))) {
        this.#moved.add(origin);
      }
    }
    this.vector.join(session.vector);
    this.#inherit(session);
    this.#ops.push(this.#log.leap());
    this.applied.push({ record: undefined, changes, vector: session.vector });
    return true;
  }

  /**
   * Takes what another node, which covers the same, has of keys, where that is the
   * larger entry (audit.ts says when nothing at all is the smaller one).
   *
   * @returns The entries that were taken.
   */
  async repair(items: readonly AuditItem[]): Promise<readonly Entry[]> {
    const changes: Entry[] = [];
    for (const { key, entry, isIndexed } of items) {
      if (entry === undefined) continue;
      const slot = await this.#slot(key);
      if (!differ(slot.now, entry)) continue;
      // Each tombstone above it that was collected, here or by a donor, has counted.
      const mayBeGone = entry.life <= this.#counters.lifeGone;
      if (slot.now === undefined && mayBeGone && !isIndexed) continue;
      this.#merge(entry, slot, changes);
    }
    if (changes.length === 0) return changes;
    this.#ops.push(this.#log.leap());
    const vector = this.vector.clone();
    this.applied.push({ record: undefined, changes, vector });
    return changes;
  }

  /**
   * Puts a whole copy, which stands in the other bank, in the place of what is
   * here (rule S6 of the replication protocol). What this node has written, or one
   * that was removed, and the copy does not cover is reported: nobody else will
   * bring it. Of other members' records the rule says that these have them. But one
   * that acked a record before it was on its device may have lost it since, and this
   * node be the last to have had it: what no member has said to have is reported too.
   */
  async #replace(session: SessionData): Promise<void> {
    const { nodeKey } = this.#state;
    const { isRemoved, isReported } = this.#options;
    const old = this.#counters.bank;
    const bank = otherBank(old);
    for (const origin of this.vector.beyond(session.vector).origins()) {
      const node = originNode(origin);
      const isElsewhere = node !== nodeKey && !isRemoved?.(node);
      const from = session.vector.seq(origin) + 1;
      const keys = await indexedKeys(this.#kv, indexRange(old, origin, from));
      for (const key of keys) {
        const lost = await this.#stored(old, key);
        if (lost === undefined) continue;
        if (session.vector.covers(lost.origin, lost.seq)) continue;
        if (isElsewhere && isReported?.(lost)) continue;
        this.#losses.add({ kept: await this.#stored(bank, key), lost });
      }
    }
    this.#counters.bank = bank;
    this.#counters.caughtUp = true;
    this.#inherit(session);
    const replaced = { vector: this.vector, copy: session };
    this.vector = session.vector.clone();
    for (const origin of this.vector.origins()) this.#moved.add(origin);
    for (const intent of session.intents) this.#openIntent(intent);
    this.#log = this.#state.emptyLog(bank, this.#log.end);
    this.#ops.push(this.#log.leap());
    this.copy = session;
    this.#ops.push(floorOp(session.floor));
    await this.#replaceIncarnations(session.incarnations);
    this.applied.push({ record: undefined, changes: [], replaced });
  }

  /**
   * The floor rests on the incarnations that the donor has accepted (counterexample
   * 25): any other one, also if it was accepted here, is to be judged by it.
   */
  async #replaceIncarnations(accepted: readonly Incarnation[]): Promise<void> {
    const rows = this.#kv.iterate({
      prefix: spacePrefix(Space.INCARNATION),
      keysOnly: true,
    });
    try {
      for (;;) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) break;
        this.#ops.push({ key: rows.key, value: undefined });
      }
    } finally {
      await rows.close();
    }
    for (const each of accepted) {
      if (each.node !== this.#state.nodeKey) {
        this.#ops.push(incarnationOp(each));
      }
    }
  }

  #inherit({ lifeGone, lifeFloor }: SessionData): void {
    const counters = this.#counters;
    counters.lifeGone = Math.max(counters.lifeGone, lifeGone);
    counters.lifeFloor = Math.max(counters.lifeFloor, lifeFloor);
  }

  /** Whether the writer of a record knew an entry that the record replaced. */
  #isBuiltUpon({ origin, seq }: Entry, record: LogRecord): boolean {
    return origin === record.origin ||
      record.deps.some((dep) => dep.origin === origin && dep.seq === seq) ||
      this.#state.floor.covers(origin, seq);
  }

  /** Moves the clock up to a reading that is not too far ahead. */
  adopt(hlc: number): void {
    this.#counters.clock = Math.max(this.#counters.clock, hlc);
  }

  /** What keys are, one for each. Most engines answer at once, and so does this. */
  #slotsOf(asked: readonly { readonly key: Uint8Array }[]): Awaitable<Slot[]> {
    const slots = youngArray<Slot>();
    for (const { key } of asked) {
      const slot = this.#slot(key);
      if (isPromise(slot)) return this.#slotsLater(asked, slots, slot);
      slots.push(slot);
    }
    return slots;
  }

  /** The rest of {@linkcode Draft.#slotsOf}, where one has to be waited for. */
  async #slotsLater(
    asked: readonly { readonly key: Uint8Array }[],
    slots: Slot[],
    next: Promise<Slot>,
  ): Promise<Slot[]> {
    slots.push(await next);
    for (let i = slots.length; i < asked.length; i++) {
      slots.push(await this.#slot(asked[i]!.key));
    }
    return slots;
  }

  /** What a key is, and would be as this draft leaves it; tombstones included. */
  #slot(key: Uint8Array): Awaitable<Slot> {
    const slot = this.#slots.get(key);
    if (slot !== undefined) return slot;
    const before = this.#stored(this.#counters.bank, key);
    return isPromise(before)
      ? before.then((entry) => this.#slots.add(key, entry))
      : this.#slots.add(key, before);
  }

  #stored(bank: Bank, key: Uint8Array): Awaitable<Entry | undefined> {
    return readEntry(this.#kv, bank, key);
  }

  /** The batch that carries all of it. */
  async seal(): Promise<BatchOp[]> {
    if (!this.#losses.isEmpty) {
      const reports = await this.#losses.seal(this.applied);
      for (const op of reports) this.#ops.push(op);
    }
    for (const txn of this.#decided) await this.#closeIntents(txn);
    const ops = this.#ops;
    const { bank } = this.#counters;
    for (const { before, now } of this.#slots) {
      if (now === before || now === undefined) continue;
      replace(ops, bank, now, before);
    }
    for (const origin of this.#moved) {
      const value = this.vector.encodeOrigin(origin);
      ops.push({ key: vectorKey(bank, origin), value });
    }
    const trimmed = this.#log.trim(this.#kv.abandon !== undefined);
    this.#isTrimmed = trimmed.length > 0;
    ops.push(...trimmed);
    ops.push({
      key: metaKey("counters"),
      value: encodeCounters(this.#counters),
    });
    return ops;
  }

  /** Makes it the state, once its batch is durable. */
  publish(): void {
    this.#state.vector = this.vector;
    this.#state.log = this.#log;
    if (this.#isTrimmed) this.#log.giveUp(this.#kv);
    const { sums } = this.#state;
    if (this.copy !== undefined) {
      this.#state.floor = this.copy.floor;
      sums.restart();
    } else {
      for (const { before, now } of this.#slots) {
        if (now !== before) sums.replace(before, now);
      }
    }
    Object.assign(this.#state, this.#counters);
  }

  /**
   * The larger of two entries of a key stays.
   *
   * @returns The one that lost, if there were two; `entry` itself if it did.
   */
  #merge(entry: Entry, slot: Slot, changes: Entry[]): Entry | undefined {
    if (isTooFarAhead(entry.hlc, this.#options.nowMs)) {
      this.skewedHlc = Math.max(this.skewedHlc, entry.hlc);
    } else {
      this.#counters.clock = Math.max(this.#counters.clock, entry.hlc);
    }
    const current = slot.now;
    if (current !== undefined) {
      const order = compareEntries(entry, current);
      if (order === 0) return undefined;
      if (order < 0) return entry;
    }
    slot.now = entry.flags & EntryFlag.VALUE_UNCHANGED
      ? inheritValue(entry, current)
      : entry;
    this.#bytes += entry.key.length * 4 + (slot.now.value?.length ?? 0) +
      OP_OVERHEAD_BYTES;
    changes.push(slot.now);
    return current;
  }

  /** An intent waits from now on, unless its transaction is decided. */
  #openIntent({ txn, intent, body }: OpenIntent): void {
    if (this.vector.covers(txn.origin, txn.seq)) return;
    const key = openIntentKey(this.#counters.bank, txn, intent);
    this.#ops.push({ key, value: body });
  }

  /** A transaction was decided: its intents no longer wait. */
  async #closeIntents(txn: Dot): Promise<void> {
    const prefix = openIntentPrefix(this.#counters.bank, txn);
    // Also those that this draft has opened.
    const opened = this.#ops.filter(({ key }) => startsWith(key, prefix));
    for (const { key } of opened) this.#ops.push({ key, value: undefined });
    const rows = this.#kv.iterate({ prefix, keysOnly: true });
    try {
      for (;;) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) return;
        this.#ops.push({ key: rows.key, value: undefined });
      }
    } finally {
      await rows.close();
    }
  }
}

/** Whether an entry would lose against what stands. */
function loses(entry: Entry, { now }: Slot): boolean {
  return now !== undefined && compareEntries(entry, now) < 0;
}

/** An entry that changes the lease only: it takes the value that is there. */
function inheritValue(entry: Entry, current: Entry | undefined): Entry {
  const gone = current?.value === undefined;
  return {
    ...entry,
    value: current?.value,
    flags: (entry.flags & ~EntryFlag.VALUE_UNCHANGED) |
      (gone ? EntryFlag.TOMBSTONE : 0),
  };
}

/** Of several ops of one key the last one, in the place of the first. */
function lastOfEach(ops: readonly CommitOp[]): readonly CommitOp[] {
  if (ops.length === 1) return ops;
  const last = new Map<string, CommitOp>();
  for (const op of ops) last.set(keyText(op.key), op);
  return [...last.values()];
}
