/**
 * Spread: how records leave a node once they are durable. To few other nodes it
 * pushes what it commits itself (push.ts); in a larger cluster it begins rumours
 * (rumours.ts), and passes those of others on, whatever it does with its own.
 *
 * Guarantees: records are handed in, by {@linkcode Spread.published}, once they are
 * durable, so none leaves earlier. Nothing here is a promise: what does not come,
 * is pulled (pull.ts). A peer that takes nothing costs a bounded number of dials,
 * and the others nothing.
 *
 * @module
 */

import type { Clock, Random, Timer, Timers } from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { isRoutine } from "../failure.ts";
import { MemberList } from "./coverage.ts";
import type { Dot } from "./dot.ts";
import type { Applied, Arrival } from "./draft.ts";
import {
  decodeFeedback,
  decodeRumours,
  encodeFeedback,
  encodeRumours,
  GROUPS_MAX,
  type RumourGroup,
} from "./messages.ts";
import { Push } from "./push.ts";
import type { PassedRecord } from "./record.ts";
import type { Replica } from "./replica.ts";
import {
  type RumourEffect,
  type RumourFigures,
  Rumours,
  type SirState,
} from "./rumours.ts";

/** Bytes of records after which a message of rumours is another one. */
const MESSAGE_BYTES = 128 * 1024;

/** Rumours that wait for a connection to be made, where that is on demand. */
const DIALS_MAX = 64;

/** What a spread is made of. */
export interface SpreadOptions {
  readonly node: number;
  readonly replica: Pick<
    Replica,
    "caughtUp" | "origin" | "receiveAll" | "vector"
  >;
  readonly clock: Pick<Clock, "monotonic">;
  readonly timers: Timers;
  readonly random: Pick<Random, "float">;
  /**
   * In milliseconds, {@linkcode PushOptions.delayMs} where records are pushed,
   * and else {@linkcode RumoursOptions.delayMs}.
   */
  readonly delayMs: number;
  /** Other living nodes up to which records are pushed to each of them. */
  readonly directPeersMax: number;
  /** {@linkcode RumoursOptions.fanout}. */
  readonly fanout: number;
  /** {@linkcode RumoursOptions.redundancyMax}. */
  readonly redundancyMax: number;
  /** Another number whenever {@linkcode SpreadOptions.living} may be others. */
  readonly revision: () => number;
  /** The other living nodes. */
  readonly living: () => readonly number[];
  /** The other nodes: of those, all that are connected are pushed to. */
  readonly others: () => readonly number[];
  /** Sends a one-way message; `false` if it was dropped. */
  readonly send: (node: number, type: number, message: Uint8Array) => boolean;
  /**
   * Sends a message to a node that is not connected, as a request; `undefined`
   * where connections stand for ever.
   */
  readonly dial: (
    node: number,
    type: number,
    message: Uint8Array,
  ) => Promise<unknown> | undefined;
  /** Pulls from a node in the background. */
  readonly pull: (node: number) => void;
  /** What a node sent was not to be taken. */
  readonly failed: (node: number, error: unknown) => void;
}

/** How records spread: the SIR state of those known here, and what it costs. */
export interface SpreadMetrics {
  /** Records that have come as rumours and are not durable yet. */
  readonly susceptible: number;
  /** Records that this node still brings to others. */
  readonly infected: number;
  /** Records whose spread has ended here since the start. */
  readonly recovered: number;
  /** Of those, the ones that had to make room for newer ones. */
  readonly evicted: number;
  /**
   * Records sent, counted once a peer: of all nodes together, over records and
   * nodes, this is the relative message redundancy.
   */
  readonly copies: number;
  /** Bytes of those records. */
  readonly copyBytes: number;
  /** Bytes that rumours and answers to them took beside their records. */
  readonly extraBytes: number;
  /** Records that were pushed here and were new. */
  readonly useful: number;
  /** Records that were pushed here and were not. */
  readonly redundant: number;
}

/** Brings durable records to other nodes. */
export class Spread {
  readonly #options: SpreadOptions;
  readonly #push: Push;
  #rumours: Rumours;
  /** What was counted before the last {@linkcode Spread.forget}. */
  #past: RumourFigures | undefined;
  #revision: number | undefined;
  #timer: Timer | undefined;
  #timerAt = Infinity;
  #stepping = false;
  #closed = false;
  #dials = 0;
  #messages = 0;
  readonly #counts = {
    pushed: 0,
    copies: 0,
    copyBytes: 0,
    extraBytes: 0,
    useful: 0,
    redundant: 0,
  };

  constructor(options: SpreadOptions) {
    this.#options = options;
    const { timers, clock, delayMs, others, send } = options;
    this.#push = new Push({
      timers,
      clock,
      delayMs,
      broadcast: (message, { records, bytes }) => {
        this.#counts.pushed += records;
        for (const node of others()) {
          if (send(node, MessageType.RECORDS, message)) {
            this.#sent(records, bytes);
          }
        }
      },
    });
    this.#rumours = this.#makeRumours();
  }

  #makeRumours(): Rumours {
    const { replica } = this.#options;
    return new Rumours({
      ...this.#options,
      isWhole: () => replica.caughtUp,
      covers: (origin, seq) => replica.vector.covers(origin, seq),
    });
  }

  /** Numbers for metrics. */
  get metrics(): SpreadMetrics {
    const { pushed, useful, redundant, ...counts } = this.#counts;
    const figures = sum(this.#rumours.figures, this.#past);
    return {
      ...figures,
      ...counts,
      infected: figures.infected + this.#push.size,
      recovered: figures.recovered + pushed,
      useful: figures.useful + useful,
      redundant: figures.redundant + redundant,
    };
  }

  /** Messages with records that were sent. */
  get messages(): number {
    return this.#messages;
  }

  /** The SIR state of a record here. */
  stateOf(dot: Dot): SirState {
    return this.#push.has(dot) ? "infected" : this.#rumours.stateOf(dot);
  }

  /**
   * Brings nobody any more what is under way: this node's data is void, and what it
   * wrote before the copy that takes its place counts no more (rule S5).
   */
  forget(): void {
    this.#push.clear();
    const { susceptible: _, infected: __, ...ended } = this.#rumours.figures;
    this.#past = sum({ susceptible: 0, infected: 0, ...ended }, this.#past);
    this.#rumours = this.#makeRumours();
    this.#revision = undefined;
    this.#act();
  }

  /** Records, and sessions, are durable: those of this node, and of others. */
  published(applied: readonly Applied[]): void {
    if (this.#closed) return;
    this.#look();
    const now = this.#now;
    const records: PassedRecord[] = [];
    let jumped = false;
    for (const { record } of applied) {
      if (record === undefined) jumped = true;
      else if (record.origin !== this.#options.replica.origin) {
        records.push(record);
      } else if (this.#isDirect) this.#push.add(record);
      else this.#rumours.add(record, now);
    }
    this.#push.gathered();
    if (records.length > 0) this.#rumours.applied(records, now);
    if (jumped) this.#rumours.jumped(now);
    this.#act();
  }

  /**
   * Takes RUMOURS.
   *
   * @throws {DecodeError} If they are none.
   */
  takeRumours(node: number, payload: Uint8Array): void {
    const { replica, failed } = this.#options;
    const { list, groups } = decodeRumours(payload);
    this.#look();
    this.#rumours.arrive(node, list, groups, this.#now);
    const records = groups.flatMap(({ records }) => records);
    replica.receiveAll(records).catch((error) => {
      // Where this node's own engine failed, the peer has not.
      if (!isRoutine(error)) failed(node, error);
    });
    this.#act();
  }

  /**
   * Takes FEEDBACK.
   *
   * @throws {DecodeError} If it is none.
   */
  takeFeedback(node: number, payload: Uint8Array): void {
    const { list, items } = decodeFeedback(payload);
    this.#look();
    this.#rumours.feedback(node, list, items, this.#now);
    this.#act();
  }

  /** The connection to a node, over which records go, was lost. */
  lost(node: number): void {
    this.#look();
    this.#rumours.lost(node, this.#now);
    this.#act();
  }

  /** What became of records that were pushed here. */
  count(arrivals: readonly Arrival[]): void {
    for (const arrival of arrivals) {
      if (arrival === "covered") this.#counts.redundant++;
      else this.#counts.useful++;
    }
  }

  /** Sends what waits, and then nothing any more. */
  close(): void {
    if (this.#closed) return;
    this.#push.flush();
    this.#look();
    this.#carry(this.#rumours.flush(this.#now));
    this.#closed = true;
    this.#timer?.cancel();
  }

  get #now(): number {
    return this.#options.clock.monotonic();
  }

  get #isDirect(): boolean {
    return this.#rumours.list.size - 1 <= this.#options.directPeersMax;
  }

  /** Sees who lives now. */
  #look(): void {
    const { node, revision, living } = this.#options;
    const now = revision();
    if (now === this.#revision) return;
    this.#revision = now;
    this.#rumours.members(new MemberList([node, ...living()]), this.#now);
  }

  /** Does what is due, and sets a timer for what will be. */
  #act(): void {
    if (this.#stepping || this.#closed) return;
    this.#stepping = true;
    try {
      while (this.#rumours.dueAt <= this.#now) {
        this.#carry(this.#rumours.step(this.#now));
      }
    } finally {
      this.#stepping = false;
    }
    const { dueAt } = this.#rumours;
    if (dueAt >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = dueAt;
    this.#timer = this.#options.timers.set(() => {
      this.#timerAt = Infinity;
      this.#look();
      this.#act();
    }, dueAt - this.#now);
  }

  #carry(effects: readonly RumourEffect[]): void {
    const rumours = new Map<number, RumourGroup[]>();
    let list = this.#rumours.list;
    for (const effect of effects) {
      if (effect.type === "pull") this.#options.pull(effect.node);
      else if (effect.type === "feedback") {
        const { node, items } = effect;
        const message = encodeFeedback(effect.list, items);
        if (this.#options.send(node, MessageType.FEEDBACK, message)) {
          this.#counts.extraBytes += message.length;
        }
      } else {
        list = effect.list;
        const groups = rumours.get(effect.node) ?? [];
        rumours.set(effect.node, groups);
        groups.push(effect.group);
      }
    }
    for (const [node, groups] of rumours) {
      for (const some of messagesOf(groups)) this.#tell(node, list, some);
    }
  }

  #tell(node: number, list: MemberList, groups: readonly RumourGroup[]): void {
    const { send, dial } = this.#options;
    const message = encodeRumours(list, groups);
    const took = (sent: boolean) => {
      if (sent) {
        const records = groups.flatMap(({ records }) => records);
        const bytes = bytesOf(records);
        this.#sent(records.length, bytes);
        this.#counts.extraBytes += message.length - bytes;
      } else {
        for (const { id } of groups) this.#rumours.unsent(id, this.#now);
      }
    };
    if (send(node, MessageType.RUMOURS, message)) return took(true);
    const dialled = this.#dials < DIALS_MAX
      ? dial(node, MessageType.RUMOURS, message)
      : undefined;
    if (dialled === undefined) return took(false);
    this.#dials++;
    dialled.then(() => took(true), () => took(false)).then(() => {
      this.#dials--;
      this.#act();
    });
  }

  #sent(records: number, bytes: number): void {
    this.#messages++;
    this.#counts.copies += records;
    this.#counts.copyBytes += bytes;
  }
}

function bytesOf(records: readonly PassedRecord[]): number {
  return records.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** Parts groups among messages that are not too large. */
function messagesOf(groups: readonly RumourGroup[]): RumourGroup[][] {
  const messages: RumourGroup[][] = [];
  let bytes = Infinity;
  for (const group of groups) {
    const size = bytesOf(group.records);
    if (
      bytes + size > MESSAGE_BYTES || messages.at(-1)!.length === GROUPS_MAX
    ) {
      messages.push([]);
      bytes = 0;
    }
    messages.at(-1)!.push(group);
    bytes += size;
  }
  return messages;
}

function sum(a: RumourFigures, b: RumourFigures | undefined): RumourFigures {
  if (b === undefined) return a;
  const keys = Object.keys(a) as (keyof RumourFigures)[];
  return Object.fromEntries(
    keys.map((key) => [key, a[key] + b[key]]),
  ) as unknown as RumourFigures;
}
