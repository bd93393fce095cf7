import { assert, assertEquals, assertRejects } from "@std/assert";
import { CheckFailedError, toBytes, toText } from "../../runtime/mod.ts";
import { expiryOfKey, Space, spacePrefix } from "../keyspace.ts";
import type { Applied } from "../replication/draft.ts";
import { endOf, EntryFlag, versionOf } from "../replication/entry.ts";
import { HLC_PER_MS } from "../replication/hlc.ts";
import { dotOf } from "../replication/record.ts";
import {
  HandClock,
  type HandKV,
  HandTimers,
  op,
  openReplica,
  setRecord,
  T0,
  turns,
} from "../replication/world_test.ts";
import { Expiry } from "./expiry.ts";

/** A node whose values end; `deleted` are the keys of the tombstones it made. */
async function world(options: Parameters<typeof openReplica>[1] = {}) {
  const last: { expiry?: Expiry } = {};
  const deleted: string[] = [];
  let records = 0;
  const applied = (all: readonly Applied[]) => {
    for (const { changes } of all) {
      records++;
      for (const { key, value } of changes) {
        if (value === undefined) deleted.push(toText(key));
      }
    }
    last.expiry!.saw(all);
  };
  const node = await openReplica(1, {
    listener: { applied, clashed() {}, full() {}, skewed() {}, failed() {} },
    ...options,
  });
  const timers = new HandTimers();
  const { replica, kv, clock } = node;
  const expiry = new Expiry({ nodeKey: 1, replica, kv, clock, timers });
  last.expiry = expiry;
  const set = (key: string, value: string, expireIn?: number) =>
    replica.commit({ checks: [], ops: [{ ...op(key, value), expireIn }] });
  const at = async (ms: number) => {
    clock.ms = ms;
    timers.fire();
    await turns(5000);
  };
  return { ...node, expiry, timers, deleted, set, at, records: () => records };
}

/** The rows of both indexes, as texts. */
function indexOf(kv: HandKV): string[] {
  const found: string[] = [];
  const byTime = kv.iterate({ prefix: spacePrefix(Space.EXPIRY) });
  while (byTime.next()) {
    const { instantMs, key } = expiryOfKey(byTime.key);
    found.push(`${toText(key)}@${instantMs - NOW}`);
  }
  const byKey = kv.iterate({ prefix: spacePrefix(Space.EXPIRING) });
  while (byKey.next()) found.push(toText(byKey.key.subarray(1)));
  return found;
}

const NOW = new HandClock().ms;

Deno.test("a value that ends is in both indexes as long as it stands, and no longer", async () => {
  const { set, kv, replica } = await world();
  await set("a", "1", 500);
  await set("b", "1", 70.5);
  await set("c", "1");
  assertEquals(indexOf(kv), ["b@71", "a@500", "a", "b"]);
  const entry = await replica.livingEntry(toBytes("a"));
  assertEquals([endOf(entry!)! - NOW, entry!.flags], [500, EntryFlag.TTL]);
  await set("a", "2", 900);
  assertEquals(indexOf(kv), ["b@71", "a@900", "a", "b"]);
  await set("a", "2", 900);
  await set("b", "2");
  assertEquals(indexOf(kv), ["a@900", "a"]);
  await replica.commit({ checks: [], ops: [op("a")] });
  assertEquals(indexOf(kv), []);
});

Deno.test("what comes from elsewhere is in the indexes too, under its leaseholder", async () => {
  const { kv, replica } = await world();
  const entry = { expiresAt: NOW + 500, flags: EntryFlag.TTL, claimHlc: T0 };
  await replica.receive(setRecord("k", "1", { entry }));
  assertEquals(indexOf(kv), ["k@500", "k"]);
  await replica.receive(setRecord("k", "2", {
    seq: 2,
    entry: { claimHlc: T0 },
  }));
  assertEquals(indexOf(kv), []);
});

Deno.test("a value ends at the instant that was asked for, also where the clock of the versions is ahead", async () => {
  const { set, replica } = await world();
  await replica.receive(setRecord("x", "1", { hlc: T0 + 300 * HLC_PER_MS }));
  await set("a", "1", 500);
  await set("b", "1", 100);
  const ends = async (key: string) =>
    endOf((await replica.livingEntry(toBytes(key)))!)! - NOW;
  assertEquals(await ends("a"), 500);
  // Also if the version is later than that.
  assertEquals(await ends("b"), 100);
});

Deno.test("for a commit a value that has ended is absent", async () => {
  const { set, replica, clock, deleted } = await world();
  const { record } = await set("k", "1", 500);
  const version = versionOf(record!.entries[0]!);
  const check = (
    v: typeof version | null,
  ) => [{ key: toBytes("k"), version: v }];
  await replica.commit({ checks: check(version), ops: [op("other", "1")] });
  await assertRejects(
    () => replica.commit({ checks: check(null), ops: [op("other", "2")] }),
    CheckFailedError,
  );
  clock.ms += 500;
  await assertRejects(
    () => replica.commit({ checks: check(version), ops: [op("other", "2")] }),
    CheckFailedError,
  );
  // But a delete is written: another node, whose clock is behind, shows it still.
  const gone = await replica.commit({ checks: [], ops: [op("k")] });
  assertEquals(gone.record!.entries[0]!.value, undefined);
  const nothing = await replica.commit({ checks: [], ops: [op("k")] });
  assertEquals(nothing.record, undefined);
  assertEquals(nothing.after, [dotOf(gone.record!)]);
  const again = await replica.commit({
    checks: check(null),
    ops: [op("k", "2")],
  });
  const [entry] = again.record!.entries;
  // The lease outlives the value.
  assertEquals(entry!.claimHlc, version.claim.hlc);
  assertEquals([entry!.life, entry!.expiresAt, deleted], [1, 0, ["k"]]);
});

Deno.test("the leaseholder deletes what has ended, the earliest first, in bounded batches", async () => {
  const { at, expiry, deleted, replica, kv, records, timers } = await world();
  expiry.start();
  const ops = Array.from(
    { length: 1200 },
    (_, i) => ({ ...op(`k${i}`, "v"), expireIn: i < 600 ? 500 : 700 }),
  );
  await replica.commit({ checks: [], ops });
  const before = records();
  await at(NOW + 499);
  assertEquals(deleted, []);
  await at(NOW + 650);
  assertEquals([deleted.length, records() - before], [600, 2]);
  assert(deleted.every((key) => Number(key.slice(1)) < 600));
  await at(NOW + 800);
  assertEquals([deleted.length, records() - before], [1200, 4]);
  assertEquals(indexOf(kv), []);
  await expiry.close();
  assertEquals(timers.size, 0);
});

Deno.test("what was set meanwhile stays, and what others lead is theirs", async () => {
  const { at, set, expiry, deleted, replica, clock } = await world();
  await set("again", "1", 500);
  await set("later", "1", 500);
  await set("gone", "1", 500);
  const entry = { expiresAt: NOW + 500, flags: EntryFlag.TTL };
  await replica.receive(setRecord("theirs", "1", { entry }));
  clock.ms = NOW + 600;
  // Handed in before what it is to overtake: the commit step decides.
  const sets = [set("again", "2"), set("later", "2", 500)];
  expiry.start();
  await at(NOW + 700);
  await Promise.all(sets);
  assertEquals(deleted, ["gone"]);
  const ops = ["again", "theirs", "never"].map((key) => ({
    ...op(key),
    ifExpired: true,
  }));
  const { record } = await replica.commit({ checks: [], ops });
  assertEquals(record, undefined);
  await at(NOW + 1200);
  assertEquals(deleted, ["gone", "later"]);
  assertEquals(
    toText((await replica.livingEntry(toBytes("again")))!.value!),
    "2",
  );
  await expiry.close();
});

Deno.test("after a restart what is due is deleted at once, what is not when it is", async () => {
  const first = await world();
  await first.set("a", "1", 500);
  await first.set("b", "1", 5000);
  const kv = first.kv.crash();
  const { at, expiry, deleted, clock } = await world({ kv });
  clock.ms = NOW + 1000;
  expiry.start();
  await at(NOW + 1100);
  assertEquals(deleted, ["a"]);
  await at(NOW + 5000);
  assertEquals(deleted, ["a", "b"]);
  await expiry.close();
});

Deno.test("a clock that is set back, and an engine that fails, are waited out", async () => {
  const { at, set, expiry, deleted, kv, clock, timers } = await world();
  expiry.start();
  await set("a", "1", 500);
  kv.readFailure = () => new RangeError("broken");
  const iterate = kv.iterate.bind(kv);
  kv.iterate = () => {
    throw new RangeError("broken");
  };
  await at(NOW + 600);
  assertEquals([deleted, timers.size], [[], 1]);
  kv.readFailure = undefined;
  kv.iterate = iterate;
  await at(NOW - 50_000);
  assertEquals([deleted, timers.size], [[], 1]);
  await at(NOW + 700);
  assertEquals(deleted, ["a"]);
  assert(clock.ms > NOW);
  await expiry.close();
  await set("b", "1", 1);
  assertEquals(timers.size, 0);
});
