/**
 * The keys that a draft has read: what is stored of each, and what would stand.
 *
 * Found by a hash of the key: for a `Map` of texts, one would have to be made of each
 * key, at each write of each node.
 *
 * Guarantees: slots come in the order in which they were added. However many keys
 * were made to have one hash, few of them are looked at for one.
 *
 * @module
 */

import { equalBytes, youngArray } from "../../runtime/mod.ts";
import { keyText } from "../keyspace.ts";
import type { Entry } from "./entry.ts";

/** Keys of one hash that are compared with what is sought; the rest have texts. */
const SAME_HASH_MAX = 8;

/**
 * A key that a draft has read: what is stored, and what would stand; dies young
 * (`runtime/young.ts`).
 */
export class Slot {
  readonly key: Uint8Array;
  readonly before: Entry | undefined;
  now: Entry | undefined;
  /** The next one of the same hash. */
  next: Slot | undefined = undefined;

  constructor(key: Uint8Array, before: Entry | undefined) {
    this.key = key;
    this.before = before;
    this.now = before;
  }
}

/** The slots of a draft, by key. */
export class Slots {
  readonly #all: Slot[] = youngArray();
  readonly #ofHash = new Map<number, Slot>();
  #rest: Map<string, Slot> | undefined;

  /** The slot of a key. */
  get(key: Uint8Array): Slot | undefined {
    let slot = this.#ofHash.get(hashOf(key));
    while (slot !== undefined && !equalBytes(slot.key, key)) slot = slot.next;
    return slot ?? this.#rest?.get(keyText(key));
  }

  /** Adds a key that has no slot yet, with what is stored of it. */
  add(key: Uint8Array, before: Entry | undefined): Slot {
    const slot = new Slot(key, before);
    this.#all.push(slot);
    const hash = hashOf(key);
    let last = this.#ofHash.get(hash);
    let count = 1;
    for (; last?.next !== undefined; last = last.next) count++;
    if (last === undefined) this.#ofHash.set(hash, slot);
    else if (count < SAME_HASH_MAX) last.next = slot;
    else (this.#rest ??= new Map()).set(keyText(key), slot);
    return slot;
  }

  /** All of them. */
  [Symbol.iterator](): Iterator<Slot> {
    return this.#all[Symbol.iterator]();
  }
}

/** FNV-1a. As an integer of 32 bits with a sign, which a `Map` takes best. */
function hashOf(key: Uint8Array): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < key.length; i++) {
    hash = Math.imul(hash ^ key[i]!, 0x01000193);
  }
  return hash ^ hash >>> 15;
}
