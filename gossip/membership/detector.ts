/**
 * Who answers and who does not: SWIM's probes (Das, Gupta, Motivala 2002) with
 * Lifeguard's suspicion and local health, as a state machine without I/O.
 *
 * Each interval the next node of a shuffled round is pinged. If it does not
 * answer in time, or its connection breaks, others are asked to ping it; if none
 * of them reaches it by the end of the probe, it is suspected, and after a while
 * (`suspicion.ts`) dead, unless its own newer record comes before.
 *
 * Guarantees: every node that is not dead is pinged at least once in two rounds,
 * and none more often than once an interval; the words of a detector are hints,
 * never more: a dead node stays a member, is dialled for ever and lives again by
 * its next word. A thread that stood still, for longer than a timeout and a half,
 * blames nobody for what it has not heard meanwhile.
 *
 * Assumes: {@linkcode Detector.step} is called when {@linkcode Detector.dueAt}
 * has come, which is at most a timeout after the last call, and each effect is
 * answered once, by {@linkcode Detector.answered}, {@linkcode Detector.missed} or
 * {@linkcode Detector.asked}.
 *
 * @module
 */

import type { Random } from "../../runtime/mod.ts";
import { LocalHealth } from "./health.ts";
import type { Members, MergeOutcome } from "./members.ts";
import type { NewsItem } from "./messages.ts";
import type { Heartbeat, NodeRecord, NodeState } from "./node_record.ts";
import { ACCUSERS_MAX, suspicionMs } from "./suspicion.ts";

/** Nodes that are asked to ping one that did not answer. */
const HELPERS = 3;

/** A thread that looks later than this share of a timeout stood still. */
const LAG_SHARE = 0.5;

/** What the detector wants done. */
export type DetectorEffect =
  /** Ping a node, over a new connection if there is none. */
  | {
    readonly type: "ping";
    readonly node: number;
    /** The number of the probe, for the answer. */
    readonly probe: number;
    readonly timeoutMs: number;
  }
  /** Ask a node to ping another one. */
  | {
    readonly type: "ask";
    readonly helper: number;
    readonly node: number;
    /** The number of the probe, for the answer. */
    readonly probe: number;
    readonly timeoutMs: number;
  };

/** What a node that was asked to ping another one said. */
export type HelperAnswer = "reached" | "not reached" | "silent";

/** What the detector has counted. */
export interface DetectorMetrics {
  /** Probes begun. */
  probes: number;
  /** Probes that nobody answered. */
  missed: number;
  /** Times that this node was the first here to suspect another one. */
  suspected: number;
  /** Suspicions that ended in death here. */
  died: number;
  /** Times that others doubted this node, and it answered. */
  refuted: number;
  /** Times that this node's thread stood still. */
  lagged: number;
  /** Local health: 0 is healthy. */
  health: number;
}

/** Options for {@linkcode Detector}. */
export interface DetectorOptions {
  /** Who there is, and how they are doing. */
  readonly members: Members;
  /** Shuffles. */
  readonly random: Random;
  /** The time between two probes, in milliseconds. */
  readonly intervalMs: number;
  /** How long a ping may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Called when there is news of a node to spread. */
  readonly onNews: (node: number) => void;
}

interface Probe {
  readonly number: number;
  readonly endsAt: number;
  /** Nodes asked; `undefined` before the ping itself was missed. */
  asked: Map<number, HelperAnswer | undefined> | undefined;
  refused: boolean;
}

interface Suspicion {
  readonly generation: number;
  readonly version: number;
  readonly accusers: Set<number>;
  since: number;
  refused: boolean;
}

/** Finds out which nodes do not answer. */
export class Detector {
  readonly #options: DetectorOptions;
  readonly #health = new LocalHealth();
  readonly #probes = new Map<number, Probe>();
  readonly #suspicions = new Map<number, Suspicion>();
  readonly #counts = {
    probes: 0,
    missed: 0,
    suspected: 0,
    died: 0,
    refuted: 0,
    lagged: 0,
  };
  /** When nodes were last probed: a connection may break again and again. */
  readonly #probedAt = new Map<number, number>();
  #round: number[] = [];
  #nextAt = Infinity;
  #dueAt = Infinity;
  #steppedAt = 0;

  /** Makes a detector that probes nobody before {@linkcode Detector.start}. */
  constructor(options: DetectorOptions) {
    this.#options = options;
  }

  /**
   * Begins to probe. All times are in milliseconds of a clock that never goes
   * back.
   */
  start(now: number): void {
    const { members, random, intervalMs } = this.#options;
    this.#nextAt = now + random.float() * intervalMs;
    this.#steppedAt = now;
    this.#suspicions.clear();
    for (const record of members.records()) this.#watch(record, now);
    this.#plan();
  }

  /** When {@linkcode Detector.step} is to be called. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** What was counted so far. */
  get metrics(): DetectorMetrics {
    return { ...this.#counts, health: this.#health.score };
  }

  /** Does what is due. */
  step(now: number): DetectorEffect[] {
    const effects: DetectorEffect[] = [];
    const { timeoutMs, intervalMs, members } = this.#options;
    const sleptMs = now - this.#steppedAt;
    this.#steppedAt = now;
    if (sleptMs > timeoutMs * (1 + LAG_SHARE)) this.#stoodStill(now, sleptMs);
    for (const [node, probe] of this.#probes) {
      if (now >= probe.endsAt) this.#fail(now, node, probe);
    }
    const nodes = this.#living();
    for (const [node, suspicion] of this.#suspicions) {
      const record = members.get(node);
      // A newer word that was doubted as well: its own time to answer begins.
      if (record !== undefined && !isAbout(suspicion, record)) {
        this.#watch(record, now);
      } else if (now >= this.#deadline(suspicion, nodes)) {
        this.#counts.died++;
        this.#accuse(now, node, "dead");
      }
    }
    if (now >= this.#nextAt) {
      this.#nextAt = now + intervalMs * this.#health.factor;
      const node = this.#nextOfRound();
      if (node !== undefined) this.#probe(now, node, effects);
    }
    this.#plan();
    return effects;
  }

  /** The connection to a node is lost: asks at once whether it lives. */
  lost(now: number, node: number): DetectorEffect[] {
    const effects: DetectorEffect[] = [];
    const probedAt = this.#probedAt.get(node) ?? -Infinity;
    if (this.#isProbed(node) && now - probedAt >= this.#options.intervalMs) {
      this.#probe(now, node, effects);
    }
    this.#plan();
    return effects;
  }

  /** A ping was answered. */
  answered(node: number, probe: number): void {
    if (this.#probes.get(node)?.number !== probe) return;
    this.#probes.delete(node);
    this.#health.answered();
    this.#plan();
  }

  /**
   * A ping was not answered.
   *
   * @param refused Whether nothing listens at the node's address any more.
   */
  missed(
    now: number,
    node: number,
    number: number,
    refused: boolean,
  ): DetectorEffect[] {
    const effects: DetectorEffect[] = [];
    const probe = this.#probes.get(node);
    if (probe?.number !== number || probe.asked !== undefined) return effects;
    probe.refused = refused;
    const helpers = this.#helpersFor(node);
    probe.asked = new Map(helpers.map((helper) => [helper, undefined]));
    for (const helper of helpers) {
      const timeoutMs = Math.max(1, probe.endsAt - now);
      effects.push({ type: "ask", helper, node, probe: number, timeoutMs });
    }
    this.#settle(now, node, probe);
    this.#plan();
    return effects;
  }

  /** A node that was asked to ping another one has answered, or has not. */
  asked(
    now: number,
    { helper, node, probe: number }: DetectorEffect & { type: "ask" },
    answer: HelperAnswer,
  ): void {
    const probe = this.#probes.get(node);
    if (probe?.number !== number || !probe.asked?.has(helper)) return;
    if (answer === "reached") {
      this.#probes.delete(node);
    } else {
      probe.asked.set(helper, answer);
      this.#settle(now, node, probe);
    }
    this.#plan();
  }

  /** Takes the news of others; returns what merging their records did. */
  learn(now: number, items: readonly NewsItem[]): MergeOutcome {
    const { members, onNews } = this.#options;
    const before = new Map(
      items.map(({ record: { key } }) => [key, members.get(key)]),
    );
    const outcome = members.merge(items.map(({ record }) => record));
    for (const { record: said, accusers } of items) {
      const record = members.get(said.key);
      if (record === undefined) continue;
      if (record !== before.get(said.key)) {
        this.#watch(record, now);
        onNews(said.key);
      }
      // Who accused an older word of it has not heard the newer one.
      if (!isAbout(said, record)) continue;
      for (const accuser of accusers) this.#confirm(said.key, accuser);
    }
    this.#plan();
    return outcome;
  }

  /** Records of nodes are others now. */
  changed(now: number, nodes: Iterable<number>): void {
    for (const node of nodes) {
      const record = this.#options.members.get(node);
      if (record === undefined) this.#forget(node);
      else this.#watch(record, now);
    }
    this.#plan();
  }

  /** Others doubted this node. */
  doubted(): void {
    this.#counts.refuted++;
    this.#health.accused();
  }

  /** What is to be told of a node; `undefined` if it is not known. */
  newsOf(node: number): NewsItem | undefined {
    const record = this.#options.members.get(node);
    if (record === undefined) return undefined;
    const suspicion = this.#suspicions.get(node);
    const accusers = suspicion !== undefined && isAbout(suspicion, record)
      ? [...suspicion.accusers].slice(0, ACCUSERS_MAX)
      : [];
    return { record, accusers };
  }

  #probe(now: number, node: number, effects: DetectorEffect[]): void {
    if (this.#probes.has(node)) return;
    const { intervalMs, timeoutMs } = this.#options;
    const { factor } = this.#health;
    const number = ++this.#counts.probes;
    this.#probedAt.set(node, now);
    this.#probes.set(node, {
      number,
      endsAt: now + intervalMs * factor,
      asked: undefined,
      refused: false,
    });
    const patienceMs = timeoutMs * factor;
    effects.push({ type: "ping", node, probe: number, timeoutMs: patienceMs });
  }

  /** What is refused and reached by none of those asked needs no more time. */
  #settle(now: number, node: number, probe: Probe): void {
    const answers = [...probe.asked!.values()];
    if (probe.refused && answers.every((answer) => answer === "not reached")) {
      this.#fail(now, node, probe);
    }
  }

  #fail(now: number, node: number, { asked, refused }: Probe): void {
    this.#probes.delete(node);
    this.#counts.missed++;
    // A refusal says as much of the other node that this one need not doubt.
    if (!refused) {
      const answers = [...asked?.values() ?? []];
      const silent = answers.filter((answer) => answer !== "not reached");
      this.#health.failed(answers.length, silent.length);
    }
    const state = this.#options.members.get(node)?.state;
    if (state === "healthy") this.#counts.suspected++;
    this.#accuse(now, node, "suspect");
    const suspicion = this.#suspicions.get(node);
    if (suspicion === undefined) return;
    if (refused) suspicion.refused = true;
    this.#confirm(node, this.#options.members.self.key);
  }

  #accuse(now: number, node: number, state: "suspect" | "dead"): void {
    const { members, onNews } = this.#options;
    const before = members.get(node);
    members.accuse(node, state);
    const record = members.get(node);
    if (record === undefined || record === before) return;
    this.#watch(record, now);
    onNews(node);
  }

  /** One more accuser shortens a suspicion, and is news if it is one of the first. */
  #confirm(node: number, accuser: number): void {
    const suspicion = this.#suspicions.get(node);
    if (suspicion === undefined || suspicion.accusers.has(accuser)) return;
    if (suspicion.accusers.size >= ACCUSERS_MAX) return;
    suspicion.accusers.add(accuser);
    this.#options.onNews(node);
  }

  /** Suspects what is suspected, and no longer what is not. */
  #watch(record: NodeRecord, now: number): void {
    const { key, generation, version, state } = record;
    if (key === this.#options.members.self.key) return;
    if (state !== "suspect") {
      this.#suspicions.delete(key);
      if (state !== "healthy") this.#probes.delete(key);
      return;
    }
    const old = this.#suspicions.get(key);
    if (old !== undefined && isAbout(old, record)) return;
    this.#suspicions.set(key, {
      generation,
      version,
      accusers: new Set(),
      since: now,
      refused: false,
    });
  }

  #forget(node: number): void {
    this.#probes.delete(node);
    this.#probedAt.delete(node);
    this.#suspicions.delete(node);
  }

  /** What was not heard in that time says nothing of others. */
  #stoodStill(now: number, sleptMs: number): void {
    this.#counts.lagged++;
    this.#health.lagged();
    this.#probes.clear();
    for (const suspicion of this.#suspicions.values()) {
      // Some have begun since it woke.
      suspicion.since = Math.min(now, suspicion.since + sleptMs);
    }
  }

  #deadline(
    { since, accusers, refused }: Suspicion,
    nodes: number,
  ): number {
    return since + suspicionMs({
      nodes,
      intervalMs: this.#options.intervalMs,
      accusers: Math.max(1, accusers.size),
      refused,
    });
  }

  #living(): number {
    let living = 0;
    for (const { state } of this.#options.members.records()) {
      if (isAlive(state)) living++;
    }
    return living;
  }

  #nextOfRound(): number | undefined {
    for (let rounds = 0; rounds < 2; rounds++) {
      for (let node = this.#round.pop(); node !== undefined;) {
        if (this.#isProbed(node)) return node;
        node = this.#round.pop();
      }
      this.#round = this.#shuffled(this.#probed());
    }
    return undefined;
  }

  #helpersFor(node: number): number[] {
    const helpers = this.#probed().filter((helper) =>
      helper !== node &&
      this.#options.members.get(helper)?.state === "healthy"
    );
    return this.#shuffled(helpers).slice(0, HELPERS);
  }

  /** The nodes that may be pinged. */
  #probed(): number[] {
    const nodes: number[] = [];
    for (const { key } of this.#options.members.records()) {
      if (this.#isProbed(key)) nodes.push(key);
    }
    return nodes;
  }

  #isProbed(node: number): boolean {
    const { members } = this.#options;
    return node !== members.self.key && isAlive(members.get(node)?.state);
  }

  #shuffled(nodes: number[]): number[] {
    for (let i = nodes.length - 1; i > 0; i--) {
      const j = Math.floor(this.#options.random.float() * (i + 1));
      [nodes[i], nodes[j]] = [nodes[j]!, nodes[i]!];
    }
    return nodes;
  }

  #plan(): void {
    // Looks at least once a timeout, or it would not notice that it slept.
    let dueAt = Math.min(
      this.#nextAt,
      this.#steppedAt + this.#options.timeoutMs,
    );
    for (const { endsAt } of this.#probes.values()) {
      dueAt = Math.min(dueAt, endsAt);
    }
    const nodes = this.#suspicions.size > 0 ? this.#living() : 0;
    for (const suspicion of this.#suspicions.values()) {
      dueAt = Math.min(dueAt, this.#deadline(suspicion, nodes));
    }
    this.#dueAt = dueAt;
  }
}

/** Whether both are about one word of a node. */
function isAbout(a: Heartbeat, b: Heartbeat): boolean {
  return a.generation === b.generation && a.version === b.version;
}

function isAlive(state: NodeState | undefined): boolean {
  return state === "healthy" || state === "suspect";
}
