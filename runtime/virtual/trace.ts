/**
 * The record of what happened in a virtual world, folded into one hash.
 *
 * Guarantees: two runs that differ in one event, its time or its order differ in
 * the hash (two 32-bit FNV-1a lanes with different primes: equal by accident
 * once in 2^64). Lines are made in one place, so what is printed is what is
 * hashed.
 *
 * @module
 */

/** Folds events into a hash. */
export class Trace {
  readonly #print: ((line: string) => void) | undefined;
  #low = 0x811c9dc5;
  #high = 0x9747b28c;
  #events = 0;

  /** A trace that hands each line to `print`, if there is one. */
  constructor(print?: (line: string) => void) {
    this.#print = print;
  }

  /** Events so far. */
  get events(): number {
    return this.#events;
  }

  /** Adds an event; `detail` is short and says what, not how it looks. */
  add(time: number, node: string, kind: string, detail: string): void {
    this.#events++;
    const line = `${time} ${node} ${kind} ${detail}`;
    let low = this.#low;
    let high = this.#high;
    for (let i = 0; i < line.length; i++) {
      const unit = line.charCodeAt(i);
      low = Math.imul(low ^ unit, 0x01000193);
      high = Math.imul(high ^ unit, 0x5bd1e995);
      high ^= high >>> 15;
    }
    // A line's end counts, so that no two lines pass for one.
    this.#low = Math.imul(low ^ 0x0a, 0x01000193);
    this.#high = Math.imul(high ^ 0x0a, 0x5bd1e995);
    this.#print?.(line);
  }

  /** The hash so far, as 16 hexadecimal digits. */
  hash(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
