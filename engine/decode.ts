/**
 * Reading files that must be there and must be right.
 *
 * @module
 */

import {
  CorruptionError,
  DecodeError,
  FileNotFoundError,
  type FileSystem,
  type RuntimeFile,
} from "../runtime/mod.ts";

/**
 * Opens a file for reading that must be there.
 *
 * @throws {CorruptionError} If it is missing.
 */
export function openExisting(files: FileSystem, path: string): RuntimeFile {
  try {
    return files.open(path, { mode: "read" });
  } catch (cause) {
    if (!(cause instanceof FileNotFoundError)) throw cause;
    throw new CorruptionError(path, 0, "the file is missing", { cause });
  }
}

/** Runs a decoder; what it cannot decode is corruption of that file. */
export function decodeAt<T>(path: string, offset: number, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw corruptionOf(path, offset, cause);
  }
}

/** The corruption that an error of a decoder stands for; other errors as they are. */
export function corruptionOf(
  path: string,
  offset: number,
  cause: unknown,
): unknown {
  return cause instanceof DecodeError
    ? new CorruptionError(path, offset, cause.message, { cause })
    : cause;
}
