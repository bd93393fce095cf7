import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ClosedError, DB, open } from "../../mod.ts";
import { Transaction } from "../../gossip/transaction.ts";
import { within } from "./child.ts";
import { TempDir } from "./paths.ts";

/** The public methods of a class. */
function methodsOf(from: { prototype: object }): string[] {
  return Object.getOwnPropertyNames(from.prototype)
    .filter((name) => name !== "constructor").sort();
}

/** What each method of a closed database does, called as users call it. */
const CLOSED: Record<string, (db: DB) => unknown> = {
  get: (db) => db.get("key"),
  getSync: (db) => db.getSync("key"),
  getEntry: (db) => db.getEntry("key"),
  has: (db) => db.has("key"),
  set: (db) => db.set("key", "value"),
  delete: (db) => db.delete("key"),
  commit: (db) => db.commit({ ops: [] }),
  list: (db) => db.list().next(),
  listSync: (db) => db.listSync().next(),
  keys: (db) => db.keys().next(),
  count: (db) => db.count(),
  transaction: (db) => db.transaction(),
  watch: (db) => db.watch(),
  onChange: (db) => db.onChange(() => {}),
  events: (db) => db.events(),
  conflicts: (db) => db.conflicts().next(),
  forgetConflicts: (db) => db.forgetConflicts(0),
  caughtUp: (db) => db.caughtUp(),
  sirState: (db) => db.sirState("key"),
  token: (db) => db.token(),
  "cluster.watch": (db) => db.cluster.watch(),
};

/** What goes on after the end. */
const ALWAYS = ["close", "metrics"];

for (const listening of [false, true]) {
  Deno.test(`every method of a closed ${listening ? "node" : "store"} says so by a ClosedError`, async () => {
    await using temp = new TempDir();
    await using db = await open(
      temp.at("store"),
      listening ? { address: "127.0.0.1:0", bootstrap: true } : {},
    );
    await db.set("key", "value");
    await db.set("key 2", "value");
    // What was begun before.
    const tx = db.transaction().set("tx", "1");
    const list = db.list();
    const listed = db.listSync();
    const keys = db.keys();
    assertEquals((await list.next()).done, false);
    assertEquals(listed.next().done, false);
    assertEquals((await keys.next()).done, false);
    const watch = db.watch().getReader();
    const handled: string[] = [];
    using _handler = db.onChange((changes) => {
      handled.push(...changes.map(({ type }) => type));
    });
    const events = db.events().getReader();
    const members = db.cluster.watch().getReader();
    const acked = db.set("key 3", "value");

    const closed = db.close();
    // A call made before it is settled by it.
    await acked;
    for (const moment of ["while it closes", "afterwards"]) {
      for (const [name, call] of Object.entries(CLOSED)) {
        const error = await assertRejects(
          async () => await call(db),
          ClosedError,
          "the database is closed",
          `${name} ${moment}`,
        );
        assert(error.message.startsWith("Cannot "), error.message);
      }
      await closed;
    }
    await db.close();
    await db[Symbol.asyncDispose]();

    await assertRejects(() => list.next(), ClosedError);
    assertThrows(() => listed.next(), ClosedError);
    await assertRejects(() => keys.next(), ClosedError);
    await assertRejects(() => tx.get("key"), ClosedError);
    assertEquals(await tx.get("tx"), new TextEncoder().encode("1"));
    await assertRejects(() => tx.list().next(), ClosedError);
    await assertRejects(() => tx.commit(), ClosedError);
    // Streams end, after what was waiting.
    const seen: string[] = [];
    for (let step; !(step = await within("the watch", watch.read())).done;) {
      seen.push(...step.value.map(({ type }) => type));
    }
    assertEquals(seen, ["set"]);
    while (!(await within("the events", events.read())).done);
    while (!(await within("the members", members.read())).done);
    assertEquals(handled, ["set"]);

    // What is remembered of the cluster can still be asked for.
    assertEquals(db.cluster.nodes().size, 1);
    assertEquals(db.cluster.node(1).key, db.cluster.host.key);
    db.cluster.resolve(1);
    assertEquals(db.metrics().watchers, 0);
    await using again = await open(temp.at("store"));
    assertEquals(await again.count(), 3);
  });
}

Deno.test("no method of a database is left out above", () => {
  const named = Object.keys(CLOSED).filter((name) => !name.includes("."));
  assertEquals(methodsOf(DB), [...named, ...ALWAYS].sort());
});

Deno.test("every method of a transaction that has ended says so by a ClosedError", async () => {
  await using db = await open(":memory:");
  const calls: Record<string, (tx: Transaction) => unknown> = {
    get: (tx) => tx.get("key"),
    set: (tx) => tx.set("key", "value"),
    delete: (tx) => tx.delete("key"),
    list: (tx) => tx.list().next(),
    commit: (tx) => tx.commit(),
  };
  assertEquals(
    methodsOf(Transaction),
    [...Object.keys(calls), "rollback"].sort(),
  );
  const endings: ((tx: Transaction) => unknown)[] = [
    (tx) => tx.commit(),
    (tx) => tx.rollback(),
    (tx) => tx[Symbol.asyncDispose](),
    (tx) => tx.set("key", "v", { lease: 9 }).commit().catch(() => {}),
  ];
  for (const end of endings) {
    const tx = db.transaction();
    await end(tx);
    for (const [name, call] of Object.entries(calls)) {
      await assertRejects(
        async () => await call(tx),
        ClosedError,
        "the transaction is closed",
        name,
      );
    }
    tx.rollback();
    await tx[Symbol.asyncDispose]();
  }
  assertEquals(await db.count(), 0);
});

Deno.test("a stream that was cancelled or a handler that was disposed of hears no more, and the database goes on", async () => {
  await using db = await open(":memory:");
  const watch = db.watch();
  const events = db.events();
  const members = db.cluster.watch();
  let handled = 0;
  const handler = db.onChange(() => {
    handled++;
  });
  for (const stream of [watch, events, members]) await stream.cancel();
  handler[Symbol.dispose]();
  handler[Symbol.dispose]();
  await db.set("key", "value");
  assertEquals([handled, db.metrics().watchers], [0, 0]);
  assertEquals((await watch.getReader().read()).done, true);
});
