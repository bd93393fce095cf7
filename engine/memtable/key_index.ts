/**
 * Finds the newest entry of a key in a memtable by the key's hash: a read of what
 * was just written costs a line or two of memory in place of a search among all
 * keys.
 *
 * Open addressing with linear probing, at most half full, one slot a key:
 *
 * ```text
 * slot := hash | node, 0 if the slot is free
 * ```
 *
 * Guarantees: two keys of one hash have a slot each; who looks a hash up compares
 * the keys. Memory is 16 to 32 bytes a key, which memtables do not count.
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

/** The newest nodes, by the hashes of their keys. */
export class KeyIndex {
  #slots = new Uint32Array(2 * SLOTS_MIN);
  #mask = SLOTS_MIN - 1;
  #count = 0;

  /** Forgets all keys. */
  clear(): void {
    this.#slots.fill(0);
    this.#count = 0;
  }

  /** Its memory in bytes. */
  get bytes(): number {
    return this.#slots.byteLength;
  }

  /**
   * Adds the node of a key that has none yet.
   *
   * @returns `false` if too many keys want the same slots: then the index is of no
   * use any more.
   */
  add(hash: number, node: number): boolean {
    if (++this.#count * 2 > this.#mask + 1 && !this.#grow()) return false;
    return this.#put(hash, node);
  }

  /** Another node is now the newest one of a key. */
  replace(hash: number, old: number, node: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let at = hash & mask;
    while (slots[2 * at + 1] !== old) at = at + 1 & mask;
    slots[2 * at + 1] = node;
  }

  /**
   * The newest node of a key with this hash; 0 if there is none.
   *
   * @param skip How many nodes of other keys with this hash come before.
   */
  find(hash: number, skip: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    for (let at = hash & mask;; at = at + 1 & mask) {
      const node = slots[2 * at + 1]!;
      if (node === 0) return 0;
      if (slots[2 * at] === hash && skip-- === 0) return node;
    }
  }

  /** How many slots there are. */
  get slots(): number {
    return this.#mask + 1;
  }

  /** Tells the hash of each key in some of the slots. */
  eachHash(from: number, to: number, visit: (hash: number) => void): void {
    const slots = this.#slots;
    for (let at = from; at < to; at++) {
      if (slots[2 * at + 1] !== 0) visit(slots[2 * at]!);
    }
  }

  #put(hash: number, node: number): boolean {
    const slots = this.#slots;
    const mask = this.#mask;
    let at = hash & mask;
    for (let probes = 0; slots[2 * at + 1] !== 0; at = at + 1 & mask) {
      if (++probes > PROBES_MAX) return false;
    }
    slots[2 * at] = hash;
    slots[2 * at + 1] = node;
    return true;
  }

  #grow(): boolean {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    this.#mask = old.length - 1;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] !== 0 && !this.#put(old[at]!, old[at + 1]!)) return false;
    }
    return true;
  }
}
