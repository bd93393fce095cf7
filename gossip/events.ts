/**
 * Events: what a database has to say beside its data.
 *
 * @module
 */

import type { LsmEvent } from "../engine/kv.ts";
import { Feed } from "./feed.ts";
import type { Divergence } from "./replication/audit.ts";
import type { Conflict } from "./replication/conflict.ts";

/** Something happened that no caller was told of. */
export type DatabaseEvent =
  /** An acked write lost to a concurrent one; both are told. */
  | { readonly type: "conflict"; readonly conflict: Conflict }
  /**
   * This node and another have the same records, but did not hold the same: a disk or
   * the program has failed. Both tell of it, and each has taken the later version of
   * each key, as `keys` say. What is left as it was is told of by every audit:
   * set or delete the key, and it is the same again.
   */
  | ({ readonly type: "divergence" } & Divergence)
  /**
   * As many conflicts stand as may (`conflictsMax`): writes of other nodes that would
   * lose here wait, with all that was written there after them, until some are
   * forgotten by `DB.forgetConflicts`. Told once until then.
   */
  | { readonly type: "conflictsFull"; readonly standing: number }
  /** A writer's clock is ahead by more than is adopted. */
  | { readonly type: "clockSkew"; readonly aheadMs: number }
  /**
   * A connection to a node stands. Not told where connections are made on demand,
   * in clusters of more nodes than `connectionsMax`.
   */
  | { readonly type: "connected"; readonly node: number }
  /** It stands no more. Not told where it was closed since nobody used it. */
  | {
    readonly type: "disconnected";
    readonly node: number;
    readonly reason: unknown;
  }
  /**
   * Somebody is of another cluster, has another secret, no TLS or no certificate
   * that counts, speaks no common version of the protocol, or was not let in, there or here. The node is 0 where nobody
   * said which it is; of those one a second is told of.
   */
  | {
    readonly type: "refused";
    readonly node: number;
    readonly address: string;
    readonly error: unknown;
  }
  /** A peer does not do what the protocol says. */
  | {
    readonly type: "peerFailed";
    readonly node: number;
    readonly error: unknown;
  }
  /** Another process runs under this node's key, or an old disk was put back. */
  | { readonly type: "cloned"; readonly node: number; readonly address: string }
  /**
   * A member has been dead for longer than `maxOfflineMs`, as far as this node knows.
   * Until it is back, or somebody removes it (`cluster.remove`), marks of deletions are
   * kept for it on all nodes. Told once, and once more by each start.
   */
  | {
    readonly type: "overdue";
    readonly node: number;
    readonly awayMs: number;
  }
  /**
   * This node was removed from the cluster, or has left it: it writes no more. Told
   * when it is heard, and after each start that knows it.
   */
  | { readonly type: "removed" }
  /**
   * This node's disk was older than what it had said to others, who told it so: it
   * writes nothing until it has taken a whole copy of the data from one of them.
   */
  | { readonly type: "outdated"; readonly node: number }
  /**
   * A whole copy has taken the place of this node's data; what it had written and
   * the copy has not, and what else no other node has said to have on its disk, was
   * reported before, by events of type `conflict`.
   */
  | { readonly type: "reset" }
  /**
   * What this node misses is more than a peer's log of recent records holds, so the
   * peer gives what has changed since, or, `whole`, a copy of all that there is:
   * the first one (of which `open` waits for the end), or in the place of data that
   * are void. `resumed`: the copy goes on where it had broken off.
   */
  | {
    readonly type: "session";
    readonly node: number;
    readonly whole: boolean;
    readonly resumed: boolean;
  }
  /** The engine failed; nothing is written until the database is reopened. */
  | { readonly type: "failed"; readonly error: unknown }
  /** A handler of `onChange` threw. */
  | { readonly type: "handlerFailed"; readonly error: unknown }
  /**
   * A watch of `onChange` has ended, since it cannot go on after its token, or the
   * engine could not be read.
   */
  | { readonly type: "watchFailed"; readonly error: unknown }
  /**
   * The default engine has something to say: writes stall or go on, a flush or a
   * compaction is done, it takes no more writes (`poisoned`), and so on.
   */
  | { readonly type: "engine"; readonly event: LsmEvent }
  /** Events were dropped, because the reader did not keep up. */
  | { readonly type: "lagged"; readonly missed: number };

/** Events that may wait for a reader. */
const QUEUE_MAX = 1024;

/** All readers of a database's events. */
export class Events {
  readonly #feeds = new Set<Feed<DatabaseEvent>>();

  /** Tells all readers; returns whether there are any. */
  emit(event: DatabaseEvent): boolean {
    for (const feed of this.#feeds) feed.push(event);
    return this.#feeds.size > 0;
  }

  /** Reads from now on, until the stream is cancelled. */
  read(): ReadableStream<DatabaseEvent> {
    const feed: Feed<DatabaseEvent> = new Feed<DatabaseEvent>({
      weightMax: QUEUE_MAX,
      lagged: (missed) => ({ type: "lagged", missed }),
      onEnd: () => this.#feeds.delete(feed),
    });
    this.#feeds.add(feed);
    return feed.stream;
  }

  /** Ends all streams, after what waits. */
  close(): void {
    for (const feed of [...this.#feeds]) feed.close();
  }
}
