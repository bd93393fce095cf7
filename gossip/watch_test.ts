import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClosedError,
  DeadlineExceededError,
  toBytes,
  TokenTooOldError,
  toText,
} from "../runtime/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { Arrivals } from "./replication/arrivals.ts";
import type { Applied } from "./replication/draft.ts";
import type { ReplicaOptions } from "./replication/replica.ts";
import { Vector } from "./replication/vector.ts";
import {
  entry,
  HandClock,
  HandKV,
  HandTimers,
  openReplica,
  origin,
  record,
  setRecord,
  sets,
  T0,
  turns,
} from "./replication/world_test.ts";
import { joinTokens, tokenOf, vectorToken } from "./token.ts";
import { type Change, Watchers, type WatchOptions } from "./watch.ts";

function applied(keys: Record<string, number>, session = false): Applied {
  const changes = Object.entries(keys).map(([key, holder]) =>
    entry({ key: toBytes(key), value: toBytes(`${key}!`), holder })
  );
  return { record: session ? undefined : record({}), changes };
}

/** Watchers of a replica that nobody writes to. */
function bareWatchers(): Watchers {
  const replica = {
    vector: new Vector(),
    floor: new Vector(),
    replay: () => assert(false, "nothing is told again") as never,
    stateAfter: () => assert(false, "nothing is told again") as never,
    freeze: () => assert(false, "nothing is read") as never,
  };
  const arrivals = { of: () => Promise.resolve() };
  return new Watchers(1, { replica, arrivals, clock: new HandClock() });
}

/** A node, and its watchers. */
async function watched(options: Parameters<typeof openReplica>[1] = {}) {
  const last: { watchers?: Watchers } = {};
  const listener: ReplicaOptions["listener"] = {
    applied: (applied) => last.watchers!.publish(applied),
    clashed: () => {},
    full: () => {},
    skewed: () => {},
    failed: () => {},
  };
  const node = await openReplica(1, { listener, ...options });
  const { replica, clock } = node;
  const timers = new HandTimers();
  const arrivals = new Arrivals({
    replica,
    timers,
    random: new Prng(1),
    isOther: () => false,
    candidates: () => [],
    pullFrom: () => Promise.resolve(),
  });
  const watchers = new Watchers(1, { replica, arrivals, clock });
  last.watchers = watchers;
  const set = (pairs: Record<string, string | undefined>) =>
    replica.commit(sets(pairs));
  return { ...node, timers, watchers, set };
}

/** What a stream gives before it has nothing more at once. */
async function take(
  reader: ReadableStreamDefaultReader<Change[]>,
  count: number,
): Promise<Change[][]> {
  const batches: Change[][] = [];
  while (batches.length < count) {
    const { value } = await reader.read();
    if (value === undefined) break;
    batches.push(value);
  }
  return batches;
}

function texts(batches: readonly Change[][]): string[] {
  return batches.map((changes) =>
    changes.map((change) =>
      change.type === "reset"
        ? "reset"
        : change.type === "lagged"
        ? `lagged ${change.missed}`
        : `${toText(change.key)}=${
          change.value === undefined ? "" : toText(change.value)
        }${change.coalesced ? "~" : ""}`
    ).join(" ")
  );
}

async function seen(
  options: WatchOptions,
  ...all: Applied[]
): Promise<string[]> {
  const watchers = bareWatchers();
  const stream = watchers.watch(options);
  watchers.publish(all);
  void watchers.close();
  const batches: string[] = [];
  for await (const changes of stream) batches.push(changes.map(show).join(" "));
  return batches;
}

function show(change: Change): string {
  if (change.type === "lagged") return `lagged ${change.missed}`;
  return change.type === "reset" ? "reset" : toText(change.key);
}

Deno.test("a watcher sees the keys it asked for, a batch whole, and no empty one", async () => {
  const all = [
    applied({ "a/1": 1, "a/2": 2, "b/1": 2 }),
    applied({ "b/2": 1 }),
    applied({ a: 2 }),
  ];
  assertEquals(await seen({}, ...all), ["a/1 a/2 b/1", "b/2", "a"]);
  assertEquals(await seen({ prefix: "a/" }, ...all), ["a/1 a/2"]);
  assertEquals(await seen({ keys: ["a", "b/2"] }, ...all), ["b/2", "a"]);
  const both = { prefix: "b/", keys: ["b/1", "a"] };
  assertEquals(await seen(both, ...all), ["b/1"]);
  assertEquals(await seen({ ignoreHost: true }, ...all), ["a/2 b/1", "a"]);
  assertEquals(await seen({ keys: [] }, ...all), []);
});

Deno.test("a change is the watcher's own, says what happened, and is marked if versions may be missing", async () => {
  const watchers = bareWatchers();
  const reader = watchers.watch().getReader();
  const other = watchers.watch().getReader();
  const set = applied({ k: 2 });
  const gone = {
    record: undefined,
    vector: new Vector(),
    changes: [entry({ key: toBytes("k"), value: undefined, holder: 2 })],
  };
  watchers.publish([set, gone]);
  const [first] = (await reader.read()).value!;
  assert(first?.type === "set" && !first.coalesced);
  assertEquals([toText(first.value!), first.leaseholder], ["k!", 2]);
  first.value!.fill(0);
  first.key.fill(0);
  const [same] = (await other.read()).value!;
  assert(same?.type === "set");
  assertEquals([toText(same.key), toText(same.value!)], ["k", "k!"]);
  const [second] = (await reader.read()).value!;
  assert(second?.type === "delete" && second.coalesced);
  assertEquals("value" in second, false);
  await reader.cancel();
  assertEquals(watchers.size, 1);
  await other.cancel();
  assertEquals(watchers.size, 0);
});

Deno.test("a watcher that does not keep up is told the newest version of each key, then how many batches it missed", async () => {
  const many = Array.from({ length: 5 }, () => applied({ k: 2 }));
  assertEquals(await seen({ queueBytesMax: 450 }, ...many), ["k"]);
  const keys = ["a", "b", "c", "d", "e"].map((key) => applied({ [key]: 2 }));
  assertEquals(
    await seen({ queueBytesMax: 450 }, ...keys),
    ["a b", "lagged 3"],
  );
});

Deno.test("what a watcher asked for may be changed afterwards", async () => {
  const watchers = bareWatchers();
  const prefix = toBytes("a");
  const keys = [toBytes("ab")];
  const stream = watchers.watch({ prefix, keys });
  prefix.fill(0);
  keys[0]!.fill(0);
  watchers.publish([applied({ ab: 2 })]);
  void watchers.close();
  for await (const [change] of stream) assertEquals(show(change!), "ab");
});

Deno.test("a queue without a limit is refused", () => {
  for (const queueBytesMax of [NaN, 0, -1]) {
    assertThrows(() => bareWatchers().watch({ queueBytesMax }), RangeError);
  }
});

Deno.test("what cannot be watched is refused at once", () => {
  const watchers = bareWatchers();
  for (const since of ["?", "", 7 as never]) {
    assertThrows(() => watchers.watch({ since }), TypeError, "since");
  }
  const since = tokenOf([]);
  assertThrows(() => watchers.watch({ since, initial: true }), TypeError);
  assertThrows(() => watchers.watch({ since, timeoutMs: 0 }), RangeError);
  assertThrows(() => watchers.watch({ keys: 7 as never }), TypeError);
  assertEquals(watchers.size, 0);
});

Deno.test("each batch has a token that goes on behind it, whatever was not of interest in between", async () => {
  const { watchers, set } = await watched();
  const reader = watchers.watch({ prefix: "a" }).getReader();
  const tokens: string[] = [];
  await set({ a1: "1", b: "1", a2: "1" });
  await set({ b: "2" });
  await set({ a1: "2" });
  await set({ b: "3" });
  await set({ a1: undefined });
  const live = await take(reader, 3);
  assertEquals(texts(live), ["a1=1 a2=1", "a1=2", "a1="]);
  for (const [i, batch] of live.entries()) {
    for (const change of batch) tokens[i] = change.token!;
    const again = watchers.watch({ prefix: "a", since: tokens[i] }).getReader();
    const rest = await take(again, 2 - i);
    assertEquals(texts(rest), texts(live.slice(i + 1)));
    await take(again, i);
    // It goes over to live, with no gap and nothing twice.
    const next = again.read();
    await set({ a1: `after ${i}`, b: "x" });
    assertEquals(texts([(await next).value!]), [`a1=after ${i}`]);
    await again.cancel();
  }
  assertEquals(new Set(tokens).size, 3);
  await reader.cancel();
  assertEquals(watchers.size, 0);
});

Deno.test("the token of a stream moves on with what is not watched, but never past what waits", async () => {
  const { watchers, set, replica } = await watched({ logBytesMax: 900 });
  const stream = watchers.watch({ prefix: "a" });
  const reader = stream.getReader();
  await set({ a: "1" });
  const [batch] = await take(reader, 1);
  assertEquals(stream.token(), batch![0]!.token);
  for (let i = 0; i < 30; i++) await set({ b: `${i}` });
  // The batch's has become too old, the stream's has not.
  const old = watchers.watch({ since: batch![0]!.token }).getReader();
  await assertRejects(() => old.read(), TokenTooOldError);
  assertEquals(stream.token(), vectorToken(replica.vector));
  const token = stream.token()!;
  await set({ a: "2" });
  await set({ b: "x" });
  assertEquals(stream.token(), token);
  const again = watchers.watch({ prefix: "a", since: token });
  assertEquals(again.token(), token);
  const other = again.getReader();
  assertEquals(texts(await take(other, 1)), ["a=2"]);
  await take(reader, 1);
  assertEquals(stream.token(), vectorToken(replica.vector));
  await set({ b: "y" });
  assertEquals(stream.token(), vectorToken(replica.vector));
  const initial = watchers.watch({ initial: true, prefix: "a" });
  assertEquals(initial.token(), undefined);
  const first = initial.getReader();
  await first.read();
  assertEquals(initial.token(), vectorToken(replica.vector));
  for (const each of [reader, other, first]) await each.cancel();
});

Deno.test("after the token of a write comes what this node applied later, whoever wrote it", async () => {
  const { watchers, set, replica } = await watched({ logBytesMax: 2000 });
  const theirs = (key: string, seq: number) =>
    replica.receive(setRecord(key, "v", { seq }));
  await theirs("b1", 1);
  const first = tokenOf((await set({ a1: "v" })).after);
  await theirs("b2", 2);
  const second = tokenOf((await set({ a2: "v" })).after);
  await theirs("b3", 3);
  const token = tokenOf([{ origin: origin(2), seq: 3 }]);
  const since = async (token: string, count: number) => {
    const reader = watchers.watch({ since: token }).getReader();
    const told = texts(await take(reader, count));
    await reader.cancel();
    return told;
  };
  assertEquals(await since(first, 3), ["b2=v", "a2=v", "b3=v"]);
  assertEquals(await since(second, 1), ["b3=v"]);
  assertEquals(await since(joinTokens(first, second), 1), ["b3=v"]);
  // The newest: it is live at once.
  const live = watchers.watch({ since: token }).getReader();
  await set({ a3: "v" });
  assertEquals(texts(await take(live, 1)), ["a3=v"]);
  await live.cancel();
  // One that is still to come, and its place among the others.
  const early = tokenOf([{ origin: origin(2), seq: 5 }]);
  const stream = watchers.watch({ since: early });
  assertEquals(stream.token(), undefined);
  const reader = stream.getReader();
  const next = reader.read();
  await turns();
  await theirs("b4", 4);
  await set({ a4: "v" });
  await theirs("b5", 5);
  await turns();
  await set({ a5: "v" });
  assertEquals(texts([(await next).value!]), ["a5=v"]);
  assertEquals(stream.token(), vectorToken(replica.vector));
  await reader.cancel();
  for (let i = 0; i < 40; i++) await set({ a1: `${i}` });
  await assertRejects(() => since(first, 1), TokenTooOldError);
});

Deno.test("a watch goes on after a restart, and a token survives it", async () => {
  const first = await watched();
  const reader = first.watchers.watch().getReader();
  await first.set({ k: "1" });
  await first.set({ k: "2", l: "1" });
  const [batch] = await take(reader, 1);
  await first.set({ k: undefined });
  const kv = first.kv.crash();
  const second = await watched({ kv, clock: first.clock });
  const since = batch!.at(-1)!.token!;
  const again = second.watchers.watch({ since }).getReader();
  await second.set({ k: "3" });
  assertEquals(texts(await take(again, 3)), ["k=2 l=1", "k=", "k=3"]);
  await again.cancel();
});

Deno.test("what is told again went over to live before the reader is done with the last of it", async () => {
  const { watchers, set, replica } = await watched();
  const since = tokenOf((await set({ k: "1" })).after);
  await set({ k: "2" });
  const reader = watchers.watch({ since }).getReader();
  assertEquals(texts(await take(reader, 1)), ["k=2"]);
  // A session is in no log.
  const vector = replica.vector.clone();
  vector.add(origin(3), 1);
  await replica.ingest({
    whole: false,
    base: replica.vector,
    vector,
    entries: [entry({ key: toBytes("s"), origin: origin(3), holder: 3 })],
    intents: [],
    lifeGone: 0,
    lifeFloor: 0,
    floor: new Vector(),
    incarnations: [],
    folds: [],
  });
  await set({ k: "3" });
  const rest = await take(reader, 2);
  assertEquals(texts(rest), ["s=v~", "k=3"]);
  await reader.cancel();
  // Of before the session nothing can be told exactly any more; of after it, all.
  const old = watchers.watch({ since }).getReader();
  const error = await assertRejects(() => old.read(), TokenTooOldError);
  assertEquals(
    error.message,
    "Cannot watch: the changes since the token are no longer kept",
  );
  const token = (rest[0]![0] as { token: string }).token;
  const after = watchers.watch({ since: token }).getReader();
  assertEquals(texts(await take(after, 1)), ["k=3"]);
  await after.cancel();
  assertEquals(watchers.size, 0);
});

Deno.test("a token that the log does not reach any more is too old; a watch that the log leaves behind has lagged", async () => {
  const { watchers, set, replica } = await watched({ logBytesMax: 900 });
  const since = tokenOf((await set({ k: "0" })).after);
  for (let i = 1; i <= 3; i++) await set({ k: `${i}` });
  const behind = watchers.watch({ since }).getReader();
  const initial = watchers.watch({ initial: true }).getReader();
  assertEquals(texts(await take(initial, 1)), ["k=3~"]);
  const start = watchers.watch({ since }).getReader();
  assertEquals(texts(await take(start, 1)), ["k=1"]);
  for (let i = 4; i <= 40; i++) await set({ k: `${i}` });
  await assertRejects(() => behind.read(), TokenTooOldError);
  for (const reader of [start, initial]) {
    let texts_: string[] = [];
    let last: Change | undefined;
    while (last?.type !== "lagged") {
      const [batch] = await take(reader, 1);
      texts_ = [...texts_, ...texts([batch!])];
      last = batch![0];
    }
    const told = texts_.slice(0, -1).length;
    assert(last.missed > 30 && last.missed + told <= 39, `${texts_}`);
    const next = reader.read();
    await set({ k: "on" });
    const [change] = (await next).value!;
    assertEquals(texts([[change!]]), ["k=on"]);
    await reader.cancel();
  }
  assert(replica.figures.logRecords < 20);
  assertEquals(watchers.size, 0);
});

Deno.test("what the token stands for is waited for, and no longer than asked", async () => {
  const { watchers, replica, timers } = await watched();
  const since = tokenOf([{ origin: origin(2), seq: 2 }]);
  const reader = watchers.watch({ since, timeoutMs: 50 }).getReader();
  const next = reader.read();
  await turns();
  const claimed = { entry: { claimHlc: T0 } };
  await replica.receive(setRecord("k", "1", claimed));
  await replica.receive(setRecord("k", "2", { ...claimed, seq: 2 }));
  await turns();
  await replica.receive(setRecord("k", "3", { ...claimed, seq: 3 }));
  assertEquals(texts([(await next).value!]), ["k=3"]);
  assertEquals(timers.size, 0);
  await reader.cancel();
  const never = tokenOf([{ origin: origin(9), seq: 1 }]);
  const late = watchers.watch({ since: never, timeoutMs: 50 }).getReader();
  const failed = assertRejects(() => late.read(), DeadlineExceededError);
  await turns();
  timers.fire();
  await failed;
  const closing = watchers.watch({ since: never }).getReader();
  const end = closing.read();
  await turns();
  await watchers.close();
  assertEquals((await end).done, true);
  assertEquals([timers.size, watchers.size], [0, 0]);
});

Deno.test("an initial state comes in the order of the keys, bounded batches, of which the last has a token; then what changes, with no gap", async () => {
  const { watchers, set, kv } = await watched();
  const value = "v".repeat(100_000);
  for (let i = 0; i < 7; i++) await set({ [`a${i}`]: value, [`b${i}`]: "" });
  await set({ a3: undefined });
  const reader = watchers.watch({ initial: true, prefix: "a" }).getReader();
  const batches: Change[][] = [];
  let writes = 0;
  while (batches.at(-1)?.[0]?.token === undefined) {
    batches.push((await reader.read()).value!);
    // What comes meanwhile is told afterwards, and only then.
    await set({ [`a${writes++}`]: "new" });
  }
  assertEquals(batches.length, 2);
  assertEquals(
    batches.flat().map((change) =>
      change.type === "set" && change.value!.length === value.length &&
      change.coalesced && toText(change.key)
    ),
    ["a0", "a1", "a2", "a4", "a5", "a6"],
  );
  assertEquals(texts(await take(reader, 2)), ["a0=new", "a1=new"]);
  await reader.cancel();
  const token = batches.at(-1)![0]!.token!;
  const again = watchers.watch({ since: token, prefix: "a" }).getReader();
  assertEquals(texts(await take(again, 2)), ["a0=new", "a1=new"]);
  await again.cancel();
  // Single keys are read alone.
  const keys = watchers.watch({ initial: true, keys: ["b1", "a3", "a0"] });
  const [some] = await take(keys.getReader(), 1);
  assertEquals(texts([some!]), ["a0=new~ b1=~"]);
  // Nothing there: at once what changes.
  const none = watchers.watch({ initial: true, prefix: "z" }).getReader();
  const next = none.read();
  await turns();
  await set({ z: "1" });
  assertEquals(texts([(await next).value!]), ["z=1"]);
  assert(kv.synchronous);
});

Deno.test("a state that is being told is let go of when the reader goes, or the database closes", async () => {
  let open = 0;
  class Counting extends HandKV {
    override snapshot() {
      open++;
      const snapshot = super.snapshot();
      return { ...snapshot, close: () => void open-- };
    }
  }
  const { watchers, set } = await watched({ kv: new Counting() });
  const value = "v".repeat(200_000);
  for (const key of ["a", "b", "c", "d"]) await set({ [key]: value });
  const cancelled = watchers.watch({ initial: true }).getReader();
  await cancelled.read();
  assertEquals(open, 1);
  await cancelled.cancel();
  assertEquals(open, 0);
  const closed = watchers.watch({ initial: true }).getReader();
  await closed.read();
  await watchers.close();
  assertEquals([open, watchers.size], [0, 0]);
  assertEquals((await closed.read()).done, true);
});

Deno.test("a token of a lagged change goes on before what was dropped, the next one behind it", async () => {
  const { watchers, set } = await watched();
  const reader = watchers.watch({ queueBytesMax: 450 }).getReader();
  for (const key of ["a", "b", "c", "d"]) await set({ [key]: "1" });
  const [folded, lagged] = await take(reader, 2);
  assertEquals(texts([folded!, lagged!]), ["a=1 b=1", "lagged 2"]);
  assertEquals(folded![0]!.token, lagged![0]!.token);
  const again = watchers.watch({ since: lagged![0]!.token }).getReader();
  assertEquals(texts(await take(again, 2)), ["c=1", "d=1"]);
  await again.cancel();
  await set({ e: "1" });
  const [next] = await take(reader, 1);
  const rest = watchers.watch({ since: next![0]!.token }).getReader();
  await set({ f: "1" });
  assertEquals(texts(await take(rest, 1)), ["f=1"]);
  await rest.cancel();
  await reader.cancel();
});

Deno.test("a watch that cannot read its engine says so", async () => {
  const { watchers, set, kv, replica } = await watched();
  const since = vectorToken(replica.vector);
  await set({ k: "1" });
  const reader = watchers.watch({ since }).getReader();
  kv.readFailure = () => new RangeError("broken");
  await assertRejects(() => reader.read(), RangeError, "broken");
  kv.readFailure = undefined;
  await replica.close();
  const initial = watchers.watch({ initial: true }).getReader();
  assertEquals((await initial.read()).done, true);
  await assertRejects(() => replica.settled(), ClosedError);
});

Deno.test("S6: a watch is told of a whole copy in the place of what waited, wherever it is, and goes on behind it", async () => {
  for (const kind of ["live", "waiting", "replaying", "initial"] as const) {
    const { watchers, set, replica } = await watched();
    const since = tokenOf((await set({ k: "1" })).after);
    for (let i = 2; i <= 5; i++) await set({ k: `${i}` });
    const stream = watchers.watch(
      kind === "replaying"
        ? { since }
        : kind === "initial"
        ? { initial: true }
        : {},
    );
    const reader = stream.getReader();
    if (kind === "waiting") await set({ k: "6" });
    const pending = kind === "live" ? reader.read() : undefined;
    if (kind === "replaying" || kind === "initial") await take(reader, 1);
    await replica.voidCopy(() => []);
    await replica.beginCopy();
    const vector = new Vector();
    vector.add(origin(3), 1);
    await replica.fill(
      [entry({ key: toBytes("s"), origin: origin(3), holder: 3 })],
      { vector },
    );
    await replica.ingest({
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
    const { value } = await (pending ?? reader.read());
    assertEquals(value!.map(({ type }) => type), ["reset"], kind);
    await set({ k: "7" });
    assertEquals(texts(await take(reader, 1)), ["k=7"], kind);
    await reader.cancel();
    // Its token goes on behind the copy.
    const [change] = value!;
    const again = watchers.watch({ since: change!.token! }).getReader();
    assertEquals(texts(await take(again, 1)), ["k=7"], kind);
    await again.cancel();
  }
});

Deno.test("the token of a watch is behind what its reader has, not behind what is on its way to it", async () => {
  const { watchers, set, replica } = await watched();
  const since = tokenOf((await set({ k: "1" })).after);
  for (let i = 2; i <= 4; i++) await set({ k: `${i}` });
  const stream = watchers.watch({ since });
  const reader = stream.getReader();
  assertEquals(texts(await take(reader, 1)), ["k=2"]);
  const token = stream.token();
  const pending = reader.read();
  await reader.cancel();
  await pending;
  assertEquals(stream.token(), token);
  const rest = watchers.watch({ since: token! }).getReader();
  assertEquals(texts(await take(rest, 2)), ["k=3", "k=4"]);
  await rest.cancel();

  // Nor behind a whole copy of which it has not been told.
  const live = watchers.watch();
  const before = live.token();
  await replica.voidCopy(() => []);
  await replica.beginCopy();
  const vector = new Vector();
  vector.add(origin(3), 1);
  await replica.ingest({
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
  await set({ k: "5" });
  assertEquals(live.token(), before);
  const last = live.getReader();
  const { value } = await last.read();
  assertEquals(value!.map(({ type }) => type), ["reset"]);
  assert(live.token() !== before);
  await last.cancel();

  // An initial state of which the end was not handed out is none.
  const initial = watchers.watch({ initial: true });
  const first = initial.getReader();
  const begun = first.read();
  await first.cancel();
  await begun;
  assertEquals(initial.token(), undefined);
});
