/**
 * The messages by which a commit goes to the node that leads its keys.
 *
 * ```
 * COMMIT := varint configEpoch | 8 bytes nonce | varint number      names the call
 *           varint checks, check*
 *           varint ops, op*
 * check  := varint keyLength, key | u8 exists | [version]
 * op     := u8 flags (1 delete, 2 lease given, 4 ends) | varint keyLength, key
 *           [varint lease] | [varint expireIn] | [varint valueLength, value]
 * its reply := u8 hasRecord | [varint length, record] | varint n, dot*
 * ```
 * The call's name (the start of the gateway, and a number) is one that a holder
 * can remember it by; today a gateway never sends a call twice.
 *
 * @module
 */

import {
  type Bytes,
  KEY_BYTES_MAX,
  NODE_KEY_MAX,
  Reader,
  VALUE_BYTES_MAX,
  Writer,
} from "../../runtime/mod.ts";
import { EXPIRE_IN_MS_MAX } from "../check.ts";
import { type Dot, readDot, writeDot } from "../replication/dot.ts";
import type {
  CommitCheck,
  CommitOp,
  CommitOutcome,
  CommitRequest,
} from "../replication/draft.ts";
import { readVersion, writeVersion } from "../replication/entry.ts";
import {
  batchBytes,
  decodeRecord,
  OPS_MAX,
  RECORD_BYTES_MAX,
} from "../replication/record.ts";

const DELETE = 1;
const LEASE_GIVEN = 2;
const EXPIRES = 4;

/** What a forwarded commit says beside what it asks for. */
export interface CommitHead {
  /** The epoch of the config that the gateway knows. */
  readonly configEpoch: number;
  /** The start of the gateway, 8 bytes. */
  readonly nonce: Uint8Array;
  /** Which of its calls this is. */
  readonly number: number;
}

/** Encodes COMMIT. */
export function encodeCommit(head: CommitHead, request: CommitRequest): Bytes {
  const writer = new Writer(128 + batchBytes(request.ops))
    .varint(head.configEpoch).raw(head.nonce).varint(head.number)
    .varint(request.checks.length);
  for (const { key, version } of request.checks) {
    writer.bytes(key).u8(version === null ? 0 : 1);
    if (version !== null) writeVersion(writer, version);
  }
  writer.varint(request.ops.length);
  for (const { key, value, lease, expireIn } of request.ops) {
    writer.u8(
      (value === undefined ? DELETE : 0) |
        (lease === undefined ? 0 : LEASE_GIVEN) |
        (expireIn === undefined ? 0 : EXPIRES),
    ).bytes(key);
    if (lease !== undefined) writer.varint(lease);
    if (expireIn !== undefined) writer.varint(expireIn);
    if (value !== undefined) writer.bytes(value);
  }
  return writer.finish();
}

/** Decodes COMMIT; keys and values are views. */
export function decodeCommit(
  bytes: Uint8Array,
): { head: CommitHead; request: CommitRequest } {
  const reader = new Reader(bytes, "a commit");
  const head = {
    configEpoch: reader.varint(),
    nonce: reader.raw(8),
    number: reader.varint(),
  };
  const checks: CommitCheck[] = [];
  for (let n = reader.count(OPS_MAX); n > 0; n--) {
    const key = readKey(reader);
    const exists = reader.u8() === 1;
    checks.push({ key, version: exists ? readVersion(reader) : null });
  }
  const ops: CommitOp[] = [];
  for (let n = reader.count(OPS_MAX); n > 0; n--) {
    const flags = reader.u8();
    if (flags > (DELETE | LEASE_GIVEN | EXPIRES)) {
      reader.fail(`the flags of an op are ${flags}`);
    }
    const key = readKey(reader);
    const lease = flags & LEASE_GIVEN ? reader.count(NODE_KEY_MAX) : undefined;
    const expireIn = flags & EXPIRES
      ? reader.count(EXPIRE_IN_MS_MAX)
      : undefined;
    if (expireIn === 0) reader.fail("a value is to end at once");
    const value = flags & DELETE ? undefined : reader.bytes(VALUE_BYTES_MAX);
    ops.push({ key, value, lease, ...expireIn && { expireIn } });
  }
  return { head, request: { checks, ops } };
}

function readKey(reader: Reader): Uint8Array {
  const key = reader.bytes(KEY_BYTES_MAX);
  if (key.length === 0) reader.fail("a key is empty");
  return key;
}

/** Encodes the reply to COMMIT. */
export function encodeOutcome({ record, after }: CommitOutcome): Bytes {
  const writer = new Writer(64 + (record?.bytes.length ?? 0))
    .u8(record === undefined ? 0 : 1);
  if (record !== undefined) writer.bytes(record.bytes);
  writer.varint(after.length);
  for (const dot of after) writeDot(writer, dot);
  return writer.finish();
}

/** Decodes the reply to COMMIT. */
export function decodeOutcome(bytes: Uint8Array): CommitOutcome {
  const reader = new Reader(bytes, "the reply to a commit");
  const record = reader.u8() === 1
    ? decodeRecord(reader.bytes(RECORD_BYTES_MAX))
    : undefined;
  const after: Dot[] = [];
  for (let n = reader.count(OPS_MAX); n > 0; n--) {
    after.push(readDot(reader));
  }
  return { record, after };
}
