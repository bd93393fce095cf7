/**
 * Finds the newest entry of a key in a memtable by the key's hash: a read of what
 * was just written costs a line or two of memory in place of a search among all
 * keys.
 *
 * Open addressing with linear probing, at most half full, one slot a key:
 *
 * ```text
 * slot := hash | node, 0 if the slot is free, 1 if it was moved
 * ```
 *
 * What is half full is followed by an array twice as large, to which each key that
 * is added moves some slots: moving all at once would keep the program for
 * milliseconds. Until then a key is sought in both.
 *
 * Guarantees: two keys of one hash have a slot each; who looks a hash up compares
 * the keys. Memory is 16 to 32 bytes a key, half as much again while slots are moved,
 * which memtables do not count.
 *
 * @module
 */

/**
 * Slots that are looked at for a free one, at most. Keys that are drawn at random
 * never need so many; whoever chooses keys to have one hash gets no further.
 */
const PROBES_MAX = 256;

/** Slots at first; a power of two. */
const SLOTS_MIN = 256;

/**
 * Slots that are moved for each key that is added: a power of two, as the number of
 * slots is. From 2 on all are moved when the larger array is half full.
 */
const MOVES = 8;

/** What a slot takes, in bytes. */
const SLOT_BYTES = 8;

/** In place of a node that was moved. No node is 1. */
const MOVED = 1;

/** The newest nodes, by the hashes of their keys. */
export class KeyIndex {
  #slots: Uint32Array = new Uint32Array(2 * SLOTS_MIN);
  #count = 0;
  /** The array before, while there are slots to be moved: all from `#moved` on. */
  #old: Uint32Array | undefined;
  #moved = 0;

  /** Forgets all keys. */
  clear(): void {
    this.#slots.fill(0);
    this.#count = 0;
    this.#old = undefined;
  }

  /** Its memory in bytes. */
  get bytes(): number {
    return this.#slots.byteLength + (this.#old?.byteLength ?? 0);
  }

  /**
   * Adds the node of a key that has none yet.
   *
   * @returns `false` if too many keys want the same slots: then the index is of no
   * use any more.
   */
  add(hash: number, node: number): boolean {
    if (this.#old !== undefined && !this.#move(this.#old)) return false;
    if (++this.#count * 4 > this.#slots.length) {
      this.#old = this.#slots;
      this.#moved = 0;
      this.#slots = new Uint32Array(2 * this.#old.length);
    }
    return this.#put(hash, node);
  }

  /** Another node is now the newest one of a key. */
  replace(hash: number, old: number, node: number): void {
    for (let slots: Uint32Array = this.#slots;; slots = this.#old!) {
      const mask = maskOf(slots);
      let at = hash & mask;
      while (slots[2 * at + 1] !== 0) {
        if (slots[2 * at + 1] === old) {
          slots[2 * at + 1] = node;
          return;
        }
        at = at + 1 & mask;
      }
    }
  }

  /**
   * The newest node of a key with this hash; 0 if there is none.
   *
   * @param skip How many nodes of other keys with this hash come before.
   */
  find(hash: number, skip: number): number {
    let slots: Uint32Array = this.#slots;
    for (;;) {
      const mask = maskOf(slots);
      for (let at = hash & mask;; at = at + 1 & mask) {
        const node = slots[2 * at + 1]!;
        if (node === 0) break;
        if (slots[2 * at] === hash && node !== MOVED && skip-- === 0) {
          return node;
        }
      }
      if (this.#old === undefined || slots === this.#old) return 0;
      slots = this.#old;
    }
  }

  /** How many slots there are. */
  get slots(): number {
    return this.bytes / SLOT_BYTES;
  }

  /** Tells the hash of each key in some of the slots. */
  eachHash(from: number, to: number, visit: (hash: number) => void): void {
    const { length } = this.#slots;
    for (let at = 2 * from; at < 2 * to; at += 2) {
      const slots = at < length ? this.#slots : this.#old!;
      const slot = at < length ? at : at - length;
      if (slots[slot + 1]! > MOVED) visit(slots[slot]!);
    }
  }

  #put(hash: number, node: number): boolean {
    const slots = this.#slots;
    const mask = maskOf(slots);
    let at = hash & mask;
    for (let probes = 0; slots[2 * at + 1] !== 0; at = at + 1 & mask) {
      if (++probes > PROBES_MAX) return false;
    }
    slots[2 * at] = hash;
    slots[2 * at + 1] = node;
    return true;
  }

  /** Moves the next slots. They stay in use there: others are found behind them. */
  #move(old: Uint32Array): boolean {
    const end = this.#moved + 2 * MOVES;
    for (let at = this.#moved; at < end; at += 2) {
      const node = old[at + 1]!;
      if (node === 0) continue;
      if (!this.#put(old[at]!, node)) return false;
      old[at + 1] = MOVED;
    }
    this.#moved = end;
    if (end === old.length) this.#old = undefined;
    return true;
  }
}

/** By what a hash is cut to the number of a slot. */
function maskOf(slots: Uint32Array): number {
  return (slots.length >>> 1) - 1;
}
