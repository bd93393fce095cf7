import { assert, assertEquals } from "@std/assert";
import { toBytes, toText } from "../runtime/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { CHANGE_BYTES, ChangeQueue, type Handed } from "./change_queue.ts";
import { Progress } from "./progress.ts";
import { Vector } from "./replication/vector.ts";
import { entry, origin } from "./replication/world_test.ts";
import { readToken } from "./token.ts";

/** A change of a key of one letter, without a value. */
const change = (key: string, seq: number) => ({
  entry: entry({ key: toBytes(key), value: toBytes(""), seq }),
  coalesced: false,
});
const SIZE = CHANGE_BYTES + 1;

function texts(handed: Handed | undefined): string {
  if (handed === undefined) return "";
  if (handed.kind === "lagged") return `lagged ${handed.missed}`;
  return handed.changes.map(({ entry, coalesced }) =>
    `${toText(entry.key)}${entry.seq}${coalesced ? "~" : ""}`
  ).join(" ");
}

function all(queue: ChangeQueue): string[] {
  const texts_: string[] = [];
  while (!queue.isEmpty) texts_.push(texts(queue.take()));
  assertEquals([queue.bytes, queue.take()], [0, undefined]);
  return texts_;
}

function pushAll(queue: ChangeQueue, ...batches: string[]): void {
  batches.forEach((keys, i) => {
    const seq = i + 1;
    queue.push([...keys].map((key) => change(key, seq)), {
      origin: origin(2),
      seq,
    });
  });
}

Deno.test("batches wait whole and in order as long as there is room", () => {
  const queue = new ChangeQueue(5 * SIZE);
  pushAll(queue, "ab", "a", "bc");
  assertEquals(queue.bytes, 5 * SIZE);
  assertEquals(all(queue), ["a1 b1", "a2", "b3 c3"]);
});

Deno.test("without room all that waits becomes one batch, the newest version of each key, marked where one is left out", () => {
  const queue = new ChangeQueue(4 * SIZE);
  pushAll(queue, "ab", "ac", "a", "ad");
  assertEquals(all(queue), ["b1 c2 a4~ d4"]);
  pushAll(queue, "ab", "c");
  assertEquals(all(queue), ["a1 b1", "c2"]);
});

Deno.test("what does not fit so either is dropped, batch by batch, and counted in its place", () => {
  const queue = new ChangeQueue(3 * SIZE);
  pushAll(queue, "ab", "a", "cd", "a");
  assertEquals(queue.isEmpty, false);
  assertEquals(all(queue), ["b1 a2~", "lagged 2"]);
  pushAll(queue, "abcd", "e");
  // A single batch comes through, whatever it takes.
  assertEquals(all(queue), ["a1 b1 c1 d1", "lagged 1"]);
});

Deno.test("bytes stay within their bound, each key ends with its newest version, and every step is handed out, whatever the pace", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Prng(seed, "queue");
    const bytesMax = (1 + random.u32() % 8) * SIZE;
    const queue = new ChangeQueue(bytesMax);
    const progress = new Progress(new Vector());
    const newest = new Map<string, number>();
    const seen = new Map<string, number>();
    let lagged = false;
    let seq = 0;
    const takes = () => {
      const handed = queue.take();
      if (handed === undefined) return;
      progress.advance(handed.steps);
      if (handed.kind === "lagged") {
        lagged = true;
        return;
      }
      for (const { entry } of handed.changes) {
        const key = toText(entry.key);
        assert(entry.seq > (seen.get(key) ?? 0));
        seen.set(key, entry.seq);
      }
    };
    for (let i = 0; i < 2000; i++) {
      if (random.u32() % 3 === 0) takes();
      seq++;
      const step = { origin: origin(2), seq };
      if (random.u32() % 4 === 0) {
        queue.pass(step);
        continue;
      }
      const keys = [..."abcdef"].filter(() => random.u32() % 4 === 0);
      if (keys.length === 0) keys.push("a");
      queue.push(keys.map((key) => change(key, seq)), step);
      for (const key of keys) newest.set(key, seq);
      assert(queue.bytes <= Math.max(bytesMax, 6 * SIZE));
    }
    const last = { origin: origin(2), seq: ++seq };
    while (!queue.isEmpty) takes();
    queue.push([change("a", seq)], last);
    newest.set("a", seq);
    takes();
    if (!lagged) assertEquals(seen, newest);
    const { vector } = readToken("read", "it", progress.token()());
    assertEquals(vector.seq(origin(2)), seq);
  }
});

Deno.test("a token stands for the moment at which it was taken, whenever it is read", () => {
  const progress = new Progress(Vector.upTo([{ origin: origin(1), seq: 3 }]));
  const tokens: (() => string)[] = [];
  for (let seq = 1; seq <= 1000; seq++) {
    progress.advance([{ origin: origin(2), seq }]);
    tokens.push(progress.token());
  }
  progress.advance([Vector.upTo([{ origin: origin(5), seq: 2 }])]);
  tokens.forEach((token, i) => {
    const { vector } = readToken("read", "it", token());
    assertEquals(
      [1, 2, 5].map((node) => vector.seq(origin(node))),
      [3, i + 1, 0],
    );
  });
  const { vector: end } = readToken("read", "it", progress.token()());
  assertEquals([2, 5].map((node) => end.seq(origin(node))), [1000, 2]);
});
