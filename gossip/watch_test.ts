import { assert, assertEquals, assertThrows } from "@std/assert";
import { NotSupportedError, toBytes, toText } from "../runtime/mod.ts";
import type { Applied } from "./replication/draft.ts";
import { entry, record } from "./replication/world_test.ts";
import { type Change, Watchers, type WatchOptions } from "./watch.ts";

function applied(keys: Record<string, number>, session = false): Applied {
  const changes = Object.entries(keys).map(([key, holder]) =>
    entry({ key: toBytes(key), value: toBytes(`${key}!`), holder })
  );
  return { record: session ? undefined : record({}), changes };
}

async function seen(
  options: WatchOptions,
  ...all: Applied[]
): Promise<string[]> {
  const watchers = new Watchers(1);
  const stream = watchers.watch(options);
  watchers.publish(all);
  watchers.close();
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
  const watchers = new Watchers(1);
  const reader = watchers.watch().getReader();
  const other = watchers.watch().getReader();
  const set = applied({ k: 2 });
  const gone = {
    record: undefined,
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

Deno.test("a watcher that does not keep up is told how many batches it missed", async () => {
  const many = Array.from({ length: 5 }, () => applied({ k: 2 }));
  assertEquals(
    await seen({ queueBytesMax: 450 }, ...many),
    ["k", "k", "lagged 3"],
  );
});

Deno.test("what a watcher asked for may be changed afterwards", async () => {
  const watchers = new Watchers(1);
  const prefix = toBytes("a");
  const keys = [toBytes("ab")];
  const stream = watchers.watch({ prefix, keys });
  prefix.fill(0);
  keys[0]!.fill(0);
  watchers.publish([applied({ ab: 2 })]);
  watchers.close();
  for await (const [change] of stream) assertEquals(show(change!), "ab");
});

Deno.test("a queue without a limit is refused", () => {
  for (const queueBytesMax of [NaN, 0, -1]) {
    assertThrows(() => new Watchers(1).watch({ queueBytesMax }), RangeError);
  }
});

Deno.test("resuming a watch is refused, not ignored", () => {
  assertThrows(() => new Watchers(1).watch({ since: "x" }), NotSupportedError);
});
