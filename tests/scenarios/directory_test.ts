import { assert, assertEquals, assertRejects } from "@std/assert";
import { LockedError, open } from "../../mod.ts";
import { assertReads, collect, scenario } from "../sim/cluster.ts";

scenario(
  "a copy of a node's directory that runs beside it is reported as cloned",
  async (cluster) => {
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await a.set("key", "value");
    await cluster.converged("a", "b");
    const events = [...[a, b].map((db) => collect(db.events()))];
    cluster.world.disk("x").restore(cluster.world.disk("b").image());
    const x = await cluster.reopen("x");
    assertEquals(x.cluster.host.key, b.cluster.host.key);
    events.push(collect(x.events()));
    await cluster.until(
      "somebody reports the clone",
      () => events.flat().some(({ type }) => type === "cloned"),
    );
    cluster.kill("x");
    await a.set("key", "after the clone");
    await cluster.converged("a", "b");
    await assertReads(b, "key", "after the clone");
  },
);

scenario(
  "a directory that is open is locked, for whoever opens it at another address",
  async (cluster) => {
    const a = await cluster.open("a");
    const { world } = cluster;
    await assertRejects(
      () => open("/data", { address: "a:2", runtime: world.runtime("a") }),
      LockedError,
    );
    await a.set("key", "value");
    await assertReads(a, "key", "value");
  },
);

scenario(
  "a disk put back to an old image merges: what others have comes back, what only it had is gone",
  async (cluster) => {
    const { world } = cluster;
    const a = await cluster.open("a");
    const b = await cluster.open("b");
    await b.set("old", "1");
    await cluster.converged("a", "b");
    const image = world.disk("b").image();
    await b.set("shared", "2");
    await cluster.converged("a", "b");
    cluster.cut(["a"], ["b"]);
    await b.set("only here", "3");
    cluster.kill("b");
    world.disk("b").restore(image);
    world.heal();
    const again = await cluster.reopen("b");
    await cluster.converged("a", "b");
    await assertReads(again, "shared", "2");
    await assertReads(again, "only here", undefined);
    await again.set("shared", "4");
    await cluster.converged("a", "b");
    await assertReads(a, "shared", "4");
    assert(again.cluster.host.key === 2);
  },
);
