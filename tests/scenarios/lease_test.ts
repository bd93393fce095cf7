/**
 * Leases: who leads a key, and what a write through another node promises, also
 * where that node is down, cut off, or gone.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  LeaseholderUnavailableError,
  LeaseNotTransferableError,
  NodeNotFoundError,
  OutcomeUnknownError,
} from "../../mod.ts";
import { assertReads, scenario, type SimCluster } from "../sim/cluster.ts";

/** Three nodes, of which b leads "key"; all know it. */
async function three(cluster: SimCluster) {
  const a = await cluster.open("a");
  const b = await cluster.open("b");
  const c = await cluster.open("c");
  await cluster.until(
    "all are connected",
    () => [a, b, c].every((db) => db.metrics().peersConnected === 2),
  );
  await b.set("key", "0");
  await cluster.converged("a", "b", "c");
  return { a, b, c };
}

scenario(
  "lease: what is written through another node is read there at once, sets and deletes, also right after",
  async (cluster) => {
    const { a } = await three(cluster);
    for (let i = 1; i <= 10; i++) {
      await a.set("key", `${i}`);
      await assertReads(a, "key", `${i}`);
      await a.delete("key");
      await assertReads(a, "key", undefined);
      assertEquals(await a.count(), 0);
    }
    // Deleting what is gone at the leaseholder, too.
    assertEquals((await a.delete("key")).version, undefined);
    await cluster.converged("a", "b", "c");
  },
);

scenario(
  "lease: a delete through a node that has not heard of the newest value removes that one",
  async (cluster) => {
    const { a, b } = await three(cluster);
    // Pushes of b hang on the way; requests are made on a link that works again.
    cluster.cut(["a"], ["b"]);
    await b.set("key", "newest");
    await assertReads(a, "key", "0");
    cluster.world.heal();
    await a.delete("key");
    await assertReads(a, "key", undefined);
    await assertReads(b, "key", undefined);
  },
  { defaults: { propagation: { antiEntropyIntervalMs: 60_000 } } },
);

scenario(
  "lease: one that the gateway knows nothing of is refused by the node that does",
  async (cluster) => {
    const { a, b, c } = await three(cluster);
    cluster.cut(["a"], ["c"]);
    await c.set("hidden", "by c");
    await cluster.until("b knows it", () => b.has("hidden"), 500);
    assertEquals(await a.has("hidden"), false);
    const error = await assertRejects(
      () => a.set("hidden", "by a", { lease: 2 }),
      LeaseNotTransferableError,
    );
    assertEquals([error.leaseholder, error.requested], [3, 2]);
    await assertReads(b, "hidden", "by c");
    cluster.world.heal();
    await cluster.converged("a", "b", "c");
    await assertReads(a, "hidden", "by c");
    assertEquals(a.metrics().conflicts, 0);
  },
  { defaults: { propagation: { antiEntropyIntervalMs: 60_000 } } },
);

scenario(
  "lease: one of a node that there is not is refused, and nothing is written",
  async (cluster) => {
    const { a } = await three(cluster);
    const error = await assertRejects(
      () => a.set("new", "value", { lease: 77 }),
      NodeNotFoundError,
    );
    assertEquals(error.node, 77);
    await cluster.world.sleep(1000);
    assertEquals(await a.has("new"), false);
  },
);

scenario(
  "lease: a key that was claimed by one node is claimed by no other, also over its death",
  async (cluster) => {
    const { a, b } = await three(cluster);
    await a.delete("key");
    await b.close();
    await assertRejects(
      () => a.set("key", "x", { timeoutMs: 500 }),
      LeaseholderUnavailableError,
    );
    await assertReads(a, "key", undefined);
    await cluster.reopen("b");
    await a.set("key", "y");
    assertEquals((await a.getEntry("key"))?.leaseholder, 2);
  },
);

scenario(
  "X8: with its leaseholder dead a write ends within its deadline, and reads go on",
  async (cluster) => {
    const { a, c } = await three(cluster);
    await cluster.killNoticed("b");
    for (const timeoutMs of [200, 1000, undefined]) {
      const tookMs = await cluster.timed(async () => {
        const error = await assertRejects(
          () => a.set("key", "1", timeoutMs === undefined ? {} : { timeoutMs }),
          LeaseholderUnavailableError,
        );
        assertEquals(error.leaseholder, 2);
      });
      assert(tookMs <= (timeoutMs ?? 10_000) + 1, `${tookMs} ms`);
      await assertReads(a, "key", "0");
    }
    // What others lead is written as ever.
    const tookMs = await cluster.timed(() => a.set("own", "1"));
    assert(tookMs < 50, `${tookMs} ms`);
    await cluster.until("c has it", () => c.has("own"), 500);
    // And when it is back, so is its key.
    await cluster.reopen("b");
    await a.set("key", "2");
    await assertReads(cluster.node("b"), "key", "2");
  },
);

scenario(
  "lease: a write to a leaseholder that is cut off before anything was sent is unavailable; one cut off after sending is of unknown outcome",
  async (cluster) => {
    const { a, b } = await three(cluster);
    cluster.cut(["b"], ["a", "c"]);
    let tookMs = await cluster.timed(() =>
      assertRejects(
        () => a.set("key", "unknown", { timeoutMs: 700 }),
        OutcomeUnknownError,
      )
    );
    assert(tookMs <= 701, `${tookMs} ms`);
    await assertReads(a, "key", "0");
    // Once the silence was noticed there is no connection to send on.
    await cluster.until(
      "a has noticed",
      () => a.metrics().peersConnected === 1,
    );
    tookMs = await cluster.timed(() =>
      assertRejects(
        () => a.set("key", "never", { timeoutMs: 700 }),
        LeaseholderUnavailableError,
      )
    );
    assert(tookMs <= 701, `${tookMs} ms`);
    cluster.world.heal();
    await cluster.converged("a", "b", "c");
    const value = new TextDecoder().decode(b.getSync("key"));
    assert(["0", "unknown"].includes(value), value);
    await a.set("key", "on");
    await assertReads(b, "key", "on");
  },
);

scenario(
  "lease: where nothing could be sent by the deadline the leaseholder is unavailable, whichever timer comes first",
  async (cluster) => {
    const { a } = await three(cluster);
    cluster.cut(["b"], ["a", "c"]);
    await cluster.until(
      "a has noticed",
      () => a.metrics().peersConnected === 1,
    );
    await assertRejects(
      () => a.set("key", "never", { timeoutMs: 300 }),
      LeaseholderUnavailableError,
    );
  },
  { seeds: 12 },
);

scenario(
  "lease: a leaseholder that dies between a request and its reply leaves an unknown outcome, which its disk decides",
  async (cluster, seed) => {
    const { a } = await three(cluster);
    const setting = a.set("key", "1").then(
      () => "acked",
      (error) => {
        assert(
          error instanceof OutcomeUnknownError ||
            error instanceof LeaseholderUnavailableError,
          `${error}`,
        );
        return error.name;
      },
    );
    await cluster.world.sleep(seed / 2);
    cluster.kill("b");
    const outcome = await setting;
    const again = await cluster.reopen("b");
    await cluster.converged("a", "b", "c");
    const value = new TextDecoder().decode(again.getSync("key"));
    assertEquals(new TextDecoder().decode(a.getSync("key")), value);
    if (outcome === "acked") assertEquals(value, "1");
    if (outcome === "LeaseholderUnavailableError") assertEquals(value, "0");
  },
  { seeds: 12 },
);

scenario(
  "lease: a signal ends a write that waits, with its reason",
  async (cluster) => {
    const { a } = await three(cluster);
    await assertRejects(
      () =>
        a.set("key", "1", { signal: AbortSignal.abort(new Error("early")) }),
      Error,
      "early",
    );
    await assertReads(a, "key", "0");
    await cluster.killNoticed("b");
    const abort = new AbortController();
    cluster.world.schedule(100, () => abort.abort(new Error("enough")));
    const tookMs = await cluster.timed(() =>
      assertRejects(
        () => a.set("key", "1", { signal: abort.signal }),
        Error,
      )
    );
    assert(tookMs <= 101, `${tookMs} ms`);
  },
);
