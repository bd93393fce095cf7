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
  CONFIG_BYTES_MAX,
  type ConfigAge,
  decodeConfig,
  encodeConfig,
  supersedes,
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
  /** Records were merged. */
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
    const sync = new Writer(24).raw(members.sync());
    writeAge(sync, config());
    const answer = await ask(MessageType.CLUSTER_SYNC, sync.finish());
    if (answer.length === 0) return;
    const reader = new Reader(answer, "the answer to a cluster sync");
    const standings = reader.bytes(STANDINGS_BYTES_MAX);
    const age = readAge(reader);
    const told = readConfig(reader);
    if (told !== undefined) await adopt(told);
    const ack = members.ack(standings) ?? EMPTY_BYTES;
    const lacks = supersedes(config(), age);
    if (ack.length === 0 && !lacks) return;
    const request = new Writer().bytes(ack)
      .bytes(lacks ? encodeConfig(config()) : EMPTY_BYTES).finish();
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
    const age = readAge(reader);
    const standings = members.answer(hash);
    const known = config();
    const lacks = supersedes(known, age);
    if (standings.length === 0 && !lacks && !supersedes(age, known)) {
      return EMPTY_BYTES;
    }
    const writer = new Writer().bytes(standings);
    writeAge(writer, known);
    return writer.bytes(lacks ? encodeConfig(known) : EMPTY_BYTES).finish();
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
    const told = readConfig(reader);
    if (told !== undefined) await adopt(told);
    if (ack.length === 0) return encodeRecords([]);
    const outcome = members.ack2(ack);
    merged(outcome);
    return outcome.reply;
  }
}

function writeAge(writer: Writer, { era, epoch, settled }: ConfigAge): void {
  writer.varint(era).varint(epoch).u8(settled ? 1 : 0);
}

function readAge(reader: Reader): ConfigAge {
  return {
    era: reader.varint(),
    epoch: reader.varint(),
    settled: reader.u8() === 1,
  };
}

function readConfig(reader: Reader): Config | undefined {
  const bytes = reader.bytes(CONFIG_BYTES_MAX);
  return bytes.length === 0 ? undefined : decodeConfig(bytes);
}
