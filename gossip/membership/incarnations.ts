/**
 * Which incarnation of each member was accepted here last: its generation and
 * nonce.
 *
 * Guarantees: one is durable before it may say anything of its data (rule S5 of the
 * replication protocol), so that a peer whose disk was put back is known by it, also
 * after a start of this node; of two that come at once the older one is refused.
 *
 * @module
 */

import { Reader, Writer } from "../../runtime/mod.ts";
import type { KV } from "../../engine/kv.ts";
import { incarnationKey, Space, spacePrefix } from "../keyspace.ts";
import type { Incarnation } from "../replication/incarnation.ts";
import { isOutdated, isSame, outdatedError } from "./outdated.ts";

/** The incarnations of members, on disk. */
export class Incarnations {
  readonly #kv: KV;
  readonly #known: Map<number, Incarnation>;
  /** What is being written, by node. */
  readonly #writing = new Map<number, Promise<void>>();

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

  /** Whether it is the one of its node that was accepted last. */
  isAccepted(said: Incarnation): boolean {
    const known = this.#known.get(said.node);
    return known !== undefined && isSame(said, known);
  }

  /**
   * Accepts an incarnation of a member. Resolves once that is durable.
   *
   * @returns Whether it is another one than was accepted before.
   * @throws {RejectedError} If it is older than that.
   */
  async accept({ node, generation, nonce }: Incarnation): Promise<boolean> {
    const said = { node, generation, nonce: nonce.slice() };
    const known = this.#known.get(node);
    if (known !== undefined && isOutdated(said, known)) {
      throw outdatedError(said, known);
    }
    const isNew = known === undefined || !isSame(said, known);
    if (isNew) {
      // At once, so that a second one that comes meanwhile is judged by it.
      this.#known.set(node, said);
      this.#writing.set(node, this.#write(said));
    }
    await this.#writing.get(node);
    return isNew;
  }

  async #write({ node, generation, nonce }: Incarnation): Promise<void> {
    const value = new Writer(16).varint(generation).raw(nonce).finish();
    await this.#kv.write([{ key: incarnationKey(node), value }], {
      sync: true,
    });
  }
}
