/**
 * Checks of what users hand in, before anything is done with it.
 *
 * Guarantees: bytes are copied, so that the caller may change its own at once.
 *
 * @module
 */

import {
  BATCH_BYTES_MAX,
  copyOf,
  KEY_BYTES_MAX,
  LimitError,
  NODE_KEY_MAX,
  TIMEOUT_MS_DEFAULT,
  toBytes,
  VALUE_BYTES_MAX,
} from "../runtime/mod.ts";
import type { Version } from "./replication/entry.ts";
import { batchBytes } from "./replication/record.ts";

/** A key: bytes, or a text that stands for its UTF-8. */
export type KeyLike = string | Uint8Array;

/** A value: bytes, or a text that stands for its UTF-8. */
export type ValueLike = string | Uint8Array;

/**
 * The bytes of a key.
 *
 * @throws {TypeError} If it is neither text nor bytes.
 * @throws {LimitError} If it is empty or too long.
 */
export function checkKey(action: string, key: KeyLike): Uint8Array {
  return ownBytes(action, "the key", key, 1, KEY_BYTES_MAX);
}

/**
 * The bytes of a value.
 *
 * @throws {TypeError} If it is neither text nor bytes.
 * @throws {LimitError} If it is too long.
 */
export function checkValue(action: string, value: ValueLike): Uint8Array {
  return ownBytes(action, "the value", value, 0, VALUE_BYTES_MAX);
}

/**
 * A node key that was asked for as leaseholder.
 *
 * @throws {TypeError} If it is no node key.
 */
export function checkLease(lease: number | undefined): number | undefined {
  if (lease === undefined) return undefined;
  if (!Number.isInteger(lease) || lease < 1 || lease > NODE_KEY_MAX) {
    throw new TypeError(
      `Cannot lease a key: "lease" must be a node key, received ${
        String(lease)
      }`,
    );
  }
  return lease;
}

/**
 * The bytes of a bound of a range; they may be empty, and are the caller's.
 *
 * @throws {TypeError} If it is neither text nor bytes.
 */
export function checkBound(
  name: string,
  bound: KeyLike,
  action = "list",
): Uint8Array {
  if (typeof bound === "string" || bound instanceof Uint8Array) {
    return toBytes(bound);
  }
  throw new TypeError(
    `Cannot ${action}: "${name}" must be a string or a Uint8Array, received ${typeof bound}`,
  );
}

/**
 * How many a list may give.
 *
 * @throws {RangeError} If it is not a whole number from 0, or `Infinity`.
 */
export function checkLimit(limit = Infinity): number {
  if (limit === Infinity || (Number.isInteger(limit) && limit >= 0)) {
    return limit;
  }
  throw new RangeError(
    `Cannot list: "limit" must be a whole number from 0, received ${
      String(limit)
    }`,
  );
}

/**
 * The deadline of a call, in milliseconds.
 *
 * @throws {RangeError} If it is not positive.
 */
export function checkTimeout(
  action: string,
  timeoutMs: number = TIMEOUT_MS_DEFAULT,
): number {
  if (timeoutMs > 0) return timeoutMs;
  throw new RangeError(
    `Cannot ${action}: "timeoutMs" must be positive, received ${
      String(timeoutMs)
    }`,
  );
}

/** The longest time to live: 100 years of 365 days, in milliseconds. */
export const EXPIRE_IN_MS_MAX: number = 100 * 365 * 24 * 3600 * 1000;

/**
 * After how many milliseconds a value is to end.
 *
 * @throws {RangeError} If it is not positive, or more than 100 years.
 */
export function checkExpireIn(
  expireIn: number | undefined,
): number | undefined {
  if (expireIn === undefined) return undefined;
  if (
    typeof expireIn === "number" && expireIn > 0 && expireIn <= EXPIRE_IN_MS_MAX
  ) return Math.ceil(expireIn);
  throw new RangeError(
    `Cannot set: "expireIn" must be positive and at most ${EXPIRE_IN_MS_MAX} ms, received ${
      String(expireIn)
    }`,
  );
}

/**
 * A version that a checked key must have.
 *
 * @throws {TypeError} If it is neither `null` nor a version.
 */
export function checkVersion(version: Version | null): Version | null {
  if (version === null) return null;
  const { life, term, sub, hlc, claim, dot } = version ?? {};
  const numbers = [
    life,
    term,
    sub,
    hlc,
    claim?.hlc,
    claim?.node,
    dot?.origin,
    dot?.seq,
  ];
  if (numbers.every((each) => Number.isSafeInteger(each) && each! >= 0)) {
    return version;
  }
  throw new TypeError(
    "Cannot commit: a check's version must be null or the version of an entry",
  );
}

/**
 * Checks the size of a batch.
 *
 * @throws {LimitError} If it is too large.
 */
export function checkBatch(
  ops: readonly { key: Uint8Array; value?: Uint8Array | undefined }[],
): void {
  const bytes = batchBytes(ops);
  if (bytes > BATCH_BYTES_MAX + VALUE_SLACK) {
    throw new LimitError("commit", "the batch", bytes, 0, BATCH_BYTES_MAX);
  }
}

/** A value of the largest size fits into a batch, with its key and overhead. */
const VALUE_SLACK = 2 * KEY_BYTES_MAX;

/** A copy of what was handed in; nothing beyond the limits is copied. */
function ownBytes(
  action: string,
  what: string,
  data: string | Uint8Array,
  min: number,
  max: number,
): Uint8Array {
  const isText = typeof data === "string";
  if (!isText && !(data instanceof Uint8Array)) {
    throw new TypeError(
      `Cannot ${action}: ${what} must be a string or a Uint8Array, received ${typeof data}`,
    );
  }
  const bytes = toBytes(data);
  if (bytes.length < min || bytes.length > max) {
    throw new LimitError(action, what, bytes.length, min, max);
  }
  return isText ? bytes : copyOf(bytes);
}
