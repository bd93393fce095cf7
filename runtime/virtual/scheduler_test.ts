import { assert, assertEquals, assertRejects } from "@std/assert";
import { Prng } from "./prng.ts";
import { Scheduler } from "./scheduler.ts";

const start = (seed = 1) => new Scheduler(new Prng(seed));
const all = (scheduler: Scheduler) => scheduler.runUntil(() => false, Infinity);

Deno.test("events run in the order of their times, at their times", async () => {
  const scheduler = start();
  const random = new Prng(5);
  const ran: number[] = [];
  const planned: number[] = [];
  for (let i = 0; i < 3000; i++) {
    const time = random.float() * 1000;
    const event = scheduler.schedule(time, "", () => {
      assertEquals(scheduler.now, time);
      ran.push(time);
    });
    if (random.chance(0.6)) event.cancel();
    else planned.push(time);
  }
  assertEquals(scheduler.pending, planned.length);
  assertEquals(await all(scheduler), "empty");
  assertEquals(ran, planned.sort((a, b) => a - b));
  assertEquals(scheduler.pending, 0);
});

Deno.test("the seed draws the order of events of one time", async () => {
  const orders = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const runs: string[] = [];
    for (let run = 0; run < 2; run++) {
      const scheduler = start(seed);
      let order = "";
      for (const name of "abcd") {
        scheduler.schedule(5, "", () => order += name);
      }
      await all(scheduler);
      runs.push(order);
    }
    assertEquals(runs[0], runs[1]);
    orders.add(runs[0]!);
  }
  assert(orders.size > 5);
});

Deno.test("all promise jobs of an event run before the next event", async () => {
  const scheduler = start();
  let jobs = 0;
  scheduler.schedule(1, "", async () => {
    for (let i = 0; i < 1000; i++) {
      await null;
      jobs++;
    }
  });
  let seen = 0;
  scheduler.schedule(1.0001, "", () => seen = jobs);
  await all(scheduler);
  assertEquals(seen, 1000);
});

Deno.test("time beyond the end is not run, time without end not kept", async () => {
  const scheduler = start();
  let ran = 0;
  scheduler.schedule(10, "late one", () => ran++);
  scheduler.schedule(Infinity, "", () => ran++).cancel();
  assertEquals(scheduler.pending, 1);
  assertEquals(await scheduler.runUntil(() => false, 9), "late");
  assertEquals([ran, scheduler.now], [0, 0]);
  assertEquals(
    scheduler.describePending(),
    "1 events, next late one at 10.000 ms",
  );
  assertEquals(await scheduler.runUntil(() => ran > 0, 10), "done");
});

Deno.test("an event that throws ends the run with its error", async () => {
  const scheduler = start();
  scheduler.schedule(1, "", () => {
    throw new Error("from within");
  });
  await assertRejects(() => all(scheduler), Error, "from within");
  assertEquals(await all(scheduler), "empty");
});

Deno.test("a world that runs is not run twice", async () => {
  const scheduler = start();
  scheduler.schedule(1, "", () => {});
  const running = all(scheduler);
  await assertRejects(() => all(scheduler), Error, "running already");
  await running;
});

Deno.test("a generator gives the same numbers for ever", () => {
  const random = new Prng(42, "golden");
  const numbers = [random.u32(), random.u32(), random.u32()];
  assertEquals(numbers, GOLDEN);
  const fork = random.fork("x");
  random.u32();
  assertEquals(fork.u32(), random.fork("x").u32());
  assert(random.fork("x").u32() !== random.fork("y").u32());
  assert(new Prng(1).u32() !== new Prng(1 + 2 ** 32).u32());
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 10_000; i++) counts[random.below(10)]!++;
  for (const count of counts) assert(count > 850 && count < 1150);
  assert(random.fill(new Uint8Array(7)).some((byte) => byte > 0));
});

const GOLDEN = [1_065_704_820, 3_249_511_374, 4_143_028_834];
