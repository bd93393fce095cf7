/**
 * Tagged fields, the payload of version edits and of a table's properties:
 *
 * ```text
 * fields := field*
 * field  := u16 tag | u32 length | bytes
 * ```
 *
 * A tag with bit 15 set may be ignored by who does not know it; any other
 * unknown tag must be refused. So later versions can add what older ones may
 * pass over, and nothing that they must not.
 *
 * @module
 */

import { Reader, type Writer } from "../runtime/mod.ts";

/** The bit of a tag that allows ignoring it. */
export const SAFE_TO_IGNORE = 0x8000;

/** Writes a field whose content `write` writes. */
export function writeField(
  writer: Writer,
  tag: number,
  write: (writer: Writer) => void,
): void {
  writer.u16(tag).u32(0);
  const start = writer.length;
  write(writer);
  writer.patchU32(start - 4, writer.length - start);
}

/**
 * Hands out the fields in order.
 *
 * @param read Reads one field whole; returns `false` if it does not know the tag.
 * @throws {DecodeError} If the bytes are malformed or a needed tag is unknown.
 */
export function readFields(
  bytes: Uint8Array,
  what: string,
  read: (tag: number, field: Reader) => boolean,
): void {
  const reader = new Reader(bytes, what);
  while (reader.remaining > 0) {
    const tag = reader.u16();
    const field = new Reader(reader.raw(reader.u32()), what);
    if (read(tag, field)) {
      if (field.remaining > 0) reader.fail(`field ${tag} is too long`);
    } else if ((tag & SAFE_TO_IGNORE) === 0) {
      reader.fail(`field ${tag} is not known to this release`);
    }
  }
}
