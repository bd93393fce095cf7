/**
 * The write path: batches, in the order in which they are handed in, become
 * groups; a group becomes one frame of the WAL, then entries of the memtable.
 *
 * Guarantees: a group is synced if any of its batches asked for it. Readers see
 * a batch only after its group, and all before it, are written (and synced, if
 * asked), so nobody acts on what a crash could still take back from who asked for
 * more. At most two groups are on their way to the device: one is made while the
 * other is synced. Whatever arrives meanwhile is the next group, so the size of
 * groups follows the device and no timer is needed. When memtables or level 0 are
 * full, writers wait; what waits is bounded.
 *
 * A group that need not wait for anything is written in one microtask, without
 * a promise but the one that its writers hold. The frame is put together in the
 * memtable's memory, so each byte is copied once.
 *
 * @module
 */

import { LimitError } from "../runtime/mod.ts";
import type { BatchOp } from "./kv.ts";
import { FRAME_HEADER_BYTES, frameLength } from "./log/frame.ts";
import type { LogWriter } from "./log/writer.ts";
import {
  COMMIT_SLICE_MS,
  COMMIT_SLICE_WORK,
  COMMIT_SLICE_WORK_MIN,
  EARLY_BATCHES,
  GROUP_BATCHES_MAX,
  GROUP_BYTES,
  LEVEL0_SLOW,
  LEVEL0_STOP,
  SEALED_MAX,
  SLICE_BYTES,
  type StallReason,
  SYNCS_MAX,
  WAITING_BATCHES_MAX,
  WAITING_BYTES_MAX,
} from "./options.ts";
import type { Store } from "./store.ts";
import {
  applyBatch,
  encodeBatch,
  measureBatch,
  userBytes,
} from "./wal/batch.ts";
import { WalChain } from "./wal/wal_chain.ts";

/** What a batch costs besides its bytes, in bytes that cost as much. */
const BATCH_WORK = 256;

const READY: Promise<void> = Promise.resolve();

/** Batches that are written together, or a job that runs alone. */
class Group {
  readonly batches: (readonly BatchOp[])[] = [];
  readonly done: PromiseWithResolvers<void> = Promise.withResolvers();
  bytes = 0;
  ops = 0;
  sync = false;
  readonly job: (() => Promise<void>) | undefined;

  constructor(job: (() => Promise<void>) | undefined) {
    this.job = job;
  }
}

/** Writes batches to the WAL and the memtable. */
export class Committer {
  readonly #store: Store;
  readonly #onSealed: () => void;
  readonly #wals: WalChain;
  #queue: Group[] = [];
  #waitingBatches = 0;
  #waitingBytes = 0;
  #running: Promise<void> | undefined;
  /** Whether groups are taken from the queue: who is called then may write. */
  #isRunning = false;
  /** Groups that were appended and are not visible yet, the oldest first. */
  readonly #unsettled: Promise<boolean>[] = [];
  /** Their ops. */
  #hiddenOps = 0;
  /** Work since others had their turn, and when it began. */
  #work = 0;
  #workBegan = 0;
  /** Work since writers kept pace with compaction. */
  #unpacedWork = 0;

  /** Goes on with `wal`; calls `onSealed` when a memtable wants to be flushed. */
  constructor(store: Store, wal: LogWriter, onSealed: () => void) {
    this.#store = store;
    this.#wals = new WalChain(store, wal);
    this.#onSealed = onSealed;
  }

  /**
   * Hands in a batch. Resolves when it is as durable as asked, and visible; all
   * batches of a group have one promise.
   *
   * @throws {LimitError} If a key, the batch or what waits is beyond its limit.
   */
  write(ops: readonly BatchOp[], sync: boolean): Promise<void> {
    const bytes = measureBatch(ops);
    this.#checkRoom(bytes);
    let group = this.#queue.at(-1);
    if (
      group === undefined || group.job !== undefined ||
      group.batches.length === GROUP_BATCHES_MAX ||
      group.bytes + bytes > GROUP_BYTES
    ) group = this.#enqueue(new Group(undefined));
    group.batches.push(ops);
    group.bytes += bytes;
    group.ops += ops.length;
    if (sync) group.sync = true;
    this.#waitingBatches++;
    this.#waitingBytes += bytes;
    if (group.batches.length === EARLY_BATCHES) this.#startEarly(group);
    return group.done.promise;
  }

  /** Seals the memtable, after all batches handed in before. */
  sealMemtable(): Promise<void> {
    return this.runAlone(() => this.sealNow());
  }

  /** Runs a job after all batches handed in before, and before all others. */
  runAlone(job: () => Promise<void>): Promise<void> {
    return this.#enqueue(new Group(job)).done.promise;
  }

  /** Resolves when nothing waits. */
  async drain(): Promise<void> {
    while (this.#running !== undefined || this.#unsettled.length > 0) {
      await (this.#running ?? this.#unsettled.at(-1));
    }
  }

  /** The batches of all WALs up to `id` are in tables. */
  forgetWals(id: number): void {
    this.#wals.forget(id);
  }

  /** Marks the WAL as complete, there and in the MANIFEST. */
  async seal(): Promise<void> {
    this.#store.assertHealthy();
    await this.#wals.seal();
  }

  /** Closes the WALs. Idempotent. */
  close(): void {
    this.#wals.close();
  }

  /** One batch may always wait, however large. */
  #checkRoom(bytes: number): void {
    if (this.#waitingBatches === 0) return;
    const total = this.#waitingBytes + bytes;
    if (total > WAITING_BYTES_MAX) {
      const what = "the bytes of waiting writes";
      throw new LimitError("write", what, total, 0, WAITING_BYTES_MAX);
    }
    if (this.#waitingBatches >= WAITING_BATCHES_MAX) {
      throw new LimitError(
        "write",
        "the number of waiting writes",
        this.#waitingBatches + 1,
        0,
        WAITING_BATCHES_MAX,
      );
    }
  }

  #enqueue(group: Group): Group {
    this.#queue.push(group);
    // In a microtask, so that all writes of this turn make one group.
    this.#running ??= READY.then(this.#run);
    return group;
  }

  /** Writes what waits: as far as it can at once, then with promises. */
  readonly #run = (): Promise<void> | undefined => {
    this.#isRunning = true;
    while (this.#queue.length > 0) {
      const waiting = this.#step();
      if (waiting !== undefined) return this.#runOn(waiting);
    }
    this.#isRunning = false;
    this.#running = undefined;
    return undefined;
  };

  async #runOn(waiting: Promise<unknown> | undefined): Promise<void> {
    for (;;) {
      if (waiting !== undefined) await waiting;
      if (this.#queue.length === 0) break;
      waiting = this.#step();
    }
    this.#isRunning = false;
    this.#running = undefined;
  }

  /**
   * Writes a group that others may still come to, if the device has nothing to do:
   * they are the next group, which is made meanwhile.
   */
  #startEarly(group: Group): void {
    if (
      group.sync && this.#queue[0] === group && !this.#isRunning &&
      this.#unsettled.length === 0 && !this.#mustWait() && !this.#isFull()
    ) this.#write(this.#takeGroup());
  }

  #takeGroup(): Group {
    const group = this.#queue.shift()!;
    this.#waitingBatches -= group.batches.length;
    this.#waitingBytes -= group.bytes;
    return group;
  }

  /** Goes on with the first group of the queue, or says what to wait for first. */
  #step(): Promise<unknown> | undefined {
    const unsettled = this.#unsettled;
    if (unsettled.length === SYNCS_MAX) return unsettled[0];
    const isAlone = this.#queue[0]!.job !== undefined || this.#mustWait();
    // Memtables and WALs change while nothing is on its way to the device.
    if (
      unsettled.length > 0 && (isAlone || this.#isFull() || !this.#wals.isOne)
    ) return unsettled.at(-1);
    const group = this.#takeGroup();
    if (group.job !== undefined) return this.#runJob(group, group.job);
    if (isAlone) return this.#writeLater(group);
    this.#write(group);
    return undefined;
  }

  async #runJob(group: Group, job: () => Promise<void>): Promise<void> {
    try {
      this.#store.assertHealthy();
      await job();
      group.done.resolve();
    } catch (error) {
      group.done.reject(error);
    }
  }

  async #writeLater(group: Group): Promise<void> {
    try {
      this.#store.assertHealthy();
      await this.#makeRoom();
    } catch (error) {
      group.done.reject(error);
      return;
    }
    this.#write(group);
  }

  /** Writes a group, and settles it: at once, or when the device is done. */
  #write(group: Group): void {
    try {
      this.#store.assertHealthy();
      if (this.#isFull()) this.#seal();
      this.#append(group);
    } catch (error) {
      group.done.reject(error);
      return;
    }
    const before = this.#unsettled.at(-1);
    if (group.sync || before !== undefined) {
      this.#unsettled.push(this.#settle(group, before));
    } else {
      this.#show(group);
      group.done.resolve();
    }
  }

  /**
   * Settles a group that was appended once it is synced, if it asked for that, and
   * the one before it is settled. `false` if it failed.
   */
  async #settle(
    group: Group,
    before: Promise<boolean> | undefined,
  ): Promise<boolean> {
    let isDone = false;
    try {
      if (group.sync) await this.#wals.sync();
      // What is behind a group that failed may be nowhere, or not for long.
      if (await before === false) this.#store.assertHealthy();
      this.#show(group);
      group.done.resolve();
      isDone = true;
    } catch (error) {
      this.#store.poison(error);
      await before;
      group.done.reject(error);
    }
    this.#unsettled.shift();
    // The device took its time, and so could others.
    this.#work = 0;
    return isDone;
  }

  #mustWait(): boolean {
    const { sealed, levels } = this.#store.current;
    return this.#othersAreDue() ||
      levels[0]!.length >= LEVEL0_STOP ||
      (sealed.length >= SEALED_MAX && this.#isFull());
  }

  /** By bytes, or by time where a slice takes long, as in a program's first. */
  #othersAreDue(): boolean {
    return this.#work >= COMMIT_SLICE_WORK ||
      (this.#work >= COMMIT_SLICE_WORK_MIN &&
        this.#store.meter.now() - this.#workBegan >= COMMIT_SLICE_MS);
  }

  #isFull(): boolean {
    const { current: { active }, settings } = this.#store;
    return active.count > 0 && active.bytes >= settings.memtableBytes;
  }

  /**
   * Appends a group to the WAL, from the memtable's memory, and adds it to the
   * memtable, behind what readers see.
   */
  #append(group: Group): void {
    if (this.#work === 0) this.#workBegan = this.#store.meter.now();
    this.#work += group.bytes + group.batches.length * BATCH_WORK;
    // Empty batches would make the WAL grow, and no memtable that ends it.
    if (group.ops === 0) return;
    const store = this.#store;
    const { active } = store.current;
    const length = frameLength(group.bytes);
    const room = active.reserve(length);
    const { bytes, offset } = room;
    const start = offset + FRAME_HEADER_BYTES;
    const firstSeq = store.visibleSeq + this.#hiddenOps + 1;
    let seq = firstSeq;
    let at = start;
    for (const ops of group.batches) {
      at = encodeBatch(bytes, at, ops, seq);
      seq += ops.length;
    }
    if (at - start !== group.bytes) {
      throw new TypeError("Cannot write: a batch was changed while it waited");
    }
    store.written.user += userBytes(
      group.bytes,
      group.batches.length,
      group.ops,
    );
    store.written.wal += length;
    try {
      this.#wals.append(
        bytes.subarray(offset, offset + length),
        group.bytes,
        group.batches.length,
      );
      seq = firstSeq;
      at = start;
      for (const ops of group.batches) {
        at = applyBatch(active, room, at, seq);
        seq += ops.length;
      }
      this.#hiddenOps += group.ops;
    } catch (error) {
      // Also if memory ran out: what is in the log has its sequence numbers.
      store.poison(error);
      throw error;
    }
  }

  /** Makes a group that was appended visible. */
  #show(group: Group): void {
    this.#store.visibleSeq += group.ops;
    this.#hiddenOps -= group.ops;
  }

  /** Waits until there is room, and lets others have their turn. */
  async #makeRoom(): Promise<void> {
    const store = this.#store;
    if (this.#othersAreDue()) {
      this.#unpacedWork += this.#work;
      this.#work = 0;
      await store.settings.yieldNow();
      if (this.#unpacedWork >= SLICE_BYTES) {
        this.#unpacedWork = 0;
        await this.#keepPace();
      }
    }
    await this.#waitWhile(
      "level0",
      () => store.current.levels[0]!.length >= LEVEL0_STOP,
    );
    if (this.#isFull()) await this.sealNow();
  }

  /**
   * Above LEVEL0_SLOW tables in level 0, lets compaction do more slices for one
   * of the writers', of the same size, the more tables there are, so that they
   * need not stop.
   */
  async #keepPace(): Promise<void> {
    const store = this.#store;
    const debt = () => store.current.levels[0]!.length - LEVEL0_SLOW + 1;
    const from = store.compactedSlices;
    Atomics.store(store.slicesAwaited, 0, 1);
    while (store.compactedSlices - from < debt() && !store.poisoned) {
      await store.progress.wait();
    }
    Atomics.store(store.slicesAwaited, 0, 0);
  }

  /** Starts a new memtable and a WAL for it. Only in a job that runs alone. */
  async sealNow(): Promise<void> {
    const store = this.#store;
    if (store.current.active.count === 0) return;
    await this.#waitWhile(
      "memtables",
      () => store.current.sealed.length >= SEALED_MAX,
    );
    this.#seal();
  }

  #seal(): void {
    const store = this.#store;
    const { active, sealed } = store.current;
    active.lastWal = this.#wals.current.id;
    try {
      this.#wals.roll();
    } catch (error) {
      store.poison(error);
      throw error;
    }
    store.setMemtables(store.makeMemtable(), [active, ...sealed]);
    this.#onSealed();
  }

  async #waitWhile(reason: StallReason, full: () => boolean): Promise<void> {
    const store = this.#store;
    if (!full()) return;
    store.emit({ type: "stallBegin", reason });
    while (full() && !store.poisoned) await store.progress.wait();
    store.emit({ type: "stallEnd", reason });
    store.assertHealthy();
  }
}
