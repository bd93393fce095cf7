/**
 * Agreement: this node's part in what the cluster decides by majority: who has
 * which node key, who is a member, and who votes.
 *
 * Guarantees:
 * - Node keys come from the `ids` register, members from the `config` register; the
 *   higher config is adopted, durably, before anything else is exchanged.
 * - The electorate is kept as `register/policy.ts` has it, by the voters
 *   themselves, one after the other where one does not come to it. The last
 *   records of removed nodes are counted (replication.md §5) in the same way.
 * - After a start nothing is promised before another member has said that this
 *   disk is as new as the node's word (agreement A10), for a while at most; a node
 *   that learns the contrary falls silent and asks to be retired.
 * - {@linkcode Agreement.close} ends all that was asked for, and waits for it.
 *
 * @module
 */

import {
  type Bytes,
  type Clock,
  ClosedError,
  DeadlineExceededError,
  NotCaughtUpError,
  QuorumUnavailableError,
  type Random,
  sleep,
  type Timer,
  type Timers,
} from "../../runtime/mod.ts";
import type { KV } from "../../engine/kv.ts";
import { MessageType } from "../../transport/mod.ts";
import {
  Acceptor,
  type Ask,
  assigning,
  type Config,
  CONFIG_REGISTER,
  decodeIds,
  Electorate,
  electorateSize,
  type ElectorateStep,
  encodeConfig,
  encodeIds,
  IDS_REGISTER,
  idsOfNewEra,
  keyOf,
  nextStep,
  Proposer,
  sealed,
  SEAT_BYTES,
  seatOf,
  withMember,
  withNewEra,
} from "../register/mod.ts";
import { originNode } from "../replication/dot.ts";
import type { Vector } from "../replication/vector.ts";
import { ACCEPTOR_PREFIX, type HostState } from "./host.ts";
import type { NodeState } from "./node_record.ts";
import { decodeReport, encodeReportRequest, type Report } from "./report.ts";

/**
 * How much later the next voter sees to what the one before it has not, in
 * milliseconds.
 */
const STAGGER_MS = 5000;

/** Pause after a step that failed, in milliseconds; up to twice that. */
const RETRY_MS = 2000;

/** Deadline of one step, in milliseconds. */
const STEP_TIMEOUT_MS = 10_000;

/**
 * How long voters may take to say that they are there after all, in ms: longer than
 * one waits for a witness after its start.
 */
const ANSWER_MS = 6000;

/** How long a node that could not be promoted is not asked again, in ms. */
const UNABLE_MS = 10_000;

/** Attempts of one change within a step. */
const STEP_ATTEMPTS = 8;

/** What an agreement is made of. */
export interface AgreementOptions {
  readonly kv: KV;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly host: HostState;
  /** At most how many nodes vote. */
  readonly votersMax: number;
  /** How long a voter is dead before another one votes for it, in milliseconds. */
  readonly voterGoneMs: number;
  /** How long replies wait at most for a first word of another member, in ms. */
  readonly witnessMs: number;
  /** Whether this node has a copy of the data. */
  readonly isCaughtUp: () => boolean;
  /** How a member is doing, as far as known. */
  readonly stateOf: (node: number) => NodeState | undefined;
  /** Sends a request to another node. */
  readonly request: (
    node: number,
    type: number,
    payload: Uint8Array,
    signal: AbortSignal | undefined,
  ) => Promise<Uint8Array>;
  /** What this node has, durable, under the config known here. */
  readonly report: () => Promise<Report>;
  /** A config is newly known, and durable. Must not throw. */
  readonly onKnown: (config: Config) => void;
}

/** The bounds of one step. */
interface StepOptions {
  readonly signal: AbortSignal;
  readonly attemptsMax: number;
}

/** What the cluster has agreed on, for dashboards and tests. */
export interface AgreementMetrics {
  /** How often voters were lost for ever, and an operator began anew. */
  readonly era: number;
  /** The epoch of the newest config known. */
  readonly epoch: number;
  /** Whether all registers were carried over to its voters. */
  readonly settled: boolean;
  /** How many nodes are members. */
  readonly members: number;
  /** The node keys of those that vote, ascending. */
  readonly voters: readonly number[];
  /**
   * How many node keys are retired: of nodes that were removed, and, with a new era,
   * of those that might have joined unheard.
   */
  readonly removed: number;
  /** The node keys of those whose last records are still being counted. */
  readonly sealing: readonly number[];
}

/** One node's part in what the cluster decides. */
export class Agreement {
  readonly #options: AgreementOptions;
  readonly #acceptor: Acceptor;
  readonly #proposer: Proposer;
  readonly #electorate: Electorate;
  readonly #abort = new AbortController();
  /** What was asked for and has not ended. */
  readonly #calls = new Set<Promise<unknown>>();
  readonly #deadSince = new Map<number, number>();
  readonly #witnessed = Promise.withResolvers<void>();
  #witnessTimer: Timer | undefined;
  #wanted = "";
  #wantedSince = 0;
  #notBefore = -Infinity;
  /** Nodes that could not be promoted, and until when they are not asked. */
  readonly #unable = new Map<number, number>();
  #running: Promise<void> | undefined;

  private constructor(options: AgreementOptions, acceptor: Acceptor) {
    this.#options = options;
    this.#acceptor = acceptor;
    const { host: { node, generation }, random, timers } = options;
    const ask: Ask = (to, type, payload, signal) =>
      to === node
        ? this.answerRegister(type, payload)
        : options.request(to, type, payload, signal);
    this.#proposer = new Proposer({
      node,
      generation,
      knowledge: acceptor,
      random,
      sleep: (delayMs, signal) => sleep(timers, delayMs, { signal }),
      ask,
    });
    this.#electorate = new Electorate({
      proposer: this.#proposer,
      knowledge: acceptor,
      ask,
    });
    if (this.known.members.some((member) => member !== node)) {
      this.#witnessTimer = timers.set(
        () => this.#witnessed.resolve(),
        options.witnessMs,
      );
    } else this.#witnessed.resolve();
  }

  /** Opens what the engine knows. */
  static async open(options: AgreementOptions): Promise<Agreement> {
    const { kv, host: { node }, random, onKnown } = options;
    const prefix = ACCEPTOR_PREFIX;
    const acceptor = await Acceptor.open({ kv, prefix, node, random, onKnown });
    return new Agreement(options, acceptor);
  }

  /** The newest chosen config known here; durable. */
  get known(): Config {
    return this.#acceptor.known;
  }

  /** Learns a chosen config. Resolves when it is durable: whether it was news. */
  adopt(config: Config): Promise<boolean> {
    return this.#acceptor.adopt(config);
  }

  /** Another member has told what it knows of this node. */
  witness(): void {
    this.#witnessTimer?.cancel();
    this.#witnessed.resolve();
  }

  /**
   * This disk is older than what the node has said, or another process runs with
   * a copy of it. A voter alone goes on: nobody could promote it again.
   */
  async fallSilent(): Promise<void> {
    if (this.known.voters.length > 1) await this.#acceptor.fallSilent();
  }

  /**
   * Answers REGISTER_PREPARE, REGISTER_ACCEPT, REGISTER_LIST and REGISTER_SEAT.
   *
   * @throws {NotCaughtUpError} If it is asked to vote and has no copy yet.
   */
  async answerRegister(type: number, payload: Uint8Array): Promise<Bytes> {
    if (type === MessageType.REGISTER_SEAT && !this.#options.isCaughtUp()) {
      throw new NotCaughtUpError("vote");
    }
    await this.#witnessed.promise;
    return await this.#acceptor.handle(type, payload);
  }

  /**
   * Gives a ticket its node key, and makes that node a member.
   *
   * @throws {QuorumUnavailableError} If no majority of the voters agreed in time.
   * Whoever asks, asks again: it is to hear who is missing before it gives up.
   */
  admit(
    ticket: Uint8Array,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<number> {
    const run = (options: StepOptions) => this.#admit(ticket, options);
    return this.#call(signal, (signal) => this.#inStep(signal, run, timeoutMs));
  }

  async #admit(ticket: Uint8Array, options: StepOptions): Promise<number> {
    const ids = await this.#proposer.change(
      IDS_REGISTER,
      assigning(ticket),
      options,
    );
    const node = keyOf(decodeIds(ids!), ticket)!;
    await this.#electorate.change(
      (config) => withMember(config, node),
      options,
    );
    return node;
  }

  /**
   * Sees to it that a majority answers, when it is asked, of those who vote without a
   * node, and that they are no fewer than are to vote: others are promoted before. With a vote
   * less, one that dies besides would have nothing decided any more.
   *
   * @throws {QuorumUnavailableError} If no majority would answer, and there is
   * nobody to promote.
   */
  makeDispensable(node: number, signal: AbortSignal): Promise<void> {
    return this.#call(signal, (signal) => this.#makeDispensable(node, signal));
  }

  async #makeDispensable(node: number, signal: AbortSignal): Promise<void> {
    const { votersMax } = this.#options;
    /** Those that have been asked, and did not answer as voters do. */
    const mute = new Set<number>();
    for (;;) {
      signal.throwIfAborted();
      const { members, voters } = this.known;
      const left = voters.filter((voter) => voter.node !== node)
        .map((voter) => voter.node);
      const missing = left.filter((voter) =>
        mute.has(voter) || !this.#isHealthy(voter)
      );
      const answers = missing.length < left.length / 2;
      const votes = left.length < voters.length;
      const size = electorateSize(members.length - 1, votersMax);
      const other = members.find((key) =>
        key !== node && seatOf(this.known, key) === undefined &&
        this.#isHealthy(key) && !this.#isUnable(key)
      );
      const isDone = answers && (!votes || left.length >= size);
      if (votes && other !== undefined && !isDone) {
        try {
          const step = { kind: "promote", node: other } as const;
          await this.#inStep(signal, (options) => this.#promote(step, options));
        } catch (error) {
          if (error instanceof QuorumUnavailableError) throw error;
          // It is not there now, or has no copy yet; or it is time, as seen above.
        }
        continue;
      }
      if (!answers) {
        throw new QuorumUnavailableError(`do without node ${node}`, missing);
      }
      // Who answers pings need not vote: its disk may have been put back.
      const unheard = await this.#mute(node, signal);
      if (unheard.length === 0) return;
      for (const voter of unheard) mute.add(voter);
    }
  }

  /** The voters beside a node that do not answer; none if most of them do. */
  async #mute(node: number, signal: AbortSignal): Promise<readonly number[]> {
    const run = (options: StepOptions) =>
      this.#proposer.names({ ...options, without: node });
    try {
      await this.#inStep(signal, run, ANSWER_MS);
      return [];
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof QuorumUnavailableError) return error.missing;
      throw error;
    }
  }

  /** Retires a node key for ever; throws as {@linkcode makeDispensable} does. */
  remove(node: number, signal: AbortSignal): Promise<void> {
    return this.#call(signal, (signal) => this.#remove(node, signal));
  }

  async #remove(node: number, signal: AbortSignal): Promise<void> {
    do {
      // Also where others have changed who votes meanwhile.
      signal.throwIfAborted();
      if (seatOf(this.known, node) !== undefined) {
        await this.#makeDispensable(node, signal);
      }
    } while (!await this.#electorate.remove(node, { signal }));
    // Who has left is nobody's peer any more: the others settle it.
    if (node === this.#options.host.node) return;
    await this.#electorate.settle({ signal });
  }

  /**
   * Learns the newest config from a majority of the voters. What others, or this
   * node before, had asked for and was not chosen is not chosen any more.
   */
  async refresh(
    signal: AbortSignal,
    timeoutMs = STEP_TIMEOUT_MS,
  ): Promise<void> {
    const run = (options: StepOptions) =>
      this.#electorate.change((config) => config, options);
    await this.#call(signal, (signal) => this.#inStep(signal, run, timeoutMs));
  }

  /**
   * Whether a majority of the voters answers, before long.
   *
   * @throws What kept this node from finding out, such as its engine.
   */
  async answers(signal: AbortSignal): Promise<boolean> {
    const answers = await this.refresh(signal, ANSWER_MS).then(
      () => true,
      (error) => {
        if (error instanceof QuorumUnavailableError) return false;
        throw error;
      },
    );
    signal.throwIfAborted();
    return answers;
  }

  /**
   * Begins a new era, in which this node alone votes, where the voters are lost for
   * ever (agreement §1.4). What they decided and nobody here has heard of is void.
   *
   * @param highestKey The highest node key that was ever seen here.
   * @param members Nodes known besides the members.
   * @throws {NotCaughtUpError} If this node has no copy of the data yet.
   * @throws {ClosedError} If it is closed: then whether anybody answers was not found
   * out.
   */
  async beginEra(
    highestKey: number,
    members: readonly number[],
  ): Promise<void> {
    const { host: { node }, random, isCaughtUp } = this.#options;
    if (!isCaughtUp()) throw new NotCaughtUpError("recover");
    const begun = this.#acceptor.beginAnew((known) => {
      this.#abort.signal.throwIfAborted();
      const seat = random.fill(new Uint8Array(SEAT_BYTES));
      const highest = Math.max(
        highestKey,
        known.members.at(-1) ?? 0,
        known.removed.at(-1) ?? 0,
      );
      const ids = idsOfNewEra(highest);
      const config = withNewEra(known, { node, seat }, members, ids.next);
      const registers = {
        [CONFIG_REGISTER]: encodeConfig(config),
        [IDS_REGISTER]: encodeIds(ids),
      };
      return { config, seat, registers };
    });
    await this.#track(begun);
  }

  /** What a member has, durable, under the config known here or a newer one. */
  async reportOf(node: number, signal: AbortSignal): Promise<Report> {
    const { host, request, report } = this.#options;
    if (node === host.node) return await report();
    const asked = encodeReportRequest(this.known);
    return decodeReport(await request(node, MessageType.REPORT, asked, signal));
  }

  /** Whether keys of a removed node may be claimed by whoever covers `finals`. */
  isSealed(node: number, vector: Vector): boolean {
    const { removed, sealing, finals } = this.known;
    if (sealing.length > 0 || !removed.includes(node)) return false;
    for (const [origin, seq] of finals) {
      if (!vector.covers(origin, seq)) return false;
    }
    return true;
  }

  /** Sees to what the electorate lacks, if it is this node's turn. */
  tend(): void {
    const { clock, random } = this.#options;
    const now = clock.monotonic();
    this.#watchDead(now);
    const step = this.#step();
    const wanted = step === undefined
      ? ""
      : `${this.known.era}.${this.known.epoch} ${JSON.stringify(step)}`;
    if (wanted !== this.#wanted) {
      this.#wanted = wanted;
      this.#wantedSince = now;
    }
    if (step === undefined || this.#running !== undefined) return;
    const turn = this.#rank() * STAGGER_MS;
    if (now < this.#notBefore || now - this.#wantedSince < turn) return;
    this.#running = this.#take(step).catch(() => {
      // No majority, or the other node is not there now: tried again later.
      this.#notBefore = clock.monotonic() + RETRY_MS * (1 + random.float());
    }).finally(() => {
      this.#running = undefined;
    });
  }

  /** Begins nothing any more, ends what runs, and waits until nothing does. */
  async close(): Promise<void> {
    this.#witnessTimer?.cancel();
    this.#witnessed.resolve();
    this.#abort.abort(new ClosedError("agree"));
    await Promise.allSettled([this.#running, ...this.#calls]);
  }

  /** Runs what was asked for, until the close at most. */
  #call<T>(
    signal: AbortSignal,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return this.#track(run(AbortSignal.any([signal, this.#abort.signal])));
  }

  async #track<T>(call: Promise<T>): Promise<T> {
    this.#calls.add(call);
    try {
      return await call;
    } finally {
      this.#calls.delete(call);
    }
  }

  #step(): ElectorateStep | { kind: "seal" } | undefined {
    const { host: { node }, votersMax } = this.#options;
    const config = this.known;
    // A seat that is not its own keeps a majority waiting: out with it.
    if (this.#acceptor.unseated && config.settled && config.voters.length > 1) {
      return { kind: "retire", node };
    }
    if (!this.#acceptor.votes) return undefined;
    const step = nextStep(config, {
      isHealthy: (key) => this.#isHealthy(key) && !this.#isUnable(key),
      isGone: (key) => this.#isGone(key),
      votersMax,
    });
    if (step !== undefined) return step;
    return config.sealing.length > 0 ? { kind: "seal" } : undefined;
  }

  async #take(step: ElectorateStep | { kind: "seal" }): Promise<void> {
    await this.#inStep(this.#abort.signal, async (options) => {
      switch (step.kind) {
        case "settle":
          return await this.#electorate.settle(options);
        case "promote":
          return await this.#promote(step, options);
        case "retire":
          return void await this.#electorate.retire(step.node, options);
        case "seal":
          return await this.#seal(options.signal);
      }
    });
  }

  /** Makes a learner vote, once it and who is needed next have a copy. */
  async #promote(
    { node, next }: ElectorateStep & { kind: "promote" },
    options: StepOptions,
  ): Promise<void> {
    let asked = next;
    try {
      if (next !== undefined) await this.#electorate.askSeat(next, options);
      asked = node;
      await this.#electorate.promote(node, options);
    } catch (error) {
      if (!(error instanceof QuorumUnavailableError)) {
        // Others are asked meanwhile.
        const now = this.#options.clock.monotonic();
        this.#unable.set(asked ?? node, now + UNABLE_MS);
      }
      throw error;
    }
  }

  /** Runs one step, within its bounds. */
  async #inStep<T>(
    signal: AbortSignal,
    run: (options: StepOptions) => Promise<T>,
    timeoutMs = STEP_TIMEOUT_MS,
  ): Promise<T> {
    const abort = new AbortController();
    const timer = this.#options.timers.set(
      () => abort.abort(new DeadlineExceededError("agree", timeoutMs)),
      timeoutMs,
    );
    try {
      return await run({
        signal: AbortSignal.any([abort.signal, signal]),
        attemptsMax: STEP_ATTEMPTS,
      });
    } finally {
      timer.cancel();
    }
  }

  /** Asks every member what it has, and says where the removed nodes ended. */
  async #seal(signal: AbortSignal): Promise<void> {
    const { era, epoch, members } = this.known;
    const removed = new Set(this.known.removed);
    const finals = new Map<number, number>();
    await Promise.all(members.map(async (node) => {
      const answer = await this.reportOf(node, signal);
      // What it had under an older config, or has under a newer, is no part of it.
      if (answer.era !== era || answer.epoch !== epoch) {
        throw new Error("another config is known there");
      }
      for (const origin of answer.vector.origins()) {
        if (!removed.has(originNode(origin))) continue;
        const seq = answer.vector.seq(origin);
        finals.set(origin, Math.max(seq, finals.get(origin) ?? 0));
      }
    }));
    await this.#electorate.change(
      (config) => sealed(config, epoch, finals),
      { signal },
    );
  }

  #isHealthy(node: number): boolean {
    const { host, stateOf } = this.#options;
    return node === host.node || stateOf(node) === "healthy";
  }

  #isUnable(node: number): boolean {
    const until = this.#unable.get(node);
    if (until === undefined) return false;
    if (this.#options.clock.monotonic() < until) return true;
    this.#unable.delete(node);
    return false;
  }

  /** How many voters are asked before this one, of those that answer. */
  #rank(): number {
    const { host: { node } } = this.#options;
    if (this.#acceptor.unseated) return 0;
    return this.known.voters.filter((voter) =>
      voter.node < node && this.#isHealthy(voter.node)
    ).length;
  }

  #watchDead(now: number): void {
    const { stateOf } = this.#options;
    for (const { node } of this.known.voters) {
      if (stateOf(node) !== "dead") this.#deadSince.delete(node);
      else if (!this.#deadSince.has(node)) this.#deadSince.set(node, now);
    }
  }

  #isGone(node: number): boolean {
    const { clock, stateOf, voterGoneMs } = this.#options;
    if (stateOf(node) === "left") return true;
    const since = this.#deadSince.get(node);
    return since !== undefined && clock.monotonic() - since >= voterGoneMs;
  }
}
