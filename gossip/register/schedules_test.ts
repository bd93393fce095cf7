/**
 * Random schedules of rival proposers, lost, late and repeated messages, and
 * crashes; after the model of the agreement protocol.
 */

import { assert, assertEquals } from "@std/assert";
import { QuorumUnavailableError, toHex } from "../../runtime/mod.ts";
import { assigning, decodeIds, foundIds, IDS_REGISTER, keyOf } from "./ids.ts";
import type { Ids } from "./ids.ts";
import { Dice, ForgetfulKV, ticket, World } from "./world_test.ts";

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

interface Totals {
  chosen: number;
  completed: number;
  unavailable: number;
  crashes: number;
}

async function schedule(
  seed: number,
  voters: number,
  steps: number,
  totals: Totals,
): Promise<void> {
  const dice = new Dice(seed);
  const nodes = voters + dice.below(2); // perhaps a learner that proposes
  const world = new World(dice, voters, nodes);
  const loss = [0, 0.05, 0.2][dice.below(3)]!;
  const crashes = [0, 0.03, 0.08][dice.below(3)]!;
  for (let node = 1; node <= nodes; node++) await world.start(node);

  let latest = foundIds(ticket(0));
  let completed = latest;
  world.onChosen = (register, bytes) => {
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

  const failures: unknown[] = [];
  for (let step = 0; step < steps; step++) {
    const node = 1 + dice.below(nodes);
    const member = world.members.get(node)!;
    if (member.acceptor === undefined) {
      if (dice.chance(0.3)) await world.start(node);
    } else if (dice.chance(crashes)) {
      world.crash(node, dice.below(3));
      totals.crashes++;
    } else if (member.kv.syncing && dice.chance(0.7)) {
      member.kv.finishSync();
    } else if (world.steps.length > 0 && dice.chance(0.9)) {
      const at = dice.below(world.steps.length);
      const one = world.steps[at]!;
      if (one.repeat !== undefined && dice.chance(0.1)) one.repeat();
      else {
        world.steps.splice(at, 1);
        if (one.lose !== undefined && dice.chance(loss)) one.lose();
        else one.run();
      }
    } else if (dice.chance(0.4)) {
      pledge(node, ticket(1 + dice.below(6))).catch((e) => failures.push(e));
    }
    await world.settle();
    if (failures.length > 0) throw failures[0];
  }
}

for (
  const [voters, schedules, steps] of [[1, 800, 60], [3, 1000, 100]] as const
) {
  Deno.test(`P7: whatever is lost, late, repeated or crashes, ${voters} voters choose one chain of node keys`, async () => {
    const totals = { chosen: 0, completed: 0, unavailable: 0, crashes: 0 };
    for (let seed = 1; seed <= schedules; seed++) {
      await schedule(seed, voters, steps, totals);
    }
    // The schedules are worth something only if much happens in them.
    assert(totals.chosen > schedules, JSON.stringify(totals));
    assert(totals.completed > schedules / 2, JSON.stringify(totals));
    assert(totals.crashes > schedules / 2, JSON.stringify(totals));
  });
}

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
