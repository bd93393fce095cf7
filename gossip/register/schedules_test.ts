/**
 * Random schedules of rival proposers, changes of the voters, lost, late and
 * repeated messages, crashes, and disks that were put back; after model A of the
 * agreement protocol. A node whose disk was put back is told so at its start: that
 * a voter is not told is outside the fault model (agreement A10).
 */

import { assert, assertEquals } from "@std/assert";
import {
  ConfigUnsettledError,
  NotVoterError,
  QuorumUnavailableError,
  toHex,
} from "../../runtime/mod.ts";
import {
  type Config,
  CONFIG_REGISTER,
  decodeConfig,
  encodeConfig,
} from "./config.ts";
import { assigning, decodeIds, foundIds, IDS_REGISTER, keyOf } from "./ids.ts";
import type { Ids } from "./ids.ts";
import {
  Dice,
  ForgetfulKV,
  ticket,
  votersConfig,
  World,
} from "./world_test.ts";

/** Whether all of `a` is in `b`, and came first. */
function isPrefix(a: Ids, b: Ids): boolean {
  if (a.next > b.next) return false;
  for (const [name, node] of a.tickets) {
    if (b.tickets.get(name) !== node) return false;
  }
  for (const [name, node] of b.tickets) {
    if (node < a.next && a.tickets.get(name) !== node) return false;
  }
  return true;
}

/** Whether both say the same, but for what settling adds. */
function isSameChange(a: Config, b: Config): boolean {
  const open = (config: Config) =>
    toHex(encodeConfig({ ...config, settled: false }));
  return open(a) === open(b);
}

/** What a schedule has beside crashes and losses. */
interface Profile {
  /** Nodes that vote at first, and nodes in all. */
  readonly voters: number;
  readonly nodes: number;
  readonly steps: number;
  /** How often an idle step is one of a change of the voters. */
  readonly changes: number;
  /** Whether one node's disk is put back now and then. */
  readonly images: boolean;
}

interface Totals {
  /** Changes of voters decided, and settled. */
  decided: number;
  settled: number;
  putBack: number;
  chosen: number;
  completed: number;
  unavailable: number;
  crashes: number;
}

async function schedule(
  seed: number,
  { voters, nodes, steps, changes, images }: Profile,
  totals: Totals,
): Promise<void> {
  const dice = new Dice(seed);
  const world = new World(dice, voters, nodes);
  // A change of voters is many steps long: most of them are to come to an end.
  const loss = (changes > 0 ? [0, 0, 0.05] : [0, 0.05, 0.2])[dice.below(3)]!;
  const crashes = (changes > 0 ? [0, 0.002, 0.02] : [0, 0.03, 0.08])[
    dice.below(3)
  ]!;
  const hurry = changes > 0 ? 0.98 : 0.9;
  const restorable = 1 + dice.below(nodes);
  let image: ReturnType<ForgetfulKV["image"]> | undefined;
  let wasPutBack = false;
  for (let node = 1; node <= nodes; node++) await world.start(node);

  let latest = foundIds(ticket(0));
  let completed = latest;
  const configs = new Map<number, Config>();
  let newest = 1;
  const choose = (config: Config): void => {
    const { epoch } = config;
    const known = configs.get(epoch);
    if (known === undefined) {
      assert(epoch <= newest + 1, `seed ${seed}: no config before ${epoch}`);
      totals.decided++;
    } else {
      assert(isSameChange(known, config), `seed ${seed}: two at ${epoch}`);
      assert(epoch === newest || known.settled || !config.settled, "late");
      if (config.settled && !known.settled) totals.settled++;
    }
    if (!known?.settled) configs.set(epoch, config);
    newest = Math.max(newest, epoch);
  };
  configs.set(1, votersConfig(voters, nodes));
  world.onChosen = (register, bytes) => {
    if (register === CONFIG_REGISTER) return choose(decodeConfig(bytes));
    assertEquals(register, IDS_REGISTER);
    const value = decodeIds(bytes);
    totals.chosen++;
    if (isPrefix(latest, value)) latest = value;
    else assert(isPrefix(value, latest), `seed ${seed}: two chains of values`);
  };
  const keys = new Map<string, number>();

  const pledge = async (node: number, name: Uint8Array): Promise<void> => {
    const before = completed;
    const { proposer } = world.members.get(node)!;
    if (proposer === undefined) return;
    let bytes;
    try {
      bytes = await proposer.change(IDS_REGISTER, assigning(name), {
        attemptsMax: 5,
      });
    } catch (error) {
      assert(error instanceof QuorumUnavailableError, `seed ${seed}: ${error}`);
      totals.unavailable++;
      return;
    }
    const value = decodeIds(bytes!);
    assert(isPrefix(before, value), `seed ${seed}: a completed pledge is gone`);
    if (isPrefix(completed, value)) completed = value;
    const key = keyOf(value, name)!;
    const known = keys.get(toHex(name));
    assert(known === undefined || known === key, `seed ${seed}: two keys`);
    keys.set(toHex(name), key);
    assertEquals(new Set(keys.values()).size, keys.size, `seed ${seed}: twice`);
    totals.completed++;
  };

  const changeVoters = async (node: number): Promise<void> => {
    const { electorate } = world.members.get(node)!;
    if (electorate === undefined) return;
    const options = { attemptsMax: 6 };
    const other = 1 + dice.below(nodes);
    try {
      if (dice.chance(0.25)) await electorate.settle(options);
      else if (dice.chance(0.6)) await electorate.promote(other, options);
      else await electorate.retire(other, options);
    } catch (error) {
      // The last voter stays; a candidate may be down; others may be quicker.
      assert(
        error instanceof QuorumUnavailableError ||
          error instanceof ConfigUnsettledError ||
          error instanceof RangeError || error instanceof NotVoterError ||
          (error as Error).message === "lost" ||
          (error as Error).message === "down",
        `seed ${seed}: ${error}`,
      );
    }
  };

  const failures: unknown[] = [];
  const fail = (error: unknown) => failures.push(error);
  for (let step = 0; step < steps; step++) {
    const node = 1 + dice.below(nodes);
    const member = world.members.get(node)!;
    if (images && node === restorable && dice.chance(0.03)) {
      if (image === undefined) image = member.kv.image();
      else {
        world.putBack(node, image);
        image = undefined;
        wasPutBack = true;
        totals.putBack++;
      }
    } else if (member.acceptor === undefined) {
      if (dice.chance(0.3)) {
        await world.start(node, wasPutBack && node === restorable);
        if (node === restorable) wasPutBack = false;
      }
    } else if (dice.chance(crashes)) {
      world.crash(node, dice.below(3));
      totals.crashes++;
    } else if (member.kv.syncing && dice.chance(0.7)) {
      member.kv.finishSync();
    } else if (world.steps.length > 0 && dice.chance(hurry)) {
      const at = dice.below(world.steps.length);
      const one = world.steps[at]!;
      if (one.repeat !== undefined && dice.chance(0.1)) one.repeat();
      else {
        world.steps.splice(at, 1);
        if (one.lose !== undefined && dice.chance(loss)) one.lose();
        else one.run();
      }
    } else if (dice.chance(changes)) {
      changeVoters(node).catch(fail);
    } else if (dice.chance(0.4)) {
      pledge(node, ticket(1 + dice.below(6))).catch(fail);
    }
    await world.settle();
    if (failures.length > 0) throw failures[0];
  }
}

/** Runs schedules, and gives what happened in them. */
export async function schedules(
  count: number,
  profileOf: (seed: number) => Profile,
  first = 1,
): Promise<Totals> {
  const totals = {
    decided: 0,
    settled: 0,
    putBack: 0,
    chosen: 0,
    completed: 0,
    unavailable: 0,
    crashes: 0,
  };
  for (let seed = first; seed < first + count; seed++) {
    await schedule(seed, profileOf(seed), totals);
  }
  return totals;
}

for (const [voters, count, steps] of [[1, 800, 60], [3, 1000, 100]] as const) {
  Deno.test(`P7: whatever is lost, late, repeated or crashes, ${voters} voters choose one chain of node keys`, async () => {
    const totals = await schedules(count, (seed) => ({
      voters,
      nodes: voters + seed % 2, // perhaps a learner that proposes
      steps,
      changes: 0,
      images: false,
    }));
    // The schedules are worth something only if much happens in them.
    assert(totals.chosen > count, JSON.stringify(totals));
    assert(totals.completed > count / 2, JSON.stringify(totals));
    assert(totals.crashes > count / 2, JSON.stringify(totals));
  });
}

Deno.test("P7: whatever changes of voters are under way, one chain of node keys and of configs is chosen", async () => {
  const count = 250;
  const totals = await schedules(count, (seed) => ({
    voters: [1, 1, 3, 5][seed % 4]!,
    nodes: 5,
    steps: 800,
    changes: 0.3,
    images: seed % 3 === 0,
  }), 10_000);
  assert(totals.decided > count, JSON.stringify(totals));
  assert(totals.settled > count / 2, JSON.stringify(totals));
  assert(totals.completed > count / 2, JSON.stringify(totals));
  assert(totals.putBack > count / 10, JSON.stringify(totals));
});

Deno.test("the tests' engine forgets what was not synced", () => {
  const kv = new ForgetfulKV();
  const key = Uint8Array.of(1);
  kv.write([{ key, value: Uint8Array.of(2) }], { sync: true });
  assert(kv.syncing);
  assertEquals(kv.get(key), Uint8Array.of(2));
  kv.finishSync();
  kv.write([{ key, value: Uint8Array.of(3) }], { sync: true });
  assertEquals(kv.crash().get(key), Uint8Array.of(2));
});
