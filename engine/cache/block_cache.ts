/**
 * Blocks of tables in memory, within a budget of bytes.
 *
 * CLOCK: a hit only marks the block; what makes room goes through the blocks
 * from the oldest on, gives marked ones another round and drops the others. One
 * scan over cold data thus does not drop what is read often.
 *
 * Guarantees: never more than the budget; a block larger than an eighth of it
 * is not kept at all. Dropped blocks live on as long as a cursor is on them.
 *
 * @module
 */

/** What can be cached. */
export interface CachedBlock {
  /** Its memory, in bytes. */
  readonly byteLength: number;
}

interface Slot {
  block: CachedBlock;
  used: boolean;
}

/** Blocks a table can have; the two largest numbers stand for its filter and index. */
export const BLOCKS_PER_TABLE_MAX: number = 2 ** 21;

/** The share of the budget that one block may take is one in this many. */
const SHARE = 8;

/** A cache of blocks, by table number and number of the block in it. */
export class BlockCache {
  readonly #budget: number;
  readonly #slots: Map<number, Slot> = new Map();
  /** Blocks asked for that were held. */
  hits = 0;
  /** Blocks asked for that were not. */
  misses = 0;
  #bytes = 0;

  /** Makes a cache of at most `budget` bytes. */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /** Memory of the blocks held, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A block, if it is held. */
  get(table: number, block: number): CachedBlock | undefined {
    const slot = this.#slots.get(table * BLOCKS_PER_TABLE_MAX + block);
    if (slot === undefined) {
      this.misses++;
      return undefined;
    }
    this.hits++;
    slot.used = true;
    return slot.block;
  }

  /** Keeps a block that is not held yet. */
  put(table: number, block: number, content: CachedBlock): void {
    if (content.byteLength > this.#budget / SHARE) return;
    const key = table * BLOCKS_PER_TABLE_MAX + block;
    if (this.#slots.has(key)) return;
    this.#slots.set(key, { block: content, used: false });
    this.#bytes += content.byteLength;
    while (this.#bytes > this.#budget) this.#dropOne();
  }

  #dropOne(): void {
    for (const [key, slot] of this.#slots) {
      this.#slots.delete(key);
      if (slot.used) {
        slot.used = false;
        this.#slots.set(key, slot);
      } else {
        this.#bytes -= slot.block.byteLength;
        return;
      }
    }
  }
}
