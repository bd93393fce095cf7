import { assert, assertEquals } from "@std/assert";
import { World } from "../../runtime/virtual/mod.ts";
import { Seeds } from "./seeds.ts";

Deno.test("addresses are asked one by one, for ever, but for those where a member is; none after the close", async () => {
  const world = new World({ seed: 1 });
  const { timers, random } = world.runtime("a");
  const asked: string[] = [];
  const reached = new Set(["here:1"]);
  const seeds = new Seeds({
    addresses: ["here:1", "down:1", "there:1"],
    timers,
    random,
    intervalMs: 1000,
    reaches: (address) => reached.has(address),
    async ask(address) {
      asked.push(address);
      await world.sleep(10);
      assertEquals(asked.at(-1), address, "one at a time");
      if (address === "down:1") throw new Error("nobody there");
    },
  });
  await world.run(async () => {
    seeds.start();
    await world.sleep(30);
    assertEquals(asked, ["down:1", "there:1"]);
    reached.add("there:1");
    await world.sleep(5000);
    assert(asked.length >= 7, `${asked}`);
    assertEquals(new Set(asked.slice(2)), new Set(["down:1"]));
    await seeds.close();
    const { length } = asked;
    await world.sleep(5000);
    assertEquals(asked.length, length);
  });
});
