import { assertEquals } from "@std/assert";
import { World } from "../runtime/virtual/mod.ts";
import { openLsm } from "./mod.ts";
import { optionsIn } from "./options.ts";

Deno.test("of its world a store takes files, chance, clock, owner, and turns for timers between slices", async () => {
  const world = new World({ seed: 1 });
  const runtime = { ...world.runtime("a"), processId: 4711 };
  const options = optionsIn(runtime);
  const { files, random, clock, workers, owner } = options;
  assertEquals([files, random, clock], [
    runtime.files,
    runtime.random,
    runtime.clock,
  ]);
  assertEquals([workers, owner], [undefined, "process 4711"]);
  assertEquals(optionsIn(world.runtime("b")).owner, undefined);
  await world.run(async () => {
    let ran = false;
    runtime.timers.set(() => ran = true, 0);
    // Who is first at one moment is drawn.
    for (let turns = 0; turns < 5; turns++) await options.yieldNow!();
    assertEquals(ran, true);
  });
});

Deno.test("a flush and a compaction pause after each slice, of the size that they are told", async () => {
  const world = new World({ seed: 1 });
  const options = optionsIn(world.runtime("a"));
  let pauses = 0;
  await world.run(async () => {
    await using store = await openLsm("/data", {
      ...options,
      sliceBytes: 2000,
      yieldNow: () => (pauses++, options.yieldNow!()),
    });
    const value = new Uint8Array(1000);
    for (let i = 0; i < 20; i++) {
      await store.write([{ key: Uint8Array.of(1, i), value }], { sync: true });
    }
    assertEquals(pauses, 0);
    await store.flush();
    assertEquals(pauses, 10);
    await store.flush();
    await store.compact();
    assertEquals(pauses, 10, "one table is only moved");
    await store.write([{ key: Uint8Array.of(1, 0), value }], { sync: true });
    await store.compact();
    assertEquals(pauses, 20);
  });
});
