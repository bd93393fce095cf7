/**
 * A node that a row of `bench:cluster` works with, in a process of its own: told
 * what to do by lines of JSON, it measures that by its own clock.
 *
 * Moments that processes compare are milliseconds since the epoch, with their
 * fraction: one machine has one such clock.
 */

import { open, type Token } from "../../mod.ts";
import { ThroughProxy } from "../../tests/real/chaos/through_proxy.ts";
import { described, say, serve } from "../../tests/real/serve.ts";
import {
  assertValue,
  indexOf,
  keysOf,
  Prng,
  shuffled,
  uniform,
  Values,
} from "../engine/data.ts";
import { figuresOf, Probe } from "./probe.ts";
import {
  collectGarbage,
  Laps,
  pause,
  quietSince,
  turn,
} from "../engine/meter.ts";

/** What a node is told to do, with what is said to it by name. */
interface Call {
  /** Entries that there are, or are to be. */
  readonly entries: number;
  /** Of all entries only each `of`-th from entry `at` on is this node's. */
  readonly at: number;
  readonly of: number;
  /** How many of something. */
  readonly count: number;
  /** How many calls are under way at once. */
  readonly writers: number;
  /** How long it goes on. */
  readonly ms: number;
  /** Writes a second. */
  readonly rate: number;
  readonly token: Token;
  readonly timeoutMs: number;
}

/** Entries in a batch. */
const BATCH = 1000;
/** Reads until the loop has its turn, so that what comes is applied meanwhile. */
const READS_A_TURN = 500;
/** How often a pace is kept up with, in milliseconds. */
const PACE_MS = 10;

const { dir, options, via } = JSON.parse(Deno.args[0]!);
const transport = via && new ThroughProxy(via.proxy, via.name);
const begun = now();
const db = await open(dir, { ...options, ...via && { transport } }).catch(
  (error) => {
    say({ refused: described(error) });
    Deno.exit(1);
  },
);
const openMs = now() - begun;
/** Set while a row runs it. */
let probe: Probe | undefined;
let pacing: Promise<number> | undefined;
let paced = false;

const { key: node, address } = db.cluster.host;
say({ ready: { node, address } });
await serve<Call>({
  fill,
  write,
  commits,
  arrivals,
  reads,
  sum,
  openMs: () => openMs,
  token: () => db.token(),
  /** Waits until what a token stands for can be read here. */
  async reached({ token, timeoutMs }) {
    await db.get("-", { atLeast: token, timeoutMs });
    return now();
  },
  /** Waits until nothing is written to disk any more. */
  quiet: async () => performance.timeOrigin + await quietSince(),
  peakMb,
  startProbe({ entries }) {
    probe = new Probe(db, entries);
  },
  stopProbe: () => probe!.stop(),
  startPace(call) {
    paced = true;
    pacing = pace(call);
  },
  stopPace() {
    paced = false;
    return pacing;
  },
  close: () => db.close(),
});
await db.close();

/** Sets entries, a thousand a batch. */
async function fill({ entries, at = 0, of = 1 }: Call): Promise<void> {
  const order = shuffled(entries, 11).filter((index) => index % of === at);
  const keys = keysOf(order);
  const values = new Values(BATCH);
  for (let from = 0; from < order.length; from += BATCH) {
    const ops = [];
    for (let i = from; i < Math.min(from + BATCH, order.length); i++) {
      const value = values.stamp(i - from, order[i]!, 0);
      ops.push({ type: "set" as const, key: keys[i]!, value });
    }
    await db.commit({ ops });
  }
}

/** Sets random entries for a while, one a call, with many calls at once. */
async function write(
  { entries, at, of, writers, ms }: Call,
): Promise<Record<string, unknown>> {
  const mine = shuffled(entries, 11).filter((index) => index % of === at);
  const keys = keysOf(mine);
  const values = new Values(writers);
  const laps = new Laps();
  let n = 0;
  collectGarbage();
  const startedAt = now();
  const until = performance.now() + ms;
  const writer = async (slot: number) => {
    const prng = new Prng(at * writers + slot);
    for (;;) {
      const pick = prng.below(mine.length);
      const value = values.stamp(slot, mine[pick]!, n);
      const begun = performance.now();
      if (begun >= until) return;
      await db.set(keys[pick]!, value);
      laps.add(performance.now() - begun);
      n++;
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, slot) => writer(slot)));
  return {
    n,
    startedAt,
    ackedAt: now(),
    token: db.token(),
    ...figuresOf(laps),
  };
}

/** Sets numbered keys, one after the other with pauses; says when it began each. */
async function commits({ count, ms }: Call): Promise<number[]> {
  const prng = new Prng(count);
  const started: number[] = [];
  for (let i = 0; i < count; i++) {
    started.push(now());
    await db.set(`visible/${i}`, String(i));
    await pause(prng.fraction() * 2 * ms);
  }
  return started;
}

/** Waits for those keys, and says when each could be read here. */
async function arrivals({ count }: Call): Promise<number[]> {
  const seen: number[] = [];
  for await (const changes of db.watch({ prefix: "visible/" })) {
    for (const change of changes) {
      if (change.type !== "set") {
        throw new Error(`Cannot go on: ${change.type}`);
      }
      const value = db.getSync(change.key);
      if (value === undefined) throw new Error("Cannot go on: it is not there");
      seen[Number(new TextDecoder().decode(value))] = now();
    }
    if (Object.keys(seen).length === count) break;
  }
  return seen;
}

/** Gets random entries, each awaited, for a while. */
async function reads({ entries, ms }: Call): Promise<{ opsPerSec: number }> {
  const keys = keysOf(uniform(200_000, entries, 5));
  collectGarbage();
  const start = performance.now();
  let n = 0;
  let missing = 0;
  while (performance.now() - start < ms) {
    for (let i = 0; i < READS_A_TURN; i++) {
      if (await db.get(keys[n++ % keys.length]!) === undefined) missing++;
    }
    await turn();
  }
  if (missing > 0) throw new Error(`Cannot go on: ${missing} are not there`);
  return { opsPerSec: n / (performance.now() - start) * 1000 };
}

/** What is the same wherever the same is: how many entries, and their sum. */
async function sum(): Promise<{ count: number; sum: string }> {
  let count = 0;
  let sum = 0n;
  for await (const { key, value } of db.list()) {
    if (value.length === 100) assertValue(value, indexOf(key));
    let hash = 0x811c9dc5;
    for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193);
    for (const byte of value) hash = Math.imul(hash ^ byte, 0x01000193);
    sum += BigInt(hash >>> 0);
    count++;
  }
  return { count, sum: String(sum) };
}

/** Keeps setting random entries, so many a second; resolves to how many it set. */
async function pace({ entries, rate }: Call): Promise<number> {
  const keys = keysOf(uniform(200_000, entries, 6));
  const values = new Values(1);
  const start = performance.now();
  let n = 0;
  while (paced) {
    const due = Math.floor((performance.now() - start) / 1000 * rate);
    const calls: Promise<unknown>[] = [];
    for (; n < due; n++) {
      const key = keys[n % keys.length]!;
      calls.push(db.set(key, values.stamp(0, indexOf(key), n)));
    }
    await Promise.all(calls);
    await pause(PACE_MS);
  }
  return n;
}

/** The most memory that this process ever had, in MB. */
function peakMb(): number {
  const text = Deno.readTextFileSync("/proc/self/status");
  const found = /^VmHWM:\s+(\d+) kB/m.exec(text);
  return found === null ? NaN : Number(found[1]) * 1024 / 1e6;
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
