/**
 * The MANIFEST: the log of version edits, and CURRENT, which names it.
 *
 * ```text
 * manifest := HEADER | DATA (all of the state) | (DATA (an edit) | SEAL)*
 * CURRENT  := one frame of kind CURRENT; its logId is the MANIFEST's number
 * current  := u32 formatVersion | 16 B store id        (its payload)
 * ```
 *
 * Guarantees: an edit counts once it is on the device, whole or not at all. A
 * MANIFEST becomes the current one by one rename, after it is on the device, and
 * the one before is removed only after that.
 *
 * @module
 */

import {
  CorruptionError,
  equalBytes,
  type FileSystem,
  Reader,
  type RuntimeFile,
  Writer,
} from "../../runtime/mod.ts";
import { decodeAt, openExisting } from "../decode.ts";
import {
  checkFormatVersion,
  decodeHeader,
  encodeHeader,
  FORMAT_VERSION,
  FrameKind,
  STORE_ID_BYTES,
} from "../log/frame.ts";
import { LogReader } from "../log/reader.ts";
import { LogWriter } from "../log/writer.ts";
import {
  CURRENT_NAME,
  CURRENT_NEW_NAME,
  joinPath,
  manifestName,
} from "../names.ts";
import { MANIFEST_BYTES } from "../options.ts";
import { decodeEdit, encodeEdit, type VersionEdit } from "./edit.ts";
import { ManifestState } from "./state.ts";

const NO_LOG = { id: 0, length: 0, chain: 0 };
/** Where a frame says which log it belongs to. */
const LOG_ID_AT = 8;

/** Where a store is. */
interface Place {
  readonly files: FileSystem;
  readonly dir: string;
}

/** What a MANIFEST that is made anew says. */
interface CreateOptions {
  /** Its number; 1 by default. */
  number?: number;
  /** Its snapshot; that of an empty store by default. */
  state?: ManifestState;
}

/** The log of version edits. One caller at a time. */
export class Manifest {
  /** The store's id. */
  readonly storeId: Uint8Array;
  /** What the edits add up to. */
  readonly state: ManifestState;
  readonly #place: Place;
  #log: LogWriter;
  #rotateAt: number;

  constructor(
    place: Place,
    storeId: Uint8Array,
    state: ManifestState,
    log: LogWriter,
  ) {
    this.#place = place;
    this.storeId = storeId;
    this.state = state;
    this.#log = log;
    this.#rotateAt = rotationLength(state);
  }

  /** Its number. */
  get number(): number {
    return this.#log.id;
  }

  /** Its length in bytes, without a torn tail. */
  get length(): number {
    return this.#log.length;
  }

  /**
   * Makes a MANIFEST and puts it in force. Until CURRENT is durable, which is
   * last, the directory is as it was: empty, if the store is new.
   */
  static async create(
    place: Place,
    storeId: Uint8Array,
    { number = 1, state = new ManifestState() }: CreateOptions = {},
  ): Promise<Manifest> {
    const log = await writeManifest(place, number, storeId, state);
    return new Manifest(place, storeId, state, log);
  }

  /**
   * Reads the MANIFEST that CURRENT names, and changes nothing: what is made
   * cannot be appended to.
   *
   * @throws {CorruptionError} If CURRENT or the MANIFEST is damaged or missing.
   * @throws {FormatVersionError} If a newer version wrote them.
   */
  static view(place: Place): Manifest {
    const { number, storeId } = readCurrent(place);
    const path = joinPath(place.dir, manifestName(number));
    const file = openExisting(place.files, path);
    try {
      const state = new ManifestState();
      const reader = readEdits(file, path, number, storeId, state);
      const { end: length, chain } = reader;
      const log = new LogWriter(file, number, { length, chain });
      return new Manifest(place, storeId, state, log);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Reads the MANIFEST that CURRENT names and goes on with it.
   *
   * @throws {CorruptionError} If CURRENT or the MANIFEST is damaged or missing.
   * @throws {FormatVersionError} If a newer version wrote them.
   */
  static async load(place: Place): Promise<Manifest> {
    const { number, storeId } = readCurrent(place);
    const path = joinPath(place.dir, manifestName(number));
    openExisting(place.files, path).close();
    const file = place.files.open(path, { mode: "append" });
    try {
      const state = new ManifestState();
      const reader = readEdits(file, path, number, storeId, state);
      if (reader.restBytes > 0) file.truncate(reader.end);
      // What a killed process wrote may not be on the device yet, and the next
      // frame says that it is.
      await file.syncData();
      // A process killed while making the store may have left CURRENT's name in
      // memory only; the first WAL must not be on the device before it.
      if (state.lastWal === 0) await place.files.syncDirectory(place.dir);
      const log = new LogWriter(file, number, {
        length: reader.end,
        chain: reader.chain,
      });
      return new Manifest(place, storeId, state, log);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Adds an edit and waits until it is on the device.
   *
   * @throws {StorageError} If the device failed; nobody knows then whether the
   * edit counts.
   */
  async append(edit: VersionEdit): Promise<void> {
    this.#log.append(FrameKind.data, encodeEdit(edit));
    await this.#log.sync();
    this.state.apply(edit);
    if (this.#log.length > this.#rotateAt) await this.#rotate();
  }

  /** Marks the log as complete. */
  seal(): Promise<void> {
    return this.#log.seal();
  }

  /** Closes the file. Idempotent. */
  close(): void {
    this.#log.close();
  }

  async #rotate(): Promise<void> {
    const old = this.#log;
    this.#log = await writeManifest(
      this.#place,
      old.id + 1,
      this.storeId,
      this.state,
    );
    this.#rotateAt = rotationLength(this.state);
    old.close();
    this.#place.files.remove(joinPath(this.#place.dir, manifestName(old.id)));
  }
}

function rotationLength(state: ManifestState): number {
  return Math.max(MANIFEST_BYTES, 2 * encodeEdit(state.snapshot()).length);
}

/** Writes a MANIFEST of one snapshot and makes it the current one. */
async function writeManifest(
  place: Place,
  number: number,
  storeId: Uint8Array,
  state: ManifestState,
): Promise<LogWriter> {
  const { files, dir } = place;
  const path = joinPath(dir, manifestName(number));
  // A crash before CURRENT named it may have left one behind.
  if (files.exists(path)) files.remove(path);
  const file = files.open(path, { mode: "create" });
  try {
    const log = new LogWriter(file, number);
    log.append(FrameKind.header, encodeHeader({ storeId, previous: NO_LOG }));
    log.append(FrameKind.data, encodeEdit(state.snapshot()));
    await log.sync();
    await files.syncDirectory(dir);
    await switchCurrent(place, number, storeId);
    return log;
  } catch (error) {
    file.close();
    throw error;
  }
}

async function switchCurrent(
  place: Place,
  number: number,
  storeId: Uint8Array,
): Promise<void> {
  const { files, dir } = place;
  const next = joinPath(dir, CURRENT_NEW_NAME);
  if (files.exists(next)) files.remove(next);
  const file = files.open(next, { mode: "create" });
  try {
    const payload = new Writer(20).u32(FORMAT_VERSION).raw(storeId).finish();
    const log = new LogWriter(file, number);
    log.append(FrameKind.current, payload);
    await log.sync();
  } finally {
    file.close();
  }
  files.rename(next, joinPath(dir, CURRENT_NAME));
  await files.syncDirectory(dir);
}

function readCurrent(place: Place): { number: number; storeId: Uint8Array } {
  const path = joinPath(place.dir, CURRENT_NAME);
  using file = openExisting(place.files, path);
  const id = new Uint8Array(4);
  file.readAt(id, LOG_ID_AT);
  const number = new DataView(id.buffer).getUint32(0, true);
  const frame = new LogReader(file, path, number).next();
  if (frame?.kind !== FrameKind.current || frame.end !== file.size()) {
    throw new CorruptionError(path, 0, "it is damaged");
  }
  return decodeAt(path, 0, () => {
    const reader = new Reader(frame.payload, "CURRENT");
    checkFormatVersion(reader.u32(), path);
    return { number, storeId: reader.raw(STORE_ID_BYTES).slice() };
  });
}

function readEdits(
  file: RuntimeFile,
  path: string,
  number: number,
  storeId: Uint8Array,
  state: ManifestState,
): LogReader {
  const reader = new LogReader(file, path, number);
  const first = reader.next();
  // HEADER and snapshot were synced before CURRENT named this file.
  if (first?.kind !== FrameKind.header) {
    throw new CorruptionError(path, 0, "the log has no header");
  }
  const header = decodeAt(path, 0, () => decodeHeader(first.payload, path));
  if (!equalBytes(header.storeId, storeId)) {
    throw new CorruptionError(path, 0, "the log belongs to another store");
  }
  let edits = 0;
  for (let frame = reader.next(); frame; frame = reader.next()) {
    const { kind, offset, payload } = frame;
    if (kind === FrameKind.seal) continue;
    if (kind !== FrameKind.data) {
      throw new CorruptionError(path, offset, "a frame has the wrong kind");
    }
    decodeAt(path, offset, () => state.apply(decodeEdit(payload)));
    edits++;
  }
  if (edits === 0) {
    throw new CorruptionError(path, reader.end, "the log has no snapshot");
  }
  decodeAt(path, reader.end, () => state.check());
  return reader;
}
