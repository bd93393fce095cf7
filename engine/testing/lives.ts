/**
 * Random lives of one store: many writers, readers and flushes at once, ended
 * by kills, losses of power, failing devices or a close, at any moment, also
 * while it opens; and a model that says what the next life must find.
 *
 * Judged: what is there is a prefix of the batches in the order they were handed
 * in, with every batch that was acknowledged as the kind of end asks for; a
 * snapshot or iterator shows one prefix, the one of its moment, however long it
 * is kept; errors are typed, and only a failing device makes one; a store that
 * was closed leaves no handle open; what only crashes have done to a store never
 * keeps it from opening.
 *
 * @module
 */

import {
  AspenError,
  type Bytes,
  ClosedError,
  type FileSystem,
  PoisonedError,
  StorageError,
} from "../../runtime/mod.ts";
import { type DirectoryNode, FileNode } from "../../runtime/file_tree.ts";
import { DiskState, type Unsynced } from "../../runtime/virtual/disk_state.ts";
import { VirtualFiles } from "../../runtime/virtual/files.ts";
import { Host } from "../../runtime/virtual/host.ts";
import { Prng } from "../../runtime/virtual/prng.ts";
import { Scheduler } from "../../runtime/virtual/scheduler.ts";
import { Trace } from "../../runtime/virtual/trace.ts";
import type { BatchOp, IterateOptions, KVReader } from "../kv.ts";
import { type Lsm, openLsm } from "../lsm.ts";
import type { LsmOptions } from "../options.ts";
import { FaultyFiles, type FileAction } from "./faulty_files.ts";

/** What has happened in the lives of one seed. */
export interface LivesReport {
  /** Batches that were acknowledged. */
  acked: number;
  /** Ends by kind: how often. */
  ends: Record<string, number>;
  /** Opens that were cut short. */
  opensCut: number;
  /** Flushes and compactions that were done. */
  jobs: number;
  /** Snapshots and iterators that were judged. */
  views: number;
}

/** Keys and values as text, a character a byte. */
type State = Map<string, string>;

/** A batch as text; no value: a deletion. */
type TextOps = readonly (readonly [string, string | undefined])[];

/** How a life ends: of the process alone, of the power, or by a close. */
type End = "process" | Unsynced | "close" | "fault";

const DIR = "data/store";
const COUNT_KEY = "c";
const LIFE_MS_MAX = 100_000;

/** Lives `lives` lives of one store; throws at the first broken promise. */
export async function runLives(
  seed: number,
  lives: number,
): Promise<LivesReport> {
  const campaign = new Lives(seed);
  for (let life = 0; life < lives; life++) await campaign.live(life);
  return campaign.report;
}

class Lives {
  readonly report: LivesReport = {
    acked: 0,
    ends: {},
    opensCut: 0,
    jobs: 0,
    views: 0,
  };
  readonly #random: Prng;
  readonly #scheduler: Scheduler;
  readonly #syncMs: readonly [number, number];
  #disk = new DiskState();
  /** All batches that may be there, in order. */
  #history: TextOps[] = [];
  /** Batches that survive the end of the process, and of the power. */
  #written = 0;
  #synced = 0;
  #nonce = 0;
  #failure: unknown;

  constructor(seed: number) {
    this.#random = new Prng(seed, "lives");
    this.#scheduler = new Scheduler(this.#random.fork("scheduler"));
    this.#syncMs = [0.1, 0.2 + this.#random.below(4) ** 2];
  }

  async live(life: number): Promise<void> {
    const random = this.#random.fork(`life ${life}`);
    const host = new Host(
      `life ${life}`,
      this.#scheduler,
      new Trace(),
      random.fork("fate"),
    );
    const end = drawEnd(random);
    let open = false;
    const files = this.#files(host, random, end, () => open);
    const ended = Promise.withResolvers<void>();
    const kills = end !== "close" && end !== "fault";
    if (kills) {
      // Often while it opens.
      const after = random.chance(0.3) ? 12 : random.chance(0.5) ? 60 : 400;
      host.schedule(random.float() * after, "kill", () => {
        host.die();
        ended.resolve();
      });
    }
    const living = this.#serve(files, host, random, end, () => open = true);
    living.catch((error) => this.#fail(error)).finally(ended.resolve);
    let over = false;
    ended.promise.then(() => over = true);
    const how = await this.#scheduler.runUntil(
      () => over,
      this.#scheduler.now + LIFE_MS_MAX,
    );
    if (this.#failure !== undefined) throw this.#failure;
    if (how !== "done") {
      throw new Error(
        `life ${life} hangs (${how}), pending: ${this.#scheduler.describePending()}`,
      );
    }
    host.die();
    if (!open) this.report.opensCut++;
    this.report.ends[end] = (this.report.ends[end] ?? 0) + 1;
    this.#endLife(end, random);
  }

  #endLife(end: End, random: Prng): void {
    if (end === "torn" || end === "lost" || end === "kept") {
      this.#disk = this.#disk.crash(end, random.fork("disk"));
      if (end === "kept") this.#synced = this.#written;
      else this.#written = this.#synced;
    } else {
      unlock(this.#disk.tree.root);
    }
  }

  #files(
    host: Host,
    random: Prng,
    end: End,
    isOpen: () => boolean,
  ): FaultyFiles {
    const inner: FileSystem = new VirtualFiles(host, this.#disk, this.#syncMs);
    const failAt = end === "fault"
      ? random.below(random.chance(0.4) ? 30 : 300)
      : Infinity;
    let asked = 0;
    let failedPath: string | undefined;
    return new FaultyFiles(inner, ({ action, path }: FileAction) => {
      if (
        failedPath === path && !path.endsWith("LOCK") &&
        (action === "append to" || action === "begin to sync") && host.alive
      ) {
        this.#fail(new Error(`after a failure, ${action} "${path}"`));
      }
      // A read that fails harms its reader alone; those are not told apart here.
      if (action === "open" && isOpen()) return false;
      if (asked++ !== failAt) return false;
      // Tables and directories may be written on for a while; logs must not. They
      // go without room that cannot be made.
      if (
        action !== "make room in" &&
        (path.endsWith(".wal") || path.includes("MANIFEST"))
      ) {
        // Who syncs is told by a promise, so not before others have their turn.
        if (action.endsWith("sync")) queueMicrotask(() => failedPath = path);
        else failedPath = path;
      }
      return true;
    });
  }

  /** Opens the store, lets them all loose on it, and closes it. */
  async #serve(
    files: FaultyFiles,
    host: Host,
    random: Prng,
    end: End,
    onOpen: () => void,
  ): Promise<void> {
    const sleep = (ms: number) =>
      new Promise<void>((resolve) => host.schedule(ms, "sleep", resolve));
    const options = drawOptions(random, () => sleep(0));
    let store: Lsm;
    try {
      store = await openLsm(DIR, {
        ...options,
        files,
        random,
        onEvent: ({ type }) => {
          if (type === "flush" || type === "compaction") this.report.jobs++;
        },
      });
    } catch (error) {
      if (end !== "fault" || !(error instanceof StorageError)) throw error;
      this.#expectNoHandles(files, "after a failed open");
      return;
    }
    onOpen();
    this.#takeOver(store);
    const until = this.#history.length + 10 + random.below(60);
    let closed = false;
    let writers = 1 + random.below(4);
    const going = () => !closed && host.alive && writers > 0;
    const tolerate = (error: unknown): void => {
      const fault = end === "fault" &&
        (error instanceof StorageError || error instanceof PoisonedError);
      if (!fault && !(closed && error instanceof ClosedError)) throw error;
    };
    const work: Promise<void>[] = [];
    for (let i = writers; i > 0; i--) {
      const own = random.fork(`writer ${i}`);
      const writing = (async () => {
        while (going() && this.#history.length < until) {
          if (own.chance(0.3)) await sleep(own.float() * 4);
          if (!going()) return;
          const writes: Promise<void>[] = [];
          for (let n = own.below(4); n >= 0; n--) {
            writes.push(this.#write(store, own));
          }
          for (const done of await Promise.allSettled(writes)) {
            if (done.status === "rejected") {
              tolerate(done.reason);
              return;
            }
          }
        }
      })();
      work.push(writing.finally(() => writers--));
    }
    for (let i = random.below(4); i > 0; i--) {
      const own = random.fork(`reader ${i}`);
      work.push((async () => {
        try {
          while (going() && this.#history.length < until) {
            await sleep(own.float() * 10);
            if (going()) await this.#view(store, own, sleep, going);
          }
        } catch (error) {
          tolerate(error);
        }
      })());
    }
    const own = random.fork("flusher");
    work.push((async () => {
      try {
        while (going() && this.#history.length < until) {
          await sleep(own.float() * 60);
          if (!going()) return;
          if (own.chance(0.5)) await store.flush();
          else await store.idle();
        }
      } catch (error) {
        tolerate(error);
      }
    })());
    if (random.chance(0.3)) await sleep(random.float() * 60);
    else await Promise.all(work);
    if (!host.alive) return;
    closed = true;
    const closing = store.close();
    try {
      await closing;
    } catch (error) {
      if (end !== "fault" || !(error instanceof AspenError)) throw error;
    }
    await Promise.all(work);
    if (host.alive) this.#expectNoHandles(files, "after the close");
  }

  /** What an open store holds is what counts from now on. */
  #takeOver(store: Lsm): void {
    const count = countOf(store);
    if (count < this.#written || count > this.#history.length) {
      throw new Error(
        `${count} batches are there, ${this.#written} were acknowledged, ${this.#history.length} handed in`,
      );
    }
    this.#history.length = count;
    this.#written = count;
    // The open makes durable what it builds on.
    this.#synced = count;
    const expected = this.#stateAt(count);
    judge(store, {}, expected, "after the open");
    judge(store, { reverse: true }, expected, "after the open, backward");
    judgeGets(store, expected, "after the open");
  }

  async #write(store: Lsm, random: Prng): Promise<void> {
    const ops = this.#drawBatch(random);
    const sync = random.chance(0.35);
    const batch: BatchOp[] = ops.map(([key, value]) => ({
      key: bytesOf(key),
      value: value === undefined ? undefined : bytesOf(value),
    }));
    const index = this.#history.push(ops);
    try {
      await store.write(batch, { sync });
    } catch (error) {
      if (error instanceof ClosedError) this.#history.length = index - 1;
      throw error;
    }
    this.report.acked++;
    this.#written = Math.max(this.#written, index);
    if (sync) this.#synced = Math.max(this.#synced, index);
    // They are the caller's again.
    for (const { key, value } of batch) {
      key.fill(0xee);
      value?.fill(0xee);
    }
    const seen = countOf(store, true);
    if (seen !== undefined && seen < index) {
      throw new Error(`batch ${index} is not seen, only ${seen}`);
    }
  }

  #drawBatch(random: Prng): TextOps {
    const number = this.#history.length + 1;
    const ops: [string, string | undefined][] = [[COUNT_KEY, `${number}`]];
    for (let n = random.below(5); n > 0; n--) {
      const value = random.chance(0.3) ? undefined : this.#drawValue(random);
      ops.push([drawKey(random), value]);
    }
    // The count is not always the first op, and a key may come twice.
    if (random.chance(0.5)) ops.push(ops.shift()!);
    return ops;
  }

  #drawValue(random: Prng): string {
    const nonce = `${this.#nonce++};`;
    if (random.chance(0.0005)) return nonce.repeat(60_000);
    if (random.chance(0.03)) return nonce.repeat(600);
    return random.chance(0.1) ? "" : nonce.repeat(random.below(20));
  }

  /** Takes a snapshot or iterator, keeps it for a while, judges what it shows. */
  async #view(
    store: Lsm,
    random: Prng,
    sleep: (ms: number) => Promise<void>,
    going: () => boolean,
  ): Promise<void> {
    this.report.views++;
    const range = drawRange(random);
    const what = `a view of ${JSON.stringify(range)}`;
    using snapshot = store.snapshot();
    const expected = this.#stateAt(countOf(snapshot));
    const iterator = (random.chance(0.5) ? store : snapshot).iterate({
      ...range,
      start: range.start && Buffer.from(range.start),
      end: range.end && Buffer.from(range.end),
    });
    try {
      const found: [string, string][] = [];
      while (iterator.next()) {
        found.push([textOf(iterator.key), textOf(iterator.value)]);
        if (random.chance(0.1)) {
          await sleep(random.float() * 40);
          if (!going()) return;
        }
      }
      expectSame(found, expectedOf(expected, range), what);
      const again = drawRange(random);
      judge(snapshot, again, expected, `a snapshot`);
      judgeGets(snapshot, expected, "a snapshot");
      await sleep(random.float() * 80);
      if (!going()) return;
      judge(snapshot, range, expected, "a snapshot that is kept");
    } finally {
      iterator.close();
    }
  }

  #stateAt(count: number): State {
    const state: State = new Map();
    for (let i = 0; i < count; i++) {
      for (const [key, value] of this.#history[i]!) {
        if (value === undefined) state.delete(key);
        else state.set(key, value);
      }
    }
    return state;
  }

  #expectNoHandles(files: FaultyFiles, when: string): void {
    if (files.handles > 0) {
      throw new Error(`${files.handles} handles are open ${when}`);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }
}

function drawEnd(random: Prng): End {
  const ends: End[] = [
    "process",
    "process",
    "torn",
    "torn",
    "torn",
    "lost",
    "kept",
    "close",
    "fault",
  ];
  return ends[random.below(ends.length)]!;
}

function drawOptions(
  random: Prng,
  pause: () => Promise<void>,
): Omit<LsmOptions, "files"> {
  return {
    memtableBytes: 200 + random.below(4) * 900,
    tableBytes: 1 + random.below(3) * 500,
    blockBytes: 1 + random.below(4) * 100,
    levelBytes: 1 + random.below(4) * 1500,
    cacheBytes: random.below(3) * 20_000,
    openFilesMax: 1 + random.below(5),
    compression: random.chance(0.3) ? "zstd" : "none",
    yieldNow: random.chance(0.5) ? pause : undefined,
  };
}

const LETTERS = ["\0", "\x01", "a", "b", "\x7f", "\x80", "\xfe", "\xff"];

function drawKey(random: Prng): string {
  if (random.chance(0.001)) {
    return LETTERS[random.below(8)]!.repeat(65_535 - random.below(2));
  }
  let key = "";
  for (let n = random.below(3); n >= 0; n--) key += LETTERS[random.below(8)];
  // Ends that only the length tells apart.
  return random.chance(0.1) ? key + "\0".repeat(random.below(6)) : key;
}

function drawRange(random: Prng): IterateOptions {
  const range: IterateOptions = { reverse: random.chance(0.5) };
  if (random.chance(0.4)) range.start = bytesOf(drawKey(random));
  if (random.chance(0.4)) range.end = bytesOf(drawKey(random));
  if (random.chance(0.3)) {
    range.prefix = bytesOf(drawKey(random)).subarray(0, 2);
  }
  return range;
}

function expectedOf(state: State, range: IterateOptions): [string, string][] {
  const start = range.start && textOf(range.start);
  const end = range.end && textOf(range.end);
  const prefix = range.prefix && textOf(range.prefix);
  // A character is a byte, so texts sort as bytes do.
  const found = [...state].filter(([key]) =>
    (start === undefined || key >= start) && (end === undefined || key < end) &&
    (prefix === undefined || key.startsWith(prefix))
  ).sort(([a], [b]) => (a < b ? -1 : 1));
  return range.reverse ? found.reverse() : found;
}

function judge(
  reader: KVReader,
  range: IterateOptions,
  state: State,
  what: string,
): void {
  const found: [string, string][] = [];
  const iterator = reader.iterate(range);
  while (iterator.next()) {
    found.push([textOf(iterator.key), textOf(iterator.value)]);
  }
  expectSame(found, expectedOf(state, range), what);
}

function judgeGets(reader: KVReader, state: State, what: string): void {
  for (const [key, value] of state) {
    const found = reader.get(bytesOf(key)) as Bytes | undefined;
    if (found === undefined || textOf(found) !== value) {
      throw new Error(`${what}, get of ${show(key)} gives another value`);
    }
  }
  for (const first of LETTERS) {
    for (const second of LETTERS) {
      const key = first + second;
      if (!state.has(key) && reader.get(bytesOf(key)) !== undefined) {
        throw new Error(`${what}, get of ${show(key)} gives a deleted value`);
      }
    }
  }
}

function expectSame(
  found: [string, string][],
  expected: [string, string][],
  what: string,
): void {
  for (let i = 0; i < Math.max(found.length, expected.length); i++) {
    const [key, value] = found[i] ?? [];
    const [wantedKey, wantedValue] = expected[i] ?? [];
    if (key !== wantedKey || value !== wantedValue) {
      throw new Error(
        `${what}, entry ${i}: ${show(key)} = ${show(value)}, not ${
          show(wantedKey)
        } = ${show(wantedValue)}`,
      );
    }
  }
}

function show(text: string | undefined): string {
  return text === undefined ? "nothing" : JSON.stringify(text.slice(0, 40));
}

function countOf(reader: KVReader): number;
function countOf(reader: KVReader, mayBeClosed: true): number | undefined;
function countOf(reader: KVReader, mayBeClosed = false): number | undefined {
  try {
    const found = reader.get(bytesOf(COUNT_KEY)) as Bytes | undefined;
    return found === undefined ? 0 : Number(textOf(found));
  } catch (error) {
    if (mayBeClosed && error instanceof ClosedError) return undefined;
    throw error;
  }
}

function bytesOf(text: string): Bytes {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return text;
}

/** A process that is gone holds no locks. */
function unlock(directory: DirectoryNode): void {
  for (const node of directory.entries.values()) {
    if (node instanceof FileNode) node.lockedBy = undefined;
    else unlock(node);
  }
}
