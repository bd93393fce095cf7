/**
 * Which errors the faults of a life explain: by what they are, and by whose disk
 * was touched. Whatever else happens, a mistake of the program is none of them,
 * however deep it lies in the causes, and on whichever node it was made.
 *
 * @module
 */

import { PartialCommitError, RemoteError } from "../../mod.ts";

/** What is wrong with disks in the time that an error is of. */
export interface Trouble {
  /** Writes or syncs may fail. */
  readonly faulted: boolean;
  /** A bit has flipped. */
  readonly damaged: boolean;
}

/** Whose disks are in trouble. */
export interface Disks {
  /** That of the node whose caller got the error. */
  readonly here: Trouble;
  /** That of any other, whose errors come as {@linkcode RemoteError}s. */
  readonly elsewhere: Trouble;
}

/** Disks that are all right. */
export const NO_TROUBLE: Trouble = { faulted: false, damaged: false };

/** Errors by which an engine says what is wrong with its disk. */
const OF_DISKS: ReadonlyMap<string, (trouble: Trouble) => boolean> = new Map([
  ["StorageError", ({ faulted }) => faulted],
  ["CorruptionError", ({ damaged }) => damaged],
  // Its cause says what it was, where it is known.
  ["PoisonedError", ({ faulted, damaged }) => faulted || damaged],
]);

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
  "FormatVersionError",
  "FileNotFoundError",
]);

/** What of an error, or of its causes, no fault explains. */
export function unexplained(
  error: unknown,
  disks: Disks,
): string | undefined {
  return unexplainedOf(error, disks, false);
}

function unexplainedOf(
  error: unknown,
  disks: Disks,
  isRemote: boolean,
): string | undefined {
  if (error === undefined) return undefined;
  if (!(error instanceof Error)) return `a thrown ${typeof error}`;
  const wasRemote = isRemote || error instanceof RemoteError;
  const name = error instanceof RemoteError ? error.code : error.name;
  if (OF_NO_FAULT.has(name)) return name;
  const trouble = wasRemote ? disks.elsewhere : disks.here;
  if (OF_DISKS.get(name)?.(trouble) === false) return name;
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

/** Whether an engine says by an error what is wrong with its disk. */
export function isOfDisk(error: unknown, here: Trouble): boolean {
  return error instanceof Error && OF_DISKS.has(error.name) &&
    unexplained(error, { here, elsewhere: NO_TROUBLE }) === undefined;
}
