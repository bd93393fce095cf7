/**
 * Which news of nodes is still to be told: rumors that travel with probes and
 * their answers, each a few times, the least told first.
 *
 * Guarantees: news of a node is told at most λ · ⌈log2(N + 1)⌉ times by each node
 * that heard it, and forgotten after; what that misses, the exchanges of
 * `members.ts` bring.
 *
 * @module
 */

/** λ of SWIM; what such a rumor misses, an exchange brings. */
const TELLING_FACTOR = 3;

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
}
