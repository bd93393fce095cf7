/**
 * Campaigns: many lives, one a seed, in one process or in several, and what they
 * come to.
 *
 * Guarantees: the summary, its trace hash too, does not depend on how the seeds
 * were shared out. Every {@linkcode TWICE_EVERY}th seed runs twice, and its two
 * traces must be one (T1). A campaign of at least {@linkcode CAMPAIGN_SEEDS}
 * seeds names what never happened in it.
 *
 * @module
 */

import { crc32 } from "../../runtime/bytes.ts";
import { Coverage } from "./coverage.ts";
import type { Violation } from "./invariants.ts";
import {
  CALLS_PER_FAULT,
  FAULT_KINDS,
  isFault,
  type ScriptOptions,
  writeScript,
} from "./script.ts";
import { runScript, type WorkloadReport } from "./workload.ts";

/** Seeds from which on everything must have happened. */
export const CAMPAIGN_SEEDS = 50;

/** Every so many seeds one runs twice. */
const TWICE_EVERY = 25;

/** The share of the calls that are drawn which must have been made. */
const CALLS_SHARE_MIN = 0.95;

/** Where each core has lives of its own, helpers of a garbage collector are in the way. */
const V8_FLAGS = "--v8-flags=--single-threaded-gc";

/** What is counted of a life, as it crosses from process to process. */
export interface LifeReport {
  readonly seed: number;
  readonly hash: string;
  readonly events: number;
  readonly simulatedMs: number;
  /** What it took, in milliseconds of the machine. */
  readonly tookMs: number;
  /** Calls that were made, and those that its script has. */
  readonly calls: number;
  readonly callsDrawn: number;
  readonly acked: number;
  readonly lost: number;
  readonly judged: boolean;
  readonly conflicts: number;
  readonly faults: Coverage["faults"];
  readonly paths: Coverage["paths"];
  readonly violations: readonly Violation[];
}

/** What a campaign came to: the object that `--json` ends with. */
export interface Summary {
  seeds: number;
  /** Lives that were judged to the end: a campaign with fewer has failed. */
  judged: number;
  simulatedHours: number;
  events: number;
  /** Calls that were made. */
  calls: number;
  faults: Coverage["faults"];
  paths: Coverage["paths"];
  acked: number;
  /** Acked writes that are gone; of lives that were not judged nobody knows. */
  lost: number;
  conflicts: number;
  /** Lives whose nodes differ in the end, or were found to differ before. */
  divergent: number;
  duplicateKeys: number;
  violations: number;
  traceHash: string;
  /** Simulated time for a second of one processor. */
  speedup: number;
}

/** Which lives: each is drawn as the first one, from the next seed. */
export interface CampaignOptions extends ScriptOptions {
  readonly seeds: number;
  /** Processes that share them. @default {1} */
  readonly jobs?: number;
  /** Ends with the first life that broke an invariant; of one process only. */
  readonly untilViolation?: boolean;
  /** Is told of each life, in the order in which they end. */
  readonly onLife?: (life: LifeReport, campaign: Campaign) => void;
}

/** Adds lives up. */
export class Campaign {
  readonly coverage = new Coverage();
  readonly failed: LifeReport[] = [];
  readonly #hashes = new Map<number, string>();
  readonly #total = {
    simulatedMs: 0,
    tookMs: 0,
    events: 0,
    judged: 0,
    calls: 0,
    callsDrawn: 0,
    acked: 0,
    lost: 0,
    conflicts: 0,
    divergent: 0,
    duplicateKeys: 0,
    violations: 0,
  };

  /** Lives so far. */
  get seeds(): number {
    return this.#hashes.size;
  }

  /** Adds a life. */
  add(life: LifeReport): void {
    const { violations } = life;
    const count = (which: string) =>
      violations.filter(({ id }) => id === which).length;
    const total = this.#total;
    this.#hashes.set(life.seed, life.hash);
    total.simulatedMs += life.simulatedMs;
    total.tookMs += life.tookMs;
    total.events += life.events;
    total.acked += life.acked;
    total.judged += Number(life.judged);
    total.calls += life.calls;
    total.callsDrawn += life.callsDrawn;
    total.lost += life.lost;
    total.conflicts += life.conflicts;
    total.divergent += Math.min(1, count("I1") + count("S1"));
    total.duplicateKeys += count("K1");
    total.violations += violations.length;
    this.coverage.add(life);
    if (violations.length > 0) this.failed.push(life);
  }

  /**
   * Why it proves less than it should, even if no invariant was broken: a line each.
   *
   * @param how `isDrawn`: its faults are of all kinds, as they are drawn.
   * `speedupMin`: simulated time for a second of one processor, at least.
   */
  complaints(
    { isDrawn, speedupMin = 0 }: { isDrawn: boolean; speedupMin?: number },
  ): string[] {
    const { seeds, judged, calls, speedup, faults } = this.summary;
    const isWhole = isDrawn && this.failed.length === 0 &&
      seeds >= CAMPAIGN_SEEDS;
    const never = isWhole ? this.coverage.missing(FAULT_KINDS) : [];
    const drawn = this.#total.callsDrawn;
    const fewCalls = isWhole && calls < drawn * CALLS_SHARE_MIN;
    const happened = Object.values(faults).reduce((a, b) => a + b, 0);
    const fewFaults = isWhole && happened < drawn / CALLS_PER_FAULT;
    return [
      ...judged < seeds ? [`not judged: ${seeds - judged} lives`] : [],
      ...never.length > 0 ? [`never happened: ${never.join(", ")}`] : [],
      ...fewCalls ? [`too few calls: ${calls} of ${drawn}`] : [],
      ...fewFaults ? [`too few faults: ${happened} for ${drawn} calls`] : [],
      ...speedup < speedupMin ? [`too slow: ${speedup} × real time`] : [],
    ];
  }

  /** What all of it came to. */
  get summary(): Summary {
    const { simulatedMs, tookMs, ...counts } = this.#total;
    const hashes = [...this.#hashes].sort(([a], [b]) => a - b)
      .map(([, hash]) => hash);
    const { faults, paths } = this.coverage;
    const { events, acked, lost, conflicts, divergent, duplicateKeys } = counts;
    return {
      seeds: this.seeds,
      judged: counts.judged,
      calls: counts.calls,
      simulatedHours: simulatedMs / 3_600_000,
      events,
      faults,
      paths,
      acked,
      lost,
      conflicts,
      divergent,
      duplicateKeys,
      violations: counts.violations,
      traceHash: hashes.length === 1
        ? hashes[0]!
        : crc32(new TextEncoder().encode(hashes.join())).toString(16),
      speedup: Math.round(simulatedMs / tookMs),
    };
  }
}

/** Runs a life. */
export async function runLife(options: ScriptOptions): Promise<LifeReport> {
  const { seed } = options;
  const script = writeScript(options);
  const started = performance.now();
  const report = await runScript(script);
  const tookMs = performance.now() - started;
  const life = lifeOf(report, tookMs);
  if (seed % TWICE_EVERY !== 0) return life;
  const again = await runScript(script);
  if (again.hash === life.hash) return life;
  const text = `seed ${seed} gave the traces ${life.hash} and ${again.hash}`;
  const violation = { id: "T1", at: 0, text } as const;
  return { ...life, violations: [...life.violations, violation] };
}

/** What is counted of a report. */
export function lifeOf(report: WorkloadReport, tookMs: number): LifeReport {
  const { script, hash, events, simulatedMs, acked, conflicts } = report;
  const { faults, paths } = report.coverage;
  const { calls, lost, judged, violations } = report;
  const { seed } = script;
  return {
    seed,
    hash,
    events,
    simulatedMs,
    tookMs,
    calls,
    callsDrawn: script.steps.filter((step) => !isFault(step)).length,
    acked,
    lost,
    judged,
    conflicts,
    faults,
    paths,
    violations,
  };
}

/** Runs many lives. */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
  const { seed, seeds, jobs = 1, untilViolation = false, onLife } = options;
  const campaign = new Campaign();
  const take = (life: LifeReport) => {
    campaign.add(life);
    onLife?.(life, campaign);
  };
  if (jobs === 1) {
    for (let i = 0; i < seeds; i++) {
      take(await runLife({ ...options, seed: seed + i }));
      if (untilViolation && campaign.failed.length > 0) break;
    }
    return campaign;
  }
  const share = Math.ceil(seeds / jobs);
  const shares: Promise<void>[] = [];
  for (let from = 0; from < seeds; from += share) {
    const part = { seed: seed + from, seeds: Math.min(share, seeds - from) };
    shares.push(runElsewhere({ ...options, ...part }, take));
  }
  await Promise.all(shares);
  return campaign;
}

/** Runs lives in a process of their own, which ends with this one. */
async function runElsewhere(
  options: CampaignOptions,
  take: (life: LifeReport) => void,
): Promise<void> {
  const { seed, seeds } = options;
  const program = new URL("campaign_part.ts", import.meta.url);
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", V8_FLAGS, program.href, JSON.stringify(options)],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  let rest = "";
  let lives = 0;
  for await (
    const text of process.stdout.pipeThrough(new TextDecoderStream())
  ) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      take(JSON.parse(line));
      lives++;
    }
  }
  await process.stdin.close().catch(() => {});
  const { code } = await process.status;
  if (code !== 0 || lives !== seeds) {
    throw new Error(
      `Cannot run the lives from seed ${seed} on: their process ended with code ${code} after ${lives} of ${seeds}`,
    );
  }
}
