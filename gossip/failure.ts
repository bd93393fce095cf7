/**
 * Whose failure an error is: of a peer, of this node's own engine, or of nobody.
 *
 * @module
 */

import {
  ClosedError,
  CorruptionError,
  NodeNotFoundError,
  OutcomeUnknownError,
  PoisonedError,
  StorageError,
  UnreachableError,
} from "../runtime/mod.ts";
import { isMismatch } from "../transport/mod.ts";

/**
 * Whether work with a peer ended by what happens every day, or is told of by an
 * event of its own: a connection that is gone, a node that closes, or this
 * node's own engine. A `peerFailed` event would blame the peer for it.
 */
export function isRoutine(error: unknown): boolean {
  return error instanceof UnreachableError ||
    error instanceof OutcomeUnknownError ||
    error instanceof NodeNotFoundError ||
    error instanceof ClosedError || isMismatch(error) || isOwnFault(error);
}

/** Whether this node's own engine failed, so that no other peer would help. */
export function isOwnFault(error: unknown): boolean {
  return error instanceof StorageError || error instanceof PoisonedError ||
    error instanceof CorruptionError;
}
