/**
 * What a connection may take of this node, by who is at its other end.
 *
 * Guarantees: what comes in from strangers is bounded over all of them together:
 * so many visits, each of so few requests and so short a life, all of them with
 * one room for what is half received. Who has no node key sends small messages
 * only. The lanes of members have the bounds of `PROTOCOL.md` each.
 *
 * @module
 */

import {
  CHUNK_BYTES,
  FRAME_BYTES_MAX,
  MESSAGE_BYTES_MAX,
} from "../runtime/mod.ts";
import { FRAME_OVERHEAD_BYTES } from "./frame.ts";
import type { Greeting } from "./greeting.ts";
import { GREETING_FRAME_BYTES_MAX } from "./handshake.ts";
import { SEAL_BYTES } from "./seal.ts";

/** Visits that may come in at once: connections that are no lane of a peer. */
export const VISITS_MAX = 256;

/** Requests of one visit that came in that may be worked on at once. */
export const VISIT_REQUESTS_MAX = 16;

/** How long a visit that came in may last, in milliseconds: it is one errand. */
export const VISIT_MS_MAX = 60_000;

/**
 * What one lane may hold of messages not yet whole, in bytes; and what all visits
 * that came in may hold together.
 */
export const HELD_BYTES_MAX = 2 * MESSAGE_BYTES_MAX;

/** Room for bytes that are held, of one connection or of several. */
export class Room {
  readonly #bytesMax: number;
  #taken = 0;

  /** Room for `bytesMax` bytes. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Takes room, or returns `false` if there is not as much. */
  take(bytes: number): boolean {
    if (this.#taken + bytes > this.#bytesMax) return false;
    this.#taken += bytes;
    return true;
  }

  /** Gives back room that was taken. */
  give(bytes: number): void {
    this.#taken -= bytes;
  }
}

/** What one connection may take. */
export interface Bounds {
  /** Largest length of a frame that comes in. */
  readonly frameBytesMax: number;
  /** Requests of the other end that may be worked on at once. */
  readonly requestsMax: number;
  /** Requests that the other end works on at once, as far as is known. */
  readonly askedMax: number;
  /** How long it may last, in milliseconds. */
  readonly lifeMsMax: number;
  /** For messages of which more is to come. */
  readonly room: Room;
}

/**
 * The bounds of a connection.
 *
 * @param requestsMax Those of a lane, as the endpoint was tuned.
 * @param visitRoom What all visits that came in share.
 */
export function boundsOf(
  { remote, dialled, purpose }: Greeting,
  requestsMax: number,
  visitRoom: Room,
): Bounds {
  // Whom this node has dialled itself answers what it asked.
  if (dialled || purpose === "lane") {
    return {
      frameBytesMax: FRAME_BYTES_MAX,
      requestsMax,
      askedMax: purpose === "lane"
        ? requestsMax
        : Math.min(requestsMax, VISIT_REQUESTS_MAX),
      lifeMsMax: Infinity,
      room: new Room(HELD_BYTES_MAX),
    };
  }
  const pledges = remote.node === 0 && remote.role === "member";
  return {
    // What is cut into chunks has no larger frames.
    frameBytesMax: pledges
      ? GREETING_FRAME_BYTES_MAX
      : CHUNK_BYTES + FRAME_OVERHEAD_BYTES + SEAL_BYTES,
    requestsMax: Math.min(requestsMax, VISIT_REQUESTS_MAX),
    askedMax: requestsMax,
    lifeMsMax: VISIT_MS_MAX,
    room: pledges ? new Room(0) : visitRoom,
  };
}
