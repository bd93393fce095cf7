/**
 * The donor's side of anti-entropy: answers pulls from the recent log, or by a
 * session where the log does not reach.
 *
 * Guarantees: what is handed out is durable here. At most `sessionsMax` sessions
 * are open at once; one that nobody asks for is closed after `idleMs`, and its
 * snapshot with it. All of them together give `bytesPerSecond` at most.
 *
 * @module
 */

import {
  type Bytes,
  CHUNK_BYTES,
  type Clock,
  type Random,
  RemoteError,
  type Timer,
  type Timers,
} from "../../runtime/mod.ts";

import {
  decodeChunkRequest,
  encodeBusyReply,
  encodeRecordsReply,
  encodeSessionReply,
  type PullMessage,
} from "./messages.ts";
import type { Incarnation } from "./incarnation.ts";
import type { Replica } from "./replica.ts";
import { Pace } from "./pace.ts";
import {
  type CopyPoint,
  encodeOffer,
  type FrozenState,
  isLast,
  readOpenIntents,
  SessionReader,
} from "./session.ts";
import { Vector } from "./vector.ts";

/** What a donor is made of. */
export interface DonorOptions {
  readonly replica: Replica;
  readonly clock: Pick<Clock, "monotonic">;
  readonly timers: Timers;
  readonly random: Pick<Random, "u32">;
  /** Sessions that may be open at once. */
  readonly sessionsMax: number;
  /** How long a session may be idle, in milliseconds. */
  readonly idleMs: number;
  /** What all sessions together may give, in bytes a second. */
  readonly bytesPerSecond: number;
  /** What a session says of the cluster. */
  readonly cluster: () => {
    readonly config: Uint8Array;
    readonly incarnations: readonly Incarnation[];
  };
}

interface OpenSession {
  readonly reader: SessionReader;
  readonly node: number;
  /** Of its idle time, or of the pause that it makes. */
  timer: Timer;
  /** Ends that pause. */
  wake?: () => void;
}

/** Numbers for metrics. */
export interface DonorFigures {
  /** Bytes of chunks given. */
  bytes: number;
  /** Time that chunks waited so as not to be too many, in milliseconds. */
  pausedMs: number;
  /** Copies that went on where another session had broken off. */
  resumed: number;
}

/** Answers pulls. */
export class Donor {
  readonly #options: DonorOptions;
  readonly #sessions = new Map<number, OpenSession>();
  readonly #pace: Pace;
  /** Sessions about to be open. */
  #beginning = 0;
  #closed = false;

  /** Numbers for metrics. */
  readonly figures: DonorFigures = { bytes: 0, pausedMs: 0, resumed: 0 };

  constructor(options: DonorOptions) {
    this.#options = options;
    this.#pace = new Pace(options.clock, options.bytesPerSecond);
  }

  /** Sessions open now. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Answers PULL. */
  async pull(
    node: number,
    { vector, whole, from }: PullMessage,
  ): Promise<Bytes> {
    const { replica } = this.#options;
    const base = vector.readAs(replica.vector);
    if (!replica.caughtUp) return encodeBusyReply(replica.vector);
    const recent = whole ? null : await replica.recent(base, CHUNK_BYTES);
    if (recent !== null) {
      return encodeRecordsReply(recent.vector, recent.records, recent.more);
    }
    // A node has one session at a time: a new one ends the one it gave up.
    for (const [id, session] of this.#sessions) {
      if (session.node === node) await this.#end(id);
    }
    const open = this.#sessions.size + this.#beginning;
    if (open >= this.#options.sessionsMax || this.#closed) {
      return encodeBusyReply(replica.vector);
    }
    this.#beginning++;
    try {
      return encodeSessionReply(await this.#begin(node, base, from));
    } finally {
      this.#beginning--;
    }
  }

  /** Answers SESSION_CHUNK. */
  async chunk(node: number, request: Uint8Array): Promise<Bytes> {
    const id = decodeChunkRequest(request);
    const session = this.#sessions.get(id);
    if (session === undefined || session.node !== node) {
      throw notFound(id);
    }
    session.timer.cancel();
    try {
      await this.#pause(session);
      if (!this.#sessions.has(id)) throw notFound(id);
      const piece = this.#pace.pieceBytes(CHUNK_BYTES);
      const chunk = await session.reader.chunk(piece);
      this.#pace.spend(chunk.length);
      this.figures.bytes += chunk.length;
      if (isLast(chunk)) await this.#end(id);
      else if (this.#sessions.has(id)) session.timer = this.#idleTimer(id);
      return chunk;
    } catch (error) {
      await this.#end(id);
      throw error;
    }
  }

  /** Ends all sessions. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.endAll();
  }

  /** Ends the sessions that are open: they are of a copy that counts no more. */
  async endAll(): Promise<void> {
    for (const id of [...this.#sessions.keys()]) await this.#end(id);
  }

  async #begin(
    node: number,
    base: Vector,
    from: CopyPoint | undefined,
  ): Promise<Bytes> {
    const id = this.#drawId();
    const frozen = await this.#options.replica.freeze();
    const { snapshot, bank, vector, lifeGone, lifeFloor, floor } = frozen;
    from?.base.readAs(vector);
    from?.reached.readAs(vector);
    const point = from !== undefined && mayGoOn(from, frozen)
      ? from
      : undefined;
    if (point !== undefined) this.figures.resumed++;
    // A copy that does not go on begins anew.
    const rest = from === undefined ? base : new Vector();
    const reader = new SessionReader(frozen, point?.base ?? rest, point?.last);
    this.#sessions.set(id, { reader, node, timer: this.#idleTimer(id) });
    if (this.#closed) await this.#end(id);
    return encodeOffer({
      id,
      vector,
      lifeGone,
      lifeFloor,
      floor,
      goesOn: point !== undefined,
      // Of a copy all of them: what an earlier donor told is not on the disk yet.
      folds: this.#options.replica.foldsBeyond(rest, vector),
      intents: this.#closed ? [] : await readOpenIntents(snapshot, bank),
      ...this.#options.cluster(),
    });
  }

  /**
   * Another process of this node, one before or a copy that runs beside it, may be
   * asked for a session of this one: it must not take it for one of its own, of
   * which a chunk would then be missing.
   */
  #drawId(): number {
    const { random } = this.#options;
    return (random.u32() & 0x1fffff) * 2 ** 32 + random.u32();
  }

  /** Waits until what was given before is paid for. */
  async #pause(session: OpenSession): Promise<void> {
    const { pauseMs } = this.#pace;
    if (pauseMs <= 0) return;
    this.figures.pausedMs += pauseMs;
    await new Promise<void>((resolve) => {
      session.wake = resolve;
      session.timer = this.#options.timers.set(resolve, pauseMs);
    });
  }

  #idleTimer(id: number): Timer {
    return this.#options.timers.set(() => {
      this.#end(id).catch(() => {
        // The engine could not close a snapshot; nobody asks for it any more.
      });
    }, this.#options.idleMs);
  }

  async #end(id: number): Promise<void> {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    session.timer.cancel();
    session.wake?.();
    await session.reader.close();
  }
}

/**
 * Whether a state can complete what was taken from another: it has all that this
 * had, and has collected no tombstone that this may lack (delta 3): else an entry
 * that the tombstone replaced would stay.
 */
function mayGoOn(from: CopyPoint, { vector, floor }: FrozenState): boolean {
  return vector.includes(from.reached) && from.base.includes(floor);
}

function notFound(id: number): RemoteError {
  return new RemoteError("SessionNotFound", `There is no session ${id}`);
}
