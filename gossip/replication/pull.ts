/**
 * Pull: the requester's side of anti-entropy, which guarantees what push only
 * makes fast.
 *
 * Guarantees: if the graph of working links is eventually connected, every record
 * that a live node holds reaches this one: every interval it compares its vector
 * with that of a random peer, and at once with one that has just connected, or
 * whose push showed a gap. One pull a peer runs at a time. Of several peers that
 * have the same records one gives them, but for a first answer of each; for others
 * that are slow, or do not answer, a request waits {@linkcode TURN_MS} at most.
 *
 * What waits until conflicts are forgotten (conflict.ts) keeps nothing else: a pull
 * that meets such records asks for the rest as if they were here, and then gives up
 * for now. That peer then rests, as one does that is busy: no push, rumour or pull of
 * its own makes this node ask it again before some time has passed, or
 * {@linkcode Pull.resume} is called. Nor does any pull ask for those records again
 * before {@linkcode WAITING_REST_MS} are over.
 *
 * @module
 */

import {
  ProtocolError,
  type Random,
  RemoteError,
  type Timer,
  type Timers,
} from "../../runtime/mod.ts";
import { MessageType, type RequestOptions } from "../../transport/mod.ts";
import { ConflictsFullError } from "./conflict.ts";
import type { Entry } from "./entry.ts";
import { decodePullReply, encodeChunkRequest, encodePull } from "./messages.ts";
import type { Replica } from "./replica.ts";
import {
  type Chunk,
  type CopyPoint,
  decodeChunk,
  decodeOffer,
  type SessionData,
  type SessionOffer,
} from "./session.ts";
import { Vector } from "./vector.ts";

/**
 * Deadline of one request of a pull, in milliseconds: long enough for a record of
 * the largest size over a slow link. A peer that is gone is found out earlier, by
 * its silent connection.
 */
const REQUEST_TIMEOUT_MS = 300_000;

/** Deadline of a chunk, in milliseconds: others wait for the session to end. */
const CHUNK_TIMEOUT_MS = 30_000;

/** How long a request for more waits for those of others, in milliseconds. */
const TURN_MS = 100;

/** How long one whose turn it is to be asked again waits for those before it, in ms. */
const RESUME_MS = 1000;

/** Rounds in which a pull may get nothing new before it gives up for now. */
const IDLE_ROUNDS_MAX = 3;

/**
 * Largest session that is staged in memory, in bytes of its chunks. A first copy
 * has no limit: it is written as it comes.
 */
const SESSION_BYTES_MAX = 256 * 1024 * 1024;

/**
 * How long what waits is not asked for again, in milliseconds: it takes all of it to
 * find out whether it still would. A peer whose session waits rests as long; one
 * whose records wait rests for one interval, and is then asked for the others.
 */
const WAITING_REST_MS = 60_000;

/** One of the two has no room now: nobody is at fault, and it is asked again. */
class BusyError extends ProtocolError {}

/** What is left at a peer waits until conflicts are forgotten here. */
export class WaitingError extends BusyError {
  /** Whether it is a session that waits. */
  readonly session: boolean;
  constructor(node: number, session: boolean, options?: ErrorOptions) {
    super(
      `records of node ${node} wait until conflicts are forgotten here`,
      options,
    );
    this.session = session;
  }
}

/** What pulls are made of. */
export interface PullOptions {
  readonly replica: Replica;
  readonly timers: Timers;
  readonly random: Random;
  /** Time between two comparisons with a random peer, in ms; ± 50 %. */
  readonly intervalMs: number;
  /** The nodes of which one is drawn. */
  readonly candidates: () => readonly number[];
  /** Sends a request to a peer. */
  readonly request: (
    node: number,
    type: number,
    payload: Uint8Array,
    options: RequestOptions,
  ) => Promise<Uint8Array>;
  /** The epoch of the config known here. */
  readonly configEpoch: () => number;
  /** A session told what config its donor knows. */
  readonly adopt: (config: Uint8Array) => Promise<void>;
  /** A donor gives a session. */
  readonly began?: (session: SessionBegun) => void;
  /** A background pull failed in a way that no lost connection explains. */
  readonly failed: (node: number, error: unknown) => void;
}

interface Work {
  running: Promise<void>;
  /** Begins when the running pull ends. */
  next: Promise<void> | undefined;
}

/** A peer is not asked in the background until it has rested. */
interface Rest {
  readonly timer: Timer;
  /** Whether there was a reason to ask it meanwhile. */
  nudged: boolean;
}

/** Numbers for metrics. */
export interface PullFigures {
  /** Requests sent. */
  pulls: number;
  /** Those of them that were answered with records of the donor's log. */
  records: number;
  /** Sessions taken. */
  sessions: number;
  /** Those of them that were whole copies. */
  copies: number;
  /** Times that a copy went on where it had broken off. */
  resumed: number;
  /** Entries of sessions that came, also of those that broke off. */
  entries: number;
}

/** A session that begins. */
export interface SessionBegun {
  readonly node: number;
  readonly whole: boolean;
  readonly resumed: boolean;
}

/** Pulls what is missing. */
export class Pull {
  readonly #options: PullOptions;
  readonly #work = new Map<number, Work>();
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  /** The peers that are not asked in the background for now. */
  readonly #resting = new Map<number, Rest>();
  /** What peers had when they were last asked, of those at which something waits. */
  readonly #had = new Map<number, Vector>();
  /** Those who had what waited are asked in turn. */
  #resuming: Promise<void> = Promise.resolve();
  /** Runs from when what waits was last asked for. */
  #asked: Timer | undefined;
  /** The session under way: one at a time. */
  #session: Promise<void> = Promise.resolve();
  /** The turn of the last one that waits for it. */
  #turn: Promise<void> = Promise.resolve();

  /** Numbers for metrics. */
  readonly figures: PullFigures = {
    pulls: 0,
    records: 0,
    sessions: 0,
    copies: 0,
    resumed: 0,
    entries: 0,
  };

  constructor(options: PullOptions) {
    this.#options = options;
  }

  /**
   * Begins to compare with random peers, more often until there is a copy: who had
   * no session to spare for a joiner may have one soon.
   */
  start(): void {
    const { intervalMs, random } = this.#options;
    const delayMs = intervalMs * this.#often * (0.5 + random.float());
    this.#timer = this.#options.timers.set(() => {
      this.nudgeAny();
      this.start();
    }, delayMs);
  }

  /** Who has no copy yet cannot write: it compares so much more often. */
  get #often(): number {
    return this.#options.replica.caughtUp ? 1 : 0.1;
  }

  /** Pulls from a random node in the background. */
  nudgeAny(): void {
    const nodes = this.#options.candidates();
    if (nodes.length === 0) return;
    this.nudge(nodes[Math.floor(this.#options.random.float() * nodes.length)]!);
  }

  /**
   * Pulls from a node in the background, once it has rested: a whole copy from one
   * at a time.
   *
   * @returns Resolves when it has ended, or at once if it does not begin.
   */
  nudge(node: number): Promise<void> {
    const rest = this.#resting.get(node);
    if (rest !== undefined) {
      rest.nudged = true;
      return Promise.resolve();
    }
    if (!this.#options.replica.caughtUp && this.#work.size > 0) {
      return Promise.resolve();
    }
    return this.from(node).catch((error) => {
      // Who is busy is asked again, after a rest.
      if (this.#abort.signal.aborted || error instanceof BusyError) return;
      this.#options.failed(node, error);
    });
  }

  /**
   * There is room for what waited: it is pulled from those who had it, from one
   * after the other, since what the first one gives the next ones need not; for one
   * that is slow the next one waits {@linkcode RESUME_MS} at most.
   */
  resume(): void {
    const nodes = [...this.#resting.keys()];
    for (const { timer } of this.#resting.values()) timer.cancel();
    this.#resting.clear();
    const nudged = this.#nudgeInTurn(nodes);
    this.#resuming = this.#resuming.then(() => nudged);
  }

  async #nudgeInTurn(nodes: readonly number[]): Promise<void> {
    for (const node of nodes) {
      if (this.#abort.signal.aborted) return;
      await this.#atMost(this.nudge(node), RESUME_MS);
    }
  }

  /** How long a peer is not asked again by each reason to, after this. */
  #restOf(error: unknown): number {
    const { intervalMs } = this.#options;
    if (error instanceof WaitingError) {
      return error.session ? WAITING_REST_MS : intervalMs;
    }
    // Two that miss something of each other, and are busy, or one of which cannot
    // answer, would else ask and be asked for it as fast as messages go.
    return intervalMs * this.#often / 2;
  }

  #rest(node: number, restMs: number): void {
    const before = this.#resting.get(node);
    before?.timer.cancel();
    const timer = this.#options.timers.set(() => {
      const { nudged } = this.#resting.get(node)!;
      this.#resting.delete(node);
      if (nudged) void this.nudge(node);
    }, restMs);
    this.#resting.set(node, { timer, nudged: before?.nudged ?? false });
  }

  /**
   * Pulls from a node until everything is here that it had, durable, when it was
   * last asked; it is asked at least once after this call.
   *
   * @throws {UnreachableError} If the node cannot be reached.
   * @throws {OutcomeUnknownError} If its answer never came.
   */
  from(node: number): Promise<void> {
    const work = this.#work.get(node);
    if (work === undefined) return this.#begin(node);
    work.next ??= work.running.then(() => {}, () => {}).then(() =>
      this.#begin(node)
    );
    return work.next;
  }

  /** Gives up what is under way. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort();
    for (const { timer } of this.#resting.values()) timer.cancel();
    const running = [...this.#work.values()].map(({ running }) => running);
    await Promise.allSettled(running);
    await this.#resuming;
    this.#asked?.cancel();
  }

  #begin(node: number): Promise<void> {
    const running = this.#pullAll(node).catch((error) => {
      // Who could not be reached is asked as soon as it is connected again.
      const isAnswer = error instanceof BusyError ||
        error instanceof RemoteError;
      if (isAnswer && !this.#abort.signal.aborted) {
        this.#rest(node, this.#restOf(error));
      }
      throw error;
    });
    const work: Work = { running, next: undefined };
    this.#work.set(node, work);
    const ended = () => {
      if (this.#work.get(node) === work && work.next === undefined) {
        this.#work.delete(node);
      }
    };
    running.then(ended, ended);
    return running;
  }

  async #pullAll(node: number): Promise<void> {
    const { replica } = this.#options;
    this.#abort.signal.throwIfAborted();
    let idleRounds = 0;
    // What waits is asked for once, and then as if it were here: never with more
    // than the peer has, which would take it for something that it lacks.
    let aside = this.#aside(node);
    for (let wanted: Vector | undefined;;) {
      this.#abort.signal.throwIfAborted();
      const endTurn = wanted && await this.#takeTurn();
      const before = replica.vector;
      try {
        // Others may have brought it meanwhile.
        if (wanted !== undefined && before.includes(wanted)) return;
        wanted = await this.#round(node, before, aside);
      } finally {
        endTurn?.();
      }
      if (replica.vector.includes(wanted)) return;
      const waiting = aside.size;
      aside = replica.waitingOf(wanted);
      if (aside.size > 0) {
        this.#had.set(node, wanted);
        this.#restWaiting();
      } else this.#had.delete(node);
      if (isJoinOf(wanted, replica.vector, aside)) {
        throw new WaitingError(node, false);
      }
      if (
        replica.vector !== before && !before.includes(replica.vector) ||
        aside.size > waiting
      ) {
        idleRounds = 0;
      } else if (++idleRounds === IDLE_ROUNDS_MAX) {
        throw new ProtocolError(`node ${node} has records that it cannot give`);
      }
    }
  }

  /** What a peer is not asked for, since it waits here. */
  #aside(node: number): Vector {
    const had = this.#had.get(node);
    const aside = this.#options.replica.waitingOf(had ?? new Vector());
    if (aside.size === 0 || this.#asked !== undefined) return aside;
    this.#restWaiting();
    return new Vector();
  }

  #restWaiting(): void {
    this.#asked ??= this.#options.timers.set(
      () => this.#asked = undefined,
      WAITING_REST_MS,
    );
  }

  /**
   * Waits until nobody else asks for more, for {@linkcode TURN_MS} at most. Where
   * several peers have what is missing, they would else all send all of it.
   *
   * @returns Ends the turn.
   */
  async #takeTurn(): Promise<() => void> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await this.#atMost(before, TURN_MS);
    return resolve;
  }

  /** Waits for something, but no longer than so. */
  async #atMost(something: Promise<void>, ms: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = this.#options.timers.set(late.resolve, ms);
    await Promise.race([something, late.promise]);
    timer.cancel();
  }

  /**
   * Asks once. Resolves with what the donor had.
   *
   * @param aside What is not to be given, though it is not here.
   */
  async #round(node: number, base: Vector, aside: Vector): Promise<Vector> {
    const { replica } = this.#options;
    this.figures.pulls++;
    const configEpoch = this.#options.configEpoch();
    const whole = !replica.caughtUp;
    const from = whole ? replica.copyPoint : undefined;
    const vector = whole ? from?.base ?? new Vector() : base.clone();
    if (!whole) vector.join(aside);
    const asked = encodePull({ configEpoch, whole, vector, from });
    const reply = decodePullReply(
      await this.#request(node, MessageType.PULL, asked),
    );
    switch (reply.kind) {
      case "records": {
        this.figures.records++;
        const taken = await replica.receiveAll(reply.records);
        if (taken.includes("full")) {
          throw new BusyError("this node has no room for more records now");
        }
        return reply.vector;
      }
      case "session":
        // It would leave out what is not here.
        if (!whole && !base.includes(vector)) {
          return await this.#round(node, base, new Vector());
        }
        return await this.#takeSession(node, decodeOffer(reply.offer), {
          whole,
          base: vector,
          from,
        });
      case "busy":
        if (replica.vector.includes(reply.vector)) return reply.vector;
        throw new BusyError(`node ${node} has no session to spare now`);
    }
  }

  async #takeSession(
    node: number,
    offer: SessionOffer,
    { from, ...asked }: Pick<SessionData, "whole" | "base"> & {
      from: CopyPoint | undefined;
    },
  ): Promise<Vector> {
    const before = this.#session;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#session = promise;
    const { replica } = this.#options;
    const { sessions } = this.figures;
    replica.learn(offer);
    try {
      await before;
      // What came meanwhile, by another session, is not asked for again.
      if (this.figures.sessions !== sessions) return offer.vector;
      if (asked.whole && from !== replica.copyPoint) {
        throw new BusyError("another donor has given more of the copy since");
      }
      if (offer.goesOn && from === undefined) {
        throw new ProtocolError(`node ${node} goes on with what nobody began`);
      }
      await this.#options.adopt(offer.config);
      const { whole } = asked;
      this.#options.began?.({ node, whole, resumed: offer.goesOn });
      const entries = whole
        ? await this.#fill(node, offer)
        : await this.#stage(node, offer.id);
      await replica.ingest({ ...offer, ...asked, entries }).catch((cause) => {
        if (!(cause instanceof ConflictsFullError)) throw cause;
        throw new WaitingError(node, true, { cause });
      });
      this.figures.sessions++;
      if (whole) this.figures.copies++;
      return offer.vector;
    } finally {
      resolve();
    }
  }

  /** Gathers a session, to be applied whole. */
  async #stage(node: number, id: number): Promise<Entry[]> {
    const staged: Entry[] = [];
    let bytes = 0;
    for await (const { slices, size } of this.#chunks(node, id)) {
      bytes += size;
      if (bytes > SESSION_BYTES_MAX) {
        throw new ProtocolError(
          `the session of node ${node} has more than ${SESSION_BYTES_MAX} bytes`,
        );
      }
      for (const entries of slices) {
        staged.push(...entries);
        this.figures.entries += entries.length;
      }
    }
    return staged;
  }

  /**
   * Writes a whole copy as it comes; what makes it count is still to come. If it
   * breaks off, the next one goes on there, if its donor can.
   */
  async #fill(node: number, offer: SessionOffer): Promise<Entry[]> {
    const { replica } = this.#options;
    if (offer.goesOn) {
      this.figures.resumed++;
      await replica.resumeCopy();
    } else {
      await replica.beginCopy();
    }
    for await (const { slices, replaces } of this.#chunks(node, offer.id)) {
      if (replaces && !offer.goesOn) {
        throw new ProtocolError(`node ${node} replaces what nobody sent`);
      }
      for (const entries of slices) {
        await replica.fill(entries, offer, replaces);
        this.figures.entries += entries.length;
      }
    }
    return [];
  }

  async *#chunks(
    node: number,
    id: number,
  ): AsyncGenerator<Chunk & { size: number }> {
    for (;;) {
      const chunk = await this.#request(
        node,
        MessageType.SESSION_CHUNK,
        encodeChunkRequest(id),
        CHUNK_TIMEOUT_MS,
      );
      const decoded = decodeChunk(chunk);
      yield { ...decoded, size: chunk.length };
      if (decoded.last) return;
    }
  }

  #request(
    node: number,
    type: number,
    payload: Uint8Array,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<Uint8Array> {
    return this.#options.request(node, type, payload, {
      lane: "bulk",
      timeoutMs,
      signal: this.#abort.signal,
    });
  }
}

/** Whether two vectors together cover all that one covers. */
function isJoinOf(whole: Vector, a: Vector, b: Vector): boolean {
  if (b.size === 0) return false;
  const both = a.clone();
  both.join(b);
  return both.includes(whole);
}
