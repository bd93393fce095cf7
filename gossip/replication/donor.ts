/**
 * The donor's side of anti-entropy: answers pulls from the recent log, or by a
 * session where the log does not reach.
 *
 * Guarantees: what is handed out is durable here. At most `sessionsMax` sessions
 * are open at once; one that nobody asks for is closed after `idleMs`, and its
 * snapshot with it.
 *
 * @module
 */

import {
  type Bytes,
  CHUNK_BYTES,
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
import { encodeOffer, readOpenIntents, SessionReader } from "./session.ts";
import type { Vector } from "./vector.ts";

/** What a donor is made of. */
export interface DonorOptions {
  readonly replica: Replica;
  readonly timers: Timers;
  /** Sessions that may be open at once. */
  readonly sessionsMax: number;
  /** How long a session may be idle, in milliseconds. */
  readonly idleMs: number;
  /** What a session says of the cluster. */
  readonly cluster: () => {
    readonly config: Uint8Array;
    readonly incarnations: readonly Incarnation[];
  };
}

interface OpenSession {
  readonly reader: SessionReader;
  readonly node: number;
  timer: Timer;
}

/** Answers pulls. */
export class Donor {
  readonly #options: DonorOptions;
  readonly #sessions = new Map<number, OpenSession>();
  #nextId = 1;
  /** Sessions about to be open. */
  #beginning = 0;
  #closed = false;

  constructor(options: DonorOptions) {
    this.#options = options;
  }

  /** Sessions open now. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Answers PULL. */
  async pull(
    node: number,
    { vector, whole }: PullMessage,
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
      return encodeSessionReply(await this.#begin(node, base));
    } finally {
      this.#beginning--;
    }
  }

  /** Answers SESSION_CHUNK. */
  async chunk(node: number, request: Uint8Array): Promise<Bytes> {
    const id = decodeChunkRequest(request);
    const session = this.#sessions.get(id);
    if (session === undefined || session.node !== node) {
      throw new RemoteError("SessionNotFound", `There is no session ${id}`);
    }
    session.timer.cancel();
    try {
      const chunk = await session.reader.chunk(CHUNK_BYTES);
      if (chunk[0] === 1) await this.#end(id);
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

  async #begin(node: number, base: Vector): Promise<Bytes> {
    const id = this.#nextId++;
    const frozen = await this.#options.replica.freeze();
    const { snapshot, bank, vector, lifeGone, lifeFloor, floor } = frozen;
    const reader = new SessionReader(frozen, base);
    this.#sessions.set(id, { reader, node, timer: this.#idleTimer(id) });
    if (this.#closed) await this.#end(id);
    return encodeOffer({
      id,
      vector,
      lifeGone,
      lifeFloor,
      floor,
      folds: this.#options.replica.foldsBeyond(base, vector),
      intents: this.#closed ? [] : await readOpenIntents(snapshot, bank),
      ...this.#options.cluster(),
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
    await session.reader.close();
  }
}
