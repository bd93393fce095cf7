import { assertEquals, assertRejects } from "@std/assert";
import { NotCaughtUpError } from "../../runtime/mod.ts";
import { World } from "../../runtime/virtual/mod.ts";
import { Events } from "../events.ts";
import { metaKey } from "../keyspace.ts";
import type { Pull } from "../replication/pull.ts";
import { decodeCounters } from "../replication/state.ts";
import { Vector } from "../replication/vector.ts";
import { openReplica, sets, turns } from "../replication/world_test.ts";
import { Generation } from "./host.ts";
import { Reset } from "./reset.ts";

async function resetOf(world: World) {
  const node = await openReplica(1);
  const host = { clusterId: new Uint8Array(16), node: 1, generation: 1 };
  const generation = new Generation(host);
  const done: string[] = [];
  const events = new Events();
  const reset = new Reset({
    node: 1,
    replica: node.replica,
    pull: { nudgeAny: () => done.push("pull") } as unknown as Pull,
    generation,
    timers: world.runtime("a").timers,
    events,
    onVoid: () => done.push("told to nobody"),
    fallSilent: () => {
      // It votes no more before anything else is written.
      const { caughtUp } = decodeCounters(
        node.kv.getDurable(metaKey("counters"))!,
      );
      done.push(`silent, ${caughtUp ? "whole" : "void"}`);
      return Promise.resolve();
    },
  });
  const { replica } = node;
  const copy = async () => {
    await replica.beginCopy();
    await replica.ingest({
      whole: true,
      base: new Vector(),
      vector: new Vector(),
      entries: [],
      intents: [],
      lifeGone: 0,
      lifeFloor: 0,
      floor: new Vector(),
      incarnations: [],
      folds: [],
    });
  };
  return { ...node, events, generation, reset, done, copy };
}

Deno.test("S5: an old disk's node votes no more, is void, above what others know, and asks for a copy, once", async () => {
  const world = new World({ seed: 1 });
  await world.run(async () => {
    const { replica, kv, generation, reset, done } = await resetOf(world);
    await replica.commit(sets({ k: "v" }));
    const { nonce } = replica.incarnation;
    reset.found({ generation: 7, nonce: new Uint8Array(8).fill(99) });
    await turns();
    assertEquals([replica.caughtUp, done], [true, []]);
    for (let i = 0; i < 3; i++) reset.found({ generation: 7, nonce });
    await turns();
    assertEquals([replica.caughtUp, done], [false, [
      "silent, whole",
      "told to nobody",
      "pull",
    ]]);
    assertEquals(generation.current, 7);
    assertEquals(kv.getDurable(metaKey("host"))!.at(-1), 7);
    await assertRejects(
      () => replica.commit(sets({ k: "w" })),
      NotCaughtUpError,
    );
    await reset.close();
  });
});

Deno.test("who is reset again and again pauses in between, ever longer", async () => {
  const world = new World({ seed: 1 });
  await world.run(async () => {
    const { replica, reset, done, copy } = await resetOf(world);
    const tell = () => {
      const { generation, nonce } = replica.incarnation;
      reset.found({ generation, nonce });
    };
    const waits: number[] = [];
    tell();
    await turns();
    for (let i = 2; i <= 4; i++) {
      await copy();
      const since = world.now;
      while (done.length < 3 * i) {
        await world.sleep(1001);
        tell();
        await turns();
      }
      waits.push(Math.round((world.now - since) / 1000));
    }
    assertEquals(waits, [10, 20, 40]);
    await reset.close();
  });
});

Deno.test("that a disk was found old is told again if nobody could hear it, and only then", async () => {
  for (const hears of [false, true]) {
    const world = new World({ seed: 1 });
    await world.run(async () => {
      const { replica, events, reset } = await resetOf(world);
      const told: string[] = [];
      const listen = async () => {
        for await (const { type } of events.read()) told.push(type);
      };
      let listening = hears ? listen() : undefined;
      assertEquals(reset.isFound, false);
      const { generation, nonce } = replica.incarnation;
      reset.found({ generation, nonce });
      assertEquals(reset.isFound, true);
      await turns();
      assertEquals(reset.isFound, true);
      listening ??= listen();
      reset.tellAgain();
      reset.tellAgain();
      await turns();
      assertEquals(told, ["outdated"]);
      await reset.close();
      events.close();
      await listening;
    });
  }
});
