/**
 * The files of the machine.
 *
 * Guarantees: an open file is one handle of the system. One that is written
 * (`read_file.ts` has the others) has one cursor, and each read names its position in
 * the same turn in which it reads, so no two reads mix; appends go to the end wherever
 * the cursor stands, because the system opened the file for appending. A file with
 * room behind what was appended has a second handle, whose cursor stands where that
 * ends. Whatever the system refuses is a `StorageError` with its reason and the
 * system's error as `cause`.
 *
 * Assumes: synchronous calls may run while `syncData` is in flight, which the
 * platform allows.
 *
 * @module
 */

import { StorageError } from "../errors.ts";
import type { FileOptions, FileSystem, RuntimeFile } from "../runtime.ts";
import { ReadFile } from "./read_file.ts";
import { attempt, errorCode, storageError } from "./system_error.ts";

/** What is copied at a time, in bytes. */
const COPY_BYTES = 1024 * 1024;

const NOTHING_TAKEN = "nothing is taken";

/** What is reserved at a time, in bytes. */
const ZEROS = new Uint8Array(64 * 1024);

/** Opens the machine's files. */
export class DenoFiles implements FileSystem {
  /** Opens a file. */
  open(path: string, options: FileOptions): RuntimeFile {
    const { mode } = options;
    return attempt("open", path, () => {
      if (mode === "read") return new ReadFile(path);
      return new DenoFile(
        path,
        Deno.openSync(path, {
          read: true,
          append: true,
          create: mode === "append",
          createNew: mode === "create",
        }),
      );
    });
  }

  /** Whether a file or directory stands at the path. */
  exists(path: string): boolean {
    try {
      Deno.statSync(path);
      return true;
    } catch (error) {
      if (
        error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.NotADirectory
      ) return false;
      throw storageError("look up", path, error);
    }
  }

  /** The names in a directory, sorted. */
  list(path: string): string[] {
    return attempt("list", path, () => {
      const names: string[] = [];
      for (const entry of Deno.readDirSync(path)) {
        names.push(entry.isDirectory ? `${entry.name}/` : entry.name);
      }
      return names.sort();
    });
  }

  /** Makes a directory and its parents. */
  makeDirectory(path: string): void {
    attempt("make the directory", path, () => {
      Deno.mkdirSync(path, { recursive: true });
    });
  }

  /** Removes a file. */
  remove(path: string): void {
    attempt("remove", path, () => {
      // The system's call would take an empty directory too.
      if (Deno.lstatSync(path).isDirectory) {
        throw new StorageError("remove", path, "it is a directory");
      }
      Deno.removeSync(path);
    });
  }

  /** Removes a file without keeping this thread. */
  async removeAside(path: string): Promise<void> {
    try {
      // The system's call would take an empty directory too.
      if ((await Deno.lstat(path)).isDirectory) {
        throw new StorageError("remove", path, "it is a directory");
      }
      await Deno.remove(path);
    } catch (error) {
      throw storageError("remove", path, error);
    }
  }

  /** Renames a file, replacing what stood at `to`. */
  rename(from: string, to: string): void {
    attempt("rename", from, () => Deno.renameSync(from, to));
  }

  /** Gives a file a second name; to another device, a synced copy. */
  link(from: string, to: string): void {
    attempt("link", from, () => {
      if (Deno.lstatSync(from).isDirectory) {
        throw new StorageError("link", from, "it is a directory");
      }
      try {
        Deno.linkSync(from, to);
      } catch (error) {
        if (errorCode(error) !== "EXDEV") throw error;
        copySynced(from, to);
      }
    });
  }

  /**
   * Waits until the names in the directory are on the device. Fails, and asks
   * nobody, where the permission to read the directory was not given.
   */
  async syncDirectory(path: string): Promise<void> {
    const { state } = Deno.permissions.querySync({ name: "read", path });
    if (state === "prompt") {
      throw new StorageError(
        "sync the directory",
        path,
        "there is no permission to read it",
      );
    }
    using directory = attempt(
      "sync the directory",
      path,
      () => Deno.openSync(path, { read: true }),
    );
    try {
      await directory.sync();
    } catch (error) {
      throw storageError("sync the directory", path, error);
    }
  }
}

class DenoFile implements RuntimeFile {
  readonly #path: string;
  #file: Deno.FsFile | undefined;
  /** Writes into reserved room; what was appended ends where it stands. */
  #roomWriter: Deno.FsFile | undefined;
  #locked = false;
  /** Syncs of the first handle that are in flight. */
  #syncing = 0;

  constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  size(): number {
    return attempt(
      "measure",
      this.#path,
      () => this.#handle("measure").seekSync(0, Deno.SeekMode.End),
    );
  }

  readAt(buffer: Uint8Array, position: number): number {
    try {
      const file = this.#handle("read");
      file.seekSync(position, Deno.SeekMode.Start);
      let done = file.readSync(buffer) ?? 0;
      // The system may stop early; only its "nothing" means the end.
      while (done > 0 && done < buffer.length) {
        const more = file.readSync(buffer.subarray(done)) ?? 0;
        if (more === 0) break;
        done += more;
      }
      return done;
    } catch (error) {
      throw storageError("read", this.#path, error);
    }
  }

  append(data: Uint8Array): void {
    try {
      const file = this.#roomWriter ?? this.#handle("append to");
      let done = file.writeSync(data);
      while (done < data.length) {
        const more = file.writeSync(data.subarray(done));
        if (more === 0) {
          throw new StorageError("append to", this.#path, NOTHING_TAKEN);
        }
        done += more;
      }
    } catch (error) {
      throw storageError("append to", this.#path, error);
    }
  }

  reserve(bytes: number): void {
    attempt("make room in", this.#path, () => {
      const file = this.#handle("make room in");
      let writer = this.#roomWriter;
      if (writer === undefined) {
        writer = this.#openAgain(file);
        this.#roomWriter = writer;
      }
      const end = writer.seekSync(0, Deno.SeekMode.Current);
      try {
        for (let left = bytes; left > 0;) {
          const zeros = ZEROS.subarray(0, Math.min(left, ZEROS.length));
          const written = writer.writeSync(zeros);
          if (written === 0) {
            throw new StorageError("make room in", this.#path, NOTHING_TAKEN);
          }
          left -= written;
        }
      } finally {
        writer.seekSync(end, Deno.SeekMode.Start);
      }
    });
  }

  /** Another handle of the file, for writing, that stands at its end. */
  #openAgain(file: Deno.FsFile): Deno.FsFile {
    const again = Deno.openSync(this.#path, { write: true });
    try {
      const [is, was] = [again.statSync(), file.statSync()];
      // The path may have passed to another file, or mean another directory.
      if (is.ino !== was.ino || is.dev !== was.dev) {
        throw new StorageError(
          "make room in",
          this.#path,
          "another file has its name",
        );
      }
      again.seekSync(file.seekSync(0, Deno.SeekMode.End), Deno.SeekMode.Start);
      return again;
    } catch (error) {
      again.close();
      throw error;
    }
  }

  truncate(size: number): void {
    attempt("cut", this.#path, () => {
      const file = this.#handle("cut");
      // The system would fill up with zeros what is asked for beyond the end.
      if (size < file.seekSync(0, Deno.SeekMode.End)) file.truncateSync(size);
      const writer = this.#roomWriter;
      if (
        writer !== undefined && writer.seekSync(0, Deno.SeekMode.Current) > size
      ) {
        writer.seekSync(size, Deno.SeekMode.Start);
      }
    });
  }

  async syncData(): Promise<void> {
    try {
      const file = this.#handle("sync");
      // The platform lets calls of one handle wait for each other.
      if (this.#syncing > 0 && this.#roomWriter !== undefined) {
        return await this.#roomWriter.syncData();
      }
      this.#syncing++;
      try {
        await file.syncData();
      } finally {
        this.#syncing--;
      }
    } catch (error) {
      throw storageError("sync", this.#path, error);
    }
  }

  tryLock(): boolean {
    return this.#locked = attempt(
      "lock",
      this.#path,
      () => this.#handle("lock").tryLockSync(true),
    );
  }

  close(): void {
    // A process that another thread just forks has the handle too until it runs
    // its own program: closing ours alone would leave the lock with it.
    if (this.#locked) this.#file?.unlockSync();
    this.#locked = false;
    this.#roomWriter?.close();
    this.#roomWriter = undefined;
    this.#file?.close();
    this.#file = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #handle(action: string): Deno.FsFile {
    if (this.#file === undefined) {
      throw new StorageError(action, this.#path, "it is closed");
    }
    return this.#file;
  }
}

/** Copies a file to a name that is free; its content is on the device then. */
function copySynced(from: string, to: string): void {
  using source = Deno.openSync(from, { read: true });
  using target = Deno.openSync(to, { write: true, createNew: true });
  const buffer = new Uint8Array(COPY_BYTES);
  for (;;) {
    const read = source.readSync(buffer);
    if (read === null) break;
    let done = 0;
    while (done < read) done += target.writeSync(buffer.subarray(done, read));
  }
  target.syncSync();
}
