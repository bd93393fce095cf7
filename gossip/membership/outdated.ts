/**
 * Outdated disks: how a member knows that what another one has is older than what
 * it said before, or lacks what others rely on, and tells it (rules S3 to S5 of the
 * replication protocol).
 *
 * ```text
 * data of the refusal := varint generation | 8 bytes nonce
 * ```
 *
 * @module
 */

import {
  equalBytes,
  Reader,
  RejectedError,
  Writer,
} from "../../runtime/mod.ts";
import type { Incarnation } from "../replication/incarnation.ts";
import { isPlausible, NONCE_BYTES } from "./node_record.ts";

/** What a node is refused with whose disk is older than what it said before. */
export const OUTDATED = "Outdated";

/** What a node is told whose disk is old. */
export interface Outdated {
  /** The generation that it has to be above. */
  readonly generation: number;
  /** Which incarnation of it was judged. */
  readonly nonce: Uint8Array;
}

/**
 * Whether an incarnation is older than one that was accepted: a start raises the
 * generation before it says anything, so one that does not was begun from a disk
 * that lacks that start (rule S3).
 */
export function isOutdated(said: Incarnation, accepted: Incarnation): boolean {
  return !isSame(said, accepted) && said.generation <= accepted.generation;
}

/** Whether both are one incarnation. */
export function isSame(a: Incarnation, b: Incarnation): boolean {
  return a.generation === b.generation && equalBytes(a.nonce, b.nonce);
}

/**
 * What refuses an outdated incarnation.
 *
 * @param generation That of the incarnation that was accepted, or 0.
 */
export function outdatedError(
  { node, nonce }: Incarnation,
  generation: number,
): RejectedError {
  return new RejectedError(
    OUTDATED,
    `the disk of node ${node} is older than what the node has said, it takes a whole copy`,
    { data: new Writer(16).varint(generation).raw(nonce).finish() },
  );
}

/**
 * Reads what {@linkcode outdatedError} told; `undefined` if it is another error.
 *
 * @throws {DecodeError} If it is malformed, or no node can have come so far.
 */
export function readOutdated(error: unknown): Outdated | undefined {
  if (!(error instanceof RejectedError) || error.code !== OUTDATED) {
    return undefined;
  }
  const reader = new Reader(error.data, "a refusal of an old disk");
  const generation = reader.varint();
  if (!isPlausible({ generation, version: 0 })) {
    reader.fail(`its generation is ${generation}`);
  }
  return { generation, nonce: reader.raw(NONCE_BYTES).slice() };
}
