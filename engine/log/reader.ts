/**
 * Reads the frames of a log back, and tells a torn tail from damage.
 *
 * Guarantees: every frame given out is one that was written to this log at
 * this place. At the first bad frame, at `p`, the rest of the log is searched
 * on the grid for a valid frame that says more than `p` bytes were synced: then
 * what is bad had been on the device and was damaged, a
 * {@linkcode CorruptionError}. Otherwise the write was torn by a crash before
 * anyone was told of it, and the log ends at `p`.
 *
 * @module
 */

import { CorruptionError, type RuntimeFile } from "../../runtime/mod.ts";
import {
  extendChain,
  FRAME_GRID_BYTES,
  FRAME_HEADER_BYTES,
  frameChecksum,
  FrameKind,
  frameLength,
} from "./frame.ts";

/** What is read from the file at a time, in bytes. */
const WINDOW_BYTES = 256 * 1024;

/**
 * Bytes checksummed while searching behind a bad frame, as a multiple of the
 * log's length: a log made of fake frame headers must not keep us for ever.
 */
const SEARCH_FACTOR_MAX = 16;

/** A frame that was read. */
export interface Frame {
  /** Where it starts. */
  offset: number;
  /** One of {@linkcode FrameKind}. */
  kind: number;
  /** Batches in the payload. */
  batches: number;
  /** Bytes of the log that were synced when it was written. */
  syncedTo: number;
  /** The payload: a view that the next `next()` may overwrite. */
  payload: Uint8Array;
  /** The checksum. */
  crc: number;
  /** Where the next frame starts. */
  end: number;
}

/** The reader of one log. */
export class LogReader {
  readonly #file: RuntimeFile;
  readonly #path: string;
  readonly #id: number;
  #size: number;
  readonly #window: Uint8Array;
  #windowAt = 0;
  #windowLength = 0;
  #end = 0;
  /** Where the last byte that is not 0 ends, once a frame was missing. */
  #dataEnd = 0;
  #chain = 0;
  #finished = false;

  constructor(file: RuntimeFile, path: string, id: number) {
    this.#file = file;
    this.#path = path;
    this.#id = id;
    this.#size = file.size();
    this.#window = new Uint8Array(Math.min(WINDOW_BYTES, this.#size));
  }

  /** The end of the valid frames read so far, in bytes. */
  get end(): number {
    return this.#end;
  }

  /** The chain of the frames read so far. */
  get chain(): number {
    return this.#chain;
  }

  /** Bytes behind the last valid frame: a torn write, or room. */
  get restBytes(): number {
    return this.#size - this.#end;
  }

  /** Those of them up to the last that is not 0, once `next` gave `undefined`. */
  get tornBytes(): number {
    return Math.max(0, this.#dataEnd - this.#end);
  }

  /**
   * The next frame, or `undefined` at the end or at a torn tail.
   *
   * @throws {CorruptionError} If synced bytes are damaged.
   */
  next(): Frame | undefined {
    if (this.#finished || this.#end === this.#size) return undefined;
    const frame = this.#frameAt(this.#end) ?? this.#missedFrame();
    if (frame === undefined) return undefined;
    this.#end = frame.end;
    this.#chain = extendChain(this.#chain, frame.crc);
    return frame;
  }

  /**
   * After damage, for who wants what is left: goes on at the next valid frame.
   *
   * @returns `false` if none was found.
   */
  resume(): boolean {
    let budget = this.#size * SEARCH_FACTOR_MAX;
    for (
      let at = this.#end + FRAME_GRID_BYTES;
      at + FRAME_HEADER_BYTES <= this.#size;
      at += FRAME_GRID_BYTES
    ) {
      const length = this.#plausibleLength(at);
      if (length === 0 || this.#syncedToAt(at) > at) continue;
      budget -= length;
      if (budget < 0) return false;
      if (this.#frameAt(at) === undefined) continue;
      this.#end = at;
      this.#finished = false;
      return true;
    }
    return false;
  }

  /**
   * Where a frame is missing: the end of the log, unless another process that
   * writes into its room has got on since the place was read.
   */
  #missedFrame(): Frame | undefined {
    // One that is closed meanwhile has its room cut.
    this.#size = Math.max(this.#end, Math.min(this.#size, this.#file.size()));
    const frame = this.#lookAgain();
    if (frame !== undefined) return frame;
    this.#dataEnd = this.#findDataEnd();
    if (this.#isDamaged(this.#end)) {
      const frame = this.#lookAgain();
      if (frame !== undefined) return frame;
      throw new CorruptionError(
        this.#path,
        this.#end,
        "the frame there is damaged, frames behind it are not",
      );
    }
    this.#finished = true;
    return undefined;
  }

  #lookAgain(): Frame | undefined {
    this.#windowLength = 0;
    return this.#frameAt(this.#end);
  }

  #frameAt(offset: number): Frame | undefined {
    const length = this.#plausibleLength(offset);
    if (length === 0) return undefined;
    const bytes = this.#bytes(offset, length);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const crc = view.getUint32(0, true);
    if (crc !== frameChecksum(bytes, offset)) return undefined;
    const payloadLength = view.getUint32(4, true);
    return {
      offset,
      kind: view.getUint8(12),
      batches: view.getUint16(14, true),
      syncedTo: syncedToOf(view),
      payload: bytes.subarray(
        FRAME_HEADER_BYTES,
        FRAME_HEADER_BYTES + payloadLength,
      ),
      crc,
      end: offset + length,
    };
  }

  /** The length of what may be a frame, or 0 if it cannot be one. */
  #plausibleLength(offset: number): number {
    if (offset + FRAME_HEADER_BYTES > this.#size) return 0;
    const bytes = this.#bytes(offset, FRAME_HEADER_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (view.getUint32(8, true) !== this.#id) return 0;
    const kind = view.getUint8(12);
    if (kind < FrameKind.data || kind > FrameKind.current) return 0;
    const length = frameLength(view.getUint32(4, true));
    return length <= this.#size - offset ? length : 0;
  }

  /** How much of the log was synced, as the frame there says. */
  #syncedToAt(offset: number): number {
    const bytes = this.#bytes(offset, FRAME_HEADER_BYTES);
    return syncedToOf(
      new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
    );
  }

  #findDataEnd(): number {
    for (let end = this.#size; end > this.#end;) {
      const start = Math.max(this.#end, end - WINDOW_BYTES);
      const bytes = this.#bytes(start, end - start);
      for (let at = bytes.length - 1; at >= 0; at--) {
        if (bytes[at] !== 0) return start + at + 1;
      }
      end = start;
    }
    return this.#end;
  }

  /** Whether a frame behind a bad one says that more than that was synced. */
  #isDamaged(bad: number): boolean {
    let budget = this.#size * SEARCH_FACTOR_MAX;
    for (
      let at = bad + FRAME_GRID_BYTES;
      at < this.#dataEnd && at + FRAME_HEADER_BYTES <= this.#size;
      at += FRAME_GRID_BYTES
    ) {
      const length = this.#plausibleLength(at);
      if (length === 0) continue;
      // Only what says so is checked: a torn value may be full of what looks
      // like frames, and must not use up the budget.
      const syncedTo = this.#syncedToAt(at);
      if (syncedTo <= bad || syncedTo > at) continue;
      budget -= length;
      if (budget < 0 || this.#frameAt(at) !== undefined) return true;
    }
    return false;
  }

  #bytes(offset: number, length: number): Uint8Array {
    const at = offset - this.#windowAt;
    if (at >= 0 && at + length <= this.#windowLength) {
      return this.#window.subarray(at, at + length);
    }
    if (length > this.#window.length) {
      const bytes = new Uint8Array(length);
      this.#read(bytes, offset);
      return bytes;
    }
    const window = this.#window.subarray(
      0,
      Math.min(this.#window.length, this.#size - offset),
    );
    this.#windowLength = 0;
    this.#read(window, offset);
    this.#windowAt = offset;
    this.#windowLength = window.length;
    return window.subarray(0, length);
  }

  #read(buffer: Uint8Array, offset: number): void {
    const read = this.#file.readAt(buffer, offset);
    if (read === buffer.length) return;
    if (this.#file.size() < offset + buffer.length) {
      // Whoever writes has closed the log, and cut its room, while it is read.
      buffer.fill(0, read);
    } else {
      throw new CorruptionError(
        this.#path,
        offset + read,
        "the file ends too early",
      );
    }
  }
}

function syncedToOf(header: DataView): number {
  return header.getUint32(16, true) + header.getUint16(20, true) * 2 ** 32;
}
