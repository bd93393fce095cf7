/**
 * Connections on demand: what an endpoint does that keeps more peers than
 * `connectionsMax`.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnreachableError } from "../runtime/mod.ts";
import { World } from "../runtime/virtual/mod.ts";
import { MessageType } from "./registry.ts";
import { type TestNode, testNode } from "./testing/node.ts";
import type { EndpointTuning } from "./types.ts";

const { PULL, RECORDS } = MessageType;

/**
 * Runs a program with nodes 1 to `count` that keep each other, all in one go: where
 * they are too many, nobody has dialled.
 */
async function withNodes(
  count: number,
  tuning: EndpointTuning,
  program: (nodes: TestNode[], world: World) => Promise<void>,
  seed = 1,
): Promise<void> {
  const world = new World({ seed });
  const nodes = Array.from(
    { length: count },
    (_, i) => testNode(world.runtime(`n${i + 1}`), { node: i + 1, tuning }),
  );
  await world.run(async () => {
    for (const [i, { endpoint }] of nodes.entries()) {
      await endpoint.listen(`n${i + 1}:1`);
    }
    for (const { endpoint, identity } of nodes) {
      for (let node = 1; node <= count; node++) {
        if (node !== identity.node) endpoint.keep(node, `n${node}:1`);
      }
    }
    await world.sleep(30_000);
    for (const { log, endpoint } of nodes) {
      if (endpoint.onDemand) assertEquals(log, []);
      log.length = 0;
    }
    await program(nodes, world);
    await Promise.all(nodes.map(({ endpoint }) => endpoint.close()));
  }, { maxMs: 10_000_000 });
}

function ask(from: TestNode, node: number): Promise<Uint8Array> {
  return from.endpoint.peer(node)!.request(PULL, new Uint8Array(1));
}

Deno.test("with more peers than connections may stand, only requests dial, and what nobody uses is closed without a loss", async () => {
  await withNodes(4, { connectionsMax: 2 }, async ([a, b, c], world) => {
    assert(a!.endpoint.onDemand);
    await ask(a!, 2);
    assertEquals(a!.endpoint.peer(2)!.connected, true);
    await world.sleep(12_000);
    assertEquals(a!.log, ["connected 2 control", "released 2 control"]);
    assertEquals(b!.log, ["connected 1 control", "released 1 control"]);
    // Nobody dials again by itself; the next request does.
    await world.sleep(120_000);
    assertEquals(a!.log.length, 2);
    await ask(b!, 1);
    assertEquals(a!.log.slice(2), ["connected 2 control"]);
    assertEquals(c!.log, []);
  });
});

Deno.test("as many peers as connections may stand are connected for ever", async () => {
  await withNodes(4, { connectionsMax: 3 }, async (nodes, world) => {
    await world.sleep(120_000);
    for (const { log, endpoint, current } of nodes) {
      assert(!endpoint.onDemand);
      assertEquals(log, []);
      assertEquals(current.size, 6);
    }
  });
});

Deno.test("a connection on which one end alone speaks is used, also for the other end", async () => {
  await withNodes(4, { connectionsMax: 2 }, async ([a, b], world) => {
    await ask(a!, 2);
    for (let i = 0; i < 20; i++) {
      await world.sleep(3000);
      assert(a!.endpoint.peer(2)!.send(RECORDS, new Uint8Array(1)));
    }
    await world.sleep(10);
    assertEquals(b!.log.filter((line) => line.includes("message")).length, 20);
    assert(!a!.log.includes("released 2 control"));
  });
});

Deno.test("no request is lost because a connection is closed as unused at that moment", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    await withNodes(4, { connectionsMax: 1 }, async ([a, b], world) => {
      const random = world.random("test");
      for (let i = 0; i < 40; i++) {
        const asked = random.chance(0.5) ? ask(a!, 2) : ask(b!, 1);
        // The moment at which both ends find that nobody uses it.
        await world.sleep(4990 + random.float() * 20);
        await asked;
      }
      for (const { log } of [a!, b!]) {
        assertEquals(
          log.filter((line) => !/^(connected|released) \d control$/.test(line)),
          [],
        );
      }
      assert(a!.log.filter((line) => line.startsWith("released")).length > 5);
    }, seed);
  }
});

Deno.test("the longest unused connection ends when one more than may stand is made", async () => {
  await withNodes(12, { connectionsMax: 4 }, async ([a], world) => {
    for (let node = 2; node <= 12; node++) {
      await ask(a!, node);
      await world.sleep(50);
    }
    assertEquals(
      a!.log.filter((line) => line.startsWith("released")),
      ["released 2 control", "released 3 control", "released 4 control"],
    );
    assertEquals(a!.current.size, 8);
  });
});

Deno.test("what is in work is not ended, however many connections there are", async () => {
  const world = new World({ seed: 1 });
  const nodes = Array.from(
    { length: 6 },
    (_, i) =>
      testNode(world.runtime(`n${i + 1}`), {
        node: i + 1,
        tuning: { connectionsMax: 1, keepaliveMs: 500 },
        handler: {
          request: async (_from, _type, payload) => {
            await world.sleep(4000);
            return payload;
          },
        },
      }),
  );
  await world.run(async () => {
    const [a, ...others] = nodes;
    for (const { endpoint, identity: { node } } of others) {
      await endpoint.listen(`n${node}:1`);
      a!.endpoint.keep(node, `n${node}:1`);
    }
    await Promise.all(others.map(({ identity }) => ask(a!, identity.node)));
    await Promise.all(nodes.map(({ endpoint }) => endpoint.close()));
  });
});

Deno.test("when few enough peers are left, all of them are dialled, but not at once", async () => {
  await withNodes(4, { connectionsMax: 2 }, async ([a], world) => {
    a!.endpoint.forget(4);
    assert(!a!.endpoint.onDemand);
    await world.sleep(60);
    assertEquals(a!.log, []);
    await world.sleep(1440);
    assertEquals(a!.current.size, 4);
  });
});

Deno.test("a node whose peer keeps fewer connections than it does is not always dialling", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1 });
  const b = testNode(world.runtime("b"), {
    node: 2,
    tuning: { connectionsMax: 1 },
  });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    a.endpoint.keep(2, "b:1");
    for (const node of [1, 3, 4]) b.endpoint.keep(node, "");
    await world.sleep(600_000);
    const dials = a.log.filter((line) => line === "connected 2 control").length;
    assert(dials > 10 && dials < 60, `${dials} dials`);
    assertEquals(a.log.filter((line) => line.startsWith("disconnected")), []);
    await ask(a, 2);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  }, { maxMs: 1_000_000 });
});

Deno.test("a peer that moves while a request dials it is found at its new address", async () => {
  await withNodes(4, { connectionsMax: 2 }, async ([a], world) => {
    const peer = a!.endpoint.keep(2, "nowhere:1");
    await assertRejects(() => ask(a!, 2), UnreachableError);
    world.cut("n1", "n2");
    a!.endpoint.keep(2, "n2:1");
    const asked = ask(a!, 2);
    await world.sleep(500);
    world.heal();
    a!.endpoint.keep(2, "n2:1");
    await asked;
    assert(peer.connected);
  });
});
