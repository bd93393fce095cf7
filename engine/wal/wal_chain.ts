/**
 * The write-ahead logs of an open store, from the oldest whose batches are in
 * no table yet to the one that takes the next batch.
 *
 * Guarantees: the next WAL begins without a wait: it is neither synced nor named
 * in the MANIFEST, and a crash may take it, or the end of the one before it, as
 * it may take any batch that nobody asked to be synced. What is left is a prefix
 * all the same, since a HEADER says how the WAL before it ended, and recovery
 * goes on only to the one that follows exactly. A sync makes all WALs durable,
 * from the oldest on, then names the newest: only then it resolves, and from
 * then on the loss of any of them is noticed.
 *
 * Assumes: one caller at a time for everything but `forget`, and for `append` and
 * `sync` while it is `isOne`; and that after an error nothing is written any more
 * (see `Store.poison`).
 *
 * @module
 */

import type { LogIdentity } from "../log/frame.ts";
import type { LogWriter } from "../log/writer.ts";
import type { VersionEdit } from "../manifest/edit.ts";
import { createWal, type WalPlace } from "./wal.ts";

/** What a chain needs of its store. */
export interface WalStore extends WalPlace {
  /** Makes an edit durable. */
  install(edit: VersionEdit): Promise<void>;
}

/** The WALs of an open store. */
export class WalChain {
  readonly #store: WalStore;
  #current: LogWriter;
  /** Those before the current one that may not be on the device, oldest first. */
  #earlier: LogWriter[] = [];
  /** The one of them that is being synced. */
  #syncing: LogWriter | undefined;
  /** The newest that the MANIFEST names. */
  #named: number;

  /** Goes on with `current`, which is durable and named. */
  constructor(store: WalStore, current: LogWriter) {
    this.#store = store;
    this.#current = current;
    this.#named = current.id;
  }

  /** The WAL that takes the next batch. */
  get current(): LogIdentity {
    return this.#current.identity;
  }

  /**
   * Whether a sync is one of the current WAL alone: then more may be appended, and
   * synced, before it is done.
   */
  get isOne(): boolean {
    return this.#earlier.length === 0 && this.#current.id === this.#named;
  }

  /**
   * Appends a frame of batches; see {@linkcode LogWriter.appendFrame}.
   *
   * @throws {StorageError} If it could not be written.
   */
  append(frame: Uint8Array, payloadLength: number, batches: number): void {
    this.#current.appendFrame(frame, payloadLength, batches);
  }

  /**
   * Begins the next WAL.
   *
   * @throws {StorageError} If it could not be made.
   */
  roll(): void {
    const next = createWal(this.#store, this.#current.identity);
    this.#current.complete();
    this.#earlier.push(this.#current);
    this.#current = next;
  }

  /**
   * Waits until all appended so far is on the device.
   *
   * @throws {StorageError} If the device failed.
   */
  async sync(): Promise<void> {
    for (let wal = this.#earlier[0]; wal; wal = this.#earlier[0]) {
      this.#syncing = wal;
      try {
        await wal.sync();
      } finally {
        this.#syncing = undefined;
        // Forgotten meanwhile: nobody else closes it.
        if (this.#earlier[0] !== wal) wal.close();
      }
      if (this.#earlier[0] === wal) this.#earlier.shift();
      wal.close();
    }
    const { id } = this.#current;
    await this.#current.sync();
    if (id === this.#named) return;
    await this.#store.files.syncDirectory(this.#store.dir);
    await this.#store.install({ lastWal: id });
    this.#named = id;
  }

  /** The batches of all WALs up to `id` are in tables that are named. */
  forget(id: number): void {
    for (let wal = this.#earlier[0]; wal; wal = this.#earlier[0]) {
      if (wal.id > id) break;
      this.#earlier.shift();
      if (wal !== this.#syncing) wal.close();
    }
  }

  /**
   * Syncs all, and marks the current WAL as complete, there and in the MANIFEST.
   *
   * @throws {StorageError} If the device failed.
   */
  async seal(): Promise<void> {
    await this.sync();
    await this.#current.seal();
    await this.#store.install({ closedWal: this.#current.identity });
  }

  /** Closes all files. Idempotent. */
  close(): void {
    for (const wal of this.#earlier) wal.close();
    this.#current.close();
  }
}
