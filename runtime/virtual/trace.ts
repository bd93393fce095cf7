/**
 * The record of what happened in a virtual world, folded into one hash.
 *
 * Guarantees: two runs that differ in one event, its time or its order differ in
 * the hash (two 32-bit FNV-1a lanes with different primes: equal by accident
 * once in 2^64). Lines are made only where somebody reads them, of the same
 * parts, in the same order, that are hashed.
 *
 * @module
 */

/** A time as two words. */
const clock = new Float64Array(1);
const clockWords = new Int32Array(clock.buffer);

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
    clock[0] = time;
    this.#mix(clockWords[0]!);
    this.#mix(clockWords[1]!);
    this.#mixText(node);
    this.#mixText(kind);
    this.#mixText(detail);
    this.#print?.(`${time} ${node} ${kind} ${detail}`);
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    const high = Math.imul(this.#high ^ word, 0x5bd1e995);
    this.#high = high ^ (high >>> 15);
  }

  #mixText(text: string): void {
    let low = this.#low;
    let high = this.#high;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      low = Math.imul(low ^ unit, 0x01000193);
      high = Math.imul(high ^ unit, 0x5bd1e995);
      high ^= high >>> 15;
    }
    // A text's length counts, so that no two lines pass for one.
    this.#low = Math.imul(low ^ text.length, 0x01000193);
    this.#high = Math.imul(high ^ text.length, 0x5bd1e995);
  }

  /** The hash so far, as 16 hexadecimal digits. */
  hash(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
