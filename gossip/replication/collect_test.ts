/**
 * How tombstones go (replication.md §6), on one replica.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { BANKED, Space, spacePrefix } from "../keyspace.ts";
import type { Replica } from "./replica.ts";
import { Vector } from "./vector.ts";
import {
  type HandKV,
  openReplica,
  readText,
  setRecord,
  sets,
  turns,
} from "./world_test.ts";

function rows(kv: HandKV, space: number): number {
  const found = kv.iterate({ prefix: spacePrefix(space) });
  let count = 0;
  while (found.next()) count++;
  return count;
}

const isCurrent = () => true;

/** What a node alone does: the floor, and then all behind it. */
async function collectAll(replica: Replica): Promise<number> {
  const { vector } = replica;
  const first = await replica.collect(
    { floor: vector, gate: replica.floor },
    isCurrent,
  );
  return first + await replica.collect(
    { floor: vector, gate: replica.floor },
    isCurrent,
  );
}

Deno.test("a tombstone goes in the second phase, with its row of the index, and the next claim is a life above it", async () => {
  const { replica, kv } = await openReplica(1);
  await replica.commit(sets({ k: "1", other: "x" }));
  await replica.commit(sets({ k: undefined }));
  const gate = new Vector();
  const before = rows(kv, Space.DOT_INDEX);
  assertEquals(
    await replica.collect({ floor: replica.vector, gate }, isCurrent),
    0,
  );
  assertEquals(rows(kv, Space.DEAD), 1);
  assert(replica.floor.includes(replica.vector));
  assertEquals(await collectAll(replica), 1);
  assertEquals(rows(kv, Space.DEAD), 0);
  assertEquals(rows(kv, Space.DOT_INDEX), before - 1);
  assertEquals(await readText(replica, "other"), "x");

  // [1] Above the one that is gone, also after a start.
  const again = await openReplica(1, { kv: kv.crash() });
  assert(again.replica.floor.includes(replica.floor));
  const { record } = await again.replica.commit(sets({ k: "2" }));
  assertEquals(record!.entries[0]!.life, 2);
});

Deno.test("tombstones that are not behind the gate, or came to life, stay", async () => {
  const { replica, kv } = await openReplica(1);
  await replica.commit(sets({ a: "1", b: "1" }));
  await replica.commit(sets({ a: undefined }));
  const gate = replica.vector.clone();
  await replica.commit(sets({ b: undefined }));
  await replica.commit(sets({ a: "2" }));
  assertEquals(
    await replica.collect({ floor: replica.vector, gate }, isCurrent),
    0,
  );
  assertEquals(rows(kv, Space.DEAD), 1);
  assertEquals(await readText(replica, "a"), "2");
});

Deno.test("many tombstones go in slices, and what is written meanwhile is served", async () => {
  const { replica, kv } = await openReplica(1);
  for (let batch = 0; batch < 3; batch++) {
    const keys = Array.from({ length: 600 }, (_, i) => `${batch}/${i}`);
    await replica.commit(
      sets(Object.fromEntries(keys.map((key) => [key, "v"]))),
    );
    await replica.commit(
      sets(Object.fromEntries(keys.map((key) => [key, undefined]))),
    );
  }
  await replica.collect(
    { floor: replica.vector, gate: new Vector() },
    isCurrent,
  );
  const collecting = replica.collect(
    { floor: replica.vector, gate: replica.floor },
    isCurrent,
  );
  let written = 0;
  const writing = (async () => {
    for (; written < 3; written++) await replica.commit(sets({ live: "x" }));
  })();
  assertEquals(await collecting, 1800);
  assert(written >= 2, `${written}`);
  await writing;
  assertEquals(rows(kv, Space.DEAD), 0);
  assertEquals(rows(kv, Space.DOT_INDEX), 1);
  // [1] What was written meanwhile has not undone that a life is gone.
  const { record } = await replica.commit(sets({ "0/1": "again" }));
  assertEquals(record!.entries[0]!.life, 2);
  const again = await openReplica(1, { kv: kv.crash() });
  const other = await again.replica.commit(sets({ "0/2": "again" }));
  assertEquals(other.record!.entries[0]!.life, 2);
});

Deno.test("[1] what is committed in the group of a collection has not undone that a life is gone", async () => {
  const { replica, kv } = await openReplica(1);
  await replica.commit(sets({ k: "1" }));
  await replica.commit(sets({ k: undefined }));
  await replica.collect(
    { floor: replica.vector, gate: new Vector() },
    isCurrent,
  );
  kv.automatic = false;
  const busy = replica.commit(sets({ busy: "x" }));
  await turns();
  // While the device writes, both gather in the next group.
  const collecting = replica.collect(
    { floor: replica.vector, gate: replica.floor },
    isCurrent,
  );
  const meanwhile = replica.commit(sets({ other: "x" }));
  const all = Promise.all([busy, collecting, meanwhile]);
  let done = false;
  void all.then(() => done = true);
  while (!done) {
    if (kv.writing) kv.finish();
    await turns();
  }
  kv.automatic = true;
  assertEquals((await all)[1], 1);
  const { record } = await replica.commit(sets({ k: "2" }));
  assertEquals(record!.entries[0]!.life, 2);
  const again = await openReplica(1, { kv: kv.crash() });
  const after = await again.replica.commit(sets({ fresh: "x" }));
  assertEquals(after.record!.entries[0]!.life, 2);
});

Deno.test("what does not rest on the reports any more goes no further, and raises no floor", async () => {
  const { replica, kv } = await openReplica(1);
  await replica.commit(sets({ k: "1" }));
  await replica.commit(sets({ k: undefined }));
  await replica.collect(
    { floor: replica.vector, gate: new Vector() },
    isCurrent,
  );
  const floor = replica.floor;
  await replica.commit(sets({ more: "x" }));
  let current = true;
  const ask = () => {
    const was = current;
    current = false;
    return was;
  };
  // The first slice is begun; a member is another incarnation before the end.
  assertEquals(
    await replica.collect({ floor: replica.vector, gate: floor }, ask),
    1,
  );
  assertEquals(replica.floor.fingerprint(), floor.fingerprint());
  assertEquals(rows(kv, Space.DEAD), 0);
  const gone = () => false;
  await replica.commit(sets({ more: undefined }));
  await replica.collect({ floor: replica.vector, gate: replica.vector }, gone);
  assertEquals(rows(kv, Space.DEAD), 1);
});

Deno.test("§8: what the floor covers was known to the writer of what replaces it", async () => {
  for (const inFloor of [false, true]) {
    const { replica, told } = await openReplica(1);
    const old = setRecord("k", "old");
    await replica.receive(old);
    if (inFloor) {
      await replica.collect(
        { floor: replica.vector, gate: new Vector() },
        isCurrent,
      );
    }
    const newer = setRecord("k", "new", {
      origin: old.origin + 2,
      seq: 1,
      entry: { life: 2 },
    });
    await replica.receive(newer);
    assertEquals(await readText(replica, "k"), "new");
    assertEquals(told.clashes.length, inFloor ? 0 : 1);
  }
});

Deno.test("delta 3: a session from a donor that relies on what is not here is void", async () => {
  const { replica } = await openReplica(1);
  const theirs = setRecord("k", "v");
  const floor = new Vector();
  floor.add(theirs.origin, 1);
  const session = {
    whole: false,
    base: new Vector(),
    vector: floor,
    entries: theirs.entries,
    intents: [],
    lifeGone: 0,
    lifeFloor: 0,
    incarnations: [],
    folds: [],
  };
  assertEquals(await replica.ingest({ ...session, floor }), false);
  assertEquals(await replica.ingest({ ...session, floor: new Vector() }), true);
  assert(replica.vector.covers(theirs.origin, 1));
});

Deno.test("[25] a whole copy brings its floor, its lives and the incarnations that they rest on", async () => {
  const { replica, kv } = await openReplica(1);
  await replica.commit(sets({ k: "v" }));
  await collectAll(replica);
  await replica.voidCopy(() => []);
  await replica.beginCopy();
  const theirs = setRecord("x", "v");
  const vector = new Vector();
  vector.add(theirs.origin, 1);
  await replica.fill(theirs.entries, { vector });
  const nonce = new Uint8Array(8).fill(7);
  await replica.ingest({
    whole: true,
    base: new Vector(),
    vector,
    entries: [],
    intents: [],
    lifeGone: 5,
    lifeFloor: 6,
    floor: vector,
    folds: [],
    incarnations: [{ node: 2, generation: 3, nonce }, {
      node: 1,
      generation: 9,
      nonce,
    }],
  });
  assertEquals(replica.floor.fingerprint(), vector.fingerprint());
  const again = await openReplica(1, { kv: kv.crash() });
  assertEquals(again.replica.floor.fingerprint(), vector.fingerprint());
  const { record } = await again.replica.commit(sets({ fresh: "v" }));
  assertEquals(record!.entries[0]!.life, 6);
  assertEquals(rows(kv, Space.INCARNATION), 1);
  await turns();
  for (const space of BANKED) assertEquals(rows(kv, space), 0);
  assertEquals(await readText(again.replica, "x"), "v");
});
