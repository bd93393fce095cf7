/**
 * Frames: what the bytes between two nodes are cut into.
 *
 * ```text
 * frame  = u32 length              bytes after this field: 12 to FRAME_BYTES_MAX
 *          u8 version (1)
 *          u8 flags                1 response, 2 error, 8 more, 16 one-way
 *          u8 type                 see registry.ts
 *          u8 lane                 0 control, 1 bulk; that of the connection
 *          u32 correlation         odd: the dialler began it; even: the acceptor
 *          payload
 *          u32 crc                 CRC-32 of header and payload
 *          raw seal (16)           once the nodes have proved a secret: seal.ts
 * ```
 *
 * Guarantees: a length is checked before anything is allocated for it, the
 * buffer grows only as bytes arrive (never beyond twice of what came, above its
 * first 16 KiB), and a frame is given out only with a right checksum. Anything
 * else is a {@linkcode ProtocolError}, after which the decoder is of no use.
 *
 * Assumes: the payload of a frame is a view that lives until the next call of
 * {@linkcode FrameDecoder.space}.
 *
 * @module
 */

import {
  type ByteStream,
  crc32,
  FRAME_BYTES_MAX,
  ProtocolError,
  type Writer,
} from "../runtime/mod.ts";
import { type Seal, SEAL_BYTES } from "./seal.ts";
import type { Lane } from "./types.ts";

/** The version of the frame's format. */
export const FRAME_VERSION = 1;

/** Bytes of a frame before its payload: length and header. */
export const FRAME_HEAD_BYTES = 12;

/** Bytes of a frame beside its payload, and its seal if it has one. */
export const FRAME_OVERHEAD_BYTES = 16;

const LENGTH_BYTES = 4;
const CRC_BYTES = 4;
const LENGTH_MIN = FRAME_OVERHEAD_BYTES - LENGTH_BYTES;
const BUFFER_BYTES_FIRST = 16 * 1024;

/** The bits of a frame's flags. Append only. */
export const FrameFlag = {
  RESPONSE: 1,
  ERROR: 2,
  COMPRESSED: 4, // reserved
  MORE: 8,
  ONE_WAY: 16,
} as const;

const FLAGS_KNOWN = FrameFlag.RESPONSE | FrameFlag.ERROR | FrameFlag.MORE |
  FrameFlag.ONE_WAY;

/** A frame as it came. */
export interface Frame {
  /** The bits of {@linkcode FrameFlag}. */
  readonly flags: number;
  /** The message type; any byte. */
  readonly type: number;
  /** The number of its lane. */
  readonly lane: number;
  /** Which exchange it belongs to. */
  readonly correlation: number;
  /** A view into the decoder's buffer. */
  readonly payload: Uint8Array;
}

/** The number of a lane on the wire. */
export function laneNumber(lane: Lane): number {
  return lane === "control" ? 0 : 1;
}

/** The header of a frame to be written. */
export type FrameHead = Omit<Frame, "payload">;

/** Appends a frame to what `writer` holds, sealed if there is a seal. */
export function writeFrame(
  writer: Writer,
  head: FrameHead,
  payload: Uint8Array,
  seal?: Seal | undefined,
): void {
  const sealBytes = seal === undefined ? 0 : SEAL_BYTES;
  writer.u32(LENGTH_MIN + payload.length + sealBytes);
  const start = writer.length;
  writer.u8(FRAME_VERSION).u8(head.flags).u8(head.type).u8(head.lane)
    .u32(head.correlation).raw(payload);
  writer.u32(crc32(writer.view().subarray(start)));
  if (seal !== undefined) writer.raw(seal.make(writer.view().subarray(start)));
}

/** Finds the frames in bytes that come in pieces of any size. */
export class FrameDecoder {
  #buffer = new Uint8Array(BUFFER_BYTES_FIRST);
  #view = new DataView(this.#buffer.buffer);
  #start = 0;
  #end = 0;
  #seal: Seal | undefined;
  /** Which of the seal's secrets the last frame was made with. */
  #secret = -1;

  /** From now on only frames pass that have their seal. */
  demand(seal: Seal): void {
    this.#seal = seal;
  }

  /** The number of the secret with which the last frame was sealed. */
  get secret(): number {
    return this.#secret;
  }

  /** Bytes of memory held, for tests and metrics. */
  get capacity(): number {
    return this.#buffer.length;
  }

  /** Whether a part of a frame is there, or a frame that was not asked for. */
  get partial(): boolean {
    return this.#end > this.#start;
  }

  /** Gives back what a large frame took. Ends the life of the last payload. */
  shrink(): void {
    const held = this.#end - this.#start;
    let length = BUFFER_BYTES_FIRST;
    while (length < held) length *= 2;
    if (length >= this.#buffer.length) return;
    const shrunk = new Uint8Array(length);
    shrunk.set(this.#buffer.subarray(this.#start, this.#end));
    this.#buffer = shrunk;
    this.#view = new DataView(shrunk.buffer);
    this.#start = 0;
    this.#end = held;
  }

  /** Where the next bytes go; at least one. Ends the life of the last payload. */
  space(): Uint8Array {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    if (this.#end === this.#buffer.length) {
      if (this.#start > 0) {
        this.#buffer.copyWithin(0, this.#start, this.#end);
      } else {
        const grown = new Uint8Array(this.#buffer.length * 2);
        grown.set(this.#buffer);
        this.#buffer = grown;
        this.#view = new DataView(grown.buffer);
      }
      this.#end -= this.#start;
      this.#start = 0;
    }
    return this.#buffer.subarray(this.#end);
  }

  /** Takes note of `count` bytes put at the start of {@linkcode space}. */
  advance(count: number): void {
    this.#end += count;
  }

  /**
   * The next whole frame, if it is there. To be asked until there is none
   * before more bytes are put in: that is what bounds the buffer.
   *
   * @param lengthMax The largest length that is allowed at this point.
   * @throws {ProtocolError} If the bytes are no frame.
   */
  next(lengthMax: number = FRAME_BYTES_MAX): Frame | undefined {
    const held = this.#end - this.#start;
    if (held < LENGTH_BYTES) return undefined;
    const start = this.#start + LENGTH_BYTES;
    const length = this.#view.getUint32(this.#start, true);
    const seal = this.#seal;
    const sealBytes = seal === undefined ? 0 : SEAL_BYTES;
    const lengthMin = LENGTH_MIN + sealBytes;
    if (length < lengthMin || length > lengthMax) {
      throw new ProtocolError(
        `it sent a frame of ${length} bytes, ${lengthMin} to ${lengthMax} are allowed`,
      );
    }
    // The version is judged as early as it is there: what follows may differ.
    if (held > LENGTH_BYTES && this.#buffer[start] !== FRAME_VERSION) {
      throw new ProtocolError(
        `it sent a frame of version ${
          this.#buffer[start]
        }, expected ${FRAME_VERSION}`,
      );
    }
    if (held < LENGTH_BYTES + length) return undefined;
    const end = start + length;
    const sealAt = end - sealBytes;
    const crcAt = sealAt - CRC_BYTES;
    if (
      crc32(this.#buffer.subarray(start, crcAt)) !==
        this.#view.getUint32(crcAt, true)
    ) {
      throw new ProtocolError("a frame's checksum is wrong");
    }
    if (seal !== undefined) {
      const found = seal.check(
        this.#buffer.subarray(start, sealAt),
        this.#buffer.subarray(sealAt, end),
      );
      if (found < 0) throw new ProtocolError("a frame's seal is wrong");
      this.#secret = found;
    }
    const flags = this.#buffer[start + 1]!;
    if ((flags & ~FLAGS_KNOWN) !== 0) {
      throw new ProtocolError(`a frame has unknown flags ${flags}`);
    }
    this.#start = end;
    return {
      flags,
      type: this.#buffer[start + 2]!,
      lane: this.#buffer[start + 3]!,
      correlation: this.#view.getUint32(start + 4, true),
      payload: this.#buffer.subarray(start + 8, crcAt),
    };
  }
}

/**
 * Reads the next frame from a stream.
 *
 * @returns The frame, or `null` at the end of the stream.
 */
export async function readFrame(
  stream: ByteStream,
  decoder: FrameDecoder,
  lengthMax: number = FRAME_BYTES_MAX,
): Promise<Frame | null> {
  for (;;) {
    const frame = decoder.next(lengthMax);
    if (frame !== undefined) return frame;
    const count = await stream.read(decoder.space());
    if (count === null) return null;
    decoder.advance(count);
  }
}
