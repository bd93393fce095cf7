/**
 * A tree of directories and files in memory: what the in-memory file system and
 * the virtual disk are made of.
 *
 * Guarantees: behaves as the machine's file system does as far as the interface
 * goes: a file that was removed or replaced lives on for those who have it
 * open; errors are the same classes. Paths are split at `/`; empty parts and
 * `.` are skipped, `..` goes up, so that `/a`, `a` and `./a` are one path.
 *
 * @module
 */

import type { Bytes } from "./bytes.ts";
import { FileNotFoundError, StorageError } from "./errors.ts";
import type { FileOptions } from "./runtime.ts";

/** Room of a file that gets its first bytes. */
const FIRST_CAPACITY_BYTES = 1024;

/** A file's content. Grows by doubling. */
export class FileNode {
  #bytes: Bytes = new Uint8Array(0);
  #size = 0;
  #written = 0;
  /** The handle that has the lock. */
  lockedBy: object | undefined;

  /** A file that holds a copy of `content`. */
  constructor(content?: Uint8Array) {
    if (content !== undefined) this.write(content, 0);
  }

  /** Where what was written ends: behind it are zeros, if anything. */
  get written(): number {
    return this.#written;
  }

  /** The size in bytes. */
  get size(): number {
    return this.#size;
  }

  /** The content, as a view that the next change may overwrite. */
  view(): Bytes {
    return this.#bytes.subarray(0, this.#size);
  }

  /** Reads into `buffer` from `position` on; returns the bytes read. */
  readAt(buffer: Uint8Array, position: number): number {
    const end = Math.min(position + buffer.length, this.#size);
    if (end <= position) return 0;
    buffer.set(this.#bytes.subarray(position, end));
    return end - position;
  }

  /** Puts `data` at a position, which is at most the size. */
  write(data: Uint8Array, position: number): void {
    const end = position + data.length;
    this.extend(end);
    this.#bytes.set(data, position);
    this.#written = Math.max(this.#written, end);
  }

  /** Puts zeros at the end, up to `size` bytes; does nothing if it is longer. */
  extend(size: number): void {
    if (size <= this.#size) return;
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(
        Math.max(size, this.#bytes.length * 2, FIRST_CAPACITY_BYTES),
      );
      grown.set(this.view());
      this.#bytes = grown;
    } else this.#bytes.fill(0, this.#size, size);
    this.#size = size;
  }

  /** Cuts to `size` bytes; does nothing if it is shorter. */
  truncate(size: number): void {
    this.#size = Math.min(this.#size, size);
    this.#written = Math.min(this.#written, size);
  }
}

/** A directory's entries. */
export class DirectoryNode {
  /** What stands under each name. */
  readonly entries: Map<string, TreeNode> = new Map();
}

/** A file or a directory. */
export type TreeNode = FileNode | DirectoryNode;

/** A name in a directory, whether or not something stands there. */
export interface Place {
  /** The directory. */
  directory: DirectoryNode;
  /** The name in it. */
  name: string;
  /** What stands there. */
  node: TreeNode | undefined;
}

/** Directories and files under one root. */
export class FileTree {
  /** The top directory. */
  readonly root: DirectoryNode;

  /** A tree under `root`; empty if none is given. */
  constructor(root: DirectoryNode = new DirectoryNode()) {
    this.root = root;
  }

  /** What stands at the path. */
  find(path: string): TreeNode | undefined {
    let node: TreeNode | undefined = this.root;
    for (const part of partsOf(path)) {
      if (!(node instanceof DirectoryNode)) return undefined;
      node = node.entries.get(part);
    }
    return node;
  }

  /**
   * The place of a path in its directory.
   *
   * @throws {FileNotFoundError} If the directory is absent.
   * @throws {StorageError} If a part of the path is a file.
   */
  place(action: string, path: string): Place {
    const parts = partsOf(path);
    const name = parts.pop();
    if (name === undefined) {
      throw new StorageError(action, path, "it is a directory");
    }
    const directory = this.#descend(action, path, parts);
    return { directory, name, node: directory.entries.get(name) };
  }

  /**
   * Finds or makes the file to open.
   *
   * @returns Its place, whose `node` is the file, and whether it was made.
   */
  open(path: string, options: FileOptions): OpenedFile {
    const { directory, name, node } = this.place("open", path);
    if (node instanceof DirectoryNode) {
      throw new StorageError("open", path, "it is a directory");
    }
    if (node !== undefined) {
      if (options.mode === "create") {
        throw new StorageError("open", path, "it exists already");
      }
      return { directory, name, node, made: false };
    }
    if (options.mode === "read") throw new FileNotFoundError("open", path);
    const file = new FileNode();
    directory.entries.set(name, file);
    return { directory, name, node: file, made: true };
  }

  /** The names in a directory, sorted; those of directories end in `/`. */
  list(path: string): string[] {
    const directory = this.directory("list", path);
    return Array.from(
      directory.entries,
      ([name, node]) => node instanceof DirectoryNode ? `${name}/` : name,
    ).sort();
  }

  /** The directory at a path. */
  directory(action: string, path: string): DirectoryNode {
    return this.#descend(action, path, partsOf(path));
  }

  /** Makes a directory and its parents. */
  makeDirectory(path: string): void {
    let directory = this.root;
    for (const part of partsOf(path)) {
      let node = directory.entries.get(part);
      if (node === undefined) {
        node = new DirectoryNode();
        directory.entries.set(part, node);
      } else if (node instanceof FileNode) {
        throw new StorageError(
          "make the directory",
          path,
          "a part of the path is not a directory",
        );
      }
      directory = node;
    }
  }

  /** Removes a file; returns the place where it stood. */
  remove(path: string): Place {
    const place = this.place("remove", path);
    if (place.node === undefined) throw new FileNotFoundError("remove", path);
    if (place.node instanceof DirectoryNode) {
      throw new StorageError("remove", path, "it is a directory");
    }
    place.directory.entries.delete(place.name);
    return place;
  }

  /** Renames a file or directory; returns both places as they were. */
  rename(from: string, to: string): { source: Place; target: Place } {
    const source = this.place("rename", from);
    if (source.node === undefined) throw new FileNotFoundError("rename", from);
    const target = this.place("rename", to);
    if (target.node instanceof DirectoryNode) {
      throw new StorageError("rename", from, `"${to}" is a directory`);
    }
    if (
      target.node !== undefined && source.node instanceof DirectoryNode
    ) {
      throw new StorageError("rename", from, `"${to}" is a file`);
    }
    source.directory.entries.delete(source.name);
    target.directory.entries.set(target.name, source.node);
    return { source, target };
  }

  /** Gives a file a second name; returns that name's place. */
  link(from: string, to: string): Place {
    const { node } = this.place("link", from);
    if (node === undefined) throw new FileNotFoundError("link", from);
    if (node instanceof DirectoryNode) {
      throw new StorageError("link", from, "it is a directory");
    }
    const target = this.place("link to", to);
    if (target.node !== undefined) {
      throw new StorageError("link", from, `"${to}" exists already`);
    }
    target.directory.entries.set(target.name, node);
    return { ...target, node };
  }

  #descend(action: string, path: string, parts: string[]): DirectoryNode {
    let directory = this.root;
    for (const part of parts) {
      const node = directory.entries.get(part);
      if (node === undefined) throw new FileNotFoundError(action, path);
      if (node instanceof FileNode) {
        throw new StorageError(
          action,
          path,
          "a part of the path is not a directory",
        );
      }
      directory = node;
    }
    return directory;
  }
}

/** A file that was found or made. */
export interface OpenedFile {
  /** The directory it stands in. */
  directory: DirectoryNode;
  /** Its name there. */
  name: string;
  /** The file. */
  node: FileNode;
  /** Whether it did not exist before. */
  made: boolean;
}

function partsOf(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return parts;
}
