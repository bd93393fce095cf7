import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../runtime/virtual/mod.ts";
import { KeyOrder } from "./key_order.ts";

/** Where a node of each pattern goes: a number below `n`, or a half between two. */
const PATTERNS: Readonly<Record<string, (n: number, prng: Prng) => number>> = {
  rising: (n) => n,
  falling: (n) => -n,
  random: (_, prng) => prng.below(2 ** 30),
  alike: () => 7,
  "few, each often": (_, prng) => prng.below(5),
  "runs between others": (n, prng) => prng.below(6) * 1e6 + n,
};

for (const [name, draw] of Object.entries(PATTERNS)) {
  Deno.test(`entries stand in order: ${name}`, () => {
    const prng = new Prng(1);
    const order = new KeyOrder();
    // Of equal abbreviations the later node comes first, as entries of one key do.
    const list: { abbreviation: number; node: number }[] = [];
    const newest = { orderOf: () => 1 };
    const placeOf = (abbreviation: number) => {
      let at = 0;
      while (at < list.length && list[at]!.abbreviation < abbreviation) at++;
      return at;
    };
    for (let node = 1; node <= 3000; node++) {
      const abbreviation = draw(node, prng);
      const at = placeOf(abbreviation);
      if (at === list.length && prng.below(2) === 0) {
        order.append(abbreviation, node);
      } else {
        order.seek(abbreviation, newest);
        assertEquals(order.before, list[at - 1]?.node ?? 0);
        assertEquals(order.following, list[at]?.abbreviation ?? NaN);
        order.insert(abbreviation, node);
      }
      list.splice(at, 0, { abbreviation, node });
    }
    // From the end to the start, each by a search that ties decide.
    for (let at = list.length - 1; at >= 0; at -= 1 + at % 5) {
      const { abbreviation } = list[at]!;
      order.seek(abbreviation, {
        orderOf: (other) => list.findIndex((e) => e.node === other) - at,
      });
      assertEquals(order.before, list[at - 1]?.node ?? 0);
      assertEquals(order.following, abbreviation);
    }
    order.clear();
    order.seek(0, newest);
    assertEquals([order.before, order.following], [0, NaN]);
  });
}

Deno.test("keys in order leave full blocks behind, at the end and between others", () => {
  const taken = (from: number) => {
    const order = new KeyOrder();
    order.append(-1, 1);
    order.append(1e9, 2);
    for (let n = 0; n < 100_000; n++) {
      order.seek(from + n, { orderOf: () => 0 });
      order.insert(from + n, n + 3);
    }
    return order.bytes;
  };
  // 100,000 entries of 12 bytes; rooms double.
  for (const from of [0, 2e9]) {
    assert(taken(from) < 2 ** 21, `${taken(from)} bytes`);
  }
});

Deno.test("whatever comes behind a full block, the blocks stay half full at least", () => {
  for (const kind of ["falling", "alike"]) {
    for (let below = 0; below <= 70; below++) {
      const order = new KeyOrder();
      for (let n = 0; n < below; n++) order.append(n, n + 1);
      for (let n = 0; n < 5000; n++) {
        const abbreviation = kind === "falling" ? 1e9 - n : 1e9;
        order.seek(abbreviation, { orderOf: () => 1 });
        order.insert(abbreviation, n + 71);
      }
      const perEntry = order.usedBytes / (below + 5000);
      assert(perEntry < 30, `${perEntry} bytes, ${kind}, ${below} below`);
    }
  }
});

Deno.test("entries are named anew from a place on, until one is not to be", () => {
  const order = new KeyOrder();
  for (let n = 1; n <= 200; n++) {
    order.append(n * 10, n);
  }
  const none = { orderOf: () => 0 };
  order.seek(495, none);
  const asked: number[] = [];
  order.rename((node) => {
    asked.push(node);
    return node > 150 ? undefined : node * 10 - 5;
  });
  assertEquals(asked, Array.from({ length: 102 }, (_, i) => i + 50));
  for (let n = 1; n <= 200; n++) {
    const now = n >= 50 && n <= 150 ? n * 10 - 5 : n * 10;
    order.seek(now, none);
    assertEquals([order.before, order.following], [n - 1, now]);
    order.seek(now + 1, none);
    assertEquals(order.before, n);
  }
});
