/**
 * A disk that forgets, at a crash, what had not been synced.
 *
 * What a crash leaves:
 * - Bytes that a finished `syncData` covered are always there.
 * - Of bytes appended since, a prefix is there: all, none, or cut at any byte.
 * - Room that was reserved is there, as zeros, once a sync covered it, else it is
 *   there or not. Of bytes that replace room, any one block may be missing too.
 * - A cut (`truncate`) that was not synced is in force or not; if not, the file
 *   is as it was at its last sync.
 * - Each change of a directory (file made, removed, renamed) since the last
 *   `syncDirectory` of that directory has happened or not, one by one. A rename
 *   is one step: the file is under the old or the new name, never both or none.
 *   A rename between two directories is durable once either is synced.
 *   A rename that happened brings its file along even where the file's making
 *   is undone; a removal happens only where the removed file itself stands.
 * - Directories are durable once made: a process may lack the right to open the
 *   parent of its own directory, and file systems in use keep them.
 *
 * What is not modelled: unsynced states between several cuts of one file, and
 * blocks reaching the device out of order where there was no room.
 *
 * @module
 */

import type { Bytes } from "../bytes.ts";
import { FileNode, FileTree } from "../file_tree.ts";
import type { DirectoryNode, TreeNode } from "../file_tree.ts";
import type { Prng } from "./prng.ts";

/**
 * What becomes of unsynced data and names at a crash: a seeded part survives
 * (`"torn"`), nothing (`"lost"`), or everything (`"kept"`, as when a process is
 * killed and its machine goes on).
 */
export type Unsynced = "torn" | "lost" | "kept";

/** The files of a disk by path, as copies. */
export interface DiskImage {
  /** Every file's content. */
  readonly files: ReadonlyMap<string, Bytes>;
  /** Every directory. */
  readonly directories: readonly string[];
}

/** One name that changed from one node to another. */
export interface NameChange {
  /** The directory that has the name. */
  directory: DirectoryNode;
  /** The name. */
  name: string;
  /** What stood there. */
  before: TreeNode | undefined;
  /** What stands there now. */
  after: TreeNode | undefined;
}

/** Changes that happen together or not at all. */
export type DirectoryStep = readonly NameChange[];

/** Blocks that reach the device one by one, in bytes. */
const BLOCK_BYTES = 4096;

/**
 * What the device has of a file: `content[0, start)`, then zeros up to `room`,
 * then `cutOff`.
 */
interface SyncState {
  start: number;
  /** The durable size, if that is beyond `start`: zeros. */
  room: number;
  /** Durable bytes that were cut off, the cut being not yet durable. */
  cutOff: Bytes;
  /** A sync of it has failed: nothing appended since counts as synced ever. */
  failed: boolean;
  /** The syncs in flight: up to where each will have synced. */
  inFlight: Set<{ target: number; room: number }>;
}

const NOTHING: Bytes = new Uint8Array(0);

/** Files and what the device has of them. One lives from crash to crash. */
export class DiskState {
  /** What programs see. */
  readonly tree: FileTree = new FileTree();
  readonly #files = new WeakMap<FileNode, SyncState>();
  readonly #names = new WeakMap<DirectoryNode, Map<string, TreeNode>>();
  #steps: DirectoryStep[] = [];

  /** A disk with these files, all durable. */
  constructor(image?: DiskImage) {
    if (image === undefined) return;
    for (const path of image.directories) this.makeDirectory(path);
    for (const [path, content] of image.files) this.put(path, content);
  }

  /** Records a change of names that is not durable yet. */
  changed(step: DirectoryStep): void {
    this.#steps.push(step);
  }

  /** Makes a directory and its parents, durably. */
  makeDirectory(path: string): void {
    this.tree.makeDirectory(path);
    let at = "";
    for (const part of path.split("/")) {
      at += `${part}/`;
      const node = this.tree.find(at);
      if (node === undefined || node === this.tree.root) continue;
      const { directory, name } = this.tree.place("look up", at);
      this.#namesOf(directory).set(name, node);
    }
  }

  /** Puts a file at a path, durably; its directory exists. */
  put(path: string, content: Uint8Array): void {
    const { directory, name } = this.tree.place("write", path);
    const file = new FileNode(content);
    directory.entries.set(name, file);
    this.#namesOf(directory).set(name, file);
    this.#stateOf(file).start = content.length;
  }

  /** Cuts a file, not durably yet. */
  truncate(file: FileNode, size: number): void {
    const state = this.#stateOf(file);
    const durable = Math.max(state.start, state.room);
    if (size < durable) {
      const content = file.view();
      const cutOff = new Uint8Array(durable - size + state.cutOff.length);
      cutOff.set(content.subarray(size, durable));
      cutOff.set(state.cutOff, durable - size);
      state.cutOff = cutOff;
      state.start = Math.min(state.start, size);
      state.room = Math.min(state.room, size);
    }
    // A sync in flight may cover less now; that the cut is then durable with
    // it is one of the outcomes a cut may have.
    for (const sync of state.inFlight) {
      sync.target = Math.min(sync.target, size);
      sync.room = Math.min(sync.room, size);
    }
    file.truncate(size);
  }

  /** Starts a sync of a file; the call that is returned finishes it. */
  beginSync(file: FileNode): () => void {
    const state = this.#stateOf(file);
    const sync = { target: file.written, room: file.size };
    state.inFlight.add(sync);
    return () => {
      state.inFlight.delete(sync);
      if (state.failed) return;
      state.start = Math.max(state.start, sync.target);
      state.room = Math.max(state.room, sync.room);
      state.cutOff = NOTHING;
    };
  }

  /**
   * A sync of a file has failed: the system drops what it could not write, and
   * later syncs say nothing about it.
   */
  failSync(file: FileNode): void {
    this.#stateOf(file).failed = true;
  }

  /** Starts a sync of a directory; the call that is returned finishes it. */
  beginDirectorySync(directory: DirectoryNode): () => void {
    const steps = new Set(
      this.#steps.filter((step) =>
        step.some((change) => change.directory === directory)
      ),
    );
    return () => {
      for (const step of this.#steps) if (steps.has(step)) this.#happen(step);
      this.#steps = this.#steps.filter((step) => !steps.has(step));
    };
  }

  /** What a crash at this moment leaves. This disk is not to be used again. */
  crash(unsynced: Unsynced, random: Prng): DiskState {
    for (const step of this.#steps) {
      if (unsynced === "kept" || (unsynced === "torn" && random.chance(0.5))) {
        this.#happen(step);
      }
    }
    const files = new Map<string, Bytes>();
    const directories: string[] = [];
    const visit = (directory: DirectoryNode, path: string): void => {
      for (const [name, node] of this.#namesOf(directory)) {
        if (node instanceof FileNode) {
          files.set(`${path}${name}`, this.#survives(node, unsynced, random));
        } else {
          directories.push(`${path}${name}`);
          visit(node, `${path}${name}/`);
        }
      }
    };
    visit(this.tree.root, "");
    return new DiskState({ files, directories });
  }

  /** A copy of what programs see. */
  image(): DiskImage {
    const files = new Map<string, Bytes>();
    const directories: string[] = [];
    const visit = (directory: DirectoryNode, path: string): void => {
      for (const [name, node] of directory.entries) {
        if (node instanceof FileNode) {
          files.set(`${path}${name}`, node.view().slice());
        } else {
          directories.push(`${path}${name}`);
          visit(node, `${path}${name}/`);
        }
      }
    };
    visit(this.tree.root, "");
    return { files, directories };
  }

  /** Makes a step durable. */
  #happen(step: DirectoryStep): void {
    for (const { directory, name, before, after } of step) {
      if (after !== undefined) {
        // A moved file leaves every name it had, whatever steps led from there.
        if (step.length > 1) this.#forget(after);
        this.#namesOf(directory).set(name, after);
      } else if (this.#namesOf(directory).get(name) === before) {
        this.#namesOf(directory).delete(name);
      }
    }
  }

  #forget(node: TreeNode): void {
    for (const step of this.#steps) {
      for (const { directory, name } of step) {
        const names = this.#namesOf(directory);
        if (names.get(name) === node) names.delete(name);
      }
    }
  }

  #survives(file: FileNode, unsynced: Unsynced, random: Prng): Bytes {
    const content = file.view();
    const { start, room, cutOff } = this.#stateOf(file);
    if (unsynced === "kept") return content.slice();
    if (unsynced === "torn") {
      const cutHappened = cutOff.length === 0 || random.chance(0.5);
      if (cutHappened) return tornOf(file, start, room, random);
    }
    const size = Math.max(start, room);
    const durable = new Uint8Array(size + cutOff.length);
    durable.set(content.subarray(0, start));
    durable.set(cutOff, size);
    return durable;
  }

  #stateOf(file: FileNode): SyncState {
    let state = this.#files.get(file);
    if (state === undefined) {
      state = {
        start: 0,
        room: 0,
        cutOff: NOTHING,
        failed: false,
        inFlight: new Set(),
      };
      this.#files.set(file, state);
    }
    return state;
  }

  #namesOf(directory: DirectoryNode): Map<string, TreeNode> {
    let names = this.#names.get(directory);
    if (names === undefined) {
      names = new Map();
      this.#names.set(directory, names);
    }
    return names;
  }
}

/** A seeded part of what was not synced, behind what was. */
function tornOf(
  file: FileNode,
  start: number,
  room: number,
  random: Prng,
): Bytes {
  const { written, size } = file;
  const end = start + tear(written - start, random);
  const reserved = size > Math.max(written, room) && random.chance(0.5);
  const content = new Uint8Array(Math.max(end, reserved ? size : room));
  content.set(file.view().subarray(0, end));
  // Where the device had room already, it may have passed over a block.
  if (room > start && end > start && random.chance(0.25)) {
    const last = Math.min(end, room) - 1;
    const at = start + random.below(last - start + 1);
    const block = Math.floor(at / BLOCK_BYTES) * BLOCK_BYTES;
    content.fill(
      0,
      Math.max(block, start),
      Math.min(block + BLOCK_BYTES, last + 1),
    );
  }
  return content;
}

/** How much of `length` unsynced bytes survives: often all or none. */
function tear(length: number, random: Prng): number {
  if (length === 0) return 0;
  const draw = random.below(4);
  return draw === 0 ? 0 : draw === 1 ? length : random.below(length + 1);
}
