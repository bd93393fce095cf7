import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  ConfigUnsettledError,
  DecodeError,
  NodeNotFoundError,
  toHex,
} from "../../runtime/mod.ts";
import { compareBallots } from "./ballot.ts";
import type { Ballot } from "./ballot.ts";
import {
  addingMember,
  compareConfigs,
  decodeConfig,
  encodeConfig,
  foundConfig,
  hasSeat,
  supersedes,
  withMember,
  withNewEra,
} from "./config.ts";
import type { Config } from "./config.ts";
import { seat } from "./world_test.ts";

const FULL: Config = {
  version: 1,
  era: 1,
  epoch: 300,
  members: [1, 2, 513],
  voters: [{ node: 1, seat: seat(1) }, { node: 2, seat: seat(2) }],
  settled: false,
  removed: [3, 4],
  sealing: [4],
  finals: new Map([[5, 6], [2 ** 49 - 1, 2 ** 48]]),
  rest: new Uint8Array(),
};

Deno.test("ballots compare by epoch, n, node and generation, in this order", () => {
  const ballots = ([[1, 9, 9, 9], [2, 1, 9, 9], [2, 2, 1, 9], [2, 2, 2, 1], [
    2,
    2,
    2,
    2,
  ]] as const).map(([epoch, n, node, generation]): Ballot => ({
    epoch,
    n,
    node,
    generation,
  }));
  for (const [i, a] of ballots.entries()) {
    for (const [j, b] of ballots.entries()) {
      assertEquals(Math.sign(compareBallots(a, b)), Math.sign(i - j));
    }
  }
});

Deno.test("a config has its golden bytes", () => {
  const bytes = encodeConfig(FULL);
  assertEquals(
    toHex(bytes),
    "0101ac0200" + "03010002000102" +
      "02" + "0100" + "01".repeat(8) + "0200" + "02".repeat(8) +
      "0203000400" + "010400" + "02" + "0506" +
      "ffffffffffff7f" + "80808080808040",
  );
  assertEquals(decodeConfig(bytes), FULL);
});

Deno.test("what a newer release appended to a config stays when an older one rewrites it", () => {
  const rest = Uint8Array.of(1, 2, 3);
  const newer = encodeConfig({ ...foundConfig(1, seat(1)), version: 9, rest });
  const rewritten = decodeConfig(addingMember(2)(newer));
  assertEquals(rewritten.members, [1, 2]);
  assertEquals([rewritten.version, rewritten.rest], [9, rest]);
});

Deno.test("a member is added once, under the next epoch", () => {
  const one = foundConfig(1, seat(1));
  const two = withMember(one, 2);
  assertEquals([two.epoch, two.members, two.settled], [2, [1, 2], true]);
  assertStrictEquals(withMember(two, 2), two);
  assertEquals(one.members, [1]);
  assertEquals(withMember(withMember(one, 12), 3).members, [1, 3, 12]);
});

Deno.test("a member is refused while voters are unsettled, a removed one for ever", () => {
  assertThrows(() => withMember(FULL, 7), ConfigUnsettledError, "epoch 300");
  assertStrictEquals(withMember(FULL, 2), FULL);
  assertThrows(() => withMember(FULL, 3), NodeNotFoundError);
  assertThrows(() => addingMember(7)(undefined), DecodeError);
});

Deno.test("configs compare by era, then epoch", () => {
  const at = (era: number, epoch: number) => ({ ...FULL, era, epoch });
  assertEquals(Math.sign(compareConfigs(at(1, 1), at(0, 9))), 1);
  assertEquals(Math.sign(compareConfigs(at(1, 1), at(1, 2))), -1);
  assertEquals(compareConfigs(at(1, 1), at(1, 1)), 0);
  assertEquals(supersedes(at(1, 2), at(1, 1)), true);
  assertEquals(supersedes(FULL, FULL), false);
  assertEquals(supersedes({ ...FULL, settled: true }, FULL), true);
  assertEquals(supersedes(FULL, undefined), true);
});

Deno.test("a seat belongs to one node and one promotion", () => {
  assertEquals(hasSeat(FULL, 1, seat(1)), true);
  assertEquals(hasSeat(FULL, 1, seat(2)), false);
  assertEquals(hasSeat(FULL, 3, seat(1)), false);
});

Deno.test("a config with node keys out of order, or without version, is refused", () => {
  const refused = (config: Partial<Config>) =>
    assertThrows(
      () => decodeConfig(encodeConfig({ ...FULL, ...config })),
      DecodeError,
    );
  refused({ members: [2, 1] });
  refused({ members: [0] });
  refused({ removed: [3, 3] });
  refused({ version: 0 });
});

Deno.test("a new era has one voter, and is above all epochs", () => {
  const known: Config = { ...FULL, settled: true };
  const voter = { node: 2, seat: seat(9) };
  for (const epoch of [2, 70_000, 2 ** 40 + 9]) {
    const config = withNewEra({ ...known, epoch }, voter, [7], 20);
    assert(config.epoch > epoch);
    assertEquals(config.voters, [voter]);
  }
  const { era, settled, members, removed, sealing } = withNewEra(
    known,
    voter,
    [7],
    20,
  );
  assertEquals([era, settled], [2, true]);
  // What is retired stays so; whoever might have joined unheard is retired too.
  assertEquals(members, [1, 2, 7, 513]);
  const unheard = [5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
  assertEquals(removed, [3, 4, ...unheard]);
  assertEquals(sealing, [4, ...unheard]);
});

Deno.test("two eras that are begun at once are never of one age, whatever is changed in either and however far each had come", () => {
  const begun = (epoch: number, node: number) =>
    withNewEra(
      { ...FULL, epoch, settled: true },
      { node, seat: seat(node) },
      [],
      9,
    );
  const [low, high] = [begun(70_000, 1), begun(10, 2)];
  let changed = low;
  for (let node = 1000; node < 2000; node++) {
    changed = withMember(changed, node);
  }
  assertEquals(changed.epoch, low.epoch + 1000);
  for (const config of [low, changed]) {
    assert(compareConfigs(config, high) < 0);
    assert(supersedes(high, config));
    assert(!supersedes(config, high));
  }
  assert(compareConfigs(begun(10, 65_534), begun(10, 65_535)) < 0);
  // An era that follows is above both, and there is room for many.
  let era = begun(10, 65_535);
  while (era.era < 32_767) {
    const next = withNewEra(era, { node: 1, seat: seat(1) }, [], 9);
    assert(compareConfigs(next, era) > 0 && next.epoch > era.epoch);
    era = next;
  }
  assertEquals(decodeConfig(encodeConfig(era)).epoch, era.epoch);
});
