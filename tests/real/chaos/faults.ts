/**
 * Faults, done to real processes, links and disks, and undone.
 *
 * Guarantees: what a fault broke is whole again when its promise settles. Faults
 * overlap: a direction is cut as long as one of them cuts it.
 *
 * @module
 */

import type { OpenOptions } from "../../../mod.ts";
import { type Member, sleep } from "./members.ts";
import type { ChaosNetwork, Slowness } from "./network.ts";
import type { Fault } from "./schedule.ts";

/** How often a flapping link is cut. */
const FLAPS = 5;
/** How long a fault waits until there is a node that it can hit. */
const FREE_WAIT_MS = 15_000;
const FREE_POLL_MS = 50;

/** What faults work on. */
export interface FaultsOptions {
  readonly network: ChaosNetwork;
  readonly members: readonly Member[];
  /** The options that a node is reopened with. */
  readonly reopen: (member: Member) => OpenOptions;
}

/** Does faults. */
export class Faults {
  readonly #options: FaultsOptions;
  /** How many faults cut a direction now. */
  readonly #cuts = new Map<string, number>();
  /** Whether it is cut, and the last change of that. */
  readonly #lines = new Map<string, { done: Promise<void>; isCut: boolean }>();
  readonly #slow = new Set<number>();

  constructor(options: FaultsOptions) {
    this.#options = options;
  }

  /** Does a fault, to its end; whether there was anybody whom it could hit. */
  async perform({ kind, forMs, nodes }: Fault): Promise<boolean> {
    const { network } = this.#options;
    const [a, b] = nodes as [number, number];
    switch (kind) {
      case "kill":
      case "restart":
      case "move":
      case "stop":
      case "diskFull":
      case "putBack":
      case "clone": {
        const member = await this.#free(nodes, kind === "diskFull");
        if (member === undefined) return false;
        member.busy = true;
        try {
          await this.#strike(kind, member, forMs, nodes);
        } finally {
          member.busy = false;
        }
        return true;
      }
      case "cut":
        await this.#cut([[a, b], [b, a]], forMs);
        return true;
      case "cutOneWay":
        await this.#cut([[a, b]], forMs);
        return true;
      case "isolate":
        await this.#cut(between([a], nodes.slice(1)), forMs);
        return true;
      case "split": {
        const half = nodes.length >> 1;
        const sides = [nodes.slice(0, half), nodes.slice(half)] as const;
        await this.#cut(between(...sides), forMs);
        return true;
      }
      case "flap":
        for (let i = 0; i < FLAPS; i++) {
          await this.#cut([[a, b], [b, a]], forMs / FLAPS / 2);
          await sleep(forMs / FLAPS / 2);
        }
        return true;
      case "reset":
        await network.reset(a, b);
        return true;
      case "delay":
      case "throttle":
        return await this.#slowDown(nodes, kind, forMs);
    }
  }

  /** The first node that no other fault is at work on; waits for one. */
  async #free(
    nodes: readonly number[],
    ownDisk: boolean,
  ): Promise<Member | undefined> {
    const until = performance.now() + FREE_WAIT_MS;
    for (;;) {
      const found = nodes.map((i) => this.#options.members[i]!).find(
        (member) =>
          member.node !== undefined && !member.busy &&
          (member.ownDisk || !ownDisk),
      );
      if (found !== undefined || performance.now() > until) return found;
      await sleep(FREE_POLL_MS);
    }
  }

  async #strike(
    kind:
      | "kill"
      | "restart"
      | "move"
      | "stop"
      | "diskFull"
      | "putBack"
      | "clone",
    member: Member,
    forMs: number,
    nodes: readonly number[],
  ): Promise<void> {
    const reopen = this.#options.reopen(member);
    switch (kind) {
      case "stop":
        return await member.stop(forMs);
      case "kill":
        await member.kill();
        break;
      case "restart":
      case "move":
        await member.close();
        break;
      case "diskFull":
        await member.fillDisk();
        await sleep(forMs);
        await member.freeDisk();
        await member.close();
        return await member.start(reopen, false);
      case "putBack": {
        await member.close();
        await using image = await member.image();
        await member.start(reopen, false);
        await sleep(forMs / 2);
        // What it takes at last nobody else hears of.
        const others = nodes.filter((node) => node !== member.index);
        await this.#cut(between([member.index], others), forMs / 4);
        await member.kill();
        await member.putBack(image);
        return await member.start(reopen, false);
      }
      case "clone": {
        await member.close();
        await using image = await member.image();
        await member.start(reopen, false);
        return await member.runClone(image, reopen, forMs);
      }
    }
    await sleep(forMs / 2);
    await member.start(this.#options.reopen(member), kind !== "restart");
  }

  async #cut(
    directions: readonly (readonly [number, number])[],
    forMs: number,
  ): Promise<void> {
    const change = async (by: 1 | -1) => {
      for (const [from, to] of directions) {
        const name = `${from} ${to}`;
        this.#cuts.set(name, (this.#cuts.get(name) ?? 0) + by);
        await this.#keepLine(name, from, to);
      }
    };
    await change(1);
    await sleep(forMs);
    await change(-1);
  }

  /**
   * Brings a direction to what the faults of the moment want. One change of it after
   * the other: they take their time, and another fault begins while one ends.
   */
  #keepLine(name: string, from: number, to: number): Promise<void> {
    const line = this.#lines.get(name) ??
      { done: Promise.resolve(), isCut: false };
    this.#lines.set(name, line);
    // What has failed was told to who asked for it.
    line.done = line.done.catch(() => {}).then(async () => {
      const wanted = this.#cuts.get(name)! > 0;
      if (wanted === line.isCut) return;
      await this.#options.network.setCut(from, to, wanted);
      line.isCut = wanted;
    });
    return line.done;
  }

  async #slowDown(
    nodes: readonly number[],
    slowness: Slowness,
    forMs: number,
  ): Promise<boolean> {
    const { network } = this.#options;
    const node = nodes.find((i) => !this.#slow.has(i));
    if (node === undefined) return false;
    this.#slow.add(node);
    await network.setSlow(node, slowness);
    await sleep(forMs);
    await network.setSlow(node, undefined);
    this.#slow.delete(node);
    return true;
  }
}

/** All directions between two sides. */
function between(
  one: readonly number[],
  other: readonly number[],
): [number, number][] {
  return one.flatMap((a) =>
    other.flatMap((b): [number, number][] => [[a, b], [b, a]])
  );
}
