/**
 * What the tests of membership have in common.
 *
 * @module
 */

import { Vector } from "../replication/vector.ts";
import type { Report } from "./report.ts";

/** A report of a node, its first, of nothing. */
export function reportOf(
  { node, ...said }: Pick<Report, "node"> & Partial<Report>,
): Report {
  return {
    node,
    era: 0,
    epoch: 1,
    generation: 1,
    nonce: new Uint8Array(8).fill(node),
    number: 1,
    birth: new Vector(),
    vector: new Vector(),
    floor: new Vector(),
    leaving: false,
    ...said,
  };
}
