/**
 * How the body of a data block is stored: as it is, or compressed.
 *
 * ```text
 * codec := 0 none
 *        | 1 zstd: one frame (RFC 8878) without dictionary, window 2 MiB at most
 * ```
 *
 * Guarantees: what is stored compressed is at least an eighth smaller, and no
 * longer than {@linkcode COMPRESSED_BODY_BYTES_MAX} when it is read, so that a
 * reader never allocates more for what a trailer claims.
 *
 * @module
 */

import {
  type Bytes,
  compressZstd,
  DecodeError,
  decompressZstd,
  VALUE_BYTES_MAX,
} from "../../runtime/mod.ts";

/** How data blocks may be stored. */
export type Compression = "none" | "zstd";

/** As it is. */
export const CODEC_NONE = 0;
/** One zstd frame. */
export const CODEC_ZSTD = 1;

/**
 * The longest body that is compressed, in bytes: a block of one row with the
 * largest value and the longest key of a user, and room for the columns.
 */
export const COMPRESSED_BODY_BYTES_MAX: number = VALUE_BYTES_MAX + 1024 * 1024;

/**
 * How much larger blocks are that are compressed: the more a block holds, the
 * more there is to find that repeats.
 */
export const COMPRESSED_BLOCK_RATIO = 4;

/** What saves less than one byte in so many is stored as it is. */
const SAVED_SHARE = 8;

/** A body in fewer bytes; `undefined` if it is better stored as it is. */
export function pack(body: Uint8Array): Bytes | undefined {
  if (body.length > COMPRESSED_BODY_BYTES_MAX) return undefined;
  const packed = compressZstd(body);
  return packed.length <= body.length - body.length / SAVED_SHARE
    ? packed
    : undefined;
}

/**
 * The body that was packed, or what is stored itself if it was not. Nothing is
 * allocated before it is known to be within the limit.
 *
 * @throws {DecodeError} If it cannot be: another codec, or another length.
 */
export function unpack(
  stored: Uint8Array,
  codec: number,
  bodyLength: number,
): Uint8Array {
  if (codec === CODEC_NONE && bodyLength === stored.length) return stored;
  if (
    codec !== CODEC_ZSTD || bodyLength <= stored.length ||
    bodyLength > COMPRESSED_BODY_BYTES_MAX
  ) throw new DecodeError("a block", "the trailer is malformed");
  return decompressZstd(stored, bodyLength);
}
