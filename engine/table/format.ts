/**
 * The table: an immutable sorted run of entries in a file.
 *
 * ```text
 * table   := data block* | filter | properties | index block | footer
 * stored  := body | trailer             so each block lies in the file
 * trailer := u8 codec | u24 0 | u32 length of the body | u32 crc; what is before
 *            it is the body itself (codec 0), or the body compressed (see
 *            codec.ts), which data blocks alone are
 * crc     := CRC-32 of all before it in the stored block, continued from
 *            CRC-32(u64 table number | u64 offset)
 * handle  := u48 offset | u32 stored length
 * index   := a block (see block_builder.ts) of one row a data block: key is at
 *            or after the block's last key and before the next block's first
 *            (equal to it only where one key's entries span blocks), value is
 *            its handle
 * footer  := u32 format | u32 features | handle index | handle filter
 *            | handle properties | u48 table number | u64 store id (its first
 *            bytes) | u32 crc of all before | u64 magic          (64 bytes)
 * ```
 *
 * A feature is what a reader must know to read the table: one that it does not
 * know makes it a newer version's. Bit 0: data blocks may have codec 1.
 *
 * Properties are tagged fields (see `tlv.ts`): 1 rows u48, 2 tombstones u48,
 * 3 smallest and 4 largest sequence number u48, 5 first and 6 last key,
 * 7 bytes of keys and 8 of values u48. Tag 9 is kept for range deletes.
 *
 * Guarantees: a block read from another place, table or store does not verify.
 *
 * @module
 */

import {
  CorruptionError,
  crc32,
  getU32,
  putU32,
  type Reader,
  type Writer,
} from "../../runtime/mod.ts";
import { checkFormatVersion, FORMAT_VERSION } from "../log/frame.ts";
import { CODEC_NONE } from "./codec.ts";

/** The feature of a table whose data blocks may be compressed by zstd. */
export const FEATURE_ZSTD = 1;

/** Bytes behind the body of a stored block. */
export const TRAILER_BYTES = 12;
/** Bytes of a footer. */
export const FOOTER_BYTES = 64;
const FOOTER_CRC_AT = 52;
/** "aspensst" as bytes. */
const MAGIC = new Uint8Array([97, 115, 112, 101, 110, 115, 115, 116]);

/** What is known of a table without reading it. */
export interface TableInfo {
  /** Its number. */
  number: number;
  /** Its size in bytes. */
  size: number;
  /** Its entries. */
  rows: number;
  /** Those of them that delete. */
  tombstones: number;
  /** The smallest sequence number. */
  minSeq: number;
  /** The largest sequence number. */
  maxSeq: number;
  /** The first key. */
  minKey: Uint8Array;
  /** The last key. */
  maxKey: Uint8Array;
}

/** Where a block is in its table. */
export interface BlockHandle {
  /** Its offset in the file. */
  offset: number;
  /** Its length with trailer, in bytes. */
  length: number;
}

/** What a footer says. */
export interface Footer {
  /** What a reader must know, bit by bit. */
  features: number;
  /** Where the index is. */
  index: BlockHandle;
  /** Where the filter is. */
  filter: BlockHandle;
  /** Where the properties are. */
  properties: BlockHandle;
}

const identity = new Uint8Array(16);
const identityView = new DataView(identity.buffer);

/** The checksum of a stored block: of all but its last four bytes. */
export function blockChecksum(
  stored: Uint8Array,
  table: number,
  offset: number,
): number {
  return crc32(
    stored.subarray(0, stored.length - 4),
    identityChecksum(table, offset),
  );
}

/** The checksum of any bytes that end with their own, little-endian. */
const INTACT = 0x2144df1c;

/**
 * Whether a stored block ends with its {@linkcode blockChecksum}. Found out
 * without a view of what that covers: the checksum goes into the sum.
 */
export function isIntact(
  stored: Uint8Array,
  table: number,
  offset: number,
): boolean {
  return crc32(stored, identityChecksum(table, offset)) === INTACT;
}

function identityChecksum(table: number, offset: number): number {
  identityView.setUint32(0, table >>> 0, true);
  identityView.setUint32(4, Math.floor(table / 2 ** 32), true);
  identityView.setUint32(8, offset >>> 0, true);
  identityView.setUint32(12, Math.floor(offset / 2 ** 32), true);
  return crc32(identity);
}

/** Fills in the trailer for which the block has room at its end. */
export function finishBlock(
  stored: Uint8Array,
  table: number,
  offset: number,
  codec: number = CODEC_NONE,
  bodyLength: number = stored.length - TRAILER_BYTES,
): void {
  const at = stored.length - TRAILER_BYTES;
  putU32(stored, at, codec);
  putU32(stored, at + 4, bodyLength);
  putU32(stored, at + 8, blockChecksum(stored, table, offset));
}

/** Writes a handle. */
export function writeHandle(writer: Writer, handle: BlockHandle): void {
  writer.u48(handle.offset).u32(handle.length);
}

/** Bytes of a handle. */
export const HANDLE_BYTES = 10;

/**
 * Writes a handle where there is room for it, without making a writer.
 *
 * @throws {RangeError} If the offset does not fit into 48 bits.
 */
export function putHandle(
  target: Uint8Array,
  at: number,
  { offset, length }: BlockHandle,
): void {
  const high = Math.floor(offset / 2 ** 32);
  if (high > 0xffff) {
    throw new RangeError(`Cannot write a handle: ${offset} is beyond 48 bits`);
  }
  putU32(target, at, offset);
  target[at + 4] = high;
  target[at + 5] = high >>> 8;
  putU32(target, at + 6, length);
}

/** Reads a handle inside a block, without making what a reader needs. */
export function handleAt(bytes: Uint8Array, at: number): BlockHandle {
  return {
    offset: getU32(bytes, at) +
      (bytes[at + 4]! | bytes[at + 5]! << 8) * 2 ** 32,
    length: getU32(bytes, at + 6),
  };
}

/** Reads a handle. */
export function readHandle(reader: Reader): BlockHandle {
  return { offset: reader.u48(), length: reader.u32() };
}

/** Appends a footer to what `writer` has written (nothing). */
export function writeFooter(
  writer: Writer,
  table: number,
  storeId: Uint8Array,
  footer: Footer,
): void {
  writer.u32(FORMAT_VERSION).u32(footer.features);
  writeHandle(writer, footer.index);
  writeHandle(writer, footer.filter);
  writeHandle(writer, footer.properties);
  writer.u48(table).raw(storeId.subarray(0, 8));
  writer.u32(crc32(writer.view())).raw(MAGIC);
}

/**
 * Checks a footer.
 *
 * @throws {CorruptionError} If it is damaged, or another table's or store's.
 * @throws {FormatVersionError} If a newer version wrote it.
 */
export function checkFooter(
  bytes: Uint8Array,
  table: number,
  storeId: Uint8Array,
  path: string,
  offset: number,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const fail = (detail: string): never => {
    throw new CorruptionError(path, offset, detail);
  };
  if (MAGIC.some((byte, i) => bytes[FOOTER_CRC_AT + 4 + i] !== byte)) {
    fail("the footer is not that of a table");
  }
  if (
    view.getUint32(FOOTER_CRC_AT, true) !==
      crc32(bytes.subarray(0, FOOTER_CRC_AT))
  ) fail("the footer is damaged");
  checkFormatVersion(view.getUint32(0, true), path);
  if ((view.getUint32(4, true) & ~FEATURE_ZSTD) !== 0) {
    checkFormatVersion(FORMAT_VERSION + 1, path);
  }
  const number = view.getUint32(38, true) +
    view.getUint16(42, true) * 2 ** 32;
  if (number !== table) fail("the footer is another table's");
  for (let i = 0; i < 8; i++) {
    if (bytes[44 + i] !== storeId[i]) fail("the table is another store's");
  }
}

/** Reads the handles of a footer that was checked. */
export function readFooterHandles(reader: Reader): Footer {
  reader.u32();
  return {
    features: reader.u32(),
    index: readHandle(reader),
    filter: readHandle(reader),
    properties: readHandle(reader),
  };
}
