/**
 * The file system that a node of a virtual world works on.
 *
 * Guarantees: the behaviour of all file systems; every change is recorded in
 * the trace; a sync takes virtual time and is what `disk_state.ts` says it is;
 * what is wrong with the disk (`DiskFaults`) is reported as a machine would.
 *
 * @module
 */

import { crc32 } from "../bytes.ts";
import type { FileNode, Place } from "../file_tree.ts";
import { MemoryFile } from "../memory_files.ts";
import type { FileOptions, FileSystem, RuntimeFile } from "../runtime.ts";
import { StorageError } from "../errors.ts";
import { type DiskFaults, noFaults } from "./disk.ts";
import type { DiskState, NameChange } from "./disk_state.ts";
import { type Host, never } from "./host.ts";

/** A virtual disk as its node sees it: the interface of all file systems. */
export class VirtualFiles implements FileSystem {
  readonly #host: Host;
  readonly #disk: DiskState;
  readonly #faults: DiskFaults;
  readonly #syncMs: readonly [number, number];

  /** The files of `host` on `disk`, whose syncs take `syncMs` milliseconds. */
  constructor(
    host: Host,
    disk: DiskState,
    syncMs: readonly [number, number],
    faults: DiskFaults = noFaults(),
  ) {
    this.#host = host;
    this.#disk = disk;
    this.#faults = faults;
    this.#syncMs = syncMs;
  }

  /** Opens a file. */
  open(path: string, options: FileOptions): RuntimeFile {
    if (this.#faults.full && options.mode !== "read" && !this.exists(path)) {
      this.#faults.met.full++;
      throw new StorageError("open", path, NO_SPACE);
    }
    const { directory, name, node, made } = this.#disk.tree.open(path, options);
    if (made) {
      this.#disk.changed([{ directory, name, before: undefined, after: node }]);
      this.#host.trace("make", path);
    }
    return new VirtualFile(path, options, node, {
      host: this.#host,
      disk: this.#disk,
      faults: this.#faults,
      sync: (label, begin, fail) => this.#sync(label, begin, fail),
    });
  }

  /** Whether a file or directory stands at the path. */
  exists(path: string): boolean {
    return this.#disk.tree.find(path) !== undefined;
  }

  /** The names in a directory, sorted. */
  list(path: string): string[] {
    return this.#disk.tree.list(path);
  }

  /** Makes a directory and its parents. */
  makeDirectory(path: string): void {
    this.#disk.makeDirectory(path);
    this.#host.trace("make-directory", path);
  }

  /** Removes a file. */
  remove(path: string): void {
    this.#disk.changed([leaving(this.#disk.tree.remove(path))]);
    this.#host.trace("remove", path);
  }

  /** Renames a file, replacing what stood at `to`. */
  rename(from: string, to: string): void {
    const { source, target } = this.#disk.tree.rename(from, to);
    this.#disk.changed([leaving(source), {
      directory: target.directory,
      name: target.name,
      before: target.node,
      after: source.node,
    }]);
    this.#host.trace("rename", `${from} ${to}`);
  }

  /** Gives a file a second name. */
  link(from: string, to: string): void {
    const { directory, name, node } = this.#disk.tree.link(from, to);
    this.#disk.changed([{ directory, name, before: undefined, after: node }]);
    this.#host.trace("link", `${from} ${to}`);
  }

  /** Waits until the names in the directory are on the device. */
  // An async function, so that every failure is a rejection.
  async syncDirectory(path: string): Promise<void> {
    const directory = this.#disk.tree.directory("sync the directory", path);
    await this.#sync(
      `sync of ${path}`,
      () => this.#disk.beginDirectorySync(directory),
      () => {},
    );
  }

  #sync(
    label: string,
    begin: () => () => void,
    fail: () => void,
  ): Promise<void> {
    if (!this.#host.alive) return never();
    const faults = this.#faults;
    const finish = begin();
    const delayMs = this.#host.fate.between(this.#syncMs) + faults.slowMs;
    const { lying, onSync } = faults;
    const failing = faults.failingSyncs > 0;
    if (lying) faults.met.lying++;
    if (faults.slowMs > 0) faults.met.slow++;
    if (failing) {
      faults.met.failing++;
      faults.failingSyncs--;
    }
    faults.onSync = undefined;
    onSync?.(delayMs);
    return new Promise((resolve, reject) => {
      this.#host.schedule(delayMs, label, () => {
        if (failing) {
          // Not before: until someone is told, who synced earlier may rely on it.
          fail();
          this.#host.trace("sync-failed", label);
          reject(new StorageError("sync", label, "the device failed"));
          return;
        }
        if (!lying) finish();
        this.#host.trace("synced", label);
        resolve();
      });
    });
  }
}

const NO_SPACE = "no space is left on the device";

/** What an open file needs of its surroundings. */
interface FileSurroundings {
  host: Host;
  disk: DiskState;
  faults: DiskFaults;
  sync: (
    label: string,
    begin: () => () => void,
    fail: () => void,
  ) => Promise<void>;
}

class VirtualFile extends MemoryFile {
  readonly #path: string;
  readonly #around: FileSurroundings;

  constructor(
    path: string,
    options: FileOptions,
    node: FileNode,
    around: FileSurroundings,
  ) {
    super(path, options, node);
    this.#path = path;
    this.#around = around;
  }

  override append(data: Uint8Array): void {
    const { faults, host } = this.#around;
    if (faults.full) {
      faults.met.full++;
      const fits = host.alive ? host.fate.below(data.length + 1) : 0;
      super.append(data.subarray(0, fits));
      host.trace("full", `${this.#path} ${fits} of ${data.length}`);
      throw new StorageError("append to", this.#path, NO_SPACE);
    }
    super.append(data);
    this.#around.host.trace(
      "append",
      `${this.#path} ${data.length} ${crc32(data)}`,
    );
  }

  override reserve(bytes: number): void {
    if (this.#around.faults.full) {
      this.#around.faults.met.full++;
      throw new StorageError("make room in", this.#path, NO_SPACE);
    }
    super.reserve(bytes);
    this.#around.host.trace("reserve", `${this.#path} ${bytes}`);
  }

  override truncate(size: number): void {
    this.#around.disk.truncate(this.writable("cut"), size);
    this.#around.host.trace("cut", `${this.#path} ${size}`);
  }

  override async syncData(): Promise<void> {
    const node = this.node("sync");
    await this.#around.sync(
      `sync of ${this.#path}`,
      () => this.#around.disk.beginSync(node),
      () => this.#around.disk.failSync(node),
    );
  }
}

function leaving(place: Place): NameChange {
  return {
    directory: place.directory,
    name: place.name,
    before: place.node,
    after: undefined,
  };
}
