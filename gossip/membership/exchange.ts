/**
 * One exchange of cluster gossip: what either side does not know of nodes, and the
 * higher config (rule F1 of the replication protocol), in two requests at most.
 *
 * Guarantees: afterwards both sides know the same, as far as the messages' size
 * allows; where they knew the same before, it takes a hash and an empty reply. The
 * config is adopted before the records of its nodes are merged.
 *
 * ```text
 * CLUSTER_SYNC := 8 bytes hash (members.ts) | age
 *   reply      := nothing, if both know the same
 *               | bytes standings, or none | age | bytes config, or none
 * CLUSTER_ACK  := bytes ack, or none | bytes config, or none
 *   reply      := records
 * age          := varint era | varint epoch | u8 settled (0, 1)
 * ```
 *
 * Standings, ack and records are in `messages.ts`. Bytes after these are fields of
 * newer releases and are ignored.
 *
 * @module
 */

import { type Bytes, EMPTY_BYTES, Reader, Writer } from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import {
  type Config,
  type ConfigAge,
  readConfigAge,
  readToldConfig,
  supersedes,
  writeConfigAge,
  writeToldConfig,
} from "../register/mod.ts";
import type { Members, MergeOutcome } from "./members.ts";
import {
  ACK_BYTES_MAX,
  encodeRecords,
  HASH_BYTES,
  STANDINGS_BYTES_MAX,
} from "./messages.ts";

/** What an exchange is made of. */
export interface ExchangeOptions {
  readonly members: Members;
  /** The newest chosen config known here. */
  readonly config: () => Config;
  /** Learns a chosen config, durably. */
  readonly adopt: (config: Config) => Promise<void>;
  /** Records were merged, or it was heard how this node stands. */
  readonly merged: (outcome: MergeOutcome) => void;
}

/** Exchanges with other members what either does not know. */
export class Exchange {
  readonly #options: ExchangeOptions;

  /** Makes one over the members and the config of a node. */
  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Exchanges with whoever answers `ask`; rejects as that does. */
  async run(
    ask: (type: number, payload: Uint8Array) => Promise<Uint8Array>,
  ): Promise<void> {
    const { members, config, adopt, merged } = this.#options;
    const sync = writeConfigAge(new Writer(24).raw(members.sync()), config());
    const answer = await ask(MessageType.CLUSTER_SYNC, sync.finish());
    if (answer.length === 0) return;
    const reader = new Reader(answer, "the answer to a cluster sync");
    const standings = reader.bytes(STANDINGS_BYTES_MAX);
    const age = readConfigAge(reader);
    const told = readToldConfig(reader);
    if (told !== undefined) await adopt(told);
    const { ack = EMPTY_BYTES, ...outcome } = members.ack(standings);
    merged(outcome);
    const lacked = newerThan(age, config());
    if (ack.length === 0 && lacked === undefined) return;
    const request = writeToldConfig(new Writer().bytes(ack), lacked).finish();
    merged(members.take(await ask(MessageType.CLUSTER_ACK, request)));
  }

  /**
   * Answers CLUSTER_SYNC.
   *
   * @throws {DecodeError} If the payload is none.
   */
  answerSync(payload: Uint8Array): Bytes {
    const { members, config } = this.#options;
    const reader = new Reader(payload, "a cluster sync");
    const hash = reader.raw(HASH_BYTES);
    const age = readConfigAge(reader);
    const standings = members.answer(hash);
    const known = config();
    const lacked = newerThan(age, known);
    if (
      standings.length === 0 && lacked === undefined && !supersedes(age, known)
    ) return EMPTY_BYTES;
    const writer = writeConfigAge(new Writer().bytes(standings), known);
    return writeToldConfig(writer, lacked).finish();
  }

  /**
   * Answers CLUSTER_ACK.
   *
   * @throws {DecodeError} If the payload is none.
   */
  async answerAck(payload: Uint8Array): Promise<Bytes> {
    const { members, adopt, merged } = this.#options;
    const reader = new Reader(payload, "a cluster ack");
    const ack = reader.bytes(ACK_BYTES_MAX);
    const told = readToldConfig(reader);
    if (told !== undefined) await adopt(told);
    if (ack.length === 0) return encodeRecords([]);
    const outcome = members.ack2(ack);
    merged(outcome);
    return outcome.reply;
  }
}

/** The config, where it says more than one of that age. */
function newerThan(age: ConfigAge, config: Config): Config | undefined {
  return supersedes(config, age) ? config : undefined;
}
