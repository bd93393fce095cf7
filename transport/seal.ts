/**
 * What makes the frames of a connection unforgeable where nodes have a secret.
 *
 * ```text
 * transcript = bytes of the HELLO | varint protocol | raw challenge   as in WELCOME
 * proof      = first 16 bytes of HMAC(secret, "aspen welcome" | transcript)
 * key        = HMAC(secret, "aspen dialler" or "aspen acceptor" | transcript)
 * seal       = first 16 bytes of HMAC(key, u48 number of the frame | the frame from
 *              its version to its crc)
 * ```
 *
 * HMAC is that of SHA-256. Each end has a key of its own for what it sends, and
 * counts its frames from 0. Both challenges are fresh, so nothing that was recorded
 * on another connection, or sent back to its sender, or left out, passes.
 *
 * Guarantees: an end that has not got the secret cannot make a frame that passes,
 * and neither end tells who it is before the other has proved that it has the
 * secret. Frames are not encrypted: who stands between them reads all.
 *
 * Assumes: the secret cannot be guessed: who talks to a node can try guesses on
 * its proof at home.
 *
 * @module
 */

import {
  type Bytes,
  equalCodes,
  hmac,
  toBytes,
  Writer,
} from "../runtime/mod.ts";

/** Bytes of a proof and of a seal. */
export const SEAL_BYTES = 16;

/** Secrets that a node has at once: the new one and, while it changes, the old. */
export const SECRETS_MAX = 2;

const WELCOME_LABEL = toBytes("aspen welcome");
const DIALLER_LABEL = toBytes("aspen dialler");
const ACCEPTOR_LABEL = toBytes("aspen acceptor");

/** What both ends have said before they prove anything. */
export function transcriptOf(
  hello: Uint8Array,
  protocol: number,
  challenge: Uint8Array,
): Bytes {
  return new Writer(64).raw(hello).varint(protocol).raw(challenge).finish();
}

/** The acceptor's proof that it has a secret. */
export function proofOf(secret: Uint8Array, transcript: Uint8Array): Bytes {
  return hmac(secret, WELCOME_LABEL, transcript).subarray(0, SEAL_BYTES);
}

/**
 * The first of some secrets of which there is a proof; `undefined` if there is
 * none.
 */
export function provedSecret(
  proofs: readonly Uint8Array[],
  secrets: readonly Uint8Array[],
  transcript: Uint8Array,
): Uint8Array | undefined {
  for (const proof of proofs) {
    const found = secrets.find((secret) =>
      equalCodes(proofOf(secret, transcript), proof)
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Seals the frames that one end sends, or checks them, in their order. */
export class Seal {
  readonly #keys: readonly Uint8Array[];
  #key: Uint8Array | undefined;
  #frames = 0;

  /**
   * @param secrets Those that the other end may have chosen; the first frame
   * that passes says which.
   * @param dialler Whether it is the dialler who sends.
   */
  constructor(
    secrets: readonly Uint8Array[],
    dialler: boolean,
    transcript: Uint8Array,
  ) {
    const label = dialler ? DIALLER_LABEL : ACCEPTOR_LABEL;
    this.#keys = secrets.map((secret) => hmac(secret, label, transcript));
    if (this.#keys.length === 1) this.#key = this.#keys[0];
  }

  /** The seal of the next frame. Of one secret only. */
  make(frame: Uint8Array): Bytes {
    return sealOf(this.#key!, this.#frames++, frame);
  }

  /**
   * Whether that is the seal of the next frame.
   *
   * @returns The number of the secret that it was made with; -1 if of none.
   */
  check(frame: Uint8Array, seal: Uint8Array): number {
    const number = this.#frames;
    const at = this.#keys.findIndex((key) =>
      (this.#key ?? key) === key && equalCodes(sealOf(key, number, frame), seal)
    );
    if (at < 0) return -1;
    this.#frames++;
    this.#key = this.#keys[at];
    return at;
  }
}

function sealOf(key: Uint8Array, number: number, frame: Uint8Array): Bytes {
  const counted = new Writer(6).u48(number).view();
  return hmac(key, counted, frame).subarray(0, SEAL_BYTES);
}
