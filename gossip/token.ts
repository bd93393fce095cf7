/**
 * Session tokens: texts that stand for "what this write left", or for "what this
 * watcher has seen".
 *
 * Guarantees: a token says the same on every node of the cluster and after every
 * restart. Who covers a token covers it for ever. Decoding allocates no more than
 * the text is long.
 *
 * ```
 * token := base64url of: u8 version (1) | vector
 * ```
 *
 * @module
 */

import { decodeBase64Url, encodeBase64Url } from "@std/encoding";
import { Reader, Writer } from "../runtime/mod.ts";
import type { Dot } from "./replication/dot.ts";
import { Vector, VECTOR_ORIGINS_MAX } from "./replication/vector.ts";

/** Stands for a state: opaque, and valid on every node of the cluster. */
export type Token = string;

const TOKEN_VERSION = 1;

/**
 * The longest token that is read, in characters: the largest vector, at 14 bytes
 * an origin (two varints of 7 bytes), four characters for three bytes.
 */
const TOKEN_CHARS_MAX = Math.ceil((16 + 14 * VECTOR_ORIGINS_MAX) / 3) * 4;

/** The token of the records that a write left. */
export function tokenOf(dots: readonly Dot[]): Token {
  return vectorToken(Vector.upTo(dots));
}

/** The token of all that a vector covers. */
export function vectorToken(vector: Vector): Token {
  const writer = new Writer(16 + vector.size * 14).u8(TOKEN_VERSION);
  vector.write(writer);
  return encodeBase64Url(writer.view());
}

/**
 * What a token stands for.
 *
 * @param action What it is wanted for; `name` is what it is called there.
 * @throws {TypeError} If it is no token, or one of a newer release.
 */
export function readToken(action: string, name: string, token: Token): Vector {
  const refuse = (state: string, cause?: unknown): never => {
    throw new TypeError(`Cannot ${action}: ${name} ${state}`, { cause });
  };
  if (typeof token !== "string") {
    return refuse(`must be a token, received ${typeof token}`);
  }
  if (token.length > TOKEN_CHARS_MAX) return refuse("is too long for a token");
  let version: number;
  try {
    const reader = new Reader(decodeBase64Url(token), "a token");
    version = reader.u8();
    if (version === TOKEN_VERSION) {
      const vector = Vector.read(reader);
      if (reader.remaining > 0) reader.fail("bytes follow its vector");
      return vector;
    }
  } catch (error) {
    return refuse("is no token", error);
  }
  return refuse(
    `is a token of version ${version}, this release reads ${TOKEN_VERSION}`,
  );
}

/**
 * The token of all that several stand for: who waits for it waits for each of
 * them. A session that writes keys of several leaseholders keeps one token so.
 *
 * @example
 * ```ts
 * import { joinTokens, open } from "@aspen/core";
 *
 * await using db = await open(":memory:");
 * const one = await db.set("planet", "Earth");
 * const two = await db.set("star", "Sun");
 *
 * const session = joinTokens(one.token, two.token);
 * await db.get("planet", { atLeast: session });
 * ```
 *
 * @throws {TypeError} If one of them is no token.
 */
export function joinTokens(...tokens: readonly Token[]): Token {
  const joined = new Vector();
  for (const token of tokens) {
    joined.join(readToken("join tokens", "a token", token));
  }
  return vectorToken(joined);
}
