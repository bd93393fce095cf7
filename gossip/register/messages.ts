/**
 * What proposers and acceptors say to each other.
 *
 * Guarantees: requests carry the whole config under which they are made, which
 * is always a chosen one, and the seat of the voter asked. A nack says why. An
 * acceptor that must be silent answers with an error instead.
 *
 * ```text
 * REGISTER_PREPARE := head | text register | ballot | later fields
 * REGISTER_ACCEPT  := head | text register | ballot | bytes value | later fields
 * REGISTER_LIST    := head | later fields
 * REGISTER_SEAT    := bytes config | later fields
 * head             := 8 bytes seat | bytes config
 * reply            := u8 1 promise:  ballot accepted | bytes value | bytes vector | later fields
 *                   | u8 2 ok:       later fields
 *                   | u8 3 known:    bytes config | later fields
 *                   | u8 4 promised: ballot | later fields
 *                   | u8 5 names:    varint count | count x text | bytes vector | later fields
 *                   | u8 6 seat:     8 bytes seat | later fields
 * ```
 *
 * `bytes` and `text` have a varint length before them. An accepted ballot of
 * zeroes means that nothing was accepted; the value is then empty. `vector` is
 * the acceptor's vector of the logs: empty while tenures are not in use.
 *
 * @module
 */

import {
  DecodeError,
  EMPTY_BYTES,
  Reader,
  toBytes,
  Writer,
} from "../../runtime/mod.ts";
import type { Bytes } from "../../runtime/mod.ts";
import {
  compareBallots,
  NO_BALLOT,
  readBallot,
  writeBallot,
} from "./ballot.ts";
import type { Ballot } from "./ballot.ts";
import {
  CONFIG_BYTES_MAX,
  decodeConfig,
  encodeConfig,
  SEAT_BYTES,
} from "./config.ts";
import type { Config } from "./config.ts";

/** Largest name of a register, in bytes. The smallest is 1. */
export const REGISTER_NAME_BYTES_MAX = 255;

/** Largest value of a register, in bytes. */
export const REGISTER_VALUE_BYTES_MAX = 4 * 1024 * 1024;

/** Largest vector of an acceptor, in bytes. */
const VECTOR_BYTES_MAX = 2 * 1024 * 1024;

/** What every request begins with. */
export interface RequestHead {
  /** The chosen config under which it is made. */
  readonly config: Config;
  /** The seat of the voter asked, as that config names it. */
  readonly seat: Uint8Array;
}

/** Asks for a promise to take nothing below the ballot any more. */
export interface PrepareRequest extends RequestHead {
  /** The name of the register. */
  readonly register: string;
  /** The ballot. */
  readonly ballot: Ballot;
}

/** Asks to accept a value. */
export interface AcceptRequest extends PrepareRequest {
  /** The value. */
  readonly value: Uint8Array;
}

/** What an acceptor answers. */
export type Reply =
  | {
    readonly kind: "promise";
    /** The ballot of the value accepted; {@linkcode NO_BALLOT} if there is none. */
    readonly accepted: Ballot;
    /** The value accepted; `undefined` if there is none. */
    readonly value: Uint8Array | undefined;
    /** Reserved: the acceptor's vector of the logs. */
    readonly vector: Uint8Array;
  }
  | { readonly kind: "ok" }
  | { readonly kind: "known"; readonly config: Config }
  | { readonly kind: "promised"; readonly ballot: Ballot }
  | {
    readonly kind: "names";
    /** The registers that have an accepted value. */
    readonly names: readonly string[];
    /** Reserved: the acceptor's vector of the logs. */
    readonly vector: Uint8Array;
  }
  | {
    readonly kind: "seat";
    /** The seat on which the node would vote. */
    readonly seat: Uint8Array;
  };

const ReplyKind = {
  promise: 1,
  ok: 2,
  known: 3,
  promised: 4,
  names: 5,
  seat: 6,
} as const;

/** Encodes the payload of a REGISTER_PREPARE. */
export function encodePrepare(request: PrepareRequest): Bytes {
  const writer = writeHead(request).text(request.register);
  writeBallot(writer, request.ballot);
  return writer.finish();
}

/** Encodes the payload of a REGISTER_ACCEPT. */
export function encodeAccept(request: AcceptRequest): Bytes {
  const writer = writeHead(request).text(request.register);
  writeBallot(writer, request.ballot);
  return writer.bytes(request.value).finish();
}

/** Encodes the payload of a REGISTER_LIST. */
export function encodeList(request: RequestHead): Bytes {
  return writeHead(request).finish();
}

/** Encodes the payload of a REGISTER_SEAT, made under a chosen config. */
export function encodeSeatRequest(config: Config): Bytes {
  return new Writer().bytes(encodeConfig(config)).finish();
}

/**
 * Decodes the payload of a REGISTER_SEAT.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeSeatRequest(payload: Uint8Array): Config {
  const reader = new Reader(payload, "a request for a seat");
  return decodeConfig(reader.bytes(CONFIG_BYTES_MAX));
}

/**
 * Decodes the payload of a REGISTER_PREPARE.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodePrepare(payload: Uint8Array): PrepareRequest {
  const reader = new Reader(payload, "a prepare request");
  return { ...readHead(reader), ...readSubject(reader) };
}

/**
 * Decodes the payload of a REGISTER_ACCEPT.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeAccept(payload: Uint8Array): AcceptRequest {
  const reader = new Reader(payload, "an accept request");
  const request = { ...readHead(reader), ...readSubject(reader) };
  return {
    ...request,
    value: reader.bytes(REGISTER_VALUE_BYTES_MAX).slice(),
  };
}

/**
 * Decodes the payload of a REGISTER_LIST.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeList(payload: Uint8Array): RequestHead {
  return readHead(new Reader(payload, "a list request"));
}

/** Encodes a reply. */
export function encodeReply(reply: Reply): Bytes {
  const writer = new Writer().u8(ReplyKind[reply.kind]);
  switch (reply.kind) {
    case "promise":
      writeBallot(writer, reply.accepted);
      writer.bytes(reply.value ?? EMPTY_BYTES).bytes(reply.vector);
      break;
    case "ok":
      break;
    case "known":
      writer.bytes(encodeConfig(reply.config));
      break;
    case "promised":
      writeBallot(writer, reply.ballot);
      break;
    case "names":
      writer.varint(reply.names.length);
      for (const name of reply.names) writer.text(name);
      writer.bytes(reply.vector);
      break;
    case "seat":
      writer.raw(reply.seat);
      break;
  }
  return writer.finish();
}

/**
 * Decodes a reply.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeReply(payload: Uint8Array): Reply {
  const reader = new Reader(payload, "a register reply");
  const kind = reader.u8();
  switch (kind) {
    case ReplyKind.promise: {
      const accepted = readBallot(reader);
      const value = reader.bytes(REGISTER_VALUE_BYTES_MAX).slice();
      const vector = reader.bytes(VECTOR_BYTES_MAX).slice();
      const none = compareBallots(accepted, NO_BALLOT) === 0;
      return {
        kind: "promise",
        accepted,
        value: none ? undefined : value,
        vector,
      };
    }
    case ReplyKind.ok:
      return { kind: "ok" };
    case ReplyKind.known:
      return {
        kind: "known",
        config: decodeConfig(reader.bytes(CONFIG_BYTES_MAX)),
      };
    case ReplyKind.promised:
      return { kind: "promised", ballot: readBallot(reader) };
    case ReplyKind.names: {
      const names: string[] = [];
      for (let left = reader.count(reader.remaining); left > 0; left--) {
        names.push(readName(reader));
      }
      const vector = reader.bytes(VECTOR_BYTES_MAX).slice();
      return { kind: "names", names, vector };
    }
    case ReplyKind.seat:
      return { kind: "seat", seat: reader.raw(SEAT_BYTES).slice() };
    default:
      throw new DecodeError("a register reply", `its kind is ${kind}`);
  }
}

function writeHead({ config, seat }: RequestHead): Writer {
  return new Writer().raw(seat).bytes(encodeConfig(config));
}

function readHead(reader: Reader): RequestHead {
  const seat = reader.raw(SEAT_BYTES).slice();
  return { seat, config: decodeConfig(reader.bytes(CONFIG_BYTES_MAX)) };
}

function readSubject(reader: Reader): { register: string; ballot: Ballot } {
  const register = readName(reader);
  const ballot = readBallot(reader);
  if (compareBallots(ballot, NO_BALLOT) === 0) {
    reader.fail("its ballot is zero");
  }
  return { register, ballot };
}

function readName(reader: Reader): string {
  const name = reader.text(REGISTER_NAME_BYTES_MAX);
  if (name === "") reader.fail("the name of a register is empty");
  // Invalid UTF-8 is decoded to replacement marks, which may be longer.
  if (toBytes(name).length > REGISTER_NAME_BYTES_MAX) {
    reader.fail("the name of a register is no text");
  }
  return name;
}
