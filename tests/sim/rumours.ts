/**
 * How far, how soon and how often rumours bring records, and what is left where
 * messages are lost: the rows `sir.bytes` and `sir.residue` of
 * `deno task simulate --scenario replication`.
 *
 * Guarantees: nodes with a disk of their own, opened through the public `open`,
 * that push nothing directly; while a row is measured nothing but rumours is to
 * bring a record anywhere. One seed gives one row.
 *
 * @module
 */

import type { DB } from "../../mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { SimCluster, text } from "./cluster.ts";
import { type Loss, lossyRuntime } from "./lossy.ts";

/** What everything takes from node to node, in milliseconds. */
const DELAY_MS = 50;

/** Bytes of a value. */
const VALUE_BYTES = 100;

/** Writes that a node makes at once, and the time between two nodes' writes. */
const BURST = 10;
const PAUSE_MS = 4;

/** Longer than a row takes: comparisons bring nothing of what is measured. */
const NEVER_MS = 24 * 3_600_000;

/** What a row came to. */
export interface RumourRow {
  readonly row: string;
  /** Nodes. */
  readonly n: number;
  readonly ops: number;
  /** Bytes of records that were sent, over those of all records and nodes. */
  readonly copies: number;
  /** Bytes of what was sent beside them, over the same. */
  readonly extra: number;
  /** Until the last node has a record, in one-way delays. */
  readonly p50Delays: number;
  readonly p99Delays: number;
  readonly maxDelays: number;
  /** Messages that were lost on purpose. */
  readonly lost: number;
  /** Records and nodes that rumours did not bring together. */
  readonly missed: number;
  /** The same, as a share of all. */
  readonly residue: number;
  /** Records and nodes that are apart after each node has compared once. */
  readonly missedAfter: number;
  /** Whether it is within what is promised. */
  readonly met: boolean;
}

/** A row: how many messages are lost, and what is promised. */
export interface RumourRowKind {
  readonly row: string;
  readonly nodes: number;
  readonly loss: number;
  readonly promise: {
    readonly copies?: number;
    readonly delays?: number;
    readonly residue: number;
  };
}

/** The rows, of each number of nodes. */
export const RUMOUR_ROWS: readonly RumourRowKind[] = [
  ...[[5, 1.8, 4], [10, 2.8, 5], [20, 3.4, 7], [50, 3.8, 9]].map(
    ([nodes, copies, delays]) => ({
      row: "sir.bytes",
      nodes: nodes!,
      loss: 0,
      promise: { copies: copies!, delays: delays!, residue: 0 },
    }),
  ),
  ...[5, 10, 20, 50].map((nodes) => ({
    row: "sir.residue",
    nodes,
    loss: 0.05,
    promise: { residue: 0.001 },
  })),
];

/** Writes that a row makes. */
export const RUMOUR_OPS = 10_000;

/** Measures a row in one world. */
export async function measureRumours(
  { row, nodes, loss: share, promise }: RumourRowKind,
  seed: number,
  ops: number = RUMOUR_OPS,
): Promise<RumourRow> {
  const cluster = new SimCluster({ seed, latencyMs: [DELAY_MS, DELAY_MS] }, {
    propagation: { directPeersMax: 0, antiEntropyIntervalMs: NEVER_MS },
  });
  const { world } = cluster;
  const loss: Loss = {
    share: 0,
    types: new Set([MessageType.RUMOURS, MessageType.FEEDBACK]),
    random: world.random("loss"),
    lost: 0,
  };
  const dbs: DB[] = [];
  const spread = new Spreading(() => world.now);
  let before = { logBytes: 0, copyBytes: 0, extraBytes: 0, useful: 0 };
  let after = before;
  let missedAfter = 0;
  await world.run(async () => {
    for (let i = 1; i <= nodes; i++) {
      const name = `n${i}`;
      const runtime = lossyRuntime(world.runtime(name), loss);
      dbs.push(await cluster.open(name, { runtime }));
    }
    await cluster.until(
      "all are connected",
      () => dbs.every((db) => db.metrics().peersConnected === nodes - 1),
    );
    await world.sleep(5000);
    for (const db of dbs) spread.watch(db);
    before = figuresOf(dbs);
    loss.share = share;
    await write(cluster, dbs, ops);
    await cluster.until(
      "no record is under way",
      () =>
        dbs.every((db) => {
          const { susceptible, infected } = db.metrics().spread!;
          return susceptible + infected === 0;
        }),
      600_000,
    );
    after = figuresOf(dbs);
    loss.share = 0;
    for (const db of dbs) await db.caughtUp();
    for (const db of dbs) missedAfter += ops - await db.count();
    await cluster.close();
  }, { maxMs: NEVER_MS });
  const bytes = (after.logBytes - before.logBytes) * nodes;
  const copies = (after.copyBytes - before.copyBytes) / bytes;
  const missed = ops * (nodes - 1) - (after.useful - before.useful);
  const residue = missed / (ops * nodes);
  const delays = spread.delays(nodes);
  const at = (share: number) =>
    rounded(delays[Math.ceil(share * delays.length) - 1]! / DELAY_MS);
  return {
    row,
    n: nodes,
    ops,
    copies: rounded(copies),
    extra: rounded((after.extraBytes - before.extraBytes) / bytes),
    p50Delays: at(0.5),
    p99Delays: at(0.99),
    maxDelays: at(1),
    lost: loss.lost,
    missed,
    residue,
    missedAfter,
    met: missedAfter === 0 && residue <= promise.residue &&
      copies <= (promise.copies ?? Infinity) &&
      at(1) <= (promise.delays ?? Infinity),
  };
}

/** Writes, each of a key of its own, of nodes that are drawn one after the other. */
async function write(
  { world }: SimCluster,
  dbs: readonly DB[],
  ops: number,
): Promise<void> {
  const random = world.random("writes");
  const value = random.fill(new Uint8Array(VALUE_BYTES));
  const written: Promise<unknown>[] = [];
  for (let i = 0; i < ops;) {
    const db = dbs[Math.floor(random.float() * dbs.length)]!;
    for (const end = Math.min(ops, i + BURST); i < end; i++) {
      written.push(db.set(`key ${i}`, value));
    }
    await world.sleep(PAUSE_MS);
  }
  await Promise.all(written);
}

/** When records come, from the first node that has each to the last. */
class Spreading {
  readonly #now: () => number;
  readonly #seen = new Map<
    string,
    { first: number; last: number; count: number }
  >();

  constructor(now: () => number) {
    this.#now = now;
  }

  watch(db: DB): void {
    void (async () => {
      for await (const changes of db.watch()) {
        for (const change of changes) {
          if (change.type !== "set") continue;
          const now = this.#now();
          const key = text(change.key);
          const seen = this.#seen.get(key) ??
            { first: now, last: now, count: 0 };
          this.#seen.set(key, seen);
          seen.last = now;
          seen.count++;
        }
      }
    })();
  }

  /** Of those that have come to so many nodes, in milliseconds, sorted. */
  delays(nodes: number): number[] {
    return [...this.#seen.values()]
      .filter(({ count }) => count === nodes)
      .map(({ first, last }) => last - first)
      .sort((a, b) => a - b);
  }
}

function figuresOf(dbs: readonly DB[]) {
  const logBytes = Math.max(...dbs.map((db) => db.metrics().logBytes));
  let [copyBytes, extraBytes, useful] = [0, 0, 0];
  for (const db of dbs) {
    const { spread } = db.metrics();
    copyBytes += spread!.copyBytes;
    extraBytes += spread!.extraBytes;
    useful += spread!.useful;
  }
  return { logBytes, copyBytes, extraBytes, useful };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
