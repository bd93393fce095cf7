/**
 * The acceptor: a node's memory of what it promised and accepted.
 *
 * Guarantees: what a reply says is on the device before the reply is given, in
 * one batch with the config that came with the request; requests are served one
 * after the other; the gate of agreement A2 stands before every handler, so
 * that nothing is promised or accepted under an older config than the one known
 * here, or by a node that the config gives another seat or none.
 *
 * A seat is made for one promotion, together with an empty memory (A8): also where
 * the node starts anew before it learns that it was named, since from then on its
 * vote may be needed. Whoever asks for a seat names it in the very next config, or
 * nobody does: a newer one that does not name it destroys it, be it of a learner or of
 * a voter that was retired. So does learning that the disk is older than what the
 * node has said ({@linkcode Acceptor.fallSilent}, A9): it votes again after it was
 * retired and promoted anew.
 *
 * Assumes: whoever calls bounds how many requests wait (the transport does, for
 * each connection). Configs that come with requests or into `adopt` are chosen
 * ones. Every member has an acceptor, voter or not: it also keeps `known`.
 *
 * Its state is never part of a backup (agreement A10). In the engine:
 *
 * ```text
 * prefix 00          -> state    := u8 version 1 | u8 0, or 1 and 8 bytes seat
 *                                   bytes config known | varint count of fences: 0
 * prefix 01 register -> register := u8 version 1 | ballot promised
 *                                   ballot accepted | bytes value
 * ```
 *
 * Fences (node, highest fenced tenure) are reserved: always none in version 1.
 *
 * @module
 */

import type { BatchOp, KV } from "../../engine/kv.ts";
import {
  concatBytes,
  CorruptionError,
  EMPTY_BYTES,
  equalBytes,
  FormatVersionError,
  NotSupportedError,
  NotVoterError,
  Reader,
  toBytes,
  toText,
  Writer,
} from "../../runtime/mod.ts";
import type { Bytes, Random } from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import {
  compareBallots,
  NO_BALLOT,
  readBallot,
  writeBallot,
} from "./ballot.ts";
import type { Ballot } from "./ballot.ts";
import {
  compareConfigs,
  CONFIG_BYTES_MAX,
  CONFIG_REGISTER,
  decodeConfig,
  encodeConfig,
  foundConfig,
  hasSeat,
  SEAT_BYTES,
  seatOf,
  supersedes,
} from "./config.ts";
import type { Config } from "./config.ts";
import { encodeIds, FOUNDER, foundIds, IDS_REGISTER } from "./ids.ts";
import {
  decodeAccept,
  decodeList,
  decodePrepare,
  decodeSeatRequest,
  encodeReply,
  REGISTER_VALUE_BYTES_MAX,
} from "./messages.ts";
import type {
  AcceptRequest,
  PrepareRequest,
  Reply,
  RequestHead,
} from "./messages.ts";

/** The format of both rows. */
const VERSION = 1;

const STATE_ROW = 0;
const REGISTER_ROW = 1;

/** What an acceptor keeps of a register. */
interface RegisterState {
  readonly promised: Ballot;
  readonly accepted: Ballot;
  readonly value: Uint8Array;
}

const UNTOUCHED: RegisterState = {
  promised: NO_BALLOT,
  accepted: NO_BALLOT,
  value: EMPTY_BYTES,
};

/** What an acceptor is made of. */
export interface AcceptorOptions {
  /** Where its state is. */
  kv: KV;
  /** What the keys of its state begin with. */
  prefix: Uint8Array;
  /** The node it belongs to. */
  node: number;
  /** Draws seats. */
  random: Random;
  /** Called, when durable, with each config that is newly known. Must not throw. */
  onKnown?: ((config: Config) => void) | undefined;
}

/** What an acceptor begins with; see {@linkcode beginningOps}. */
export interface Beginning {
  /** The chosen config that the node was told, or founds. */
  config: Config;
  /** Its seat: random, 8 bytes; without one it never votes. */
  seat?: Uint8Array | undefined;
  /** Values chosen already, by register. */
  registers?: Readonly<Record<string, Bytes>>;
}

/**
 * What makes an acceptor: to be written in one synced batch with whatever else
 * makes the node what it is, such as its node key.
 */
export function beginningOps(
  prefix: Uint8Array,
  { config, seat, registers = {} }: Beginning,
): BatchOp[] {
  const ops = [stateOp(prefix, seat, config)];
  const node = config.voters[0]?.node ?? 0;
  const ballot = { epoch: config.epoch, n: 1, node, generation: 0 };
  for (const [name, value] of Object.entries(registers)) {
    const state = { promised: ballot, accepted: ballot, value };
    ops.push(registerOp(prefix, name, state));
  }
  return ops;
}

/**
 * What the founder of a cluster writes: {@linkcode beginningOps} with the first
 * config, whose one voter it is, and the first node key.
 *
 * @param seat Random, 8 bytes.
 * @param ticket The founder's own ticket: random, 16 bytes.
 */
export function founderOps(
  prefix: Uint8Array,
  seat: Uint8Array,
  ticket: Uint8Array,
): BatchOp[] {
  const config = foundConfig(FOUNDER, seat);
  const registers = {
    [CONFIG_REGISTER]: encodeConfig(config),
    [IDS_REGISTER]: encodeIds(foundIds(ticket)),
  };
  return beginningOps(prefix, { config, seat, registers });
}

/** A node's memory of what it promised and accepted. */
export class Acceptor {
  readonly #kv: KV;
  readonly #prefix: Uint8Array;
  readonly #node: number;
  readonly #onKnown: ((config: Config) => void) | undefined;
  readonly #random: Random;
  #seat: Uint8Array | undefined;
  #known: Config;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    options: AcceptorOptions,
    seat: Uint8Array | undefined,
    known: Config,
  ) {
    this.#kv = options.kv;
    this.#prefix = options.prefix;
    this.#node = options.node;
    this.#onKnown = options.onKnown;
    this.#random = options.random;
    this.#seat = seat;
    this.#known = known;
  }

  /**
   * Loads the state that {@linkcode beginningOps} began.
   *
   * @throws {CorruptionError} If there is none.
   * @throws {DecodeError} If it does not follow its format.
   * @throws {FormatVersionError} If a newer release wrote it.
   */
  static async open(options: AcceptorOptions): Promise<Acceptor> {
    const row = await options.kv.get(stateKey(options.prefix));
    if (row === undefined) {
      throw new CorruptionError(
        "the acceptor's state",
        0,
        "it is missing",
      );
    }
    const { seat, known } = decodeState(row);
    return new Acceptor(options, seat, known);
  }

  /** The newest chosen config known here; durable. */
  get known(): Config {
    return this.#known;
  }

  /** Whether this node votes in the config known here. */
  get votes(): boolean {
    return this.#seat !== undefined &&
      hasSeat(this.#known, this.#node, this.#seat);
  }

  /** Whether the config known here names it a voter, on a seat that it lacks. */
  get unseated(): boolean {
    return !this.votes && seatOf(this.#known, this.#node) !== undefined;
  }

  /**
   * Learns a chosen config.
   *
   * @returns Whether it was news; it is durable then.
   */
  adopt(config: Config): Promise<boolean> {
    return this.#inTurn(async () => {
      if (!supersedes(config, this.#known)) return false;
      await this.#learn(config, []);
      return true;
    });
  }

  /**
   * Begins anew, with nothing but this: the voters are lost for ever. Resolves once
   * it is durable.
   *
   * @param next Makes the beginning of the config known then; it has a seat.
   */
  beginAnew(next: (known: Config) => Beginning): Promise<void> {
    return this.#inTurn(async () => {
      const beginning = next(this.#known);
      await this.#write([
        ...await this.#wipingOps(),
        ...beginningOps(this.#prefix, beginning),
      ]);
      this.#seat = beginning.seat;
      this.#known = beginning.config;
      this.#onKnown?.(beginning.config);
    });
  }

  /**
   * Never answers on its seat again: this disk is older than what the node has
   * said. Resolves once that is durable.
   */
  fallSilent(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#seat === undefined) return;
      await this.#write([stateOp(this.#prefix, undefined, this.#known)]);
      this.#seat = undefined;
    });
  }

  /**
   * Answers the payload of a REGISTER_PREPARE, REGISTER_ACCEPT, REGISTER_LIST or
   * REGISTER_SEAT.
   *
   * @throws {NotVoterError} If this node must be silent.
   * @throws {DecodeError} If the payload is not what its type says.
   * @throws {NotSupportedError} If the type is another one.
   */
  handle(type: number, payload: Uint8Array): Promise<Bytes> {
    return this.#inTurn(async () =>
      encodeReply(await this.#serve(type, payload))
    );
  }

  async #serve(type: number, payload: Uint8Array): Promise<Reply> {
    switch (type) {
      case MessageType.REGISTER_PREPARE: {
        const request = decodePrepare(payload);
        return this.#gate(request) ?? await this.#prepare(request);
      }
      case MessageType.REGISTER_ACCEPT: {
        const request = decodeAccept(payload);
        return this.#gate(request) ?? await this.#accept(request);
      }
      case MessageType.REGISTER_LIST: {
        const request = decodeList(payload);
        return this.#gate(request) ?? await this.#list(request);
      }
      case MessageType.REGISTER_SEAT:
        return await this.#takeSeat(decodeSeatRequest(payload));
      default:
        throw new NotSupportedError(
          `message type ${type}`,
          "an acceptor does not know it",
        );
    }
  }

  /** The gate A2, but for the adoption, which {@linkcode #admit} does. */
  #gate({ config, seat }: RequestHead): Reply | undefined {
    if (compareConfigs(config, this.#known) < 0) {
      return { kind: "known", config: this.#known };
    }
    if (
      this.#seat === undefined || !equalBytes(seat, this.#seat) ||
      !hasSeat(config, this.#node, this.#seat)
    ) throw new NotVoterError(this.#node);
    return undefined;
  }

  async #prepare({ config, register, ballot }: PrepareRequest): Promise<Reply> {
    const state = await this.#state(register);
    if (compareBallots(ballot, state.promised) <= 0) {
      await this.#admit(config, []);
      return { kind: "promised", ballot: state.promised };
    }
    await this.#admit(config, [
      registerOp(this.#prefix, register, { ...state, promised: ballot }),
    ]);
    const { accepted, value } = state;
    const none = compareBallots(accepted, NO_BALLOT) === 0;
    return {
      kind: "promise",
      accepted,
      value: none ? undefined : value,
      vector: EMPTY_BYTES,
    };
  }

  async #accept(request: AcceptRequest): Promise<Reply> {
    const { config, register, ballot, value } = request;
    const { promised } = await this.#state(register);
    if (compareBallots(ballot, promised) < 0) {
      await this.#admit(config, []);
      return { kind: "promised", ballot: promised };
    }
    const state = { promised: ballot, accepted: ballot, value };
    await this.#admit(config, [registerOp(this.#prefix, register, state)]);
    return { kind: "ok" };
  }

  async #list({ config }: RequestHead): Promise<Reply> {
    await this.#admit(config, []);
    const names: string[] = [];
    const prefix = concatBytes(this.#prefix, Uint8Array.of(REGISTER_ROW));
    const rows = this.#kv.iterate({ prefix });
    try {
      while (await rows.next()) {
        const { accepted } = decodeRegister(rows.value);
        if (compareBallots(accepted, NO_BALLOT) === 0) continue;
        names.push(toText(rows.key.subarray(prefix.length)));
      }
    } finally {
      await rows.close();
    }
    return { kind: "names", names, vector: EMPTY_BYTES };
  }

  /**
   * The seat on which this node would vote: the one that it has and has not been
   * retired from, else a new one, with nothing promised and nothing accepted.
   */
  async #takeSeat(config: Config): Promise<Reply> {
    if (compareConfigs(config, this.#known) < 0) {
      return { kind: "known", config: this.#known };
    }
    await this.#admit(config, []);
    // Named on a seat that it lacks: it is to be retired first.
    if (this.unseated) throw new NotVoterError(this.#node);
    if (this.#seat !== undefined) return { kind: "seat", seat: this.#seat };
    const seat = this.#random.fill(new Uint8Array(SEAT_BYTES));
    await this.#write([
      ...await this.#wipingOps(),
      stateOp(this.#prefix, seat, this.#known),
    ]);
    this.#seat = seat;
    return { kind: "seat", seat };
  }

  async #wipingOps(): Promise<BatchOp[]> {
    const ops: BatchOp[] = [];
    const prefix = concatBytes(this.#prefix, Uint8Array.of(REGISTER_ROW));
    const rows = this.#kv.iterate({ prefix, keysOnly: true });
    try {
      while (await rows.next()) {
        ops.push({ key: rows.key.slice(), value: undefined });
      }
    } finally {
      await rows.close();
    }
    return ops;
  }

  /** Makes the changes durable, and with them a newer config. */
  async #admit(config: Config, ops: readonly BatchOp[]): Promise<void> {
    if (compareConfigs(config, this.#known) > 0) await this.#learn(config, ops);
    else if (ops.length > 0) await this.#write(ops);
  }

  /**
   * A newer config takes a seat with it that it does not name: none after it will.
   */
  async #learn(config: Config, ops: readonly BatchOp[]): Promise<void> {
    const isNewer = compareConfigs(config, this.#known) > 0;
    const isKept = !isNewer || (this.#seat !== undefined &&
      hasSeat(config, this.#node, this.#seat));
    const seat = isKept ? this.#seat : undefined;
    await this.#write([stateOp(this.#prefix, seat, config), ...ops]);
    this.#seat = seat;
    this.#known = config;
    this.#onKnown?.(config);
  }

  async #state(register: string): Promise<RegisterState> {
    const row = await this.#kv.get(registerKey(this.#prefix, register));
    return row === undefined ? UNTOUCHED : decodeRegister(row);
  }

  async #write(batch: readonly BatchOp[]): Promise<void> {
    await this.#kv.write(batch, { sync: true });
  }

  #inTurn<T>(serve: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(serve);
    this.#last = turn.catch(() => {});
    return turn;
  }
}

function stateKey(prefix: Uint8Array): Bytes {
  return concatBytes(prefix, Uint8Array.of(STATE_ROW));
}

function registerKey(prefix: Uint8Array, register: string): Bytes {
  return concatBytes(prefix, Uint8Array.of(REGISTER_ROW), toBytes(register));
}

function stateOp(
  prefix: Uint8Array,
  seat: Uint8Array | undefined,
  known: Config,
): BatchOp {
  const writer = new Writer().u8(VERSION).u8(seat === undefined ? 0 : 1);
  if (seat !== undefined) writer.raw(seat);
  writer.bytes(encodeConfig(known)).varint(0);
  return { key: stateKey(prefix), value: writer.finish() };
}

function registerOp(
  prefix: Uint8Array,
  register: string,
  state: RegisterState,
): BatchOp {
  const writer = new Writer().u8(VERSION);
  writeBallot(writer, state.promised);
  writeBallot(writer, state.accepted);
  writer.bytes(state.value);
  return { key: registerKey(prefix, register), value: writer.finish() };
}

function decodeState(
  row: Uint8Array,
): { seat: Uint8Array | undefined; known: Config } {
  const reader = readVersion(row, "the acceptor's state");
  const seated = reader.u8();
  if (seated > 1) reader.fail("its seat mark is neither 0 nor 1");
  const seat = seated === 1 ? reader.raw(SEAT_BYTES).slice() : undefined;
  const known = decodeConfig(reader.bytes(CONFIG_BYTES_MAX));
  reader.count(0);
  return { seat, known };
}

function decodeRegister(row: Uint8Array): RegisterState {
  const reader = readVersion(row, "a register");
  const promised = readBallot(reader);
  const accepted = readBallot(reader);
  return { promised, accepted, value: reader.bytes(REGISTER_VALUE_BYTES_MAX) };
}

function readVersion(row: Uint8Array, what: string): Reader {
  const reader = new Reader(row, what);
  const version = reader.u8();
  if (version > VERSION) throw new FormatVersionError(what, version, VERSION);
  if (version < 1) reader.fail("it has no version");
  return reader;
}
