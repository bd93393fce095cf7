/**
 * What the write-ahead log says about batches: the payload of its DATA frames.
 *
 * ```text
 * payload := batch*              as many as the frame's `batches`
 * batch   := u48 firstSeq | u32 count | u32 bytes of the ops | op*
 * op      := u8 kind (0 DELETE, 1 SET; 15 is kept for range deletes)
 *          | u8 keyspace (0) | u16 keyLength | u32 valueLength | key | value
 * ```
 *
 * The op number i of a batch has the sequence number `firstSeq + i`.
 *
 * @module
 */

import { LimitError, Reader } from "../../runtime/mod.ts";
import type { BatchOp } from "../kv.ts";

const BATCH_HEADER_BYTES = 14;
const OP_HEADER_BYTES = 8;
const KIND_DELETE = 0;
const KIND_SET = 1;

/** Longest key of the engine, in bytes: what u16 can say. */
export const ENGINE_KEY_BYTES_MAX = 65_535;

/** Largest batch in its encoding, in bytes. */
export const ENGINE_BATCH_BYTES_MAX = 2 ** 30;

/**
 * The bytes that a batch takes up.
 *
 * @throws {LimitError} If a key or the batch is beyond its limit.
 */
export function measureBatch(ops: readonly BatchOp[]): number {
  let bytes = BATCH_HEADER_BYTES;
  for (const op of ops) {
    const keyLength = op.key.length;
    if (keyLength === 0 || keyLength > ENGINE_KEY_BYTES_MAX) {
      throw new LimitError(
        "write",
        "a key",
        keyLength,
        1,
        ENGINE_KEY_BYTES_MAX,
      );
    }
    bytes += OP_HEADER_BYTES + keyLength + (op.value?.length ?? 0);
  }
  if (bytes > ENGINE_BATCH_BYTES_MAX) {
    throw new LimitError("write", "a batch", bytes, 0, ENGINE_BATCH_BYTES_MAX);
  }
  return bytes;
}

/**
 * Writes a batch.
 *
 * @param at Where in `target` it starts.
 * @returns Where it ends.
 */
export function encodeBatch(
  target: Uint8Array,
  at: number,
  ops: readonly BatchOp[],
  firstSeq: number,
): number {
  const view = new DataView(target.buffer, target.byteOffset, target.length);
  const start = at;
  at += BATCH_HEADER_BYTES;
  for (const { key, value } of ops) {
    view.setUint8(at, value === undefined ? KIND_DELETE : KIND_SET);
    view.setUint8(at + 1, 0);
    view.setUint16(at + 2, key.length, true);
    view.setUint32(at + 4, value?.length ?? 0, true);
    at += OP_HEADER_BYTES;
    target.set(key, at);
    at += key.length;
    if (value !== undefined) {
      target.set(value, at);
      at += value.length;
    }
  }
  view.setUint32(start, firstSeq >>> 0, true);
  view.setUint16(start + 4, Math.floor(firstSeq / 2 ** 32), true);
  view.setUint32(start + 6, ops.length, true);
  view.setUint32(start + 10, at - start - BATCH_HEADER_BYTES, true);
  return at;
}

/**
 * Reads the batches of a frame, handing out each op in order; key and value are
 * views into `payload`.
 *
 * @param nextSeq The sequence number that the first op must have.
 * @returns The sequence number behind the last op.
 * @throws {DecodeError} If the payload is malformed.
 */
export function decodeBatches(
  payload: Uint8Array,
  batches: number,
  nextSeq: number,
  apply: (
    seq: number,
    key: Uint8Array,
    value: Uint8Array | undefined,
  ) => void,
): number {
  const reader = new Reader(payload, "a batch of the write-ahead log");
  for (let i = 0; i < batches; i++) {
    if (reader.u48() !== nextSeq) reader.fail("a sequence number is missing");
    const count = reader.u32();
    const bytes = reader.u32();
    const end = reader.offset + bytes;
    for (let op = 0; op < count; op++) {
      const kind = reader.u8();
      const keyspace = reader.u8();
      const keyLength = reader.u16();
      const valueLength = reader.u32();
      if (
        kind > KIND_SET || keyspace !== 0 || keyLength === 0 ||
        (kind === KIND_DELETE && valueLength !== 0)
      ) {
        reader.fail("an operation is malformed");
      }
      const key = reader.raw(keyLength);
      const value = reader.raw(valueLength);
      apply(nextSeq++, key, kind === KIND_SET ? value : undefined);
    }
    if (reader.offset !== end) reader.fail("a batch has another length");
  }
  if (reader.remaining !== 0) reader.fail("something follows the batches");
  return nextSeq;
}
