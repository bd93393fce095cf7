/**
 * Asks the dead whether they are back, where nobody is dialled for ever: in a
 * cluster of more members than connections may stand.
 *
 * Guarantees: in a round this node asks one of the dead at most, each of them in
 * its turn, and the next one not before that one's answer or deadline. It does so
 * with the chance `dead / living`: all nodes together then ask each of the dead
 * about once a round, however many they are, while parts that are cut off from each
 * other, or one node from all, ask in every round. So they find each other again,
 * after any time, and no host is dialled by everybody at once.
 *
 * @module
 */

import type { Random } from "../../runtime/mod.ts";

/** Options for {@linkcode Recall}. */
export interface RecallOptions {
  /** Shuffles, and throws the dice. */
  readonly random: Random;
  /** How many members are not dead, this one included. */
  readonly living: () => number;
  /** The members that are dead. */
  readonly dead: () => readonly number[];
  /** Dials one, and exchanges with it what either knows. Never rejects. */
  readonly ask: (node: number) => Promise<void>;
}

/** Asks the dead, one after the other. */
export class Recall {
  readonly #options: RecallOptions;
  #turn: number[] = [];
  #asking = false;

  /** Makes one that has asked nobody. */
  constructor(options: RecallOptions) {
    this.#options = options;
  }

  /** Asks the next one, if the dice say so. */
  round(): void {
    const { random, living, dead } = this.#options;
    const nodes = dead();
    if (this.#asking || nodes.length === 0) return;
    if (random.float() * living() >= nodes.length) return;
    const node = this.#next(new Set(nodes));
    this.#asking = true;
    void this.#options.ask(node).finally(() => {
      this.#asking = false;
    });
  }

  /** The next of a shuffled turn that is still dead; then a new turn begins. */
  #next(nodes: ReadonlySet<number>): number {
    for (let node = this.#turn.pop(); node !== undefined;) {
      if (nodes.has(node)) return node;
      node = this.#turn.pop();
    }
    const { random } = this.#options;
    this.#turn = [...nodes];
    for (let i = this.#turn.length - 1; i > 0; i--) {
      const j = Math.floor(random.float() * (i + 1));
      [this.#turn[i], this.#turn[j]] = [this.#turn[j]!, this.#turn[i]!];
    }
    return this.#turn.pop()!;
  }
}
