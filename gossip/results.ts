/**
 * What writes have done, as their callers are told.
 *
 * Guarantees: a token is made when it is first wanted, since few are, and is the same
 * from then on; nothing of what it is made of is kept after that.
 *
 * @module
 */

import type { CommitResult, WriteResult } from "./face.ts";
import type { Dot } from "./replication/dot.ts";
import type { Version } from "./replication/entry.ts";
import type { Vector } from "./replication/vector.ts";
import { type Token, tokenOf, vectorToken } from "./token.ts";

/** What a write left: some records, or all that a node had. */
export type Left = readonly Dot[] | Vector;

/**
 * The token of a result as a property of its own: who spreads, clones or sends the
 * result has it too. One for all of them, since a getter for each costs more than all
 * else that a result is.
 */
const TOKEN: PropertyDescriptor & ThisType<Result> = {
  enumerable: true,
  get() {
    return Result.token(this);
  },
};

class Result {
  declare readonly token: Token;
  #left: Left | Token;

  constructor(left: Left) {
    this.#left = left;
    Object.defineProperty(this, "token", TOKEN);
  }

  /** The token of what a write left, made now if it was not before. */
  static token(result: Result): Token {
    const left = result.#left;
    if (typeof left === "string") return left;
    return result.#left = "length" in left ? tokenOf(left) : vectorToken(left);
  }

  /** As the console shows it: with the token, not with how it is made. */
  [Symbol.for("Deno.customInspect")](
    inspect: (value: unknown, options: unknown) => string,
    options: unknown,
  ): string {
    return inspect({ ...this }, options);
  }
}

/** {@linkcode WriteResult}. */
export class Written extends Result implements WriteResult {
  declare readonly version?: Version;

  constructor(version: Version | undefined, left: Left) {
    super(left);
    if (version !== undefined) this.version = version;
  }
}

/** {@linkcode CommitResult}. */
export class Committed extends Result implements CommitResult {
  readonly versions: readonly (Version | undefined)[];

  constructor(versions: readonly (Version | undefined)[], left: Left) {
    super(left);
    this.versions = versions;
  }
}
