/**
 * Ballots: the order of all proposals to a register.
 *
 * Guarantees: no two attempts of any proposer have the same ballot, if `n`
 * rises within a start, node keys are unique and the generation rises, durably,
 * with each start (agreement A1). The config epoch comes first, so that an
 * accept which is still under way from an older config never outranks a value
 * chosen under a newer one.
 *
 * ```text
 * ballot := varint epoch | varint n | u16 node | varint generation
 * ```
 *
 * @module
 */

import type { Reader, Writer } from "../../runtime/mod.ts";

/** The rank of one attempt to change a register. */
export interface Ballot {
  /** The epoch of the config under which it is proposed. */
  readonly epoch: number;
  /** The attempt; restarts anywhere, rises within a start. */
  readonly n: number;
  /** The proposer. */
  readonly node: number;
  /** The start of the proposer: replies to an earlier one do not count. */
  readonly generation: number;
}

/** Below every ballot: nothing was promised or accepted. */
export const NO_BALLOT: Ballot = { epoch: 0, n: 0, node: 0, generation: 0 };

/** Largest epoch, attempt and generation: leaves room to count on from it. */
const PART_MAX = 2 ** 48;

/** Compares ballots by epoch, n, node, generation, in this order. */
export function compareBallots(a: Ballot, b: Ballot): number {
  return a.epoch - b.epoch || a.n - b.n || a.node - b.node ||
    a.generation - b.generation;
}

/** Writes a ballot. */
export function writeBallot(writer: Writer, ballot: Ballot): void {
  writer.varint(ballot.epoch).varint(ballot.n).u16(ballot.node)
    .varint(ballot.generation);
}

/**
 * Reads a ballot.
 *
 * @throws {DecodeError} If the bytes are no ballot.
 */
export function readBallot(reader: Reader): Ballot {
  return {
    epoch: reader.count(PART_MAX),
    n: reader.count(PART_MAX),
    node: reader.u16(),
    generation: reader.count(PART_MAX),
  };
}
