/**
 * Bytes: comparing, joining, checksums, and a reader and a writer of the
 * integers and strings that all formats are made of.
 *
 * Formats are little-endian. A varint is LEB128: seven bits a byte, lowest
 * first, the high bit set on all but the last; at most 53 bits, the integers
 * that a JavaScript number holds exactly.
 *
 * @module
 */

import { crc32 as zlibCrc32 } from "node:zlib";
import { DecodeError } from "./errors.ts";
import { copyOf, type Slabs } from "./slab.ts";

/** Bytes that own an ordinary, unshared buffer. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** No bytes. */
export const EMPTY_BYTES: Bytes = new Uint8Array(0);

const encoder = new TextEncoder();
// A byte order mark is part of the text: without "ignoreBOM" it would be lost.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", {
  fatal: true,
  ignoreBOM: true,
});
const HEX: string[] = Array.from(
  { length: 256 },
  (_, byte) => byte.toString(16).padStart(2, "0"),
);

/** Compares bytes as unsigned numbers; a prefix comes before what it begins. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = a.length < b.length ? a.length : b.length;
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Whether two byte strings are the same. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** Whether `bytes` begins with `prefix`. */
export function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  if (bytes.length < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) {
    if (bytes[i] !== prefix[i]) return false;
  }
  return true;
}

/** Joins byte strings into a new one. */
export function concatBytes(...parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/**
 * The first byte string after all that begin with `prefix`.
 *
 * @returns The bytes, or `undefined` if there is none: the prefix is empty or
 * all 0xFF.
 */
export function prefixEnd(prefix: Uint8Array): Bytes | undefined {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i] !== 0xff) {
      // Not "slice", which on a Node Buffer shares the caller's memory.
      const end = new Uint8Array(prefix.subarray(0, i + 1));
      end[i]!++;
      return end;
    }
  }
  return undefined;
}

/** The bytes of a text in UTF-8; bytes are passed through. */
export function toBytes(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}

/** The text of UTF-8 bytes; what is not UTF-8 becomes U+FFFD. */
export function toText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Bytes as lower-case hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** 16 bytes as the text of a UUID. */
export function toUuid(bytes: Uint8Array): string {
  const hex = toHex(bytes);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}

/** CRC-32 (IEEE 802.3), continued from `seed`: that of what came before. */
export function crc32(data: Uint8Array, seed = 0): number {
  return zlibCrc32(data, seed);
}

/** Buffers of writers that have finished, for the next ones. */
const spares: Bytes[] = [];
const SPARES_MAX = 8;
const SPARE_BYTES_MIN = 1024;
const SPARE_BYTES_MAX = 65_536;
/** The share of a buffer that is worth to be given away rather than copied. */
const FILLED = 0.9;

/**
 * Writes a format into a growing buffer, which is another writer's once it has
 * finished: to make one takes longer than to write what most messages say.
 */
export class Writer {
  #bytes: Bytes;
  #length = 0;

  /** Makes a writer with room for `capacity` bytes; it grows as needed. */
  constructor(capacity = SPARE_BYTES_MIN) {
    const spare = spares[spares.length - 1];
    const fits = spare !== undefined && spare.length >= capacity;
    if (fits) spares.pop();
    const length = Math.max(capacity, SPARE_BYTES_MIN);
    this.#bytes = fits ? spare : new Uint8Array(length);
  }

  /** The bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** What was written, as a view that the next write may overwrite. */
  view(): Bytes {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * What was written, as bytes of its own. The writer is empty then, and its views
   * are of nothing.
   *
   * @param from Where little that is kept for longer than a moment is cut from.
   */
  finish(from?: Slabs): Bytes {
    const bytes = this.#bytes;
    const length = this.#length;
    const isSpare = bytes.length <= SPARE_BYTES_MAX;
    // What is large, and fills its buffer, is given away as it is.
    const isCopied = isSpare || length < bytes.length * FILLED;
    const written = isCopied ? copyOf(this.view(), from) : this.view();
    if (
      isSpare && bytes.length >= SPARE_BYTES_MIN && spares.length < SPARES_MAX
    ) spares.push(bytes);
    this.#bytes = EMPTY_BYTES;
    this.#length = 0;
    return written;
  }

  /** Forgets what was written, keeping the buffer. */
  clear(): void {
    this.#length = 0;
  }

  /** Writes one byte. */
  u8(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  /** Writes 16 bits. */
  u16(value: number): this {
    this.#reserve(2);
    this.#bytes[this.#length++] = value;
    this.#bytes[this.#length++] = value >>> 8;
    return this;
  }

  /** Writes 32 bits. */
  u32(value: number): this {
    this.#reserve(4);
    putU32(this.#bytes, this.#length, value);
    this.#length += 4;
    return this;
  }

  /**
   * Writes 48 bits.
   *
   * @throws {RangeError} If the value does not fit.
   */
  u48(value: number): this {
    checkInteger(value, 2 ** 48 - 1);
    this.#reserve(6);
    putU32(this.#bytes, this.#length, value);
    this.#length += 4;
    return this.u16(Math.floor(value / 2 ** 32));
  }

  /**
   * Writes a varint: an integer from 0 to 2^53 - 1.
   *
   * @throws {RangeError} If the value is anything else.
   */
  varint(value: number): this {
    checkInteger(value, Number.MAX_SAFE_INTEGER);
    this.#reserve(8);
    while (value >= 0x80) {
      this.#bytes[this.#length++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#bytes[this.#length++] = value;
    return this;
  }

  /** Writes bytes as they are. */
  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Writes the length as a varint, then the bytes. */
  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  /** Writes a text as {@linkcode Writer.bytes} of its UTF-8. */
  text(text: string): this {
    return this.bytes(encoder.encode(text));
  }

  /**
   * Overwrites 32 bits at an offset already written.
   *
   * @throws {RangeError} If they are not written yet.
   */
  patchU32(offset: number, value: number): this {
    if (offset < 0 || offset + 4 > this.#length) {
      throw new RangeError(
        `Cannot overwrite 4 bytes at ${offset}: ${this.#length} are written`,
      );
    }
    putU32(this.#bytes, offset, value);
    return this;
  }

  #reserve(more: number): void {
    const bytes = this.#bytes;
    const needed = this.#length + more;
    if (needed <= bytes.length) return;
    this.#bytes = new Uint8Array(Math.max(needed, bytes.length * 2));
    this.#bytes.set(bytes.subarray(0, this.#length));
  }
}

/** Refuses what would be written as another number than it is. */
function checkInteger(value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(
      `Cannot write an integer: it must be 0 to ${max}, received ${value}`,
    );
  }
}

/** Reads four bytes, little-endian, without the view that costs more. */
export function getU32(source: Uint8Array, at: number): number {
  return (source[at]! | source[at + 1]! << 8 | source[at + 2]! << 16 |
    source[at + 3]! << 24) >>> 0;
}

/** Writes four bytes, little-endian, without the view that costs more. */
export function putU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value;
  target[at + 1] = value >>> 8;
  target[at + 2] = value >>> 16;
  target[at + 3] = value >>> 24;
}

/**
 * Reads a format from bytes, checking every bound.
 *
 * All methods throw {@linkcode DecodeError} when the bytes end too early or an
 * integer is too large; nothing is allocated for a length before it is known to
 * fit into what is there.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  readonly #end: number;
  #at: number;

  /** Reads `bytes`; `what` names the format in errors. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
    this.#at = 0;
    this.#end = bytes.length;
  }

  /** The offset of the next byte. */
  get offset(): number {
    return this.#at;
  }

  /** The bytes not yet read. */
  get remaining(): number {
    return this.#end - this.#at;
  }

  /** Reads one byte. */
  u8(): number {
    return this.#bytes[this.#advance(1)]!;
  }

  /** Reads 16 bits. */
  u16(): number {
    const at = this.#advance(2);
    return this.#bytes[at]! | this.#bytes[at + 1]! << 8;
  }

  /** Reads 32 bits. */
  u32(): number {
    return getU32(this.#bytes, this.#advance(4));
  }

  /** Reads 48 bits. */
  u48(): number {
    const at = this.#advance(6);
    return getU32(this.#bytes, at) +
      (this.#bytes[at + 4]! | this.#bytes[at + 5]! << 8) * 2 ** 32;
  }

  /** Reads a varint. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 0x80;
    }
    throw new DecodeError(this.#what, "an integer has more than 53 bits");
  }

  /** Reads a varint that must not exceed `max`. */
  count(max: number): number {
    const value = this.varint();
    if (value > max) {
      throw new DecodeError(
        this.#what,
        `a count or length is ${value}, at most ${max} is allowed`,
      );
    }
    return value;
  }

  /** Reads `length` bytes as a view into the input. */
  raw(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Reads a length and that many bytes, as a view into the input. */
  bytes(max: number = this.remaining): Uint8Array {
    return this.raw(this.count(max));
  }

  /**
   * Reads a text: a length and that many bytes of UTF-8. Bytes that are not
   * UTF-8 fail: as text they would not be written back as they were.
   */
  text(max: number = this.remaining): string {
    const bytes = this.bytes(max);
    try {
      return strictDecoder.decode(bytes);
    } catch {
      return this.fail("a text is not UTF-8");
    }
  }

  /** Reads all that is left, as a view into the input. */
  rest(): Uint8Array {
    return this.raw(this.remaining);
  }

  /** Fails with a {@linkcode DecodeError} about this format. */
  fail(detail: string): never {
    throw new DecodeError(this.#what, detail);
  }

  #advance(length: number): number {
    const at = this.#at;
    // Also a length that a caller computed and that came out below 0.
    if (!(length >= 0 && length <= this.#end - at)) {
      throw new DecodeError(
        this.#what,
        `it ends after ${this.#end} bytes, ${length} more were expected at ${at}`,
      );
    }
    this.#at = at + length;
    return at;
  }
}
