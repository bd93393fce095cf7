/**
 * Which start of each member was accepted here last: its generation and nonce.
 *
 * Guarantees: a start is durable before it may say anything (rule S2 of the
 * replication protocol), so that a peer whose disk was put back is known by it.
 *
 * @module
 */

import { equalBytes, Reader, Writer } from "../../runtime/mod.ts";
import type { KV } from "../../engine/kv.ts";
import type { Identity } from "../../transport/mod.ts";
import { incarnationKey, Space, spacePrefix } from "../keyspace.ts";
import type { Incarnation } from "../replication/incarnation.ts";

/** The starts of members, on disk. */
export class Incarnations {
  readonly #kv: KV;
  readonly #known: Map<number, Incarnation>;

  private constructor(kv: KV, known: Map<number, Incarnation>) {
    this.#kv = kv;
    this.#known = known;
  }

  /** Reads what the engine has of them. */
  static async load(kv: KV): Promise<Incarnations> {
    const known = new Map<number, Incarnation>();
    const rows = kv.iterate({ prefix: spacePrefix(Space.INCARNATION) });
    try {
      while (await rows.next()) {
        const node = rows.key[1]! * 256 + rows.key[2]!;
        const reader = new Reader(rows.value, "an incarnation");
        const generation = reader.varint();
        const nonce = reader.raw(8).slice();
        known.set(node, { node, generation, nonce });
      }
    } finally {
      await rows.close();
    }
    return new Incarnations(kv, known);
  }

  /** All that are known. */
  values(): IterableIterator<Incarnation> {
    return this.#known.values();
  }

  /**
   * Remembers the start of a member. Resolves once that is durable.
   *
   * @returns Whether it is another one than was known.
   */
  async accept(
    { node, generation, nonce }: Pick<
      Identity,
      "node" | "generation" | "nonce"
    >,
  ): Promise<boolean> {
    const known = this.#known.get(node);
    if (
      known?.generation === generation && equalBytes(known.nonce, nonce)
    ) return false;
    const value = new Writer(16).varint(generation).raw(nonce).finish();
    await this.#kv.write([{ key: incarnationKey(node), value }], {
      sync: true,
    });
    this.#known.set(node, { node, generation, nonce: nonce.slice() });
    return true;
  }
}
