/**
 * Leaving for ever: what this node wrote is held elsewhere, its key is retired,
 * and whoever writes one of its keys next leads it.
 *
 * Guarantees: nothing is acked here from the beginning on, so that all that was
 * acked is held by others before the key is retired: by two that are not about to
 * leave themselves, or by the only one that is not dead. If the node does not leave,
 * it writes on. Where a majority may have agreed without this node having heard of
 * it, or a member says that it was removed, it asks them until they say, and writes
 * nothing until then, nor after a start in between: that is on disk before. As long
 * as it writes nothing no other one that leaves relies on what it holds. It has
 * left only once a voter has said that it knows: before, the cluster may be unable
 * to decide anything without this node.
 *
 * ```text
 * leaving (in the namespace `meta`) := u8 version 1 | u8 stage
 * stage := 0 a member says that it was removed
 *        | 1 others hold what it has, and a majority may have agreed that it leaves
 *        | 2 it has left, and a voter has said that it knows
 * ```
 *
 * @module
 */

import {
  abortable,
  ClosedError,
  FormatVersionError,
  LeftUnheardError,
  NotMemberError,
  Reader,
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

/** How far it has come, by the number that says so in the row. */
const STAGES = ["told", "begun", "heard"] as const;
type Stage = typeof STAGES[number];

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
  /** Set as soon as a majority may have agreed, or a member says so. */
  #stage: Stage | undefined;
  /** The calls that are leaving. */
  readonly #calls = new Set<Promise<void>>();
  #asking: Promise<void> | undefined;
  /** What is being written of the row, one after the other. */
  #row: Promise<void> = Promise.resolve();

  private constructor(options: LeavingOptions, stage: Stage | undefined) {
    const { cluster } = options;
    this.#options = options;
    this.#stage = stage;
    if (this.#isUnderWay || cluster.isRemoved) this.#refuse();
  }

  /**
   * Opens what the engine knows: how far it had come before this start.
   *
   * @throws {DecodeError} If the row does not follow its format.
   * @throws {FormatVersionError} If a newer release wrote it.
   */
  static async open(options: LeavingOptions): Promise<Leaving> {
    const row = await options.kv.get(metaKey("leaving"));
    return new Leaving(options, row && decodeStage(row));
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
    await this.#reach("told").catch(() => {
      // The engine has failed, and nothing is written anyway.
    });
  }

  /**
   * Leaves the cluster. Where it has left before, voters are told again that have not
   * said that they know.
   *
   * @throws {RangeError} If this is the only member.
   * @throws {NotMemberError} If others have removed it.
   * @throws {QuorumUnavailableError} If no majority of the voters agreed, or would
   * answer without it.
   * @throws {LeftUnheardError} If it has left, and no voter has said that it knows.
   * @throws {ClosedError} If the database is closed before.
   * @throws The signal's reason, if nobody held what this node wrote before.
   */
  async leave(signal: AbortSignal): Promise<void> {
    const { cluster } = this.#options;
    if (!cluster.isRemoved && cluster.config.members.length === 1) {
      throw new RangeError(
        "Cannot leave: this node is the only member of the cluster",
      );
    }
    this.#refuse();
    const call = this.#leave(AbortSignal.any([signal, this.#closing.signal]));
    this.#calls.add(call);
    try {
      await call;
    } finally {
      this.#calls.delete(call);
      if (!cluster.isRemoved && this.#calls.size === 0) {
        if (this.#isUnderWay) this.#askLater();
        else this.#goOn();
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
    if (!cluster.isRemoved) {
      await this.#retire(signal).catch((error) => {
        // It is known that it has left, whatever became of this call.
        if (!cluster.isRemoved) throw error;
      });
    } else if (this.#stage === "heard") return;
    // Others removed it: perhaps nobody has what only it had.
    if (rankOf(this.#stage) < rankOf("begun")) {
      throw new NotMemberError("leave");
    }
    await tellVoters(this.#options, signal);
    void this.#reach("heard").catch(() => {
      // The engine has failed: they are told again after the next start.
    });
  }

  async #retire(signal: AbortSignal): Promise<void> {
    const { cluster } = this.#options;
    await held(this.#options, signal);
    await cluster.makeDispensable(signal);
    await this.#reach("begun");
    await cluster.remove(cluster.host.key, signal);
  }

  /** Resolves once it is on the device that it has come so far, or farther. */
  #reach(stage: Stage): Promise<void> {
    if (rankOf(this.#stage) < rankOf(stage)) this.#stage = stage;
    return this.#write(this.#stage);
  }

  #write(stage: Stage | undefined): Promise<void> {
    const { kv } = this.#options;
    const value = stage && Uint8Array.of(VERSION, rankOf(stage));
    const written = this.#row.then(async () => {
      await kv.write([{ key: metaKey("leaving"), value }], { sync: true });
    });
    this.#row = written.catch(() => {});
    return written;
  }

  /** Writes nothing from now on, and says that others are not to rely on it. */
  #refuse(): void {
    const { cluster, replica } = this.#options;
    replica.refuse(new NotMemberError("write"));
    cluster.leaving = true;
  }

  /** It has not left. */
  #goOn(): void {
    const { cluster, replica } = this.#options;
    cluster.leaving = false;
    replica.refuse(undefined);
  }

  /** Whether it was begun, or told of, and not found to be void. */
  get #isUnderWay(): boolean {
    return this.#stage !== undefined;
  }

  #askLater(): void {
    if (!this.#isUnderWay || this.#closing.signal.aborted) return;
    this.#asking ??= this.#ask().catch(() => {
      // Closed; or the engine has failed, and nothing is written anyway.
    }).finally(() => {
      this.#asking = undefined;
    });
  }

  /** Asks the voters until they have said whether this node is a member. */
  async #ask(): Promise<void> {
    const { cluster, timers } = this.#options;
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
      this.#stage = undefined;
      await this.#write(undefined);
      if (this.#isUnderWay || this.#calls.size > 0) continue;
      if (!cluster.isRemoved) this.#goOn();
      return;
    }
  }
}

/** Resolves when others hold all that is here; nobody waits for one that is silent. */
async function held(
  { cluster, replica, pull, timers }: LeavingOptions,
  signal: AbortSignal,
): Promise<void> {
  let { vector: own } = await replica.durable();
  let { nonce } = replica.incarnation;
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
    if (cluster.isRemoved) throw new NotMemberError("leave");
    if (replica.incarnation.nonce !== nonce) {
      // A whole copy has taken the place of what this node had.
      ({ nonce } = replica.incarnation);
      ({ vector: own } = await replica.durable());
      holders.clear();
    }
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
 * one does and the others have had their time.
 *
 * @throws {LeftUnheardError} If none does when the signal aborts.
 */
async function tellVoters(
  { cluster, timers }: LeavingOptions,
  signal: AbortSignal,
): Promise<void> {
  const enough = new AbortController();
  const end = () => enough.abort();
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
    known++;
    if (known > voters.length / 2) end();
    else grace ??= timers.set(end, TELL_MS, { persistent: true });
  }));
  grace?.cancel();
  if (known > 0) return;
  throw new LeftUnheardError(
    voters.map(({ node }) => node),
    { cause: signal.reason },
  );
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

function rankOf(stage: Stage | undefined): number {
  return stage === undefined ? -1 : STAGES.indexOf(stage);
}

function decodeStage(row: Uint8Array): Stage {
  const what = "how far this node has left";
  const reader = new Reader(row, what);
  const version = reader.u8();
  if (version > VERSION) throw new FormatVersionError(what, version, VERSION);
  return STAGES[reader.u8()] ?? reader.fail("there is no such stage");
}
