/**
 * A file system for tests, on a disk that forgets: every operation that changes
 * something is a step, at which a test may make the world end or a call fail.
 *
 * @module
 */

import {
  type FileOptions,
  type FileSystem,
  type RuntimeFile,
  StorageError,
} from "../../runtime/mod.ts";
import { MemoryFile } from "../../runtime/memory_files.ts";
import { DiskState } from "../../runtime/virtual/disk_state.ts";
import type { FileNode } from "../../runtime/file_tree.ts";

/** What happens at a step instead of it. */
export type Fate = "crash" | "fail" | undefined;

/** Files whose changes are counted. */
export class StepFiles implements FileSystem {
  /** What is on the device and what is not. */
  readonly disk: DiskState;
  /** Steps so far. */
  steps = 0;
  /** Calls of `syncData` so far. */
  syncs = 0;
  /** Calls of `syncData` in flight. */
  syncsInFlight = 0;
  /** The most there were. */
  syncsInFlightMax = 0;
  /** Whether the world has ended. */
  crashed = false;
  /** Resolves when the world ends. */
  readonly end: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  readonly #fate: (step: number, action: string, path: string) => Fate;

  /** Works on `disk`; asks `fate` before each step. */
  constructor(
    disk: DiskState = new DiskState(),
    fate: (step: number, action: string, path: string) => Fate = () =>
      undefined,
  ) {
    this.disk = disk;
    this.#fate = fate;
  }

  open(path: string, options: FileOptions): RuntimeFile {
    if (!this.exists(path) && options.mode !== "read") this.step("make", path);
    const { directory, name, node, made } = this.disk.tree.open(path, options);
    if (made) {
      this.disk.changed([{ directory, name, before: undefined, after: node }]);
    }
    return new StepFile(path, options, node, this);
  }

  exists(path: string): boolean {
    return this.disk.tree.find(path) !== undefined;
  }

  list(path: string): string[] {
    return this.disk.tree.list(path);
  }

  makeDirectory(path: string): void {
    this.step("make directory", path);
    this.disk.makeDirectory(path);
  }

  remove(path: string): void {
    this.step("remove", path);
    const { directory, name, node } = this.disk.tree.remove(path);
    this.disk.changed([{ directory, name, before: node, after: undefined }]);
  }

  rename(from: string, to: string): void {
    this.step("rename", from);
    const { source, target } = this.disk.tree.rename(from, to);
    this.disk.changed([
      {
        directory: source.directory,
        name: source.name,
        before: source.node,
        after: undefined,
      },
      {
        directory: target.directory,
        name: target.name,
        before: target.node,
        after: source.node,
      },
    ]);
  }

  link(from: string, to: string): void {
    this.step("link", to);
    const { directory, name, node } = this.disk.tree.link(from, to);
    this.disk.changed([{ directory, name, before: undefined, after: node }]);
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = this.disk.tree.directory("sync the directory", path);
    await this.sync(path, () => this.disk.beginDirectorySync(directory));
  }

  /** Begins a sync, and finishes it a few turns later. */
  async sync(path: string, begin: () => () => void): Promise<void> {
    if (this.step("begin sync", path)) return await never();
    const finish = begin();
    for (let turn = 0; turn < 4; turn++) await undefined;
    if (this.crashed || this.step("end sync", path)) return await never();
    finish();
  }

  /** Counts a step; returns whether the world has ended, or throws. */
  step(action: string, path: string): boolean {
    if (!this.crashed) {
      const fate = this.#fate(this.steps++, action, path);
      if (fate === "fail") throw new StorageError(action, path, "so it is");
      if (fate === undefined) return false;
      this.crashed = true;
      this.end.resolve();
    }
    if (action.endsWith("sync")) return true;
    throw new StorageError(action, path, "the world has ended");
  }
}

class StepFile extends MemoryFile {
  readonly #name: string;
  readonly #around: StepFiles;

  constructor(
    path: string,
    options: FileOptions,
    node: FileNode,
    around: StepFiles,
  ) {
    super(path, options, node);
    this.#name = path;
    this.#around = around;
  }

  override append(data: Uint8Array): void {
    this.#around.step("append", this.#name);
    super.append(data);
  }

  override reserve(bytes: number): void {
    this.#around.step("reserve", this.#name);
    super.reserve(bytes);
  }

  override truncate(size: number): void {
    this.#around.step("cut", this.#name);
    this.#around.disk.truncate(this.writable("cut"), size);
  }

  override async syncData(): Promise<void> {
    const around = this.#around;
    const node = this.node("sync");
    around.syncs++;
    around.syncsInFlight++;
    around.syncsInFlightMax = Math.max(
      around.syncsInFlightMax,
      around.syncsInFlight,
    );
    try {
      await around.sync(this.#name, () => around.disk.beginSync(node));
    } finally {
      around.syncsInFlight--;
    }
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}
