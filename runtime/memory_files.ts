/**
 * Files that live in memory, for a store that keeps nothing: `":memory:"`.
 *
 * Guarantees: the same behaviour as the machine's files, locks included, except
 * that nothing outlives the object and syncing is done at once.
 *
 * @module
 */

import { StorageError } from "./errors.ts";
import { type FileNode, FileTree } from "./file_tree.ts";
import type { FileOptions, FileSystem, RuntimeFile } from "./runtime.ts";

/** A file system in memory, empty at first. */
export class MemoryFiles implements FileSystem {
  readonly #tree = new FileTree();

  /** Opens a file. */
  open(path: string, options: FileOptions): RuntimeFile {
    return new MemoryFile(path, options, this.#tree.open(path, options).node);
  }

  /** Whether a file or directory stands at the path. */
  exists(path: string): boolean {
    return this.#tree.find(path) !== undefined;
  }

  /** The names in a directory, sorted. */
  list(path: string): string[] {
    return this.#tree.list(path);
  }

  /** Makes a directory and its parents. */
  makeDirectory(path: string): void {
    this.#tree.makeDirectory(path);
  }

  /** Removes a file. */
  remove(path: string): void {
    this.#tree.remove(path);
  }

  /** Renames a file, replacing what stood at `to`. */
  rename(from: string, to: string): void {
    this.#tree.rename(from, to);
  }

  /** Gives a file a second name. */
  link(from: string, to: string): void {
    this.#tree.link(from, to);
  }

  /** Waits until the names in the directory are on the device. */
  // An async function, so that every failure is a rejection.
  // deno-lint-ignore require-await
  async syncDirectory(path: string): Promise<void> {
    this.#tree.directory("sync the directory", path);
  }
}

/** An open file in memory; `syncData` is done at once. */
export class MemoryFile implements RuntimeFile {
  readonly #path: string;
  readonly #readOnly: boolean;
  /** Where the next append goes, if there is room reserved. */
  #end: number | undefined;
  #node: FileNode | undefined;

  /** Opens `node`, which stands at `path`. */
  constructor(path: string, options: FileOptions, node: FileNode) {
    this.#path = path;
    this.#readOnly = options.mode === "read";
    this.#node = node;
  }

  /** The file's size in bytes. */
  size(): number {
    return this.node("measure").size;
  }

  /** Reads into `buffer` from `position` on. */
  readAt(buffer: Uint8Array, position: number): number {
    return this.node("read").readAt(buffer, position);
  }

  /** Appends all of `data`. */
  append(data: Uint8Array): void {
    const node = this.writable("append to");
    const at = Math.min(this.#end ?? node.size, node.size);
    node.write(data, at);
    if (this.#end !== undefined) this.#end = at + data.length;
  }

  /** Makes room for `bytes` more bytes. */
  reserve(bytes: number): void {
    const node = this.writable("make room in");
    this.#end = Math.min(this.#end ?? node.size, node.size);
    node.extend(this.#end + bytes);
  }

  /** Cuts the file to `size` bytes. */
  truncate(size: number): void {
    this.writable("cut").truncate(size);
  }

  /** Waits until what was appended is on the device. */
  // An async function, so that every failure is a rejection.
  // deno-lint-ignore require-await
  async syncData(): Promise<void> {
    this.node("sync");
  }

  /** Takes the exclusive lock, held until the file is closed. */
  tryLock(): boolean {
    const node = this.node("lock");
    node.lockedBy ??= this;
    return node.lockedBy === this;
  }

  /** Closes it. Idempotent. */
  close(): void {
    if (this.#node?.lockedBy === this) this.#node.lockedBy = undefined;
    this.#node = undefined;
  }

  /** Closes it. Idempotent. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** The content; fails if the file is closed. */
  protected node(action: string): FileNode {
    if (this.#node === undefined) {
      throw new StorageError(action, this.#path, "it is closed");
    }
    return this.#node;
  }

  /** The content to change; fails if the file was opened for reading. */
  protected writable(action: string): FileNode {
    const node = this.node(action);
    if (this.#readOnly) {
      throw new StorageError(action, this.#path, "it is open for reading only");
    }
    return node;
  }
}
