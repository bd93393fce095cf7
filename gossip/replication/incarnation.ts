/**
 * Incarnations: which start of a node speaks, or which it is since its copy of the
 * data was replaced (rule S6 of the replication protocol).
 *
 * Guarantees: a node is one incarnation at any moment, and all its rooms see the
 * same one; it changes in one synchronous step, {@linkcode OwnIncarnation.renew}.
 *
 * Assumes: the caller has made the generation durable before.
 *
 * ```text
 * accepted incarnation := varint generation | 8 bytes nonce
 * ```
 *
 * @module
 */

import { Reader, Writer } from "../../runtime/mod.ts";
import type { BatchOp } from "../../engine/kv.ts";
import { incarnationKey } from "../keyspace.ts";
import type { Vector } from "./vector.ts";

/** Which incarnation of a node it is. */
export interface Incarnation {
  /** The node key. */
  readonly node: number;
  /** Rises with each start and each replaced copy, from 1. */
  readonly generation: number;
  /** Random, 8 bytes. */
  readonly nonce: Uint8Array;
}

/** The incarnation that this node is. */
export class OwnIncarnation implements Incarnation {
  readonly node: number;
  #generation: number;
  #nonce: Uint8Array;
  #birth: Vector;

  /** @param birth The vector with which it began. */
  constructor({ node, generation, nonce }: Incarnation, birth: Vector) {
    this.node = node;
    this.#generation = generation;
    this.#nonce = nonce;
    this.#birth = birth;
  }

  get generation(): number {
    return this.#generation;
  }

  get nonce(): Uint8Array {
    return this.#nonce;
  }

  /** The vector with which it began. */
  get birth(): Vector {
    return this.#birth;
  }

  /** Begins the next one: what the one before said counts no more. */
  renew(generation: number, nonce: Uint8Array, birth: Vector): void {
    this.#generation = generation;
    this.#nonce = nonce;
    this.#birth = birth;
  }
}

/** What makes durable which incarnation of a node was accepted. */
export function incarnationOp(
  { node, generation, nonce }: Incarnation,
): BatchOp {
  const value = new Writer(16).varint(generation).raw(nonce).finish();
  return { key: incarnationKey(node), value };
}

/** Reads what {@linkcode incarnationOp} wrote. */
export function readIncarnation(key: Uint8Array, row: Uint8Array): Incarnation {
  const node = key[1]! * 256 + key[2]!;
  const reader = new Reader(row, "an incarnation");
  return {
    node,
    generation: reader.varint(),
    nonce: reader.raw(8).slice(),
  };
}
