/**
 * Push: what this node commits goes to every connected peer. After a pause it
 * goes at once, so that it is readable there as soon as can be. What is
 * committed soon after a push waits for the rest of a short delay and then goes
 * together, so that many commits are few messages.
 *
 * Guarantees: only durable records are handed in, so none leaves earlier. A push
 * is never a promise: what is lost, or did not fit, is pulled (pull.ts), and the
 * heads in every push show a receiver that it misses something.
 *
 * @module
 */

import type { Clock, Timer, Timers } from "../../runtime/mod.ts";
import type { Dot, Origin } from "./dot.ts";
import { encodeRecords } from "./messages.ts";
import type { LogRecord } from "./record.ts";

/** Bytes of waiting records at which a push goes out before its time. */
export const BATCH_BYTES = 64 * 1024;

/** A larger record is announced only, and pulled by whoever lacks it, in bytes. */
export const RECORD_BYTES_PUSHED_MAX = 256 * 1024;

/** What a push is made of. */
export interface PushOptions {
  readonly timers: Timers;
  readonly clock: Pick<Clock, "monotonic">;
  /** Least time between two pushes, in milliseconds; many bytes do not wait. */
  readonly delayMs: number;
  /** Sends a message, which has such records, to every connected peer. */
  readonly broadcast: (message: Uint8Array, sent: PushedRecords) => void;
}

/** What a push has. */
export interface PushedRecords {
  readonly records: number;
  /** Of those records. */
  readonly bytes: number;
}

/** Records of an origin that wait: from a seq to a seq, both inclusive. */
interface Run {
  readonly first: number;
  last: number;
}

/** The records that wait to be pushed. */
export class Push {
  readonly #options: PushOptions;
  readonly #runs = new Map<Origin, Run>();
  #records: Uint8Array[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #lastAt = -Infinity;

  constructor(options: PushOptions) {
    this.#options = options;
  }

  /** Records that wait. */
  get size(): number {
    let size = 0;
    for (const { first, last } of this.#runs.values()) size += 1 + last - first;
    return size;
  }

  /** Whether a record waits. */
  has({ origin, seq }: Dot): boolean {
    const run = this.#runs.get(origin);
    return run !== undefined && run.first <= seq && seq <= run.last;
  }

  /**
   * Takes a durable record of this node, which waits for those that became
   * durable with it: {@linkcode Push.gathered} is to follow.
   */
  add(record: LogRecord): void {
    const { origin, seq } = record;
    const run = this.#runs.get(origin);
    if (run === undefined) this.#runs.set(origin, { first: seq, last: seq });
    else run.last = seq;
    if (record.bytes.length <= RECORD_BYTES_PUSHED_MAX) {
      this.#records.push(record.bytes);
      this.#bytes += record.bytes.length;
    }
    if (this.#bytes >= BATCH_BYTES) this.flush();
  }

  /** Sends what was added, at once or when the last push is long enough ago. */
  gathered(): void {
    if (this.#runs.size === 0) return;
    const { timers, clock, delayMs } = this.#options;
    const restMs = this.#lastAt + delayMs - clock.monotonic();
    if (restMs <= 0) this.flush();
    else this.#timer ??= timers.set(() => this.flush(), restMs);
  }

  /** Drops what waits. */
  clear(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#runs.clear();
    this.#records = [];
    this.#bytes = 0;
  }

  /** Sends what waits. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#runs.size === 0) return;
    const heads: Dot[] = [];
    for (const [origin, { last }] of this.#runs) {
      heads.push({ origin, seq: last });
    }
    const message = encodeRecords(heads, this.#records);
    const sent = { records: this.#records.length, bytes: this.#bytes };
    this.clear();
    this.#lastAt = this.#options.clock.monotonic();
    this.#options.broadcast(message, sent);
  }
}
