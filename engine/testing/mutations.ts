/**
 * Ways to harm bytes, drawn by fast-check.
 *
 * @module
 */

import fc from "fast-check";
import type { Bytes } from "../../runtime/mod.ts";

/** Where, taken modulo the length, and what stands there then. */
export interface Mutation {
  at: number;
  /** How many bytes it is wide. */
  width: 1 | 2 | 4;
  value: number;
}

/** Lengths and counts that decoders have been known to stumble over. */
const BOUNDARIES = [
  0,
  1,
  2,
  7,
  8,
  0x7f,
  0xff,
  0x100,
  0x7fff,
  0xffff,
  0x10000,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_fff8,
  0xffff_ffff,
];

/** Some mutations; heads, where the lengths stand, are harmed more often. */
export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.record({
    at: fc.oneof(fc.nat(64), fc.nat(0xffff)),
    width: fc.constantFrom(1, 2, 4),
    value: fc.oneof(fc.constantFrom(...BOUNDARIES), fc.nat(300)),
  }),
  { minLength: 1, maxLength: 4 },
);

/** Puts them into `bytes`. */
export function mutate(bytes: Uint8Array, harm: readonly Mutation[]): void {
  for (const { at, width, value } of harm) {
    for (let i = 0; i < width; i++) {
      bytes[(at + i) % bytes.length] = value >>> (8 * i);
    }
  }
}

/** A harmed copy, which may be cut short or go on. */
export function mutated(
  bytes: Uint8Array,
  harm: readonly Mutation[],
  lengthen: number,
): Bytes {
  const copy = new Uint8Array(Math.max(1, bytes.length + lengthen));
  copy.set(bytes.subarray(0, copy.length));
  mutate(copy, harm);
  return copy;
}
