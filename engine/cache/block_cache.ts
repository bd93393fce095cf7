/**
 * Blocks of tables in memory, within a budget of bytes.
 *
 * CLOCK: a hit only marks the entry; what makes room goes around all entries,
 * takes the mark from marked ones and drops the others. What serves many blocks,
 * an index or a filter, is only dropped when it was met unmarked several times in
 * a row: each has few hits in a round where a store is much larger than its cache,
 * and chance would give some of them none. Whoever owns an entry has it in a field
 * and finds it without the cache, which tells the owner when it drops one: a hit
 * costs one read and one write.
 *
 * A data block that is missed while there is no room is most often a guest: it stays
 * until the next one comes, which is read into the same memory. Only one miss in so
 * many replaces an entry, since that costs more than reading a block does where most
 * are not asked for again. Which one is drawn: by turns, a block that is asked for at
 * each so many misses might never have its turn, and drawn, it soon does.
 *
 * Memory of dropped entries is used again for the next ones, since the garbage
 * collector is too slow for what a store reads: fresh buffers for each block
 * take several times the budget. An entry that is pinned when it is dropped is
 * used again once it is not, and one that was lent to someone who may name its
 * bytes for ever is left to the garbage collector.
 *
 * Guarantees: never more than the budget, guest and spare memory included, but for
 * entries that were dropped while they were pinned; an entry larger than an eighth of it
 * is not kept at all.
 *
 * @module
 */

/** Who has an entry in a field. */
export interface CacheOwner {
  /** The cache has dropped what the owner has under that number. */
  forget(row: number): void;
}

/** What can be cached. */
export class CacheEntry {
  /** Its memory, in bytes. */
  readonly byteLength: number;
  /** Whether it was used since the cache last came by. */
  used = false;
  /** Whether someone may name its bytes for as long as they like. */
  lent = false;
  /** How many name its bytes until they {@linkcode BlockCache.unpin} it. */
  pins = 0;
  /** Who is told when it is dropped. */
  owner: CacheOwner | undefined = undefined;
  /** Which of the owner's entries it is. */
  row = 0;
  /** Where it is in the cache; -1 if it is not. */
  slot = -1;
  /** How many more times it is met unmarked before it is dropped. */
  chances = 0;
  /** What {@linkcode CacheEntry.chances} are after a hit. */
  readonly #chancesMax: number;

  /**
   * @param byteLength Its memory, in bytes.
   * @param chances How many times it is met unmarked without being dropped.
   */
  constructor(byteLength: number, chances = 0) {
    this.byteLength = byteLength;
    this.#chancesMax = chances;
  }

  /** Gives back all chances. */
  renew(): void {
    this.chances = this.#chancesMax;
  }
}

/** The share of the budget that one entry may take is one in this many. */
const SHARE = 8;

/** Names the bytes of an entry for a while. */
export class Pin {
  readonly #cache: BlockCache;
  readonly #entry: CacheEntry;

  /** Makes a pin that is not put in yet. */
  constructor(cache: BlockCache, entry: CacheEntry) {
    this.#cache = cache;
    this.#entry = entry;
  }

  /** Puts it in. */
  acquire(): void {
    this.#entry.pins++;
  }

  /** Takes it out. */
  release(): void {
    this.#cache.unpin(this.#entry);
  }
}

/** The chances of an entry that leads to many others. */
export const CHANCES_OF_GUIDES = 3;

/** Of the misses without room, one in this many replaces an entry. */
const MISSES_PER_PLACE = 4;

/** The slot of the guest. */
const GUEST_SLOT = 2 ** 30;

/** Dropped entries that wait for one of their size, at most. */
const SPARES_MAX = 32;

/** The most memory that an entry takes, as a multiple of what it needs. */
const SPARE_RATIO = 1.25;

/** A cache of entries. */
export class BlockCache {
  readonly #budget: number;
  /** Data blocks asked for, by their owners' count. */
  lookups = 0;
  /** Those of them that were not held. */
  misses = 0;
  /** In the order in which the hand comes by; a hole for each free slot. */
  readonly #entries: (CacheEntry | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #spares: CacheEntry[] = [];
  #guest: CacheEntry | undefined;
  /** What was drawn last, of 32 bits, never 0; the same numbers for each cache. */
  #drawn = 1;
  #bytes = 0;
  #spareBytes = 0;
  #hand = 0;

  /** Makes a cache of at most `budget` bytes. */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /** Memory of the entries held, the guest and spare ones, in bytes. */
  get bytes(): number {
    return this.#bytes + this.#spareBytes + (this.#guest?.byteLength ?? 0);
  }

  /** Whether an entry of that size is kept at all. */
  takes(byteLength: number): boolean {
    return byteLength <= this.#budget / SHARE;
  }

  /** Whether a block that was missed, and that the cache takes, is to be a guest. */
  isGuest(byteLength: number): boolean {
    if (this.bytes + byteLength <= this.#budget) return false;
    return this.#draw() % MISSES_PER_PLACE !== 0;
  }

  /** As {@linkcode BlockCache.reserve}, for a guest: the guest before goes. */
  reserveGuest(byteLength: number): CacheEntry | undefined {
    const guest = this.#guest;
    if (guest === undefined) return this.reserve(byteLength);
    guest.owner!.forget(guest.row);
    this.remove(guest);
    if (guest.lent || guest.pins > 0) return this.reserve(byteLength);
    if (fits(guest, byteLength)) return guest;
    this.#addSpare(guest);
    return this.reserve(byteLength);
  }

  /** Keeps a guest, right after {@linkcode BlockCache.reserveGuest}. */
  putGuest(entry: CacheEntry, owner: CacheOwner, row: number): void {
    entry.owner = owner;
    entry.row = row;
    entry.used = false;
    entry.slot = GUEST_SLOT;
    this.#guest = entry;
  }

  /**
   * Makes room for an entry that the cache takes, and gives a dropped one, whose
   * bytes nobody names and whose memory is as large or a little larger.
   */
  reserve(byteLength: number): CacheEntry | undefined {
    while (this.bytes + byteLength > this.#budget) {
      const spare = this.#takeSpare(byteLength);
      if (spare !== undefined) return spare;
      if (this.#spares.length >= SPARES_MAX || this.#bytes === 0) {
        this.#spareBytes -= this.#spares.pop()!.byteLength;
      } else this.#dropOne();
    }
    return this.#takeSpare(byteLength);
  }

  /**
   * Keeps an entry for its owner, right after {@linkcode BlockCache.reserve}.
   */
  put(entry: CacheEntry, owner: CacheOwner, row: number): void {
    entry.owner = owner;
    entry.row = row;
    entry.used = false;
    entry.renew();
    // In the place of what was dropped: the hand comes here last.
    const slot = this.#free.pop() ?? this.#entries.length;
    this.#entries[slot] = entry;
    entry.slot = slot;
    this.#bytes += entry.byteLength;
  }

  /** Lets go of an entry, if it is here. */
  remove(entry: CacheEntry): void {
    const { slot } = entry;
    if (slot < 0) return;
    entry.slot = -1;
    entry.owner = undefined;
    if (slot === GUEST_SLOT) {
      this.#guest = undefined;
      return;
    }
    this.#entries[slot] = undefined;
    this.#free.push(slot);
    this.#bytes -= entry.byteLength;
  }

  /** One who named the bytes of an entry, here or dropped, does so no longer. */
  unpin(entry: CacheEntry): void {
    if (--entry.pins > 0 || entry.slot >= 0 || entry.lent) return;
    const { byteLength } = entry;
    if (
      this.#spares.length < SPARES_MAX && this.takes(byteLength) &&
      this.bytes + byteLength <= this.#budget
    ) this.#addSpare(entry);
  }

  /**
   * A number of 32 bits. Taken at even steps they go in turns no more than when all
   * are taken, as those of a linear congruence do.
   *
   * Marsaglia, Xorshift RNGs, Journal of Statistical Software 8 (14), 2003.
   */
  #draw(): number {
    let drawn = this.#drawn;
    drawn ^= drawn << 13;
    drawn ^= drawn >>> 17;
    drawn ^= drawn << 5;
    this.#drawn = drawn;
    return drawn >>> 0;
  }

  #addSpare(entry: CacheEntry): void {
    this.#spares.push(entry);
    this.#spareBytes += entry.byteLength;
  }

  #takeSpare(byteLength: number): CacheEntry | undefined {
    const spares = this.#spares;
    for (let i = 0; i < spares.length; i++) {
      const spare = spares[i]!;
      if (!fits(spare, byteLength)) continue;
      spares[i] = spares[spares.length - 1]!;
      spares.pop();
      this.#spareBytes -= spare.byteLength;
      return spare;
    }
    return undefined;
  }

  #dropOne(): void {
    for (;;) {
      if (this.#hand >= this.#entries.length) this.#hand = 0;
      const entry = this.#entries[this.#hand++];
      if (entry === undefined) continue;
      if (entry.used) {
        entry.used = false;
        entry.renew();
        continue;
      }
      if (entry.chances > 0) {
        entry.chances--;
        continue;
      }
      entry.owner!.forget(entry.row);
      this.remove(entry);
      if (!entry.lent && entry.pins === 0) this.#addSpare(entry);
      return;
    }
  }
}

/** Whether an entry's memory is as large as is needed, or a little larger. */
function fits(entry: CacheEntry, byteLength: number): boolean {
  return entry.byteLength >= byteLength &&
    entry.byteLength <= byteLength * SPARE_RATIO;
}
