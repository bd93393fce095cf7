/**
 * Reports: what a node has, durable, under a config: by them the last records of
 * removed nodes are counted (replication.md §5), and tombstones are found that every
 * member has (§6).
 *
 * Guarantees: who answers has adopted the config that came with the request, and
 * takes nothing more from the nodes that it removes: what it had taken is in the
 * report.
 *
 * ```text
 * REPORT := bytes config
 *   reply := report
 * report := u16 node | varint era | varint epoch | varint generation | 8 bytes nonce
 *           varint number | bytes birth vector | bytes vector | bytes floor
 *           u8 leaving (0, 1)
 * ```
 *
 * Bytes after these are fields of newer releases and are ignored.
 *
 * @module
 */

import { type Bytes, Reader, Writer } from "../../runtime/mod.ts";
import {
  type Config,
  CONFIG_BYTES_MAX,
  decodeConfig,
  encodeConfig,
} from "../register/mod.ts";
import type { Incarnation } from "../replication/incarnation.ts";
import { Vector } from "../replication/vector.ts";
import { NONCE_BYTES } from "./node_record.ts";

/** What a node has. */
export interface Report extends Incarnation {
  /** The node that says so. */
  readonly node: number;
  /** The era and the epoch of the config under which it has that. */
  readonly era: number;
  readonly epoch: number;
  /** Which incarnation of the node says so. */
  readonly generation: number;
  readonly nonce: Uint8Array;
  /** Rises with each report of that incarnation. */
  readonly number: number;
  /** The vector with which that incarnation began. */
  readonly birth: Vector;
  /** What is durable there. */
  readonly vector: Vector;
  /** What every member has, as far as the node knows for ever. */
  readonly floor: Vector;
  /** Whether it is about to leave: others are not to rely on what it holds. */
  readonly leaving: boolean;
}

/** Encodes a REPORT. */
export function encodeReportRequest(config: Config): Bytes {
  return new Writer().bytes(encodeConfig(config)).finish();
}

/**
 * Decodes a REPORT.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeReportRequest(payload: Uint8Array): Config {
  const reader = new Reader(payload, "a request for a report");
  return decodeConfig(reader.bytes(CONFIG_BYTES_MAX));
}

/** Encodes the reply to a REPORT. */
export function encodeReport(report: Report): Bytes {
  return new Writer(128).u16(report.node)
    .varint(report.era).varint(report.epoch)
    .varint(report.generation).raw(report.nonce).varint(report.number)
    .bytes(report.birth.encode()).bytes(report.vector.encode())
    .bytes(report.floor.encode()).u8(report.leaving ? 1 : 0).finish();
}

/**
 * Decodes the reply to a REPORT.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeReport(payload: Uint8Array): Report {
  const reader = new Reader(payload, "a report");
  const node = reader.u16();
  if (node === 0) reader.fail("its node key is 0");
  return {
    node,
    era: reader.varint(),
    epoch: reader.varint(),
    generation: reader.varint(),
    nonce: reader.raw(NONCE_BYTES).slice(),
    number: reader.varint(),
    birth: Vector.decode(reader.bytes()),
    vector: Vector.decode(reader.bytes()),
    floor: Vector.decode(reader.bytes()),
    leaving: reader.u8() !== 0,
  };
}
