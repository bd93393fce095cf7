/**
 * Which errors the faults of a life explain: by what they are, and by whose disk
 * was touched. Whatever else happens, a mistake of the program is none of them,
 * however deep it lies in the causes, and on whichever node it was made.
 *
 * @module
 */

import { PartialCommitError, RemoteError } from "../../mod.ts";

/** Whose disks may fail, in the time that an error is of. */
export interface FailingDisks {
  /** That of the node whose caller got the error. */
  readonly here: boolean;
  /** That of any other, whose errors come as {@linkcode RemoteError}s. */
  readonly elsewhere: boolean;
}

/** Names of errors by which an engine says that its disk failed. */
const OF_DISKS = new Set(["StorageError", "PoisonedError"]);

/**
 * Names of errors that no fault leads to: programs have mistakes, and what is
 * damaged on its way or on a disk must be noticed before it is taken for data.
 */
const OF_NO_FAULT = new Set([
  "TypeError",
  "RangeError",
  "ReferenceError",
  "SyntaxError",
  "InternalError",
  "DecodeError",
  "CorruptionError",
  "FormatVersionError",
  "FileNotFoundError",
]);

/** What of an error, or of its causes, no fault explains. */
export function unexplained(
  error: unknown,
  disks: FailingDisks,
): string | undefined {
  return unexplainedOf(error, disks, false);
}

function unexplainedOf(
  error: unknown,
  disks: FailingDisks,
  isRemote: boolean,
): string | undefined {
  if (error === undefined) return undefined;
  if (!(error instanceof Error)) return `a thrown ${typeof error}`;
  const wasRemote = isRemote || error instanceof RemoteError;
  const name = error instanceof RemoteError ? error.code : error.name;
  if (OF_NO_FAULT.has(name)) return name;
  if (OF_DISKS.has(name) && !(wasRemote ? disks.elsewhere : disks.here)) {
    return name;
  }
  // Its cause is that of the first part only.
  const causes = error instanceof PartialCommitError
    ? error.failed.map((part) => part.error)
    : [error.cause];
  for (const cause of causes) {
    const found = unexplainedOf(cause, disks, wasRemote);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether an engine says by an error that its disk failed, which it may. */
export function isOfDisk(error: unknown, mayFail: boolean): boolean {
  return error instanceof Error && OF_DISKS.has(error.name) &&
    unexplained(error, { here: mayFail, elsewhere: false }) === undefined;
}
