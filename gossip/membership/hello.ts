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
 * hello        := u8 version (2) | varint era | varint epoch | u8 settled (0, 1)
 *                 bytes config, or none | bytes birth vector | later fields, ignored
 * confirmation := config, or nothing
 * ```
 *
 * @module
 */

import { type Bytes, EMPTY_BYTES, Reader, Writer } from "../../runtime/mod.ts";
import {
  type Config,
  type ConfigAge,
  decodeConfig,
  encodeConfig,
  supersedes,
} from "../register/mod.ts";
import { Vector } from "../replication/vector.ts";

/** The version of what a hello carries. */
const VERSION = 2;

/** What a member told of itself. */
export interface Hello extends ConfigAge {
  /** The config that it knows, where it told it. */
  readonly config: Config | undefined;
  /** The vector with which its start began. */
  readonly birth: Vector;
}

/** Encodes a hello; `told` says whether the config itself is in it. */
export function encodeHello(
  config: Config,
  told: boolean,
  birth: Uint8Array,
): Bytes {
  return new Writer(64).u8(VERSION)
    .varint(config.era).varint(config.epoch).u8(config.settled ? 1 : 0)
    .bytes(toldConfig(config, told)).bytes(birth).finish();
}

/**
 * Decodes what {@linkcode encodeHello} gave.
 *
 * @throws {DecodeError} If it is none.
 */
export function decodeHello(bytes: Uint8Array): Hello {
  const reader = new Reader(bytes, "a hello");
  if (reader.u8() < VERSION) reader.fail("its version is too old");
  const age = {
    era: reader.varint(),
    epoch: reader.varint(),
    settled: reader.u8() === 1,
  };
  const config = reader.bytes();
  return {
    ...age,
    config: config.length === 0 ? undefined : decodeConfig(config),
    birth: Vector.decode(reader.bytes()),
  };
}

/** Whether who told a hello does not know a config, as far as it told. */
export function lacksConfig(hello: Hello, config: ConfigAge): boolean {
  return supersedes(config, hello);
}

/** A config where it is to be told, or nothing. */
export function toldConfig(config: Config, told: boolean): Bytes {
  return told ? encodeConfig(config) : EMPTY_BYTES;
}
