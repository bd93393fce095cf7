import { assert, assertEquals } from "@std/assert";
import { measureHostile } from "./sim/hostile.ts";

Deno.test("a node that is attacked lives, holds no more than it may, and its cluster does not notice", async () => {
  const row = await measureHostile(1, 10_000);
  assertEquals(row.broken, []);
  assert(row.met && row.n >= 10_000, `${row.n}`);
  // The attacker is heard: most are judged, and what strangers ask is answered.
  assert(row.welcomed > row.conversations / 2, `${row.welcomed}`);
  assert(row.answered > 500, `${row.answered}`);
  assert(row.turnedAway > 500, `${row.turnedAway}`);
  assertEquals([row.most.handshakes, row.most.visits], [64, 256]);
});
