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

import { getU32, LimitError, putU32, Reader } from "../../runtime/mod.ts";
import { copyBytes } from "../compare.ts";
import type { BatchOp } from "../kv.ts";
import type { Memtable, Reserved } from "../memtable/memtable.ts";

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

/** The bytes of keys and values in `bytes` of encoded batches. */
export function userBytes(
  bytes: number,
  batches: number,
  ops: number,
): number {
  return bytes - batches * BATCH_HEADER_BYTES - ops * OP_HEADER_BYTES;
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
  const start = at;
  at += BATCH_HEADER_BYTES;
  for (const { key, value } of ops) {
    const keyLength = key.length;
    const valueLength = value === undefined ? 0 : value.length;
    target[at] = value === undefined ? KIND_DELETE : KIND_SET;
    target[at + 1] = 0;
    target[at + 2] = keyLength;
    target[at + 3] = keyLength >>> 8;
    putU32(target, at + 4, valueLength);
    at += OP_HEADER_BYTES;
    copyBytes(target, at, key, 0, keyLength);
    at += keyLength;
    if (valueLength > 0) target.set(value!, at);
    at += valueLength;
  }
  putU32(target, start, firstSeq);
  const high = Math.floor(firstSeq / 2 ** 32);
  target[start + 4] = high;
  target[start + 5] = high >>> 8;
  putU32(target, start + 6, ops.length);
  putU32(target, start + 10, at - start - BATCH_HEADER_BYTES);
  return at;
}

/**
 * Adds the ops of a batch that {@linkcode encodeBatch} wrote into a memtable's
 * own memory to that memtable.
 *
 * @param at Where in `room.bytes` the batch starts.
 * @returns Where it ends.
 */
export function applyBatch(
  memtable: Memtable,
  { bytes, chunk }: Reserved,
  at: number,
  firstSeq: number,
): number {
  const count = getU32(bytes, at + 6);
  at += BATCH_HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    const keyLength = bytes[at + 2]! | bytes[at + 3]! << 8;
    const valueLength = getU32(bytes, at + 4);
    const isSet = bytes[at] === KIND_SET;
    at += OP_HEADER_BYTES;
    memtable.addStored(
      firstSeq + i,
      chunk,
      at,
      keyLength,
      isSet ? valueLength : -1,
    );
    at += keyLength + valueLength;
  }
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
