/**
 * Leaving for ever: what this node wrote is held elsewhere, its key is retired,
 * and whoever writes one of its keys next leads it.
 *
 * Guarantees: nothing is acked here from the beginning on, so that all that was
 * acked is held by others before the key is retired: by two that are not about to
 * leave themselves, or by the only one that is not dead. If the node does not leave,
 * it writes on. Where a majority may have agreed without this node having heard of
 * it, or a member says that it was removed, it asks them until they say, and writes
 * nothing until then, nor after a start in between: that is on disk before.
 *
 * ```text
 * leaving (in the namespace `meta`) := u8 version 1
 * ```
 *
 * @module
 */

import {
  abortable,
  type Bytes,
  ClosedError,
  NotMemberError,
  RejectedError,
  sleep,
  type Timer,
  type Timers,
} from "../../runtime/mod.ts";
import type { KV } from "../../engine/kv.ts";
import { metaKey } from "../keyspace.ts";
import type { Pull } from "../replication/pull.ts";
import type { Replica } from "../replication/replica.ts";
import { REMOVED } from "./admission.ts";
import type { Cluster } from "./cluster.ts";

/** Pause between two looks at what others hold, in milliseconds. */
const LOOK_MS = 50;

/** Pause before a majority is asked again whether this node has left, in ms. */
const ASK_MS = 1000;

/** So many others are to hold what this node has, if there are so many. */
const HOLDERS = 2;

/** Pause before a voter is told again that this node has left, in ms. */
const TELL_AGAIN_MS = 100;

/** How long others may take to hear it once one voter has, in milliseconds. */
const TELL_MS = 500;

/** The format of the row. */
const VERSION = 1;

/** What leaving needs of a node. */
export interface LeavingOptions {
  readonly kv: KV;
  readonly cluster: Cluster;
  readonly replica: Replica;
  readonly pull: Pull;
  readonly timers: Timers;
}

/** How a node leaves its cluster. */
export class Leaving {
  readonly #options: LeavingOptions;
  readonly #closing = new AbortController();
  /** Whether a majority may have agreed. */
  #begun: boolean;
  /** The calls that are leaving. */
  readonly #calls = new Set<Promise<void>>();
  #asking: Promise<void> | undefined;
  /** What is being written of the row, one after the other. */
  #row: Promise<void> = Promise.resolve();

  private constructor(options: LeavingOptions, begun: boolean) {
    this.#options = options;
    this.#begun = begun;
    if (begun) options.replica.refuse(new NotMemberError("write"));
  }

  /** Opens what the engine knows: whether it was begun before this start. */
  static async open(options: LeavingOptions): Promise<Leaving> {
    const row = await options.kv.get(metaKey("leaving"));
    return new Leaving(options, row !== undefined);
  }

  /** Begins to ask whether this node has left, if that is not known. */
  start(): void {
    this.#askLater();
  }

  /**
   * A member has said that this node was removed: its next start writes nothing
   * before it has heard more. Never rejects.
   */
  async told(): Promise<void> {
    await this.#mark().catch(() => {
      // The engine has failed, and nothing is written anyway.
    });
  }

  /**
   * Leaves the cluster.
   *
   * @throws {RangeError} If this is the only member.
   * @throws {QuorumUnavailableError} If no majority of the voters agreed, or would
   * answer without it.
   * @throws {ClosedError} If the database is closed before.
   * @throws The signal's reason, if nobody held what this node wrote before.
   */
  async leave(signal: AbortSignal): Promise<void> {
    const { cluster, replica } = this.#options;
    if (cluster.isRemoved) return;
    if (cluster.config.members.length === 1) {
      throw new RangeError(
        "Cannot leave: this node is the only member of the cluster",
      );
    }
    replica.refuse(new NotMemberError("write"));
    cluster.leaving = true;
    const call = this.#leave(AbortSignal.any([signal, this.#closing.signal]));
    this.#calls.add(call);
    try {
      await call;
    } catch (error) {
      // Others have told it meanwhile.
      if (!cluster.isRemoved) throw error;
    } finally {
      this.#calls.delete(call);
      if (!cluster.isRemoved && this.#calls.size === 0) {
        cluster.leaving = false;
        if (this.#begun) this.#askLater();
        else replica.refuse(undefined);
      }
    }
  }

  /** Asks nothing any more, and ends the calls that are leaving. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("leave the cluster"));
    await Promise.allSettled([...this.#calls, this.#asking, this.#row]);
  }

  async #leave(signal: AbortSignal): Promise<void> {
    const { cluster } = this.#options;
    await held(this.#options, signal);
    await cluster.makeDispensable(signal);
    await this.#mark();
    await cluster.remove(cluster.host.key, signal);
    await tellVoters(this.#options, signal);
  }

  /** Resolves once the row is on the device. */
  #mark(): Promise<void> {
    this.#begun = true;
    return this.#write(Uint8Array.of(VERSION));
  }

  #write(value: Bytes | undefined): Promise<void> {
    const { kv } = this.#options;
    const written = this.#row.then(async () => {
      await kv.write([{ key: metaKey("leaving"), value }], { sync: true });
    });
    this.#row = written.catch(() => {});
    return written;
  }

  #askLater(): void {
    if (!this.#begun || this.#closing.signal.aborted) return;
    this.#asking ??= this.#ask().catch(() => {
      // Closed; or the engine has failed, and nothing is written anyway.
    }).finally(() => {
      this.#asking = undefined;
    });
  }

  /** Asks the voters until they have said whether this node is a member. */
  async #ask(): Promise<void> {
    const { cluster, replica, timers } = this.#options;
    const { signal } = this.#closing;
    for (;;) {
      await sleep(timers, ASK_MS, { signal });
      if (cluster.isRemoved) return;
      // Whoever leaves meanwhile asks for itself.
      if (this.#calls.size > 0) continue;
      try {
        await cluster.refresh(signal);
      } catch {
        continue;
      }
      if (cluster.isRemoved) return;
      if (this.#calls.size > 0) continue;
      // What was asked for before was not chosen, and will not be any more.
      this.#begun = false;
      await this.#write(undefined);
      if (this.#begun || this.#calls.size > 0) continue;
      if (!cluster.isRemoved) replica.refuse(undefined);
      return;
    }
  }
}

/** Resolves when others hold all that is here; nobody waits for one that is silent. */
async function held(
  { cluster, replica, pull, timers }: LeavingOptions,
  signal: AbortSignal,
): Promise<void> {
  const { vector: own } = await replica.durable();
  const holders = new Set<number>();
  const asked = new Set<number>();
  const ask = async (node: number): Promise<void> => {
    asked.add(node);
    try {
      // Who is asked for what it has learns what this node has.
      await abortable(pull.from(node), signal);
      const { vector, leaving } = await cluster.reportOf(node, signal);
      if (vector.includes(own) && !leaving) holders.add(node);
    } catch {
      // Not there now: asked again.
    } finally {
      asked.delete(node);
    }
  };
  for (;;) {
    signal.throwIfAborted();
    // Also those that are not connected now; of the dead nobody expects it.
    const others = cluster.living();
    const holding = others.filter((node) => holders.has(node)).length;
    if (holding > 0 && holding >= Math.min(HOLDERS, others.length)) return;
    for (const node of cluster.candidates()) {
      if (!holders.has(node) && !asked.has(node)) void ask(node);
    }
    await sleep(timers, LOOK_MS, { signal, persistent: true });
  }
}

/**
 * Tells those who vote that this node is no member any more: what they have accepted
 * they do not know, and nobody else would tell them. Ends once most of them do, or
 * one does and the others have had their time; or with the signal. Never rejects.
 */
async function tellVoters(
  { cluster, timers }: LeavingOptions,
  signal: AbortSignal,
): Promise<void> {
  const enough = new AbortController();
  const ended = AbortSignal.any([signal, enough.signal]);
  const { voters } = cluster.config;
  let known = 0;
  let grace: Timer | undefined;
  await Promise.all(voters.map(async ({ node }) => {
    while (!await knows(cluster, node, ended)) {
      if (ended.aborted) return;
      await sleep(timers, TELL_AGAIN_MS, { signal: ended, persistent: true })
        .catch(() => {});
    }
    if (++known > voters.length / 2) enough.abort();
    else {grace ??= timers.set(() => enough.abort(), TELL_MS, {
        persistent: true,
      });}
  }));
  grace?.cancel();
}

/** Whether a voter has heard that this node is no member any more. */
async function knows(
  cluster: Cluster,
  node: number,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await abortable(cluster.reportOf(node, signal), signal);
    return true;
  } catch (error) {
    // Whoever knows talks to this node no more.
    for (let each = error; each instanceof Error; each = each.cause) {
      if (each instanceof RejectedError && each.code === REMOVED) return true;
    }
    return false;
  }
}
