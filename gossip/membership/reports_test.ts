import { assert, assertEquals, assertRejects } from "@std/assert";
import { DecodeError, toHex, Writer } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { Vector } from "../replication/vector.ts";
import type { Report } from "./report.ts";
import { Reports } from "./reports.ts";
import { reportOf } from "./world_test.ts";

function reports(node: number, refused = new Set<number>()): Reports {
  return new Reports({
    node,
    isMember: (key) => key < 100,
    accept: ({ node }) => Promise.resolve(!refused.has(node)),
  });
}

const exchange = (a: Reports, b: Reports) =>
  a.run((_type, payload) => b.answer(payload));

Deno.test("REPORTS and its replies have golden bytes", async () => {
  const [a, b] = [reports(1), reports(2)];
  a.say(reportOf({ node: 1, generation: 300 }));
  b.say(reportOf({ node: 2 }));
  const sent: string[] = [];
  await a.run(async (_type, payload) => {
    const reply = await b.answer(payload);
    sent.push(toHex(payload), toHex(reply));
    return reply;
  });
  const one = "0100" + "0001" + "ac02" + "01".repeat(8) + "01" +
    "0100".repeat(3) +
    "00";
  const two = "0200" + "0001" + "01" + "02".repeat(8) + "01" +
    "0100".repeat(3) +
    "00";
  assertEquals(sent, [
    "00" + "01" + "0100" + "ac02" + "01",
    "01" + "0100" + "01" + "15" + two,
    "01" + "01" + "16" + one,
    "",
  ]);
  await assertRejects(() => a.answer(Uint8Array.of(0, 5)), DecodeError);
  const none = new Writer().u8(1).varint(1).bytes(Uint8Array.of(1)).finish();
  await assertRejects(() => a.answer(none), DecodeError);
});

Deno.test("of each node the newest report counts, in whatever order they come", async () => {
  const random = new Prng(1);
  const sides = Array.from({ length: 6 }, (_, i) => reports(i + 1));
  const newest = new Map<number, Report>();
  for (let round = 0; round < 300; round++) {
    const node = 1 + random.u32() % 6;
    if (random.float() < 0.3) {
      const old = newest.get(node);
      const restarts = random.float() < 0.2;
      const report = reportOf({
        node,
        generation: (old?.generation ?? 1) + (restarts ? 1 : 0),
        number: restarts ? 1 : (old?.number ?? 0) + 1,
      });
      newest.set(node, report);
      sides[node - 1]!.say(report);
    }
    const other = 1 + random.u32() % 6;
    if (other !== node) await exchange(sides[node - 1]!, sides[other - 1]!);
  }
  for (const side of sides) {
    for (const other of sides) if (side !== other) await exchange(side, other);
  }
  for (const side of sides) {
    for (const [node, report] of newest) assertEquals(side.get(node), report);
    assertEquals(side.hash(), sides[0]!.hash());
  }
});

Deno.test("what comes by others counts if its incarnation does; nobody else speaks for this node", async () => {
  const refused = new Set([3]);
  const [a, b] = [reports(1, refused), reports(2)];
  b.say(reportOf({ node: 2 }));
  const c = reports(3);
  c.say(reportOf({ node: 3 }));
  await exchange(b, c);
  assert(b.get(3) !== undefined);
  const liar = reports(9);
  liar.say(reportOf({ node: 1, generation: 99 }));
  liar.say(reportOf({ node: 100 }));
  await exchange(a, b);
  await exchange(a, liar);
  assertEquals(a.get(2), b.get(2));
  assertEquals([a.get(3), a.get(1), a.get(100)], [
    undefined,
    undefined,
    undefined,
  ]);
  refused.clear();
  await exchange(a, b);
  assertEquals(a.get(3), c.get(3));
  // And what a node said before its present incarnation is forgotten.
  a.forget(3);
  assertEquals(a.get(3), undefined);
});

Deno.test("reports too many for one message go with later ones", async () => {
  const [a, b] = [reports(1), reports(2)];
  const vector = new Vector();
  for (let origin = 0; origin < 30_000; origin++) vector.add(origin * 2e6, 1);
  for (let node = 3; node < 9; node++) a.say(reportOf({ node, vector }));
  let exchanges = 0;
  for (; b.get(8) === undefined; exchanges++) {
    assert(exchanges < 10);
    await exchange(b, a);
  }
  assert(exchanges > 1);
  assertEquals(a.hash(), b.hash());
});
