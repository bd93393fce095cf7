/**
 * Whole copies: how one takes the place of what a node had (rule S6 of the
 * replication protocol).
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type KV, openLsm } from "../../engine/mod.ts";
import { TINY } from "../../engine/testing/history.ts";
import { StepFiles } from "../../engine/testing/step_files.ts";
import {
  NotCaughtUpError,
  ProtocolError,
  toBytes,
  toText,
} from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { BANKED, Space, spacePrefix } from "../keyspace.ts";
import { decodeClash } from "./conflict.ts";
import type { Entry } from "./entry.ts";
import { Replica } from "./replica.ts";
import { Vector } from "./vector.ts";
import {
  AbandoningKV,
  entry,
  HandClock,
  type HandKV,
  NOBODY,
  openReplica,
  origin,
  readText,
  setRecord,
  sets,
  turns,
} from "./world_test.ts";

/** How many rows a bank has. */
function rowsIn(kv: HandKV, bank: number): number {
  let count = 0;
  for (const space of BANKED) {
    const rows = kv.iterate({ prefix: spacePrefix(space + bank) });
    while (rows.next()) count++;
  }
  return count;
}

/** How many rows the log has in a bank. */
function logRows(kv: HandKV, bank: number): number {
  const rows = kv.iterate({ prefix: spacePrefix(Space.LOG + bank) });
  let count = 0;
  while (rows.next()) count++;
  return count;
}

/** A replica without a copy, over an engine that loads in bulk. */
function replicaOn(kv: KV): Promise<Replica> {
  return Replica.open({
    kv,
    clock: new HandClock(),
    random: new Prng(1),
    nodeKey: 1,
    generation: 1,
    nonce: new Uint8Array(8),
    tenure: 1,
    sync: false,
    logBytesMax: 1024,
    listener: NOBODY,
    renew: () => ({ generation: 2, nonce: new Uint8Array(8), ops: [] }),
  });
}

/** A copy that covers records of node 2. */
function copyOf(values: Record<string, string>) {
  const vector = new Vector();
  const entries = Object.entries(values).sort().map(
    ([key, value], i): Entry => {
      vector.add(origin(2), i + 1);
      return entry({
        key: toBytes(key),
        value: toBytes(value),
        holder: 2,
        origin: origin(2),
        seq: i + 1,
      });
    },
  );
  return { vector, entries };
}

async function take(
  replica: Replica,
  { vector, entries }: ReturnType<typeof copyOf>,
): Promise<boolean> {
  await replica.beginCopy();
  await replica.fill(entries, { vector });
  return await replica.ingest({
    whole: true,
    base: new Vector(),
    vector,
    entries: [],
    intents: [],
    lifeGone: 0,
    lifeFloor: 0,
    floor: new Vector(),
    incarnations: [],
    folds: [],
  });
}

Deno.test("S6: a whole copy takes the place of all that was here, and what is lost with it is reported", async () => {
  const a = await openReplica(1, {
    isRemoved: (node) => node === 3,
    // Others have what node 5 has written, and nobody that of node 4.
    isReported: (dot) => dot.origin !== origin(4),
  });
  await a.replica.commit(sets({ covered: "by nobody", also: "x", k: "mine" }));
  await a.replica.receive(setRecord("theirs", "old"));
  await a.replica.receive(
    setRecord("k3", "r", { origin: origin(3), seq: 1 }),
  );
  for (const node of [4, 5]) {
    const dot = { origin: origin(node), seq: 1 };
    await a.replica.receive(setRecord(`k${node}`, `${node}`, dot));
  }
  const { generation, nonce } = a.replica.incarnation;
  const own = a.replica.origin!;

  await a.replica.voidCopy(() => []);
  await assertRejects(
    () => a.replica.commit(sets({ k: "2" })),
    NotCaughtUpError,
  );
  // Reads go on.
  assertEquals(await readText(a.replica, "covered"), "by nobody");
  const copy = copyOf({ theirs: "new", k: "other" });
  assert(await take(a.replica, copy));

  assertEquals(await readText(a.replica, "theirs"), "new");
  assertEquals(await readText(a.replica, "k"), "other");
  for (const key of ["covered", "also", "k3", "k4", "k5"]) {
    assertEquals(await readText(a.replica, key), undefined);
  }
  assert(copy.vector.includes(a.replica.vector));
  const reports = a.told.clashes.map(({ kept, lost, batchKeys }) =>
    [
      toText(lost.key),
      toText(lost.value!),
      kept && toText(kept.value!),
      batchKeys.map(toText).sort().join(),
    ].join(":")
  );
  // Not what node 5 has written, which comes again; that of node 4 may not.
  assertEquals(reports.sort(), [
    "also:x::covered,k",
    "covered:by nobody::also,k",
    "k3:r::",
    "k4:4::",
    "k:mine:other:also,covered",
  ]);
  const rows = a.kv.iterate({ prefix: spacePrefix(Space.CONFLICT) });
  let stored = 0;
  while (rows.next()) {
    stored++;
    assert(decodeClash(rows.value).lost !== undefined);
  }
  assertEquals(stored, 5);
  assert(a.told.applied.at(-1)?.replaced?.vector.covers(origin(4), 1));

  // A new incarnation, which continues no origin, and begins with the copy.
  const after = a.replica.incarnation;
  assert(after.generation > generation);
  assert(after.nonce !== nonce);
  assertEquals(after.birth.encode(), copy.vector.encode());
  const { record } = await a.replica.commit(sets({ mine: "again" }));
  assert(record!.origin !== own);
  assertEquals(record!.generation, after.generation);
  await turns();
  assertEquals(rowsIn(a.kv, 0), 0);

  const again = await openReplica(1, { kv: a.kv });
  assertEquals(await readText(again.replica, "theirs"), "new");
  assertEquals(await readText(again.replica, "mine"), "again");
  assert(again.replica.caughtUp);
});

Deno.test("S6: a copy that breaks off changes nothing, and leaves nothing", async () => {
  const a = await openReplica(1);
  await a.replica.commit(sets({ k: "mine" }));
  await a.replica.voidCopy(() => []);
  const copy = copyOf({ k: "other", more: "x" });
  await a.replica.beginCopy();
  await a.replica.fill(copy.entries, copy);
  assert(rowsIn(a.kv, 8) > 0);

  const kv = a.kv.crash();
  const again = await openReplica(1, { kv });
  assertEquals(again.replica.caughtUp, false);
  assertEquals(await readText(again.replica, "k"), "mine");
  await turns();
  assertEquals(rowsIn(kv, 8), 0);
  // And there and back: each bank in its turn.
  assert(await take(again.replica, copy));
  assertEquals(await readText(again.replica, "more"), "x");
  await again.replica.voidCopy(() => []);
  assert(await take(again.replica, copyOf({ k: "third" })));
  await turns();
  assertEquals([again.replica.bank, rowsIn(kv, 8)], [0, 0]);
  assertEquals(await readText(again.replica, "k"), "third");
  assertEquals(await readText(again.replica, "more"), undefined);
});

Deno.test("S6: what was asked for as a difference does not fill a state that is void since", async () => {
  const a = await openReplica(1);
  await a.replica.voidCopy(() => []);
  const { vector, entries } = copyOf({ k: "v" });
  const session = { base: new Vector(), vector, intents: [] };
  const lives = {
    lifeGone: 0,
    lifeFloor: 0,
    floor: new Vector(),
    incarnations: [],
    folds: [],
  };
  assertEquals(
    await a.replica.ingest({ ...session, ...lives, whole: false, entries }),
    false,
  );
  assertEquals([a.replica.caughtUp, a.replica.vector.size], [false, 0]);
});

Deno.test("S6: a copy that counts is there whole, wherever the power fails", async () => {
  const values = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [`k${100 + i}`, `v${i}`]),
  );
  const copy = copyOf(values);
  const live = async (files: StepFiles, taken: () => void) => {
    const kv = await openLsm("data", { ...TINY, files });
    const replica = await replicaOn(kv);
    // One that breaks off leaves nothing of it in the next.
    await replica.beginCopy();
    await replica.fill(copyOf({ other: "x" }).entries, copy);
    assert(await take(replica, copy));
    taken();
    await replica.close();
    await kv.close();
  };
  const counting = new StepFiles();
  await live(counting, () => {});
  let whole = 0;
  for (let at = 0; at < counting.steps; at += 2) {
    let taken = false;
    const files = new StepFiles(
      undefined,
      (step) => step === at ? "crash" : undefined,
    );
    const life = live(files, () => taken = true).catch(() => {});
    await Promise.race([life, files.end.promise]);
    const lost = at % 4 === 0;
    const disk = files.disk.crash(lost ? "lost" : "kept", new Prng(at));
    const kv = await openLsm("data", { ...TINY, files: new StepFiles(disk) });
    const replica = await replicaOn(kv);
    // It is told of before it is on the device: so this node has chosen.
    assert(replica.caughtUp || lost || !taken, `step ${at}`);
    if (replica.caughtUp) {
      whole++;
      for (const [key, value] of Object.entries(values)) {
        assertEquals(await readText(replica, key), value, `step ${at}`);
      }
      assertEquals(await readText(replica, "other"), undefined);
    }
    assert(await kv.count({ prefix: spacePrefix(Space.LIVE) }) === 0);
    await replica.close();
    await kv.close();
  }
  assert(whole > 3, `${whole}`);
});

Deno.test("S6: a copy that is not in order, or has more than it covers, is refused", async () => {
  const a = await openReplica(1);
  await a.replica.voidCopy(() => []);
  const { vector, entries } = copyOf({ a: "1", b: "2" });
  const [first, second] = entries as [Entry, Entry];
  const dead = { ...first, key: toBytes("0"), value: undefined };
  for (const wrong of [[second, first], [first, first], [dead, second]]) {
    await a.replica.beginCopy();
    await assertRejects(
      () => a.replica.fill(wrong, { vector }),
      ProtocolError,
      "order",
    );
  }
  await a.replica.beginCopy();
  await assertRejects(
    () => a.replica.fill(entries, { vector: new Vector() }),
    ProtocolError,
    "covers",
  );
  await a.replica.beginCopy();
  await a.replica.fill([first, second], { vector });
  await a.replica.fill([dead], { vector });
});

Deno.test("S6: the log of a copy begins behind all that the one before it has given up, also when it comes back to its place", async () => {
  let kv = new AbandoningKV();
  let node = await openReplica(1, { kv, logBytesMax: 400 });
  for (let copies = 0; copies < 5; copies++) {
    for (let i = 0; i < 10; i++) {
      await node.replica.commit(sets({ [`k${i}`]: `${copies}` }));
    }
    const { bank, figures } = node.replica;
    assertEquals(bank, copies % 2 === 0 ? 0 : 8);
    assert(figures.logRecords >= 1 && figures.logRecords < 9);
    assertEquals(logRows(kv, bank), figures.logRecords);
    if (copies % 2 === 1) {
      // The next start finds the head, and gives up what is before it again.
      const last = kv.abandoned.at(-1)!;
      kv = kv.crash() as AbandoningKV;
      node = await openReplica(1, { kv, logBytesMax: 400 });
      assertEquals(kv.abandoned, [last]);
      assertEquals(node.replica.figures.logRecords, figures.logRecords);
    }
    await node.replica.voidCopy(() => []);
    assert(await take(node.replica, copyOf({ [`c${copies}`]: "c" })));
    assertEquals(node.replica.figures.logRecords, 0);
    await turns();
  }
});
