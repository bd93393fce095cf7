/**
 * Clusters whose nodes do not speak the same versions of the protocol.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { openLsm } from "../../engine/mod.ts";
import { Events } from "../../gossip/events.ts";
import { openNode } from "../../gossip/open.ts";
import { propagationOf } from "../../gossip/propagation.ts";
import {
  type DatabaseEvent,
  type DB,
  JoinAbortedError,
  ProtocolMismatchError,
  type ProtocolRange,
} from "../../mod.ts";
import {
  assertReads,
  collect,
  scenario,
  type SimCluster,
} from "../sim/cluster.ts";

/**
 * Opens a node with a range of versions of its own, beneath the public `open`:
 * this release speaks one version, so users have nothing to choose.
 */
async function openSpeaking(
  cluster: SimCluster,
  name: string,
  protocols: ProtocolRange,
  { peer, signal }: { peer?: string; signal?: AbortSignal } = {},
): Promise<DB> {
  const runtime = cluster.world.runtime(name);
  const { files, random } = runtime;
  const db = await openNode({
    runtime,
    path: "/data",
    kv: await openLsm("/data", { files, random }),
    ownsEngine: true,
    isVolatile: false,
    address: cluster.address(name),
    advertise: undefined,
    peers: peer === undefined ? [] : [cluster.address(peer)],
    bootstrap: peer === undefined,
    sync: true,
    propagation: propagationOf(undefined),
    secrets: [],
    protocols,
    signal,
    events: new Events(),
    software: "test",
  });
  cluster.nodes.set(name, db);
  return db;
}

/** What was told of nodes without a common version. */
function mismatches(events: readonly DatabaseEvent[]) {
  return events.flatMap((event) =>
    event.type === "refused" && event.error instanceof ProtocolMismatchError
      ? [{ node: event.node, error: event.error }]
      : []
  );
}

scenario(
  "a node that speaks fewer versions than the others joins, writes, reads and comes back",
  async (cluster) => {
    const a = await openSpeaking(cluster, "a", { min: 1, max: 3 });
    const b = await openSpeaking(cluster, "b", { min: 1, max: 1 }, {
      peer: "a",
    });
    const c = await openSpeaking(cluster, "c", { min: 1, max: 2 }, {
      peer: "b",
    });
    const events = [a, b, c].map((db) => collect(db.events()));
    for (const [i, db] of [a, b, c].entries()) await db.set(`of ${i}`, "");
    await cluster.converged("a", "b", "c");
    // Each writes what each of the others leads.
    for (const [i, db] of [a, b, c].entries()) {
      for (const holder of [0, 1, 2]) await db.set(`of ${holder}`, `${i}`);
    }
    await cluster.converged("a", "b", "c");
    await b.close();
    cluster.world.kill("b");
    const again = await openSpeaking(cluster, "b", { min: 1, max: 1 });
    await again.set("of 0", "back");
    await cluster.converged("a", "b", "c");
    await assertReads(a, "of 0", "back");
    await cluster.until(
      "all are healthy",
      () =>
        [a, again, c].every((db) =>
          [...db.cluster.nodes().values()].every(({ state }) =>
            state === "healthy"
          )
        ),
    );
    assertEquals(events.flatMap(mismatches), []);
  },
);

scenario(
  "two members without a common version say so, both, and reach each other by the others",
  async (cluster) => {
    const a = await openSpeaking(cluster, "a", { min: 1, max: 3 });
    const b = await openSpeaking(cluster, "b", { min: 1, max: 1 }, {
      peer: "a",
    });
    const c = await openSpeaking(cluster, "c", { min: 2, max: 3 }, {
      peer: "a",
    });
    const [ofB, ofC] = [b, c].map((db) => collect(db.events()));
    await a.set("a", "1");
    await b.set("b", "1");
    await c.set("c", "1");
    await cluster.converged("a", "b", "c");
    await cluster.world.sleep(60_000);
    const [told] = mismatches(ofB!).filter(({ node }) => node === 3);
    assertEquals([told?.error.ours.max, told?.error.theirs.min], [1, 2]);
    const [back] = mismatches(ofC!).filter(({ node }) => node === 2);
    assertEquals([back?.error.ours.min, back?.error.theirs.max], [2, 1]);
    // Each hears of the other, and that it is well, from who speaks with both.
    for (const db of [a, b, c]) {
      assertEquals(
        [...db.cluster.nodes().values()].map(({ state }) => state),
        ["healthy", "healthy", "healthy"],
      );
    }
    const refused = await assertRejects(() => b.set("c", "2"));
    assert(
      (refused as Error).cause instanceof ProtocolMismatchError,
      `${refused}`,
    );
  },
);

scenario(
  "who speaks no version of the cluster is not let in, and both sides say why",
  async (cluster) => {
    const a = await openSpeaking(cluster, "a", { min: 1, max: 1 });
    const events = collect(a.events());
    const aborting = new AbortController();
    const { signal } = aborting;
    const joining = assertRejects(
      () =>
        openSpeaking(cluster, "b", { min: 2, max: 3 }, { peer: "a", signal }),
      JoinAbortedError,
      "it speaks protocol 1, this node 2 to 3",
    );
    await cluster.world.sleep(10_000);
    aborting.abort("enough");
    const { cause } = await joining;
    assert(cause instanceof ProtocolMismatchError, `${cause}`);
    const told = mismatches(events);
    assertEquals(told[0]?.node, 0);
    assertEquals(told[0]?.error.theirs, { min: 2, max: 3 });
    assertEquals(a.cluster.nodes().size, 1);
  },
);
