import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { OutcomeUnknownError, UnreachableError } from "../runtime/mod.ts";
import { World } from "../runtime/virtual/mod.ts";
import { MessageType } from "./registry.ts";
import type { EstablishedConnection } from "./connection.ts";
import { replaces } from "./peer.ts";
import { joined, testIdentity, testNode } from "./testing/node.ts";

const { PULL } = MessageType;
const SEEDS = 60;

Deno.test("simultaneous dials settle on one connection a lane, losing no request", async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const world = new World({ seed, latencyMs: [0.2, seed % 3 ? 2 : 60] });
    const random = world.random("test");
    const a = testNode(world.runtime("a"), { node: 1 });
    const b = testNode(world.runtime("b"), { node: 2 });
    await world.run(async () => {
      await a.endpoint.listen("a:1");
      await b.endpoint.listen("b:1");
      const toB = a.endpoint.keep(2, "b:1");
      if (seed % 2) await world.sleep(random.float() * (seed % 3 ? 4 : 100));
      const toA = b.endpoint.keep(1, "a:1");
      const requests: Promise<Uint8Array>[] = [];
      for (let i = 0; i < 30; i++) {
        const from = random.chance(0.5) ? toA : toB;
        const lane = random.chance(0.5) ? "bulk" : "control";
        const size = random.chance(0.2) ? 600_000 : 10;
        requests.push(from.request(PULL, new Uint8Array(size), { lane }));
        await world.sleep(random.float() * (seed % 3 ? 1 : 10));
      }
      await Promise.all(requests);
      await world.sleep(11_000);
      assert(joined(a, b), `seed ${seed}: ${a.log} | ${b.log}`);
      const settled = [a.log.length, b.log.length];
      assert(settled[0]! <= 10 && settled[1]! <= 10, `seed ${seed}: ${a.log}`);
      await world.sleep(120_000);
      assertEquals([a.log.length, b.log.length], settled, `seed ${seed}`);
      await Promise.all([a.endpoint.close(), b.endpoint.close()]);
    });
  }
});

Deno.test("whatever is cut, reset and restarted, both lanes come back and stay", async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const world = new World({ seed });
    const random = world.random("test");
    const names = ["a", "b"] as const;
    const start = async (name: "a" | "b") => {
      const node = name === "a" ? 1 : 2;
      const other = name === "a" ? "b" : "a";
      const made = testNode(world.runtime(name), {
        node,
        identity: { generation: ++generation },
        tuning: { backoffMaxMs: 5000 },
      });
      await made.endpoint.listen(`${name}:1`);
      made.endpoint.keep(3 - node, `${other}:1`);
      return made;
    };
    let generation = 0;
    await world.run(async () => {
      const nodes = { a: await start("a"), b: await start("b") };
      for (let step = 0; step < 12; step++) {
        const what = random.below(5);
        const name = names[random.below(2)]!;
        if (what === 0) world.cut("a", "b");
        else if (what === 1) world.heal();
        else if (what === 2) world.reset("a", "b");
        else if (what === 3) {
          world.kill(name);
          nodes[name] = await start(name);
        } else {
          await Promise.race([nodes[name].endpoint.close(), world.sleep(2000)]);
          world.kill(name);
          nodes[name] = await start(name);
        }
        await world.sleep(random.float() ** 3 * 20_000);
      }
      world.heal();
      await world.sleep(60_000);
      const { a, b } = nodes;
      assert(joined(a, b), `seed ${seed}: ${a.log} | ${b.log}`);
      const settled = [a.log.length, b.log.length];
      await a.endpoint.peer(2)!.request(PULL, new Uint8Array(9));
      await b.endpoint.peer(1)!.request(PULL, new Uint8Array(9));
      await world.sleep(60_000);
      assertEquals([a.log.length, b.log.length], settled);
      for (const log of [a.log, b.log]) {
        assertEquals(
          log.filter((line) => line.includes("connected ") ? false : true),
          [],
        );
      }
      await Promise.all([a.endpoint.close(), b.endpoint.close()]);
    }, { maxMs: 3_600_000 });
  }
});

Deno.test("a request to nobody fails as unreachable at once, whatever the backoff", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), {
    node: 1,
    tuning: { backoffMinMs: 50_000, backoffMaxMs: 60_000 },
  });
  await world.run(async () => {
    const peer = a.endpoint.keep(2, "b:1");
    for (let i = 0; i < 3; i++) {
      const start = world.now;
      await assertRejects(
        () => peer.request(PULL, new Uint8Array(1)),
        UnreachableError,
      );
      assert(world.now - start < 10);
    }
    assertEquals(peer.send(PULL, new Uint8Array(1)), false);
    // The node comes: the next request finds it without waiting.
    const b = testNode(world.runtime("b"), { node: 2 });
    await b.endpoint.listen("b:1");
    await peer.request(PULL, new Uint8Array(1));
    assert(peer.connected);
    assert(world.now < 1000);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });
});

Deno.test("a request whose deadline passes while dialling was not sent", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1 });
  const b = testNode(world.runtime("b"), { node: 2 });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    world.cut("a", "b");
    const peer = a.endpoint.keep(2, "b:1");
    const error = await assertRejects(
      () => peer.request(PULL, new Uint8Array(1), { timeoutMs: 300 }),
      UnreachableError,
    );
    assertEquals((error.cause as Error).name, "DeadlineExceededError");
    assertEquals(world.now, 300);
    const controller = new AbortController();
    const { signal } = controller;
    const request = peer.request(PULL, new Uint8Array(1), { signal });
    world.schedule(10, () => controller.abort("stop"));
    assertEquals(await request.catch((reason) => reason), "stop");
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });
});

Deno.test("the redials of a peer that is away spread out, and never end", async () => {
  const world = new World({ seed: 1 });
  const dials: number[] = [];
  const runtime = world.runtime("a");
  const a = testNode({
    ...runtime,
    network: {
      listen: (address) => runtime.network.listen(address),
      dial(address, options) {
        dials.push(world.now);
        return runtime.network.dial(address, options);
      },
    },
  }, { node: 1 });
  await world.run(async () => {
    a.endpoint.keep(2, "b:1");
    await world.sleep(3_600_000);
    const perLane = dials.length / 2;
    assert(perLane > 3600 / 30 && perLane < 3600 / 5, `${perLane}`);
    assert(dials.filter((at) => at < 1000).length < 20);
    assert(dials.at(-1)! > 3_560_000);
    await a.endpoint.close();
  }, { maxMs: 4_000_000 });
});

Deno.test("a connection that came from a node not kept serves, and becomes the peer's", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1 });
  const b = testNode(world.runtime("b"), { node: 2 });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    await a.endpoint.keep(2, "b:1").request(PULL, new Uint8Array(1));
    await world.sleep(100);
    assertEquals(b.endpoint.peer(1), undefined);
    const peer = b.endpoint.keep(1, "");
    assert(peer.connected);
    await peer.request(PULL, new Uint8Array(1));
    // It is only waited for: once it has gone there is no way to it.
    a.endpoint.forget(2);
    assertEquals(a.endpoint.peer(2), undefined);
    await world.sleep(1000);
    assert(!peer.connected);
    await assertRejects(
      () => peer.request(PULL, new Uint8Array(1)),
      UnreachableError,
    );
    a.endpoint.keep(2, "b:1");
    await world.sleep(1000);
    assert(peer.connected);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });
});

Deno.test("what waits for a node that is forgotten is told that it is not to be reached", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1 });
  await world.run(async () => {
    // Nobody listens there: the request waits for a connection.
    const asked = a.endpoint.keep(2, "b:1").request(PULL, new Uint8Array(1));
    const refused = assertRejects(() => asked, UnreachableError);
    a.endpoint.forget(2);
    await refused;
    await a.endpoint.close();
  });
});

Deno.test("what was not sent when the transport ends a connection is told so too", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1 });
  const b = testNode(world.runtime("b"), { node: 2 });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    const peer = a.endpoint.keep(2, "b:1");
    await peer.request(PULL, new Uint8Array(1));
    const unsent = peer.request(PULL, new Uint8Array(1));
    const refused = assertRejects(() => unsent, UnreachableError);
    a.endpoint.forget(2);
    await refused;
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });
});

Deno.test("a peer that moves is dialled where it went, and another node there is refused", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1 });
  const b = testNode(world.runtime("b"), { node: 2 });
  const c = testNode(world.runtime("c"), { node: 3 });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    await c.endpoint.listen("c:1");
    const peer = a.endpoint.keep(2, "c:1");
    const error = await assertRejects(
      () => peer.request(PULL, new Uint8Array(1)),
      UnreachableError,
    );
    assertInstanceOf(error.cause, Error);
    assertEquals(c.log, []);
    assertEquals(a.endpoint.keep(2, "b:1"), peer);
    await peer.request(PULL, new Uint8Array(1));
    assertEquals(peer.address, "b:1");
    await Promise.all([a, b, c].map((node) => node.endpoint.close()));
  });
});

Deno.test("a node that says GOODBYE is dialled again, and found when it is back", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1 });
  const b = testNode(world.runtime("b"), {
    node: 2,
    handler: { request: () => new Promise(() => {}) },
  });
  await world.run(async () => {
    await b.endpoint.listen("b:1");
    const peer = a.endpoint.keep(2, "b:1");
    const sent = peer.request(PULL, new Uint8Array(1));
    world.schedule(50, () => b.endpoint.close());
    await assertRejects(() => sent, OutcomeUnknownError);
    assert(!peer.connected);
    await world.sleep(5000);
    const again = testNode(world.runtime("b"), {
      node: 2,
      identity: { generation: 2 },
    });
    await again.endpoint.listen("b:1");
    await world.sleep(31_000);
    assert(peer.connected);
    await Promise.all([a.endpoint.close(), again.endpoint.close()]);
  });
});

Deno.test("of two starts of a node the newer stays, in whatever order they come", async () => {
  for (const generations of [[1, 2], [2, 1]]) {
    const world = new World({ seed: 1 });
    const b = testNode(world.runtime("b"), { node: 2 });
    const [first, second] = generations.map((generation) =>
      testNode(world.runtime(`a${generation}`), {
        node: 1,
        identity: { generation },
      })
    );
    await world.run(async () => {
      await b.endpoint.listen("b:1");
      first!.endpoint.keep(2, "b:1");
      await world.sleep(100);
      second!.endpoint.keep(2, "b:1");
      await world.sleep(20);
      assertEquals(b.current.get("1 control")?.remote.generation, 2);
      assertEquals(b.current.get("1 bulk")?.remote.generation, 2);
      await Promise.all(
        [first!, second!, b].map((node) => node.endpoint.close()),
      );
    });
  }
});

Deno.test("which of two connections stays is as the table in PROTOCOL.md says, at both ends", () => {
  const made = (
    dialler: number,
    end: number,
    since: number,
    start: { nonce?: number; generation?: number } = {},
  ) => {
    const { nonce = 1, generation = 1 } = start;
    const remote = testIdentity(3 - end, new Uint8Array(8).fill(nonce));
    return {
      dialled: dialler === end,
      local: end,
      since,
      remote: { ...remote, generation },
    } as EstablishedConnection;
  };
  for (const end of [1, 2]) {
    const second = (dialler: number, old: number, since = 10) =>
      replaces(made(dialler, end, since), made(old, end, 0), 5000);
    assertEquals(second(1, 1), true, "dialled again by the lower");
    assertEquals(second(2, 2), true, "dialled again by the higher");
    assertEquals(second(1, 2), true, "at once: the lower's comes second");
    assertEquals(second(2, 1), false, "at once: the higher's comes second");
    assertEquals(second(2, 1, 5001), true, "the first is too old for that");
  }
  const start = (generation: number) =>
    replaces(
      made(2, 1, 10, { nonce: 2, generation }),
      made(1, 1, 0, { generation: 5 }),
      5000,
    );
  assertEquals([start(4), start(5), start(6)], [false, true, true]);
});

Deno.test("a node is no peer of itself, and does not pile up connections trying", async () => {
  const world = new World({ seed: 1 });
  const a = testNode(world.runtime("a"), { node: 1 });
  await world.run(async () => {
    await a.endpoint.listen("a:1");
    const peer = a.endpoint.keep(1, "a:1");
    await assertRejects(
      () => peer.request(PULL, new Uint8Array(1)),
      UnreachableError,
    );
    await world.sleep(60_000);
    assertEquals(a.log, []);
    await a.endpoint.close();
  });
});
