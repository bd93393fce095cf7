/**
 * Records of nodes, for the tests of this room.
 *
 * @module
 */

import { type NodeRecord, nodeRecord } from "../node_record.ts";

/** What a node with that key says of itself, but for `more`. */
export function testRecord(
  key: number,
  more: Partial<NodeRecord> = {},
): NodeRecord {
  return nodeRecord({
    key,
    address: `host-${key}:1`,
    generation: 1,
    nonce: new Uint8Array(8).fill(key),
    ...more,
  });
}
