import { assertEquals } from "@std/assert";
import { floorOf, type Reported } from "./floor.ts";
import { Vector } from "./vector.ts";

function vectorOf(seqs: Record<number, number>): Vector {
  const vector = new Vector();
  for (const [of, seq] of Object.entries(seqs)) {
    for (let n = 1; n <= seq; n++) vector.add(Number(of), n);
  }
  return vector;
}

function reported(
  vector: Record<number, number>,
  floor: Record<number, number> = {},
  epoch = 1,
): Reported {
  return { era: 0, epoch, vector: vectorOf(vector), floor: vectorOf(floor) };
}

Deno.test("the floor is what every member has, and never falls; the gate is what every floor has", () => {
  const own = reported({ 2: 5, 4: 3, 6: 1 }, { 2: 2, 8: 1 });
  const others = [
    reported({ 2: 4, 4: 3 }, { 2: 1, 4: 1 }),
    reported({ 2: 3, 4: 1, 6: 1 }, { 2: 2 }),
  ];
  const allowed = floorOf({ own, others })!;
  assertEquals(
    allowed.floor.fingerprint(),
    vectorOf({ 2: 3, 4: 1, 8: 1 }).fingerprint(),
  );
  assertEquals(allowed.gate.fingerprint(), vectorOf({ 2: 1 }).fingerprint());
  // Alone there is nobody to wait for but the own disk.
  const alone = floorOf({ own, others: [] })!;
  assertEquals(
    alone.floor.fingerprint(),
    vectorOf({ 2: 5, 4: 3, 6: 1, 8: 1 }).fingerprint(),
  );
  assertEquals(alone.gate.fingerprint(), own.floor.fingerprint());
});

Deno.test("[3] nothing rises while somebody has reported what is not here", () => {
  const own = reported({ 2: 5 });
  assertEquals(floorOf({ own, others: [reported({ 2: 1, 4: 1 })] }), undefined);
});

Deno.test("[4] nothing rises before all have reported under one config", () => {
  const own = reported({ 2: 5 }, {}, 7);
  const other = reported({ 2: 5 }, {}, 7);
  assertEquals(floorOf({ own, others: [other, undefined] }), undefined);
  for (const epoch of [6, 8]) {
    const late = reported({ 2: 5 }, {}, epoch);
    assertEquals(floorOf({ own, others: [other, late] }), undefined);
  }
  const era = { ...other, era: 1 };
  assertEquals(floorOf({ own, others: [other, era] }), undefined);
});
