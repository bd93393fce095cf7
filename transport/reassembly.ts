/**
 * Puts the messages of one connection together again.
 *
 * Guarantees: holds no more than was sent, at most MESSAGE_BYTES_MAX for one
 * message and what its room has for all; a frame with more to come carries at
 * least CHUNK_BYTES_MIN, so the number of messages is bounded too.
 *
 * @module
 */

import {
  concatBytes,
  MESSAGE_BYTES_MAX,
  ProtocolError,
} from "../runtime/mod.ts";
import { HELD_BYTES_MAX, Room } from "./bounds.ts";
import { type Frame, FrameFlag } from "./frame.ts";

/** Least payload of a frame with more to come, in bytes. */
export const CHUNK_BYTES_MIN = 4096;

interface Begun {
  readonly type: number;
  readonly flags: number;
  readonly chunks: Uint8Array[];
  bytes: number;
}

/** The messages of a connection of which more is to come. */
export class Reassembly {
  readonly #begun = new Map<number, Begun>();
  readonly #room: Room;
  #held = 0;

  /** Takes room for what it holds. */
  constructor(room: Room = new Room(HELD_BYTES_MAX)) {
    this.#room = room;
  }

  /** Bytes held. */
  get held(): number {
    return this.#held;
  }

  /**
   * Takes a frame.
   *
   * @returns The payload, on its own memory, of the message that it completes.
   * @throws {ProtocolError} If a bound is exceeded, or the frame fits nowhere.
   */
  take(frame: Frame): Uint8Array | undefined {
    const more = (frame.flags & FrameFlag.MORE) !== 0;
    const flags = frame.flags & ~FrameFlag.MORE;
    let begun = this.#begun.get(frame.correlation);
    if (begun === undefined) {
      if (!more) return frame.payload.slice();
      begun = { type: frame.type, flags, chunks: [], bytes: 0 };
      this.#begun.set(frame.correlation, begun);
    } else if (begun.type !== frame.type || begun.flags !== flags) {
      throw new ProtocolError("a chunk does not belong to what came before it");
    }
    const { length } = frame.payload;
    if (more && length < CHUNK_BYTES_MIN) {
      throw new ProtocolError(`it sent a chunk of ${length} bytes`);
    }
    if (
      begun.bytes + length > MESSAGE_BYTES_MAX ||
      !this.#room.take(length)
    ) {
      throw new ProtocolError("it sent more than is allowed to be in chunks");
    }
    begun.chunks.push(frame.payload.slice());
    begun.bytes += length;
    this.#held += length;
    if (more) return undefined;
    this.drop(frame.correlation);
    return concatBytes(...begun.chunks);
  }

  /** Forgets what came of a message. */
  drop(correlation: number): void {
    const begun = this.#begun.get(correlation);
    if (begun === undefined) return;
    this.#begun.delete(correlation);
    this.#held -= begun.bytes;
    this.#room.give(begun.bytes);
  }

  /** Forgets everything. */
  clear(): void {
    this.#begun.clear();
    this.#room.give(this.#held);
    this.#held = 0;
  }
}
