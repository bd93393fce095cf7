/**
 * The proposer: changes a register by a function, by majority of the voters.
 *
 * Guarantees: what `change` returns is chosen, and was built on everything that
 * was chosen before the call; chosen values of one register form one chain. A
 * voter is counted once. A config found in the `config` register that is newer
 * than the one known is finished as it is and adopted, never built upon
 * (agreement A4).
 *
 * Assumes: one proposer a start, whose generation was made durable before.
 * `ask` settles: it bounds each request by a deadline of its own. The function
 * may run several times for one call, so it is idempotent by its argument (A3)
 * and pure. A read is a change by identity.
 *
 * @module
 */

import { abortable, QuorumUnavailableError } from "../../runtime/mod.ts";
import type { Bytes, Random } from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { compareBallots, NO_BALLOT } from "./ballot.ts";
import type { Ballot } from "./ballot.ts";
import {
  compareConfigs,
  CONFIG_REGISTER,
  decodeConfig,
  supersedes,
} from "./config.ts";
import type { Config, Voter } from "./config.ts";
import {
  decodeReply,
  encodeAccept,
  encodeList,
  encodePrepare,
} from "./messages.ts";
import type { Reply } from "./messages.ts";

/** Attempts of one change, unless the caller says otherwise. */
export const ATTEMPTS_MAX_DEFAULT = 16;

/**
 * The pause after the k-th failed attempt is drawn evenly from 0 to
 * min(PAUSE_MS_MAX, PAUSE_MS * 2^k), so that rivals get out of step.
 */
const PAUSE_MS = 10;
const PAUSE_MS_MAX = 1000;

/** The value after a change; `undefined` leaves an empty register empty. */
export type Change = (value: Uint8Array | undefined) => Uint8Array | undefined;

/** Sends a request to a voter, this node's own acceptor included. */
export type Ask = (
  node: number,
  type: number,
  payload: Uint8Array,
  signal: AbortSignal | undefined,
) => Promise<Uint8Array>;

/** Where a proposer learns configs, and tells of them: the node's acceptor. */
export interface Knowledge {
  /** The newest chosen config known. */
  readonly known: Config;
  /** Learns a chosen config, durably. */
  adopt(config: Config): Promise<unknown>;
}

/** How long others are waited for once one has promised a rival more, in ms. */
const GRACE_MS = 200;

/** What a proposer is made of. */
export interface ProposerOptions {
  /** The node it belongs to. */
  node: number;
  /** Which start of the node this is. */
  generation: number;
  /** The node's acceptor. */
  knowledge: Knowledge;
  /** Asks a voter. */
  ask: Ask;
  /** Draws jitter. */
  random: Random;
  /** Waits; rejects when the signal aborts. */
  sleep: (delayMs: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** Options for {@linkcode Proposer.change}. */
export interface ChangeOptions {
  /** Gives up when aborted. Whether it happened is then not known. */
  signal?: AbortSignal | undefined;
  /** Attempts before giving up. @default {16} */
  attemptsMax?: number;
}

/** Options for {@linkcode Proposer.names}. */
export interface NamesOptions extends ChangeOptions {
  /** A voter that is not asked, and does not count: the majority is of the others. */
  without?: number | undefined;
}

/** How an attempt ended: chosen, to be repeated, or short of a majority. */
type Attempt<T> =
  | { readonly outcome: "chosen"; readonly value: T }
  | { readonly outcome: "again" }
  | { readonly outcome: "refused"; readonly missing: readonly number[] };

/** What the voters answered in one phase. */
type Answers =
  | { readonly outcome: "majority"; readonly replies: readonly Reply[] }
  | Exclude<Attempt<never>, { outcome: "chosen" }>;

/** Changes registers by majority of the voters. */
export class Proposer {
  readonly #options: ProposerOptions;
  readonly #turns = new Map<string, Promise<void>>();
  #n = 0;

  /** Makes a proposer. */
  constructor(options: ProposerOptions) {
    this.#options = options;
  }

  /**
   * Changes a register and returns its value afterwards. Changes of one register
   * take their turn here; those of other nodes are rivals.
   *
   * @param change Pure, and idempotent by what it closes over. What it throws
   * ends the call.
   * @throws {QuorumUnavailableError} If no majority agreed before the signal
   * aborted or the attempts were used up. The change may still happen.
   * @throws The signal's reason, if it was aborted before the call.
   */
  async change(
    register: string,
    change: Change,
    options: ChangeOptions = {},
  ): Promise<Bytes | undefined> {
    const { signal, attemptsMax = ATTEMPTS_MAX_DEFAULT } = options;
    signal?.throwIfAborted();
    const before = this.#turns.get(register);
    const turn = Promise.withResolvers<void>();
    // Whoever leaves the queue early lets the next wait for those before both.
    const after = before === undefined
      ? turn.promise
      : turn.promise.then(() => before);
    this.#turns.set(register, after);
    try {
      if (before !== undefined) {
        await (signal === undefined ? before : abortable(before, signal));
      }
      return await this.#repeat(
        `change the register "${register}"`,
        () => this.#attempt(register, change, signal),
        { signal, attemptsMax },
      );
    } catch (error) {
      if (!signal?.aborted || error instanceof QuorumUnavailableError) {
        throw error;
      }
      throw unavailable(
        `change the register "${register}"`,
        this.#voters(),
        signal.reason,
      );
    } finally {
      turn.resolve();
      if (this.#turns.get(register) === after) this.#turns.delete(register);
    }
  }

  /**
   * The names of the registers that have a value, and perhaps of some that nothing
   * was chosen for: what a majority of the voters have accepted (agreement §1.1).
   *
   * @throws {QuorumUnavailableError} If no majority answered.
   * @throws The signal's reason, if it was aborted before the call.
   */
  async names(options: NamesOptions = {}): Promise<Set<string>> {
    const { signal, attemptsMax = ATTEMPTS_MAX_DEFAULT, without } = options;
    signal?.throwIfAborted();
    const action = "list the registers";
    return await this.#repeat(action, async () => {
      const config = this.#options.knowledge.known;
      const voters = config.voters.filter(({ node }) => node !== without);
      const answers = await this.#askAll(
        voters,
        "names",
        MessageType.REGISTER_LIST,
        ({ seat }) => encodeList({ config, seat }),
        signal,
      );
      if (answers.outcome !== "majority") return answers;
      const value = new Set<string>();
      for (const reply of answers.replies) {
        if (reply.kind !== "names") continue;
        for (const name of reply.names) value.add(name);
      }
      return { outcome: "chosen", value };
    }, { signal, attemptsMax });
  }

  /** Attempts until one is chosen; pauses after each that fell short. */
  async #repeat<T>(
    action: string,
    attempt: () => Promise<Attempt<T>>,
    { signal, attemptsMax }: {
      signal: AbortSignal | undefined;
      attemptsMax: number;
    },
  ): Promise<T> {
    let missing = this.#voters();
    try {
      for (let count = 0; count < attemptsMax; count++) {
        signal?.throwIfAborted();
        const result = await attempt();
        if (result.outcome === "chosen") return result.value;
        if (result.outcome === "again") continue;
        missing = result.missing;
        if (count + 1 < attemptsMax) await this.#pause(count, signal);
      }
    } catch (error) {
      if (!signal?.aborted) throw error;
      throw unavailable(action, missing, signal.reason);
    }
    throw unavailable(action, missing, signal?.reason);
  }

  async #attempt(
    register: string,
    change: Change,
    signal: AbortSignal | undefined,
  ): Promise<Attempt<Bytes | undefined>> {
    const { node, generation, knowledge } = this.#options;
    const config = knowledge.known;
    const ballot = { epoch: config.epoch, n: ++this.#n, node, generation };

    const promises = await this.#askAll(
      config.voters,
      "promise",
      MessageType.REGISTER_PREPARE,
      ({ seat }) => encodePrepare({ config, seat, register, ballot }),
      signal,
    );
    if (promises.outcome !== "majority") return promises;
    const found = newest(promises.replies);

    const newer = register === CONFIG_REGISTER && found !== undefined &&
      compareConfigs(decodeConfig(found), config) > 0;
    const value = newer ? found : change(found);
    if (value === undefined) return { outcome: "chosen", value };

    const oks = await this.#askAll(
      config.voters,
      "ok",
      MessageType.REGISTER_ACCEPT,
      ({ seat }) => encodeAccept({ config, seat, register, ballot, value }),
      signal,
    );
    if (oks.outcome !== "majority") return oks;
    if (register === CONFIG_REGISTER) {
      await knowledge.adopt(decodeConfig(value));
    }
    if (newer) return { outcome: "again" };
    return { outcome: "chosen", value: value as Bytes };
  }

  /**
   * Asks voters, and returns as soon as a majority answered as wished, that
   * cannot happen any more, or one of them knows a newer config. Requests still
   * under way then go on by themselves: an accept is worth having everywhere.
   */
  #askAll(
    voters: readonly Voter[],
    wished: Reply["kind"],
    type: number,
    payload: (voter: Voter) => Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<Answers> {
    const { ask, knowledge } = this.#options;
    const majority = Math.floor(voters.length / 2) + 1;
    const waiting = new Set(voters.map((voter) => voter.node));
    const refused: number[] = [];
    const replies: Reply[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<Answers>();
    const giveUp = () =>
      resolve({ outcome: "refused", missing: [...refused, ...waiting] });
    const take = async (voter: Voter): Promise<void> => {
      let reply: Reply | undefined;
      try {
        reply = decodeReply(
          await ask(voter.node, type, payload(voter), signal),
        );
      } catch {
        reply = undefined; // unreachable, silent or not to be understood
      }
      waiting.delete(voter.node);
      if (reply?.kind === wished) {
        replies.push(reply);
        if (replies.length === majority) {
          resolve({ outcome: "majority", replies });
        }
        return;
      }
      if (reply?.kind === "promised") {
        this.#n = Math.max(this.#n, reply.ballot.n);
        // The next attempt is higher: who says nothing is not waited for long.
        this.#options.sleep(GRACE_MS, signal).then(giveUp, () => {});
      }
      if (
        reply?.kind === "known" && supersedes(reply.config, knowledge.known)
      ) {
        await knowledge.adopt(reply.config);
        resolve({ outcome: "again" });
      }
      refused.push(voter.node);
      if (voters.length - refused.length < majority) {
        resolve({ outcome: "refused", missing: [...refused] });
      }
    };
    for (const voter of voters) take(voter).catch(reject);
    if (voters.length === 0) giveUp();
    signal?.addEventListener("abort", giveUp, { once: true });
    return promise.finally(() => signal?.removeEventListener("abort", giveUp));
  }

  #pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    const { random, sleep } = this.#options;
    const longest = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** attempt);
    return sleep(random.float() * longest, signal);
  }

  #voters(): readonly number[] {
    return this.#options.knowledge.known.voters.map((voter) => voter.node);
  }
}

function unavailable(
  action: string,
  missing: readonly number[],
  cause?: unknown,
): QuorumUnavailableError {
  return new QuorumUnavailableError(
    action,
    missing,
    cause === undefined ? undefined : { cause },
  );
}

/** The value of the highest ballot accepted. */
function newest(replies: readonly Reply[]): Uint8Array | undefined {
  let ballot: Ballot = NO_BALLOT;
  let value: Uint8Array | undefined;
  for (const reply of replies) {
    if (reply.kind !== "promise") continue;
    if (compareBallots(reply.accepted, ballot) <= 0) continue;
    ballot = reply.accepted;
    value = reply.value;
  }
  return value;
}
