/**
 * Brings the detector to the wire: pings and asks as it says, answers the pings
 * of others, and carries news of nodes with both.
 *
 * Guarantees: nothing that peers do, or leave, throws or rejects here, but for
 * bytes that are none of these messages where they are answered or taken:
 * {@linkcode DecodeError}. Ends with {@linkcode Prober.close}.
 *
 * @module
 */

import {
  type Clock,
  type Random,
  RemoteError,
  type Timer,
  type Timers,
  UnreachableError,
} from "../../runtime/mod.ts";
import { MessageType, type Peer } from "../../transport/mod.ts";
import {
  Detector,
  type DetectorEffect,
  type DetectorMetrics,
  type HelperAnswer,
} from "./detector.ts";
import type { Members, MergeOutcome } from "./members.ts";
import {
  decodeNews,
  decodePing,
  decodePingRequest,
  encodeNews,
  encodePing,
  encodePingRequest,
  NEWS_MAX,
  type NewsItem,
} from "./messages.ts";
import { News } from "./news.ts";
import { compareStandings } from "./node_record.ts";

/** A helper answers within this share of the time that it has. */
const HELPER_SHARE = 0.8;

/** Options for {@linkcode Prober}. */
export interface ProberOptions {
  readonly members: Members;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** The peer with a node key, if there is one. */
  readonly peer: (node: number) => Peer | undefined;
  /** The nodes that are connected now. */
  readonly connected: () => readonly number[];
  /** Told what came of news. */
  readonly merged: (outcome: MergeOutcome) => void;
}

/** Numbers for metrics. */
export interface DetectionMetrics extends DetectorMetrics {
  /** Nodes of which this one still has news to tell. */
  readonly news: number;
}

/** Probes the nodes of a cluster. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #detector: Detector;
  readonly #news = new News();
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  /** When that is due. */
  #timedFor = 0;
  #started = false;
  /** News that came up since others were last told at once. */
  #urgent = false;

  /** Makes a prober that does nothing before {@linkcode Prober.start}. */
  constructor(options: ProberOptions) {
    const { members, random, intervalMs, timeoutMs } = options;
    this.#options = options;
    this.#detector = new Detector({
      members,
      random,
      intervalMs,
      timeoutMs,
      onNews: (node) => {
        this.#news.add(node);
        this.#urgent = true;
      },
    });
  }

  /** What was counted so far, and what is still to be told. */
  get metrics(): DetectionMetrics {
    return { ...this.#detector.metrics, news: this.#news.size };
  }

  /** Begins to probe. */
  start(): void {
    this.#started = true;
    this.#detector.start(this.#now);
    this.#after([]);
  }

  /** Ends all probes. */
  close(): void {
    this.#started = false;
    this.#timer?.cancel();
    this.#abort.abort();
  }

  /** Records of nodes are others now. */
  changed(nodes: Iterable<number>): void {
    this.#detector.changed(this.#now, nodes);
    this.#after([]);
  }

  /** Others doubted this node, and it has answered. */
  refuted(): void {
    this.#detector.doubted();
    this.announce();
  }

  /** This node has something new to say of itself. */
  announce(): void {
    this.#news.add(this.#options.members.self.key);
    this.#urgent = true;
    this.#after([]);
  }

  /** The connection to a node was lost. */
  lost(node: number): void {
    if (this.#started) this.#after(this.#detector.lost(this.#now, node));
  }

  /** Answers PING. */
  answerPing(payload: Uint8Array): Uint8Array {
    const { receiver, items } = decodePing(payload);
    const { members, merged } = this.#options;
    merged(members.stands(receiver));
    this.#learn(items);
    const news = this.#takeNews();
    const { self } = members;
    // Who pings by an older word of this node may hold that against it.
    if (
      compareStandings(receiver, self) !== 0 &&
      !news.some(({ record }) => record === self)
    ) {
      news.length = Math.min(news.length, NEWS_MAX - 1);
      news.push({ record: self, accusers: [] });
    }
    return encodeNews(news);
  }

  /** Answers PING_REQ: pings a node for another one. */
  async answerPingRequest(payload: Uint8Array): Promise<Uint8Array> {
    const node = decodePingRequest(payload);
    const { intervalMs, timeoutMs } = this.#options;
    try {
      await this.#ping(node, (intervalMs - timeoutMs) * HELPER_SHARE);
      return Uint8Array.of(1);
    } catch (error) {
      return Uint8Array.of(error instanceof RemoteError ? 1 : 0);
    }
  }

  /** Takes CLUSTER_NEWS. */
  takeNews(payload: Uint8Array): void {
    this.#learn(decodeNews(payload));
  }

  get #now(): number {
    return this.#options.clock.monotonic();
  }

  #learn(items: readonly NewsItem[]): void {
    if (items.length === 0) return;
    this.#options.merged(this.#detector.learn(this.#now, items));
    this.#after([]);
  }

  /** Does what the detector wants, tells what is urgent and sets the timer. */
  #after(effects: readonly DetectorEffect[]): void {
    if (!this.#started) return;
    for (const effect of effects) {
      if (effect.type === "ping") void this.#runPing(effect);
      else void this.#runAsk(effect);
    }
    if (this.#urgent) {
      this.#urgent = false;
      this.#push();
    }
    // A timer that is due must not be put off by whatever comes meanwhile.
    const { dueAt } = this.#detector;
    if (this.#timer !== undefined && dueAt === this.#timedFor) return;
    this.#timer?.cancel();
    this.#timedFor = dueAt;
    this.#timer = this.#options.timers.set(() => {
      this.#timer = undefined;
      this.#after(this.#detector.step(this.#now));
    }, Math.max(0, dueAt - this.#now));
  }

  async #runPing(
    { node, probe, timeoutMs }: DetectorEffect & { type: "ping" },
  ): Promise<void> {
    try {
      await this.#ping(node, timeoutMs);
      this.#detector.answered(node, probe);
      this.#after([]);
    } catch (error) {
      // Who is too busy to answer lives.
      if (error instanceof RemoteError) {
        this.#detector.answered(node, probe);
        this.#after([]);
        return;
      }
      const refused = error instanceof UnreachableError && error.refused;
      this.#after(this.#detector.missed(this.#now, node, probe, refused));
    }
  }

  async #runAsk(effect: DetectorEffect & { type: "ask" }): Promise<void> {
    const { helper, node, timeoutMs } = effect;
    let answer: HelperAnswer = "silent";
    try {
      const reply = await this.#request(
        helper,
        MessageType.PING_REQ,
        encodePingRequest(node),
        timeoutMs,
      );
      answer = reply[0] === 1 ? "reached" : "not reached";
    } catch {
      // It said nothing, which is what `silent` means.
    }
    this.#detector.asked(this.#now, effect, answer);
    this.#after([]);
  }

  async #ping(node: number, timeoutMs: number): Promise<void> {
    const record = this.#options.members.get(node);
    if (record === undefined) throw new UnreachableError("ping", []);
    const ping = encodePing(record, this.#takeNews());
    this.#learn(
      decodeNews(
        await this.#request(node, MessageType.PING, ping, timeoutMs),
      ),
    );
  }

  async #request(
    node: number,
    type: number,
    payload: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    const peer = this.#options.peer(node);
    if (peer === undefined) throw new UnreachableError("ping", []);
    const { signal } = this.#abort;
    return await peer.request(type, payload, { timeoutMs, signal });
  }

  /** Tells some nodes at once: as many as a rumor needs to be everywhere soon. */
  #push(): void {
    const nodes = [...this.#options.connected()];
    const { random, members, peer } = this.#options;
    for (let left = Math.ceil(Math.log2(members.size + 1)); left > 0; left--) {
      if (nodes.length === 0) return;
      const [node] = nodes.splice(Math.floor(random.float() * nodes.length), 1);
      const items = this.#takeNews();
      if (items.length === 0) return;
      peer(node!)?.send(MessageType.CLUSTER_NEWS, encodeNews(items));
    }
  }

  #takeNews(): NewsItem[] {
    const items: NewsItem[] = [];
    for (
      const node of this.#news.take(NEWS_MAX, this.#options.members.size)
    ) {
      const item = this.#detector.newsOf(node);
      if (item !== undefined) items.push(item);
    }
    return items;
  }
}
