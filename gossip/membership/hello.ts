/**
 * The hello: what members tell each other of themselves in every handshake, before
 * anything else is exchanged (rules S2 and F1 of the replication protocol).
 *
 * Guarantees: both ends come to know the higher config, and it travels only where
 * it is not known: a hello names the config by its age, and the end that hears of
 * an older one than its own tells its own next, the acceptor with its own hello,
 * the dialler with its confirmation. A config names all members: two bytes each,
 * for every connection of every node.
 *
 * ```text
 * hello        := u8 version (3) | varint era | varint epoch | u8 settled (0, 1)
 *                 bytes config, or none | bytes birth vector | bytes floor
 *                 u8 void (0, 1)
 *                 later fields, ignored
 * confirmation := config, or nothing
 * ```
 *
 * @module
 */

import { type Bytes, Reader, Writer } from "../../runtime/mod.ts";
import {
  type Config,
  type ConfigAge,
  readConfigAge,
  readToldConfig,
  writeConfigAge,
  writeToldConfig,
} from "../register/mod.ts";
import { Vector } from "../replication/vector.ts";

/** The version of what a hello carries. */
const VERSION = 3;

/** What a member told of itself. */
export interface Hello extends ConfigAge {
  /** The config that it knows, where it told it. */
  readonly config: Config | undefined;
  /** The vector with which this incarnation of it began. */
  readonly birth: Vector;
  /** What every member has, as far as it knows: who lacks it cannot read the rest. */
  readonly floor: Vector;
  /**
   * Whether it has no copy of the data that counts: it is no incarnation yet, and
   * nobody may rely on what it says of its data.
   */
  readonly isVoid: boolean;
}

/**
 * Encodes a hello.
 *
 * @param known What this node knows.
 * @param told It itself, where it is to be told.
 * @param birth The vector with which this incarnation began.
 * @param floor What every member has.
 */
export function encodeHello(
  known: ConfigAge,
  told: Config | undefined,
  birth: Vector,
  floor: Vector,
  isVoid: boolean,
): Bytes {
  const writer = writeConfigAge(new Writer(64).u8(VERSION), known);
  return writeToldConfig(writer, told).bytes(birth.encode())
    .bytes(floor.encode()).u8(isVoid ? 1 : 0).finish();
}

/**
 * Decodes what {@linkcode encodeHello} gave.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeHello(bytes: Uint8Array): Hello {
  const reader = new Reader(bytes, "a hello");
  if (reader.u8() < VERSION) reader.fail("its version is too old");
  return {
    ...readConfigAge(reader),
    config: readToldConfig(reader),
    birth: Vector.decode(reader.bytes()),
    floor: Vector.decode(reader.bytes()),
    isVoid: reader.u8() !== 0,
  };
}
