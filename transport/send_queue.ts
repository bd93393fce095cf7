/**
 * What waits to be written on one connection.
 *
 * Guarantees: messages are cut into frames of at most CHUNK_BYTES of payload,
 * and each round takes one frame of every message, so a small message waits for
 * one chunk of each large one, never for the whole of it. Room is counted in
 * bytes, separately for messages of one frame and for those of several: large
 * ones never take the room of small ones. A message larger than all the room
 * is let in when no other large one waits. Urgent messages go first, in the order
 * in which they were put in.
 *
 * Assumes: a payload is not changed after it was put in.
 *
 * @module
 */

import { CHUNK_BYTES, MESSAGE_BYTES_MAX, type Writer } from "../runtime/mod.ts";
import { FRAME_OVERHEAD_BYTES, FrameFlag, writeFrame } from "./frame.ts";
import { isUrgent } from "./registry.ts";
import type { Seal } from "./seal.ts";

/** Bytes after which no more frames are put into one write. */
const WRITE_BYTES = 64 * 1024;

/** A message on its way out. */
export interface Outgoing {
  readonly flags: number;
  readonly type: number;
  readonly correlation: number;
  readonly payload: Uint8Array;
  /** Bytes of the payload already taken. */
  taken: number;
  /** Whether a frame of it was taken: from then on the peer may know of it. */
  started: boolean;
  /** Set to leave it out; without effect once it has started. */
  cancelled: boolean;
  /** Called when the last frame of it was taken. */
  readonly onTaken?: (() => void) | undefined;
}

interface Waiter {
  readonly message: Outgoing;
  readonly size: number;
}

/** The messages that wait to be written, and those that wait for room. */
export class SendQueue {
  readonly #lane: number;
  readonly #bytesMax: number;
  readonly #seal: Seal | undefined;
  #round: Outgoing[] = [];
  #at = 0;
  #nextRound: Outgoing[] = [];
  #urgent: Outgoing[] = [];
  /** Bytes waiting, of messages of one frame [0] and of several [1]. */
  readonly #bytes = [0, 0];
  readonly #waiting: [Set<Waiter>, Set<Waiter>] = [new Set(), new Set()];

  /** Makes a queue whose frames are sealed if there is a seal. */
  constructor(lane: number, bytesMax: number, seal?: Seal | undefined) {
    this.#lane = lane;
    this.#seal = seal;
    // Beyond this the receiver could not hold what is begun at once.
    this.#bytesMax = Math.min(bytesMax, MESSAGE_BYTES_MAX);
  }

  /** Whether nothing waits to be written. */
  get empty(): boolean {
    return this.#at >= this.#round.length && this.#nextRound.length === 0 &&
      this.#urgent.length === 0;
  }

  /** Bytes that wait to be written. */
  get bytes(): number {
    return this.#bytes[0]! + this.#bytes[1]!;
  }

  /** Puts a message in whatever the room: replies, and what ends or keeps. */
  push(message: Outgoing): void {
    this.#bytes[kindOf(message)]! += sizeOf(message);
    if (isUrgent(message.type)) this.#urgent.push(message);
    else this.#nextRound.push(message);
  }

  /** Puts a message in, or returns `false` if there is no room for it. */
  offer(message: Outgoing): boolean {
    const kind = kindOf(message);
    if (
      !isUrgent(message.type) &&
      (this.#waiting[kind]!.size > 0 || !this.#fits(kind, sizeOf(message)))
    ) return false;
    this.push(message);
    return true;
  }

  /**
   * Puts a message in as soon as there is room, in the order of asking.
   *
   * @returns What takes it out again if it still waits for room.
   */
  wait(message: Outgoing): () => void {
    const waiting = this.#waiting[kindOf(message)]!;
    const waiter = { message, size: sizeOf(message) };
    waiting.add(waiter);
    return () => {
      waiting.delete(waiter);
    };
  }

  /** Moves frames into `writer`, as much as one write should carry. */
  take(writer: Writer): void {
    const urgent = this.#urgent.splice(0);
    for (const message of urgent) this.#takeFrame(message, writer);
    while (writer.length < WRITE_BYTES) {
      if (this.#at >= this.#round.length) {
        if (this.#nextRound.length === 0) break;
        this.#round = this.#nextRound;
        this.#nextRound = [];
        this.#at = 0;
      }
      this.#takeFrame(this.#round[this.#at++]!, writer);
    }
    this.#admit();
  }

  /** Forgets everything. */
  clear(): void {
    this.#urgent = [];
    this.#round = [];
    this.#nextRound = [];
    this.#at = 0;
    this.#bytes.fill(0);
    for (const waiting of this.#waiting) waiting.clear();
  }

  #takeFrame(message: Outgoing, writer: Writer): void {
    if (message.cancelled && !message.started) {
      this.#bytes[kindOf(message)]! -= sizeOf(message);
      return;
    }
    message.started = true;
    const { payload } = message;
    const end = Math.min(payload.length, message.taken + CHUNK_BYTES);
    const more = end < payload.length;
    writeFrame(
      writer,
      {
        flags: message.flags | (more ? FrameFlag.MORE : 0),
        type: message.type,
        lane: this.#lane,
        correlation: message.correlation,
      },
      message.taken === 0 && !more
        ? payload
        : payload.subarray(message.taken, end),
      this.#seal,
    );
    message.taken = end;
    if (more) {
      this.#nextRound.push(message);
    } else {
      this.#bytes[kindOf(message)]! -= sizeOf(message);
      message.onTaken?.();
    }
  }

  #admit(): void {
    for (const waiting of this.#waiting) {
      for (const waiter of waiting) {
        if (!this.#fits(kindOf(waiter.message), waiter.size)) break;
        waiting.delete(waiter);
        this.push(waiter.message);
      }
    }
  }

  #fits(kind: number, size: number): boolean {
    const waiting = this.#bytes[kind]!;
    return waiting === 0 || waiting + size <= this.#bytesMax;
  }
}

function sizeOf(message: Outgoing): number {
  return message.payload.length + FRAME_OVERHEAD_BYTES;
}

function kindOf(message: Outgoing): 0 | 1 {
  return message.payload.length > CHUNK_BYTES ? 1 : 0;
}
