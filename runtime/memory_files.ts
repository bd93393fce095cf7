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

  /** @inheritDoc */
  open(path: string, options: FileOptions): RuntimeFile {
    return new MemoryFile(path, options, this.#tree.open(path, options).node);
  }

  /** @inheritDoc */
  exists(path: string): boolean {
    return this.#tree.find(path) !== undefined;
  }

  /** @inheritDoc */
  list(path: string): string[] {
    return this.#tree.list(path);
  }

  /** @inheritDoc */
  makeDirectory(path: string): void {
    this.#tree.makeDirectory(path);
  }

  /** @inheritDoc */
  remove(path: string): void {
    this.#tree.remove(path);
  }

  /** @inheritDoc */
  rename(from: string, to: string): void {
    this.#tree.rename(from, to);
  }

  /** @inheritDoc */
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
  #node: FileNode | undefined;

  /** Opens `node`, which stands at `path`. */
  constructor(path: string, options: FileOptions, node: FileNode) {
    this.#path = path;
    this.#readOnly = options.mode === "read";
    this.#node = node;
  }

  /** @inheritDoc */
  size(): number {
    return this.node("measure").size;
  }

  /** @inheritDoc */
  readAt(buffer: Uint8Array, position: number): number {
    return this.node("read").readAt(buffer, position);
  }

  /** @inheritDoc */
  append(data: Uint8Array): void {
    this.writable("append to").append(data);
  }

  /** @inheritDoc */
  truncate(size: number): void {
    this.writable("cut").truncate(size);
  }

  /** @inheritDoc */
  // An async function, so that every failure is a rejection.
  // deno-lint-ignore require-await
  async syncData(): Promise<void> {
    this.node("sync");
  }

  /** @inheritDoc */
  tryLock(): boolean {
    const node = this.node("lock");
    node.lockedBy ??= this;
    return node.lockedBy === this;
  }

  /** @inheritDoc */
  close(): void {
    if (this.#node?.lockedBy === this) this.#node.lockedBy = undefined;
    this.#node = undefined;
  }

  /** @inheritDoc */
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
