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

class Result {
  #left: Left | Token;

  constructor(left: Left) {
    this.#left = left;
  }

  get token(): Token {
    const left = this.#left;
    if (typeof left === "string") return left;
    return this.#left = "length" in left ? tokenOf(left) : vectorToken(left);
  }

  /** All of it, the token too, which is no property of its own. */
  toJSON(): object {
    return { ...this, token: this.token };
  }

  /** As the console shows it. */
  [Symbol.for("Deno.customInspect")](
    inspect: (value: unknown, options: unknown) => string,
    options: unknown,
  ): string {
    return inspect(this.toJSON(), options);
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
