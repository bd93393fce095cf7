/**
 * The router: brings a commit to the node that leads its keys, here or elsewhere.
 *
 * Guarantees:
 * - What one node leads is decided by it in one step, whole or not at all; a
 *   commit over several nodes is split, and half a success is reported as such.
 * - A commit that reached another node is readable here when it resolves.
 * - Nothing is sent twice: a reply that never came is
 *   {@linkcode OutcomeUnknownError}, an unreachable node is
 *   {@linkcode LeaseholderUnavailableError}, and every call ends by its deadline.
 *
 * Which node leads a key is looked up here, but decided in the commit step of
 * that node; if it has moved, the commit follows.
 *
 * @module
 */

import {
  abortable,
  CheckFailedError,
  type CommitPart,
  DeadlineExceededError,
  DecodeError,
  LeaseholderUnavailableError,
  LeaseNotTransferableError,
  NodeNotFoundError,
  NotSupportedError,
  OutcomeUnknownError,
  PartialCommitError,
  Reader,
  RemoteError,
  startDeadline,
  type Timers,
  UnreachableError,
  Writer,
} from "../../runtime/mod.ts";
import {
  FailureCode,
  isMismatch,
  MessageType,
  type RequestOptions,
} from "../../transport/mod.ts";
import { checkBatch, checkTimeout } from "../check.ts";
import { keyText } from "../keyspace.ts";
import type { Dot } from "../replication/dot.ts";
import {
  type CommitCheck,
  type CommitOp,
  type CommitOutcome,
  type CommitRequest,
  NotLeaseholderError,
} from "../replication/draft.ts";
import type { LogRecord } from "../replication/record.ts";
import type { Replica } from "../replication/replica.ts";
import {
  decodeCommit,
  decodeOutcome,
  encodeCommit,
  encodeOutcome,
} from "./messages.ts";

/** How often a commit follows keys that are led elsewhere than was thought. */
const MOVES_MAX = 4;

/** What a router is made of. */
export interface RouterOptions {
  readonly nodeKey: number;
  readonly nonce: Uint8Array;
  readonly replica: Replica;
  readonly timers: Timers;
  /** Whether a node was removed, and its keys may be claimed here. */
  readonly isSealed?: ((node: number) => boolean) | undefined;
  /** Whether a node is a member of the cluster. */
  readonly isMember: (node: number) => boolean;
  /** The epoch of the config known here. */
  readonly configEpoch: () => number;
  /** Sends a request to a node; absent without a network. */
  readonly request:
    | ((
      node: number,
      type: number,
      payload: Uint8Array,
      options: RequestOptions,
    ) => Promise<Uint8Array>)
    | undefined;
  /** Pulls from a node in the background. */
  readonly nudge: (node: number) => void;
}

/** Deadline and end of a call. */
export interface CallOptions {
  /** Gives up when aborted. */
  signal?: AbortSignal | undefined;
  /**
   * Deadline of what goes over the network, in milliseconds. What this node does
   * itself is not cut short: a write that it leads ends when its disk is done.
   *
   * @default {10_000}
   */
  timeoutMs?: number;
}

/** What a commit did, on all the nodes that it went to. */
export interface RoutedOutcome {
  /** The records written. */
  readonly records: readonly LogRecord[];
  /** Who covers these sees what the commit left. */
  readonly after: readonly Dot[];
}

/** Brings commits to their leaseholders. */
export class Router {
  readonly #options: RouterOptions;
  /**
   * Who leads keys of commits that were acked elsewhere, how often, until they have
   * arrived: nobody else knows, if the leaseholder is down since, and this node must
   * not claim what it has acked.
   */
  readonly #led = new Map<string, { holder: number; count: number }>();
  #calls = 0;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Commits, wherever the keys are led. */
  async commit(
    asked: CommitRequest,
    options: CallOptions,
  ): Promise<RoutedOutcome> {
    const { signal } = options;
    const timeoutMs = checkTimeout("commit", options.timeoutMs);
    signal?.throwIfAborted();
    const request = lastOfEachKey(asked);
    const { nodeKey, replica, timers } = this.#options;
    const mayBeLocal = request.ops.every(({ key, lease }) =>
      (lease === undefined || lease === nodeKey) &&
      (this.#led.size === 0 || !this.#led.has(keyText(key)))
    );
    if (mayBeLocal) {
      try {
        return routed(await replica.commit(request));
      } catch (error) {
        // Nothing was logged; some other node leads one of the keys.
        if (!(error instanceof NotLeaseholderError)) throw error;
      }
    }
    using deadline = startDeadline(timers, timeoutMs, "commit", signal);
    const context = { signal: deadline.signal, timeoutMs, moved: new Map() };
    return await this.#route(request, context, MOVES_MAX);
  }

  /** Answers COMMIT. */
  async serve(payload: Uint8Array): Promise<Uint8Array> {
    const { request } = decodeCommit(payload);
    // A record larger than peers read would be stuck here for ever.
    checkBatch(request.ops);
    try {
      return encodeOutcome(await this.#options.replica.commit(request));
    } catch (error) {
      throw remoteErrorOf(error);
    }
  }

  async #route(
    request: CommitRequest,
    context: Context,
    movesLeft: number,
  ): Promise<RoutedOutcome> {
    const parts = await this.#split(request, context.moved);
    if (parts.size > 1) return await this.#commitParts(parts, context);
    const [holder, part] = [...parts][0]!;
    try {
      return await this.#commitAt(holder, part, context);
    } catch (error) {
      if (!(error instanceof NotLeaseholderError)) throw error;
      if (movesLeft === 0) {
        throw new LeaseholderUnavailableError(error.holder, { cause: error });
      }
      context.moved.set(keyText(error.key), error.holder);
      return await this.#route(part, context, movesLeft - 1);
    }
  }

  async #commitParts(
    parts: ReadonlyMap<number, CommitRequest>,
    context: Context,
  ): Promise<RoutedOutcome> {
    const checked = [...parts.values()].some(({ checks }) => checks.length > 0);
    if (checked) {
      throw new NotSupportedError(
        "checks",
        "the keys of this commit are led by several nodes",
      );
    }
    const holders = [...parts.keys()];
    const settled = await Promise.allSettled(
      [...parts.values()].map((part) => this.#route(part, context, MOVES_MAX)),
    );
    const outcomes: RoutedOutcome[] = [];
    const committed: CommitPart[] = [];
    const failed: CommitPart[] = [];
    settled.forEach((result, i) => {
      const leaseholder = holders[i]!;
      const keys = parts.get(leaseholder)!.ops.map(({ key }) => key.slice());
      if (result.status === "fulfilled") {
        outcomes.push(result.value);
        committed.push({ leaseholder, keys });
      } else failed.push({ leaseholder, keys, error: result.reason });
    });
    if (committed.length === 0) throw failed[0]!.error;
    if (failed.length > 0) throw new PartialCommitError(committed, failed);
    return {
      records: outcomes.flatMap(({ records }) => records),
      after: outcomes.flatMap(({ after }) => after),
    };
  }

  /** Splits a commit by the nodes that lead its keys, as far as known here. */
  async #split(
    request: CommitRequest,
    moved: ReadonlyMap<string, number>,
  ): Promise<Map<number, CommitRequest>> {
    const parts = new Map<
      number,
      { checks: CommitCheck[]; ops: CommitOp[] }
    >();
    const partOf = (holder: number) => {
      let part = parts.get(holder);
      if (part === undefined) {
        part = { checks: [], ops: [] };
        parts.set(holder, part);
      }
      return part;
    };
    const { nodeKey, replica, isMember, isSealed } = this.#options;
    const { ops, checks } = request;
    const entries = await replica.entries(
      [...ops, ...checks].map(({ key }) => key),
    );
    const holders = [...ops, ...checks].map(({ key }, i) => {
      const holder = moved.get(keyText(key)) ?? entries[i]?.holder ??
        this.#led.get(keyText(key))?.holder;
      // A key of a node that is gone is nobody's.
      return holder !== undefined && isSealed?.(holder) ? undefined : holder;
    });
    ops.forEach((op, i) => {
      const holder = holders[i];
      if (
        op.lease !== undefined && holder !== undefined && op.lease !== holder
      ) {
        throw new LeaseNotTransferableError(holder, op.lease);
      }
      if (
        holder === undefined && op.lease !== undefined && !isMember(op.lease)
      ) {
        throw new NodeNotFoundError(op.lease);
      }
      partOf(holder ?? op.lease ?? nodeKey).ops.push(op);
    });
    const first = [...parts.keys()][0] ?? nodeKey;
    checks.forEach((check, i) => {
      // A key that nobody leads, as far as known, goes with the rest.
      partOf(holders[ops.length + i] ?? first).checks.push(check);
    });
    if (parts.size === 0) partOf(nodeKey);
    return parts;
  }

  async #commitAt(
    holder: number,
    part: CommitRequest,
    context: Context,
  ): Promise<RoutedOutcome> {
    const { nodeKey, replica } = this.#options;
    if (holder === nodeKey) {
      context.signal.throwIfAborted();
      return routed(await replica.commit(part));
    }
    const outcome = await this.#forward(holder, part, context);
    const forget = this.#remember(holder, part);
    // Ends also where this call does not wait so long: with the replica, at least.
    const { signal } = new AbortController();
    const arrived = replica.covers(outcome.after, signal);
    arrived.then(forget, forget);
    await this.#readHere(holder, outcome, arrived, context.signal);
    return routed(outcome);
  }

  /** Takes down who leads the keys of a commit; returns what forgets it. */
  #remember(holder: number, { ops }: CommitRequest): () => void {
    const keys = ops.map(({ key }) => keyText(key));
    for (const key of keys) {
      const count = (this.#led.get(key)?.count ?? 0) + 1;
      this.#led.set(key, { holder, count });
    }
    return () => {
      for (const key of keys) {
        const { count } = this.#led.get(key)!;
        if (count === 1) this.#led.delete(key);
        else this.#led.set(key, { holder, count: count - 1 });
      }
    };
  }

  async #forward(
    holder: number,
    part: CommitRequest,
    { signal, timeoutMs }: Context,
  ): Promise<CommitOutcome> {
    const { isMember, request, nonce, configEpoch } = this.#options;
    // A key's leaseholder is a node, also where its entry came before news of it.
    if (request === undefined || !isMember(holder)) {
      throw new LeaseholderUnavailableError(holder);
    }
    const head = { configEpoch: configEpoch(), nonce, number: ++this.#calls };
    const payload = encodeCommit(head, part);
    try {
      const reply = await request(holder, MessageType.COMMIT, payload, {
        signal,
        timeoutMs,
      });
      return decodeOutcome(reply);
    } catch (error) {
      // The deadline of the call, where nothing was sent before it passed: what
      // was sent and not answered is an OutcomeUnknownError.
      if (
        error instanceof UnreachableError ||
        error instanceof DeadlineExceededError ||
        // Its address has passed to a node of another cluster or another secret,
        // or it speaks no version that this node does.
        isMismatch(error) ||
        // A member whose address has not been heard of yet.
        error instanceof NodeNotFoundError
      ) {
        throw new LeaseholderUnavailableError(holder, { cause: error });
      }
      if (error instanceof RemoteError) throw localErrorOf(error, holder);
      if (error instanceof DecodeError) {
        throw new OutcomeUnknownError("commit", { cause: error });
      }
      throw error;
    }
  }

  /** Makes a commit that another node acked readable here. */
  async #readHere(
    holder: number,
    { record, after }: CommitOutcome,
    arrived: Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { replica, nudge } = this.#options;
    try {
      if (record !== undefined) {
        await abortable(replica.receive(record), signal);
      }
      const missing = after.some(({ origin, seq }) =>
        !replica.vector.covers(origin, seq)
      );
      if (missing) nudge(holder);
      await abortable(arrived, signal);
    } catch {
      // The commit is acked: that it does not arrive here in time, or that this
      // node's own engine has failed, does not make it a failure.
    }
  }
}

interface Context {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Keys that another node than was thought said it leads. */
  readonly moved: Map<string, number>;
}

/**
 * Of several ops to one key the last one counts, so that no key of a commit goes
 * to two nodes; a lease that was asked for before stays asked for.
 */
function lastOfEachKey(request: CommitRequest): CommitRequest {
  if (request.ops.length < 2) return request;
  const ops = new Map<string, CommitOp>();
  for (const op of request.ops) {
    const text = keyText(op.key);
    const lease = op.lease ?? ops.get(text)?.lease;
    ops.set(text, { ...op, lease });
  }
  return { ...request, ops: [...ops.values()] };
}

function routed({ record, after }: CommitOutcome): RoutedOutcome {
  return { records: record === undefined ? [] : [record], after };
}

/** How a refusal of the commit step travels. */
function remoteErrorOf(error: unknown): unknown {
  const writer = new Writer(16);
  if (error instanceof NotLeaseholderError) {
    writer.varint(error.holder).bytes(error.key);
  } else if (error instanceof LeaseNotTransferableError) {
    writer.varint(error.leaseholder).varint(error.requested);
  } else if (error instanceof CheckFailedError) {
    writer.bytes(error.key);
  } else return error;
  const { name, message } = error;
  return new RemoteError(name, message, { data: writer.finish() });
}

/** The refusal that {@linkcode remoteErrorOf} sent. */
function localErrorOf(error: RemoteError, holder: number): unknown {
  const reader = new Reader(error.data, "a refused commit");
  switch (error.code) {
    case "NotLeaseholderError": {
      const leader = reader.varint();
      return new NotLeaseholderError(reader.bytes(), leader);
    }
    case "LeaseNotTransferableError":
      return new LeaseNotTransferableError(reader.varint(), reader.varint());
    case "CheckFailedError":
      return new CheckFailedError(reader.bytes().slice());
    case "ClosedError":
    case "NotMemberError":
    case "NotCaughtUpError":
    case "PoisonedError":
    case "CorruptionError":
      // Damage is found where it reads, which is before it writes.
      return new LeaseholderUnavailableError(holder, { cause: error });
    case "OverloadedError":
    case FailureCode.OVERLOADED:
      // It has not begun.
      return new LeaseholderUnavailableError(holder, { cause: error });
    case "StorageError":
      // A sync that failed says nothing of what its next start will find.
      return new OutcomeUnknownError("commit", { cause: error });
    default:
      return error;
  }
}
