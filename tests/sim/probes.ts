/**
 * Probes of nodes' disks: opened a second time, or with a bit flipped.
 *
 * Guarantees: the node itself goes on as if nothing had been; what a probe finds
 * that must not be is told to the oracle.
 *
 * @module
 */

import { Lsm, openLsm } from "../../engine/mod.ts";
import { optionsIn } from "../../engine/options.ts";
import { openReadOnly } from "../../engine/read_only.ts";
import { CorruptionError, LockedError, open } from "../../mod.ts";
import type { World } from "../../runtime/virtual/mod.ts";
import type { Coverage } from "./coverage.ts";
import { mayBeTorn, pickBit } from "./damage.ts";
import { isOfDisk } from "./excuses.ts";
import type { Member } from "./member.ts";
import type { Oracle } from "./oracle.ts";
import { readState, readVector } from "./rows.ts";

/** What probes are part of. */
export interface ProbesOptions {
  readonly world: World;
  readonly oracle: Oracle;
  readonly coverage: Coverage;
}

/** Probes disks. */
export class Probes {
  readonly #options: ProbesOptions;
  #count = 0;

  /** Of a world. */
  constructor(options: ProbesOptions) {
    this.#options = options;
  }

  /** One that no copy of a disk was named by yet. */
  number(): number {
    return ++this.#count;
  }

  /** Opens a node's directory once more: it must be found locked. */
  async openTwice({ name, life }: Member): Promise<void> {
    const { world, oracle, coverage } = this.#options;
    const runtime = world.runtime(name);
    try {
      const second = await open("/data", {
        address: `${name}:99`,
        runtime,
      });
      await second.close();
      oracle.violate("E1", `${name} was opened twice`);
    } catch (error) {
      if (error instanceof LockedError) coverage.path("locked");
      else if (!isOfDisk(error, life!)) {
        oracle.violate("E1", `${name} opened twice: ${error}`);
      }
    }
  }

  /**
   * Flips a bit on a copy of a node's disk, and looks what its engine makes of
   * it: right data, or a typed error.
   *
   * @param pick Which bit, counted over all files and around.
   */
  async damage(member: Member, pick: number): Promise<void> {
    const { world, oracle, coverage } = this.#options;
    const name = `${member.name}p${this.number()}`;
    const disk = world.disk(name);
    disk.restore(world.disk(member.name).image());
    const bit = pickBit(disk, pick);
    if (bit === undefined) return;
    const runtime = world.runtime(name);
    const sound = new Lsm(
      openReadOnly("/data", { files: runtime.files }),
      undefined,
    );
    const covered = readVector(sound);
    await sound.close();
    const isTail = mayBeTorn(runtime.files, "/data", bit);
    disk.flip(bit.path, bit.offset, bit.mask);
    const what = `bit ${bit.mask} at ${bit.offset} of ${bit.path}, flipped,`;
    try {
      const engine = await openLsm("/data", optionsIn(runtime));
      const state = readState(engine);
      oracle.inspects(`the damaged disk of ${member.name}`, state);
      if (!isTail && !state.vector.includes(covered)) {
        oracle.violate("F1", `${what} took away what had been synced`);
      }
      await engine.close();
    } catch (error) {
      if (error instanceof CorruptionError) coverage.path("corruption");
      else oracle.violate("F1", `${what} gave ${error}`);
    }
    world.kill(name);
  }
}
