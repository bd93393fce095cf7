/**
 * What a MANIFEST adds up to.
 *
 * @module
 */

import { compareBytes, DecodeError } from "../../runtime/mod.ts";
import type { LogIdentity } from "../log/frame.ts";
import type { TableInfo } from "../table/format.ts";
import { LEVELS } from "../version.ts";
import type { VersionEdit } from "./edit.ts";

/** The sum of all edits of a store. */
export class ManifestState {
  /** The number that the next table gets. */
  nextNumber = 1;
  /** The largest sequence number in tables. */
  lastSeq = 0;
  /** The first WAL that is needed. */
  firstWal = 1;
  /** The last WAL that is known to be on the device; 0 if there was none. */
  lastWal = 0;
  /** The last WAL that was closed cleanly. */
  closedWal: LogIdentity | undefined;
  readonly #tables: Map<number, TableInfo>[] = Array.from(
    { length: LEVELS },
    () => new Map(),
  );

  /** The tables of a level. */
  tables(level: number): readonly TableInfo[] {
    return [...this.#tables[level]!.values()];
  }

  /**
   * Adds an edit.
   *
   * @throws {DecodeError} If it does not fit what was before.
   */
  apply(edit: VersionEdit): void {
    this.nextNumber = edit.nextNumber ?? this.nextNumber;
    this.lastSeq = edit.lastSeq ?? this.lastSeq;
    this.firstWal = edit.firstWal ?? this.firstWal;
    // A WAL may be in tables before it was on the device.
    this.lastWal = Math.max(edit.lastWal ?? this.lastWal, this.firstWal - 1);
    this.closedWal = edit.closedWal ?? this.closedWal;
    for (const { level, number } of edit.dropped ?? []) {
      if (!this.#tables[level]?.delete(number)) {
        throw misfit(`it drops table ${number}, which is not there`);
      }
    }
    for (const { level, info } of edit.added ?? []) {
      const tables = this.#tables[level];
      if (tables === undefined) throw misfit(`it names level ${level}`);
      if (this.#tables.some((others) => others.has(info.number))) {
        throw misfit(`it adds table ${info.number} twice`);
      }
      tables.set(info.number, info);
    }
  }

  /**
   * Checks what no single edit shows.
   *
   * @throws {DecodeError} If tables below level 0 overlap, or numbers are
   * impossible.
   */
  check(): void {
    this.#tables.forEach((tables, level) => {
      const sorted = [...tables.values()].sort((a, b) =>
        compareBytes(a.minKey, b.minKey)
      );
      sorted.forEach((table, i) => {
        const next = sorted[i + 1];
        if (
          table.number >= this.nextNumber ||
          compareBytes(table.minKey, table.maxKey) > 0 ||
          (level > 0 && next !== undefined &&
            compareBytes(table.maxKey, next.minKey) >= 0)
        ) throw misfit(`table ${table.number} is out of place`);
      });
    });
  }

  /** All of it as one edit. */
  snapshot(): VersionEdit {
    const { nextNumber, lastSeq, firstWal, lastWal, closedWal } = this;
    const added = this.#tables.flatMap((tables, level) =>
      [...tables.values()].map((info) => ({ level, info }))
    );
    const edit = { nextNumber, lastSeq, firstWal, lastWal, added };
    return closedWal === undefined ? edit : { ...edit, closedWal };
  }
}

function misfit(detail: string): DecodeError {
  return new DecodeError("a version edit", detail);
}
