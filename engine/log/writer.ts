/**
 * Appends frames to a log.
 *
 * Guarantees: `syncedTo` of each frame is a length whose sync, and all before it,
 * had succeeded; after a sync that failed nothing is written any more. Assumes that
 * so it is after an append that failed (see `Store.poison`).
 *
 * @module
 */

import type { RuntimeFile } from "../../runtime/mod.ts";
import {
  extendChain,
  finishFrame,
  FRAME_HEADER_BYTES,
  FrameKind,
  frameLength,
  type LogIdentity,
} from "./frame.ts";

/** Where a log that is continued stands. */
export interface LogPosition {
  /** Its length in bytes, all of it synced. */
  length: number;
  /** Its chain so far. */
  chain: number;
}

/** Counts what is written to logs. */
export interface LogMeter {
  /** A frame was appended; its payload counts if it is data. */
  appended(payloadBytes: number, frameBytes: number): void;
  /** Runs a sync. */
  sync(run: () => Promise<void>): Promise<void>;
}

/** The writer of one log. */
export class LogWriter {
  /** The log's number. */
  readonly id: number;
  readonly #file: RuntimeFile;
  readonly #meter: LogMeter | undefined;
  readonly #roomBytes: number;
  #roomEnd = 0;
  #length: number;
  #chain: number;
  #syncedTo: number;
  /** Resolves when all syncs that were begun have ended. */
  #lastSync: Promise<void> | undefined;
  /** Of the first sync that failed. */
  #failure: { error: unknown } | undefined;

  /**
   * Writes to `file`, behind what is there. A log that is synced again and again
   * gets `roomBytes` of room at a time behind its end, which makes that fast.
   */
  constructor(
    file: RuntimeFile,
    id: number,
    position: LogPosition = { length: 0, chain: 0 },
    meter?: LogMeter,
    roomBytes = 0,
  ) {
    this.#roomBytes = roomBytes;
    this.#file = file;
    this.id = id;
    this.#length = position.length;
    this.#syncedTo = position.length;
    this.#chain = position.chain;
    this.#meter = meter;
  }

  /** The log's length in bytes. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of it that may not be on the device yet. */
  get unsynced(): number {
    return this.#length - this.#syncedTo;
  }

  /** What the next log says about this one. */
  get identity(): LogIdentity {
    return { id: this.id, length: this.#length, chain: this.#chain };
  }

  /**
   * Appends a frame whose payload stands in `frame` behind room for the
   * header. `frame` is `frameLength(payloadLength)` bytes long.
   *
   * @throws {StorageError} If it could not be written.
   */
  appendFrame(frame: Uint8Array, payloadLength: number, batches: number): void {
    this.#append(frame, payloadLength, batches, FrameKind.data);
  }

  /**
   * Appends a frame with a copy of `payload`.
   *
   * @throws {StorageError} If it could not be written.
   */
  append(kind: number, payload: Uint8Array): void {
    const frame = new Uint8Array(frameLength(payload.length));
    frame.set(payload, FRAME_HEADER_BYTES);
    this.#append(frame, payload.length, 0, kind);
  }

  /**
   * Waits until all appended so far is on the device. More may be appended, and
   * synced, meanwhile; what came first is said to be synced first.
   *
   * @throws {StorageError} If the device failed, in this sync or in any that ended
   * before it did: which of those who sync is told of a write that failed is up to
   * the system.
   */
  async sync(): Promise<void> {
    const length = this.#length;
    if (length === this.#syncedTo) return;
    this.#assertWhole();
    if (this.#syncedTo > 0 && length > this.#roomEnd) this.#makeRoom();
    const before = this.#lastSync;
    const own = this.#syncFile();
    const both = before === undefined ? own : before.then(() => own);
    this.#lastSync = both;
    await both;
    this.#assertWhole();
    this.#syncedTo = length;
  }

  /** Syncs the file; never rejects. */
  #syncFile(): Promise<void> {
    // First of all, so that nothing more is written, whoever else is told when.
    const run = () =>
      this.#file.syncData().catch((error) => {
        this.#failure ??= { error };
        throw error;
      });
    const done = this.#meter === undefined ? run() : this.#meter.sync(run);
    return done.catch(() => {});
  }

  #assertWhole(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /**
   * Syncs, then marks the log as complete, so that any damage found later is
   * told from a torn tail.
   */
  async seal(): Promise<void> {
    const roomEnd = this.#roomEnd;
    this.complete();
    await this.sync();
    this.append(FrameKind.seal, new Uint8Array(0));
    if (roomEnd > this.#length) this.#file.truncate(this.#length);
    await this.sync();
  }

  /** No more is appended but what a seal appends: no room is made any more. */
  complete(): void {
    this.#roomEnd = Infinity;
  }

  /** Closes the file. Idempotent. */
  close(): void {
    this.#file.close();
  }

  #makeRoom(): void {
    if (this.#roomBytes === 0) return;
    this.#roomEnd = this.#length + this.#roomBytes;
    try {
      this.#file.reserve(this.#roomBytes);
    } catch {
      // It goes without; if the device fails, the next write or sync says so.
    }
  }

  #append(
    frame: Uint8Array,
    payloadLength: number,
    batches: number,
    kind: number,
  ): void {
    this.#assertWhole();
    const crc = finishFrame(frame, this.#length, {
      logId: this.id,
      kind,
      batches,
      syncedTo: this.#syncedTo,
      payloadLength,
    });
    this.#file.append(frame);
    this.#length += frame.length;
    this.#meter?.appended(
      kind === FrameKind.data ? payloadLength : 0,
      frame.length,
    );
    this.#chain = extendChain(this.#chain, crc);
  }
}
