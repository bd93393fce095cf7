/**
 * Where entries stand among those of a memtable: the abbreviations of their keys,
 * in order.
 *
 * Two levels: blocks of a few abbreviations, each with its node, and the first
 * abbreviations of all blocks. A search halves numbers that lie side by side, twice.
 * A block that is full is split, which moves all first abbreviations behind it: the
 * more entries, the more.
 *
 * ```text
 * firsts:  | first abbreviation of block | ...      in order
 * blocks:  | number of that block        | ...
 * block := abbreviation[BLOCK_ENTRIES] and node[BLOCK_ENTRIES], some in use
 * ```
 *
 * Guarantees: nodes are in the order in which they were found to stand. Whoever
 * searches tells how keys compare whose abbreviations are equal.
 *
 * @module
 */

/** Entries in a block at most. */
const BLOCK_ENTRIES = 32;
/** Of a block that is split so many stay, where keys come in no order. */
const STAY = BLOCK_ENTRIES / 2;
/** Blocks that there is room for at first. */
const BLOCKS_MIN = 16;

/** What an entry takes in a block: an abbreviation and a node, in bytes. */
const ENTRY_BYTES = 8 + 4;
/** What a block takes: its entries, their number, the last place and its first. */
const BLOCK_BYTES = BLOCK_ENTRIES * ENTRY_BYTES + 1 + 1 + 8 + 4;

/** Tells how a node of the abbreviation that is sought compares with what is sought. */
export interface Ties {
  /** Below 0 if the node comes before it. */
  orderOf(node: number): number;
}

/** The abbreviations of keys, in order, and a place among them. */
export class KeyOrder {
  #abbreviations = new Float64Array(BLOCKS_MIN * BLOCK_ENTRIES);
  #nodes = new Uint32Array(BLOCKS_MIN * BLOCK_ENTRIES);
  /** How many entries a block has, by its number. */
  #counts = new Uint8Array(BLOCKS_MIN);
  /** Where in a block the last one went. */
  #lasts = new Uint8Array(BLOCKS_MIN);
  #firsts = new Float64Array(BLOCKS_MIN);
  #blocks = new Uint32Array(BLOCKS_MIN);
  #used = 0;
  /** The place: a position in `#blocks`, and one in that block. */
  #block = 0;
  #at = 0;

  /** Its memory in bytes. */
  get bytes(): number {
    return this.#blocks.length * BLOCK_BYTES;
  }

  /** What of that has entries, in bytes: whole blocks, but of few what is in one. */
  get usedBytes(): number {
    return this.#used > 1
      ? this.#used * BLOCK_BYTES
      : this.#used * this.#counts[0]! * ENTRY_BYTES;
  }

  /** Forgets all entries. */
  clear(): void {
    this.#used = 0;
  }

  /** Puts an entry behind all others. */
  append(abbreviation: number, node: number): void {
    let block = this.#used === 0 ? 0 : this.#blocks[this.#used - 1]!;
    let count = this.#counts[block]!;
    if (this.#used === 0 || count === BLOCK_ENTRIES) {
      block = this.#addBlock(this.#used);
      this.#firsts[this.#used - 1] = abbreviation;
      count = 0;
    }
    const at = block * BLOCK_ENTRIES + count;
    this.#abbreviations[at] = abbreviation;
    this.#nodes[at] = node;
    this.#counts[block] = count + 1;
    this.#lasts[block] = count;
  }

  /** Finds the place behind all entries that come before what is sought. */
  seek(abbreviation: number, ties: Ties): void {
    const nodes = this.#nodes;
    const firsts = this.#firsts;
    const blocks = this.#blocks;
    let low = 0;
    let high = this.#used;
    while (low < high) {
      const middle = (low + high) >>> 1;
      let order = firsts[middle]! - abbreviation;
      if (order === 0) {
        order = ties.orderOf(nodes[blocks[middle]! * BLOCK_ENTRIES]!);
      }
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    this.#at = 0;
    this.#block = 0;
    if (low === 0) return;
    this.#block = low - 1;
    const block = blocks[low - 1]!;
    const abbreviations = this.#abbreviations;
    const start = block * BLOCK_ENTRIES;
    // The first one is known to come before.
    low = start + 1;
    high = start + this.#counts[block]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      let order = abbreviations[middle]! - abbreviation;
      if (order === 0) order = ties.orderOf(nodes[middle]!);
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    this.#at = low - start;
  }

  /** The node before the place; 0 if there is none. */
  get before(): number {
    if (this.#at === 0) return 0;
    return this
      .#nodes[this.#blocks[this.#block]! * BLOCK_ENTRIES + this.#at - 1]!;
  }

  /** The abbreviation behind the place; `NaN` if there is none. */
  get following(): number {
    if (this.#used === 0) return NaN;
    const block = this.#blocks[this.#block]!;
    if (this.#at < this.#counts[block]!) {
      return this.#abbreviations[block * BLOCK_ENTRIES + this.#at]!;
    }
    return this.#block + 1 < this.#used ? this.#firsts[this.#block + 1]! : NaN;
  }

  /** Puts an entry at the place; there is none any more then. */
  insert(abbreviation: number, node: number): void {
    if (this.#used === 0) return this.append(abbreviation, node);
    let block = this.#blocks[this.#block]!;
    if (this.#counts[block] === BLOCK_ENTRIES) block = this.#split(block);
    const abbreviations = this.#abbreviations;
    const nodes = this.#nodes;
    const start = block * BLOCK_ENTRIES;
    const at = start + this.#at;
    const count = this.#counts[block]!++;
    for (let to = start + count; to > at; to--) {
      abbreviations[to] = abbreviations[to - 1]!;
      nodes[to] = nodes[to - 1]!;
    }
    abbreviations[at] = abbreviation;
    nodes[at] = node;
    this.#lasts[block] = this.#at;
    if (this.#at === 0) this.#firsts[this.#block] = abbreviation;
  }

  /**
   * Gives entries behind the place other abbreviations, in the same order, until one
   * is `undefined`.
   */
  rename(abbreviationOf: (node: number) => number | undefined): void {
    let at = this.#at;
    for (let i = this.#block; i < this.#used; i++, at = 0) {
      const block = this.#blocks[i]!;
      for (; at < this.#counts[block]!; at++) {
        const entry = block * BLOCK_ENTRIES + at;
        const abbreviation = abbreviationOf(this.#nodes[entry]!);
        if (abbreviation === undefined) return;
        this.#abbreviations[entry] = abbreviation;
        if (at === 0) this.#firsts[i] = abbreviation;
      }
    }
  }

  /** Makes room at the place, whose block is full; gives the block where it is. */
  #split(full: number): number {
    const added = this.#addBlock(this.#block + 1);
    // Where keys come in order the blocks that they leave behind are full.
    const isRun = this.#at === this.#lasts[full]! + 1;
    // A run goes on in the other block: what comes to this one's end is none.
    this.#lasts[full] = BLOCK_ENTRIES;
    const stay = isRun ? this.#at : STAY;
    const from = full * BLOCK_ENTRIES;
    const to = added * BLOCK_ENTRIES;
    this.#abbreviations.copyWithin(to, from + stay, from + BLOCK_ENTRIES);
    this.#nodes.copyWithin(to, from + stay, from + BLOCK_ENTRIES);
    this.#counts[full] = stay;
    this.#counts[added] = BLOCK_ENTRIES - stay;
    this.#firsts[this.#block + 1] = this.#abbreviations[to]!;
    if (this.#at <= stay && stay < BLOCK_ENTRIES) return full;
    this.#block++;
    this.#at -= stay;
    return added;
  }

  /** Makes an empty block at a position among the others; gives its number. */
  #addBlock(position: number): number {
    const added = this.#used++;
    if (added === this.#blocks.length) this.#grow();
    const next = position + 1;
    this.#firsts.copyWithin(next, position, added);
    this.#blocks.copyWithin(next, position, added);
    this.#blocks[position] = added;
    this.#counts[added] = 0;
    this.#lasts[added] = 0;
    return added;
  }

  #grow(): void {
    const blocks = this.#blocks.length * 2;
    const entries = blocks * BLOCK_ENTRIES;
    this.#abbreviations = grown(new Float64Array(entries), this.#abbreviations);
    this.#nodes = grown(new Uint32Array(entries), this.#nodes);
    this.#counts = grown(new Uint8Array(blocks), this.#counts);
    this.#lasts = grown(new Uint8Array(blocks), this.#lasts);
    this.#firsts = grown(new Float64Array(blocks), this.#firsts);
    this.#blocks = grown(new Uint32Array(blocks), this.#blocks);
  }
}

function grown<T extends Float64Array | Uint32Array | Uint8Array>(
  larger: T,
  smaller: T,
): T {
  larger.set(smaller);
  return larger;
}
