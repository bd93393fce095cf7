/**
 * The judge of a chaos run: what was acked, what was reported as lost, what was
 * shown, and in the end what is there.
 *
 * Guarantees: holds a row an ack, and a line a violation, so that its memory is
 * bounded by the calls of the run.
 *
 * @module
 */

import type { Vector } from "../../../gossip/replication/vector.ts";
import { compareVersions, type Version } from "../../../mod.ts";
import { RemoteCallError, type RemoteOp } from "../remote_node.ts";
import type { Left, Row } from "../rows.ts";

/** Violations that are told; the rest is counted. */
const TOLD_MAX = 100;

/** Errors of a write that say that nothing was written. */
const REFUSALS = [
  "LeaseholderUnavailableError",
  "NodeNotFoundError",
  "NotCaughtUpError",
];

/** A write that was acked. */
export interface Acked {
  readonly key: string;
  readonly version: Version;
  /** `null` if it was a delete. */
  readonly value: string | null;
}

/** Data was taken away from a directory, or with one. */
export interface Discard {
  /** What it covered. */
  readonly before: Vector;
  /** What it covers since. */
  readonly after: Vector;
}

/** What all nodes' words come together in. */
export class Oracle {
  readonly #acked: Acked[] = [];
  /** The last version by which a claim was deleted, of those that were acked. */
  readonly #deletes = new Map<string, Version>();
  /** Keys of deletes of whose end nobody heard. */
  readonly #maybeDeleted = new Set<string>();
  /** The last version of a claim that was named in a conflict. */
  readonly #conflicts = new Map<string, Version>();
  readonly #conflictKeys = new Set<string>();
  /** What each node's watch showed last. */
  readonly #shown = new Map<string, Version>();
  readonly #discards: Discard[] = [];
  /** The keys that a value was meant for. */
  readonly #written = new Map<string, Set<string>>();
  /** Batches of which a list showed a part, by what it showed. */
  readonly #halves = new Map<string, readonly string[]>();
  readonly violations: string[] = [];
  /** Whether directories were copied or put back: clones are no surprise. */
  images = false;
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

  /** The writes that were acked. */
  get acks(): readonly Acked[] {
    return this.#acked;
  }

  /** A write is about to be made. */
  wrote(key: string, value: string): void {
    const keys = this.#written.get(value);
    if (keys === undefined) this.#written.set(value, new Set([key]));
    else keys.add(key);
  }

  /** A node gave a value. */
  read(node: number, key: string, value: string): void {
    if (this.#written.get(value)?.has(key)) return;
    this.violate(`R3: node ${node} gave "${value.slice(0, 20)}" for "${key}"`);
  }

  /** A node listed the keys of a batch, all at one moment. */
  listed(node: number, keys: readonly string[], values: Set<unknown>): void {
    if (values.size < 2) return;
    // A conflict may be heard of later: judged at the end.
    this.#halves.set(`node ${node} listed ${keys} as ${[...values]}`, keys);
  }

  /** A write was acked. */
  acked(write: Acked): void {
    this.#acked.push(write);
    const { key, version, value } = write;
    if (value === null) raise(this.#deletes, claimName(key, version), version);
  }

  /** A write failed: unless it was refused, its deletes may have happened. */
  failed(ops: readonly RemoteOp[], error: unknown): void {
    const isRemote = error instanceof RemoteCallError;
    if (isRemote && REFUSALS.includes(error.code)) return;
    const refused = new Set(
      (isRemote ? error.failed : [])
        .flatMap(([key, code]) => REFUSALS.includes(code) ? key : []),
    );
    // Of several ops to one key the last one counts.
    for (const [key, value] of new Map(ops.map((op) => [op[0], op[1]]))) {
      if (value === null && !refused.has(key)) this.#maybeDeleted.add(key);
    }
  }

  /** A node named a write as lost, with the other keys of its batch. */
  conflict(
    key: string,
    lost: Version,
    batchKeys: readonly string[] = [],
  ): void {
    raise(this.#conflicts, claimName(key, lost), lost);
    for (const name of [key, ...batchKeys]) this.#conflictKeys.add(name);
  }

  /** Data was taken away: what nobody else had is no promise any more. */
  discard(discard: Discard): void {
    this.images = true;
    this.#discards.push(discard);
  }

  /** A directory was put back: its node shows again what it had shown since. */
  forgetShown(node: number): void {
    for (const at of [...this.#shown.keys()]) {
      if (at.startsWith(`${node} `)) this.#shown.delete(at);
    }
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

  /** What a node read after a write was acked there. */
  readOwn(node: number, key: string, wrote: Version, found: Version): void {
    if (compareVersions(found, wrote) < 0) {
      this.violate(`node ${node} read an older "${key}" than it had written`);
    }
  }

  /**
   * Compares what is on the disks with each other and with what was acked. A
   * tombstone may be gone from a directory, and be in another one still: it is taken
   * away once all have said that they know that all have it, not at one moment.
   */
  judge(all: readonly Left[], batches: Iterable<readonly string[]>): void {
    const vectors = all.map(({ vector }) => vector);
    const [first, ...others] = all;
    others.forEach((other, i) => {
      const node = i + 1;
      if (
        !first!.vector.includes(other.vector) ||
        !other.vector.includes(first!.vector)
      ) {
        this.divergent++;
        this.violate(`I1: nodes 0 and ${node} do not cover the same`);
      }
      for (
        const key of new Set([...first!.rows.keys(), ...other.rows.keys()])
      ) {
        const [a, b] = [first!.rows.get(key), other.rows.get(key)];
        const [one, two] = [JSON.stringify(a), JSON.stringify(b)];
        if (one === two) continue;
        if (a === undefined && isCollected(b!, first!, vectors)) continue;
        if (b === undefined && isCollected(a!, other, vectors)) continue;
        this.divergent++;
        this.violate(
          `I1: "${key}" is ${one} on node 0, ${two} on node ${node}`,
        );
      }
    });
    for (const write of this.#acked) this.#judgeAck(first!, write, vectors);
    for (const [what, keys] of this.#halves) {
      if (keys.some((key) => this.#conflictKeys.has(key))) continue;
      this.violate(`I4: half a batch: ${what}`);
    }
    for (const keys of batches) {
      const values = new Set(keys.map((key) => first!.rows.get(key)?.value));
      if (values.size < 2) continue;
      if (keys.some((key) => this.#conflictKeys.has(key))) continue;
      this.violate(`I4: half a batch: ${keys} are ${[...values]}`);
    }
  }

  #judgeAck(
    { rows, lifeGone }: Left,
    { key, version, value }: Acked,
    vectors: readonly Vector[],
  ): void {
    const name = claimName(key, version);
    const row = rows.get(key);
    const order = row !== undefined && claimName(key, row.version) === name
      ? compareVersions(row.version, version)
      : -1;
    if (order === 0 && row!.value !== value) {
      this.violate(`I2: "${key}" holds another value than was acked`);
    }
    if (order >= 0 || this.#isGone(version, vectors)) return;
    const mayBeGone = version.life <= lifeGone && isCovered(version, vectors);
    if (mayBeGone && this.#isDeleted(key, version, row?.version)) return;
    const reported = this.#conflicts.get(name);
    if (reported !== undefined && compareVersions(reported, version) >= 0) {
      return;
    }
    this.lost++;
    this.violate(
      `I2: the write of "${key}" acked as ${
        JSON.stringify(version)
      } is lost: ` +
        `there is ${JSON.stringify(row)}`,
    );
  }

  /**
   * Whether its claim has ended, or may have, by a delete before what there is now was
   * claimed: whoever claims a key anew has had the tombstone, and its clock.
   */
  #isDeleted(
    key: string,
    version: Version,
    now: Version | undefined,
  ): boolean {
    if (now !== undefined && now.life <= version.life) return false;
    const last = this.#deletes.get(claimName(key, version));
    if (last === undefined || compareVersions(last, version) < 0) {
      return this.#maybeDeleted.has(key);
    }
    return now === undefined || now.claim.hlc > last.hlc;
  }

  /** Whether it went with the only directory that had it. */
  #isGone(version: Version, vectors: readonly Vector[]): boolean {
    return !vectors.some((vector) => covers(vector, version)) &&
      this.#discards.some(({ before, after }) =>
        covers(before, version) && !covers(after, version)
      );
  }
}

/** Keeps the largest version of a name. */
function raise(
  versions: Map<string, Version>,
  name: string,
  version: Version,
): void {
  const last = versions.get(name);
  if (last === undefined || compareVersions(version, last) > 0) {
    versions.set(name, version);
  }
}

/** Whether a directory may have collected a tombstone that another one has. */
function isCollected(
  { value, version }: Row,
  { lifeGone }: Left,
  vectors: readonly Vector[],
): boolean {
  return value === null && version.life <= lifeGone &&
    isCovered(version, vectors);
}

/** Whether all directories have it, or what came after it. */
function isCovered(version: Version, vectors: readonly Vector[]): boolean {
  return vectors.every((vector) => covers(vector, version));
}

function covers(vector: Vector, { dot }: Version): boolean {
  return vector.covers(dot.origin, dot.seq);
}

function claimName(key: string, { claim }: Version): string {
  return `${key} ${claim.hlc} ${claim.node}`;
}
