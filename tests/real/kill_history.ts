/**
 * What the program that is killed writes: a batch of every number, so that its
 * parent knows what each prefix of them adds up to.
 *
 * @module
 */

import type { BatchOp } from "../../engine/mod.ts";
import { toBytes, toText } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";

/** The key whose value is the number of the last batch. */
export const COUNT_KEY = "count";

/** Keys that are written, beside that one. */
const KEYS = 1500;

/** The batch of a number, from 1 on; each round writes other values. */
export function killBatch(seed: number, round: number, i: number): BatchOp[] {
  const random = new Prng(seed, `round ${round}, batch ${i}`);
  const ops: BatchOp[] = [{ key: toBytes(COUNT_KEY), value: toBytes(`${i}`) }];
  for (let n = random.below(5); n > 0; n--) {
    const key = toBytes(`key ${random.below(KEYS)}`);
    const value = random.below(4) === 0
      ? undefined
      : toBytes(`${round}/${i}/${n};`.repeat(random.below(20)));
    ops.push({ key, value });
  }
  // The count is not always the first op.
  if (random.below(2) === 0) ops.push(ops.shift()!);
  return ops;
}

/** What there is after some batches: text by text. */
export type KillState = Map<string, string>;

/** Applies the batches of a round up to a number to what was there before. */
export function advance(
  state: KillState,
  seed: number,
  round: number,
  from: number,
  to: number,
): void {
  for (let i = from; i <= to; i++) {
    for (const { key, value } of killBatch(seed, round, i)) {
      if (value === undefined) state.delete(toText(key));
      else state.set(toText(key), toText(value));
    }
  }
}
