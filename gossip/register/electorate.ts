/**
 * The electorate: who votes on the registers, changed one node at a time by the
 * registers themselves (agreement §1.1).
 *
 * Guarantees: a change is decided by the voters before it, then settled (all
 * registers carried over to the voters after it) before the next one. Each step
 * may be repeated, by anybody and by several at once; a step that was overtaken
 * changes nothing.
 *
 * Assumes: as `proposer.ts`. A node to promote has a copy of the data.
 *
 * @module
 */

import { ConfigUnsettledError } from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import {
  asSettled,
  changingConfig,
  type Config,
  CONFIG_REGISTER,
  decodeConfig,
  seatOf,
  type VoterChange,
  withoutMember,
  withVoters,
} from "./config.ts";
import { decodeReply, encodeSeatRequest } from "./messages.ts";
import type { Ask, ChangeOptions, Knowledge, Proposer } from "./proposer.ts";

/** How often a change that meets one that is not settled settles it first. */
const SETTLES_MAX = 4;

/** What an electorate is made of. */
export interface ElectorateOptions {
  readonly proposer: Proposer;
  readonly knowledge: Knowledge;
  /** Asks a node for its seat. */
  readonly ask: Ask;
}

/** Changes who votes. */
export class Electorate {
  readonly #options: ElectorateOptions;

  /** Makes an electorate over a node's proposer. */
  constructor(options: ElectorateOptions) {
    this.#options = options;
  }

  /**
   * Makes a learner vote. Where somebody else changed the config meanwhile, nothing
   * happens.
   *
   * @returns Whether it votes now.
   * @throws {QuorumUnavailableError} If no majority of the voters agreed.
   * @throws What asking the node for its seat throws.
   */
  async promote(node: number, options: ChangeOptions = {}): Promise<boolean> {
    const { epoch } = this.#options.knowledge.known;
    const seat = await this.askSeat(node, options);
    if (seat === undefined) return false;
    const voter = { node, seat };
    return await this.#changeVoters(
      epoch,
      { kind: "promote", voter },
      options,
    );
  }

  /**
   * Asks a learner for the seat on which it would vote; `undefined` if it knows a
   * newer config, which is known here then.
   *
   * @throws What asking it throws.
   */
  async askSeat(
    node: number,
    { signal }: ChangeOptions = {},
  ): Promise<Uint8Array | undefined> {
    const { knowledge, ask } = this.#options;
    const request = encodeSeatRequest(knowledge.known);
    const reply = decodeReply(
      await ask(node, MessageType.REGISTER_SEAT, request, signal),
    );
    if (reply.kind === "known") await knowledge.adopt(reply.config);
    return reply.kind === "seat" ? reply.seat : undefined;
  }

  /**
   * Makes a voter a learner. Throws as {@linkcode Electorate.promote}.
   *
   * @returns Whether it votes no more.
   */
  retire(node: number, options: ChangeOptions = {}): Promise<boolean> {
    const { epoch } = this.#options.knowledge.known;
    return this.#changeVoters(epoch, { kind: "retire", node }, options);
  }

  /**
   * Carries all registers over to the voters of the config known here, and says so
   * there. Without anything to carry over it does nothing.
   *
   * @throws {QuorumUnavailableError} If no majority of the voters agreed.
   */
  async settle(options: ChangeOptions = {}): Promise<void> {
    const { proposer, knowledge } = this.#options;
    const { epoch, settled } = knowledge.known;
    if (settled) return;
    // Names of a majority, not of one: what was chosen is on one of them (A5).
    for (const name of await proposer.names(options)) {
      if (name === CONFIG_REGISTER) continue;
      await proposer.change(name, (value) => value, options);
    }
    await this.#change((config) => asSettled(config, epoch), options);
  }

  /**
   * Changes the config, after what was changed before is settled.
   *
   * @param change As the `f` of the protocol: pure, and idempotent.
   * @returns The config that was chosen.
   * @throws What `change` throws, but for {@linkcode ConfigUnsettledError}.
   * @throws {QuorumUnavailableError} If no majority of the voters agreed.
   */
  async change(
    change: (config: Config) => Config,
    options: ChangeOptions = {},
  ): Promise<Config> {
    for (let count = 0;; count++) {
      try {
        return await this.#change(change, options);
      } catch (error) {
        if (!(error instanceof ConfigUnsettledError) || count === SETTLES_MAX) {
          throw error;
        }
        await this.settle(options);
      }
    }
  }

  /**
   * Makes a node a member no more, for ever. A voter votes no more, either, which
   * is still to be settled, by somebody who is a member; and where somebody else
   * has changed the config meanwhile, nothing happens.
   *
   * @returns Whether it is removed.
   */
  async remove(node: number, options: ChangeOptions = {}): Promise<boolean> {
    const { epoch } = this.#options.knowledge.known;
    const config = await this.change(
      (config) => withoutMember(config, epoch, node),
      options,
    );
    return config.removed.includes(node);
  }

  async #changeVoters(
    epoch: number,
    change: VoterChange,
    options: ChangeOptions,
  ): Promise<boolean> {
    const { node } = change.kind === "promote" ? change.voter : change;
    const config = await this.change(
      (config) => withVoters(config, epoch, change),
      options,
    );
    await this.settle(options);
    return (seatOf(config, node) !== undefined) === (change.kind === "promote");
  }

  async #change(
    change: (config: Config) => Config,
    options: ChangeOptions,
  ): Promise<Config> {
    const { proposer, knowledge } = this.#options;
    const chosen = await proposer.change(
      CONFIG_REGISTER,
      changingConfig(change),
      options,
    );
    const config = decodeConfig(chosen!);
    await knowledge.adopt(config);
    return config;
  }
}
