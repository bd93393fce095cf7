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

import type { KV } from "../../engine/kv.ts";
import { Space, spacePrefix } from "../keyspace.ts";
import {
  type Incarnation,
  incarnationOp,
  readIncarnation,
} from "../replication/incarnation.ts";
import type { Vector } from "../replication/vector.ts";
import { isOutdated, isSame, outdatedError } from "./outdated.ts";

/** The incarnations of members, on disk. */
export class Incarnations {
  readonly #kv: KV;
  readonly #known: Map<number, Incarnation>;
  /** What is being written, by node. */
  readonly #writing = new Map<number, Promise<void>>();

  readonly #onNew: (incarnation: Incarnation) => void;

  private constructor(
    kv: KV,
    known: Map<number, Incarnation>,
    onNew: (incarnation: Incarnation) => void,
  ) {
    this.#kv = kv;
    this.#known = known;
    this.#onNew = onNew;
  }

  /**
   * Reads what the engine has of them.
   *
   * @param onNew Another incarnation of a node counts from now on: what the one
   * before has said does not. Must not throw.
   */
  static async load(
    kv: KV,
    onNew: (incarnation: Incarnation) => void,
  ): Promise<Incarnations> {
    const known = new Map<number, Incarnation>();
    const rows = kv.iterate({ prefix: spacePrefix(Space.INCARNATION) });
    try {
      while (await rows.next()) {
        const incarnation = readIncarnation(rows.key, rows.value);
        known.set(incarnation.node, incarnation);
      }
    } finally {
      await rows.close();
    }
    return new Incarnations(kv, known, onNew);
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
   * Judges an incarnation of a member by the vector with which it began, and accepts
   * it. Resolves once that is durable.
   *
   * @param floor What the member must have had, if it is another than was accepted.
   * @returns Whether it is another one.
   * @throws {RejectedError} If its disk is older than what the node has said, or
   * below the floor.
   */
  async accept(
    { node, generation, nonce }: Incarnation,
    birth: Vector,
    floor: Vector,
  ): Promise<boolean> {
    const said = { node, generation, nonce: nonce.slice() };
    const known = this.#known.get(node);
    const isNew = known === undefined || !isSame(said, known);
    if (isNew) {
      if (
        known !== undefined && isOutdated(said, known) ||
        !birth.includes(floor)
      ) throw outdatedError(said, known?.generation ?? 0);
      // At once, so that what comes meanwhile is judged by it.
      this.#known.set(node, said);
      this.#onNew(said);
      this.#writing.set(node, this.#write(said));
    }
    await this.#writing.get(node);
    // Another one was accepted, or all were replaced, while this one was written.
    const accepted = this.#known.get(node);
    if (accepted === undefined || !isSame(said, accepted)) {
      throw outdatedError(said, accepted?.generation ?? 0);
    }
    return isNew;
  }

  /**
   * Takes those that a donor has accepted in the place of all that are known: this
   * node relies with its copy on what the donor relied on. They are durable.
   */
  replace(accepted: readonly Incarnation[]): void {
    this.#known.clear();
    for (const each of accepted) this.#known.set(each.node, each);
  }

  async #write(incarnation: Incarnation): Promise<void> {
    await this.#kv.write([incarnationOp(incarnation)], { sync: true });
  }
}
