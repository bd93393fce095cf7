/**
 * The changes that wait for one watcher.
 *
 * Guarantees: bounded in bytes, whatever happens. A batch waits whole and in order
 * as long as there is room. Where there is none, all that waits becomes one batch
 * with the newest version of each key, those marked `coalesced` of which an earlier
 * one is left out: read whole, it is again a state that this node had. Only where
 * that does not fit either are batches dropped, and counted, in their place.
 *
 * @module
 */

import { shortened, type Step } from "./progress.ts";
import { keyText } from "./keyspace.ts";
import type { Entry } from "./replication/entry.ts";

/** An entry that a watcher is to be told of. */
export interface Waiting {
  readonly entry: Entry;
  /** Whether versions before this one may be left out. */
  readonly coalesced: boolean;
}

/** What is handed out at once: changes, or how many batches were dropped. */
export type Handed =
  | {
    readonly kind: "changes";
    readonly changes: readonly Waiting[];
    /** How far the watcher has come with them. */
    readonly steps: readonly Step[];
  }
  | {
    readonly kind: "lagged";
    readonly missed: number;
    readonly steps: readonly Step[];
  };

/** Bytes that a change takes beside its key and value, about. */
export const CHANGE_BYTES = 200;

/** Bytes that an entry takes while it waits, about. */
export function waitingBytes({ key, value }: Entry): number {
  return CHANGE_BYTES + key.length + (value?.length ?? 0);
}

interface Batch {
  readonly changes: readonly Waiting[];
  readonly steps: readonly Step[];
}

/** The changes that wait for one watcher. */
export class ChangeQueue {
  readonly #bytesMax: number;
  #batches: Batch[] = [];
  /** All that waits, once there was no room for it batch by batch. */
  #folded: { changes: Map<string, Waiting>; steps: Step[] } | undefined;
  #bytes = 0;
  /** What went by since the last batch and is of no interest to the watcher. */
  #passed: Step[] = [];
  #missed = 0;

  /** @param bytesMax Bytes that may wait; a single batch may have more. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#batches.length === 0 && this.#folded === undefined &&
      this.#missed === 0;
  }

  /** Bytes that wait, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Something happened that the watcher is not told of. */
  pass(step: Step): void {
    this.#passed.push(step);
    this.#passed = shortened(this.#passed);
  }

  /** What went by behind the last batch that was handed out, if nothing waits. */
  takePassed(): Step[] {
    if (!this.isEmpty) return [];
    const passed = this.#passed;
    this.#passed = [];
    return passed;
  }

  /** Adds a batch. */
  push(changes: readonly Waiting[], step: Step): void {
    this.pass(step);
    const steps = this.#passed;
    this.#passed = [];
    let bytes = 0;
    for (const { entry } of changes) bytes += waitingBytes(entry);
    if (this.#missed === 0 && this.#folded === undefined) {
      if (this.#batches.length === 0 || this.#bytes + bytes <= this.#bytesMax) {
        this.#batches.push({ changes, steps });
        this.#bytes += bytes;
        return;
      }
      this.#foldAll();
    }
    // Once something was dropped the rest is too, until the watcher is told.
    if (this.#missed === 0 && this.#fits(changes)) {
      this.#fold({ changes, steps });
    } else {
      this.#missed++;
      this.#passed = steps;
    }
  }

  /** Hands out what comes next. */
  take(): Handed | undefined {
    const batch = this.#batches.shift();
    if (batch !== undefined) {
      for (const { entry } of batch.changes) this.#bytes -= waitingBytes(entry);
      return { kind: "changes", ...batch };
    }
    if (this.#folded !== undefined) {
      const { changes, steps } = this.#folded;
      this.#folded = undefined;
      this.#bytes = 0;
      return { kind: "changes", changes: [...changes.values()], steps };
    }
    if (this.#missed === 0) return undefined;
    const lagged = {
      kind: "lagged" as const,
      missed: this.#missed,
      steps: this.#passed,
    };
    this.#missed = 0;
    this.#passed = [];
    return lagged;
  }

  #foldAll(): void {
    const batches = this.#batches;
    this.#batches = [];
    this.#folded = { changes: new Map(), steps: [] };
    this.#bytes = 0;
    for (const batch of batches) this.#fold(batch);
  }

  #fits(changes: readonly Waiting[]): boolean {
    let bytes = this.#bytes;
    for (const { entry } of changes) {
      const before = this.#folded!.changes.get(keyText(entry.key));
      bytes += waitingBytes(entry);
      if (before !== undefined) bytes -= waitingBytes(before.entry);
    }
    return bytes <= this.#bytesMax;
  }

  #fold({ changes, steps }: Batch): void {
    const folded = this.#folded!;
    for (const { entry, coalesced } of changes) {
      const text = keyText(entry.key);
      const before = folded.changes.get(text);
      if (before !== undefined) this.#bytes -= waitingBytes(before.entry);
      // In the order of the newest versions.
      folded.changes.delete(text);
      const isPart = coalesced || before !== undefined;
      folded.changes.set(text, { entry, coalesced: isPart });
      this.#bytes += waitingBytes(entry);
    }
    folded.steps.push(...steps);
    folded.steps = shortened(folded.steps);
  }
}
