/**
 * How one node tells another what went wrong: the payload of REJECT, GOODBYE
 * and of every response with the error flag.
 *
 * ```text
 * failure = text code, text message, bytes data, (what later versions add)
 * ```
 *
 * Guarantees: what is written fits into a frame unless `data` is large; texts
 * are cut. Reading checks every bound.
 *
 * @module
 */

import {
  AspenError,
  ClusterMismatchError,
  ProtocolMismatchError,
  Reader,
  RejectedError,
  RemoteError,
  SecretMismatchError,
  TlsError,
  toBytes,
  toText,
  Writer,
} from "../runtime/mod.ts";

const CODE_BYTES_MAX = 256;
const MESSAGE_BYTES_MAX = 8192;

/** What went wrong. */
export interface Failure {
  /** The name of an error, or a word of the protocol. */
  readonly code: string;
  /** For people. */
  readonly message: string;
  /** More, in a format that the code implies. */
  readonly data: Uint8Array;
}

/** Words of the protocol that stand as codes beside the names of errors. */
export const FailureCode = {
  /** The node, or its use of the connection, ends in good order. */
  CLOSED: "closed",
  /** Another connection serves the lane; this one ends when it is idle. */
  DUPLICATE: "duplicate",
  /** Nobody uses the connection; it ends when what was begun on it is done. */
  UNUSED: "unused",
  /** Too much is in work already; nothing was done. */
  OVERLOADED: "overloaded",
} as const;

/**
 * Whether who answers is nobody to talk to, as long as neither of the two is set
 * up anew.
 */
export function isMismatch(error: unknown): error is AspenError {
  return error instanceof ClusterMismatchError ||
    error instanceof ProtocolMismatchError ||
    error instanceof SecretMismatchError || error instanceof TlsError;
}

/** Describes what was thrown. */
export function failureOf(error: unknown): Failure {
  if (error instanceof RemoteError) {
    return { code: error.code, message: error.message, data: error.data };
  }
  if (error instanceof RejectedError) {
    const { code, detail, data } = error;
    return { code, message: detail, data };
  }
  const known = error instanceof AspenError || error instanceof Error;
  return {
    code: known ? error.name : "Error",
    message: known ? error.message : String(error),
    data: new Uint8Array(0),
  };
}

/** The bytes of a failure. */
export function encodeFailure(failure: Failure): Uint8Array {
  return new Writer()
    .bytes(cut(failure.code, CODE_BYTES_MAX))
    .bytes(cut(failure.message, MESSAGE_BYTES_MAX))
    .bytes(failure.data)
    .finish();
}

/**
 * The failure that bytes tell of.
 *
 * @throws {DecodeError} If they tell of none.
 */
export function decodeFailure(bytes: Uint8Array): Failure {
  const reader = new Reader(bytes, "a failure");
  const code = reader.text(CODE_BYTES_MAX);
  const message = reader.text(MESSAGE_BYTES_MAX);
  return { code, message, data: reader.bytes().slice() };
}

function cut(text: string, bytesMax: number): Uint8Array {
  const bytes = toBytes(text);
  if (bytes.length <= bytesMax) return bytes;
  // A character cut in half decodes to a replacement mark of three bytes.
  const shorter = toBytes(toText(bytes.subarray(0, bytesMax - 3)));
  return shorter.subarray(0, bytesMax);
}
