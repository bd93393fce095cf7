/**
 * The floor: which records every member has, as far as a node knows for ever, and
 * the gate: which of them every member knows that of. A tombstone behind the gate
 * can go (replication.md §6).
 *
 * Guarantees: neither rises before every other member has reported under the
 * present config, and all that they reported is here (counterexamples 3 and 4), nor
 * while a removed node is being sealed; a record that is not here then is above
 * every tombstone in the floor.
 *
 * @module
 */

import type { Vector } from "./vector.ts";

/** What a member has, as it reported. */
export interface Reported {
  readonly era: number;
  readonly epoch: number;
  readonly vector: Vector;
  readonly floor: Vector;
}

/** What a node knows. */
export interface FloorInput {
  /** What is durable here, and the floor that is. */
  readonly own: Reported;
  /** The newest report of each other member; `undefined` where there is none. */
  readonly others: readonly (Reported | undefined)[];
}

/** How far a node may rely on others. */
export interface Floor {
  /** Every member has these: to be made durable, and then reported. */
  readonly floor: Vector;
  /** Every member knows that: tombstones of these records can go. */
  readonly gate: Vector;
}

/** What the reports allow; `undefined` if they allow nothing new. */
export function floorOf({ own, others }: FloorInput): Floor | undefined {
  let floor = own.vector;
  let gate = own.floor;
  for (const other of others) {
    if (other === undefined) return undefined;
    if (other.era !== own.era || other.epoch !== own.epoch) return undefined;
    if (!own.vector.includes(other.vector)) return undefined;
    floor = floor.meet(other.vector);
    gate = gate.meet(other.floor);
  }
  const risen = own.floor.clone();
  risen.join(floor);
  return { floor: risen, gate };
}
