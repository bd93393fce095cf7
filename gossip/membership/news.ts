/**
 * Which news of nodes is still to be told: rumors that travel with probes and
 * their answers, each a few times, the least told first.
 *
 * Guarantees: news of a node is told at most λ · ⌈log2(N + 1)⌉ times by each node
 * that heard it, and forgotten after. Of at most {@linkcode WAITING_MAX} nodes news
 * waits: where hundreds join or die at once, what was told most makes room, and a
 * node is soon done with it. What all that misses, the exchanges of `members.ts`
 * bring.
 *
 * @module
 */

/** λ of SWIM; what such a rumor misses, an exchange brings. */
const TELLING_FACTOR = 3;

/** Nodes of which news waits, at most. */
export const WAITING_MAX = 64;

/** News that waits to be told. */
export class News {
  readonly #told = new Map<number, number>();

  /** How many nodes there is news of. */
  get size(): number {
    return this.#told.size;
  }

  /** There is news of a node. */
  add(node: number): void {
    this.#told.delete(node);
    this.#told.set(node, 0);
    if (this.#told.size > WAITING_MAX) this.#told.delete(this.#mostTold());
  }

  /**
   * Takes the nodes of which to tell someone now.
   *
   * @param max At most so many.
   * @param nodes How many nodes the cluster has.
   */
  take(max: number, nodes: number): number[] {
    const limit = TELLING_FACTOR * Math.ceil(Math.log2(nodes + 1));
    const least = [...this.#told].sort((a, b) => a[1] - b[1]).slice(0, max);
    for (const [node, told] of least) {
      if (told + 1 >= limit) this.#told.delete(node);
      else this.#told.set(node, told + 1);
    }
    return least.map(([node]) => node);
  }

  /** The node of which most was told; of several the first one. */
  #mostTold(): number {
    let most = -1;
    let mostTold = -1;
    for (const [node, told] of this.#told) {
      if (told > mostTold) [most, mostTold] = [node, told];
    }
    return most;
  }
}
