/**
 * How soon halves that were apart are equal, at what price in bytes, and how long
 * what was deleted leaves a trace: the rows `heal` and `tombstones` of
 * `deno task simulate --scenario replication`.
 *
 * Guarantees: nodes with a disk of their own and default options, opened through
 * the public `open`. One seed gives one row.
 *
 * @module
 */

import { Lsm } from "../../engine/lsm.ts";
import { openReadOnly } from "../../engine/read_only.ts";
import type { DB } from "../../mod.ts";
import { SimCluster } from "./cluster.ts";
import { readState } from "./rows.ts";

/** What a link carries, in bytes a millisecond: 100 MB/s. */
const LINK_BYTES_PER_MS = 100_000;

/** Bytes of a value. */
const VALUE_BYTES = 100;

/** Writes that a node has under way at once. */
const BURST = 500;

/** How long after the last delete nothing of it is to be left. */
const MINUTE_MS = 60_000;

/** What is promised of halves that were apart. */
const HEAL_MS = 3000;
const BYTES_SHARE = 1.3;

/** How often it is looked whether all are equal. */
const POLL_MS = 20;

/** Longer than a row takes. */
const ROW_MS = 3_600_000;

/** What a row came to. */
export interface HealRow {
  readonly row: "heal";
  /** Nodes. */
  readonly n: number;
  /** Writes on either side. */
  readonly writes: number;
  /** From the moment the network is whole until all nodes are equal. */
  readonly healMs: number;
  /** Bytes that all nodes sent meanwhile. */
  readonly sentBytes: number;
  /** The same over those of the records that nodes lacked, of all nodes. */
  readonly bytesShare: number;
  readonly met: boolean;
}

/** What a row came to. */
export interface TombstonesRow {
  readonly row: "tombstones";
  /** Nodes. */
  readonly n: number;
  /** Keys that were written, and then deleted. */
  readonly keys: number;
  /** Tombstones on the disks of all nodes a minute after the last delete. */
  readonly left: number;
  readonly met: boolean;
}

/** Measures how two halves become equal. */
export async function measureHeal(
  nodes: number,
  seed: number,
  writes: number,
): Promise<HealRow> {
  const cluster = new SimCluster({ seed });
  const { world } = cluster;
  const names = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
  let healMs = 0;
  let sentBytes = 0;
  let lackedBytes = 0;
  await world.run(async () => {
    const dbs = await cluster.openAll(names);
    for (const from of names) {
      for (const to of names) {
        world.condition(from, to, { bytesPerMs: LINK_BYTES_PER_MS });
      }
    }
    const half = Math.ceil(nodes / 2);
    cluster.cut(names.slice(0, half), names.slice(half));
    const sides = [dbs.slice(0, half), dbs.slice(half)];
    await cluster.until(
      "no connection stands",
      () =>
        sides.every((side) =>
          side.every((db) => db.metrics().peersConnected === side.length - 1)
        ),
    );
    await Promise.all(sides.map((side, i) => write(side, `side ${i}`, writes)));
    for (const side of sides) await level(side);
    const [one, other] = sides.map((side) => side[0]!.metrics().logBytes);
    lackedBytes = one! * (nodes - half) + other! * half;
    const before = world.sentBytes;
    const start = world.now;
    world.heal();
    while (!await areLevel(dbs)) await world.sleep(POLL_MS);
    healMs = Math.round(world.now - start);
    sentBytes = world.sentBytes - before;
    for (const db of dbs) {
      if (await db.count() === 2 * writes) continue;
      throw new Error("Cannot go on: a node lacks what it says it has");
    }
    await cluster.close();
  }, { maxMs: ROW_MS });
  const bytesShare = Math.round(sentBytes / lackedBytes * 1000) / 1000;
  return {
    row: "heal",
    n: nodes,
    writes,
    healMs,
    sentBytes,
    bytesShare,
    met: healMs <= HEAL_MS && bytesShare <= BYTES_SHARE,
  };
}

/**
 * Measures what deletes leave behind.
 *
 * @param waitMs How long after the last delete it is looked.
 */
export async function measureTombstones(
  nodes: number,
  seed: number,
  keys: number,
  waitMs: number = MINUTE_MS,
): Promise<TombstonesRow> {
  const cluster = new SimCluster({ seed });
  const { world } = cluster;
  const names = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
  let left = 0;
  await world.run(async () => {
    const dbs = await cluster.openAll(names);
    await write(dbs, "deleted", keys);
    await level(dbs);
    await write(dbs, "deleted", keys, true);
    await world.sleep(waitMs);
    await cluster.close();
    for (const name of names) left += await tombstonesOf(cluster, name);
  }, { maxMs: ROW_MS });
  return { row: "tombstones", n: nodes, keys, left, met: left === 0 };
}

/** The nodes write keys, or delete them, each those of its own. */
async function write(
  dbs: readonly DB[],
  prefix: string,
  count: number,
  deletes = false,
): Promise<void> {
  const value = new Uint8Array(VALUE_BYTES).fill(7);
  await Promise.all(dbs.map(async (db, at) => {
    for (let i = at; i < count;) {
      const calls: Promise<unknown>[] = [];
      for (; i < count && calls.length < BURST; i += dbs.length) {
        const key = `${prefix} ${i}`;
        calls.push(deletes ? db.delete(key) : db.set(key, value));
      }
      await Promise.all(calls);
    }
  }));
}

/** Whether all have the same; nobody is made to ask for anything. */
async function areLevel(dbs: readonly DB[]): Promise<boolean> {
  const tokens = await Promise.all(dbs.map((db) => db.token()));
  return tokens.every((token) => token === tokens[0]);
}

/** Waits until each has what each has now, and asks for it. */
async function level(dbs: readonly DB[]): Promise<void> {
  const tokens = await Promise.all(dbs.map((db) => db.token()));
  await Promise.all(
    dbs.flatMap((db) =>
      tokens.map((atLeast) => db.get("-", { atLeast, timeoutMs: ROW_MS }))
    ),
  );
}

/** Tombstones on the disk of a node that is closed. */
async function tombstonesOf(
  { world }: SimCluster,
  name: string,
): Promise<number> {
  const { files } = world.runtime(name);
  const engine = new Lsm(openReadOnly("/data", { files }), undefined);
  try {
    const { rows } = readState(engine);
    return [...rows.values()].filter(({ value }) => value === undefined).length;
  } finally {
    await engine.close();
  }
}
