import { assertEquals, assertRejects } from "@std/assert";
import {
  JoinAbortedError,
  NodeKeysExhaustedError,
  RemoteError,
  UnreachableError,
} from "../../runtime/mod.ts";
import { World } from "../../runtime/virtual/mod.ts";
import type { Connection } from "../../transport/mod.ts";
import { PROPAGATION_DEFAULT } from "../propagation.ts";
import { pledge, type PledgeOptions } from "./pledge.ts";

const PEERS = ["a:1", "b:1", "c:1", "d:1"];

/** A pledge in a world of its own; `dial` is all of the network there is. */
function pledging(
  dial: (address: string) => Promise<Connection>,
  signal?: AbortSignal,
) {
  const world = new World({ seed: 1 });
  const { timers, random } = world.runtime("joiner");
  const dialled: { address: string; at: number }[] = [];
  const options: PledgeOptions = {
    endpoint: {
      dial: (address) => {
        dialled.push({ address, at: world.now });
        return dial(address);
      },
    },
    timers,
    random,
    propagation: PROPAGATION_DEFAULT,
    peers: PEERS,
    request: { ticket: new Uint8Array(16), address: "joiner:1" },
    signal,
  };
  return { world, dialled, options };
}

const nobody = (address: string) =>
  Promise.reject(new UnreachableError("dial", [address]));

Deno.test("P1: where nobody answers the peers are asked in turn, ever more slowly, until the signal aborts", async () => {
  const abort = new AbortController();
  const { world, dialled, options } = pledging(nobody, abort.signal);
  const reason = new Error("given up");
  world.schedule(60_000, () => abort.abort(reason));
  const error = await assertRejects(
    () => world.run(() => pledge(options)),
    JoinAbortedError,
    "nobody answers",
  );
  assertEquals(error.reason, reason);
  assertEquals(error.peers, PEERS);
  assertEquals(world.now, 60_000);
  // At least two whole cycles, in order.
  assertEquals(
    dialled.map(({ address }) => address),
    dialled.map((_, i) => PEERS[i % PEERS.length]!),
  );
  assertEquals(dialled.length >= 2 * PEERS.length, true);
  // Pauses begin at the interval, and grow; each with its jitter.
  const pauses = dialled.slice(1).map(({ at }, i) => at - dialled[i]!.at);
  pauses.forEach((pause, i) => {
    const least = 1000 * 1.25 ** i;
    assertEquals(pause >= least && pause <= least * 1.25, true, `${pauses}`);
  });
});

Deno.test("P1: the pause between two pledges grows up to thirty times the interval", async () => {
  const abort = new AbortController();
  const { world, dialled, options } = pledging(nobody, abort.signal);
  world.schedule(1_000_000, () => abort.abort());
  await assertRejects(() =>
    world.run(() => pledge(options), { maxMs: 2_000_000 })
  );
  const pauses = dialled.slice(1).map(({ at }, i) => at - dialled[i]!.at);
  for (const pause of pauses.slice(-10)) {
    assertEquals(pause >= 30_000 && pause <= 37_500, true, `${pause}`);
  }
});

Deno.test("P6: a pledge whose signal was aborted before asks nobody, and rejects with the reason", async () => {
  const reason = new Error("never mind");
  const { world, dialled, options } = pledging(
    nobody,
    AbortSignal.abort(reason),
  );
  const error = await assertRejects(() => world.run(() => pledge(options)));
  assertEquals(error, reason);
  assertEquals(dialled, []);
});

Deno.test("where the cluster has no node key left the joiner is told, and asks no more", async () => {
  const full = new RemoteError("NodeKeysExhaustedError", "Cannot give a key");
  const { world, dialled, options } = pledging(() => Promise.reject(full));
  await assertRejects(
    () => world.run(() => pledge(options)),
    NodeKeysExhaustedError,
  );
  assertEquals(dialled.length, 1);
});
