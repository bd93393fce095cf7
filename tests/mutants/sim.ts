/**
 * Defects of the simulator, to be put in on purpose; see `mutants_table.ts`. A
 * judge that blames the innocent is as wrong as one that sees nothing.
 */

import type { Mutant } from "./mutant.ts";

/** The defects. */
export const SIM_MUTANTS: readonly Mutant[] = [
  {
    name: "judge-takes-what-had-come-and-gone-for-a-gap",
    file: "tests/sim/oracle.ts",
    find: "          ? first?.covers(between.dot.origin, between.dot.seq)\n",
    replace: "          ? first === undefined\n",
    caughtBy: "tests/sim/oracle_test.ts :: or the watch said why not",
  },
  {
    name: "judge-takes-any-gap-for-what-had-come-and-gone",
    file: "tests/sim/oracle.ts",
    find: "          ? first?.covers(between.dot.origin, between.dot.seq)\n",
    replace: "          ? first !== undefined\n",
    caughtBy: "tests/sim/oracle_test.ts :: or the watch said why not",
  },
  {
    name: "soak-looks-at-nothing",
    file: "tests/sim/workload.ts",
    find: "      this.#onInspection?.(this.#members.all);\n",
    replace: "      void this.#onInspection;\n",
    caughtBy: "tests/sim_test.ts :: a soak is judged",
  },
  {
    name: "joiner-that-asks-where-nobody-is",
    file: "tests/sim/members.ts",
    find:
      `    return !this.staying.some((member) => peers.includes(this.address(member)));`,
    replace: `    return false;`,
    caughtBy: "tests/scripts_test.ts :: seed 201210",
  },
  {
    name: "judge-holds-a-failed-engine-to-what-it-had-not-synced",
    file: "tests/sim/members.ts",
    find: `    if (!failed) return member.vector;`,
    replace: `    if (failed) return member.vector;`,
    caughtBy: "tests/scripts_test.ts :: seed 400276",
  },
  {
    name: "judge-forgets-what-a-disk-had-that-cannot-be-opened",
    file: "tests/sim/members.ts",
    find: `      const covered = member.covered.clone();
      covered.join(member.vector);
      return covered;
    }
    if (!failed)`,
    replace: `      return member.vector;
    }
    if (!failed)`,
    caughtBy: "tests/scripts_test.ts :: seed 1004195",
  },
  {
    name: "judge-hears-acks-of-who-is-gone",
    file: "tests/sim/clients.ts",
    find: "    if (!this.#calls.has(call)) return;\n",
    replace: "",
    caughtBy: "tests/sim/clients_test.ts :: seed 3000005",
  },
  {
    name: "judge-allows-less-to-wait-than-stands-still",
    file: "tests/sim/members.ts",
    find: `const WAITING_MAX = 4000;`,
    replace: `const WAITING_MAX = 1000;`,
    caughtBy: "tests/scripts_test.ts :: seed 501061",
  },
  {
    name: "judge-waits-for-who-was-removed-unheard",
    file: "tests/sim/going.ts",
    find:
      `    } else if (member.fate === "leaves" && !this.#leaving.has(member.life!)) {
      await this.#leave(member);
    }`,
    replace: `    }`,
    caughtBy: "tests/scripts_test.ts :: seeds 1000761",
  },
  {
    name: "life-that-was-not-judged-is-well",
    file: "tests/sim/campaign.ts",
    find: `    total.judged += Number(life.judged);`,
    replace: `    total.judged++;`,
    caughtBy: "tests/campaign_test.ts :: was not judged",
  },
  {
    name: "judge-takes-who-was-removed-back",
    file: "tests/sim/configs.ts",
    find: `  return before.removed.every((node) => gone.has(node)) &&
    before`,
    replace: `  return before`,
    caughtBy: "tests/sim/configs_test.ts :: none comes back",
  },
  {
    name: "judge-takes-two-configs-of-an-epoch",
    file: "tests/sim/configs.ts",
    find: `      if (order !== 0 && isBuiltOn(after, before)) continue;`,
    replace: `      if (isBuiltOn(after, before)) continue;`,
    caughtBy: "tests/sim/configs_test.ts :: of one epoch",
  },
  {
    name: "losses-counted-by-what-is-said-of-them",
    file: "tests/sim/campaign.ts",
    find: `    total.lost += life.lost;`,
    replace: `    total.lost += count("I2") + count("I3");`,
    caughtBy: "tests/campaign_test.ts :: every acked write",
  },
  {
    name: "mistakes-elsewhere-are-excused",
    file: "tests/sim/excuses.ts",
    find: `  if (OF_NO_FAULT.has(name)) return name;`,
    replace: `  if (OF_NO_FAULT.has(name) && !wasRemote) return name;`,
    caughtBy: "tests/excuses_test.ts :: a mistake of the program",
  },
  {
    name: "one-failing-disk-excuses-all",
    file: "tests/sim/excuses.ts",
    find: `wasRemote ? disks.elsewhere : disks.here`,
    replace:
      `wasRemote || disks.elsewhere.faulted ? disks.elsewhere : disks.here`,
    caughtBy: "tests/excuses_test.ts :: an engine's errors",
  },
  {
    name: "joiners-numbered-as-they-come",
    file: "tests/sim/faults.ts",
    find: `members.add(index, ways)`,
    replace: `members.add(members.all.length, ways)`,
    caughtBy: "tests/sim_test.ts :: lost a join",
  },
  {
    name: "any-error-is-alike",
    file: "tests/sim/shrink.ts",
    find:
      `  return a.id === b.id && (a.id !== "E1" || kindOf(a) === kindOf(b));`,
    replace: `  return a.id === b.id && kindOf(a) !== "";`,
    caughtBy: "tests/sim_test.ts :: says the same",
  },
  {
    name: "clocks-stay-as-they-drifted",
    file: "tests/sim/faults.ts",
    find: `      this.#world.skewClock(a.name, 0);\n`,
    replace: "",
    caughtBy: "tests/sim_test.ts :: clocks are right",
  },
  {
    name: "faults-counted-when-they-are-armed",
    file: "tests/sim/faults.ts",
    find: `    if (outcome === "happened") this.#coverage.fault(step.fault);`,
    replace:
      `    if (outcome !== "impossible") this.#coverage.fault(step.fault);`,
    caughtBy: "tests/sim_test.ts :: counts when it has happened",
  },
  {
    name: "faults-that-cannot-be-are-dropped",
    file: "tests/sim/faults.ts",
    find: `const TRIES_MAX = 6;`,
    replace: `const TRIES_MAX = 1;`,
    caughtBy: "tests/sim_test.ts :: counts when it has happened",
  },
  {
    name: "link-damages-on-after-all-is-healed",
    file: "runtime/virtual/network.ts",
    find: `    if (a === undefined) this.#damaging.clear();\n`,
    replace: "",
    caughtBy: "runtime/virtual/faults_test.ts :: once all is healed",
  },
  {
    name: "all-of-a-log-may-have-been-torn",
    file: "tests/sim/damage.ts",
    find: `    syncedTo = Math.max(syncedTo, frame.syncedTo);`,
    replace: `    syncedTo = Math.min(syncedTo, frame.syncedTo);`,
    caughtBy: "tests/damage_test.ts",
  },
  {
    name: "heals-what-another-fault-has-healed",
    file: "tests/real/chaos/faults.ts",
    find: "      if (wanted === line.isCut) return;\n",
    replace: "",
    caughtBy: "tests/real/chaos_test.ts :: a direction is cut while",
  },
  {
    name: "chaos-takes-any-absent-key-for-deleted",
    file: "tests/real/chaos/oracle.ts",
    find: "      return this.#maybeDeleted.has(key);\n",
    replace: "      return true;\n",
    caughtBy: "tests/real/chaos_test.ts :: a key that is absent",
  },
  {
    name: "chaos-takes-a-refused-delete-for-one-that-may-be",
    file: "tests/real/chaos/oracle.ts",
    find: "if (value === null && !refused.has(key)) this",
    replace: "if (value === null) this",
    caughtBy: "tests/real/chaos_test.ts :: a key that is absent",
  },
  {
    name: "chaos-takes-any-missing-tombstone-for-collected",
    file: "tests/real/chaos/oracle.ts",
    find: "  return value === null && version.life <= lifeGone &&\n",
    replace: "  return value === null && version.life >= 0 &&\n",
    caughtBy: "tests/real/chaos_test.ts :: the oracle finds stores that differ",
  },
  {
    name: "chaos-takes-any-other-claim-for-a-later-life",
    file: "tests/real/chaos/oracle.ts",
    find: "now.life <= version.life) return false;",
    replace: "now.life < version.life) return false;",
    caughtBy: "tests/real/chaos_test.ts :: a claim that is gone",
  },
  {
    name: "chaos-takes-a-claim-from-before-the-delete",
    file: "tests/real/chaos/oracle.ts",
    find: "now.claim.hlc > last.hlc;",
    replace: "now.claim.hlc > 0;",
    caughtBy: "tests/real/chaos_test.ts :: a claim that is gone",
  },
];
