/**
 * The oracle: remembers what clients were told and what nodes have shown, and
 * says which invariant (`invariants.ts`) that breaks.
 *
 * Assumes: it is told of every ack, every conflict, every batch of a watch, and
 * of every disk from which data was taken away ({@linkcode Oracle.discard}).
 *
 * @module
 */

import { crc32 } from "../../runtime/bytes.ts";
import {
  type Change,
  compareVersions,
  type KeyChange,
  type Version,
} from "../../mod.ts";
import type { Dot } from "../../gossip/replication/dot.ts";
import { versionOf } from "../../gossip/replication/entry.ts";
import type { LogRecord } from "../../gossip/replication/record.ts";
import type { Vector } from "../../gossip/replication/vector.ts";
import type { InvariantId, Violation } from "./invariants.ts";
import type { NodeState, Row } from "./rows.ts";
import {
  type Before,
  type ReadNow,
  WatchJudge,
  type WatchJudgeOptions,
} from "./watch_judge.ts";

/** What a key is by a version. */
export type KeyState = Pick<Row, "value" | "version">;

/** Data was taken away from a disk: its records are no promise any more. */
export interface Discard {
  /** What the disk covered. */
  readonly before: Vector;
  /** What it covers since; told once the node is open again. */
  after: Vector;
  /** What all other disks covered at that moment. */
  readonly others: Vector;
}

/** An acked write. */
interface Ack {
  readonly key: string;
  readonly version: Version;
  readonly deleted: boolean;
}

/** What is known of one key of a record. */
interface KnownEntry {
  readonly version: Version;
  /** `undefined` if it deletes the key. */
  readonly value: string | undefined;
  /** Whether a client was told so: it is what was asked for, and the truth. */
  readonly acked: boolean;
}

/** What is known of a record. */
interface Known {
  readonly entries: Map<string, KnownEntry>;
  /** What was there wherever it was applied; none until it was seen whole. */
  deps: readonly Dot[];
  /** The checksum of all of it, once it was seen whole. */
  crc: number | undefined;
}

/** A batch of a watch. */
interface Shown {
  readonly at: number;
  readonly watch: WatchJudge;
  readonly changes: readonly Change[];
  readonly befores: readonly Before[];
  /** What the node covered when the watch began, or read all anew. */
  readonly first: Vector | undefined;
}

/** Violations that are kept of each invariant; the first ones matter. */
const VIOLATIONS_MAX = 5;

const NO_DOTS: readonly Dot[] = [];

const decoder = new TextDecoder();

/** Judges one life of a cluster. */
export class Oracle {
  readonly violations: Violation[] = [];
  readonly #now: () => number;
  readonly #acks: Ack[] = [];
  readonly #swaps = new Map<string, Ack[]>();
  readonly #lost = new Map<string, Version[]>();
  readonly #written = new Map<number, Set<string>>();
  readonly #records = new Map<number, Map<number, Known>>();
  readonly #discards: Discard[] = [];
  /** Who leads a key, by key and claim. */
  readonly #holders = new Map<string, number>();
  /**
   * The highest version of each key that an origin has written up to a record, in
   * the order of the records: many more records are known than keys.
   */
  readonly #highest = new Map<
    number,
    Map<string, { seq: number; version: Version }[]>
  >();
  /** Batches of watches that are not yet known to be whole. */
  #watched: Shown[] = [];
  readonly #removed = new Set<number>();
  /** Versions by which a key was deleted, of those that are known. */
  readonly #deletes = new Map<string, Version[]>();
  #conflicts = 0;
  #lostAcks = 0;

  /** An oracle that knows nothing; `now` is virtual time. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Writes acked. */
  get acked(): number {
    return this.#acks.length;
  }

  /** Writes that were acked and are gone, or deleted and back; all of them. */
  get lostAcks(): number {
    return this.#lostAcks;
  }

  /** Versions that were reported to have lost. */
  get conflicts(): number {
    return this.#conflicts;
  }

  /** An invariant does not hold. */
  violate(id: InvariantId, text: string): void {
    const same = this.violations.filter((violation) => violation.id === id);
    if (same.length >= VIOLATIONS_MAX) return;
    this.violations.push({ id, at: Math.round(this.#now()), text });
  }

  /** A client is about to write a value. */
  writes(key: string, value: number): void {
    const keys = this.#written.get(value);
    if (keys === undefined) this.#written.set(value, new Set([key]));
    else keys.add(key);
  }

  /**
   * A client was told that a write is done.
   *
   * @param value What it wrote; `undefined` if it deleted the key.
   */
  acks(
    key: string,
    version: Version,
    { value, checked }: { value: string | undefined; checked?: Version },
  ): void {
    const ack = { key, version, deleted: value === undefined };
    this.#acks.push(ack);
    this.#learn(key, { version, value }, "what was acked", true);
    if (checked === undefined) return;
    const name = `${key} ${versionText(checked)}`;
    const swaps = this.#swaps.get(name);
    if (swaps === undefined) this.#swaps.set(name, [ack]);
    else swaps.push(ack);
  }

  /** A conflict was reported, with what was lost. */
  reports(key: string, lost: KeyState, where: string): void {
    let versions = this.#lost.get(key);
    if (versions === undefined) this.#lost.set(key, versions = []);
    const { version } = lost;
    if (versions.some((one) => compareVersions(one, version) === 0)) return;
    versions.push(version);
    this.#conflicts++;
    this.#learn(key, lost, `a conflict at ${where}`);
  }

  /** Data was taken away. */
  discard(discard: Discard): void {
    this.#discards.push(discard);
  }

  /** A node was removed, or has left: its keys may be claimed by others. */
  removes(node: number): void {
    this.#removed.add(node);
  }

  /** A node says what a key is, or was, by a version. */
  holds(key: string, state: KeyState, where: string): void {
    const { dot } = state.version;
    const known = this.#records.get(dot.origin)?.get(dot.seq)?.entries.get(key);
    // It was judged when it was first heard of, wherever that was.
    if (
      known !== undefined && known.value === state.value &&
      compareVersions(known.version, state.version) === 0
    ) return;
    if (known !== undefined) this.reads(key, state.value, where);
    this.#learn(key, state, where);
  }

  /** A client read a value. */
  reads(key: string, value: string | undefined, where: string): void {
    if (value === undefined) return;
    const keys = this.#written.get(Number(/^v(\d+)\.x*$/.exec(value)?.[1]));
    if (!keys?.has(key)) {
      this.violate("R3", `${where} gave ${short(value)} for "${key}"`);
    }
  }

  /** A record was seen in a log. */
  sees(record: LogRecord, where: string): void {
    const known = this.#known(record);
    const crc = crc32(record.bytes);
    if (known.crc !== undefined) {
      if (known.crc === crc) return;
      this.violate("I5", `${where} has another record at ${dotText(record)}`);
    }
    for (const entry of record.entries) {
      const value = entry.value && decoder.decode(entry.value);
      const state = { version: versionOf(entry), value };
      this.#learn(decoder.decode(entry.key), state, where);
    }
    known.crc ??= crc;
    if (record.deps.length > 0) known.deps = record.deps;
    if (known.entries.size > record.entries.length) {
      this.violate(
        "I5",
        `${where} lacks keys that others have of ${dotText(record)}`,
      );
    }
  }

  /** The state of a node at a moment between two of its batches. */
  inspects(where: string, { rows, vector }: NodeState): void {
    for (const [key, row] of rows) {
      const { dot } = row.version;
      if (!vector.covers(dot.origin, dot.seq)) {
        this.violate(
          "I6",
          `${where} has "${key}" of a record that it does not cover`,
        );
      }
      this.holds(key, row, where);
      this.#leads(key, row.version, row.leaseholder, where);
    }
    const gone = new Map<string, boolean>();
    const isGone = (key: string): boolean => {
      let is = gone.get(key);
      if (is === undefined) {
        gone.set(key, is = this.#isGone(key, vector) !== undefined);
      }
      return is;
    };
    for (const [origin, records] of this.#records) {
      const covered = vector.seq(origin);
      if (covered === 0) continue;
      if (this.#standsAbove(rows, isGone, { origin, seq: covered })) continue;
      for (const [seq, { entries }] of records) {
        if (seq > covered) continue;
        for (const [key, { version }] of entries) {
          const row = rows.get(key);
          if (row === undefined && isGone(key)) continue;
          if (row === undefined || compareVersions(row.version, version) < 0) {
            this.violate(
              entries.size > 1 && this.#hasPart(rows, entries) ? "I4" : "I6",
              `${where} covers ${dotText({ origin, seq })} but "${key}" is ${
                row === undefined ? "absent" : versionText(row.version)
              }, below ${versionText(version)}`,
            );
          }
        }
      }
    }
  }

  /** Begins to judge a watch; `shown` lives as long as the node's disk. */
  watch(
    where: string,
    shown: Map<string, Version>,
    options: WatchJudgeOptions = {},
  ): WatchJudge {
    return new WatchJudge(this, where, shown, options);
  }

  /**
   * A watch showed a batch; judged later, when its records are known.
   *
   * @param befores What it had shown of each key before.
   * @param first What the node covered when it began, or read all anew.
   */
  shows(
    watch: WatchJudge,
    changes: readonly Change[],
    befores: readonly Before[],
    first: Vector | undefined,
  ): void {
    this.#watched.push({ at: this.#now(), watch, changes, befores, first });
  }

  /** What a watch has just shown the node has, and the rest of its batch. */
  finds(
    { where }: WatchJudge,
    changes: readonly Change[],
    read: ReadNow,
  ): void {
    for (const change of changes) {
      if (!isOfKey(change)) continue;
      const { entries } = this.#known(change.version.dot);
      const own = [decoder.decode(change.key), change] as const;
      for (const [key, { version }] of [own, ...entries]) {
        const here = read(key);
        if (here !== undefined && compareVersions(here, version) >= 0) continue;
        this.violate(
          "I4",
          `${where} was shown ${
            dotText(version.dot)
          } of which it does not have "${key}"`,
        );
      }
    }
  }

  /** Forgets batches that are whole, and those of which no log tells any more. */
  settles(): void {
    const old = this.#now() - 60_000;
    this.#watched = this.#watched.filter((shown) => {
      const missing = this.#missing(shown.watch, shown.changes);
      const stays = missing === undefined ? shown.at > old : missing.length > 0;
      if (!stays) this.#judgeGaps(shown);
      return stays;
    });
  }

  /** All that was acked is to be found in the state that all nodes agree on. */
  concludes({ rows, vector }: NodeState): void {
    for (const { key, version, deleted } of this.#acks) {
      const row = rows.get(key);
      const final = row?.version ?? this.#isGone(key, vector);
      const { origin, seq } = version.dot;
      if (
        !vector.covers(origin, seq) && !this.#isExplained(key, version)
      ) {
        this.#lostAcks++;
        this.violate(
          "I2",
          `"${key}", acked as ${versionText(version)}, is covered by nobody`,
        );
        continue;
      }
      const kept = final !== undefined &&
        (sameClaim(final, version) || this.#isTakenOver(final, version) ||
          this.#isReborn(key, final, version)) &&
        compareVersions(final, version) >= 0;
      if (kept || this.#isExplained(key, version)) continue;
      this.#lostAcks++;
      this.violate(
        deleted && row?.value !== undefined ? "I3" : "I2",
        `"${key}", acked as ${versionText(version)}, is ${
          row === undefined ? "absent" : versionText(row.version)
        }`,
      );
    }
    for (const [name, swaps] of this.#swaps) {
      const standing = swaps.filter(({ key, version }) =>
        !this.#isExplained(key, version)
      );
      if (standing.length > 1) {
        this.violate("C1", `${standing.length} swaps of ${name} were acked`);
      }
    }
    for (const shown of this.#watched) {
      const { watch, changes } = shown;
      this.#judgeGaps(shown);
      for (const key of this.#missing(watch, changes) ?? []) {
        this.violate("I4", `${watch.where} saw a batch without "${key}"`);
      }
    }
  }

  /**
   * Between two versions of a key that a watch showed, and no word of others, there
   * was none: of what a record builds on all was applied where it was.
   */
  #judgeGaps({ watch, changes, befores, first }: Shown): void {
    changes.forEach((change, i) => {
      const before = befores[i];
      if (!isOfKey(change) || change.coalesced) return;
      if (before === undefined) return;
      const key = decoder.decode(change.key);
      const { dot: { origin, seq } } = change.version;
      const { deps } = this.#known(change.version.dot);
      for (const dot of [{ origin, seq: seq - 1 }, ...deps]) {
        const steps = this.#highest.get(dot.origin)?.get(key);
        const between = steps && highestUpTo(steps, dot.seq);
        if (between === undefined) continue;
        const isOld = before === null
          // It had come and gone before, with the mark of its deletion.
          ? first?.covers(between.dot.origin, between.dot.seq)
          : compareVersions(between, before) <= 0;
        if (isOld) continue;
        this.violate(
          "I7",
          `${watch.where} was not shown "${key}" ${versionText(between)}, ` +
            `but ${versionText(change.version)} after ${
              before === null ? "nothing" : versionText(before)
            }`,
        );
      }
    });
  }

  /** Keys that a batch of a watch lacks; `undefined` if its record is unknown. */
  #missing(
    watch: WatchJudge,
    changes: readonly Change[],
  ): string[] | undefined {
    const shown = new Set<string>();
    for (const change of changes) {
      if (isOfKey(change)) shown.add(decoder.decode(change.key));
    }
    const missing: string[] = [];
    for (const change of changes) {
      if (!isOfKey(change) || change.coalesced) continue;
      const known = this.#known(change.version.dot);
      if (known.crc === undefined) return undefined;
      for (const [key, { version }] of known.entries) {
        const reported = this.#lost.get(key)?.some((lost) =>
          compareVersions(lost, version) === 0
        );
        if (!key.startsWith(watch.prefix)) continue;
        if (!shown.has(key) && reported !== true) missing.push(key);
      }
    }
    return missing;
  }

  /** Whether a write was reported to have lost, or its only disk has gone. */
  #isExplained(key: string, version: Version): boolean {
    return this.#lost.get(key)?.some((lost) =>
      sameClaim(lost, version) && compareVersions(lost, version) >= 0
    ) || this.#isDiscarded(version);
  }

  /** Whether the only disk that had a write has gone. */
  #isDiscarded({ dot: { origin, seq } }: Version): boolean {
    return this.#discards.some(({ before, after, others }) =>
      before.covers(origin, seq) && !after.covers(origin, seq) &&
      !others.covers(origin, seq)
    );
  }

  /** Whether a key of a removed node was claimed anew. */
  #isTakenOver(final: Version, version: Version): boolean {
    return final.life > version.life && this.#removed.has(version.claim.node);
  }

  /**
   * Whether a key that is absent was deleted last, of all that is covered, so that
   * its tombstone may be gone: the version of it.
   */
  #isGone(key: string, vector: Vector): Version | undefined {
    let highest: Version | undefined;
    for (const [origin, keys] of this.#highest) {
      const steps = keys.get(key);
      const version = steps && highestUpTo(steps, vector.seq(origin));
      if (version === undefined) continue;
      if (highest === undefined || compareVersions(version, highest) > 0) {
        highest = version;
      }
    }
    if (highest === undefined) return undefined;
    const { value } = this.#known(highest.dot).entries.get(key)!;
    return value === undefined ? highest : undefined;
  }

  /** Whether a key was deleted by its claim, and claimed anew in a later life. */
  #isReborn(key: string, final: Version, version: Version): boolean {
    return final.life > version.life &&
      this.#deletes.get(key)?.some((deleted) =>
          sameClaim(deleted, version) && compareVersions(deleted, version) >= 0
        ) === true;
  }

  /** Who leads a key by a claim leads it on every node. */
  #leads(key: string, { claim }: Version, holder: number, where: string): void {
    const name = `${key} ${claim.hlc} ${claim.node}`;
    const known = this.#holders.get(name);
    if (known === undefined) this.#holders.set(name, holder);
    else if (known !== holder) {
      this.violate(
        "H1",
        `"${key}" is led by ${holder} at ${where}, was led by ${known}`,
      );
    }
  }

  /** A version of a key has one value everywhere: that which was acked. */
  #learn(key: string, state: KeyState, where: string, acked = false): void {
    const { version, value } = state;
    const known = this.#known(version.dot);
    const { entries, crc } = known;
    const entry = entries.get(key);
    if (entry === undefined) {
      if (crc !== undefined) {
        this.violate("I5", `"${key}" is in no record ${dotText(version.dot)}`);
      }
      this.#enters(known, key, version.dot, { version, value, acked });
      // What is met again is what was judged here.
      if (!acked) this.reads(key, value, where);
      return;
    }
    if (compareVersions(entry.version, version) !== 0) {
      this.violate(
        "I5",
        `"${key}" of ${dotText(version.dot)} has another version at ${where}`,
      );
    } else if (entry.value !== value) {
      const told = acked ? state : entry.acked ? entry : undefined;
      this.violate(
        told === undefined ? "I5" : told.value === undefined ? "I3" : "R3",
        `"${key}" ${versionText(version)} is ${short(value)} in ${where}, ${
          short(entry.value)
        } ${entry.acked ? "as it was acked" : "elsewhere"}`,
      );
    }
    if (acked && !entry.acked) entries.set(key, { ...entry, value, acked });
  }

  #known({ origin, seq }: { origin: number; seq: number }): Known {
    let records = this.#records.get(origin);
    if (records === undefined) this.#records.set(origin, records = new Map());
    let known = records.get(seq);
    if (known === undefined) {
      known = { entries: new Map(), deps: NO_DOTS, crc: undefined };
      records.set(seq, known);
    }
    return known;
  }

  /** Takes down what a record has of a key. */
  #enters(
    known: Known,
    key: string,
    { origin, seq }: { origin: number; seq: number },
    entry: KnownEntry,
  ): void {
    const isNew = !known.entries.has(key);
    known.entries.set(key, entry);
    if (!isNew) return;
    if (entry.value === undefined) {
      const deletes = this.#deletes.get(key);
      if (deletes === undefined) this.#deletes.set(key, [entry.version]);
      else deletes.push(entry.version);
    }
    let keys = this.#highest.get(origin);
    if (keys === undefined) this.#highest.set(origin, keys = new Map());
    const steps = keys.get(key);
    if (steps === undefined) keys.set(key, [{ seq, version: entry.version }]);
    else {
      let at = steps.length;
      while (at > 0 && steps[at - 1]!.seq > seq) at--;
      steps.splice(at, 0, { seq, version: entry.version });
      // Each step has the highest version up to it.
      for (let i = Math.max(1, at); i < steps.length; i++) {
        const before = steps[i - 1]!.version;
        if (compareVersions(steps[i]!.version, before) < 0) {
          steps[i]!.version = before;
        }
      }
    }
  }

  /** Whether rows are at, or above, all that an origin wrote up to a record. */
  #standsAbove(
    rows: ReadonlyMap<string, Row>,
    isGone: (key: string) => boolean,
    { origin, seq }: Dot,
  ): boolean {
    for (const [key, steps] of this.#highest.get(origin) ?? []) {
      const version = highestUpTo(steps, seq);
      if (version === undefined) continue;
      const row = rows.get(key);
      if (
        row === undefined
          ? !isGone(key)
          : compareVersions(row.version, version) < 0
      ) {
        return false;
      }
    }
    return true;
  }

  #hasPart(
    rows: ReadonlyMap<string, Row>,
    entries: Known["entries"],
  ): boolean {
    return [...entries].some(([key, { version }]) => {
      const row = rows.get(key);
      return row !== undefined && compareVersions(row.version, version) === 0;
    });
  }
}

/** The highest version of a key that an origin wrote up to a record. */
function highestUpTo(
  steps: readonly { readonly seq: number; readonly version: Version }[],
  seq: number,
): Version | undefined {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle]!.seq <= seq) low = middle + 1;
    else high = middle;
  }
  return steps[low - 1]?.version;
}

/** Whether a change is one of a key. */
function isOfKey(change: Change): change is KeyChange {
  return change.type === "set" || change.type === "delete";
}

/** A version, for people. */
export function versionText(version: Version): string {
  const { claim, hlc, dot } = version;
  return `${claim.hlc}@${claim.node}:${hlc}(${dotText(dot)})`;
}

function dotText({ origin, seq }: { origin: number; seq: number }): string {
  return `${origin}.${seq}`;
}

function sameClaim(a: Version, b: Version): boolean {
  return a.life === b.life && a.term === b.term && a.sub === b.sub &&
    a.claim.hlc === b.claim.hlc && a.claim.node === b.claim.node;
}

function short(value: string | undefined): string {
  return value === undefined ? "deleted" : JSON.stringify(value.slice(0, 20));
}
