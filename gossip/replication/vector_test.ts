import { assert, assertEquals, assertThrows } from "@std/assert";
import { Prng } from "../../runtime/virtual/mod.ts";
import { makeOrigin, type Origin } from "./dot.ts";
import { Vector } from "./vector.ts";

const ORIGINS: readonly Origin[] = [
  makeOrigin(1, 0, 0),
  makeOrigin(1, 5, 1),
  makeOrigin(65_535, 2 ** 32 - 1, 0),
  makeOrigin(65_535, 2 ** 32 - 1, 1),
];
const SEQS = 12;

/** A vector and the set of dots that it must stand for. */
interface Twin {
  vector: Vector;
  dots: Set<string>;
}

function everyDot(): [Origin, number][] {
  return ORIGINS.flatMap((origin) =>
    Array.from({ length: SEQS }, (_, i): [Origin, number] => [origin, i + 1])
  );
}

function check({ vector, dots }: Twin): void {
  for (const [origin, seq] of everyDot()) {
    assertEquals(vector.covers(origin, seq), dots.has(`${origin}/${seq}`));
  }
}

function grow({ vector, dots }: Twin, random: Prng): void {
  const origin = ORIGINS[random.u32() % ORIGINS.length]!;
  const lane = origin % 2;
  const next = vector.seq(origin) + 1;
  if (next > SEQS) return;
  const seq = lane === 0 ? next : 1 + random.u32() % SEQS;
  vector.add(origin, seq);
  dots.add(`${origin}/${seq}`);
}

Deno.test("a vector is the set of dots that were added, in both lanes, and so are joins and copies", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Prng(seed, "vectors");
    const [a, b]: Twin[] = [0, 1].map(() => ({
      vector: new Vector(),
      dots: new Set<string>(),
    })) as [Twin, Twin];
    for (let n = random.u32() % 30; n > 0; n--) grow(a!, random);
    for (let n = random.u32() % 30; n > 0; n--) grow(b!, random);
    check(a!);
    check(b!);
    assertEquals(a!.vector.includes(b!.vector), b!.dots.isSubsetOf(a!.dots));
    assertEquals(b!.vector.includes(a!.vector), a!.dots.isSubsetOf(b!.dots));

    const joined = a!.vector.clone();
    joined.join(b!.vector);
    check({ vector: joined, dots: a!.dots.union(b!.dots) });
    check(a!);
    assert(joined.includes(a!.vector) && joined.includes(b!.vector));
    const other = b!.vector.clone();
    other.join(a!.vector);
    const again = joined.clone();
    again.join(b!.vector);
    for (const same of [other, again, Vector.decode(joined.encode())]) {
      assertEquals(same.fingerprint(), joined.fingerprint());
    }

    // Row by row, as it is stored.
    const rows = new Vector();
    for (const origin of joined.origins()) {
      rows.decodeOrigin(origin, joined.encodeOrigin(origin));
    }
    assertEquals(rows.fingerprint(), joined.fingerprint());
  }
});

Deno.test("in lane 0 no seq is skipped", () => {
  const vector = new Vector();
  vector.add(ORIGINS[0]!, 1);
  assertThrows(() => vector.add(ORIGINS[0]!, 3), RangeError, "seq 2");
  assertEquals(vector.covers(ORIGINS[0]!, 3), false);
  vector.add(ORIGINS[0]!, 1);
  assertEquals(vector.seq(ORIGINS[0]!), 1);
});

Deno.test("a vector that never lived says nothing of any origin", () => {
  const vector = new Vector();
  assertEquals([...vector.origins()], []);
  assertEquals(vector.seq(ORIGINS[1]!), 0);
  assert(vector.includes(new Vector()));
});
