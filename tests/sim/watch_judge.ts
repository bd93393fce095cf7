/**
 * Judges what one watch shows: that it is in order, at most once and whole, and that
 * nothing is left out without a word. What takes records to judge, the oracle does.
 *
 * @module
 */

import { type Change, compareVersions, type Version } from "../../mod.ts";
import type { Oracle } from "./oracle.ts";
import type { NodeState } from "./rows.ts";

/** How often a watcher that lags reads all there is: it takes time. */
const READS_MAX = 1;

/**
 * What a watcher knew of a key before a change: a version, that there was none
 * (`null`), or nothing.
 */
export type Before = Version | null | undefined;

const decoder = new TextDecoder();

/** Options for {@linkcode Oracle.watch}. */
export interface WatchJudgeOptions {
  /** Only keys that begin so are watched. */
  readonly prefix?: string;
  /**
   * What the watched node has now.
   *
   * @default {nobody is asked}
   */
  readonly now?: () => ReadNow | undefined;
  /**
   * All that the watched node has now, which a watcher reads that has lagged.
   *
   * @default {nobody is asked}
   */
  readonly read?: () => NodeState | undefined;
}

/** Gives the version of a key that a node has; it is `undefined` once it is down. */
export type ReadNow = (key: string) => Version | undefined;

/** Judges what one watch shows. */
export class WatchJudge {
  /** Whose watch it is. */
  readonly where: string;
  /** Only keys that begin so are watched. */
  readonly prefix: string;
  /** Whether it was told that it missed something. */
  lagged = 0;
  /** Changes that stand for several. */
  coalesced = 0;
  readonly #oracle: Oracle;
  readonly #shown: Map<string, Version>;
  readonly #now: WatchJudgeOptions["now"];
  readonly #read: WatchJudgeOptions["read"];
  /** What this watch has shown since it began, or lagged. */
  readonly #seen = new Map<string, Version>();
  /** What the node had then; `undefined` if nobody knows. */
  #first: NodeState | undefined;

  /** `shown`: the version of each key that was shown last at this node. */
  constructor(
    oracle: Oracle,
    where: string,
    shown: Map<string, Version>,
    { prefix = "", now, read }: WatchJudgeOptions,
  ) {
    this.#oracle = oracle;
    this.where = where;
    this.prefix = prefix;
    this.#shown = shown;
    this.#now = now;
    this.#read = read;
  }

  /** What the node had when the watch began. */
  begins(state: NodeState): void {
    this.#first = state;
  }

  /** A batch came. */
  takes(changes: readonly Change[]): void {
    const befores: Before[] = [];
    for (const change of changes) {
      if (change.type === "lagged") {
        this.lagged++;
        befores.push(undefined);
        // What was dropped is to be read from the database.
        this.#seen.clear();
        this.#first = this.lagged <= READS_MAX ? this.#read?.() : undefined;
        continue;
      }
      if (change.type === "reset") {
        befores.push(undefined);
        // All is to be read anew, and may be older than it was.
        this.#shown.clear();
        this.#seen.clear();
        this.#first = this.#read?.();
        continue;
      }
      if (change.coalesced) this.coalesced++;
      const key = decoder.decode(change.key);
      if (!key.startsWith(this.prefix)) {
        this.#oracle.violate("I7", `${this.where} was shown "${key}"`);
      }
      const before = this.#shown.get(key);
      if (before && compareVersions(change.version, before) <= 0) {
        this.#oracle.violate(
          "I7",
          `${this.where} was shown "${key}" twice or out of order`,
        );
      }
      this.#shown.set(key, change.version);
      befores.push(this.#before(key));
      this.#seen.set(key, change.version);
      if ((change.type === "delete") !== (change.value === undefined)) {
        this.#oracle.violate("I7", `${this.where} was shown half a change`);
      }
      const { version } = change;
      const value = change.value && decoder.decode(change.value);
      this.#oracle.holds(key, { version, value }, `a watch of ${this.where}`);
    }
    this.#oracle.shows(this, changes, befores, this.#first?.vector);
    const read = this.#now?.();
    if (read !== undefined) this.#oracle.finds(this, changes, read);
  }

  /** Whether it can be said what it should have seen. */
  get isJudged(): boolean {
    return this.#first !== undefined;
  }

  /** Whether it has seen, or was told that it missed, all that a node has. */
  hasSeen(state: NodeState): boolean {
    return this.#unseen(state) === undefined;
  }

  /** All has been read: what it did not see it must have been told of. */
  ends(state: NodeState): void {
    const key = this.#unseen(state);
    if (key === undefined) return;
    this.#oracle.violate(
      "I7",
      `${this.where} was not shown the newest version of "${key}"`,
    );
  }

  #unseen({ rows }: NodeState): string | undefined {
    if (this.#first === undefined) return undefined;
    for (const [key, { version }] of rows) {
      if (!key.startsWith(this.prefix)) continue;
      const before = this.#before(key);
      if (before && compareVersions(before, version) >= 0) continue;
      return key;
    }
    return undefined;
  }

  #before(key: string): Before {
    const seen = this.#seen.get(key);
    if (seen !== undefined || this.#first === undefined) return seen;
    return this.#first.rows.get(key)?.version ?? null;
  }
}
