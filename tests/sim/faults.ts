/**
 * Faults: does to a cluster what the steps of a script say.
 *
 * Guarantees: each fault ends by itself after its time; none begins or goes on
 * after {@linkcode Faults.stop}. What cannot be when its time comes (a node is down)
 * is tried again a few times. Counted is what has happened: not a kill at a sync that
 * never came, nor a full disk on which nobody wrote.
 *
 * @module
 */

import type { DiskFault, Unsynced, World } from "../../runtime/virtual/mod.ts";
import type { Coverage } from "./coverage.ts";
import type { Going } from "./going.ts";
import { dbOf, type Member } from "./member.ts";
import type { Members } from "./members.ts";
import type { FaultKind, FaultStep, Pair } from "./script.ts";

/** When connections of a node that joins break, after it began, in milliseconds. */
const COPY_BREAKS_MS = [1000, 2500, 5000];

/** Pause before a fault that cannot be is tried again, in ms. */
const AGAIN_MS = 1000;

/** How often it is tried, at most. */
const TRIES_MAX = 6;

/** The shortest time that is left for a fault that was put off, in ms. */
const LEFT_MIN_MS = 200;

/** Whether a fault has happened, will be counted when it does, or cannot be now. */
type Outcome = "happened" | "armed" | "impossible";

/** What faults befall. */
export interface FaultsOptions {
  readonly world: World;
  readonly members: Members;
  readonly going: Going;
  readonly coverage: Coverage;
  /** When they stop. */
  readonly quietAt: () => number;
}

/** Does faults. */
export class Faults {
  readonly #world: World;
  readonly #members: Members;
  readonly #going: Going;
  readonly #coverage: Coverage;
  readonly #quietAt: () => number;
  #stopped = false;

  /** Faults of these nodes. */
  constructor(options: FaultsOptions) {
    const { world, members, going, coverage, quietAt } = options;
    this.#world = world;
    this.#quietAt = quietAt;
    this.#members = members;
    this.#going = going;
    this.#coverage = coverage;
  }

  /** Nothing goes wrong any more: links are whole, disks and clocks right. */
  stop(): void {
    this.#stopped = true;
    this.#coverage.fault("corrupt", this.#world.corrupted);
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

  /** Begins a fault, now or as soon as it can be. */
  begin(step: FaultStep, tries = 1): void {
    // Of a script that was shrunk some joins may be missing.
    if (this.#stopped || !this.#haveJoined(nodesOf(step))) return;
    const leftMs = this.#quietAt() - this.#world.now;
    const forMs = Math.min(step.forMs, Math.max(0, leftMs));
    const outcome = this.#perform({ ...step, forMs });
    if (outcome === "happened") this.#coverage.fault(step.fault);
    if (outcome !== "impossible" || tries >= TRIES_MAX) return;
    if (leftMs < AGAIN_MS + LEFT_MIN_MS) return;
    this.#later(AGAIN_MS, () => this.begin(step, tries + 1));
  }

  #perform(step: FaultStep): Outcome {
    const world = this.#world;
    const { forMs } = step;
    switch (step.fault) {
      case "cut":
      case "cutOneWay": {
        const [a, b] = this.#pair(step.nodes);
        world.cut(a, b, { oneWay: step.fault === "cutOneWay" });
        this.#later(forMs, () => world.heal(a, b));
        return didHappen(a !== b);
      }
      case "partition":
        return didHappen(this.#separate(step.side, [], forMs));
      case "bridge":
        return didHappen(this.#separate(step.side, [step.node], forMs));
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
        return didHappen(step.order.length > 0);
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
        return didHappen(a !== b);
      }
      case "slowLink": {
        const { delayMs, jitterMs, bytesPerMs } = step;
        const [a, b] = this.#pair(step.nodes);
        world.condition(a, b, { delayMs, jitterMs, bytesPerMs });
        this.#later(forMs, () => world.condition(a, b));
        return didHappen(a !== b);
      }
      case "reset":
        return didHappen(world.reset(...this.#pair(step.nodes)) > 0);
      case "halfOpen":
        return didHappen(world.forget(...this.#pair(step.nodes)) > 0);
      case "corrupt":
        world.corruptNext(...this.#pair(step.nodes));
        return "armed";
      case "join":
        return didHappen(this.#join(step.node, step.peers));
      default:
        return this.#performAt(step, this.#member(step.node));
    }
  }

  #performAt(
    step: Extract<FaultStep, { node: number }>,
    member: Member,
  ): Outcome {
    const world = this.#world;
    const members = this.#members;
    const { name } = member;
    const { faults } = world.disk(name);
    const { forMs } = step;
    switch (step.fault) {
      case "kill":
        return didHappen(this.#kill(member, step.unsynced, forMs));
      case "killAtOpen": {
        const { afterMs } = step;
        const downMs = Math.min(forMs, 2000);
        if (!this.#kill(member, "torn", downMs)) return "impossible";
        this.#later(downMs + afterMs, () => {
          if (this.#kill(member, "torn", 500)) this.#coverage.fault(step.fault);
        });
        return "armed";
      }
      case "killAtSync":
        faults.onSync = (syncMs) => {
          const { life } = member;
          // At its beginning, in its middle, or just before it is done.
          const at = syncMs * Math.round(forMs % 3) / 2.01;
          this.#later(at, () => {
            if (member.life !== life) return;
            if (!this.#kill(member, step.unsynced, forMs)) return;
            this.#coverage.fault(step.fault);
          });
        };
        return "armed";
      case "killAtSlice":
        member.onSlice = () => {
          if (this.#stopped) return;
          this.#kill(member, step.unsynced, Math.min(forMs, 3000));
          this.#coverage.fault(step.fault);
        };
        return "armed";
      case "close":
      case "move":
        if (dbOf(member) === undefined) return "impossible";
        void members.close(member).then(() => {
          if (step.fault === "move" && member.life === undefined) member.port++;
          this.#startLater(member, Math.min(forMs, 3000));
        });
        return "happened";
      case "stall":
        if (!world.running(name)) return "impossible";
        members.hinder(member);
        world.stall(name, forMs);
        world.schedule(forMs, () => members.unhinder(member));
        return "happened";
      case "clockJump":
        world.skewClock(name, step.byMs);
        this.#later(forMs, () => world.skewClock(name, 0));
        return "happened";
      case "clockDrift":
        world.driftClock(name, step.drift);
        this.#later(forMs, () => world.driftClock(name, 0));
        return "happened";
      case "diskFull":
        faults.full = true;
        this.#failsFor(step, member, "full", () => faults.full = false);
        return "armed";
      case "syncFails":
        faults.failingSyncs = step.times;
        this.#failsFor(
          step,
          member,
          "failing",
          () => faults.failingSyncs = 0,
        );
        return "armed";
      case "slowSync":
        faults.slowMs = step.byMs;
        this.#failsFor(step, member, "slow", () => faults.slowMs = 0);
        return "armed";
      case "lyingSync":
        faults.lying = true;
        this.#failsFor(step, member, "lying", () => faults.lying = false);
        return "armed";
      case "bitFlip":
        if (dbOf(member) === undefined) return "impossible";
        members.kill(member, "torn");
        void members.probes.damage(member, step.pick);
        this.#startLater(member, Math.min(forMs, 3000));
        return "happened";
      case "bitRot": {
        const { life } = member;
        if (!members.rot(member, step.pick)) return "impossible";
        world.schedule(forMs, () => members.mend(member, life!));
        return "happened";
      }
      case "twice":
        if (dbOf(member) === undefined || world.stalled(name)) {
          return "impossible";
        }
        void members.probes.openTwice(member);
        return "happened";
      case "leave":
        return didHappen(this.#going.beginLeaving(member));
      case "remove":
        if (!this.#going.lose(member)) return "impossible";
        this.#later(forMs, () => void this.#going.remove(member));
        return "happened";
      case "clone":
        if (dbOf(member) === undefined || members.votes(member)) {
          return "impossible";
        }
        void members.clone(member, forMs);
        return "happened";
      case "putBack": {
        const image = members.image(member);
        if (image === undefined || members.votes(member)) return "impossible";
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
          this.#coverage.fault(step.fault);
          void members.start(member);
        });
        return "armed";
      }
      default:
        return "impossible";
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
    const joiner = members.add(index, ways);
    void members.start(joiner);
    for (const afterMs of COPY_BREAKS_MS) {
      this.#later(afterMs, () => this.#breakCopy(joiner));
    }
    return true;
  }

  /** The connections of a node that joins break: its first copy may be on its way. */
  #breakCopy(joiner: Member): void {
    if (joiner.life === undefined || joiner.life.db !== undefined) return;
    for (const { name } of this.#members.all) {
      if (name === joiner.name) continue;
      this.#coverage.fault("reset", this.#world.reset(joiner.name, name) && 1);
    }
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

  /** A disk fails until its time has passed; counted if a program has met it. */
  #failsFor(
    { fault, forMs }: { fault: FaultKind; forMs: number },
    member: Member,
    kind: DiskFault,
    end: () => void,
  ): void {
    const { met } = this.#world.disk(member.name).faults;
    const before = met[kind];
    const disk = kind === "full" || kind === "failing";
    this.#members.hinder(member, { disk });
    this.#world.schedule(forMs, () => {
      end();
      if (met[kind] > before) this.#coverage.fault(fault);
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

  #haveJoined(nodes: readonly number[]): boolean {
    return nodes.every((index) => this.#members.at(index) !== undefined);
  }
}

/** Of what is done at once, or cannot be. */
function didHappen(happened: boolean): Outcome {
  return happened ? "happened" : "impossible";
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
