import { assert, assertEquals, assertExists, assertRejects } from "@std/assert";
import { DenoWorkers } from "./workers.ts";

const SLOW_ECHO = new URL("./testing/slow_echo.ts", import.meta.url).href;

Deno.test("a thread hears a request that is sent before it listens", async () => {
  const thread = new DenoWorkers().start(SLOW_ECHO);
  assertExists(thread);
  assertEquals(await thread.call("first", () => {}), "first");
  assertEquals(await thread.call("second", () => {}), "second");
  thread.close();
  await assertRejects(() => thread.call("third", () => {}), Error, "closed");
});

Deno.test("calls of one thread are under way side by side, and what fails fails alone", async () => {
  const thread = new DenoWorkers().start(SLOW_ECHO)!;
  const [late, wrong, unsent, soon] = await Promise.allSettled([
    thread.call({ late: true }, () => {}),
    thread.call({ wrong: true }, () => {}),
    thread.call(() => "a function cannot be copied", () => {}),
    thread.call("soon", () => {}),
  ]);
  assertEquals(soon, { status: "fulfilled", value: "soon" });
  assert(wrong.status === "rejected");
  assert(/TypeError: it is wrong/.test(wrong.reason.message));
  assert(unsent.status === "rejected");
  // Answered by the call behind it.
  assertEquals(late, { status: "fulfilled", value: "soon" });
  thread.close();
});

Deno.test("a thread whose module cannot be loaded fails its calls, and a later one tries again", async () => {
  const none = new URL("./testing/none.ts", import.meta.url).href;
  const thread = new DenoWorkers().start(none)!;
  for (let i = 0; i < 2; i++) {
    await assertRejects(() => thread.call("any", () => {}), Error, "none.ts");
  }
  thread.close();
});

Deno.test("a thread that has nothing to do is ended, and started again by the next call", async () => {
  const thread = new DenoWorkers({ min: 5, max: 5 }).start(SLOW_ECHO)!;
  assert(!thread.isUp);
  const first = await thread.call({ born: true }, () => {});
  assert(thread.isUp);
  for (let n = 0; thread.isUp; n++) {
    assert(n < 5000);
    await pause(2);
  }
  const next = await thread.call({ born: true }, () => {});
  assert((next as number) > (first as number));
  assert(thread.isUp);
  thread.close();
  assert(!thread.isUp);
});

Deno.test("a thread that is asked again and again stays for twice the pauses, which may be too long", async () => {
  const thread = new DenoWorkers({ min: 5, max: 1000 }).start(SLOW_ECHO)!;
  const born = async () =>
    await thread.call({ born: true }, () => {}) as number;
  const first = await born();
  await pause(400);
  const second = await born();
  assert(second > first);
  // One that is shorter changes nothing.
  for (const ms of [20, 1, 200]) {
    await pause(ms);
    assertEquals(await born(), second);
  }
  await pause(1500);
  const third = await born();
  assert(third > second);
  await pause(100);
  assert(await born() > third);
  thread.close();
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
