/**
 * Nodes that go for ever in a life: those that leave, and those that are lost with
 * their disk and then removed by others.
 *
 * Guarantees: a majority of the voters is left to those who stay; what is gone with
 * a disk is discarded, what a node that left had acked is not.
 *
 * @module
 */

import type { AgreementMetrics } from "../../gossip/membership/agreement.ts";
import { AspenError } from "../../mod.ts";
import type { World } from "../../runtime/virtual/mod.ts";
import type { Coverage } from "./coverage.ts";
import { dbOf, type Life, type Member } from "./member.ts";
import type { Members } from "./members.ts";
import { unexplained } from "./excuses.ts";
import type { Oracle } from "./oracle.ts";

/** How long a node may take to leave or to be removed, once all is well, in ms. */
const GOING_MS = 60_000;

/** Nodes that stay, at least: a life is one of several. */
const STAYING_MIN = 2;

/** What nodes go from. */
export interface GoingOptions {
  readonly world: World;
  readonly members: Members;
  readonly oracle: Oracle;
  readonly coverage: Coverage;
}

/** Lets nodes go. */
export class Going {
  readonly #options: GoingOptions;
  /** Those that have left: told by its call, or by an event, or by both. */
  readonly #left = new WeakSet<Member>();
  /** The starts of nodes that are, or were when they ended, in a call of leaving. */
  readonly #leaving = new WeakSet<Life>();

  /** Of a life's nodes. */
  constructor(options: GoingOptions) {
    this.#options = options;
  }

  /**
   * Begins to leave, if there is somebody to stay; whether it did. No voter leaves
   * while one that is lost is not yet known to be dead: its vote is counted on.
   */
  beginLeaving(member: Member): boolean {
    if (!this.#mayGo(member)) return false;
    if (this.#votes(member) && this.#isVoter("lost")) return false;
    void this.#leave(member);
    return true;
  }

  /**
   * A node is told that it is none any more, and may not have heard of it before. It
   * goes once one that votes knows it too.
   */
  async removed(member: Member): Promise<void> {
    if (member.fate === undefined) {
      this.#options.oracle.violate(
        "E1",
        `${member.name} is told it was removed`,
      );
    } else if (member.fate === "leaves" && !this.#leaving.has(member.life!)) {
      await this.#leave(member);
    }
  }

  /** A node is gone with its disk, if others can do without it; whether it is. */
  lose(member: Member): boolean {
    const { members } = this.#options;
    if (!this.#mayGo(member) || !this.#canLose(member)) return false;
    if (this.#votes(member) && this.#isVoter("leaves")) return false;
    members.kill(member, "kept");
    members.discard(member, member.covered);
    member.fate = "lost";
    return true;
  }

  /** Others remove a node that is gone with its disk, if they can. */
  async remove(member: Member): Promise<void> {
    const { members, oracle } = this.#options;
    const other = members.up.find(({ fate }) => fate === undefined);
    const db = other && dbOf(other);
    if (db === undefined) return;
    try {
      await db.cluster.remove(member.nodeKey);
    } catch (error) {
      if (error instanceof AspenError || other?.life?.db !== db) return;
      oracle.violate("E1", `${member.name} could not be removed: ${error}`);
      return;
    }
    oracle.removes(member.nodeKey);
    member.fate = "gone";
  }

  /** Those that are to go, go: everybody who stays is up and connected. */
  async finish(): Promise<void> {
    const { world, members, oracle } = this.#options;
    for (const member of members.all) {
      const end = world.now + GOING_MS;
      while (member.fate === "leaves" || member.fate === "lost") {
        if (world.now > end) {
          oracle.violate("G1", `${member.name} is still there`);
          break;
        }
        await (member.fate === "lost"
          ? this.remove(member)
          : this.#leave(member));
        await world.sleep(500);
      }
    }
  }

  async #leave(member: Member): Promise<void> {
    const { oracle } = this.#options;
    const { life } = member;
    const db = dbOf(member);
    if (db === undefined || life === undefined) return;
    member.fate = "leaves";
    this.#leaving.add(life);
    try {
      await db.cluster.leave();
    } catch (error) {
      if (member.life !== life) return;
      const elsewhere = { faulted: true, damaged: true };
      const disks = { here: life, elsewhere };
      if (
        !(error instanceof AspenError) ||
        unexplained(error, disks) !== undefined
      ) {
        oracle.violate("E1", `${member.name} could not leave: ${error}`);
      }
      return;
    } finally {
      this.#leaving.delete(life);
    }
    await this.#hasLeft(member);
  }

  async #hasLeft(member: Member): Promise<void> {
    const { members, oracle, coverage } = this.#options;
    if (!this.#left.has(member)) coverage.path("left");
    this.#left.add(member);
    oracle.removes(member.nodeKey);
    await members.close(member);
    member.fate = "gone";
  }

  #mayGo(member: Member): boolean {
    return dbOf(member) !== undefined && member.nodeKey !== 0 &&
      member.fate === undefined &&
      this.#options.members.staying.length > STAYING_MIN;
  }

  /**
   * Whether a majority of the voters is left without a node: those whose disks
   * are gone will never vote again.
   */
  #canLose(lost: Member): boolean {
    const { staying } = this.#options.members;
    const voters = this.#voters();
    const left = voters.filter((key) =>
      staying.some((member) => member !== lost && member.nodeKey === key)
    );
    return left.length > voters.length / 2;
  }

  #votes({ nodeKey }: Member): boolean {
    return this.#voters().includes(nodeKey);
  }

  /** Whether one that votes is going in this way. */
  #isVoter(fate: Member["fate"]): boolean {
    return this.#options.members.all.some((member) =>
      member.fate === fate && this.#votes(member)
    );
  }

  /** Who votes, as the nodes that are up know it. */
  #voters(): readonly number[] {
    let newest: AgreementMetrics | undefined;
    for (const { life } of this.#options.members.up) {
      const { agreement } = life!.db!.metrics();
      if (newest === undefined || agreement.epoch > newest.epoch) {
        newest = agreement;
      }
    }
    return newest?.voters ?? [];
  }
}
