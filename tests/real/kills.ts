/**
 * Kills a process that writes, again and again on one directory, and looks at
 * what is left.
 *
 * Judged: a prefix of the batches in the order they were handed in, with every
 * one that was acknowledged, whether it was synced or not: the kill of a process
 * takes nothing from the system. What the process knew stands in its
 * expected-state file. The kill comes while it opens or while it writes; whether
 * a flush or a compaction was under way is seen by the tables that nothing names.
 *
 * @module
 */

import { type LsmOptions, openLsm } from "../../engine/mod.ts";
import { Manifest } from "../../engine/manifest/manifest.ts";
import { tableName } from "../../engine/names.ts";
import { toBytes, toText } from "../../runtime/mod.ts";
import { denoRuntime } from "../../runtime/deno/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { Child } from "./child.ts";
import { advance, COUNT_KEY, type KillState } from "./kill_history.ts";
import { namesIn, TempDir } from "./paths.ts";

/** What has happened. */
export interface KillsReport {
  rounds: number;
  /** Batches that were acknowledged, of those that were handed in. */
  acked: number;
  handedIn: number;
  /** Batches that were there without their ack having been noted. */
  unacked: number;
  /** Kills before the first batch, so while the store opened or right after. */
  inOpen: number;
  /** Kills in the midst of a flush or compaction. */
  inJob: number;
  flushes: number;
  compactions: number;
}

/** The longest waits before a kill, in milliseconds: most are short. */
const DELAYS_MS_MAX = { opening: 30, short: 300, long: 2000 };

/** Rounds are added, on a machine that is slow, up to so many times as many. */
const ROUNDS_FACTOR_MAX = 10;

/**
 * Kills a process `rounds` times, and on until `seen` what is to be seen; throws
 * at the first broken promise.
 */
export async function runKills(
  seed: number,
  rounds: number,
  seen: (report: KillsReport) => boolean = () => true,
): Promise<KillsReport> {
  await using temp = new TempDir();
  const campaign = new Kills(seed, temp);
  const roundsMax = rounds * ROUNDS_FACTOR_MAX;
  for (
    let round = 1;
    round <= rounds || (round <= roundsMax && !seen(campaign.report));
    round++
  ) {
    try {
      await campaign.round(round);
    } catch (cause) {
      throw new Error(`seed ${seed}, round ${round}: ${cause}`, { cause });
    }
  }
  return campaign.report;
}

class Kills {
  readonly report: KillsReport = {
    rounds: 0,
    acked: 0,
    handedIn: 0,
    unacked: 0,
    inOpen: 0,
    inJob: 0,
    flushes: 0,
    compactions: 0,
  };
  readonly #seed: number;
  readonly #random: Prng;
  readonly #temp: TempDir;
  readonly #dir: string;
  readonly #options: LsmOptions = { files: denoRuntime().files };
  readonly #state: KillState = new Map();
  #count = 0;

  constructor(seed: number, temp: TempDir) {
    this.#seed = seed;
    this.#random = new Prng(seed, "kills");
    this.#temp = temp;
    this.#dir = temp.at("store");
  }

  async round(round: number): Promise<void> {
    const expected = this.#temp.at(`expected-${round}`);
    await this.#liveAndDie(round, expected);
    const { acked, handedIn } = this.#readExpected(expected);
    await Deno.remove(expected);
    this.report.rounds++;
    this.report.acked += acked.size;
    this.report.handedIn += Math.max(0, handedIn - this.#count);
    // The process may have been killed before there was a store.
    if (round === 1 && namesIn(this.#dir, "CURRENT").length === 0) {
      if (handedIn > 0) throw new Error("There is no store");
      return;
    }
    if (this.#isInJob()) this.report.inJob++;
    const least = Math.max(this.#count, ...acked);
    const most = Math.max(this.#count, handedIn);
    await this.#judge(round, least, most);
    this.report.unacked += this.#count - least;
  }

  async #liveAndDie(round: number, expected: string): Promise<void> {
    const random = this.#random.fork(`round ${round}`);
    await using child = new Child("killed", {
      args: [this.#dir, expected, `${this.#seed}`, `${round}`],
      // All may be read, or there would be no thread.
      permissions: ["--allow-read", `--allow-write=${this.#temp.path}`],
    });
    const whileOpening = round > 1 && random.chance(0.2);
    await child.line(whileOpening ? "opens" : "writes");
    const delay = whileOpening
      ? "opening"
      : random.chance(0.3)
      ? "long"
      : "short";
    // The moment of the kill is what is random; nothing waits for its effect.
    const ms = random.float() * DELAYS_MS_MAX[delay];
    await new Promise((resolve) => setTimeout(resolve, ms));
    await child.kill();
    const stderr = await child.stderr;
    if (stderr !== "") throw new Error(`The process said: ${stderr}`);
  }

  #readExpected(path: string): { acked: Set<number>; handedIn: number } {
    const acked = new Set<number>();
    let handedIn = 0;
    // The kill may have cut the last line.
    const lines = Deno.readTextFileSync(path).split("\n").slice(0, -1);
    if (lines.length === 0) this.report.inOpen++;
    for (const line of lines) {
      const [kind, what] = line.split(" ");
      if (kind === "p") handedIn = Number(what);
      else if (kind === "a") acked.add(Number(what));
      else if (what === "flush") this.report.flushes++;
      else if (what === "compaction") this.report.compactions++;
      else throw new Error(`The process noted: ${line}`);
    }
    return { acked, handedIn };
  }

  /** Whether there are tables that nothing names. */
  #isInJob(): boolean {
    const { files } = this.#options;
    const manifest = Manifest.view({ files, dir: this.#dir });
    manifest.close();
    const named = new Set<string>();
    for (let level = 0; level < 7; level++) {
      for (const { number } of manifest.state.tables(level)) {
        named.add(tableName(number));
      }
    }
    return namesIn(this.#dir, ".sst").some((name) => !named.has(name));
  }

  /** Reads the store as it was left, and at times as an open makes it. */
  async #judge(round: number, least: number, most: number): Promise<void> {
    const before = this.#count;
    for (const readOnly of round % 3 === 0 ? [true, false] : [true]) {
      await using store = await openLsm(this.#dir, {
        ...this.#options,
        readOnly,
      });
      const found: KillState = new Map();
      using iterator = store.iterate();
      while (iterator.next()) {
        found.set(toText(iterator.key), toText(iterator.value));
      }
      const text = found.get(COUNT_KEY);
      const count = text === undefined ? 0 : Number(text);
      if (count < least || count > most) {
        throw new Error(
          `${count} batches are there, ${least} were acked, ${most} handed in`,
        );
      }
      if (readOnly) {
        advance(this.#state, this.#seed, round, before + 1, count);
        this.#count = count;
      }
      this.#expectState(found);
      for (const key of ["key 0", "key 7", COUNT_KEY]) {
        const value = store.get(toBytes(key));
        if ((value && toText(value)) !== this.#state.get(key)) {
          throw new Error(`get of "${key}" gives another value than a list`);
        }
      }
      if (!readOnly) {
        const { damages } = await store.check();
        if (damages.length > 0) throw new Error(JSON.stringify(damages));
      }
    }
  }

  #expectState(found: KillState): void {
    for (const [key, value] of this.#state) {
      if (found.get(key) !== value) {
        throw new Error(
          `no prefix: after ${this.#count} batches "${key}" is "${
            found.get(key)
          }", not "${value}"`,
        );
      }
    }
    if (found.size !== this.#state.size) {
      throw new Error(
        `no prefix: ${found.size} keys, ${this.#state.size} are expected`,
      );
    }
  }
}
