/**
 * The names of the files in a store's directory.
 *
 * ```text
 * LOCK             its lock is the right to use the directory; says who has it
 * CURRENT          names the MANIFEST in force
 * CURRENT.new      the next CURRENT, until it is renamed
 * MANIFEST-000001  the log of version edits
 * 000001.wal       a write-ahead log; numbers are dense and start at 1
 * 000001.sst       a table
 * lost/1/          what the first repair put aside, under its old names
 * ```
 *
 * Guarantees: a name that is none of these belongs to someone else and is never
 * touched.
 *
 * @module
 */

/** The file whose lock is the right to use the directory. */
export const LOCK_NAME = "LOCK";
/** The file that names the MANIFEST in force. */
export const CURRENT_NAME = "CURRENT";
/** The next CURRENT, until it is renamed. */
export const CURRENT_NEW_NAME = "CURRENT.new";

/** A numbered file of a store. */
export interface NumberedName {
  /** What the file is. */
  kind: "manifest" | "wal" | "table";
  /** Its number. */
  number: number;
}

/** The name of a MANIFEST. */
export function manifestName(number: number): string {
  return `MANIFEST-${digits(number)}`;
}

/** The name of a write-ahead log. */
export function walName(number: number): string {
  return `${digits(number)}.wal`;
}

/** The name of a table. */
export function tableName(number: number): string {
  return `${digits(number)}.sst`;
}

/** Reads the name of a numbered file; `undefined` if it is none of ours. */
export function parseName(name: string): NumberedName | undefined {
  const match = /^(?:MANIFEST-(\d{6,15})|(\d{6,15})\.(wal|sst))$/.exec(name);
  if (match === null) return undefined;
  if (match[1] !== undefined) {
    return { kind: "manifest", number: Number(match[1]) };
  }
  return {
    kind: match[3] === "wal" ? "wal" : "table",
    number: Number(match[2]),
  };
}

/** Whether a name is one of a store's own, whatever its number. */
export function isStoreFile(name: string): boolean {
  return name === LOCK_NAME || name === CURRENT_NAME ||
    name === CURRENT_NEW_NAME || parseName(name) !== undefined;
}

/** A name in a directory. */
export function joinPath(dir: string, name: string): string {
  return dir.endsWith("/") ? dir + name : `${dir}/${name}`;
}

function digits(number: number): string {
  return String(number).padStart(6, "0");
}
