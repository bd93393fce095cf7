/**
 * The judge of a chaos run: what was acked, what was reported as lost, what was
 * shown, and in the end what is there.
 *
 * Guarantees: holds one row a claim of a key, and a line a violation, so that its
 * memory is bounded by the keys of the run.
 *
 * @module
 */

import { compareVersions, type Version } from "../../../mod.ts";
import type { Row } from "../rows.ts";

/** Violations that are told; the rest is counted. */
const TOLD_MAX = 100;

interface Acked {
  readonly key: string;
  readonly version: Version;
  /** `null` if it was a delete. */
  readonly value: string | null;
}

/** What all nodes' words come together in. */
export class Oracle {
  /** The last ack of each claim. */
  readonly #acked = new Map<string, Acked>();
  /** Claims of which a write was named in a conflict. */
  readonly #conflicts = new Set<string>();
  readonly #conflictKeys = new Set<string>();
  /** What each node's watch showed last. */
  readonly #shown = new Map<string, Version>();
  readonly violations: string[] = [];
  acks = 0;
  lost = 0;
  divergent = 0;
  unfit = 0;

  /** How many claims were named in conflicts. */
  get conflicts(): number {
    return this.#conflicts.size;
  }

  /** Something that must not be. */
  violate(what: string): void {
    this.unfit++;
    if (this.violations.length < TOLD_MAX) this.violations.push(what);
  }

  /** A write was acked. */
  acked(write: Acked): void {
    this.acks++;
    const name = claimName(write.key, write.version);
    const last = this.#acked.get(name);
    if (
      last === undefined || compareVersions(write.version, last.version) > 0
    ) this.#acked.set(name, write);
  }

  /** A node named a write as lost, with the other keys of its batch. */
  conflict(
    key: string,
    lost: Version,
    batchKeys: readonly string[] = [],
  ): void {
    this.#conflicts.add(claimName(key, lost));
    for (const name of [key, ...batchKeys]) this.#conflictKeys.add(name);
  }

  /** A node's watch showed a version. */
  shown(node: number, key: string, version: Version): void {
    const at = `${node} ${key}`;
    const before = this.#shown.get(at);
    if (before !== undefined && compareVersions(version, before) <= 0) {
      this.violate(`I7: node ${at} was shown twice or out of order`);
    }
    this.#shown.set(at, version);
  }

  /** What a node read after a write of its own was acked there. */
  readOwn(node: number, key: string, wrote: Version, found: Version): void {
    if (compareVersions(found, wrote) < 0) {
      this.violate(`node ${node} read an older "${key}" than it had written`);
    }
  }

  /** Compares what is on the disks with each other and with what was acked. */
  judge(
    stores: readonly ReadonlyMap<string, Row>[],
    batches: Iterable<readonly string[]>,
  ): void {
    const [first, ...others] = stores;
    others.forEach((other, i) => {
      for (const key of new Set([...first!.keys(), ...other.keys()])) {
        const [a, b] = [first, other].map((rows) =>
          JSON.stringify(rows!.get(key))
        );
        if (a === b) continue;
        this.divergent++;
        this.violate(`I1: "${key}" is ${a} on node 0, ${b} on node ${i + 1}`);
      }
    });
    for (const write of this.#acked.values()) this.#judgeAck(first!, write);
    for (const keys of batches) {
      const values = new Set(keys.map((key) => first!.get(key)?.value));
      if (values.size < 2) continue;
      if (keys.some((key) => this.#conflictKeys.has(key))) continue;
      this.violate(`I4: half a batch: ${keys} are ${[...values]}`);
    }
  }

  #judgeAck(
    rows: ReadonlyMap<string, Row>,
    { key, version, value }: Acked,
  ): void {
    const name = claimName(key, version);
    const row = rows.get(key);
    const order = row !== undefined && claimName(key, row.version) === name
      ? compareVersions(row.version, version)
      : -1;
    if (order === 0 && row!.value !== value) {
      this.violate(`I2: "${key}" holds another value than was acked`);
    }
    if (order >= 0 || this.#conflicts.has(name)) return;
    this.lost++;
    this.violate(
      `I2: the write of "${key}" acked as ${
        JSON.stringify(version)
      } is lost: ` +
        `there is ${JSON.stringify(row)}`,
    );
  }
}

function claimName(key: string, { claim }: Version): string {
  return `${key} ${claim.hlc} ${claim.node}`;
}
