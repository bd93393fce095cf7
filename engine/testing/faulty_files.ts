/**
 * Files that fail once when told to, and that count what is open.
 *
 * A failing append leaves a part of its data, as a full device does; a failing
 * sync may have reached the device or not.
 *
 * @module
 */

import {
  type FileOptions,
  type FileSystem,
  type RuntimeFile,
  StorageError,
} from "../../runtime/mod.ts";

/** What a file or directory was asked for. */
export interface FileAction {
  /** The action. */
  action: string;
  /** The file or directory. */
  path: string;
}

/** Another file system, with faults. */
export class FaultyFiles implements FileSystem {
  readonly #inner: FileSystem;
  readonly #fails: (asked: FileAction) => boolean;
  readonly #open: Set<RuntimeFile> = new Set();

  /** Asks `fails` before each change of `inner`. */
  constructor(inner: FileSystem, fails: (asked: FileAction) => boolean) {
    this.#inner = inner;
    this.#fails = fails;
  }

  /** The number of handles that are open. */
  get handles(): number {
    return this.#open.size;
  }

  open(path: string, options: FileOptions): RuntimeFile {
    this.#ask(options.mode === "read" ? "open" : "make", path);
    const file = this.#inner.open(path, options);
    this.#open.add(file);
    const close = (): void => {
      this.#open.delete(file);
      file.close();
    };
    return {
      size: () => file.size(),
      readAt: (buffer, position) => file.readAt(buffer, position),
      append: (data) => {
        this.#ask("append to", path, () => {
          file.append(data.subarray(0, data.length >> 1));
        });
        file.append(data);
      },
      reserve: (bytes) => {
        this.#ask("make room in", path);
        file.reserve(bytes);
      },
      truncate: (size) => {
        this.#ask("cut", path);
        file.truncate(size);
      },
      syncData: async () => {
        this.#ask("begin to sync", path);
        await file.syncData();
        this.#ask("sync", path);
      },
      tryLock: () => {
        this.#ask("lock", path);
        return file.tryLock();
      },
      close,
      [Symbol.dispose]: close,
    };
  }

  exists(path: string): boolean {
    return this.#inner.exists(path);
  }

  list(path: string): string[] {
    return this.#inner.list(path);
  }

  makeDirectory(path: string): void {
    this.#ask("make the directory", path);
    this.#inner.makeDirectory(path);
  }

  remove(path: string): void {
    this.#ask("remove", path);
    this.#inner.remove(path);
  }

  rename(from: string, to: string): void {
    this.#ask("rename", from);
    this.#inner.rename(from, to);
  }

  link(from: string, to: string): void {
    this.#ask("link", from);
    this.#inner.link(from, to);
  }

  async syncDirectory(path: string): Promise<void> {
    this.#ask("begin to sync", path);
    await this.#inner.syncDirectory(path);
    this.#ask("sync", path);
  }

  #ask(action: string, path: string, partly: () => void = () => {}): void {
    if (!this.#fails({ action, path })) return;
    partly();
    throw new StorageError(action, path, "the device failed");
  }
}
