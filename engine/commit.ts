/**
 * The write path: batches, in the order in which they are handed in, become
 * groups; a group becomes one frame of the WAL, then entries of the memtable.
 *
 * Guarantees: a group is synced if any of its batches asked for it. Readers see
 * a batch only after its group is written (and synced, if asked), so nobody
 * acts on what a crash could still take back from who asked for more. At most
 * one `syncData` is in flight; whatever arrives meanwhile is the next group, so
 * the size of groups follows the device and no timer is needed. When memtables
 * or level 0 are full, writers wait, and hold nothing but their own batch.
 *
 * @module
 */

import type { BatchOp } from "./kv.ts";
import { FRAME_HEADER_BYTES, frameLength } from "./log/frame.ts";
import type { LogWriter } from "./log/writer.ts";
import { Memtable } from "./memtable/memtable.ts";
import {
  GROUP_BATCHES_MAX,
  GROUP_BYTES,
  LEVEL0_STOP,
  SEALED_MAX,
  type StallReason,
} from "./options.ts";
import type { Store } from "./store.ts";
import { encodeBatch, measureBatch } from "./wal/batch.ts";
import { createWal } from "./wal/wal.ts";

/** A batch that waits, or, without `ops`, a job that runs alone. */
interface Pending {
  ops: readonly BatchOp[] | undefined;
  job: (() => Promise<void>) | undefined;
  bytes: number;
  sync: boolean;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** Writes batches to the WAL and the memtable. */
export class Committer {
  readonly #store: Store;
  readonly #onSealed: () => void;
  #wal: LogWriter;
  #queue: Pending[] = [];
  #running: Promise<void> | undefined;
  #frame = new Uint8Array(4096);

  /** Writes to `wal`; calls `onSealed` when a memtable wants to be flushed. */
  constructor(store: Store, wal: LogWriter, onSealed: () => void) {
    this.#store = store;
    this.#wal = wal;
    this.#onSealed = onSealed;
  }

  /** Hands in a batch. Resolves when it is as durable as asked, and visible. */
  write(ops: readonly BatchOp[], sync: boolean): Promise<void> {
    return this.#enqueue(ops, undefined, measureBatch(ops), sync);
  }

  /** Seals the memtable, after all batches handed in before. */
  sealMemtable(): Promise<void> {
    return this.runAlone(() => this.sealNow());
  }

  /** Runs a job after all batches handed in before, and before all others. */
  runAlone(job: () => Promise<void>): Promise<void> {
    return this.#enqueue(undefined, job, 0, false);
  }

  /** Resolves when nothing waits. */
  async drain(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Marks the WAL as complete, there and in the MANIFEST. */
  async seal(): Promise<void> {
    await this.#wal.seal();
    await this.#store.install({ closedWal: this.#wal.identity });
  }

  /** Closes the WAL. Idempotent. */
  close(): void {
    this.#wal.close();
  }

  #enqueue(
    ops: readonly BatchOp[] | undefined,
    job: (() => Promise<void>) | undefined,
    bytes: number,
    sync: boolean,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ ops, job, bytes, sync, resolve, reject });
      // In a microtask, so that all writes of this turn make one group.
      this.#running ??= Promise.resolve().then(() => this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        this.#store.assertHealthy();
        const { job } = group[0]!;
        if (job !== undefined) await job();
        else await this.#commit(group);
        for (const pending of group) pending.resolve();
      } catch (error) {
        for (const pending of group) pending.reject(error);
      }
    }
    this.#running = undefined;
  }

  #takeGroup(): Pending[] {
    const queue = this.#queue;
    let bytes = 0;
    let count = 0;
    while (count < queue.length && count < GROUP_BATCHES_MAX) {
      const pending = queue[count]!;
      if (
        count > 0 &&
        (pending.ops === undefined || queue[0]!.ops === undefined ||
          bytes + pending.bytes > GROUP_BYTES)
      ) break;
      bytes += pending.bytes;
      count++;
    }
    if (count === queue.length) {
      this.#queue = [];
      return queue;
    }
    return queue.splice(0, count);
  }

  async #commit(group: readonly Pending[]): Promise<void> {
    await this.#makeRoom();
    const store = this.#store;
    const firstSeq = store.visibleSeq + 1;
    try {
      // Empty batches would make the WAL grow, and no memtable that ends it.
      if (group.some(({ ops }) => ops!.length > 0)) {
        this.#append(group, firstSeq);
      }
      if (group.some((pending) => pending.sync)) await this.#wal.sync();
    } catch (error) {
      store.poison(error);
      throw error;
    }
    let seq = firstSeq;
    const memtable = store.current.active;
    for (const { ops } of group) {
      for (const { key, value } of ops!) memtable.add(seq++, key, value);
    }
    store.visibleSeq = seq - 1;
  }

  #append(group: readonly Pending[], seq: number): void {
    let payloadLength = 0;
    for (const { bytes } of group) payloadLength += bytes;
    const frame = this.#frameOf(frameLength(payloadLength));
    let at = FRAME_HEADER_BYTES;
    for (const { ops } of group) {
      at = encodeBatch(frame, at, ops!, seq);
      seq += ops!.length;
    }
    this.#wal.appendFrame(frame, payloadLength, group.length);
  }

  /** A frame's bytes: reused, unless the frame is a large one. */
  #frameOf(length: number): Uint8Array {
    if (length > 2 * GROUP_BYTES) return new Uint8Array(length);
    if (length > this.#frame.length) {
      this.#frame = new Uint8Array(Math.max(length, this.#frame.length * 2));
    }
    return this.#frame.subarray(0, length);
  }

  async #makeRoom(): Promise<void> {
    const store = this.#store;
    await this.#waitWhile(
      "level0",
      () => store.current.levels[0]!.length >= LEVEL0_STOP,
    );
    if (store.current.active.bytes >= store.settings.memtableBytes) {
      await this.sealNow();
    }
  }

  /** Starts a new memtable and a WAL for it. Only in a job that runs alone. */
  async sealNow(): Promise<void> {
    const store = this.#store;
    if (store.current.active.count === 0) return;
    await this.#waitWhile(
      "memtables",
      () => store.current.sealed.length >= SEALED_MAX,
    );
    const old = this.#wal;
    try {
      await old.sync();
      this.#wal = await createWal(store, old.identity);
      // Named before anything is in it, so that its loss is noticed.
      await store.install({ lastWal: this.#wal.id });
    } catch (error) {
      store.poison(error);
      throw error;
    } finally {
      if (old !== this.#wal) old.close();
    }
    const { active, sealed } = store.current;
    active.lastWal = old.id;
    store.setMemtables(new Memtable(), [active, ...sealed]);
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
