/**
 * Message authentication codes: proof that who made some bytes has a secret.
 *
 * HMAC-SHA-256 (RFC 2104) of the platform, synchronous: a promise for each frame
 * between two nodes would cost more than the code.
 *
 * @module
 */

import { createHmac, timingSafeEqual } from "node:crypto";
import type { Bytes } from "./bytes.ts";

/** The length of a code, in bytes. */
export const HMAC_BYTES = 32;

/** The code of some bytes, one part after the other, under a key. */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes {
  const code = createHmac("sha256", key);
  for (const part of parts) code.update(part);
  return new Uint8Array(code.digest());
}

/** Whether two codes are equal; takes as long whatever they are. */
export function equalCodes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
