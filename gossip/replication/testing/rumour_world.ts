/**
 * A world for rumours alone: nodes that pass records on over links of one delay,
 * of which a share of what is sent may be lost. A seed decides everything.
 *
 * Guarantees: records of an origin become durable in order, as the replica applies
 * them, and are told of at once; nothing but rumours brings them anywhere.
 *
 * @module
 */

import { MinHeap } from "./min_heap.ts";
import { Prng } from "../../../runtime/virtual/mod.ts";
import { MemberList } from "../coverage.ts";
import { makeOrigin } from "../dot.ts";
import type { PassedRecord } from "../record.ts";
import { type RumourEffect, Rumours, type RumoursOptions } from "../rumours.ts";

/** How long everything takes from node to node, in milliseconds. */
export const DELAY_MS = 50;

/** What a world is made of. */
export interface RumourWorldOptions {
  readonly nodes: number;
  readonly seed: number;
  /** The share of what is sent that is lost. @default {0} */
  readonly loss?: number;
  readonly rumours?: Partial<RumoursOptions>;
}

/** One node of a world. */
export interface RumourNode {
  readonly key: number;
  readonly rumours: Rumours;
  alive: boolean;
  /** The last seq of each origin that is durable here. */
  readonly seqs: Map<number, number>;
  readonly early: Map<string, PassedRecord>;
  stepAt: number;
}

/** What became of a record. */
interface Fate {
  readonly at: number;
  lastAt: number;
  count: number;
}

/** Nodes that bring each other rumours. */
export class RumourWorld {
  readonly nodes: RumourNode[] = [];
  readonly fates = new Map<string, Fate>();
  readonly random: Prng;
  now = 0;
  /** Records sent, a node each. */
  copies = 0;
  feedbacks = 0;
  pulls = 0;
  readonly #loss: number;
  readonly #events = new MinHeap<() => void>();

  constructor({ nodes, seed, loss = 0, rumours }: RumourWorldOptions) {
    this.random = new Prng(seed, "rumours");
    this.#loss = loss;
    const keys = Array.from({ length: nodes }, (_, i) => i + 1);
    for (const key of keys) {
      const seqs = new Map<number, number>();
      const node: RumourNode = {
        key,
        rumours: new Rumours({
          node: key,
          random: this.random.fork(`node ${key}`),
          delayMs: 2,
          fanout: 0,
          redundancyMax: 3,
          isWhole: () => true,
          covers: (origin, seq) => seq <= (seqs.get(origin) ?? 0),
          ...rumours,
        }),
        alive: true,
        seqs,
        early: new Map(),
        stepAt: Infinity,
      };
      node.rumours.members(new MemberList(keys), 0);
      this.nodes.push(node);
    }
  }

  /** A node writes a record. */
  write(node: RumourNode, size = 100): PassedRecord {
    const origin = makeOrigin(node.key, 1, 0);
    const seq = (node.seqs.get(origin) ?? 0) + 1;
    const record = { origin, seq, bytes: new Uint8Array(size) };
    node.seqs.set(origin, seq);
    const at = this.now;
    this.fates.set(nameOf(record), { at, lastAt: at, count: 1 });
    node.rumours.add(record, at);
    this.#arm(node);
    return record;
  }

  /** Calls something at a time. */
  at(time: number, run: () => void): void {
    this.#events.push(time, run);
  }

  /** Lets time pass until nothing is to come, or until a time. */
  run(until = Infinity): void {
    for (;;) {
      const time = this.#events.first;
      if (time === undefined || time > until) break;
      this.now = Math.max(this.now, time);
      this.#events.pop()!();
    }
    if (until < Infinity) this.now = until;
  }

  /** A node is gone; the others are told when they are. */
  kill(node: RumourNode): void {
    node.alive = false;
  }

  /** All living nodes see these members. */
  see(members: readonly RumourNode[]): void {
    for (const node of members) this.seeAlone(node, members);
  }

  /** One node sees these members. */
  seeAlone(node: RumourNode, members: readonly RumourNode[]): void {
    const list = new MemberList(members.map(({ key }) => key));
    node.rumours.members(list, this.now);
    this.#arm(node);
  }

  /** The figure of all nodes together. */
  sum(of: (node: RumourNode) => number): number {
    return this.nodes.reduce((sum, node) => sum + of(node), 0);
  }

  /** Records and nodes, of so many, that rumours have not brought together. */
  missed(nodes = this.nodes.length): number {
    let missed = 0;
    for (const { count } of this.fates.values()) missed += nodes - count;
    return missed;
  }

  /** How long the last node of each record had to wait, in delays, sorted. */
  delays(): number[] {
    return [...this.fates.values()]
      .map(({ at, lastAt }) => (lastAt - at) / DELAY_MS)
      .sort((a, b) => a - b);
  }

  #arm(node: RumourNode): void {
    const { dueAt } = node.rumours;
    if (dueAt >= node.stepAt || dueAt === Infinity) return;
    const at = Math.max(dueAt, this.now);
    node.stepAt = at;
    this.at(at, () => {
      if (node.stepAt !== at || !node.alive) return;
      node.stepAt = Infinity;
      this.#carry(node, node.rumours.step(this.now));
      this.#arm(node);
    });
  }

  #carry(from: RumourNode, effects: readonly RumourEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "pull") {
        this.pulls++;
        continue;
      }
      const to = this.nodes[effect.node - 1]!;
      if (effect.type === "feedback") this.feedbacks++;
      else this.copies += effect.group.records.length;
      if (this.random.float() < this.#loss) continue;
      const name = { members: effect.list.size, hash: effect.list.hash };
      this.at(this.now + DELAY_MS, () => {
        if (!to.alive) return;
        if (effect.type === "feedback") {
          to.rumours.feedback(from.key, name, effect.items, this.now);
        } else {
          to.rumours.arrive(from.key, name, [effect.group as never], this.now);
          this.#apply(to, effect.group.records);
        }
        this.#arm(to);
      });
    }
  }

  /** What has come becomes durable, in the order of its origin. */
  #apply(node: RumourNode, records: readonly PassedRecord[]): void {
    const applied: PassedRecord[] = [];
    for (const each of records) {
      let record: PassedRecord | undefined = each;
      const { origin } = each;
      node.early.set(nameOf(record), record);
      for (;;) {
        const next: number = (node.seqs.get(origin) ?? 0) + 1;
        record = node.early.get(nameOf({ origin, seq: next }));
        if (record === undefined) break;
        node.early.delete(nameOf(record));
        node.seqs.set(origin, next);
        applied.push(record);
        const fate = this.fates.get(nameOf(record))!;
        fate.count++;
        fate.lastAt = this.now;
      }
    }
    node.rumours.applied(applied, this.now);
  }
}

function nameOf({ origin, seq }: { origin: number; seq: number }): string {
  return `${origin}:${seq}`;
}
