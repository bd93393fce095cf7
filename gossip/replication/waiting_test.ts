import { assertEquals } from "@std/assert";
import { Vector } from "./vector.ts";
import { WaitingOrigins } from "./waiting.ts";
import { origin, record } from "./world_test.ts";

const DOT = { origin: origin(2), seq: 1 };

Deno.test("an origin waits by what has to, or builds on what does; not by what is early for another reason", () => {
  const waiting = new WaitingOrigins();
  const here = new Vector();
  const builds = record({ origin: origin(3), deps: [DOT] });
  waiting.arrived(builds, "early", here);
  assertEquals(waiting.any, false);
  waiting.arrived(record({}), "waits", here);
  waiting.arrived(builds, "early", here);
  // A gap, and one that is here.
  waiting.arrived(record({ origin: origin(4), seq: 3 }), "early", here);
  waiting.arrived(record({ origin: origin(5) }), "applied", here);
  const origins = [2, 3, 4, 5].map((node) => waiting.has(origin(node)));
  assertEquals(origins, [true, true, false, false]);
  assertEquals(waiting.size, 2);
  const donor = Vector.upTo([
    { origin: origin(2), seq: 9 },
    { origin: origin(5), seq: 1 },
  ]);
  const aside = waiting.of(donor);
  assertEquals([aside.size, aside.seq(origin(2))], [1, 9]);
});

Deno.test("what has come by another way, or has room again, does not wait", () => {
  const waiting = new WaitingOrigins();
  const here = new Vector();
  waiting.arrived(record({}), "waits", here);
  waiting.arrived(record({ origin: origin(3) }), "waits", here);
  waiting.sessionArrived(true);
  waiting.settle(Vector.upTo([DOT]));
  assertEquals([waiting.size, waiting.any], [1, true]);
  waiting.settle(Vector.upTo([{ origin: origin(3), seq: 4 }]));
  assertEquals([waiting.size, waiting.any], [0, true]);
  waiting.sessionArrived(false);
  assertEquals(waiting.any, false);
  waiting.arrived(record({}), "waits", here);
  waiting.sessionArrived(true);
  waiting.clear();
  assertEquals(waiting.any, false);
});
