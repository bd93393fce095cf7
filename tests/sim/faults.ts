/**
 * Faults: does to a cluster what the steps of a script say.
 *
 * Guarantees: each fault ends by itself after its time; none begins or goes on
 * after {@linkcode Faults.stop}.
 *
 * @module
 */

import type { Unsynced, World } from "../../runtime/virtual/mod.ts";
import type { Coverage } from "./coverage.ts";
import type { Going } from "./going.ts";
import { dbOf, type Member, type Members } from "./members.ts";
import type { FaultStep, Pair } from "./script.ts";

/** What faults befall. */
export interface FaultsOptions {
  readonly world: World;
  readonly members: Members;
  readonly going: Going;
  readonly coverage: Coverage;
}

/** Does faults. */
export class Faults {
  readonly #world: World;
  readonly #members: Members;
  readonly #going: Going;
  readonly #coverage: Coverage;
  #stopped = false;

  /** Faults of these nodes. */
  constructor({ world, members, going, coverage }: FaultsOptions) {
    this.#world = world;
    this.#members = members;
    this.#going = going;
    this.#coverage = coverage;
  }

  /** Nothing goes wrong any more: links are whole, disks and clocks right. */
  stop(): void {
    this.#stopped = true;
    this.#world.heal();
    for (const a of this.#members.all) {
      this.#world.disk(a.name).repair();
      this.#world.driftClock(a.name, 0);
      this.#world.skewClock(a.name, 0);
      for (const b of this.#members.all) {
        if (a !== b) this.#world.condition(a.name, b.name);
      }
    }
  }

  /** Begins a fault, if it can be now. */
  begin(step: FaultStep): void {
    if (this.#stopped || !this.#haveJoined(nodesOf(step))) return;
    if (this.#perform(step)) this.#coverage.fault(step.fault);
  }

  #perform(step: FaultStep): boolean {
    const world = this.#world;
    const { forMs } = step;
    switch (step.fault) {
      case "cut":
      case "cutOneWay": {
        const [a, b] = this.#pair(step.nodes);
        world.cut(a, b, { oneWay: step.fault === "cutOneWay" });
        this.#later(forMs, () => world.heal(a, b));
        return a !== b;
      }
      case "partition":
        return this.#separate(step.side, [], forMs);
      case "bridge":
        return this.#separate(step.side, [step.node], forMs);
      case "swizzle": {
        const { name } = this.#member(step.node);
        const pause = forMs / (2 * step.order.length + 1);
        step.order.forEach((other, i) => {
          const to = this.#member(other).name;
          this.#later(pause * i, () => world.cut(name, to));
        });
        step.back.forEach((other, i) => {
          const to = this.#member(other).name;
          const healAt = pause * (step.order.length + 1 + i);
          this.#later(healAt, () => world.heal(name, to));
        });
        return step.order.length > 0;
      }
      case "flap": {
        const [a, b] = this.#pair(step.nodes);
        for (
          let at = 0, i = 0;
          at < forMs && a !== b;
          at += step.everyMs, i++
        ) {
          this.#later(
            at,
            () => i % 2 === 0 ? world.cut(a, b) : world.heal(a, b),
          );
        }
        this.#later(forMs, () => world.heal(a, b));
        return a !== b;
      }
      case "slowLink": {
        const { delayMs, jitterMs, bytesPerMs } = step;
        const [a, b] = this.#pair(step.nodes);
        world.condition(a, b, { delayMs, jitterMs, bytesPerMs });
        this.#later(forMs, () => world.condition(a, b));
        return a !== b;
      }
      case "reset":
        world.reset(...this.#pair(step.nodes));
        return true;
      case "halfOpen":
        world.forget(...this.#pair(step.nodes));
        return true;
      case "corrupt":
        world.corruptNext(...this.#pair(step.nodes));
        return true;
      case "join":
        return this.#join(step.node, step.peers);
      default:
        return this.#performAt(step, this.#member(step.node));
    }
  }

  #performAt(
    step: Extract<FaultStep, { node: number }>,
    member: Member,
  ): boolean {
    const world = this.#world;
    const members = this.#members;
    const { name } = member;
    const { faults } = world.disk(name);
    const { forMs } = step;
    switch (step.fault) {
      case "kill":
        return this.#kill(member, step.unsynced, forMs);
      case "killAtOpen": {
        const { afterMs } = step;
        const downMs = Math.min(forMs, 2000);
        if (!this.#kill(member, "torn", downMs)) return false;
        this.#later(downMs + afterMs, () => this.#kill(member, "torn", 500));
        return true;
      }
      case "killAtSync":
        faults.onSync = (syncMs) => {
          const { life } = member;
          // At its beginning, in its middle, or just before it is done.
          const at = syncMs * Math.round(forMs % 3) / 2.01;
          this.#later(at, () => {
            if (member.life === life) this.#kill(member, step.unsynced, forMs);
          });
        };
        return true;
      case "killAtSlice":
        member.onSlice = () => {
          if (this.#stopped) return;
          this.#kill(member, step.unsynced, Math.min(forMs, 3000));
        };
        return true;
      case "close":
      case "move":
        if (dbOf(member) === undefined) return false;
        void members.close(member).then(() => {
          if (step.fault === "move" && member.life === undefined) member.port++;
          this.#startLater(member, Math.min(forMs, 3000));
        });
        return true;
      case "stall":
        if (!world.running(name)) return false;
        members.hinder(member);
        world.stall(name, forMs);
        world.schedule(forMs, () => members.unhinder(member));
        return true;
      case "clockJump":
        world.skewClock(name, step.byMs);
        this.#later(forMs, () => world.skewClock(name, 0));
        return true;
      case "clockDrift":
        world.driftClock(name, step.drift);
        this.#later(forMs, () => world.driftClock(name, 0));
        return true;
      case "diskFull":
        members.hinder(member, { disk: true });
        faults.full = true;
        this.#hinderedFor(forMs, member, () => faults.full = false, true);
        return true;
      case "syncFails":
        members.hinder(member, { disk: true });
        faults.failingSyncs = step.times;
        this.#hinderedFor(
          forMs,
          member,
          () => faults.failingSyncs = 0,
          true,
        );
        return true;
      case "slowSync":
        members.hinder(member);
        faults.slowMs = step.byMs;
        this.#hinderedFor(forMs, member, () => faults.slowMs = 0);
        return true;
      case "lyingSync":
        faults.lying = true;
        this.#later(forMs, () => faults.lying = false);
        return true;
      case "bitFlip":
        if (dbOf(member) === undefined) return false;
        members.kill(member, "torn");
        void members.probeDamage(member, step.pick);
        this.#startLater(member, Math.min(forMs, 3000));
        return true;
      case "twice":
        if (dbOf(member) === undefined || world.stalled(name)) return false;
        void members.openTwice(member);
        return true;
      case "leave":
        return this.#going.beginLeaving(member);
      case "remove":
        if (!this.#going.lose(member)) return false;
        this.#later(forMs, () => void this.#going.remove(member));
        return true;
      case "clone":
        if (dbOf(member) === undefined || members.votes(member)) return false;
        void members.clone(member, forMs);
        return true;
      case "putBack": {
        const image = members.image(member);
        if (image === undefined || members.votes(member)) return false;
        const others = members.all.filter((other) => other !== member);
        if (step.aloneMs > 0) {
          this.#later(forMs - step.aloneMs, () => {
            for (const other of others) world.cut(name, other.name);
          });
        }
        this.#later(forMs, () => {
          if (step.aloneMs > 0) world.heal(name);
          // It has become a voter since.
          if (members.votes(member)) return;
          members.putBack(member, image);
          void members.start(member);
        });
        return true;
      }
      default:
        return false;
    }
  }

  #kill(member: Member, unsynced: Unsynced, downMs: number): boolean {
    if (member.life === undefined) return false;
    if (member.life.db === undefined) this.#coverage.path("killedAtOpen");
    this.#members.kill(member, unsynced);
    this.#startLater(member, downMs);
    return true;
  }

  #join(index: number, peers: readonly number[]): boolean {
    const members = this.#members;
    if (members.at(index) !== undefined) return false;
    const ways = () => {
      const asked = members.staying.filter(({ index }) =>
        peers.includes(index)
      );
      // Where those have gone, whoever runs it names others.
      const there = asked.length > 0 ? asked : members.staying;
      return { peers: there.map((member) => members.address(member)) };
    };
    void members.start(members.add(index, ways));
    return true;
  }

  /** Cuts one side off from the other; nodes of `between` reach both. */
  #separate(
    side: readonly number[],
    between: readonly number[],
    forMs: number,
  ): boolean {
    const pairs: [string, string][] = [];
    for (const a of this.#members.all) {
      if (!side.includes(a.index) || between.includes(a.index)) continue;
      for (const b of this.#members.all) {
        if (side.includes(b.index) || between.includes(b.index)) continue;
        pairs.push([a.name, b.name]);
      }
    }
    for (const [a, b] of pairs) this.#world.cut(a, b);
    this.#later(forMs, () => {
      for (const [a, b] of pairs) this.#world.heal(a, b);
    });
    return pairs.length > 0;
  }

  #startLater(member: Member, ms: number): void {
    this.#world.schedule(ms, () => void this.#members.start(member));
  }

  #hinderedFor(
    ms: number,
    member: Member,
    end: () => void,
    disk = false,
  ): void {
    this.#world.schedule(ms, () => {
      end();
      this.#members.unhinder(member, { disk });
    });
  }

  #later(ms: number, callback: () => void): void {
    this.#world.schedule(ms, () => {
      if (!this.#stopped) callback();
    });
  }

  #pair([a, b]: Pair): [string, string] {
    return [this.#member(a).name, this.#member(b).name];
  }

  #member(index: number): Member {
    return this.#members.at(index)!;
  }

  /** Of a script that was shrunk some joins may be missing. */
  #haveJoined(nodes: readonly number[]): boolean {
    return nodes.every((index) => this.#members.at(index) !== undefined);
  }
}

/** The nodes that a fault names, and that there must be. */
function nodesOf(step: FaultStep): readonly number[] {
  return [
    ..."node" in step && step.fault !== "join" ? [step.node] : [],
    ..."nodes" in step ? step.nodes : [],
    ..."side" in step ? step.side : [],
    ..."order" in step ? step.order : [],
    ..."peers" in step ? step.peers : [],
  ];
}
