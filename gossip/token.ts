/**
 * Session tokens: texts that stand for "what this write left", or for "what this
 * watcher has seen".
 *
 * Guarantees: a token says the same on every node of the cluster and after every
 * restart. Who covers a token covers it for ever. Decoding allocates no more than
 * the text is long.
 *
 * ```
 * token := base64url of: u8 kind | vector
 * kind  := 1 records: what a write left | 2 a state: all that a node had
 * ```
 * Who has all of a vector has what either stands for. They differ in what came after
 * it: after a state, all that its vector does not cover; after a write, what a node
 * has applied later than its record.
 *
 * @module
 */

import { decodeBase64Url, encodeBase64Url } from "@std/encoding";
import { Reader, Writer } from "../runtime/mod.ts";
import type { Dot } from "./replication/dot.ts";
import { Vector, VECTOR_ORIGINS_MAX } from "./replication/vector.ts";

/** Stands for a state: opaque, and valid on every node of the cluster. */
export type Token = string;

/** What a token stands for. Append only. */
const TokenKind = { RECORDS: 1, STATE: 2 } as const;

/** What a token says. */
export interface TokenContent {
  /** What it stands for. */
  readonly vector: Vector;
  /** Whether that is all that a node had, and not only what a write left. */
  readonly isState: boolean;
}

/**
 * The longest token that is read, in characters: the largest vector, at 14 bytes
 * an origin (two varints of 7 bytes), four characters for three bytes.
 */
const TOKEN_CHARS_MAX = Math.ceil((16 + 14 * VECTOR_ORIGINS_MAX) / 3) * 4;

/** The token of the records that a write left. */
export function tokenOf(dots: readonly Dot[]): Token {
  return encodeToken(TokenKind.RECORDS, Vector.upTo(dots));
}

/** The token of a state: of all that a node has, by its vector. */
export function vectorToken(vector: Vector): Token {
  return encodeToken(TokenKind.STATE, vector);
}

function encodeToken(kind: number, vector: Vector): Token {
  const writer = new Writer(16 + vector.size * 14).u8(kind);
  vector.write(writer);
  return encodeBase64Url(writer.view());
}

/**
 * What a token stands for.
 *
 * @param action What it is wanted for; `name` is what it is called there.
 * @throws {TypeError} If it is no token, or one of a newer release.
 */
export function readToken(
  action: string,
  name: string,
  token: Token,
): TokenContent {
  const refuse = (state: string, cause?: unknown): never => {
    throw new TypeError(`Cannot ${action}: ${name} ${state}`, { cause });
  };
  if (typeof token !== "string") {
    return refuse(`must be a token, received ${typeof token}`);
  }
  if (token.length > TOKEN_CHARS_MAX) return refuse("is too long for a token");
  let kind: number;
  try {
    const reader = new Reader(decodeBase64Url(token), "a token");
    kind = reader.u8();
    if (kind === TokenKind.RECORDS || kind === TokenKind.STATE) {
      const vector = Vector.read(reader);
      if (reader.remaining > 0) reader.fail("bytes follow its vector");
      return { vector, isState: kind === TokenKind.STATE };
    }
  } catch (error) {
    return refuse("is no token", error);
  }
  return refuse(`is a token of kind ${kind}, which this release does not know`);
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
  let kind: number = TokenKind.RECORDS;
  for (const token of tokens) {
    const { vector, isState } = readToken("join tokens", "a token", token);
    joined.join(vector);
    if (isState) kind = TokenKind.STATE;
  }
  return encodeToken(kind, joined);
}
