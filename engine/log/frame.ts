/**
 * The frame: the unit of every log (WAL, MANIFEST) and of CURRENT.
 *
 * ```text
 * frame   := u32 crc         CRC-32 of all that follows, padding included,
 *                            continued from the frame's offset in the file
 *          | u32 payloadLength
 *          | u32 logId       number of the log; in CURRENT, of its MANIFEST
 *          | u8  kind        1 DATA, 2 HEADER, 3 SEAL, 4 NOOP, 5 CURRENT
 *          | u8  flags       0
 *          | u16 batches     batches in the payload of a WAL's DATA
 *          | u48 syncedTo    length of the log known to be on the device when
 *                            this frame was written
 *          | u16 reserved    0
 *          | payload | zeros up to a multiple of 8
 * header  := u32 formatVersion | 16 B store id
 *          | u32 previousId | u48 previousLength | u32 previousChain
 * ```
 *
 * A log starts with a HEADER; `previous…` chains a WAL to the one before it
 * and is 0 elsewhere. `chain` is the CRC-32 of the `crc` fields of all frames
 * of a log in order. A SEAL says that all before it is synced.
 *
 * Guarantees: a frame is valid only in its own log and at its own offset, so
 * recycled or misplaced bytes never pass for data.
 *
 * @module
 */

import {
  crc32,
  FormatVersionError,
  putU32,
  Reader,
  Writer,
} from "../../runtime/mod.ts";

/**
 * The version of all formats of the engine. History:
 * - 1: the first. Features of tables (`table/format.ts`) came later: one that a
 *   reader does not know is to it a version newer than its own.
 */
export const FORMAT_VERSION = 1;

/** Bytes of a frame before its payload. */
export const FRAME_HEADER_BYTES = 24;

/** Frames start at multiples of this, in bytes. */
export const FRAME_GRID_BYTES = 8;

/** Bytes of a store's id. */
export const STORE_ID_BYTES = 16;

/** What a frame is. Append only. */
export const FrameKind = {
  data: 1,
  header: 2,
  seal: 3,
  noop: 4,
  current: 5,
} as const;

/** The fields of a frame that its writer chooses. */
export interface FrameFields {
  /** The log's number. */
  logId: number;
  /** One of {@linkcode FrameKind}. */
  kind: number;
  /** Batches in the payload. */
  batches: number;
  /** Bytes of the log known to be synced. */
  syncedTo: number;
  /** Bytes of payload, already in place behind the header. */
  payloadLength: number;
}

/** What the HEADER of a log says. */
export interface LogHeader {
  /** The store that the log belongs to. */
  storeId: Uint8Array;
  /** The log before it; all 0 if there is none. */
  previous: LogIdentity;
}

/** What a log contained, to chain the next one to it. */
export interface LogIdentity {
  /** The log's number. */
  id: number;
  /** Its length in bytes. */
  length: number;
  /** The CRC-32 of its frames' checksums. */
  chain: number;
}

/** The bytes that a frame takes up. */
export function frameLength(payloadLength: number): number {
  return Math.ceil((FRAME_HEADER_BYTES + payloadLength) / FRAME_GRID_BYTES) *
    FRAME_GRID_BYTES;
}

/**
 * Fills in a frame's header, padding and checksum.
 *
 * @param frame Exactly the frame's bytes, the payload in place.
 * @param offset Where in the file the frame will stand.
 * @returns The checksum.
 */
export function finishFrame(
  frame: Uint8Array,
  offset: number,
  fields: FrameFields,
): number {
  // Without a DataView: one for each group costs more than all it sets.
  const { payloadLength, logId, batches, syncedTo } = fields;
  putU32(frame, 4, payloadLength);
  putU32(frame, 8, logId);
  frame[12] = fields.kind;
  frame[13] = 0;
  frame[14] = batches;
  frame[15] = batches >>> 8;
  putU32(frame, 16, syncedTo);
  const syncedToHigh = Math.floor(syncedTo / 2 ** 32);
  frame[20] = syncedToHigh;
  frame[21] = syncedToHigh >>> 8;
  frame[22] = 0;
  frame[23] = 0;
  for (let at = FRAME_HEADER_BYTES + payloadLength; at < frame.length; at++) {
    frame[at] = 0;
  }
  const crc = frameChecksum(frame, offset);
  putU32(frame, 0, crc);
  return crc;
}

/** The checksum that a frame at `offset` must carry. */
export function frameChecksum(frame: Uint8Array, offset: number): number {
  return crc32(frame.subarray(4), offset >>> 0);
}

const chained = new Uint8Array(4);

/** Continues the chain of a log by a frame's checksum. */
export function extendChain(chain: number, crc: number): number {
  chained[0] = crc;
  chained[1] = crc >>> 8;
  chained[2] = crc >>> 16;
  chained[3] = crc >>> 24;
  return crc32(chained, chain);
}

/** Writes the payload of a HEADER. */
export function encodeHeader(header: LogHeader): Uint8Array {
  return new Writer(34).u32(FORMAT_VERSION).raw(header.storeId)
    .u32(header.previous.id).u48(header.previous.length)
    .u32(header.previous.chain).finish();
}

/**
 * Reads the payload of a HEADER.
 *
 * @throws {FormatVersionError} If it was written by a newer version.
 * @throws {DecodeError} If it is malformed.
 */
export function decodeHeader(payload: Uint8Array, path: string): LogHeader {
  const reader = new Reader(payload, "a log's header");
  checkFormatVersion(reader.u32(), path);
  const storeId = reader.raw(STORE_ID_BYTES).slice();
  const previous = {
    id: reader.u32(),
    length: reader.u48(),
    chain: reader.u32(),
  };
  if (reader.remaining !== 0) reader.fail("it is too long");
  return { storeId, previous };
}

/**
 * Refuses formats that are newer than this release.
 *
 * @throws {FormatVersionError} If the version is newer.
 */
export function checkFormatVersion(version: number, path: string): void {
  if (version > FORMAT_VERSION) {
    throw new FormatVersionError(path, version, FORMAT_VERSION);
  }
}
