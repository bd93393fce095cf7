import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeadlineExceededError } from "./errors.ts";
import { abortable, sleep, startDeadline } from "./time.ts";
import { World } from "./virtual/mod.ts";

function start() {
  const world = new World({ seed: 1 });
  return { world, timers: world.runtime("node").timers };
}

Deno.test("a sleep ends after its time", async () => {
  const { world, timers } = start();
  await world.run(sleep(timers, 250));
  assertEquals(world.now, 250);
});

Deno.test("a sleep ends with the reason of its signal, at once", async () => {
  const { world, timers } = start();
  const reason = new Error("enough");
  const controller = new AbortController();
  const sleeping = sleep(timers, 1e6, { signal: controller.signal });
  world.schedule(10, () => controller.abort(reason));
  assertEquals(await assertRejects(() => world.run(sleeping)), reason);
  assertEquals(world.now, 10);
  const again = sleep(timers, 1, { signal: AbortSignal.abort(reason) });
  assertEquals(await assertRejects(() => again), reason);
});

Deno.test("a deadline aborts with its own error when time is up", async () => {
  const { world, timers } = start();
  using deadline = startDeadline(timers, 100, "set the key");
  await world.advance(99);
  assert(!deadline.signal.aborted);
  await world.advance(1);
  const { reason } = deadline.signal;
  assert(reason instanceof DeadlineExceededError);
  assertEquals(reason.message, "Cannot set the key: no answer within 100 ms");
});

Deno.test("a deadline passes the caller's reason on", () => {
  const { timers } = start();
  const reason = new Error("enough");
  const controller = new AbortController();
  using deadline = startDeadline(timers, 100, "set", controller.signal);
  controller.abort(reason);
  assertEquals(deadline.signal.reason, reason);
  using late = startDeadline(timers, 100, "set", controller.signal);
  assertEquals(late.signal.reason, reason);
});

Deno.test("a disposed deadline never aborts", async () => {
  const { world, timers } = start();
  const controller = new AbortController();
  const deadline = startDeadline(timers, 100, "set", controller.signal);
  deadline[Symbol.dispose]();
  controller.abort();
  await world.advance(200);
  assert(!deadline.signal.aborted);
});

Deno.test("what is abortable ends with whichever comes first", async () => {
  const { world, timers } = start();
  const reason = new Error("enough");
  const never = new Promise<void>(() => {});
  const controller = new AbortController();
  const { signal } = controller;
  assertEquals(await abortable(Promise.resolve(4), signal), 4);
  await assertRejects(
    () => abortable(Promise.reject(new Error("own")), signal),
    Error,
    "own",
  );
  const waiting = abortable(never, signal);
  timers.set(() => controller.abort(reason), 5);
  assertEquals(await assertRejects(() => world.run(waiting)), reason);
  // A failure that comes later is nobody's unhandled rejection.
  const late = abortable(Promise.reject(new Error("late")), signal);
  assertEquals(await assertRejects(() => late), reason);
});
