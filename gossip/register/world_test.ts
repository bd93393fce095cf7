/**
 * The world of the register tests: engines that lose what was not synced, and a
 * network, syncs and pauses whose every step a test or a seed decides, or which
 * answers at once.
 */

import type {
  BatchOp,
  IterateOptions,
  KV,
  KVIterator,
} from "../../engine/kv.ts";
import { startsWith, toHex } from "../../runtime/mod.ts";
import type { Bytes, Random } from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { Acceptor, beginningOps } from "./acceptor.ts";
import {
  CONFIG_REGISTER,
  encodeConfig,
  foundConfig,
  seatOf,
} from "./config.ts";
import type { Config } from "./config.ts";
import { encodeIds, foundIds, IDS_REGISTER } from "./ids.ts";
import { Electorate } from "./electorate.ts";
import { decodeAccept, decodeReply } from "./messages.ts";
import { type Ask, Proposer } from "./proposer.ts";

/** Draws integers below `n` from a seed. */
export class Dice implements Random {
  #state: number;
  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1) >>> 0;
  }
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    const s = this.#state;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  float(): number {
    return this.u32() / 2 ** 32;
  }
  below(n: number): number {
    return this.u32() % n;
  }
  chance(p: number): boolean {
    return this.float() < p;
  }
  fill(bytes: Bytes): Bytes {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.u32();
    return bytes;
  }
}

/** An engine whose syncs end when told, and which forgets what was not synced. */
export class ForgetfulKV implements KV {
  readonly synchronous = true;
  readonly #durable: Map<string, BatchOp>;
  readonly #rows: Map<string, BatchOp>;
  #pending: { batch: readonly BatchOp[]; done?: () => void }[] = [];
  /** Batches written with `sync`. */
  syncedWrites = 0;

  constructor(
    readonly automatic = false,
    durable: Map<string, BatchOp> = new Map(),
  ) {
    this.#durable = durable;
    this.#rows = new Map(durable);
  }
  get(key: Uint8Array): Bytes | undefined {
    return this.#rows.get(toHex(key))?.value?.slice() as Bytes | undefined;
  }
  write(batch: readonly BatchOp[], options?: { sync?: boolean }) {
    for (const op of batch) this.#rows.set(toHex(op.key), op);
    if (!options?.sync) return void this.#pending.push({ batch });
    this.syncedWrites++;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pending.push({ batch, done: resolve });
    if (this.automatic) this.finishSync();
    return promise;
  }
  /** Whether a sync is under way. */
  get syncing(): boolean {
    return this.#pending.some((write) => write.done !== undefined);
  }
  /** Ends all syncs under way. */
  finishSync(): void {
    const last = this.#pending.findLastIndex((write) => write.done);
    this.#harden(last + 1);
  }
  /** What is there after a crash that caught the first `survivors` writes. */
  crash(survivors = 0): ForgetfulKV {
    for (const write of this.#pending) delete write.done;
    this.#harden(Math.min(survivors, this.#pending.length));
    return new ForgetfulKV(this.automatic, this.#durable);
  }
  #harden(count: number): void {
    for (const { batch, done } of this.#pending.splice(0, count)) {
      for (const op of batch) this.#durable.set(toHex(op.key), op);
      done?.();
    }
  }
  /** What is durable, to be put back later. */
  image(): Map<string, BatchOp> {
    return new Map(this.#durable);
  }
  iterate({ prefix = new Uint8Array() }: IterateOptions = {}): KVIterator {
    const rows = [...this.#rows].sort((a, b) => a[0] < b[0] ? -1 : 1)
      .map(([, op]) => op).filter((op) =>
        op.value !== undefined && startsWith(op.key, prefix)
      );
    let at = -1;
    return {
      next: () => ++at < rows.length,
      get key() {
        return rows[at]!.key as Bytes;
      },
      get value() {
        return rows[at]!.value as Bytes;
      },
      close: () => {},
    };
  }
  snapshot(): never {
    throw new Error("not asked for");
  }
  close(): void {}
}

/** Nodes whose acceptors answer at once, of which only some can be reached. */
export class PromptCluster {
  readonly acceptors = new Map<number, Acceptor>();
  readonly kvs = new Map<number, ForgetfulKV>();
  reachable: readonly number[] = [];
  /** Nodes that take requests and never answer. */
  mute: readonly number[] = [];
  /** A type of message that nobody answers. */
  refused: number | undefined;
  asked: [node: number, type: number][] = [];
  pauses: number[] = [];
  #generation = 0;

  /** Nodes 1 to `nodes`, which know a config, and whose voters know registers. */
  static async of(
    config: Config,
    nodes: number,
    registers: Readonly<Record<string, Bytes>> = {},
  ): Promise<PromptCluster> {
    const cluster = new PromptCluster();
    for (let node = 1; node <= nodes; node++) {
      const kv = new ForgetfulKV(true);
      const votes = seatOf(config, node) !== undefined;
      const beginning = votes
        ? {
          config,
          seat: seat(node),
          registers: { [CONFIG_REGISTER]: encodeConfig(config), ...registers },
        }
        : { config };
      kv.write(beginningOps(PREFIX, beginning), { sync: true });
      cluster.kvs.set(node, kv);
      await cluster.restart(node);
    }
    cluster.down = [];
    return cluster;
  }

  /** All but these can be reached. */
  set down(nodes: readonly number[]) {
    this.reachable = [...this.acceptors.keys()].filter((node) =>
      !nodes.includes(node)
    );
  }

  /** A node starts anew on what its engine holds. */
  async restart(node: number): Promise<Acceptor> {
    const kv = this.kvs.get(node)!;
    const random = new Dice(100 * node + ++this.#generation);
    const acceptor = await Acceptor.open({ kv, prefix: PREFIX, node, random });
    this.acceptors.set(node, acceptor);
    return acceptor;
  }

  /** A fresh proposer of a node. */
  proposer(node: number, onPause = () => {}): Proposer {
    return new Proposer({
      node,
      generation: ++this.#generation,
      knowledge: this.acceptors.get(node)!,
      random: new Dice(node),
      ask: this.ask,
      sleep: (delayMs, signal) => {
        this.pauses.push(delayMs);
        onPause();
        return signal?.aborted
          ? Promise.reject(signal.reason)
          : Promise.resolve();
      },
    });
  }

  /** What changes voters, by a fresh proposer of a node. */
  electorate(node: number): Electorate {
    const knowledge = this.acceptors.get(node)!;
    const { ask } = this;
    return new Electorate({ proposer: this.proposer(node), knowledge, ask });
  }

  readonly ask: Ask = (to, type, payload) => {
    this.asked.push([to, type]);
    if (this.mute.includes(to)) return new Promise(() => {});
    if (!this.reachable.includes(to) || type === this.refused) {
      return Promise.reject(new Error("unreachable"));
    }
    return this.acceptors.get(to)!.handle(type, payload);
  };
}

/** A step that waits for the schedule. */
interface Step {
  readonly run: () => void;
  readonly lose: (() => void) | undefined;
  readonly repeat: (() => void) | undefined;
}

interface Member {
  kv: ForgetfulKV;
  generation: number;
  acceptor: Acceptor | undefined;
  proposer: Proposer | undefined;
  electorate: Electorate | undefined;
}

export const PREFIX = Uint8Array.of(7);
export const ticket = (n: number): Bytes => new Uint8Array(16).fill(n);
export const seat = (n: number): Bytes => new Uint8Array(8).fill(n);

/** The config of nodes 1 to `nodes`, of which those up to `voters` vote. */
export function votersConfig(voters: number, nodes = voters): Config {
  const members = Array.from({ length: nodes }, (_, i) => i + 1);
  return {
    ...foundConfig(1, seat(1)),
    members,
    voters: members.slice(0, voters).map((node) => ({
      node,
      seat: seat(node),
    })),
  };
}

/** Nodes 1 to n with acceptors and proposers, and what is under way. */
export class World {
  readonly members = new Map<number, Member>();
  steps: Step[] = [];
  /** Called with each value that a majority has accepted, in that order. */
  onChosen: (register: string, value: Uint8Array) => void = () => {};
  readonly #oks = new Map<string, Set<number>>();

  constructor(readonly dice: Dice, voters: number, nodes = voters) {
    const config = votersConfig(voters, nodes);
    for (let node = 1; node <= nodes; node++) {
      const kv = new ForgetfulKV();
      kv.write(
        beginningOps(PREFIX, {
          config,
          seat: node <= voters ? seat(node) : undefined,
          registers: node > voters ? {} : {
            [CONFIG_REGISTER]: encodeConfig(config),
            [IDS_REGISTER]: encodeIds(foundIds(ticket(0))),
          },
        }),
        { sync: true },
      );
      kv.finishSync();
      const down = {
        acceptor: undefined,
        proposer: undefined,
        electorate: undefined,
      };
      this.members.set(node, { kv, generation: 0, ...down });
    }
  }

  /** @param silent Whether it has been told that its disk was put back. */
  async start(node: number, silent = false): Promise<void> {
    const member = this.members.get(node)!;
    const { kv } = member;
    const generation = ++member.generation;
    const random = this.dice;
    const acceptor = await Acceptor.open({ kv, prefix: PREFIX, node, random });
    if (silent) {
      const fallen = acceptor.fallSilent();
      await this.settle();
      kv.finishSync();
      await fallen;
    }
    const ask: Ask = (to, type, payload) => this.#ask(node, to, type, payload);
    member.acceptor = acceptor;
    member.proposer = new Proposer({
      node,
      generation,
      knowledge: acceptor,
      random: this.dice,
      ask,
      sleep: () =>
        new Promise((run) =>
          this.steps.push({ run, lose: undefined, repeat: undefined })
        ),
    });
    const { proposer } = member;
    const knowledge = acceptor;
    member.electorate = new Electorate({ proposer, knowledge, ask });
  }

  /** The node loses its memory and what it had not synced. */
  crash(node: number, survivors = 0): void {
    const member = this.members.get(node)!;
    member.kv = member.kv.crash(survivors);
    member.acceptor = member.proposer = member.electorate = undefined;
  }

  /** The node's disk is what it was. */
  putBack(node: number, image: Map<string, BatchOp>): void {
    this.crash(node);
    this.members.get(node)!.kv = new ForgetfulKV(false, new Map(image));
  }

  /** Lets what became ready run. */
  async settle(turns = 16): Promise<void> {
    for (let i = 0; i < turns; i++) await null;
  }

  #ask(from: number, to: number, type: number, payload: Uint8Array) {
    if (from === to) return this.#serve(to, type, payload);
    return new Promise<Uint8Array>((resolve, reject) => {
      const lose = () => reject(new Error("lost"));
      const answer = (reply: Uint8Array) =>
        this.steps.push({ run: () => resolve(reply), lose, repeat: undefined });
      const refuse = (error: unknown) =>
        this.steps.push({ run: () => reject(error), lose, repeat: undefined });
      this.steps.push({
        run: () => void this.#serve(to, type, payload).then(answer, refuse),
        lose,
        repeat: () => void this.#serve(to, type, payload).catch(() => {}),
      });
    });
  }

  async #serve(node: number, type: number, payload: Uint8Array) {
    const acceptor = this.members.get(node)!.acceptor;
    if (acceptor === undefined) throw new Error("down");
    const reply = await acceptor.handle(type, payload);
    if (
      type === MessageType.REGISTER_ACCEPT && decodeReply(reply).kind === "ok"
    ) this.#accepted(node, payload);
    return reply;
  }

  #accepted(node: number, payload: Uint8Array): void {
    const { config, register, ballot, value } = decodeAccept(payload);
    const name = register + JSON.stringify(ballot);
    const oks = this.#oks.get(name) ?? new Set();
    this.#oks.set(name, oks.add(node));
    if (oks.size === Math.floor(config.voters.length / 2) + 1) {
      this.onChosen(register, value);
    }
  }
}
