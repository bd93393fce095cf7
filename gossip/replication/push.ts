/**
 * Push: what this node commits goes to every connected peer at once, in
 * micro-batches, so that it is readable there within milliseconds.
 *
 * Guarantees: only durable records are handed in, so none leaves earlier. A push
 * is never a promise: what is lost, or did not fit, is pulled (pull.ts), and the
 * heads in every push show a receiver that it misses something.
 *
 * @module
 */

import type { Timer, Timers } from "../../runtime/mod.ts";
import type { Dot, Origin } from "./dot.ts";
import { encodeRecords } from "./messages.ts";
import type { LogRecord } from "./record.ts";

/** Bytes of waiting records at which a push goes out before its time. */
const BATCH_BYTES = 64 * 1024;

/** A larger record is announced only, and pulled by whoever lacks it, in bytes. */
const RECORD_BYTES_PUSHED_MAX = 256 * 1024;

/** What a push is made of. */
export interface PushOptions {
  readonly timers: Timers;
  /** How long records wait for others, in milliseconds. */
  readonly delayMs: number;
  /** Sends a message to every connected peer. */
  readonly broadcast: (message: Uint8Array) => void;
}

/** The records that wait to be pushed. */
export class Push {
  readonly #options: PushOptions;
  readonly #heads = new Map<Origin, number>();
  #records: Uint8Array[] = [];
  #bytes = 0;
  #timer: Timer | undefined;

  constructor(options: PushOptions) {
    this.#options = options;
  }

  /** Takes a durable record of this node. */
  add(record: LogRecord): void {
    this.#heads.set(record.origin, record.seq);
    if (record.bytes.length <= RECORD_BYTES_PUSHED_MAX) {
      this.#records.push(record.bytes);
      this.#bytes += record.bytes.length;
    }
    if (this.#bytes >= BATCH_BYTES) return this.flush();
    this.#timer ??= this.#options.timers.set(
      () => this.flush(),
      this.#options.delayMs,
    );
  }

  /** Sends what waits. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#heads.size === 0) return;
    const heads: Dot[] = [];
    for (const [origin, seq] of this.#heads) heads.push({ origin, seq });
    const message = encodeRecords(heads, this.#records);
    this.#heads.clear();
    this.#records = [];
    this.#bytes = 0;
    this.#options.broadcast(message);
  }
}
