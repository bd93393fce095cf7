/**
 * Remembers where in the tables the newest entries of keys are that were read
 * lately, so that reading them again asks no filter and searches no index and no
 * block: on a machine whose memory is slow, most of a read is waiting for these.
 *
 * ```
 * set   := 4 × place                      one line of memory of the processor
 * place := u16 row | u16 high half of the key's hash | u16 block | u16 table
 * ```
 *
 * A place is a guess: whoever takes it compares the key there. What must not be
 * a guess is that no newer entry of the key is in any table. Assumes therefore that
 * it is told of every table that goes, whose places then are none, and before a table
 * comes of every key in it, unless all that is in it was in those that go; and that
 * from then on nobody has it remember where such a key was before.
 *
 * @module
 */

const WAYS = 4;
const PLACE_WORDS = 2;
const SET_WORDS = WAYS * PLACE_WORDS;
const WORD_BYTES = 4;
/** The numbers of tables, blocks and rows that a place can say are below. */
const PLACE_LIMIT = 2 ** 16;

/** Where an entry is in a table. */
export interface Place {
  /** The data block. */
  block: number;
  /** The row in it. */
  row: number;
}

/** Places of keys in tables of some kind, by the hash of the key. */
export class PlaceCache<Table extends object> {
  /** Its memory, in bytes, from the first place on. */
  readonly bytes: number;
  readonly #setMask: number;
  #words = new Uint32Array(0);
  /** Tables by their number; none has 0, which is what an empty place says. */
  #tables: (Table | undefined)[] = [undefined];
  readonly #numbers = new Map<Table, number>();
  #turn = 0;

  /** Makes a cache of at most `budget` bytes. */
  constructor(budget: number) {
    const sets = Math.floor(budget / (SET_WORDS * WORD_BYTES));
    const kept = sets > 0 ? 2 ** Math.floor(Math.log2(sets)) : 0;
    this.bytes = kept * SET_WORDS * WORD_BYTES;
    this.#setMask = kept - 1;
  }

  /** Whether no place was ever remembered. */
  get isEmpty(): boolean {
    return this.#words.length === 0;
  }

  /** Forgets all places. */
  clear(): void {
    this.#words.fill(0);
    this.#tables = [undefined];
    this.#numbers.clear();
  }

  /** Forgets the places of keys with that hash. */
  forget(hash: number): void {
    if (this.isEmpty) return;
    const words = this.#words;
    const set = (hash & this.#setMask) * SET_WORDS;
    for (let at = set; at < set + SET_WORDS; at += PLACE_WORDS) {
      if ((words[at]! ^ hash) >>> 16 === 0) words[at] = words[at + 1] = 0;
    }
  }

  /** Forgets the places in a table. */
  drop(table: Table): void {
    const number = this.#numbers.get(table);
    if (number === undefined) return;
    this.#tables[number] = undefined;
    this.#numbers.delete(table);
  }

  /** The first place that may be that of a key with that hash; -1: none. */
  first(hash: number): number {
    return this.#from((hash & this.#setMask) * SET_WORDS, hash);
  }

  /** The next one behind a place; -1 if there is none. */
  next(at: number, hash: number): number {
    at += PLACE_WORDS;
    return at % SET_WORDS === 0 ? -1 : this.#from(at, hash);
  }

  /** A place's table; `undefined` if it has gone. */
  tableOf(at: number): Table | undefined {
    return this.#tables[this.#words[at + 1]! >>> 16];
  }

  /** The number of a place's block. */
  blockOf(at: number): number {
    return this.#words[at + 1]! & 0xffff;
  }

  /** The number of a place's row. */
  rowOf(at: number): number {
    return this.#words[at]! & 0xffff;
  }

  /** Remembers the place of a key that was not found here. */
  remember(hash: number, table: Table, { block, row }: Place): void {
    if (this.bytes === 0 || block >= PLACE_LIMIT || row >= PLACE_LIMIT) return;
    if (this.isEmpty) {
      this.#words = new Uint32Array(this.bytes / WORD_BYTES);
    }
    const number = this.#numberOf(table);
    // In turn: which of a set is used least would cost more than it is worth.
    this.#turn = (this.#turn + PLACE_WORDS) % SET_WORDS;
    const at = (hash & this.#setMask) * SET_WORDS + this.#turn;
    this.#words[at] = (hash & 0xffff_0000) | row;
    this.#words[at + 1] = number << 16 | block;
  }

  #numberOf(table: Table): number {
    const known = this.#numbers.get(table);
    if (known !== undefined) return known;
    // A number is not given again: places of a table that has gone may be there.
    if (this.#tables.length === PLACE_LIMIT) this.clear();
    const number = this.#tables.push(table) - 1;
    this.#numbers.set(table, number);
    return number;
  }

  #from(at: number, hash: number): number {
    const words = this.#words;
    if (words.length === 0) return -1;
    for (const end = (at | SET_WORDS - 1) + 1; at < end; at += PLACE_WORDS) {
      if ((words[at]! ^ hash) >>> 16 === 0) return at;
    }
    return -1;
  }
}
