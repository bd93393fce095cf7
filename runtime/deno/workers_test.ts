import { assertEquals, assertExists } from "@std/assert";
import { DenoWorkers } from "./workers.ts";

const SLOW_ECHO = new URL("./testing/slow_echo.ts", import.meta.url).href;

Deno.test("a thread hears a request that is sent before it listens", async () => {
  const thread = new DenoWorkers().start(SLOW_ECHO);
  assertExists(thread);
  assertEquals(await thread.call("first", () => {}), "first");
  assertEquals(await thread.call("second", () => {}), "second");
  thread.close();
});
