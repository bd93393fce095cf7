/**
 * One watcher: its stream, from where it begins to where it keeps up.
 *
 * ```
 * since a token:  wait for the token → replay → live
 * initial:        snapshot           → replay → live
 * else:                                         live
 * ```
 *
 * Guarantees: nothing between two of these is missed or told twice: a replay goes
 * over to live in one step, when it has told all that is durable here. Where a whole
 * copy takes the place of the data, what has not been told yet is not told any more,
 * but that this has happened, and the watcher is live from there on. Before that
 * what is told is read from the disk when the reader asks for it, so that it waits
 * in no memory; live it waits in a bounded queue (change_queue.ts).
 *
 * @module
 */

import {
  type Clock,
  ClosedError,
  isPromise,
  TokenTooOldError,
} from "../runtime/mod.ts";
import { ChangeQueue, type Waiting, waitingBytes } from "./change_queue.ts";
import { rowKey, Space } from "./keyspace.ts";
import { Progress, type Step } from "./progress.ts";
import type { Arrivals } from "./replication/arrivals.ts";
import type { Applied } from "./replication/draft.ts";
import { decodeEntry, type Entry, hasExpired } from "./replication/entry.ts";
import type { Replay } from "./replication/replay.ts";
import type { Replica } from "./replication/replica.ts";
import type { FrozenState } from "./replication/session.ts";
import type { Vector } from "./replication/vector.ts";
import type { Token, TokenContent } from "./token.ts";

/** What watchers read from. */
export interface WatchSource {
  readonly replica: Pick<
    Replica,
    "vector" | "floor" | "replay" | "stateAfter" | "freeze"
  >;
  readonly arrivals: Pick<Arrivals, "of">;
  readonly clock: Clock;
}

/** What a watcher watches. */
export interface WatcherFilter {
  readonly prefix: Uint8Array;
  /** If given, only these, in order. */
  readonly keys: readonly Uint8Array[] | undefined;
  wants(entry: Entry): boolean;
}

/** What a watcher is made of. */
export interface WatcherOptions<T> {
  readonly source: WatchSource;
  readonly filter: WatcherFilter;
  /** Tells what happened after this. */
  readonly since: TokenContent | undefined;
  /** Tells what is there first. */
  readonly initial: boolean;
  /** How long `since` is waited for. */
  readonly timeoutMs: number;
  readonly queueBytesMax: number;
  /** Makes what the reader reads. */
  readonly changes: (
    changes: readonly Waiting[],
    token: (() => Token) | undefined,
  ) => T;
  readonly lagged: (missed: number, token: () => Token) => T;
  readonly reset: (token: () => Token) => T;
  /** The reader has gone, or the stream has ended. */
  readonly onEnd: () => void;
}

/** Bytes of records, or of entries, that a watcher is told from the disk at once. */
const READ_BYTES = 256 * 1024;

/** One watcher. */
export class Watcher<T> {
  readonly #options: WatcherOptions<T>;
  #queue: ChangeQueue;
  readonly #ended = new AbortController();
  #progress: Progress;
  #isLive = false;
  /**
   * Where the reader is, while something is on its way to it: it may never come
   * there. `undefined` if the reader is where the progress is.
   */
  #held: { readonly token: (() => Token) | undefined } | undefined;
  /** Whether the reader is to be told of a reset next. */
  #wasReset = false;
  #isCancelled = false;
  /** Whether what was handed out is a state to go on from. */
  #isWhole: boolean;
  /** What is told before the watcher is live. */
  #earlier: AsyncGenerator<T> | undefined;
  #wake: (() => void) | undefined;

  /** What the reader reads. */
  readonly stream: ReadableStream<T>;

  constructor(options: WatcherOptions<T>) {
    const { source, since, initial } = options;
    this.#options = options;
    this.#queue = new ChangeQueue(options.queueBytesMax);
    const { vector } = source.replica;
    const from = since === undefined ? vector : this.#stateOf(since);
    this.#progress = this.#begin(from ?? vector);
    this.#isWhole = !initial && from !== undefined;
    // At once, whenever it is read: what a session brings next is told, too.
    if (!initial && from !== undefined && isSame(from, vector)) {
      this.#isLive = true;
    } else {
      this.#earlier = since === undefined
        ? this.#tellInitial()
        : this.#tellSince(since, from);
    }
    this.stream = new ReadableStream<T>({
      pull: (controller) => this.#pull(controller),
      cancel: () => {
        this.#isCancelled = true;
        return this.close();
      },
    }, { highWaterMark: 0 });
  }

  /**
   * The token of all that was handed out, and of what went by since that was of no
   * interest; `undefined` as long as an initial state is being told.
   */
  token(): Token | undefined {
    return this.#held === undefined ? this.#here()?.() : this.#held.token?.();
  }

  /** Something was applied: it waits, or is read from the disk later. */
  offer(applied: Applied): void {
    if (this.#ended.signal.aborted) return;
    if (applied.replaced !== undefined) {
      return this.#reset(applied.replaced.copy.vector);
    }
    if (!this.#isLive) return;
    const step = stepOf(applied);
    const wanted = this.#wanted(applied.changes, applied.record === undefined);
    if (wanted.length > 0) {
      this.#queue.push(wanted, step);
      this.#wake?.();
    } else if (this.#queue.isEmpty) this.#progress.advance([step]);
    else this.#queue.pass(step);
  }

  /**
   * Ends the stream, after what waits; what is only on the disk yet is not told any
   * more. Resolves when nothing is read there any more.
   */
  async close(): Promise<void> {
    this.#end();
    this.#wake?.();
    try {
      await this.#earlier?.return(undefined);
    } catch {
      // What ended it is told to the reader, if it reads.
    }
  }

  #begin(from: Vector): Progress {
    const { replica } = this.#options.source;
    return new Progress(from, () => replica.floor);
  }

  #here(): (() => Token) | undefined {
    return this.#isWhole ? this.#progress.token() : undefined;
  }

  /** What comes next is handed to the reader, who is not there before it has it. */
  #hold(): void {
    this.#held ??= { token: this.#here() };
  }

  #reset(vector: Vector): void {
    this.#hold();
    this.#queue = new ChangeQueue(this.#options.queueBytesMax);
    this.#progress = this.#begin(vector);
    this.#isWhole = true;
    this.#isLive = true;
    this.#wasReset = true;
    this.#wake?.();
  }

  #end(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(new ClosedError("watch"));
    this.#options.onEnd();
  }

  async #pull(controller: ReadableStreamDefaultController<T>): Promise<void> {
    try {
      const next = await this.#next();
      if (this.#isCancelled) return;
      if (next === undefined) controller.close();
      else {
        controller.enqueue(next);
        this.#held = undefined;
      }
    } catch (error) {
      const closed = this.#ended.signal.aborted || error instanceof ClosedError;
      this.#end();
      if (this.#isCancelled) return;
      // What is missing at the end can be told again, since the last token.
      if (closed) controller.close();
      else controller.error(error);
    }
  }

  async #next(): Promise<T | undefined> {
    const { signal } = this.#ended;
    if (this.#earlier !== undefined) {
      const { value, done } = await this.#earlier.next();
      if (signal.aborted || this.#wasReset) {
        await this.#earlier.return(undefined);
      } else if (done !== true) return value;
      else this.#held = undefined;
      this.#earlier = undefined;
    }
    while (this.#queue.isEmpty && !this.#wasReset && !signal.aborted) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    this.#wake = undefined;
    if (this.#wasReset) {
      this.#wasReset = false;
      return this.#options.reset(this.#progress.token());
    }
    const handed = this.#queue.take();
    if (handed === undefined) return undefined;
    const { changes, lagged } = this.#options;
    this.#hold();
    if (handed.kind === "lagged") {
      // With this token what was dropped can be told again.
      const token = this.#progress.token();
      this.#progress.advance(handed.steps);
      return lagged(handed.missed, token);
    }
    this.#progress.advance(handed.steps);
    const token = this.#progress.token();
    this.#progress.advance(this.#queue.takePassed());
    return changes(handed.changes, token);
  }

  /** The state that a token stands for, as far as this node can tell now. */
  #stateOf({ vector, isState }: TokenContent): Vector | undefined {
    const { replica } = this.#options.source;
    if (isState) return vector.readAs(replica.vector);
    return replica.vector.includes(vector)
      ? replica.stateAfter(vector)
      : undefined;
  }

  async *#tellSince(
    since: TokenContent,
    state: Vector | undefined,
  ): AsyncGenerator<T> {
    const { source, timeoutMs } = this.#options;
    const { signal } = this.#ended;
    await source.arrivals.of(since.vector, { timeoutMs, signal });
    if (this.#wasReset) return;
    const from = state ?? this.#stateOf(since);
    if (from === undefined) throw new TokenTooOldError("watch");
    if (state === undefined) this.#progress = this.#begin(from);
    this.#isWhole = true;
    yield* this.#tellFrom(source.replica.replay(from), true);
  }

  async *#tellInitial(): AsyncGenerator<T> {
    const { replica } = this.#options.source;
    const frozen = await replica.freeze();
    const { snapshot, vector } = frozen;
    if (!this.#wasReset) this.#progress.advance([vector]);
    try {
      if (!this.#wasReset) yield* this.#tellSnapshot(frozen);
    } finally {
      const closed = snapshot.close();
      if (isPromise(closed)) await closed;
    }
    if (!this.#wasReset) yield* this.#tellFrom(replica.replay(vector), false);
  }

  async *#tellSnapshot(frozen: FrozenState): AsyncGenerator<T> {
    const { changes } = this.#options;
    let batch: Waiting[] = [];
    let bytes = 0;
    for await (const entry of this.#entries(frozen)) {
      if (this.#wasReset) return;
      // Before its end there is nothing to go on from.
      if (bytes >= READ_BYTES) {
        yield changes(batch, undefined);
        batch = [];
        bytes = 0;
      }
      batch.push({ entry, coalesced: true });
      bytes += waitingBytes(entry);
    }
    if (this.#wasReset) return;
    this.#hold();
    this.#isWhole = true;
    if (batch.length > 0) yield changes(batch, this.#progress.token());
  }

  /** What is there of what is watched. */
  async *#entries({ snapshot, bank }: FrozenState): AsyncGenerator<Entry> {
    const { filter, source } = this.#options;
    const nowMs = source.clock.now();
    const isWanted = (entry: Entry) =>
      filter.wants(entry) && !hasExpired(entry, nowMs);
    if (filter.keys !== undefined) {
      for (const key of filter.keys) {
        const row = await snapshot.get(rowKey(Space.LIVE + bank, key));
        const entry = row && decodeEntry(key.slice(), row);
        if (entry !== undefined && isWanted(entry)) yield entry;
      }
      return;
    }
    const rows = snapshot.iterate({
      prefix: rowKey(Space.LIVE + bank, filter.prefix),
    });
    try {
      for (;;) {
        const more = rows.next();
        if (!(isPromise(more) ? await more : more)) return;
        const entry = decodeEntry(rows.key.subarray(1), rows.value);
        if (isWanted(entry)) yield entry;
      }
    } finally {
      const closed = rows.close();
      if (isPromise(closed)) await closed;
    }
  }

  /**
   * Tells what the log has, until that is all; then the watcher is live.
   *
   * @throws {TokenTooOldError} If `isFirst` and the log does not reach so far.
   */
  async *#tellFrom(replay: Replay, isFirst: boolean): AsyncGenerator<T> {
    const { source, changes, lagged } = this.#options;
    while (!this.#isLive) {
      if (replay.isAtEnd) break;
      const told = await replay.next(READ_BYTES);
      if (this.#wasReset) return;
      if (told === undefined) {
        if (isFirst) throw new TokenTooOldError("watch");
        const { vector } = source.replica;
        const token = this.#progress.token();
        this.#hold();
        this.#progress.advance([vector]);
        this.#isLive = true;
        yield lagged(vector.countBeyond(replay.vector), token);
        return;
      }
      isFirst = false;
      for (const [i, applied] of told.entries()) {
        this.#hold();
        this.#progress.advance([stepOf(applied)]);
        const wanted = this.#wanted(applied.changes, false);
        const token = this.#progress.token();
        // Before the reader is done with the last one.
        if (i === told.length - 1 && replay.isAtEnd) this.#isLive = true;
        if (wanted.length > 0) yield changes(wanted, token);
        if (this.#wasReset) return;
      }
    }
    this.#isLive = true;
  }

  #wanted(changes: readonly Entry[], coalesced: boolean): Waiting[] {
    const { filter } = this.#options;
    const wanted: Waiting[] = [];
    for (const entry of changes) {
      if (filter.wants(entry)) {
        wanted.push({ entry: ownEntry(entry), coalesced });
      }
    }
    return wanted;
  }
}

function stepOf({ record, vector }: Pick<Applied, "record" | "vector">): Step {
  // Not the record itself, which would stay in memory.
  return vector ?? { origin: record!.origin, seq: record!.seq };
}

/** An entry with bytes of its own: what a watcher does to them is its affair. */
function ownEntry(entry: Entry): Entry {
  return { ...entry, key: entry.key.slice(), value: entry.value?.slice() };
}

function isSame(a: Vector, b: Vector): boolean {
  return a.includes(b) && b.includes(a);
}
