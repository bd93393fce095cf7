/**
 * A node's disk in the hands of a test: to look at, to damage, to back up.
 *
 * Guarantees: it stands for the same machine's disk over all lives of its node.
 *
 * @module
 */

import type { Bytes } from "../bytes.ts";
import { StorageError } from "../errors.ts";
import { FileNode } from "../file_tree.ts";
import { type DiskImage, DiskState, type Unsynced } from "./disk_state.ts";
import type { Prng } from "./prng.ts";

/** How a disk fails: it is full, its syncs fail, take long, or are lies. */
export type DiskFault = "full" | "failing" | "slow" | "lying";

/** What is wrong with a disk, until it is set right again. */
export interface DiskFaults {
  /** Nothing more can be written: a part of what is appended still is. */
  full: boolean;
  /** So many syncs fail from now on; what they were to cover never is synced. */
  failingSyncs: number;
  /** Every sync takes so much longer, in milliseconds. */
  slowMs: number;
  /** Syncs report success and do nothing, as devices with a bad cache do. */
  lying: boolean;
  /** Called once, when the next sync begins, with its duration in ms. */
  onSync: ((syncMs: number) => void) | undefined;
  /** How often a program has met each, ever. */
  readonly met: Record<DiskFault, number>;
}

/** A disk that is all right. */
export function noFaults(): DiskFaults {
  return {
    full: false,
    failingSyncs: 0,
    slowMs: 0,
    lying: false,
    onSync: undefined,
    met: { full: 0, failing: 0, slow: 0, lying: 0 },
  };
}

/** A node's disk in the hands of a test: it outlives the node. */
export class VirtualDisk {
  /** What is wrong with it. */
  readonly faults: DiskFaults = noFaults();
  readonly #running: () => boolean;
  #state = new DiskState();

  /** An empty disk; `running` says whether its node lives. */
  constructor(running: () => boolean) {
    this.#running = running;
  }

  /** The disk as programs use it until the next crash. */
  get state(): DiskState {
    return this.#state;
  }

  /** Leaves what a crash leaves; those who had the old state keep it. */
  crash(unsynced: Unsynced, random: Prng): void {
    this.#state = this.#state.crash(unsynced, random);
  }

  /** Every file's path, sorted. */
  paths(): string[] {
    return [...this.image().files.keys()].sort();
  }

  /** A copy of a file's content. */
  read(path: string): Bytes {
    return this.#file("read", path).view().slice();
  }

  /** Replaces a file, or makes it, durably. */
  write(path: string, content: Uint8Array): void {
    this.#state.put(path, content);
  }

  /**
   * Inverts the bits of `mask` in one byte, as a decaying device does, also under a
   * program that has the file open.
   *
   * @returns Mends it, until the next crash, whatever name the file then has.
   */
  flip(path: string, offset: number, mask = 1): () => void {
    const file = this.#file("damage", path);
    const content = file.view();
    if (offset >= content.length) {
      throw new StorageError("damage", path, `it has no byte ${offset}`);
    }
    content[offset]! ^= mask;
    return () => {
      file.view()[offset]! ^= mask;
    };
  }

  /** Cuts a file, durably. */
  truncate(path: string, size: number): void {
    const file = this.#file("cut", path);
    this.#state.truncate(file, size);
    this.#state.beginSync(file)();
  }

  /** Sets everything right; what was not synced stays so. */
  repair(): void {
    Object.assign(this.faults, { ...noFaults(), met: this.faults.met });
  }

  /** A copy of all files as they are now: a backup. */
  image(): DiskImage {
    return this.#state.image();
  }

  /**
   * Puts a backup back, replacing everything.
   *
   * @throws {Error} If the node is running.
   */
  restore(image: DiskImage): void {
    if (this.#running()) {
      throw new Error("Cannot restore the disk: its node is running, kill it");
    }
    this.#state = new DiskState(image);
  }

  #file(action: string, path: string): FileNode {
    const node = this.#state.tree.find(path);
    if (!(node instanceof FileNode)) {
      throw new StorageError(action, path, "there is no such file");
    }
    return node;
  }
}
