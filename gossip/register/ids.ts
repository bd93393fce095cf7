/**
 * The value of the `ids` register: which node key was given for which ticket.
 *
 * Guarantees: a ticket has one node key for ever, and a node key one ticket;
 * {@linkcode assign} is idempotent by its ticket, so that a pledge may be
 * repeated by a joiner, a responsible or a proposer that restarted, without
 * burning a key (agreement §1.3). Fields of newer releases are kept, as in a
 * config.
 *
 * ```text
 * ids := u8 version (>= 1) | varint next
 *        varint count | count x (16 bytes ticket, ascending | u16 node)
 *        fields of newer releases
 * ```
 *
 * @module
 */

import {
  compareBytes,
  EMPTY_BYTES,
  NODE_KEY_MAX,
  NodeKeysExhaustedError,
  Reader,
  toHex,
  Writer,
} from "../../runtime/mod.ts";
import type { Bytes } from "../../runtime/mod.ts";

/** The name of the register that gives node keys. */
export const IDS_REGISTER = "ids";

/** The format written here. */
const VERSION = 1;

/** A ticket's length, in bytes. */
export const TICKET_BYTES = 16;

/** The founder's node key. */
export const FOUNDER = 1;

/** Which node key was given for which ticket. */
export interface Ids {
  /** The format version of who wrote it last, kept when rewritten. */
  readonly version: number;
  /** The next node key to give; beyond the largest one: none is left. */
  readonly next: number;
  /** Node keys by ticket, which is written as 32 hexadecimal digits. */
  readonly tickets: ReadonlyMap<string, number>;
  /** Fields of newer releases, as they came. */
  readonly rest: Uint8Array;
}

/** The first value: the founder is node 1, by its own ticket. */
export function foundIds(ticket: Uint8Array): Ids {
  return {
    version: VERSION,
    next: FOUNDER + 1,
    tickets: new Map([[toHex(ticket), FOUNDER]]),
    rest: EMPTY_BYTES,
  };
}

/** Node keys left out in a new era, beyond the highest one seen. */
const ERA_KEYS = 256;

/**
 * The value of a new era, by one who cannot know which keys were given last: all
 * that follow are far above the highest one seen. Whoever was about to get a key
 * gets another one.
 */
export function idsOfNewEra(highestSeen: number): Ids {
  const next = Math.min(highestSeen + ERA_KEYS, NODE_KEY_MAX) + 1;
  return { version: VERSION, next, tickets: new Map(), rest: EMPTY_BYTES };
}

/** The node key of a ticket, if it was given one. */
export function keyOf(ids: Ids, ticket: Uint8Array): number | undefined {
  return ids.tickets.get(toHex(ticket));
}

/**
 * The value in which the ticket has a node key; the very same one if it has.
 *
 * @throws {NodeKeysExhaustedError} If no node key is left.
 */
export function assign(ids: Ids, ticket: Uint8Array): Ids {
  const name = toHex(ticket);
  if (ids.tickets.has(name)) return ids;
  if (ids.next > NODE_KEY_MAX) throw new NodeKeysExhaustedError();
  return {
    ...ids,
    next: ids.next + 1,
    tickets: new Map(ids.tickets).set(name, ids.next),
  };
}

/**
 * The change of the `ids` register that gives the ticket a node key; throws
 * what {@linkcode assign} throws.
 */
export function assigning(
  ticket: Uint8Array,
): (value: Uint8Array | undefined) => Bytes {
  return (value) => encodeIds(assign(decodeIds(value ?? EMPTY_BYTES), ticket));
}

/** Encodes the value. */
export function encodeIds(ids: Ids): Bytes {
  const writer = new Writer(16 + ids.tickets.size * (TICKET_BYTES + 2));
  writer.u8(ids.version).varint(ids.next).varint(ids.tickets.size);
  const names = [...ids.tickets.keys()].sort();
  for (const name of names) {
    for (let i = 0; i < name.length; i += 2) {
      writer.u8(parseInt(name.slice(i, i + 2), 16));
    }
    writer.u16(ids.tickets.get(name)!);
  }
  return writer.raw(ids.rest).finish();
}

/**
 * Decodes the value, which shares nothing with `bytes` afterwards.
 *
 * @throws {DecodeError} If the bytes are no such value.
 */
export function decodeIds(bytes: Uint8Array): Ids {
  const reader = new Reader(bytes, "the node keys given");
  const version = reader.u8();
  if (version < 1) reader.fail("it has no version");
  const next = reader.count(NODE_KEY_MAX + 1);
  const tickets = new Map<string, number>();
  let before: Uint8Array = EMPTY_BYTES;
  for (let left = reader.count(NODE_KEY_MAX); left > 0; left--) {
    const ticket = reader.raw(TICKET_BYTES);
    if (compareBytes(ticket, before) <= 0) reader.fail("tickets are unsorted");
    const node = reader.u16();
    if (node === 0 || node >= next) {
      reader.fail(`node key ${node} is too large`);
    }
    tickets.set(toHex(ticket), node);
    before = ticket;
  }
  return { version, next, tickets, rest: reader.rest().slice() };
}
