import { Vector } from "../replication/vector.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CheckFailedError,
  ClosedError,
  LeaseholderUnavailableError,
  LeaseNotTransferableError,
  NodeNotFoundError,
  NotSupportedError,
  OutcomeUnknownError,
  PartialCommitError,
  RemoteError,
  type Timers,
  toBytes,
  UnreachableError,
} from "../../runtime/mod.ts";
import { versionOf } from "../replication/entry.ts";
import {
  HandTimers,
  op,
  openReplica,
  readText,
  sets,
  type TestNode,
  turns,
} from "../replication/world_test.ts";
import { decodeCommit, encodeCommit } from "./messages.ts";
import { Router } from "./router.ts";

/** Nodes 1 to n whose routers reach each other. */
async function nodes(count: number, timers: Timers = new HandTimers()) {
  const all: (TestNode & { router: Router })[] = [];
  const down = new Set<number>();
  let requests = 0;
  let nudged = 0;
  const failWith = { error: undefined as unknown };
  for (let id = 1; id <= count; id++) {
    const node = await openReplica(id);
    const router = new Router({
      nodeKey: id,
      nonce: new Uint8Array(8).fill(id),
      replica: node.replica,
      timers,
      isMember: (key) => key >= 1 && key <= count,
      configEpoch: () => 1,
      request: async (to, _type, payload) => {
        requests++;
        if (down.has(to)) throw new UnreachableError("ask", []);
        if (failWith.error !== undefined) throw failWith.error;
        try {
          return await all[to - 1]!.router.serve(payload);
        } catch (error) {
          // As the transport carries it.
          if (error instanceof RemoteError) throw error;
          const { name, message } = error as Error;
          throw new RemoteError(name, message);
        }
      },
      nudge: () => void nudged++,
    });
    all.push({ ...node, router });
  }
  return {
    all,
    down,
    failWith,
    figures: () => ({ requests, nudged }),
  };
}

Deno.test("a commit of keys that nobody leads stays here; one led elsewhere goes there and is readable here", async () => {
  const { all: [a, b], figures } = await nodes(2);
  await a!.router.commit(sets({ k: "1" }), {});
  assertEquals(figures().requests, 0);
  const { record } = await a!.replica.commit(sets({ k: "2" }));
  await b!.replica.ingest({
    whole: false,
    base: b!.replica.vector,
    vector: a!.replica.vector,
    entries: record!.entries,
    intents: [],
    lifeGone: 0,
    lifeFloor: 0,
    floor: new Vector(),
    incarnations: [],
    folds: [],
  });
  const { after } = await b!.router.commit(sets({ k: "3" }), {});
  assertEquals(figures().requests, 1);
  assertEquals(await readText(a!.replica, "k"), "3");
  assertEquals(await readText(b!.replica, "k"), "3");
  assert(b!.replica.vector.covers(after[0]!.origin, after[0]!.seq));
});

Deno.test("a commit that another node acked, and that cannot be read here yet, resolves at its deadline", async () => {
  const deadlines = new Map<number, () => void>();
  const timers: Timers = {
    set(callback, delayMs) {
      deadlines.set(delayMs, callback);
      return { cancel: () => deadlines.delete(delayMs) };
    },
  };
  const { all: [a, b], figures } = await nodes(2, timers);
  const { record } = await a!.replica.commit(sets({ k: "1" }));
  await b!.replica.receive(record!);
  // What came between has not arrived here.
  await a!.replica.commit(sets({ other: "2" }));
  let resolved = false;
  const committed = b!.router.commit(sets({ k: "3" }), { timeoutMs: 500 })
    .then((outcome) => (resolved = true, outcome));
  while (figures().nudged === 0) await null;
  for (let i = 0; i < 50; i++) await null;
  assertEquals([resolved, await readText(b!.replica, "k")], [false, "1"]);
  deadlines.get(500)!();
  const { records } = await committed;
  assertEquals(records.length, 1);
  assertEquals(await readText(a!.replica, "k"), "3");
});

Deno.test("a node claims no key of a commit that another one acked and that has not arrived yet", async () => {
  const deadlines = new Map<number, () => void>();
  const timers: Timers = {
    set(callback, delayMs) {
      deadlines.set(delayMs, callback);
      return { cancel: () => deadlines.delete(delayMs) };
    },
  };
  const { all: [a, b], down, figures } = await nodes(2, timers);
  // What came before has not arrived at node 2, so that the commit cannot be read.
  const { record } = await a!.replica.commit(sets({ other: "1" }));
  const led = { checks: [], ops: [op("fresh", "1", 1)] };
  const committed = b!.router.commit(led, { timeoutMs: 500 });
  while (figures().nudged === 0) await null;
  await turns();
  deadlines.get(500)!();
  await committed;
  const [before] = await b!.replica.entries([toBytes("fresh")]);
  assertEquals(before, undefined);
  down.add(1);
  for (const ops of [sets({ fresh: "2" }), sets({ fresh: "2", mine: "2" })]) {
    await b!.router.commit(ops, { timeoutMs: 500 }).catch(() => {});
  }
  const error = await assertRejects(
    () => b!.router.commit(sets({ fresh: "2" }), { timeoutMs: 500 }),
    LeaseholderUnavailableError,
  );
  assertEquals(error.leaseholder, 1);
  const [after] = await b!.replica.entries([toBytes("fresh")]);
  assertEquals(after, undefined);
  // Once it is here its entry says who leads it.
  await b!.replica.receive(record!);
  await turns();
  assertEquals(await readText(b!.replica, "fresh"), "1");
  down.delete(1);
  await b!.router.commit(sets({ fresh: "2" }), { timeoutMs: 500 });
  assertEquals(await readText(a!.replica, "fresh"), "2");
});

Deno.test("a commit follows keys that moved, and a lease that was asked for", async () => {
  const { all: [a, b, c], figures } = await nodes(3);
  await c!.router.commit(sets({ k: "c" }), {});
  // Node 1 thinks nobody leads it and asks node 2, as told; it knows better.
  await b!.replica.receive(
    (await c!.replica.commit(sets({ k: "c2" }))).record!,
  );
  await assertRejects(
    () => a!.router.commit({ checks: [], ops: [op("fresh", "v", 9)] }, {}),
    NodeNotFoundError,
  );
  await a!.router.commit({ checks: [], ops: [op("fresh", "v", 2)] }, {});
  assertEquals((await b!.replica.entries([toBytes("fresh")]))[0]?.holder, 2);
  assertEquals(await readText(a!.replica, "fresh"), "v");
  await assertRejects(
    () => a!.router.commit({ checks: [], ops: [op("fresh", "v", 3)] }, {}),
    LeaseNotTransferableError,
  );
  assertEquals(figures().requests, 1);
});

Deno.test("a key led by a node that has not been heard of yet cannot be reached; one that never was is no member", async () => {
  const { all: [a], figures } = await nodes(1);
  const stranger = await openReplica(3);
  await a!.replica.receive(
    (await stranger.replica.commit(sets({ k: "3" }))).record!,
  );
  const error = await assertRejects(
    () => a!.router.commit(sets({ k: "1" }), {}),
    LeaseholderUnavailableError,
  );
  assertEquals(error.leaseholder, 3);
  await assertRejects(
    () => a!.router.commit({ checks: [], ops: [op("fresh", "v", 3)] }, {}),
    NodeNotFoundError,
  );
  assertEquals(figures().requests, 0);
});

Deno.test("refusals of the leaseholder come back as what they are", async () => {
  const { all: [a, b] } = await nodes(2);
  await a!.router.commit({ checks: [], ops: [op("k", "1", 2)] }, {});
  const held = (await b!.replica.entries([toBytes("k")]))[0]!;
  await b!.router.commit(sets({ k: "2" }), {});
  const stale = { key: toBytes("k"), version: versionOf(held) };
  const failed = await assertRejects(
    () => a!.router.commit({ checks: [stale], ops: [op("k", "3")] }, {}),
    CheckFailedError,
  );
  assertEquals(failed.key, toBytes("k"));
  assertEquals(await readText(b!.replica, "k"), "2");
  await b!.replica.close();
  const gone = await assertRejects(
    () => a!.router.commit(sets({ k: "4" }), {}),
    LeaseholderUnavailableError,
  );
  assertEquals((gone.cause as RemoteError).code, ClosedError.name);
});

Deno.test("a leaseholder that is not there, and an answer that never came, are told apart; nothing is sent twice", async () => {
  const { all: [a], down, failWith, figures } = await nodes(2);
  await a!.router.commit({ checks: [], ops: [op("k", "1", 2)] }, {});
  down.add(2);
  await assertRejects(
    () => a!.router.commit(sets({ k: "2" }), {}),
    LeaseholderUnavailableError,
  );
  down.delete(2);
  failWith.error = new OutcomeUnknownError("commit");
  await assertRejects(
    () => a!.router.commit(sets({ k: "3" }), {}),
    OutcomeUnknownError,
  );
  assertEquals(figures().requests, 3);
});

Deno.test("a leaseholder whose disk failed in the commit may have written; one that failed before has not", async () => {
  const { all: [a], failWith } = await nodes(2);
  await a!.router.commit({ checks: [], ops: [op("k", "1", 2)] }, {});
  failWith.error = new RemoteError("StorageError", "no space left");
  const unknown = await assertRejects(
    () => a!.router.commit(sets({ k: "2" }), {}),
    OutcomeUnknownError,
  );
  assertEquals(unknown.cause, failWith.error);
  failWith.error = new RemoteError("overloaded", "too many are in work");
  const busy = await assertRejects(
    () => a!.router.commit(sets({ k: "2" }), {}),
    LeaseholderUnavailableError,
  );
  assertEquals(busy.cause, failWith.error);
  for (const code of ["PoisonedError", "CorruptionError", "OverloadedError"]) {
    failWith.error = new RemoteError(code, "an earlier write failed");
    const failed = await assertRejects(
      () => a!.router.commit(sets({ k: "2" }), {}),
      LeaseholderUnavailableError,
    );
    assertEquals(failed.cause, failWith.error);
  }
});

Deno.test("a commit over two leaseholders is split, and half a success says which half", async () => {
  const { all: [a], down } = await nodes(2);
  await a!.router.commit({ checks: [], ops: [op("theirs", "1", 2)] }, {});
  await a!.router.commit(sets({ mine: "1" }), {});
  const both = await a!.router.commit(sets({ mine: "2", theirs: "2" }), {});
  assertEquals(both.records.length, 2);
  down.add(2);
  const half = await assertRejects(
    () => a!.router.commit(sets({ mine: "3", theirs: "3" }), {}),
    PartialCommitError,
  );
  assertEquals(half.committed.map(({ leaseholder }) => leaseholder), [1]);
  assertEquals(half.failed.map(({ leaseholder }) => leaseholder), [2]);
  assertEquals(await readText(a!.replica, "mine"), "3");
  const check = { key: toBytes("nobody's"), version: null };
  await assertRejects(
    () =>
      a!.router.commit(
        { ...sets({ mine: "4", theirs: "4" }), checks: [check] },
        {},
      ),
    NotSupportedError,
  );
  assertEquals(await readText(a!.replica, "mine"), "3");
});

Deno.test("a batch is not torn by what arrives while it is being split", async () => {
  for (let ahead = 0; ahead < 40; ahead++) {
    const { all: [a, b] } = await nodes(2);
    const { record } = await b!.replica.commit(sets({ x: "1", y: "1" }));
    const received = a!.replica.receive(record!);
    await turns(ahead);
    await a!.router.commit({
      checks: [],
      ops: [op("x", "2"), op("y", "2"), op("z", "2", 2)],
    }, {});
    await received;
    const [x, y] = await a!.replica.entries([toBytes("x"), toBytes("y")]);
    assertEquals([x?.origin, x?.seq], [y?.origin, y?.seq], `${ahead} turns`);
  }
});

Deno.test("a forwarded batch beyond the limit is refused, not logged", async () => {
  const { all: [a] } = await nodes(1);
  const head = { configEpoch: 1, nonce: new Uint8Array(8), number: 1 };
  const value = new Uint8Array(33 * 1024 * 1024);
  const ops = ["a", "b"].map((key) => ({ ...op(key), value }));
  const payload = encodeCommit(head, { checks: [], ops });
  assertEquals(decodeCommit(payload).request.ops.length, 2);
  await assertRejects(() => a!.router.serve(payload), RangeError);
  assertEquals(a!.replica.vector.size, 0);
});
