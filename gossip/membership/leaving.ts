/**
 * Leaving for ever: what this node wrote is held elsewhere, its key is retired,
 * and whoever writes one of its keys next leads it.
 *
 * Guarantees: nothing is acked here from the beginning on, so that all that was
 * acked is held by others before the key is retired: by two, or by the only one
 * there is. If the node does not leave, it writes on, but where a majority may
 * have agreed without this node having heard of it.
 *
 * @module
 */

import {
  NotMemberError,
  QuorumUnavailableError,
  sleep,
  type Timers,
} from "../../runtime/mod.ts";
import type { Pull } from "../replication/pull.ts";
import type { Replica } from "../replication/replica.ts";
import type { Cluster } from "./cluster.ts";

/** Pause between two looks at what others hold, in milliseconds. */
const LOOK_MS = 50;

/** So many others are to hold what this node has, if there are so many. */
const HOLDERS = 2;

/** What leaving needs of a node. */
export interface LeavingOptions {
  readonly cluster: Cluster;
  readonly replica: Replica;
  readonly pull: Pull;
  readonly timers: Timers;
}

/**
 * Leaves the cluster.
 *
 * @throws {RangeError} If this is the only member.
 * @throws {QuorumUnavailableError} If no majority of the voters agreed.
 * @throws The signal's reason, if nobody held what this node wrote before.
 */
export async function leave(
  { cluster, replica, pull, timers }: LeavingOptions,
  signal: AbortSignal,
): Promise<void> {
  if (cluster.isRemoved) return;
  const { host: { key }, config: { members } } = cluster;
  if (members.length === 1) {
    throw new RangeError(
      "Cannot leave: this node is the only member of the cluster",
    );
  }
  replica.refuse(new NotMemberError("write"));
  let begun = false;
  try {
    await held({ cluster, replica, pull, timers }, signal);
    await cluster.makeDispensable(signal);
    begun = true;
    await cluster.remove(key, signal);
  } catch (error) {
    const unknown = begun && error instanceof QuorumUnavailableError;
    if (!unknown) replica.refuse(undefined);
    throw error;
  }
}

/** Resolves when others hold all that is here. */
async function held(
  { cluster, replica, pull, timers }: LeavingOptions,
  signal: AbortSignal,
): Promise<void> {
  const own = await replica.durable();
  for (;;) {
    signal.throwIfAborted();
    const others = cluster.candidates();
    const answers = await Promise.all(others.map(async (node) => {
      try {
        // Who is asked for what it has learns what this node has.
        await pull.from(node);
        return (await cluster.reportOf(node, signal)).includes(own);
      } catch {
        return false; // not there now, or on its way
      }
    }));
    const holders = answers.filter(Boolean).length;
    if (holders > 0 && holders >= Math.min(HOLDERS, others.length)) return;
    await sleep(timers, LOOK_MS, { signal, persistent: true });
  }
}
