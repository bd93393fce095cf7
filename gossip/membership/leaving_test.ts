import { assertEquals, assertRejects } from "@std/assert";
import {
  ClosedError,
  DecodeError,
  FormatVersionError,
  LeftUnheardError,
  NotMemberError,
  QuorumUnavailableError,
  RejectedError,
  UnreachableError,
} from "../../runtime/mod.ts";
import { World } from "../../runtime/virtual/mod.ts";
import { metaKey } from "../keyspace.ts";
import type { Pull } from "../replication/pull.ts";
import type { Replica } from "../replication/replica.ts";
import { Vector } from "../replication/vector.ts";
import { REMOVED } from "./admission.ts";
import type { Cluster } from "./cluster.ts";
import { ForgetfulKV } from "../register/world_test.ts";
import { Leaving, type LeavingOptions } from "./leaving.ts";

/** What a node that leaves calls, and says whether it still writes. */
function leaving(
  remove: () => Promise<void>,
  makeDispensable = () => Promise.resolve(),
) {
  const refusals: boolean[] = [];
  const stops: (() => Promise<void>)[] = [];
  const vector = new Vector();
  const world = new World({ seed: 1 });
  const cluster = {
    isRemoved: false,
    host: { key: 1 },
    config: { members: [1, 2], voters: [{ node: 2, seat: new Uint8Array(8) }] },
    leaving: false,
    candidates: () => [2],
    living: () => [2],
    reportOf: (): Promise<unknown> =>
      Promise.resolve({ vector, leaving: false }),
    makeDispensable,
    remove,
    refresh: (): Promise<void> =>
      Promise.reject(new QuorumUnavailableError("change", [2])),
  };
  const options = {
    kv: new ForgetfulKV(true),
    cluster: cluster as unknown as Cluster,
    replica: {
      durable: () => Promise.resolve({ vector, floor: new Vector() }),
      incarnation: { nonce: new Uint8Array(8) },
      refuse: (reason: unknown) => refusals.push(reason !== undefined),
    } as unknown as Replica,
    pull: { from: () => Promise.resolve() } as unknown as Pull,
    timers: world.runtime("a").timers,
  };
  /** Leaves, while time passes. */
  const run = async (signal: AbortSignal): Promise<void> => {
    const node = await Leaving.open(options);
    stops.push(() => node.close());
    const left = node.leave(signal);
    left.catch(() => {});
    await world.advance(900);
    await left;
  };
  return { options, cluster, refusals, world, run, stops };
}

async function leave(
  options: LeavingOptions,
  signal: AbortSignal,
): Promise<void> {
  const node = await Leaving.open(options);
  await node.leave(signal);
}

const { signal } = new AbortController();

Deno.test("a node leaves only once two others hold all that it has, or the only one there is", async () => {
  for (const [others, needed] of [[1, 1], [2, 2], [3, 2]] as const) {
    const own = new Vector();
    own.add(2, 1);
    let holders = 0;
    let removedWith: number | undefined;
    const { options, world } = leaving(() => {
      removedWith = holders;
      return Promise.resolve();
    });
    const nodes = Array.from({ length: others }, (_, i) => i + 2);
    Object.assign(options.cluster, {
      candidates: () => nodes,
      living: () => nodes,
      reportOf: (node: number) =>
        Promise.resolve({
          vector: node - 2 < holders ? own : new Vector(),
          leaving: false,
        }),
    });
    Object.assign(options.replica, {
      durable: () => Promise.resolve({ vector: own, floor: new Vector() }),
    });
    const left = leave(options, signal);
    for (holders = 0; holders < needed; holders++) {
      await world.advance(1000);
      assertEquals(removedWith, undefined, `${holders} of ${others} hold it`);
    }
    await world.advance(1000);
    await left;
    assertEquals(removedWith, needed);
  }
});

Deno.test("a node that is about to leave itself holds nothing for others", async () => {
  const own = new Vector();
  let theyLeave = true;
  let removed = false;
  const { options, cluster, world } = leaving(() => {
    removed = true;
    return Promise.resolve();
  });
  Object.assign(cluster, {
    reportOf: () => Promise.resolve({ vector: own, leaving: theyLeave }),
  });
  const left = leave(options, signal);
  assertEquals(cluster.leaving, false);
  await world.advance(1000);
  // And says so to others, from the beginning on.
  assertEquals([cluster.leaving, removed], [true, false]);
  theyLeave = false;
  await world.advance(1000);
  await left;
  assertEquals(removed, true);
});

Deno.test("it is on disk that a majority may agree before any call asks it, also a second one", async () => {
  const kv = new ForgetfulKV(false);
  let removes = 0;
  const { options, world } = leaving(() => {
    removes++;
    return Promise.resolve();
  });
  const node = await Leaving.open({ ...options, kv });
  const calls = [node.leave(signal), node.leave(signal)];
  await world.advance(1000);
  assertEquals([removes, kv.syncing], [0, true]);
  kv.finishSync();
  await world.advance(100);
  kv.finishSync();
  await world.advance(100);
  await Promise.all(calls);
  assertEquals(removes, 2);
});

Deno.test("what a majority said is void once the node leaves again, or is removed, before that is on disk", async () => {
  for (const then of ["leaves", "is removed"] as const) {
    const kv = new ForgetfulKV(false);
    const outcome = () =>
      Promise.reject(new QuorumUnavailableError("change", [2]));
    const { options, cluster, refusals, world } = leaving(outcome);
    const node = await Leaving.open({ ...options, kv });
    const fail = async () => {
      const left = assertRejects(
        () => node.leave(signal),
        QuorumUnavailableError,
      );
      for (let i = 0; i < 3; i++) {
        await world.advance(200);
        kv.finishSync();
      }
      await left;
    };
    await fail();
    cluster.refresh = () => Promise.resolve();
    await world.advance(1100);
    // It has not left; that is being written.
    assertEquals([kv.syncing, refusals], [true, [true]]);
    cluster.refresh = outcome;
    if (then === "leaves") await fail();
    else {
      cluster.isRemoved = true;
      kv.finishSync();
    }
    await world.advance(5000);
    assertEquals(refusals.includes(false), false, then);
    const row = kv.crash().get(metaKey("leaving"));
    assertEquals(row !== undefined, then === "leaves");
    await node.close();
  }
});

Deno.test("who was told that it was removed knows it at its next start", async () => {
  const { options, refusals } = leaving(() => Promise.resolve());
  const kv = new ForgetfulKV(true);
  await (await Leaving.open({ ...options, kv })).told();
  assertEquals(refusals, []);
  await Leaving.open({ ...options, kv: kv.crash() });
  assertEquals(refusals, [true]);
});

Deno.test("a node that closes leaves no more", async () => {
  const { options, cluster } = leaving(() => Promise.resolve());
  Object.assign(cluster, { candidates: () => [] });
  const node = await Leaving.open(options);
  const left = assertRejects(() => node.leave(signal), ClosedError);
  await node.close();
  await left;
});

Deno.test("a node that leaves refuses writes before it looks what others hold", async () => {
  const { run, refusals } = leaving(() => Promise.resolve());
  await run(signal);
  assertEquals(refusals, [true]);
});

Deno.test("a node that could not leave writes on, where it is certain that it did not", async () => {
  const notBegun = leaving(
    () => Promise.reject(new Error("not asked for")),
    () => Promise.reject(new QuorumUnavailableError("do without", [2])),
  );
  await assertRejects(() => notBegun.run(signal), QuorumUnavailableError);
  assertEquals(notBegun.refusals, [true, false]);
});

Deno.test("a node of whose leaving nobody knows the outcome writes nothing until a majority has said, also after a start", async () => {
  for (const [hasLeft, restarts] of [[0, 0], [0, 1], [1, 0], [1, 1]] as const) {
    const { run, refusals, options, cluster, world, stops } = leaving(() =>
      Promise.reject(new QuorumUnavailableError("change", [2]))
    );
    await assertRejects(() => run(signal), QuorumUnavailableError);
    assertEquals(refusals, [true]);
    if (restarts) {
      await stops[0]!();
      const again = {
        ...options,
        kv: new ForgetfulKV(true, options.kv.image()),
      };
      refusals.length = 0;
      const started = await Leaving.open(again);
      assertEquals(refusals, [true]);
      started.start();
    }
    await world.advance(10_000);
    assertEquals(refusals, [true]);
    cluster.refresh = () => {
      cluster.isRemoved = hasLeft === 1;
      return Promise.resolve();
    };
    await world.advance(2000);
    assertEquals(refusals.at(-1), hasLeft === 1);
    await world.advance(60_000);
    assertEquals(refusals.length, 2 - hasLeft);
  }
});

Deno.test("another one that leaves relies on none that may have left, also after a start, and on it again once it has not", async () => {
  const { run, options, cluster, world, stops } = leaving(() =>
    Promise.reject(new QuorumUnavailableError("change", [2]))
  );
  await assertRejects(() => run(signal), QuorumUnavailableError);
  assertEquals(cluster.leaving, true);
  await stops[0]!();
  cluster.leaving = false;
  const kv = new ForgetfulKV(true, options.kv.image());
  const started = await Leaving.open({ ...options, kv });
  assertEquals(cluster.leaving, true);
  started.start();
  cluster.refresh = () => Promise.resolve();
  await world.advance(2000);
  assertEquals(cluster.leaving, false);
  await started.close();

  const failed = leaving(
    () => Promise.reject(new Error("not asked for")),
    () => Promise.reject(new QuorumUnavailableError("do without", [2])),
  );
  await assertRejects(() => failed.run(signal), QuorumUnavailableError);
  assertEquals(failed.cluster.leaving, false);
});

Deno.test("a node that knows that it was removed writes nothing from its first moment on", async () => {
  const { options, cluster, refusals } = leaving(() => Promise.resolve());
  cluster.isRemoved = true;
  await Leaving.open(options);
  assertEquals(refusals, [true]);
});

Deno.test("once it is known that it has not left, a start knows nothing of it", async () => {
  const { run, options, cluster, world, refusals } = leaving(() =>
    Promise.reject(new RangeError("Cannot remove node 1: nobody would vote"))
  );
  cluster.refresh = () => Promise.resolve();
  await assertRejects(() => run(signal), RangeError);
  await world.advance(2000);
  assertEquals(refusals, [true, false]);
  await Leaving.open({
    ...options,
    kv: new ForgetfulKV(true, options.kv.image()),
  });
  assertEquals(refusals, [true, false]);
});

Deno.test("a node that leaves asks a silent node no longer than it was told to", async () => {
  const { options, world } = leaving(() => Promise.resolve());
  const abort = new AbortController();
  Object.assign(options.pull, { from: () => new Promise(() => {}) });
  const left = leave(options, abort.signal);
  const refused = assertRejects(() => left, Error, "enough");
  await world.advance(5000);
  abort.abort(new Error("enough"));
  await world.advance(100);
  await refused;
});

Deno.test("a node has left only once a voter has said that it knows, and tells them again when it leaves again", async () => {
  const { options, cluster, world, refusals } = leaving(() => {
    cluster.isRemoved = true;
    const silent = new UnreachableError("send", ["b:1"]);
    cluster.reportOf = () => Promise.reject(silent);
    return Promise.resolve();
  });
  const node = await Leaving.open(options);
  const abort = new AbortController();
  const unheard = assertRejects(
    () => node.leave(abort.signal),
    LeftUnheardError,
  );
  await world.advance(5000);
  const reason = new Error("enough");
  abort.abort(reason);
  const error = await unheard;
  assertEquals([error.missing, error.cause], [[2], reason]);
  // Also after a start.
  const kv = new ForgetfulKV(true, options.kv.image());
  const started = await Leaving.open({ ...options, kv });
  let hasLeft = false;
  const left = started.leave(signal).then(() => hasLeft = true);
  await world.advance(1000);
  assertEquals(hasLeft, false);
  cluster.reportOf = () =>
    Promise.reject(
      new UnreachableError("send", ["b:1"], {
        cause: new RejectedError(REMOVED, "it was removed"),
      }),
    );
  await world.advance(1000);
  await left;
  // Whoever has said so need not be there any more.
  cluster.reportOf = () => Promise.reject(new Error("asked again"));
  await started.leave(signal);
  const last = new ForgetfulKV(true, kv.image());
  await (await Leaving.open({ ...options, kv: last })).leave(signal);
  assertEquals(refusals.includes(false), false);
});

Deno.test("a node that others remove before all is held that it wrote has not left", async () => {
  const { options, cluster, world } = leaving(() => Promise.resolve());
  cluster.reportOf = () => Promise.reject(new Error("not there"));
  const node = await Leaving.open(options);
  const refused = assertRejects(() => node.leave(signal), NotMemberError);
  await world.advance(500);
  cluster.isRemoved = true;
  await node.told();
  await world.advance(500);
  await refused;
  await assertRejects(() => node.leave(signal), NotMemberError);
  const kv = new ForgetfulKV(true, options.kv.image());
  const started = await Leaving.open({ ...options, kv });
  await assertRejects(() => started.leave(signal), NotMemberError);
});

Deno.test("how far a node has left has its golden bytes", async () => {
  const { options, cluster, world } = leaving(() => {
    rows.push(options.kv.get(metaKey("leaving")));
    return Promise.resolve();
  });
  const rows: unknown[] = [];
  const kv = new ForgetfulKV(true);
  await (await Leaving.open({ ...options, kv })).told();
  rows.push(kv.get(metaKey("leaving")));
  const left = leave(options, signal);
  await world.advance(1000);
  await left;
  rows.push(options.kv.get(metaKey("leaving")));
  assertEquals(
    rows,
    [[1, 0], [1, 1], [1, 2]].map((row) => Uint8Array.from(row)),
  );
  cluster.isRemoved = true;
  for (
    const [value, error] of [
      [Uint8Array.of(2, 0), FormatVersionError],
      [Uint8Array.of(1, 3), DecodeError],
      [Uint8Array.of(1), DecodeError],
    ] as const
  ) {
    kv.write([{ key: metaKey("leaving"), value }]);
    await assertRejects(() => Leaving.open({ ...options, kv }), error);
  }
});
