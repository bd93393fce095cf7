/**
 * The cluster as users of a database see it: `db.cluster`.
 *
 * Guarantees: what goes over the network ends by its deadline, or, with a
 * `ClosedError`, when the database is closed.
 *
 * @module
 */

import {
  LeftUnheardError,
  startDeadline,
  type Timers,
} from "../runtime/mod.ts";
import { checkTimeout } from "./check.ts";
import type { Rooms } from "./dispatch.ts";
import type { ClusterView } from "./face.ts";
import type { CallOptions } from "./lease/router.ts";

/** How long a node in memory may take to leave when it is closed. */
const CLOSING_LEAVE_MS = 2000;

/** What a view is made of. */
export interface ClusterViewOptions {
  readonly rooms: Rooms;
  readonly timers: Timers;
  /** Throws if the database is closed. */
  readonly checkOpen: (action: string) => void;
}

/** Makes the view of a node's cluster. */
export function clusterView(
  { rooms, timers, checkOpen }: ClusterViewOptions,
): ClusterView {
  const { cluster, leaving } = rooms;
  /** What fails since the database is closed says so. */
  const ended = async (action: string, call: Promise<void>): Promise<void> => {
    try {
      await call;
    } catch (error) {
      // It has left, closed or not.
      if (!(error instanceof LeftUnheardError)) checkOpen(action);
      throw error;
    }
  };
  return {
    get key() {
      return cluster.key;
    },
    get host() {
      return cluster.host;
    },
    nodes: () => cluster.nodes(),
    node: (key) => cluster.node(key),
    resolve: (key) => cluster.node(key).address,
    watch() {
      checkOpen("watch the cluster");
      return cluster.watch();
    },
    async leave({ timeoutMs, signal }: CallOptions = {}) {
      const action = "leave the cluster";
      checkOpen(action);
      const ms = checkTimeout("leave", timeoutMs);
      using deadline = startDeadline(timers, ms, "leave", signal);
      await ended(action, leaving.leave(deadline.signal));
    },
    async remove(key, { timeoutMs, signal }: CallOptions = {}) {
      const action = `remove node ${key}`;
      checkOpen(action);
      if (key === cluster.host.key) {
        throw new RangeError(
          `Cannot ${action}: it is this node, which leaves by \`leave()\``,
        );
      }
      const ms = checkTimeout("remove a node", timeoutMs);
      using deadline = startDeadline(timers, ms, action, signal);
      await ended(action, cluster.remove(key, deadline.signal));
    },
    async recover({ force, timeoutMs, signal }) {
      checkOpen("recover");
      if (force !== true) {
        throw new TypeError(
          'Cannot recover: it voids what the lost voters decided, so "force" must be true',
        );
      }
      const ms = checkTimeout("recover", timeoutMs);
      using deadline = startDeadline(timers, ms, "recover", signal);
      await ended("recover", cluster.recover(deadline.signal));
    },
  };
}

/**
 * A node in memory can never come back: it leaves when it is closed, if that is
 * done soon. What is left of it otherwise is a dead member, which `remove` takes
 * out. Never rejects.
 */
export async function leaveForEver(
  rooms: Rooms,
  timers: Timers,
): Promise<void> {
  const { cluster, leaving } = rooms;
  if (cluster.connected().length === 0) return;
  using deadline = startDeadline(timers, CLOSING_LEAVE_MS, "leave");
  await leaving.leave(deadline.signal).catch(() => {
    // No majority, nobody answers, or others have removed it.
  });
}
