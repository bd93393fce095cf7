/**
 * Session tokens: texts that stand for "what this write left".
 *
 * ```
 * token := base64url of: u8 version (1) | vector
 * ```
 *
 * @module
 */

import { encodeBase64Url } from "@std/encoding";
import { Writer } from "../runtime/mod.ts";
import type { Dot } from "./replication/dot.ts";

/** Stands for a state: opaque, and valid on every node of the cluster. */
export type Token = string;

/** The token of the records that a write left. */
export function tokenOf(dots: readonly Dot[]): Token {
  const seqs = new Map<number, number>();
  for (const { origin, seq } of dots) {
    seqs.set(origin, Math.max(seq, seqs.get(origin) ?? 0));
  }
  const writer = new Writer(32).u8(1).varint(seqs.size);
  let previous = 0;
  for (const [origin, seq] of [...seqs].sort((a, b) => a[0] - b[0])) {
    writer.varint(origin - previous).varint(seq);
    previous = origin;
  }
  return encodeBase64Url(writer.view());
}
