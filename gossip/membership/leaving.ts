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
  abortable,
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

/** Resolves when others hold all that is here; nobody waits for one that is silent. */
async function held(
  { cluster, replica, pull, timers }: LeavingOptions,
  signal: AbortSignal,
): Promise<void> {
  const own = await replica.durable();
  const holders = new Set<number>();
  const asked = new Set<number>();
  const ask = async (node: number): Promise<void> => {
    asked.add(node);
    try {
      // Who is asked for what it has learns what this node has.
      await abortable(pull.from(node), signal);
      const theirs = await cluster.reportOf(node, signal);
      if (theirs.includes(own)) holders.add(node);
    } catch {
      // Not there now: asked again.
    } finally {
      asked.delete(node);
    }
  };
  for (;;) {
    signal.throwIfAborted();
    const others = cluster.candidates();
    const holding = others.filter((node) => holders.has(node)).length;
    if (holding > 0 && holding >= Math.min(HOLDERS, others.length)) return;
    for (const node of others) {
      if (!holders.has(node) && !asked.has(node)) void ask(node);
    }
    await sleep(timers, LOOK_MS, { signal, persistent: true });
  }
}
