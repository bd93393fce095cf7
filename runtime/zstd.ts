/**
 * Zstandard compression (RFC 8878), by `node:zlib`.
 *
 * @module
 */

import * as zlib from "node:zlib";
import type { Bytes } from "./bytes.ts";
import { DecodeError } from "./errors.ts";

/** The first bytes of every frame. */
export const ZSTD_MAGIC = 0xfd2fb528;

/** The level at which zstd itself sees the best of both. */
const LEVEL = 3;

/** The largest window, as a power of two, that a frame may ask for: 2 MiB. */
const WINDOW_LOG_MAX = 21;

/** The most that is allocated at once for what is decompressed, in bytes. */
const CHUNK_BYTES_MAX = 1024 * 1024;

/** Room behind the end, by which the decompressor sees that it is the end. */
const CHUNK_SLACK_BYTES = 64;

/** Compresses bytes, one or more, into one frame. */
export function compressZstd(bytes: Uint8Array): Bytes {
  // The types do not know "pledgedSrcSize" yet. With it the frame says how long
  // it is, and asks for no larger a window.
  const options: zlib.ZstdOptions & { pledgedSrcSize: number } = {
    params: { [zlib.constants.ZSTD_c_compressionLevel]: LEVEL },
    pledgedSrcSize: bytes.length,
    chunkSize: chunkFor(bytes.length),
  };
  return plain(zlib.zstdCompressSync(bytes, options));
}

/**
 * Decompresses one frame. Never gives more than `length` bytes, nor allocates
 * more, but for the window of 2 MiB at most and a chunk of 1 MiB at most.
 *
 * @param length At least 1.
 * @throws {DecodeError} If it is no frame, or one of another length.
 */
export function decompressZstd(frame: Uint8Array, length: number): Bytes {
  let bytes: Bytes;
  try {
    bytes = plain(zlib.zstdDecompressSync(frame, {
      params: { [zlib.constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
      maxOutputLength: length,
      chunkSize: chunkFor(length),
    }));
  } catch (cause) {
    throw new DecodeError("compressed bytes", "they are no frame", { cause });
  }
  if (bytes.length === length) return bytes;
  throw new DecodeError(
    "compressed bytes",
    `they hold ${bytes.length} bytes, not ${length}`,
  );
}

/** The bytes of a Node Buffer, whose "slice" and printing are its own. */
function plain({ buffer, byteOffset, length }: Uint8Array): Bytes {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, length);
}

function chunkFor(length: number): number {
  return Math.min(length + CHUNK_SLACK_BYTES, CHUNK_BYTES_MAX);
}
