/**
 * What the system says, as this project's errors: by the system's own codes,
 * which all of the platform's calls of files give.
 *
 * @module
 */

import { FileNotFoundError, StorageError } from "../errors.ts";

/** What codes of the system stand for. */
const REASONS: ReadonlyMap<unknown, string> = new Map([
  ["EACCES", "the operating system denies access"],
  ["EPERM", "the operating system denies access"],
  ["ENOTDIR", "a part of the path is not a directory"],
  ["EISDIR", "it is a directory"],
  ["EEXIST", "it exists already"],
  ["ENOSPC", "no space is left on the device"],
]);

/** Runs what the system may refuse; its refusal is thrown typed. */
export function attempt<T>(action: string, path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw storageError(action, path, error);
  }
}

/** The typed error for what the system said; typed ones pass through. */
export function storageError(
  action: string,
  path: string,
  error: unknown,
): StorageError {
  if (error instanceof StorageError) return error;
  if (error instanceof Deno.errors.NotFound || errorCode(error) === "ENOENT") {
    return new FileNotFoundError(action, path, { cause: error });
  }
  return new StorageError(action, path, reasonOf(error), { cause: error });
}

/** The code that the system gave; `undefined` if it gave none. */
export function errorCode(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return `the process lacks the permission (${error.message})`;
  }
  return REASONS.get(errorCode(error)) ??
    (error instanceof Error ? error.message : String(error));
}
