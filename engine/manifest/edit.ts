/**
 * A version edit: how the set of tables and logs changes in one step.
 *
 * Tagged fields (see `tlv.ts`), each kind at most once, tables any number of
 * times:
 *
 * ```text
 * 1 comparator  "bytewise"      2 nextNumber u48    3 lastSeq u48
 * 4 firstWal u32                5 lastWal u32
 * 6 addTable    u8 level | u48 number | u48 size | u48 rows | u48 tombstones
 *               | u48 minSeq | u48 maxSeq | u16 length, minKey
 *               | u16 length, maxKey
 * 7 dropTable   u8 level | u48 number
 * 8 closedWal   u32 id | u48 length | u32 chain
 * ```
 *
 * `lastSeq` is the largest sequence number in tables; the ops behind it are in
 * the WALs from `firstWal` on, without a gap. Those up to `lastWal` are on the
 * device; later ones count as far as each follows on the one before. `closedWal`
 * is written at a clean close: how that WAL must be found.
 *
 * @module
 */

import { type Reader, Writer } from "../../runtime/mod.ts";
import type { LogIdentity } from "../log/frame.ts";
import type { TableInfo } from "../table/format.ts";
import { readFields, writeField } from "../tlv.ts";

const COMPARATOR = "bytewise";
const WHAT = "a version edit";

/** A change of a store's tables and logs. */
export interface VersionEdit {
  /** The number that the next table gets. */
  nextNumber?: number;
  /** The largest sequence number in tables. */
  lastSeq?: number;
  /** The first WAL that is needed. */
  firstWal?: number;
  /** The last WAL that is known to be on the device. */
  lastWal?: number;
  /** A WAL that was closed cleanly, as it was then. */
  closedWal?: LogIdentity;
  /** Tables that are dropped, before others are added. */
  dropped?: readonly DroppedTable[];
  /** Tables that are added. */
  added?: readonly AddedTable[];
}

/** A table that leaves a level. */
export interface DroppedTable {
  /** The level. */
  level: number;
  /** The table's number. */
  number: number;
}

/** A table that joins a level. */
export interface AddedTable {
  /** The level. */
  level: number;
  /** The table. */
  info: TableInfo;
}

/** Writes an edit. */
export function encodeEdit(edit: VersionEdit): Uint8Array {
  const writer = new Writer();
  writeField(writer, 1, (field) => {
    for (const char of COMPARATOR) field.u8(char.charCodeAt(0));
  });
  const { nextNumber, lastSeq, firstWal, lastWal, closedWal } = edit;
  if (nextNumber !== undefined) {
    writeField(writer, 2, (field) => field.u48(nextNumber));
  }
  if (lastSeq !== undefined) {
    writeField(writer, 3, (field) => field.u48(lastSeq));
  }
  if (firstWal !== undefined) {
    writeField(writer, 4, (field) => field.u32(firstWal));
  }
  if (lastWal !== undefined) {
    writeField(writer, 5, (field) => field.u32(lastWal));
  }
  for (const { level, info } of edit.added ?? []) {
    writeField(writer, 6, (field) => {
      field.u8(level).u48(info.number).u48(info.size).u48(info.rows)
        .u48(info.tombstones).u48(info.minSeq).u48(info.maxSeq)
        .u16(info.minKey.length).raw(info.minKey)
        .u16(info.maxKey.length).raw(info.maxKey);
    });
  }
  for (const { level, number } of edit.dropped ?? []) {
    writeField(writer, 7, (field) => field.u8(level).u48(number));
  }
  if (closedWal !== undefined) {
    writeField(writer, 8, (field) => {
      field.u32(closedWal.id).u48(closedWal.length).u32(closedWal.chain);
    });
  }
  return writer.finish();
}

/**
 * Reads an edit.
 *
 * @throws {DecodeError} If it is malformed.
 */
export function decodeEdit(bytes: Uint8Array): VersionEdit {
  const edit: VersionEdit = {};
  const added: AddedTable[] = [];
  const dropped: DroppedTable[] = [];
  readFields(bytes, WHAT, (tag, field) => {
    switch (tag) {
      case 1:
        for (const char of COMPARATOR) {
          if (field.u8() !== char.charCodeAt(0)) {
            field.fail("its order of keys is not known to this release");
          }
        }
        return true;
      case 2:
        edit.nextNumber = field.u48();
        return true;
      case 3:
        edit.lastSeq = field.u48();
        return true;
      case 4:
        edit.firstWal = field.u32();
        return true;
      case 5:
        edit.lastWal = field.u32();
        return true;
      case 6:
        added.push({ level: field.u8(), info: readTable(field) });
        return true;
      case 7:
        dropped.push({ level: field.u8(), number: field.u48() });
        return true;
      case 8:
        edit.closedWal = {
          id: field.u32(),
          length: field.u48(),
          chain: field.u32(),
        };
        return true;
      default:
        return false;
    }
  });
  if (added.length > 0) edit.added = added;
  if (dropped.length > 0) edit.dropped = dropped;
  return edit;
}

function readTable(field: Reader): TableInfo {
  return {
    number: field.u48(),
    size: field.u48(),
    rows: field.u48(),
    tombstones: field.u48(),
    minSeq: field.u48(),
    maxSeq: field.u48(),
    minKey: field.raw(field.u16()).slice(),
    maxKey: field.raw(field.u16()).slice(),
  };
}
