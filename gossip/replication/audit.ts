/**
 * The audit: compares what two nodes hold where their vectors say that it is the
 * same. It trusts neither vectors nor the code that keeps them.
 *
 * Guarantees:
 * - Every interval this node compares its sums (audit_sums.ts) with those of a random
 *   member. Sums of different vectors are not compared; then it asks again soon. A
 *   cluster in which no two vectors ever agree is not audited.
 * - Where they differ, the two look for the keys: for the buckets first, then for
 *   their entries, which are listed while writes go on. What is then found is only a
 *   suspicion: it is an alarm if both have something else of a key under one vector,
 *   each looking between two groups of its apply loop.
 * - Each of the two takes the larger entry, in one batch with all its rows, through
 *   the draft through which all changes go; watchers are told as of a session. Both
 *   say what differed ({@linkcode Divergence}), and count their rows anew.
 * - Where one has an entry and the other nothing, not even a tombstone, one of the
 *   two is wrong: it has lost the entry, or the other a deletion. It is taken if no
 *   tombstone above it can have been collected here (replication.md §6: its life is
 *   above the highest that is gone), or if the index of dots has it at the other, as
 *   it has all that stands. So rather a deleted value
 *   may come back, and be told of, than an acked one be lost; but what only a single
 *   row says is left alone, and told of every time. Nothing is ever deleted for want
 *   of it elsewhere.
 * - Rows are read between two groups, slice by slice with pauses, first an interval
 *   after the start: opening waits for none of it. Until all are counted, and after a
 *   divergence or a whole copy until they are again, this node says that it is not
 *   ready.
 *
 * @module
 */

import {
  compareBytes,
  EMPTY_BYTES,
  equalBytes,
  ProtocolError,
  type Random,
  RemoteError,
  sleep,
  type Timer,
  type Timers,
} from "../../runtime/mod.ts";
import { MessageType, type RequestOptions } from "../../transport/mod.ts";
import { keyText } from "../keyspace.ts";
import {
  type AuditItem,
  decodeBuckets,
  decodeBucketsReply,
  decodeEntries,
  decodeEntriesReply,
  decodeList,
  decodeListReply,
  decodeRoot,
  decodeVerdict,
  encodeBuckets,
  encodeDifferent,
  encodeEntries,
  encodeItems,
  encodeList,
  encodeListReply,
  encodeRoot,
  encodeVerdict,
  ITEMS_MAX,
  Verdict,
} from "./audit_messages.ts";
import { countSlice, listed, readItems, readSlice } from "./audit_rows.ts";
import { isSameSum } from "./audit_sums.ts";
import { differ, type Entry, type Version, versionOf } from "./entry.ts";
import type { Replica } from "./replica.ts";
import type { Vector } from "./vector.ts";

/** Deadline of a request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Pause between two slices of rows, in milliseconds. */
const PAUSE_MS = 20;

/** How much sooner than after an interval a comparison that was none is repeated. */
const AGAIN = 1 / 8;

/** Keys that are looked into in one round; the next one finds the others. */
const KEYS_MAX = ITEMS_MAX;

/** How often two nodes try to meet under one vector, to look at the same keys. */
const TRIES_MAX = 20;

/** Longest pause between two of these, in milliseconds. */
const TRY_MS = 250;

/** What a node has of a key. */
export interface DivergenceSide {
  /** The version, of a tombstone too. */
  readonly version: Version;
  /** The node that leads the key. */
  readonly leaseholder: number;
  /** Whether it is deleted. */
  readonly isDeleted: boolean;
}

/** A key of which two nodes do not hold the same. */
export interface DivergentKey {
  /** The key. */
  readonly key: Uint8Array;
  /** What this node had; `undefined`: nothing. */
  readonly here: DivergenceSide | undefined;
  /** What the other one had. */
  readonly there: DivergenceSide | undefined;
  /** Whether this node has taken what the other one had. */
  readonly isTaken: boolean;
}

/** What an audit has found. */
export interface Divergence {
  /** The node that did not hold the same. */
  readonly node: number;
  /**
   * The keys, 1024 at most; the next rounds find the others. None
   * where they were repaired before they were found, or only the sums were wrong.
   */
  readonly keys: readonly DivergentKey[];
}

/** Numbers for metrics. */
export interface AuditMetrics {
  /** Whether the rows of this node are counted, so that they can be compared. */
  readonly isReady: boolean;
  /** Comparisons since the start of which this node had found both the same. */
  readonly same: number;
  /** Comparisons that were none: other vectors, or a node that was not ready. */
  readonly missed: number;
  /** Divergences told of since the start. */
  readonly divergences: number;
}

/** What an audit is made of. */
export interface AuditOptions {
  readonly replica: Replica;
  readonly timers: Timers;
  readonly random: Random;
  /** Time between two comparisons, in ms; ± 10 %. */
  readonly intervalMs: number;
  /** The nodes of which one is drawn. */
  readonly candidates: () => readonly number[];
  /** Sends a request to a peer. */
  readonly request: (
    node: number,
    type: number,
    payload: Uint8Array,
    options: RequestOptions,
  ) => Promise<Uint8Array>;
  /** Something was found. Must not throw. */
  readonly diverged: (divergence: Divergence) => void;
  /** A comparison failed. Must not throw. */
  readonly failed: (node: number, error: unknown) => void;
}

/** Compares this node's data with that of others. */
export class Audit {
  readonly #options: AuditOptions;
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #same = 0;
  #missed = 0;
  #divergences = 0;

  /** Makes one that does nothing before {@linkcode Audit.start}. */
  constructor(options: AuditOptions) {
    this.#options = options;
  }

  /** Numbers for metrics. */
  get metrics(): AuditMetrics {
    return {
      isReady: this.#options.replica.sums.isWhole,
      same: this.#same,
      missed: this.#missed,
      divergences: this.#divergences,
    };
  }

  /** Begins to compare. */
  start(): void {
    this.#later(1);
  }

  #later(share: number): void {
    const { timers, random, intervalMs } = this.#options;
    this.#timer = timers.set(() => {
      const same = this.#same;
      this.#running = this.round().finally(() => {
        if (this.#abort.signal.aborted) return;
        this.#later(this.#same > same ? 1 : AGAIN);
      });
    }, intervalMs * share * (0.9 + random.float() * 0.2));
  }

  /** Compares with a random member, if there is one. Never rejects. */
  async round(): Promise<void> {
    const { random, replica } = this.#options;
    const nodes = this.#options.candidates();
    // Without anybody to ask nothing is counted either.
    if (nodes.length === 0 || replica.vector.size === 0) return;
    const node = nodes[Math.floor(random.float() * nodes.length)]!;
    try {
      await this.with(node);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#missed++;
      // It is of a release without audits.
      if (error instanceof RemoteError && error.code === "UnknownMessage") {
        return;
      }
      this.#options.failed(node, error);
    }
  }

  /** Compares with a node, once the rows of this one are counted. */
  async with(node: number): Promise<void> {
    const { replica } = this.#options;
    await this.#count();
    const { vector, sums } = replica;
    if (!replica.caughtUp || !sums.isWhole) return;
    const reply = await this.#request(
      node,
      MessageType.AUDIT_ROOT,
      encodeRoot({ vector, sum: sums.total() }),
    );
    switch (decodeVerdict(reply)) {
      case Verdict.SAME:
        this.#same++;
        break;
      case Verdict.DIFFERENT:
        await this.#examine(node);
        break;
      default:
        this.#missed++;
    }
  }

  /** Answers AUDIT_ROOT. */
  answerRoot(payload: Uint8Array): Uint8Array {
    const { vector, sum } = decodeRoot(payload);
    return encodeVerdict(this.#judge(vector, () => {
      return isSameSum(this.#options.replica.sums.total(), sum);
    }));
  }

  /** Answers AUDIT_BUCKETS. */
  answerBuckets(payload: Uint8Array): Uint8Array {
    const { replica } = this.#options;
    const { vector, sums } = decodeBuckets(payload);
    const buckets: number[] = [];
    const verdict = this.#judge(vector, () => {
      for (const [number, { a, b }] of sums.entries()) {
        const own = replica.sums.bucket(number);
        if (own.a !== a || own.b !== b) buckets.push(number);
      }
      return buckets.length === 0;
    });
    return verdict === Verdict.DIFFERENT
      ? encodeDifferent(buckets)
      : encodeVerdict(verdict);
  }

  /** Answers AUDIT_LIST. */
  async answerList(payload: Uint8Array): Promise<Uint8Array> {
    const { buckets, after } = decodeList(payload);
    const slice = await this.#slice(after, undefined);
    const { isLast } = slice;
    const upTo = isLast ? EMPTY_BYTES : slice.entries.at(-1)!.key;
    const found = listed(slice, new Set(buckets));
    return encodeListReply({ isLast, upTo, listed: found });
  }

  /** Answers AUDIT_ENTRIES: both take what is larger. */
  async answerEntries(node: number, payload: Uint8Array): Promise<Uint8Array> {
    const { replica } = this.#options;
    const message = decodeEntries(payload);
    const repaired = await replica.repair(message);
    if (repaired === undefined) return encodeVerdict(Verdict.OTHER_VECTOR);
    const { items, taken } = repaired;
    const found = differencesOf(items, message.items, taken);
    if (found.length > 0) await this.#tell(node, found);
    return encodeItems(items);
  }

  /** Ends the rounds, and waits for the one under way. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort();
    await this.#running;
  }

  /** Counts the rows that are not counted yet, as long as they count for something. */
  async #count(): Promise<void> {
    const { replica } = this.#options;
    while (replica.caughtUp && !replica.sums.isWhole) {
      await replica.inspect(countSlice);
      if (!replica.sums.isWhole) await this.#pause(PAUSE_MS);
    }
  }

  #judge(vector: Vector, isSame: () => boolean): Verdict {
    const { replica } = this.#options;
    if (!replica.caughtUp || !replica.sums.isWhole) return Verdict.NOT_READY;
    vector.readAs(replica.vector);
    if (!replica.vector.equals(vector)) return Verdict.OTHER_VECTOR;
    return isSame() ? Verdict.SAME : Verdict.DIFFERENT;
  }

  /** The sums of a node are others: finds out where, and repairs it. */
  async #examine(node: number): Promise<void> {
    const { replica } = this.#options;
    if (!replica.sums.isWhole) return;
    const reply = await this.#request(
      node,
      MessageType.AUDIT_BUCKETS,
      encodeBuckets(replica.vector, (bucket) => replica.sums.bucket(bucket)),
    );
    const { verdict, buckets } = decodeBucketsReply(reply);
    if (verdict !== Verdict.DIFFERENT) return;
    const suspects = await this.#suspects(node, buckets);
    const found = new Map<string, DivergentKey>();
    let isSettled = false;
    try {
      isSettled = await this.#settle(node, suspects, found);
    } finally {
      // What was found is told of, whatever became of the rest.
      if (isSettled || found.size > 0) {
        await this.#tell(node, [...found.values()]);
      }
    }
  }

  /**
   * The keys in some buckets of which a node may hold something else: those that are
   * written meanwhile are among them.
   */
  async #suspects(
    node: number,
    buckets: readonly number[],
  ): Promise<Uint8Array[]> {
    const wanted = new Set(buckets);
    const suspects: Uint8Array[] = [];
    for (let after: Uint8Array = EMPTY_BYTES;;) {
      const list = encodeList({ buckets, after });
      const reply = await this.#request(node, MessageType.AUDIT_LIST, list);
      const { isLast, upTo, listed: listedThere } = decodeListReply(reply);
      if (!isLast && compareBytes(upTo, after) <= 0) {
        throw new ProtocolError(`the list of node ${node} does not go on`);
      }
      const there = new Map(
        listedThere.map((each) => [keyText(each.key), each]),
      );
      const end = isLast ? undefined : upTo;
      for (let from = after;;) {
        const slice = await this.#slice(from, end);
        for (const { key, a, b } of listed(slice, wanted)) {
          const other = there.get(keyText(key));
          there.delete(keyText(key));
          if (other?.a !== a || other.b !== b) suspects.push(key);
        }
        if (suspects.length >= KEYS_MAX) return suspects.slice(0, KEYS_MAX);
        if (slice.isLast) break;
        from = slice.entries.at(-1)!.key;
        await this.#pause(PAUSE_MS);
      }
      for (const { key } of there.values()) suspects.push(key);
      if (isLast || suspects.length >= KEYS_MAX) {
        return suspects.slice(0, KEYS_MAX);
      }
      after = upTo;
      await this.#pause(PAUSE_MS);
    }
  }

  /**
   * Looks at keys together with a node, under one vector; each takes what is larger.
   * Gives whether they met for all of them.
   */
  async #settle(
    node: number,
    keys: readonly Uint8Array[],
    found: Map<string, DivergentKey>,
  ): Promise<boolean> {
    let left = keys;
    for (let tries = 0; left.length > 0; tries++) {
      if (tries === TRIES_MAX) return false;
      if (tries > 0) await this.#pause(TRY_MS * this.#options.random.float());
      const settled = await this.#settleSome(node, left, found);
      if (settled === 0) continue;
      left = left.slice(settled);
      tries = -1;
    }
    return true;
  }

  /** Gives of how many of the first keys nothing is left to be done here. */
  async #settleSome(
    node: number,
    keys: readonly Uint8Array[],
    found: Map<string, DivergentKey>,
  ): Promise<number> {
    const { replica } = this.#options;
    // What is void by now is nothing to compare with.
    const own = await replica.inspect(async (kv, state) =>
      state.caughtUp ? await readItems(kv, state, keys) : undefined
    );
    if (own === undefined) return 0;
    const reply = await this.#request(
      node,
      MessageType.AUDIT_ENTRIES,
      encodeEntries(own),
    );
    const { verdict, items } = decodeEntriesReply(reply);
    if (verdict !== Verdict.DIFFERENT) return 0;
    const { length } = items;
    const areTheSame = length > 0 && length <= own.items.length &&
      items.every(({ key }, i) => equalBytes(key, own.items[i]!.key));
    if (!areTheSame) {
      throw new ProtocolError(`node ${node} tells of other keys`);
    }
    const repaired = await replica.repair({ vector: own.vector, items });
    const taken = repaired?.taken ?? [];
    for (
      const each of differencesOf(own.items.slice(0, length), items, taken)
    ) {
      found.set(keyText(each.key), each);
    }
    return repaired?.items.length ?? 0;
  }

  /** Tells of it, and has the rows counted anew: the sums may be what is wrong. */
  async #tell(
    node: number,
    keys: readonly DivergentKey[],
  ): Promise<void> {
    this.#divergences++;
    this.#options.diverged({ node, keys });
    await this.#options.replica.inspect((_, { sums }) =>
      Promise.resolve(sums.restart())
    );
  }

  #slice(after: Uint8Array, upTo: Uint8Array | undefined) {
    return this.#options.replica.inspect((kv, { bank }) =>
      readSlice(kv, bank, { after, upTo })
    );
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#abort;
    return sleep(this.#options.timers, ms, { signal });
  }

  #request(
    node: number,
    type: number,
    payload: Uint8Array,
  ): Promise<Uint8Array> {
    return this.#options.request(node, type, payload, {
      lane: "bulk",
      timeoutMs: REQUEST_TIMEOUT_MS,
      signal: this.#abort.signal,
    });
  }
}

/** The keys of which two nodes had something else, of what each had of the same. */
function differencesOf(
  here: readonly AuditItem[],
  there: readonly AuditItem[],
  taken: readonly Entry[],
): DivergentKey[] {
  const takenKeys = new Set(taken.map(({ key }) => keyText(key)));
  const differences: DivergentKey[] = [];
  for (const [i, { key, entry }] of here.entries()) {
    const other = there[i]!.entry;
    if (!differ(entry, other)) continue;
    differences.push({
      key: key.slice(),
      here: entry && sideOf(entry),
      there: other && sideOf(other),
      isTaken: takenKeys.has(keyText(key)),
    });
  }
  return differences;
}

function sideOf(entry: Entry): DivergenceSide {
  return {
    version: versionOf(entry),
    leaseholder: entry.holder,
    isDeleted: entry.value === undefined,
  };
}
